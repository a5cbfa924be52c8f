//! Machines as folders in one text, each statement of whose policies says its outcome (`# => unproven`): those of
//! `corpus/known`, of which all is known, and those of `corpus/unknown`, of which only the running machine knows some. There a
//! proof holds for every value, or is none; here what is violated is shown by a packet.

#[allow(dead_code, reason = "other tests do more with trees")]
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use tree::Tree;

/// The files of a text, each after a line `=== NAME`.
fn files(text: &str) -> Vec<(&str, String)> {
    let mut files: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("=== "), files.last_mut()) {
            (Some(name), _) => files.push((name, String::new())),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            // What the text is about.
            (None, None) => {}
        }
    }
    files
}

/// What a line of a policy says after `# =>`, by its number.
fn expected(policy: &str) -> Vec<(u64, String)> {
    let lines = policy.lines().zip(1..);
    lines
        .filter_map(|(line, number)| Some((number, line.split_once("# => ")?.1.trim().to_owned())))
        .collect()
}

/// What `check` says of the machine in that tree, and to standard error.
fn judged(tree: &Tree, arguments: &[&str]) -> (serde_json::Value, String) {
    let (out, error, _) = tree.run(&[&["check", "-q", "--format", "json"], arguments].concat());
    let mut report: serde_json::Value = serde_json::from_str(&out).expect("json");
    (report["routers"][0].take(), error)
}

/// The outcome of each statement, by its line.
fn outcomes(router: &serde_json::Value) -> Vec<(u64, String)> {
    let statements = router["statements"].as_array().expect("statements").iter();
    let outcome = |one: &serde_json::Value| {
        let outcome = one["outcome"].as_str().expect("an outcome").to_owned();
        (one["line"].as_u64().expect("a line"), outcome)
    };
    statements.map(outcome).collect()
}

/// The texts of a folder of the corpus.
fn texts(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(folder);
    let entries = fs::read_dir(folder).expect("a folder of the corpus");
    let mut texts: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    texts.sort();
    texts
}

#[test]
fn what_is_known_is_shown() {
    let mut wrong = Vec::new();
    for path in texts("known") {
        let text = fs::read_to_string(&path).expect("a text");
        let files = files(&text);
        let texts: Vec<(&str, &str)> = files.iter().map(|(file, text)| (*file, text.as_str())).collect();
        let (router, error) = judged(&Tree::new(&texts), &[]);
        for statement in router["statements"].as_array().expect("statements") {
            let shows = statement["counterexamples"]
                .as_array()
                .is_some_and(|all| !all.is_empty());
            if statement["outcome"] == "violated" && !shows {
                wrong.push(format!("{path:?}: {statement} is not shown\n{error}"));
            }
        }
        if router["faults"].as_array().is_some_and(|faults| !faults.is_empty()) {
            wrong.push(format!("{path:?}: {}", router["faults"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_is_not_known_is_not_proved() {
    let mut wrong = Vec::new();
    for path in texts("unknown").into_iter().chain(texts("known")) {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a text");
        let files = files(&text);
        let texts: Vec<(&str, &str)> = files.iter().map(|(file, text)| (*file, text.as_str())).collect();
        let tree = Tree::new(&texts);
        let (router, error) = judged(&tree, &[]);
        let found = outcomes(&router);
        // What is not known stays so when the context is written down.
        let (written, ..) = tree.run(&["context"]);
        tree.write("written.toml", &written);
        let (again, _) = judged(&tree, &["--context", "written.toml"]);
        if outcomes(&again) != found {
            wrong.push(format!("{name}, written: {again}\n{router}\n{written}"));
        }
        let policy = files.iter().find(|(file, _)| file.ends_with(".policy"));
        let (_, policy) = policy.expect("a policy");
        assert!(!expected(policy).is_empty(), "{name}: no outcome is expected");
        if found != expected(policy) {
            wrong.push(format!(
                "{name}: {found:?}, not {:?}\n{router}\n{error}",
                expected(policy)
            ));
        }
        if let Some((_, lines)) = files.iter().find(|(file, _)| *file == "findings") {
            let findings = router["findings"].as_array().expect("findings").iter();
            let said: Vec<&str> = findings.filter_map(|finding| finding["message"].as_str()).collect();
            assert_eq!(said, lines.lines().collect::<Vec<_>>(), "{name}");
        }
        let assumed = router["assumed"].as_array().expect("assumptions");
        assert!(assumed.len() <= 5, "{name}: {assumed:?}");
        if let Some((_, lines)) = files.iter().find(|(file, _)| *file == "assumed") {
            let said: Vec<&str> = assumed.iter().filter_map(serde_json::Value::as_str).collect();
            assert_eq!(said, lines.lines().collect::<Vec<_>>(), "{name}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
