//! [`Network`]: the addresses around the machine, as zones and statements need them.
//!
//! Which addresses lie behind which interface, which the machine itself takes in, which no host has, and which the
//! network stack never takes (`ip_input.c`, `ip6_input.c`, `ip6_forward.c`, `tcp_input.c`).

use std::net::IpAddr;

use ipnet::IpNet;

use super::special::globally_reachable;
use crate::context::{InterfaceAddress, RouteKind};
use crate::engine::{Engine, Field, InterfaceId, PacketBox, PacketSet, Place, address_number, transport};
use crate::net::{Family, Protocol, RangeSet};

/// The addresses around one machine.
#[derive(Debug)]
pub struct Network<'a> {
    engine: &'a Engine<'a>,
    families: [Addresses; 2],
}

/// The addresses of one family.
#[derive(Debug, Default)]
struct Addresses {
    /// The machine's own, without those of loopback interfaces.
    own: RangeSet,
    /// What the machine takes in besides.
    shared: RangeSet,
    /// Network addresses: they belong to no host.
    nets: RangeSet,
    /// By interface.
    interfaces: Vec<Behind>,
}

/// What lies behind one interface.
#[derive(Debug, Default)]
struct Behind {
    /// Its own addresses.
    own: RangeSet,
    /// What is routed out of it, the machine's own addresses in those networks included.
    routed: RangeSet,
    /// Its networks.
    networks: Vec<RangeSet>,
    /// Whether a default route leaves by it.
    default: bool,
}

impl<'a> Network<'a> {
    /// The network of the engine's machine.
    #[must_use]
    pub fn new(engine: &'a Engine<'a>) -> Self {
        Self {
            engine,
            families: Family::BOTH.map(|family| Addresses::new(engine, family)),
        }
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &'a Engine<'a> {
        self.engine
    }

    /// The interfaces that packets arrive on and leave by: all that are up but loopback ones, and those of carp(4),
    /// whose packets are met on their devices.
    pub fn interfaces(&self) -> impl Iterator<Item = InterfaceId> + '_ {
        let context = self.engine.context();
        let interfaces = context.interfaces.iter().enumerate();
        interfaces
            .filter(|(_, interface)| !interface.is_loopback() && !interface.down)
            .filter(|(_, interface)| context.seen_on(&interface.name) == interface.name)
            .map(|(id, _)| id)
    }

    fn of(&self, family: Family) -> &Addresses {
        match family {
            Family::Inet => &self.families[0],
            Family::Inet6 => &self.families[1],
        }
    }

    /// The machine's own addresses, as far as they are known.
    #[must_use]
    pub fn own(&self, family: Family) -> &RangeSet {
        &self.of(family).own
    }

    /// What the address of an interface may be that is not known: any that a host may have, outside the networks that
    /// are known of others; nothing where all its addresses are known.
    #[must_use]
    pub fn unknown_own(&self, interface: InterfaceId, family: Family) -> RangeSet {
        let context = self.engine.context();
        let Some(known) = context
            .interfaces
            .get(interface)
            .filter(|known| known.has_unknown(family))
        else {
            return RangeSet::empty();
        };
        let others = context.interfaces.iter().filter(|other| other.name != known.name);
        let taken = others.flat_map(|other| other.addresses_of(family));
        let taken = taken.filter_map(InterfaceAddress::known).map(prefix);
        let any = Field::Source.line(family).minus(&self.not_hosts(family));
        taken.fold(any.minus(self.own(family)), |any, net| any.minus(&net))
    }

    /// The machine's own addresses, and all that an unknown one of them may be.
    #[must_use]
    pub fn perhaps_own(&self, family: Family) -> RangeSet {
        let unknown = self.interfaces().map(|id| self.unknown_own(id, family));
        unknown.fold(self.own(family).clone(), |all, unknown| all.union(&unknown))
    }

    /// The destinations that the machine itself takes in: its own addresses, broadcast, multicast, unspecified.
    #[must_use]
    pub fn taken(&self, family: Family) -> RangeSet {
        self.own(family).union(&self.of(family).shared)
    }

    /// The broadcast and multicast destinations.
    #[must_use]
    pub fn shared(&self, family: Family) -> &RangeSet {
        &self.of(family).shared
    }

    /// The own addresses of an interface.
    #[must_use]
    pub fn own_of(&self, interface: InterfaceId, family: Family) -> RangeSet {
        self.behind(interface, family)
            .map_or_else(RangeSet::empty, |behind| behind.own.clone())
    }

    /// The sources of what hosts behind an interface send: what is routed there, and those of hosts without an address
    /// yet.
    #[must_use]
    pub fn sources(&self, interface: InterfaceId, family: Family) -> RangeSet {
        self.routed(interface, family).union(&addressless(family))
    }

    /// The addresses that are routed out of an interface: its prefixes whole, IPv6 link-local ones only of its own link.
    #[must_use]
    pub fn routed(&self, interface: InterfaceId, family: Family) -> RangeSet {
        self.behind(interface, family)
            .map_or_else(RangeSet::empty, |behind| behind.routed.clone())
    }

    /// Whether a default route leaves by an interface.
    #[must_use]
    pub fn is_default(&self, interface: InterfaceId, family: Family) -> bool {
        self.behind(interface, family).is_some_and(|behind| behind.default)
    }

    /// The hosts behind an interface, one by one: no network, broadcast or multicast address, not the machine's own,
    /// and behind a default route only what is globally reachable, unless `special` ones are meant too.
    #[must_use]
    pub fn hosts(&self, interface: InterfaceId, family: Family, special: bool) -> RangeSet {
        let Some(behind) = self.behind(interface, family) else {
            return RangeSet::empty();
        };
        let hosts = behind.routed.minus(&self.not_hosts(family)).minus(self.own(family));
        if behind.default && !special {
            hosts.intersection(globally_reachable(family))
        } else {
            hosts
        }
    }

    /// The addresses that no host has: network, broadcast, multicast, unspecified, loopback, link-local IPv6.
    #[must_use]
    pub fn not_hosts(&self, family: Family) -> RangeSet {
        let facts = self.of(family);
        facts.shared.union(&facts.nets).union(&unforwardable(family))
    }

    /// The networks of an interface.
    #[must_use]
    pub fn networks(&self, interface: InterfaceId, family: Family) -> &[RangeSet] {
        self.behind(interface, family).map_or(&[], |behind| &behind.networks)
    }

    fn behind(&self, interface: InterfaceId, family: Family) -> Option<&Behind> {
        self.of(family).interfaces.get(interface)
    }

    /// The packets that the network stack never takes from a wire, or that no program ever sees: loopback addresses,
    /// addresses that IPv6 refuses, tcp to broadcast and multicast addresses.
    #[must_use]
    pub fn never_taken(&self) -> PacketSet {
        let mut boxes = Vec::new();
        for family in Family::BOTH {
            let all = || PacketBox::all(family);
            let (sources, destinations) = refused(family);
            boxes.extend(all().with(Field::Source, &sources));
            boxes.extend(all().with(Field::Destination, &destinations));
            let tcp = all().with(Field::Transport, &transport::protocol(Protocol::TCP, family));
            boxes.extend(tcp.and_then(|tcp| tcp.with(Field::Destination, self.shared(family))));
        }
        boxes.into_iter().collect()
    }
}

impl Network<'_> {
    /// Headers that no packet has at its end, although some address of the machine says so: a link-local address is one
    /// of the link that the packet came by, not of another interface.
    #[must_use]
    pub fn never_ending(&self) -> PacketSet {
        let family = Family::Inet6;
        let space = self.engine.space();
        let boxes = self.interfaces().filter_map(|id| {
            let place = RangeSet::single(space.number(Place::In(id)));
            let others = linked(family).minus(&self.own_of(id, family));
            PacketBox::all(family)
                .with(Field::Place, &place)?
                .with(Field::Destination, &others)
        });
        boxes.collect()
    }
}

impl Addresses {
    fn new(engine: &Engine<'_>, family: Family) -> Self {
        let context = engine.context();
        let mut facts = Self::default();
        let mut shared = vec![];
        match family {
            Family::Inet => {
                shared.extend([
                    number("0.0.0.0/32"),
                    number("255.255.255.255/32"),
                    number("224.0.0.0/4"),
                ]);
            }
            Family::Inet6 => shared.push(number("ff00::/8")),
        }
        for interface in &context.interfaces {
            let nets: Vec<IpNet> = interface
                .addresses_of(family)
                .filter_map(InterfaceAddress::known)
                .collect();
            let point_to_point = interface.is_point_to_point();
            let mut behind = Behind::default();
            for net in &nets {
                behind.own = behind.own.union(&single(net.addr()));
                behind.networks.push(prefix(*net));
                if let Some(broadcast) = interface.broadcast_of(*net) {
                    shared.push(single(IpAddr::V4(broadcast)));
                }
                if net.prefix_len() + 1 < family.bits() && !point_to_point && !interface.is_loopback() {
                    facts.nets = facts.nets.union(&single(net.network()));
                }
            }
            if !interface.is_loopback() {
                facts.own = facts.own.union(&behind.own);
            }
            facts.interfaces.push(behind);
        }
        facts.shared = shared.iter().fold(RangeSet::empty(), |all, set| all.union(set));
        for (id, interface) in context.interfaces.iter().enumerate() {
            let table = context.route_table(interface.rdomain);
            let here = |address: IpAddr| {
                let mut routes = table.routes().iter().filter(|route| route.kind != RouteKind::Local);
                routes
                    .find(|route| route.to.contains(&address))
                    .is_some_and(|route| route.interface == interface.name)
            };
            let own = context
                .interfaces
                .iter()
                .flat_map(|interface| interface.addresses_of(family))
                .filter_map(InterfaceAddress::known)
                .map(|net| net.addr())
                // Its networks are whole, whoever has an address in them.
                .filter(|&address| here(address) || interface.addresses_of(family).any(|own| in_net(own, address)))
                .map(single);
            let routed = own.fold(engine.routed_to(id, family), |all, own| all.union(&own));
            // A link-local address is one of its link, whatever route it may seem to take.
            let linked = linked(family);
            let links = facts.interfaces.get(id).map_or(&[][..], |behind| &behind.networks);
            let routed = links
                .iter()
                .fold(routed.minus(&linked), |all, net| all.union(&net.intersection(&linked)));
            let default = table.routes().iter().any(|route| {
                route.to.prefix_len() == 0 && Family::of(route.to.addr()) == family && route.interface == interface.name
            });
            if let Some(behind) = facts.interfaces.get_mut(id) {
                behind.routed = routed;
                behind.default = default;
            }
        }
        facts
    }
}

/// Whether an address is in the network of an interface's address.
fn in_net(own: InterfaceAddress, address: IpAddr) -> bool {
    own.known().is_some_and(|net| net.contains(&address))
}

/// The sources and destinations of packets that are refused as soon as they come from a wire.
fn refused(family: Family) -> (RangeSet, RangeSet) {
    match family {
        Family::Inet => (number("127.0.0.0/8"), number("127.0.0.0/8")),
        Family::Inet6 => {
            // Loopback, IPv4-mapped and IPv4-compatible addresses, the latter without `::` itself.
            let both = number("::ffff:0:0/96").union(&RangeSet::range(1, u128::from(u32::MAX)));
            (both.union(&number("ff00::/8")), both.union(&number("::/128")))
        }
    }
}

/// Sources or destinations that are never forwarded.
fn unforwardable(family: Family) -> RangeSet {
    match family {
        Family::Inet => number("0.0.0.0/8").union(&number("127.0.0.0/8")),
        Family::Inet6 => number("::/127").union(&linked(family)),
    }
}

/// The sources of hosts without an address yet: they belong to every zone of the interface they arrive on.
pub(crate) fn addressless(family: Family) -> RangeSet {
    match family {
        Family::Inet => number("0.0.0.0/32"),
        Family::Inet6 => number("::/128").union(&linked(family)),
    }
}

/// The link-local addresses: those of IPv6, for those of IPv4 are routed as others are.
pub(super) fn linked(family: Family) -> RangeSet {
    match family {
        Family::Inet => RangeSet::empty(),
        Family::Inet6 => number("fe80::/10"),
    }
}

/// The numbers of the addresses of a network that is written here.
fn number(text: &str) -> RangeSet {
    text.parse().map_or_else(|_| RangeSet::empty(), prefix)
}

/// The number of one address, as a set.
pub(super) fn single(address: IpAddr) -> RangeSet {
    RangeSet::single(address_number(address))
}

/// The numbers of the addresses of a network.
pub(super) fn prefix(net: IpNet) -> RangeSet {
    RangeSet::range(address_number(net.network()), address_number(net.broadcast()))
}
