//! Interfaces by name or group, and their addresses.
//!
//! Shared by everything that asks the machine who it is: plain lists, as `getifaddrs(3)` and
//! `SIOCGIFGMEMB` give them. What a dynamic address (`(em0)`) means when a packet comes is decided
//! elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Context, Interface, InterfaceAddress};
use crate::net::Family;

/// The drivers whose interfaces are cloned, and so are in a group of the driver's name (ifconfig(8), `group`).
const CLONED: [&str; 37] = [
    "aggr", "bpe", "bridge", "carp", "egre", "enc", "eoip", "etherip", "gif", "gre", "lo", "mgre", "mpe", "mpip",
    "mpw", "nvgre", "pair", "pflog", "pflow", "pfsync", "ppp", "pppac", "pppoe", "pppx", "rport", "sec", "svlan",
    "tap", "tpmr", "trunk", "tun", "veb", "vether", "vlan", "vport", "vxlan", "wg",
];

/// Which addresses of an interface are meant: the modifiers `:network`, `:broadcast`, `:peer` of pf.conf(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Part {
    /// The addresses themselves.
    #[default]
    Address,
    /// The networks they are in.
    Network,
    /// Their broadcast addresses: IPv4 only.
    Broadcast,
    /// The other ends: point-to-point interfaces only.
    Peer,
}

/// One address of one interface, as `ifa_lookup` of pfctl_parser.c gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressOf<'a> {
    /// The interface that has it.
    pub interface: &'a Interface,
    /// The address (a prefix for [`Part::Network`], host bits kept; else a single address), where it is known.
    pub address: InterfaceAddress,
    /// Whether it is a link-local IPv6 address, which means something on its interface alone.
    pub link_local: bool,
}

/// The driver of an interface: its name without the unit.
#[must_use]
pub fn driver(interface: &str) -> &str {
    interface.trim_end_matches(|letter: char| letter.is_ascii_digit())
}

/// Whether interfaces of that driver are cloned, and so in a group of its name.
#[must_use]
pub fn is_cloned(driver: &str) -> bool {
    CLONED.binary_search(&driver).is_ok()
}

/// Whether an interface of that driver hands packets on from port to port and asks pf about them: bridge(4) does, veb(4)
/// with `link1`, tpmr(4) without.
pub(super) fn is_filtering_bridge(driver: &str, link1: bool) -> bool {
    match driver {
        "bridge" => true,
        "veb" => link1,
        "tpmr" => !link1,
        _ => false,
    }
}

/// Whether a word has the form of an interface's name (letters, then a unit number); a group's name ends in none.
#[must_use]
pub fn is_interface_name(word: &str) -> bool {
    let driver = driver(word);
    !driver.is_empty()
        && driver.len() < word.len()
        && word.len() < 16
        && driver.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a word has the form of a host name with a domain: letters, digits and `-` between dots, no address.
#[must_use]
pub fn is_host_name(word: &str) -> bool {
    let is_label = |label: &[u8]| {
        (1..64).contains(&label.len()) && label.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let word = word.as_bytes();
    let name = word.strip_suffix(b".").unwrap_or(word);
    let mut top = name.iter().rev().take_while(|&&byte| byte != b'.');
    top.any(u8::is_ascii_alphabetic)
        && word.len() < 254
        && name.contains(&b'.')
        && name.split(|&byte| byte == b'.').all(is_label)
}

/// Whether it is a link-local IPv6 address.
#[must_use]
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Whether an IPv6 address means nothing without its link, so that an interface may follow it after `%`: link-local ones, and
/// multicast ones of that scope or of an interface's.
#[must_use]
pub fn has_scope(address: Ipv6Addr) -> bool {
    let [first, ..] = address.segments();
    address.is_unicast_link_local() || matches!(first & 0xff0f, 0xff01 | 0xff02)
}

/// The prefix that holds this one address.
#[must_use]
pub(super) fn single(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

impl Interface {
    /// Whether it is a loopback interface.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        driver(&self.name) == "lo"
    }

    /// Whether a machine that does not forward takes in by it what is for an address of another interface: loopback
    /// interfaces and enc(4).
    #[must_use]
    pub fn takes_for_others(&self) -> bool {
        matches!(driver(&self.name), "lo" | "enc")
    }

    /// Whether it is point-to-point: it has a peer, or its driver makes only such interfaces.
    #[must_use]
    pub fn is_point_to_point(&self) -> bool {
        self.peer.is_some()
            || matches!(
                driver(&self.name),
                "gif" | "gre" | "mpe" | "mpip" | "ppp" | "pppoe" | "pppx" | "rport" | "sec" | "tun" | "umb" | "upl"
            )
    }

    /// Whether the hosts of its networks meet on its link: not the peers of a tunnel, which have only the machine in
    /// common.
    #[must_use]
    pub fn is_shared_link(&self) -> bool {
        !self.is_point_to_point() && !matches!(driver(&self.name), "mgre" | "wg")
    }

    /// Whether it is in the group by its own doing: `all`, its cloned driver's name, or a group it was given.
    ///
    /// [`Context::in_group`] knows `egress` too.
    #[must_use]
    fn in_own_group(&self, group: &str) -> bool {
        group == "all"
            || (driver(&self.name) == group && is_cloned(group))
            || self.groups.iter().any(|given| given == group)
    }

    /// Its addresses of a family, in the kernel's order, the primary one first.
    pub fn addresses_of(&self, family: Family) -> impl Iterator<Item = InterfaceAddress> + '_ {
        self.addresses
            .iter()
            .copied()
            .filter(move |address| address.family() == family)
    }

    /// Whether its addresses are the machine's own.
    #[must_use]
    pub fn owns_addresses(&self) -> bool {
        !self.down || self.backup
    }

    /// Whether it is up and one of its addresses of that family is not known.
    #[must_use]
    pub fn has_unknown(&self, family: Family) -> bool {
        !self.down && self.addresses.contains(&InterfaceAddress::Unknown(family))
    }

    /// The broadcast address that goes with one of its IPv4 addresses; none for a prefix of 31 bits, on
    /// loopback and point-to-point interfaces, and for IPv6.
    #[must_use]
    pub fn broadcast_of(&self, net: IpNet) -> Option<Ipv4Addr> {
        let IpNet::V4(net) = net else { return None };
        if self.is_loopback() || self.is_point_to_point() {
            return None;
        }
        let first = self.addresses_of(Family::Inet).find_map(InterfaceAddress::known);
        if let (true, Some(IpAddr::V4(said))) = (first == Some(IpNet::V4(net)), self.broadcast) {
            return Some(said);
        }
        (net.prefix_len() != 31).then(|| net.broadcast())
    }

    /// The broadcast address that goes with one of its IPv4 addresses, where that is not the address itself, as with a
    /// prefix of 32 bits: what is sent there is for all (`in_broadcast`).
    #[must_use]
    pub fn shared_of(&self, net: IpNet) -> Option<Ipv4Addr> {
        self.broadcast_of(net).filter(|broadcast| net.addr() != *broadcast)
    }

    /// Those addresses, networks, broadcast addresses or peers as `ifa_lookup` lists them, in the kernel's order.
    ///
    /// With `first_only` (the modifier `:0`) the first of each family: if the first IPv6 address is link-local, that
    /// one, but networks leave link-local out before they count.
    #[must_use]
    pub fn select(&self, part: Part, first_only: bool) -> Vec<AddressOf<'_>> {
        let mut seen = [false; 2];
        let mut selected = Vec::new();
        let mut first_inet = true;
        for &address in &self.addresses {
            let family = address.family();
            let with_peer = family == Family::Inet && std::mem::take(&mut first_inet);
            let link_local = address.known().is_some_and(|net| is_link_local(net.addr()));
            let chosen = match (part, address) {
                (Part::Address, InterfaceAddress::Known(net)) => InterfaceAddress::Known(single(net.addr())),
                (Part::Network, InterfaceAddress::Known(_)) if link_local => continue,
                (Part::Network, InterfaceAddress::Known(_)) => address,
                (Part::Broadcast, InterfaceAddress::Known(net)) => match self.broadcast_of(net) {
                    Some(broadcast) => InterfaceAddress::Known(single(broadcast.into())),
                    None => continue,
                },
                (Part::Broadcast, InterfaceAddress::Unknown(_))
                    if family == Family::Inet6 || self.is_loopback() || self.is_point_to_point() =>
                {
                    continue;
                }
                (Part::Peer, _) if !self.is_point_to_point() => continue,
                (Part::Peer, _) => match self.peer.filter(|_| with_peer) {
                    Some(peer) => InterfaceAddress::Known(single(peer)),
                    None => InterfaceAddress::Unknown(family),
                },
                (Part::Address | Part::Network | Part::Broadcast, InterfaceAddress::Unknown(_)) => address,
            };
            let seen = &mut seen[usize::from(family == Family::Inet6)];
            if first_only && std::mem::replace(seen, true) {
                continue;
            }
            selected.push(AddressOf {
                interface: self,
                address: chosen,
                link_local,
            });
        }
        selected
    }
}

impl Context {
    /// The networks of the other interfaces in an interface's routing domain: an address of it that is not known, and its
    /// network, are taken to lie outside them. Link-local ones are on every link.
    pub fn networks_beside<'c>(&'c self, interface: &'c Interface, family: Family) -> impl Iterator<Item = IpNet> + 'c {
        let others = self
            .interfaces
            .iter()
            .filter(move |other| other.name != interface.name && other.rdomain == interface.rdomain && !other.down);
        let known = others.flat_map(move |other| other.addresses_of(family).filter_map(InterfaceAddress::known));
        known.filter(|net| !is_link_local(net.addr())).map(|net| net.trunc())
    }

    /// Whether an address is nobody's alone: multicast, broadcast of a network of the machine in that routing domain, or none at
    /// all; no program sees tcp to it (`tcp_input`).
    #[must_use]
    pub fn is_shared(&self, address: IpAddr, rdomain: u32) -> bool {
        let IpAddr::V4(inet) = address else {
            return address.is_multicast();
        };
        let of_network = |interface: &Interface| {
            let mut nets = interface.addresses.iter().filter_map(|address| address.known());
            interface.rdomain == rdomain && !interface.down && nets.any(|net| interface.shared_of(net) == Some(inet))
        };
        inet.is_multicast() || inet.is_broadcast() || inet.is_unspecified() || self.interfaces.iter().any(of_network)
    }

    /// Whether the machine forwards packets of that family.
    #[must_use]
    pub fn forwards(&self, family: Family) -> bool {
        match family {
            Family::Inet => self.forwarding,
            Family::Inet6 => self.forwarding_inet6.unwrap_or(self.forwarding),
        }
    }

    /// The interface of that name.
    #[must_use]
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// Whether the interface is in the group: `all`, its cloned driver's name, a group it was given, or `egress`
    /// where a default route of the first routing table leaves by it (`if_group_egress_build` in if.c).
    #[must_use]
    pub fn in_group(&self, interface: &Interface, group: &str) -> bool {
        interface.in_own_group(group) || (group == "egress" && self.has_default_route(interface))
    }

    /// Whether a default route of the first routing table leaves by the interface.
    pub(super) fn has_default_route(&self, interface: &Interface) -> bool {
        !interface.backup
            && self
                .routes
                .iter()
                .any(|route| route.to.prefix_len() == 0 && route.rtable == 0 && route.interface == interface.name)
    }

    /// Whether `on name` matches the interface: its whole name, one of its groups, or `any` for all but loopback
    /// (`pfi_kif_match` in pf_if.c).
    #[must_use]
    pub fn matches(&self, interface: &Interface, name: &str) -> bool {
        match name {
            "any" => !interface.is_loopback(),
            _ => interface.name == name || self.in_group(interface, name),
        }
    }

    /// The interfaces that a name means as a host (`em0`, `egress`, `self` for all), in the kernel's order.
    ///
    /// A group wins over an interface of the same name, as in `ifa_lookup`.
    #[must_use]
    pub fn members(&self, name: &str) -> Vec<&Interface> {
        let group: Vec<_> = self
            .interfaces
            .iter()
            .filter(|interface| self.in_group(interface, name))
            .collect();
        match (group.is_empty(), name) {
            (false, _) => group,
            (true, "self") => self.interfaces.iter().collect(),
            (true, _) => self.interface(name).into_iter().collect(),
        }
    }

    /// Whether there is an interface or a group of that name, or it is `self` (`ifa_exists`).
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        name == "self" || !self.members(name).is_empty()
    }

    /// The addresses that a bare name, `name:network`, … becomes when the file is loaded (`host_if`, `ifa_lookup`).
    #[must_use]
    pub fn addresses(&self, name: &str, part: Part, first_only: bool) -> Vec<AddressOf<'_>> {
        self.members(name)
            .into_iter()
            .flat_map(|interface| interface.select(part, first_only))
            .collect()
    }

    /// The first interface in that routing domain that has the address, and owns it.
    #[must_use]
    pub fn owner(&self, address: IpAddr, rdomain: u32) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| {
            interface.rdomain == rdomain
                && interface.owns_addresses()
                && interface
                    .addresses
                    .iter()
                    .any(|own| own.known().is_some_and(|net| net.addr() == address))
        })
    }

    /// Whether the address is one of the machine's own in that routing domain.
    #[must_use]
    pub fn is_local(&self, address: IpAddr, rdomain: u32) -> bool {
        self.owner(address, rdomain).is_some()
    }

    /// The loopback interface of a routing domain, by which it sends to its own addresses: `lo0`, and `lo1` of domain 1
    /// (`rtable_loindex`).
    #[must_use]
    pub fn loopback_of(&self, rdomain: u32) -> Option<&Interface> {
        let own = self.interface(&format!("lo{rdomain}"));
        own.filter(|interface| interface.rdomain == rdomain && interface.is_loopback())
    }

    /// Whether some interface of that routing domain has an address of that family which is not known: then
    /// whether an address is local, and what is connected, is not known either.
    #[must_use]
    pub fn has_unknown(&self, family: Family, rdomain: u32) -> bool {
        self.interfaces
            .iter()
            .any(|interface| interface.rdomain == rdomain && interface.has_unknown(family))
    }
}
