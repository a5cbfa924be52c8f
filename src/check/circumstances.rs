//! Whether what was found holds in every circumstance in which the machine may be.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::repair::{Patient, Writing};
use crate::context::{Circumstance, Context, Interface};
use crate::lint;
use crate::policy::ast::Demand;
use crate::policy::{Macros, Zones};
use crate::print;
use crate::ruleset::{Rule, Ruleset};
use crate::verify::{Case, Cause, Doubt, Outcome, Verified, Violation, parsed, verify};

/// Why nothing is proved where the states of the machine are too many.
const TOO_MANY: &str = "the machine may be in more states than are looked at";
/// How many addresses are tried of those that a machine may have, and how many rules they may be tried with together: each takes
/// the longer, the more others are not known.
const MOST_TRIED: usize = 24;
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
    let states = others.into_iter().map(|other| (other, Alike::InAll));
    let samples = with_addresses(patient.zones).into_iter();
    for (other, alike) in states.chain(samples.map(|sample| (sample, Alike::ButForAddresses))) {
        let matters = |outcome: &Outcome| !other.is_more || matches!(outcome, Outcome::Holds | Outcome::Vacuous);
        if !verified.judgements.iter().any(|judgement| matters(&judgement.outcome)) {
            continue;
        }
        let ask = |case: Case<'_>| (verify(case).0, is_alike(patient, case, alike));
        let (there, is_alike) = patient.on(&other.context, ask).unwrap_or_default();
        for fault in there.faults {
            if !verified.faults.contains(&fault) {
                verified.faults.push(fault);
            }
        }
        for judgement in &mut verified.judgements {
            if !matters(&judgement.outcome) {
                continue;
            }
            let statement = patient.zones.policy().statements.get(judgement.statement);
            let requires = statement.is_some_and(|statement| matches!(statement.demand, Demand::Require(..)));
            // That the machine has an address of which somebody else was meant belies nothing.
            let requires = requires && matches!(alike, Alike::InAll);
            let mut same = there
                .judgements
                .iter()
                .filter(|one| one.statement == judgement.statement);
            let outcome = same.next().map(|one| &one.outcome);
            let agrees = agree(&judgement.outcome, outcome, requires);
            if !agrees {
                let words = match (&judgement.outcome, outcome) {
                    (Outcome::Violated(_) | Outcome::Vacuous, Some(Outcome::Holds)) => "it holds".to_owned(),
                    (_, Some(outcome)) => format!("it is {}", outcome.word()),
                    (_, None) => "it cannot be judged".to_owned(),
                };
                doubt(&mut judgement.outcome, format!("{words} while {}", other.words));
            }
            let offending = outcome.filter(|_| is_alike).and_then(Outcome::violation);
            if let Some((here, there)) = judgement.outcome.violation_mut().zip(offending) {
                show(here, there, &other.words);
                if !agrees {
                    here.causes
                        .extend(there.causes.iter().filter_map(|cause| supposing(cause, &other.words)));
                }
            }
        }
    }
}

/// How much of a ruleset has to be the same for a packet to be shown on its way through the other.
#[derive(Clone, Copy)]
enum Alike {
    InAll,
    /// A bare name stands for an address in the one, for none that is known in the other.
    ButForAddresses,
}

/// Whether the machine of the case has the same interfaces and rules, by the same numbers.
fn is_alike(patient: &Patient<'_>, case: Case<'_>, alike: Alike) -> bool {
    let rules = |ruleset: &Ruleset| -> Vec<_> {
        let told = |rule: &Rule| match alike {
            Alike::InAll => print::rule(rule),
            Alike::ButForAddresses => String::new(),
        };
        let rules = ruleset.all_rules();
        let rules = rules.map(|(id, rule)| (id, rule.origin.span.start, rule.origin.span.end, told(rule)));
        rules.collect()
    };
    let engine = patient.zones.network().engine();
    engine.space() == case.engine.space() && rules(engine.ruleset()) == rules(case.engine.ruleset())
}

/// Gives causes that could not be replayed the examples of the same causes where something is supposed of the machine.
fn show(here: &mut Violation, there: &Violation, supposed: &str) {
    for cause in here.causes.iter_mut().filter(|cause| cause.example.is_none()) {
        let mut same = there
            .causes
            .iter()
            .filter(|other| (&other.why, &other.hops, &other.end) == (&cause.why, &cause.hops, &cause.end))
            .filter(|other| other.own_reverse == cause.own_reverse);
        if let Some(Cause {
            conditions, example, ..
        }) = same.find_map(|other| supposing(other, supposed))
        {
            (cause.conditions, cause.example) = (conditions, example);
        }
    }
}

/// The cause with its example, of which it is said what is supposed; `None` where it has none.
fn supposing(cause: &Cause, supposed: &str) -> Option<Cause> {
    let mut cause = cause.clone();
    let example = cause.example.as_mut()?;
    example.supposed = Some(supposed.to_owned());
    Some(cause)
}

/// The machine with addresses that it may have where it is not known which: what is proved for each holds with them.
pub(super) fn with_addresses(zones: &Zones<'_>) -> Vec<Circumstance> {
    let engine = zones.network().engine();
    let (samples, unknown) = zones.sample_addresses();
    let rules = engine.ruleset().all_rules().count();
    let tried = MOST_RULES / (rules * unknown * unknown).max(1);
    let samples = samples
        .into_iter()
        .take(tried.clamp(1, MOST_TRIED))
        .map(|one| vec![one]);
    // With all of them known, packets can be replayed.
    let all = Some(zones.sample_of_each()).filter(|all| all.len() > 1);
    let with = |given: Vec<(&Interface, IpNet)>| {
        let given = given
            .iter()
            .map(|(interface, address)| (interface.name.as_str(), *address));
        engine.context().with_addresses(&given.collect::<Vec<_>>())
    };
    samples.chain(all).map(with).collect()
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
