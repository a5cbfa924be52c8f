//! What becomes of statements where pf or the machine chooses: rates, rules that are used up, pools, routes.

#[path = "support/outcome.rs"]
mod outcome;

use outcome::{MACHINE, ZONES, check, check_on, judged};

#[test]
fn the_witness_takes_the_address_of_the_pool_that_offends() {
    let rules = "block\npass in on em0 inet proto tcp to 198.51.100.1 port 80 rdr-to { 10.0.1.5 192.0.2.5 }\npass out on { em1 em3 }\n";
    check(
        rules,
        &[("forbid from wan to dmz", "violated"), ("closed to dmz", "violated")],
    );
    let (_, router) = judged(rules, MACHINE, ZONES, "forbid from wan to dmz\n");
    let cause = &router.statements[0].causes[0];
    let shown = format!("{:?}", cause.example);
    assert!(shown.contains("\"em3\""), "{shown}");
    assert_eq!(cause.choices, ["if pf takes 192.0.2.5 from the pool of rule @1"]);
    let rules = "block\npass in on em1\npass out on em0 inet nat-to { 198.51.100.1 198.51.100.2 } round-robin\n";
    let statement = "require inet proto udp from lan to 9.9.9.9 nat-to 198.51.100.1\n";
    let (_, router) = judged(rules, MACHINE, ZONES, statement);
    let cause = &router.statements[0].causes[0];
    assert!(
        format!("{:?}", cause.example).contains("198.51.100.2"),
        "{:?}",
        cause.example
    );
}

#[test]
fn a_rate_or_a_rule_that_is_used_up_is_a_choice_that_violates() {
    let require = "require proto tcp from wan to 198.51.100.1 port 443";
    let forbid = "forbid proto tcp from wan to 198.51.100.1 port 443";
    let from_wan = "proto tcp to 198.51.100.1 port 443";
    for (rules, statement, words) in [
        (
            format!("block\npass in {from_wan} max-pkt-rate 100/10\n"),
            require,
            "if packets come faster than the `max-pkt-rate` of rule @1",
        ),
        (
            format!("pass\nblock in {from_wan} max-pkt-rate 100/10\n"),
            forbid,
            "if packets come faster than the `max-pkt-rate` of rule @1",
        ),
        (
            format!("block\npass in {from_wan} once\n"),
            require,
            "if the `once` of rule @1 is used up",
        ),
        (
            format!("pass\nblock in {from_wan} once\n"),
            forbid,
            "if the `once` of rule @1 is used up",
        ),
        (
            format!("pass\nblock in {from_wan} once\n"),
            require,
            "if the `once` of rule @1 is not used up",
        ),
    ] {
        check(&rules, &[(statement, "violated")]);
        let (_, router) = judged(&rules, MACHINE, ZONES, &format!("{statement}\n"));
        let shown = router.statements[0].causes.iter().find(|cause| cause.example.is_some());
        assert_eq!(shown.expect("a packet").choices, [words], "{rules}");
    }
}

#[test]
fn least_states_gives_no_address_of_a_network() {
    let rules = |table: &str, pool: &str| {
        format!(
            "table <t> const {{ {table} }}\nblock\npass in on em0 inet proto tcp to 198.51.100.1 port 80 rdr-to {pool} \
             least-states\npass out on em3 proto tcp\n"
        )
    };
    let require = "require proto tcp from wan to 198.51.100.1 port 80";
    let forbid = "forbid proto tcp from wan to dmz";
    for (table, pool, required, forbidden) in [
        ("192.0.2.8/29", "<t>", "violated", "holds"),
        ("192.0.2.8 192.0.2.9", "<t>", "holds", "violated"),
        ("192.0.2.8/30 192.0.2.20", "<t>", "unproven", "unproven"),
        ("192.0.2.8", "(em3:network)", "violated", "holds"),
    ] {
        check(&rules(table, pool), &[(require, required), (forbid, forbidden)]);
    }
    // By a router that is chosen so.
    let routed = "table <t> const { 192.0.2.8/29 }\nblock\npass in on em1 inet proto tcp to 9.9.9.9 route-to <t> least-states\n\
                  pass out on em3 received-on em1\n";
    check(
        routed,
        &[
            ("require proto tcp from lan to 9.9.9.9", "violated"),
            ("closed to dmz", "holds"),
        ],
    );
}

#[test]
fn of_several_routes_to_one_destination_each_is_considered() {
    let machine = format!("{MACHINE}[[route]]\nto = \"default\"\ninterface = \"em3\"\nvia = \"192.0.2.254\"\n");
    let rules = "block\nblock in quick from urpf-failed\npass in\npass out on em0\n";
    check_on(
        rules,
        &machine,
        ZONES,
        &[
            // Blocked where it leaves by em3.
            ("require inet proto udp from lan to 9.9.9.9", "unproven"),
            ("forbid inet proto udp from lan to 9.9.9.9", "unproven"),
            // Where only the first route counts, it is not from there.
            ("forbid inet proto udp from dmz to lan", "holds"),
            ("require inet proto udp from 9.9.9.9 to em1", "holds"),
        ],
    );
    // It fails where the other route alone counts, not where both do.
    let spoofed = "block\npass in quick on em3 inet proto udp from urpf-failed to 198.51.100.1\n";
    check_on(
        spoofed,
        &machine,
        ZONES,
        &[("forbid inet proto udp from dmz to 198.51.100.1", "violated")],
    );
    let allowed = "block\npass in on em3 inet proto udp from ! urpf-failed to 198.51.100.1\n";
    for (statement, outcome) in [
        ("forbid inet proto udp from dmz to 198.51.100.1", "violated"),
        ("require inet proto udp from 9.9.9.9 to 198.51.100.1", "unproven"),
    ] {
        check_on(allowed, &machine, ZONES, &[(statement, outcome)]);
    }
}

/// What uses a rule up on the way in does not meet it on the way out.
#[test]
fn a_rule_that_is_used_up_lets_a_packet_through_one_hop_alone() {
    let forbid = "forbid inet proto tcp from lan to dmz port 80";
    check(
        "block\npass quick inet proto tcp from 10.0.1.5 to port 80 once\n",
        &[(forbid, "holds")],
    );
    check(
        "block\npass quick inet proto tcp from 10.0.1.5 to port 80 once\npass out on em3\n",
        &[(forbid, "violated")],
    );
    check(
        "block\npass quick inet proto tcp from 10.0.1.5 to port 80 once\npass in on em1 from 10.0.1.5\n",
        &[(forbid, "holds")],
    );
}
