//! What the fields of a header have become, in terms of the original header; and how conditions on them read there.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use super::journey::{Ends, Value};
use crate::engine::packets::header::{Field, Header, PacketBox};
use crate::engine::rules::pool::OpenAddress;
use crate::engine::rules::routing::link_local;
use crate::net::{Family, RangeSet};
use crate::ruleset::Name;

/// The number of something that pf chooses, so that two conditions on it are about the same choice.
pub(super) type ChoiceId = u32;

/// What a field has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// The number of that field of the original header plus this, modulo 2^128.
    From(Field, u128),
    /// One of these numbers; more than one is pf's choice.
    OneOf(ChoiceId, RangeSet),
    /// An address that is not known.
    Open(Arc<OpenAddress>),
}

/// A header in terms of the original one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Now {
    /// Address family, now.
    pub(super) family: Family,
    /// The routing table that rules have set.
    pub(super) rtable: Option<u32>,
    /// What fields become when the hop is over.
    pub(super) later: Vec<(Field, Term)>,
    /// Whether the state that this hop makes has a key that no packet of its protocol has, so that nothing that comes back
    /// finds it.
    pub(super) unanswerable: bool,
    /// Why it may be another in truth, in words: what translates it is not modelled, its terms are all that may be.
    pub(super) unmodelled: Option<Arc<str>>,
    /// Shared by clones.
    terms: Arc<[Term; Field::COUNT]>,
}

/// Every field as it was.
static ORIGINAL: LazyLock<Arc<[Term; Field::COUNT]>> =
    LazyLock::new(|| Arc::new(Field::ALL.map(|field| Term::From(field, 0))));

/// The choices that have been narrowed so far.
pub(super) type Narrowed = Vec<(ChoiceId, RangeSet)>;

/// How a condition on a field reads in terms of the original header.
#[derive(Clone, Debug)]
pub(super) enum Reading<'s> {
    /// As a condition on that field of it.
    On(Field, Cow<'s, RangeSet>),
    /// It holds, or not, for every original.
    Always(bool),
    /// As a choice of pf: it holds for the first numbers, not for the second.
    Choice(ChoiceId, RangeSet, RangeSet),
    /// As a question about an address that is not known.
    Unknown(Name),
}

impl Now {
    /// The original header.
    pub(super) fn original(family: Family) -> Self {
        Self {
            family,
            rtable: None,
            later: Vec::new(),
            unanswerable: false,
            unmodelled: None,
            terms: Arc::clone(&ORIGINAL),
        }
    }

    pub(super) fn term(&self, field: Field) -> &Term {
        &self.terms[field as usize]
    }

    pub(super) fn set(&mut self, field: Field, term: Term) {
        Arc::make_mut(&mut self.terms)[field as usize] = term;
    }

    /// Lets take hold what fields become when the hop is over.
    pub(super) fn settle(&mut self) {
        for (field, term) in std::mem::take(&mut self.later) {
            self.set(field, term);
        }
    }

    /// Moves a field by that much, where it is not a choice by now.
    pub(super) fn shift(&mut self, field: Field, by: u128) {
        let term = match self.term(field) {
            Term::From(from, before) => Term::From(*from, before.wrapping_add(by)),
            Term::OneOf(id, set) => Term::OneOf(*id, shifted(set, by)),
            Term::Open(address) => Term::Open(Arc::clone(address)),
        };
        self.set(field, term);
    }

    /// Whether the field has never been changed.
    pub(super) fn is_original(&self, field: Field) -> bool {
        *self.term(field) == Term::From(field, 0)
    }

    /// The same header with source and destination swapped.
    pub(super) fn reversed(&self) -> Self {
        let mut swapped = self.clone();
        for (a, b) in [
            (Field::Source, Field::Destination),
            (Field::SourcePort, Field::DestinationPort),
        ] {
            Arc::make_mut(&mut swapped.terms).swap(a as usize, b as usize);
        }
        swapped
    }

    /// The numbers that a choice may still take.
    pub(super) fn values<'n>(id: ChoiceId, all: &'n RangeSet, narrowed: &'n Narrowed) -> &'n RangeSet {
        let found = narrowed.iter().rev().find(|(known, _)| *known == id);
        found.map_or(all, |(_, set)| set)
    }

    /// How «the field is in `set`» reads on an original header of that family.
    pub(super) fn read<'s>(
        &self,
        field: Field,
        set: &'s RangeSet,
        original: Family,
        narrowed: &Narrowed,
    ) -> Reading<'s> {
        match self.term(field) {
            Term::From(from, 0) => Reading::On(*from, Cow::Borrowed(set)),
            Term::From(from, by) => {
                let numbers = shifted(set, by.wrapping_neg()).intersection(&from.line(original));
                Reading::On(*from, Cow::Owned(numbers))
            }
            Term::OneOf(id, all) => {
                let values = Self::values(*id, all, narrowed);
                let inside = values.intersection(set);
                if inside.is_empty() {
                    Reading::Always(false)
                } else if inside == *values {
                    Reading::Always(true)
                } else {
                    let outside = values.minus(&inside);
                    Reading::Choice(*id, inside, outside)
                }
            }
            Term::Open(address) if address.may_be.is_disjoint(set) => Reading::Always(false),
            Term::Open(address) if address.may_be.is_subset(set) => Reading::Always(true),
            Term::Open(address) => Reading::Unknown(address.interface.clone()),
        }
    }

    /// The packets of a region whose number in that field, by then, is in the set.
    pub(super) fn part(&self, region: &PacketBox, field: Field, set: &RangeSet) -> Option<PacketBox> {
        match self.read(field, set, region.family, &Narrowed::new()) {
            Reading::On(field, set) => region.clone().with(field, &set),
            Reading::Always(false) => None,
            Reading::Always(true) | Reading::Choice(..) | Reading::Unknown(_) => Some(region.clone()),
        }
    }

    /// The packets of a region that go, by then, to a link-local address, as far as that is sure, and the others.
    pub(super) fn to_links(&self, region: &PacketBox, narrowed: &Narrowed) -> (Option<PacketBox>, Vec<PacketBox>) {
        let all = || region.clone();
        if self.family == Family::Inet {
            return (None, vec![all()]);
        }
        match self.read(Field::Destination, &link_local(), region.family, narrowed) {
            Reading::On(field, set) => match all().with(field, &set) {
                Some(links) => (Some(links.clone()), region.minus(&links)),
                None => (None, vec![all()]),
            },
            Reading::Always(true) => (Some(all()), Vec::new()),
            Reading::Always(false) | Reading::Choice(..) | Reading::Unknown(_) => (None, vec![all()]),
        }
    }

    /// Whether a header like this one, from that region, can be in the box. May say yes too often.
    pub(super) fn may_be_in(&self, condition: &PacketBox, region: &PacketBox) -> bool {
        self.family == condition.family && condition.limits().all(|(field, set)| self.may_have(field, set, region))
    }

    /// Whether the field of a header like this one, from that region, can be in the set. May say yes too often.
    pub(super) fn may_have(&self, field: Field, set: &RangeSet, region: &PacketBox) -> bool {
        match self.term(field) {
            Term::From(from, 0) => region.limit(*from).is_none_or(|own| !own.is_disjoint(set)),
            Term::From(from, by) => {
                let preimage = shifted(set, by.wrapping_neg());
                region.limit(*from).is_none_or(|own| !own.is_disjoint(&preimage))
            }
            Term::OneOf(_, all) => !all.is_disjoint(set),
            Term::Open(address) => !address.may_be.is_disjoint(set),
        }
    }

    /// Whether it is the same header, made of the same originals and by choices of the same numbers.
    pub(in crate::engine) fn is_like(&self, other: &Self) -> bool {
        let alike = |one: &Term, other: &Term| match (one, other) {
            (Term::OneOf(_, one), Term::OneOf(_, other)) => one == other,
            (Term::From(..) | Term::OneOf(..) | Term::Open(_), _) => one == other,
        };
        self.family == other.family
            && self
                .terms
                .iter()
                .zip(other.terms.iter())
                .all(|(one, other)| alike(one, other))
    }

    /// The number of a field for that original; `None` where it is open.
    pub(super) fn number(&self, field: Field, original: &Header) -> Option<u128> {
        match self.term(field) {
            Term::From(from, by) => Some(original.get(*from).wrapping_add(*by)),
            Term::OneOf(_, set) => set.first().filter(|_| set.len() == 1),
            Term::Open(_) => None,
        }
    }

    /// The numbers that a field has, of packets of a region; `None` where it is an address that is not known.
    pub(super) fn numbers(&self, field: Field, region: &PacketBox, narrowed: &Narrowed) -> Option<RangeSet> {
        match self.term(field) {
            Term::From(from, by) => Some(shifted(&region.numbers(*from), *by)),
            Term::OneOf(id, all) => Some(Self::values(*id, all, narrowed).clone()),
            Term::Open(_) => None,
        }
    }

    /// The ends as a journey tells them.
    pub(super) fn ends(&self, narrowed: &Narrowed) -> Ends {
        let value = |field: Field| match self.term(field) {
            Term::From(from, 0) if *from == field => Value::Same,
            Term::From(..) => Value::Moved,
            Term::OneOf(id, all) => Value::OneOf(Self::values(*id, all, narrowed).clone()),
            Term::Open(address) => Value::AddressOf(address.interface.clone()),
        };
        Ends {
            family: self.family,
            source: value(Field::Source),
            destination: value(Field::Destination),
            source_port: value(Field::SourcePort),
            destination_port: value(Field::DestinationPort),
        }
    }
}

/// The numbers of the set, each plus `by`, modulo 2^128.
pub(super) fn shifted(set: &RangeSet, by: u128) -> RangeSet {
    if by == 0 {
        return set.clone();
    }
    RangeSet::from_ranges(set.ranges().iter().flat_map(|&(first, last)| {
        let (first, last) = (first.wrapping_add(by), last.wrapping_add(by));
        if first <= last {
            [(first, last), (1, 0)]
        } else {
            [(first, u128::MAX), (0, last)]
        }
    }))
}
