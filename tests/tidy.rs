//! The conventions of the tree, as tests: import order, file size, opening comments, paths named in the documents.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers in import order: each may use those before it.
const LAYERS: &[&str] = &[
    "source",
    "diagnostic",
    "net",
    "packet",
    "syntax",
    "context",
    "ruleset",
    "print",
    "lower",
    "eval",
    "engine",
    "policy",
    "verify",
    "lint",
    "diff",
    "mutate",
    "report",
    "check",
];

/// The floors of `engine` in import order.
const FLOORS: &[&str] = &["packets", "rules", "search", "answers"];

/// Layers that share data, never decisions.
const STRANGERS: &[(&str, &str)] = &[("eval", "engine"), ("engine", "eval")];

/// «Files stay under about 500 lines.»
const LONGEST_FILE: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<PathBuf> {
    ["src", "tests", "benches"]
        .iter()
        .flat_map(|folder| files_below(&root().join(folder), "rs"))
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Those of the modules that a text names below that path: of `crate::`, as `crate::lower::…`, `use crate::{net::…, packet}`.
fn modules_used(text: &str, path: &str, modules: &[&str]) -> Vec<String> {
    let mut used = Vec::new();
    for (at, _) in text.match_indices(path) {
        let rest = &text[at + path.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for letter in group.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => used.push(std::mem::take(&mut item)),
                    _ if depth == 0 => item.push(letter),
                    _ => {}
                }
            }
            used.push(item);
        } else {
            used.push(rest.to_owned());
        }
    }
    let word = |item: &String| {
        item.trim()
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
            .map(str::to_owned)
    };
    used.iter()
        .filter_map(word)
        .filter(|word| modules.contains(&word.as_str()))
        .collect()
}

/// What uses a later one of those modules, each a file or folder of that one, and how many imports were seen.
fn imports_against(order: &[&str], below: &str, path: &str) -> (Vec<String>, usize) {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (number, module) in order.iter().enumerate() {
        let mut files = files_below(&root().join(below).join(module), "rs");
        files.extend(Some(root().join(format!("{below}/{module}.rs"))).filter(|file| file.exists()));
        for file in files {
            for used in modules_used(&read(&file), path, order) {
                seen += 1;
                let later = order.iter().position(|&other| other == used) > Some(number);
                if later || STRANGERS.contains(&(module, used.as_str())) {
                    wrong.push(format!("{} uses {used}", name(&file)));
                }
            }
        }
    }
    (wrong, seen)
}

#[test]
fn imports_run_one_way() {
    for (order, below, path) in [(LAYERS, "src", "crate::"), (FLOORS, "src/engine", "crate::engine::")] {
        let (wrong, seen) = imports_against(order, below, path);
        assert!(seen > 0, "no import was found in {below}: the search is broken");
        assert!(
            wrong.is_empty(),
            "imports against the order of the layers:\n{}",
            wrong.join("\n")
        );
    }
}

#[test]
fn the_search_for_imports_finds_them() {
    let used = |text| modules_used(text, "crate::", LAYERS);
    assert_eq!(used("use crate::net::Family;"), ["net"]);
    assert_eq!(
        used("use crate::{net::{Family, Direction}, packet::Packet};"),
        ["net", "packet"]
    );
    assert_eq!(used("let x = crate::lower::lower();"), ["lower"]);
    let floors = modules_used("use crate::engine::search::path::Path;", "crate::engine::", FLOORS);
    assert_eq!(floors, ["search"]);
}

#[test]
fn the_library_does_no_input_or_output() {
    let banned = [
        "std::fs",
        "std::env",
        "std::process",
        "println!",
        "eprintln!",
        "std::io::stdout",
    ];
    let mut wrong = Vec::new();
    for layer in LAYERS {
        for file in files_below(&root().join("src").join(layer), "rs") {
            let text = read(&file);
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in lines {
                wrong.extend(
                    banned
                        .iter()
                        .filter(|word| line.contains(**word))
                        .map(|word| format!("{}: {word}", name(&file))),
                );
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "below cli nothing is read or written:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn files_open_with_their_job_and_stay_readable() {
    let files = rust_files();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let text = read(&file);
        if !text.starts_with("//!") {
            wrong.push(format!("{} does not open with `//!`", name(&file)));
        }
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!("{} has {lines} lines", name(&file)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn paths_named_in_the_documents_exist() {
    let tops = [
        "docs/", "src/", "grammar/", "corpus/", "tests/", "benches/", "fuzz/", ".ci/",
    ];
    let mut wrong = Vec::new();
    for document in ["README.md", "CHANGELOG.md"] {
        let text = read(&root().join(document));
        for word in text.split(|c: char| c.is_whitespace() || "`()[],;:|'\"".contains(c)) {
            let path = word.trim_end_matches(['.', '/']);
            let named = tops.iter().any(|top| word.starts_with(top)) && !word.contains(['*', '<', '{', 'N', '…']);
            if named && !root().join(path).exists() {
                wrong.push(format!("{document} names {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
