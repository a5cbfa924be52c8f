//! DESIGN's `check --format json`, version 1.

use serde_json::{Value, json};

use super::{Report, Router, Statement};
use crate::report::json::diagnostic;
use crate::source::Sources;

/// The whole report as one JSON document and a newline.
pub(super) fn render(report: &Report, sources: &[&Sources]) -> String {
    let routers = report.routers.iter().zip(sources);
    let routers: Vec<Value> = routers.map(|(one, sources)| router(one, sources)).collect();
    format!("{}\n", json!({"version": 1, "routers": routers}))
}

fn router(router: &Router, sources: &Sources) -> Value {
    let statements: Vec<Value> = router.statements.iter().map(statement).collect();
    let findings: Vec<Value> = router
        .findings
        .iter()
        .map(|finding| diagnostic(finding, sources))
        .collect();
    let mut value = json!({
        "config": router.config,
        "assumed": router.assumed,
        "statements": statements,
        "findings": findings,
    });
    if let Some(words) = &router.refused {
        value["refused"] = json!(words);
    }
    value
}

fn statement(statement: &Statement) -> Value {
    let (file, line, _) = &statement.place;
    let counterexamples = statement
        .causes
        .iter()
        .filter_map(|cause| Some((cause, cause.json.as_ref()?)))
        .map(|(cause, (packet, expect))| {
            let mut value = json!({"packet": packet, "expect": expect});
            if !cause.says.is_empty() {
                value["says"] = json!(cause.says);
            }
            if !cause.choices.is_empty() {
                value["choices"] = json!(cause.choices);
            }
            value
        });
    json!({
        "file": file,
        "line": line,
        "verb": statement.verb,
        "name": statement.name,
        "outcome": statement.outcome,
        "reason": (!statement.reasons.is_empty()).then(|| statement.reasons.join("; ")),
        "counterexamples": counterexamples.collect::<Vec<_>>(),
        "packets": statement.packets,
        "boxes": statement.boxes.0,
        "boxes_left_out": statement.boxes.1,
        "more": statement.more.as_ref().map(|reasons| reasons.join("; ")),
    })
}
