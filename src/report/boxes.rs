//! Sets of packets in few words: `tcp 80 443 1883, udp 53 123 1883, icmp  from iot to clients`.

use super::hosts::{Known, Speaker, addresses};
use crate::engine::{Engine, Field, InterfaceId, PacketBox, PacketSet, Place, transport};
use crate::net::{Family, Protocol, RangeSet, names};
use crate::policy::ast::Packets;
use crate::policy::{Network, ZoneOnMachine, Zones, addressless, beginnings};
use crate::ruleset::IcmpMatch;

/// How many ranges of addresses or ports are listed before «…».
const MOST: usize = 6;

/// Words for sets of packets: the zones' names, `self`, and for the rest the addresses themselves.
pub(crate) struct Namer<'a> {
    zones: &'a Zones<'a>,
    network: &'a Network<'a>,
    families: [Hosts<'a>; 2],
}

/// The hosts of one family.
struct Hosts<'a> {
    /// All of them.
    any: RangeSet,
    /// The addresses that are no hosts: names of zones and networks are used as if they did not have them.
    odd: RangeSet,
    /// Those that send, in the words of the zones.
    senders: Speaker<'a>,
    /// Those that are sent to.
    receivers: Speaker<'a>,
}

impl<'a> Hosts<'a> {
    fn new(zones: &'a Zones<'a>, family: Family) -> Self {
        let network = zones.network();
        let odd = oddities(network, family);
        let known = |zone: &'a ZoneOnMachine, addresses: &dyn Fn(InterfaceId) -> RangeSet| {
            let all = of_interfaces(zone, addresses).minus(&odd);
            let global = of_interfaces(zone, |id| network.hosts(id, family, false));
            Known::new(zone, all, &global, family)
        };
        let senders = zones.all().iter();
        let senders = senders.map(|zone| known(zone, &|id| network.sources(id, family)));
        let receivers = zones.all().iter();
        let receivers = receivers.map(|zone| known(zone, &|id| network.hosts(id, family, true)));
        Self {
            any: Field::Source.line(family).minus(&odd),
            senders: Speaker::new(senders, odd.clone(), family),
            receivers: Speaker::new(receivers, odd.clone(), family),
            odd,
        }
    }
}

/// The addresses that make two sets differ though a reader would call them the same: those that are no hosts.
fn oddities(network: &Network<'_>, family: Family) -> RangeSet {
    let odd = network.not_hosts(family).union(network.own(family));
    match family {
        Family::Inet => odd,
        // IPv4 within IPv6, which nobody sends.
        Family::Inet6 => odd
            .union(&RangeSet::range(0, u128::from(u32::MAX)))
            .union(&RangeSet::range(0xffff << 32, 0xffff_ffff_ffff)),
    }
}

/// The addresses of all interfaces of a zone together.
fn of_interfaces(zone: &ZoneOnMachine, addresses: impl Fn(InterfaceId) -> RangeSet) -> RangeSet {
    let interfaces = zone.interfaces.iter();
    interfaces.fold(RangeSet::empty(), |all, &id| all.union(&addresses(id)))
}

impl<'a> Namer<'a> {
    /// Names that a policy gives.
    #[must_use]
    pub(crate) fn of_zones(zones: &'a Zones<'a>) -> Self {
        Self {
            zones,
            network: zones.network(),
            families: Family::BOTH.map(|family| Hosts::new(zones, family)),
        }
    }

    fn family(&self, family: Family) -> &Hosts<'a> {
        match family {
            Family::Inet => &self.families[0],
            Family::Inet6 => &self.families[1],
        }
    }

    fn engine(&self) -> &'a Engine<'a> {
        self.network.engine()
    }

    /// The set of packets, which is joined, in lines: the protocols and ports of each pair of ends merged; and ends that
    /// send or take the same.
    pub(crate) fn lines(&self, packets: &PacketSet) -> Vec<String> {
        self.told(packets, None, what)
    }

    /// The same of packets to the address of that interface, which is not known.
    pub(crate) fn lines_to(&self, packets: &PacketSet, interface: &str) -> Vec<String> {
        self.told(packets, Some(interface), what)
    }

    /// The same of first packets of flows: `all` where nothing but their ends tells them from others.
    pub(crate) fn flows(&self, packets: &PacketSet) -> Vec<String> {
        let all = beginnings(&Packets::default());
        self.told(packets, None, |boxes| {
            let is_here = |part: &&PacketBox| boxes.iter().any(|known| known.family == part.family);
            let every: Vec<PacketBox> = all.boxes().iter().filter(is_here).cloned().collect();
            let what = what(boxes);
            if what == self::what(&every) {
                "all".to_owned()
            } else {
                what
            }
        })
    }

    fn told(&self, packets: &PacketSet, to_own: Option<&str>, what: impl Fn(&[PacketBox]) -> String) -> Vec<String> {
        let mut pairs: Vec<(Ends, Vec<PacketBox>)> = Vec::new();
        for part in packets.boxes() {
            let mut ends = self.ends(part);
            if let Some(interface) = to_own {
                ends.to = vec![format!("self ({interface})")];
            }
            match pairs.iter_mut().find(|(known, _)| *known == ends) {
                Some((_, boxes)) => boxes.push(part.clone()),
                None => pairs.push((ends, vec![part.clone()])),
            }
        }
        let mut lines: Vec<(String, Ends)> = Vec::new();
        for (ends, boxes) in pairs {
            let what = what(&boxes);
            let alike = lines.iter_mut().filter(|(known, _)| *known == what);
            if !alike.into_iter().any(|(_, known)| known.take(&ends)) {
                lines.push((what, ends));
            }
        }
        let words = lines.iter().map(|(what, ends)| match what.as_str() {
            "" => ends.words(),
            what => format!("{what}  {}", ends.words()),
        });
        words.collect()
    }

    /// The protocols and ports of the packets, whatever their ends.
    pub(crate) fn protocols(&self, packets: &PacketSet) -> String {
        what(packets.boxes())
    }

    fn ends(&self, part: &PacketBox) -> Ends {
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
        let is_sent = places_of(&places).any(|number| matches!(space.place(number), Some(Place::Out { .. })));
        let mut from = match arrived.is_empty() {
            true => Vec::new(),
            false => self.source_words(&sources, &arrived, family),
        };
        if is_sent {
            from.push(self.sender_words(&sources, family));
        }
        // Packets without ports have 0 there.
        let ports = part.numbers(Field::SourcePort);
        let from_ports = match ports.last() {
            None | Some(0) => String::new(),
            Some(_) => port_words(&ports),
        };
        Ends {
            from,
            from_ports,
            to: self.destination_words(&destinations, family),
        }
    }

    /// What the machine sends from: `self`, `self (10.0.0.1)`, `self (em0)` from an address that is not known.
    fn sender_words(&self, sources: &RangeSet, family: Family) -> String {
        let own = self.network.own(family);
        if own.is_subset(sources) {
            return "self".to_owned();
        }
        let here = sources.intersection(own);
        let unknown = self.network.interfaces().filter(|&id| {
            let may_be = self.network.unknown_own(id, family);
            !may_be.is_empty() && may_be.is_subset(sources)
        });
        let mut words: Vec<String> = unknown
            .map(|id| self.engine().space().interface_name(id).to_owned())
            .collect();
        if !here.is_empty() || words.is_empty() {
            let known = if here.is_empty() { sources } else { &here };
            words.insert(0, addresses(known, family));
        }
        format!("self ({})", words.join(" "))
    }

    /// Who sends: the zones whose hosts are the sources; for the rest the addresses, and where they arrive.
    fn source_words(&self, sources: &RangeSet, arrived: &[usize], family: Family) -> Vec<String> {
        let names: Vec<&str> = arrived
            .iter()
            .map(|&id| self.engine().space().interface_name(id))
            .collect();
        let on = match names.as_slice() {
            [only] => format!(" on {only}"),
            several => format!(" on {{ {} }}", several.join(" ")),
        };
        let Hosts { any, odd, senders, .. } = self.family(family);
        let core = sources.minus(odd);
        if core == *any {
            return vec![format!("any{on}")];
        }
        let is_own = |zone: &ZoneOnMachine| arrived.iter().all(|id| zone.interfaces.contains(id));
        let own = || self.zones.all().iter().filter(|zone| is_own(zone));
        let hosts = senders.among(is_own);
        // A host without an address yet is in every zone of the interface that does not name its own.
        let everybody = own().find(|zone| zone.only(family).is_none());
        let odd = sources.minus(&core);
        if let Some(zone) = everybody.filter(|_| sources.is_subset(addressless(family))) {
            return vec![format!("{} ({})", zone.name, addresses(sources, family))];
        }
        let (mut words, left) = hosts.in_zones(&core);
        if words.is_empty()
            && let Some(zone) = senders.named(&core)
        {
            return vec![format!("the addresses of {zone}{on}")];
        }
        let named = own().filter_map(|zone| zone.only(family));
        let unnamed = match everybody {
            Some(_) if !(words.is_empty() && left.is_empty()) => RangeSet::empty(),
            _ => named.fold(odd.clone(), |odd, only| odd.minus(only)),
        };
        let rest = hosts.filled(&left).union(&unnamed);
        if !rest.is_empty() {
            words.push(format!("{}{on}", addresses(&rest, family)));
        }
        let but = || format!("any{on} but {}", senders.listed(&any.minus(&core)));
        let shorter = (!left.is_empty() || is_listed(&words)).then(but);
        if let Some(but) = shorter.filter(|but| but.len() < words.join(", ").len()) {
            words = vec![but];
            // They are in a zone that is none of these.
            let here = everybody.map(|zone| of_interfaces(zone, |id| self.network.hosts(id, family, true)));
            if here.is_some_and(|here| here.is_disjoint(&core)) && !odd.is_disjoint(addressless(family)) {
                words.push("hosts without an address".to_owned());
            }
        }
        if words.is_empty() {
            // The machine's own addresses, say, which a zone names.
            let names = |zone: &&ZoneOnMachine| zone.only(family).is_some_and(|only| sources.is_subset(only));
            let listed = addresses(sources, family);
            words.push(match own().find(names) {
                Some(zone) => format!("{} ({listed})", zone.name),
                None => format!("{listed}{on}"),
            });
        }
        words
    }

    fn destination_words(&self, destinations: &RangeSet, family: Family) -> Vec<String> {
        if *destinations == Field::Destination.line(family) {
            return vec!["any".to_owned()];
        }
        let taken = self.network.taken(family);
        if !destinations.is_empty() && destinations.is_subset(taken) {
            return vec![self.itself(destinations, family)];
        }
        let Hosts {
            any,
            odd,
            receivers: hosts,
            ..
        } = self.family(family);
        let core = destinations.minus(odd);
        let (mut words, left) = hosts.in_zones(&core);
        if !left.is_empty() {
            words.push(addresses(&hosts.filled(&left), family));
        }
        if core == *any && words.len() > 1 && is_listed(&words) {
            words = vec!["any host".to_owned()];
        } else if !left.is_empty() || is_listed(&words) {
            let but = format!("any but {}", hosts.listed(&any.minus(&core)));
            if but.len() < words.join(", ").len() {
                words = vec![but];
            }
        }
        let own = destinations.intersection(self.network.own(family));
        if !own.is_empty() {
            words.push(self.itself(&own, family));
        }
        if words.is_empty() {
            words.push(addresses(destinations, family));
        }
        words
    }

    /// What the machine takes in, in words: `self`, `self (10.0.0.1, multicast)`.
    fn itself(&self, taken: &RangeSet, family: Family) -> String {
        let own = self.network.own(family);
        if own.is_subset(taken) {
            return "self".to_owned();
        }
        let multicast = match family {
            Family::Inet => RangeSet::range(0xe000_0000, 0xefff_ffff),
            Family::Inet6 => RangeSet::range(0xff << 120, u128::MAX),
        };
        let all = self.network.taken(family);
        let shared = all.minus(own).minus(&multicast);
        let (mut rest, mut words) = (taken.clone(), Vec::new());
        for (set, word) in [(shared, "broadcast"), (multicast, "multicast")] {
            // A single one is told as shortly by itself.
            if set.ranges().len() > 1 && set.is_subset(taken) {
                rest = rest.minus(&set);
                words.push(word.to_owned());
            }
        }
        if !rest.is_empty() {
            words.insert(0, addresses(&rest, family));
        }
        format!("self ({})", words.join(", "))
    }
}

/// Whether addresses are listed among words for hosts, not zones alone.
fn is_listed(words: &[String]) -> bool {
    words.iter().any(|word| word.contains(['(', '/', '.', ':']))
}

/// Who sends and who is sent to, in words.
#[derive(Debug, PartialEq, Eq)]
struct Ends {
    from: Vec<String>,
    /// The source ports, where not all.
    from_ports: String,
    to: Vec<String>,
}

impl Ends {
    /// `from iot to clients`; what lists exceptions comes last.
    fn words(&self) -> String {
        let list = |words: &[String]| {
            let (but, plain): (Vec<&str>, Vec<&str>) = words
                .iter()
                .map(String::as_str)
                .partition(|word| word.contains(" but "));
            [plain, but].concat().join(", ")
        };
        let ports = match self.from_ports.as_str() {
            "" => String::new(),
            ports => format!(" port {ports}"),
        };
        format!("from {}{ports} to {}", list(&self.from), list(&self.to))
    }

    /// Takes others in that are the same at one end.
    fn take(&mut self, other: &Self) -> bool {
        if self.from_ports != other.from_ports {
            return false;
        }
        let add = |words: &mut Vec<String>, more: &[String]| {
            for word in more {
                match word.split_once(" (") {
                    // A part of something, and all but that.
                    Some((whole, part)) => {
                        let but = format!("{whole} but {}", part.trim_end_matches(')'));
                        let known = words.iter().any(|known| known == word || known == whole);
                        match words.iter_mut().find(|known| **known == but) {
                            Some(known) => *known = whole.to_owned(),
                            None if known => {}
                            None => words.push(word.clone()),
                        }
                    }
                    None if words.contains(word) => {}
                    None => {
                        words.retain(|known| known.split_once(" (").is_none_or(|(whole, _)| whole != word));
                        words.push(word.clone());
                    }
                }
            }
        };
        if self.to == other.to {
            add(&mut self.from, &other.from);
        } else if self.from == other.from {
            add(&mut self.to, &other.to);
        } else {
            return false;
        }
        true
    }
}

/// The numbers of a set, up to a bound that no machine reaches.
fn places_of(places: &RangeSet) -> impl Iterator<Item = u128> + '_ {
    places
        .ranges()
        .iter()
        .flat_map(|&(first, last)| first..=last)
        .take(4096)
}

/// The protocols, types and ports of boxes, merged: `tcp 80 443, udp 53, icmp`. Where the families have different ports of one
/// protocol, it says which: `inet tcp 80, inet6 tcp 22`.
fn what(boxes: &[PacketBox]) -> String {
    let [inet, inet6] = Family::BOTH.map(|family| what_of(boxes, family));
    let alone = |family: Family, (protocol, ports): &(String, String), others: &[(String, String)]| {
        let differs = others.iter().any(|(other, there)| other == protocol && there != ports);
        let family = if differs { format!("{family} ") } else { String::new() };
        format!("{family}{protocol}{ports}")
    };
    let words = inet.iter().map(|one| alone(Family::Inet, one, &inet6));
    let others = inet6.iter().filter(|one| !inet.contains(one));
    let words = words.chain(others.map(|one| alone(Family::Inet6, one, &inet)));
    words.collect::<Vec<_>>().join(", ")
}

/// The protocols of the boxes of one family, each with its ports behind a space, if it has any.
fn what_of(boxes: &[PacketBox], family: Family) -> Vec<(String, String)> {
    let of_family: Vec<&PacketBox> = boxes.iter().filter(|part| part.family == family).collect();
    let transports = of_family.iter().fold(RangeSet::empty(), |all, part| {
        all.union(&part.numbers(Field::Transport))
    });
    let protocols = protocols(&transports, family).into_iter();
    let with_ports = protocols.map(|(word, protocol)| {
        let ports = protocol.map(|protocol| {
            let whole = transport::protocol(protocol, family);
            let here = of_family
                .iter()
                .filter(|part| !part.numbers(Field::Transport).is_disjoint(&whole));
            here.fold(RangeSet::empty(), |all, part| {
                all.union(&part.numbers(Field::DestinationPort))
            })
        });
        let ports = ports.as_ref().map(port_words).filter(|ports| !ports.is_empty());
        (word, ports.map_or_else(String::new, |ports| format!(" {ports}")))
    });
    with_ports.collect()
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
    let name = |protocol: Protocol| match protocol {
        Protocol::ICMP6 => "icmp6".to_owned(),
        _ => names::protocol_name(protocol).map_or_else(|| protocol.0.to_string(), str::to_owned),
    };
    let here = transports.intersection(&line);
    let ported = [Protocol::TCP, Protocol::UDP].into_iter();
    let ported = ported.filter(|&protocol| !here.is_disjoint(&transport::protocol(protocol, family)));
    let mut words: Vec<_> = ported.map(|protocol| (name(protocol), Some(protocol))).collect();
    let icmp = transport::icmp(family);
    let whole = transport::protocol(icmp, family);
    let part = here.intersection(&whole);
    if !part.is_empty() {
        words.push((icmp_words(&name(icmp), &part, &whole, family), None));
    }
    // Each of the others is one number.
    let others = here.minus(&transport::ported()).minus(&whole);
    let named = |set: &RangeSet| -> Vec<String> { transport::protocols(set, family).into_iter().map(name).collect() };
    if others.len() > MOST as u128 {
        // The icmp of the other family and fragments are dropped before any rule, or put together.
        let unseen = transport::protocol(transport::icmp(family.other()), family);
        let unseen = unseen.union(&transport::protocol(Protocol::FRAGMENT, family));
        let missing = line
            .minus(&here)
            .minus(&transport::ported())
            .minus(&whole)
            .minus(&unseen);
        words.push((
            match missing.len() {
                0 => "other protocols".to_owned(),
                few if few <= MOST as u128 => format!("other protocols but {}", named(&missing).join(" ")),
                _ => "other protocols (some)".to_owned(),
            },
            None,
        ));
    } else {
        words.extend(named(&others).into_iter().map(|other| (other, None)));
    }
    words
}

fn icmp_words(name: &str, part: &RangeSet, whole: &RangeSet, family: Family) -> String {
    if part == whole {
        return name.to_owned();
    }
    let kind = |number: u128| transport::icmp_at(number).0;
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
    let ranges = part.ranges().iter();
    let mut types: Vec<u8> = ranges.flat_map(|&(first, last)| kind(first)..=kind(last)).collect();
    types.dedup();
    if types.len() > MOST {
        return format!("{name} (some types)");
    }
    let word = |&kind: &u8| {
        let name = names::icmp_type_name(family, kind).map_or_else(|| kind.to_string(), str::to_owned);
        let all = transport::icmp_match(IcmpMatch { kind, code: None });
        let has_codes = (0..=u8::MAX).any(|code| names::icmp_code_name(family, kind, code).is_some());
        match has_codes && !all.is_subset(part) {
            true => format!("{name} (some codes)"),
            false => name,
        }
    };
    let words: Vec<String> = types.iter().map(word).collect();
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
        shortened(set, |first, last| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}:{last}")
            }
        })
    };
    let few = missing.ranges().len() <= 3 && missing.ranges().iter().all(|(first, last)| first == last);
    if few && ports.ranges().len() > 1 {
        return format!("all but {}", list(&missing));
    }
    list(ports)
}

/// The words for the ranges of a set; of many the first few.
pub(super) fn shortened(set: &RangeSet, word: impl Fn(u128, u128) -> String) -> String {
    let ranges = set.ranges();
    let more = ranges.len().saturating_sub(MOST);
    let told = if more > 1 { MOST } else { ranges.len() };
    let mut words: Vec<String> = ranges[..told].iter().map(|&(first, last)| word(first, last)).collect();
    if more > 1 {
        words.push(format!("… ({more} more)"));
    }
    words.join(" ")
}
