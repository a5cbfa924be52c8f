//! What passes between zones: the matrix who reaches whom, and the flows from one to another in few boxes.
//!
//! Asked about packets that begin a flow: the matrix about tcp SYN, udp and echo requests, one pair of zones about all of
//! them: tcp SYN, queries of icmp, whatever packets of other protocols.

use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use serde_json::{Value as Json, json};

use super::boxes::Namer;
use super::fields::boxes as boxes_of;
use super::look::{Look, printable};
use crate::engine::{
    Class, Condition, Decider, Engine, Field, Goal, InterfaceId, PacketSet, Place, Question, Undecided, Unknown, Value,
    address_number, transport,
};
use crate::net::{Family, Protocol, RangeSet, TcpFlags};
use crate::policy::{Network, Zones};

/// How many steps the question about one pair of zones may take.
const STEPS: u64 = 2_000_000;

/// How many classes are listed of one pair of zones.
const CLASSES: usize = 4096;

/// Hosts behind interfaces, the machine itself, or both: what one address is depends on where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: String,
    /// The interfaces that its hosts are behind.
    behind: Vec<InterfaceId>,
    /// Whether the machine itself belongs to it.
    itself: bool,
    /// The only addresses that are meant, IPv4 first.
    only: Option<[RangeSet; 2]>,
}

impl Zone {
    /// Those of the addresses that are meant.
    fn meant(&self, addresses: RangeSet, family: Family) -> RangeSet {
        match &self.only {
            Some([inet, _]) if family == Family::Inet => addresses.intersection(inet),
            Some([_, inet6]) => addresses.intersection(inet6),
            None => addresses,
        }
    }
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
    /// Whether it may be otherwise, for what is not known of the machine; as it is here, anchors that others fill are
    /// empty.
    open: bool,
}

/// How much of it is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Translated {
    Nothing,
    Some,
    All,
}

impl Passage {
    /// `{"from","to","passes","translated","open"}`.
    fn json(self, from: &str, to: &str) -> Json {
        let passes = match self.reach {
            Reach::Nothing => "nothing",
            Reach::Spoofed => "spoofed",
            Reach::Part => "part",
            Reach::All => "all",
            Reach::Unknown => "unknown",
        };
        let translated = match self.translated {
            Translated::Nothing => "nothing",
            Translated::Some => "some",
            Translated::All => "all",
        };
        json!({"from": from, "to": to, "passes": passes, "translated": translated, "open": self.open})
    }

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
        let open = if self.open { " *" } else { "" };
        format!("{reach}{nat}{open}")
    }
}

/// An answer about flows.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// For people.
    pub lines: Vec<String>,
    /// The same where the columns of `lines` do not fit.
    pub narrow: Vec<String>,
    /// For programs: `pairs`, or `from`, `to`, `flows` and `more`.
    pub json: Json,
    /// Whether that is all of it.
    pub whole: bool,
}

impl Shown {
    fn new(lines: &[String], narrow: &[String], json: Json) -> Self {
        let shown = |lines: &[String]| lines.iter().map(|line| printable(line).into_owned()).collect();
        Self {
            lines: shown(lines),
            narrow: shown(narrow),
            json,
            whole: true,
        }
    }

    /// The lines, in that width.
    #[must_use]
    pub fn text(&self, look: Look) -> String {
        let fits = self.lines.iter().all(|line| line.chars().count() <= look.width);
        let lines = if fits { &self.lines } else { &self.narrow };
        let lines = lines.iter().map(|line| {
            let indent = line.len() - line.trim_start().len() + 4;
            format!("{}\n", look.wrap(line, indent))
        });
        lines.collect()
    }
}

/// The zones of a machine and what gets from each to each.
pub struct Flows<'e, 'a> {
    engine: &'e Engine<'a>,
    network: &'e Network<'e>,
    zones: &'e Zones<'e>,
}

impl<'e, 'a: 'e> Flows<'e, 'a> {
    /// The flows of the engine's machine; its zones are its interfaces and those of a policy.
    #[must_use]
    pub fn new(engine: &'e Engine<'a>, zones: &'e Zones<'e>) -> Self {
        Self {
            engine,
            network: zones.network(),
            zones,
        }
    }

    /// The zone of that name: of the policy, the hosts behind an interface or a group, an address or network, or `self`.
    #[must_use]
    pub fn zone(&self, name: &str) -> Option<Zone> {
        let zone = |behind: Vec<InterfaceId>, itself: bool, only: Option<[RangeSet; 2]>| Zone {
            name: name.to_owned(),
            behind,
            itself,
            only,
        };
        if name == "self" {
            return Some(zone(Vec::new(), true, None));
        }
        if let Some(known) = self.zones.all().iter().find(|known| *known.name == *name) {
            let only = [Family::Inet, Family::Inet6].map(|family| known.only(family).cloned());
            let only = match only {
                [Some(inet), Some(inet6)] => Some([inet, inet6]),
                [None, _] | [_, None] => None,
            };
            return Some(zone(known.interfaces.clone(), false, only));
        }
        let space = self.engine.space();
        let members = self.engine.context().members(name).into_iter();
        let members: Vec<InterfaceId> = members
            .filter_map(|interface| space.interface(&interface.name))
            .collect();
        if !members.is_empty() {
            return Some(zone(members, false, None));
        }
        let one = name.parse::<IpAddr>().map(IpNet::from);
        let net: IpNet = one.or_else(|_| name.parse()).ok()?;
        let only = Family::BOTH.map(|family| {
            if Family::of(net.addr()) == family {
                RangeSet::range(address_number(net.network()), address_number(net.broadcast()))
            } else {
                RangeSet::empty()
            }
        });
        Some(zone(self.network.interfaces().collect(), true, Some(only)))
    }

    fn zones(&self) -> Vec<Zone> {
        let interfaces = self.engine.context().interfaces.iter();
        let interfaces = interfaces.filter(|interface| !interface.is_loopback());
        let names = interfaces.map(|interface| interface.name.as_str()).chain(["self"]);
        names.filter_map(|name| self.zone(name)).collect()
    }

    /// What gets from each zone to each other one.
    fn passages(&self) -> DiGraph<Zone, Passage> {
        let mut graph: DiGraph<Zone, Passage> = DiGraph::new();
        let nodes: Vec<NodeIndex> = self.zones().into_iter().map(|zone| graph.add_node(zone)).collect();
        for &from in &nodes {
            for &to in nodes.iter().filter(|&&to| to != from) {
                if let (Some(a), Some(b)) = (graph.node_weight(from), graph.node_weight(to)) {
                    let passage = self.passage(a, b);
                    graph.add_edge(from, to, passage);
                }
            }
        }
        graph
    }

    /// The matrix: a row for each sender, a column for each receiver, and what the words mean.
    #[must_use]
    pub fn matrix(&self) -> Shown {
        let graph = self.passages();
        let edges = graph.edge_references().map(|edge| {
            let name = |node: NodeIndex| graph.node_weight(node).map_or("", |zone| zone.name.as_str());
            edge.weight().json(name(edge.source()), name(edge.target()))
        });
        let pairs: Vec<Json> = edges.collect();
        let nodes: Vec<NodeIndex> = graph.node_indices().collect();
        let names: Vec<&str> = graph.node_weights().map(|zone| zone.name.as_str()).collect();
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
        if graph.edge_weights().any(|passage| passage.open) {
            lines
                .push("* with anchors that others fill empty; it hangs on what is not known of the machine".to_owned());
        }
        let pairs_width = names.iter().map(|name| name.len()).max().unwrap_or(0) * 2 + 3;
        let mut narrow: Vec<String> = Vec::new();
        for (&from, name) in nodes.iter().zip(&names) {
            let others = nodes.iter().zip(&names).filter(|(to, _)| **to != from);
            narrow.extend(others.map(|(&to, other)| {
                let pair = format!("{name} > {other}");
                format!("{pair:<pairs_width$}  {}", cell(from, to))
            }));
        }
        narrow.extend(lines.last().filter(|line| line.starts_with('*')).cloned());
        Shown::new(&lines, &narrow, json!({"pairs": pairs}))
    }

    /// What gets from one zone to the other, by their names.
    ///
    /// # Errors
    /// In words, where there is no such zone.
    pub fn named(&self, from: &str, to: &str) -> Result<Shown, String> {
        let zone = |name: &str| {
            let zone = self.zone(name);
            zone.ok_or_else(|| format!("no zone, interface, group or address `{name}`"))
        };
        Ok(self.between(&zone(from)?, &zone(to)?))
    }

    /// What gets from one zone to the other, in few boxes with the rules that decide; and why there may be more, if so.
    #[must_use]
    pub fn between(&self, from: &Zone, to: &Zone) -> Shown {
        let mut groups: IndexMap<String, Vec<_>> = IndexMap::new();
        let mut more: Vec<String> = Vec::new();
        let too_much = || "too much passes to list it all".to_owned();
        let question = self.asked(from, to, Goal::GetsThrough, true, opening(true));
        let mut classes = self.engine.classes(question);
        for class in classes.by_ref().take(CLASSES) {
            match class {
                Ok(class) => groups.entry(self.way(&class)).or_default().push(class.region),
                Err(Undecided::Unmodelled(why)) => more.push(why),
                Err(Undecided::Steps) => more.push(too_much()),
            }
        }
        more.extend(classes.next().map(|_| too_much()));
        let namer = Namer::of_zones(self.zones);
        let (mut lines, mut flows) = (Vec::new(), Vec::new());
        for (way, boxes) in groups {
            let packets: PacketSet = boxes.into_iter().collect();
            let packets = packets.simplified().joined();
            let words = namer.lines(&packets);
            let (boxes, left_out) = boxes_of(packets.boxes(), self.engine.space());
            flows.push(json!({"packets": words, "way": way, "boxes": boxes, "boxes_left_out": left_out}));
            lines.extend(words);
            lines.push(format!("    {way}"));
        }
        if lines.is_empty() && more.is_empty() {
            lines.push(format!("nothing gets from {} to {}", from.name, to.name));
        }
        lines.extend(more.iter().map(|why| format!("and perhaps more: {why}")));
        let whole = more.is_empty();
        let json = json!({"from": from.name, "to": to.name, "flows": flows, "more": more});
        let shown = Shown::new(&lines, &lines, json);
        Shown { whole, ..shown }
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
                        words.push(format!("{what} {}", super::hosts::addresses(set, family)));
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

    fn passage(&self, from: &Zone, to: &Zone) -> Passage {
        let (mut nat, mut plain) = (false, false);
        let mut open = false;
        let unknown = Passage {
            reach: Reach::Unknown,
            translated: Translated::Nothing,
            open: false,
        };
        for class in self.engine.classes(self.question(from, to, Goal::GetsThrough)).take(64) {
            let Ok(class) = class else { return unknown };
            open |= is_open(&class);
            if !needs_anchor(&class) {
                let translates = class.journey.hops.iter().any(|hop| !hop.translated_by.is_empty());
                nat |= translates;
                plain |= !translates;
            }
        }
        let translated = match (nat, plain) {
            (false, _) => Translated::Nothing,
            (true, true) => Translated::Some,
            (true, false) => Translated::All,
        };
        let reach = if nat || plain {
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
            let asked = |family| to.meant(self.unknown_own(family), family).is_empty();
            if to.itself && !Family::BOTH.into_iter().all(asked) {
                reach = Reach::Part;
            }
            reach
        } else {
            let mut reach = Reach::Nothing;
            let spoofed = self.asked(from, to, Goal::GetsThrough, false, opening(false));
            for class in self.engine.classes(spoofed) {
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

    fn question(&self, from: &Zone, to: &Zone, goal: Goal) -> Question {
        self.asked(from, to, goal, true, opening(false))
    }

    /// The question about packets that begin a flow from one zone to the other; `own`: from its own addresses.
    fn asked(&self, from: &Zone, to: &Zone, goal: Goal, own: bool, opening: PacketSet) -> Question {
        let space = self.engine.space();
        let hosts =
            |zone: &Zone, id: InterfaceId, family: Family| zone.meant(self.network.hosts(id, family, true), family);
        let itself = |zone: &Zone, family: Family| zone.meant(self.network.own(family).clone(), family);
        let perhaps_itself = |zone: &Zone, family: Family| {
            let all = self.network.own(family).union(&self.unknown_own(family));
            zone.meant(all, family)
        };
        let with = |packets: PacketSet, field: Field, set: &dyn Fn(Family) -> RangeSet| -> PacketSet {
            let parts = packets.boxes().iter();
            parts
                .filter_map(|part| part.clone().with(field, &set(part.family)))
                .collect()
        };
        let arriving = from.behind.iter().map(|&id| {
            let arriving = opening.intersection(&space.arriving([id]));
            if own {
                with(arriving, Field::Source, &|family| hosts(from, id, family))
            } else {
                arriving
            }
        });
        let mut region = arriving.fold(PacketSet::empty(), PacketSet::union);
        if from.itself {
            let sent = opening.intersection(&space.sent(to.behind.iter().copied()));
            region = region.union(with(sent, Field::Source, &|family| perhaps_itself(from, family)));
        }
        let question = match goal {
            // What is stopped has no end: it is asked for by where it is addressed to.
            Goal::Stopped => {
                let addressed = |family: Family| {
                    let behind = to.behind.iter().map(|&id| hosts(to, id, family));
                    let all = behind.fold(RangeSet::empty(), |all, hosts| all.union(&hosts));
                    if to.itself { all.union(&itself(to, family)) } else { all }
                };
                Question::new(with(region, Field::Destination, &addressed), goal)
            }
            Goal::GetsThrough | Goal::Any => {
                let count = space.interfaces().len();
                let leaving = to.behind.iter().map(|&on| {
                    let received = (0..count).map(Some).chain([None]);
                    let there = space.at(received.map(|received| Place::Out { on, received }));
                    with(there, Field::Destination, &|family| hosts(to, on, family))
                });
                let mut ends = leaving.fold(PacketSet::empty(), PacketSet::union);
                if to.itself {
                    // What ends where it arrived was taken in.
                    let here = space.arriving(0..count);
                    ends = ends.union(with(here, Field::Destination, &|family| perhaps_itself(to, family)));
                }
                // A tag may have been set on the way.
                let ends = ends.boxes().iter().map(|part| part.clone().without(Field::Tag));
                Question::new(region, goal).ending_in(ends.collect())
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
        let ported =
            RangeSet::single(transport::of_tcp(TcpFlags::SYN)).union(&transport::protocol(Protocol::UDP, family));
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
