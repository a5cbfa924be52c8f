//! DESIGN's `check --format json`, version 1.

use serde_json::{Value, json};

use super::{Model, Report, Router, Statement};
use crate::packet::write_json;
use crate::report::fields;
use crate::report::json::diagnostic;
use crate::report::trace_json::expect;
use crate::source::Sources;

/// The whole report as one JSON document and a newline.
pub(super) fn render(report: &Report, sources: &[&Sources]) -> String {
    let routers = report.routers.iter().zip(sources);
    let routers: Vec<Value> = routers.map(|(one, sources)| router(one, sources)).collect();
    format!("{}\n", json!({"version": 1, "routers": routers}))
}

fn router(router: &Router, sources: &Sources) -> Value {
    let model = router.model.iter();
    let statements: Vec<Value> = model
        .flat_map(|model| router.statements.iter().map(|one| statement(one, model)))
        .collect();
    let findings: Vec<Value> = router
        .findings
        .iter()
        .map(|finding| diagnostic(finding, sources))
        .collect();
    let unspoken = router.unspoken.as_ref();
    json!({
        "config": router.config,
        "assumed": router.assumed,
        "statements": statements,
        "findings": findings,
        "unspoken": unspoken.map(|unspoken| json!({"packets": unspoken.packets, "more": unspoken.more})),
        "refused": router.refused,
    })
}

fn statement(statement: &Statement, model: &Model) -> Value {
    let (file, line, _) = &statement.place;
    let (boxes, left_out) = fields::boxes(statement.boxes.boxes(), &model.space);
    let counterexamples = statement
        .causes
        .iter()
        .filter_map(|cause| Some((cause, cause.example.as_ref()?)))
        .map(|(cause, (packet, journey))| {
            json!({
                "packet": write_json(packet),
                "expect": expect(journey, &model.ruleset),
                "says": (!cause.says.is_empty()).then_some(&cause.says),
                "choices": cause.choices,
            })
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
        "boxes": boxes,
        "boxes_left_out": left_out,
        "own_reverse": statement.own_reverse,
        "more": statement.more.as_ref().map(|reasons| reasons.join("; ")),
    })
}
