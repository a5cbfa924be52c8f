//! The cases of `corpus/cases`: each is checked as a user would, in a terminal of 80 columns without color, and the
//! answer compared with `expected.txt`. `NAME-broken` is found wrong, everything else right.
//!
//! With `PFPROOF_UPDATE=1` the expected answers are written instead.

use std::path::{Path, PathBuf};
use std::process::Command;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/cases");
    let entries = std::fs::read_dir(folder).expect("corpus/cases");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
    cases.sort();
    cases
}

/// Whether the case has faults that must be found: by its name, and the heater as its author published it.
fn is_wrong(name: &str) -> bool {
    name.ends_with("-broken") || name == "mill-heater"
}

fn check(case: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_pfproof"))
        .current_dir(case)
        .env("COLUMNS", "80")
        .args(["check", "-q"])
        .args(arguments)
        .output()
        .expect("pfproof runs");
    let answer = [output.stdout, output.stderr].concat();
    (String::from_utf8(answer).expect("utf-8"), output.status.code())
}

#[test]
fn every_case_is_answered_as_expected() {
    let bless = std::env::var_os("PFPROOF_UPDATE").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (answer, status) = check(&case, &[]);
        if status != Some(i32::from(is_wrong(&name))) {
            wrong.push(format!("{name}: status {status:?}\n{answer}"));
        }
        for line in answer.lines().filter(|line| line.chars().count() > 80) {
            wrong.push(format!("{name}: wider than the terminal: {line}"));
        }
        let golden = case.join("expected.txt");
        if bless {
            std::fs::write(&golden, &answer).expect("expected.txt is written");
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != answer {
            wrong.push(format!(
                "{name}: not as in expected.txt (PFPROOF_UPDATE=1 rewrites it):\n{answer}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn json_says_what_people_read() {
    for case in cases() {
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (answer, _) = check(&case, &["--format", "json"]);
        let report: serde_json::Value = serde_json::from_str(&answer).expect("json");
        assert_eq!(report["version"], 1, "{name}");
        let statements = report["routers"][0]["statements"].as_array().expect("statements");
        let bad = statements.iter().filter(|one| one["outcome"] != "holds");
        for statement in bad.clone() {
            let explained = !statement["reason"].is_null()
                || statement["counterexamples"]
                    .as_array()
                    .is_some_and(|all| !all.is_empty());
            assert!(explained, "{name}: {statement}");
            for packets in statement["boxes"].as_array().expect("boxes") {
                let of = |key: &str| packets[key].as_array().is_some_and(|list| !list.is_empty());
                assert!(of("in") || of("out"), "{name}: {packets}");
                let fields = packets.as_object().expect("a box").iter();
                let empty = fields.filter(|(_, value)| value.as_array().is_some_and(Vec::is_empty));
                assert_eq!(empty.count(), 0, "{name}: {packets}");
            }
        }
        let contradicted = report["routers"][0]["findings"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["level"] == "error"));
        assert_eq!(bad.count() > 0 || contradicted, is_wrong(&name), "{name}");
    }
}

#[test]
fn color_changes_nothing_but_color() {
    for case in cases() {
        let (plain, _) = check(&case, &["--color", "never"]);
        let (colored, _) = check(&case, &["--color", "always"]);
        let mut stripped = String::new();
        let mut rest = colored.as_str();
        while let Some((before, escape)) = rest.split_once('\x1b') {
            stripped.push_str(before);
            rest = escape.split_once('m').map_or("", |(_, after)| after);
        }
        stripped.push_str(rest);
        assert_eq!(plain, stripped, "{}", case.display());
    }
}
