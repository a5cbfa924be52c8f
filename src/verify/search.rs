//! Which packets offend a statement: the questions to the engine.

use super::expectation::{Expected, resolve};
use super::judge::Case;
use super::outcome::{Doubt, Why};
use crate::diagnostic::Diagnostic;
use crate::engine::{Class, End, Engine, Field, Goal, PacketSet, Place, Question, Undecided, Unknown, Value};
use crate::policy::ast::{Demand, Statement};
use crate::policy::{Excuse, Zones};

/// How many classes of offending packets are collected for one statement.
const MOST_OFFENCES: usize = 4000;
/// How many classes of passing packets are looked at for replies and expectations of one statement.
const MOST_CLASSES: usize = 20_000;

/// Packets that offend a statement, and how.
pub(super) struct Offence {
    pub(super) why: Why,
    pub(super) class: Class,
}

/// What the search for offences came to.
#[derive(Default)]
pub(super) struct Found {
    pub(super) offences: Vec<Offence>,
    /// Where the engine gave no answer, or the packets are not known.
    pub(super) doubts: Vec<Doubt>,
    /// Whether the search stopped before its end because of its length.
    pub(super) more: bool,
    /// Whether there is no such packet at all.
    pub(super) vacuous: bool,
}

impl Found {
    /// Adds the classes of a question; `false` where the search has to end.
    fn collect(
        &mut self,
        classes: impl Iterator<Item = Result<Class, Undecided>>,
        why: &Why,
        counts: impl Fn(&Class) -> bool,
    ) {
        for class in classes {
            match class {
                Ok(class) if counts(&class) => {
                    if self.offences.len() >= MOST_OFFENCES {
                        self.more = true;
                        return;
                    }
                    self.offences.push(Offence {
                        why: why.clone(),
                        class,
                    });
                }
                Ok(_) => {}
                Err(undecided) => self.undecided(undecided),
            }
        }
    }

    fn undecided(&mut self, undecided: Undecided) {
        let doubt = Doubt::Undecided(undecided);
        if !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }
}

/// All that a search needs besides the statement.
pub(super) struct Searcher<'a> {
    pub(super) engine: &'a Engine<'a>,
    pub(super) zones: &'a Zones<'a>,
    /// What `allow` and `require` excuse.
    pub(super) excuses: Excuse,
    pub(super) never_taken: PacketSet,
    pub(super) on_one_network: PacketSet,
}

impl<'a> Searcher<'a> {
    pub(super) fn new(case: Case<'a>, zones: &'a Zones<'a>) -> Self {
        let mut excuses = Excuse::default();
        for statement in &case.policy.statements {
            let (Demand::Require(packets, _) | Demand::Allow(packets)) = &statement.demand else {
                continue;
            };
            // Whoever asks about the statement itself hears of a name that is not known.
            if let Ok(excuse) = zones.excused(packets) {
                excuses.arriving = excuses.arriving.union(excuse.arriving);
                excuses.ending = excuses.ending.union(excuse.ending);
            }
        }
        Self {
            engine: case.engine,
            zones,
            excuses,
            never_taken: zones.never_taken(),
            on_one_network: zones.on_one_network(),
        }
    }
}

impl Searcher<'_> {
    /// The packets that offend the statement.
    pub(super) fn offences(&self, statement: &Statement) -> Result<Found, Box<Diagnostic>> {
        match &statement.demand {
            Demand::Require(packets, expectations) => {
                let selection = self.zones.flows(packets)?;
                let expected = expectations
                    .iter()
                    .map(|expectation| resolve(expectation, self.zones))
                    .collect::<Result<Vec<_>, _>>()?;
                let region = selection.packets.minus(&self.never_taken);
                let mut found = self.required(&region, &expected);
                found.vacuous = region.is_empty();
                self.add_tables(&mut found, selection.unknown_tables);
                Ok(found)
            }
            Demand::Forbid(packets) => {
                let (selection, ends) = self.zones.forbidden(packets)?;
                let region = selection.packets;
                let vacuous = !region
                    .boxes()
                    .iter()
                    .any(|part| !ends.of_family(part.family).is_empty());
                let mut found = self.getting_through(&region, |question| question.ending_in(ends.clone()));
                found.vacuous = vacuous;
                self.add_tables(&mut found, selection.unknown_tables);
                Ok(found)
            }
            Demand::Allow(packets) => {
                let excuse = self.zones.excused(packets)?;
                Ok(Found {
                    vacuous: excuse.arriving.is_empty() && excuse.ending.is_empty(),
                    ..Found::default()
                })
            }
            Demand::Closed(closed) => {
                let (region, ends) = self.zones.closed(closed)?;
                Ok(self.getting_through(&region, |question| {
                    let question = question
                        .except(&self.excuses.arriving)
                        .except_ending_in(&self.excuses.ending);
                    match &ends {
                        Some(ends) => question.ending_in(ends.clone()),
                        None => question,
                    }
                }))
            }
        }
    }

    fn add_tables(&self, found: &mut Found, tables: Vec<crate::ruleset::Name>) {
        found
            .doubts
            .extend(tables.into_iter().map(|name| Doubt::Packets(Unknown::Table(name))));
    }

    /// The packets of the region that get through. Those that could have gone without the machine do not count.
    fn getting_through(&self, region: &PacketSet, narrow: impl Fn(Question) -> Question) -> Found {
        let mut found = Found::default();
        let question = Question::new(region.clone(), Goal::GetsThrough)
            .except(&self.never_taken)
            .except_ending_in(&self.zones.network().never_ending());
        let elsewhere = narrow(question.except(&self.on_one_network));
        found.collect(self.engine.classes(elsewhere), &Why::GetsThrough, |_| true);
        let neighbours = region.intersection(&self.on_one_network);
        if !neighbours.is_empty() {
            let question = narrow(Question::new(neighbours, Goal::GetsThrough).except(&self.never_taken));
            found.collect(self.engine.classes(question), &Why::GetsThrough, |class| {
                !self.turns_back(class)
            });
        }
        found
    }

    /// Whether packets leave, untranslated, by the interface that they came in on.
    fn turns_back(&self, class: &Class) -> bool {
        let End::Leaves(out) = class.journey.end else {
            return false;
        };
        let arrived = class.region.limit(Field::Place).is_some_and(|places| {
            let number = self.engine.space().number(Place::In(out));
            places.ranges() == [(number, number)]
        });
        let untranslated = class.journey.hops.iter().all(|hop| {
            let ends = &hop.ends;
            [
                &ends.source,
                &ends.destination,
                &ends.source_port,
                &ends.destination_port,
            ]
            .iter()
            .all(|value| **value == Value::Same)
        });
        arrived && untranslated
    }

    /// The packets of the region that do not get through, or not as required.
    fn required(&self, region: &PacketSet, expected: &[Expected]) -> Found {
        let mut found = Found::default();
        let stopped = Question::new(region.clone(), Goal::Stopped);
        // A destination without a route holds: what keeps the packet away is no rule.
        let kept_away = |class: &Class| class.journey.end != End::NoRoute;
        found.collect(self.engine.classes(stopped), &Why::Stopped, kept_away);
        let passing = Question::new(region.clone(), Goal::GetsThrough).without_copies();
        for (at, class) in self.engine.classes(passing).enumerate() {
            if at >= MOST_CLASSES || found.offences.len() >= MOST_OFFENCES {
                found.more = true;
                // INVARIANT: what was not looked at is never taken for held.
                found.undecided(Undecided::Steps);
                break;
            }
            match class {
                Ok(class) => self.as_required(&class, expected, &mut found),
                Err(undecided) => found.undecided(undecided),
            }
        }
        found
    }

    fn as_required(&self, class: &Class, expected: &[Expected], found: &mut Found) {
        found.collect(self.engine.replies(class, Goal::Stopped), &Why::ReplyStopped, |_| true);
        for (at, expectation) in expected.iter().enumerate() {
            let why = Why::Unexpected(at, expectation.span);
            match expectation.is_met(class, self.engine) {
                Ok(true) => {}
                Ok(false) => found.offences.push(Offence {
                    why,
                    class: class.clone(),
                }),
                Err(reason) => found.undecided(Undecided::Unmodelled(reason)),
            }
        }
    }
}
