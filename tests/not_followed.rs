//! What pf does that is not followed here: the evaluator says so, and no statement about it is said to hold.

#[path = "support/outcome.rs"]
mod outcome;
#[path = "support/router.rs"]
#[expect(dead_code, reason = "the router is another one")]
mod router;

use outcome::{MACHINE, ZONES, check, check_on};
use pfproof::eval::{Machine, Memory};
use pfproof::packet::parse_words;
use pfproof::report::trace::short;
use router::ruleset;

/// What becomes of a packet on each hop, in the words of `trace --format short`.
fn traced(rules: &str, words: &str) -> String {
    let context = router::context(MACHINE);
    let ruleset = ruleset(rules, &context);
    let packet = parse_words(words).expect("a packet");
    let machine = Machine::new(&ruleset, &context);
    let journey = machine.prove(&packet, &Memory::default()).map(|(journey, _)| journey);
    let told = short(&packet, &journey, &[]);
    told.split_once(": ").expect("an answer").1.to_owned()
}

#[test]
fn connections_that_pf_answers_with_cookies() {
    let web = "in on em1 proto tcp from 10.0.1.5 to 9.9.9.9 port 80";
    for (mode, answer, required) in [
        (
            "always",
            "unproven: pf answers it itself (`set syncookies always`), and what comes of the handshake is not followed",
            "unproven",
        ),
        // With an empty state table it answers none.
        ("adaptive", "in em1 pass @0, out em0 pass @0", "violated"),
        ("never", "in em1 pass @0, out em0 pass @0", "violated"),
    ] {
        let rules = format!("set syncookies {mode}\npass no state\n");
        assert_eq!(traced(&rules, web), answer);
        // Without states nothing is answered for the later packets of tcp.
        let blocked = format!("{rules}block in proto tcp flags A/A\n");
        check(
            &blocked,
            &[
                ("require inet proto tcp from lan to 9.9.9.9 port 80", required),
                ("require inet proto udp from lan to 9.9.9.9 port 80", "holds"),
            ],
        );
        // The SYN that goes on is pf's own: it was received nowhere.
        let forbidden = if mode == "always" { "unproven" } else { "holds" };
        let received = "block\npass in on em1\nblock out quick on em0 received-on em1\npass out on em0\n";
        check(
            &format!("set syncookies {mode}\n{received}"),
            &[
                ("forbid inet proto tcp from 10.0.1.5 to 9.9.9.9", forbidden),
                ("forbid inet proto udp from 10.0.1.5 to 9.9.9.9", "holds"),
            ],
        );
    }
}

#[test]
fn what_af_to_makes_of_packets_to_the_machine_itself() {
    let rules = "block\npass in on em1 inet6 to 64:ff9b::/96 af-to inet from 198.51.100.1\n";
    let own = "in on em1 inet6 proto tcp from 2001:db8:1::5 to 64:ff9b::c000:201 port 80";
    let statements = |outcome| [("forbid inet6 proto tcp from lan to self", outcome)];
    assert_eq!(
        traced(rules, own),
        "unproven: what af-to makes of packets to the machine itself comes in on loopback, and is not followed there"
    );
    check(rules, &statements("unproven"));
    let skipped = format!("set skip on lo\n{rules}");
    assert!(
        traced(&skipped, own).starts_with("in em1 pass @1"),
        "{}",
        traced(&skipped, own)
    );
    check(&skipped, &statements("violated"));
}

#[test]
fn sources_that_are_remembered_for_two_reasons() {
    let rules = |limit: &str| {
        format!(
            "block\npass in on em1\npass out on em0 inet nat-to {{ 198.51.100.10 198.51.100.11 }} sticky-address \
             keep state (source-track rule{limit})\n"
        )
    };
    let statement = "require inet proto tcp from lan to 9.9.9.9 port 80";
    check(&rules(""), &[(statement, "holds")]);
    check(&rules(", max-src-nodes 1"), &[(statement, "unproven")]);
    let web = "in on em1 proto tcp from 10.0.1.5 to 9.9.9.9 port 80";
    let told = traced(&rules(", max-src-nodes 1"), web);
    assert!(told.starts_with("unproven: what `sticky-address` remembers"), "{told}");
}

#[test]
fn headers_behind_which_another_is() {
    for (protocol, name) in [
        (0, "hop-by-hop options"),
        (43, "a routing header"),
        (44, "a fragment header"),
        (51, "an AH header"),
        (60, "destination options"),
    ] {
        let words = format!("in on em1 inet6 proto {protocol} from 2001:db8:1::5 to 2001:db8:1::1");
        let why = format!("unproven: pf looks through {name}, and what is behind it is not said");
        assert_eq!(traced("pass\n", &words), why);
    }
    assert_eq!(
        traced("pass\n", "in on em1 inet proto 43 from 10.0.1.5 to 10.0.1.1"),
        "in em1 pass @0"
    );
    check_on(
        "pass\n",
        MACHINE,
        ZONES,
        &[("forbid inet6 proto 43 from lan to self", "vacuous")],
    );
}

#[test]
fn what_a_bridge_hands_on() {
    let bridged = format!(
        "{MACHINE}[interface.em4]\naddresses = []\nbridge = \"bridge0\"\n[interface.em5]\naddresses = []\nbridge = \"bridge0\"\n"
    );
    let rules = "block\npass in on em1 inet proto tcp to 192.0.2.9\npass out on em3\n\
                 pass in on em4 inet from 192.0.2.5 to 192.0.2.200\npass out on em5 inet from 192.0.2.5 to 192.0.2.200\n";
    check_on(
        rules,
        &bridged,
        ZONES,
        &[
            ("forbid inet from 192.0.2.5 to 192.0.2.200", "unproven"),
            ("closed to lan", "unproven"),
            // It arrives elsewhere.
            ("require inet proto tcp from lan to 192.0.2.9", "holds"),
            ("forbid inet proto udp from lan to dmz", "holds"),
        ],
    );
}

/// In which table pf looks for what leaves by an interface of another routing domain, the place does not tell.
#[test]
fn routes_that_are_asked_for_beyond_the_routing_domain() {
    let machine = "[interface.em0]\naddresses = [\"203.0.112.7/24\"]\n[interface.em2]\naddresses = [\"192.168.7.2/24\"]\nrdomain = 1\n\
                   [[route]]\nto = \"203.0.113.0/25\"\ninterface = \"em2\"\n";
    let zones = "zone near on em0 from 203.0.113.0/25\n";
    for (rule, outcome) in [
        ("pass inet proto icmp from urpf-failed to any", "unproven"),
        ("pass in inet proto icmp from urpf-failed to any", "holds"),
        ("pass inet proto icmp", "violated"),
    ] {
        let rules = format!("block\n{rule}\n");
        check_on(&rules, machine, zones, &[("forbid from near to 203.0.113.1", outcome)]);
    }
}
