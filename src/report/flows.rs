//! What passes between zones: the matrix who reaches whom, and the flows from one to another in few boxes.
//!
//! Asked about packets that begin a flow: tcp SYN, udp, echo requests.

use indexmap::IndexMap;
use petgraph::graph::{DiGraph, NodeIndex};

use super::boxes::Namer;
use crate::engine::{
    Class, Condition, Decider, Engine, Field, Goal, InterfaceId, PacketSet, Place, Question, Undecided, Unknown, Value,
    transport,
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
    /// Whether some of it is translated.
    translated: bool,
    /// Whether it may be otherwise, for what is not known of the machine; as it is here, anchors that others fill are
    /// empty.
    open: bool,
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
        let nat = if self.translated { " nat" } else { "" };
        let open = if self.open { " *" } else { "" };
        format!("{reach}{nat}{open}")
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
        let width = names.iter().map(|name| name.len()).chain([12]).max().unwrap_or(12);
        let row = |first: &str, cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:<width$}")).collect();
            format!("{first:<width$}  {}", cells.join("  ")).trim_end().to_owned()
        };
        let heads: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut lines = vec![row("from \\ to", &heads)];
        for (&from, name) in nodes.iter().zip(&names) {
            let cell = |&to: &NodeIndex| {
                let edge = graph.find_edge(from, to).and_then(|edge| graph.edge_weight(edge));
                edge.map_or_else(|| ".".to_owned(), |passage| passage.words())
            };
            let cells: Vec<String> = nodes.iter().map(cell).collect();
            lines.push(row(name, &cells));
        }
        if graph.edge_weights().any(|passage| passage.open) {
            lines
                .push("* with anchors that others fill empty; it hangs on what is not known of the machine".to_owned());
        }
        lines
    }

    /// What gets from one zone to the other, in few boxes with the rules that decide, in lines.
    ///
    /// # Errors
    /// If the steps run out.
    pub fn between(&self, from: Zone, to: Zone) -> Result<Vec<String>, Undecided> {
        let mut groups: IndexMap<String, Vec<_>> = IndexMap::new();
        for class in self
            .engine
            .classes(self.question(from, to, Goal::GetsThrough))
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
        Ok(lines)
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
        let mut translated = false;
        let mut some = false;
        let mut open = false;
        let unknown = Passage {
            reach: Reach::Unknown,
            translated: false,
            open: false,
        };
        for class in self.engine.classes(self.question(from, to, Goal::GetsThrough)).take(64) {
            let Ok(class) = class else { return unknown };
            open |= is_open(&class);
            if !needs_anchor(&class) {
                some = true;
                translated |= class.journey.hops.iter().any(|hop| !hop.translated_by.is_empty());
            }
        }
        let reach = if some {
            let mut reach = Reach::All;
            for class in self.engine.classes(self.question(from, to, Goal::Stopped)) {
                let Ok(class) = class else { return unknown };
                open |= is_open(&class);
                if !needs_anchor(&class) {
                    reach = Reach::Part;
                    break;
                }
            }
            // Of the machine's addresses that are not known, nothing stopped was asked.
            let asked = |family| self.unknown_own(family).is_empty();
            match to {
                Zone::Itself if !Family::BOTH.into_iter().all(asked) => Reach::Part,
                _ => reach,
            }
        } else {
            let mut reach = Reach::Nothing;
            for class in self.engine.classes(self.asked(from, to, Goal::GetsThrough, false)) {
                let Ok(class) = class else { return unknown };
                open |= is_open(&class);
                if !needs_anchor(&class) {
                    reach = Reach::Spoofed;
                    break;
                }
            }
            reach
        };
        Passage {
            reach,
            translated,
            open,
        }
    }

    /// What the addresses of the machine that are not known may be.
    fn unknown_own(&self, family: Family) -> RangeSet {
        let unknown = self.network.interfaces().map(|id| self.network.unknown_own(id, family));
        unknown.fold(RangeSet::empty(), |all, unknown| all.union(&unknown))
    }

    fn question(&self, from: Zone, to: Zone, goal: Goal) -> Question {
        self.asked(from, to, goal, true)
    }

    /// The question about packets that begin a flow from one zone to the other; `own`: from its own addresses.
    fn asked(&self, from: Zone, to: Zone, goal: Goal, own: bool) -> Question {
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
            Zone::Itself => self.network.own(family).union(&self.unknown_own(family)),
        };
        let destinations = |family: Family| match to {
            Zone::Behind(id) => self.network.hosts(id, family, true),
            // What ends where it arrived was taken in.
            Zone::Itself if goal != Goal::Stopped => self.network.own(family).union(&self.unknown_own(family)),
            Zone::Itself => self.network.own(family).clone(),
        };
        let opening = opening();
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

/// Whether a class hangs on what only the running machine knows.
fn is_open(class: &Class) -> bool {
    // That an address is not the machine's own one is so for all but one.
    let other = |one: &Condition| one.rule.is_none() && !one.holds && matches!(one.unknown, Unknown::Address(_));
    let mut conditions = class.conditions.iter();
    conditions.any(|one| !one.unknown.is_choice() && !other(one))
}

/// Whether a class comes about only by what others fill into an anchor.
fn needs_anchor(class: &Class) -> bool {
    let mut conditions = class.conditions.iter();
    conditions.any(|condition| matches!(condition.unknown, Unknown::Anchor(_)) && condition.holds)
}

/// Packets that begin a flow, at any place.
fn opening() -> PacketSet {
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
        let ported =
            RangeSet::single(transport::of_tcp(TcpFlags::SYN)).union(&transport::protocol(Protocol::UDP, family));
        let ports = RangeSet::range(1, u128::from(u16::MAX));
        let with_ports = all.clone().and_then(|all| {
            let all = all.with(Field::Transport, &ported)?;
            all.with(Field::SourcePort, &ports)?
                .with(Field::DestinationPort, &ports)
        });
        let echo = transport::answers(family)
            .into_iter()
            .next()
            .map(|(queries, _)| queries);
        let icmp = all.zip(echo).and_then(|(all, echo)| all.with(Field::Transport, &echo));
        with_ports.into_iter().chain(icmp)
    });
    line.collect()
}
