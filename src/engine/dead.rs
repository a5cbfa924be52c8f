//! Rules that never decide, and rules that could be taken away without a packet's noticing.
//!
//! Both are questions about one hop, at any place and with any tag: a rule that is needed only by packets that cannot
//! come about is taken for needed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use indexmap::IndexSet;

use super::Engine;
use super::first_match::{Need, fixed};
use super::header::Header;
use super::journey::{Decider, Hop};
use super::search::Classes;
use super::witness;
use crate::ruleset::{Action, Rule, RuleId, StateOptions};

/// A rule that never decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadRule {
    /// The rule.
    pub rule: RuleId,
    /// The rules that decide its packets, those that take most first. Empty where no packet matches it at all.
    pub by: Vec<RuleId>,
    /// A packet that it matches, if there is one.
    pub example: Option<Header>,
}

/// How many classes of a rule's packets, and of each what else decides them, are looked at before it is taken for
/// needed.
const CLASSES: usize = 1000;

/// How many steps the question about one rule may take.
const STEPS: u64 = 200_000;

/// The places of one rule in the list: one, or one for each call of its anchor.
struct Inlined {
    /// Its numbers in the list.
    numbers: Vec<usize>,
    /// Its entries.
    entries: Vec<usize>,
}

impl Engine<'_> {
    /// The pass and block rules that decide no packet, in the order of evaluation: other rules decide all that they
    /// match. Rules for which the steps run out are left out.
    #[must_use]
    pub fn dead_rules(&self) -> Vec<DeadRule> {
        let compiled = &self.compiled;
        if compiled.list.incomplete.is_some() {
            return Vec::new();
        }
        let rules = self.inlined().into_iter();
        rules
            .filter(|(.., own)| compiled.decides(&own.entries) != Some(true))
            .filter_map(|(id, _, own)| {
                // Which rules decide instead is told by the search.
                let mut search = Classes::deciding(compiled, &own.entries, STEPS);
                search.deciders_only = true;
                search.ground.packets_only = true;
                if search.next().is_some() {
                    return None;
                }
                let first = own.entries.first().and_then(|&at| compiled.list.entries.get(at)?.own());
                Some(DeadRule {
                    rule: id.clone(),
                    by: self.ranked(&search.blamed()),
                    example: first.map(|part| witness::readable(&part.region)),
                })
            })
            .collect()
    }

    /// The pass and block rules that decide packets, but such that the ruleset without this one rule decides them
    /// alike, in the order of evaluation. Rules for which the steps run out are left out, and those that set a tag,
    /// count states, or depend on what no header shows.
    #[must_use]
    pub fn redundant_rules(&self) -> Vec<RuleId> {
        if self.compiled.list.incomplete.is_some() {
            return Vec::new();
        }
        let rules = self.inlined().into_iter();
        rules
            .filter(|(_, rule, own)| has_header_effects_only(rule) && !self.keeps_from_tags(rule, own))
            .filter(|(id, rule, own)| self.is_redundant(id, rule, own))
            .map(|(id, ..)| id.clone())
            .collect()
    }

    /// The pass and block rules with their places in the list, in the order of their first one.
    fn inlined(&self) -> Vec<(&RuleId, &Rule, Inlined)> {
        let list = &self.compiled.list;
        let mut places: HashMap<&RuleId, usize> = HashMap::new();
        let mut rules: Vec<(&RuleId, &Rule, Inlined)> = Vec::new();
        let mut of_number = vec![None; list.rules.len()];
        for (number, (id, rule)) in list.rules.iter().enumerate() {
            if !decides(rule) {
                continue;
            }
            let place = *places.entry(id).or_insert_with(|| {
                let (numbers, entries) = (Vec::new(), Vec::new());
                rules.push((id, rule, Inlined { numbers, entries }));
                rules.len() - 1
            });
            of_number[number] = Some(place);
            rules[place].2.numbers.push(number);
        }
        for (at, entry) in list.entries.iter().enumerate() {
            if let Some(place) = of_number.get(entry.rule).copied().flatten() {
                rules[place].2.entries.push(at);
            }
        }
        rules
    }

    /// Whether packets that the rule passes might get a tag from other rules if it were not there.
    fn keeps_from_tags(&self, rule: &Rule, own: &Inlined) -> bool {
        let list = &self.compiled.list;
        if !list.asks_for_tags || rule.action != Action::Pass {
            // A blocked packet loses its tag.
            return false;
        }
        let regions = own.entries.iter().filter_map(|&at| list.entries.get(at)?.own());
        let regions: Vec<_> = regions.filter_map(|part| fixed(&part.region)).collect();
        let mut taggers = list.entries.iter().filter(|entry| {
            let rule = list.rule(entry);
            rule.is_some_and(|(_, rule)| rule.tag.is_some())
        });
        taggers.any(|entry| {
            let own = entry.own();
            own.is_none_or(|part| regions.iter().any(|region| !region.is_disjoint(&part.region)))
        })
    }

    fn is_redundant(&self, id: &RuleId, rule: &Rule, own: &Inlined) -> bool {
        let compiled = &self.compiled;
        if let Some(need) = compiled.need(rule, &own.entries) {
            return need == Need::Redundant;
        }
        let alike = |hop: &Hop| match &hop.decider {
            Decider::Rule(other) => {
                let known = compiled.ruleset.rule(other);
                known.is_some_and(|known| acts_like((id, rule), (other, known)))
            }
            Decider::Default => acts_like((id, rule), (id, &Rule::new(rule.origin, Action::Pass))),
            Decider::Skipped | Decider::OwnState | Decider::State | Decider::Nobody | Decider::Anchor(_) => false,
        };
        let mut some = false;
        let mut decided = Classes::deciding(compiled, &own.entries, STEPS);
        decided.deciders_only = true;
        for (at, class) in decided.enumerate() {
            let Ok(class) = class else { return false };
            if at >= CLASSES || class.conditions.iter().any(|condition| condition.rule.is_some()) {
                return false;
            }
            some = true;
            let others = Classes::without(compiled, &class.region, &own.numbers, STEPS);
            for (count, other) in others.enumerate() {
                let same = other.is_ok_and(|other| other.conditions.is_empty() && other.journey.hops.iter().all(alike));
                if !same || count >= CLASSES {
                    return false;
                }
            }
        }
        some
    }

    /// Rules by how often they are named, the most frequent first, then in their order.
    fn ranked(&self, named: &[usize]) -> Vec<RuleId> {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for &number in named {
            *counts.entry(number).or_default() += 1;
        }
        let mut ranked: Vec<_> = counts.into_iter().collect();
        ranked.sort_by_key(|&(number, count)| (Reverse(count), number));
        let rules = &self.compiled.list.rules;
        let named = ranked.into_iter().filter_map(|(number, _)| rules.get(number));
        let mut unique: IndexSet<RuleId> = IndexSet::new();
        unique.extend(named.map(|(id, _)| id.clone()));
        unique.into_iter().collect()
    }
}

/// Whether it is a rule that can decide.
fn decides(rule: &Rule) -> bool {
    match rule.action {
        Action::Pass | Action::Block(_) => true,
        Action::Match | Action::Anchor(_) => false,
    }
}

/// Whether all that it does can be seen of the packets that it decides: it sets no tag, which later rules see even
/// where it does not decide, and counts no states.
fn has_header_effects_only(rule: &Rule) -> bool {
    let counts = |state: &StateOptions| {
        state.max.is_some()
            || state.max_src_states.is_some()
            || state.max_src_conn.is_some()
            || state.max_src_conn_rate.is_some()
            || state.max_src_nodes.is_some()
            || state.source_track.is_some()
    };
    rule.tag.is_none() && !rule.once && !rule.state.as_deref().is_some_and(counts)
}

/// Whether the two do the same where they decide, whatever they match.
pub(super) fn acts_like((id, rule): (&RuleId, &Rule), (other_id, other): (&RuleId, &Rule)) -> bool {
    // The tables of pools are those of the anchor; ports are redirected by their distance from those that are matched.
    let pools = rule.translation.is_some() || rule.route_to.is_some();
    let same_pools = id.anchor == other_id.anchor && rule.destination.port == other.destination.port;
    acts(rule) == acts(other) && done(rule) == done(other) && (!pools || same_pools)
}

/// What a rule does with what it decides.
fn acts(rule: &Rule) -> impl PartialEq {
    (
        &rule.action,
        rule.log,
        &rule.set,
        rule.keep_state,
        &rule.state,
        rule.allow_opts,
        &rule.label,
        &rule.tag,
    )
}

/// What a rule makes of what it decides.
fn done(rule: &Rule) -> impl PartialEq {
    (rule.scrub, rule.rtable, rule.divert, &rule.translation, &rule.route_to)
}
