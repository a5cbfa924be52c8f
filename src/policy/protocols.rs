//! From the protocols and ports of a statement to sets of packets: all those, and those that begin flows.

use std::sync::LazyLock;

use super::addresses::number;
use super::ast::Packets;
use crate::engine::{Field, PacketBox, PacketSet, transport};
use crate::net::{Family, Operator, Protocol, RangeSet, TcpFlags};
use crate::ruleset::IcmpMatch;

/// The packets of those families, protocols and icmp types, whatever their flags.
pub(super) fn transports(packets: &Packets) -> PacketSet {
    families(packets)
        .filter_map(|family| {
            let all = PacketBox::all(family);
            if packets.protocols.is_empty() {
                return Some(all);
            }
            let sets = packets.protocols.iter().map(|&protocol| {
                if protocol == transport::icmp(family) && !packets.icmp.is_empty() {
                    union(packets.icmp.iter().map(|&wanted| transport::icmp_match(wanted)))
                } else {
                    transport::protocol(protocol, family)
                }
            });
            all.with(Field::Transport, &union(sets))
        })
        .collect()
}

/// The packets with those ports, of both families: af-to may have made another of the one they arrived with.
pub(super) fn ports(packets: &Packets) -> PacketSet {
    Family::BOTH
        .into_iter()
        .filter_map(|family| {
            let all = PacketBox::all(family);
            match port_numbers(&packets.destination.ports) {
                Some(ports) => all.with(Field::DestinationPort, &ports),
                None => Some(all),
            }
        })
        .collect()
}

fn families(packets: &Packets) -> impl Iterator<Item = Family> + '_ {
    let icmp_only = |protocol| packets.protocols.as_slice() == [protocol];
    Family::BOTH.into_iter().filter(move |&family| {
        packets.family.is_none_or(|said| said == family) && !icmp_only(transport::icmp(family.other()))
    })
}

/// The first packets of flows: whole, without options; tcp SYN alone, icmp queries, others any; ports not 0.
pub(crate) fn beginnings(packets: &Packets) -> PacketSet {
    let mut boxes = Vec::new();
    for family in families(packets) {
        let plain = PacketBox::all(family)
            .with(Field::Options, &RangeSet::single(0))
            .and_then(|plain| plain.with(Field::Fragment, &RangeSet::single(0)));
        let of = |protocol| transport::protocol(protocol, family);
        let icmp = transport::icmp(family);
        let line = transport::line(family);
        let wanted = match packets.protocols.as_slice() {
            [] => line,
            named => union(named.iter().map(|&protocol| of(protocol))).intersection(&line),
        };
        let with_ports = syn_alone().union(&of(Protocol::UDP)).intersection(&wanted);
        // Icmp of the other family is no protocol of this one.
        let others = wanted.minus(&transport::ported());
        let others = others.minus(&of(icmp)).minus(&of(transport::icmp(family.other())));
        let without = match wanted.is_disjoint(&of(icmp)) {
            true => others,
            false => others.union(&queries(&packets.icmp, family)),
        };
        let ports = RangeSet::range(1, u128::from(u16::MAX));
        boxes.extend(
            plain
                .clone()
                .and_then(|plain| plain.with(Field::Transport, &with_ports))
                .and_then(|plain| plain.with(Field::SourcePort, &ports))
                .and_then(|plain| plain.with(Field::DestinationPort, &ports)),
        );
        boxes.extend(plain.and_then(|plain| plain.with(Field::Transport, &without)));
    }
    boxes.into_iter().collect()
}

/// The first packets of all flows: of icmp every query that has an answer.
pub(crate) fn all_beginnings() -> PacketSet {
    let queries = Family::BOTH.into_iter().filter_map(|family| {
        let queries = transport::answers(family).into_iter().map(|(queries, _)| queries);
        PacketBox::all(family)
            .with(Field::Options, &RangeSet::single(0))?
            .with(Field::Fragment, &RangeSet::single(0))?
            .with(Field::Transport, &union(queries))
    });
    beginnings(&Packets::default()).union(queries.collect())
}

/// What no host sends and pf drops: neighbour discovery with a hop limit other than 255, listener discovery, and igmp to
/// all hosts, with one other than 1 (`pf_walk_header`, `pf_walk_header6`).
pub(super) fn with_odd_hop_limits() -> &'static PacketSet {
    static ODD: LazyLock<PacketSet> = LazyLock::new(|| {
        let with = |family, packets: RangeSet, limit: u128| {
            PacketBox::all(family)
                .with(Field::Transport, &packets)?
                .with(Field::Ttl, &RangeSet::single(limit).complement(u128::from(u8::MAX)))
        };
        let all_hosts = number("224.0.0.1/32");
        let igmp = with(Family::Inet, transport::protocol(Protocol::IGMP, Family::Inet), 1);
        let igmp = igmp.and_then(|igmp| igmp.with(Field::Destination, &all_hosts));
        let neighbours = with(Family::Inet6, transport::neighbour_discovery(), 255);
        let listeners = with(Family::Inet6, transport::listener_discovery(), 1);
        [igmp, neighbours, listeners].into_iter().flatten().collect()
    });
    &ODD
}

/// What is in any of the sets.
fn union(sets: impl Iterator<Item = RangeSet>) -> RangeSet {
    RangeSet::from_ranges(sets.flat_map(|set| set.ranges().to_vec()))
}

/// SYN, without ACK, FIN, RST, PSH, URG. (pf itself takes SYN and FIN for SYN.)
fn syn_alone() -> RangeSet {
    let any = [TcpFlags(0), TcpFlags::ECE, TcpFlags::CWR, TcpFlags::ECE | TcpFlags::CWR];
    RangeSet::from_ranges(any.map(|flags| {
        let number = transport::of_tcp(TcpFlags::SYN | flags);
        (number, number)
    }))
}

/// The icmp queries among those types; echo requests where none is named.
fn queries(named: &[IcmpMatch], family: Family) -> RangeSet {
    let (echo, never): (u8, &[u8]) = match family {
        // Replies and errors (`pf_icmp_mapping`).
        Family::Inet => (8, &[0, 3, 4, 5, 11, 12, 14, 16, 18]),
        Family::Inet6 => (128, &[1, 2, 3, 4, 129, 136, 137, 140]),
    };
    if named.is_empty() {
        let echo = IcmpMatch {
            kind: echo,
            code: Some(0),
        };
        return transport::icmp_match(echo);
    }
    named
        .iter()
        .filter(|wanted| !never.contains(&wanted.kind))
        .fold(RangeSet::empty(), |all, &wanted| {
            // Hosts send queries with code 0; others only where they are named.
            let code = wanted.code.or(Some(0));
            all.union(&transport::icmp_match(IcmpMatch { code, ..wanted }))
        })
}

/// The ports that pass one of the comparisons; `None` where there are none, so that protocols without ports count.
pub(crate) fn port_numbers(ports: &[Operator<u16>]) -> Option<RangeSet> {
    if ports.is_empty() {
        return None;
    }
    let last = u128::from(u16::MAX);
    let ranges = ports.iter().flat_map(|&port| match port {
        Operator::Equal(a) => RangeSet::single(u128::from(a)).ranges().to_vec(),
        Operator::NotEqual(a) => RangeSet::single(u128::from(a)).complement(last).ranges().to_vec(),
        Operator::Less(a) => RangeSet::range(u128::from(a), last).complement(last).ranges().to_vec(),
        Operator::LessOrEqual(a) => vec![(0, u128::from(a))],
        Operator::Greater(a) => vec![(u128::from(a) + 1, last)],
        Operator::GreaterOrEqual(a) => vec![(u128::from(a), last)],
        Operator::Range(a, b) => vec![(u128::from(a), u128::from(b))],
        Operator::Between(a, b) => vec![(u128::from(a) + 1, u128::from(b).saturating_sub(1))],
        Operator::Outside(a, b) => RangeSet::range(u128::from(a), u128::from(b))
            .complement(last)
            .ranges()
            .to_vec(),
    });
    Some(RangeSet::from_ranges(ranges))
}
