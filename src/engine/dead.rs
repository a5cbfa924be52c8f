//! Rules that never decide, and rules that could be taken away without a packet's noticing.
//!
//! Both are questions about one hop, at any place and with any tag: a rule that is needed only by packets that cannot
//! come about is taken for needed.

use std::collections::BTreeMap;

use super::Engine;
use super::header::Header;
use super::journey::{Decider, Hop, Verdict};
use super::list::Kind;
use super::search::Classes;
use super::witness;
use crate::ruleset::{Rule, RuleId};

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

/// How many classes of a rule's packets are looked at before it is taken for needed.
const CLASSES: usize = 64;

/// How many steps the question about one rule may take.
const STEPS: u64 = 200_000;

impl Engine<'_> {
    /// The pass and block rules that decide no packet, in the order of evaluation: other rules decide all that they
    /// match. Rules for which the steps run out are left out.
    #[must_use]
    pub fn dead_rules(&self) -> Vec<DeadRule> {
        let compiled = &self.compiled;
        let mut entries = compiled.list.entries.iter().enumerate().peekable();
        let mut dead = Vec::new();
        for (number, (id, rule)) in compiled.list.rules.iter().enumerate() {
            let mut own = Vec::new();
            while let Some((at, entry)) =
                entries.next_if(|(_, entry)| entry.rule == number || entry.rule > compiled.list.rules.len())
            {
                if entry.rule == number && entry.kind.decides() {
                    own.push(at);
                }
            }
            if !decides(rule) {
                continue;
            }
            let mut search = Classes::deciding(compiled, &own, None, STEPS);
            if search.next().is_none() {
                let region = own.first().and_then(|&at| compiled.list.entries.get(at)?.own());
                dead.push(DeadRule {
                    rule: id.clone(),
                    by: self.ranked(&search.blamed()),
                    example: region.map(|part| witness::readable(&part.region)),
                });
            }
        }
        dead
    }

    /// The pass and block rules that decide packets, but such that the ruleset without this one rule decides them alike.
    #[must_use]
    pub fn redundant_rules(&self) -> Vec<RuleId> {
        let compiled = &self.compiled;
        let mut entries = compiled.list.entries.iter().enumerate().peekable();
        let mut redundant = Vec::new();
        for (number, (id, rule)) in compiled.list.rules.iter().enumerate() {
            let mut own = Vec::new();
            while let Some((at, entry)) =
                entries.next_if(|(_, entry)| entry.rule == number || entry.rule > compiled.list.rules.len())
            {
                if entry.rule == number && entry.kind != Kind::Call {
                    own.push(at);
                }
            }
            // A tag is seen by later rules even where its rule does not decide.
            if decides(rule) && rule.tag.is_none() && self.is_redundant(number, rule, &own) {
                redundant.push(id.clone());
            }
        }
        redundant
    }

    fn is_redundant(&self, number: usize, rule: &Rule, own: &[usize]) -> bool {
        let compiled = &self.compiled;
        let mut some = false;
        for (at, class) in Classes::deciding(compiled, own, None, STEPS).enumerate() {
            let Ok(class) = class else { return false };
            if at >= CLASSES || class.conditions.iter().any(|condition| condition.rule.is_some()) {
                return false;
            }
            some = true;
            let alike = |hop: &Hop| match &hop.decider {
                Decider::Rule(other) => {
                    let other = compiled.ruleset.rule(other);
                    other.is_some_and(|other| acts_like(rule, other)) && !matches!(hop.verdict, Verdict::Drop(_))
                }
                Decider::Default
                | Decider::Skipped
                | Decider::OwnState
                | Decider::State
                | Decider::Nobody
                | Decider::Anchor(_) => false,
            };
            let others = Classes::without(compiled, &class.region, number, STEPS);
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
        ranked.sort_by_key(|&(number, count)| (std::cmp::Reverse(count), number));
        let rules = &self.compiled.list.rules;
        ranked
            .into_iter()
            .filter_map(|(number, _)| rules.get(number).map(|(id, _)| id.clone()))
            .collect()
    }
}

/// Whether it is a rule that can decide.
fn decides(rule: &Rule) -> bool {
    use crate::ruleset::Action;
    match rule.action {
        Action::Pass | Action::Block(_) => true,
        Action::Match | Action::Anchor(_) => false,
    }
}

/// Whether the two do the same where they decide, whatever they match.
fn acts_like(one: &Rule, other: &Rule) -> bool {
    let effects = |rule: &Rule| {
        let mut bare = Rule::new(rule.origin, rule.action.clone());
        bare.log = rule.log;
        bare.set = rule.set.clone();
        bare.keep_state = rule.keep_state;
        bare.state = rule.state.clone();
        bare.scrub = rule.scrub;
        bare.allow_opts = rule.allow_opts;
        bare.label = rule.label.clone();
        bare.tag = rule.tag.clone();
        bare.rtable = rule.rtable;
        bare.divert = rule.divert;
        bare.translation = rule.translation.clone();
        bare.route_to = rule.route_to.clone();
        bare
    };
    let mut other = effects(other);
    other.origin = one.origin;
    effects(one) == other
}
