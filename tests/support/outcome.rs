//! A small machine, and its statements judged.

use pfproof::check;
use pfproof::report::check::Router;
use pfproof::source::{MemoryLoader, Sources};

/// The way out on em0, hosts on em1, others on em3.
pub(crate) const MACHINE: &str = r#"
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

pub(crate) const ZONES: &str = "zone wan on em0\nzone lan on em1\nzone dmz on em3\n";

pub(crate) fn judged(pf_conf: &str, machine: &str, zones: &str, statements: &str) -> (Sources, Router) {
    let policy = format!("{zones}{statements}");
    let (sources, router) = check::texts(pf_conf, machine, &policy, &MemoryLoader::new());
    assert!(router.faults.is_empty(), "{pf_conf}{statements}{:?}", router.faults);
    (sources, router)
}

/// The outcome of each statement, as expected; a violated one shows a packet.
pub(crate) fn check_on(pf_conf: &str, machine: &str, zones: &str, statements: &[(&str, &str)]) {
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
        let shows = found.causes.iter().any(|cause| cause.example.is_some());
        assert!(shows || found.outcome != "violated", "no packet: {words}");
    }
}

pub(crate) fn check(pf_conf: &str, statements: &[(&str, &str)]) {
    check_on(pf_conf, MACHINE, ZONES, statements);
}
