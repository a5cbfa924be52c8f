//! [`Network`]: the addresses around the machine, as zones and statements need them.
//!
//! Which addresses lie behind which interface, which the machine itself takes in, which no host has, and which the
//! network stack never takes (`ip_input.c`, `ip6_input.c`, `ip6_forward.c`, `tcp_input.c`).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::addresses::{Addresses, Behind, Domain, Tables, addressless, linked, number, prefix};
use crate::context::Interface;
use crate::engine::{Engine, Field, InterfaceId, PacketBox, PacketSet, Place, transport};
use crate::net::{Direction, Family, Protocol, RangeSet};
use crate::ruleset::{Divert, Rule, Ruleset, Translation};

/// The addresses around one machine.
#[derive(Debug)]
pub struct Network<'a> {
    engine: &'a Engine<'a>,
    families: [Addresses; 2],
    /// The interfaces of each routing domain, those that are down too.
    domains: Vec<Vec<InterfaceId>>,
    /// Whether a rule may change where a packet goes before the stack sees it, or send it there itself.
    may_change: bool,
    /// Whether some rule sends packets into another routing domain.
    turns: bool,
    never_ending: OnceLock<PacketSet>,
}

/// The interfaces of one routing domain, in one direction.
type Met<'d> = (Direction, &'d [InterfaceId]);

impl<'a> Network<'a> {
    /// The network of the engine's machine.
    #[must_use]
    pub fn new(engine: &'a Engine<'a>) -> Self {
        let context = engine.context();
        let mut domains: BTreeMap<u32, Vec<InterfaceId>> = BTreeMap::new();
        for (id, interface) in context.interfaces.iter().enumerate() {
            domains.entry(interface.rdomain).or_default().push(id);
        }
        let tables = domains.keys().map(|&rdomain| (rdomain, context.route_table(rdomain)));
        let tables: Tables<'_> = tables.collect();
        Self {
            engine,
            domains: domains.into_values().collect(),
            families: Family::BOTH.map(|family| Addresses::new(engine, &tables, family)),
            may_change: rules(engine.ruleset()).any(redirects),
            turns: rules(engine.ruleset()).any(|rule| rule.rtable.is_some()),
            never_ending: OnceLock::new(),
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

    /// The routing domain that an interface is in.
    fn domain(&self, interface: InterfaceId, family: Family) -> &Domain {
        let facts = self.of(family);
        let context = self.engine.context();
        let rdomain = context.interfaces.get(interface).map(|known| known.rdomain);
        let known = rdomain.and_then(|rdomain| facts.domains.get(&rdomain));
        known.unwrap_or(&facts.anywhere)
    }

    /// The machine's own addresses in any routing domain, as far as they are known.
    #[must_use]
    pub fn own(&self, family: Family) -> &RangeSet {
        &self.of(family).anywhere.own
    }

    /// The machine's own addresses in the routing domain of an interface, as far as they are known.
    #[must_use]
    pub fn own_beside(&self, interface: InterfaceId, family: Family) -> &RangeSet {
        &self.domain(interface, family).own
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
        let taken = context.networks_beside(known, family).map(prefix);
        let domain = self.domain(interface, family);
        let any = Field::Source.line(family).minus(&domain.not_hosts);
        taken.fold(any.minus(&domain.own), |any, net| any.minus(&net))
    }

    /// The machine's own addresses in the routing domain of an interface, and all that an unknown one of them may be.
    #[must_use]
    pub fn perhaps_own(&self, interface: InterfaceId, family: Family) -> RangeSet {
        let interfaces = &self.engine.context().interfaces;
        let rdomain = |id: InterfaceId| interfaces.get(id).map(|known| known.rdomain);
        let unknown = self.interfaces().filter(|&id| rdomain(id) == rdomain(interface));
        let unknown = unknown.map(|id| self.unknown_own(id, family));
        let own = self.own_beside(interface, family).clone();
        unknown.fold(own, |all, unknown| all.union(&unknown))
    }

    /// The destinations that the machine itself takes in in some routing domain: its own addresses, broadcast,
    /// multicast, unspecified.
    #[must_use]
    pub fn taken(&self, family: Family) -> &RangeSet {
        &self.of(family).anywhere.taken
    }

    /// The same in the routing domain of an interface.
    #[must_use]
    pub fn taken_beside(&self, interface: InterfaceId, family: Family) -> &RangeSet {
        &self.domain(interface, family).taken
    }

    /// The broadcast and multicast destinations in any routing domain.
    #[must_use]
    pub fn shared(&self, family: Family) -> &RangeSet {
        &self.of(family).anywhere.shared
    }

    /// The broadcast and multicast destinations in the routing domain of an interface.
    #[must_use]
    pub fn shared_beside(&self, interface: InterfaceId, family: Family) -> &RangeSet {
        &self.domain(interface, family).shared
    }

    /// The same where a packet is that goes by that routing table.
    #[must_use]
    pub fn shared_by_table(&self, rtable: u32, family: Family) -> RangeSet {
        let known = self.of(family).domains.get(&rtable);
        known.map_or_else(|| Domain::of(family).shared, |domain| domain.shared.clone())
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
        self.routed(interface, family).union(addressless(family))
    }

    /// What is routed nowhere, if a default route leaves by the interface: who sends from there is beyond it.
    #[must_use]
    pub fn unrouted(&self, interface: InterfaceId, family: Family) -> RangeSet {
        self.behind(interface, family)
            .map_or_else(RangeSet::empty, |behind| behind.unrouted.clone())
    }

    /// Whether two interfaces are in one routing domain.
    #[must_use]
    pub fn in_one_domain(&self, one: InterfaceId, other: InterfaceId) -> bool {
        let mut domains = self.domains.iter();
        domains.any(|domain| domain.contains(&one) && domain.contains(&other))
    }

    /// Whether packets in the routing domain of an interface may be sent out by the other: it is in that, or a rule may send
    /// them elsewhere.
    #[must_use]
    pub fn may_lead(&self, from: InterfaceId, to: InterfaceId) -> bool {
        self.turns || self.in_one_domain(from, to)
    }

    /// Those of them that are there whatever the networks are that are not known.
    #[must_use]
    pub fn sure_sources(&self, interface: InterfaceId, family: Family) -> RangeSet {
        let sources = self.sources(interface, family);
        sources.minus(&self.perhaps_routed(interface, family))
    }

    /// Whether an interface is a port of a bridge: behind it are hosts of other networks, whatever is routed to it.
    #[must_use]
    pub fn is_port(&self, interface: InterfaceId) -> bool {
        let known = self.engine.context().interfaces.get(interface);
        known.is_some_and(|known| known.bridge.is_some())
    }

    /// The addresses that are routed out of an interface: its prefixes whole, IPv6 link-local ones only of its own link.
    #[must_use]
    pub fn routed(&self, interface: InterfaceId, family: Family) -> RangeSet {
        self.behind(interface, family)
            .map_or_else(RangeSet::empty, |behind| behind.routed.clone())
    }

    /// What lies behind an interface only if its network, which is not known, holds it: by the routes that are known it
    /// lies elsewhere. Not so those of hosts without an address yet, and link-local ones: they are where they arrive.
    #[must_use]
    pub fn perhaps_routed(&self, interface: InterfaceId, family: Family) -> RangeSet {
        self.behind(interface, family)
            .map_or_else(RangeSet::empty, |behind| behind.perhaps_routed.clone())
    }

    /// Whether there is anything that lies behind some interface only if its network, which is not known, holds it.
    #[must_use]
    pub fn has_perhaps_routed(&self) -> bool {
        let mut behind = self.families.iter().flat_map(|family| &family.interfaces);
        behind.any(|behind| !behind.perhaps_routed.is_empty())
    }

    /// What goes out of an interface by a route that was given, and so only if no network that is not known holds it.
    #[must_use]
    pub fn perhaps_elsewhere(&self, interface: InterfaceId, family: Family) -> RangeSet {
        self.behind(interface, family)
            .map_or_else(RangeSet::empty, |behind| behind.perhaps_elsewhere.clone())
    }

    /// The other interfaces in the routing domain of an interface whose networks of that family are not known.
    pub fn unknown_beside(&self, interface: InterfaceId, family: Family) -> impl Iterator<Item = &'a Interface> {
        let interfaces = &self.engine.context().interfaces;
        let rdomain = interfaces.get(interface).map(|known| known.rdomain);
        let others = interfaces.iter().enumerate().filter(move |&(id, _)| id != interface);
        let others = others.filter(move |(_, other)| Some(other.rdomain) == rdomain && other.has_unknown(family));
        others.map(|(_, other)| other)
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
        let hosts = self.behind(interface, family).map(|behind| match special {
            true => behind.hosts.clone(),
            false => behind.usual_hosts.clone(),
        });
        hosts.unwrap_or_else(RangeSet::empty)
    }

    /// The addresses that no host has in some routing domain: network, broadcast, multicast, unspecified, loopback,
    /// link-local IPv6.
    #[must_use]
    pub fn not_hosts(&self, family: Family) -> &RangeSet {
        &self.of(family).anywhere.not_hosts
    }

    /// The same in the routing domain of an interface.
    #[must_use]
    pub fn not_hosts_beside(&self, interface: InterfaceId, family: Family) -> &RangeSet {
        &self.domain(interface, family).not_hosts
    }

    /// The networks of an interface.
    #[must_use]
    pub fn networks(&self, interface: InterfaceId, family: Family) -> &[RangeSet] {
        self.behind(interface, family).map_or(&[], |behind| &behind.networks)
    }

    fn behind(&self, interface: InterfaceId, family: Family) -> Option<&Behind> {
        self.of(family).interfaces.get(interface)
    }

    /// The packets that the network stack never takes from a wire: loopback addresses, addresses that IPv6 refuses; where
    /// no rule can change it before the stack sees it, tcp to broadcast and multicast addresses, too.
    #[must_use]
    pub fn never_taken(&self) -> PacketSet {
        let mut boxes = Vec::new();
        for family in Family::BOTH {
            let all = || PacketBox::all(family);
            let (sources, destinations) = refused(family);
            boxes.extend(all().with(Field::Source, &sources));
            boxes.extend(all().with(Field::Destination, &destinations));
        }
        if !self.may_change {
            boxes.extend(self.shared_tcp().boxes().iter().cloned());
        }
        boxes.into_iter().collect()
    }
}

impl Network<'_> {
    /// Tcp to broadcast and multicast addresses, where it is met: no program ever sees it (`tcp_input`).
    #[must_use]
    pub fn shared_tcp(&self) -> PacketSet {
        let of = |family| {
            let tcp = PacketBox::all(family).with(Field::Transport, &transport::protocol(Protocol::TCP, family));
            let shared = self.by_domain(family, |_, by| self.shared_beside(by, family).clone());
            let shared = shared.into_iter();
            shared.filter_map(move |part| part.intersection(tcp.as_ref()?))
        };
        Family::BOTH.into_iter().flat_map(of).collect()
    }

    /// Headers that no packet has at its end, although some address of the machine says so: a link-local address is one
    /// of the link that the packet came by, not of another interface; tcp to a broadcast address is for nobody.
    #[must_use]
    pub fn never_ending(&self) -> &PacketSet {
        self.never_ending.get_or_init(|| self.without_end())
    }

    fn without_end(&self) -> PacketSet {
        let space = self.engine.space();
        let diverts = |rule: &Rule| matches!(rule.divert, Some(Divert::To { .. } | Divert::Reply));
        let diverts = self.engine.ruleset().all_rules().any(|(_, rule)| diverts(rule));
        let boxes = self.interfaces().flat_map(|id| {
            let place = RangeSet::single(space.number(Place::In(id)));
            let here = |family| PacketBox::all(family).with(Field::Place, &place);
            let others = linked(Family::Inet6).minus(&self.own_of(id, Family::Inet6));
            let links = here(Family::Inet6).and_then(|here| here.with(Field::Destination, &others));
            let families = Family::BOTH.into_iter().filter(|_| self.may_change);
            let tcp = families.filter_map(|family| {
                // It may have been looked up in another domain, by a rule's `rtable`; what is diverted to a program has not.
                let shared = match diverts {
                    true => self.shared_beside(id, family),
                    false => &self.of(family).anywhere.shared,
                };
                here(family)?
                    .with(Field::Transport, &transport::protocol(Protocol::TCP, family))?
                    .with(Field::Destination, &shared.minus(self.own(family)))
            });
            tcp.chain(links).collect::<Vec<_>>()
        });
        boxes.collect()
    }

    /// The boxes of a family whose destinations hang on the routing domain where a packet is met: by direction, and an
    /// interface of the domain.
    pub(super) fn by_domain(&self, family: Family, set: impl Fn(Direction, InterfaceId) -> RangeSet) -> Vec<PacketBox> {
        let mut alike: Vec<(RangeSet, Vec<Met<'_>>)> = Vec::new();
        for domain in &self.domains {
            let Some(&first) = domain.first() else { continue };
            for direction in [Direction::In, Direction::Out] {
                let set = set(direction, first);
                match alike.iter_mut().find(|(known, _)| *known == set) {
                    Some((_, places)) => places.push((direction, domain)),
                    None => alike.push((set, vec![(direction, domain)])),
                }
            }
        }
        let everywhere = alike.len() == 1;
        let boxes = alike.into_iter().filter_map(|(set, wanted)| {
            let there = PacketBox::all(family).with(Field::Destination, &set)?;
            if everywhere {
                return Some(there);
            }
            let places = self.places(|place| {
                let here = |(direction, domain): &Met<'_>| {
                    *direction == place.direction() && domain.contains(&place.interface())
                };
                wanted.iter().any(here)
            });
            there.with(Field::Place, &places)
        });
        boxes.collect()
    }

    /// The numbers of the places that are wanted.
    pub(super) fn places(&self, wanted: impl Fn(Place) -> bool) -> RangeSet {
        let space = self.engine.space();
        let count = space.interfaces().len();
        let out = (0..count).flat_map(|on| {
            let received = (0..count).map(Some).chain([None]);
            received.map(move |received| Place::Out { on, received })
        });
        let places = (0..count).map(Place::In).chain(out);
        RangeSet::from_ranges(places.filter(|&place| wanted(place)).map(|place| {
            let number = space.number(place);
            (number, number)
        }))
    }
}

fn rules(ruleset: &Ruleset) -> impl Iterator<Item = &Rule> {
    ruleset.anchors.values().flat_map(|anchor| &anchor.rules)
}

/// Whether the rule may change where a packet goes before the stack sees it, or send it there itself.
fn redirects(rule: &Rule) -> bool {
    let translates = !matches!(rule.translation.as_deref(), None | Some(Translation::Nat { .. }));
    // What a program sends back is looked up in its own domain.
    let diverts = matches!(rule.divert, Some(Divert::Packet { .. }));
    translates || diverts || rule.rtable.is_some() || rule.route_to.is_some()
}

/// The sources and destinations of packets that are refused as soon as they come from a wire.
pub(super) fn refused(family: Family) -> (RangeSet, RangeSet) {
    match family {
        Family::Inet => (number("127.0.0.0/8"), number("127.0.0.0/8")),
        Family::Inet6 => {
            // Loopback, IPv4-mapped and IPv4-compatible addresses, the latter without `::` itself.
            let both = number("::ffff:0:0/96").union(&RangeSet::range(1, u128::from(u32::MAX)));
            (both.union(&number("ff00::/8")), both.union(&number("::/128")))
        }
    }
}
