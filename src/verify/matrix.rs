//! Who reaches whom without any policy: a graph of the networks around the machine, an edge for what gets through.

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::draft::{DraftZone, parsed, zones};
use crate::engine::{Class, Engine, Goal, PacketSet, Question, Value};
use crate::net::{Family, RangeSet};
use crate::policy::ast::{End, Host, HostItem, Hosts, Packets, Policy, Zone};
use crate::policy::{Macros, Network, Zones};
use crate::ruleset::Modifiers;
use crate::source::Span;

/// How many classes of packets are looked at for one edge.
const MOST_CLASSES: usize = 300;
/// How many steps all questions together may take, and one at most: the matrix is an overview, and must come at once.
const STEPS: u64 = 60_000;
const STEPS_OF_ONE: u64 = 4_000;
/// How many questions are asked about one pair of zones.
const QUESTIONS: u64 = 3;
/// How many zones there may be; with more the overview would be a wall.
const MOST_ZONES: usize = 8;

/// What gets through from one end to another.
#[derive(Clone, Debug)]
pub struct Reach {
    /// How much.
    pub extent: Extent,
    /// Whether all of it was looked at: else there may be more.
    pub whole: bool,
    /// The packets that get through, as far as they were looked at.
    pub packets: PacketSet,
    /// The addresses that sources are translated to, of both families.
    pub translated: [RangeSet; 2],
    /// Whether of each family some of the packets leave with the source that they came with.
    pub untranslated: [bool; 2],
}

/// How much of what hosts send gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every flow.
    All,
    /// Some.
    Part,
    /// Only packets whose source is of another network.
    Spoofed,
    /// Nothing was found as far as it was looked at: it is too much, or not modelled.
    Unknown,
}

/// The networks around a machine and what passes between them.
#[derive(Debug)]
pub struct Matrix {
    /// Nodes: the names of zones, and `self`. Edges where something gets through.
    pub graph: DiGraph<String, Reach>,
    /// The policy of those zones alone, for names in reports.
    pub policy: Policy,
    /// How many zones were left out: with more the overview would be a wall.
    pub left_out: usize,
}

impl Matrix {
    /// The edges: from, to, what.
    pub fn edges(&self) -> impl Iterator<Item = (&str, &str, &Reach)> {
        let name = |node: NodeIndex| self.graph.node_weight(node).map_or("", String::as_str);
        self.graph
            .edge_references()
            .map(move |edge| (name(edge.source()), name(edge.target()), edge.weight()))
    }
}

/// Who reaches whom: a zone for each interface behind which there can be hosts, and the machine itself.
#[must_use]
pub fn matrix(engine: &Engine<'_>, macros: &Macros) -> Matrix {
    let drafted = zones(engine, macros);
    let head: String = drafted.iter().take(MOST_ZONES).map(DraftZone::line).collect();
    let policy = parsed(&head, macros);
    let network = Network::new(engine);
    let (on_machine, _) = Zones::new(&policy, &network);
    let mut ends: Vec<(String, End)> = policy.zones.iter().map(zone_end).collect();
    if let Some(first) = policy.zones.first() {
        ends.push(("self".to_owned(), end(Host::Itself, first.name.span)));
    }
    let mut graph = DiGraph::new();
    let nodes: Vec<NodeIndex> = ends.iter().map(|(name, _)| graph.add_node(name.clone())).collect();
    let pairs = (ends.len() * ends.len().saturating_sub(1)).max(1);
    let steps = STEPS_OF_ONE.min(STEPS / QUESTIONS / pairs as u64);
    for ((_, source), &from) in ends.iter().zip(&nodes) {
        for ((_, destination), &to) in ends.iter().zip(&nodes) {
            let packets = Packets {
                source: source.clone(),
                destination: destination.clone(),
                ..Packets::default()
            };
            if from != to
                && let Some(reach) = reach(&on_machine, &packets, steps)
            {
                graph.add_edge(from, to, reach);
            }
        }
    }
    Matrix {
        graph,
        left_out: drafted.len().saturating_sub(policy.zones.len()),
        policy,
    }
}

fn zone_end(zone: &Zone) -> (String, End) {
    let name = &zone.name;
    (
        name.value.to_string(),
        end(Host::Named(name.value.clone(), Modifiers::default()), name.span),
    )
}

/// Hosts that are named so.
fn end(host: Host, span: Span) -> End {
    let item = HostItem {
        span,
        negated: false,
        host,
    };
    End {
        hosts: Some(Hosts {
            span,
            items: vec![item],
        }),
        ports: Vec::new(),
    }
}

/// What gets through of the packets from one end to the other; `None` where surely nothing does.
fn reach(zones: &Zones<'_>, packets: &Packets, steps: u64) -> Option<Reach> {
    let engine = zones.network().engine();
    let (everything, ends) = zones.forbidden(packets).ok()?;
    let honest = zones.from(packets).ok()?;
    let flows = zones.flows(packets).ok()?.packets;
    let through = |region: &PacketSet| {
        let question = Question::new(region.clone(), Goal::GetsThrough)
            .except(&zones.never_taken())
            .except(&zones.on_one_network())
            .except_ending_in(&zones.network().never_ending())
            .ending_in(ends.clone())
            .within(steps);
        let classes: Vec<_> = engine.classes(question).take(MOST_CLASSES).collect();
        let whole = classes.len() < MOST_CLASSES && classes.iter().all(Result::is_ok);
        (classes.into_iter().flatten().collect::<Vec<Class>>(), whole)
    };
    let all_pass = || {
        let stopped = Question::new(flows.clone(), Goal::Stopped).within(steps);
        !flows.is_empty() && engine.classes(stopped).next().is_none()
    };
    let (classes, whole) = through(&everything.packets.intersection(&honest));
    let (extent, whole) = match (classes.is_empty(), whole) {
        (true, false) => (Extent::Unknown, false),
        (true, true) => match through(&everything.packets) {
            (spoofed, true) if spoofed.is_empty() => return None,
            (spoofed, false) if spoofed.is_empty() => (Extent::Unknown, false),
            (_, whole) => (Extent::Spoofed, whole),
        },
        (false, _) if all_pass() => (Extent::All, true),
        (false, whole) => (Extent::Part, whole),
    };
    let mut translated: [RangeSet; 2] = Default::default();
    let mut untranslated = [false; 2];
    for class in &classes {
        let Some(ends) = class.journey.hops.last().map(|hop| &hop.ends) else {
            continue;
        };
        let at = usize::from(ends.family == Family::Inet6);
        // A host without an address is nobody that people would have translated.
        let region = PacketSet::from_iter([class.region.clone()]);
        match &ends.source {
            Value::OneOf(set) => translated[at] = translated[at].union(set),
            Value::Same => untranslated[at] |= !flows.intersection(&region).is_empty(),
            Value::Moved | Value::AddressOf(_) => {}
        }
    }
    Some(Reach {
        extent,
        whole,
        packets: classes.into_iter().map(|class| class.region).collect(),
        translated,
        untranslated,
    })
}
