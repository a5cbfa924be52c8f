//! [`RangeSet`]: a set of numbers as sorted ranges.

use std::sync::Arc;

use smallvec::SmallVec;

/// A set of numbers of up to 128 bits: sorted, disjoint, non-adjacent inclusive ranges. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RangeSet(Ranges);

/// Most sets are one range: it needs no allocation.
// INVARIANT: sorted; for neighbours (a, b), (c, d): b + 1 < c; in each: first <= last; `Many` has at least two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Ranges {
    #[default]
    Empty,
    One([(u128, u128); 1]),
    Many(Arc<[(u128, u128)]>),
}

impl RangeSet {
    /// The empty set.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Ranges::Empty)
    }

    /// The numbers from `first` to `last`, both included; empty where `first > last`.
    #[must_use]
    pub const fn range(first: u128, last: u128) -> Self {
        if first > last {
            Self::empty()
        } else {
            Self(Ranges::One([(first, last)]))
        }
    }

    /// The one number.
    #[must_use]
    pub const fn single(value: u128) -> Self {
        Self::range(value, value)
    }

    /// The union of inclusive ranges in any order.
    #[must_use]
    pub fn from_ranges(ranges: impl IntoIterator<Item = (u128, u128)>) -> Self {
        let mut all: Vec<_> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        if !all.is_sorted() {
            all.sort_unstable();
        }
        let mut merged = Sorted::default();
        all.into_iter().for_each(|range| merged.add(range));
        merged.set()
    }

    /// The ranges, sorted, disjoint, not adjacent, both ends included.
    #[must_use]
    pub fn ranges(&self) -> &[(u128, u128)] {
        match &self.0 {
            Ranges::Empty => &[],
            Ranges::One(one) => one,
            Ranges::Many(many) => many,
        }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Ranges::Empty)
    }

    /// The least number in it.
    #[must_use]
    pub fn first(&self) -> Option<u128> {
        self.ranges().first().map(|&(first, _)| first)
    }

    /// The greatest number in it.
    #[must_use]
    pub fn last(&self) -> Option<u128> {
        self.ranges().last().map(|&(_, last)| last)
    }

    /// The least number in it from `from` to `to`, both included.
    #[must_use]
    pub fn first_within(&self, from: u128, to: u128) -> Option<u128> {
        let &(first, _) = self.from(from).first()?;
        Some(first.max(from)).filter(|&found| found <= to)
    }

    /// Whether the number is in it.
    #[must_use]
    pub fn contains(&self, value: u128) -> bool {
        let at = self.ranges().partition_point(|&(_, last)| last < value);
        self.ranges().get(at).is_some_and(|&(first, _)| first <= value)
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return if self.is_empty() { other.clone() } else { self.clone() };
        }
        let (mut a, mut b) = (self.ranges(), other.ranges());
        let mut merged = Sorted::default();
        while let (Some((a_range, a_rest)), Some((b_range, b_rest))) = (a.split_first(), b.split_first()) {
            if a_range.0 <= b_range.0 {
                merged.add(*a_range);
                a = a_rest;
            } else {
                merged.add(*b_range);
                b = b_rest;
            }
        }
        a.iter().chain(b).for_each(|range| merged.add(*range));
        merged.set()
    }

    /// The ranges from the first that ends at or after `value`.
    fn from(&self, value: u128) -> &[(u128, u128)] {
        let ranges = self.ranges();
        let at = ranges.partition_point(|&(_, last)| last < value);
        ranges.get(at..).unwrap_or_default()
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (Some(first), Some(other_first)) = (self.first(), other.first()) else {
            return Self::empty();
        };
        match (self.ranges(), other.ranges()) {
            (&[(a_first, a_last)], &[(b_first, b_last)]) => {
                return Self::range(a_first.max(b_first), a_last.min(b_last));
            }
            (_, &[(b_first, b_last)]) if b_first <= first && self.last() <= Some(b_last) => return self.clone(),
            (&[(a_first, a_last)], _) if a_first <= other_first && other.last() <= Some(a_last) => {
                return other.clone();
            }
            _ => {}
        }
        let mut ranges = Sorted::default();
        self.in_both(other, |first, last| ranges.add((first, last)));
        ranges.set()
    }

    /// Tells the ranges of what is in both, in order.
    fn in_both(&self, other: &Self, mut tell: impl FnMut(u128, u128)) {
        let (Some(first), Some(other_first)) = (self.first(), other.first()) else {
            return;
        };
        let (mut a, mut b) = (self.from(other_first), other.from(first));
        while let (Some((&(a_first, a_last), a_rest)), Some((&(b_first, b_last), b_rest))) =
            (a.split_first(), b.split_first())
        {
            let (first, last) = (a_first.max(b_first), a_last.min(b_last));
            if first <= last {
                tell(first, last);
            }
            if a_last < b_last {
                a = a_rest;
            } else {
                b = b_rest;
            }
        }
    }

    /// What is in this and not in the other.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        if self.is_disjoint(other) {
            return self.clone();
        }
        let mut cuts = other.from(self.first().unwrap_or(0));
        let mut ranges = Sorted::default();
        for &(first, last) in self.ranges() {
            let mut next = Some(first);
            while let Some((&(cut_first, cut_last), rest)) = cuts.split_first() {
                let Some(start) = next.filter(|&start| start <= last && cut_first <= last) else {
                    break;
                };
                if cut_last >= start {
                    if cut_first > start {
                        ranges.add((start, cut_first - 1));
                    }
                    next = cut_last.checked_add(1);
                }
                if cut_last > last {
                    break;
                }
                cuts = rest;
            }
            if let Some(start) = next.filter(|&start| start <= last) {
                ranges.add((start, last));
            }
        }
        ranges.set()
    }

    /// The numbers from 0 to `max` that are not in it.
    #[must_use]
    pub fn complement(&self, max: u128) -> Self {
        let mut ranges = Sorted::default();
        let mut next = Some(0);
        for &(first, last) in self.ranges() {
            if let Some(start) = next.filter(|&start| start < first && start <= max) {
                ranges.add((start, (first - 1).min(max)));
            }
            next = last.checked_add(1);
        }
        if let Some(start) = next.filter(|&start| start <= max) {
            ranges.add((start, max));
        }
        ranges.set()
    }

    /// How many numbers are in it; `u128::MAX` where that many or one more.
    #[must_use]
    pub fn len(&self) -> u128 {
        self.ranges().iter().fold(0, |sum: u128, &(first, last)| {
            sum.saturating_add(last - first).saturating_add(1)
        })
    }

    /// How many numbers are in both; `u128::MAX` where that many or one more.
    #[must_use]
    pub fn len_in_both(&self, other: &Self) -> u128 {
        let mut count: u128 = 0;
        self.in_both(other, |first, last| {
            count = count.saturating_add(last - first).saturating_add(1);
        });
        count
    }

    /// Whether all of this is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        if let (&[(a_first, a_last)], &[(b_first, b_last)]) = (self.ranges(), other.ranges()) {
            return b_first <= a_first && a_last <= b_last;
        }
        self.ranges().iter().all(|&(first, last)| {
            let holder = other.from(last).first();
            holder.is_some_and(|&(start, _)| start <= first)
        })
    }

    /// Whether nothing is in both.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        if let (&[(a_first, a_last)], &[(b_first, b_last)]) = (self.ranges(), other.ranges()) {
            return a_last < b_first || b_last < a_first;
        }
        let (few, many) = if self.ranges().len() <= other.ranges().len() {
            (self, other)
        } else {
            (other, self)
        };
        few.ranges().iter().all(|&(first, last)| {
            let next = many.from(first).first();
            next.is_none_or(|&(start, _)| start > last)
        })
    }
}

/// A set in the making, range by range: each begins where the one before begins, or behind that. A few need no allocation.
#[derive(Default)]
struct Sorted(SmallVec<[(u128, u128); 8]>);

impl Sorted {
    fn add(&mut self, (first, last): (u128, u128)) {
        match self.0.last_mut() {
            Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
            _ => self.0.push((first, last)),
        }
    }

    fn set(self) -> RangeSet {
        RangeSet(match self.0.as_slice() {
            [] => Ranges::Empty,
            &[only] => Ranges::One([only]),
            many => Ranges::Many(many.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::RangeSet;
    use proptest::prelude::*;

    fn small() -> impl Strategy<Value = (RangeSet, u64)> {
        proptest::collection::vec((0..64u128, 0..9u128), 0..24).prop_map(|pairs| {
            let pairs = pairs
                .into_iter()
                .map(|(first, more)| (first, (first + more / 4).min(63)));
            let pairs: Vec<_> = pairs.collect();
            let bits = pairs.iter().fold(0u64, |bits, &(a, b)| {
                (a..=b).fold(bits, |bits, value| bits | 1 << value)
            });
            (RangeSet::from_ranges(pairs), bits)
        })
    }

    fn bits(set: &RangeSet) -> u64 {
        (0..64)
            .filter(|&value| set.contains(value))
            .fold(0, |bits, value| bits | 1 << value)
    }

    proptest! {
        #[test]
        fn agrees_with_bits((a, a_bits) in small(), (b, b_bits) in small()) {
            prop_assert_eq!(bits(&a), a_bits);
            prop_assert_eq!(bits(&a.union(&b)), a_bits | b_bits);
            prop_assert_eq!(bits(&a.intersection(&b)), a_bits & b_bits);
            prop_assert_eq!(bits(&a.minus(&b)), a_bits & !b_bits);
            prop_assert_eq!(bits(&a.complement(63)), !a_bits);
            prop_assert_eq!(a.is_subset(&b), a_bits & !b_bits == 0);
            prop_assert_eq!(a.is_disjoint(&b), a_bits & b_bits == 0);
            prop_assert_eq!(a.len(), u128::from(a_bits.count_ones()));
            prop_assert_eq!(a.len_in_both(&b), u128::from((a_bits & b_bits).count_ones()));
            prop_assert_eq!(a.first_within(13, 29), (13..=29).find(|&value| a.contains(value)));
            prop_assert_eq!(a.last(), (0..64).rev().find(|&value| a.contains(value)));
            prop_assert_eq!(a.complement(63).complement(63), a);
        }
    }

    #[test]
    fn reaches_the_ends() {
        let all = RangeSet::range(0, u128::MAX);
        assert!(all.complement(u128::MAX).is_empty());
        assert_eq!(RangeSet::empty().complement(u128::MAX), all);
        assert_eq!(
            RangeSet::single(u128::MAX).complement(u128::MAX).ranges(),
            &[(0, u128::MAX - 1)]
        );
    }
}
