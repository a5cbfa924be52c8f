//! [`RangeSet`]: a set of numbers as sorted ranges.

/// A set of numbers of up to 128 bits: sorted, disjoint, non-adjacent inclusive ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RangeSet {
    // INVARIANT: sorted; for neighbours (a, b), (c, d): b + 1 < c; in each: first <= last.
    ranges: Vec<(u128, u128)>,
}

impl RangeSet {
    /// The empty set.
    #[must_use]
    pub const fn empty() -> Self {
        Self { ranges: Vec::new() }
    }

    /// The numbers from `first` to `last`, both included; empty where `first > last`.
    #[must_use]
    pub fn range(first: u128, last: u128) -> Self {
        if first > last {
            Self::empty()
        } else {
            Self {
                ranges: vec![(first, last)],
            }
        }
    }

    /// The one number.
    #[must_use]
    pub fn single(value: u128) -> Self {
        Self::range(value, value)
    }

    /// The union of inclusive ranges in any order.
    #[must_use]
    pub fn from_ranges(ranges: impl IntoIterator<Item = (u128, u128)>) -> Self {
        let mut all: Vec<_> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        all.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match merged.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self { ranges: merged }
    }

    /// The ranges, sorted, disjoint, not adjacent, both ends included.
    #[must_use]
    pub fn ranges(&self) -> &[(u128, u128)] {
        &self.ranges
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The least number in it.
    #[must_use]
    pub fn first(&self) -> Option<u128> {
        self.ranges.first().map(|&(first, _)| first)
    }

    /// Whether the number is in it.
    #[must_use]
    pub fn contains(&self, value: u128) -> bool {
        let at = self.ranges.partition_point(|&(_, last)| last < value);
        self.ranges.get(at).is_some_and(|&(first, _)| first <= value)
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ranges(self.ranges.iter().chain(&other.ranges).copied())
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut ranges = Vec::new();
        while let (Some(&&(a_first, a_last)), Some(&&(b_first, b_last))) = (a.peek(), b.peek()) {
            let (first, last) = (a_first.max(b_first), a_last.min(b_last));
            if first <= last {
                ranges.push((first, last));
            }
            if a_last < b_last {
                a.next()
            } else {
                b.next()
            };
        }
        Self { ranges }
    }

    /// What is in this and not in the other.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.intersection(&other.complement(u128::MAX))
    }

    /// The numbers from 0 to `max` that are not in it.
    #[must_use]
    pub fn complement(&self, max: u128) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = Some(0);
        for &(first, last) in &self.ranges {
            if let Some(start) = next.filter(|&start| start < first && start <= max) {
                ranges.push((start, (first - 1).min(max)));
            }
            next = last.checked_add(1);
        }
        if let Some(start) = next.filter(|&start| start <= max) {
            ranges.push((start, max));
        }
        Self { ranges }
    }

    /// Whether all of this is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.minus(other).is_empty()
    }

    /// Whether nothing is in both.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.intersection(other).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::RangeSet;
    use proptest::prelude::*;

    fn small() -> impl Strategy<Value = (RangeSet, u16)> {
        proptest::collection::vec((0..16u128, 0..16u128), 0..5).prop_map(|pairs| {
            let bits = pairs.iter().fold(0u16, |bits, &(a, b)| {
                (a..=b).fold(bits, |bits, value| bits | 1 << value)
            });
            (RangeSet::from_ranges(pairs), bits)
        })
    }

    fn bits(set: &RangeSet) -> u16 {
        (0..16)
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
            prop_assert_eq!(bits(&a.complement(15)), !a_bits);
            prop_assert_eq!(a.is_subset(&b), a_bits & !b_bits == 0);
            prop_assert_eq!(a.complement(15).complement(15), a);
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
