//! Whether what was found holds in every circumstance in which the machine may be.

use std::collections::BTreeSet;

use super::repair::Patient;
use crate::lint;
use crate::policy::ast::Demand;
use crate::verify::{Case, Doubt, Outcome, Verified, Violation, verify};

/// Takes back what does not come out the same in another circumstance of the machine: then it is unproven.
pub(super) fn hold(patient: &Patient<'_>, verified: &mut Verified) {
    if verified.judgements.is_empty() {
        return;
    }
    let Some(others) = patient.context.circumstances() else {
        let words = "carp and default routes leave the machine in more states than are looked at";
        for judgement in &mut verified.judgements {
            doubt(&mut judgement.outcome, words.to_owned());
        }
        return;
    };
    for other in others {
        let there = patient.with(patient.text, &other.context, |case| verify(case).0);
        for judgement in &mut verified.judgements {
            let same = there.iter().flat_map(|there| &there.judgements);
            let same = same.map(|there| (there.statement, &there.outcome));
            let outcome = same
                .filter(|(statement, _)| *statement == judgement.statement)
                .map(|(_, outcome)| outcome)
                .next();
            let requires = patient
                .policy
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

/// The statements of pf.conf of which no rule decides in any other circumstance; `None` where there is no other.
pub(super) fn never_deciding(patient: &Patient<'_>) -> Option<BTreeSet<u32>> {
    let Some(others) = patient.context.circumstances() else {
        return Some(BTreeSet::new());
    };
    let never = others.iter().map(|other| {
        let ask = |case: Case<'_>| lint::never_deciding(case.engine, case.assumed_anchors);
        patient.with(patient.text, &other.context, ask).unwrap_or_default()
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
