//! A router between a network and the world, and rulesets on it.

use pfproof::context::{Context, context_from_toml};
use pfproof::lower;
use pfproof::ruleset::Ruleset;
use pfproof::source::{MemoryLoader, Sources};

/// The router.
pub(crate) const ROUTER: &str = r#"
[interface.lo0]
addresses = ["127.0.0.1/8"]
[interface.em0]
addresses = ["203.0.113.7/24"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/16"]
[[route]]
to = "default"
interface = "em0"
via = "203.0.113.1"
"#;

/// The machine that a context.toml describes.
pub(crate) fn context(toml: &str) -> Context {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", toml);
    context_from_toml(&sources, file).0
}

/// The rules of a pf.conf that has no fault.
pub(crate) fn ruleset(text: &str, context: &Context) -> Ruleset {
    let mut sources = Sources::new();
    let loader = MemoryLoader::new();
    let (lowered, diagnostics) = lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], context);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    lowered.ruleset
}
