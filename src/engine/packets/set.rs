//! [`PacketSet`]: «the packets that …», as a union of boxes.
//!
//! # Laws
//! With `⟦s⟧` for the packets of `s`:
//! - `s.is_empty()` if and only if `⟦s⟧` is empty; `s.least()` is `None` if and only if `s.is_empty()`, else in `⟦s⟧`.
//! - `⟦a.union(b)⟧ = ⟦a⟧ ∪ ⟦b⟧`, `⟦a.intersection(b)⟧ = ⟦a⟧ ∩ ⟦b⟧`, `⟦a.minus(b)⟧ = ⟦a⟧ ∖ ⟦b⟧`.
//! - `a.is_subset(b)` if and only if `a.minus(b).is_empty()`.
//! - `⟦s.simplified()⟧ = ⟦s⟧`, in boxes that may overlap, of which none can be made larger in any one field.

use super::header::{Header, PacketBox};
use crate::net::Family;

/// A set of packets: a union of boxes, which may overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketSet {
    boxes: Vec<PacketBox>,
}

impl From<PacketBox> for PacketSet {
    fn from(only: PacketBox) -> Self {
        Self { boxes: vec![only] }
    }
}

impl FromIterator<PacketBox> for PacketSet {
    fn from_iter<I: IntoIterator<Item = PacketBox>>(boxes: I) -> Self {
        Self {
            boxes: boxes.into_iter().collect(),
        }
    }
}

impl PacketSet {
    /// The empty set.
    #[must_use]
    pub const fn empty() -> Self {
        Self { boxes: Vec::new() }
    }

    /// Its boxes.
    #[must_use]
    pub fn boxes(&self) -> &[PacketBox] {
        &self.boxes
    }

    /// Whether no packet is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // INVARIANT: a box is never empty.
        self.boxes.is_empty()
    }

    /// Whether the packet is in it.
    #[must_use]
    pub fn contains(&self, header: &Header) -> bool {
        self.boxes.iter().any(|part| part.contains(header))
    }

    /// A packet of it: the least of its first box.
    #[must_use]
    pub fn least(&self) -> Option<Header> {
        self.boxes.first().map(PacketBox::least)
    }

    /// Those of its packets that are of that family.
    #[must_use]
    pub fn of_family(&self, family: Family) -> Self {
        self.boxes
            .iter()
            .filter(|part| part.family == family)
            .cloned()
            .collect()
    }

    /// The packets in either.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        self.boxes.extend(other.boxes);
        self
    }

    /// The packets in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let pairs = self.boxes.iter().flat_map(|a| other.boxes.iter().map(move |b| (a, b)));
        pairs.filter_map(|(a, b)| a.intersection(b)).collect()
    }

    /// The packets in this and not in the other.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut left = self.clone();
        for cut in &other.boxes {
            if left.boxes.iter().all(|part| part.is_disjoint(cut)) {
                continue;
            }
            let mut pieces = Vec::with_capacity(left.boxes.len() + 1);
            left.boxes.iter().for_each(|part| part.minus_into(cut, &mut pieces));
            left.boxes = pieces;
        }
        left
    }

    /// Whether every packet of this is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.minus(other).is_empty()
    }
}
