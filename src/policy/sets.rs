//! From the words of a statement to sets of packets: which packets a `require`, `forbid`, `allow`, `closed` speaks of.
//!
//! A statement has up to three sets. Its *region* holds packets as they first meet the machine. Where packets count by
//! where they end (`forbid`, `closed to`), *ends* holds headers at the end: the original header with destination and
//! port as translated, at the place of the last hop. `allow` and `require` *excuse* by either.

use super::addresses::{addressless, linked};
use super::ast::{Closed, End, HostItem, Hosts, Packets, Spanned, Statement};
use super::hosts::{Named, Resolved};
use super::protocols::{beginnings, port_numbers, ports, transports, with_odd_hop_limits};
use super::zones::{ZoneId, Zones, whole};
use crate::context::Interface;
use crate::diagnostic::Diagnostic;
use crate::engine::{Field, InterfaceId, PacketBox, PacketSet, Place, Unknown};
use crate::net::{Direction, Family, RangeSet};
use crate::ruleset::Name;

/// What a set of packets is for: it decides which addresses count as hosts, and which packets begin a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// `require`: what hosts send to begin a flow.
    Flows,
    /// The same to those alone that are there whatever the networks are that are not known.
    Surely,
    /// `forbid`: everything, spoofed sources too.
    Everything,
    /// `allow`, and `require` where it excuses: what really comes from there.
    Excuse,
    /// The same of what ends at an address of the machine that is not known, which is in no zone, or in a network that is not
    /// known, whatever zone a route that is known leads to.
    ExcuseSurely,
}

/// The packets of a statement, and what is not known that they hang on.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The packets.
    pub packets: PacketSet,
    /// Tables and networks whose contents are not known, because of which packets may be missing.
    pub unknown: Vec<Unknown>,
    /// Those because of which any of the packets may not be meant after all.
    pub without: Vec<Unknown>,
    /// Those of the packets that are meant only if a network that is not known holds their destination.
    pub perhaps: PacketSet,
    /// Those of the packets that are meant by the address that they are from, and so only where that lies, where it may lie behind
    /// several interfaces.
    pub by_address: PacketSet,
}

pub(super) type Made<T> = Result<T, Box<Diagnostic>>;

impl Zones<'_> {
    /// Packets that begin a flow, as `require` means it.
    ///
    /// # Errors
    /// The complaint about a name.
    pub fn flows(&self, packets: &Packets) -> Made<Selection> {
        let mut selection = Selection::default();
        let to = self.destinations(&packets.destination, Purpose::Flows, &mut selection)?;
        let from = self.sources(&packets.source, Purpose::Flows, &mut selection)?;
        let begin = from.intersection(&to).intersection(&beginnings(packets));
        let wanted = begin.minus(with_odd_hop_limits()).minus(self.on_one_network());
        let shared_tcp = self.common.shared_tcp.get_or_init(|| self.network.shared_tcp());
        selection.packets = wanted.minus(shared_tcp);
        selection.unknown.extend(self.perhaps_left(&packets.destination)?);
        if self.network.has_perhaps_routed() {
            let surely = self.destinations(&packets.destination, Purpose::Surely, &mut Selection::default())?;
            selection.perhaps = selection.packets.minus(&surely);
        }
        selection.by_address = self.by_address(&packets.source, &selection.packets)?;
        Ok(selection)
    }

    /// The same of a statement of the policy, made once; none of a `closed`.
    ///
    /// # Errors
    /// The complaint about a name.
    pub fn flows_of(&self, statement: &Statement) -> Made<Selection> {
        let make = || {
            let packets = statement.demand.packets();
            packets.map_or_else(|| Ok(Selection::default()), |packets| self.flows(packets))
        };
        Made::clone(&self.common.flows.get(statement.span, make))
    }

    /// The packets of a `forbid` as they arrive, and their headers at the end.
    ///
    /// # Errors
    /// The complaint about a name.
    pub fn forbidden(&self, packets: &Packets) -> Made<(Selection, PacketSet)> {
        let mut selection = Selection::default();
        let ends = self.destinations(&packets.destination, Purpose::Everything, &mut selection)?;
        let from = self.sources(&packets.source, Purpose::Everything, &mut selection)?;
        let without_destination = Packets {
            destination: End::default(),
            ..packets.clone()
        };
        let region = from.intersection(&transports(&without_destination));
        selection.by_address = self.by_address(&packets.source, &region)?;
        selection.packets = region;
        selection.unknown.extend(self.unknown_at_both_ends(packets)?);
        selection.unknown.extend(self.sent_elsewhere(&packets.destination));
        Ok((selection, ends.intersection(&ports(packets))))
    }

    /// The packets of a `closed` as they arrive, and, where it says `to`, their headers at the end.
    ///
    /// # Errors
    /// The complaint about a name.
    pub fn closed(&self, closed: &Closed) -> Made<(PacketSet, Option<PacketSet>)> {
        Ok(match closed {
            Closed::All => (self.everything().clone(), None),
            Closed::From(names) => {
                let mut region = PacketSet::empty();
                for zone in self.ids(names)? {
                    region = region.union(self.arriving_from(zone, Purpose::Everything));
                }
                (self.everything().intersection(&region), None)
            }
            Closed::To(names) => {
                let mut ends = PacketSet::empty();
                for zone in self.ids(names)? {
                    ends = ends.union(self.leaving_to(zone));
                }
                (self.everything().clone(), Some(ends))
            }
        })
    }

    /// All packets that arrive on an interface or that the machine sends, from its own addresses to where they are
    /// routed.
    #[must_use]
    pub fn everything(&self) -> &PacketSet {
        let made = &self.common.everything;
        made.get_or_init(|| self.all_of(Purpose::Everything))
    }

    /// The same; what is excused is sent from addresses that are not known, too.
    fn all_of(&self, sent: Purpose) -> PacketSet {
        let from = self.sent(sent);
        let space = self.network.engine().space();
        let sent = space.sent(self.network.interfaces());
        space
            .arriving(self.network.interfaces())
            .union(sent.intersection(&from))
    }

    fn ids(&self, names: &[Spanned<Name>]) -> Made<Vec<ZoneId>> {
        names.iter().map(|name| self.zone(&name.value, name.span)).collect()
    }

    /// Headers that left by the zone's interfaces.
    fn leaving_to(&self, zone: ZoneId) -> PacketSet {
        let places = self.leaving_by(zone);
        let Some(zone) = self.all().get(zone) else {
            return PacketSet::empty();
        };
        let set = Family::BOTH.iter().enumerate().filter_map(|(at, &family)| {
            let there = PacketBox::all(family).with(Field::Place, &places)?;
            match &zone.only {
                Some(only) => there.with(Field::Destination, &only[at]),
                None => Some(there),
            }
        });
        set.collect()
    }

    /// The numbers of the places where packets leave by the zone's interfaces.
    fn leaving_by(&self, zone: ZoneId) -> RangeSet {
        let interfaces = self.all().get(zone).map_or(&[][..], |zone| &zone.interfaces);
        let space = self.network.engine().space();
        // Those of one interface stand side by side.
        RangeSet::from_ranges(interfaces.iter().map(|&on| {
            let [first, last] = [Some(0), None].map(|received| space.number(Place::Out { on, received }));
            (first, last)
        }))
    }

    /// The packets from one end: place and source, and for what the machine sends its destination's route.
    pub(super) fn sources(&self, end: &End, purpose: Purpose, selection: &mut Selection) -> Made<PacketSet> {
        let hosts = match &end.hosts {
            None => self.sources_of(&Resolved::Any, purpose),
            Some(hosts) => self.union(hosts, selection, |resolved, negated| {
                // What is taken away is meant whole: hosts or not.
                let is_whole = negated && purpose == Purpose::Flows;
                let purpose = if is_whole { Purpose::Everything } else { purpose };
                self.sources_of(resolved, purpose)
            })?,
        };
        if let Some(hosts) = &end.hosts {
            selection.unknown.extend(self.perhaps_taken_away(hosts)?);
        }
        let ports = port_numbers(&end.ports);
        let with_ports = hosts.boxes().iter().filter_map(|part| match &ports {
            Some(ports) => part.clone().with(Field::SourcePort, ports),
            None => Some(part.clone()),
        });
        // Which of the unknown addresses are taken away, it does not say: each by itself is asked about.
        let takes_away = end.hosts.iter().flat_map(|hosts| &hosts.items).any(|item| item.negated);
        let all = match purpose {
            Purpose::Excuse | Purpose::ExcuseSurely if takes_away => self.everything(),
            Purpose::Flows | Purpose::Surely | Purpose::Everything => self.everything(),
            Purpose::Excuse | Purpose::ExcuseSurely => {
                let made = &self.common.excusing;
                made.get_or_init(|| self.all_of(Purpose::Excuse))
            }
        };
        Ok(all.intersection(&with_ports.collect()))
    }

    fn union(
        &self,
        hosts: &Hosts,
        selection: &mut Selection,
        set: impl Fn(&Resolved, bool) -> PacketSet,
    ) -> Made<PacketSet> {
        let mut all = PacketSet::empty();
        let mut without = PacketSet::empty();
        let unknown = hosts.items.iter().flat_map(|item| self.unknowns_of(item));
        selection.unknown.extend(unknown);
        let without_these = hosts.items.iter().flat_map(|item| self.taking_away(item));
        selection.without.extend(without_these);
        for (item, resolved) in self.resolve(hosts)? {
            let HostItem { negated, .. } = item;
            let sum = if *negated { &mut without } else { &mut all };
            *sum = std::mem::take(sum).union(set(&resolved, *negated));
        }
        Ok(all.minus(&without))
    }

    fn sources_of(&self, resolved: &Resolved, purpose: Purpose) -> PacketSet {
        let interfaces = || self.network.interfaces();
        match (resolved, purpose) {
            (Resolved::Any, Purpose::Flows | Purpose::Surely) => interfaces()
                .flat_map(|id| self.arriving(id, |family| self.network.hosts(id, family, false)))
                .collect(),
            (Resolved::Any, Purpose::Everything | Purpose::Excuse | Purpose::ExcuseSurely) => {
                let arriving = interfaces().flat_map(|id| self.arriving(id, whole));
                arriving.collect::<PacketSet>().union(self.sent(purpose))
            }
            (Resolved::Itself, _) => self.sent(purpose),
            (Resolved::Zone(zone), _) => self.arriving_from(*zone, purpose),
            (Resolved::Addresses(named) | Resolved::UnknownTable(_, named), _) => {
                let all = |family: Family| &named.all[usize::from(family == Family::Inet6)];
                let arriving = interfaces().flat_map(|id| {
                    self.arriving(id, |family| {
                        let all = all(family);
                        if purpose == Purpose::Flows {
                            let here = all.intersection(&self.network.sources(id, family));
                            let foreign = here.minus(self.network.own_beside(id, family));
                            self.without_special(foreign, named, id, family)
                        } else if self.network.is_port(id) {
                            all.clone()
                        } else if purpose == Purpose::ExcuseSurely {
                            all.intersection(&self.network.sure_sources(id, family))
                        } else {
                            all.intersection(&self.network.sources(id, family))
                        }
                    })
                });
                let own = self.sent_from(|on, family| {
                    let own = all(family).intersection(self.network.own_beside(on, family));
                    if purpose == Purpose::Flows {
                        self.without_special(own, named, on, family)
                    } else {
                        own
                    }
                });
                arriving.collect::<PacketSet>().union(own)
            }
        }
    }

    /// Packets that arrive from a zone.
    fn arriving_from(&self, zone: ZoneId, purpose: Purpose) -> PacketSet {
        let Some(zone) = self.all().get(zone) else {
            return PacketSet::empty();
        };
        let network = self.network;
        let interfaces = zone
            .interfaces
            .iter()
            .filter(|&&id| network.interfaces().any(|known| known == id));
        let boxes = interfaces.flat_map(|&id| {
            self.arriving(id, |family| {
                let only = zone
                    .only
                    .as_ref()
                    .map(|only| &only[usize::from(family == Family::Inet6)]);
                match (purpose, only) {
                    (Purpose::Everything, None) => whole(family),
                    (Purpose::Everything, Some(only)) => only.clone(),
                    (Purpose::Flows | Purpose::Surely, None) => network.hosts(id, family, false),
                    (Purpose::Flows | Purpose::Surely, Some(only)) => {
                        network.hosts(id, family, true).intersection(only)
                    }
                    (Purpose::Excuse, None) => self.network.sources(id, family),
                    (Purpose::ExcuseSurely, None) => self.network.sure_sources(id, family),
                    (Purpose::ExcuseSurely, Some(only)) => self.network.sure_sources(id, family).intersection(only),
                    (Purpose::Excuse, Some(only)) => self.network.sources(id, family).intersection(only),
                }
            })
        });
        boxes.collect()
    }

    /// The boxes, one a family, of what arrives on the interface from those sources.
    fn arriving(&self, id: InterfaceId, sources: impl Fn(Family) -> RangeSet) -> Vec<PacketBox> {
        let place = RangeSet::single(self.network.engine().space().number(Place::In(id)));
        let of = |family| {
            PacketBox::all(family)
                .with(Field::Place, &place)?
                .with(Field::Source, &sources(family))
        };
        Family::BOTH.into_iter().filter_map(of).collect()
    }

    /// What the machine sends: to whom it is routed, from its own addresses; flows only from that of the interface.
    fn sent(&self, purpose: Purpose) -> PacketSet {
        self.sent_from(|id, family| match purpose {
            Purpose::Flows | Purpose::Surely => self.network.own_of(id, family).minus(addressless(family)),
            Purpose::Everything => self.network.own_beside(id, family).clone(),
            Purpose::Excuse | Purpose::ExcuseSurely => self.network.perhaps_own(id, family),
        })
    }

    pub(super) fn sent_from(&self, sources: impl Fn(InterfaceId, Family) -> RangeSet) -> PacketSet {
        let space = self.network.engine().space();
        let boxes = self.network.interfaces().flat_map(|on| {
            let place = RangeSet::single(space.number(Place::Out { on, received: None }));
            let sources = &sources;
            Family::BOTH.into_iter().filter_map(move |family| {
                // To its own link a machine also sends without a route: link-local addresses are in no table.
                let routed = self.network.routed(on, family);
                let routed = routed.minus(self.network.shared_beside(on, family));
                let routed = match family {
                    Family::Inet => routed,
                    Family::Inet6 => routed.union(addressless(family)),
                };
                PacketBox::all(family)
                    .with(Field::Place, &place)?
                    .with(Field::Source, &sources(on, family))?
                    .with(Field::Destination, &routed.minus(self.network.own_beside(on, family)))
            })
        });
        boxes.collect()
    }

    /// The packets to one end, by destination address alone.
    pub(super) fn destinations(&self, end: &End, purpose: Purpose, selection: &mut Selection) -> Made<PacketSet> {
        let hosts = match &end.hosts {
            None => self.destinations_of(&Resolved::Any, purpose, false),
            Some(hosts) => self.union(hosts, selection, |resolved, negated| {
                let there = self.destinations_of(resolved, purpose, negated);
                match (resolved, purpose) {
                    (Resolved::Zone(zone), Purpose::Everything | Purpose::Excuse) => {
                        there.minus(&self.held_elsewhere(*zone))
                    }
                    _ => there,
                }
            })?,
        };
        Ok(match port_numbers(&end.ports) {
            Some(ports) => hosts
                .boxes()
                .iter()
                .filter_map(|part| part.clone().with(Field::DestinationPort, &ports))
                .collect(),
            None => hosts,
        })
    }

    fn destinations_of(&self, resolved: &Resolved, purpose: Purpose, negated: bool) -> PacketSet {
        let links = match resolved {
            Resolved::Zone(zone) => Some(self.leaving_by(*zone)),
            _ => None,
        };
        let of = |family| {
            let boxes = self.network.by_domain(family, |direction, by| {
                match (purpose, negated) {
                    (Purpose::Flows | Purpose::Surely, true) => self.addresses_taken_away(resolved, family, by),
                    // What ends where it came in, at an address of the machine that is not known, is in no zone.
                    (Purpose::Everything, true) if direction == Direction::In => {
                        let meant = self.addresses_meant(resolved, purpose, family, (direction, by));
                        meant.minus(&self.perhaps_itself(resolved, family, by))
                    }
                    _ => self.addresses_meant(resolved, purpose, family, (direction, by)),
                }
            });
            // The same link-local address is another host on each link; IPv4 has none. And what only a network that is not
            // known may hold is there if it leaves there.
            let there_only = match purpose {
                Purpose::ExcuseSurely => whole(family),
                Purpose::Flows | Purpose::Surely | Purpose::Everything | Purpose::Excuse => {
                    linked(family).union(&self.perhaps_of(resolved, family, purpose))
                }
            };
            let Some(links) = links.as_ref().filter(|_| !there_only.is_empty()) else {
                return boxes;
            };
            let others = whole(family).minus(&there_only);
            let split = boxes.into_iter().flat_map(|there| {
                let on_links = there.clone().with(Field::Destination, &there_only);
                let on_links = on_links.and_then(|there| there.with(Field::Place, links));
                there.with(Field::Destination, &others).into_iter().chain(on_links)
            });
            split.collect()
        };
        Family::BOTH.into_iter().flat_map(of).collect()
    }

    /// The addresses of a zone that are its only if a network that is not known holds them. (A flow to them is required
    /// wherever they are.)
    fn perhaps_of(&self, resolved: &Resolved, family: Family, purpose: Purpose) -> RangeSet {
        let zone = match resolved {
            Resolved::Zone(zone) if !matches!(purpose, Purpose::Flows | Purpose::Surely) => self.all().get(*zone),
            _ => None,
        };
        let interfaces = zone.map_or(&[][..], |zone| &zone.interfaces);
        let (mut perhaps, mut surely) = (RangeSet::empty(), RangeSet::empty());
        for &id in interfaces {
            let there = self.network.perhaps_routed(id, family);
            surely = surely.union(&self.network.routed(id, family).minus(&there));
            perhaps = perhaps.union(&there);
        }
        perhaps.minus(&surely)
    }

    /// The destinations that are meant where a packet is met in that direction, in the routing domain of an interface.
    fn addresses_meant(
        &self,
        resolved: &Resolved,
        purpose: Purpose,
        family: Family,
        (direction, by): (Direction, InterfaceId),
    ) -> RangeSet {
        let network = self.network;
        let at = usize::from(family == Family::Inet6);
        match (resolved, purpose) {
            (Resolved::Any, Purpose::Flows | Purpose::Surely) => {
                let hosts = network.interfaces().map(|id| self.hosts(id, family, false, purpose));
                let hosts = hosts.fold(RangeSet::empty(), |all, hosts| all.union(&hosts));
                hosts.minus(network.own_beside(by, family))
            }
            (Resolved::Any, Purpose::Everything | Purpose::Excuse | Purpose::ExcuseSurely) => whole(family),
            (Resolved::Itself, Purpose::Flows | Purpose::Surely) => {
                network.own_beside(by, family).minus(addressless(family))
            }
            // What ends where it came in was taken in, in whatever domain a rule's `rtable` has looked it up.
            (Resolved::Itself, Purpose::Everything) if direction == Direction::In => network.taken(family).clone(),
            (Resolved::Itself, Purpose::Everything | Purpose::Excuse | Purpose::ExcuseSurely) => {
                network.taken_beside(by, family).clone()
            }
            (Resolved::Zone(zone), _) => {
                let addresses = self.addresses_of(*zone, family, purpose, by);
                match direction {
                    // It was taken in, in whatever domain.
                    Direction::In if purpose == Purpose::Everything => addresses.minus(network.taken(family)),
                    Direction::In => addresses.minus(network.taken_beside(by, family)),
                    Direction::Out => addresses,
                }
            }
            (Resolved::Addresses(named) | Resolved::UnknownTable(_, named), Purpose::Flows | Purpose::Surely) => {
                self.without_special(named.all[at].clone(), named, by, family)
            }
            (Resolved::Addresses(named) | Resolved::UnknownTable(_, named), _) => named.all[at].clone(),
        }
    }

    /// The destinations that a `require` does not ask for: those that are named, hosts or not.
    fn addresses_taken_away(&self, resolved: &Resolved, family: Family, by: InterfaceId) -> RangeSet {
        match resolved {
            Resolved::Any => whole(family),
            Resolved::Itself => self.network.taken_beside(by, family).clone(),
            Resolved::Zone(zone) => {
                let all = self.addresses_of(*zone, family, Purpose::Everything, by);
                all.minus(self.network.taken_beside(by, family))
            }
            Resolved::Addresses(named) | Resolved::UnknownTable(_, named) => {
                named.all[usize::from(family == Family::Inet6)].clone()
            }
        }
    }

    /// The addresses of a zone that may be the machine's own.
    fn perhaps_itself(&self, resolved: &Resolved, family: Family, by: InterfaceId) -> RangeSet {
        match resolved {
            Resolved::Zone(_) => self.network.perhaps_own(by, family),
            Resolved::Any | Resolved::Itself | Resolved::Addresses(_) | Resolved::UnknownTable(..) => RangeSet::empty(),
        }
    }

    /// The addresses without those that no host has in the routing domain of an interface, unless they were named one
    /// by one.
    fn without_special(&self, set: RangeSet, named: &Named, by: InterfaceId, family: Family) -> RangeSet {
        let special = self.network.not_hosts_beside(by, family);
        let special = special.union(self.network.own_beside(by, family));
        set.minus(&special.minus(&named.singly[usize::from(family == Family::Inet6)]))
    }

    /// The hosts behind an interface that a `require` asks for.
    pub(super) fn hosts(&self, id: InterfaceId, family: Family, special: bool, purpose: Purpose) -> RangeSet {
        let hosts = self.network.hosts(id, family, special);
        match purpose {
            Purpose::Surely => hosts.minus(&self.network.perhaps_routed(id, family)),
            Purpose::Flows | Purpose::Everything | Purpose::Excuse | Purpose::ExcuseSurely => hosts,
        }
    }

    /// The destinations that lie in a zone, for packets in the routing domain of an interface; those that a `require` asks for in
    /// any, for a rule may send them there.
    pub(super) fn addresses_of(&self, zone: ZoneId, family: Family, purpose: Purpose, by: InterfaceId) -> RangeSet {
        let Some(zone) = self.all().get(zone) else {
            return RangeSet::empty();
        };
        let only = zone
            .only
            .as_ref()
            .map(|only| &only[usize::from(family == Family::Inet6)]);
        let all = zone.interfaces.iter().fold(RangeSet::empty(), |all, &id| {
            all.union(&match purpose {
                Purpose::Flows | Purpose::Surely => self.hosts(id, family, only.is_some(), purpose),
                _ if !self.network.in_one_domain(id, by) => RangeSet::empty(),
                Purpose::Everything | Purpose::Excuse | Purpose::ExcuseSurely => self
                    .network
                    .routed(id, family)
                    .minus(self.network.taken_beside(id, family)),
            })
        });
        match only {
            Some(only) => all.intersection(only),
            None => all,
        }
    }

    /// The packets between hosts of one network of the interface that they arrive on: those meet without the machine.
    #[must_use]
    pub fn on_one_network(&self) -> &PacketSet {
        let hosts = |net: &RangeSet, id, family| net.minus(self.network.taken_beside(id, family));
        let made = &self.common.on_one_network;
        made.get_or_init(|| self.on_a_network(hosts))
    }

    /// The packets from and to one network of the interface that they arrive on, the machine's own addresses in it
    /// included.
    #[must_use]
    pub fn within_one_network(&self) -> &PacketSet {
        let made = &self.common.within_one_network;
        made.get_or_init(|| self.on_a_network(|net, _, _| net.clone()))
    }

    /// The packets from one network of the interface that they arrive on, to those of its addresses that are routed there; none
    /// of a tunnel, whose peers do not meet without the machine.
    fn on_a_network(&self, to: impl Fn(&RangeSet, InterfaceId, Family) -> RangeSet) -> PacketSet {
        let space = self.network.engine().space();
        let links = &self.network.engine().context().interfaces;
        let is_shared = |id: &InterfaceId| links.get(*id).is_some_and(Interface::is_shared_link);
        let mut boxes = Vec::new();
        for id in self.network.interfaces().filter(is_shared) {
            let place = RangeSet::single(space.number(Place::In(id)));
            for family in Family::BOTH {
                let routed = self.network.routed(id, family);
                boxes.extend(self.network.networks(id, family).iter().filter_map(|net| {
                    PacketBox::all(family)
                        .with(Field::Place, &place)?
                        .with(Field::Source, net)?
                        .with(Field::Destination, &to(net, id, family).intersection(&routed))
                }));
            }
        }
        boxes.into_iter().collect()
    }

    /// The packets that the network stack never takes.
    #[must_use]
    pub fn never_taken(&self) -> &PacketSet {
        let made = &self.common.never_taken;
        made.get_or_init(|| self.network.never_taken())
    }
}

/// The same packets where they end: left by any interface or taken in, received where they arrived.
pub(super) fn at_end(packets: &PacketSet, zones: &Zones<'_>) -> PacketSet {
    let space = zones.network.engine().space();
    let boxes = packets.boxes().iter().filter_map(|part| {
        let at = part.numbers(Field::Place);
        let places = zones.network.places(|place| match place {
            Place::In(on) => at.contains(space.number(Place::In(on))),
            Place::Out { received: Some(on), .. } => at.contains(space.number(Place::In(on))),
            Place::Out { received: None, .. } => at.contains(space.number(place)),
        });
        // A tag may have been set on the way.
        part.clone().without(Field::Tag).replaced(Field::Place, &places)
    });
    boxes.collect()
}
