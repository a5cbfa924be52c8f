//! Whether the statements of a policy fit each other: a `require` that a `forbid` contradicts, an `allow` without use.

use crate::diagnostic::{Code, Diagnostic};
use crate::engine::{Engine, Goal, Question};
use crate::policy::Zones;
use crate::policy::ast::{Demand, Expectation, Spanned};

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

/// Whether some packet of the question gets through; yes where the engine cannot say.
fn any_gets_through(engine: &Engine<'_>, question: Question) -> bool {
    engine.classes(question).next().is_some()
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
        let arriving = excuse.at_most();
        let all = zones.everything();
        let ending = [(all, &excuse.ending)].into_iter();
        let mut ending = ending.chain(excuse.crossing.iter().map(|(first, last)| (first, last)));
        let used = any_gets_through(engine, Question::new(arriving.clone(), Goal::GetsThrough))
            || ending.any(|(first, last)| {
                let question = Question::new(first.clone(), Goal::GetsThrough);
                any_gets_through(engine, question.ending_in(last.clone()))
            });
        // What is not known of its tables and networks may get through.
        if !arriving.is_empty() && !used && excuse.unknown.is_empty() {
            findings.push(
                Diagnostic::new(Code::UnusedAllow, "nothing that this `allow` allows gets through")
                    .at(statement.span)
                    .help("take it away, or say `forbid`"),
            );
        }
    }
    findings
}
