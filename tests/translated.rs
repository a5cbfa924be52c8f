//! What becomes of statements where match rules change what later rules see, and one match rule what another does.

#[path = "support/outcome.rs"]
mod outcome;

use outcome::{MACHINE, ZONES, check, judged};

/// One rule redirects, the next what it has made of the packets: hosts of the first target are not reached.
#[test]
fn a_match_rule_sees_what_an_earlier_one_has_made() {
    check(
        "block\n\
         match in on em1 inet proto tcp from 10.0.1.0/24 to 10.9.9.9 port 80 rdr-to 192.0.2.5\n\
         match in on em1 inet proto tcp from any to 192.0.2.5 port 80 rdr-to 192.0.2.6\n\
         pass in on em1\npass out\n",
        &[
            (
                "require inet proto tcp from lan to 10.9.9.9 port 80 rdr-to 192.0.2.6",
                "holds",
            ),
            (
                "require inet proto tcp from lan to 10.9.9.9 port 80 rdr-to 192.0.2.5",
                "violated",
            ),
            ("forbid inet proto tcp from lan to 192.0.2.6 port 80", "violated"),
            ("forbid inet proto tcp from lan to 192.0.2.5 port 80", "holds"),
        ],
    );
}

/// However few packets are asked about: those that no later match rule would match as they come.
#[test]
fn a_match_rule_sees_it_of_one_host_too() {
    let rules = |translation: &str| {
        format!(
            "block\nblock in quick on em1 inet from any to 192.0.2.6\n\
             match in on em1 inet proto tcp from 10.0.1.50 to any {translation}\n\
             match in on em1 inet proto tcp from 10.0.5.5 to 10.9.9.9 port 80 rdr-to 192.0.2.6\n\
             pass in on em1\npass out\n"
        )
    };
    let statement = "forbid inet proto tcp from 10.0.1.50 to 192.0.2.6";
    check(&rules("nat-to 10.0.5.5"), &[(statement, "violated")]);
    check(&rules("nat-to 10.0.5.6"), &[(statement, "holds")]);
    check(&rules("nat-to { 10.0.5.6 10.0.5.5 }"), &[(statement, "violated")]);
    let required = "require inet proto tcp from 10.0.1.50 to 10.9.9.9 port 80 rdr-to 192.0.2.6";
    check(&rules("nat-to 10.0.5.5"), &[(required, "holds")]);
    check(&rules("nat-to 10.0.5.6"), &[(required, "violated")]);
}

/// A pool that a table gives may be empty, and then the packet is dropped.
#[test]
fn a_pool_whose_table_is_not_known_proves_nothing() {
    for rules in [
        "table <x> persist\npass\nmatch out on em0 inet from em1:network nat-to <x>\n",
        "table <x> persist\npass\npass out on em0 inet from em1:network nat-to <x>\n",
        "table <x> persist\npass\npass in on em1 inet from em1:network route-to <x>\n",
    ] {
        check(
            rules,
            &[
                ("require inet proto tcp from lan to 9.9.9.9 port 80", "unproven"),
                ("require inet6 proto tcp from lan to 2620:fe::fe port 80", "holds"),
            ],
        );
        let rules = rules.replace(" persist", " { 198.51.100.9 }");
        check(
            &rules,
            &[("require inet proto tcp from lan to 9.9.9.9 port 80", "holds")],
        );
        let rules = rules.replace("{ 198.51.100.9 }", "const");
        check(
            &rules,
            &[("require inet proto tcp from lan to 9.9.9.9 port 80", "violated")],
        );
    }
    check(
        "table <x> persist\nblock\npass in on em1 inet proto tcp to 9.9.9.9 port 80 rdr-to <x>\npass out on em3\n",
        &[
            ("forbid inet from lan to dmz", "unproven"),
            ("forbid inet from 10.0.1.0/24 to 198.51.100.9", "holds"),
            ("require inet proto tcp from lan to 9.9.9.9 port 80", "unproven"),
        ],
    );
}

/// Which of several targets pf chooses for a packet from one of them is known where only that one sends it back.
#[test]
fn what_is_its_own_reverse_goes_to_where_it_is_from() {
    let rules = "block\npass in on em1 inet proto udp rdr-to { 192.0.2.80 10.0.1.5 }\n";
    check(
        rules,
        &[
            ("forbid inet from 10.0.1.5 to 192.0.2.80", "holds"),
            ("forbid inet from 10.0.1.0/24 to dmz", "holds"),
            ("closed to lan", "violated"),
        ],
    );
    check(
        "block\npass in on em0 inet proto udp from any to 9.9.9.9\n",
        &[("require inet proto udp from any to 9.9.9.9 port 49152", "violated")],
    );
}

/// What af-to leaves as it is goes on as it came, whatever match rules have made of it.
#[test]
fn what_af_to_leaves_as_it_is_no_match_rule_changes() {
    check(
        "block\npass in on em0 inet proto esp from 9.9.9.9 to any af-to inet6 from 2001:db8:1::1 to 64:ff9b::/96\n\
         match in inet to 10.0.1.5 rdr-to 192.0.2.9\npass out\n",
        &[
            ("forbid proto esp from 9.9.9.9 to dmz", "violated"),
            ("forbid proto esp from 9.9.9.9 to 192.0.2.9", "violated"),
            ("forbid proto esp from { 9.9.9.9 } to { lan ! 10.0.1.5 }", "violated"),
            ("forbid proto esp from 9.9.9.9 to 10.0.1.5", "violated"),
        ],
    );
    check(
        "block\npass in on em0 inet proto esp from 9.9.9.9 to 10.0.1.5 af-to inet6 from 2001:db8:1::1 to 64:ff9b::/96\n\
         match in inet to 10.0.1.5 rdr-to 192.0.2.9\npass out\n",
        &[
            ("forbid proto esp from 9.9.9.9 to dmz", "holds"),
            ("forbid proto esp from 9.9.9.9 to 10.0.1.5", "violated"),
        ],
    );
}

/// What `route-to` takes from the machine itself does not reach it.
#[test]
fn what_route_to_takes_from_the_machine_is_not_held_to_reach_it() {
    let rules = |option: &str| format!("block\npass in on em1 inet{option}\npass out on em3\n");
    let statement = "require inet proto tcp from lan to em1 port 80";
    check(&rules(""), &[(statement, "holds")]);
    check(&rules(" route-to 192.0.2.9"), &[(statement, "unproven")]);
}

#[test]
fn a_port_that_is_changed_is_a_translation() {
    // nat-to gives the machine's own packets the address that they have, and another port.
    check(
        "block\nmatch out on em0 inet nat-to (em0)\npass out on em0 inet\n",
        &[
            (
                "require inet proto udp from self port 500 to wan port 500 nat-to none",
                "violated",
            ),
            ("require inet proto udp from self to wan port 53 nat-to (em0)", "holds"),
            (
                "require inet proto udp from self to wan port 53 nat-to 198.51.100.9",
                "violated",
            ),
        ],
    );
    check(
        "block\nmatch out on em0 inet nat-to (em0) static-port\npass out on em0 inet\n",
        &[
            (
                "require inet proto udp from self port 500 to wan port 500 nat-to none",
                "holds",
            ),
            (
                "require inet proto udp from self to wan port 53 nat-to (em0)",
                "violated",
            ),
        ],
    );
}

#[test]
fn what_is_redirected_elsewhere_contradicts_no_forbid() {
    let pf_conf = "block\npass in on em0 inet proto tcp to em0 port 80 rdr-to 192.0.2.80\n\
                   pass out on em3 inet proto tcp to 192.0.2.80 port 80\n";
    let both = "require inet proto tcp from wan to 198.51.100.1 port 80\nforbid from wan to self\n";
    let contradict = |pf_conf: &str| {
        let (_, router) = judged(pf_conf, MACHINE, ZONES, both);
        let mut messages = router.findings.iter().map(|finding| finding.message.as_str());
        messages.any(|message| message.contains("asks for what a `forbid` forbids"))
    };
    assert!(!contradict(pf_conf));
    assert!(contradict("block\n"));
    assert!(contradict("pass\n"));
}
