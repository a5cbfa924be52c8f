//! Reading and expanding any bytes ends, without a panic, and every finding lies in a text.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pfproof::context::{Context, context_from_toml};
use pfproof::lower;
use pfproof::source::{MemoryLoader, Sources};

/// A small router.
static MACHINE: LazyLock<Context> = LazyLock::new(|| {
    let mut sources = Sources::new();
    let file = sources.add("machine.toml", include_str!("machine.toml"));
    context_from_toml(&sources, file).0
});

fuzz_target!(|bytes: &[u8]| {
    let mut sources = Sources::new();
    let loader = MemoryLoader::new()
        .with("file", "10.0.0.0/8\n!10.1.0.0/16\n")
        .with("itself", bytes);
    let (_, findings) = lower::load(&mut sources, &loader, "pf.conf", bytes, &[], &MACHINE);
    for finding in &findings {
        for label in finding.primary.iter().chain(&finding.related) {
            assert!(
                label.span.start as usize <= sources.file(label.span.file).text().len() + 1,
                "{finding:?}"
            );
        }
    }
});
