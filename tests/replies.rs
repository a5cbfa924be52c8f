//! What a `require` asks of replies: that they come back to where the flow began, by the states that pf finds.

#[path = "support/outcome.rs"]
mod outcome;

use outcome::{MACHINE, ZONES, check, check_on, judged};
use pfproof::context::context_from_toml;
use pfproof::eval::{self, End, Machine, Memory, Usual, Verdict};
use pfproof::lower;
use pfproof::packet::{Way, parse_words};
use pfproof::source::{MemoryLoader, Sources};

#[test]
fn replies_come_back_to_where_the_flow_began() {
    // The reply is routed in the domain that the flow was sent to. A state that meets it there takes it back.
    let machine = "[interface.em0]\naddresses = [\"198.51.100.1/24\"]\n[interface.em2]\naddresses = [\"10.0.2.1/24\"]\nrdomain = 1\n\
                   [[route]]\nto = \"default\"\ninterface = \"em0\"\nvia = \"198.51.100.254\"\n";
    for (bound, outcome) in [("", "holds"), (" keep state (if-bound)", "violated")] {
        check_on(
            &format!("block\npass in on em2 rtable 0{bound}\npass out on em0 nat-to (em0)\n"),
            machine,
            "zone wan on em0\nzone lan on em2\n",
            &[
                ("require inet proto udp from lan to wan", outcome),
                ("require inet proto icmp from lan to wan", outcome),
            ],
        );
    }
    let rules = "block\npass in on em1 reply-to 192.0.2.9\npass out on em0\n";
    let (_, router) = judged(rules, MACHINE, ZONES, "require inet proto udp from lan to 9.9.9.9\n");
    let says = &router.statements[0].causes[0].says;
    assert_eq!(says, "gets through, its reply leaves by em3, not by em1");
    let own = "require inet proto tcp from wan to 198.51.100.1 port 22";
    let in_dmz = "require inet proto tcp from wan to dmz port 80";
    for (reply_to, outcome) in [
        ("", "holds"),
        (" reply-to 198.51.100.254", "holds"),
        (" reply-to 192.0.2.9", "violated"),
    ] {
        check(
            &format!("block\npass out on em3\npass in on em0 inet proto tcp{reply_to}\n"),
            &[(own, outcome), (in_dmz, outcome)],
        );
    }
    // What the machine itself sends is answered to it.
    check(
        "block\npass out on em0\n",
        &[("require inet proto udp from self to 9.9.9.9", "holds")],
    );
    check(
        "block\npass out on em0 reply-to 192.0.2.9\npass out on em3\n",
        &[("require inet proto udp from self to 9.9.9.9", "violated")],
    );
}

#[test]
fn a_program_sends_back_what_divert_packet_gives_it() {
    let in_and_out = |state: &str, rest: &str| {
        format!(
            "block\npass in on em1 inet proto tcp to port 80 {state} divert-packet port 700\n\
             pass out on em0 inet proto tcp divert-packet port 700\n{rest}"
        )
    };
    let required = "require inet proto tcp from lan to wan port 80";
    for (rules, outcome) in [
        (in_and_out("", ""), "holds"),
        // It goes on from there as others do, and so does its answer.
        (in_and_out("", "block out on em0\n"), "violated"),
        (in_and_out("no state", ""), "violated"),
        (in_and_out("no state", "pass out on em1\npass in on em1\n"), "holds"),
        // What pf knew of it is lost.
        (in_and_out("tag A", "block out ! tagged A\n"), "violated"),
    ] {
        check(&rules, &[(required, outcome)]);
    }
    check(
        &in_and_out("", ""),
        &[
            ("closed to wan", "violated"),
            ("forbid proto udp from lan to wan", "holds"),
        ],
    );
}

#[test]
fn a_port_for_what_has_none_hides_the_state_from_replies() {
    let expect = |rest: &str, [tcp, esp, icmp]: [&str; 3]| {
        let statements = [
            ("require inet proto tcp from wan to 198.51.100.1 port 443", tcp),
            ("require inet proto esp from wan to 198.51.100.1", esp),
            (
                "require inet proto icmp from wan to 198.51.100.1 icmp-type echoreq",
                icmp,
            ),
        ];
        check(&format!("block out on em0\n{rest}\n"), &statements);
    };
    let rdr = "in on em0 inet from any to 198.51.100.1 rdr-to 10.0.1.5";
    expect(&format!("pass {rdr}"), ["holds"; 3]);
    expect(&format!("pass {rdr} port 80"), ["holds", "violated", "violated"]);
    expect(
        &format!("match {rdr} port 80\npass in on em0"),
        ["holds", "violated", "violated"],
    );
    // The type of an echo request is a number like a port's.
    expect(&format!("pass {rdr} port 8"), ["holds", "violated", "unproven"]);
}

#[test]
fn what_af_to_leaves_as_it_is_finds_no_state_on_its_way_back() {
    let rules = |back: &str| {
        format!(
            "{back} out on em0\npass in on em0 inet from any to 198.51.100.1 \
             af-to inet6 from 2001:db8:1::1 to 2001:db8:1::5\npass in on em1\n"
        )
    };
    for (back, esp) in [("block", "violated"), ("pass", "holds")] {
        check(
            &rules(back),
            &[
                ("require inet proto tcp from wan to 198.51.100.1 port 443", "holds"),
                (
                    "require inet proto icmp from wan to 198.51.100.1 icmp-type echoreq",
                    "holds",
                ),
                ("require inet proto esp from wan to 198.51.100.1", esp),
            ],
        );
    }
}

/// Whether the evaluator sees the answer to a packet from em0 leave by em0.
fn is_answered(pf_conf: &str, packet: &str) -> bool {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", MACHINE);
    let context = context_from_toml(&sources, file).0;
    let (lowered, complaints) = lower::load(
        &mut sources,
        &MemoryLoader::new(),
        "pf.conf",
        pf_conf.as_bytes(),
        &[],
        &context,
    );
    assert!(complaints.is_empty(), "{pf_conf}{complaints:?}");
    let machine = Machine::new(&lowered.ruleset, &context).with_programs();
    let mut memory = Memory::after_others();
    let there = machine
        .follow(&parse_words(packet).unwrap(), &mut memory, &mut Usual)
        .unwrap();
    let mut answer = eval::reply(&there).unwrap();
    if answer.way == Way::Out {
        // To an address of its own the machine answers by loopback.
        let own = answer.dst.to_string() == "10.0.1.1";
        answer.interface = if own { "lo0" } else { "em0" }.to_owned();
    }
    let back = machine.follow(&answer, &mut memory, &mut Usual).unwrap();
    let leaves = back.end == End::Sent && back.last().is_some_and(|last| last.interface == "em0");
    there.verdict() == Verdict::Pass && back.verdict() == Verdict::Pass && leaves
}

#[test]
fn a_require_holds_where_the_answer_comes_back() {
    let translations = [
        "",
        "rdr-to 10.0.1.5",
        "rdr-to 10.0.1.5 port 80",
        "rdr-to 10.0.1.5 port 8000:8100",
        "rdr-to 10.0.1.5 nat-to 10.0.1.1",
        "nat-to 10.0.1.1",
        "nat-to 10.0.1.1 static-port",
        "af-to inet6 from 2001:db8:1::1 to 2001:db8:1::5",
        "af-to inet6 from 2001:db8:1::1 static-port to 2001:db8:1::5",
        "af-to inet6 from 2001:db8:1::1 to 2001:db8:1::5 port 8080",
    ];
    let protocols = [
        ("tcp", " port 443"),
        ("udp", " port 443"),
        ("icmp", " icmp-type echoreq"),
        ("esp", ""),
        ("gre", ""),
    ];
    let mut outcomes = [0; 2];
    for translation in translations {
        for state in ["", " keep state (if-bound)"] {
            for (protocol, rest) in protocols {
                for back in [
                    "",
                    "block out on em0\n",
                    "block in on em1\n",
                    "block in on em1\nblock out on em0\n",
                ] {
                    let rule = format!("pass in on em0 inet from any to 198.51.100.1 {translation}{state}");
                    let pf_conf = format!("{back}pass in on em0\n{rule}\npass out on em1\n");
                    let packets = format!("proto {protocol} from 9.9.9.9 to 198.51.100.1{rest}");
                    let answered = is_answered(&pf_conf, &format!("in on em0 {packets}"));
                    outcomes[usize::from(answered)] += 1;
                    let expected = if answered { "holds" } else { "violated" };
                    check(&pf_conf, &[(&format!("require inet {packets}"), expected)]);
                }
            }
        }
    }
    assert!(outcomes.into_iter().all(|count| count > 100), "{outcomes:?}");
}

#[test]
fn a_state_puts_its_tag_on_replies() {
    // The state of the way out has the tag for which its rule asks, and one that it sets; not one that nobody asks for.
    for (out, tagged) in [
        ("pass out on em0 tagged A", true),
        ("pass out on em0 tag A", true),
        ("pass out on em0", false),
        ("pass out on em0 tagged A no state\npass in on em0", false),
    ] {
        for (back, stops) in [
            ("block out on em1 tagged A", tagged),
            ("block out on em1 ! tagged A", !tagged),
        ] {
            check(
                &format!("match in on em1 tag A\n{out}\n{back}\n"),
                &[(
                    "require inet proto udp from lan to wan port 53",
                    if stops { "violated" } else { "holds" },
                )],
            );
        }
    }
}

#[test]
fn a_state_sets_fields_of_replies() {
    let required = "require inet proto udp from lan to wan port 53";
    for (sets, asks) in [("set tos 16", "tos 16"), ("set prio 5", "prio 5")] {
        for (rules, outcome) in [
            (format!("pass out on em0 {sets}\nblock out on em1 {asks}\n"), "violated"),
            (format!("pass out on em0 {sets}\nblock out on em3 {asks}\n"), "holds"),
            (
                format!("match out on em0 {sets}\npass out on em0\nblock out on em1 {asks}\n"),
                "violated",
            ),
            // Without a state nothing is known of the answer.
            (
                format!("pass out on em0 {sets} no state\nblock out on em1 {asks}\n"),
                "holds",
            ),
        ] {
            check(&rules, &[(required, outcome)]);
        }
    }
}

#[test]
fn what_follows_the_first_packets_is_shown_where_it_is_lost() {
    let rest = "pass out on em0 no state\npass in on em0 no state\npass out on em1 no state\n";
    let says = |rules: &str| {
        let (_, router) = judged(
            rules,
            MACHINE,
            ZONES,
            "require inet proto tcp from lan to wan port 443\n",
        );
        let cause = router.statements[0].causes.first();
        cause.map(|cause| cause.says.clone())
    };
    let next = "gets through, but not what its sender sends when it is answered";
    for (rules, expected) in [
        (
            format!("block\npass in on em1 proto tcp flags S/SA no state\n{rest}"),
            Some(next),
        ),
        (
            format!("block\npass in on em1 proto tcp flags any no state\n{rest}"),
            None,
        ),
        (format!("block\npass in on em1 proto tcp\n{rest}"), None),
        (
            "pass no state\nblock in on em1 proto tcp flags F/F\n".to_owned(),
            Some(next),
        ),
        (
            "pass no state\nblock in on em0 proto tcp flags P/P\n".to_owned(),
            Some("gets through, its reply does not come back"),
        ),
    ] {
        assert_eq!(says(&rules).as_deref(), expected, "{rules}");
    }
}

/// What comes back between the families comes in, as the first packet did: it is given the same table (`st->rtableid`).
#[test]
fn replies_of_af_to_are_routed_by_its_table() {
    let machine = "[interface.em0]\naddresses = [\"198.51.100.1/24\"]\n\
                   [interface.em1]\naddresses = [\"10.0.1.1/24\", \"2001:db8:1::1/64\"]\n\
                   [interface.em3]\naddresses = [\"192.0.2.1/24\"]\nrdomain = 1\n\
                   [[route]]\nto = \"default\"\ninterface = \"em0\"\nvia = \"198.51.100.254\"\n";
    let rules = "block\npass in on em1 inet6 to 64:ff9b::/96 af-to inet from 198.51.100.1";
    for (table, to, outcome) in [
        ("", "64:ff9b::909:909", "holds"),
        (" rtable 1", "64:ff9b::c000:209", "violated"),
    ] {
        check_on(
            &format!("{rules}{table}\n"),
            machine,
            "zone lan on em1\n",
            &[(&format!("require inet6 proto tcp from lan to {to} port 80"), outcome)],
        );
    }
}
