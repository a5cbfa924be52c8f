//! Laws of repairs, over random rulesets and policies on a small machine.
//!
//! - forall rulesets, statements: a repair is shown => with its rules the statement holds
//! - forall rulesets, statements: a repair is shown => with its rules what held holds

#[path = "support/cases.rs"]
mod cases;
#[path = "support/chance.rs"]
mod chance;
#[path = "support/fate.rs"]
#[expect(dead_code, reason = "no packet is followed here")]
mod fate;
#[path = "support/judge.rs"]
#[expect(dead_code, reason = "statements are written, not judged here")]
mod judge;
#[path = "support/packets.rs"]
#[expect(dead_code, reason = "no packet is drawn here")]
mod packets;
#[path = "support/random_policy.rs"]
mod random_policy;
#[path = "support/site.rs"]
#[expect(dead_code, reason = "the machine's text alone")]
mod site;

use judge::Statement;
use pfproof::check;
use pfproof::diagnostic::Severity;
use pfproof::report::check::{Repair, Router};
use pfproof::source::MemoryLoader;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use random_policy::{rule, statement};
use site::{MACHINES, SITES, ZONE_LINES};

fn judged(pf_conf: &str, machine: &str, policy: &str) -> Router {
    check::texts(pf_conf, machine, policy, &MemoryLoader::new()).1
}

/// The text with the rules of a repair where it says.
fn mended(pf_conf: &str, repair: &Repair) -> String {
    let mut lines: Vec<&str> = pf_conf.lines().collect();
    let at = repair.after.1 as usize;
    lines.splice(at..at, repair.rules.iter().map(String::as_str));
    lines.join("\n") + "\n"
}

/// The rules that pf takes, one after the other.
fn taken(rules: &[String], machine: &str) -> String {
    rules.iter().fold(String::new(), |text, rule| {
        let more = format!("{text}{rule}\n");
        let refused = |router: &Router| router.refused.is_some() || !router.findings.iter().all(is_fine);
        let is_refused = refused(&judged(&more, machine, ""));
        if is_refused { text } else { more }
    })
}

fn is_fine(finding: &pfproof::diagnostic::Diagnostic) -> bool {
    finding.severity != Severity::Error
}

#[test]
fn a_repair_mends_and_breaks_nothing() {
    let mut runner = TestRunner::new(Config {
        source_file: Some(file!()),
        ..cases::cases(200)
    });
    let rules = prop::collection::vec(rule(), 0..6);
    let statements = prop::collection::vec(statement(), 1..6);
    let repairs = std::cell::Cell::new(0);
    let law = |(rules, statements, site): (Vec<String>, Vec<Statement>, usize)| {
        let machine = MACHINES[site];
        let text = taken(&rules, machine);
        let lines: Vec<String> = statements.iter().map(Statement::words).collect();
        let policy = format!("{ZONE_LINES}{}\n", lines.join("\n"));
        let before = judged(&text, machine, &policy);
        for (at, repair) in before.statements.iter().enumerate() {
            let Some(repair) = &repair.repair else { continue };
            repairs.set(repairs.get() + 1);
            let text = mended(&text, repair);
            let after = judged(&text, machine, &policy);
            for (number, (was, is)) in before.statements.iter().zip(&after.statements).enumerate() {
                let must_hold = number == at || was.outcome == "holds";
                prop_assert!(
                    !must_hold || is.outcome == "holds",
                    "statement {number} is {} with the repair of {at}:\n{text}{policy}",
                    is.outcome
                );
            }
        }
        Ok(())
    };
    runner
        .run(&(rules, statements, 0..SITES), law)
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(repairs.get() > 0, "nothing was mended");
}

/// What a policy allows somebody uses: a repair that would stop it is none.
#[test]
fn a_repair_stops_nothing_that_is_allowed() {
    let machine = "[interface.em0]\naddresses = [\"203.0.113.7/24\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n\
                   [[route]]\nto = \"default\"\ninterface = \"em0\"\n";
    let text = "block in\npass out\npass in on em0 inet proto tcp to em0 port 22\n\
                pass in on em0 inet proto tcp to em0 port 2222\n";
    let repaired = |allowed: &str| {
        let policy = format!("zone internet on em0\n{allowed}closed from internet\n");
        let router = judged(text, machine, &policy);
        let closed = router.statements.last().expect("`closed`");
        assert_eq!(closed.outcome, "violated");
        closed.repair.as_ref().map(|repair| repair.rules.clone())
    };
    assert!(repaired("").is_some_and(|rules| rules.iter().any(|rule| rule.ends_with("to self"))));
    assert_eq!(repaired("allow inet proto tcp from internet to self port 22\n"), None);
}
