//! [`Memory`]: what pf remembers from packet to packet.

use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use super::choices::Choices;
use super::fragment::Fragments;
use super::machine::{Machine, RuleRef};
use super::pool::Mapped;
use super::record::{Criterion, Unproven};
use super::state::StateTable;
use crate::ruleset::Rule;

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
}

/// What a pool is for (`enum pf_sn_types`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PoolUse {
    Nat,
    Rdr,
    Route,
}

impl Memory {
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
        let mut told = choices.holds(&id, criterion);
        if criterion == Criterion::Rate
            && let Some(rate) = rule.max_pkt_rate
        {
            // The count only falls with time: as long as all packets together are within the limit, none is above. But
            // others may have come before.
            let count = self.rates.entry(place).or_default();
            *count = count.saturating_add(1);
            told = told.or((*count <= rate.limit).then_some(true));
        }
        told.ok_or_else(|| {
            let what = match criterion {
                Criterion::Os => "the operating system of the sender is not known",
                Criterion::Probability => "it matches by chance",
                Criterion::Rate => "how fast packets come is not known",
                _ => "a criterion is not known",
            };
            Unproven(format!("rule {id}: {what}"))
        })
    }
}
