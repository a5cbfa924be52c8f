//! Which anchors call which, as a graph.

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::Dfs;
use rustc_hash::FxHashMap;

use crate::ruleset::{Action, AnchorCall, Name, Ruleset};

/// The rulesets that a call runs, in order: one, or with `/*` the children of one.
pub(in crate::engine) fn called<'r>(ruleset: &'r Ruleset, call: &AnchorCall) -> Vec<&'r Name> {
    if call.wildcard {
        let all = ruleset.anchors.keys();
        return all.filter(|known| is_child(known, &call.path)).collect();
    }
    let known = ruleset.anchors.get_key_value(&call.path);
    known.map(|(known, _)| known).into_iter().collect()
}

/// Whether the call is of an anchor that others fill.
pub(in crate::engine) fn is_filled(ruleset: &Ruleset, call: &AnchorCall) -> bool {
    called(ruleset, call).is_empty() && !ruleset.anchors.contains_key(&call.path)
}

/// Whether the path is that of a direct child of the other.
fn is_child(path: &str, parent: &str) -> bool {
    let rest = match parent {
        Ruleset::MAIN => Some(path),
        _ => path.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/')),
    };
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

/// The anchors of a loop that the main ruleset gets into, by name: each calls itself by way of the others. Empty where
/// there is none.
pub(super) fn looping(ruleset: &Ruleset) -> Vec<Name> {
    let mut graph: DiGraph<&Name, ()> = DiGraph::new();
    let nodes: FxHashMap<&Name, NodeIndex> = ruleset
        .anchors
        .keys()
        .map(|name| (name, graph.add_node(name)))
        .collect();
    for (caller, anchor) in &ruleset.anchors {
        let calls = anchor.rules.iter().filter_map(|rule| match &rule.action {
            Action::Anchor(call) => Some(call),
            Action::Pass | Action::Block(_) | Action::Match => None,
        });
        for callee in calls.flat_map(|call| called(ruleset, call)) {
            if let (Some(&from), Some(&to)) = (nodes.get(caller), nodes.get(callee)) {
                graph.update_edge(from, to, ());
            }
        }
    }
    let Some(&main) = nodes.get(&Name::from(Ruleset::MAIN)) else {
        return Vec::new();
    };
    let mut reached = Vec::new();
    let mut search = Dfs::new(&graph, main);
    while let Some(node) = search.next(&graph) {
        reached.push(node);
    }
    let loops = tarjan_scc(&graph).into_iter().find(|component| {
        let itself = |node: NodeIndex| graph.contains_edge(node, node);
        let calls_back = component.len() > 1 || component.first().is_some_and(|&node| itself(node));
        calls_back && component.iter().all(|node| reached.contains(node))
    });
    let names = loops.into_iter().flatten().map(|node| graph[node].clone());
    let mut names: Vec<Name> = names.collect();
    names.sort_unstable();
    names
}
