//! What is printed of an accepted ruleset is accepted, and prints the same.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use pfproof::context::{Context, context_from_toml};
use pfproof::diagnostic::Severity;
use pfproof::source::{MemoryLoader, Sources};
use pfproof::{lower, print};

/// A small router.
static MACHINE: LazyLock<Context> = LazyLock::new(|| {
    let mut sources = Sources::new();
    let file = sources.add("machine.toml", include_str!("machine.toml"));
    context_from_toml(&sources, file).0
});

/// The print of a ruleset; `None` if it is refused.
fn printed(bytes: &[u8]) -> Option<String> {
    let mut sources = Sources::new();
    let loader = MemoryLoader::new();
    let (lowered, findings) = lower::load(&mut sources, &loader, "pf.conf", bytes, &[], &MACHINE);
    let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
    (!refused).then(|| print::ruleset(&lowered.ruleset, &lowered.loaded, false))
}

fuzz_target!(|bytes: &[u8]| -> Corpus {
    // pfctl prints names without the quotes that they need: only names that need none come back.
    if bytes.iter().any(|byte| matches!(byte, b'"' | b'\'' | b'\\')) {
        return Corpus::Reject;
    }
    let Some(first) = printed(bytes) else {
        return Corpus::Keep;
    };
    // pfctl prints an inline anchor without rules without its braces: one without a name, or within another, by the name
    // that it has inside pfctl, which it does not read again.
    let bare = |line: &str| {
        let anchor = line.trim_start().strip_prefix("anchor ");
        anchor.is_some_and(|rest| !line.ends_with('{') && (rest.starts_with("\"_") || !rest.starts_with('"')))
    };
    // A pool of prefix 0 is printed as `any`, which no pool takes.
    let any_pool = |line: &str| line.contains("-to any");
    if first.lines().any(|line| bare(line) || any_pool(line)) {
        return Corpus::Keep;
    }
    let second = printed(first.as_bytes());
    assert_eq!(
        second.as_deref(),
        Some(first.as_str()),
        "printed and read again:\n{first}"
    );
    Corpus::Keep
});
