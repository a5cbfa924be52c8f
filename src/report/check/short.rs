//! One line for each statement that does not hold, and for each finding.

use super::{Report, Router};
use crate::report::look::printable;
use crate::report::short;
use crate::source::Sources;

/// The lines: `FILE:LINE:COLUMN: error[violated]: forbid from iot to clients: PACKET`; of a policy that is about
/// several machines each says which.
pub(super) fn render(report: &Report, sources: &[&Sources]) -> String {
    let mut out = String::new();
    for (router, sources) in report.routers.iter().zip(sources) {
        for statement in &router.statements {
            if statement.outcome == "holds" {
                continue;
            }
            let (file, line, column) = &statement.place;
            let outcome = match statement.outcome {
                "vacuous" => "vacuous-statement",
                other => other,
            };
            let why = statement.causes.first().map(|cause| {
                if cause.says.is_empty() {
                    format!(": {}", cause.packet)
                } else {
                    format!(": {} {}", cause.packet, cause.says)
                }
            });
            let why = why
                .or_else(|| statement.reasons.first().map(|reason| format!(": {reason}")))
                .unwrap_or_default();
            let more = statement
                .more
                .as_ref()
                .map(|reasons| format!(" (and more: {})", reasons.join("; ")));
            let more = more.unwrap_or_default();
            let speaks = |router: &&Router| router.statements.iter().any(|other| other.place.0 == *file);
            let whose = match report.routers.iter().filter(speaks).count() {
                1 => String::new(),
                _ => format!(" ({})", router.config),
            };
            let text = format!(
                "{file}:{line}:{column}: error[{outcome}]: {}{why}{more}{whose}",
                statement.text
            );
            out.push_str(&printable(&text));
            out.push('\n');
        }
        out.push_str(&short::diagnostics(&router.findings, sources));
    }
    out
}
