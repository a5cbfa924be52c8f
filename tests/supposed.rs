//! What is said of addresses that are not known by supposing one, by counting them, and of what rules were loaded with.

#[path = "support/outcome.rs"]
#[expect(dead_code, reason = "the machine is another one")]
mod outcome;

use outcome::{check_on, judged};
use pfproof::context::context_from_toml;
use pfproof::policy::{self, Network, Zones};
use pfproof::source::{MemoryLoader, Sources};
use pfproof::{Engine, lower};

const MACHINE: &str = "[interface.em0]\naddresses = [\"dhcp\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n\
                       [[route]]\nto = \"default\"\ninterface = \"em0\"\n";

/// A bare name stands for what it was when the rules were loaded, which a lease may have changed since.
#[test]
fn what_rules_were_loaded_with_may_be_another_address() {
    let with = |itself: &str| format!("block\nblock out quick on em1 from {itself}\npass out\n");
    let closed = "zone lan on em1\nclosed to lan\n";
    let (_, router) = judged(&with("self"), MACHINE, "", closed);
    let [statement] = router.statements.as_slice() else {
        panic!("one statement")
    };
    assert_eq!(statement.outcome, "unproven");
    assert_eq!(
        statement.reasons,
        [
            "it hangs on what em0 had when pf.conf was loaded, and may have lost since; `(em0)` in rules, or `assume em0 \
             ADDRESS/BITS`, would settle it"
        ]
    );
    check_on(
        &with("(self)"),
        MACHINE,
        "zone lan on em1\n",
        &[("closed to lan", "holds")],
    );
    // So does what is offered as a repair.
    let (_, router) = judged("block\npass out\n", MACHINE, "", closed);
    let repair = router.statements[0].repair.as_ref().map(|repair| repair.rules.clone());
    assert_eq!(repair, Some(vec!["block out quick on em1 from (self)".to_owned()]));
}

/// A table holds what the interfaces in it had when it was loaded, and lacks what they had behind `!`.
#[test]
fn a_table_may_hold_or_lack_what_an_interface_had() {
    let tables =
        "table <inside> const { em0:network 10.0.1.0/24 }\ntable <others> const { 172.16.0.0/12 ! em0:network }\n";
    check_on(
        &format!(
            "{tables}block\npass in on em1 inet proto tcp to ! <inside>\npass out on em0\n\
             pass in on em1 inet proto udp to <others>\n"
        ),
        MACHINE,
        "zone lan on em1\n",
        &[
            ("forbid inet proto tcp from lan to 10.0.1.9", "holds"),
            ("require inet proto tcp from lan to 203.0.113.9", "unproven"),
            ("require inet proto udp from lan to 172.16.9.9", "unproven"),
            ("forbid inet proto udp from lan to 203.0.113.9", "holds"),
        ],
    );
    // Of what pf.conf writes nothing is missing.
    let (_, router) = judged(
        &format!("{tables}block\npass in on em1 to <inside>\n"),
        MACHINE,
        "",
        "zone lan on em1\nassume table <inside> as written\nforbid inet from lan to 203.0.113.9\n",
    );
    assert!(router.findings.is_empty(), "{:?}", router.findings);
}

/// Says what takes up the samples, so that what is proved is proved without them.
const NAMED: &str = "zone wan on em0\nzone lan on em1\nallow inet proto udp from { 1.1.1.1 3.3.3.3 5.5.5.5 7.7.7.7 } to 10.0.1.9 port 81\n";

/// The outcome of the last statement.
fn last_outcome(rules: &str, machine: &str, statements: &str) -> &'static str {
    let (_, router) = judged(rules, machine, NAMED, statements);
    router.statements.last().expect("a statement").outcome
}

/// A hole of a table may be wherever the interface may.
#[test]
fn what_a_table_may_lack_is_not_surely_in_it() {
    let table = "table <t> const { 172.16.0.0/12 ! em0:network }\nblock\n";
    let pass = "pass in on em0 inet proto tcp from 172.16.0.0/12 to 10.0.1.9 port 80\npass out on em1 proto tcp received-on em0\n";
    let rules = format!("{table}{pass}");
    let from_table = "allow inet proto tcp from <t> to 10.0.1.9 port 80\n";
    assert_eq!(
        last_outcome(&rules, MACHINE, &format!("{from_table}closed from wan\n")),
        "unproven"
    );
    assert_eq!(
        last_outcome(&rules, MACHINE, "forbid inet proto tcp from <t> to 10.0.1.9\n"),
        "unproven"
    );
    let zone = "zone inside on em0 from <t>\nallow inet proto tcp from inside to 10.0.1.9 port 80\nclosed to lan\n";
    assert_eq!(last_outcome(&rules, MACHINE, zone), "unproven");
    // Others may fill it besides.
    let filled = "table <t> { 0.0.0.0/0 ! em0:network }\nblock\nblock in quick on em0 inet from <t>\n\
                  pass in on em0 inet proto tcp from 172.16.5.0/24 to 10.0.1.9 port 80 keep state (max-src-conn 5, overload <t>)\n\
                  pass out on em1 proto tcp received-on em0\n";
    assert_eq!(
        last_outcome(
            filled,
            MACHINE,
            "forbid inet proto tcp from 172.16.5.0/24 to 10.0.1.9\n"
        ),
        "unproven"
    );
}

/// Of more addresses than the machine can have some are none of its own: of all its interfaces together, and no networks.
#[test]
fn addresses_of_the_machine_are_counted() {
    let two_unknown = format!("{MACHINE}[interface.em2]\naddresses = [\"dhcp\"]\n");
    let outcome = |machine: &str, own: &str, sources: &str| {
        let rules = format!(
            "table <t> const {{ {sources} }}\nblock\nblock in quick from {own}\npass in on em0 inet proto udp from <t>\n\
             pass out on em1 inet proto udp received-on em0\n"
        );
        last_outcome(&rules, machine, "forbid inet proto udp from wan to 10.0.1.9\n")
    };
    for (own, machine, few, more) in [
        ("(em0)", MACHINE, "198.51.100.8", "198.51.100.8/31"),
        ("{ (em0) em0 }", MACHINE, "198.51.100.8/31", "198.51.100.8/30"),
        ("{ (em0) (em2) }", &two_unknown, "198.51.100.8/31", "198.51.100.8/30"),
        ("(self)", &two_unknown, "198.51.100.8 203.0.113.9", "198.51.100.8/30"),
    ] {
        assert_eq!(outcome(machine, own, few), "unproven", "{own}");
        assert_eq!(outcome(machine, own, more), "violated", "{own}");
    }
    for own in ["{ (em0) (em0:broadcast) }", "(em0:network)", "(em0)/24"] {
        assert_eq!(
            outcome(MACHINE, own, "198.51.100.8 198.51.100.255"),
            "unproven",
            "{own}"
        );
    }
    // What is left may be neighbours, who need no router.
    let rules = "table <t> const { 198.51.100.8 198.51.100.20 }\nblock\nblock in quick to (em0)\nblock in quick from (em0)\n\
                 pass in on em0 inet proto udp from <t> to <t>\npass out on em0 inet proto udp received-on em0\n";
    assert_eq!(
        last_outcome(rules, MACHINE, "forbid inet proto udp from <t> to <t>\n"),
        "unproven"
    );
}

/// What each statement's first packet becomes on the last hop, and what is supposed for it.
fn shown(rules: &str, machine: &str, policy: &str) -> Vec<(String, Vec<String>)> {
    let (_, router) = judged(rules, machine, "", policy);
    let causes = router
        .statements
        .iter()
        .filter_map(|statement| statement.causes.first());
    let shown = causes.map(|cause| {
        let (_, journey) = cause.example.as_ref().expect("a packet");
        (journey.last().expect("a hop").brief(), cause.choices.clone())
    });
    shown.collect()
}

#[test]
fn what_hangs_on_an_unknown_address_is_shown_with_one() {
    let rules = "block\nmatch out on em0 inet from em1:network nat-to (em0)\npass in on em1\npass out on em0\n\
                 pass in on em0 proto tcp to (em0) port 22\n";
    let policy = "zone wan on em0\nforbid inet proto tcp from 10.0.1.0/24 to wan port 25\n\
                  forbid inet proto tcp from wan to self port 22\n";
    let supposing = vec!["supposing em0 has 1.0.0.1/24".to_owned()];
    assert_eq!(
        shown(rules, MACHINE, policy),
        [
            ("1.0.0.1:50001 > 9.9.9.9:25 tcp S".to_owned(), supposing.clone()),
            ("9.9.9.9:49152 > 1.0.0.1:22 tcp S".to_owned(), supposing),
        ]
    );
}

/// All that offends is told by the interface, not by the addresses that it may have.
#[test]
fn an_unknown_address_is_told_by_its_interface() {
    let rules = "block\npass in on em0 proto tcp to (em0) port 22\npass out on em1\n";
    let policy = "zone lan on em1\nzone wan on em0\nforbid inet proto tcp from wan to self port 22\nclosed to lan\n";
    let (_, router) = judged(rules, MACHINE, "", policy);
    let [forbidden, closed] = router.statements.as_slice() else {
        panic!("two statements")
    };
    assert_eq!(forbidden.packets, ["tcp 22  from any on em0 to self (em0)"]);
    let end = forbidden.causes.first().and_then(|cause| cause.end.clone());
    assert_eq!(end.as_deref(), Some("1.0.0.1 is the machine itself (em0)"));
    let sent = closed.packets.iter().find(|line| line.starts_with("tcp"));
    assert_eq!(
        sent.map(String::as_str),
        Some("tcp, udp, icmp but replies, other protocols  from self to lan")
    );
}

#[test]
fn each_interface_is_supposed_to_have_another_network() {
    let machine = format!("{MACHINE}[interface.em2]\naddresses = [\"dhcp\", \"autoconf\"]\n");
    let mut sources = Sources::new();
    let file = sources.add("context.toml", machine);
    let (context, _) = context_from_toml(&sources, file);
    let loaded = lower::load(&mut sources, &MemoryLoader::new(), "pf.conf", b"block\n", &[], &context);
    let engine = Engine::new(&loaded.0.ruleset, &context);
    let (policy, network) = (policy::ast::Policy::default(), Network::new(&engine));
    let (zones, _) = Zones::new(&policy, &network);
    let given: Vec<String> = zones
        .sample_of_each()
        .iter()
        .map(|(on, address)| format!("{} {address}", on.name))
        .collect();
    assert_eq!(given, ["em0 1.0.0.1/24", "em2 1.0.1.1/24", "em2 2000::1/64"]);
}

/// No rule is shown that pfctl would have made otherwise in that state.
#[test]
fn what_rules_are_in_another_state_is_not_shown_as_they_are_in_this() {
    let machine = "[interface.em0]\naddresses = [\"198.51.100.7/24\"]\n[interface.em2]\naddresses = [\"203.0.113.7/24\"]\n\
                   [[route]]\nto = \"default\"\ninterface = \"em0\"\n[unknown]\nupstreams = [\"em0\", \"em2\"]\n";
    let rules = "block\npass in on em2 inet proto tcp to egress port 22\n";
    let policy = "forbid inet proto tcp from 9.9.9.9 to 203.0.113.7 port 22\n";
    let (_, router) = judged(rules, machine, "", policy);
    let [statement] = router.statements.as_slice() else {
        panic!("one statement")
    };
    assert_eq!((statement.outcome, statement.causes.len()), ("unproven", 0));
}

/// What is violated in another state of the machine alone is shown in that state.
#[test]
fn what_hangs_on_the_state_of_the_machine_is_shown_in_it() {
    let machine = "[interface.em0]\naddresses = [\"198.51.100.7/24\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n\
                   [interface.em2]\naddresses = [\"203.0.113.7/24\"]\n[[route]]\nto = \"default\"\ninterface = \"em0\"\n\
                   [[route]]\nto = \"default\"\ninterface = \"em2\"\n";
    let rules = "block\npass in on em1\npass out on em2\n";
    let policy = "forbid inet proto tcp from 10.0.1.0/24 to 9.9.9.9 port 25\n";
    let supposing = vec!["supposing the default routes leave by em2".to_owned()];
    let [(_, found)] = shown(rules, machine, policy).try_into().expect("one statement");
    assert_eq!(found, supposing);
}

/// What is translated to the machine's own address ends there, whichever that is.
#[test]
fn what_is_translated_to_an_unknown_address_ends_at_the_machine() {
    let forbid = "forbid inet proto tcp from wan to em1 port 22\nforbid inet proto tcp from wan to em0 port 22\n";
    let with = |to: &str| format!("block\npass in on em0 inet proto tcp to any port 2222 rdr-to {to} port 22\n");
    let (_, router) = judged(&with("(em0)"), MACHINE, NAMED, forbid);
    let outcomes: Vec<_> = router.statements.iter().skip(1).map(|one| one.outcome).collect();
    assert_eq!(outcomes, ["holds", "violated"]);
    assert_eq!(last_outcome(&with("em0"), MACHINE, forbid), "unproven");
    // Only where the address lies there is it let in.
    let narrow = "block\nmatch in on em0 inet proto tcp to any port 2222 tag R rdr-to (em0) port 22\n\
                  pass in on em0 inet proto tcp to 55.66.0.0/16 port 22 tagged R\n\
                  block in quick on em0 inet to 55.66.0.0/17\n";
    assert_eq!(last_outcome(narrow, MACHINE, forbid), "unproven");
}

/// A bare name in a translation is an address that the interface may have lost.
#[test]
fn what_a_translation_was_loaded_with_is_not_what_is_expected() {
    let outcome = |pool: &str| {
        let rules = format!("block\npass in on em1\npass out on em0 inet from em1:network nat-to {pool}\n");
        last_outcome(
            &rules,
            MACHINE,
            "require inet proto tcp from lan to wan port 443 nat-to (em0)\n",
        )
    };
    assert_eq!(
        ["em0", "(em0)", "192.0.2.9"].map(outcome),
        ["unproven", "holds", "unproven"]
    );
}

/// A repair breaks nothing with any of the addresses that are tried.
#[test]
fn repairs_are_tried_with_addresses() {
    let rules = "block\npass in on em0 inet proto tcp to (em0)\n";
    let policy = "zone internet on em0\nforbid inet proto tcp from internet to self port 23\n";
    let repair = |policy: &str| judged(rules, MACHINE, "", policy).1.statements[0].repair.is_some();
    assert!(repair(policy));
    assert!(!repair(&format!(
        "{policy}require inet proto tcp from em0:network to em0 port 22\n"
    )));
}

/// That the machine may itself have the address of which somebody else is meant belies no `require`.
#[test]
fn a_named_host_is_not_taken_for_the_machine() {
    check_on(
        "block\npass out on em0 inet\npass in on em0 inet proto tcp to (em0) port 22\n",
        MACHINE,
        "",
        &[
            ("require inet proto udp from self to 9.9.9.9 port 53", "holds"),
            ("require inet proto tcp from 198.51.100.66 to em0 port 22", "holds"),
        ],
    );
}
