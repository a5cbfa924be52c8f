//! Who reaches whom without any policy: a graph of the networks around the machine, an edge for what gets through.

use std::collections::BTreeMap;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::draft::{DraftZone, parsed, zones};
use crate::engine::{Class, Condition, Engine, Field, Goal, PacketSet, Question, Unknown, Value};
use crate::net::{Family, RangeSet};
use crate::policy::ast::{End, Host, HostItem, Hosts, Packets, Policy, Zone};
use crate::policy::{Macros, Network, Zones};
use crate::ruleset::{Modifiers, Name};
use crate::source::Span;

/// How much is looked at: first a little of each pair of zones, for the matrix is an overview; then more of those pairs
/// that this did not suffice for.
const ROUNDS: [Effort; 2] = [
    Effort {
        steps: 60_000,
        steps_of_one: 4_000,
        classes: 300,
    },
    Effort {
        steps: 1_500_000,
        steps_of_one: 200_000,
        classes: 3_000,
    },
];
/// How many questions are asked about one pair of zones.
const QUESTIONS: u64 = 3;
/// How many zones there may be; with more the overview would be a wall.
const MOST_ZONES: usize = 8;

/// How far a search goes.
#[derive(Clone, Copy)]
struct Effort {
    /// How many steps all questions together may take.
    steps: u64,
    /// How many one may take.
    steps_of_one: u64,
    /// How many classes of packets are looked at for one question.
    classes: usize,
}

impl Effort {
    /// The share of one question where so many pairs of zones are asked about.
    fn shared(self, pairs: usize) -> Self {
        let share = self.steps / QUESTIONS / (pairs as u64).max(1);
        Self {
            steps_of_one: self.steps_of_one.min(share),
            ..self
        }
    }
}

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
    /// Some, if what is not known of the machine is so.
    Perhaps,
    /// Only packets whose source is of another network.
    Spoofed,
    /// Nothing was found as far as it was looked at: it is too much, or not modelled.
    Unknown,
}

/// The networks around a machine and what passes between them, as long as anchors that others fill are empty.
#[derive(Debug)]
pub struct Matrix {
    /// What is not known, and would make it another.
    pub hangs_on: Vec<Unknown>,
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
    let mut hangs_on = Vec::new();
    let nodes: Vec<NodeIndex> = ends.iter().map(|(name, _)| graph.add_node(name.clone())).collect();
    let indices = || 0..ends.len();
    let mut open: Vec<(usize, usize)> = indices()
        .flat_map(|from| indices().map(move |to| (from, to)))
        .filter(|(from, to)| from != to)
        .collect();
    let mut reaches: BTreeMap<(usize, usize), Reach> = BTreeMap::new();
    for round in ROUNDS {
        let effort = round.shared(open.len());
        for pair in std::mem::take(&mut open) {
            let packets = Packets {
                source: ends[pair.0].1.clone(),
                destination: ends[pair.1].1.clone(),
                ..Packets::default()
            };
            reaches.remove(&pair);
            if let Some(reach) = reach(&on_machine, &packets, effort, &mut hangs_on) {
                if !reach.whole {
                    open.push(pair);
                }
                reaches.insert(pair, reach);
            }
        }
    }
    for ((from, to), reach) in reaches {
        graph.add_edge(nodes[from], nodes[to], reach);
    }
    Matrix {
        hangs_on,
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
pub(super) fn end(host: Host, span: Span) -> End {
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

/// Packets that get through.
#[derive(Default)]
struct Through {
    surely: Vec<Class>,
    /// If what is not known is so.
    perhaps: Vec<Class>,
    /// Whether all was looked at.
    whole: bool,
}

/// Notes what else than pf's choices the class hangs on, besides what is implied; whether it comes about while anchors
/// that others fill are empty, and if so, surely.
fn is_sure(class: &Class, implied: Option<&Condition>, hangs_on: &mut Vec<Unknown>) -> Option<bool> {
    // That an address is not the machine's own one is so for all but one.
    let other = |one: &Condition| one.rule.is_none() && !one.holds && matches!(one.unknown, Unknown::Address(_));
    let open = |one: &&Condition| !one.unknown.is_choice() && !other(one) && Some(*one) != implied;
    let mut sure = Some(true);
    for Condition { unknown, holds, .. } in class.conditions.iter().filter(open) {
        if !hangs_on.contains(unknown) {
            hangs_on.push(unknown.clone());
        }
        sure = match (unknown, holds) {
            (Unknown::Anchor(_), true) => None,
            (Unknown::Anchor(_), false) => sure,
            _ => sure.map(|_| false),
        };
    }
    sure
}

/// What gets through of the packets from one end to the other; `None` where surely nothing does.
fn reach(zones: &Zones<'_>, packets: &Packets, effort: Effort, hangs_on: &mut Vec<Unknown>) -> Option<Reach> {
    let engine = zones.network().engine();
    let context = engine.context();
    let (everything, ends) = zones.forbidden(packets).ok()?;
    let honest = zones.from(packets).ok()?;
    let flows = zones.flows(packets).ok()?.packets;
    // Packets from or to an address of the machine that is not known.
    let guesses = zones.guessed_forbidden(packets).ok()?;
    let guessed_flows = zones.guessed_flows(packets).ok()?;
    let mut through = |honest: Option<&PacketSet>| {
        let among = |packets: &PacketSet| honest.map_or_else(|| packets.clone(), |honest| packets.intersection(honest));
        let mut found = Through {
            whole: true,
            ..Through::default()
        };
        let known = (None, among(&everything.packets), Some(&ends));
        let guessed = guesses
            .iter()
            .map(|guess| (Some(guess), among(&guess.packets), guess.ends.as_ref()));
        for (guess, region, ends) in [known].into_iter().chain(guessed) {
            let question = Question::new(region, Goal::GetsThrough)
                .except(zones.never_taken())
                .except(zones.on_one_network())
                .except_ending_in(zones.network().never_ending())
                .within(effort.steps_of_one);
            let question = match ends {
                Some(ends) => question.ending_in(ends.clone()),
                None => question,
            };
            let owner = guess.and_then(|guess| Some((guess.field, context.interfaces.get(guess.interface)?)));
            let implied = owner.map(|(_, owner)| Condition {
                unknown: Unknown::Address(Name::from(owner.name.as_str())),
                rule: None,
                holds: true,
            });
            let classes: Vec<_> = engine.classes(question).take(effort.classes).collect();
            found.whole &= classes.len() < effort.classes && classes.iter().all(Result::is_ok);
            for class in classes.into_iter().flatten() {
                let is_so = owner.is_none_or(|(field, owner)| {
                    !class.supposes(field, owner, context, false)
                        && (field != Field::Destination || class.supposes(field, owner, context, true))
                });
                if !is_so {
                    continue;
                }
                match is_sure(&class, implied.as_ref(), hangs_on) {
                    Some(true) => found.surely.push(class),
                    Some(false) => found.perhaps.push(class),
                    None => {}
                }
            }
        }
        found
    };
    let Through { surely, perhaps, whole } = through(Some(&honest));
    let (extent, whole, classes) = match (surely.is_empty(), perhaps.is_empty()) {
        (true, true) if !whole => (Extent::Unknown, false, surely),
        (true, true) => match through(None) {
            spoofed if !spoofed.surely.is_empty() || !spoofed.perhaps.is_empty() => {
                (Extent::Spoofed, spoofed.whole, surely)
            }
            spoofed if spoofed.whole => return None,
            _ => (Extent::Unknown, false, surely),
        },
        (true, false) => (Extent::Perhaps, whole, perhaps),
        (false, _) => {
            let guessed = guessed_flows.iter().map(|guess| (Some(guess), guess.packets.clone()));
            let mut regions = [(None, flows.clone())]
                .into_iter()
                .chain(guessed)
                .filter(|(_, region)| !region.is_empty());
            let mut any = false;
            let all = regions.all(|(guess, region)| {
                any = true;
                let stopped = Question::new(region, Goal::Stopped).within(effort.steps_of_one);
                let mut classes = engine.classes(stopped).take(effort.classes);
                // With another address, or with something in an anchor, it is no class of these.
                classes.all(|class| {
                    class.is_ok_and(|class| {
                        let owner =
                            guess.and_then(|guess| Some((guess.field, context.interfaces.get(guess.interface)?)));
                        owner.is_some_and(|(field, owner)| class.supposes(field, owner, context, false))
                            || is_sure(&class, None, hangs_on).is_none()
                    })
                })
            });
            match any && all {
                true => (Extent::All, true, surely),
                false => (Extent::Part, whole, surely),
            }
        }
    };
    let mut translated: [RangeSet; 2] = Default::default();
    let mut untranslated = [false; 2];
    let sent = guessed_flows.iter().map(|guess| guess.packets.clone());
    let sent = sent.fold(flows, PacketSet::union);
    for class in &classes {
        let Some(ends) = class.journey.hops.last().map(|hop| &hop.ends) else {
            continue;
        };
        let at = usize::from(ends.family == Family::Inet6);
        // A host without an address is nobody that people would have translated.
        let region = PacketSet::from_iter([class.region.clone()]);
        match &ends.source {
            Value::OneOf(set) => translated[at] = translated[at].union(set),
            Value::Same => untranslated[at] |= !sent.intersection(&region).is_empty(),
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
