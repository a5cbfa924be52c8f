//! What gets from one zone to another, in few boxes, each with its way: the rules that decide, and its translation.

use indexmap::{IndexMap, IndexSet};
use serde_json::{Value as Json, json};

use super::boxes::Namer;
use super::check::condition_words;
use super::fields::boxes as boxes_of;
use super::look::{Look, printable};
use crate::context::Context;
use crate::engine::{Class, Decider, PacketSet, Undecided, Value};
use crate::policy::Zones;
use crate::verify::Flows;

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
    pub(super) fn new(lines: &[String], narrow: &[String], json: Json, whole: bool) -> Self {
        let shown = |lines: &[String]| lines.iter().map(|line| printable(line).into_owned()).collect();
        Self {
            lines: shown(lines),
            narrow: shown(narrow),
            json,
            whole,
        }
    }

    /// The same, after what is assumed.
    #[must_use]
    pub fn assuming(mut self, facts: &[String]) -> Self {
        let facts: Vec<String> = facts.iter().map(|fact| printable(fact).into_owned()).collect();
        for lines in [&mut self.lines, &mut self.narrow] {
            lines.splice(0..0, facts.iter().map(|fact| format!("assumed: {fact}")));
        }
        let known = self.json["assumed"].as_array().cloned().unwrap_or_default();
        let all: Vec<Json> = facts.into_iter().map(Json::from).chain(known).collect();
        self.json["assumed"] = all.into();
        self
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

/// What gets from one zone to the other, with those names; and why there may be more, if so.
#[must_use]
pub fn between(flows: Flows, (from, to): (&str, &str), zones: &Zones<'_>) -> Shown {
    let context = zones.network().engine().context();
    let mut groups: IndexMap<(String, bool), Vec<_>> = IndexMap::new();
    let (perhaps, surely): (Vec<_>, Vec<_>) = flows
        .classes
        .into_iter()
        .partition(|class| class.hangs_on(context).next().is_some());
    for class in surely.into_iter().chain(perhaps) {
        let group = (way(&class, context), class.own_reverse);
        groups.entry(group).or_default().push(class.region);
    }
    let more = flows.more.into_iter().map(|undecided| match undecided {
        Undecided::Unmodelled(why) => why,
        Undecided::Steps => "too much passes to list it all".to_owned(),
    });
    let more: Vec<String> = more.collect::<IndexSet<String>>().into_iter().collect();
    let namer = Namer::of_zones(zones);
    let (mut lines, mut listed) = (Vec::new(), Vec::new());
    for ((way, own_reverse), boxes) in groups {
        let packets: PacketSet = boxes.into_iter().collect();
        let packets = packets.simplified().joined();
        let mut words = namer.lines(&packets);
        if own_reverse {
            // Single packets of the boxes, not the boxes.
            words
                .iter_mut()
                .for_each(|words| words.push_str(", those that are their own reverse"));
        }
        let (boxes, left_out) = boxes_of(packets.boxes(), zones.network().engine().space());
        listed.push(json!({
            "packets": words,
            "way": way,
            "boxes": boxes,
            "boxes_left_out": left_out,
            "own_reverse": own_reverse,
        }));
        lines.extend(words);
        lines.push(format!("    {way}"));
    }
    if lines.is_empty() && more.is_empty() {
        lines.push(format!("nothing gets from {from} to {to}"));
    } else if !lines.is_empty() && !flows.begin {
        let head = format!("no flow gets from {from} to {to}, but packets that begin none:");
        lines.insert(0, head);
    }
    lines.extend(more.iter().map(|why| format!("and perhaps more: {why}")));
    let (listed, others) = if flows.begin {
        (listed, Vec::new())
    } else {
        (Vec::new(), listed)
    };
    let json = json!({"from": from, "to": to, "flows": listed, "others": others, "more": more});
    Shown::new(&lines, &lines, json, more.is_empty())
}

/// The way of a class in words: `in by @3, out no rule matches, nat to 203.0.113.7`.
fn way(class: &Class, context: &Context) -> String {
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
    words.extend(class.hangs_on(context).map(condition_words));
    words.join(", ")
}
