//! [`Cover`]: the packets of a box that really take the way that was chosen for it, lazily and guided by points.
//!
//! A point of what is left is held against the entries that outrank the chosen ones. One that matches is the reason
//! why the way is not taken there, in a whole box around the point: that is taken away, and the search goes on. Where
//! none matches, a box around the point is a class.

use std::rc::Rc;
use std::sync::Arc;

use super::compiled::Compiled;
use super::excuse::{Excuse, is_excused};
use super::frame::{Frame, Ground, Match};
use super::journey::{Class, Condition, End, Journey};
use super::path::{Equal, Path};
use super::question::Question;
use super::rewriting::{Now, Reading, Term, shifted};
use super::rival::{Hinders, Rival, rivals};
use super::suppositions::Suppositions;
use crate::engine::packets::header::{Field, Header, PacketBox};
use crate::engine::packets::space::Place;
use crate::engine::packets::witness;
use crate::engine::rules::criteria::About;
use crate::engine::rules::list::{END, Entry, List, Position};
use crate::engine::rules::unknown::Unknown;
use crate::net::RangeSet;
use crate::ruleset::RuleId;

/// A hop, and the entry that is to decide it; `None` is the default.
#[derive(Clone)]
pub(super) struct Duty {
    pub(super) frame: Rc<Frame>,
    pub(super) decider: Option<usize>,
    /// The quick match rule that is to end the evaluation.
    ended_by: Option<usize>,
    /// Where the evaluation ends.
    pub(super) stop: Position,
    /// The hop of the way that it is.
    hop: usize,
}

impl Duty {
    pub(in crate::engine) fn new(
        list: &List<'_>,
        frame: &Rc<Frame>,
        decider: Option<usize>,
        ended_by: Option<usize>,
    ) -> Self {
        let entry = |number: usize| list.entries.get(number);
        let stop = match (ended_by.and_then(entry), decider.and_then(entry)) {
            (Some(end), _) => end.position,
            (None, Some(decider)) => decider.stop,
            (None, None) => END,
        };
        Self {
            frame: Rc::clone(frame),
            decider,
            ended_by,
            stop,
            hop: usize::from(frame.hop),
        }
    }

    /// The number of the rule that is to decide.
    pub(in crate::engine) fn rule(&self, list: &List<'_>) -> Option<usize> {
        let entry = list.entries.get(self.decider?)?;
        Some(entry.rule)
    }

    /// The rules that translate on that hop.
    pub(super) fn translators(&self, list: &List<'_>) -> Vec<RuleId> {
        let before = self.frame.steps.iter().filter(|(position, _)| *position <= self.stop);
        let matched = before.filter_map(|(position, _)| {
            let at = list.entries.partition_point(|entry| entry.position < *position);
            list.entries.get(at)
        });
        let decider = self.decider.and_then(|number| list.entries.get(number));
        let rules = matched.chain(decider).filter_map(|entry| list.rule(entry));
        rules
            .filter(|(_, rule)| rule.translation.is_some())
            .map(|(id, _)| id.clone())
            .collect()
    }
}

/// A duty with its rivals.
struct Guarded {
    duty: Duty,
    rivals: Vec<Rival>,
}

/// The packets of one way that are still to be found.
pub(super) struct Cover {
    path: Path,
    guarded: Vec<Guarded>,
    excuses: Vec<Excuse>,
    left: Vec<PacketBox>,
    /// The number of the last choice that was made.
    choices: u32,
    /// Why nothing can be said of these packets, if so.
    pub(super) unmodelled: Option<Arc<str>>,
}

impl Cover {
    /// The search for the packets of a way; several where the header at the end must be in one of several boxes.
    pub(in crate::engine) fn new(
        compiled: &Compiled<'_>,
        ground: &Ground<'_, '_>,
        path: Path,
        (now, end): (&Now, End),
        question: &Question,
        choices: u32,
    ) -> Vec<Self> {
        let end = ending(compiled, &path, now, end);
        let mut paths = Vec::new();
        match &question.ends {
            None => paths.push(path),
            Some(ends) => {
                let mut before: Vec<&PacketBox> = Vec::new();
                for wanted in ends.boxes() {
                    if let Some((region, supposed)) = ends_in(&end, &path, wanted) {
                        // What an earlier box has is not asked for twice.
                        let pieces = before.iter().fold(vec![region], |left, known| {
                            ground.budget.spend_all(left.len());
                            left.iter().flat_map(|part| minus_ending(&end, part, known)).collect()
                        });
                        paths.extend(pieces.into_iter().map(|region| Path {
                            region,
                            supposed: Rc::clone(&supposed),
                            ..path.clone()
                        }));
                    }
                    before.push(wanted);
                }
            }
        }
        let end = Rc::new(end);
        paths
            .into_iter()
            .map(|path| Self::of(ground, path, &end, question, choices))
            .collect()
    }

    fn of(ground: &Ground<'_, '_>, path: Path, end: &Rc<Now>, question: &Question, choices: u32) -> Self {
        // INVARIANT: of what is its own reverse a box has the same numbers in both fields of a pair.
        let whole = path.region.clone();
        let left = match &path.own_reverse {
            Some(equal) => made_equal(whole, equal),
            None => Some(whole),
        };
        let guarded = path.duties.forwards().map(|duty| Guarded {
            rivals: rivals(ground, duty, &path.region),
            duty: duty.clone(),
        });
        let guarded = guarded.collect();
        let arrives = |part: &&PacketBox| !part.is_disjoint(&path.region);
        let ends = |part: &&PacketBox| end.may_be_in(part, &path.region);
        let arriving = question.excused.iter().filter(arrives).map(|part| Excuse {
            arriving: Some(part.clone()),
            ending: None,
        });
        // What af-to has taken to the other family is excused by how it arrives, too.
        let crosses = end.family != path.region.family;
        let ending = question
            .excused_at_end
            .iter()
            .filter(|part| !crosses && ends(part))
            .map(|part| Excuse {
                arriving: None,
                ending: Some((part.clone(), Rc::clone(end))),
            });
        let flows = question.excused_flows.iter();
        let flows = flows.filter(|(first, last)| arrives(&first) && ends(&last));
        let flows = flows.map(|(first, last)| Excuse {
            arriving: Some(first.clone()),
            ending: Some((last.clone(), Rc::clone(end))),
        });
        let excuses = arriving.chain(ending).chain(flows).collect();
        Self {
            guarded,
            excuses,
            left: left.into_iter().collect(),
            path,
            choices,
            unmodelled: end.unmodelled.clone(),
        }
    }

    /// The next class; `None` where there is none, or the budget is spent.
    pub(super) fn next(&mut self, ground: &Ground<'_, '_>, end: End) -> Option<Class> {
        while let Some(piece) = self.left.pop() {
            if ground.budget.is_spent() {
                return None;
            }
            ground.budget.spend_all(1 + self.excuses.len() / 4);
            let Some(at) = self.point(&piece) else {
                // All that is there, and in the box of packets that are their own reverse, is not meant.
                if let Some((reversing, _)) = &self.path.not_reverse {
                    self.left.extend(piece.minus(reversing));
                }
                continue;
            };
            let mut within = piece.clone();
            let found = self.taken(ground, &at, &mut within).map(|supposed| {
                let logged = self.logged(ground, &at, &supposed, &mut within);
                let tags = self.state_tags(ground, &at, &supposed, &mut within);
                (supposed, logged, tags)
            });
            match &self.path.own_reverse {
                None => self.left.extend(piece.minus(&within)),
                Some(equal) => {
                    let (equals, rest) = minus_equal(&piece, within, equal);
                    within = equals;
                    self.left.extend(rest);
                }
            }
            if let Some((supposed, logged, tags)) = found {
                return Some(self.class(ground, (&logged, tags), within, supposed, end));
            }
        }
        None
    }

    /// A packet of the box that is its own reverse, or is not, as the way wants it.
    fn point(&self, piece: &PacketBox) -> Option<Header> {
        let mut at = witness::readable(piece);
        if let Some(equal) = &self.path.own_reverse {
            for &(a, b, by) in equal {
                let number = at.get(a).wrapping_add(by);
                at = at.with(b, number);
            }
        } else if let Some((reversing, equal)) = &self.path.not_reverse
            && reversing.contains(&at)
            && equal.iter().all(|&(a, b, by)| at.get(a).wrapping_add(by) == at.get(b))
        {
            let mut others = equal.iter().flat_map(|&(a, b, _)| [a, b]).filter_map(|field| {
                let other = piece.numbers(field).minus(&RangeSet::single(at.get(field)));
                Some((field, other.first()?))
            });
            let (field, number) = others.next()?;
            at = at.with(field, number);
        }
        Some(at)
    }

    /// What is to be supposed so that the packet takes the way; `None` where it does not. `within` is made smaller so
    /// that the answer is the same for all of it.
    fn taken(&self, ground: &Ground<'_, '_>, at: &Header, within: &mut PacketBox) -> Option<Suppositions> {
        // A reason may be larger than the box in which nothing is a reason: it is looked for first.
        let whole = within.clone();
        if is_excused(&self.excuses, &self.path, at, within) {
            return None;
        }
        let mut supposed = Suppositions::clone(&self.path.supposed);
        for Guarded { duty, rivals } in &self.guarded {
            let chosen = [duty.decider, duty.ended_by].into_iter().flatten();
            let chosen = chosen.filter_map(|number| ground.list.entries.get(number));
            for entry in chosen.filter(|entry| entry.parts.iter().any(|part| part.tag.is_some())) {
                let mut there = whole.clone();
                match duty.frame.matches(ground, entry, at, &supposed, &mut there) {
                    Match::No => return self.left_for(there, &supposed, within),
                    Match::Maybe(needs) => supposed.suppose(&needs),
                    Match::Yes => {}
                }
                narrow_to(within, &there);
            }
            ground.budget.spend_all(rivals.len() / 4);
            // First whether there is a reason at all, in a box as large as can be; then how far there is none.
            let entry = |rival: &Rival| ground.list.entries.get(rival.entry);
            let (distant, near): (Vec<&Rival>, Vec<&Rival>) = rivals
                .iter()
                .partition(|rival| entry(rival).is_some_and(|entry| duty.frame.misses(entry, at)));
            // Those that others may keep from it come last: of some others it is known by then that they do not match.
            let (held, free): (Vec<&Rival>, Vec<&Rival>) = near.into_iter().partition(|rival| !rival.unless.is_empty());
            let mut left: Vec<&Rival> = free.into_iter().chain(held).collect();
            loop {
                let (mut later, mut open) = (Vec::new(), Vec::new());
                let count = supposed.settled();
                for rival in left {
                    let mut there = whole.clone();
                    match rival.hinders(ground, &duty.frame, at, &supposed, &mut there) {
                        Hinders::No => {}
                        Hinders::Yes => {
                            ground.blamed.borrow_mut().extend(entry(rival).map(|entry| entry.rule));
                            return self.left_for(there, &supposed, within);
                        }
                        Hinders::Unless(prevention) if supposed.settle(&prevention) => {}
                        Hinders::Unless(prevention) => {
                            later.push(rival);
                            open.push(prevention);
                        }
                    }
                    narrow_to(within, &there);
                }
                // What has been settled may settle others.
                if later.is_empty() || supposed.settled() == count {
                    supposed.leave_open(&open);
                    break;
                }
                left = later;
            }
            if ground.packets_only {
                *within = PacketBox::of(at);
                continue;
            }
            for entry in distant.into_iter().filter_map(entry) {
                duty.frame.matches(ground, entry, at, &supposed, within);
            }
        }
        Some(supposed)
    }

    /// No packet of that box takes the way. What was found by more than the way supposes is so only where that had to be
    /// supposed.
    fn left_for(&self, there: PacketBox, supposed: &Suppositions, within: &mut PacketBox) -> Option<Suppositions> {
        if *supposed == *self.path.supposed {
            *within = there;
        } else {
            narrow_to(within, &there);
        }
        None
    }

    /// For each duty, whether its hop logs. `within` is made smaller so that the answer is the same for all of it.
    fn logged(
        &self,
        ground: &Ground<'_, '_>,
        at: &Header,
        supposed: &Suppositions,
        within: &mut PacketBox,
    ) -> Vec<bool> {
        let logged = |Guarded { duty, .. }: &Guarded| {
            let decider = duty.decider.and_then(|number| ground.list.entries.get(number));
            let logs = |entry: &Entry| ground.list.rule(entry).is_some_and(|(_, rule)| rule.log.is_some());
            decider.is_some_and(logs)
                || duty
                    .frame
                    .met
                    .loggers
                    .iter()
                    .filter_map(|&number| ground.list.entries.get(number))
                    .any(|entry| {
                        entry.position <= duty.stop
                            && duty.frame.may_match(entry, within)
                            && matches!(duty.frame.matches(ground, entry, at, supposed, within), Match::Yes)
                    })
        };
        self.guarded.iter().map(logged).collect()
    }

    /// For each hop, the tags that the state may have which it makes. `within` is made smaller so that they are the same for all
    /// of it.
    fn state_tags(
        &self,
        ground: &Ground<'_, '_>,
        at: &Header,
        supposed: &Suppositions,
        within: &mut PacketBox,
    ) -> Vec<RangeSet> {
        let mut all = vec![RangeSet::single(0); self.path.steps.len()];
        for Guarded { duty, .. } in &self.guarded {
            let decider = duty.decider.and_then(|number| ground.list.entries.get(number));
            let tags = duty
                .frame
                .state_tags(ground, (decider, duty.stop), at, supposed, within);
            if let Some(known) = all.get_mut(duty.hop) {
                *known = tags;
            }
        }
        all
    }

    fn class(
        &self,
        ground: &Ground<'_, '_>,
        (logged, state_tags): (&[bool], Vec<RangeSet>),
        within: PacketBox,
        supposed: Suppositions,
        end: End,
    ) -> Class {
        let steps = self.path.steps.forwards();
        let (mut hops, trail): (Vec<_>, Vec<_>) = steps
            .map(|step| (step.hop(&supposed.narrowed), step.now.clone()))
            .unzip();
        for (Guarded { duty, .. }, &logged) in self.guarded.iter().zip(logged) {
            if let Some(hop) = hops.get_mut(duty.hop) {
                hop.logged = logged;
            }
        }
        let settled = supposed.facts.iter();
        let settled = settled.filter(|(fact, _, holds)| *holds || !supposed.uses_up(fact));
        let settled = settled.map(|(fact, _, holds)| (fact, holds));
        let open = supposed.open.iter().map(|(fact, holds)| (fact, holds));
        let conditions = settled.chain(open).map(|(fact, holds)| Condition {
            unknown: fact.unknown.clone(),
            rule: match &fact.about {
                About::Rule(number) => ground.list.rules.get(*number).map(|(id, _)| id.clone()),
                About::Host(..) => None,
            },
            holds: *holds,
        });
        let chosen = supposed.narrowed.iter();
        let chosen = chosen.map(|_| Condition::by_itself(Unknown::Pool, true));
        let mut unique: Vec<Condition> = Vec::new();
        for condition in conditions.chain(chosen) {
            if !unique.contains(&condition) {
                unique.push(condition);
            }
        }
        Class {
            region: within,
            journey: Journey { hops, end },
            conditions: unique,
            own_reverse: self.path.own_reverse.is_some(),
            equal: self.path.own_reverse.clone().unwrap_or_default(),
            trail,
            state_tags,
            choices: self.choices,
            supposed,
        }
    }
}

/// The packets of a box that have equal fields: the same numbers, but for the shift, in both of each pair.
fn made_equal(part: PacketBox, equal: &Equal) -> Option<PacketBox> {
    equal.iter().try_fold(part, |part, &(a, b, by)| {
        let both = shifted(&part.numbers(a), by).intersection(&part.numbers(b));
        part.with(a, &shifted(&both, by.wrapping_neg()))?.with(b, &both)
    })
}

/// A part of a box of packets that have equal fields, and the rest of it, both with those fields' numbers equal.
fn minus_equal(piece: &PacketBox, within: PacketBox, equal: &Equal) -> (PacketBox, Vec<PacketBox>) {
    // Around a packet that is its own reverse there are such.
    let part = made_equal(within.clone(), equal).unwrap_or(within);
    // One of two equal fields says it all.
    let apart = |whole: &PacketBox| equal.iter().fold(whole.clone(), |left, &(_, b, _)| left.without(b));
    let rest = apart(piece).minus(&apart(&part)).into_iter().filter_map(|left| {
        equal.iter().try_fold(left, |left, &(a, b, by)| {
            let numbers = shifted(&left.numbers(a), by);
            left.with(b, &numbers)
        })
    });
    let rest = rest.collect();
    (part, rest)
}

/// Makes the box smaller to what is in the other too; both are around one point.
fn narrow_to(within: &mut PacketBox, other: &PacketBox) {
    if let Some(both) = within.intersection(other) {
        *within = both;
    }
}

/// The header at the end as questions see it: the original one with the destination and its port translated, and the
/// place of the last hop, or where it leaves if that is another.
fn ending(compiled: &Compiled<'_>, path: &Path, now: &Now, at: End) -> Now {
    let mut end = Now::original(path.region.family);
    end.family = now.family;
    end.unmodelled.clone_from(&now.unmodelled);
    for field in [Field::Destination, Field::DestinationPort] {
        end.set(field, now.term(field).clone());
    }
    if now.family != path.region.family {
        for field in [Field::Source, Field::Transport] {
            end.set(field, now.term(field).clone());
        }
    }
    if let Some(last) = path.steps.last() {
        // What pf has sent in its place leaves for it.
        let arrived = path.steps.backwards().find_map(|step| match step.place {
            Place::In(from) => Some(from),
            Place::Out { .. } => None,
        });
        let place = match (at, last.place) {
            (End::Leaves(on), Place::In(from)) => Place::Out {
                on,
                received: Some(from),
            },
            (End::Leaves(on), Place::Out { received, .. }) => Place::Out {
                on,
                received: received.or(arrived),
            },
            (_, place) => place,
        };
        let number = compiled.space.number(place);
        end.set(Field::Place, Term::OneOf(0, RangeSet::single(number)));
    }
    end
}

/// The packets of a way of which the header at the end is in the box.
fn ends_in(end: &Now, path: &Path, wanted: &PacketBox) -> Option<(PacketBox, Rc<Suppositions>)> {
    if end.family != wanted.family {
        return None;
    }
    let mut supposed = Rc::clone(&path.supposed);
    let mut region = path.region.clone();
    for (field, set) in wanted.limits() {
        match end.read(field, set, path.region.family, &supposed.narrowed) {
            Reading::On(field, set) => region = region.with(field, &set)?,
            Reading::Always(true) => {}
            Reading::Always(false) => return None,
            Reading::Choice(id, inside, _) => Rc::make_mut(&mut supposed).narrowed.push((id, inside)),
            // It may be any address: the packets count.
            Reading::Unknown(_) => {}
        }
    }
    Some((region, supposed))
}

/// What of a box has no header at the end in the other box.
fn minus_ending(end: &Now, part: &PacketBox, known: &PacketBox) -> Vec<PacketBox> {
    let mut pulled = PacketBox::all(part.family);
    if end.family != known.family {
        return vec![part.clone()];
    }
    for (field, set) in known.limits() {
        match end.read(field, set, part.family, &Vec::new()) {
            Reading::On(field, set) => match pulled.clone().with(field, &set) {
                Some(smaller) => pulled = smaller,
                None => return vec![part.clone()],
            },
            Reading::Always(true) => {}
            Reading::Always(false) | Reading::Choice(..) | Reading::Unknown(_) => return vec![part.clone()],
        }
    }
    part.minus(&pulled)
}
