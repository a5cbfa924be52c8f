//! Who reaches whom: a graph of the networks around the machine, an edge for what gets from each to each.

use std::collections::BTreeMap;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::draft::{DraftZone, parsed, zones};
use super::reach::{Effort, Reach, reach};
use crate::engine::{Engine, Unknown};
use crate::policy::ast::{End, Host, Policy, Zone};
use crate::policy::{Macros, Network, Zones};

/// How many questions are asked about one pair of zones.
const QUESTIONS: u64 = 3;

/// How much is looked at: an amount in each round, in the later ones at those pairs of zones that the earlier did not
/// suffice for.
#[derive(Clone, Copy, Debug)]
pub struct Rounds(&'static [Round]);

#[derive(Clone, Copy, Debug)]
struct Round {
    /// How many steps all questions together may take.
    steps: u64,
    /// How many one may take.
    steps_of_one: u64,
    /// How many classes of packets are looked at for one question.
    classes: usize,
}

impl Rounds {
    /// As much as an overview is worth: first a little of each pair.
    pub const OVERVIEW: Self = Self(&[
        Round {
            steps: 60_000,
            steps_of_one: 4_000,
            classes: 300,
        },
        Round {
            steps: 1_500_000,
            steps_of_one: 200_000,
            classes: 3_000,
        },
    ]);
    /// As much as an answer to that question alone is worth.
    pub const THOROUGH: Self = Self(&[
        Round {
            steps: 1_500_000,
            steps_of_one: 200_000,
            classes: 3_000,
        },
        Round {
            steps: 40_000_000,
            steps_of_one: 2_000_000,
            classes: 20_000,
        },
    ]);
}

impl Round {
    /// The share of one question where so many pairs of zones are asked about.
    fn shared(self, pairs: usize) -> Effort {
        let share = self.steps / QUESTIONS / (pairs as u64).max(1);
        Effort {
            steps: self.steps_of_one.min(share),
            classes: self.classes,
        }
    }
}

/// The networks around a machine and what passes between them, as long as anchors that others fill are empty.
#[derive(Debug)]
pub struct Matrix {
    /// Nodes: the names of zones, and `self`. An edge from each to each other.
    pub graph: DiGraph<String, Reach>,
}

impl Matrix {
    /// The edges: from, to, what.
    pub fn edges(&self) -> impl Iterator<Item = (&str, &str, &Reach)> {
        let name = |node: NodeIndex| self.graph.node_weight(node).map_or("", String::as_str);
        self.graph
            .edge_references()
            .map(move |edge| (name(edge.source()), name(edge.target()), edge.weight()))
    }

    /// What is not known, and would make some of it another.
    #[must_use]
    pub fn hangs_on(&self) -> Vec<&Unknown> {
        let mut all: Vec<&Unknown> = Vec::new();
        for unknown in self.graph.edge_weights().flat_map(|reach| &reach.hangs_on) {
            if !all.contains(&unknown) {
                all.push(unknown);
            }
        }
        all
    }
}

/// The zones of a policy, and a zone for each interface that none of them has and behind which there can be hosts: of these
/// at most so many, and how many were left out.
#[must_use]
pub fn surroundings(engine: &Engine<'_>, macros: &Macros, policy: &Policy, most: usize) -> (Policy, usize) {
    let network = Network::new(engine);
    let mut all = Policy {
        zones: policy.zones.clone(),
        ..Policy::default()
    };
    let taken: Vec<&str> = policy.zones.iter().map(|zone| &*zone.name.value).collect();
    let head: String = zones(engine, macros, &taken).iter().map(DraftZone::line).collect();
    let drafted = parsed(&head, macros);
    let covered = {
        let (known, _) = Zones::new(&all, &network);
        let interfaces = known.all().iter().flat_map(|zone| zone.interfaces.clone());
        interfaces.collect::<Vec<_>>()
    };
    let (resolved, _) = Zones::new(&drafted, &network);
    let is_new = |zone: &&Zone| {
        let mut known = resolved.all().iter().filter(|known| known.name == zone.name.value);
        known.any(|known| !known.interfaces.iter().any(|id| covered.contains(id)))
    };
    let mut others = drafted.zones.iter().filter(is_new).cloned();
    all.zones.extend(others.by_ref().take(most));
    (all, others.count())
}

/// Who reaches whom, of the zones and the machine itself.
#[must_use]
pub fn matrix(zones: &Zones<'_>, rounds: Rounds) -> Matrix {
    let policy = zones.policy();
    let zones_of_policy = policy
        .zones
        .iter()
        .map(|zone| (zone.name.value.to_string(), zone.end()));
    let itself = policy.zones.first().map(|first| {
        let end = End::of(Host::Itself, first.name.span);
        ("self".to_owned(), end)
    });
    let ends: Vec<(String, End)> = zones_of_policy.chain(itself).collect();
    let mut graph = DiGraph::new();
    let nodes: Vec<NodeIndex> = ends.iter().map(|(name, _)| graph.add_node(name.clone())).collect();
    let indices = || 0..ends.len();
    let mut open: Vec<(usize, usize)> = indices()
        .flat_map(|from| indices().map(move |to| (from, to)))
        .filter(|(from, to)| from != to)
        .collect();
    let mut reaches: BTreeMap<(usize, usize), Reach> = BTreeMap::new();
    for round in rounds.0 {
        let effort = round.shared(open.len());
        for pair in std::mem::take(&mut open) {
            let reach = reach(zones, &ends[pair.0].1, &ends[pair.1].1, effort);
            if !reach.whole {
                open.push(pair);
            }
            reaches.insert(pair, reach);
        }
    }
    for ((from, to), reach) in reaches {
        graph.add_edge(nodes[from], nodes[to], reach);
    }
    Matrix { graph }
}
