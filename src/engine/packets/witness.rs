//! The packet of a box that people would think of first: a SYN, an ephemeral source port, the first host of a network.

use std::sync::LazyLock;

use super::header::{Field, Header, PacketBox};
use super::transport;
use crate::net::{Family, Protocol, RangeSet, TcpFlags};

/// The most readable packet of the box.
pub(in crate::engine) fn readable(region: &PacketBox) -> Header {
    let family = region.family;
    let mut header = Header::zero(family);
    for field in Field::ALL {
        let line;
        let set = match region.limit(field) {
            Some(set) => set,
            None => {
                line = field.line(family);
                &line
            }
        };
        let wished = match field {
            Field::Transport => wished_transport(family)
                .iter()
                .copied()
                .find(|&number| set.contains(number)),
            Field::SourcePort => wished_among(set, &[(49152, 65535), (1024, 65535), (1, 65535)]),
            Field::DestinationPort => wished_among(set, &[(1, 65535)]),
            Field::Ttl => wished_among(set, &[(64, 64), (255, 255), (2, 255)]),
            Field::Prio => wished_among(set, &[(3, 3)]),
            Field::Source | Field::Destination => host(set, family),
            Field::Place | Field::Options | Field::Fragment | Field::Tos | Field::Tag => None,
        };
        header.set(field, wished.or_else(|| set.first()).unwrap_or(0));
    }
    header
}

/// A SYN, else an opening udp or icmp packet.
fn wished_transport(family: Family) -> &'static [u128; 4] {
    static WISHED: LazyLock<[[u128; 4]; 2]> = LazyLock::new(|| {
        [(Family::Inet, 8), (Family::Inet6, 128)].map(|(family, echo_request)| {
            [
                transport::of_tcp(TcpFlags::SYN),
                transport::first(Protocol::UDP, family),
                transport::of_icmp(echo_request, 0),
                transport::of_tcp(TcpFlags::ACK),
            ]
        })
    });
    match family {
        Family::Inet => &WISHED[0],
        Family::Inet6 => &WISHED[1],
    }
}

/// The least number of the set in the first of the ranges that has one.
fn wished_among(set: &RangeSet, ranges: &[(u128, u128)]) -> Option<u128> {
    ranges.iter().find_map(|&(first, last)| set.first_within(first, last))
}

/// The first address that looks like a host's: globally routed unicast where there is a choice, and neither the first
/// nor the last of its range.
fn host(set: &RangeSet, family: Family) -> Option<u128> {
    let (wide, narrow) = match family {
        Family::Inet => (24, (0x0100_0000, 0xdfff_ffff)),
        Family::Inet6 => (64, (0x2000 << 112, (0x4000 << 112) - 1)),
    };
    let bits = u32::from(family.bits());
    let unicast = set
        .ranges()
        .iter()
        .map(|range| (range.0.max(narrow.0), range.1.min(narrow.1)));
    let unicast = unicast.filter(|(first, last)| first <= last);
    let roomy = |(first, last): &(u128, u128)| last - first >= 2;
    let (first, last) = unicast
        .clone()
        .find(roomy)
        .or_else(|| unicast.clone().next())
        .or_else(|| set.ranges().iter().copied().find(roomy))
        .or_else(|| set.ranges().first().copied())?;
    let network_part = u128::MAX >> (128 - bits) << (bits - wide);
    let is_network = first & !network_part == 0;
    Some(if is_network && last > first { first + 1 } else { first })
}
