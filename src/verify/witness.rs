//! The most readable packet of a class: a SYN to a well-known port from an ephemeral one, between hosts that a reader
//! of the configuration would name.

use crate::engine::{Field, Header, PacketBox, Place, transport};
use crate::net::{Family, Protocol, RangeSet, TcpFlags};
use crate::policy::{Network, Zones};

/// Ports that people know, the most telling first.
const PORTS: [u16; 20] = [
    443, 80, 22, 53, 123, 25, 21, 23, 110, 143, 445, 3306, 5432, 8080, 1883, 514, 161, 3389, 67, 69,
];
/// Where ephemeral ports begin.
const EPHEMERAL: u16 = 49152;

/// How readable a class is: lower is better. Fit to sort the classes of one cause.
pub(crate) fn rank(region: &PacketBox, network: &Network<'_>) -> Rank {
    let transports = region.numbers(Field::Transport);
    let kind = preferred_transports(region.family)
        .iter()
        .position(|&number| transports.contains(number))
        .unwrap_or(usize::MAX);
    let options = !region.numbers(Field::Options).contains(0) || !region.numbers(Field::Fragment).contains(0);
    let port = port(&region.numbers(Field::DestinationPort));
    let port = PORTS.iter().position(|&known| known == port).unwrap_or(PORTS.len());
    // Only to broadcast or multicast addresses.
    let destinations = region.limit(Field::Destination);
    let to_all = destinations.is_some_and(|to| to.is_subset(network.shared(region.family)));
    (
        u8::from(options),
        u8::from(to_all),
        u8::from(region.family == Family::Inet6),
        kind.min(100) * 100 + port,
    )
}

/// By options, destinations, family, and kind; less is better.
pub(crate) type Rank = (u8, u8, u8, usize);

/// Transports in the order of preference: a SYN, udp, an echo request, then what else hosts send.
fn preferred_transports(family: Family) -> [u128; 4] {
    let echo = match family {
        Family::Inet => 8,
        Family::Inet6 => 128,
    };
    [
        transport::of_tcp(TcpFlags::SYN),
        transport::first(Protocol::UDP, family),
        transport::of_icmp(echo, 0),
        transport::of_tcp(TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0)),
    ]
}

/// The most readable packet of the box; one of which pairs of fields are `equal` as those of [`Class::equal`] are.
///
/// [`Class::equal`]: crate::engine::Class::equal
pub(crate) fn choose(region: &PacketBox, equal: &[(Field, Field, u128)], zones: &Zones<'_>) -> Option<Header> {
    let network = zones.network();
    let engine = network.engine();
    let family = region.family;
    let mut header = region.least();
    let transports = region.numbers(Field::Transport);
    let number = preferred_transports(family)
        .into_iter()
        .find(|&number| transports.contains(number))
        .or_else(|| known_protocol(&transports, family))
        .or_else(|| transports.first())?;
    header = header.with(Field::Transport, number);
    for (field, usual) in [
        (Field::Options, 0),
        (Field::Fragment, 0),
        (Field::Tos, 0),
        (Field::Ttl, 64),
        (Field::Prio, 3),
        (Field::Tag, 0),
    ] {
        if region.numbers(field).contains(usual) {
            header = header.with(field, usual);
        }
    }
    let place = region.numbers(Field::Place).first()?;
    header = header.with(Field::Place, place);
    let [sources, destinations] = [Field::Source, Field::Destination].map(|field| region.numbers(field));
    // Nobody sends to himself, if others may.
    let others = Some(sources.minus(&destinations)).filter(|others| destinations.len() == 1 && !others.is_empty());
    let sources = others.unwrap_or(sources);
    let [sports, dports] = [Field::SourcePort, Field::DestinationPort].map(|field| region.numbers(field));
    let arrived = match engine.space().place(place) {
        Some(Place::In(on)) => Some(on),
        Some(Place::Out { .. }) | None => None,
    };
    let behind = arrived.map_or_else(RangeSet::empty, |on| network.hosts(on, family, true));
    let anybody = host_ranges(network, None, family);
    let others = host_ranges(network, arrived, family);
    // An address of the machine that nobody knows is shown as one for documents.
    let own = match arrived {
        Some(_) => RangeSet::empty(),
        None => network.own(family).clone(),
    };
    let document = match (arrived, family) {
        (Some(_), _) => RangeSet::empty(),
        (None, Family::Inet) => RangeSet::range(0xcb00_7101, 0xcb00_71fe),
        (None, Family::Inet6) => RangeSet::single(0x2001_0db8_u128 << 96 | 7),
    };
    let source = address(&sources, &[behind, own, document, anybody.clone()])?;
    let taken = network.own(family).clone();
    // To itself it sends only what may go nowhere else.
    let elsewhere = Some(destinations.minus(&RangeSet::single(source))).filter(|others| !others.is_empty());
    let destination = address(&elsewhere.unwrap_or(destinations), &[others, anybody, taken])?;
    // Of what a router offers, people think of ssh first.
    let ssh = u128::from(22_u16);
    let dport = if network.own(family).contains(destination) && dports.contains(ssh) {
        ssh
    } else {
        u128::from(port(&dports))
    };
    let ephemeral = sports.intersection(&RangeSet::range(u128::from(EPHEMERAL), u128::from(u16::MAX)));
    let registered = sports.intersection(&RangeSet::range(1024, u128::from(u16::MAX)));
    let sport = ephemeral.first().or_else(|| registered.first()).or_else(|| {
        sports
            .ranges()
            .iter()
            .map(|&(first, last)| first.max(1).min(last))
            .next()
    })?;
    header = header
        .with(Field::Source, source)
        .with(Field::Destination, destination)
        .with(Field::SourcePort, sport)
        .with(Field::DestinationPort, dport);
    for &(a, b, by) in equal {
        let second = region
            .numbers(b)
            .ranges()
            .to_vec()
            .into_iter()
            .flat_map(|(first, last)| {
                let (first, last) = (first.wrapping_sub(by), last.wrapping_sub(by));
                if first <= last {
                    vec![(first, last)]
                } else {
                    vec![(first, u128::MAX), (0, last)]
                }
            });
        let both = region.numbers(a).intersection(&RangeSet::from_ranges(second));
        let number = match a {
            Field::Source | Field::Destination => address(&both, &[host_ranges(network, None, family)])?,
            _ => u128::from(port(&both)),
        };
        header = header.with(a, number).with(b, number.wrapping_add(by));
    }
    region.contains(&header).then_some(header)
}

/// Esp, gre, or what has a name, before numbers that nobody uses.
fn known_protocol(transports: &RangeSet, family: Family) -> Option<u128> {
    let telling: &[u8] = match family {
        Family::Inet => &[13, 17, 5, 3, 11],
        Family::Inet6 => &[135, 133, 137, 1, 3],
    };
    let named = (0..=u8::MAX).filter(|&kind| crate::net::names::icmp_type_name(family, kind).is_some());
    let mut types = telling
        .iter()
        .copied()
        .chain(named)
        .map(|kind| transport::of_icmp(kind, 0));
    if let Some(number) = types.find(|&number| transports.contains(number)) {
        return Some(number);
    }
    (0..=u8::MAX)
        .map(Protocol)
        .filter(|&protocol| crate::net::names::protocol_name(protocol).is_some())
        .find_map(|protocol| transport::protocol(protocol, family).intersection(transports).first())
}

/// The networks of hosts near the machine; without those behind one interface.
fn host_ranges(network: &Network<'_>, without: Option<usize>, family: Family) -> RangeSet {
    network
        .interfaces()
        .filter(|&id| Some(id) != without)
        .flat_map(|id| network.networks(id, family).to_vec())
        .fold(RangeSet::empty(), |all, net| all.union(&net))
        .minus(network.not_hosts(family))
        .minus(network.own(family))
}

/// An address of the set: the first in the first of the preferred sets that has one.
fn address(set: &RangeSet, preferred: &[RangeSet]) -> Option<u128> {
    preferred
        .iter()
        .map(|wanted| set.intersection(wanted))
        .find(|found| !found.is_empty())
        .and_then(|found| friendly(&found))
        .or_else(|| friendly(set))
}

/// The address that ends in 50, as examples do, if it is near; else the first.
fn friendly(set: &RangeSet) -> Option<u128> {
    // Public resolvers, for somebody on the internet.
    let known = [
        0x0909_0909,
        0x9570_7070,
        0x2620_00fe_0000_0000_0000_0000_0000_00fe,
        0x2620_00fe_0000_0000_0000_0000_0000_0009,
    ];
    if let Some(known) = known.into_iter().find(|&known| set.contains(known)) {
        return Some(known);
    }
    let first = set.first()?;
    let near = (first & !0xff) | 50;
    // Addresses that end in 0 are rarely hosts.
    let next = if first & 0xff == 0 { first + 1 } else { first };
    Some([near, next].into_iter().find(|&one| set.contains(one)).unwrap_or(first))
}

/// A port of the set that people know, else the first but 0.
fn port(set: &RangeSet) -> u16 {
    PORTS
        .into_iter()
        .find(|&known| set.contains(u128::from(known)))
        .unwrap_or_else(|| {
            let ranges = set.ranges().first();
            ranges.map_or(0, |&(first, last)| first.max(1).min(last) as u16)
        })
}
