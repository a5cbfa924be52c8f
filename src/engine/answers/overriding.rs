//! Which rule overrides which, as a graph; and which of the idle rules may be taken away together.

use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::{FxHashMap, FxHashSet};

use super::dead::Idle;
use crate::ruleset::RuleId;

impl Idle {
    /// The idle rules, and those that decide their packets instead or would without them: an edge from each rule to those that it
    /// overrides, which match some of the packets that it decides.
    #[must_use]
    pub fn overriding(&self) -> DiGraph<&RuleId, ()> {
        let mut graph = DiGraph::new();
        let mut nodes: FxHashMap<&RuleId, NodeIndex> = FxHashMap::default();
        let dead = self
            .dead
            .iter()
            .flat_map(|dead| dead.by.iter().map(|by| (by, &dead.rule)));
        let redundant = self.redundant.iter();
        let redundant = redundant.flat_map(|one| one.instead.iter().map(|instead| (&one.rule, instead)));
        for (over, under) in dead.chain(redundant) {
            let [over, under] = [over, under].map(|rule| *nodes.entry(rule).or_insert_with(|| graph.add_node(rule)));
            graph.update_edge(over, under, ());
        }
        graph
    }

    /// Idle rules that may be taken away all together without a packet's noticing: those that never decide, and then those that
    /// are redundant, as long as none of them overrides another. (Of two that stand in for each other one has to stay.)
    #[must_use]
    pub fn removable(&self) -> Vec<&RuleId> {
        let graph = self.overriding();
        let nodes: FxHashMap<&RuleId, NodeIndex> = graph.node_indices().map(|node| (graph[node], node)).collect();
        let dead = self.dead.iter().filter(|dead| !dead.has_other_effects);
        let candidates = dead.map(|dead| &dead.rule);
        let candidates = candidates.chain(self.redundant.iter().map(|one| &one.rule));
        let mut taken: FxHashSet<NodeIndex> = FxHashSet::default();
        candidates
            .filter(|rule| {
                let Some(&node) = nodes.get(rule) else { return true };
                let is_free = graph.neighbors_undirected(node).all(|other| !taken.contains(&other));
                if is_free {
                    taken.insert(node);
                }
                is_free
            })
            .collect()
    }
}
