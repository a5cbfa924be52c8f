//! [`List`]: the ruleset as one list, in the order of evaluation, anchors inlined with their own criteria.
//!
//! What pf drops before any rule stands in front, as if by quick rules. Every entry has one box (or, where the header
//! may have changed between an anchor's call and the entry, one for each).

use rayon::prelude::*;

use super::calls::{called, is_filled, looping};
use super::criteria::{About, Alternative, Fact, Reader};
use super::features::Features;
use super::nearby::Nearby;
use super::pool;
use super::routing::link_local;
use super::unknown::Unknown;
use crate::context::Context;
use crate::engine::packets::header::{Field, PacketBox};
use crate::engine::packets::transport;
use crate::net::{Family, Protocol, RangeSet};
use crate::ruleset::{Action, AnchorCall, Name, Rule, RuleId, Ruleset, Tagged};

/// Why pf drops a packet without any rule, or although a rule passes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drop {
    /// tcp flags that make no sense (`pf_normalize_tcp`).
    Flags,
    /// Destination port 0 (`pf_setup_pdesc`).
    PortZero,
    /// A routing header of type 0.
    RoutingHeader,
    /// Neighbour discovery, IGMP or multicast listener discovery with a wrong ttl or source.
    HopLimit,
    /// Icmp of the other family.
    Normalize,
    /// IP options or extension headers without `allow-opts`.
    Options,
    /// A translation for which there is no address.
    Translation,
    /// `max`, `max-src-states` and the like.
    Limit,
    /// route-to without a route.
    Route,
    /// What pf sends in place of another finds the state of that one's way in.
    Synproxy,
}

/// A place in the order of evaluation.
pub(in crate::engine) type Position = u32;

/// The last place of all: the end of the ruleset.
pub(in crate::engine) const END: Position = Position::MAX;

/// How many rules are read side by side, at most, and how many of them by one.
const LONGEST_RUN: usize = 4096;
const SHORTEST_RUN: usize = 128;

/// What an entry does where it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Kind {
    /// A pass rule.
    Pass,
    /// A block rule.
    Block,
    /// A match rule.
    Match,
    /// The call of an anchor: it only sets a tag.
    Call,
    /// pf drops the packet before any rule.
    Drop(Drop),
    /// An anchor that others fill: it may pass or block.
    Filled,
}

impl Kind {
    /// Whether a match of it can be the last match, which decides.
    pub(in crate::engine) fn decides(self) -> bool {
        match self {
            Self::Pass | Self::Block | Self::Drop(_) | Self::Filled => true,
            Self::Match | Self::Call => false,
        }
    }
}

/// Conditions on the header as it is at one place of the evaluation.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Part {
    pub(in crate::engine) position: Position,
    /// The header but its tag.
    pub(in crate::engine) region: PacketBox,
    /// The tag, if it is asked for.
    pub(in crate::engine) tag: Option<RangeSet>,
    pub(in crate::engine) facts: Vec<(Fact, bool)>,
}

/// One rule, or a part of it: all packets for which every part holds.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Entry {
    /// The number of the rule in [`List::rules`].
    pub(in crate::engine) rule: usize,
    pub(in crate::engine) kind: Kind,
    pub(in crate::engine) quick: bool,
    /// Whether packets that it passes may go elsewhere than their destination and the routes say.
    pub(in crate::engine) turns_aside: bool,
    /// Its own conditions last, those of the calls around it before.
    pub(in crate::engine) parts: Vec<Part>,
    pub(in crate::engine) position: Position,
    /// Where the evaluation ends if this is the last match by then: here if it is quick, at the end of its anchor if
    /// that is a quick one, else at the end.
    pub(in crate::engine) stop: Position,
}

impl Entry {
    /// Its own conditions.
    pub(in crate::engine) fn own(&self) -> Option<&Part> {
        self.parts.last()
    }

    /// Whether its boxes are all that it asks for.
    pub(in crate::engine) fn is_unconditional(&self) -> bool {
        self.parts
            .iter()
            .all(|part| part.tag.is_none() && part.facts.is_empty())
    }
}

/// The ruleset as one list.
#[derive(Debug)]
pub(in crate::engine) struct List<'a> {
    pub(in crate::engine) rules: Vec<(RuleId, &'a Rule)>,
    /// In the order of their positions.
    pub(in crate::engine) entries: Vec<Entry>,
    pub(in crate::engine) features: Features,
    /// Why the list is not the whole ruleset, if so.
    pub(in crate::engine) incomplete: Option<String>,
}

impl<'a> List<'a> {
    /// How deep anchors may lie (`PF_ANCHOR_STACK_MAX`).
    const DEPTH: usize = 64;
    /// How many parts the entries of rules may have that anchors bring in more than once: for each rule that is written,
    /// and besides. Anchors that call each other double them with each that is called.
    const PARTS: (usize, usize) = (8, 100_000);
    /// The number that stands for no rule.
    pub(in crate::engine) const NO_RULE: usize = usize::MAX;

    /// The list that packets meet: all, or those alone.
    pub(in crate::engine) fn new(reader: &Reader<'a, '_>, nearby: Option<&Nearby>) -> Self {
        let features = Features::of(reader.ruleset);
        let mut builder = Builder {
            reader,
            nearby,
            list: Self {
                rules: Vec::new(),
                entries: Vec::new(),
                features,
                incomplete: incomplete(features, reader.context).map(str::to_owned),
            },
            position: 1,
            rewrites: Vec::new(),
            written: reader.ruleset.anchors.values().map(|anchor| anchor.rules.len()).sum(),
            seen: 0,
            parts: 0,
        };
        builder.before_rules();
        builder.ruleset(Ruleset::MAIN, &[], 0);
        builder.list
    }

    /// The rule of an entry; `None` where it stands for none.
    pub(in crate::engine) fn rule(&self, entry: &Entry) -> Option<(&RuleId, &'a Rule)> {
        self.rules.get(entry.rule).map(|(id, rule)| (id, *rule))
    }
}

struct Builder<'r, 'a> {
    reader: &'r Reader<'a, 'r>,
    /// The packets that are meant, if not all.
    nearby: Option<&'r Nearby>,
    list: List<'a>,
    position: Position,
    /// The places after which the header may be another.
    rewrites: Vec<Position>,
    /// The rules that are written, in all anchors.
    written: usize,
    /// The rules that were gone through, each as often as it is called, and the parts of what they became.
    seen: usize,
    parts: usize,
}

/// Why no list says what a ruleset with such features does, if so.
fn incomplete(features: Features, context: &Context) -> Option<&'static str> {
    match (features.asks_other_tables(), features.asks_beyond(context)) {
        (true, _) => Some("a match rule sets the routing table by which later rules ask for a route"),
        (_, true) => Some(
            "a route leads to an interface of another routing domain, where a rule asks for routes or routing domains",
        ),
        (false, false) => None,
    }
}

/// The conditions of one chain of calls.
type Guards = Vec<Part>;

impl<'a> Builder<'_, 'a> {
    fn next(&mut self) -> Position {
        self.position = self.position.saturating_add(1);
        self.position
    }

    /// What pf drops before any rule (`pf_setup_pdesc`, `pf_walk_header`, `pf_normalize_tcp`).
    fn before_rules(&mut self) {
        for family in Family::BOTH {
            let all = PacketBox::all(family);
            let whole = RangeSet::single(0);
            let of = |set: &RangeSet| all.clone().with(Field::Transport, set);
            let whole_of = |set: &RangeSet| of(set)?.with(Field::Fragment, &whole);
            let other = transport::icmp(family.other());
            let ports = whole_of(&transport::ported());
            self.drop(
                Drop::PortZero,
                ports.and_then(|part| part.with(Field::DestinationPort, &whole)),
            );
            self.drop(Drop::Flags, whole_of(&transport::senseless()));
            self.drop(Drop::Normalize, whole_of(&transport::protocol(other, family)));
            match family {
                Family::Inet => {
                    let everyone = RangeSet::single(0xe000_0001);
                    let igmp = of(&transport::protocol(Protocol::IGMP, family));
                    let igmp = igmp.and_then(|part| part.with(Field::Destination, &everyone));
                    let far = RangeSet::single(1).complement(255);
                    self.drop(Drop::HopLimit, igmp.and_then(|part| part.with(Field::Ttl, &far)));
                }
                Family::Inet6 => {
                    self.drop(
                        Drop::RoutingHeader,
                        all.clone().with(Field::Options, &RangeSet::single(2)),
                    );
                    let near = RangeSet::range(0, 254);
                    let neighbour = whole_of(&transport::neighbour_discovery());
                    self.drop(Drop::HopLimit, neighbour.and_then(|part| part.with(Field::Ttl, &near)));
                    let far = RangeSet::single(1).complement(255);
                    let link = link_local();
                    // The walk sees it in a first fragment too.
                    let begins = RangeSet::range(0, 1);
                    let listener = of(&transport::listener_discovery());
                    let listener = listener.and_then(|part| part.with(Field::Fragment, &begins));
                    self.drop(
                        Drop::HopLimit,
                        listener.clone().and_then(|part| part.with(Field::Ttl, &far)),
                    );
                    let elsewhere = link.complement(u128::MAX);
                    self.drop(
                        Drop::HopLimit,
                        listener.and_then(|part| part.with(Field::Source, &elsewhere)),
                    );
                }
            }
        }
    }

    fn drop(&mut self, why: Drop, region: Option<PacketBox>) {
        let Some(region) = region else { return };
        let position = self.next();
        self.list.entries.push(Entry {
            rule: List::NO_RULE,
            kind: Kind::Drop(why),
            quick: true,
            turns_aside: false,
            parts: vec![Part {
                position,
                region,
                tag: None,
                facts: Vec::new(),
            }],
            position,
            stop: position,
        });
    }

    /// Inlines the ruleset of a path; the entries of the deciding rules directly in it.
    fn ruleset(&mut self, path: &str, guards: &[Guards], depth: usize) -> Vec<usize> {
        let ruleset: &'a Ruleset = self.reader.ruleset;
        let mut direct = Vec::new();
        let anchor = Name::from(path);
        let calls = |rule: &Rule| matches!(rule.action, Action::Anchor(_));
        let is_met = |rule: &Rule| self.nearby.is_none_or(|nearby| nearby.may_match(rule));
        let rules = ruleset.rules(path).iter().enumerate();
        let rules: Vec<(usize, &Rule)> = rules.filter(|(_, rule)| is_met(rule)).collect();
        // What lies between two calls is numbered in one go, and is read side by side.
        let runs = rules.chunk_by(|(_, one), (_, next)| !calls(one) && !calls(next));
        for run in runs.flat_map(|run| run.chunks(LONGEST_RUN)) {
            let parts = self.read(run, path);
            for (&(number, rule), own) in run.iter().zip(parts) {
                self.seen += 1;
                // Rules that are there once are no matter of anchors.
                let (each, besides) = List::PARTS;
                if self.seen > self.written && self.parts > self.written.saturating_mul(each).saturating_add(besides) {
                    self.give_up("the anchors make too many rules");
                }
                if self.list.incomplete.is_some() {
                    return direct;
                }
                let id = RuleId {
                    anchor: anchor.clone(),
                    number,
                };
                self.list.rules.push((id, rule));
                let position = self.next();
                debug_assert!(own.iter().all(|part| part.position == position));
                match &rule.action {
                    Action::Pass => direct.extend(self.rule(rule, path, (position, own), guards, Kind::Pass)),
                    Action::Block(_) => direct.extend(self.rule(rule, path, (position, own), guards, Kind::Block)),
                    Action::Match => drop(self.rule(rule, path, (position, own), guards, Kind::Match)),
                    Action::Anchor(call) => self.call(rule, call, (position, own), guards, depth),
                }
            }
        }
        direct
    }

    /// The boxes of the rules that come next, each by itself.
    fn read(&self, rules: &[(usize, &Rule)], path: &str) -> Vec<Vec<Part>> {
        let (first, position) = (self.list.rules.len(), self.position.saturating_add(1));
        let rules = rules.par_iter().with_min_len(SHORTEST_RUN).enumerate();
        rules
            .map(|(at, (_, rule))| self.parts(rule, path, first + at, position.saturating_add(at as Position)))
            .collect()
    }

    /// Adds the entries of one rule.
    fn rule(
        &mut self,
        rule: &'a Rule,
        path: &str,
        (position, own): (Position, Vec<Part>),
        guards: &[Guards],
        kind: Kind,
    ) -> std::ops::Range<usize> {
        let first = self.list.entries.len();
        let number = self.list.rules.len() - 1;
        if kind == Kind::Match {
            // A match rule that cannot translate drops.
            let Reader { ruleset, context, .. } = self.reader;
            let fails = |part: &Part| pool::fails(ruleset, context, path, rule, part.region.family);
            let (mut failing, mut own): (Vec<Part>, Vec<Part>) = own.into_iter().partition(fails);
            // Nor can one whose table is empty: of a table that is not known, both may be.
            for part in &mut own {
                let Some(table) = pool::unknown_table(ruleset, context, path, rule, part.region.family) else {
                    continue;
                };
                let empty = Fact {
                    unknown: Unknown::Table(table),
                    about: About::Rule(number),
                };
                let mut dropped = part.clone();
                dropped.facts.push((empty.clone(), true));
                failing.push(dropped);
                part.facts.push((empty, false));
            }
            self.entries(number, Kind::Drop(Drop::Translation), true, position, guards, &failing);
            self.entries(number, kind, rule.quick, position, guards, &own);
        } else {
            self.entries(number, kind, rule.quick, position, guards, &own);
        }
        let translates = kind == Kind::Match && (rule.translation.is_some() || rule.rtable.is_some());
        if translates || self.list.features.asks_for_tags && rule.tag.is_some() {
            self.rewrites.push(position);
        }
        first..self.list.entries.len()
    }

    fn parts(&self, rule: &Rule, path: &str, number: usize, position: Position) -> Vec<Part> {
        let tag = rule.tagged.as_ref().map(|tagged| self.tags(tagged));
        let part = |Alternative { region, facts }| Part {
            position,
            region,
            tag: tag.clone(),
            facts,
        };
        let alternatives = self.reader.alternatives(rule, path, number);
        alternatives.into_iter().map(part).collect()
    }

    fn tags(&self, Tagged { negated, tag }: &Tagged) -> RangeSet {
        let one = self.reader.space.tag(tag).map_or(RangeSet::empty(), RangeSet::single);
        if *negated {
            one.complement(u128::from(u32::MAX))
        } else {
            one
        }
    }

    /// Adds an entry for each way through the calls to each box of the rule.
    fn entries(&mut self, rule: usize, kind: Kind, quick: bool, position: Position, guards: &[Guards], own: &[Part]) {
        for part in own {
            if guards.is_empty() {
                self.entry(rule, kind, quick, position, vec![part.clone()]);
            }
            for chain in guards {
                if chain.iter().all(|guard| guard.region.family == part.region.family) {
                    let joined = self.joined(chain, part);
                    joined
                        .into_iter()
                        .for_each(|parts| self.entry(rule, kind, quick, position, parts));
                }
            }
        }
    }

    fn entry(&mut self, rule: usize, kind: Kind, quick: bool, position: Position, parts: Vec<Part>) {
        let turns_aside = kind == Kind::Filled
            || self.list.rules.get(rule).is_some_and(|(_, rule)| {
                rule.translation.is_some() || rule.route_to.is_some() || rule.rtable.is_some() || rule.divert.is_some()
            });
        self.parts += parts.len();
        self.list.entries.push(Entry {
            rule,
            kind,
            quick,
            turns_aside,
            parts,
            position,
            stop: if quick { position } else { END },
        });
    }

    /// The chain with that part at its end; in one part with the one before where nothing between them can change
    /// the header. `None` where they exclude each other.
    fn joined(&self, chain: &[Part], part: &Part) -> Option<Guards> {
        let mut parts = chain.to_vec();
        let Some(last) = parts.last_mut() else {
            return Some(vec![part.clone()]);
        };
        let changed = self
            .rewrites
            .iter()
            .any(|&at| last.position <= at && at < part.position);
        if changed {
            parts.push(part.clone());
            return Some(parts);
        }
        last.region = last.region.intersection(&part.region)?;
        last.position = part.position;
        last.facts.extend(part.facts.iter().cloned());
        last.tag = match (last.tag.take(), &part.tag) {
            (Some(a), Some(b)) => {
                let both = a.intersection(b);
                if both.is_empty() {
                    return None;
                }
                Some(both)
            }
            (a, b) => a.or_else(|| b.clone()),
        };
        Some(parts)
    }

    /// Says why the list is not the whole ruleset: that anchors call each other, if they do.
    fn give_up(&mut self, otherwise: &str) {
        let names: Vec<String> = looping(self.reader.ruleset)
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        self.list.incomplete = Some(match names.as_slice() {
            [] => otherwise.to_owned(),
            [one] => format!("anchor {one} calls itself"),
            names => format!("anchors {} call each other", names.join(", ")),
        });
    }

    /// Inlines what an anchor's rule calls (`pf_match_rule`, `enter_ruleset`).
    fn call(
        &mut self,
        rule: &'a Rule,
        call: &AnchorCall,
        (position, own): (Position, Vec<Part>),
        guards: &[Guards],
        depth: usize,
    ) {
        if depth >= List::DEPTH {
            return self.give_up(&format!("the anchors lie deeper than {}", List::DEPTH));
        }
        let number = self.list.rules.len() - 1;
        if self.list.features.asks_for_tags && rule.tag.is_some() {
            self.entries(number, Kind::Call, false, position, guards, &own);
            self.rewrites.push(position);
        }
        let mut inner: Vec<Guards> = Vec::new();
        for part in &own {
            if guards.is_empty() {
                inner.push(vec![part.clone()]);
            }
            let chains = guards
                .iter()
                .filter(|chain| chain.iter().all(|guard| guard.region.family == part.region.family));
            inner.extend(chains.filter_map(|chain| self.joined(chain, part)));
        }
        if inner.is_empty() {
            return;
        }
        let ruleset = self.reader.ruleset;
        if is_filled(ruleset, call) {
            self.filled(number, call, &inner);
        }
        for child in called(ruleset, call) {
            let direct = self.ruleset(child, &inner, depth + 1);
            let end = self.next();
            if rule.quick {
                // The last match ends the evaluation here if it lies directly in this anchor.
                for at in direct {
                    if let Some(entry) = self.list.entries.get_mut(at).filter(|entry| !entry.quick) {
                        entry.stop = end;
                    }
                }
            }
        }
    }

    /// An anchor whose rules only the running machine knows.
    fn filled(&mut self, number: usize, call: &AnchorCall, guards: &[Guards]) {
        let position = self.next();
        let fact = Fact {
            unknown: Unknown::Anchor(call.name.clone().unwrap_or_else(|| call.path.clone())),
            about: About::Rule(number),
        };
        for chain in guards {
            let mut parts = chain.clone();
            if let Some(last) = parts.last_mut() {
                last.facts.push((fact.clone(), true));
                // Its rules may be quick.
                self.entry(number, Kind::Filled, true, position, parts);
            }
        }
    }
}
