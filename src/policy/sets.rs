//! From the words of a statement to sets of packets: which packets a `require`, `forbid`, `allow`, `closed` speaks of.
//!
//! A statement has up to three sets. Its *region* holds packets as they first meet the machine. Where packets count by
//! where they end (`forbid`, `closed to`), *ends* holds headers at the end: the original header with destination and
//! port as translated, at the place of the last hop. `allow` and `require` *excuse* by either.

use super::addresses::{addressless, linked};
use super::ast::{Closed, End, HostItem, Hosts, Packets, Spanned, Statement};
use super::hosts::Resolved;
use super::protocols::{beginnings, ports, transports, with_odd_hop_limits};
use super::zones::{ZoneId, Zones, whole};
use crate::context::Interface;
use crate::diagnostic::Diagnostic;
use crate::engine::{Field, InterfaceId, PacketBox, PacketSet, Place, Unknown};
use crate::net::{Family, RangeSet};
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
        let wanted = wanted.minus(self.going_nowhere());
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
    pub(super) fn all_of(&self, sent: Purpose) -> PacketSet {
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
    pub(super) fn leaving_by(&self, zone: ZoneId) -> RangeSet {
        let interfaces = self.all().get(zone).map_or(&[][..], |zone| &zone.interfaces);
        let space = self.network.engine().space();
        // Those of one interface stand side by side.
        RangeSet::from_ranges(interfaces.iter().map(|&on| {
            let [first, last] = [Some(0), None].map(|received| space.number(Place::Out { on, received }));
            (first, last)
        }))
    }

    pub(super) fn union(
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

    /// The packets that end nowhere, whatever the rules are: to link-local addresses of the machine that it has on another link than
    /// the one where they arrive, for there it is nobody; from hosts without an address to where they would have to be sent on.
    fn going_nowhere(&self) -> &PacketSet {
        let network = self.network;
        let made = &self.common.going_nowhere;
        made.get_or_init(|| {
            let arriving = network.interfaces().flat_map(|id| {
                let place = RangeSet::single(network.engine().space().number(Place::In(id)));
                let here = move |family| PacketBox::all(family).with(Field::Place, &place);
                // In whatever routing domain that link is.
                let own = network.own(Family::Inet6).intersection(&linked(Family::Inet6));
                let of_others = own.minus(&network.own_of(id, Family::Inet6));
                let links = here(Family::Inet6).and_then(|here| here.with(Field::Destination, &of_others));
                let sent_on = Family::BOTH.into_iter().filter_map(|family| {
                    let elsewhere = whole(family).minus(network.taken_beside(id, family));
                    let from = here(family)?.with(Field::Source, addressless(family))?;
                    from.with(Field::Destination, &elsewhere)
                });
                sent_on.chain(links).collect::<Vec<_>>()
            });
            arriving.collect()
        })
    }

    /// Where the packets may end that no rule changes, or gives another routing table.
    #[must_use]
    pub fn ending_unchanged(&self, packets: &PacketSet) -> PacketSet {
        let places = self.network.places(|place| match place {
            Place::Out {
                on,
                received: Some(from),
            } => self.network.in_one_domain(on, from),
            Place::In(_) | Place::Out { received: None, .. } => true,
        });
        let boxes = Family::BOTH.into_iter();
        let there = boxes.filter_map(|family| PacketBox::all(family).with(Field::Place, &places));
        at_end(packets, self).intersection(&there.collect())
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
