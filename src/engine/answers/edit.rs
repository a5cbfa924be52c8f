//! [`Edit`]: the rules that one ruleset has and another has not, and the packets that may meet them.

use crate::context::Context;
use crate::engine::Engine;
use crate::engine::packets::header::{Field, PacketBox};
use crate::engine::packets::set::PacketSet;
use crate::engine::packets::space::{Place, Space};
use crate::engine::rules::calls::{called, is_filled};
use crate::engine::rules::criteria::Reader;
use crate::net::{Direction, RangeSet};
use crate::ruleset::{Action, Anchor, Host, KeepState, Name, PoolAddress, Rule, RuleId, Ruleset, Translation};

/// How many pairs of rules are compared for the longest common sequence; of more, all are taken for changed.
const PAIRS: usize = 4_000_000;

/// The rules that only the one ruleset has, and those that only the other has.
pub(super) struct Edit {
    pub(super) gone: Vec<RuleId>,
    pub(super) come: Vec<RuleId>,
}

impl Edit {
    /// What makes the one of the other; `None` where more than rules is another, or what translates the family makes all packets
    /// hang on all rules.
    pub(super) fn between(old: &Ruleset, new: &Ruleset) -> Option<Self> {
        let translates_families = |ruleset: &Ruleset| {
            let mut rules = all(ruleset);
            rules.any(|rule| matches!(rule.translation.as_deref(), Some(Translation::Af(_))))
        };
        if old.options.skip != new.options.skip
            || old.options.reassemble != new.options.reassemble
            || translates_families(old)
            || translates_families(new)
        {
            return None;
        }
        let mut edit = Self {
            gone: Vec::new(),
            come: Vec::new(),
        };
        let added = new.anchors.keys().filter(|path| !old.anchors.contains_key(*path));
        for path in old.anchors.keys().chain(added) {
            let same = |one: &Rule, other: &Rule| means_the_same((old, one), (new, other), path);
            let (gone, come) = apart(old.rules(path), new.rules(path), same);
            let id = |number| RuleId {
                anchor: path.clone(),
                number,
            };
            edit.gone.extend(gone.into_iter().map(id));
            edit.come.extend(come.into_iter().map(id));
        }
        Some(edit)
    }

    /// Whether packets notice each of those rules only where it decides. (One in an anchor may be the last match there by which a
    /// quick anchor ends the evaluation, or does not.)
    pub(super) fn only_decide(ruleset: &Ruleset, rules: &[RuleId]) -> bool {
        let ends = |rule: &Rule| rule.quick && matches!(rule.action, Action::Anchor(_));
        let in_anchor = rules.iter().any(|id| *id.anchor != *Ruleset::MAIN);
        if in_anchor && all(ruleset).any(ends) {
            return false;
        }
        let mut rules = rules.iter().filter_map(|id| ruleset.rule(id));
        rules.all(|rule| match rule.action {
            Action::Pass | Action::Block(_) => rule.tag.is_none(),
            Action::Match | Action::Anchor(_) => false,
        })
    }

    /// The packets, as they first meet the machine, that may meet one of those rules, where rules may change those fields.
    pub(super) fn asked(
        ruleset: &Ruleset,
        rules: &[RuleId],
        (context, space): (&Context, &Space),
        moved: &[(Direction, Field)],
    ) -> Vec<PacketBox> {
        let reader = Reader::new(ruleset, context, space);
        // What pf sends in place of others goes out as the machine's own (`synproxy state`).
        let replaces = all(ruleset).any(|rule| rule.keep_state == KeepState::Synproxy);
        let replaced = [Field::Transport, Field::Options, Field::Fragment];
        let mut asked = Vec::new();
        for (id, rule) in rules.iter().filter_map(|id| Some((id, ruleset.rule(id)?))) {
            for part in reader.alternatives(rule, &id.anchor, id.number) {
                for direction in [Direction::In, Direction::Out] {
                    let first = first_places(space, part.region.limit(Field::Place), (direction, replaces));
                    let bare = part.region.clone().replaced(Field::Place, &first);
                    let changed = moved.iter().filter(|(at, _)| *at == direction).map(|(_, field)| *field);
                    // A hop before may have set these.
                    let set = [Field::Tos, Field::Ttl, Field::Prio];
                    let set = set.into_iter().chain(replaced.into_iter().filter(|_| replaces));
                    let set = set.filter(|_| direction == Direction::Out);
                    asked.extend(bare.map(|bare| changed.chain(set).fold(bare, PacketBox::without)));
                }
            }
        }
        let count = context.interfaces.len();
        let fresh = space.arriving(0..count).union(space.sent(0..count));
        PacketSet::from_iter(asked).intersection(&fresh).boxes().to_vec()
    }
}

/// The packets that may notice that rules which only decide take the place of others.
pub(crate) struct Noticing {
    /// As they first meet the machine.
    packets: PacketSet,
    /// What is translated, on the way to which hops.
    moved: Vec<(Direction, Field)>,
}

impl Noticing {
    /// Those that may notice that the engine's ruleset takes the place of `before`; `None` where all may.
    pub(crate) fn of(before: &Ruleset, after: &Engine<'_>) -> Option<Self> {
        let (ruleset, context) = (after.ruleset(), after.context());
        let Edit { gone, come } = Edit::between(before, ruleset)?;
        if !Edit::only_decide(before, &gone) || !Edit::only_decide(ruleset, &come) {
            return None;
        }
        let moved = [moved(before), moved(ruleset)].concat();
        let machine = (context, after.space());
        let old = Edit::asked(before, &gone, machine, &moved);
        let new = Edit::asked(ruleset, &come, machine, &moved);
        Some(Self {
            packets: [old, new].concat().into_iter().collect(),
            moved,
        })
    }

    /// Whether no packet of the flows that begin with those is among them: none that goes the same way, none that answers.
    pub(crate) fn spares(&self, first: &PacketSet) -> bool {
        let is_translated = |field: Field| self.moved.iter().any(|(_, moved)| *moved == field);
        let is_apart = |flow: PacketBox| self.packets.boxes().iter().all(|part| part.is_disjoint(&flow));
        first.boxes().iter().all(|part| {
            let bare = PacketBox::all(part.family);
            let mut limits = part.limits();
            let there = limits.try_fold(bare.clone(), |there, (field, limit)| match field {
                Field::Place | Field::Source | Field::Destination | Field::SourcePort | Field::DestinationPort => {
                    there.with(field, limit)
                }
                _ => Some(there),
            });
            let mut limits = part.limits().filter(|(field, _)| !is_translated(*field));
            let back = limits.try_fold(bare, |back, (field, limit)| match field {
                Field::Source => back.with(Field::Destination, limit),
                Field::Destination => back.with(Field::Source, limit),
                Field::SourcePort => back.with(Field::DestinationPort, limit),
                Field::DestinationPort => back.with(Field::SourcePort, limit),
                _ => Some(back),
            });
            there.into_iter().chain(back).all(is_apart)
        })
    }
}

fn all(ruleset: &Ruleset) -> impl Iterator<Item = &Rule> {
    ruleset.anchors.values().flat_map(|anchor: &Anchor| &anchor.rules)
}

/// The numbers of the rules that are in one list alone: those that the longest common sequence leaves out.
fn apart(old: &[Rule], new: &[Rule], same: impl Fn(&Rule, &Rule) -> bool + Sync) -> (Vec<usize>, Vec<usize>) {
    let same = |a: usize, b: usize| old.get(a).zip(new.get(b)).is_some_and(|(a, b)| same(a, b));
    let shorter = old.len().min(new.len());
    let begin = || (0..shorter).take_while(|&at| same(at, at)).count();
    let end = || {
        let alike = |at: &usize| same(old.len() - 1 - at, new.len() - 1 - at);
        (0..shorter).take_while(alike).count()
    };
    let (begin, end) = rayon::join(begin, end);
    // What repeats itself may be taken for the beginning and for the end.
    let end = end.min(shorter - begin);
    let (old_rest, new_rest) = (begin..old.len() - end, begin..new.len() - end);
    if old_rest.len().saturating_mul(new_rest.len()) > PAIRS {
        return (old_rest.collect(), new_rest.collect());
    }
    // How long the longest common sequence of what is left is, from each pair on.
    let width = new_rest.len() + 1;
    let mut lengths = vec![0u32; (old_rest.len() + 1) * width];
    for a in (0..old_rest.len()).rev() {
        for b in (0..new_rest.len()).rev() {
            lengths[a * width + b] = if same(old_rest.start + a, new_rest.start + b) {
                lengths[(a + 1) * width + b + 1] + 1
            } else {
                lengths[(a + 1) * width + b].max(lengths[a * width + b + 1])
            };
        }
    }
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    let (mut a, mut b) = (0, 0);
    while a < old_rest.len() || b < new_rest.len() {
        if a < old_rest.len() && b < new_rest.len() && same(old_rest.start + a, new_rest.start + b) {
            (a, b) = (a + 1, b + 1);
        } else if b == new_rest.len()
            || a < old_rest.len() && lengths[(a + 1) * width + b] >= lengths[a * width + b + 1]
        {
            gone.push(old_rest.start + a);
            a += 1;
        } else {
            come.push(new_rest.start + b);
            b += 1;
        }
    }
    (gone, come)
}

/// Whether the two rules are the same, down to the tables and anchors that they name.
fn means_the_same((old, rule): (&Ruleset, &Rule), (new, other): (&Ruleset, &Rule), path: &Name) -> bool {
    let table = |name: &Name| old.table(path, name) == new.table(path, name);
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
        Action::Anchor(call) => called(old, call) == called(new, call),
        Action::Pass | Action::Block(_) | Action::Match => true,
    };
    rule.says_the_same(other)
        && called
        && host(&rule.source.host)
        && host(&rule.destination.host)
        && rule.pools().all(|pool| match &pool.address {
            PoolAddress::Table(name) => table(name),
            PoolAddress::Prefix(_) | PoolAddress::Dynamic(_) | PoolAddress::Other(_) => true,
        })
}

/// The fields that rules may change before others look at them, and on the way to which hops.
pub(super) fn moved(ruleset: &Ruleset) -> Vec<(Direction, Field)> {
    let source = [Field::Source, Field::SourcePort];
    let destination = [Field::Destination, Field::DestinationPort];
    let mut moved = Vec::new();
    for rule in all(ruleset) {
        if let Action::Anchor(call) = &rule.action
            && is_filled(ruleset, call)
        {
            moved.extend(destination.map(|field| (Direction::Out, field)));
        }
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
    moved.sort_unstable();
    moved.dedup();
    moved
}

/// Where packets first meet the machine that come to one of those places in that direction; `replaces`: what it sends itself may
/// be in place of any.
fn first_places(space: &Space, places: Option<&RangeSet>, (direction, replaces): (Direction, bool)) -> RangeSet {
    let all = RangeSet::range(0, space.places().saturating_sub(1));
    let there = places.map_or(all.clone(), |places| places.intersection(&all));
    let numbers = || there.ranges().iter().flat_map(|&(first, last)| first..=last);
    let is_sent = |number| matches!(space.place(number), Some(Place::Out { received: None, .. }));
    if replaces && direction == Direction::Out && numbers().any(is_sent) {
        return all;
    }
    let first = numbers().filter_map(|number| {
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
