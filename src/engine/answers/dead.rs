//! Rules that never decide, and rules that could be taken away without a packet's noticing.
//!
//! Both are questions about one hop, at any place and with any tag: a rule that is needed only by packets that cannot
//! come about is taken for needed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use indexmap::IndexSet;
use rayon::prelude::*;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::engine::Engine;
use crate::engine::packets::header::Header;
use crate::engine::packets::witness;
use crate::engine::rules::alike::acts_like;
use crate::engine::search::classes::Classes;
use crate::engine::search::first_match::{Need, fixed};
use crate::engine::search::journey::{Decider, Hop};
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
    /// Whether it does more than decide: it sets a tag, or counts states.
    pub has_other_effects: bool,
}

/// A rule that the ruleset does not need, for others would decide its packets alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedundantRule {
    /// The rule.
    pub rule: RuleId,
    /// The rules that would decide some of its packets without it, or may; none where all would pass by default.
    pub instead: Vec<RuleId>,
}

/// How many classes of a rule's packets, and of each what else decides them, are looked at before it is taken for
/// needed.
const CLASSES: usize = 1000;

/// How many steps the questions about all rules that have to be searched may take, and those about one.
pub(in crate::engine) const STEPS: u64 = 20_000_000;
const STEPS_OF_ONE: u64 = 200_000;

/// The places of one rule in the list: one, or one for each call of its anchor.
pub(in crate::engine) struct Inlined {
    /// Its numbers in the list.
    numbers: Vec<usize>,
    /// Its entries.
    pub(in crate::engine) entries: Vec<usize>,
}

/// The pass and block rules that a ruleset does not need, in the order of evaluation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Idle {
    /// Those that decide no packet: other rules decide all that they match.
    pub dead: Vec<DeadRule>,
    /// Those that decide packets, but such that the ruleset without this one rule decides them alike. Rules that set a
    /// tag, count states, or depend on what no header shows are taken to be needed.
    pub redundant: Vec<RedundantRule>,
}

impl Engine<'_> {
    /// The pass and block rules that could be taken away, each by itself. Rules for which the steps run out are left out.
    #[must_use]
    pub fn idle_rules(&self) -> Idle {
        let mut idle = Idle::default();
        if self.compiled.list.incomplete.is_some() {
            return idle;
        }
        let rules = self.inlined();
        let plainly = rules.par_iter().map(|(_, rule, own)| {
            let replaceable = has_header_effects_only(rule) && !self.keeps_from_tags(rule, own);
            let need = self.compiled.need(replaceable.then_some(*rule), &own.entries);
            (replaceable, need)
        });
        let plainly: Vec<_> = plainly.collect();
        let mut steps = STEPS;
        for ((id, rule, own), (replaceable, plainly)) in rules.into_iter().zip(plainly) {
            match plainly.or_else(|| self.need_by_search(id, rule, &own, replaceable, &mut steps)) {
                Some(Need::Dead(by)) => {
                    let first = own
                        .entries
                        .first()
                        .and_then(|&at| self.compiled.list.entries.get(at)?.own());
                    idle.dead.push(DeadRule {
                        rule: id.clone(),
                        by: self.ranked(&by),
                        example: first.map(|part| witness::readable(&part.region)),
                        has_other_effects: !replaceable,
                    });
                }
                Some(Need::Redundant(instead)) if replaceable => idle.redundant.push(RedundantRule {
                    rule: id.clone(),
                    instead,
                }),
                Some(Need::Redundant(_) | Need::Needed) | None => {}
            }
        }
        idle
    }

    /// The pass and block rules with their places in the list, in the order of their first one.
    pub(in crate::engine) fn inlined(&self) -> Vec<(&RuleId, &Rule, Inlined)> {
        let list = &self.compiled.list;
        let mut places: FxHashMap<&RuleId, usize> = FxHashMap::default();
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
        if !list.features.asks_for_tags || rule.action != Action::Pass {
            // A blocked packet loses its tag.
            return false;
        }
        let mut regions = own.entries.iter().filter_map(|&at| list.entries.get(at)?.own());
        regions.any(|part| {
            let met = self.compiled.met(None, part.region.family);
            let mut taggers = met.taggers.iter().filter_map(|&number| list.entries.get(number)?.own());
            let region = fixed(&part.region);
            taggers.any(|tagger| region.as_ref().is_none_or(|region| !region.is_disjoint(&tagger.region)))
        })
    }

    /// Whether the rule is needed, by following the packets that it decides; `None` where the steps do not suffice.
    pub(in crate::engine) fn need_by_search(
        &self,
        id: &RuleId,
        rule: &Rule,
        own: &Inlined,
        replaceable: bool,
        steps: &mut u64,
    ) -> Option<Need> {
        let compiled = &self.compiled;
        let given = (*steps).min(STEPS_OF_ONE);
        let mut search = Classes::deciding(compiled, &own.entries, given);
        search.deciders_only = true;
        search.ground.packets_only = true;
        let first = search.next();
        *steps -= given - search.ground.budget.left();
        match first {
            None => Some(Need::Dead(search.blamed())),
            Some(Err(_)) => None,
            Some(Ok(_)) => {
                let instead = replaceable.then(|| self.stand_ins(id, rule, own, steps)).flatten();
                Some(instead.map_or(Need::Needed, Need::Redundant))
            }
        }
    }

    /// The rules that decide the packets of that one without it; `None` unless they decide every one alike.
    fn stand_ins(&self, id: &RuleId, rule: &Rule, own: &Inlined, steps: &mut u64) -> Option<Vec<RuleId>> {
        let compiled = &self.compiled;
        let alike = |hop: &Hop| match &hop.decider {
            Decider::Rule(other) => {
                let known = compiled.ruleset.rule(other);
                known.is_some_and(|known| acts_like((id, rule), (other, known)))
            }
            Decider::Default => acts_like((id, rule), (id, &Rule::new(rule.origin, Action::Pass))),
            Decider::Skipped | Decider::OwnState | Decider::State | Decider::Nobody | Decider::Anchor(_) => false,
        };
        let given = (*steps).min(STEPS_OF_ONE);
        let mut left = given;
        let mut instead: IndexSet<RuleId, FxBuildHasher> = IndexSet::default();
        let mut decided = Classes::deciding(compiled, &own.entries, given);
        decided.deciders_only = true;
        let redundant = decided.by_ref().enumerate().all(|(at, class)| {
            let Ok(class) = class else { return false };
            if at >= CLASSES || class.conditions.iter().any(|condition| condition.rule.is_some()) {
                return false;
            }
            let mut others = Classes::without(compiled, &class.region, &own.numbers, left);
            let same = others.by_ref().enumerate().all(|(count, other)| {
                let Ok(other) = other else { return false };
                let hops = || other.journey.hops.iter();
                instead.extend(hops().filter_map(|hop| match &hop.decider {
                    Decider::Rule(other) => Some(other.clone()),
                    _ => None,
                }));
                other.conditions.is_empty() && hops().all(alike) && count < CLASSES
            });
            left = others.ground.budget.left();
            same
        });
        *steps -= given - left.min(decided.ground.budget.left());
        redundant.then(|| instead.into_iter().collect())
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
        let mut unique: IndexSet<RuleId, FxBuildHasher> = IndexSet::default();
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

#[cfg(test)]
mod tests {
    use super::{Need, STEPS};
    use crate::context::context_from_toml;
    use crate::engine::{Engine, generate};
    use crate::lower;
    use crate::source::{MemoryLoader, Sources};

    /// What is seen here is what following every packet that a rule decides comes to.
    #[test]
    fn the_search_comes_to_the_same() {
        let mut sources = Sources::new();
        let file = sources.add("context.toml", generate::context());
        let context = context_from_toml(&sources, file).0;
        let mut seen = [0; 3];
        for (kind, seed) in generate::Kind::ALL
            .into_iter()
            .flat_map(|kind| (1..5).map(move |seed| (kind, seed)))
        {
            let text = generate::rules(kind, 30, seed);
            let loader = MemoryLoader::new();
            let lowered = lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], &context).0;
            let engine = Engine::new(&lowered.ruleset, &context);
            for (id, rule, own) in engine.inlined() {
                let Some(plainly) = engine.compiled.need(Some(rule), &own.entries) else {
                    continue;
                };
                let mut steps = STEPS;
                let searched = engine.need_by_search(id, rule, &own, true, &mut steps);
                match (plainly, searched) {
                    (Need::Needed, Some(Need::Needed)) => seen[0] += 1,
                    (Need::Redundant(_), Some(Need::Redundant(_))) => seen[1] += 1,
                    (Need::Dead(_), Some(Need::Dead(_))) => seen[2] += 1,
                    (_, None) => {}
                    (plainly, searched) => panic!("@{id}: {plainly:?}, by search {searched:?} in\n{text}"),
                }
            }
        }
        assert!(seen.iter().all(|&count| count > 20), "{seen:?}");
    }
}
