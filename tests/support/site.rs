//! The sites of the random policies: a small machine each, the zones around it, and where addresses lie.

use std::cell::Cell;
use std::net::IpAddr;

use ipnet::IpNet;
use pfproof::context::{Context, context_from_toml};
use pfproof::net::Family;
use pfproof::source::Sources;

/// The machines. Their interfaces on wires are the same three, with the same first addresses.
pub(crate) const MACHINES: [&str; 9] = [
    // A router as most are; an address of its own on no wire.
    r#"
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
"#,
    // More than one network on a wire, small ones, a network that is rejected, no way out for IPv6.
    r#"
[interface.em0]
addresses = ["198.51.100.1/30"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/25", "10.9.0.1/24", "2001:db8:1::1/64"]
[interface.em2]
addresses = ["10.0.2.1/32", "2001:db8:2::1/127"]
[[route]]
to = "default"
interface = "em0"
via = "198.51.100.2"
[[route]]
to = "10.0.2.0/24"
interface = "em2"
[[route]]
to = "172.16.0.0/12"
interface = "em0"
reject = true
"#,
    // IPv6 is not forwarded, and only part of the world is routed.
    r#"
forwarding = true
forwarding-inet6 = false
[interface.em0]
addresses = ["198.51.100.1/24", "2001:db8:a::1/64"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24", "2001:db8:1::1/64"]
[interface.em2]
addresses = ["10.0.2.1/24", "10.0.2.5/24"]
[[route]]
to = "::/0"
interface = "em0"
via = "2001:db8:a::fe"
[[route]]
to = "9.0.0.0/8"
interface = "em0"
via = "198.51.100.254"
[[route]]
to = "10.9.0.0/16"
interface = "em1"
via = "10.0.1.66"
"#,
    // A host.
    r#"
forwarding = false
[interface.em0]
addresses = ["198.51.100.1/24", "2001:db8:a::1/64"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24"]
[interface.em2]
addresses = ["10.0.2.1/24", "2001:db8:1::1/64"]
[[route]]
to = "default"
interface = "em0"
via = "198.51.100.254"
"#,
    // An address besides, on an interface that is up and one behind which no network lies, whatever its prefix; a network
    // within another.
    r#"
[interface.em0]
addresses = ["198.51.100.1/24", "198.51.100.2/32", "198.51.100.9/32"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24", "2001:db8:1::1/64"]
[interface.em2]
addresses = ["10.0.2.1/24", "10.0.1.65/28"]
[interface.lo1]
addresses = ["172.16.3.3/12", "2620:fe::fe/128"]
[[route]]
to = "default"
interface = "em0"
via = "198.51.100.254"
[[route]]
to = "::/0"
interface = "em1"
via = "2001:db8:1::5"
"#,
    // Two routing domains, and a table besides: an address of one domain lies behind an interface of the other.
    r#"
[interface.em0]
addresses = ["198.51.100.1/24", "2001:db8:a::1/64"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24", "2001:db8:1::1/64"]
[interface.em2]
addresses = ["10.0.2.1/24"]
rdomain = 1
[interface.lo1]
addresses = ["127.0.0.1/8"]
rdomain = 1
[[route]]
to = "default"
interface = "em0"
via = "198.51.100.254"
[[route]]
to = "::/0"
interface = "em0"
via = "2001:db8:a::fe"
[[route]]
to = "10.0.1.0/25"
interface = "em2"
via = "10.0.2.9"
rtable = 1
[[route]]
to = "9.0.0.0/8"
interface = "em2"
via = "10.0.2.9"
rtable = 1
[[route]]
to = "default"
interface = "em1"
via = "10.0.1.66"
rtable = 5
"#,
    // Networks that two routing domains both have, each with hosts of its own.
    r#"
[interface.em0]
addresses = ["198.51.100.1/24", "10.0.2.66/24"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24", "2001:db8:1::1/64"]
[interface.em2]
addresses = ["10.0.2.1/24", "10.0.1.5/24"]
rdomain = 1
[[route]]
to = "default"
interface = "em0"
via = "198.51.100.254"
[[route]]
to = "default"
interface = "em2"
via = "10.0.2.9"
rtable = 1
"#,
    // The same own address in two, and the way out in the one that most are not in.
    r#"
[interface.em0]
addresses = ["198.51.100.1/24", "10.0.1.1/24"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24", "2001:db8:1::1/64"]
rdomain = 1
[interface.em2]
addresses = ["10.0.2.1/24", "2001:db8:2::1/64"]
rdomain = 1
[[route]]
to = "default"
interface = "em0"
via = "198.51.100.254"
[[route]]
to = "9.0.0.0/8"
interface = "em2"
via = "10.0.2.9"
rtable = 1
"#,
    // A tunnel to one other machine, and what lies behind that.
    r#"
[interface.em0]
addresses = ["198.51.100.1/24", "2001:db8:a::1/64"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24", "2001:db8:1::1/64"]
[interface.em2]
addresses = ["10.0.2.1/32"]
peer = "10.0.2.5"
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
"#,
];

/// The zones: name, interfaces, the only prefix that is meant.
pub(crate) const ZONES: [(&str, &[usize], Option<&str>); 6] = [
    ("internet", &[0], None),
    ("lan", &[1], None),
    ("iot", &[2], None),
    ("office", &[1, 2], None),
    ("printer", &[1], Some("10.0.1.66/32")),
    ("links", &[1, 2], Some("fe80::/10")),
];

/// The zones as a policy says them.
pub(crate) const ZONE_LINES: &str = "zone internet on em0\nzone lan on em1\nzone iot on em2\nzone office on { em1 em2 }\n\
                                     zone printer on em1 from 10.0.1.66\nzone links on { em1 em2 } from fe80::/10\n";

pub(crate) const INTERFACES: [&str; 3] = ["em0", "em1", "em2"];
/// Where loopback interfaces are, and what is routed nowhere.
const NOWHERE: usize = usize::MAX;

/// How many sites there are.
pub(crate) const SITES: usize = MACHINES.len();

/// A machine, and what its text says of addresses.
pub(crate) struct Site {
    pub(crate) context: Context,
    own: Vec<Fact<IpAddr>>,
    broadcasts: Vec<Fact<IpAddr>>,
    networks: Vec<Fact<IpNet>>,
    /// Those who are alone at the other end of a link.
    peers: Vec<Fact<IpNet>>,
    /// The networks, the peers, and what is routed besides.
    routes: Vec<Fact<IpNet>>,
    /// Whether a rule may send packets into another routing domain.
    turns: Cell<bool>,
}

/// An address or a network, the interface that has it, and the routing domain where it does.
type Fact<T> = (T, usize, u32);

impl Site {
    pub(crate) fn new(number: usize) -> Self {
        let mut sources = Sources::new();
        let file = sources.add("context.toml", MACHINES[number]);
        let (context, findings) = context_from_toml(&sources, file);
        assert!(findings.is_empty(), "{findings:?}");
        let on = |name: &str| INTERFACES.iter().position(|known| *known == name).unwrap_or(NOWHERE);
        let (mut own, mut broadcasts, mut networks, mut peers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for interface in &context.interfaces {
            let (by, domain) = (on(&interface.name), interface.rdomain);
            peers.extend(interface.peer.map(|peer| (IpNet::from(peer), by, domain)));
            for net in interface.addresses.iter().filter_map(|address| address.known()) {
                let net = if interface.is_loopback() {
                    IpNet::from(net.addr())
                } else {
                    net
                };
                own.push((net.addr(), by, domain));
                let broadcasting = net.addr().is_ipv4() && net.prefix_len() < 31;
                broadcasts.extend(broadcasting.then(|| (net.broadcast(), by, domain)));
                if !net.addr().is_loopback() && !matches!(net.addr(), IpAddr::V6(addr) if addr.is_unicast_link_local())
                {
                    networks.push((net.trunc(), by, domain));
                }
            }
        }
        let routed = context.routes.iter().map(|route| match route.reject {
            true => (route.to, NOWHERE, route.rtable),
            false => (route.to, on(&route.interface), route.rtable),
        });
        let routes = networks.iter().chain(&peers).copied().chain(routed).collect();
        Self {
            context,
            own,
            broadcasts,
            networks,
            peers,
            routes,
            turns: Cell::new(false),
        }
    }

    /// The site with those rules.
    pub(crate) fn has_rules(&self, text: &str) {
        self.turns.set(text.contains(" rtable "));
    }

    /// Whether what is met in a domain may be sent to where that interface is.
    pub(crate) fn may_go(&self, domain: u32, on: usize) -> bool {
        self.turns.get() || self.domain(on) == domain
    }

    /// The routing domain of an interface.
    pub(crate) fn domain(&self, on: usize) -> u32 {
        let known = INTERFACES.get(on).and_then(|name| self.context.interface(name));
        known.map_or(0, |interface| interface.rdomain)
    }

    /// The routing domain that a table belongs to: none but those of interfaces have one of their own.
    pub(crate) fn domain_of(&self, rtable: u32) -> u32 {
        let mut known = self.context.interfaces.iter();
        known.find(|one| one.rdomain == rtable).map_or(0, |one| one.rdomain)
    }

    /// The routing domains.
    pub(crate) fn domains(&self) -> Vec<u32> {
        let mut domains: Vec<u32> = (0..INTERFACES.len()).map(|on| self.domain(on)).collect();
        domains.sort_unstable();
        domains.dedup();
        domains
    }

    /// Whether both addresses are in one network of that interface, and the other lies there, so that they meet without the
    /// machine.
    pub(crate) fn are_neighbours(&self, on: Option<usize>, one: IpAddr, other: IpAddr) -> bool {
        let both = |(net, by, _): &Fact<IpNet>| Some(*by) == on && net.contains(&one) && net.contains(&other);
        let is_tunnel = self.peers.iter().any(|&(_, by, _)| Some(by) == on);
        let there = on.is_some_and(|on| self.comes_by(on, other));
        !is_tunnel && there && self.networks.iter().any(both)
    }

    /// The interface behind which the address lies, by route.
    pub(crate) fn behind(&self, domain: u32, address: IpAddr) -> usize {
        longest(&self.routes, domain, address).unwrap_or(NOWHERE)
    }

    /// Whether the address lies behind that interface, by the routes of its domain.
    pub(crate) fn is_behind(&self, on: usize, address: IpAddr) -> bool {
        self.behind(self.domain(on), address) == on
    }

    /// Whether what comes by that interface may come from there: the machine's own addresses lie in each of the networks
    /// that hold them.
    pub(crate) fn comes_by(&self, on: usize, source: IpAddr) -> bool {
        match self.is_own(self.domain(on), source) {
            true => self
                .networks
                .iter()
                .any(|(net, by, _)| *by == on && net.contains(&source)),
            false => self.is_behind(on, source),
        }
    }

    /// Whether the address is routed nowhere, and a default route leaves by that interface.
    pub(crate) fn is_beyond(&self, on: usize, address: IpAddr) -> bool {
        let domain = self.domain(on);
        let any = if address.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
        let mut defaults = self
            .routes
            .iter()
            .filter(|(to, _, there)| to.to_string() == any && *there == domain);
        let nowhere = self.behind(domain, address) == NOWHERE && !self.is_own(domain, address);
        nowhere && defaults.any(|&(_, by, _)| by == on)
    }

    pub(crate) fn is_own(&self, domain: u32, address: IpAddr) -> bool {
        self.own
            .iter()
            .any(|&(own, _, there)| (own, there) == (address, domain))
    }

    /// Whether it is the address of that interface.
    pub(crate) fn is_of(&self, interface: usize, address: IpAddr) -> bool {
        self.own.iter().any(|&(own, by, _)| (own, by) == (address, interface))
    }

    /// What the machine takes in besides its own addresses.
    pub(crate) fn is_shared(&self, domain: u32, address: IpAddr) -> bool {
        let mut broadcasts = self.broadcasts.iter();
        is_for_all(address) || broadcasts.any(|&(known, _, there)| (known, there) == (address, domain))
    }

    /// Whether what comes in by that interface to such an address is taken: a machine that does not forward takes no
    /// broadcasts of its other interfaces.
    pub(crate) fn takes_shared(&self, on: usize, address: IpAddr) -> bool {
        let forwards = self.context.forwards(Family::of(address));
        let mut broadcasts = self.broadcasts.iter();
        forwards || is_for_all(address) || broadcasts.any(|&(known, by, _)| (known, by) == (address, on))
    }

    /// Whether a host can have the address.
    pub(crate) fn is_host(&self, domain: u32, address: IpAddr) -> bool {
        let first = |&(net, _, there): &Fact<IpNet>| {
            there == domain && net.prefix_len() + 1 < net.max_prefix_len() && net.network() == address
        };
        !self.is_shared(domain, address)
            && !self.is_own(domain, address)
            && !self.networks.iter().any(first)
            && !has_no_address(address)
    }

    /// Whether a packet's source or destination behind that interface is one of the world: of the interface that a
    /// default route leaves by only what is globally reachable.
    pub(crate) fn is_near(&self, on: usize, address: IpAddr) -> bool {
        let domain = self.domain(on);
        let default = |&(net, by, there): &Fact<IpNet>| {
            (by, there) == (on, domain) && net.prefix_len() == 0 && net.contains(&address)
        };
        on != NOWHERE && (!self.routes.iter().any(default) || is_global(address))
    }
}

/// Whether it is broadcast or multicast whatever networks there are.
fn is_for_all(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_broadcast() || address.is_unspecified() || address.is_multicast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}

/// Where the longest of the networks that hold the address leads, in that routing domain.
fn longest(networks: &[Fact<IpNet>], domain: u32, address: IpAddr) -> Option<usize> {
    let here = networks.iter().filter(|(_, _, there)| *there == domain);
    let holding = here.filter(|(net, ..)| net.contains(&address));
    holding.max_by_key(|(net, ..)| net.prefix_len()).map(|(_, on, _)| *on)
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn in_net(net: &str, address: IpAddr) -> bool {
    net.parse::<IpNet>().expect("a network").contains(&address)
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

/// Whether all its addresses are of hosts without one yet.
pub(crate) fn is_addressless(net: &str) -> bool {
    ["0.0.0.0/32", "::/128", "fe80::/10", "fe80::5/128"].contains(&net)
}

pub(crate) fn has_no_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_unspecified(),
        IpAddr::V6(address) => address.is_unspecified() || address.is_unicast_link_local(),
    }
}

/// Whether it is globally reachable, by the registries.
fn is_global(address: IpAddr) -> bool {
    let registry = include_str!("../../src/policy/special-purpose.txt").lines();
    let entries = registry.filter(|line| !line.starts_with('#')).map(|line| {
        let mut words = line.split_whitespace();
        let net: IpNet = words.next().and_then(|net| net.parse().ok()).expect("a prefix");
        (net, words.next() == Some("yes"))
    });
    let longest = entries
        .filter(|(net, _)| net.contains(&address))
        .max_by_key(|(net, _)| net.prefix_len());
    longest.is_none_or(|(_, reachable)| reachable)
}
