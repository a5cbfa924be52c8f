//! One line a finding: `FILE:LINE:COLUMN: SEVERITY[CODE]: text`, as editors and grep read it.

use super::look::printable;
use super::severity_word;
use crate::diagnostic::Diagnostic;
use crate::source::Sources;

/// The findings, one line each; help and related places are left out.
#[must_use]
pub fn diagnostics(findings: &[Diagnostic], sources: &Sources) -> String {
    findings.iter().map(|finding| line(finding, sources)).collect()
}

fn line(finding: &Diagnostic, sources: &Sources) -> String {
    let place = finding.primary.as_ref().map_or_else(String::new, |label| {
        let at = sources.location(label.span);
        format!("{}:{}:{}: ", at.name, at.line, at.column)
    });
    let severity = severity_word(finding.severity);
    let message = finding.message.replace('\n', " ");
    let text = format!("{place}{severity}[{}]: {message}", finding.code);
    format!("{}\n", printable(&text))
}
