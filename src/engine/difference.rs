//! Which packets notice that one ruleset takes the place of another on the same machine.
//!
//! # Laws
//! - Whoever is in no change meets the same fate in both: the same hops with the same verdicts, the same translation,
//!   states where there were states, the same end. Rules may decide it that were not there before.
//! - A change is no packet's twice; every packet of one has the journey `before` in the old ruleset and `after` in the
//!   new one, on the conditions of both.
//!
//! Two rulesets can only differ inside the boxes of rules that are in one of them alone, so nothing else is asked.

use rustc_hash::FxHashSet;

use super::Engine;
use super::criteria::Reader;
use super::header::{Field, PacketBox};
use super::journey::{Class, Decider, Undecided};
use super::list::Kind;
use super::question::{Goal, Question};
use super::set::PacketSet;
use super::space::Place;
use crate::net::{Direction, RangeSet};
use crate::ruleset::{Action, Host, Name, PoolAddress, Rule, RuleId, Translation};

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

/// How many pairs of rules are compared for the longest common sequence; of more, all are taken for changed.
const PAIRS: usize = 4_000_000;

impl Engine<'_> {
    /// The packets whose fate changes where `after` takes the place of this one on the same machine, with what becomes
    /// of them, lazily: of a packet's flow the first packet alone. Each question may take that many steps.
    pub fn changes<'e>(
        &'e self,
        after: &'e Engine<'_>,
        steps: u64,
    ) -> impl Iterator<Item = Result<Change, Undecided>> + 'e {
        let Asked { of_old, of_new, gone } = self.questions(after);
        let were = of_old
            .into_iter()
            .flat_map(move |question| self.classes(question.within(steps)));
        let are = of_new
            .into_iter()
            .flat_map(move |question| after.classes(question.within(steps)));
        let of_old = were.flat_map(move |before| match before {
            Err(undecided) => vec![Err(undecided)],
            Ok(before) => changed(&before, after, steps),
        });
        of_old.chain(are.flat_map(move |later| match later {
            Err(undecided) => vec![Err(undecided)],
            Ok(later) => changed_by_new(self, &gone, &later, after, steps),
        }))
    }

    /// What is to be asked of the old ruleset, and what of the new one.
    fn questions(&self, after: &Engine<'_>) -> Asked {
        let space = self.space();
        let all = |engine: &Engine<'_>| {
            let count = engine.space().interfaces().len();
            engine.space().arriving(0..count).union(engine.space().sent(0..count))
        };
        if self.differs_everywhere(after) {
            let region = all(self).union(all(after));
            return Asked {
                of_old: one_after_the_other(region.boxes()).collect(),
                ..Asked::default()
            };
        }
        let (gone, come) = self.changed_rules(after);
        let mut moved = self.moved();
        moved.extend(after.moved());
        let count = space.interfaces().len();
        let fresh = space.arriving(0..count).union(space.sent(0..count));
        let regions = |engine: &Engine<'_>, rules: &[usize]| {
            let asked = PacketSet::from_iter(engine.asked(rules, &moved));
            asked.intersection(&fresh).boxes().to_vec()
        };
        let (old, new) = (regions(self, &gone), regions(after, &come));
        if !self.only_decide(&gone) || !after.only_decide(&come) {
            return Asked {
                of_old: one_after_the_other(&largest([old, new].concat())).collect(),
                ..Asked::default()
            };
        }
        // Where no such rule decides in either, the same ones do in both.
        let (gone, come) = (self.names(&gone), after.names(&come));
        let by = |question: Question, rules: &FxHashSet<RuleId>| question.decided_by(rules.iter().cloned());
        Asked {
            of_old: one_after_the_other(&largest(old)).map(|one| by(one, &gone)).collect(),
            of_new: one_after_the_other(&largest(new)).map(|one| by(one, &come)).collect(),
            gone,
        }
    }

    /// Whether more than rules is another, or what translates the family makes all packets hang on all rules.
    fn differs_everywhere(&self, after: &Engine<'_>) -> bool {
        let (old, new) = (&self.compiled, &after.compiled);
        let translates_families = |engine: &Engine<'_>| {
            let mut rules = engine.compiled.list.rules.iter();
            rules.any(|(_, rule)| matches!(rule.translation.as_deref(), Some(Translation::Af(_))))
        };
        old.ruleset.options.skip != new.ruleset.options.skip
            || old.ruleset.options.reassemble != new.ruleset.options.reassemble
            || old.list.incomplete.is_some()
            || new.list.incomplete.is_some()
            || translates_families(self)
            || translates_families(after)
    }

    /// Whether packets notice each of those rules only where it decides.
    fn only_decide(&self, rules: &[usize]) -> bool {
        let known = rules.iter().filter_map(|&number| self.compiled.list.rules.get(number));
        known.into_iter().all(|(_, rule)| match rule.action {
            Action::Pass | Action::Block(_) => rule.tag.is_none(),
            Action::Match | Action::Anchor(_) => false,
        })
    }

    fn names(&self, rules: &[usize]) -> FxHashSet<RuleId> {
        let known = rules.iter().filter_map(|&number| self.compiled.list.rules.get(number));
        known.map(|(id, _)| id.clone()).collect()
    }

    /// The numbers in the lists of the rules that only this engine has, and of those that only the other has.
    fn changed_rules(&self, after: &Engine<'_>) -> (Vec<usize>, Vec<usize>) {
        let (old, new) = (&self.compiled.list.rules, &after.compiled.list.rules);
        let same = |a: usize, b: usize| match (old.get(a), new.get(b)) {
            (Some(a), Some(b)) => self.means_the_same(after, a, b),
            _ => false,
        };
        let shorter = old.len().min(new.len());
        let begin = (0..shorter).take_while(|&at| same(at, at)).count();
        let end = (0..shorter - begin)
            .take_while(|&at| same(old.len() - 1 - at, new.len() - 1 - at))
            .count();
        let (old, new) = (begin..old.len() - end, begin..new.len() - end);
        if old.len().saturating_mul(new.len()) > PAIRS {
            return (old.collect(), new.collect());
        }
        // How long the longest common sequence of what is left is, from each pair on.
        let width = new.len() + 1;
        let mut lengths = vec![0u32; (old.len() + 1) * width];
        for a in (0..old.len()).rev() {
            for b in (0..new.len()).rev() {
                lengths[a * width + b] = if same(old.start + a, new.start + b) {
                    lengths[(a + 1) * width + b + 1] + 1
                } else {
                    lengths[(a + 1) * width + b].max(lengths[a * width + b + 1])
                };
            }
        }
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        let (mut a, mut b) = (0, 0);
        while a < old.len() || b < new.len() {
            if a < old.len() && b < new.len() && same(old.start + a, new.start + b) {
                (a, b) = (a + 1, b + 1);
            } else if b == new.len() || a < old.len() && lengths[(a + 1) * width + b] >= lengths[a * width + b + 1] {
                gone.push(old.start + a);
                a += 1;
            } else {
                come.push(new.start + b);
                b += 1;
            }
        }
        (gone, come)
    }

    /// Whether the two rules are the same, down to the tables and anchors that they name.
    fn means_the_same(&self, after: &Engine<'_>, (id, rule): &(RuleId, &Rule), other: &(RuleId, &Rule)) -> bool {
        let (old, new) = (self.compiled.ruleset, after.compiled.ruleset);
        let table = |name: &Name| old.table(&id.anchor, name) == new.table(&id.anchor, name);
        let host = |host: &Host| match host {
            Host::Table(name) => table(name),
            Host::Any
            | Host::Prefix(_)
            | Host::Range(..)
            | Host::Dynamic(_)
            | Host::NoRoute
            | Host::UrpfFailed
            | Host::RouteLabel(_) => true,
        };
        let called = match &rule.action {
            Action::Anchor(call) => old.anchors.contains_key(&call.path) == new.anchors.contains_key(&call.path),
            Action::Pass | Action::Block(_) | Action::Match => true,
        };
        id.anchor == other.0.anchor
            && rule.says_the_same(other.1)
            && called
            && host(&rule.source.host)
            && host(&rule.destination.host)
            && rule.pools().all(|pool| match &pool.address {
                PoolAddress::Table(name) => table(name),
                PoolAddress::Prefix(_) | PoolAddress::Dynamic(_) | PoolAddress::Other(_) => true,
            })
    }

    /// The fields that rules may change before others look at them, and on the way to which hops.
    fn moved(&self) -> Vec<(Direction, Field)> {
        let source = [Field::Source, Field::SourcePort];
        let destination = [Field::Destination, Field::DestinationPort];
        let list = &self.compiled.list;
        let mut moved = Vec::new();
        for (_, rule) in &list.rules {
            let fields: Vec<Field> = match rule.translation.as_deref() {
                None => continue,
                Some(Translation::Nat { .. }) => source.to_vec(),
                Some(Translation::Rdr { .. }) => destination.to_vec(),
                Some(Translation::NatAndRdr { .. } | Translation::Af(_)) => [source, destination].concat(),
            };
            let early = rule.action == Action::Match;
            for field in fields {
                if early && rule.direction != Some(Direction::Out) {
                    moved.push((Direction::In, field));
                }
                if early || rule.direction != Some(Direction::Out) {
                    moved.push((Direction::Out, field));
                }
            }
        }
        if list.entries.iter().any(|entry| entry.kind == Kind::Filled) {
            moved.extend(destination.map(|field| (Direction::Out, field)));
        }
        moved
    }

    /// The packets, as they first meet the machine, that may meet one of the rules of those numbers.
    fn asked(&self, rules: &[usize], moved: &[(Direction, Field)]) -> Vec<PacketBox> {
        let compiled = &self.compiled;
        let reader = Reader::new(compiled.ruleset, compiled.context, &compiled.space);
        let mut asked = Vec::new();
        for (number, (id, rule)) in rules
            .iter()
            .filter_map(|&number| Some((number, compiled.list.rules.get(number)?)))
        {
            for part in reader.alternatives(rule, &id.anchor, number) {
                for direction in [Direction::In, Direction::Out] {
                    let first = self.first_places(part.region.limit(Field::Place), direction);
                    let bare = part.region.clone().replaced(Field::Place, &first);
                    let changed = moved.iter().filter(|(at, _)| *at == direction).map(|(_, field)| *field);
                    // A hop before may have set these.
                    let set = [Field::Tos, Field::Ttl, Field::Prio];
                    let set = set.into_iter().filter(|_| direction == Direction::Out);
                    asked.extend(bare.map(|bare| changed.chain(set).fold(bare, PacketBox::without)));
                }
            }
        }
        asked
    }

    /// Where packets first meet the machine that come to one of those places in that direction.
    fn first_places(&self, places: Option<&RangeSet>, direction: Direction) -> RangeSet {
        let space = self.space();
        let all = RangeSet::range(0, space.places().saturating_sub(1));
        let there = places.map_or(all.clone(), |places| places.intersection(&all));
        let numbers = there.ranges().iter().flat_map(|&(first, last)| first..=last);
        let first = numbers.filter_map(|number| {
            let place = space.place(number).filter(|place| place.direction() == direction)?;
            let first = match place {
                Place::Out {
                    received: Some(from), ..
                } => Place::In(from),
                Place::In(_) | Place::Out { received: None, .. } => place,
            };
            let number = space.number(first);
            Some((number, number))
        });
        RangeSet::from_ranges(first)
    }
}

/// The questions of a difference.
#[derive(Default)]
struct Asked {
    of_old: Vec<Question>,
    /// What is answered by the classes of the old ruleset that the rules which are gone decide is not meant again.
    of_new: Vec<Question>,
    gone: FxHashSet<RuleId>,
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
            (!is_told && may_meet(&before, later, after) && !is_same_fate(&before, later)).then(|| {
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
fn changed(before: &Class, after: &Engine<'_>, steps: u64) -> Vec<Result<Change, Undecided>> {
    let question = Question::new(before.region.clone().into(), Goal::Any).within(steps);
    let later = after.classes(question).filter_map(|later| match later {
        Err(undecided) => Some(Err(undecided)),
        Ok(later) => (may_meet(before, &later, after) && !is_same_fate(before, &later)).then(|| {
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
fn may_meet(before: &Class, later: &Class, after: &Engine<'_>) -> bool {
    let leaves_out = |class: &Class| {
        let first = class.journey.hops.first().filter(|_| class.journey.hops.len() > 1);
        first.is_some_and(|hop| {
            let bound = match &hop.decider {
                Decider::Rule(id) => after.ruleset().rule(id).and_then(|rule| rule.state.as_deref()),
                _ => None,
            };
            hop.state && !bound.is_some_and(|options| options.if_bound)
        })
    };
    match (before.own_reverse, later.own_reverse) {
        (true, false) => !leaves_out(later),
        (false, true) => !leaves_out(before),
        (true, true) | (false, false) => true,
    }
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
