//! Which rules a policy speaks about: those that decide packets of which some statement says something.
//!
//! Asked rule by rule: of the packets of one hop that the rule decides those that may have arrived so and that a
//! statement is about are followed through the machine, until one of them is decided by the rule.

use std::cell::Cell;

use super::judge::Case;
use crate::engine::{Class, Decider, Engine, Field, Goal, PacketBox, PacketSet, Place, Question};
use crate::net::RangeSet;
use crate::policy::Zones;
use crate::policy::ast::Demand;
use crate::ruleset::{Action, RuleId, Ruleset};

/// Rulesets with more rules are not asked.
const MOST_RULES: usize = 2000;
/// How many classes of packets are looked at for one rule, and for one statement.
const MOST_CLASSES: usize = 64;
/// How many steps the classes of one rule may take, and those of all.
const STEPS_OF_ONE: u64 = 5_000;
const STEPS: u64 = 100_000;
/// How many questions about statements may be asked, and how many steps one may take.
const MOST_QUESTIONS: usize = 1000;
const STEPS_OF_QUESTION: u64 = 2_000;

/// Which pass rules the policy constrains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The pass rules of the main ruleset that decide only packets of which no statement speaks.
    pub silent: Vec<RuleId>,
    /// How many pass rules decide something.
    pub all: usize,
    /// Of how many it was not found out whether a statement speaks of them: too much to look at.
    pub unknown: usize,
}

/// The packets of a statement as they arrive and, if it is about those, their headers at the end.
struct Speech {
    arriving: PacketSet,
    ends: Option<PacketSet>,
}

/// The pass rules that no statement constrains; `None` where finding them would take too long.
pub(super) fn coverage(case: Case<'_>, zones: &Zones<'_>) -> Option<Coverage> {
    let engine = case.engine;
    if engine.ruleset().rules(Ruleset::MAIN).len() > MOST_RULES {
        return None;
    }
    let rules = || engine.ruleset().all_rules().map(|(_, rule)| rule);
    let listener = Listener {
        engine,
        speeches: case
            .policy
            .statements
            .iter()
            .map(|statement| speech(&statement.demand, zones))
            .collect::<Option<_>>()?,
        translates: rules().any(|rule| rule.translation.is_some()),
        tags: rules().any(|rule| rule.tagged.is_some()),
        questions: Cell::new(MOST_QUESTIONS),
    };
    let mut coverage = Coverage::default();
    let mut steps = STEPS;
    for (number, rule) in engine.ruleset().rules(Ruleset::MAIN).iter().enumerate() {
        if rule.action != Action::Pass {
            continue;
        }
        let id = RuleId {
            anchor: Ruleset::MAIN.into(),
            number,
        };
        let given = steps.min(STEPS_OF_ONE);
        let mut decided = engine.decided_by(&id, given);
        let (mut decides, mut spoken_of) = (false, Spoken::No);
        for class in decided.by_ref().take(MOST_CLASSES) {
            decides = true;
            spoken_of = match class {
                Ok(class) => listener.speaks_of(&class.region, &id)?,
                Err(_) => Spoken::Unknown,
            };
            if spoken_of != Spoken::No {
                break;
            }
        }
        if spoken_of == Spoken::No && decided.next().is_some() {
            spoken_of = Spoken::Unknown;
        }
        steps -= given - decided.steps_left();
        if steps == 0 {
            return None;
        }
        coverage.all += usize::from(decides);
        match spoken_of {
            Spoken::Yes => {}
            Spoken::Unknown => coverage.unknown += 1,
            Spoken::No if decides => coverage.silent.push(id),
            Spoken::No => {}
        }
    }
    Some(coverage)
}

fn speech(demand: &Demand, zones: &Zones<'_>) -> Option<Speech> {
    let (arriving, ends) = match demand {
        Demand::Require(packets, _) | Demand::Allow(packets) => (zones.excused(packets).ok()?.arriving, None),
        Demand::Forbid(packets) => {
            let (selection, ends) = zones.forbidden(packets).ok()?;
            (selection.packets, Some(ends))
        }
        Demand::Closed(closed) => zones.closed(closed).ok()?,
    };
    Some(Speech { arriving, ends })
}

/// Whether a statement speaks of something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Yes,
    No,
    Unknown,
}

struct Listener<'a> {
    engine: &'a Engine<'a>,
    speeches: Vec<Speech>,
    /// Whether some rule translates: then the ends of a packet on its way out do not show how it arrived.
    translates: bool,
    /// Whether some rule asks for tags: then the tag does not show it.
    tags: bool,
    /// How many questions may still be asked.
    questions: Cell<usize>,
}

impl Listener<'_> {
    /// Whether some statement speaks of a packet of the box, which is about one hop, that the rule decides; `None` where
    /// all the questions are used up.
    fn speaks_of(&self, region: &PacketBox, rule: &RuleId) -> Option<Spoken> {
        let space = self.engine.space();
        let places = region
            .numbers(Field::Place)
            .intersection(&RangeSet::range(0, space.places().saturating_sub(1)));
        let numbers = places.ranges().iter().flat_map(|&(first, last)| first..=last);
        let at = numbers.filter_map(|number| Some((number, space.place(number)?)));
        let arrived: PacketSet = at
            .filter_map(|(number, place)| self.arrived(region, number, place))
            .collect();
        let about: Vec<(PacketSet, Option<&PacketSet>)> = self
            .speeches
            .iter()
            .map(|speech| (speech.arriving.intersection(&arrived), speech.ends.as_ref()))
            .filter(|(packets, _)| !packets.is_empty())
            .collect();
        // One packet of each is often enough, and soon asked about.
        let samples = about.iter().filter_map(|(packets, ends)| {
            let sample = PacketBox::of(&self.engine.readable(packets.boxes().first()?));
            Some((PacketSet::from_iter([sample]), *ends))
        });
        for (packets, ends) in samples {
            if self.ask(packets, ends, rule) == Spoken::Yes {
                return Some(Spoken::Yes);
            }
        }
        for (packets, ends) in about {
            self.questions.set(self.questions.get().checked_sub(1)?);
            let spoken = self.ask(packets, ends, rule);
            if spoken != Spoken::No {
                return Some(spoken);
            }
        }
        Some(Spoken::No)
    }

    /// Whether the rule decides one of those packets on its way to such an end.
    fn ask(&self, packets: PacketSet, ends: Option<&PacketSet>, rule: &RuleId) -> Spoken {
        let question = Question::new(packets, Goal::Any).within(STEPS_OF_QUESTION);
        let question = match ends {
            Some(ends) => question.ending_in(ends.clone()),
            None => question,
        };
        let by_rule = |class: &Class| {
            let hops = &class.journey.hops;
            hops.iter()
                .any(|hop| matches!(&hop.decider, Decider::Rule(id) if id == rule))
        };
        for (at, class) in self.engine.classes(question).enumerate() {
            match class {
                Ok(class) if by_rule(&class) => return Spoken::Yes,
                Ok(_) if at < MOST_CLASSES => {}
                Ok(_) | Err(_) => return Spoken::Unknown,
            }
        }
        Spoken::No
    }

    /// The packets as they may have arrived that are in the box on a hop at that place.
    fn arrived(&self, region: &PacketBox, number: u128, place: Place) -> Option<PacketBox> {
        let received = match place {
            Place::In(_) | Place::Out { received: None, .. } => {
                return region.clone().with(Field::Place, &RangeSet::single(number));
            }
            Place::Out {
                received: Some(received),
                ..
            } => received,
        };
        let arrival = RangeSet::single(self.engine.space().number(Place::In(received)));
        let changed: &[Field] = if self.translates {
            &[
                Field::Source,
                Field::Destination,
                Field::SourcePort,
                Field::DestinationPort,
            ]
        } else {
            &[]
        };
        let tag = self.tags.then_some(&Field::Tag);
        let mut arrived = region.clone().without(Field::Place).with(Field::Place, &arrival)?;
        for &field in changed.iter().chain(tag) {
            arrived = arrived.without(field);
        }
        Some(arrived)
    }
}
