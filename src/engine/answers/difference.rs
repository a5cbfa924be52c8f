//! Which packets notice that one ruleset takes the place of another on the same machine.
//!
//! # Laws
//! - Whoever is in no change meets the same fate in both: the same hops with the same verdicts, the same translation,
//!   states where there were states, the same end. Rules may decide it that were not there before.
//! - A change is no packet's twice; every packet of one has the journey `before` in the old ruleset and `after` in the
//!   new one, on the conditions of both.
//!
//! Two rulesets can only differ inside the boxes of rules that are in one of them alone, so nothing else is asked, and rules
//! that none of these packets can meet are not even read.

use rustc_hash::FxHashSet;

use super::edit::{Edit, moved};
use crate::context::Context;
use crate::engine::Engine;
use crate::engine::packets::header::PacketBox;
use crate::engine::packets::set::PacketSet;
use crate::engine::packets::space::Space;
use crate::engine::rules::nearby::Nearby;
use crate::engine::search::journey::{Class, Decider, Undecided};
use crate::engine::search::question::{Goal, Question};
use crate::ruleset::{RuleId, Ruleset};

/// Packets whose fate is another under another ruleset.
#[derive(Clone, Debug)]
pub struct Change {
    /// The packets, as they first meet the machine.
    pub region: PacketBox,
    /// What becomes of them under the old ruleset.
    pub before: Class,
    /// What becomes of them under the new one.
    pub after: Class,
}

/// Two rulesets for one machine, ready to be asked what changes.
#[derive(Debug)]
pub struct Difference<'a> {
    /// Both with all the rules that packets can meet which may notice.
    before: Engine<'a>,
    after: Engine<'a>,
    asked: Asked,
}

/// The questions of a difference.
#[derive(Debug, Default)]
struct Asked {
    of_old: Vec<Question>,
    /// What is answered by the classes of the old ruleset that the rules which are gone decide is not meant again.
    of_new: Vec<Question>,
    gone: FxHashSet<RuleId>,
}

impl<'a> Difference<'a> {
    /// What is to be asked where `after` takes the place of `before` on that machine.
    #[must_use]
    pub fn new(before: &'a Ruleset, after: &'a Ruleset, context: &'a Context) -> Self {
        let Some(Edit { gone, come }) = Edit::between(before, after) else {
            return Self::of_all(before, after, context);
        };
        let both = |ruleset| (moved(ruleset), Space::new(ruleset, context));
        let ((moved, old_space), (more, new_space)) = rayon::join(|| both(before), || both(after));
        let moved = [moved, more].concat();
        let old = Edit::asked(before, &gone, (context, &old_space), &moved);
        let new = Edit::asked(after, &come, (context, &new_space), &moved);
        let nearby = Nearby::new(old.iter().chain(&new), &moved);
        let near = |ruleset, space| Engine::near(ruleset, context, space, &nearby);
        let engines = rayon::join(|| near(before, old_space), || near(after, new_space));
        let difference = Self {
            before: engines.0,
            after: engines.1,
            asked: if Edit::only_decide(before, &gone) && Edit::only_decide(after, &come) {
                // Where no such rule decides in either, the same ones do in both.
                let by = |question: Question, rules: &[RuleId]| question.decided_by(rules.iter().cloned());
                Asked {
                    of_old: one_after_the_other(&largest(old)).map(|one| by(one, &gone)).collect(),
                    of_new: one_after_the_other(&largest(new)).map(|one| by(one, &come)).collect(),
                    gone: gone.into_iter().collect(),
                }
            } else {
                Asked {
                    of_old: one_after_the_other(&largest([old, new].concat())).collect(),
                    ..Asked::default()
                }
            },
        };
        let is_whole = |engine: &Engine<'_>| engine.compiled.list.incomplete.is_none();
        if is_whole(&difference.before) && is_whole(&difference.after) {
            difference
        } else {
            Self::of_all(before, after, context)
        }
    }

    /// The same where all packets may notice.
    fn of_all(before: &'a Ruleset, after: &'a Ruleset, context: &'a Context) -> Self {
        let [before, after] = [before, after].map(|ruleset| Engine::new(ruleset, context));
        let count = context.interfaces.len();
        let all = |engine: &Engine<'_>| engine.space().arriving(0..count).union(engine.space().sent(0..count));
        let region = all(&before).union(all(&after));
        let asked = Asked {
            of_old: one_after_the_other(region.boxes()).collect(),
            ..Asked::default()
        };
        Self { before, after, asked }
    }

    /// The packets whose fate changes, with what becomes of them, lazily: of a packet's flow the first packet alone. Each
    /// question may take that many steps.
    pub fn changes(&self, steps: u64) -> impl Iterator<Item = Result<Change, Undecided>> + '_ {
        let Self { before, after, asked } = self;
        let classes = move |engine, question: &Question| Engine::classes(engine, question.clone().within(steps));
        let were = asked.of_old.iter().flat_map(move |question| classes(before, question));
        let are = asked.of_new.iter().flat_map(move |question| classes(after, question));
        let of_old = were.flat_map(move |class| match class {
            Err(undecided) => vec![Err(undecided)],
            Ok(class) => changed((&class, before), after, steps),
        });
        of_old.chain(are.flat_map(move |later| match later {
            Err(undecided) => vec![Err(undecided)],
            Ok(later) => changed_by_new(before, &asked.gone, &later, after, steps),
        }))
    }
}

/// A question about each box, what an earlier one has left out.
fn one_after_the_other(boxes: &[PacketBox]) -> impl Iterator<Item = Question> + '_ {
    (0..boxes.len()).map(|at| {
        let earlier: PacketSet = boxes[..at].iter().cloned().collect();
        Question::new(boxes[at].clone().into(), Goal::Any).except(&earlier)
    })
}

/// The boxes that lie in no other.
fn largest(boxes: Vec<PacketBox>) -> Vec<PacketBox> {
    let mut largest: Vec<PacketBox> = Vec::new();
    for part in boxes {
        if !largest.iter().any(|known| part.is_subset(known)) {
            largest.retain(|known| !known.is_subset(&part));
            largest.push(part);
        }
    }
    largest
}

/// The parts of a class of the new ruleset whose fate was another before, where no rule that is gone decided.
fn changed_by_new(
    old: &Engine<'_>,
    gone: &FxHashSet<RuleId>,
    later: &Class,
    after: &Engine<'_>,
    steps: u64,
) -> Vec<Result<Change, Undecided>> {
    let question = Question::new(later.region.clone().into(), Goal::Any).within(steps);
    let earlier = old.classes(question).filter_map(|before| match before {
        Err(undecided) => Some(Err(undecided)),
        Ok(before) => {
            let is_told = before.journey.hops.iter().any(|hop| hop.is_decided_by(gone));
            (!is_told && may_meet((&before, old), (later, after)) && !is_same_fate(&before, later)).then(|| {
                Ok(Change {
                    region: before.region.clone(),
                    before,
                    after: later.clone(),
                })
            })
        }
    });
    earlier.collect()
}

/// The parts of a class whose fate is another afterwards.
fn changed((before, old): (&Class, &Engine<'_>), after: &Engine<'_>, steps: u64) -> Vec<Result<Change, Undecided>> {
    let question = Question::new(before.region.clone().into(), Goal::Any).within(steps);
    let later = after.classes(question).filter_map(|later| match later {
        Err(undecided) => Some(Err(undecided)),
        Ok(later) => (may_meet((before, old), (&later, after)) && !is_same_fate(before, &later)).then(|| {
            Ok(Change {
                region: later.region.clone(),
                before: before.clone(),
                after: later,
            })
        }),
    });
    later.collect()
}

/// Whether both can be about the same packets: of two hops those that are their own reverse have a class of their own.
fn may_meet((before, old): (&Class, &Engine<'_>), (later, new): (&Class, &Engine<'_>)) -> bool {
    match (before.own_reverse, later.own_reverse) {
        (true, false) => !leaves_out_reverse(later, new),
        (false, true) => !leaves_out_reverse(before, old),
        (true, true) | (false, false) => true,
    }
}

/// Whether packets of a class that are their own reverse are in another one: the state of the first hop lets them out.
fn leaves_out_reverse(class: &Class, engine: &Engine<'_>) -> bool {
    let [first, second, ..] = class.journey.hops.as_slice() else {
        return false;
    };
    let options = match &first.decider {
        Decider::Rule(id) => engine.ruleset().rule(id).and_then(|rule| rule.state.as_deref()),
        _ => None,
    };
    let is_bound = options.is_some_and(|options| options.if_bound);
    first.state && (!is_bound || first.place.interface() == second.place.interface())
}

/// Whether packets notice no difference between two journeys.
fn is_same_fate(before: &Class, later: &Class) -> bool {
    let hops = |class: &Class| {
        let hops = class.journey.hops.iter();
        hops.map(|hop| (hop.place, hop.verdict, hop.state)).collect::<Vec<_>>()
    };
    let conditions = |class: &Class| {
        let conditions = class.conditions.iter();
        conditions
            .map(|condition| (condition.unknown.clone(), condition.holds))
            .collect::<Vec<_>>()
    };
    before.journey.end == later.journey.end
        && hops(before) == hops(later)
        && conditions(before) == conditions(later)
        && before.trail.len() == later.trail.len()
        && before
            .trail
            .iter()
            .zip(&later.trail)
            .all(|(one, other)| one.is_like(other))
}
