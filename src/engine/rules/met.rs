//! [`Meetings`]: which entries of the list packets can meet, by their place and family.
//!
//! Places that no entry tells apart are one group; what a group meets is found out when it is first asked for.

use std::sync::Arc;

use indexmap::IndexSet;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::index::Index;
use super::list::{END, Entry, Kind, List};
use super::memo::Memo;
use crate::engine::packets::header::Field;
use crate::net::{Family, RangeSet};

/// How many rules may set a tag at one place only if more than the header is so, for each way to be followed.
const MOST_UNSURE: usize = 6;

/// The entries that packets of a family can meet at a place, by their numbers, in order.
#[derive(Debug, Default)]
pub(in crate::engine) struct Met {
    /// Those that may decide or end the evaluation.
    pub(in crate::engine) index: Index,
    /// Those that set a tag, where some rule asks for tags.
    pub(in crate::engine) taggers: Vec<usize>,
    /// Match rules that change the header, and rules that set a tag if more than the header is so.
    pub(in crate::engine) rewriters: Vec<usize>,
    /// Those that decide and may send packets elsewhere than they were going.
    pub(in crate::engine) turning_aside: Vec<usize>,
    /// Quick match rules.
    pub(in crate::engine) quick_matches: Vec<usize>,
    /// Match rules that log.
    pub(in crate::engine) loggers: Vec<usize>,
    /// Whether the evaluation ends at quick rules that decide, and nowhere else before its end.
    pub(in crate::engine) is_straight: bool,
}

/// What packets can meet.
#[derive(Debug)]
pub(in crate::engine) struct Meetings {
    /// Entries that ask for the same places, by these.
    asking: Vec<Asking>,
    /// Where groups begin on the line of places, each with the number of its group: the least first.
    groups: Vec<(u128, usize)>,
    /// Whether entries are looked up, or gone through one by one.
    indexed: bool,
    /// What a group of places, or all, meets, by family.
    known: Memo<(Option<usize>, Family), Met>,
}

/// Entries that ask for the same places: for those that are in all of these.
#[derive(Debug)]
struct Asking {
    places: Vec<RangeSet>,
    entries: Vec<usize>,
}

impl Asking {
    fn asks_for(&self, place: u128) -> bool {
        self.places.iter().all(|places| places.contains(place))
    }
}

impl Meetings {
    pub(in crate::engine) fn new(list: &List<'_>) -> Self {
        let mut asking: Vec<Asking> = Vec::new();
        let mut known: FxHashMap<Vec<RangeSet>, usize> = FxHashMap::default();
        for (number, entry) in list.entries.iter().enumerate() {
            let limits = entry.parts.iter().filter_map(|part| part.region.limit(Field::Place));
            let places: Vec<RangeSet> = limits.cloned().collect();
            let at = *known.entry(places).or_insert_with_key(|places| {
                let (places, entries) = (places.clone(), Vec::new());
                asking.push(Asking { places, entries });
                asking.len() - 1
            });
            asking[at].entries.push(number);
        }
        let ranges = asking
            .iter()
            .flat_map(|asking| asking.places.iter().flat_map(RangeSet::ranges));
        let mut cuts: Vec<u128> = ranges
            .flat_map(|&(first, last)| [first, last.saturating_add(1)])
            .collect();
        cuts.push(0);
        cuts.sort_unstable();
        cuts.dedup();
        let mut different: IndexSet<Vec<bool>, FxBuildHasher> = IndexSet::default();
        let mut group = |place: u128| {
            let asked: Vec<bool> = asking.iter().map(|asking| asking.asks_for(place)).collect();
            different.insert_full(asked).0
        };
        Self {
            groups: cuts.into_iter().map(|place| (place, group(place))).collect(),
            asking,
            indexed: true,
            known: Memo::default(),
        }
    }

    /// The same without an index.
    #[cfg(test)]
    pub(super) fn without_index(list: &List<'_>) -> Self {
        Self {
            indexed: false,
            ..Self::new(list)
        }
    }

    /// The entries that packets of that family can meet at the place of that number, or at any.
    pub(in crate::engine) fn at(&self, list: &List<'_>, place: Option<u128>, family: Family) -> Arc<Met> {
        let group = place.and_then(|place| {
            let after = self.groups.partition_point(|&(begin, _)| begin <= place);
            self.groups.get(after.checked_sub(1)?).map(|&(_, group)| group)
        });
        self.known.get((group, family), || {
            let here = self
                .asking
                .iter()
                .filter(|asking| place.is_none_or(|place| asking.asks_for(place)));
            let mut numbers: Vec<usize> = here.flat_map(|asking| asking.entries.iter().copied()).collect();
            numbers.sort_unstable();
            let entries = numbers.into_iter().filter_map(|number| {
                let entry = list.entries.get(number)?;
                (entry.own()?.region.family == family).then_some((number, entry))
            });
            // At one place it is no use to look entries up by theirs.
            let by = |field: Field| self.indexed && !(place.is_some() && field == Field::Place);
            Met::new(list, entries, by)
        })
    }
}

impl Met {
    fn new<'l>(list: &List<'_>, entries: impl Iterator<Item = (usize, &'l Entry)>, by: impl Fn(Field) -> bool) -> Self {
        let mut met = Self {
            is_straight: true,
            ..Self::default()
        };
        let mut indexed = Vec::new();
        let mut unsure = Vec::new();
        for (number, entry) in entries {
            if entry.kind.decides() || entry.quick {
                let asked =
                    |field: Field| by(field) && entry.own().is_some_and(|own| own.region.limit(field).is_some());
                indexed.push((number, Index::FIELDS.map(asked)));
            }
            if entry.kind.decides() && entry.turns_aside {
                met.turning_aside.push(number);
            }
            if entry.kind == Kind::Match && entry.quick {
                met.quick_matches.push(number);
            }
            met.is_straight &= if entry.quick {
                entry.kind.decides()
            } else {
                entry.stop == END
            };
            let Some((_, rule)) = list.rule(entry) else { continue };
            if list.features.asks_for_tags && rule.tag.is_some() {
                met.taggers.push(number);
                if entry.parts.iter().any(|part| !part.facts.is_empty()) {
                    unsure.push(number);
                }
            }
            let set = rule.set.as_ref();
            let sets = list.features.asks_for_fields && set.is_some_and(|set| set.prio.is_some() || set.tos.is_some());
            if entry.kind == Kind::Match && (rule.translation.is_some() || rule.rtable.is_some() || sets) {
                met.rewriters.push(number);
            }
            if entry.kind == Kind::Match && rule.log.is_some() {
                met.loggers.push(number);
            }
        }
        // Of a few, each way is followed; of many, the tag is left open.
        if unsure.len() <= MOST_UNSURE {
            met.rewriters.extend(unsure);
            met.rewriters.sort_unstable();
            met.rewriters.dedup();
        }
        met.index = Index::new(indexed);
        met
    }
}

#[cfg(test)]
mod tests {
    use super::Meetings;
    use crate::context::context_from_toml;
    use crate::engine::{Class, Engine, Goal, Question, Undecided, generate};
    use crate::lower;
    use crate::source::{MemoryLoader, Sources};

    /// Without the index the answers are the same, in the same order.
    #[test]
    fn the_index_changes_no_answer() {
        let mut sources = Sources::new();
        let file = sources.add("context.toml", generate::context());
        let context = context_from_toml(&sources, file).0;
        for (kind, seed) in generate::Kind::ALL.into_iter().flat_map(|kind| [(kind, 1), (kind, 2)]) {
            let text = generate::rules(kind, 24, seed);
            let loader = MemoryLoader::new();
            let lowered = lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], &context).0;
            let engine = Engine::new(&lowered.ruleset, &context);
            let mut slow = Engine::new(&lowered.ruleset, &context);
            slow.compiled.meetings = Meetings::without_index(&slow.compiled.list);
            let region = engine.space().arriving([0, 3]);
            let ask = |engine: &Engine<'_>| {
                let question = Question::new(region.clone(), Goal::GetsThrough);
                let found: Vec<Result<Class, Undecided>> = engine.classes(question).take(300).collect();
                assert!(!found.is_empty());
                (found, engine.idle_rules())
            };
            assert!(ask(&engine) == ask(&slow), "{kind:?} {seed}");
        }
    }
}
