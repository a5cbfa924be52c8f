//! What is said of packets from and to interfaces whose address is not known: it has to be so for each that it may have.

#[path = "support/outcome.rs"]
#[expect(dead_code, reason = "the machine is another one")]
mod outcome;

use outcome::{check_on, judged};
use pfproof::context::context_from_toml;
use pfproof::net::Family;
use pfproof::policy::{self, Macros, Network, Zones};
use pfproof::source::{MemoryLoader, Sources};
use pfproof::{Engine, lower};

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

#[test]
fn what_is_taken_away_with_a_zone_hangs_on_networks_and_own_addresses() {
    let rules = "block\npass in on em1 inet to 10.0.1.1\npass out on em0\n";
    check_on(
        rules,
        MACHINE,
        "zone wan on em0\nzone lan on em1\n",
        &[
            (
                "require inet proto tcp from lan to { 10.0.1.1 203.0.113.7 ! wan } port 80",
                "unproven",
            ),
            (
                "require inet proto tcp from lan to { 10.0.1.1 wan ! lan } port 80",
                "violated",
            ),
            ("require inet proto tcp from lan to { 10.0.1.1 ! wan } port 80", "holds"),
        ],
    );
    check_on(
        "block\npass in on em0 inet from (em0) to 10.0.1.9\npass out on em1\n",
        MACHINE,
        "",
        &[
            // The machine itself sends none of them, but who pretends to be em0 does.
            ("forbid inet from { em0 10.0.1.9 ! self } to 10.0.1.9", "unproven"),
            ("forbid inet from { em0 10.0.1.9 ! em0 } to 10.0.1.9", "holds"),
        ],
    );
}

#[test]
fn a_required_destination_may_be_an_address_of_the_machine() {
    check_on(
        "block out on em0 ! received-on em0\n",
        MACHINE,
        "",
        // If it is em0's own, what it answers is blocked.
        &[(
            "require inet proto udp from 203.0.114.0/24 to 203.0.113.7 port 80",
            "unproven",
        )],
    );
}

#[test]
fn a_source_that_is_named_arrives_where_it_lies() {
    let machine = format!(
        "{}[interface.em2]\naddresses = [\"dhcp\"]\n",
        MACHINE.replace("dhcp", "198.51.100.7/24")
    );
    check_on(
        "block\npass in on em2 inet proto tcp from 203.0.113.9 to em1\n",
        &machine,
        "zone other on em2\n",
        &[
            ("forbid inet proto tcp from 203.0.113.9 to em1", "unproven"),
            ("forbid inet proto tcp from 198.51.100.9 to em1", "holds"),
            ("forbid inet proto tcp from other to em1", "violated"),
        ],
    );
    check_on(
        "block\npass in on em1 inet proto tcp from em1:network to (em2) port 22\n",
        &machine.replace("198.51.100.7/24", "dhcp"),
        "zone lan on em1\n",
        &[("allow inet proto tcp from lan to em2 port 22", "holds")],
    );
}

#[test]
fn addresses_of_each_kind_are_tried() {
    let context = format!("{MACHINE}[interface.em2]\naddresses = [\"198.51.100.1/25\"]\n");
    let text = "table <t> const { 203.0.113.128/25 }\nblock from 192.0.2.9\n";
    let policy = "zone lan on em1 from 10.0.1.0/28\nforbid from lan to { 198.51.100.130 <t> }\n";
    let mut sources = Sources::new();
    let loader = MemoryLoader::new();
    let [context_file, policy_file] = [context.as_str(), policy].map(|text| sources.add("text", text));
    let (context, _) = context_from_toml(&sources, context_file);
    let (lowered, _) = lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], &context);
    let (policy, _) = policy::read(&mut sources, policy_file, &Macros::new(), &loader);
    let engine = Engine::new(&lowered.ruleset, &context);
    let network = Network::new(&engine);
    let (zones, _) = Zones::new(&policy, &network);
    let (samples, unknown) = zones.sample_addresses();
    assert_eq!(unknown, 1);
    let samples: Vec<String> = samples
        .iter()
        .map(|(on, address)| format!("{} {address}", on.name))
        .collect();
    // Reachable by all, by nobody; what is named, and what lies beside it; what rules name. The widest network is taken that
    // meets no other.
    assert_eq!(
        samples,
        [
            "em0 1.0.0.1/24",
            "em0 10.0.0.1/24",
            "em0 198.51.100.130/28",
            "em0 198.51.100.129/28",
            "em0 203.0.113.128/24",
            "em0 203.0.113.127/24",
            "em0 192.0.2.9/24",
            "em0 192.0.2.8/24",
        ]
    );
    let then = context.with_addresses(&[("em0", "203.0.113.128/24".parse().unwrap())]);
    assert_eq!(then.words, "em0 has 203.0.113.128/24");
    assert!(!then.context.interfaces.iter().any(|one| one.has_unknown(Family::Inet)));
}

#[test]
fn which_end_is_the_unknown_address_is_said() {
    // No packet is shown by a rule that nobody knows.
    let rules = "block\nblock in quick on em0 from (em0)\nanchor \"others\" in on em0 proto tcp to (em0) port 443\n";
    let (_, router) = judged(rules, MACHINE, "zone wan on em0\n", "closed from wan\n");
    let words: Vec<_> = router.statements[0].causes.iter().map(|cause| &cause.choices).collect();
    let both = "if the address of em0 is at one end, and not at the other".to_owned();
    assert!(words.iter().any(|words| words.contains(&both)), "{words:?}");
}

const SEVERAL_DOMAINS: &str = "[interface.em0]\naddresses = [\"203.0.113.7/24\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n\
                               [interface.em2]\naddresses = [\"dhcp\"]\nrdomain = 1\n[[route]]\nto = \"default\"\ninterface = \"em0\"\n";

/// In another routing domain the address of an interface is some host's.
#[test]
fn an_address_that_is_named_may_lie_in_another_routing_domain() {
    let lan = "zone lan on em1\n";
    check_on(
        "block\npass out on em0 inet proto udp to 192.0.2.1\n",
        SEVERAL_DOMAINS,
        "",
        &[
            ("forbid inet proto udp from self to em2", "unproven"),
            ("forbid inet proto udp from self to em1", "holds"),
        ],
    );
    check_on(
        "block\npass in on em1 inet proto tcp to 192.0.2.9\npass out on em0\n",
        SEVERAL_DOMAINS,
        lan,
        &[("forbid inet proto tcp from lan to em2", "unproven")],
    );
    check_on(
        "pass\nblock in on em0 inet proto tcp from 192.0.2.9\n",
        SEVERAL_DOMAINS,
        lan,
        &[("require inet proto tcp from em2 to lan port 80", "unproven")],
    );
}

#[test]
fn an_address_that_is_not_known_may_lie_behind_a_route() {
    let machine = "[interface.em0]\naddresses = [\"dhcp\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n\
                   [interface.em2]\naddresses = [\"10.0.2.1/24\"]\n[[route]]\nto = \"203.0.113.0/25\"\ninterface = \"em2\"\n";
    check_on(
        "block\npass in on em2 inet proto tcp from (self) to (em1:network) port 80\n",
        machine,
        "",
        &[("forbid inet from em0 to 10.0.1.1", "unproven")],
    );
    check_on(
        "block\npass in on em1 inet proto tcp from (self) to (em1:network) port 80\n",
        machine,
        "",
        &[("forbid inet from em0 to 10.0.1.1", "holds")],
    );
}

#[test]
fn a_zone_that_is_taken_away_has_nothing_that_leaves_to_another_network() {
    let machine = "[interface.em0]\naddresses = [\"203.0.112.7/24\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n\
                   [interface.em2]\naddresses = [\"dhcp\"]\n[[route]]\nto = \"default\"\ninterface = \"em0\"\n";
    check_on(
        "block\npass out on em2 inet proto tcp to 203.0.113.9\n",
        machine,
        "zone internet on em0\n",
        &[
            (
                "forbid inet proto tcp from 10.0.1.1 to { 10.0.1.1 203.0.113.9 ! internet }",
                "unproven",
            ),
            (
                "forbid inet proto tcp from 10.0.1.1 to { 10.0.1.1 203.0.113.8 ! internet }",
                "holds",
            ),
        ],
    );
}

#[test]
fn a_source_that_is_named_may_be_the_address_that_the_packets_are_for() {
    check_on(
        "block\npass out\n",
        MACHINE,
        "zone near on em0 from 203.0.113.0/24\nzone lan on em1\n",
        &[(
            "require inet proto tcp from 203.0.113.9 to { self lan } port 80",
            "unproven",
        )],
    );
    check_on(
        "table <t> { 203.0.113.7 }\nblock\npass in on em0 inet proto tcp\npass out inet proto tcp to { 0.0.0.0/1 }\n",
        "[interface.em0]\naddresses = [\"dhcp\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n",
        "zone internet on em0\n",
        &[(
            "forbid inet proto tcp from { 10.0.1.1 203.0.113.7 } to { internet self }",
            "unproven",
        )],
    );
}

/// Of many interfaces each is tried before any is tried again.
#[test]
fn the_first_address_of_each_is_tried_first() {
    let context = "[interface.em0]\naddresses = [\"dhcp\", \"autoconf\"]\n[interface.em1]\naddresses = [\"dhcp\"]\n";
    let mut sources = Sources::new();
    let files = [context, "zone wan on em0\nforbid from wan to 198.51.100.7\n"].map(|text| sources.add("text", text));
    let (context, _) = context_from_toml(&sources, files[0]);
    let (policy, _) = policy::read(&mut sources, files[1], &Macros::new(), &MemoryLoader::new());
    let ruleset = pfproof::Ruleset::default();
    let engine = Engine::new(&ruleset, &context);
    let network = Network::new(&engine);
    let (zones, _) = Zones::new(&policy, &network);
    let (samples, unknown) = zones.sample_addresses();
    let first: Vec<_> = samples
        .iter()
        .take(3)
        .map(|(on, net)| (on.name.as_str(), Family::of(net.addr())))
        .collect();
    assert_eq!(unknown, 3);
    assert_eq!(
        first,
        [("em0", Family::Inet), ("em0", Family::Inet6), ("em1", Family::Inet)]
    );
}
