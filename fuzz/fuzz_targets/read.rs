//! Reading and expanding any bytes ends, without a panic, and every finding lies in a text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pfproof::context::context_from_toml;
use pfproof::lower;
use pfproof::source::{MemoryLoader, Sources};

/// A small router.
const MACHINE: &str = include_str!("machine.toml");

fuzz_target!(|bytes: &[u8]| {
    let mut sources = Sources::new();
    let machine = sources.add("context.toml", MACHINE);
    let (context, _) = context_from_toml(&sources, machine);
    let loader = MemoryLoader::new().with("file", "10.0.0.0/8\n!10.1.0.0/16\n").with("itself", bytes);
    let (_, findings) = lower::load(&mut sources, &loader, "pf.conf", bytes, &[], &context);
    for finding in &findings {
        for label in finding.primary.iter().chain(&finding.related) {
            assert!(label.span.start as usize <= sources.file(label.span.file).text().len() + 1, "{finding:?}");
        }
    }
});
