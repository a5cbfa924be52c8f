//! Reading against the shared data: what pfctl accepts is read without a word, what it refuses as syntax is refused on
//! the same line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pfproof::diagnostic::Diagnostic;
use pfproof::source::{LoadError, Loader, Sources};
use pfproof::syntax::{Document, Limits, read};

struct Folder(PathBuf);

impl Loader for Folder {
    fn load(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        std::fs::read(self.0.join(path)).map_err(|_| LoadError::NotFound)
    }
}

fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no ../shared");
    None
}

fn read_file(path: &Path) -> (Sources, Document, Vec<Diagnostic>) {
    let bytes = std::fs::read(path).unwrap();
    let mut sources = Sources::new();
    let loader = Folder(path.parent().unwrap().to_owned());
    let (document, faults) = read(&mut sources, &loader, "stdin", &bytes, &[], &Limits::default());
    (sources, document, faults)
}

fn short(sources: &Sources, faults: &[Diagnostic]) -> Vec<String> {
    faults
        .iter()
        .map(|fault| {
            let place = sources.location(fault.primary.as_ref().unwrap().span);
            let label = &fault.primary.as_ref().unwrap().text;
            let help = fault.help.as_deref().unwrap_or("");
            format!(
                "{}:{}:{}: {} [{label}] ({help})",
                place.name, place.line, place.column, fault.message
            )
        })
        .collect()
}

/// Lines with an error in what pfctl says: `NAME:LINE: text`. It counts one more line than the text has, for the newline
/// that it adds at the end.
fn error_lines<'a>(said: impl Iterator<Item = &'a str>, text: &str) -> BTreeSet<u32> {
    let last = text.matches('\n').count() as u32 + 1;
    said.filter_map(|line| line.split(':').nth(1)?.parse().ok())
        .map(|line: u32| line.min(last))
        .collect()
}

#[test]
fn what_pfctl_accepts_is_read_without_a_word() {
    let mut wrong = Vec::new();
    for (folder, name) in [("regress", ""), ("vectors", "pf.conf"), ("real", "pf.conf")] {
        let Some(root) = shared(folder) else { return };
        for entry in std::fs::read_dir(root).unwrap() {
            let mut path = entry.unwrap().path();
            let stem = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.is_empty() {
                if stem.starts_with("pfail") || !(stem.ends_with(".in") || stem.ends_with(".ok")) {
                    continue;
                }
            } else if path.join("errors.txt").exists() || !path.is_dir() {
                continue;
            } else {
                path = path.join(name);
            }
            let (sources, _, faults) = read_file(&path);
            wrong.extend(
                short(&sources, &faults)
                    .into_iter()
                    .map(|fault| format!("{stem} {fault}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_pfctl_refuses_as_syntax_is_refused_on_the_same_line() {
    let mut wrong = Vec::new();
    for folder in ["regress", "vectors", "real"] {
        let Some(root) = shared(folder) else { return };
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_name().unwrap().to_string_lossy().into_owned();
            let (input, errors) = if path.join("errors.txt").exists() {
                (path.join("pf.conf"), path.join("errors.txt"))
            } else if stem.starts_with("pfail") && stem.ends_with(".in") {
                (path.clone(), path.with_extension("ok"))
            } else {
                continue;
            };
            let said = std::fs::read_to_string(errors).unwrap();
            let (sources, _, faults) = read_file(&input);
            let lines: BTreeSet<u32> = faults
                .iter()
                .map(|fault| sources.location(fault.primary.as_ref().unwrap().span).line)
                .collect();
            let text = String::from_utf8_lossy(&std::fs::read(&input).unwrap()).into_owned();
            let refused = error_lines(said.lines(), &text);
            let by_grammar = |line: &&str| {
                line.ends_with("syntax error") || line.contains("macro '") && line.ends_with("not defined")
            };
            for line in error_lines(said.lines().filter(by_grammar), &text).difference(&lines) {
                wrong.push(format!("{stem}: line {line} is read, pfctl refuses it"));
            }
            for line in lines.difference(&refused) {
                // So close after an error pfctl does not report another, and neither does it read the line.
                if !refused.contains(&(line - 1)) {
                    wrong.push(format!(
                        "{stem}: line {line} is refused: {:?}",
                        short(&sources, &faults)
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
