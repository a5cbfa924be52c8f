//! Sets of packets in few words: `tcp 80 443 1883, udp 53 123 1883, icmp  from iot to clients`.

use std::net::IpAddr;

use crate::engine::{Engine, Field, PacketBox, PacketSet, Place, address, transport};
use crate::net::{Family, Protocol, RangeSet, names};
use crate::policy::{Network, ZoneOnMachine, Zones, addressless};

/// How many ranges of addresses or ports are listed before «…».
const MOST: usize = 6;

/// Words for sets of addresses: the zones' names, `self`, and for the rest the addresses themselves.
pub(crate) struct Namer<'a> {
    zones: &'a Zones<'a>,
    network: &'a Network<'a>,
}

impl<'a> Namer<'a> {
    /// Names that a policy gives.
    #[must_use]
    pub(crate) fn of_zones(zones: &'a Zones<'a>) -> Self {
        Self {
            zones,
            network: zones.network(),
        }
    }

    fn engine(&self) -> &'a Engine<'a> {
        self.network.engine()
    }

    /// The set of packets, which is joined, one line for each pair of ends, the protocols and ports merged.
    pub(crate) fn lines(&self, packets: &PacketSet) -> Vec<String> {
        let mut lines: Vec<(String, Vec<PacketBox>)> = Vec::new();
        for part in packets.boxes() {
            let ends = self.ends(part);
            match lines.iter_mut().find(|(known, _)| *known == ends) {
                Some((_, boxes)) => boxes.push(part.clone()),
                None => lines.push((ends, vec![part.clone()])),
            }
        }
        let words = lines.iter().map(|(ends, boxes)| {
            let what = what(boxes);
            if what.is_empty() {
                ends.trim_start().to_owned()
            } else {
                format!("{what}  {ends}")
            }
        });
        words.collect()
    }

    /// The protocols and ports of the packets, whatever their ends.
    pub(crate) fn protocols(&self, packets: &PacketSet) -> String {
        what(packets.boxes())
    }

    /// `from iot to clients`.
    fn ends(&self, part: &PacketBox) -> String {
        let family = part.family;
        let [sources, destinations] = [Field::Source, Field::Destination].map(|field| part.numbers(field));
        let space = self.engine().space();
        let places = part.numbers(Field::Place);
        let arrived: Vec<usize> = places_of(&places)
            .filter_map(|number| match space.place(number) {
                Some(Place::In(on)) => Some(on),
                Some(Place::Out { .. }) | None => None,
            })
            .collect();
        let from = if arrived.is_empty() {
            let own = self.network.own(family);
            if own.is_subset(&sources) {
                "self".to_owned()
            } else {
                format!("self ({})", addresses(&sources, family))
            }
        } else {
            self.source_words(&sources, &arrived, family)
        };
        format!("from {from} to {}", self.destination_words(&destinations, family))
    }

    /// Who sends: the zones whose hosts are the sources; for the rest the addresses, and where they arrive.
    fn source_words(&self, sources: &RangeSet, arrived: &[usize], family: Family) -> String {
        let names: Vec<&str> = arrived
            .iter()
            .map(|&id| self.engine().space().interface_name(id))
            .collect();
        let on = match names.as_slice() {
            [only] => format!(" on {only}"),
            several => format!(" on {{ {} }}", several.join(" ")),
        };
        let line = Field::Source.line(family);
        let core = self.without_oddities(sources, family);
        if core == self.without_oddities(&line, family) {
            return format!("any{on}");
        }
        let zones = || self.zones.all().iter();
        let own = || zones().filter(|zone| arrived.iter().all(|id| zone.interfaces.contains(id)));
        let known = |zone: &'a ZoneOnMachine| {
            let sent = zone.interfaces.iter().fold(RangeSet::empty(), |all, &id| {
                all.union(&self.network.sources(id, family))
            });
            let global = self.hosts(zone, family, false);
            Known::new(zone, self.without_oddities(&sent, family), &global, family)
        };
        let here = Known::sorted(own().map(known));
        // A host without an address yet is in every zone of the interface that does not name its own.
        let everybody = own().find(|zone| zone.only(family).is_none());
        let odd = sources.minus(&core);
        if let Some(zone) = everybody.filter(|_| sources.is_subset(addressless(family))) {
            return format!("{} ({})", zone.name, addresses(sources, family));
        }
        let (mut words, left) = in_zones(&core, &here, family);
        if words.is_empty()
            && let Some(zone) = zones().map(known).find(|known| known.all == core && !core.is_empty())
        {
            return format!("the addresses of {}{on}", zone.name);
        }
        let named = own().filter_map(|zone| zone.only(family));
        let odd = match everybody {
            Some(_) => RangeSet::empty(),
            None => named.fold(odd, |odd, only| odd.minus(only)),
        };
        if words.is_empty() {
            return format!("{}{on}", addresses(sources, family));
        }
        let rest = left.union(&odd);
        if !rest.is_empty() {
            words.push(format!("{}{on}", addresses(&rest, family)));
        }
        words.join(", ")
    }

    /// The hosts of a zone; without those that are not globally reachable behind a default route unless `special`.
    fn hosts(&self, zone: &ZoneOnMachine, family: Family, special: bool) -> RangeSet {
        let interfaces = zone.interfaces.iter();
        interfaces.fold(RangeSet::empty(), |all, &id| {
            all.union(&self.network.hosts(id, family, special))
        })
    }

    /// Without the addresses that make two sets differ though a reader would call them the same.
    fn without_oddities(&self, set: &RangeSet, family: Family) -> RangeSet {
        let hosts = set
            .minus(self.network.not_hosts(family))
            .minus(self.network.own(family));
        match family {
            Family::Inet => hosts,
            // IPv4 within IPv6, which nobody sends.
            Family::Inet6 => hosts
                .minus(&RangeSet::range(0, u128::from(u32::MAX)))
                .minus(&RangeSet::range(0xffff << 32, 0xffff_ffff_ffff)),
        }
    }

    fn destination_words(&self, destinations: &RangeSet, family: Family) -> String {
        if *destinations == Field::Destination.line(family) {
            return "any".to_owned();
        }
        let own = self.network.own(family);
        let taken = self.network.taken(family);
        if !destinations.is_empty() && destinations.is_subset(taken) {
            return if own.is_subset(destinations) {
                "self".to_owned()
            } else {
                format!("self ({})", addresses(destinations, family))
            };
        }
        let known = Known::sorted(self.zones.all().iter().map(|zone| {
            let hosts = self.without_oddities(&self.hosts(zone, family, true), family);
            Known::new(zone, hosts, &self.hosts(zone, family, false), family)
        }));
        let (mut named, left) = in_zones(&self.without_oddities(destinations, family), &known, family);
        if !own.is_empty() && !own.is_disjoint(destinations) {
            let part = destinations.intersection(own);
            named.push(if part == *own {
                "self".to_owned()
            } else {
                format!("self ({})", addresses(&part, family))
            });
        }
        if named.is_empty() || !left.is_empty() {
            let rest = if left.is_empty() { destinations } else { &left };
            named.push(addresses(rest, family));
        }
        named.join(", ")
    }
}

/// A zone and the addresses that it stands for in one place.
struct Known<'a> {
    name: &'a str,
    /// Its place among the zones of the policy, where it is written.
    order: u32,
    all: RangeSet,
    /// The same without what is not globally reachable: what `require` asks about.
    global: RangeSet,
}

impl<'a> Known<'a> {
    /// The zone with those of the addresses that it means.
    fn new(zone: &'a ZoneOnMachine, all: RangeSet, global: &RangeSet, family: Family) -> Self {
        let (all, global) = match zone.only(family) {
            Some(only) => {
                let all = all.intersection(only);
                (all.clone(), all)
            }
            None => {
                let global = all.intersection(global);
                (all, global)
            }
        };
        Self {
            name: &zone.name,
            order: zone.span.start,
            all,
            global,
        }
    }

    /// The zones, those of the most addresses first.
    fn sorted(zones: impl Iterator<Item = Self>) -> Vec<Self> {
        let mut zones: Vec<Self> = zones.filter(|zone| !zone.all.is_empty()).collect();
        zones.sort_by_key(|zone| std::cmp::Reverse(size(&zone.all)));
        zones
    }

    fn is(&self, set: &RangeSet) -> bool {
        *set == self.all || *set == self.global
    }
}

/// How many numbers there are, less one where it is all of them.
fn size(set: &RangeSet) -> u128 {
    let ranges = set.ranges().iter();
    ranges.fold(0, |sum: u128, (first, last)| {
        sum.saturating_add((last - first).saturating_add(1))
    })
}

/// Words for the addresses that lie in zones, and the rest: `lan`, `world but admins`, `lan (10.0.0.7)`. A zone is named
/// for none that it does not have.
fn in_zones(set: &RangeSet, zones: &[Known<'_>], family: Family) -> (Vec<String>, RangeSet) {
    let mut words: Vec<(u32, String)> = Vec::new();
    let mut left = set.clone();
    for zone in zones {
        let there = left.intersection(&zone.all);
        if there.is_empty() {
            continue;
        }
        let missing = [zone.all.minus(&there), zone.global.minus(&there)];
        let but = || {
            let others = zones.iter().filter(|other| other.name != zone.name);
            others.into_iter().find(|other| missing.contains(&other.all))
        };
        let word = if zone.is(&there) {
            zone.name.to_owned()
        } else if let Some(other) = but() {
            format!("{} but {}", zone.name, other.name)
        } else {
            continue;
        };
        words.push((zone.order, word));
        left = left.minus(&zone.all);
    }
    for zone in zones.iter().rev() {
        let part = left.intersection(&zone.all);
        if !part.is_empty() {
            words.push((zone.order, format!("{} ({})", zone.name, addresses(&part, family))));
            left = left.minus(&part);
        }
    }
    words.sort_by_key(|(order, _)| *order);
    (words.into_iter().map(|(_, word)| word).collect(), left)
}

/// The numbers of a set, up to a bound that no machine reaches.
fn places_of(places: &RangeSet) -> impl Iterator<Item = u128> + '_ {
    places
        .ranges()
        .iter()
        .flat_map(|&(first, last)| first..=last)
        .take(4096)
}

/// The protocols, types and ports of boxes, merged: `tcp 80 443, udp 53, icmp`.
fn what(boxes: &[PacketBox]) -> String {
    let mut words: Vec<String> = Vec::new();
    for family in Family::BOTH {
        let of_family: Vec<&PacketBox> = boxes.iter().filter(|part| part.family == family).collect();
        let transports = of_family.iter().fold(RangeSet::empty(), |all, part| {
            all.union(&part.numbers(Field::Transport))
        });
        for (word, protocol) in protocols(&transports, family) {
            let ports = protocol.map(|protocol| {
                let whole = transport::protocol(protocol, family);
                let here = of_family
                    .iter()
                    .filter(|part| !part.numbers(Field::Transport).is_disjoint(&whole));
                here.fold(RangeSet::empty(), |all, part| {
                    all.union(&part.numbers(Field::DestinationPort))
                })
            });
            let word = match ports.as_ref().map(port_words) {
                Some(ports) if !ports.is_empty() => format!("{word} {ports}"),
                _ => word,
            };
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words.join(", ")
}

/// The protocols of a set of transports in words; with the protocol where it has ports.
pub(super) fn protocols(transports: &RangeSet, family: Family) -> Vec<(String, Option<Protocol>)> {
    let line = transport::line(family);
    if line
        .minus(transports)
        .minus(&transport::protocol(Protocol::FRAGMENT, Family::Inet6))
        .is_empty()
    {
        return vec![("any protocol".to_owned(), None)];
    }
    let mut words = Vec::new();
    let (mut icmp, mut others) = (None, Vec::new());
    for protocol in transport::protocols(&transports.intersection(&line), family) {
        let whole = transport::protocol(protocol, family);
        let part = whole.intersection(transports);
        let name = match protocol {
            Protocol::ICMP6 => "icmp6".to_owned(),
            _ => names::protocol_name(protocol).map_or_else(|| protocol.0.to_string(), str::to_owned),
        };
        if protocol.has_ports() {
            words.push((name, Some(protocol)));
        } else if protocol == transport::icmp(family) {
            icmp = Some((icmp_words(&name, &part, &whole, family), None));
        } else {
            others.push((name, None));
        }
    }
    words.extend(icmp);
    if others.len() > MOST {
        words.push(("other protocols".to_owned(), None));
    } else {
        words.extend(others);
    }
    words
}

fn icmp_words(name: &str, part: &RangeSet, whole: &RangeSet, family: Family) -> String {
    if part == whole {
        return name.to_owned();
    }
    let kind = |number: u128| transport::icmp_at(number).0;
    let mut types: Vec<u8> = Vec::new();
    for &(first, last) in part.ranges() {
        for kind in kind(first)..=kind(last) {
            if !types.contains(&kind) {
                types.push(kind);
            }
        }
    }
    // What keeps state matches no replies.
    let replies: &[u8] = match family {
        Family::Inet => &[0, 9, 14, 16, 18, 34, 36],
        Family::Inet6 => &[129, 131, 132, 134, 136, 140],
    };
    let missing = whole.minus(part);
    if missing
        .ranges()
        .iter()
        .all(|&(first, last)| kind(first) == kind(last) && replies.contains(&kind(first)))
    {
        return format!("{name} but replies");
    }
    if types.len() > MOST {
        return format!("{name} (some types)");
    }
    let words: Vec<String> = types
        .iter()
        .map(|&kind| names::icmp_type_name(family, kind).map_or_else(|| kind.to_string(), str::to_owned))
        .collect();
    format!("{name} {}", words.join(" "))
}

/// The ports of a set in words; empty for all of them.
pub(crate) fn port_words(ports: &RangeSet) -> String {
    let all = RangeSet::range(0, u128::from(u16::MAX));
    let missing = all.minus(ports).minus(&RangeSet::single(0));
    if missing.is_empty() {
        return String::new();
    }
    let list = |set: &RangeSet| {
        let ranges = set.ranges().iter().map(|&(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}:{last}")
            }
        });
        shortened(ranges.collect())
    };
    let few = missing.ranges().len() <= 3 && missing.ranges().iter().all(|(first, last)| first == last);
    if few && ports.ranges().len() > 1 {
        return format!("all but {}", list(&missing));
    }
    list(ports)
}

fn shortened(mut words: Vec<String>) -> String {
    let more = words.len().saturating_sub(MOST);
    if more > 1 {
        words.truncate(MOST);
        words.push(format!("… ({more} more)"));
    }
    words.join(" ")
}

/// Addresses in words: prefixes and ranges.
pub(crate) fn addresses(set: &RangeSet, family: Family) -> String {
    if *set == Field::Source.line(family) {
        return "any".to_owned();
    }
    shortened(
        set.ranges()
            .iter()
            .map(|&(first, last)| range(first, last, family))
            .collect(),
    )
}

pub(super) fn range(first: u128, last: u128, family: Family) -> String {
    let [from, to]: [IpAddr; 2] = [first, last].map(|number| address(number, family));
    if first == last {
        return from.to_string();
    }
    let size = last - first;
    let bits = (size + 1).trailing_zeros();
    let aligned = size.wrapping_add(1).is_power_of_two() && first & size == 0;
    if aligned {
        return format!("{from}/{}", u32::from(family.bits()) - bits);
    }
    format!("{from} - {to}")
}
