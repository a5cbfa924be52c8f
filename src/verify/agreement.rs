//! Whether the statements of a policy fit each other: a `require` that a `forbid` contradicts, an `allow` without use.

use crate::diagnostic::{Code, Diagnostic};
use crate::engine::{Goal, Question};
use crate::policy::ast::{Demand, Expectation, Spanned};
use crate::policy::{Excuse, Zones};

/// The errors of statements that contradict each other, each with the numbers of the two. (Where a rule redirects what the
/// one requires to where the other does not forbid it, both may hold.)
pub(super) fn contradictions(zones: &Zones<'_>) -> Vec<([usize; 2], Diagnostic)> {
    let policy = zones.policy();
    let mut findings = Vec::new();
    for (number, required) in policy.statements.iter().enumerate() {
        let Demand::Require(_, expectations) = &required.demand else {
            continue;
        };
        // It asks for another destination, and `forbid` goes by where packets end.
        let redirected = |one: &Spanned<Expectation>| matches!(one.value, Expectation::Rdr(Some(_)));
        if expectations.iter().any(redirected) {
            continue;
        }
        let Ok(flows) = zones.flows_of(required) else { continue };
        let flows = flows.packets.minus(zones.never_taken());
        for (other, forbidden) in policy.statements.iter().enumerate() {
            let Demand::Forbid(packets) = &forbidden.demand else {
                continue;
            };
            let Ok((region, ends)) = zones.forbidden(packets) else {
                continue;
            };
            // By the packet as it arrives: what is forbidden by where it ends may be required under another address.
            let both = zones.ending_unchanged(&flows.intersection(&region.packets));
            if !both.intersection(&ends).is_empty() {
                let says = "this `require` asks for what a `forbid` forbids";
                let finding = Diagnostic::new(Code::ContradictingStatements, says)
                    .at(required.span)
                    .related(forbidden.span, "forbidden here")
                    .help("where it is to be redirected, say so: `rdr-to HOST`");
                findings.push(([number, other], finding));
            }
        }
    }
    findings
}

/// The questions which of the packets get through that an `allow` excuses.
pub(super) fn excused<'z>(zones: &'z Zones<'_>, excuse: &'z Excuse) -> impl Iterator<Item = Question> + 'z {
    let arriving = Question::new(excuse.at_most(), Goal::GetsThrough);
    let ending = [(zones.everything(), &excuse.ending)].into_iter();
    let ending = ending.chain(excuse.crossing.iter().map(|(first, last)| (first, last)));
    let ending = ending.map(|(first, last)| Question::new(first.clone(), Goal::GetsThrough).ending_in(last.clone()));
    [arriving].into_iter().chain(ending)
}

/// The `allow` statements of which no packet gets through.
pub(super) fn unused_allows(zones: &Zones<'_>) -> Vec<Diagnostic> {
    let engine = zones.network().engine();
    let mut findings = Vec::new();
    for statement in &zones.policy().statements {
        if !matches!(statement.demand, Demand::Allow(_)) {
            continue;
        }
        let Ok(excuse) = zones.excused_by(statement) else {
            continue;
        };
        // Where the engine cannot say, it may be used.
        let used = excused(zones, &excuse).any(|question| engine.classes(question).next().is_some());
        // What is not known of its tables and networks may get through.
        if !excuse.at_most().is_empty() && !used && excuse.unknown.is_empty() {
            findings.push(
                Diagnostic::new(Code::UnusedAllow, "nothing that this `allow` allows gets through")
                    .at(statement.span)
                    .help("take it away, or say `forbid`"),
            );
        }
    }
    findings
}
