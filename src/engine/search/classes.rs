//! [`Classes`]: the search through the ways that packets of a region can take.
//!
//! A way is chosen step by step: the place, which match rules change the header, which rule decides, what comes of it,
//! the route, the next hop. Each choice narrows the region to a box; whether the chosen rules really decide there is
//! left to `cover`, which looks only at entries that overlap the box. Steps that the question does not ask for are
//! never taken.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::compiled::Compiled;
use super::cover::Cover;
use super::first_match::fixed;
use super::frame::{Budget, Frame, Ground, Tagging};
use super::journey::{Class, End, Undecided};
use super::path::Path;
use super::question::{Goal, Question, Scope};
use super::rewriting::Now;
use crate::engine::packets::header::{Field, PacketBox};
use crate::engine::packets::set::PacketSet;
use crate::engine::packets::space::Place;
use crate::net::RangeSet;

/// A hop that is still to come.
#[derive(Clone)]
pub(super) struct Arrival {
    pub(super) place: Place,
    pub(super) now: Now,
    pub(super) tagging: Tagging,
}

pub(super) enum Task {
    Hop(Path, Arrival),
    /// The entries that may decide, in the order of first match, from that one on. Those that send packets where they
    /// were going need be asked about that box only.
    Decide(Path, Rc<Frame>, Option<PacketBox>, Rc<[usize]>, usize),
    Cover(Box<Cover>, End),
}

/// The classes that a question asks for, one after the other.
pub(in crate::engine) struct Classes<'e, 'a> {
    pub(super) compiled: &'e Compiled<'a>,
    pub(in crate::engine) ground: Ground<'e, 'a>,
    pub(super) question: Question,
    pub(super) stack: Vec<Task>,
    ended: bool,
    pub(super) choices: u32,
    /// The only entries that are to decide, if not all.
    pub(super) deciding: Option<Rc<[usize]>>,
    /// Whether the rules that are to decide may do so on a way out.
    pub(super) decided_outward: bool,
    /// Whether it is asked only what decides, not what comes of it.
    pub(in crate::engine) deciders_only: bool,
    /// What was said not to be modelled.
    unmodelled: Vec<Arc<str>>,
}

impl<'e, 'a> Classes<'e, 'a> {
    pub(in crate::engine) fn new(compiled: &'e Compiled<'a>, question: Question) -> Self {
        let mut search = Self {
            compiled,
            ground: Ground {
                list: &compiled.list,
                tags: &compiled.tags,
                budget: Budget::new(question.steps),
                without: Vec::new(),
                packets_only: false,
                blamed: RefCell::default(),
            },
            stack: Vec::new(),
            ended: false,
            choices: 0,
            deciding: None,
            decided_outward: compiled.may_decide_outward(&question),
            deciders_only: false,
            unmodelled: Vec::new(),
            question,
        };
        let regions = search.question.region.boxes().to_vec();
        // The stack is worked off from its end.
        for region in regions.into_iter().rev() {
            search.enter(&region);
        }
        search
    }

    /// Puts the ways of a box of the question's region on the stack: one for each place; of one hop one for all places
    /// of one direction where pf looks, and for those where it does not.
    pub(super) fn enter(&mut self, region: &PacketBox) {
        let compiled = self.compiled;
        let numbers = region.numbers(Field::Place);
        let groups: Vec<RangeSet> = match self.question.scope {
            Scope::Hop => compiled.alike.clone(),
            Scope::Journey => {
                let last = compiled.space.places().saturating_sub(1);
                let ranges = numbers.intersection(&RangeSet::range(0, last));
                let all = ranges.ranges().iter().flat_map(|&(first, last)| first..=last);
                all.map(RangeSet::single).collect()
            }
        };
        for numbers in groups.into_iter().rev() {
            let Some(region) = region.clone().with(Field::Place, &numbers) else {
                continue;
            };
            let first = region.limit(Field::Place).and_then(RangeSet::first);
            let Some(place) = first.and_then(|first| compiled.space.place(first)) else {
                continue;
            };
            let now = Now::original(region.family);
            let path = Path::new(region);
            let tagging = Tagging::Original;
            self.stack.push(Task::Hop(path, Arrival { place, now, tagging }));
        }
    }

    /// The search for packets of one hop, at any place and with any tag, that one of those entries decides.
    pub(in crate::engine) fn deciding(compiled: &'e Compiled<'a>, numbers: &[usize], steps: u64) -> Self {
        let question = Question::new(PacketSet::empty(), Goal::Any).of_one_hop().within(steps);
        let mut search = Self::new(compiled, question);
        search.deciding = Some(numbers.into());
        let mut regions: Vec<PacketBox> = Vec::new();
        for entry in numbers.iter().filter_map(|&number| compiled.list.entries.get(number)) {
            let Some(own) = entry.own() else { continue };
            for part in compiled.seen() {
                if part.family != own.region.family {
                    continue;
                }
                let narrowed = fixed(&own.region).and_then(|fixed| part.intersection(&fixed));
                if let Some(region) = narrowed.filter(|region| !regions.iter().any(|known| region.is_subset(known))) {
                    regions.push(region);
                }
            }
        }
        for region in regions.iter().rev() {
            search.enter(region);
        }
        search
    }

    /// The search for what decides the packets of a box on one hop if the rule of those numbers is not there.
    pub(in crate::engine) fn without(
        compiled: &'e Compiled<'a>,
        region: &PacketBox,
        rule: &[usize],
        steps: u64,
    ) -> Self {
        let question = Question::new(PacketSet::empty(), Goal::Any).of_one_hop().within(steps);
        let mut search = Self::new(compiled, question);
        search.ground.without = rule.to_vec();
        search.deciders_only = true;
        search.enter(region);
        search
    }

    /// The rules that have kept the chosen entries from deciding, as often as they did.
    pub(in crate::engine) fn blamed(&self) -> Vec<usize> {
        self.ground.blamed.borrow().clone()
    }

    pub(super) fn fresh(&mut self) -> u32 {
        self.choices += 1;
        self.choices
    }

    /// A way that has come to its end: if it is one that is asked for, its packets remain to be found.
    pub(super) fn ended_at(&mut self, path: Path, end: End, now: &Now) {
        let through = end.gets_through() && path.back_to.is_none_or(|back| back.is(end));
        let wanted = match self.question.goal {
            Goal::Any => true,
            Goal::GetsThrough => through,
            Goal::Stopped => !through,
        };
        let is_by = |rules| path.steps.backwards().any(|step| step.is_decided_by(rules));
        // What its sender sends after an answer may find a state that the answer has made.
        let after_answer = path.follows && path.back_to.is_none() && end == End::Stopped;
        let mut unsure = now.clone();
        let now = if after_answer && self.compiled.list.features.keeps_answers {
            unsure.unmodelled = Some("states that answers make are not followed".into());
            &unsure
        } else {
            now
        };
        if wanted && self.question.by.as_ref().is_none_or(is_by) {
            let cover = Cover::new(
                self.compiled,
                &self.ground,
                path,
                (now, end),
                &self.question,
                self.choices,
            );
            self.stack
                .extend(cover.into_iter().map(|cover| Task::Cover(Box::new(cover), end)));
        }
    }

    /// A way of which it is not known where it ends: its packets may be asked for, whatever is asked for.
    pub(super) fn not_followed(&mut self, path: Path, now: &Now, why: &str) {
        let mut now = now.clone();
        now.unmodelled = Some(why.into());
        let anywhere = Question {
            ends: None,
            excused_at_end: Vec::new(),
            excused_flows: Vec::new(),
            ..self.question.clone()
        };
        let end = (&now, End::Stopped);
        let cover = Cover::new(self.compiled, &self.ground, path, end, &anywhere, self.choices);
        let tasks = cover
            .into_iter()
            .map(|cover| Task::Cover(Box::new(cover), End::Stopped));
        self.stack.extend(tasks);
    }
}

impl Iterator for Classes<'_, '_> {
    type Item = Result<Class, Undecided>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(why) = self.compiled.list.incomplete.as_ref().filter(|_| !self.ended) {
            self.ended = true;
            return Some(Err(Undecided::Unmodelled(why.clone())));
        }
        while !self.ended {
            if self.ground.budget.is_spent() {
                self.ended = true;
                return Some(Err(Undecided::Steps));
            }
            match self.stack.pop()? {
                Task::Hop(path, arrival) => self.hop(path, arrival),
                Task::Decide(path, frame, aimed, order, from) => self.decide(path, frame, aimed, order, from),
                Task::Cover(mut cover, end) => {
                    if let Some(why) = cover.unmodelled.clone() {
                        // INVARIANT: where packets may be meant of which nothing can be said, that is said, once.
                        if !self.unmodelled.contains(&why) && cover.next(&self.ground, end).is_some() {
                            self.unmodelled.push(Arc::clone(&why));
                            return Some(Err(Undecided::Unmodelled(why.to_string())));
                        }
                        continue;
                    }
                    if let Some(class) = cover.next(&self.ground, end) {
                        self.stack.push(Task::Cover(cover, end));
                        if !class.supposed.use_up_twice() {
                            return Some(Ok(class));
                        }
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Classes;
    use crate::context::context_from_toml;
    use crate::engine::{Engine, Goal, Question, generate};
    use crate::lower;
    use crate::source::{MemoryLoader, Sources};

    /// The steps of the question what gets through of all that arrives.
    fn steps(pf_conf: &str) -> u64 {
        let mut sources = Sources::new();
        let file = sources.add("context.toml", generate::context());
        let context = context_from_toml(&sources, file).0;
        let loader = MemoryLoader::new();
        let (lowered, complaints) = lower::load(&mut sources, &loader, "pf.conf", pf_conf.as_bytes(), &[], &context);
        assert!(complaints.is_empty(), "{complaints:?}");
        let engine = Engine::new(&lowered.ruleset, &context);
        let arriving = engine.space().arriving(0..context.interfaces.len());
        let mut search = Classes::new(&engine.compiled, Question::new(arriving, Goal::GetsThrough));
        assert_eq!(search.by_ref().count(), 0);
        Question::STEPS - search.ground.budget.left()
    }

    #[test]
    fn what_stands_behind_a_rule_that_matches_all_is_not_followed() {
        let passing: String = (1..=100)
            .map(|port| format!("pass in inet proto udp to port {port}\n"))
            .collect();
        let (before, after) = (
            steps(&format!("{passing}block\n")),
            steps(&format!("block quick\n{passing}")),
        );
        assert!(before < 10_000 && after < 10_000, "{before} {after}");
    }
}
