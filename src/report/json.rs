//! Findings as JSON: the objects under `findings` of DESIGN's `check --format json`.

use serde_json::{Value, json};

use super::severity_word;
use crate::diagnostic::{Diagnostic, Label};
use crate::source::Sources;

/// The findings as one JSON document: `{"version":1,"findings":[…]}` and a newline.
#[must_use]
pub fn diagnostics(findings: &[Diagnostic], sources: &Sources) -> String {
    let findings: Vec<Value> = findings.iter().map(|finding| diagnostic(finding, sources)).collect();
    format!("{}\n", json!({"version": 1, "findings": findings}))
}

/// One finding: `code`, `level`, `file`, `line`, `column` (null without a place), `message`, `help` (null
/// where there is none), `related` (a list of `file`, `line`, `column`, `message`).
#[must_use]
pub fn diagnostic(finding: &Diagnostic, sources: &Sources) -> Value {
    let mut value = json!({
        "code": finding.code.slug(),
        "level": severity_word(finding.severity),
        "file": null, "line": null, "column": null,
        "message": finding.message,
        "help": finding.help,
    });
    if let Some(label) = &finding.primary {
        place(&mut value, label, sources);
    }
    value["related"] = finding
        .related
        .iter()
        .map(|label| {
            let mut value = json!({});
            place(&mut value, label, sources);
            value["message"] = json!(label.text);
            value
        })
        .collect();
    value
}

fn place(value: &mut Value, label: &Label, sources: &Sources) {
    let at = sources.location(label.span);
    value["file"] = json!(at.name);
    value["line"] = json!(at.line);
    value["column"] = json!(at.column);
}
