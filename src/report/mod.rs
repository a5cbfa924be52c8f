//! What people and programs see: findings and results as text, one file a format.
//!
//! Everything here returns a `String`; writing it is the business of `cli`. miette is used in [`human`] only.

mod boxes;
pub mod check;
mod fields;
pub mod flows;
mod hosts;
pub mod human;
pub mod json;
mod look;
pub mod matrix;
mod route;
pub mod short;
pub mod trace;
mod trace_changes;
pub mod trace_json;
mod trace_miss;
mod trace_open;

pub use look::{Format, Look, Paint, printable};
pub use trace_open::{Filled, hangs_on_pool};

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::Sources;

/// The findings in that format, in the order given, each ending in a newline; empty where there are none.
#[must_use]
pub fn diagnostics(findings: &[Diagnostic], sources: &Sources, format: Format, look: Look) -> String {
    match format {
        Format::Human => human::diagnostics(findings, sources, look),
        Format::Short => short::diagnostics(findings, sources),
        Format::Json => json::diagnostics(findings, sources),
    }
}

/// The word for a severity in every format.
#[must_use]
pub fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}
