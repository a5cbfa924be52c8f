//! A machine is the same, whichever way it is described: as context.toml, as the files of its /etc, as the output of
//! ifconfig and route; and no text makes a reader panic.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/forms.rs"]
mod forms;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use forms::{as_etc, as_output};
use ipnet::IpNet;
use pfproof::check::{Machine, check};
use pfproof::context::{Context, Interface, InterfaceAddress, Kind, Route, combine, driver, read, write_toml};
use pfproof::net::Family;
use pfproof::source::{MemoryLoader, Sources};
use pfproof::syntax::{self, Limits};
use proptest::prelude::*;

/// The context that the texts describe together; they must be read without a word.
fn described(texts: &[(Kind, String)]) -> Context {
    let mut sources = Sources::new();
    let mut all = Vec::new();
    for (kind, text) in texts {
        let file = sources.add(format!("{kind:?}"), text.as_str());
        let (facts, said) = read(kind, &sources, file);
        assert!(said.is_empty(), "{said:?} in\n{text}");
        all.push(facts);
    }
    let (combined, said) = combine(all);
    assert!(said.is_empty(), "{said:?} in\n{texts:?}");
    combined.context
}

fn inet() -> impl Strategy<Value = Ipv4Addr> {
    (1..224u8, any::<[u8; 3]>()).prop_filter_map("no loopback", |(first, [b, c, d])| {
        (first != 127).then_some(Ipv4Addr::new(first, b, c, d))
    })
}

fn inet6() -> impl Strategy<Value = Ipv6Addr> {
    (
        prop_oneof![Just(0x2001u16), Just(0xfd00), Just(0xfe80)],
        any::<[u16; 6]>(),
    )
        .prop_map(|(first, [b, c, d, e, f, g])| {
            // The kernel keeps a number of its own in the second group of link-local addresses.
            let b = if first == 0xfe80 { 0 } else { b };
            Ipv6Addr::new(first, b, c, d, e, f, g, 1)
        })
}

fn address() -> impl Strategy<Value = InterfaceAddress> {
    prop_oneof![
        (inet(), 8..=32u8).prop_map(|(address, bits)| (IpAddr::V4(address), bits)),
        (inet6(), 32..=128u8).prop_map(|(address, bits)| (IpAddr::V6(address), bits)),
    ]
    .prop_map(|(address, bits)| InterfaceAddress::Known(IpNet::new(address, bits).expect("a length in range")))
}

/// Interfaces of every kind, hardware first, as the kernel lists them.
fn interface(name: &'static str) -> impl Strategy<Value = Interface> {
    let groups = proptest::sample::subsequence(vec!["dmz", "lan", "wan", "egress"], 0..3);
    let point_to_point = matches!(driver(name), "tun" | "gif" | "pppoe");
    let peer = if point_to_point {
        inet().prop_map(Some).boxed()
    } else {
        Just(None).boxed()
    };
    let addresses = proptest::collection::vec(address(), 0..4);
    (
        addresses,
        groups,
        peer,
        proptest::option::of(inet()),
        0..3u32,
        any::<bool>(),
    )
        .prop_map(move |(addresses, groups, peer, broadcast, rdomain, down)| {
            let mut unique: Vec<InterfaceAddress> = Vec::new();
            for address in addresses {
                let same = |known: &InterfaceAddress| {
                    known.known().map(|net| net.addr()) == address.known().map(|net| net.addr())
                };
                if !unique.iter().any(same) {
                    unique.push(address);
                }
            }
            let has_inet = unique.iter().any(|address| address.family() == Family::Inet);
            let peer = peer.filter(|_| has_inet).map(IpAddr::V4);
            let first = unique.iter().find_map(|address| match address.known() {
                Some(IpNet::V4(net)) => Some(net),
                Some(IpNet::V6(_)) | None => None,
            });
            let broadcast =
                broadcast.filter(|said| peer.is_none() && first.is_some_and(|net| net.broadcast() != *said));
            Interface {
                name: name.to_owned(),
                addresses: unique,
                groups: groups.into_iter().map(str::to_owned).collect(),
                peer,
                broadcast: broadcast.map(IpAddr::V4),
                rdomain,
                down,
                // Without one, files leave it to the kernel to find.
                carpdev: (driver(name) == "carp").then(|| "em0".to_owned()),
                bridge: None,
                backup: false,
            }
        })
}

fn route(interfaces: Vec<String>) -> impl Strategy<Value = Route> {
    let to = prop_oneof![
        (inet(), inet(), prop_oneof![Just(0u8), 8..=32u8])
            .prop_map(|(to, via, bits)| (IpNet::new(to.into(), bits), IpAddr::V4(via))),
        (inet6(), inet6(), prop_oneof![Just(0u8), 32..=128u8])
            .prop_map(|(to, via, bits)| (IpNet::new(to.into(), bits), IpAddr::V6(via))),
    ];
    let label = proptest::option::of(proptest::sample::select(vec!["LAB", "wan-2"]));
    (to, proptest::sample::select(interfaces), label, 0..2u32, any::<bool>()).prop_map(
        |((to, via), interface, label, rtable, reject)| Route {
            to: to.expect("a length in range").trunc(),
            interface,
            via: Some(via),
            label: label.map(str::to_owned),
            rtable,
            reject,
        },
    )
}

fn machine() -> impl Strategy<Value = Context> {
    let names = ["em0", "igc1", "carp0", "gif0", "pppoe0", "tun1", "vlan92", "wg0"];
    let interfaces = names.map(interface);
    (
        interfaces,
        proptest::sample::subsequence((0..8usize).collect::<Vec<_>>(), 1..6),
    )
        .prop_flat_map(|(all, chosen)| {
            let interfaces: Vec<Interface> = chosen.into_iter().map(|at| all[at].clone()).collect();
            let names = interfaces.iter().map(|interface| interface.name.clone()).collect();
            let hosts = proptest::collection::vec((0..4usize, inet(), inet6()), 0..4);
            (
                Just(interfaces),
                proptest::collection::vec(route(names), 0..5),
                hosts,
                any::<[bool; 2]>(),
            )
                .prop_map(|(mut interfaces, routes, hosts, [forwarding, forwarding_inet6])| {
                    interfaces.insert(
                        0,
                        Interface {
                            name: "lo0".to_owned(),
                            addresses: ["127.0.0.1/8", "::1/128", "fe80::1/64"]
                                .map(|net| InterfaceAddress::Known(net.parse().expect("a prefix")))
                                .to_vec(),
                            ..Interface::default()
                        },
                    );
                    let mut context = Context {
                        forwarding,
                        forwarding_inet6: Some(forwarding_inet6),
                        interfaces,
                        open: false,
                        routes_open: false,
                        ..Context::default()
                    };
                    for (name, inet, inet6) in hosts {
                        context
                            .hosts
                            .insert(format!("host{name}.example.org"), vec![inet.into(), inet6.into()]);
                    }
                    for route in routes {
                        // Of several routes to one destination no source says which is the first.
                        if !context
                            .routes
                            .iter()
                            .any(|old| old.to == route.to && old.rtable == route.rtable)
                        {
                            context.routes.push(route);
                        }
                    }
                    // What follows from the routes is not said twice.
                    for at in 0..context.interfaces.len() {
                        let mut bare = context.interfaces[at].clone();
                        bare.groups.clear();
                        if context.in_group(&bare, "egress") {
                            context.interfaces[at].groups.retain(|group| group != "egress");
                        }
                    }
                    context
                })
        })
}

/// What `check` says of a small ruleset and policy on that machine: the outcomes of the statements with the packets that
/// offend them, and the findings.
fn verdicts(context: Context) -> Vec<String> {
    let pf_conf = "block\npass in on { em0 carp0 wg } inet proto tcp from any to any port { ssh https }\n\
                   pass out on egress from (self) nat-to (egress)\npass in on lan from (lan:network)\n\
                   pass out proto udp from any to route LAB\n";
    let mut policy: String = context
        .interfaces
        .iter()
        .filter(|interface| interface.name != "lo0")
        .map(|interface| format!("zone z{0} on {0}\n", interface.name))
        .collect();
    policy.push_str(
        "require \"ssh\" inet proto tcp from any to self port ssh\nforbid inet proto udp from any to self\n\
         require inet proto tcp from self to any port https\nforbid inet6 proto tcp from any to any port 23\nclosed\n",
    );
    let mut sources = Sources::new();
    let loader = MemoryLoader::new();
    let limits = Limits::default();
    let (document, said) = syntax::read(&mut sources, &loader, "pf.conf", pf_conf.as_bytes(), &[], &limits);
    assert!(said.is_empty(), "{said:?}");
    let policies = vec![sources.add("policy", policy)];
    let machine = Machine {
        name: "pf.conf".to_owned(),
        document,
        defines: Vec::new(),
        context,
        policies,
        assumptions: Vec::new(),
    };
    let router = check(&mut sources, &loader, machine);
    let statements = router.statements.iter().map(|statement| {
        let packets: Vec<&str> = statement.causes.iter().map(|cause| cause.packet.as_str()).collect();
        format!("{} {}: {}", statement.text, statement.outcome, packets.join(", "))
    });
    let findings = router.findings.iter().map(|finding| finding.message.clone());
    statements.chain(findings).collect()
}

proptest! {
    #![proptest_config(cases::cases(400))]

    #[test]
    fn written_as_context_toml_it_is_the_same(context in machine()) {
        let text = write_toml(&context);
        prop_assert_eq!(described(&[(Kind::ContextToml, text)]), context);
    }

    #[test]
    fn what_is_not_known_is_written_too(context in machine(), unknown in proptest::collection::vec(any::<(usize, bool)>(), 1..4)) {
        let mut context = context;
        for (at, inet) in unknown {
            let number = at % context.interfaces.len();
            let family = if inet { Family::Inet } else { Family::Inet6 };
            context.interfaces[number].addresses.push(InterfaceAddress::Unknown(family));
            // Several default routes, in their order.
            context.routes.push(Route {
                to: IpNet::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0).expect("a prefix"),
                interface: context.interfaces[number].name.clone(),
                via: None,
                label: None,
                rtable: 0,
                reject: false,
            });
        }
        for at in 0..context.interfaces.len() {
            let mut bare = context.interfaces[at].clone();
            bare.groups.clear();
            if context.in_group(&bare, "egress") {
                context.interfaces[at].groups.retain(|group| group != "egress");
            }
        }
        let text = write_toml(&context);
        prop_assert_eq!(described(&[(Kind::ContextToml, text)]), context);
    }

    #[test]
    fn what_is_left_open_is_written_too(
        mut context in machine(),
        [open, link_locals_open, hosts_open] in any::<[bool; 3]>(),
        growing in proptest::sample::subsequence(vec!["lan", "tun", "wg"], 0..3),
        upstreams in any::<[bool; 6]>(),
    ) {
        (context.open, context.link_locals_open, context.hosts_open) = (open, link_locals_open, hosts_open);
        context.growing = growing.into_iter().map(str::to_owned).collect();
        let interfaces = context.interfaces.iter().zip(upstreams).filter(|(_, wanted)| *wanted);
        context.upstreams = interfaces.map(|(interface, _)| interface.name.clone()).collect();
        let text = write_toml(&context);
        prop_assert_eq!(described(&[(Kind::ContextToml, text)]), context);
    }

    #[test]
    fn written_as_files_of_etc_it_is_the_same(context in machine()) {
        let mut read = described(&as_etc(&context));
        // Only context.toml and ifconfig say that there are no other interfaces.
        read.open = false;
        read.routes_open = false;
        read.link_locals_open = false;
        prop_assert_eq!(read, context);
    }

    #[test]
    fn written_as_output_of_ifconfig_and_route_it_is_the_same(mut context in machine()) {
        // route(8) shows one table and one family after the other.
        context.routes.retain(|route| route.rtable == 0);
        context.routes.sort_by_key(|route| Family::of(route.to.addr()));
        prop_assert_eq!(described(&as_output(&context)), context);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in hostile()) {
        for kind in every_kind() {
            let mut sources = Sources::new();
            let file = sources.add("text", text.as_str());
            let (facts, said) = read(&kind, &sources, file);
            for diagnostic in said {
                if let Some(label) = diagnostic.primary {
                    prop_assert!(label.span.start <= label.span.end, "{kind:?}");
                    prop_assert!(label.span.end as usize <= text.len(), "{kind:?}");
                }
            }
            let (combined, _) = combine(vec![facts]);
            let written = write_toml(&combined.context);
            let mut again = described(&[(Kind::ContextToml, written)]);
            again.routes_open = combined.context.routes_open;
            prop_assert_eq!(&again, &combined.context, "{:?}", kind);
            let table = combined.context.route_table(0);
            for address in ["192.0.2.1", "2001:db8::1"] {
                let address: IpAddr = address.parse().expect("an address");
                prop_assert!(table.lookup(address).is_none_or(|route| route.to.contains(&address)));
            }
            for interface in &combined.context.interfaces {
                prop_assert!(combined.context.matches(interface, &interface.name));
            }
        }
    }
}

proptest! {
    // Each is judged four times.
    #![proptest_config(cases::cases(40))]

    #[test]
    fn however_it_is_written_the_same_holds(mut context in machine()) {
        context.routes.retain(|route| route.rtable == 0);
        context.routes.sort_by_key(|route| Family::of(route.to.addr()));
        let mut of_etc = described(&as_etc(&context));
        of_etc.open = false;
        of_etc.routes_open = false;
        of_etc.link_locals_open = false;
        let of_toml = described(&[(Kind::ContextToml, write_toml(&context))]);
        let of_output = described(&as_output(&context));
        let expected = verdicts(context.clone());
        prop_assert!(expected.len() >= 4 && !expected.iter().any(String::is_empty), "{:?}", expected);
        for (how, read) in [("toml", of_toml), ("etc", of_etc), ("output", of_output)] {
            prop_assert_eq!(&verdicts(read), &expected, "{}", how);
        }
    }
}

fn every_kind() -> Vec<Kind> {
    vec![
        Kind::ContextToml,
        Kind::HostnameIf("em0".to_owned()),
        Kind::HostnameIf("00:00:5e:00:53:af".to_owned()),
        Kind::Mygate,
        Kind::Hosts,
        Kind::Services,
        Kind::Sysctl,
        Kind::RcConf,
        Kind::Ifconfig,
        Kind::Routes,
    ]
}

/// Texts of the words that the readers look for, in any order, and of any letters.
fn hostile() -> impl Strategy<Value = String> {
    let words = vec![
        "inet",
        "inet6",
        "alias",
        "dest",
        "dhcp",
        "autoconf",
        "-inet",
        "group",
        "rdomain",
        "netmask",
        "prefixlen",
        "broadcast",
        "NONE",
        "eui64",
        "lladdr",
        "wgpeer",
        "tunnel",
        "media",
        "up",
        "down",
        "delete",
        "!route",
        "!ifconfig",
        "!",
        "$if",
        "add",
        "-ifp",
        "-label",
        "-T",
        "default",
        "-inet6",
        "em0",
        "em0:",
        "flags=1<UP>",
        "0.0.0.0",
        "10.0.0.1",
        "10.0.0.1/24",
        "::1",
        "fe80::1%em0",
        "255.255.255.0",
        "0xffffff00",
        "64",
        "129",
        "99999999999",
        "-->",
        "Internet:",
        "Internet6:",
        "Destination",
        "Gateway",
        "Flags",
        "Iface",
        "Netif",
        "UGS",
        "Label",
        "[interface.em0]",
        "[[route]]",
        "addresses",
        "=",
        "[",
        "]",
        "\"",
        "'",
        "\\",
        "#",
        "{",
        "}",
        "pf=NO",
        "net.inet.ip.forwarding=1",
        "80/tcp",
        "\u{e9}",
        "\n",
        "\n",
        "\n\t",
        "\r\n",
        "\0",
    ];
    prop_oneof![
        proptest::collection::vec(proptest::sample::select(words), 0..40).prop_map(|words| words.join(" ")),
        any::<String>(),
    ]
}
