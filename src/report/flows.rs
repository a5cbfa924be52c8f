//! What passes between zones: the matrix who reaches whom, and the flows from one to another in few boxes.
//!
//! Asked about packets that begin a flow: the matrix about tcp SYN, udp and echo requests, one pair of zones about all of
//! them: tcp SYN, queries of icmp, whatever packets of other protocols.

use indexmap::IndexMap;
use petgraph::graph::{DiGraph, NodeIndex};

use super::boxes::Namer;
use super::look::printable;
use crate::engine::{
    Class, Decider, Engine, Field, Goal, InterfaceId, PacketSet, Place, Question, Undecided, Value, transport,
};
use crate::net::{Family, Protocol, RangeSet, TcpFlags};
use crate::policy::Network;

/// How many steps the question about one pair of zones may take.
const STEPS: u64 = 2_000_000;

/// How many classes are listed of one pair of zones.
const CLASSES: usize = 4096;

/// The hosts behind an interface, or the machine itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// The hosts behind that interface.
    Behind(InterfaceId),
    /// The machine itself.
    Itself,
}

/// How much of what one zone may send to another gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Nothing.
    Nothing,
    /// Nothing but from sources that do not belong there.
    Spoofed,
    /// Something.
    Part,
    /// Everything.
    All,
    /// The steps ran out.
    Unknown,
}

/// What gets from one zone to another.
#[derive(Clone, Copy, Debug)]
struct Passage {
    reach: Reach,
    /// Whether it is translated.
    translated: Translated,
}

/// How much of it is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Translated {
    Nothing,
    Some,
    All,
}

impl Passage {
    fn words(self) -> String {
        let reach = match self.reach {
            Reach::Nothing => "-",
            Reach::Spoofed => "spoofed",
            Reach::Part => "part",
            Reach::All => "all",
            Reach::Unknown => "?",
        };
        let nat = match self.translated {
            Translated::Nothing => "",
            Translated::Some => ", some nat",
            Translated::All => " nat",
        };
        format!("{reach}{nat}")
    }
}

/// The zones of a machine and what gets from each to each.
pub struct Flows<'e, 'a> {
    engine: &'e Engine<'a>,
    network: Network<'e>,
}

impl<'e, 'a: 'e> Flows<'e, 'a> {
    /// The flows of the engine's machine; its zones are its interfaces.
    #[must_use]
    pub fn new(engine: &'e Engine<'a>) -> Self {
        Self {
            engine,
            network: Network::new(engine),
        }
    }

    /// The zone of that name: an interface, or `self`.
    #[must_use]
    pub fn zone(&self, name: &str) -> Option<Zone> {
        match name {
            "self" => Some(Zone::Itself),
            _ => self.engine.space().interface(name).map(Zone::Behind),
        }
    }

    fn name(&self, zone: Zone) -> &str {
        match zone {
            Zone::Behind(id) => self.engine.space().interface_name(id),
            Zone::Itself => "self",
        }
    }

    fn zones(&self) -> Vec<Zone> {
        let interfaces = self.engine.context().interfaces.iter().enumerate();
        let behind = interfaces
            .filter(|(_, interface)| !interface.is_loopback())
            .map(|(id, _)| Zone::Behind(id));
        behind.chain([Zone::Itself]).collect()
    }

    /// The matrix in lines: a row for each sender, a column for each receiver, and what the words mean.
    #[must_use]
    pub fn matrix(&self) -> Vec<String> {
        let mut graph: DiGraph<Zone, Passage> = DiGraph::new();
        let nodes: Vec<NodeIndex> = self.zones().into_iter().map(|zone| graph.add_node(zone)).collect();
        for &from in &nodes {
            for &to in nodes.iter().filter(|&&to| to != from) {
                if let (Some(&a), Some(&b)) = (graph.node_weight(from), graph.node_weight(to)) {
                    graph.add_edge(from, to, self.passage(a, b));
                }
            }
        }
        let names: Vec<&str> = graph.node_weights().map(|&zone| self.name(zone)).collect();
        let cell = |from: NodeIndex, to: NodeIndex| {
            let edge = graph.find_edge(from, to).and_then(|edge| graph.edge_weight(edge));
            edge.map_or_else(|| ".".to_owned(), |passage| passage.words())
        };
        let words = nodes.iter().flat_map(|&from| nodes.iter().map(move |&to| (from, to)));
        let cell_widths = words.map(|(from, to)| cell(from, to).len());
        let width = names
            .iter()
            .map(|name| name.len())
            .chain(cell_widths)
            .chain([12])
            .max()
            .unwrap_or(12);
        let row = |first: &str, cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:<width$}")).collect();
            format!("{first:<width$}  {}", cells.join("  ")).trim_end().to_owned()
        };
        let heads: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut lines = vec![row("from \\ to", &heads)];
        for (&from, name) in nodes.iter().zip(&names) {
            let cells: Vec<String> = nodes.iter().map(|&to| cell(from, to)).collect();
            lines.push(row(name, &cells));
        }
        lines.iter().map(|line| printable(line).into_owned()).collect()
    }

    /// What gets from one zone to the other, in few boxes with the rules that decide, in lines.
    ///
    /// # Errors
    /// If the steps run out.
    pub fn between(&self, from: Zone, to: Zone) -> Result<Vec<String>, Undecided> {
        let mut groups: IndexMap<String, Vec<_>> = IndexMap::new();
        for class in self
            .engine
            .classes(self.asked(from, to, Goal::GetsThrough, true, opening(true)))
            .take(CLASSES)
        {
            let class = class?;
            groups.entry(self.way(&class)).or_default().push(class.region);
        }
        let namer = Namer::of_network(&self.network);
        let mut lines = Vec::new();
        for (way, boxes) in groups {
            let packets: PacketSet = boxes.into_iter().collect();
            lines.extend(namer.lines(&packets.simplified()));
            lines.push(format!("    {way}"));
        }
        if lines.is_empty() {
            lines.push(format!("nothing gets from {} to {}", self.name(from), self.name(to)));
        }
        Ok(lines.iter().map(|line| printable(line).into_owned()).collect())
    }

    /// The way of a class in words: `in by @3, out no rule matches, nat to 203.0.113.7`.
    fn way(&self, class: &Class) -> String {
        let mut words: Vec<String> = Vec::new();
        for hop in &class.journey.hops {
            let by = match &hop.decider {
                Decider::Rule(rule) => format!("by @{rule}"),
                Decider::Default => "no rule matches".to_owned(),
                Decider::Skipped => "skipped".to_owned(),
                Decider::OwnState | Decider::State => "by its own state".to_owned(),
                Decider::Anchor(rule) => format!("by what fills the anchor at @{rule}"),
                Decider::Nobody => continue,
            };
            words.push(format!("{} {by}", hop.place.direction()));
            let family = hop.ends.family;
            for (what, value) in [("nat to", &hop.ends.source), ("rdr to", &hop.ends.destination)] {
                match value {
                    Value::OneOf(set) if hop.state && !hop.translated_by.is_empty() => {
                        words.push(format!("{what} {}", super::boxes::addresses(set, family)));
                    }
                    Value::AddressOf(name) => words.push(format!("{what} the address of {name}")),
                    Value::OneOf(_) | Value::Same | Value::Moved => {}
                }
            }
        }
        if !class.conditions.is_empty() {
            words.push("under conditions".to_owned());
        }
        words.join(", ")
    }

    fn passage(&self, from: Zone, to: Zone) -> Passage {
        let (mut nat, mut plain) = (false, false);
        let unknown = Passage {
            reach: Reach::Unknown,
            translated: Translated::Nothing,
        };
        for class in self.engine.classes(self.question(from, to, Goal::GetsThrough)).take(64) {
            let Ok(class) = class else { return unknown };
            let translates = class.journey.hops.iter().any(|hop| !hop.translated_by.is_empty());
            nat |= translates;
            plain |= !translates;
        }
        let translated = match (nat, plain) {
            (false, _) => Translated::Nothing,
            (true, true) => Translated::Some,
            (true, false) => Translated::All,
        };
        let reach = if nat || plain {
            match self.engine.classes(self.question(from, to, Goal::Stopped)).next() {
                None => Reach::All,
                Some(Ok(_)) => Reach::Part,
                Some(Err(_)) => Reach::Unknown,
            }
        } else {
            match self
                .engine
                .classes(self.asked(from, to, Goal::GetsThrough, false, opening(false)))
                .next()
            {
                None => Reach::Nothing,
                Some(Ok(_)) => Reach::Spoofed,
                Some(Err(_)) => Reach::Unknown,
            }
        };
        Passage { reach, translated }
    }

    fn question(&self, from: Zone, to: Zone, goal: Goal) -> Question {
        self.asked(from, to, goal, true, opening(false))
    }

    /// The question about packets that begin a flow from one zone to the other; `own`: from its own addresses.
    fn asked(&self, from: Zone, to: Zone, goal: Goal, own: bool, opening: PacketSet) -> Question {
        let space = self.engine.space();
        let sent = |id: InterfaceId| space.sent([id]);
        let met = match (from, to) {
            (Zone::Behind(id), _) => space.arriving([id]),
            (Zone::Itself, Zone::Behind(id)) => sent(id),
            (Zone::Itself, Zone::Itself) => PacketSet::empty(),
        };
        let sources = |family: Family| match from {
            Zone::Behind(id) if own => self.network.hosts(id, family, true),
            Zone::Behind(_) => Field::Source.line(family),
            Zone::Itself => self.network.own(family).clone(),
        };
        let destinations = |family: Family| match to {
            Zone::Behind(id) => self.network.hosts(id, family, true),
            Zone::Itself => self.network.own(family).clone(),
        };
        let region: PacketSet = opening
            .intersection(&met)
            .boxes()
            .iter()
            .filter_map(|part| part.clone().with(Field::Source, &sources(part.family)))
            .collect();
        // What is stopped has no end: it is asked for by where it is addressed to.
        let addressed = |region: PacketSet| -> PacketSet {
            let parts = region.boxes().iter();
            parts
                .filter_map(|part| part.clone().with(Field::Destination, &destinations(part.family)))
                .collect()
        };
        let question = match goal {
            Goal::Stopped => Question::new(addressed(region), goal),
            Goal::GetsThrough | Goal::Any => {
                let ends: PacketSet = match to {
                    Zone::Behind(id) => {
                        let count = space.interfaces().len();
                        let received = (0..count).map(Some).chain([None]);
                        space.at(received.map(|received| Place::Out { on: id, received }))
                    }
                    Zone::Itself => space.arriving(0..space.interfaces().len()),
                };
                Question::new(region, goal).ending_in(addressed(ends))
            }
        };
        question.within(STEPS)
    }
}

/// Packets that begin a flow, at any place: of all protocols, or of those that people think of.
fn opening(all_protocols: bool) -> PacketSet {
    let line = Family::BOTH.into_iter().flat_map(|family| {
        let all = crate::engine::PacketBox::all(family);
        let usual = [
            (Field::Options, RangeSet::single(0)),
            (Field::Fragment, RangeSet::single(0)),
            (Field::Tos, RangeSet::single(0)),
            (Field::Ttl, RangeSet::single(64)),
            (Field::Prio, RangeSet::single(3)),
        ];
        let all = usual.iter().try_fold(all, |all, (field, set)| all.with(*field, set));
        let ported = RangeSet::single(transport::tcp(TcpFlags::SYN)).union(&transport::protocol(Protocol::UDP, family));
        let ports = RangeSet::range(1, u128::from(u16::MAX));
        let with_ports = all.clone().and_then(|all| {
            let all = all.with(Field::Transport, &ported)?;
            all.with(Field::SourcePort, &ports)?
                .with(Field::DestinationPort, &ports)
        });
        let queries = transport::answers(family).into_iter().map(|(queries, _)| queries);
        let without_ports = if all_protocols {
            let own = [Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol::ICMP6];
            let others = own.iter().fold(transport::line(family), |line, &protocol| {
                line.minus(&transport::protocol(protocol, family))
            });
            queries.fold(others, |all, queries| all.union(&queries))
        } else {
            queries
                .take(1)
                .fold(RangeSet::empty(), |all, queries| all.union(&queries))
        };
        let without_ports = all.and_then(|all| all.with(Field::Transport, &without_ports));
        with_ports.into_iter().chain(without_ports)
    });
    line.collect()
}
