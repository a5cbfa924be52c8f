//! What a policy speaks about: the rules that decide packets of which some statement says something, and the flows that
//! pass of which none does.
//!
//! Rules are asked one by one. What a rule decides as it arrives, a statement is about or not. Of what it decides on a further
//! hop those packets are looked for that may have arrived so and that a statement is about: one in the evaluator first,
//! then all of them in the engine, until one of them is decided by the rule.

use std::cell::Cell;

use super::judge::Case;
use super::unspoken::{Unspoken, unspoken};
use crate::engine::{Engine, Field, Goal, Header, PacketBox, PacketSet, Place, Question, address_number};
use crate::eval::{Journey, Machine, Memory, Usual};
use crate::net::{Direction, RangeSet};
use crate::policy::Zones;
use crate::policy::ast::{Demand, Statement};
use crate::ruleset::{Action, Rule, RuleId, Translation};

/// Rulesets with more rules are not asked: the answer must come at once.
const MOST_RULES: usize = 500;
/// How many classes of packets are looked at for one rule, and for one statement.
const MOST_CLASSES: usize = 256;
/// How many steps the classes of one rule may take, and those of all.
const STEPS_OF_ONE: u64 = 5_000;
const STEPS: u64 = 50_000;
/// How many questions about statements may be asked, and how many steps one may take.
const MOST_QUESTIONS: usize = 200;
const STEPS_OF_QUESTION: u64 = 2_000;
/// How many packets of one class the evaluator follows.
const MOST_SAMPLES: usize = 12;

/// What a policy speaks about.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// The pass rules; `None` where finding them would take too long.
    pub rules: Option<RulesSpokenOf>,
    /// What gets through and no statement speaks of; `None` likewise.
    pub unspoken: Option<Unspoken>,
}

/// Which pass rules the policy constrains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesSpokenOf {
    /// The pass rules that decide only packets of which no statement speaks.
    pub silent: Vec<RuleId>,
    /// How many pass rules decide something.
    pub all: usize,
    /// Of how many it was not found out whether a statement speaks of them: too much to look at.
    pub unknown: usize,
}

/// The packets of a statement as they arrive and, if it is about those, their headers at the end.
pub(super) struct Speech {
    pub(super) arriving: PacketSet,
    pub(super) ends: Option<PacketSet>,
}

/// What the statements speak about; nothing is found out of a large ruleset, or where a name is not known.
pub(super) fn coverage(case: Case<'_>) -> Coverage {
    if case.engine.ruleset().all_rules().count() > MOST_RULES {
        return Coverage::default();
    }
    let moves = |rule: &Rule| !matches!(rule.translation.as_deref(), None | Some(Translation::Nat { .. }));
    let moves = case.engine.ruleset().all_rules().any(|(_, rule)| moves(rule));
    let statements = case.zones.policy().statements.iter();
    let speeches: Option<Vec<Vec<Speech>>> = statements.map(|one| speeches(one, case.zones, moves)).collect();
    let Some(speeches) = speeches else {
        return Coverage::default();
    };
    let speeches: Vec<Speech> = speeches.into_iter().flatten().collect();
    Coverage {
        unspoken: unspoken(case, &speeches),
        rules: rules_spoken_of(case, speeches),
    }
}

fn rules_spoken_of(case: Case<'_>, speeches: Vec<Speech>) -> Option<RulesSpokenOf> {
    let engine = case.engine;
    let rules = || engine.ruleset().all_rules().map(|(_, rule)| rule);
    let listener = Listener {
        engine,
        machine: Machine::new(engine.ruleset(), engine.context()).with_programs(),
        speeches,
        translates: rules().any(|rule| rule.translation.is_some()),
        tags: rules().any(|rule| rule.tagged.is_some()),
        questions: Cell::new(MOST_QUESTIONS),
    };
    let mut coverage = RulesSpokenOf::default();
    let mut steps = STEPS;
    for (id, rule) in engine.ruleset().all_rules() {
        // What is assumed of an anchor is no rule of the user's.
        if rule.action != Action::Pass || case.assumed_anchors.contains(&id.anchor) {
            continue;
        }
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

/// What a statement speaks of; `None` where a name is not known. What is required or allowed is so by where it ends, too, which
/// is another place where rules `move` packets.
fn speeches(statement: &Statement, zones: &Zones<'_>, moves: bool) -> Option<Vec<Speech>> {
    let (arriving, ends) = match &statement.demand {
        Demand::Require(..) | Demand::Allow(_) => {
            let excuse = zones.excused_by(statement).ok()?;
            let by_end = [(zones.everything().clone(), excuse.ending.clone())].into_iter();
            let by_end = by_end.chain(excuse.crossing.iter().cloned()).filter(|_| moves);
            let by_end = by_end.map(|(arriving, ends)| Speech {
                arriving,
                ends: Some(ends),
            });
            let as_it_arrives = Speech {
                arriving: excuse.at_most(),
                ends: None,
            };
            return Some([as_it_arrives].into_iter().chain(by_end).collect());
        }
        Demand::Forbid(packets) => {
            let (selection, ends) = zones.forbidden(packets).ok()?;
            (selection.packets, Some(ends))
        }
        Demand::Closed(closed) => zones.closed(closed).ok()?,
    };
    Some(vec![Speech { arriving, ends }])
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
    machine: Machine<'a>,
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
        let at: Vec<(u128, Place)> = numbers
            .filter_map(|number| Some((number, space.place(number)?)))
            .collect();
        let (first, later): (Vec<_>, Vec<_>) = at.into_iter().partition(|(_, place)| is_first(*place));
        let arriving: PacketSet = first
            .iter()
            .filter_map(|&(number, _)| region.clone().with(Field::Place, &RangeSet::single(number)))
            .collect();
        if self.speeches.iter().any(|speech| speech.is_about(&arriving)) {
            return Some(Spoken::Yes);
        }
        let arrived: PacketSet = later
            .into_iter()
            .filter_map(|(_, place)| self.arrived(region, place))
            .chain(arriving.boxes().iter().cloned())
            .collect();
        let about: Vec<(PacketSet, Option<&PacketSet>)> = self
            .speeches
            .iter()
            .map(|speech| (speech.arriving.intersection(&arrived), speech.ends.as_ref()))
            .filter(|(packets, _)| !packets.is_empty())
            .collect();
        for (packets, ends) in &about {
            let samples = packets.boxes().iter().take(MOST_SAMPLES);
            let mut samples = samples.map(|part| self.engine.readable(part));
            if samples.any(|header| self.is_decided(&header, *ends, rule)) {
                return Some(Spoken::Yes);
            }
        }
        // Those that count as they arrive are one question.
        let (as_they_arrive, by_end): (Vec<_>, Vec<_>) = about.into_iter().partition(|(_, ends)| ends.is_none());
        let joined = as_they_arrive.into_iter().map(|(packets, _)| packets);
        let joined = joined.fold(PacketSet::empty(), PacketSet::union);
        let joined = Some((joined, None)).filter(|(packets, _)| !packets.is_empty());
        for (packets, ends) in joined.into_iter().chain(by_end) {
            self.questions.set(self.questions.get().checked_sub(1)?);
            let spoken = self.ask(packets, ends, rule);
            if spoken != Spoken::No {
                return Some(spoken);
            }
        }
        Some(Spoken::No)
    }

    /// Whether the evaluator sees the rule decide that packet on its way to such an end.
    fn is_decided(&self, header: &Header, ends: Option<&PacketSet>, rule: &RuleId) -> bool {
        let space = self.engine.space();
        let followed = self
            .machine
            .follow(&space.packet(header), &mut Memory::default(), &mut Usual);
        let Ok(journey) = followed else { return false };
        let by_rule = journey.hops.iter().any(|hop| hop.rule.as_ref() == Some(rule));
        let ends_there = |ends: &PacketSet| {
            let end = self.end(header, &journey);
            end.is_some_and(|end| ends.contains(&end))
        };
        by_rule && ends.is_none_or(ends_there)
    }

    /// The header at the end of a packet's way: with the destination and its port as translated, at the last hop.
    fn end(&self, header: &Header, journey: &Journey) -> Option<Header> {
        let space = self.engine.space();
        let (last, hop) = (journey.last()?, journey.hops.last()?);
        let on = space.interface(&hop.before.interface)?;
        let place = match (hop.direction, space.place(header.get(Field::Place))?) {
            (Direction::In, place) => place,
            (Direction::Out, Place::In(received)) => Place::Out {
                on,
                received: Some(received),
            },
            (Direction::Out, Place::Out { .. }) => Place::Out { on, received: None },
        };
        let mut end = header
            .clone()
            .with(Field::Place, space.number(place))
            .with(Field::Destination, address_number(last.dst))
            .with(Field::DestinationPort, u128::from(last.dport));
        end.family = last.family;
        Some(end)
    }

    /// Whether the rule lets one of those packets through to such an end.
    fn ask(&self, packets: PacketSet, ends: Option<&PacketSet>, rule: &RuleId) -> Spoken {
        let question = Question::new(packets, Goal::GetsThrough).within(STEPS_OF_QUESTION);
        let question = question.decided_by([rule.clone()]);
        let question = match ends {
            Some(ends) => question.ending_in(ends.clone()),
            None => question,
        };
        match self.engine.classes(question).next() {
            Some(Ok(_)) => Spoken::Yes,
            Some(Err(_)) => Spoken::Unknown,
            None => Spoken::No,
        }
    }

    /// The packets as they may have arrived that are in the box on a hop out at that place.
    fn arrived(&self, region: &PacketBox, place: Place) -> Option<PacketBox> {
        let Place::Out {
            received: Some(received),
            ..
        } = place
        else {
            return None;
        };
        let arrival = RangeSet::single(self.engine.space().number(Place::In(received)));
        let changed: &[Field] = if self.translates { &Field::ENDS } else { &[] };
        let tag = self.tags.then_some(&Field::Tag);
        let arrived = region.clone().replaced(Field::Place, &arrival)?;
        Some(
            changed
                .iter()
                .chain(tag)
                .fold(arrived, |arrived, &field| arrived.without(field)),
        )
    }
}

/// Whether packets first meet the machine there.
fn is_first(place: Place) -> bool {
    match place {
        Place::In(_) | Place::Out { received: None, .. } => true,
        Place::Out { received: Some(_), .. } => false,
    }
}

impl Speech {
    /// Whether one of those packets, as they arrive, is one that the statement is about.
    fn is_about(&self, packets: &PacketSet) -> bool {
        let about = self.arriving.intersection(packets);
        match &self.ends {
            None => !about.is_empty(),
            // By the interface it leaves by only its way tells where it ends.
            Some(ends) => {
                let by_address = ends.boxes().iter().filter(|part| part.limit(Field::Place).is_none());
                !about.intersection(&by_address.cloned().collect()).is_empty()
            }
        }
    }
}
