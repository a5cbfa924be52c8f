//! Whether two rules do the same where they decide, whatever they match.

use crate::ruleset::{Rule, RuleId};

/// Whether the two do the same where they decide, whatever they match.
pub(in crate::engine) fn acts_like((id, rule): (&RuleId, &Rule), (other_id, other): (&RuleId, &Rule)) -> bool {
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
