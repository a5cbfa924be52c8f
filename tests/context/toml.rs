//! context.toml, and what pf asks of the machine that it describes.

use super::*;

#[test]
fn every_context_of_the_reference_data_is_read_without_a_word() {
    let Some(shared) = shared() else { return };
    let mut read = 0;
    for kind in ["vectors", "real", "optimizer"] {
        let Ok(folders) = std::fs::read_dir(shared.join(kind)) else {
            continue;
        };
        for folder in folders.flatten() {
            let path = folder.path().join("context.toml");
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            let (context, said) = from_toml(&text);
            assert_eq!(said, Vec::<String>::new(), "{}", path.display());
            assert_eq!(context.interfaces[0].name, "lo0", "{}", path.display());
            read += 1;
        }
    }
    assert!(read > 400, "only {read} were read");
}

#[test]
fn slips_in_context_toml_are_named_with_their_place() {
    let (context, said) = from_toml(
        "forwardng = true\n\
         [interface.em0]\n\
         adresses = [\"203.0.113.7/24\"]\n\
         [interface.em1]\n\
         addresses = [\"10.0.0.1\", \"10.0.0.300/24\", \"10.1.0.1/24\"]\n\
         groups = [\"lan1\"]\n\
         up = \"yes\"\n\
         rdomain = 300\n\
         [[route]]\n\
         to = \"defualt\"\n\
         interface = \"em0\"\n\
         [[route]]\n\
         to = \"10.9.0.0/16\"\n",
    );
    assert_eq!(
        said,
        [
            "1:1: unknown key `forwardng`; did you mean `forwarding`?",
            "3:1: unknown key `adresses`; did you mean `addresses`?",
            "5:14: `10.0.0.1` is no address with a prefix length; add the length of its network: `10.0.0.1/24`",
            "5:26: `10.0.0.300/24` is no address with a prefix length; an address with the length of its network \
             (`203.0.113.7/24`), or `dhcp` or `autoconf` for one that is not known",
            "6:11: `lan1` is no name of a group; a group's name has at most 15 characters and ends in no digit",
            "7:6: `true` or `false` is expected here",
            "8:11: a number from 0 to 255 is expected here",
            "10:6: `defualt` is no prefix; write `default` (IPv4), `::/0`, or a prefix such as `10.0.0.0/8`",
            "9:1: a route without `to`",
            "12:1: the route to `10.9.0.0/16` names no interface; say `interface = \"…\"`, or `via` with an address \
             of a network of an interface",
        ]
    );
    let em1 = context.interface("em1").expect("em1 is kept");
    assert_eq!(em1.addresses.len(), 1, "what is right is kept");
}

const ROUTER: &str = r#"
[interface.em0]
addresses = ["203.0.113.7/24", "203.0.113.8/32", "fe80::7/64", "2001:db8::7/64"]
[interface.vlan92]
addresses = ["10.62.1.1/24"]
groups = ["iot"]
[interface.gif0]
addresses = ["10.255.0.1/24"]
peer = "10.255.0.2"
[interface.em2]
addresses = ["10.9.0.1/24"]
up = false
[interface.em3]
addresses = ["dhcp", "10.62.1.9/24"]
rdomain = 1
[[route]]
to = "default"
via = "203.0.113.1"
[[route]]
to = "10.62.1.128/25"
interface = "gif0"
label = "LAB"
[[route]]
to = "10.0.0.0/8"
interface = "lo0"
reject = true
[[route]]
to = "::/0"
interface = "em2"
rtable = 2
"#;

#[test]
fn interfaces_are_found_by_name_and_group() {
    let (context, said) = from_toml(ROUTER);
    assert_eq!(said, Vec::<String>::new());
    let names = |name: &str| -> Vec<String> {
        context
            .members(name)
            .into_iter()
            .map(|interface| interface.name.clone())
            .collect()
    };
    assert_eq!(names("all"), ["lo0", "em0", "vlan92", "gif0", "em2", "em3"]);
    assert_eq!(names("self"), names("all"));
    assert_eq!(
        names("egress"),
        ["em0"],
        "by its default route; one in another table does not count"
    );
    assert_eq!(names("vlan"), ["vlan92"], "a cloned driver's name is a group");
    assert_eq!(names("lo"), ["lo0"]);
    assert_eq!(names("iot"), ["vlan92"]);
    assert_eq!(names("em"), Vec::<String>::new(), "another driver's name is none");
    assert_eq!(names("em2"), ["em2"]);
    assert!(!context.knows("em7"));
    let matches = |interface: &str, on: &str| context.matches(context.interface(interface).expect("there"), on);
    assert!(
        matches("em0", "any") && !matches("lo0", "any"),
        "`on any` leaves loopback out"
    );
    assert!(matches("em0", "egress") && matches("lo0", "lo") && !matches("em0", "em"));
}

#[test]
fn addresses_are_listed_as_pfctl_lists_them() {
    let (context, _) = from_toml(ROUTER);
    let list = |name: &str, part, first| -> Vec<String> {
        context
            .addresses(name, part, first)
            .into_iter()
            .map(|found| match found.address {
                InterfaceAddress::Known(net) => net.to_string(),
                InterfaceAddress::Unknown(family) => format!("{family} unknown"),
            })
            .collect()
    };
    let all = ["203.0.113.7/32", "203.0.113.8/32", "fe80::7/128", "2001:db8::7/128"];
    assert_eq!(list("em0", Part::Address, false), all);
    assert_eq!(list("em0", Part::Address, true), ["203.0.113.7/32", "fe80::7/128"]);
    let networks = ["203.0.113.7/24", "203.0.113.8/32", "2001:db8::7/64"];
    assert_eq!(list("em0", Part::Network, false), networks);
    assert_eq!(list("em0", Part::Network, true), ["203.0.113.7/24", "2001:db8::7/64"]);
    let broadcast = ["203.0.113.255/32", "203.0.113.8/32"];
    assert_eq!(list("em0", Part::Broadcast, false), broadcast, "a /32 is its own");
    assert_eq!(list("gif0", Part::Peer, false), ["10.255.0.2/32"]);
    assert_eq!(list("gif0", Part::Broadcast, false), Vec::<String>::new());
    assert_eq!(list("em0", Part::Peer, false), Vec::<String>::new());
    assert_eq!(list("em3", Part::Address, false), ["inet unknown", "10.62.1.9/32"]);
    let implied = ["127.0.0.1/32", "::1/128", "fe80::1/128"];
    assert_eq!(list("lo0", Part::Address, false), implied);
    assert!(context.has_unknown(Family::Inet, 1) && !context.has_unknown(Family::Inet, 0));
}

#[test]
fn one_address_takes_the_longest_prefix() {
    let (context, _) = from_toml(ROUTER);
    let table = context.route_table(0);
    let way = |to: &str| {
        table.lookup(address(to)).map(|route| {
            let label = route.label.map_or_else(String::new, |label| format!(" {label}"));
            let reject = if route.reject { " reject" } else { "" };
            format!("{} {}{label}{reject}", route.to, route.interface)
        })
    };
    let is = |to: &str, expected: &str| assert_eq!(way(to).as_deref(), Some(expected), "{to}");
    is("8.8.8.8", "0.0.0.0/0 em0");
    is("10.62.1.50", "10.62.1.0/24 vlan92");
    is("10.62.1.200", "10.62.1.128/25 gif0 LAB");
    is("10.255.0.2", "10.255.0.2/32 gif0");
    is("10.255.0.3", "10.0.0.0/8 lo0 reject");
    is("10.9.0.1", "10.0.0.0/8 lo0 reject");
    is("10.9.0.2", "10.0.0.0/8 lo0 reject");
    assert_eq!(way("2001:db9::1"), None, "no default route of IPv6 in this table");
    assert!(context.route_table(2).lookup(address("2001:db9::1")).is_some());
    assert!(context.is_local(address("10.62.1.1"), 0) && !context.is_local(address("10.62.1.9"), 0));
    assert!(context.is_local(address("10.62.1.9"), 1));
    assert!(!context.is_local(address("10.9.0.1"), 0), "the interface is down");
}

#[test]
fn the_page_about_it_shows_one_that_is_read() {
    let page = include_str!("../../docs/context.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let example = example.expect("an example");
    let (context, said) = from_toml(example);
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(
        (context.growing.as_slice(), context.open),
        (&["tun".to_owned()][..], false)
    );
    // What is commented out is a key, too.
    let all: String = example.lines().map(uncommented).collect();
    let (context, said) = from_toml(&all);
    assert_eq!(said, Vec::<String>::new());
    assert!(context.open && context.link_locals_open && context.hosts_open && context.forwarding_inet6.is_some());
    assert_eq!(context.upstreams, ["em0", "em1"]);
}

/// The line without a `#` before a key; what says several keys, or `…`, stays a comment.
fn uncommented(line: &str) -> String {
    let commented = line.strip_prefix("# ").filter(|text| !text.contains('…'));
    format!("{}\n", commented.unwrap_or(line))
}

#[test]
fn routes_leave_by_interfaces_that_there_are() {
    let text = "[interface.em0]\naddresses = [\"10.0.0.1/24\"]\nbroadcast = \"2001:db8::1\"\n[[route]]\nto = \"default\"\n\
                interface = \"em9\"\n";
    let (context, said) = from_toml(text);
    assert_eq!(
        said,
        [
            "3:13: `2001:db8::1` is no broadcast address: IPv6 has none",
            "4:1: there is no interface `em9`; did you mean `em0`?",
        ]
    );
    assert!(context.routes.is_empty());
    // Where not all are listed, it is one of the others.
    let (context, said) = from_toml(&format!(
        "{}[unknown]\ninterfaces = true\n",
        text.replace("2001:db8::1", "10.0.0.255")
    ));
    assert!(said.is_empty() && context.routes.len() == 1, "{said:?}");
}

#[test]
fn what_is_not_known_has_keys_and_names_of_its_own() {
    let (context, said) = from_toml(
        "[interface.em0]\naddresses = []\n\
         [unknown]\ninterface = true\ngroups = [\"tun\", \"tun0\"]\nupstreams = [\"em0\", \"em7\"]\nhosts = \"all\"\n",
    );
    assert_eq!(
        said,
        [
            "4:1: unknown key `interface`; did you mean `interfaces`?",
            "5:18: `tun0` is no name of a group; a group's name has at most 15 characters and ends in no digit",
            "7:9: `true` or `false` is expected here",
            "6:21: there is no interface `em7`; did you mean `em0`?",
        ]
    );
    assert_eq!(
        (context.growing, context.upstreams),
        (vec!["tun".to_owned()], vec!["em0".to_owned()])
    );
}

#[test]
fn a_port_of_a_bridge_is_written_as_it_is_read() {
    let (context, complaints) = from_toml("[interface.em2]\naddresses = []\nbridge = \"bridge0\"\n");
    assert!(complaints.is_empty(), "{complaints:?}");
    let (again, _) = from_toml(&pfproof::context::write_toml(&context));
    assert_eq!(
        again.interface("em2").and_then(|em2| em2.bridge.as_deref()),
        Some("bridge0")
    );
}
