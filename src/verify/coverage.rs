//! Of which rules a policy speaks: those that decide some packet of a statement.

use std::collections::HashSet;

use super::judge::Case;
use crate::engine::{Decider, Goal, PacketSet, Question};
use crate::policy::Zones;
use crate::policy::ast::Demand;
use crate::ruleset::{Action, RuleId, Ruleset};

/// How many classes of packets are looked at.
const MOST_CLASSES: usize = 20_000;
/// Rulesets with more rules are not asked.
const MOST_RULES: usize = 2000;

/// Which pass rules the policy constrains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The pass rules of the main ruleset that decide no packet that a statement speaks of.
    pub silent: Vec<RuleId>,
    /// How many pass rules there are.
    pub all: usize,
}

/// The pass rules that no statement constrains; `None` where finding them would take too long.
pub(super) fn coverage(case: Case<'_>, zones: &Zones<'_>) -> Option<Coverage> {
    let rules = case.engine.ruleset().rules(Ruleset::MAIN);
    if rules.len() > MOST_RULES {
        return None;
    }
    let mut deciders: HashSet<RuleId> = HashSet::new();
    let mut looked_at = 0;
    for statement in &case.policy.statements {
        // A set of packets at the end is spoken of wherever it comes from.
        let (region, ends): (PacketSet, Option<PacketSet>) = match &statement.demand {
            Demand::Require(packets, _) | Demand::Allow(packets) => (zones.excused(packets).ok()?.arriving, None),
            Demand::Forbid(packets) => {
                let (selection, ends) = zones.forbidden(packets).ok()?;
                (selection.packets, Some(ends))
            }
            Demand::Closed(closed) => zones.closed(closed).ok()?,
        };
        let mut question = Question::new(region, Goal::Any);
        if let Some(ends) = ends {
            question = question.ending_in(ends);
        }
        for class in case.engine.classes(question) {
            looked_at += 1;
            if looked_at > MOST_CLASSES {
                return None;
            }
            let hops = class.ok()?.journey.hops;
            deciders.extend(hops.into_iter().filter_map(|hop| match hop.decider {
                Decider::Rule(rule) => Some(rule),
                Decider::Default
                | Decider::Skipped
                | Decider::OwnState
                | Decider::State
                | Decider::Nobody
                | Decider::Anchor(_) => None,
            }));
        }
    }
    let passes = rules.iter().enumerate().filter(|(_, rule)| rule.action == Action::Pass);
    let ids = passes.map(|(number, _)| RuleId {
        anchor: Ruleset::MAIN.into(),
        number,
    });
    let ids: Vec<RuleId> = ids.collect();
    Some(Coverage {
        all: ids.len(),
        silent: ids.into_iter().filter(|id| !deciders.contains(id)).collect(),
    })
}
