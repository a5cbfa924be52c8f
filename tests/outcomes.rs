//! What becomes of statements where it once went wrong: small machines and rulesets, written by hand.

use std::time::{Duration, Instant};

use pfproof::check;
use pfproof::report::check::{Report, Router};
use pfproof::report::{Format, Look};
use pfproof::source::{MemoryLoader, Sources};

/// The way out on em0, hosts on em1, others on em3.
const MACHINE: &str = r#"
[interface.em0]
addresses = ["198.51.100.1/24"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24", "2001:db8:1::1/64"]
[interface.em3]
addresses = ["192.0.2.1/24"]
[[route]]
to = "default"
interface = "em0"
via = "198.51.100.254"
"#;

const ZONES: &str = "zone wan on em0\nzone lan on em1\nzone dmz on em3\n";

fn judged(pf_conf: &str, machine: &str, zones: &str, statements: &str) -> (Sources, Router) {
    let policy = format!("{zones}{statements}");
    let (sources, router) = check::texts(pf_conf, machine, &policy, &MemoryLoader::new());
    assert!(router.faults.is_empty(), "{pf_conf}{statements}{:?}", router.faults);
    (sources, router)
}

/// The outcome of each statement, as expected; a violated one shows a packet.
fn check_on(pf_conf: &str, machine: &str, zones: &str, statements: &[(&str, &str)]) {
    let lines: Vec<&str> = statements.iter().map(|(statement, _)| *statement).collect();
    let (_, router) = judged(pf_conf, machine, zones, &format!("{}\n", lines.join("\n")));
    assert_eq!(router.statements.len(), statements.len(), "{:?}", router.findings);
    for (found, (statement, expected)) in router.statements.iter().zip(statements) {
        let words = format!(
            "{pf_conf}\n`{statement}`: {:?} {:?}",
            found.reasons,
            found.causes.first().map(|cause| (&cause.packet, &cause.says))
        );
        assert_eq!(found.outcome, *expected, "{words}");
        let shows = found.causes.iter().any(|cause| cause.json.is_some());
        assert!(shows || found.outcome != "violated", "no packet: {words}");
    }
}

fn check(pf_conf: &str, statements: &[(&str, &str)]) {
    check_on(pf_conf, MACHINE, ZONES, statements);
}

#[test]
fn boxes_that_are_not_all_say_so_in_every_format() {
    // Whose socket it is nobody knows, beside a packet that surely offends.
    let rules = "block\npass in on em1 inet proto udp to 10.0.1.1 port 53\npass in on em1 inet proto tcp to 10.0.1.1 user root\n";
    let (sources, router) = judged(rules, MACHINE, ZONES, "closed from lan\n");
    assert_eq!(router.statements[0].outcome, "violated");
    let report = Report { routers: vec![router] };
    for (format, words) in [
        (Format::Human, "and more: rule @2 (pf.conf:3) asks for"),
        (Format::Short, "(and more: rule @2 (pf.conf:3) asks for"),
        (Format::Json, "\"more\":\"rule @2 (pf.conf:3) asks for"),
    ] {
        let text = report.render(&[&sources], format, Look::default());
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn anchors_that_call_each_other_are_given_up_soon() {
    let names: Vec<String> = (0..24).map(|at| format!("a{at}")).collect();
    let mut rules = "block\nanchor a0\n".to_owned();
    for pair in names.windows(2) {
        let (outer, inner) = (&pair[0], &pair[1]);
        rules += &format!("anchor {outer} {{\nanchor \"/{inner}\"\nanchor \"/{inner}\"\n}}\n");
    }
    rules += "anchor a23 {\npass proto tcp\n}\n";
    let begun = Instant::now();
    let (_, router) = judged(&rules, MACHINE, ZONES, "closed\n");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let statement = &router.statements[0];
    assert_eq!(statement.outcome, "unproven");
    assert_eq!(statement.reasons, ["the anchors make too many rules"]);
}
