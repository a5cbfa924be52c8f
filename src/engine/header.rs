//! [`Field`], [`Header`] and [`PacketBox`]: packets as points, and conjunctions of conditions on them as boxes.
//!
//! Every field is a line of numbers. Fields never correlate: what is one condition for pf is one field here, so tcp
//! flags and the type and code of icmp stand on the line of protocols. What the numbers of [`Field::Place`] and
//! [`Field::Tag`] mean is the business of `space`.

use std::sync::Arc;

use crate::net::{Family, FlagsMatch, Protocol, RangeSet, TcpFlags};
use crate::ruleset::IcmpMatch;

/// One field of a header, a line of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// How it meets the machine: [`Place`](super::Place) by the numbers of [`Space`](super::Space).
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
    /// Options and extension headers: 0 none, 1 some, 2 router alert alone, 3 routing header of type 0.
    Options,
    /// 0 whole, 1 the first fragment, 2 a later one. Only whole ones exist while pf reassembles.
    Fragment,
    /// Type of service, the whole byte.
    Tos,
    /// Time to live, or hop limit.
    Ttl,
    /// Priority, 0 to 7.
    Prio,
    /// The tag that is already on it, by the numbers of [`Space`](super::Space); 0 is none.
    Tag,
}

impl Field {
    /// How many there are.
    pub const COUNT: usize = 12;

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
                Family::Inet => RangeSet::range(0, 2),
                Family::Inet6 => RangeSet::range(0, 3),
            },
            Self::Fragment => RangeSet::range(0, 2),
            Self::Tos | Self::Ttl => RangeSet::range(0, u128::from(u8::MAX)),
            Self::Prio => RangeSet::range(0, 7),
        }
    }
}

/// The line of protocols: `protocol << 16`, for tcp plus the flags, for the family's icmp plus `type << 8 | code`.
pub mod transport {
    use std::sync::LazyLock;

    use super::{Family, FlagsMatch, IcmpMatch, Protocol, RangeSet, TcpFlags};

    /// The icmp of a family.
    #[must_use]
    pub fn icmp(family: Family) -> Protocol {
        match family {
            Family::Inet => Protocol::ICMP,
            Family::Inet6 => Protocol::ICMP6,
        }
    }

    /// Every number of a protocol in that family.
    #[must_use]
    pub fn protocol(protocol: Protocol, family: Family) -> RangeSet {
        let base = u128::from(protocol.0) << 16;
        if protocol == Protocol::TCP {
            RangeSet::range(base, base + 0xff)
        } else if protocol == icmp(family) {
            RangeSet::range(base, base + 0xffff)
        } else {
            RangeSet::single(base)
        }
    }

    /// Every number of the family. Protocols that pf looks through never come up.
    #[must_use]
    pub fn line(family: Family) -> RangeSet {
        static LINES: LazyLock<[RangeSet; 2]> = LazyLock::new(|| Family::BOTH.map(every));
        let [inet, inet6] = &*LINES;
        match family {
            Family::Inet => inet.clone(),
            Family::Inet6 => inet6.clone(),
        }
    }

    fn every(family: Family) -> RangeSet {
        let passed_through: &[u8] = match family {
            Family::Inet => &[51],
            Family::Inet6 => &[0, 43, 51, 60],
        };
        let numbers = (0..=u8::MAX).filter(|number| !passed_through.contains(number));
        RangeSet::from_ranges(numbers.flat_map(|number| protocol(Protocol(number), family).ranges().to_vec()))
    }

    /// The tcp packets of which the flags, as rules see them, satisfy the condition: pf takes FIN from SYN
    /// (`pf_normalize_tcp`).
    pub fn flags_where(condition: impl Fn(TcpFlags) -> bool) -> RangeSet {
        let seen = |flags: TcpFlags| match flags.contains(TcpFlags::SYN) {
            true => TcpFlags(flags.0 & !TcpFlags::FIN.0),
            false => flags,
        };
        let chosen = (0..=u8::MAX).map(TcpFlags).filter(|&flags| condition(seen(flags)));
        RangeSet::from_ranges(chosen.map(|flags| (tcp(flags), tcp(flags))))
    }

    /// The tcp packets that pass the test.
    #[must_use]
    pub fn flags(test: FlagsMatch) -> RangeSet {
        flags_where(|flags| test.matches(flags))
    }

    /// The tcp packets that pf drops for their flags before any rule (`pf_normalize_tcp`).
    #[must_use]
    pub fn senseless() -> RangeSet {
        let bare = TcpFlags::FIN | TcpFlags::PSH | TcpFlags::URG;
        let senseless = |flags: TcpFlags| {
            let opens = flags.contains(TcpFlags::SYN);
            opens && flags.contains(TcpFlags::RST)
                || !opens && !flags.intersects(TcpFlags::ACK | TcpFlags::RST)
                || !flags.contains(TcpFlags::ACK) && flags.intersects(bare)
        };
        flags_where(senseless)
    }

    /// The numbers of types of the family's icmp.
    fn types(family: Family, kinds: &[u8]) -> RangeSet {
        let base = u128::from(icmp(family).0) << 16;
        RangeSet::from_ranges(kinds.iter().map(|&kind| {
            let first = base | u128::from(kind) << 8;
            (first, first | 0xff)
        }))
    }

    /// Replies of icmp, which no rule that keeps state matches (`pf_icmp_mapping`, `PF_OUT`); not neighbour
    /// advertisements.
    #[must_use]
    pub fn replies(family: Family) -> RangeSet {
        match family {
            Family::Inet => types(family, &[0, 9, 14, 16, 18, 34, 36]),
            Family::Inet6 => types(family, &[129, 140, 200]),
        }
    }

    /// What makes no state: errors of icmp, and neighbour advertisements (`pf_icmp_mapping` returns 1).
    #[must_use]
    pub fn stateless(family: Family) -> RangeSet {
        match family {
            Family::Inet => types(family, &[3, 4, 5, 11, 12]),
            Family::Inet6 => types(family, &[1, 2, 3, 4, 136]),
        }
    }

    /// Echo requests, with any code.
    #[must_use]
    pub fn echo_requests(family: Family) -> RangeSet {
        match family {
            Family::Inet => types(family, &[8]),
            Family::Inet6 => types(family, &[128]),
        }
    }

    /// Queries of icmp and how far their replies lie from them on the line.
    #[must_use]
    pub fn answers(family: Family) -> Vec<(RangeSet, u128)> {
        let pairs: &[(u8, u8)] = match family {
            Family::Inet => &[(8, 0), (10, 9), (13, 14), (15, 16), (17, 18)],
            Family::Inet6 => &[(128, 129), (139, 140)],
        };
        let by = |from: u8, to: u8| (u128::from(to) << 8).wrapping_sub(u128::from(from) << 8);
        pairs
            .iter()
            .map(|&(query, answer)| (types(family, &[query]), by(query, answer)))
            .collect()
    }

    /// The tcp packets that follow in a connection: ACK, and what goes with it.
    #[must_use]
    pub fn answering() -> RangeSet {
        flags_where(|flags| flags.contains(TcpFlags::ACK)).minus(&senseless())
    }

    /// Neighbour discovery, for which the hop limit must be 255 (`pf_setup_pdesc`).
    #[must_use]
    pub fn neighbour_discovery() -> RangeSet {
        types(Family::Inet6, &[133, 134, 135, 136, 137])
    }

    /// Multicast listener discovery, for which the hop limit must be 1 (`pf_walk_header6`).
    #[must_use]
    pub fn listener_discovery() -> RangeSet {
        types(Family::Inet6, &[130, 131, 132, 143])
    }

    /// The icmp packets of the family that pass the test.
    #[must_use]
    pub fn icmp_match(test: IcmpMatch, family: Family) -> RangeSet {
        let base = u128::from(icmp(family).0) << 16 | u128::from(test.kind) << 8;
        match test.code {
            Some(code) => RangeSet::single(base | u128::from(code)),
            None => RangeSet::range(base, base | 0xff),
        }
    }

    /// The number of tcp with those flags.
    #[must_use]
    pub fn tcp(flags: TcpFlags) -> u128 {
        u128::from(Protocol::TCP.0) << 16 | u128::from(flags.0)
    }

    /// The numbers of those protocols whose packets have ports.
    #[must_use]
    pub fn ported() -> RangeSet {
        let [tcp, udp] = [Protocol::TCP, Protocol::UDP].map(|known| protocol(known, Family::Inet));
        tcp.union(&udp)
    }

    /// The protocol of a number.
    #[must_use]
    pub fn protocol_of(number: u128) -> Protocol {
        Protocol((number >> 16) as u8)
    }

    /// Flags of tcp at a number.
    #[must_use]
    pub fn flags_of(number: u128) -> TcpFlags {
        TcpFlags(number as u8)
    }

    /// Type and code of icmp at a number.
    #[must_use]
    pub fn icmp_of(number: u128) -> (u8, u8) {
        ((number >> 8) as u8, number as u8)
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
        self.values[field as usize] = value;
        self
    }
}

/// A set of packets of one family, given by one set of numbers for each field: their product. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PacketBox {
    /// Address family.
    pub family: Family,
    // INVARIANT: sorted by field; no set is empty. A field that is absent is not constrained. Shared by clones.
    limits: Arc<Vec<(Field, RangeSet)>>,
}

impl PacketBox {
    /// Every packet of the family.
    #[must_use]
    pub fn all(family: Family) -> Self {
        Self {
            family,
            limits: Arc::default(),
        }
    }

    /// The one packet.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        let limits = Field::ALL.map(|field| (field, RangeSet::single(header.get(field))));
        Self {
            family: header.family,
            limits: Arc::new(limits.to_vec()),
        }
    }

    /// The fields that are constrained, with their sets, in order.
    pub fn limits(&self) -> impl Iterator<Item = (Field, &RangeSet)> {
        self.limits.iter().map(|(field, set)| (*field, set))
    }

    /// The constraint of a field; `None` where there is none.
    #[must_use]
    pub fn limit(&self, field: Field) -> Option<&RangeSet> {
        let found = self.limits.iter().find(|(known, _)| *known == field);
        found.map(|(_, set)| set)
    }

    /// The numbers of a field: its constraint, or its whole line.
    #[must_use]
    pub fn numbers(&self, field: Field) -> RangeSet {
        self.limit(field).cloned().unwrap_or_else(|| field.line(self.family))
    }

    /// Those of its packets whose number in `field` is in `set`; `None` where there are none.
    #[must_use]
    pub fn with(mut self, field: Field, set: &RangeSet) -> Option<Self> {
        match self.limits.binary_search_by_key(&field, |&(known, _)| known) {
            Ok(at) => {
                let own = &self.limits[at].1;
                if !own.is_subset(set) {
                    let both = own.intersection(set);
                    if both.is_empty() {
                        return None;
                    }
                    Arc::make_mut(&mut self.limits)[at].1 = both;
                }
                Some(self)
            }
            Err(at) => {
                if set.is_empty() {
                    return None;
                }
                Arc::make_mut(&mut self.limits).insert(at, (field, set.clone()));
                Some(self)
            }
        }
    }

    /// The same box with the field's numbers replaced; `None` where `set` is empty.
    #[must_use]
    pub fn replaced(self, field: Field, set: &RangeSet) -> Option<Self> {
        self.without(field).with(field, set)
    }

    /// The same box without a constraint on that field.
    #[must_use]
    pub fn without(mut self, field: Field) -> Self {
        if self.limit(field).is_some() {
            Arc::make_mut(&mut self.limits).retain(|&(known, _)| known != field);
        }
        self
    }

    /// Whether the packet is in it.
    #[must_use]
    pub fn contains(&self, header: &Header) -> bool {
        self.family == header.family && self.limits.iter().all(|(field, set)| set.contains(header.get(*field)))
    }

    /// What is in both; `None` where nothing is.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        if self.is_disjoint(other) {
            return None;
        }
        other
            .limits
            .iter()
            .try_fold(self.clone(), |result, (field, set)| result.with(*field, set))
    }

    /// A box that holds both, which are of one family.
    pub(super) fn hull(&self, other: &Self) -> Self {
        let limits = self.limits.iter().filter_map(|(field, set)| {
            let other = other.limit(*field)?;
            Some((*field, set.union(other)))
        });
        Self {
            family: self.family,
            limits: Arc::new(limits.collect()),
        }
    }

    /// Whether nothing is in both.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        if self.family != other.family {
            return true;
        }
        let (mut a, mut b) = (self.limits.as_slice(), other.limits.as_slice());
        while let (Some(((a_field, a_set), a_rest)), Some(((b_field, b_set), b_rest))) =
            (a.split_first(), b.split_first())
        {
            if a_field == b_field && a_set.is_disjoint(b_set) {
                return true;
            }
            let order = a_field.cmp(b_field);
            if order.is_le() {
                a = a_rest;
            }
            if order.is_ge() {
                b = b_rest;
            }
        }
        false
    }

    /// Whether all of this is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.family == other.family
            && other.limits.iter().all(|(field, set)| match self.limit(*field) {
                Some(own) => own.is_subset(set),
                None => field.line(self.family).is_subset(set),
            })
    }

    /// What is in this and not in the other, as disjoint boxes.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Vec<Self> {
        if self.is_disjoint(other) {
            return vec![self.clone()];
        }
        let mut pieces = Vec::new();
        let mut rest = self.clone();
        for (field, set) in other.limits.iter() {
            let outside = rest.numbers(*field).minus(set);
            pieces.extend(rest.clone().replaced(*field, &outside));
            // The boxes overlap, so what is left of `rest` is never empty.
            let Some(inside) = rest.with(*field, set) else {
                return pieces;
            };
            rest = inside;
        }
        pieces
    }

    /// The packet with the least number in every field.
    #[must_use]
    pub fn least(&self) -> Header {
        Field::ALL.into_iter().fold(Header::zero(self.family), |header, field| {
            let set = self.limit(field);
            let least = match set {
                Some(set) => set.first(),
                None => field.line(self.family).first(),
            };
            header.with(field, least.unwrap_or(0))
        })
    }
}
