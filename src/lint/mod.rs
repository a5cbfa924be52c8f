//! What is wrong with a ruleset whatever its policy: one file a lint, all of them in [`LINTS`].
//!
//! Lints say *what passes* by the engine, never by looks, and show a packet that the evaluator has replayed. What the
//! steps do not suffice for is said, not guessed.

mod moved;
mod never_decides;

pub use never_decides::never_deciding;

use std::collections::BTreeSet;

use crate::diagnostic::{Code, Diagnostic};
use crate::engine::Engine;
use crate::policy::Zones;
use crate::ruleset::Name;
use crate::source::Sources;

/// What lints look at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The texts, for places in messages.
    pub sources: &'a Sources,
    /// The ruleset and the machine.
    pub engine: &'a Engine<'a>,
    /// What a policy speaks of there.
    pub zones: &'a Zones<'a>,
    /// Anchors whose contents are assumed: they are no text of the user's.
    pub assumed_anchors: &'a [Name],
    /// The statements of which no rule decides in any other circumstance of the machine, where there are such.
    pub never_elsewhere: Option<&'a BTreeSet<u32>>,
}

/// One lint.
#[derive(Debug)]
pub struct Lint {
    /// The codes of its findings.
    pub codes: &'static [Code],
    run: fn(Subject<'_>) -> Vec<Diagnostic>,
}

/// Every lint, in the order in which findings are told.
pub const LINTS: &[Lint] = &[Lint {
    codes: &[Code::NeverDecides, Code::DeadListItem],
    run: never_decides::findings,
}];

/// What the lints find.
#[must_use]
pub fn findings(subject: Subject<'_>) -> Vec<Diagnostic> {
    LINTS.iter().flat_map(|lint| (lint.run)(subject)).collect()
}
