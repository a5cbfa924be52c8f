//! The small world of the random policies: its machine, the zones around it, and where addresses lie.

use std::net::IpAddr;

/// The machine of the world.
pub(crate) const CONTEXT: &str = r#"
[interface.em0]
addresses = ["198.51.100.1/24", "2001:db8:a::1/64"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24", "2001:db8:1::1/64"]
[interface.em2]
addresses = ["10.0.2.1/24"]
[interface.lo1]
addresses = ["192.0.2.77/32"]
[[route]]
to = "default"
interface = "em0"
via = "198.51.100.254"
[[route]]
to = "::/0"
interface = "em0"
via = "2001:db8:a::fe"
[[route]]
to = "10.9.0.0/16"
interface = "em2"
via = "10.0.2.9"
"#;

/// The zones: name, interfaces, the only prefix that is meant.
pub(crate) const ZONES: [(&str, &[usize], Option<&str>); 5] = [
    ("internet", &[0], None),
    ("lan", &[1], None),
    ("iot", &[2], None),
    ("office", &[1, 2], None),
    ("printer", &[1], Some("10.0.1.66/32")),
];

/// The zones as a policy says them.
pub(crate) const ZONE_LINES: &str = "zone internet on egress\nzone lan on em1\nzone iot on em2\nzone office on { em1 em2 }\n\
                                     zone printer on em1 from 10.0.1.66\n";

pub(crate) const INTERFACES: [&str; 3] = ["em0", "em1", "em2"];
/// Where loopback interfaces are.
const NOWHERE: usize = usize::MAX;
pub(crate) const OWN: [(&str, usize); 8] = [
    ("198.51.100.1", 0),
    ("2001:db8:a::1", 0),
    ("10.0.1.1", 1),
    ("2001:db8:1::1", 1),
    ("10.0.2.1", 2),
    ("192.0.2.77", NOWHERE),
    ("127.0.0.1", NOWHERE),
    ("::1", NOWHERE),
];
const NETWORKS: [(&str, usize); 6] = [
    ("198.51.100.0/24", 0),
    ("2001:db8:a::/64", 0),
    ("10.0.1.0/24", 1),
    ("2001:db8:1::/64", 1),
    ("10.0.2.0/24", 2),
    ("192.0.2.77/32", NOWHERE),
];

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn in_net(net: &str, address: IpAddr) -> bool {
    net.parse::<ipnet::IpNet>().expect("a network").contains(&address)
}

pub(crate) fn interface(name: &str) -> usize {
    INTERFACES
        .iter()
        .position(|known| *known == name)
        .expect("an interface")
}

/// Whether the network is one address.
pub(crate) fn is_one(net: &str) -> bool {
    net.ends_with("/32") || net.ends_with("/128")
}

/// The interface in whose network the address is.
pub(crate) fn network(address: IpAddr) -> Option<usize> {
    let found = NETWORKS.iter().find(|(net, _)| in_net(net, address));
    found.map(|(_, on)| *on)
}

/// The interface behind which the address lies, by route.
pub(crate) fn behind(address: IpAddr) -> usize {
    match network(address) {
        Some(on) => on,
        None if in_net("10.9.0.0/16", address) => 2,
        None => 0,
    }
}

pub(crate) fn is_own(address: IpAddr) -> bool {
    OWN.iter().any(|(own, _)| ip(own) == address)
}

pub(crate) fn has_no_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_unspecified(),
        IpAddr::V6(address) => address.is_unspecified() || address.is_unicast_link_local(),
    }
}

/// What the machine takes in besides its own addresses.
pub(crate) fn is_shared(address: IpAddr) -> bool {
    let broadcasts = ["198.51.100.255", "10.0.1.255", "10.0.2.255", "255.255.255.255"];
    address.is_multicast()
        || broadcasts.iter().any(|known| ip(known) == address)
        || address.is_ipv4() && address.is_unspecified()
}

/// Whether a host can have the address.
pub(crate) fn is_host(address: IpAddr) -> bool {
    let networks = NETWORKS
        .iter()
        .any(|(net, _)| net.parse::<ipnet::IpNet>().unwrap().network() == address);
    !is_shared(address) && !is_own(address) && !networks && !has_no_address(address)
}

/// Whether it is globally reachable: enough of the registries for the addresses of the world.
pub(crate) fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_private() && !address.is_documentation(),
        IpAddr::V6(address) => !in_net("2001:db8::/32", address.into()) && !address.is_unicast_link_local(),
    }
}
