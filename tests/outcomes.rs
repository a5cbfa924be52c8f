//! What becomes of statements where it once went wrong: small machines and rulesets, written by hand.

#[path = "support/outcome.rs"]
mod outcome;

use outcome::{MACHINE, ZONES, check, check_on, judged};
use pfproof::report::check::Report;
use pfproof::report::{Format, Look};

#[test]
fn what_is_moved_to_its_own_source_goes_out_by_its_own_state() {
    // By a bitmask: 10.0.1.5 to 198.51.100.5 becomes one to itself.
    check(
        "block\npass in on em0 inet proto udp to 198.51.100.0/24 port 1000 rdr-to 10.0.1.0/24 bitmask\n",
        &[
            ("forbid from wan to lan", "violated"),
            ("closed to lan", "violated"),
            ("closed to dmz", "holds"),
        ],
    );
    // By port arithmetic: source port 7080 to port 80 becomes one to itself.
    check(
        "block\npass in on em0 inet proto udp to 198.51.100.1 port 80:90 rdr-to 10.0.1.5 port 7080:7090\n",
        &[("forbid from wan to lan", "violated"), ("closed to lan", "violated")],
    );
    // To one address: the source is that of the target.
    check(
        "block\npass in on em0 inet proto udp to 198.51.100.1 port 80 rdr-to 10.0.1.5\n",
        &[("forbid from wan to lan", "violated")],
    );
    // By `reply-to` it goes where replies go.
    let itself = "block\npass in on em0 inet proto udp from 10.0.1.5 to 10.0.1.5 port 80";
    for (option, there, elsewhere) in [
        ("", "violated", "holds"),
        (" reply-to 198.51.100.254", "holds", "holds"),
        (" reply-to 192.0.2.9", "holds", "violated"),
    ] {
        check(
            &format!("{itself}{option}\n"),
            &[("closed to lan", there), ("closed to dmz", elsewhere)],
        );
    }
    check(
        &format!("{itself} dup-to 192.0.2.9\n"),
        &[("closed to lan", "violated"), ("closed to dmz", "unproven")],
    );
    check(
        "set state-policy if-bound\nblock\npass in on em0 inet proto udp to 198.51.100.0/24 rdr-to 10.0.1.0/24 bitmask\n",
        &[("forbid from wan to lan", "holds"), ("closed to lan", "holds")],
    );
}

#[test]
fn loopback_addresses_are_the_machine_itself() {
    // What is redirected to 127.0.0.1 ends here, and no zone has it.
    check(
        "block\npass in on em0 proto udp to port 53 rdr-to 127.0.0.1\n",
        &[
            ("forbid from wan to self", "violated"),
            ("forbid from wan to 127.0.0.1", "violated"),
            ("forbid from wan to wan", "holds"),
        ],
    );
    check(
        "block\npass in on em0 proto udp from 9.9.9.9 to port 53 rdr-to 127.0.0.1\n",
        &[
            ("closed", "holds"),
            ("allow proto udp from wan to self port 53", "holds"),
        ],
    );
    // An address of a loopback interface is met on a wire, and sent from.
    let machine = format!("{MACHINE}[interface.lo1]\naddresses = [\"203.0.113.77/32\"]\n");
    check_on(
        "block\npass in on em0 proto tcp to 203.0.113.77 port 22\npass out on em0 from 203.0.113.77\n",
        &machine,
        ZONES,
        &[
            ("forbid from wan to self", "violated"),
            ("forbid from wan to lo1", "violated"),
            ("forbid from self to wan", "violated"),
            ("forbid from wan to wan", "holds"),
        ],
    );
}

#[test]
fn an_alias_of_one_address_is_no_broadcast_address() {
    let machine = MACHINE.replace("198.51.100.1/24\"", "198.51.100.1/24\", \"198.51.100.9/32\"");
    check_on(
        "block\npass in on em0 proto tcp to 198.51.100.9 port 22\n",
        &machine,
        ZONES,
        &[
            ("forbid from wan to self", "violated"),
            ("forbid from wan to 198.51.100.9", "violated"),
            ("closed from wan", "violated"),
        ],
    );
    check_on(
        "block\npass in on em0 proto tcp to 198.51.100.9 port 22\n",
        &machine,
        ZONES,
        &[("require proto tcp from wan to 198.51.100.9 port 22", "holds")],
    );
}

#[test]
fn route_to_on_the_way_in_asks_no_stack() {
    // Not for broadcast addresses either, and tcp is as good as any.
    let rules = "block\npass in on em1 to 10.0.1.255 route-to 192.0.2.9\npass out on em3\n";
    check(
        rules,
        &[
            ("closed to dmz", "violated"),
            ("forbid proto tcp from lan to 10.0.1.255", "violated"),
            ("closed to wan", "holds"),
            ("closed from lan", "violated"),
        ],
    );
}

#[test]
fn route_to_on_the_way_out_leaves_by_the_gateways_interface() {
    let rules = "set state-policy if-bound\nblock\npass in on em1 proto tcp to port 80\n\
                 pass out on em0 proto tcp route-to 192.0.2.9\n";
    check(
        rules,
        &[
            ("require inet proto tcp from lan to wan port 80", "violated"),
            ("closed to wan", "holds"),
            ("closed to dmz", "violated"),
            ("forbid proto udp from lan to wan", "holds"),
        ],
    );
    // What is answered there finds the state where it floats.
    check(
        "block\npass in on em1 proto tcp to port 80\npass out on em0 proto tcp route-to 192.0.2.9\n",
        &[
            ("require inet proto tcp from lan to 9.9.9.9 port 80", "holds"),
            ("closed to dmz", "violated"),
        ],
    );
    // The gateway has no route.
    let no_default = MACHINE.split("[[route]]").next().expect("interfaces");
    check_on(
        "block\npass in on em1 inet proto tcp\npass out on em3 inet proto tcp route-to 203.0.113.9\n",
        no_default,
        ZONES,
        &[("require inet proto tcp from lan to dmz", "violated")],
    );
    check_on(
        "block\npass in on em1 inet proto tcp route-to { 203.0.113.9 192.0.2.9 }\npass out\n",
        no_default,
        ZONES,
        &[("require inet proto tcp from lan to dmz", "violated")],
    );
}

#[test]
fn copies_that_dup_to_sends_are_not_taken_for_closed() {
    let rules = "block\npass in on em1 inet proto tcp from 10.0.1.5 to 9.9.9.9 port 80 dup-to 192.0.2.9\n\
                 pass out on em0 inet proto tcp\n";
    check(
        rules,
        &[
            ("closed to dmz", "unproven"),
            ("forbid proto tcp from 10.0.1.5 to dmz", "holds"),
        ],
    );
    let required = "require inet proto tcp from 10.0.1.5 to 9.9.9.9 port 80";
    check(rules, &[(required, "holds"), ("closed to dmz", "holds")]);
}

#[test]
fn nat64_reaches_only_what_is_forwarded() {
    let rules = "set skip on lo\nblock\npass in on em1 inet6 proto tcp to 64:ff9b::/96 af-to inet from (em0)\n";
    let (sources, router) = judged(rules, MACHINE, ZONES, "closed from lan\n");
    assert_eq!(router.statements[0].outcome, "violated");
    let report = Report { routers: vec![router] };
    let shown = report.render(&[&sources], Format::Json, Look::default());
    assert!(shown.contains("64:ff9b::100:0"), "{shown}");
    for (to, outcome) in [
        ("9.9.9.9", "violated"),
        ("0.0.0.1", "holds"),
        ("127.0.0.1", "holds"),
        ("224.0.0.1", "holds"),
        ("198.51.100.255", "holds"),
        ("255.255.255.255", "holds"),
        ("240.0.0.1", "violated"),
        ("198.51.100.1", "violated"),
    ] {
        let to: std::net::Ipv4Addr = to.parse().expect("an address");
        let [a, b, c, d] = to.octets();
        let to = format!(
            "64:ff9b::{:x}:{:x}",
            u16::from_be_bytes([a, b]),
            u16::from_be_bytes([c, d])
        );
        check(
            &format!("set skip on lo\nblock\npass in on em1 inet6 proto tcp to {to} af-to inet from (em0)\n"),
            &[("closed from lan", outcome)],
        );
    }
    // What it sends out is filtered nowhere else, and its replies come back.
    check(
        rules,
        &[
            ("require inet6 proto tcp from lan to 64:ff9b::909:909 port 443", "holds"),
            ("closed to wan", "violated"),
            ("closed to dmz", "violated"),
        ],
    );
    let one = "block\npass in on em1 inet6 proto tcp to 64:ff9b::909:909 af-to inet from (em0)\n";
    check(one, &[("closed to wan", "violated"), ("closed to dmz", "holds")]);
}

#[test]
fn prefixes_of_rfc_6052_are_followed_or_left_open() {
    let to = "2001:db8:9:a00:1:500::";
    let only = format!("pass in on em1 inet6 proto tcp from any to {to}/48 af-to inet from 198.51.100.1\n");
    let only = format!(
        "block\nblock in quick inet6 from any to ! {to}\n{}",
        only.replace(&format!("{to}/48"), "2001:db8:9::/48")
    );
    let machine = MACHINE
        .replace("\"10.0.1.1/24\", ", "")
        .replace("192.0.2.1/24", "10.0.1.1/24");
    check_on(
        &only,
        &machine,
        ZONES,
        &[
            ("forbid proto tcp from lan to 192.0.2.0/24", "unproven"),
            (&format!("require inet6 proto tcp from lan to {to} port 80"), "holds"),
            (
                &format!("require inet6 proto tcp from lan to {to} port 80 rdr-to 10.0.1.5"),
                "holds",
            ),
        ],
    );
}

#[test]
fn small_rulesets_are_not_too_large() {
    check(
        "block\npass in on em1 inet proto tcp to any rdr-to 192.0.2.5 port 79:81\npass out on em3\n",
        &[("closed to dmz", "violated"), ("closed from wan", "holds")],
    );
    check(
        "block\npass in on em1 inet6 proto tcp to 2001:db8:ffff::/48 af-to inet from (em0) to 192.0.2.5\n",
        &[("closed to dmz", "violated"), ("closed to wan", "holds")],
    );
    // Which address it is of so many is not followed; that it goes nowhere else is.
    check(
        "block\npass in on em1 inet proto tcp to any rdr-to 192.0.2.0/24 bitmask\npass out on em3\n",
        &[("closed to wan", "holds"), ("forbid from wan to dmz", "holds")],
    );
}

#[test]
fn boxes_that_are_not_all_say_so_in_every_format() {
    // Whose socket it is nobody knows, beside a packet that surely offends.
    let rules = "block\npass in on em1 inet proto udp to 10.0.1.1 port 53\npass in on em1 inet proto tcp to 10.0.1.1 user root\n";
    let (sources, router) = judged(rules, MACHINE, ZONES, "closed from lan\n");
    assert_eq!(router.statements[0].outcome, "violated");
    let report = Report { routers: vec![router] };
    for (format, words) in [
        (Format::Human, "and more: rule @2 (pf.conf:3) asks for"),
        (Format::Short, "(and more: rule @2 (pf.conf:3) asks for"),
        (Format::Json, "\"more\":\"rule @2 (pf.conf:3) asks for"),
    ] {
        let text = report.render(&[&sources], format, Look::default());
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn anchors_that_call_each_other_are_given_up_soon() {
    let names: Vec<String> = (0..24).map(|at| format!("a{at}")).collect();
    let mut rules = "block\nanchor a0\n".to_owned();
    for pair in names.windows(2) {
        let (outer, inner) = (&pair[0], &pair[1]);
        rules += &format!("anchor {outer} {{\nanchor \"/{inner}\"\nanchor \"/{inner}\"\n}}\n");
    }
    rules += "anchor a23 {\npass proto tcp\n}\n";
    // Sixteen million rules: nobody would see the end of them.
    let (_, router) = judged(&rules, MACHINE, ZONES, "closed\n");
    let statement = &router.statements[0];
    assert_eq!(statement.outcome, "unproven");
    assert_eq!(statement.reasons, ["the anchors make too many rules"]);
    for (rules, reason) in [
        ("anchor a {\nanchor \"/a\"\n}\n", "anchor `a` calls itself"),
        (
            "anchor a {\nanchor \"/b\"\n}\nanchor b {\nanchor \"/a\" in\n}\n",
            "anchors `a`, `b` call each other",
        ),
    ] {
        let (_, router) = judged(&format!("block\n{rules}"), MACHINE, ZONES, "closed\n");
        assert_eq!(router.statements[0].reasons, [reason]);
    }
}

#[test]
fn peers_of_a_tunnel_meet_at_the_machine() {
    let machine = format!("{MACHINE}[interface.wg0]\naddresses = [\"10.9.0.1/24\", \"2001:db8:9::1/64\"]\n");
    let zones = "zone vpn on wg0\nzone lan on em1\n";
    let rules = "block\npass on { wg0 em1 }\n";
    for (statement, outcome) in [
        ("forbid from 10.9.0.2 to 10.9.0.3", "violated"),
        ("forbid from 2001:db8:9::2 to 2001:db8:9::3", "violated"),
        ("require inet proto tcp from vpn to vpn port 22", "holds"),
        ("forbid from 10.0.1.2 to 10.0.1.3", "holds"),
    ] {
        check_on(rules, &machine, zones, &[(statement, outcome)]);
    }
    check_on(
        "block\npass in on wg0\n",
        &machine,
        zones,
        &[("require inet proto tcp from vpn to vpn port 22", "violated")],
    );
}

#[test]
fn no_network_lies_behind_loopback_and_one_peer_behind_a_point_to_point_interface() {
    let machine = format!(
        "{MACHINE}[interface.lo1]\naddresses = [\"10.99.0.1/24\", \"2001:db8:99::1/64\"]\n\
         [interface.tun0]\naddresses = [\"10.8.0.1/24\"]\n[[route]]\nto = \"::/0\"\ninterface = \"em0\"\n"
    );
    // The rest of them goes by the default routes.
    check_on(
        "block\npass in on em1\npass out on em0\n",
        &machine,
        ZONES,
        &[
            ("forbid from 10.0.1.5 to 10.99.0.5", "violated"),
            ("forbid from 2001:db8:1::5 to 2001:db8:99::5", "violated"),
            ("forbid from 10.0.1.5 to 10.8.0.5", "violated"),
        ],
    );
}

#[test]
fn broadcast_is_that_of_the_domain_where_it_is_looked_up() {
    let machine = format!(
        "{MACHINE}[interface.em2]\naddresses = [\"10.0.2.1/24\"]\nrdomain = 1\n\
         [[route]]\nto = \"default\"\ninterface = \"em0\"\nvia = \"198.51.100.254\"\nrtable = 5\n"
    );
    let zones = "zone wan on em0\nzone lan on em1\nzone other on em2\n";
    for (protocol, outcome) in [("tcp", "holds"), ("udp", "violated")] {
        check_on(
            &format!("block\npass in on em2 proto {protocol} to 10.0.1.255 rtable 0\n"),
            &machine,
            zones,
            &[("closed from other", outcome)],
        );
    }
    // Another table knows no broadcast addresses.
    check_on(
        "block\npass in on em1 to 10.0.1.255 rtable 5\npass out on em0\n",
        &machine,
        zones,
        &[("closed from lan", "violated"), ("closed to wan", "violated")],
    );
}

#[test]
fn the_networks_of_carp_are_those_of_its_device() {
    let machine = "[interface.em0]\naddresses = []\n[interface.em1]\naddresses = [\"10.0.1.1/24\", \"fe80::1/64\"]\n\
                   [interface.carp0]\naddresses = [\"198.51.100.1/24\"]\ncarpdev = \"em0\"\n\
                   [interface.carp1]\naddresses = [\"10.0.1.9/24\", \"fe80::9/64\"]\ncarpdev = \"em1\"\n";
    // Hosts of that network meet without the machine, which sends from the only address there, while it
    // is master.
    let (_, router) = judged(
        "block\npass on em0 inet\npass in on em1 inet6\n",
        machine,
        "zone wan on em0\nzone lan on em1\n",
        "forbid from 198.51.100.7 to 198.51.100.8\nrequire inet proto udp from self to 198.51.100.7 port 53\n\
         forbid from fe80::5 to fe80::9\n",
    );
    let outcomes: Vec<_> = router.statements.iter().map(|statement| statement.outcome).collect();
    assert_eq!(outcomes, ["holds", "unproven", "violated"], "{:?}", router.findings);
}

#[test]
fn what_is_forbidden_by_its_family_may_end_in_the_other() {
    check(
        "block\npass in on em0 inet from 9.9.9.0/24 af-to inet6 from 2001:db8:1::1 to 2001:db8:1::5\n",
        &[
            ("forbid from wan to lan", "violated"),
            ("forbid inet proto tcp from wan to lan", "violated"),
            ("forbid proto icmp from wan to lan", "violated"),
            ("forbid inet from wan to 2001:db8:1::5", "violated"),
            ("forbid inet from wan to 2001:db8:1::6", "holds"),
            ("forbid inet6 from wan to lan", "holds"),
            ("forbid inet from wan to dmz", "holds"),
        ],
    );
}

#[test]
fn what_crosses_to_the_other_family_is_excused_by_both_ends() {
    let nat64 = "set skip on lo\nblock\n\
                 pass in on em1 inet6 from 2001:db8:1::/64 to 64:ff9b::/96 af-to inet from (em0)\n";
    for (allow, from_lan, to_wan) in [
        // What is behind the other interfaces can be reached by it, too.
        ("allow from lan to wan", "violated", "holds"),
        ("allow inet6 from lan to any", "holds", "holds"),
        ("allow inet6 from lan to 64:ff9b::/96", "holds", "holds"),
        // Family, protocol and source are those with which it arrives.
        ("allow inet from any to any", "violated", "violated"),
        ("allow inet6 proto tcp from lan to wan", "violated", "violated"),
        ("allow from em0 to wan", "violated", "violated"),
    ] {
        let statements = [
            (allow, "holds"),
            ("closed from lan", from_lan),
            ("closed to wan", to_wan),
        ];
        check(nat64, &statements);
    }
}

#[test]
fn what_crosses_to_a_family_that_is_not_forwarded_goes_nowhere() {
    let rules = "set skip on lo\nblock\n\
                 pass in on em0 inet from any to 198.51.100.1 af-to inet6 from 2001:db8:1::1 to 2001:db8:1::1\n";
    for (forwarding, forbidden) in [
        ("forwarding-inet6 = false\n", "holds"),
        ("forwarding-inet6 = true\n", "violated"),
    ] {
        check_on(
            rules,
            &format!("{forwarding}{MACHINE}"),
            ZONES,
            &[("forbid inet proto tcp from wan to self", forbidden)],
        );
    }
}

#[test]
fn what_is_supposed_at_one_packet_is_no_reason_at_another() {
    // To port 80 only who is not in the table comes past the first rule, so that the second stops it; to others nobody
    // has asked yet.
    check(
        "table <u> persist\npass in\nblock quick proto tcp from <u> to any port 80\nblock quick from ! <u>\n",
        &[
            ("forbid proto tcp from lan to self port { 80 81 }", "unproven"),
            ("forbid proto tcp from lan to self port 80", "holds"),
        ],
    );
}

#[test]
fn a_quick_anchor_is_left_where_an_anchor_in_it_has_matched_last() {
    let rules = |inner: &str| format!("anchor quick {{\nblock\n{inner}\n}}\npass in on em1\n");
    for (inner, outcome) in [
        ("block quick probability 50%", "holds"),
        ("anchor {\npass probability 50%\n}", "violated"),
        ("anchor {\npass probability 50%\nblock quick proto tcp\n}", "holds"),
        ("anchor {\npass proto tcp\n}", "violated"),
        ("anchor {\npass proto udp\n}", "holds"),
        ("anchor {\npass proto tcp user root\n}", "unproven"),
        (
            "anchor {\npass proto tcp user root\npass probability 50%\n}",
            "violated",
        ),
    ] {
        check(&rules(inner), &[("forbid proto tcp from lan to self", outcome)]);
    }
}

#[test]
fn what_a_program_takes_on_its_way_out_goes_where_it_was_going() {
    let rules = "block\npass in on em1 inet proto udp from 10.0.1.0/24\npass out divert-packet port 700\n";
    check(
        rules,
        &[
            ("forbid from lan to wan", "violated"),
            ("forbid from lan to dmz", "violated"),
            // Neighbours meet without the machine.
            ("forbid from lan to lan", "holds"),
        ],
    );
}

#[test]
fn what_is_known_of_one_translation_is_not_of_the_next() {
    let rules = "table <u> persist\nblock out\npass in on em1\nmatch out on em0 inet nat-to 198.51.100.1\n\
                 block out quick on em0 from <u>\nmatch out on em0 inet nat-to 198.51.100.2\npass out on em0 from <u>\n";
    check(rules, &[("forbid inet proto udp from 10.0.1.5 to 9.9.9.9", "unproven")]);
    let never = rules.replace("match out on em0 inet nat-to 198.51.100.2\n", "");
    check(&never, &[("forbid inet proto udp from 10.0.1.5 to 9.9.9.9", "holds")]);
}

#[test]
fn addresses_that_stand_side_by_side_are_named_one_by_one_all_the_same() {
    let machine = MACHINE.replace(
        "\"198.51.100.1/24\"",
        "\"198.51.100.1/24\", \"198.51.100.2/32\", \"198.51.100.20/32\"",
    );
    let only = |address: &str| format!("block\npass in on em0 inet proto tcp to {address} port 443\n");
    let own = "table <own> const { 198.51.100.1 198.51.100.2 198.51.100.20 }\n";
    for (to, rules, outcome) in [
        ("em0", only("198.51.100.20"), "violated"),
        ("em0", only("em0"), "holds"),
        ("(em0)", only("{ 198.51.100.1 198.51.100.20 }"), "violated"),
        ("<own>", format!("{own}{}", only("198.51.100.20")), "violated"),
        ("<own>", format!("{own}{}", only("<own>")), "holds"),
        ("{ 198.51.100.1 198.51.100.2 }", only("198.51.100.2"), "violated"),
    ] {
        let statement = format!("require inet proto tcp from wan to {to} port 443");
        check_on(&rules, &machine, ZONES, &[(&statement, outcome)]);
    }
    // As sources too: what the machine sends.
    for (sent, outcome) in [("{ em0, em1 }", "holds"), ("198.51.100.2", "violated")] {
        check_on(
            &format!("block\npass out on em0 inet from {sent}\n"),
            &machine,
            ZONES,
            &[("require inet proto tcp from em0 to wan port 443", outcome)],
        );
    }
    // A hole in a table takes away what was named.
    check_on(
        "table <own> const { 198.51.100.1 198.51.100.2 ! 198.51.100.0/31 }\nblock\npass in on em0 to 198.51.100.2\n",
        &machine,
        ZONES,
        &[("require inet proto tcp from wan to <own> port 443", "violated")],
    );
}

#[test]
fn hosts_send_neighbour_discovery_with_the_hop_limit_that_it_needs() {
    check(
        "block\npass in inet6 proto icmp6 icmp6-type neighbrsol\npass in inet6 proto icmp6 icmp6-type listqry allow-opts\n",
        &[
            (
                "require inet6 proto icmp6 from lan to 2001:db8:1::1 icmp6-type neighbrsol",
                "holds",
            ),
            (
                "require inet6 proto icmp6 from lan to 2001:db8:1::1 icmp6-type routersol",
                "violated",
            ),
            (
                "require inet6 proto icmp6 from fe80::5 to 2001:db8:1::1 icmp6-type 130",
                "holds",
            ),
        ],
    );
}
