//! Which packets offend a statement: the questions to the engine.

use super::expectation::{Expected, resolve};
use super::found::{Found, MOST_OFFENCES, Offence};
use super::guessing;
use super::judge::Case;
use super::outcome::Why;
use super::through::getting_through;
use crate::context::Interface;
use crate::diagnostic::Diagnostic;
use crate::engine::{
    Class, Condition, End, Engine, Field, Goal, PacketBox, PacketSet, Place, Question, Undecided, Unknown, Value,
};
use crate::net::{Direction, Family, RangeSet};
use crate::policy::ast::{self, Closed, Demand, Packets, Statement};
use crate::policy::{Excuse, Excuses, Guess, Zones};
use crate::ruleset::{Name, Pool, PoolAddress, Rule, RuleId, Translation};
use crate::source::Span;

/// How many classes of passing packets are looked at for replies and expectations of one statement.
const MOST_CLASSES: usize = 20_000;

/// The packets that count only if a network that is not known holds an address of theirs, or does not.
#[derive(Clone, Copy)]
struct Hanging<'a> {
    /// Those that count where they arrive only if the network there holds their source.
    arriving: &'a PacketSet,
    /// Those that do only if no other network holds it.
    by_address: &'a PacketSet,
    /// Those that do only if a network holds their destination.
    leading: &'a PacketSet,
}

/// All that a search needs besides the statement.
pub(super) struct Searcher<'a> {
    pub(super) engine: &'a Engine<'a>,
    pub(super) zones: &'a Zones<'a>,
    /// The only packets that may get through and must not, where that is known.
    pub(super) among: Option<&'a PacketSet>,
}

impl<'a> Searcher<'a> {
    pub(super) fn new(case: Case<'a>) -> Self {
        Self {
            engine: case.engine,
            zones: case.zones,
            among: None,
        }
    }
}

impl Searcher<'_> {
    /// The packets that offend the statement.
    pub(super) fn offences(&self, statement: &Statement) -> Result<Found, Box<Diagnostic>> {
        let mut found = self.offending(statement)?;
        if found.more && found.offences.is_empty() {
            // INVARIANT: what was not looked at, because of others that do not count after all, is never taken for held.
            found.undecided(Undecided::Steps);
        }
        Ok(found)
    }

    fn offending(&self, statement: &Statement) -> Result<Found, Box<Diagnostic>> {
        match &statement.demand {
            Demand::Require(packets, expectations) => {
                let selection = self.zones.flows_of(statement)?;
                let expected = expectations
                    .iter()
                    .map(|expectation| resolve(expectation, self.zones))
                    .collect::<Result<Vec<_>, _>>()?;
                let region = selection.packets.minus(self.zones.never_taken());
                let hanging = Hanging {
                    arriving: &selection.packets,
                    by_address: &selection.by_address,
                    leading: &selection.perhaps,
                };
                let mut found = self.with_unknown_networks(&region, Some(hanging), |region| {
                    self.required(region, &statement.demand, &expected, false)
                });
                found.vacuous = region.is_empty();
                for guess in self.zones.guessed_flows(packets)? {
                    let region = guess.packets.minus(self.zones.never_taken());
                    found.vacuous &= region.is_empty();
                    let hanging = Hanging {
                        arriving: &guess.packets,
                        ..hanging
                    };
                    let searched = self.with_unknown_networks(&region, Some(hanging), |region| {
                        self.required(region, &statement.demand, &expected, true)
                    });
                    guessing::add(&mut found, searched, &guess, self.zones.network(), false);
                }
                guessing::spare_from_machine(&mut found.offences, self.zones.network());
                for unknown in &selection.without {
                    found.hang_on(unknown, false);
                }
                found.depend_on(selection.unknown);
                found.expected = expected;
                Ok(found)
            }
            Demand::Forbid(packets) => {
                let (selection, ends) = self.zones.forbidden(packets)?;
                let region = selection.packets.clone();
                let vacuous = !region.boxes().iter().any(|part| self.may_end(part, &ends));
                // What arrives from a zone is the zone's, wherever its source lies.
                let hanging = Hanging {
                    arriving: &selection.by_address,
                    by_address: &selection.by_address,
                    leading: &PacketSet::empty(),
                };
                let mut found = self.with_unknown_networks(&region, Some(hanging), |region| {
                    self.passing(region, |question| question.ending_in(ends.clone()))
                });
                found.offences.retain(|Offence { class, .. }| {
                    let is_taken_in = class.journey.end == End::Local && self.is_to_unknown_self(class);
                    !is_taken_in || self.is_meant_by_address(class, &statement.demand)
                });
                self.add_translated_to_own(&mut found, packets)?;
                // What af-to makes of them may end where they themselves cannot.
                found.vacuous = vacuous && found.offences.is_empty();
                let guesses = self.zones.guessed_forbidden(packets)?;
                found.vacuous &= guesses.is_empty();
                self.guess(&mut found, guesses, Some(hanging), |question| question);
                guessing::settle_by_number(&mut found.offences, self.zones.network());
                for unknown in &selection.without {
                    found.hang_on(unknown, false);
                }
                found.depend_on(selection.unknown);
                found.ends = ends;
                Ok(found)
            }
            Demand::Allow(_) => {
                let excuse = self.zones.excused_by(statement)?;
                Ok(Found {
                    vacuous: excuse.arriving.is_empty()
                        && excuse.ending.is_empty()
                        && excuse.crossing.is_empty()
                        && excuse.unknown.is_empty()
                        && excuse.sent.is_empty()
                        && excuse.addressed.iter().all(|(_, packets)| packets.is_empty()),
                    ..Found::default()
                })
            }
            Demand::Closed(closed) => {
                let Excuses { surely, perhaps } = self.zones.excuses();
                // What `route-to` sends aside may be excused by what is not known: only what surely is excuses it.
                let is_settled = surely.unknown.is_empty();
                let mut found = self.unexcused(closed, perhaps, is_settled)?;
                if found.offences.is_empty() && !surely.unknown.is_empty() {
                    found = self.unexcused(closed, surely, true)?;
                    for unknown in &surely.unknown {
                        found.hang_on(unknown, false);
                    }
                } else {
                    // What is not excused after all offends besides.
                    found.depend_on(surely.unknown.clone());
                }
                found.depend_on(self.zones.unknown_of(closed));
                Ok(found)
            }
        }
    }

    /// Adds the packets of a `forbid` that rules translate to an address of the machine itself which is not known.
    fn add_translated_to_own(&self, found: &mut Found, packets: &Packets) -> Result<(), Box<Diagnostic>> {
        let owners = self.zones.named_owners(&packets.destination);
        let redirects = |(_, rule): (RuleId, &Rule)| match rule.translation.as_deref() {
            Some(Translation::Rdr { pool, .. } | Translation::NatAndRdr { rdr: pool, .. }) => is_dynamic(pool),
            Some(Translation::Af(af)) => af.destination.as_ref().is_some_and(is_dynamic),
            Some(Translation::Nat { .. }) | None => false,
        };
        if owners.is_empty() || !self.engine.ruleset().all_rules().any(redirects) {
            return Ok(());
        }
        let anywhere = Packets {
            destination: ast::End {
                hosts: None,
                ..packets.destination.clone()
            },
            ..packets.clone()
        };
        let (selection, ends) = self.zones.forbidden(&anywhere)?;
        let names = self.engine.space();
        let is_own = |name: &Name| owners.iter().any(|&owner| names.interface_name(owner) == &**name);
        let counts = |class: &Class| {
            let ends = class.unknown_at_end(Field::Destination);
            class.journey.end == End::Local && ends.is_some_and(|(owner, _)| is_own(owner))
        };
        let hanging = Hanging {
            arriving: &selection.by_address,
            by_address: &selection.by_address,
            leading: &PacketSet::empty(),
        };
        let mut searched = self.with_unknown_networks(&selection.packets, Some(hanging), |region| {
            self.passing_where(region, |question| question.ending_in(ends.clone()), counts)
        });
        for Offence { class, .. } in &mut searched.offences {
            // What rules were loaded with it may have lost since.
            if let Some((owner, false)) = class.unknown_at_end(Field::Destination) {
                let loaded = Condition::by_itself(Unknown::Loaded(owner.clone()), true);
                class.conditions.push(loaded);
            }
        }
        found.add(searched);
        Ok(())
    }

    /// The packets that offend a `closed` where those are excused; `aside`: with those to addresses of the machine that are not
    /// known which `route-to` sends elsewhere.
    fn unexcused(&self, closed: &Closed, excuses: &Excuse, aside: bool) -> Result<Found, Box<Diagnostic>> {
        let (region, ends) = self.zones.closed(closed)?;
        let unexcused = |question: Question| {
            let question = question.except(&excuses.arriving).except_ending_in(&excuses.ending);
            let crossing = excuses.crossing.iter();
            crossing.fold(question, |question, (first, last)| question.except_flows(first, last))
        };
        let mut found = self.getting_through(&region, |question| match &ends {
            Some(ends) => unexcused(question).ending_in(ends.clone()),
            None => unexcused(question),
        });
        let guesses = match closed {
            Closed::All | Closed::To(_) => self.zones.guessed_sent(ends.as_ref()),
            Closed::From(_) => Vec::new(),
        };
        for guess in guesses {
            let own = excuses.sent.iter().filter(|sent| sent.interface == guess.interface);
            let own: Vec<_> = own.cloned().collect();
            self.guess(&mut found, vec![guess], None, |question| {
                own.iter().fold(unexcused(question), |question, sent| {
                    question.except(&sent.arriving).except_ending_in(&sent.ending)
                })
            });
        }
        let taken = match closed {
            Closed::All | Closed::From(_) => self.zones.guessed_taken(&region),
            Closed::To(_) => Vec::new(),
        };
        let (arriving, ending) = &excuses.certain;
        let unexcused = |question: Question| question.except(arriving).except_ending_in(ending);
        self.guess(&mut found, taken, None, unexcused);
        let aside = aside.then(|| self.zones.guessed_aside(&region, ends.as_ref()));
        if let Some(aside) = aside.filter(|aside| !aside.is_empty()) {
            let (arriving, ending) = self.zones.certain_beside_zones();
            for guess in aside {
                let own = excuses.addressed.iter().filter(|(id, _)| *id == guess.interface);
                let own: Vec<_> = own.map(|(_, packets)| packets.clone()).collect();
                self.guess(&mut found, vec![guess], None, |question| {
                    let question = question.except(&arriving).except_ending_in(&ending);
                    own.iter().fold(question, Question::except)
                });
            }
        }
        let mut add = |region: &PacketSet, ends: Option<PacketSet>, (network, holds): (Unknown, bool)| {
            let mut searched = self.getting_through(region, |question| match &ends {
                Some(ends) => unexcused(question).ending_in(ends.clone()),
                None => unexcused(question),
            });
            searched.hang_on(&network, holds);
            found.add(searched);
        };
        for (network, from) in self.zones.perhaps_arriving() {
            add(&region.intersection(&from), ends.clone(), (network, false));
        }
        for (network, to) in self.zones.perhaps_leaving() {
            let to = ends.as_ref().map_or(to.clone(), |ends| ends.intersection(&to));
            add(&region, Some(to), (network, true));
        }
        found.offences.retain(|offence| {
            !self.is_sent_as_excused(&offence.class, excuses) && !self.is_addressed_as_excused(&offence.class, excuses)
        });
        guessing::spare_named(&mut found.offences, &excuses.named, self.zones.network());
        guessing::settle_by_number(&mut found.offences, self.zones.network());
        Ok(found)
    }

    /// Whether packets of a class get through only if their source is an address that is not known, of an interface whose
    /// packets are excused.
    fn is_sent_as_excused(&self, class: &Class, excuses: &Excuse) -> bool {
        let context = self.engine.context();
        let interfaces = context.interfaces.iter().enumerate();
        let mut supposed = interfaces
            .filter(|(_, interface)| interface.has_unknown(class.region.family))
            .filter(|(_, interface)| class.supposes(Field::Source, interface, context, true))
            .map(|(id, _)| id)
            .peekable();
        let is_excused = |id| {
            let own = excuses.sent.iter().filter(|sent| sent.interface == id);
            let own = own.fold(PacketSet::empty(), |all, sent| all.union(sent.arriving.clone()));
            PacketSet::from(class.region.clone()).minus(&own).is_empty()
        };
        supposed.peek().is_some() && supposed.all(is_excused)
    }

    /// Whether packets of a class get through only if their destination is an address that is not known, of an interface to
    /// which they are excused.
    fn is_addressed_as_excused(&self, class: &Class, excuses: &Excuse) -> bool {
        let context = self.engine.context();
        let network = self.zones.network();
        let Some(first) = class.journey.hops.first().map(|hop| hop.place.interface()) else {
            return false;
        };
        // In another routing domain it is some host's.
        let mut addressed = excuses.addressed.iter();
        addressed.any(|(id, packets)| {
            let own = context.interfaces.get(*id);
            let may_be = network.unknown_own(*id, class.region.family);
            let region = class.region.clone().with(Field::Destination, &may_be);
            network.in_one_domain(*id, first)
                && own.is_some_and(|own| class.supposes(Field::Destination, own, context, true))
                && region.is_none_or(|region| PacketSet::from(region).minus(packets).is_empty())
        })
    }

    /// Whether packets of that box may come to one of those ends, by what the network stack does: all that arrives ends at
    /// a machine that does not forward.
    fn may_end(&self, part: &PacketBox, ends: &PacketSet) -> bool {
        let network = self.zones.network();
        let space = self.engine.space();
        let is_sent = || {
            let part: PacketSet = [part.clone()].into_iter().collect();
            !part.intersection(&space.sent(network.interfaces())).is_empty()
        };
        let is_taken = |end: &PacketBox| !network.taken(end.family).is_disjoint(&end.numbers(Field::Destination));
        let leaves = self.engine.context().forwards(part.family) || is_sent();
        let comes = |family| family == part.family || self.zones.crosses_to(family);
        let mut ends = ends.boxes().iter().filter(|end| comes(end.family));
        ends.any(|end| leaves || is_taken(end))
    }

    /// Adds the packets of those guesses that get through.
    fn guess(
        &self,
        found: &mut Found,
        guesses: Vec<Guess>,
        hanging: Option<Hanging<'_>>,
        narrow: impl Fn(Question) -> Question,
    ) {
        for guess in guesses {
            let searched = self.with_unknown_networks(&guess.packets, hanging, |region| {
                self.passing(region, |question| match &guess.ends {
                    Some(ends) => narrow(question).ending_in(ends.clone()),
                    None => narrow(question),
                })
            });
            let arrives = guess.field == Field::Destination;
            guessing::add(found, searched, &guess, self.zones.network(), arrives);
        }
    }

    /// The packets of the region that get through. Those that could have gone without the machine do not count; what it
    /// sends by an interface only if the network there holds the destination does on that condition.
    fn getting_through(&self, region: &PacketSet, narrow: impl Fn(Question) -> Question) -> Found {
        self.with_unknown_networks(region, None, |region| self.passing(region, &narrow))
    }

    fn passing(&self, region: &PacketSet, narrow: impl Fn(Question) -> Question) -> Found {
        self.passing_where(region, narrow, |_| true)
    }

    fn passing_where(
        &self,
        region: &PacketSet,
        narrow: impl Fn(Question) -> Question,
        counts: impl Fn(&Class) -> bool,
    ) -> Found {
        let mut found = Found::default();
        let among = self.among.map(|among| region.intersection(among));
        for classes in getting_through(self.engine, self.zones, among.as_ref().unwrap_or(region), narrow) {
            found.collect(classes, &Why::GetsThrough, &counts);
        }
        found
    }

    /// The packets of the region that do not get through, or not as required; `to_itself`: they are to the machine itself, whose
    /// address is not known.
    fn required(&self, region: &PacketSet, demand: &Demand, expected: &[Expected], to_itself: bool) -> Found {
        let mut found = Found::default();
        let mut amiss = Found::default();
        let all = Question::new(region.clone(), Goal::Any).without_copies();
        let mut passing = 0;
        let is_meant = |class: &Class| class.journey.end != End::Local && self.is_meant_by_address(class, demand);
        for class in self.engine.classes(all) {
            match class {
                Err(undecided) => found.undecided(undecided),
                Ok(class) if self.is_from_unknown_self(&class) => {}
                Ok(class) if !to_itself && self.is_to_unknown_self(&class) && !is_meant(&class) => {}
                Ok(class) if !class.journey.gets_through() => {
                    // A destination without a route holds, if no rule has made it one.
                    let is_stopped = class.journey.end != End::NoRoute || self.is_sent_elsewhere(&class);
                    if is_stopped && !found.offend(&Why::Stopped, class) {
                        break;
                    }
                }
                Ok(_) if passing >= MOST_CLASSES || amiss.offences.len() >= MOST_OFFENCES => {
                    found.more = true;
                    // INVARIANT: what was not looked at is never taken for held.
                    found.undecided(Undecided::Steps);
                    break;
                }
                Ok(class) => {
                    passing += 1;
                    if self.leaves_for_itself(&class, to_itself) {
                        let why = "where the next hop sends what `route-to` takes from the machine itself is not known";
                        found.undecided(Undecided::Unmodelled(why.to_owned()));
                    }
                    self.as_required(&class, expected, &mut amiss);
                }
            }
        }
        found.add(amiss);
        found
    }

    /// What is found of packets, those apart that are where they are only if a network that is not known holds an address
    /// of theirs, or does not: these offend on that condition. They are what the machine sends, and what hangs on it.
    fn with_unknown_networks(
        &self,
        region: &PacketSet,
        hanging: Option<Hanging<'_>>,
        find: impl Fn(&PacketSet) -> Found,
    ) -> Found {
        let network = self.zones.network();
        let (mut found, mut sure) = (Vec::new(), region.clone());
        let mut set_apart = |there: PacketSet, networks: &[(Name, bool)]| {
            if networks.is_empty() {
                return;
            }
            let part = sure.intersection(&there);
            if part.is_empty() {
                return;
            }
            sure = sure.minus(&part);
            let mut searched = find(&part);
            for (name, holds) in networks {
                searched.hang_on(&Unknown::Network(name.clone()), *holds);
            }
            found.push(searched);
        };
        for (id, family) in network
            .interfaces()
            .flat_map(|id| Family::BOTH.map(|family| (id, family)))
        {
            let with = |field, addresses: &RangeSet| PacketBox::all(family).with(field, addresses);
            let at = |place, field, addresses: &RangeSet| {
                let place = RangeSet::single(self.engine.space().number(place));
                let there = with(field, addresses).and_then(|there| there.with(Field::Place, &place));
                PacketSet::from_iter(there)
            };
            let here = self.engine.context().interfaces.get(id);
            let here: Vec<_> = here.map(|own| (own.name.as_str().into(), true)).into_iter().collect();
            let there = network.perhaps_routed(id, family);
            let elsewhere = network.perhaps_elsewhere(id, family);
            let others = network.unknown_beside(id, family);
            let others: Vec<_> = others.map(|other| (other.name.as_str().into(), false)).collect();
            if let Some(hanging) = hanging {
                let arrive = Place::In(id);
                set_apart(at(arrive, Field::Source, &there).intersection(hanging.arriving), &here);
                let from_elsewhere = at(arrive, Field::Source, &elsewhere);
                set_apart(from_elsewhere.intersection(hanging.by_address), &others);
                let to_there: PacketSet = with(Field::Destination, &there).into_iter().collect();
                set_apart(to_there.intersection(hanging.leading), &here);
            }
            let sent = Place::Out { on: id, received: None };
            set_apart(at(sent, Field::Destination, &there), &here);
            set_apart(at(sent, Field::Destination, &elsewhere), &others);
        }
        let mut all = find(&sure);
        for searched in found {
            all.add(searched);
        }
        guessing::spare_own(&mut all.offences, network);
        all
    }

    /// Whether packets of a class leave that are addressed to the machine itself; what arrives `to_itself` is.
    fn leaves_for_itself(&self, class: &Class, to_itself: bool) -> bool {
        let (Some(first), Some(last)) = (class.journey.hops.first(), class.journey.hops.last()) else {
            return false;
        };
        let network = self.zones.network();
        let (on, family) = (first.place.interface(), class.region.family);
        let context = self.engine.context();
        let is_another = |known| class.supposes(Field::Destination, known, context, false);
        let own = match first.place {
            // Where the stack has looked for it, it is no address of the machine.
            Place::In(_) if to_itself && !context.interfaces.iter().any(is_another) => network.perhaps_own(on, family),
            Place::In(_) | Place::Out { .. } => network.own_beside(on, family).clone(),
        };
        matches!(class.journey.end, End::Leaves(_))
            && last.ends.destination == Value::Same
            && class.region.numbers(Field::Destination).is_subset(&own)
    }

    /// Whether a rule has given packets of a class another destination, or another routing table.
    fn is_sent_elsewhere(&self, class: &Class) -> bool {
        let interfaces = &self.engine.context().interfaces;
        class.journey.hops.iter().any(|hop| {
            let usual = interfaces.get(hop.place.interface()).map(|here| here.rdomain);
            hop.ends.destination != Value::Same
                || hop.ends.family != class.region.family
                || hop.rtable.is_some() && hop.rtable != usual
        })
    }

    /// Whether packets of a class arrive only if their source is an address of the machine itself that is not known: no host of a
    /// zone sends them.
    fn is_from_unknown_self(&self, class: &Class) -> bool {
        let arrives = class.journey.hops.first().map(|hop| hop.place.direction()) == Some(Direction::In);
        arrives && self.owners(class, Field::Source).next().is_some()
    }

    /// Whether packets of a class arrive only if their destination is an address of the machine itself that is not known: they are
    /// to no host of a zone.
    fn is_to_unknown_self(&self, class: &Class) -> bool {
        let Some(Place::In(on)) = class.journey.hops.first().map(|hop| hop.place) else {
            return false;
        };
        // In another routing domain, or of an interface that is down, it is the machine's only if the stack has found it so.
        let here = self.engine.context().interfaces.get(on);
        let is_own = |own: &Interface| !own.down && here.is_some_and(|here| here.rdomain == own.rdomain);
        let mut owners = self.owners(class, Field::Destination);
        owners.any(|own| class.journey.end == End::Local || is_own(own))
    }

    /// Whether an address that packets of a class are to is one that the statement means whosever it is.
    fn is_meant_by_address(&self, class: &Class, demand: &Demand) -> bool {
        let meant = self.zones.meant_by_address(demand, class.region.family);
        !class.region.numbers(Field::Destination).is_disjoint(&meant)
    }

    /// The interfaces of which an address that is not known is that end of the packets of a class, as they first were.
    fn owners<'c>(&'c self, class: &'c Class, end: Field) -> impl Iterator<Item = &'c Interface> {
        let context = self.engine.context();
        let unknown = context
            .interfaces
            .iter()
            .filter(|own| own.has_unknown(class.region.family));
        unknown.filter(move |own| class.supposes(end, own, context, true))
    }

    fn as_required(&self, class: &Class, expected: &[Expected], found: &mut Found) {
        let context = self.engine.context();
        let arrives = class.journey.hops.first().and_then(|hop| match hop.place {
            Place::In(on) => context.interfaces.get(on),
            Place::Out { .. } => None,
        });
        // From the machine's own addresses nothing arrives, nor from a network behind another interface: as with those
        // that are known, no zone has them there.
        let comes = |reply: &Class| !arrives.is_some_and(|on| reply.follows_to_unknown(context, on.rdomain));
        found.collect(self.engine.replies(class, Goal::Stopped), &Why::ReplyStopped, comes);
        let mut pieces: Vec<Piece> = vec![(class.region.clone(), Vec::new())];
        for (at, expectation) in expected.iter().enumerate() {
            let unmet = match expectation.unmet(class, self.engine) {
                Ok(unmet) => unmet,
                Err(reason) => {
                    found.undecided(Undecided::Unmodelled(reason));
                    continue;
                }
            };
            pieces = split(pieces, &unmet, (at, expectation.span));
        }
        for (region, failed) in pieces.into_iter().filter(|(_, failed)| !failed.is_empty()) {
            let mut class = class.clone();
            class.region = region;
            found.offences.push(Offence {
                why: Why::Unexpected(failed),
                class,
                implied: Vec::new(),
            });
        }
    }
}

/// Packets and the expectations that they fail: the numbers, and their places.
type Piece = (PacketBox, Vec<(usize, Span)>);

/// The pieces, those packets apart from the others: they fail one more expectation.
fn split(pieces: Vec<Piece>, unmet: &[PacketBox], expectation: (usize, Span)) -> Vec<Piece> {
    let mut after = Vec::new();
    for (region, failed) in pieces {
        let both = unmet.iter().filter_map(|part| region.intersection(part));
        let more: Vec<_> = failed.iter().copied().chain([expectation]).collect();
        after.extend(both.map(|part| (part, more.clone())));
        let rest = unmet.iter().fold(vec![region], |rest, part| {
            rest.iter().flat_map(|piece| piece.minus(part)).collect()
        });
        after.extend(rest.into_iter().map(|piece| (piece, failed.clone())));
    }
    after
}

/// Whether it gives addresses of interfaces, looked up when a packet comes or not known from when the rules were loaded.
fn is_dynamic(pool: &Pool) -> bool {
    matches!(pool.address, PoolAddress::Dynamic(_))
}
