//! The line of protocols, of [`Field::Transport`](super::header::Field::Transport): numbers such that what rules ask for are few
//! ranges.
//!
//! First tcp, one number for each combination of flags, those that rules ask for most as the highest bits; then udp,
//! then the family's icmp by type and code, then all other protocols, those at the end that one family or the other
//! never has.

use std::sync::LazyLock;

use crate::net::{Family, FlagsMatch, Protocol, RangeSet, TcpFlags};
use crate::ruleset::IcmpMatch;

/// Where udp stands: behind the combinations of tcp flags.
const UDP: u128 = 1 << 8;
/// Where the family's icmp begins: a number for each type and code.
const ICMP: u128 = UDP + 1;
/// Where all other protocols begin.
const OTHERS: u128 = ICMP + (1 << 16);

/// What some family never has, in this order at the end of the line: fragments while pf reassembles, then headers that
/// pf looks through in IPv6, then the one that it looks through in both.
const LAST: [u8; 5] = [44, 0, 43, 60, 51];
/// How many of the last are not on the line of a family.
const fn missing(family: Family) -> usize {
    match family {
        Family::Inet => 1,
        Family::Inet6 => 4,
    }
}

/// The protocols from [`OTHERS`] on. The first stands for the icmp of the other family.
static ORDER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let apart = [Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol::ICMP6].map(|known| known.0);
    let usual = (0..=u8::MAX).filter(|number| !apart.contains(number) && !LAST.contains(number));
    [Protocol::ICMP.0].into_iter().chain(usual).chain(LAST).collect()
});

/// The place of each protocol in [`ORDER`].
static RANKS: LazyLock<[u8; 256]> = LazyLock::new(|| {
    let mut ranks = [0; 256];
    for (rank, &number) in ORDER.iter().enumerate() {
        ranks[usize::from(number)] = rank as u8;
    }
    ranks
});

/// The flags of tcp from the highest bit of their number to the lowest.
const FLAGS: [TcpFlags; 8] = [
    TcpFlags::SYN,
    TcpFlags::ACK,
    TcpFlags::RST,
    TcpFlags::FIN,
    TcpFlags::PSH,
    TcpFlags::URG,
    TcpFlags::ECE,
    TcpFlags::CWR,
];

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
    let first = first(protocol, family);
    if protocol == Protocol::TCP {
        RangeSet::range(first, UDP - 1)
    } else if protocol == icmp(family) {
        RangeSet::range(first, OTHERS - 1)
    } else {
        RangeSet::single(first)
    }
}

/// The first number of a protocol in that family: its only one but for tcp and the family's icmp.
#[must_use]
pub fn first(protocol: Protocol, family: Family) -> u128 {
    match protocol {
        Protocol::TCP => 0,
        Protocol::UDP => UDP,
        known if known == icmp(family) => ICMP,
        known if known == icmp(family.other()) => OTHERS,
        Protocol(number) => OTHERS + u128::from(RANKS[usize::from(number)]),
    }
}

/// Every number of the family. Protocols that pf looks through never come up.
#[must_use]
pub fn line(family: Family) -> RangeSet {
    RangeSet::range(0, OTHERS + (ORDER.len() - missing(family) - 1) as u128)
}

/// The tcp packets of which the flags, as rules see them, satisfy the condition: pf takes FIN from SYN
/// (`pf_normalize_tcp`).
pub fn flags_where(condition: impl Fn(TcpFlags) -> bool) -> RangeSet {
    let seen = |flags: TcpFlags| match flags.contains(TcpFlags::SYN) {
        true => TcpFlags(flags.0 & !TcpFlags::FIN.0),
        false => flags,
    };
    let chosen = (0..=u8::MAX).map(TcpFlags).filter(|&flags| condition(seen(flags)));
    RangeSet::from_ranges(chosen.map(of_tcp).map(|number| (number, number)))
}

/// The tcp packets that pass the test.
#[must_use]
pub fn flags(test: FlagsMatch) -> RangeSet {
    flags_where(|flags| test.matches(flags))
}

/// The tcp packets that pf drops for their flags before any rule (`pf_normalize_tcp`).
#[must_use]
pub fn senseless() -> RangeSet {
    static SENSELESS: LazyLock<RangeSet> = LazyLock::new(|| flags_where(senseless_flags));
    SENSELESS.clone()
}

fn senseless_flags(flags: TcpFlags) -> bool {
    let bare = TcpFlags::FIN | TcpFlags::PSH | TcpFlags::URG;
    let opens = flags.contains(TcpFlags::SYN);
    opens && flags.contains(TcpFlags::RST)
        || !opens && !flags.intersects(TcpFlags::ACK | TcpFlags::RST)
        || !flags.contains(TcpFlags::ACK) && flags.intersects(bare)
}

/// The numbers of types of the family's icmp.
fn types(kinds: &[u8]) -> RangeSet {
    RangeSet::from_ranges(kinds.iter().map(|&kind| (of_icmp(kind, 0), of_icmp(kind, u8::MAX))))
}

/// Replies of icmp, which no rule that keeps state matches (`pf_icmp_mapping`, `PF_OUT`); not neighbour
/// advertisements.
#[must_use]
pub fn replies(family: Family) -> RangeSet {
    match family {
        Family::Inet => types(&[0, 9, 14, 16, 18, 34, 36]),
        Family::Inet6 => types(&[129, 140, 200]),
    }
}

/// What makes no state: errors of icmp, and neighbour advertisements (`pf_icmp_mapping` returns 1).
#[must_use]
pub fn stateless(family: Family) -> RangeSet {
    static STATELESS: LazyLock<[RangeSet; 2]> =
        LazyLock::new(|| [types(&[3, 4, 5, 11, 12]), types(&[1, 2, 3, 4, 136])]);
    match family {
        Family::Inet => STATELESS[0].clone(),
        Family::Inet6 => STATELESS[1].clone(),
    }
}

/// Echo requests, with any code.
#[must_use]
pub fn echo_requests(family: Family) -> RangeSet {
    match family {
        Family::Inet => types(&[8]),
        Family::Inet6 => types(&[128]),
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
        .map(|&(query, answer)| (types(&[query]), by(query, answer)))
        .collect()
}

/// The tcp packets that follow in a connection: ACK, and what goes with it.
#[must_use]
pub fn answering() -> RangeSet {
    static ANSWERING: LazyLock<RangeSet> =
        LazyLock::new(|| flags_where(|flags| flags.contains(TcpFlags::ACK)).minus(&senseless()));
    ANSWERING.clone()
}

/// Neighbour discovery, for which the hop limit must be 255 (`pf_setup_pdesc`).
#[must_use]
pub fn neighbour_discovery() -> RangeSet {
    types(&[133, 134, 135, 136, 137])
}

/// Multicast listener discovery, for which the hop limit must be 1 (`pf_walk_header6`).
#[must_use]
pub fn listener_discovery() -> RangeSet {
    types(&[130, 131, 132, 143])
}

/// The icmp packets of the family that pass the test.
#[must_use]
pub fn icmp_match(test: IcmpMatch) -> RangeSet {
    match test.code {
        Some(code) => RangeSet::single(of_icmp(test.kind, code)),
        None => types(&[test.kind]),
    }
}

/// The number of tcp with those flags.
#[must_use]
pub fn of_tcp(flags: TcpFlags) -> u128 {
    let bits = FLAGS.iter().rev().enumerate();
    bits.fold(0, |number, (bit, &flag)| {
        number | u128::from(flags.contains(flag)) << bit
    })
}

/// The number of the family's icmp of that type and code.
#[must_use]
pub fn of_icmp(kind: u8, code: u8) -> u128 {
    ICMP + (u128::from(kind) << 8 | u128::from(code))
}

/// The numbers of those protocols whose packets have ports.
#[must_use]
pub fn ported() -> RangeSet {
    RangeSet::range(0, UDP)
}

/// The protocol at a number of that family's line.
#[must_use]
pub fn protocol_at(number: u128, family: Family) -> Protocol {
    match number {
        0..UDP => Protocol::TCP,
        UDP => Protocol::UDP,
        ICMP..OTHERS => icmp(family),
        OTHERS => icmp(family.other()),
        other => {
            let rank = usize::try_from(other - OTHERS).unwrap_or(usize::MAX);
            Protocol(ORDER.get(rank).copied().unwrap_or(u8::MAX))
        }
    }
}

/// The protocols of which something is in a set on that family's line, in the order of their numbers.
#[must_use]
pub fn protocols(transports: &RangeSet, family: Family) -> Vec<Protocol> {
    let mut found = Vec::new();
    for &(first, last) in transports.ranges() {
        let mut next = Some(first);
        while let Some(number) = next.filter(|&number| number <= last) {
            let here = protocol_at(number, family);
            found.push(here);
            next = protocol(here, family).last().map(|last| last + 1);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The flags of tcp at a number.
#[must_use]
pub fn flags_at(number: u128) -> TcpFlags {
    let bits = FLAGS.iter().rev().enumerate();
    let set = bits.filter(|(bit, _)| number >> bit & 1 == 1);
    set.fold(TcpFlags(0), |flags, (_, &flag)| flags | flag)
}

/// The type and code of icmp at a number.
#[must_use]
pub fn icmp_at(number: u128) -> (u8, u8) {
    let number = number.saturating_sub(ICMP);
    ((number >> 8) as u8, number as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_stands_for_one_thing() {
        for family in Family::BOTH {
            let mut all: Vec<(u128, u128)> = Vec::new();
            for number in (0..=u8::MAX).map(Protocol) {
                let own = protocol(number, family);
                for &(first, last) in own.ranges() {
                    assert!(
                        [first, last].iter().all(|&at| protocol_at(at, family) == number),
                        "{number:?}"
                    );
                }
                all.extend(own.ranges());
            }
            let count: u128 = all.iter().map(|(first, last)| last - first + 1).sum();
            assert_eq!(count, RangeSet::from_ranges(all).len(), "{family} overlaps");
            let looked_through: &[u8] = match family {
                Family::Inet => &[51],
                Family::Inet6 => &[0, 43, 51, 60],
            };
            for number in 0..=u8::MAX {
                let on_line = protocol(Protocol(number), family).is_subset(&line(family));
                assert_eq!(on_line, !looked_through.contains(&number), "{number} of {family}");
            }
        }
    }

    #[test]
    fn flags_and_types_come_back() {
        for flags in (0..=u8::MAX).map(TcpFlags) {
            assert_eq!(flags_at(of_tcp(flags)), flags);
        }
        for (kind, code) in [(0, 0), (8, 0), (3, 255), (255, 1)] {
            assert_eq!(icmp_at(of_icmp(kind, code)), (kind, code));
        }
    }

    #[test]
    fn what_rules_ask_for_is_one_range() {
        let opening = flags_where(|flags| flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK));
        assert_eq!(opening.ranges().len(), 1);
    }
}
