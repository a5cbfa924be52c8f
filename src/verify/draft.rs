//! A first policy from what passes today: zones from interfaces, `allow` for what gets through, `require` for those
//! services that surely do, `closed` where nothing else does. Every line that is written holds.

use std::collections::BTreeMap;

use super::judge::{Case, verify};
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
/// How many ports a line names; more are all.
const MOST_PORTS: usize = 12;

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
        zones: zones(engine, macros),
    };
    drafter.text(config, assumptions)
}

/// A zone for each interface behind which there can be hosts.
pub(super) fn zones(engine: &Engine<'_>, macros: &Macros) -> Vec<DraftZone> {
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
            _ if outside => "internet".to_owned(),
            Some(name) => name.to_lowercase().trim_end_matches("_if").to_owned(),
            None => format!("net_{}", interface.name),
        };
        let taken = |name: &str| context.knows(name) || zones.iter().any(|zone| zone.name == name);
        let name = if taken(&wish) || reserved(&wish) {
            format!("net_{}", interface.name)
        } else {
            wish
        };
        if !zones.iter().any(|zone| zone.name == name) {
            zones.push(DraftZone { name, on });
        }
    }
    zones
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

/// What passes between two ends, by family and protocol: the ports, or all.
type Passing = BTreeMap<(Option<Family>, Protocol), RangeSet>;

impl Drafter<'_> {
    fn text(&self, config: &str, assumptions: &str) -> String {
        let width = self.zones.iter().map(|zone| zone.name.len()).max().unwrap_or(0);
        let mut head = format!(
            "# What passes today, drafted from {config}. Make it say what should pass.\nconfig \"{config}\"\n\n"
        );
        for zone in &self.zones {
            head.push_str(&format!("zone {:<width$} on {}\n", zone.name, zone.on));
        }
        if !assumptions.is_empty() {
            head.push_str("\n# What only the running machine knows, taken to be so:\n");
            head.push_str(assumptions);
        }
        let mut allows: Vec<String> = Vec::new();
        let places = || (0..self.zones.len()).map(Place::Zone).chain([Place::Itself]);
        for from in places() {
            for to in places().filter(|&to| to != from) {
                allows.extend(self.allows(from, to, &head));
            }
        }
        let requires = self.requires(&allows, &head);
        let closed: Vec<String> = self
            .zones
            .iter()
            .flat_map(|zone| [format!("closed from {}", zone.name), format!("closed to {}", zone.name)])
            .collect();
        let mut text = head;
        for part in [&requires, &allows] {
            if !part.is_empty() {
                text.push('\n');
                part.iter().for_each(|line| {
                    text.push_str(line);
                    text.push('\n');
                });
            }
        }
        text.push('\n');
        let all: Vec<String> = requires.iter().chain(&allows).chain(&closed).cloned().collect();
        let outcomes = self.outcomes(&text_head(&text), &all);
        for (line, outcome) in closed.iter().zip(outcomes.iter().skip(requires.len() + allows.len())) {
            let kept = matches!(outcome, Outcome::Holds);
            let note = match outcome {
                Outcome::Holds => "",
                Outcome::Unproven { .. } => "    # cannot be proved: `pfproof check` says why",
                Outcome::Violated(_) | Outcome::Vacuous => {
                    "    # more than this gets through: `pfproof check` shows what"
                }
            };
            text.push_str(&format!("{}{line}{note}\n", if kept { "" } else { "# " }));
        }
        text
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
        let (verified, _) = verify(Case {
            policy: &policy,
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

    /// `allow` lines for what gets through from one end to the other.
    fn allows(&self, from: Place, to: Place, head: &str) -> Vec<String> {
        let line = format!("allow from {} to {}", self.name(from), self.name(to));
        let policy = self.policy(&format!("{head}\n{line}\n"));
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
            .except(&zones.never_taken())
            .except(&zones.on_one_network())
            .ending_in(excuse.ending)
            .within(STEPS);
        let mut boxes = Vec::new();
        for class in self.engine.classes(question) {
            match class {
                Ok(class) if boxes.len() < MOST_CLASSES => boxes.push(class.region),
                // What is not looked at to its end may be everything.
                Ok(_) | Err(_) => return vec![line],
            }
        }
        self.lines("allow", from, to, &passing(boxes.iter()))
    }

    /// Lines of a verb for what passes.
    fn lines(&self, verb: &str, from: Place, to: Place, passing: &Passing) -> Vec<String> {
        let ends = format!("from {} to {}", self.name(from), self.name(to));
        let mut lines: Vec<String> = Vec::new();
        for family in Family::BOTH {
            let of_family: Vec<_> = passing.iter().filter(|((of, _), _)| *of == Some(family)).collect();
            if of_family.len() > 20 {
                lines.push(format!("{verb} {family} {ends}"));
                continue;
            }
            for ((_, protocol), ports) in of_family {
                let name = names::protocol_name(*protocol).map_or_else(|| protocol.0.to_string(), str::to_owned);
                let name = if *protocol == Protocol::ICMP6 { "icmp6" } else { &name };
                let ports = if protocol.has_ports() {
                    port_list(ports, *protocol)
                } else {
                    String::new()
                };
                lines.push(format!("{verb} {family} proto {name} {ends}{ports}"));
            }
        }
        lines
    }

    /// `require` lines: of the allowed services those that surely get through, with their replies.
    fn requires(&self, allows: &[String], head: &str) -> Vec<String> {
        let candidates: Vec<String> = allows
            .iter()
            .filter(|line| line.contains(" port ") && !line.contains(':'))
            .map(|line| line.replacen("allow", "require", 1))
            .collect();
        let outcomes = self.outcomes(head, &candidates);
        candidates
            .into_iter()
            .zip(outcomes)
            .filter(|(_, outcome)| matches!(outcome, Outcome::Holds))
            .map(|(line, _)| line)
            .collect()
    }
}

/// The part of a policy before its first statement with an outcome.
fn text_head(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| line.starts_with("config") || line.starts_with("zone"));
    lines.collect::<Vec<_>>().join("\n")
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
