//! Which packets notice that one ruleset takes the place of another on the same machine.
//!
//! # Laws
//! - Whoever is in no change meets the same fate in both: the same hops with the same verdicts, the same translation,
//!   states where there were states, the same end. Rules may decide it that were not there before.
//! - A change is no packet's twice; every packet of one has the journey `before` in the old ruleset and `after` in the
//!   new one, on the conditions of both.
//!
//! Two rulesets can only differ inside the boxes of rules that are in one of them alone, so nothing else is asked.

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
        let affected = self.affected(after).boxes().to_vec();
        (0..affected.len()).flat_map(move |at| {
            let earlier: PacketSet = affected[..at].iter().cloned().collect();
            let question = Question::new(affected[at].clone().into(), Goal::Any);
            let classes = self.classes(question.except(&earlier).within(steps));
            classes.flat_map(move |before| match before {
                Err(undecided) => vec![Err(undecided)],
                Ok(before) => changed(&before, after, steps),
            })
        })
    }

    /// The packets that meet a rule which only one of the rulesets has; some more.
    fn affected(&self, after: &Engine<'_>) -> PacketSet {
        let (old, new) = (&self.compiled, &after.compiled);
        let translates_families = |engine: &Engine<'_>| {
            let mut rules = engine.compiled.list.rules.iter();
            rules.any(|(_, rule)| matches!(rule.translation.as_deref(), Some(Translation::Af(_))))
        };
        let unlike = old.ruleset.options.skip != new.ruleset.options.skip
            || old.ruleset.options.reassemble != new.ruleset.options.reassemble
            || old.list.incomplete.is_some()
            || new.list.incomplete.is_some();
        if unlike || translates_families(self) || translates_families(after) {
            let all = |engine: &Engine<'_>| {
                let count = engine.space().interfaces().len();
                engine.space().arriving(0..count).union(engine.space().sent(0..count))
            };
            return all(self).union(all(after));
        }
        let (gone, come) = self.changed_rules(after);
        let mut moved = self.moved();
        moved.extend(after.moved());
        let boxes = self.asked(&gone, &moved).into_iter().chain(after.asked(&come, &moved));
        let space = self.space();
        let count = space.interfaces().len();
        let fresh = space.arriving(0..count).union(space.sent(0..count));
        let mut affected: Vec<PacketBox> = Vec::new();
        for part in PacketSet::from_iter(boxes).intersection(&fresh).boxes() {
            if !affected.iter().any(|known| part.is_subset(known)) {
                affected.retain(|known| !known.is_subset(part));
                affected.push(part.clone());
            }
        }
        affected.into_iter().collect()
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
