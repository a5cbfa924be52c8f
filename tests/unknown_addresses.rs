//! What is said of packets from and to interfaces whose address is not known: it has to be so for each that it may have.

#[path = "support/outcome.rs"]
#[expect(dead_code, reason = "the machine is another one")]
mod outcome;

use outcome::{check_on, judged};

const MACHINE: &str = "[interface.em0]\naddresses = [\"dhcp\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n\
                       [[route]]\nto = \"default\"\ninterface = \"em0\"\n";

#[test]
fn what_is_sent_from_an_unknown_address_is_from_any_and_perhaps_from_a_named_one() {
    check_on(
        "block\npass out on em0 proto tcp from 203.0.113.7\n",
        MACHINE,
        "zone wan on em0\n",
        &[
            ("forbid from self to wan", "unproven"),
            ("forbid from any to wan", "unproven"),
            ("forbid from 203.0.113.7 to wan", "unproven"),
            ("forbid from 203.0.113.0/24 to wan", "unproven"),
            ("forbid from { any ! self } to wan", "holds"),
            ("forbid from { any ! 203.0.113.7 } to wan", "holds"),
            ("forbid from 203.0.113.8 to wan", "holds"),
        ],
    );
    check_on(
        "block\npass out on em0 proto tcp from (em0)\n",
        MACHINE,
        "zone wan on em0\n",
        &[("forbid from 203.0.113.7 to wan", "unproven")],
    );
    // What pretends to come from there arrives, and is not the machine's.
    check_on(
        "block\npass in on em0 inet proto udp from (em0) to 10.0.1.1\n",
        MACHINE,
        "zone wan on em0\n",
        &[
            ("forbid from em0 to self", "unproven"),
            ("forbid from self to self", "holds"),
        ],
    );
    check_on(
        "block\npass in on em0 inet from (em0) to (em0)\n",
        MACHINE,
        "zone wan on em0\n",
        &[
            ("forbid inet from em0 to em0", "unproven"),
            ("forbid inet from 10.0.1.5 to em0", "holds"),
        ],
    );
}

#[test]
fn a_required_source_may_be_the_address_of_an_interface_that_is_not_known() {
    let machine = |address: &str| {
        format!(
            "[interface.em0]\naddresses = [\"{address}\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n\
             [[route]]\nto = \"default\"\ninterface = \"em0\"\n"
        )
    };
    let rules = "block\npass in on em0\npass out on em1 received-on em0\n";
    let zones = "zone lan on em1\nzone wan on em0\n";
    check_on(
        rules,
        &machine("203.0.113.7/24"),
        zones,
        &[
            ("require proto tcp from 203.0.113.7 to lan port 80", "violated"),
            ("require proto tcp from em0 to lan port 80", "violated"),
            ("require proto tcp from 203.0.113.0/24 to lan port 80", "holds"),
        ],
    );
    check_on(
        rules,
        &machine("dhcp"),
        zones,
        &[
            ("require proto tcp from 203.0.113.7 to lan port 80", "unproven"),
            ("require proto tcp from em0 to lan port 80", "violated"),
            ("require proto tcp from 203.0.113.0/24 to lan port 80", "holds"),
            ("require proto tcp from { 203.0.113.7 ! em0 } to lan port 80", "holds"),
        ],
    );
}

/// However many offences do not count after all: what was not looked at behind them is not held.
#[test]
fn a_search_that_is_cut_short_proves_nothing() {
    let rules = |head: &str, verb: &str| {
        let others = (2000..3101)
            .map(|port| format!("{verb} out on em1 inet proto tcp from ! (em0) to 10.0.1.50 port {port}\n"));
        format!("{head}{}", others.collect::<String>())
    };
    let forbidden = rules(
        "block\npass out on em1 inet proto tcp from (em0) to 10.0.1.50 port 22\n",
        "pass",
    );
    let required = rules(
        "pass\nblock out on em1 inet proto tcp from (em0) to 10.0.1.50 port 3200\n",
        "block",
    );
    for (rules, statement) in [
        (forbidden, "forbid inet proto tcp from em0 to lan"),
        (required, "require inet proto tcp from em0 to 10.0.1.50 port 2000:3200"),
    ] {
        let (_, router) = judged(&rules, MACHINE, "zone lan on em1\n", &format!("{statement}\n"));
        assert_ne!(router.statements[0].outcome, "holds", "{statement}");
    }
}

/// What leaves by a route that was given is in no network that is not known: that would have been taken instead.
#[test]
fn a_network_that_is_not_known_excuses_what_leaves_by_it() {
    let machine = format!(
        "{MACHINE}via = \"203.0.113.1\"\n[interface.em2]\naddresses = [\"10.0.2.1/24\"]\n[[route]]\nto = \"10.5.0.0/16\"\ninterface = \"em2\"\n"
    );
    let zones = "zone lan on em1\nzone dmz on em2\nzone net on em0\n";
    let rules = "block\npass in on em1 inet proto tcp from em1:network to 10.5.0.0/16 port 22\n\
                 pass out on em2 inet proto tcp to 10.5.0.0/16 port 22\n";
    check_on(
        rules,
        &machine,
        zones,
        &[
            ("allow inet proto tcp from lan to net", "holds"),
            // Unless the network of em0 holds it.
            ("closed from lan", "unproven"),
            ("closed to dmz", "unproven"),
            ("closed to net", "holds"),
        ],
    );
    check_on(
        &rules.replace("out on em2", "out on em0"),
        &machine,
        zones,
        &[
            ("allow inet proto tcp from lan to net", "holds"),
            ("allow inet proto tcp from lan to em0", "holds"),
            ("closed from lan", "holds"),
        ],
    );
}

/// A destination that is the machine's own address is none of a zone's hosts.
#[test]
fn nat_to_an_address_that_is_not_known_is_proved() {
    let rules = "block\npass in on em1\npass out on em0 inet from em1:network nat-to (em0)\n";
    let zones = "zone lan on em1\nzone net on em0\n";
    check_on(
        rules,
        MACHINE,
        zones,
        &[
            ("require inet proto tcp from lan to net port 80", "holds"),
            ("require inet proto tcp from lan to net port 80 nat-to (em0)", "holds"),
            ("require inet proto tcp from lan to em0 port 80", "holds"),
        ],
    );
    check_on(
        &rules.replace("nat-to (em0)", "nat-to 203.0.113.9"),
        MACHINE,
        zones,
        &[(
            "require inet proto tcp from lan to net port 80 nat-to (em0)",
            "unproven",
        )],
    );
}
