//! The destinations of a statement: which packets go to one end of its words.

use super::addresses::linked;
use super::ast::{Demand, End};
use super::hosts::{Named, Resolved};
use super::protocols::port_numbers;
use super::sets::{Made, Purpose, Selection};
use super::zones::{ZoneId, Zones, whole};
use crate::engine::{Field, InterfaceId, PacketSet};
use crate::net::{Direction, Family, RangeSet};

impl Zones<'_> {
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

    /// The destinations of that family that a statement means by their addresses, whosever they are: where one of them is an
    /// address of the machine that is not known, it is meant still. A `require` means hosts, but what it names one by one.
    #[must_use]
    pub fn meant_by_address(&self, demand: &Demand, family: Family) -> RangeSet {
        let Some(packets) = demand.packets() else {
            return whole(family);
        };
        let asks_of_hosts = matches!(demand, Demand::Require(..));
        let by_address = |resolved: &Resolved| match resolved {
            Resolved::Zone(_) => RangeSet::empty(),
            Resolved::Addresses(named) | Resolved::UnknownTable(_, named) => {
                let named = if asks_of_hosts { &named.singly } else { &named.all };
                named[usize::from(family == Family::Inet6)].clone()
            }
            Resolved::Any | Resolved::Itself if asks_of_hosts => RangeSet::empty(),
            Resolved::Any | Resolved::Itself => whole(family),
        };
        let Some(hosts) = &packets.destination.hosts else {
            return by_address(&Resolved::Any);
        };
        let items = self.resolve(hosts).into_iter().flatten();
        let meant = items.filter(|(item, _)| !item.negated);
        meant.fold(RangeSet::empty(), |all, (_, resolved)| {
            all.union(&by_address(&resolved))
        })
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
                let there = network.interfaces().filter(|&id| network.may_lead(by, id));
                let hosts = there.map(|id| self.hosts(id, family, false, purpose));
                let hosts = hosts.fold(RangeSet::empty(), |all, hosts| all.union(&hosts));
                hosts.minus(network.own_beside(by, family))
            }
            (Resolved::Any, Purpose::Everything | Purpose::Excuse | Purpose::ExcuseSurely) => whole(family),
            (Resolved::Itself, Purpose::Flows | Purpose::Surely) => network.own_beside(by, family).clone(),
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
    pub(super) fn without_special(&self, set: RangeSet, named: &Named, by: InterfaceId, family: Family) -> RangeSet {
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
    /// any to which a rule may send them.
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
                Purpose::Flows | Purpose::Surely if !self.network.may_lead(by, id) => RangeSet::empty(),
                Purpose::Flows | Purpose::Surely => {
                    let links = zone.addressless[usize::from(family == Family::Inet6)].intersection(&linked(family));
                    let links = links.minus(self.network.own_beside(id, family));
                    self.hosts(id, family, only.is_some(), purpose).union(&links)
                }
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
}
