//! [`Addresses`]: of one family, by routing domain and by interface: whose they are, and where they lie.
//!
//! What that means for packets is the matter of [`Network`](super::Network).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;

use super::special::globally_reachable;
use super::zones::whole;
use crate::context::{Context, Interface, InterfaceAddress, RouteKind, RouteTable, TableRoute};
use crate::engine::{Engine, address_number};
use crate::net::{Family, RangeSet};

/// The addresses of one family.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Those of any routing domain.
    pub(super) anywhere: Domain,
    /// By routing domain.
    pub(super) domains: BTreeMap<u32, Domain>,
    /// By interface.
    pub(super) interfaces: Vec<Behind>,
}

/// The addresses of one routing domain: in another one the same numbers are other hosts.
#[derive(Debug, Default)]
pub(super) struct Domain {
    /// The machine's own, as they are met on a wire.
    pub(super) own: RangeSet,
    /// Its loopback addresses: on no wire, but what is redirected there ends here.
    loopback: RangeSet,
    /// What the machine takes in besides.
    pub(super) shared: RangeSet,
    /// Network addresses: they belong to no host.
    nets: RangeSet,
    /// All that it takes in.
    pub(super) taken: RangeSet,
    /// The addresses that no host has.
    pub(super) not_hosts: RangeSet,
}

impl Domain {
    pub(super) fn of(family: Family) -> Self {
        let shared = match family {
            // 0.0.0.0, 255.255.255.255, 224.0.0.0/4
            Family::Inet => RangeSet::from_ranges([
                (0, 0),
                (0xe000_0000, 0xefff_ffff),
                (u128::from(u32::MAX), u128::from(u32::MAX)),
            ]),
            // ff00::/8
            Family::Inet6 => RangeSet::range(0xff << 120, u128::MAX),
        };
        Self {
            shared,
            ..Self::default()
        }
    }

    fn add(&mut self, interface: &Interface, family: Family) {
        if !interface.owns_addresses() {
            return;
        }
        let point_to_point = interface.is_point_to_point();
        for net in interface.addresses_of(family).filter_map(InterfaceAddress::known) {
            let of_a_link = matches!(net.addr(), IpAddr::V6(address) if address.is_unicast_link_local());
            if net.addr().is_loopback() {
                self.loopback = self.loopback.union(&single(net.addr()));
            } else if !(interface.is_loopback() && of_a_link) {
                self.own = self.own.union(&single(net.addr()));
            }
            if interface.down {
                continue;
            }
            if let Some(broadcast) = interface.shared_of(net) {
                self.shared = self.shared.union(&single(IpAddr::V4(broadcast)));
            }
            if net.prefix_len() + 1 < family.bits() && !point_to_point && !interface.is_loopback() {
                self.nets = self.nets.union(&single(net.network()));
            }
        }
    }

    /// Settles what follows from the interfaces, when all of them are known.
    fn settle(&mut self, family: Family) {
        self.taken = self.own.union(&self.loopback).union(&self.shared);
        self.not_hosts = self.shared.union(&self.nets).union(&unforwardable(family));
    }
}

/// What lies behind one interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Behind {
    /// Its own addresses.
    pub(super) own: RangeSet,
    /// What is routed out of it, the machine's own addresses in those networks included.
    pub(super) routed: RangeSet,
    /// What is routed there only if its network, which is not known, holds it.
    pub(super) perhaps_routed: RangeSet,
    /// What goes out of it by a route that was given.
    pub(super) perhaps_elsewhere: RangeSet,
    /// Its networks.
    pub(super) networks: Vec<RangeSet>,
    /// The hosts among them, one by one.
    pub(super) hosts: RangeSet,
    /// Those of them that are meant where nobody names special ones.
    pub(super) usual_hosts: RangeSet,
    /// Whether a default route leaves by it.
    pub(super) default: bool,
    /// What no route leads anywhere (`reject`), if a default route leaves by it: who sends from there is beyond it.
    pub(super) unrouted: RangeSet,
}

/// The routing tables of the routing domains.
pub(super) type Tables<'c> = BTreeMap<u32, RouteTable<'c>>;

impl Addresses {
    pub(super) fn new(engine: &Engine<'_>, tables: &Tables<'_>, family: Family) -> Self {
        let context = engine.context();
        let mut facts = Self {
            anywhere: Domain::of(family),
            ..Self::default()
        };
        for interface in &context.interfaces {
            facts.anywhere.add(interface, family);
            let domain = facts.domains.entry(interface.rdomain);
            domain.or_insert_with(|| Domain::of(family)).add(interface, family);
            let nets = interface.addresses_of(family).filter_map(InterfaceAddress::known);
            let mut behind = Behind::default();
            for net in nets {
                behind.own = behind.own.union(&single(net.addr()));
                behind.networks.push(prefix(net));
            }
            facts.interfaces.push(behind);
        }
        facts.settle_carps(engine, family);
        facts.anywhere.settle(family);
        facts.domains.values_mut().for_each(|domain| domain.settle(family));
        for (id, interface) in context.interfaces.iter().enumerate() {
            let table = tables.get(&interface.rdomain);
            let routes = || table.into_iter().flat_map(RouteTable::routes);
            let here = |address: IpAddr| {
                routes()
                    .filter(|route| route.kind != RouteKind::Local)
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
            let (by_route, surely) = (engine.routed_to(id, family), engine.surely_routed_to(id, family));
            let perhaps_routed = by_route.minus(&surely.union(addressless(family)));
            let routed = own.fold(by_route, |all, own| all.union(&own));
            // A link-local address is one of its link, whatever route it may seem to take; with IPv6 each has them.
            let has_links = interface.addresses_of(family).next().is_some() && !interface.is_loopback();
            let routed = match has_links {
                true => routed.union(&linked(family)),
                false => routed.minus(&linked(family)),
            };
            let is_default =
                |route: &&TableRoute<'_>| route.to.prefix_len() == 0 && Family::of(route.to.addr()) == family;
            let mut defaults = routes().filter(is_default);
            let is_here = |route: &TableRoute<'_>| route.interface == interface.name;
            let default = match context.multipath {
                true => defaults.any(is_here),
                false => defaults.next().is_some_and(is_here),
            };
            let domain = facts.domains.get(&interface.rdomain).unwrap_or(&facts.anywhere);
            let hosts = routed.minus(&domain.not_hosts).minus(&domain.own);
            if let Some(behind) = facts.interfaces.get_mut(id) {
                behind.usual_hosts = match default {
                    true => hosts.intersection(globally_reachable(family)),
                    false => hosts.clone(),
                };
                behind.perhaps_elsewhere = behind.networks.iter().fold(surely, |rest, net| rest.minus(net));
                behind.perhaps_routed = perhaps_routed;
                behind.hosts = hosts;
                behind.routed = routed;
                behind.default = default;
            }
        }
        facts.settle_unrouted(context, family);
        facts
    }
}

impl Addresses {
    /// What is routed out of no interface of a routing domain is beyond those by which its default routes leave.
    fn settle_unrouted(&mut self, context: &Context, family: Family) {
        let domains: Vec<u32> = context.interfaces.iter().map(|known| known.rdomain).collect();
        let mut unrouted: BTreeMap<u32, RangeSet> = BTreeMap::new();
        for (rdomain, behind) in domains.iter().zip(&self.interfaces) {
            let rest = unrouted.entry(*rdomain).or_insert_with(|| whole(family));
            *rest = rest.minus(&behind.routed);
        }
        for (rdomain, behind) in domains.iter().zip(&mut self.interfaces) {
            if let Some(rest) = unrouted.get(rdomain).filter(|_| behind.default) {
                behind.unrouted = rest.clone();
            }
        }
    }

    /// What goes by a carp(4) interface is met on its device: there are its networks, its link-local addresses, and the
    /// others where the device has none itself.
    fn settle_carps(&mut self, engine: &Engine<'_>, family: Family) {
        let context = engine.context();
        for (id, carp) in context.interfaces.iter().enumerate() {
            let at = engine.space().interface(context.seen_on(&carp.name));
            let at = at.filter(|&at| at != id && !carp.down).unwrap_or(usize::MAX);
            let lent = self.interfaces.get(id).cloned().unwrap_or_default();
            if let (Some(device), Some(behind)) = (context.interfaces.get(at), self.interfaces.get_mut(at)) {
                let has_none = device.addresses_of(family).next().is_none();
                let met = if has_none { whole(family) } else { linked(family) };
                behind.own = behind.own.union(&lent.own.intersection(&met));
                behind.networks.extend(lent.networks);
            }
        }
    }
}

/// Whether an address is in the network of an interface's address.
fn in_net(own: InterfaceAddress, address: IpAddr) -> bool {
    own.known().is_some_and(|net| net.contains(&address))
}

/// Sources or destinations that are never forwarded.
fn unforwardable(family: Family) -> RangeSet {
    match family {
        // 0.0.0.0/8, 127.0.0.0/8
        Family::Inet => RangeSet::from_ranges([(0, 0x00ff_ffff), (0x7f00_0000, 0x7fff_ffff)]),
        // ::/127
        Family::Inet6 => RangeSet::range(0, 1).union(&linked(family)),
    }
}

/// The sources of hosts without an address yet: they belong to every zone of the interface they arrive on.
pub(crate) fn addressless(family: Family) -> &'static RangeSet {
    static ADDRESSLESS: LazyLock<[RangeSet; 2]> =
        LazyLock::new(|| Family::BOTH.map(|family| RangeSet::single(0).union(&linked(family))));
    match family {
        Family::Inet => &ADDRESSLESS[0],
        Family::Inet6 => &ADDRESSLESS[1],
    }
}

/// The link-local addresses: those of IPv6, for those of IPv4 are routed as others are.
pub(super) fn linked(family: Family) -> RangeSet {
    match family {
        Family::Inet => RangeSet::empty(),
        // fe80::/10
        Family::Inet6 => RangeSet::range(0xfe80 << 112, (0xfec0 << 112) - 1),
    }
}

/// The numbers of the addresses of a network that is written here.
pub(super) fn number(text: &str) -> RangeSet {
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
