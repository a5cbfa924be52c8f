//! [`Index`]: which entries may overlap a box, without a look at the others.
//!
//! Entries are grouped by which fields they bind. Each group has an interval tree for each of these; a query counts
//! the overlaps in each tree, by two binary searches, and walks the one with the fewest.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::engine::packets::header::Field;

/// A query: of each indexed field the least and the greatest number; `None` where all are meant.
pub(in crate::engine) type Hulls = [Option<(u128, u128)>; Index::FIELDS.len()];

/// The groups of entries.
#[derive(Debug, Default)]
pub(in crate::engine) struct Index {
    groups: Vec<Group>,
}

/// Which of the indexed fields an entry binds.
type Bound = [bool; Index::FIELDS.len()];

/// Entries that bind the same fields.
#[derive(Debug)]
struct Group {
    bound: Bound,
    members: Vec<usize>,
    /// For each field that they bind, once it is asked for.
    trees: [OnceLock<Tree>; Index::FIELDS.len()],
}

/// An interval tree: the intervals sorted by their first number, and for each the greatest last one below it.
#[derive(Debug)]
struct Tree {
    intervals: Vec<Interval>,
    /// The last numbers, sorted: for counting.
    lasts: Vec<u128>,
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    first: u128,
    last: u128,
    /// The greatest last number of the subtree that it is the root of.
    reach: u128,
    entry: usize,
}

impl Index {
    /// The fields by which entries are looked up.
    pub(in crate::engine) const FIELDS: [Field; 5] = [
        Field::Destination,
        Field::Source,
        Field::DestinationPort,
        Field::Place,
        Field::SourcePort,
    ];

    pub(in crate::engine) fn new(entries: impl IntoIterator<Item = (usize, Bound)>) -> Self {
        let mut groups: BTreeMap<Bound, Vec<usize>> = BTreeMap::new();
        for (entry, bound) in entries {
            groups.entry(bound).or_default().push(entry);
        }
        let group = |(bound, members)| Group {
            bound,
            members,
            trees: Default::default(),
        };
        Self {
            groups: groups.into_iter().map(group).collect(),
        }
    }

    /// Calls `found` with every entry that overlaps the query in some field that it binds, and with some more. `asked`
    /// says what an entry binds a field to: the least and the greatest number.
    pub(in crate::engine) fn overlapping(
        &self,
        query: &Hulls,
        asked: &impl Fn(usize, Field) -> Option<(u128, u128)>,
        found: &mut impl FnMut(usize),
    ) {
        for group in &self.groups {
            let fields = Self::FIELDS.iter().zip(group.bound).zip(query).zip(&group.trees);
            let trees = fields.filter_map(|(((field, bound), hull), tree)| {
                let (first, last) = hull.filter(|_| bound)?;
                let tree = tree.get_or_init(|| Tree::of(&group.members, |entry| asked(entry, *field)));
                Some((tree.count(first, last), tree, first, last))
            });
            match trees.min_by_key(|(count, ..)| *count) {
                Some((0, ..)) => {}
                Some((_, tree, first, last)) => tree.visit(first, last, found),
                None => group.members.iter().copied().for_each(&mut *found),
            }
        }
    }
}

impl Tree {
    fn of(members: &[usize], asked: impl Fn(usize) -> Option<(u128, u128)>) -> Self {
        let intervals = members.iter().filter_map(|&entry| {
            let (first, last) = asked(entry)?;
            Some(Interval {
                first,
                last,
                reach: last,
                entry,
            })
        });
        Self::new(intervals.collect())
    }

    fn new(mut intervals: Vec<Interval>) -> Self {
        intervals.sort_unstable_by_key(|interval| interval.first);
        let mut lasts: Vec<u128> = intervals.iter().map(|interval| interval.last).collect();
        lasts.sort_unstable();
        set_reach(&mut intervals);
        Self { intervals, lasts }
    }

    /// How many intervals overlap the range.
    fn count(&self, first: u128, last: u128) -> usize {
        let begun = self.intervals.partition_point(|interval| interval.first <= last);
        let ended = self.lasts.partition_point(|&end| end < first);
        begun - ended
    }

    fn visit(&self, first: u128, last: u128, found: &mut impl FnMut(usize)) {
        visit(&self.intervals, first, last, found);
    }
}

/// Sets the reach of every subtree; the root of a slice is its middle.
fn set_reach(intervals: &mut [Interval]) -> u128 {
    let middle = intervals.len() / 2;
    let (left, rest) = intervals.split_at_mut(middle);
    let Some((root, right)) = rest.split_first_mut() else {
        return 0;
    };
    root.reach = root.last.max(set_reach(left)).max(set_reach(right));
    root.reach
}

fn visit(intervals: &[Interval], first: u128, last: u128, found: &mut impl FnMut(usize)) {
    let (left, rest) = intervals.split_at(intervals.len() / 2);
    let Some((root, right)) = rest.split_first() else {
        return;
    };
    if root.reach < first {
        return;
    }
    visit(left, first, last, found);
    if root.first <= last {
        if root.last >= first {
            found(root.entry);
        }
        visit(right, first, last, found);
    }
}

#[cfg(test)]
mod tests {
    use super::{Hulls, Index};
    use proptest::prelude::*;

    fn hulls() -> impl Strategy<Value = Hulls> {
        prop::array::uniform5(prop::option::of(
            (0..50u128, 0..10u128).prop_map(|(first, more)| (first, first + more)),
        ))
    }

    proptest! {
        /// What overlaps in every field is found.
        #[test]
        fn finds_what_overlaps(entries in prop::collection::vec(hulls(), 0..40), query in hulls()) {
            let bound = entries.iter().map(|hulls| hulls.map(|hull| hull.is_some()));
            let index = Index::new(bound.enumerate());
            let asked = |entry: usize, field| {
                let at = Index::FIELDS.iter().position(|known| *known == field)?;
                entries[entry][at]
            };
            let mut found = vec![0; entries.len()];
            index.overlapping(&query, &asked, &mut |entry| found[entry] += 1);
            for (entry, times) in entries.iter().zip(found) {
                let overlaps = entry.iter().zip(&query).all(|pair| match pair {
                    (Some((a, b)), Some((c, d))) => a <= d && c <= b,
                    _ => true,
                });
                prop_assert!(times <= 1);
                prop_assert!(!overlaps || times == 1);
            }
        }
    }
}
