//! Boxes of packets for programs: each field by itself, what is unlimited left out.

use serde_json::{Value, json};

use super::boxes::protocols;
use super::hosts::range;
use crate::engine::{Field, PacketBox, Place, Space};
use crate::net::RangeSet;

/// How many boxes are written; the rest is counted.
const MOST: usize = 200;

/// The boxes, and how many are left out. Keys of a box: `af`; `in` (the interfaces that its packets arrive
/// on) or `out` (those that the machine sends them by); and where it is limited `proto`, `src`, `dst`, `sport`, `dport`:
/// lists of words, networks or ranges, ports or ranges. Flags, options and the like are not told apart here.
pub(crate) fn boxes(boxes: &[PacketBox], space: &Space) -> (Vec<Value>, usize) {
    let written = boxes.iter().take(MOST).map(|part| fields(part, space));
    (written.collect(), boxes.len().saturating_sub(MOST))
}

fn fields(part: &PacketBox, space: &Space) -> Value {
    let family = part.family;
    let mut value = json!({"af": family.to_string()});
    let known = RangeSet::range(0, space.places().saturating_sub(1));
    let places = part.numbers(Field::Place).intersection(&known);
    let (mut arrives, mut leaves): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for number in places.ranges().iter().flat_map(|&(first, last)| first..=last) {
        let (list, on) = match space.place(number) {
            Some(Place::In(on)) => (&mut arrives, on),
            Some(Place::Out { on, .. }) => (&mut leaves, on),
            None => continue,
        };
        let name = space.interface_name(on);
        if !list.contains(&name) {
            list.push(name);
        }
    }
    for (key, names) in [("in", arrives), ("out", leaves)] {
        if !names.is_empty() {
            value[key] = json!(names);
        }
    }
    if let Some(transports) = part.limit(Field::Transport) {
        let words: Vec<String> = protocols(transports, family)
            .into_iter()
            .map(|(word, _)| word)
            .collect();
        value["proto"] = json!(words);
    }
    for (key, field) in [("src", Field::Source), ("dst", Field::Destination)] {
        if let Some(set) = part.limit(field) {
            let ranges = set.ranges().iter().map(|&(first, last)| range(first, last, family));
            value[key] = ranges.collect();
        }
    }
    for (key, field) in [("sport", Field::SourcePort), ("dport", Field::DestinationPort)] {
        // Packets without ports have port 0.
        let (none, all) = (RangeSet::single(0), RangeSet::range(1, u128::from(u16::MAX)));
        let limits = |set: &&RangeSet| **set != none && !all.is_subset(set);
        if let Some(set) = part.limit(field).filter(limits) {
            let ranges = set.ranges().iter().map(|&(first, last)| match first == last {
                true => first.to_string(),
                false => format!("{first}:{last}"),
            });
            value[key] = ranges.collect();
        }
    }
    value
}
