//! Packets of a `require` that get through and do not go where their hosts are: `route-to` sends them out by another
//! interface. POLICY has such a statement hold, for that way may lead there too.

use super::judge::Case;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::engine::{Class, Decider, End, Field, Goal, InterfaceId, Question};
use crate::policy::Network;
use crate::policy::ast::{Demand, Statement};
use crate::ruleset::{RouteToKind, Rule, RuleId};

/// How many ways of the packets of a statement are looked at, and how many steps that may take.
const MOST_CLASSES: usize = 1000;
const STEPS: u64 = 400_000;

/// The warnings about each `require` of whose packets `route-to` sends some out by another interface than they are routed
/// to. Behind a default route are the same hosts as behind another: of these nothing is said.
pub(super) fn sent_astray(case: Case<'_>) -> Vec<Diagnostic> {
    let sends = |rule: &Rule| {
        let route = rule.route_to.as_ref();
        route.is_some_and(|route| route.kind == RouteToKind::RouteTo)
    };
    let rules = case.engine.ruleset().all_rules();
    let senders: Vec<RuleId> = rules.filter(|(_, rule)| sends(rule)).map(|(id, _)| id).collect();
    if senders.is_empty() {
        return Vec::new();
    }
    let statements = case.zones.policy().statements.iter();
    let required = statements.filter(|statement| matches!(statement.demand, Demand::Require(..)));
    required
        .filter_map(|statement| warning(case, &senders, statement))
        .collect()
}

fn warning(case: Case<'_>, senders: &[RuleId], statement: &Statement) -> Option<Diagnostic> {
    let Case { zones, engine, .. } = case;
    let flows = zones.flows_of(statement).ok()?.packets.minus(zones.never_taken());
    let question = Question::new(flows, Goal::GetsThrough).without_copies().within(STEPS);
    let classes = engine.classes(question.decided_by(senders.iter().cloned()));
    let classes = classes.filter_map(Result::ok).take(MOST_CLASSES);
    let (class, [there, out]) = classes
        .filter_map(|class| passed_by(&class, zones.network()).map(|between| (class, between)))
        .next()?;
    let [there, out] = [there, out].map(|id| engine.space().interface_name(id));
    let sends = match class.conditions.is_empty() {
        true => "sends",
        false => "may send",
    };
    let message =
        format!("`route-to` {sends} some of these packets out by {out}, though their hosts are behind {there}");
    let mut finding = Diagnostic::new(Code::Policy, message)
        .at(statement.span)
        .help(format!("pass what is for {there} by a rule without `route-to`"));
    finding.severity = Severity::Warning;
    let deciders = class.journey.hops.iter().filter_map(|hop| match &hop.decider {
        Decider::Rule(id) if senders.contains(id) => engine.ruleset().rule(id),
        _ => None,
    });
    Some(match deciders.last() {
        Some(rule) => finding.related(rule.origin.span, "sent there by this rule"),
        None => finding,
    })
}

/// The interface that packets of a class are routed to by a route that is no default, and the other that they leave by.
fn passed_by(class: &Class, network: &Network<'_>) -> Option<[InterfaceId; 2]> {
    let End::Leaves(out) = class.journey.end else {
        return None;
    };
    let family = class.journey.hops.last()?.ends.family;
    let destinations = class
        .at_end(Field::Destination, &class.region)?
        .minus(&network.routed(out, family));
    let mut others = network.interfaces().filter(|&other| network.in_one_domain(other, out));
    let there = others.find(|&other| {
        !network.is_default(other, family) && !network.routed(other, family).is_disjoint(&destinations)
    })?;
    Some([there, out])
}
