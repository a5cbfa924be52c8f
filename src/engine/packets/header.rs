//! [`Field`], [`Header`] and [`PacketBox`]: packets as points, and conjunctions of conditions on them as boxes.
//!
//! Every field is a line of numbers. Fields never correlate: what is one condition for pf is one field here, so tcp
//! flags and the type and code of icmp stand on the line of protocols. What the numbers of [`Field::Place`] and
//! [`Field::Tag`] mean is the business of `space`.

use std::sync::{Arc, LazyLock};

use super::transport;
use crate::net::{Family, RangeSet};

/// One field of a header, a line of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// How it meets the machine: [`Place`](crate::engine::Place) by the numbers of [`Space`](crate::engine::Space).
    Place,
    /// Protocol, and with it the flags of tcp, the type and code of icmp: [`transport`].
    Transport,
    /// Destination address.
    Destination,
    /// Source address.
    Source,
    /// Destination port; 0 where the protocol has none.
    DestinationPort,
    /// Source port; 0 where the protocol has none.
    SourcePort,
    /// Options and extension headers: 0 none that needs `allow-opts`, 1 some, 2 a routing header of type 0. A router
    /// alert by itself is none to pf where IGMP and multicast listener discovery demand it.
    Options,
    /// 0 whole, 1 the first fragment, 2 a later one. Only whole ones exist while pf reassembles.
    Fragment,
    /// Type of service, the whole byte.
    Tos,
    /// Time to live, or hop limit.
    Ttl,
    /// Priority, 0 to 7.
    Prio,
    /// The tag that is already on it, by the numbers of [`Space`](crate::engine::Space); 0 is none.
    Tag,
}

impl Field {
    /// How many there are.
    pub const COUNT: usize = 12;

    /// The addresses and ports: what translation may change, and by which a state is found.
    pub const ENDS: [Self; 4] = [Self::Source, Self::Destination, Self::SourcePort, Self::DestinationPort];

    /// Every field, in order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Place,
        Self::Transport,
        Self::Destination,
        Self::Source,
        Self::DestinationPort,
        Self::SourcePort,
        Self::Options,
        Self::Fragment,
        Self::Tos,
        Self::Ttl,
        Self::Prio,
        Self::Tag,
    ];

    /// The whole line for packets of that family.
    #[must_use]
    pub fn line(self, family: Family) -> RangeSet {
        match self {
            Self::Place | Self::Tag => RangeSet::range(0, u128::from(u32::MAX)),
            Self::Transport => transport::line(family),
            Self::Destination | Self::Source => RangeSet::range(0, u128::MAX >> (128 - u32::from(family.bits()))),
            Self::DestinationPort | Self::SourcePort => RangeSet::range(0, u128::from(u16::MAX)),
            Self::Options => match family {
                Family::Inet => RangeSet::range(0, 1),
                Family::Inet6 => RangeSet::range(0, 2),
            },
            Self::Fragment => RangeSet::range(0, 2),
            Self::Tos | Self::Ttl => RangeSet::range(0, u128::from(u8::MAX)),
            Self::Prio => RangeSet::range(0, 7),
        }
    }
}

/// One packet: a number for each field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Address family.
    pub family: Family,
    values: [u128; Field::COUNT],
}

impl Header {
    /// The header with 0 in every field.
    #[must_use]
    pub fn zero(family: Family) -> Self {
        Self {
            family,
            values: [0; Field::COUNT],
        }
    }

    /// The number in a field.
    #[must_use]
    pub fn get(&self, field: Field) -> u128 {
        self.values[field as usize]
    }

    /// The same header with another number in a field.
    #[must_use]
    pub fn with(mut self, field: Field, value: u128) -> Self {
        self.set(field, value);
        self
    }

    pub(super) fn set(&mut self, field: Field, value: u128) {
        self.values[field as usize] = value;
    }
}

/// A set of packets of one family, given by one set of numbers for each field: their product. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PacketBox {
    /// Address family.
    pub family: Family,
    // INVARIANT: the packets whose number in each of these fields is in its set; the sets of the other fields are empty.
    constrained: Fields,
    // Shared by clones.
    limits: Arc<[RangeSet; Field::COUNT]>,
}

/// A set of fields, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Fields(u16);

impl Fields {
    const ALL: Self = Self((1 << Field::COUNT) - 1);

    const fn of(field: Field) -> Self {
        Self(1 << field as u16)
    }

    fn contains(self, field: Field) -> bool {
        self.0 & Self::of(field).0 != 0
    }

    fn iter(self) -> impl Iterator<Item = Field> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let field = *Field::ALL.get(rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(field)
        })
    }
}

/// No field constrained.
static NO_LIMITS: LazyLock<Arc<[RangeSet; Field::COUNT]>> = LazyLock::new(Arc::default);

impl PacketBox {
    /// Every packet of the family.
    #[must_use]
    pub fn all(family: Family) -> Self {
        Self {
            family,
            constrained: Fields::default(),
            limits: Arc::clone(&NO_LIMITS),
        }
    }

    /// The one packet.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        Self {
            family: header.family,
            constrained: Fields::ALL,
            limits: Arc::new(header.values.map(RangeSet::single)),
        }
    }

    /// The fields that are constrained, with their sets, in order.
    pub fn limits(&self) -> impl Iterator<Item = (Field, &RangeSet)> {
        self.constrained
            .iter()
            .map(|field| (field, &self.limits[field as usize]))
    }

    /// The constraint of a field; `None` where there is none.
    #[must_use]
    pub fn limit(&self, field: Field) -> Option<&RangeSet> {
        self.constrained.contains(field).then(|| &self.limits[field as usize])
    }

    /// The numbers of a field: its constraint, or its whole line.
    #[must_use]
    pub fn numbers(&self, field: Field) -> RangeSet {
        self.limit(field).cloned().unwrap_or_else(|| field.line(self.family))
    }

    /// Those of its packets whose number in `field` is in `set`; `None` where there are none.
    #[must_use]
    pub fn with(self, field: Field, set: &RangeSet) -> Option<Self> {
        match self.limit(field) {
            Some(own) if own.is_subset(set) => Some(self),
            Some(own) => {
                let both = own.intersection(set);
                self.replaced(field, &both)
            }
            None => self.replaced(field, set),
        }
    }

    /// The same box with the field's numbers replaced; `None` where `set` is empty.
    #[must_use]
    pub fn replaced(mut self, field: Field, set: &RangeSet) -> Option<Self> {
        if set.is_empty() {
            return None;
        }
        Arc::make_mut(&mut self.limits)[field as usize] = set.clone();
        self.constrained.0 |= Fields::of(field).0;
        Some(self)
    }

    /// The same box without a constraint on that field.
    #[must_use]
    pub fn without(mut self, field: Field) -> Self {
        if self.constrained.contains(field) {
            Arc::make_mut(&mut self.limits)[field as usize] = RangeSet::empty();
            self.constrained.0 &= !Fields::of(field).0;
        }
        self
    }

    /// Whether the packet is in it.
    #[must_use]
    pub fn contains(&self, header: &Header) -> bool {
        self.family == header.family && self.limits().all(|(field, set)| set.contains(header.get(field)))
    }

    /// What is in both; `None` where nothing is.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        if self.is_disjoint(other) {
            return None;
        }
        let mut limits = other.limits();
        limits.try_fold(self.clone(), |result, (field, set)| result.with(field, set))
    }

    /// A box that holds both, which are of one family.
    pub(in crate::engine) fn hull(&self, other: &Self) -> Self {
        let constrained = Fields(self.constrained.0 & other.constrained.0);
        let mut limits: [RangeSet; Field::COUNT] = Default::default();
        for field in constrained.iter() {
            let field = field as usize;
            limits[field] = self.limits[field].union(&other.limits[field]);
        }
        Self {
            family: self.family,
            constrained,
            limits: Arc::new(limits),
        }
    }

    /// Whether nothing is in both.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        if self.family != other.family {
            return true;
        }
        let both = Fields(self.constrained.0 & other.constrained.0);
        both.iter()
            .any(|field| self.limits[field as usize].is_disjoint(&other.limits[field as usize]))
    }

    /// Whether all of this is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.family == other.family
            && other.limits().all(|(field, set)| match self.limit(field) {
                Some(own) => own.is_subset(set),
                None => field.line(self.family).is_subset(set),
            })
    }

    /// What is in this and not in the other, as disjoint boxes.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Vec<Self> {
        let mut pieces = Vec::new();
        self.minus_into(other, &mut pieces);
        pieces
    }

    /// Adds the boxes of [`minus`](Self::minus) to others.
    pub(super) fn minus_into(&self, other: &Self, pieces: &mut Vec<Self>) {
        if self.is_disjoint(other) {
            pieces.push(self.clone());
            return;
        }
        let is_within = |(field, set): &(Field, &RangeSet)| self.limit(*field).is_some_and(|own| own.is_subset(set));
        let mut cuts = other.limits().filter(|cut| !is_within(cut)).peekable();
        let mut rest = self.clone();
        while let Some((field, set)) = cuts.next() {
            let outside = match self.limit(field) {
                Some(own) => own.minus(set),
                None => field.line(self.family).minus(set),
            };
            if cuts.peek().is_none() {
                pieces.extend(rest.replaced(field, &outside));
                return;
            }
            pieces.extend(rest.clone().replaced(field, &outside));
            // The boxes overlap, so what is left of `rest` is never empty.
            let Some(inside) = rest.with(field, set) else {
                return;
            };
            rest = inside;
        }
    }

    /// The packet with the least number in every field.
    #[must_use]
    pub fn least(&self) -> Header {
        let mut header = Header::zero(self.family);
        for field in Field::ALL {
            let least = match self.limit(field) {
                Some(set) => set.first(),
                None => field.line(self.family).first(),
            };
            header.set(field, least.unwrap_or(0));
        }
        header
    }
}
