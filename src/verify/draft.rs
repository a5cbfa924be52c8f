//! A first policy from what passes today: zones from interfaces, `allow` for what gets through, `require` for those
//! services that surely do, `closed` where nothing else does. Every line that is written holds.

use std::collections::BTreeMap;

use super::judge::{Case, verify};
use super::obstacle::obstacle;
use super::outcome::Outcome;
use crate::engine::{Engine, Field, Goal, PacketBox, Question, transport};
use crate::net::{Family, Protocol, RangeSet, names};
use crate::policy::ast::Demand;
use crate::policy::{Macros, Network, Policy, Zones, read};
use crate::source::{MemoryLoader, Sources};

/// How many classes of packets are looked at for one pair of zones.
const MOST_CLASSES: usize = 500;
/// How many steps the question about one pair of zones may take.
const STEPS: u64 = 200_000;
/// How many protocols of a family get lines of their own; more are all.
const MOST_PROTOCOLS: usize = 20;
/// How many ports a line names; more are all.
const MOST_PORTS: usize = 12;

/// What the machine says to its neighbours on a link, of whatever network they are.
const NEIGHBOURS: &str = "allow inet6 from self to fe80::/10";
/// What is said before `closed` statements of which some do not hold.
const OPEN: &str = ". Where that is not so yet, a packet shows it: block it in pf.conf, or allow it\n\
                    # above; then take the # away. Spoofed ones are from addresses that are not routed there:\n\
                    # `block in quick from urpf-failed` is for such.\n";

/// The ends of flows: a zone or the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Zone(usize),
    Itself,
}

/// A zone of a draft.
pub(super) struct DraftZone {
    pub(super) name: String,
    /// What stands after `on`.
    on: String,
    /// Whether a default route leaves there.
    is_outside: bool,
}

impl DraftZone {
    /// Its statement.
    pub(super) fn line(&self) -> String {
        format!("zone {} on {}\n", self.name, self.on)
    }
}

/// The policy of a text that was written here.
pub(crate) fn parsed(text: &str, macros: &Macros) -> Policy {
    let mut sources = Sources::new();
    let file = sources.add("draft", text);
    read(&mut sources, file, macros, &MemoryLoader::new()).0
}

/// The text of a first policy for the ruleset, for the pf.conf of that name, with `assume` statements that are settled
/// in the ruleset already.
#[must_use]
pub fn draft(engine: &Engine<'_>, macros: &Macros, config: &str, assumptions: &str) -> String {
    let drafter = Drafter {
        engine,
        macros,
        zones: zones(engine, macros, &[]),
    };
    drafter.text(config, assumptions)
}

/// A zone for each interface behind which there can be hosts, under names that are not taken.
pub(super) fn zones(engine: &Engine<'_>, macros: &Macros, names: &[&str]) -> Vec<DraftZone> {
    let network = Network::new(engine);
    let context = engine.context();
    let mut zones: Vec<DraftZone> = Vec::new();
    for id in network.interfaces() {
        let Some(interface) = context.interfaces.get(id) else {
            continue;
        };
        let routed = |family| !network.routed(id, family).is_empty();
        if !Family::BOTH.into_iter().any(routed) {
            continue;
        }
        let named = macros.iter().filter(|(_, value)| value.trim() == interface.name);
        let named = named.map(|(name, _)| name.as_str()).min();
        let outside = context.in_group(interface, "egress") && context.members("egress").len() == 1;
        let on = match named {
            Some(name) => format!("${name}"),
            None if outside => "egress".to_owned(),
            None => interface.name.clone(),
        };
        let wish = match named {
            // The user's own word for it counts more than what is assumed of the machine.
            Some(name) if !(outside && sounds_outside(name)) => name.to_lowercase().trim_end_matches("_if").to_owned(),
            _ if outside => "internet".to_owned(),
            Some(name) => name.to_lowercase(),
            None => format!("net_{}", interface.name),
        };
        let taken =
            |name: &str| context.knows(name) || names.contains(&name) || zones.iter().any(|zone| zone.name == name);
        let name = if taken(&wish) || reserved(&wish) {
            format!("net_{}", interface.name)
        } else {
            wish
        };
        if !zones.iter().any(|zone| zone.name == name) {
            let is_outside = Family::BOTH.into_iter().any(|family| network.is_default(id, family));
            zones.push(DraftZone { name, on, is_outside });
        }
    }
    zones
}

/// Whether a macro's name is one that people give to the interface of their provider.
fn sounds_outside(name: &str) -> bool {
    let name = name.to_lowercase();
    [
        "ext", "wan", "inet", "internet", "egress", "out", "isp", "uplink", "pub",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// Whether a word cannot be a zone's name.
fn reserved(word: &str) -> bool {
    [
        "any", "all", "self", "from", "to", "on", "port", "proto", "log", "by", "none", "inet", "inet6",
    ]
    .contains(&word)
}

struct Drafter<'a> {
    engine: &'a Engine<'a>,
    macros: &'a Macros,
    zones: Vec<DraftZone>,
}

/// The `closed` statements of a draft.
#[derive(Default)]
struct Closing {
    text: String,
    /// Those that do not hold.
    open: Vec<(&'static str, Place)>,
}

/// What passes between two ends, by family and protocol: the ports, or all.
type Passing = BTreeMap<(Option<Family>, Protocol), RangeSet>;

/// A statement about packets, but for its verb.
#[derive(Clone, PartialEq, Eq)]
struct Line {
    /// Both if `None`.
    family: Option<Family>,
    /// All if empty.
    protocols: Vec<Protocol>,
    from: Vec<Place>,
    to: Vec<Place>,
    /// ` port { http https }`, or nothing.
    ports: String,
}

impl Drafter<'_> {
    fn text(&self, config: &str, assumptions: &str) -> String {
        let width = self.zones.iter().map(|zone| zone.name.len()).max().unwrap_or(0);
        let mut text = format!(
            "# What passes today, drafted from {config}. Make it say what should pass.\nconfig \"{config}\"\n\n"
        );
        for zone in &self.zones {
            text.push_str(&format!("zone {:<width$} on {}\n", zone.name, zone.on));
        }
        let head = text.clone();
        if !assumptions.is_empty() {
            text.push_str("\n# What only the running machine knows. Is it so? Nothing below speaks of more:\n");
            text.push_str(assumptions);
        }
        let mut passing: Vec<Line> = Vec::new();
        let mut silent: Vec<Line> = Vec::new();
        let places = || (0..self.zones.len()).map(Place::Zone).chain([Place::Itself]);
        for from in places() {
            for to in places().filter(|&to| to != from || from != Place::Itself) {
                let lines = self.passing(from, to, &head);
                if lines.is_empty() && to != from {
                    silent.push(between(from, to));
                }
                passing.extend(lines);
            }
        }
        let (required, allowed) = self.required(passing, &head);
        let requires = self.texts("require", merged(required));
        let mut allows = self.texts("allow", merged(allowed));
        let known = |allows: &[String]| [requires.as_slice(), allows].concat();
        let mut closed = self.closed(&head, known(&allows));
        if !closed.open.is_empty() {
            let more = [allows.as_slice(), &[NEIGHBOURS.to_owned()]].concat();
            let with_neighbours = self.closed(&head, known(&more));
            if with_neighbours.text != closed.text {
                (allows, closed) = (more, with_neighbours);
            }
        }
        let Closing { text: closed, open } = closed;
        for (part, says) in [
            (&requires, "# What gets through for sure, and its replies come back:\n"),
            (&allows, "# What else may get through:\n"),
        ] {
            if !part.is_empty() {
                text.push('\n');
                text.push_str(says);
                part.iter().for_each(|line| {
                    text.push_str(line);
                    text.push('\n');
                });
            }
        }
        text.push_str("\n# Nothing else");
        text.push_str(if open.is_empty() { ":\n" } else { OPEN });
        text.push_str(&closed);
        // What `closed` does not say where it had to be left out.
        let quiet = silent.into_iter().filter(|line| {
            let is_open = |places: &[Place], word| places.iter().any(|&place| open.contains(&(word, place)));
            is_open(&line.from, "from") && (is_open(&line.to, "to") || line.to == [Place::Itself])
        });
        let quiet: Vec<Line> = quiet.collect();
        let forbids = self.texts("forbid", quiet.clone());
        let held = self.outcomes(&head, &forbids).into_iter().zip(quiet);
        let held = held.filter_map(|(outcome, line)| matches!(outcome, Outcome::Holds).then_some(line));
        for line in self.texts("forbid", merged(held.collect())) {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// The `closed` statements where those others are known, those that do not hold as comments with a packet that shows it.
    fn closed(&self, head: &str, mut known: Vec<String>) -> Closing {
        let mut closed: Vec<(&'static str, Place, String)> = Vec::new();
        for (at, zone) in self.zones.iter().enumerate() {
            for word in ["from", "to"] {
                closed.push((word, Place::Zone(at), format!("closed {word} {}", zone.name)));
            }
        }
        let before = known.len();
        known.extend(closed.iter().map(|(.., line)| line.clone()));
        let width = closed.iter().map(|(.., line)| line.len()).max().unwrap_or(0);
        let outcomes = self.outcomes(head, &known);
        let mut closing = Closing::default();
        for ((word, place, line), outcome) in closed.into_iter().zip(outcomes.into_iter().skip(before)) {
            if matches!(outcome, Outcome::Holds) {
                closing.text.push_str(&format!("{line}\n"));
                continue;
            }
            let why = obstacle(&outcome, self.engine);
            closing.open.push((word, place));
            closing.text.push_str(&format!("# {line:<width$}  # {why}\n"));
        }
        closing
    }

    fn texts(&self, verb: &str, lines: Vec<Line>) -> Vec<String> {
        lines.iter().map(|line| self.statement(verb, line)).collect()
    }

    fn statement(&self, verb: &str, line: &Line) -> String {
        let list = |words: Vec<String>| match words.as_slice() {
            [only] => only.clone(),
            several => format!("{{ {} }}", several.join(" ")),
        };
        let places = |places: &[Place]| list(places.iter().map(|&place| self.name(place).to_owned()).collect());
        let mut words = vec![verb.to_owned()];
        words.extend(line.family.map(|family| family.to_string()));
        if !line.protocols.is_empty() {
            let names = line.protocols.iter().map(|&protocol| match protocol {
                Protocol::ICMP6 => "icmp6".to_owned(),
                _ => names::protocol_name(protocol).map_or_else(|| protocol.0.to_string(), str::to_owned),
            });
            words.push(format!("proto {}", list(names.collect())));
        }
        words.push(format!(
            "from {} to {}{}",
            places(&line.from),
            places(&line.to),
            line.ports
        ));
        words.join(" ")
    }

    /// The lines that hold as `require`, services among them that do where all of a line does not; and the lines that
    /// are left to allow.
    fn required(&self, passing: Vec<Line>, head: &str) -> (Vec<Line>, Vec<Line>) {
        let outside = |place: &Place| match *place {
            Place::Zone(at) => self.zones.get(at).is_some_and(|zone| zone.is_outside),
            Place::Itself => false,
        };
        // What the whole world may send is not for anybody to require, but for services; nor what goes back where it
        // came from.
        let (candidates, mut allowed): (Vec<Line>, Vec<Line>) = passing
            .into_iter()
            .partition(|line| line.from != line.to && (!line.ports.is_empty() || !line.from.iter().any(outside)));
        let holds = |lines: &[Line]| -> Vec<bool> {
            let texts = self.texts("require", lines.to_vec());
            let outcomes = self.outcomes(head, &texts);
            outcomes
                .iter()
                .map(|outcome| matches!(outcome, Outcome::Holds))
                .collect()
        };
        let held = holds(&candidates);
        let mut required = Vec::new();
        let mut services = Vec::new();
        for (line, held) in candidates.into_iter().zip(held) {
            if held {
                required.push(line);
            } else {
                if line.to.iter().any(outside) && line.protocols.is_empty() {
                    services.extend(usual_services(&line));
                }
                allowed.push(line);
            }
        }
        let held = holds(&services);
        required.extend(
            services
                .into_iter()
                .zip(held)
                .filter_map(|(line, held)| held.then_some(line)),
        );
        (required, allowed)
    }

    fn name(&self, place: Place) -> &str {
        match place {
            Place::Zone(at) => self.zones.get(at).map_or("", |zone| &zone.name),
            Place::Itself => "self",
        }
    }

    /// The outcomes of statements after a head of zones.
    fn outcomes(&self, head: &str, lines: &[String]) -> Vec<Outcome> {
        let policy = self.policy(&format!("{head}\n{}\n", lines.join("\n")));
        let network = Network::new(self.engine);
        let (verified, _) = verify(Case {
            zones: &Zones::new(&policy, &network).0,
            engine: self.engine,
            assumed_anchors: &[],
        });
        verified
            .judgements
            .into_iter()
            .map(|judgement| judgement.outcome)
            .collect()
    }

    fn policy(&self, text: &str) -> Policy {
        parsed(text, self.macros)
    }

    /// What gets through from one end to the other.
    fn passing(&self, from: Place, to: Place, head: &str) -> Vec<Line> {
        let line = between(from, to);
        let policy = self.policy(&format!("{head}\n{}\n", self.statement("allow", &line)));
        let network = Network::new(self.engine);
        let (zones, _) = Zones::new(&policy, &network);
        let Some(Demand::Allow(packets)) = policy.statements.first().map(|one| &one.demand) else {
            return Vec::new();
        };
        let Ok(excuse) = zones.excused(packets) else {
            return Vec::new();
        };
        let Ok(from_there) = zones.from(packets) else {
            return Vec::new();
        };
        let question = Question::new(from_there, Goal::GetsThrough)
            .except(zones.never_taken())
            .except(zones.on_one_network())
            .except_ending_in(zones.network().never_ending())
            .ending_in(excuse.ending)
            .within(STEPS);
        let mut boxes = Vec::new();
        for class in self.engine.classes(question) {
            match class {
                // By the port where it ends, as by the hosts.
                Ok(class) if boxes.len() < MOST_CLASSES => {
                    let port = class.at_end(Field::DestinationPort, &class.region);
                    let ended = port.and_then(|port| class.region.clone().replaced(Field::DestinationPort, &port));
                    boxes.push(ended.unwrap_or(class.region));
                }
                // What is not looked at to its end may be everything.
                Ok(_) | Err(_) => return vec![line],
            }
        }
        lines(&line, &passing(boxes.iter()))
    }
}

/// All that goes from one end to the other.
fn between(from: Place, to: Place) -> Line {
    Line {
        family: None,
        protocols: Vec::new(),
        from: vec![from],
        to: vec![to],
        ports: String::new(),
    }
}

/// The line for what passes, by family and protocol.
fn lines(line: &Line, passing: &Passing) -> Vec<Line> {
    let mut lines = Vec::new();
    for family in Family::BOTH {
        let of_family: Vec<_> = passing.iter().filter(|((of, _), _)| *of == Some(family)).collect();
        let line = Line {
            family: Some(family),
            ..line.clone()
        };
        if of_family.len() > MOST_PROTOCOLS {
            lines.push(line);
            continue;
        }
        for ((_, protocol), ports) in of_family {
            lines.push(Line {
                protocols: vec![*protocol],
                ports: if protocol.has_ports() {
                    port_list(ports, *protocol)
                } else {
                    String::new()
                },
                ..line.clone()
            });
        }
    }
    lines
}

/// What hosts usually need of the world.
fn usual_services(line: &Line) -> Vec<Line> {
    let service = |protocol, ports: &str| Line {
        protocols: vec![protocol],
        ports: ports.to_owned(),
        ..line.clone()
    };
    let icmp = match line.family {
        Some(Family::Inet6) => Protocol::ICMP6,
        Some(Family::Inet) | None => Protocol::ICMP,
    };
    vec![
        service(Protocol::TCP, " port { http https }"),
        service(Protocol::UDP, " port { domain ntp }"),
        service(icmp, ""),
    ]
}

/// The same lines in fewer: both families, several protocols, targets and sources in one where all else is equal.
fn merged(lines: Vec<Line>) -> Vec<Line> {
    let families = joined(lines, |line, other| {
        let same = Line {
            family: other.family,
            ..line.clone()
        };
        let of_one = |line: &Line| {
            line.protocols
                .iter()
                .any(|&known| [Protocol::ICMP, Protocol::ICMP6].contains(&known))
        };
        (same == *other && line.family != other.family && !of_one(line)).then(|| line.family = None)
    });
    let protocols = joined(families, |line, other| {
        let same = Line {
            protocols: other.protocols.clone(),
            ..line.clone()
        };
        let ported = |line: &Line| !line.protocols.is_empty() && line.protocols.iter().all(|known| known.has_ports());
        (same == *other && ported(line) && ported(other)).then(|| line.protocols.extend(&other.protocols))
    });
    let targets = joined(protocols, |line, other| {
        let same = Line {
            to: other.to.clone(),
            ..line.clone()
        };
        (same == *other).then(|| line.to.extend(&other.to))
    });
    joined(targets, |line, other| {
        let same = Line {
            from: other.from.clone(),
            ..line.clone()
        };
        (same == *other).then(|| line.from.extend(&other.from))
    })
}

/// The lines, each taken into an earlier one where that takes it.
fn joined(lines: Vec<Line>, take: impl Fn(&mut Line, &Line) -> Option<()>) -> Vec<Line> {
    let mut joined: Vec<Line> = Vec::new();
    for line in lines {
        if !joined.iter_mut().any(|known| take(known, &line).is_some()) {
            joined.push(line);
        }
    }
    joined
}

/// What the boxes pass, by family and protocol.
fn passing<'a>(boxes: impl Iterator<Item = &'a PacketBox>) -> Passing {
    let mut passing = Passing::new();
    for part in boxes {
        let transports = part.numbers(Field::Transport);
        for protocol in (0..=u8::MAX).map(Protocol) {
            if transport::protocol(protocol, part.family).is_disjoint(&transports) {
                continue;
            }
            let ports = part.numbers(Field::DestinationPort);
            let known = passing.entry((Some(part.family), protocol)).or_default();
            *known = known.union(&ports);
        }
    }
    passing
}

/// ` port { http https }`; nothing for all ports or too many.
fn port_list(ports: &RangeSet, protocol: Protocol) -> String {
    let ranges = ports.ranges();
    let everything = ports.contains(1) && ports.contains(u128::from(u16::MAX)) && ranges.len() == 1;
    if everything || ranges.len() > MOST_PORTS {
        return String::new();
    }
    let word = |port: u128| {
        let port = port as u16;
        names::service_name(port, protocol).map_or_else(|| port.to_string(), str::to_owned)
    };
    let words: Vec<String> = ranges
        .iter()
        .map(|&(first, last)| {
            if first == last {
                word(first)
            } else {
                format!("{first}:{last}")
            }
        })
        .collect();
    match words.as_slice() {
        [only] => format!(" port {only}"),
        several => format!(" port {{ {} }}", several.join(" ")),
    }
}
