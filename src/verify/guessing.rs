//! Offences of packets from or to the machine itself whose address there is not known.
//!
//! They are asked for with every address. What cannot be, because it supposes that the address is another one, is left
//! out. An offence with every address is one; an offence with some hangs on the address.

use super::found::{Found, Offence};
use super::outcome::Why;
use crate::context::Interface;
use crate::engine::{Class, Condition, Field, InterfaceId, PacketBox, PacketSet, Place, Unknown};
use crate::net::{Family, RangeSet};
use crate::policy::{Guess, Network};
use crate::ruleset::Name;

/// How many offences are tried whether they are offences with every address.
const MOST_TRIALS: usize = 100;

/// Adds to what was found what a search for those packets came to; `arrives`: the packets offend by reaching the machine.
pub(super) fn add(found: &mut Found, searched: Found, guess: &Guess, network: &Network<'_>, arrives: bool) {
    let context = network.engine().context();
    let Some(interface) = context.interfaces.get(guess.interface) else {
        return;
    };
    let is_so = |offence: &Offence| {
        let class = &offence.class;
        let supposes = |holds| class.supposes(guess.field, interface, context, holds);
        // Where replies go, they have their translation behind them: to where the packets came from.
        let is_back = offence.why == Why::ReplyStopped && guess.field == Field::Source;
        let lost = is_back && class.supposes_later(Field::Destination, interface, context, false);
        !supposes(false) && !lost && (!arrives || supposes(true))
    };
    let mut offences: Vec<Offence> = searched.offences.into_iter().filter(is_so).collect();
    if guess.elsewhere {
        let network = Unknown::Network(Name::from(interface.name.as_str()));
        let outside = Condition::by_itself(network, false);
        let conditions = offences.iter_mut().map(|offence| &mut offence.class.conditions);
        conditions.for_each(|conditions| conditions.push(outside.clone()));
    }
    let with_every = offends_with_every(&offences, guess, interface, network);
    for offence in &mut offences {
        // The evaluator knows no address either: what it says of the packet hangs on it.
        let condition = address_of(interface);
        let by_itself = offence.class.asks_only_of(guess.field, interface);
        if !offence.class.conditions.contains(&condition) {
            offence.class.conditions.push(condition.clone());
        }
        offence.implied = Some(condition)
            .filter(|_| with_every && by_itself)
            .into_iter()
            .collect();
    }
    found.offences.extend(offences);
    for doubt in searched.doubts {
        if !found.doubts.contains(&doubt) {
            found.doubts.push(doubt);
        }
    }
    found.more |= searched.more;
}

/// The condition that an address is that of the interface.
fn address_of(interface: &Interface) -> Condition {
    Condition::by_itself(Unknown::Address(Name::from(interface.name.as_str())), true)
}

/// Says of packets that arrive on an interface whose address is excused by name: from one address alone they may be excused,
/// if that is the interface's, not known.
pub(super) fn spare_named(offences: &mut [Offence], named: &[InterfaceId], network: &Network<'_>) {
    spare_from_own(offences, named, network, |on, id| on == id);
}

/// Says of packets that hosts send: from one address alone there may be none, if that is the machine's own, not known.
pub(super) fn spare_from_machine(offences: &mut [Offence], network: &Network<'_>) {
    let interfaces = &network.engine().context().interfaces;
    let rdomain = |id: InterfaceId| interfaces.get(id).map(|known| known.rdomain);
    let all: Vec<InterfaceId> = network.interfaces().collect();
    spare_from_own(offences, &all, network, |on, id| rdomain(on) == rdomain(id));
}

fn spare_from_own(
    offences: &mut [Offence],
    owners: &[InterfaceId],
    network: &Network<'_>,
    counts: impl Fn(InterfaceId, InterfaceId) -> bool,
) {
    let interfaces = &network.engine().context().interfaces;
    for (&id, family) in owners.iter().flat_map(|id| Family::BOTH.map(|family| (id, family))) {
        let arrives = |offence: &&mut Offence| {
            let first = offence.class.journey.hops.first().map(|hop| hop.place);
            let here = matches!(first, Some(Place::In(on)) if counts(on, id));
            here && offence.class.region.family == family
        };
        let mut arriving: Vec<&mut Offence> = offences.iter_mut().filter(arrives).collect();
        let sources = arriving
            .iter()
            .map(|offence| offence.class.region.numbers(Field::Source));
        let sources = sources.fold(RangeSet::empty(), |all, sources| all.union(&sources));
        if sources.len() == 1 && sources.is_subset(&network.unknown_own(id, family)) {
            arriving
                .iter_mut()
                .for_each(|offence| hang_on_another(offence, interfaces.get(id)));
        }
    }
}

/// Says of an offence that it is one only if no address of it is that of the interface.
fn hang_on_another(offence: &mut Offence, interface: Option<&Interface>) {
    let Some(interface) = interface else { return };
    let condition = Condition {
        holds: false,
        ..address_of(interface)
    };
    if !offence.class.conditions.contains(&condition) {
        offence.class.conditions.push(condition);
    }
}

/// Leaves out packets that the machine sends to an address of its own, which is not known; says of those that it sends to so
/// few addresses that all may be its own: if so none leaves.
pub(super) fn spare_own(offences: &mut Vec<Offence>, network: &Network<'_>) {
    let context = network.engine().context();
    let interfaces = &context.interfaces;
    let rdomain = |id: InterfaceId| interfaces.get(id).map(|known| known.rdomain);
    let sent_by = |offence: &Offence| match offence.class.journey.hops.first()?.place {
        Place::Out { on, received: None } if offence.why != Why::ReplyStopped => Some(on),
        Place::In(_) | Place::Out { .. } => None,
    };
    offences.retain(|offence| {
        let mut own = interfaces
            .iter()
            .filter(|own| Some(own.rdomain) == sent_by(offence).and_then(rdomain));
        !own.any(|own| offence.class.supposes(Field::Destination, own, context, true))
    });
    for (first, family) in network
        .interfaces()
        .flat_map(|id| Family::BOTH.map(|family| (id, family)))
    {
        let is_first = network.interfaces().find(|&id| rdomain(id) == rdomain(first)) == Some(first);
        let owners = network.interfaces().filter(|&id| rdomain(id) == rdomain(first));
        let owners = owners.map(|id| (id, network.unknown_own(id, family)));
        let owners: Vec<_> = owners.filter(|(_, own)| !own.is_empty()).collect();
        if !is_first || owners.is_empty() {
            continue;
        }
        let is_sent = |offence: &&mut Offence| {
            let here = sent_by(offence).is_some_and(|on| rdomain(on) == rdomain(first));
            here && offence.class.region.family == family
        };
        let mut sent: Vec<&mut Offence> = offences.iter_mut().filter(is_sent).collect();
        let to = |offence: &Offence| offence.class.region.numbers(Field::Destination);
        let all = sent
            .iter()
            .fold(RangeSet::empty(), |all, offence| all.union(&to(offence)));
        if all.len() > owners.len() as u128 {
            continue;
        }
        for offence in &mut sent {
            let to = to(offence);
            let owners = owners.iter().filter(|(_, own)| !own.is_disjoint(&to));
            owners.for_each(|(id, _)| hang_on_another(offence, interfaces.get(*id)));
        }
    }
}

/// Says of offences of more packets than the machine has addresses that are not known: the ends of some are surely none of these.
pub(super) fn settle_by_number(offences: &mut [Offence], network: &Network<'_>) {
    let context = network.engine().context();
    let open = offences
        .iter_mut()
        .filter(|one| one.implied.is_empty() && !one.class.own_reverse && one.why == Why::GetsThrough);
    for offence in open {
        let class = &offence.class;
        let family = class.region.family;
        let shunned = class.conditions.iter().filter(|one| one.shunned().is_some());
        let shunned: Vec<Condition> = shunned.cloned().collect();
        let Some(asked) = class.shuns(context).filter(|_| !shunned.is_empty()) else {
            continue;
        };
        // What the packets are asked for may hang on either end, too.
        let named = shunned.iter().filter_map(Condition::shunned);
        let named = named.filter_map(|name| context.interface(name));
        let unknown = named.flat_map(|one| one.addresses_of(family).filter(|address| address.known().is_none()));
        let least = unknown.count();
        let own = network.interfaces().map(|id| network.unknown_own(id, family));
        let own = own.fold(RangeSet::empty(), |all, own| all.union(&own));
        let mut ends = [Field::Source, Field::Destination].into_iter().zip(asked);
        if ends.all(|(end, asked)| {
            let numbers = class.region.numbers(end);
            numbers.len() > asked.max(least) as u128 || numbers.is_disjoint(&own)
        }) {
            offence.implied = shunned;
        }
    }
}

/// Whether one network of an interface may have all of them: none has a shorter prefix than four bits.
fn fit_one_network(addresses: &RangeSet, family: Family) -> bool {
    let differ = addresses
        .first()
        .zip(addresses.last())
        .map_or(0, |(first, last)| first ^ last);
    differ >> (family.bits() - 4) == 0
}

/// The class, on the condition that its two ends are in no one network of that interface, where that is not known.
pub(super) fn unless_neighbours(mut class: Class, on: InterfaceId, network: &Network<'_>) -> Class {
    let family = class.region.family;
    let [source, destination] = [Field::Source, Field::Destination].map(|end| class.region.numbers(end));
    let ends = match class.own_reverse {
        true => source.clone(),
        false => source.union(&destination),
    };
    let may_hold = network.unknown_own(on, family);
    if fit_one_network(&ends, family) && !may_hold.is_disjoint(&source) && !may_hold.is_disjoint(&destination) {
        let name = network.engine().context().interfaces.get(on).map(|on| on.name.as_str());
        let outside = name.map(|name| Condition::by_itself(Unknown::Network(name.into()), false));
        class.conditions.extend(outside);
    }
    class
}

/// Whether one packet offends surely, whatever the address is.
fn offends_with_every(offences: &[Offence], guess: &Guess, interface: &Interface, network: &Network<'_>) -> bool {
    let implied = address_of(interface);
    let surely = || {
        let sure = |offence: &&Offence| {
            let class = &offence.class;
            !class.own_reverse
                && (!class.conditions.contains(&implied) || class.asks_only_of(guess.field, interface))
                && class
                    .conditions
                    .iter()
                    .all(|condition| condition.unknown.is_choice() || *condition == implied)
                && is_surely_routed(&class.region, guess.field, network)
        };
        offences.iter().filter(sure)
    };
    let all: PacketSet = surely().map(|offence| offence.class.region.clone()).collect();
    surely().take(MOST_TRIALS).any(|offence| {
        let region = &offence.class.region;
        let one = PacketBox::of(&region.least());
        let every: RangeSet = network.unknown_own(guess.interface, region.family);
        let with_every = one.replaced(guess.field, &every);
        let with_every: PacketSet = with_every.into_iter().collect();
        !with_every.is_empty() && with_every.minus(&all).is_empty()
    })
}

/// Whether packets that the machine sends surely go by the interface where they are met: no network that is not known
/// may lead them elsewhere.
fn is_surely_routed(region: &PacketBox, field: Field, network: &Network<'_>) -> bool {
    let space = network.engine().space();
    let family = region.family;
    let places = region.numbers(Field::Place);
    let places = places.first().and_then(|number| space.place(number));
    let Some(Place::Out { on, received: None }) = places else {
        return field == Field::Destination;
    };
    let interfaces = network.engine().context().interfaces.iter().enumerate();
    let mut open = interfaces.filter(|(id, interface)| *id != on && interface.has_unknown(family));
    let nets = network.networks(on, family).iter();
    let nets = nets.fold(RangeSet::empty(), |all, net| all.union(net));
    region.numbers(Field::Destination).is_subset(&nets) || network.is_default(on, family) && open.next().is_none()
}
