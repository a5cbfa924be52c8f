//! Who reaches whom without any policy: a graph of the networks around the machine, an edge for what gets through.

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::draft::{DraftZone, parsed, zones};
use crate::engine::{Class, Engine, Goal, PacketSet, Question, Value};
use crate::net::{Family, RangeSet};
use crate::policy::ast::{Demand, Policy};
use crate::policy::{Macros, Network, Zones};

/// How many classes of packets are looked at for one edge.
const MOST_CLASSES: usize = 300;
/// How many steps one question may take: the matrix is an overview, and must come at once.
const STEPS: u64 = 4_000;
/// How many zones there may be; with more the overview would be a wall.
const MOST_ZONES: usize = 8;

/// What gets through from one end to another.
#[derive(Clone, Debug)]
pub struct Reach {
    /// How much.
    pub extent: Extent,
    /// The packets that get through, as far as they were looked at.
    pub packets: PacketSet,
    /// The addresses that sources are translated to, of both families.
    pub translated: [RangeSet; 2],
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
    /// Nobody can say: too much, or not modelled.
    Unknown,
}

/// The networks around a machine and what passes between them.
#[derive(Debug)]
pub struct Matrix {
    /// Nodes: the names of zones, and `self`. Edges where something gets through.
    pub graph: DiGraph<String, Reach>,
    /// The policy of those zones alone, for names in reports.
    pub policy: Policy,
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
    let mut drafted = zones(engine, macros);
    drafted.truncate(MOST_ZONES);
    let head: String = drafted.iter().map(DraftZone::line).collect();
    let network = Network::new(engine);
    let mut graph = DiGraph::new();
    let names: Vec<String> = drafted
        .iter()
        .map(|zone| zone.name.clone())
        .chain(["self".to_owned()])
        .collect();
    let nodes: Vec<NodeIndex> = names.iter().map(|name| graph.add_node(name.clone())).collect();
    for (from, from_node) in names.iter().zip(&nodes) {
        for (to, to_node) in names.iter().zip(&nodes) {
            if from == to {
                continue;
            }
            let policy = parsed(
                &format!("{head}forbid from {from} to {to}\nallow from {from} to {to}\nrequire from {from} to {to}\n"),
                macros,
            );
            let (zones, _) = Zones::new(&policy, &network);
            if let Some(reach) = reach(&zones, &policy) {
                graph.add_edge(*from_node, *to_node, reach);
            }
        }
    }
    Matrix {
        graph,
        policy: parsed(&head, macros),
    }
}

/// What gets through of the packets that the policy's `forbid`, `allow` and `require` speak of.
fn reach(zones: &Zones<'_>, policy: &Policy) -> Option<Reach> {
    let engine = zones.network().engine();
    let [forbid, allow, require] = policy.statements.as_slice() else {
        return None;
    };
    let (Demand::Forbid(everything), Demand::Allow(honest), Demand::Require(flows, _)) =
        (&forbid.demand, &allow.demand, &require.demand)
    else {
        return None;
    };
    let (everything, ends) = zones.forbidden(everything).ok()?;
    let honest = zones.from(honest).ok()?;
    let flows = zones.flows(flows).ok()?.packets;
    let through = |region: &PacketSet| {
        let question = Question::new(region.clone(), Goal::GetsThrough)
            .except(&zones.never_taken())
            .except(&zones.on_one_network())
            .except_ending_in(&zones.network().never_ending())
            .ending_in(ends.clone())
            .within(STEPS);
        let classes: Vec<_> = engine.classes(question).take(MOST_CLASSES).collect();
        let whole = classes.len() < MOST_CLASSES && classes.iter().all(Result::is_ok);
        (classes.into_iter().flatten().collect::<Vec<Class>>(), whole)
    };
    let (classes, whole) = through(&everything.packets.intersection(&honest));
    let extent = if !whole {
        Extent::Unknown
    } else if classes.is_empty() {
        let (spoofed, _) = through(&everything.packets);
        if spoofed.is_empty() {
            return None;
        }
        Extent::Spoofed
    } else if !flows.is_empty()
        && engine
            .classes(Question::new(flows, Goal::Stopped).within(STEPS))
            .next()
            .is_none()
    {
        Extent::All
    } else {
        Extent::Part
    };
    let mut translated: [RangeSet; 2] = Default::default();
    for class in &classes {
        if let Some(ends) = class.journey.hops.last().map(|hop| &hop.ends)
            && let Value::OneOf(set) = &ends.source
        {
            let at = usize::from(ends.family == Family::Inet6);
            translated[at] = translated[at].union(set);
        }
    }
    Some(Reach {
        extent,
        packets: classes.into_iter().map(|class| class.region).collect(),
        translated,
    })
}
