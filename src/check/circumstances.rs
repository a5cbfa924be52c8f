//! Whether what was found holds in every circumstance in which the machine may be.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::repair::{Patient, Writing};
use crate::context::{Circumstance, Context, Interface};
use crate::lint;
use crate::policy::ast::Demand;
use crate::policy::{Macros, Zones};
use crate::verify::{Case, Doubt, Outcome, Verified, Violation, parsed, verify};

/// Why nothing is proved where the states of the machine are too many.
const TOO_MANY: &str = "the machine may be in more states than are looked at";
/// How many addresses are tried of those that a machine may have, and how many rules they may be tried with together: each takes
/// the longer, the more others are not known.
const MOST_TRIED: usize = 16;
const MOST_RULES: usize = 20_000;

/// Takes back what does not come out the same in another circumstance of the machine: then it is unproven.
pub(super) fn hold(patient: &Patient<'_>, verified: &mut Verified) {
    if verified.judgements.is_empty() {
        return;
    }
    let Some(others) = patient.context.circumstances() else {
        for judgement in &mut verified.judgements {
            doubt(&mut judgement.outcome, TOO_MANY.to_owned());
        }
        return;
    };
    for other in others.into_iter().chain(with_addresses(patient.zones)) {
        let matters = |outcome: &Outcome| !other.is_more || matches!(outcome, Outcome::Holds | Outcome::Vacuous);
        if !verified.judgements.iter().any(|judgement| matters(&judgement.outcome)) {
            continue;
        }
        let there = patient.on(&other.context, |case| verify(case).0);
        for judgement in &mut verified.judgements {
            if !matters(&judgement.outcome) {
                continue;
            }
            let same = there.iter().flat_map(|there| &there.judgements);
            let same = same.map(|there| (there.statement, &there.outcome));
            let outcome = same
                .filter(|(statement, _)| *statement == judgement.statement)
                .map(|(_, outcome)| outcome)
                .next();
            let requires = patient
                .zones
                .policy()
                .statements
                .get(judgement.statement)
                .is_some_and(|statement| matches!(statement.demand, Demand::Require(..)));
            if agree(&judgement.outcome, outcome, requires) {
                continue;
            }
            let words = match (&judgement.outcome, outcome) {
                (Outcome::Violated(_) | Outcome::Vacuous, Some(Outcome::Holds)) => "it holds".to_owned(),
                (_, Some(outcome)) => format!("it is {}", outcome.word()),
                (_, None) => "it cannot be judged".to_owned(),
            };
            doubt(&mut judgement.outcome, format!("{words} while {}", other.words));
        }
    }
}

/// The machine with addresses that it may have where it is not known which: what is proved for each holds with them.
fn with_addresses(zones: &Zones<'_>) -> Vec<Circumstance> {
    let engine = zones.network().engine();
    let (samples, unknown) = zones.sample_addresses();
    let rules = engine.ruleset().all_rules().count();
    let tried = MOST_RULES / (rules * unknown * unknown).max(1);
    let samples = samples.into_iter().take(tried.clamp(1, MOST_TRIED));
    let with = |(interface, address): (&Interface, IpNet)| engine.context().with_address(&interface.name, address);
    samples.map(with).collect()
}

/// A draft of a policy without what does not hold in every circumstance of that machine: a `require` becomes an `allow`,
/// other statements become comments that say why.
pub(super) fn settle_draft(writing: &Writing<'_>, context: &Context, draft: &str, macros: &Macros) -> String {
    let mut lines: Vec<String> = draft.lines().map(str::to_owned).collect();
    let policy = parsed(draft, macros);
    let others = context.circumstances();
    let mut unsettled: BTreeMap<usize, String> = BTreeMap::new();
    let samples = writing.on(context, &policy, |case| with_addresses(case.zones));
    for other in others.iter().flatten().chain(samples.iter().flatten()) {
        let there = writing.on(&other.context, &policy, |case| verify(case).0);
        for (number, statement) in policy.statements.iter().enumerate() {
            let judgements = there.iter().flat_map(|there| &there.judgements);
            let mut judgements = judgements.filter(|judgement| judgement.statement == number);
            let outcome = judgements.next().map(|judgement| &judgement.outcome);
            let requires = matches!(statement.demand, Demand::Require(..));
            if !agree(&Outcome::Holds, outcome, requires) {
                unsettled
                    .entry(number)
                    .or_insert_with(|| format!("while {}", other.words));
            }
        }
    }
    if others.is_none() {
        let all = 0..policy.statements.len();
        unsettled.extend(all.map(|number| (number, TOO_MANY.to_owned())));
    }
    for (number, why) in unsettled {
        let Some(statement) = policy.statements.get(number) else {
            continue;
        };
        let before = draft.get(..statement.span.start as usize).unwrap_or("");
        let Some(line) = lines.get_mut(before.matches('\n').count()) else {
            continue;
        };
        match &statement.demand {
            Demand::Require(..) => *line = format!("{}  # not surely: {why}", line.replacen("require", "allow", 1)),
            Demand::Forbid(_) | Demand::Closed(_) => *line = format!("# {line}  # not surely: {why}"),
            Demand::Allow(_) => {}
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The statements of pf.conf of which no rule decides in any other circumstance; `None` where there is no other.
pub(super) fn never_deciding(patient: &Patient<'_>) -> Option<BTreeSet<u32>> {
    let Some(others) = patient.context.circumstances() else {
        return Some(BTreeSet::new());
    };
    let never = others.iter().map(|other| {
        let ask = |case: Case<'_>| lint::never_deciding(case.engine, case.assumed_anchors);
        patient.on(&other.context, ask).unwrap_or_default()
    });
    never.reduce(|a, b| a.intersection(&b).copied().collect())
}

/// Whether an outcome stands beside what comes out in another circumstance: what is required has to be possible there.
fn agree(here: &Outcome, there: Option<&Outcome>, requires: bool) -> bool {
    match here {
        Outcome::Unproven { .. } => true,
        Outcome::Holds if requires => matches!(there, Some(Outcome::Holds)),
        Outcome::Holds | Outcome::Vacuous => matches!(there, Some(Outcome::Holds | Outcome::Vacuous)),
        Outcome::Violated(_) => matches!(there, Some(Outcome::Violated(_))),
    }
}

/// Makes an outcome unproven, for that reason; the packets that offend it are kept.
fn doubt(outcome: &mut Outcome, words: String) {
    let doubt = Doubt::Circumstance(words);
    match outcome {
        Outcome::Unproven { doubts, .. } => doubts.push(doubt),
        Outcome::Holds | Outcome::Vacuous => {
            *outcome = Outcome::Unproven {
                doubts: vec![doubt],
                violation: Violation::default(),
            };
        }
        Outcome::Violated(violation) => {
            *outcome = Outcome::Unproven {
                doubts: vec![doubt],
                violation: std::mem::take(violation),
            };
        }
    }
}
