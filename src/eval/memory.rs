//! [`Memory`]: what pf remembers from packet to packet.

use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use super::choices::Choices;
use super::fragment::Fragments;
use super::machine::{Machine, RuleRef};
use super::pool::Mapped;
use super::record::{Criterion, Unproven};
use super::state::StateTable;
use crate::ruleset::{Rule, RuleId};

/// What pf remembers from packet to packet: states, fragments, rules that are used up. An empty one is that of a
/// ruleset freshly loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    pub(super) states: StateTable,
    pub(super) fragments: Fragments,
    /// `once` rules that have matched.
    pub(super) used_up: FxHashSet<RuleRef>,
    /// The address that a source was given before, of pools with `sticky-address`.
    pub(super) sticky: FxHashMap<(RuleRef, PoolUse, IpAddr), Mapped>,
    /// How often each rule with `max-pkt-rate` was asked.
    rates: FxHashMap<RuleRef, u32>,
    /// Whether packets have come before of which nothing else is known.
    after_others: bool,
}

/// What a pool is for (`enum pf_sn_types`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PoolUse {
    Nat,
    Rdr,
    Route,
}

impl Memory {
    /// No state, but packets may have come before: whether rules with `once` are used up and packets come faster than
    /// `max-pkt-rate`, the [`Choices`] say.
    #[must_use]
    pub fn after_others() -> Self {
        Self {
            after_others: true,
            ..Self::default()
        }
    }

    /// Whether a rule with `once` that matches has matched one of the packets that came before.
    pub(super) fn used_up_before(&mut self, place: RuleRef, id: &RuleId, choices: &mut dyn Choices) -> bool {
        let used_up = self.after_others && choices.holds(id, Criterion::Once) == Some(false);
        if used_up {
            self.used_up.insert(place);
        }
        used_up
    }

    /// What is left when states are flushed: the addresses that sources were given.
    pub(super) fn flushed(self) -> Self {
        Self {
            sticky: self.sticky,
            ..Self::default()
        }
    }

    /// Whether a criterion holds that the packet does not show.
    pub(super) fn holds(
        &mut self,
        machine: &Machine<'_>,
        place: RuleRef,
        rule: &Rule,
        criterion: Criterion,
        choices: &mut dyn Choices,
    ) -> Result<bool, Unproven> {
        let id = machine.id(place);
        if criterion == Criterion::Rate
            && let Some(rate) = rule.max_pkt_rate
        {
            // The count only falls with time: as long as all packets together are within the limit, none is above.
            let count = self.rates.entry(place).or_default();
            *count = count.saturating_add(1);
            if *count <= rate.limit && !self.after_others {
                return Ok(true);
            }
        }
        choices.holds(&id, criterion).ok_or_else(|| {
            let what = match criterion {
                Criterion::Os => "the operating system of the sender is not known",
                Criterion::Probability => "it matches by chance",
                Criterion::Rate => "how fast packets come is not known",
                Criterion::User | Criterion::Group => "the owner of the local socket is not known",
                _ => "a criterion is not known",
            };
            Unproven(format!("rule {id}: {what}"))
        })
    }
}
