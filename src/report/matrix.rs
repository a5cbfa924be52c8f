//! Who reaches whom: in lines for an overview, and as a table with a column for each receiver.

use indexmap::IndexSet;
use petgraph::graph::NodeIndex;
use serde_json::{Value as Json, json};

use super::boxes::Namer;
use super::check::unknown_words;
use super::flows::Shown;
use super::hosts::addresses;
use crate::engine::Unknown;
use crate::net::{Family, RangeSet};
use crate::policy::Zones;
use crate::verify::{Extent, Matrix, Reach};

/// Who reaches whom, in lines, of a machine with those zones and so many more that were left out; of the machine in that
/// state, where it may be in others.
#[must_use]
pub fn overview(matrix: &Matrix, zones: &Zones<'_>, left_out: usize, state: Option<&str>) -> Vec<String> {
    if zones.all().is_empty() {
        let words = "who reaches whom is not known: no interface has an address or a route. Say them in context.toml, or \
                     by --ifconfig and --routes";
        return vec![words.to_owned()];
    }
    let namer = Namer::of_zones(zones);
    let reached = matrix.edges().filter(|(.., reach)| reach.extent != Extent::Nothing);
    let pairs: Vec<(String, String)> = reached
        .map(|(from, to, reach)| (format!("{from} > {to}"), in_words(reach, &namer)))
        .collect();
    let width = pairs.iter().map(|(pair, _)| pair.len()).max().unwrap_or(0);
    let state = state.map_or_else(String::new, |state| {
        format!(", while {state} (other states are not shown)")
    });
    let hangs_on = matrix.hangs_on();
    let is_filled = hangs_on.iter().any(|unknown| matches!(unknown, Unknown::Anchor(_)));
    let empty = if is_filled {
        ", with anchors that others fill empty"
    } else {
        ""
    };
    let mut lines = Vec::new();
    if !pairs.is_empty() {
        lines.push(format!(
            "who reaches whom, of what really comes from there{empty}{state}:"
        ));
    }
    let nobody = match (pairs.is_empty(), hangs_on.is_empty()) {
        (true, true) => format!("nobody reaches anybody{state}"),
        (true, false) => format!("nobody surely reaches anybody{empty}{state}"),
        (false, true) => "nobody else reaches anybody".to_owned(),
        (false, false) => "nobody else surely reaches anybody".to_owned(),
    };
    lines.extend(
        pairs
            .into_iter()
            .map(|(pair, words)| format!("  {pair:<width$}  {words}")),
    );
    lines.extend(hangs_on_words(matrix).map(|words| format!("it hangs on {words}")));
    let rest = match left_out {
        0 => nobody,
        1 => "one more zone was not looked at".to_owned(),
        more => format!("{more} more zones were not looked at"),
    };
    lines.push(format!("{rest}. Draft a policy: pfproof init"));
    lines
}

/// What is not known that something hangs on.
fn hangs_on_words(matrix: &Matrix) -> Option<String> {
    let unknown: IndexSet<String> = matrix.hangs_on().into_iter().map(unknown_words).collect();
    let unknown: Vec<String> = unknown.into_iter().collect();
    (!unknown.is_empty()).then(|| unknown.join(", "))
}

fn in_words(reach: &Reach, namer: &Namer<'_>) -> String {
    let perhaps = namer.protocols(&reach.perhaps);
    let mut words = match reach.extent {
        Extent::Nothing => "nothing".to_owned(),
        Extent::All => "all".to_owned(),
        Extent::Part => match namer.protocols(&reach.packets) {
            words if words.is_empty() => "part".to_owned(),
            words if reach.whole => format!("part: {words}"),
            words => format!("some: {words}"),
        },
        Extent::Perhaps if perhaps.is_empty() => "perhaps".to_owned(),
        Extent::Perhaps => format!("perhaps: {perhaps}"),
        Extent::Spoofed => "only spoofed sources".to_owned(),
        Extent::Unknown => "not known: too much to look at here".to_owned(),
    };
    if reach.extent == Extent::Part && !perhaps.is_empty() {
        words.push_str(&format!("; perhaps: {perhaps}"));
    }
    if reach.extent == Extent::Part && !reach.whole {
        words.push_str(" (not all of it was looked at)");
    }
    let translated = Family::BOTH.into_iter().zip(&reach.translated);
    for ((family, set), some) in translated.zip(reach.untranslated) {
        if !set.is_empty() {
            let nat = if some { "some nat to" } else { "nat to" };
            words.push_str(&format!(", {nat} {}", addresses(set, family)));
        }
    }
    for interface in &reach.translated_to {
        words.push_str(&format!(", nat to the address of {interface}"));
    }
    words
}

/// How much of it is translated.
fn translated(reach: &Reach) -> &'static str {
    let is_translated = !reach.translated.iter().all(RangeSet::is_empty) || !reach.translated_to.is_empty();
    match (is_translated, reach.untranslated.contains(&true)) {
        (false, _) => "nothing",
        (true, true) => "some",
        (true, false) => "all",
    }
}

/// How much gets through, in one word.
fn extent(reach: &Reach) -> &'static str {
    match reach.extent {
        Extent::Nothing => "nothing",
        Extent::Spoofed => "spoofed",
        Extent::Perhaps => "perhaps",
        Extent::Part => "part",
        Extent::All => "all",
        Extent::Unknown => "unknown",
    }
}

fn cell(reach: &Reach) -> String {
    let extent = match reach.extent {
        Extent::Nothing => "-",
        Extent::Unknown => "?",
        Extent::Spoofed | Extent::Perhaps | Extent::Part | Extent::All => extent(reach),
    };
    let nat = match translated(reach) {
        "some" => ", some nat",
        "all" => " nat",
        _ => "",
    };
    let open = if reach.hangs_on.is_empty() { "" } else { " *" };
    format!("{extent}{nat}{open}")
}

/// The table: a row for each sender, a column for each receiver, and what the marks mean.
#[must_use]
pub fn table(matrix: &Matrix) -> Shown {
    let graph = &matrix.graph;
    let pairs = matrix.edges().map(|(from, to, reach)| {
        let open = !reach.hangs_on.is_empty();
        json!({"from": from, "to": to, "passes": extent(reach), "translated": translated(reach), "open": open})
    });
    let pairs: Vec<Json> = pairs.collect();
    let nodes: Vec<NodeIndex> = graph.node_indices().collect();
    let names: Vec<&str> = graph.node_weights().map(String::as_str).collect();
    let cell = |from: NodeIndex, to: NodeIndex| {
        let mut edges = graph.edges_connecting(from, to);
        edges.next().map_or_else(|| ".".to_owned(), |edge| cell(edge.weight()))
    };
    let cells = nodes.iter().flat_map(|&from| nodes.iter().map(move |&to| (from, to)));
    let widths = cells.map(|(from, to)| cell(from, to).len());
    let width = names.iter().map(|name| name.len()).chain(widths).chain([12]).max();
    let width = width.unwrap_or_default();
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
    let pairs_width = names.iter().map(|name| name.len()).max().unwrap_or(0) * 2 + 3;
    let mut narrow: Vec<String> = Vec::new();
    for (&from, name) in nodes.iter().zip(&names) {
        let others = nodes.iter().zip(&names).filter(|(to, _)| **to != from);
        narrow.extend(others.map(|(&to, other)| {
            let pair = format!("{name} > {other}");
            format!("{pair:<pairs_width$}  {}", cell(from, to))
        }));
    }
    let notes = notes(matrix);
    lines.extend(notes.iter().cloned());
    narrow.extend(notes);
    let whole = matrix.edges().all(|(.., reach)| reach.extent != Extent::Unknown);
    Shown::new(&lines, &narrow, json!({"pairs": pairs}), whole)
}

/// What the marks of a table mean.
fn notes(matrix: &Matrix) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(words) = hangs_on_words(matrix) {
        let is_filled = |unknown: &&Unknown| matches!(unknown, Unknown::Anchor(_));
        let empty = if matrix.hangs_on().iter().any(is_filled) {
            "with anchors that others fill empty; "
        } else {
            ""
        };
        notes.push(format!("* {empty}it hangs on {words}"));
    }
    if matrix.edges().any(|(.., reach)| reach.extent == Extent::Unknown) {
        notes.push("? not known: too much to look at, or not modelled; --from and --to list what was found".to_owned());
    }
    notes
}
