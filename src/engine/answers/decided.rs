//! What one rule matches, and what of it the rule decides.
//!
//! Both are about one hop, at any place and with any tag: a rule that would decide only packets that cannot come about
//! is taken for one that decides.

use rayon::prelude::*;

use crate::engine::Engine;
use crate::engine::packets::header::PacketBox;
use crate::engine::packets::set::PacketSet;
use crate::engine::search::classes::Classes;
use crate::engine::search::compiled::{ByRule, Compiled};
use crate::engine::search::journey::{Class, Undecided};
use crate::ruleset::RuleId;

/// How many rules are looked at side by side, before it is seen whether there are looks left.
const SIDE_BY_SIDE: usize = 1024;

/// What may be spent on finding out which rules decide.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often a packet may be held against a rule.
    pub looks: usize,
    /// How many steps the searches may take together, where looking does not tell.
    pub steps: u64,
    /// How many of them one rule may take.
    pub steps_of_one: u64,
}

/// The classes of packets of one hop that one rule decides.
#[expect(missing_debug_implementations, reason = "a search has nothing to show")]
pub struct Decided<'e, 'a>(Classes<'e, 'a>);

impl Decided<'_, '_> {
    /// How many steps are left of those that the search was given.
    #[must_use]
    pub fn steps_left(&self) -> u64 {
        self.0.ground.budget.left()
    }
}

impl Iterator for Decided<'_, '_> {
    type Item = Result<Class, Undecided>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl<'a> Engine<'a> {
    /// The classes of packets of one hop that the rule decides, on whatever conditions, told no further than that; none
    /// where other rules decide all that it matches. After an `Err` nothing follows.
    pub fn decided_by<'e>(&'e self, rule: &RuleId, steps: u64) -> Decided<'e, 'a> {
        let mut search = Classes::deciding(&self.compiled, self.compiled.entries_of(rule), steps);
        search.deciders_only = true;
        Decided(search)
    }

    /// Of each of the rules whether it decides some packet of one hop, on whatever conditions; `None` where the effort does
    /// not suffice, or something is not modelled.
    #[must_use]
    pub fn decide(&self, rules: &[RuleId], mut effort: Effort) -> Vec<Option<bool>> {
        let mut decide = Vec::with_capacity(rules.len());
        for some in rules.chunks(SIDE_BY_SIDE) {
            let plainly: Vec<(Option<bool>, usize)> = match effort.looks {
                0 => vec![(None, 0); some.len()],
                _ => {
                    let some = some.par_iter();
                    some.map(|rule| self.compiled.decides(self.compiled.entries_of(rule)))
                        .collect()
                }
            };
            for (rule, (plainly, looks)) in some.iter().zip(plainly) {
                effort.looks = effort.looks.saturating_sub(looks);
                let plainly = plainly.filter(|_| self.compiled.list.incomplete.is_none());
                decide.push(plainly.or_else(|| self.decides_by_search(rule, &mut effort)));
            }
        }
        decide
    }

    /// The same of one rule, by a search; what it takes is taken off.
    fn decides_by_search(&self, rule: &RuleId, effort: &mut Effort) -> Option<bool> {
        let own = self.compiled.entries_of(rule);
        let steps = effort.steps.min(effort.steps_of_one);
        let mut search = Classes::deciding(&self.compiled, own, steps);
        search.deciders_only = true;
        search.ground.packets_only = true;
        let decides = match search.next() {
            Some(Ok(_)) => Some(true),
            Some(Err(_)) => None,
            None => Some(false),
        };
        effort.steps -= steps - search.ground.budget.left();
        decides
    }

    /// The packets that the rule's conditions on the header match where it is evaluated; what a header does not show
    /// is left out of account.
    #[must_use]
    pub fn matched_by(&self, rule: &RuleId) -> PacketSet {
        let entries = &self.compiled.list.entries;
        let own = self
            .compiled
            .entries_of(rule)
            .iter()
            .filter_map(|&at| entries.get(at)?.own());
        let everything = &self.compiled.everything;
        let boxes: PacketSet = own.map(|part| part.region.clone()).collect();
        boxes.intersection(everything)
    }
}

impl Compiled<'_> {
    /// The entries by which the rule may decide.
    fn entries_of(&self, rule: &RuleId) -> &[usize] {
        let known = self.by_rule.get_or_init(|| {
            let mut by_rule = ByRule::default();
            for (at, entry) in self.list.entries.iter().enumerate() {
                if let Some((id, _)) = self.list.rule(entry).filter(|_| entry.kind.decides()) {
                    by_rule.entry(id.clone()).or_default().push(at);
                }
            }
            by_rule
        });
        known.get(rule).map_or(&[], Vec::as_slice)
    }
}

impl PacketBox {
    /// How many packets are in it, as a power of two, roughly: for the order of boxes by size.
    #[must_use]
    pub fn magnitude(&self) -> f64 {
        self.limits()
            .map(|(field, set)| bits(set) - bits(&field.line(self.family)))
            .sum()
    }
}

/// The logarithm of how many numbers are in the set, between powers of two in a line.
fn bits(set: &crate::net::RangeSet) -> f64 {
    let size = set.len().max(1);
    let whole = size.ilog2();
    f64::from(whole) + size as f64 / (1_u128 << whole) as f64 - 1.0
}
