//! [`Guess`]: packets from or to the machine itself where an address of one of its interfaces is not known.
//!
//! What is demanded of `self`, or of an interface by its name, has to be so for every address that it may have.

use super::ast::{End, Host, HostItem, Packets};
use super::hosts::{Resolved, minus, union};
use super::network::Network;
use super::protocols::{beginnings, port_numbers, ports, transports, with_odd_hop_limits};
use super::sets::{Purpose, Selection, at_end};
use super::zones::{Both, Zones, whole};
use crate::diagnostic::Diagnostic;
use crate::engine::{Field, InterfaceId, PacketBox, PacketSet, Place, Unknown};
use crate::net::{Direction, Family, RangeSet};
use crate::ruleset::Modifiers;

/// Packets that count where their source, or destination, is the interface's address that is not known: with each value
/// that it may have.
#[derive(Clone, Debug)]
pub struct Guess {
    /// The interface.
    pub interface: InterfaceId,
    /// The field that holds its address: [`Field::Source`] or [`Field::Destination`].
    pub field: Field,
    /// The packets as they first meet the machine.
    pub packets: PacketSet,
    /// The headers at the end that count; all if `None`.
    pub ends: Option<PacketSet>,
    /// Whether they count only if the address does not lie in a network of its interface: by a route it lies elsewhere.
    pub elsewhere: bool,
}

type Made<T> = Result<T, Box<Diagnostic>>;

impl Zones<'_> {
    /// The packets of a `require` besides [`flows`](Zones::flows).
    ///
    /// # Errors
    /// The complaint about a name, if there is anything to guess.
    pub fn guessed_flows(&self, packets: &Packets) -> Made<Vec<Guess>> {
        let senders = match &packets.source.hosts {
            Some(_) => self.owners(),
            None => Vec::new(),
        };
        let takers = self.takers(&packets.destination)?;
        if senders.is_empty() && takers.is_empty() {
            return Ok(Vec::new());
        }
        let mut known = Selection::default();
        let to = self.destinations(&packets.destination, Purpose::Flows, &mut known)?;
        let from = self.sources(&packets.source, Purpose::Flows, &mut known)?;
        let begins = beginnings(packets).minus(with_odd_hop_limits());
        let mut sent = Vec::new();
        for interface in senders {
            let by = self.really_sent(self.flows_from_unknown(&packets.source, interface)?);
            let by = with_ports(by, Field::SourcePort, &packets.source).intersection(&to);
            sent.push(guess(interface, Field::Source, by.intersection(&begins), None));
        }
        let taken = takers.into_iter().map(|(interface, to)| {
            let to = with_ports(to, Field::DestinationPort, &packets.destination);
            // In another routing domain it is some host's.
            let beside = self.network.interfaces();
            let beside = beside.filter(|&other| self.network.in_one_domain(other, interface));
            let arriving = self.network.engine().space().arriving(beside);
            // What the machine sends to itself is on no wire.
            let packets = from.intersection(&to).intersection(&begins).intersection(&arriving);
            guess(interface, Field::Destination, packets, None)
        });
        let guesses = sent.into_iter().chain(taken);
        Ok(guesses.filter(|guess| !guess.packets.is_empty()).collect())
    }

    /// What the machine sends from the unknown address of an interface that begins a flow from that source: by that
    /// interface where the machine is meant; by any in its routing domain where it is named, or may be an address that is.
    fn flows_from_unknown(&self, source: &End, interface: InterfaceId) -> Made<PacketSet> {
        let (mut all, mut without) = (PacketSet::empty(), PacketSet::empty());
        let Some(hosts) = &source.hosts else {
            return Ok(all);
        };
        let interfaces = &self.network.engine().context().interfaces;
        let rdomain = |id: InterfaceId| interfaces.get(id).map(|one| one.rdomain);
        for (item, resolved) in self.resolve(hosts)? {
            let sent = self.sent_from(|on, family| {
                let own = || self.network.unknown_own(interface, family);
                match &resolved {
                    Resolved::Itself if on == interface => own(),
                    Resolved::Any | Resolved::Itself | Resolved::Zone(_) => RangeSet::empty(),
                    _ if rdomain(on) != rdomain(interface) => RangeSet::empty(),
                    _ if self.is_meant(interface, &item.host) => own(),
                    Resolved::Addresses(named) | Resolved::UnknownTable(_, named) => {
                        named.singly[usize::from(family == Family::Inet6)].intersection(&own())
                    }
                }
            });
            let sum = if item.negated { &mut without } else { &mut all };
            *sum = std::mem::take(sum).union(sent);
        }
        Ok(all.minus(&without))
    }

    /// The interfaces whose unknown address is a destination of a flow, and the packets to it: with every value where the machine or
    /// the interface is meant, with those that are named one by one else.
    fn takers(&self, destination: &End) -> Made<Vec<(InterfaceId, PacketSet)>> {
        let mut takers = Vec::new();
        for interface in self.owners() {
            let values = self.values(destination, |item, resolved| match resolved {
                _ if self.is_meant(interface, &item.host) => Family::BOTH.map(whole),
                Resolved::Any if item.negated => Family::BOTH.map(whole),
                Resolved::Addresses(named) | Resolved::UnknownTable(_, named) => match item.negated {
                    true => named.all.clone(),
                    false => named.singly.clone(),
                },
                Resolved::Any | Resolved::Itself | Resolved::Zone(_) => Both::default(),
            })?;
            let to = self.with_values(Field::Destination, interface, &values);
            takers.extend(Some((interface, to)).filter(|(_, to)| !to.is_empty()));
        }
        Ok(takers)
    }

    /// The packets of a `forbid` besides [`forbidden`](Zones::forbidden).
    ///
    /// # Errors
    /// The complaint about a name, if there is anything to guess.
    pub fn guessed_forbidden(&self, packets: &Packets) -> Made<Vec<Guess>> {
        let senders = self.owners();
        let takers = self.named_owners(&packets.destination);
        if senders.is_empty() && takers.is_empty() {
            return Ok(Vec::new());
        }
        let (selection, ends) = self.forbidden(packets)?;
        let anywhere = Packets {
            destination: End::default(),
            ..packets.clone()
        };
        let mut sent = Vec::new();
        for interface in senders {
            let values = self.values_meant(&packets.source, interface)?;
            let by = self.really_sent(self.sent_from(|_, family| {
                let meant = &values[usize::from(family == Family::Inet6)];
                self.network.unknown_own(interface, family).intersection(meant)
            }));
            let by = by.union(self.arriving_from_unknown(&packets.source, interface)?);
            let by = with_ports(by, Field::SourcePort, &packets.source).intersection(&transports(&anywhere));
            sent.push(guess(interface, Field::Source, by, Some(ends.clone())));
            let by = self.arriving_elsewhere(&packets.source, interface)?;
            let by = with_ports(by, Field::SourcePort, &packets.source).intersection(&transports(&anywhere));
            sent.push(Guess {
                elsewhere: true,
                ..guess(interface, Field::Source, by, Some(ends.clone()))
            });
        }
        let taken = takers.into_iter().map(|interface| {
            let ends = self.at_machine(interface).intersection(&ports(packets));
            guess(interface, Field::Destination, selection.packets.clone(), Some(ends))
        });
        let guesses = sent.into_iter().chain(taken);
        Ok(guesses.filter(|guess| !guess.packets.is_empty()).collect())
    }

    /// Of each interface, what an `allow` or `require` excuses that the machine sends from its unknown address, whatever
    /// that is.
    pub(super) fn excused_sent(&self, source: &End) -> Made<Vec<(InterfaceId, PacketSet)>> {
        let mut sent = Vec::new();
        for interface in self.owners() {
            let values = self.values_meant(source, interface)?;
            let by = self.sent_from(|_, family| values[usize::from(family == Family::Inet6)].clone());
            let by = with_ports(self.really_sent(by), Field::SourcePort, source);
            if !by.is_empty() {
                sent.push((interface, by));
            }
        }
        Ok(sent)
    }

    /// What pretends to come from that interface's unknown address, where it is named: it arrives by the interface.
    pub(super) fn arriving_from_unknown(&self, source: &End, interface: InterfaceId) -> Made<PacketSet> {
        let from = self.pretending(source, interface)?;
        Ok(from.intersection(&self.network.engine().space().arriving([interface])))
    }

    /// The same that arrives by others, to which routes lead that the address may lie behind, or whose networks, which are not known,
    /// may hold it.
    fn arriving_elsewhere(&self, source: &End, interface: InterfaceId) -> Made<PacketSet> {
        let from = self.pretending(source, interface)?;
        let others = self.network.interfaces().filter(|&other| other != interface);
        let others = others.filter(|&other| self.network.in_one_domain(other, interface));
        let boxes = others.flat_map(|other| {
            let routed = |family| {
                let routed = self.network.perhaps_elsewhere(other, family);
                let routed = routed.union(&self.network.perhaps_routed(other, family));
                PacketBox::all(family).with(Field::Source, &routed)
            };
            let there: PacketSet = Family::BOTH.into_iter().filter_map(routed).collect();
            let there = there.intersection(&self.network.engine().space().arriving([other]));
            there.boxes().to_vec()
        });
        Ok(from.intersection(&boxes.collect()))
    }

    /// Packets from that interface's unknown address, where it is named, with those of its values that no other item takes away.
    fn pretending(&self, source: &End, interface: InterfaceId) -> Made<PacketSet> {
        let values = self.values(source, |item, resolved| match resolved {
            // The machine itself sends it.
            Resolved::Itself => Both::default(),
            _ if self.is_meant(interface, &item.host) => Family::BOTH.map(whole),
            _ if !item.negated => Both::default(),
            Resolved::Any => Family::BOTH.map(whole),
            Resolved::Addresses(named) | Resolved::UnknownTable(_, named) => named.all.clone(),
            Resolved::Zone(zone) => match self.all().get(*zone) {
                Some(zone) if zone.interfaces.contains(&interface) => {
                    zone.only.clone().unwrap_or_else(|| Family::BOTH.map(whole))
                }
                Some(_) | None => Both::default(),
            },
        })?;
        Ok(self.with_values(Field::Source, interface, &values))
    }

    /// With which values the unknown address of an interface is one of the sources: with any where the machine is meant,
    /// or anything; else with those that are named.
    fn values_meant(&self, source: &End, interface: InterfaceId) -> Made<Both> {
        if source.hosts.is_none() {
            return Ok(Family::BOTH.map(whole));
        }
        self.values(source, |item, resolved| match resolved {
            Resolved::Any => Family::BOTH.map(whole),
            _ if self.is_meant(interface, &item.host) => Family::BOTH.map(whole),
            Resolved::Addresses(named) | Resolved::UnknownTable(_, named) => named.all.clone(),
            Resolved::Itself | Resolved::Zone(_) => Both::default(),
        })
    }

    /// The addresses that the items of a list mean, without those that its negated ones do; none where there is no list.
    pub(super) fn values(&self, end: &End, meant: impl Fn(&HostItem, &Resolved) -> Both) -> Made<Both> {
        let (mut all, mut without) = (Both::default(), Both::default());
        let items = end
            .hosts
            .as_ref()
            .map_or_else(|| Ok(Vec::new()), |hosts| self.resolve(hosts))?;
        for (item, resolved) in items {
            let sum = if item.negated { &mut without } else { &mut all };
            *sum = union(sum, &meant(item, &resolved));
        }
        Ok(minus(&all, &without))
    }

    /// Packets one end of which is that interface's unknown address, with those values.
    fn with_values(&self, end: Field, interface: InterfaceId, values: &Both) -> PacketSet {
        let with = |(family, values): (Family, &RangeSet)| {
            let own = self.network.unknown_own(interface, family).intersection(values);
            PacketBox::all(family).with(end, &own)
        };
        Family::BOTH.into_iter().zip(values).filter_map(with).collect()
    }

    /// The packets of a `closed` of everything, or of what leaves to some zone, that the machine sends from addresses
    /// that are not known.
    #[must_use]
    pub fn guessed_sent(&self, ends: Option<&PacketSet>) -> Vec<Guess> {
        let sent = |interface| guess(interface, Field::Source, self.sent_by_unknown(interface), ends.cloned());
        self.owners().into_iter().map(sent).collect()
    }

    /// The packets of a `closed` of everything, or of what arrives from some zone, that end at addresses of the machine that are
    /// not known.
    #[must_use]
    pub fn guessed_taken(&self, region: &PacketSet) -> Vec<Guess> {
        let taken = |interface| {
            let ends = Some(self.at_machine(interface));
            guess(interface, Field::Destination, region.clone(), ends)
        };
        self.owners().into_iter().map(taken).collect()
    }

    /// The packets of a `closed` that leave for addresses of the machine that are not known, because `route-to` sends them elsewhere:
    /// they are in no zone.
    #[must_use]
    pub fn guessed_aside(&self, region: &PacketSet, ends: Option<&PacketSet>) -> Vec<Guess> {
        if !self.routes_aside() {
            return Vec::new();
        }
        let places = self.network.places(|place| place.direction() == Direction::Out);
        let aside = |interface| {
            let to = self.to_unknown(interface);
            let left = to
                .boxes()
                .iter()
                .filter_map(|part| part.clone().with(Field::Place, &places));
            let left: PacketSet = left.collect();
            let ends = ends.map_or(left.clone(), |ends| ends.intersection(&left));
            guess(interface, Field::Destination, region.clone(), Some(ends))
        };
        self.owners().into_iter().map(aside).collect()
    }

    /// The headers of packets that leave by each interface to what lies there only if its network, which is not known, holds it.
    #[must_use]
    pub fn perhaps_leaving(&self) -> Vec<(Unknown, PacketSet)> {
        let leaves = |place: Place, id| place.direction() == Direction::Out && place.interface() == id;
        self.perhaps_there(Field::Destination, leaves)
    }

    /// The packets that arrive on each interface from where they come only if its network, which is not known, holds it.
    #[must_use]
    pub fn perhaps_arriving(&self) -> Vec<(Unknown, PacketSet)> {
        self.perhaps_there(Field::Source, |place, id| place == Place::In(id))
    }

    /// Of each interface, at those of its places, the packets one end of which lies there only if its network, which is not known,
    /// holds it.
    fn perhaps_there(&self, end: Field, at: impl Fn(Place, InterfaceId) -> bool) -> Vec<(Unknown, PacketSet)> {
        let network = self.network;
        let interfaces = &network.engine().context().interfaces;
        let of = |id: InterfaceId| {
            let places = network.places(|place| at(place, id));
            let there = Family::BOTH.into_iter().filter_map(|family| {
                PacketBox::all(family)
                    .with(Field::Place, &places)?
                    .with(end, &network.perhaps_routed(id, family))
            });
            let there: PacketSet = there.collect();
            let name = interfaces.get(id).filter(|_| !there.is_empty())?.name.as_str();
            Some((Unknown::Network(name.into()), there))
        };
        network.interfaces().filter_map(of).collect()
    }

    /// Whether the machine has an address that is not known.
    pub(super) fn has_unknown_own(&self) -> bool {
        !self.owners().is_empty()
    }

    /// What an `allow` or `require` of flows to the machine itself excuses where its addresses are not all known: what
    /// ends at the machine.
    pub(super) fn excused_at_machine(&self, packets: &Packets, from: &PacketSet) -> PacketSet {
        let named = self.named_owners(&packets.destination);
        let all = self.owners();
        // At which address of several unknown ones a packet ends, it does not say.
        if named.is_empty() || all.iter().any(|owner| !named.contains(owner)) {
            return PacketSet::empty();
        }
        let ends = named
            .iter()
            .fold(PacketSet::empty(), |ends, &owner| ends.union(self.at_machine(owner)));
        at_end(from, self)
            .intersection(&transports(packets))
            .intersection(&ports(packets))
            .intersection(&ends)
    }

    /// The packets to each unknown address that is meant, by its interface.
    pub(super) fn addressed_to_unknown(&self, destination: &End) -> Vec<(InterfaceId, PacketSet)> {
        let named = self.named_owners(destination).into_iter();
        named.map(|id| (id, self.to_unknown(id))).collect()
    }

    /// The interfaces of which an address is not known.
    pub(super) fn owners(&self) -> Vec<InterfaceId> {
        let network: &Network<'_> = self.network;
        let is_open = |&id: &InterfaceId| {
            Family::BOTH
                .into_iter()
                .any(|family| !network.unknown_own(id, family).is_empty())
        };
        network.interfaces().filter(is_open).collect()
    }

    /// Those of them that a list of hosts means: by `self`, or by name.
    pub(crate) fn named_owners(&self, end: &End) -> Vec<InterfaceId> {
        let items = || end.hosts.iter().flat_map(|hosts| &hosts.items);
        let named = |&id: &InterfaceId| {
            let by = |negated| items().any(|item| item.negated == negated && self.is_meant(id, &item.host));
            by(false) && !by(true)
        };
        self.owners().into_iter().filter(named).collect()
    }

    /// Those that it means by name.
    pub(super) fn owners_by_name(&self, end: &End) -> Vec<InterfaceId> {
        let items = || end.hosts.iter().flat_map(|hosts| &hosts.items);
        let named = |&id: &InterfaceId| {
            items().any(|item| !item.negated && item.host != Host::Itself && self.is_meant(id, &item.host))
        };
        self.owners().into_iter().filter(named).collect()
    }

    /// Whether a host is the machine itself, or the addresses of that interface by name.
    fn is_meant(&self, interface: InterfaceId, host: &Host) -> bool {
        let context = self.network.engine().context();
        match host {
            Host::Itself => true,
            Host::Named(name, modifiers) => {
                let of_addresses = Modifiers {
                    no_alias: false,
                    ..*modifiers
                } == Modifiers::default();
                let is_zone = self.all().iter().any(|zone| zone.name == *name);
                let interface = context.interfaces.get(interface);
                of_addresses
                    && !is_zone
                    && interface.is_some_and(|one| context.members(name).iter().any(|member| member.name == one.name))
            }
            Host::Any | Host::Prefix(_) | Host::Table(_) => false,
        }
    }

    /// What the machine sends by any interface from that one's unknown address.
    fn sent_by_unknown(&self, interface: InterfaceId) -> PacketSet {
        self.really_sent(self.sent_from(|_, family| self.network.unknown_own(interface, family)))
    }

    /// What of it there is when the machine sends: without a tag, for instance.
    fn really_sent(&self, packets: PacketSet) -> PacketSet {
        let space = self.network.engine().space();
        packets.intersection(&space.sent(self.network.interfaces()))
    }

    /// Packets to that interface's unknown address.
    fn to_unknown(&self, interface: InterfaceId) -> PacketSet {
        self.with_values(Field::Destination, interface, &Family::BOTH.map(whole))
    }

    /// Headers of packets to that interface's unknown address that the machine has taken in.
    fn at_machine(&self, interface: InterfaceId) -> PacketSet {
        let space = self.network.engine().space();
        let arrived = space.arriving(self.network.interfaces());
        let arrived = arrived.boxes().iter().cloned().map(|part| part.without(Field::Tag));
        arrived.collect::<PacketSet>().intersection(&self.to_unknown(interface))
    }
}

fn guess(interface: InterfaceId, field: Field, packets: PacketSet, ends: Option<PacketSet>) -> Guess {
    Guess {
        interface,
        field,
        packets,
        ends,
        elsewhere: false,
    }
}

/// The packets with the ports of that end.
fn with_ports(packets: PacketSet, field: Field, end: &End) -> PacketSet {
    match port_numbers(&end.ports) {
        Some(ports) => {
            let parts = packets.boxes().iter();
            parts.filter_map(|part| part.clone().with(field, &ports)).collect()
        }
        None => packets,
    }
}
