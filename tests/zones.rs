//! Who is in a zone, and who is not although it seems so.

#[path = "support/outcome.rs"]
#[expect(dead_code, reason = "the machine is told each time")]
mod outcome;

use outcome::{MACHINE, ZONES, check_on, judged};

#[test]
fn a_zone_is_where_its_routing_domain_is() {
    // The network behind em2 is that behind em4, in another domain.
    let machine = "[interface.em1]\naddresses = [\"10.0.1.1/24\"]\nrdomain = 1\n[interface.em2]\n\
                   addresses = [\"10.0.2.1/24\"]\nrdomain = 1\n[interface.em4]\naddresses = [\"10.0.2.1/24\"]\n";
    check_on(
        "block\npass in on em1 inet proto tcp to 10.0.2.9 port 80\npass out on em2\n",
        machine,
        "zone a1 on em1\nzone b1 on em2\nzone b0 on em4\n",
        &[
            ("forbid inet from a1 to b0", "holds"),
            ("forbid inet from a1 to b1", "violated"),
            ("allow inet proto tcp from a1 to b0 port 80", "holds"),
            ("closed from a1", "violated"),
            ("closed to b0", "holds"),
            ("closed to b1", "violated"),
        ],
    );
}

/// Of the hosts that a zone names, a `require` asks about those behind it: of others it would hold whatever the rules say.
#[test]
fn hosts_of_a_zone_that_are_behind_another_interface_are_told() {
    for (zone, statement, told) in [
        (
            "on em1 from { 10.0.1.9 192.0.2.7 }",
            "require proto tcp from z to wan",
            1,
        ),
        (
            "on em1 from { 10.0.1.9 192.0.2.7 }",
            "require proto tcp from wan to z",
            1,
        ),
        ("on em1 from 8.8.8.8", "require proto tcp from z to wan", 1),
        (
            "on { em1 em3 } from { 10.0.1.9 192.0.2.7 }",
            "require proto tcp from z to wan",
            0,
        ),
        // A part of it is there.
        ("on em1 from 10.0.0.0/8", "require proto tcp from z to wan", 0),
        (
            "on em1 from { 10.0.1.9 ! 192.0.2.7 }",
            "require proto tcp from z to wan",
            0,
        ),
        // It is the other family that is asked about.
        (
            "on em1 from { 192.0.2.7 2001:db8:1::5 }",
            "require inet6 proto tcp from z to wan",
            0,
        ),
        // Spoofed sources are what these speak of.
        ("on em1 from { 10.0.1.9 192.0.2.7 }", "forbid from z to wan", 0),
        ("on em1 from { 10.0.1.9 192.0.2.7 }", "closed from z", 0),
    ] {
        let zones = format!("{ZONES}zone z {zone}\n");
        let (_, router) = judged("pass\n", MACHINE, &zones, &format!("{statement}\n{statement}\n"));
        let findings = router
            .findings
            .iter()
            .filter(|finding| finding.message.contains("nothing is asked"));
        assert_eq!(findings.count(), told, "{zone}, {statement}: {:?}", router.findings);
    }
}

/// A `require` holds wherever its packets leave, but somebody who means the hosts of a network is told that they are sent past it.
#[test]
fn what_route_to_sends_past_its_network_is_told() {
    let aside = "pass in on em1 route-to 198.51.100.254\npass out\n";
    for (rules, statement, told) in [
        (aside, "require proto tcp from lan to dmz", 1),
        (aside, "require proto tcp from lan to 192.0.2.9", 1),
        (aside, "require proto tcp from lan to wan", 0),
        (aside, "require proto tcp from dmz to lan", 0),
        (aside, "forbid proto tcp from lan to dmz", 0),
        // Only some of them.
        (
            "pass in on em1 route-to 198.51.100.254\npass in on em1 proto tcp to any port 80\npass out\n",
            "require proto tcp from lan to dmz",
            1,
        ),
        (
            "pass in on em1 route-to 198.51.100.254\npass in on em1 to 192.0.2.0/24\npass out\n",
            "require proto tcp from lan to dmz",
            0,
        ),
        // Through a host of the network itself, and behind the way out there are the same hosts as elsewhere.
        (
            "pass in on em1 route-to 192.0.2.5\npass out\n",
            "require proto tcp from lan to dmz",
            0,
        ),
        (
            "pass in on em1 route-to 192.0.2.5\npass out\n",
            "require proto tcp from lan to wan",
            0,
        ),
    ] {
        let (sources, router) = judged(rules, MACHINE, ZONES, &format!("{statement}\n"));
        let findings: Vec<_> = router
            .findings
            .iter()
            .filter(|finding| finding.message.contains("though their hosts are behind"))
            .collect();
        assert_eq!(findings.len(), told, "{rules}{statement}: {:?}", router.findings);
        for finding in findings {
            assert!(
                finding
                    .message
                    .contains("out by em0, though their hosts are behind em3"),
                "{}",
                finding.message
            );
            let sender = finding.related.first().map(|label| sources.location(label.span).line);
            assert_eq!(sender, Some(1), "{finding:?}");
        }
    }
}
