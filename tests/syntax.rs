//! Reading against the shared data: what pfctl accepts is read without a word, what it refuses as syntax is refused on
//! the same line.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pfproof::context::context_from_toml;
use pfproof::diagnostic::Diagnostic;
use pfproof::lower;
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

/// Lines with an error in what pfctl says: `NAME:LINE: text`.
fn error_lines<'a>(said: impl Iterator<Item = &'a str>) -> BTreeSet<u32> {
    said.filter_map(|line| line.split(':').nth(1)?.parse().ok()).collect()
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
            let refused = error_lines(said.lines());
            let by_grammar = |line: &&str| {
                line.ends_with("syntax error") || line.contains("macro '") && line.ends_with("not defined")
            };
            for line in error_lines(said.lines().filter(by_grammar)).difference(&lines) {
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

/// The shared rulesets, short ones first.
fn rulesets() -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in ["regress", "real"] {
        let Some(root) = shared(folder) else { return found };
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            let input = if path.is_dir() { path.join("pf.conf") } else { path };
            if input
                .extension()
                .is_some_and(|extension| extension == "in" || extension == "conf")
            {
                found.push((input.clone(), std::fs::read(&input).unwrap()));
            }
        }
    }
    found.sort_by_key(|(_, bytes)| bytes.len());
    found
}

/// Reads bytes; whatever comes of it, every place that is named lies in a text.
fn survives(bytes: &[u8], folder: &Path) {
    let mut sources = Sources::new();
    let loader = Folder(folder.to_owned());
    let (document, faults) = read(&mut sources, &loader, "pf.conf", bytes, &[], &Limits::default());
    for fault in &faults {
        let label = fault.primary.as_ref().expect("every refusal has a place");
        for span in std::iter::once(label.span).chain(fault.related.iter().map(|label| label.span)) {
            assert!(span.start <= span.end);
            // The end of the text is after the newline that pfctl's lexer adds.
            assert!(
                span.start as usize <= sources.file(span.file).text().len() + 1,
                "{fault:?}"
            );
        }
    }
    for statement in &document.statements {
        let span = document.span(statement.at);
        assert!(span.start < span.end && !sources.text(span).is_empty(), "{statement:?}");
    }
}

#[test]
fn every_prefix_is_survived() {
    for (path, bytes) in rulesets() {
        // Long files repeat themselves: as many cuts as a short file has bytes will do.
        let step = bytes.len().div_ceil(120).max(1);
        for end in (0..bytes.len()).step_by(step) {
            survives(&bytes[..end], path.parent().unwrap());
        }
    }
}

#[test]
fn every_deletion_of_a_byte_is_survived() {
    for (path, bytes) in rulesets() {
        let step = bytes.len().div_ceil(120).max(1);
        for at in (0..bytes.len()).step_by(step) {
            let shorter = [&bytes[..at], &bytes[at + 1..]].concat();
            survives(&shorter, path.parent().unwrap());
        }
    }
}

#[test]
fn a_strange_byte_anywhere_is_survived() {
    for (path, bytes) in rulesets() {
        for (at, strange) in (0..bytes.len())
            .step_by(101)
            .zip(b"\0\x01\x02\r\\\"'{}$#\xff\xc3\x80".iter().cycle())
        {
            let longer = [&bytes[..at], &[*strange], &bytes[at..]].concat();
            survives(&longer, path.parent().unwrap());
        }
    }
}

/// Reads a text that memory or time could be lost on, and gives what is said of it.
fn said_of(text: &[u8], files: &[(&str, &str)]) -> Vec<String> {
    let mut sources = Sources::new();
    let mut loader = pfproof::source::MemoryLoader::new();
    for (name, text) in files {
        loader = loader.with(*name, *text);
    }
    let (_, faults) = read(&mut sources, &loader, "pf.conf", text, &[], &Limits::default());
    faults
        .iter()
        .map(|fault| {
            let place = sources.location(fault.primary.as_ref().unwrap().span);
            format!("{}:{}: {}", place.name, place.line, fault.message)
        })
        .collect()
}

#[test]
fn nothing_hangs_or_dies() {
    let bytes = |piece: &str, times: usize| piece.repeat(times).into_bytes();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("open braces", [b"pass from ".to_vec(), bytes("{", 100_000)].concat()),
        (
            "open braces on lines",
            [b"pass from ".to_vec(), bytes("{\n", 100_000)].concat(),
        ),
        ("lists never closed", bytes("pass from { 10.0.0.1\n", 50_000)),
        ("lists never closed, without a keyword", bytes("$a { x\n", 50_000)),
        (
            "definitions in a list",
            [b"pass from {\n".to_vec(), bytes("a = 1\n", 50_000)].concat(),
        ),
        ("anchors", bytes("anchor a {\n", 100_000)),
        ("closing braces", bytes("}\n", 100_000)),
        ("negations", [b"pass from ".to_vec(), bytes("!", 100_000)].concat()),
        ("quotes", bytes("\"\n", 100_001)),
        ("escaped quotes", bytes("\\\"\n", 50_000)),
        ("quotes of both kinds", bytes("'\"\n", 50_000)),
        ("joined lines", bytes("\\\n", 200_000)),
        ("blank lines", bytes("\n", 1_000_000)),
        (
            "a comment without end",
            [b"#".to_vec(), bytes("x\\\n", 200_000)].concat(),
        ),
        ("dollars", bytes("$", 100_000)),
        ("a long word", bytes("x", 100_000)),
        ("a long number", bytes("9", 100_000)),
        ("operators", bytes("<>=!", 100_000)),
        ("bad lines", bytes("pas in\n", 100_000)),
        ("NUL", bytes("pass in\0\n", 10_000)),
        (
            "invalid UTF-8",
            [b"pass in \xff\xfe\n".to_vec(), b"# \xc3\n".to_vec()].concat(),
        ),
        (
            "a list of many",
            [b"pass from { ".to_vec(), bytes("10.0.0.1 ", 100_000), b"}\n".to_vec()].concat(),
        ),
    ];
    for (name, text) in cases {
        println!("{name}: {:?}", said_of(&text, &[]).first());
    }
}

#[test]
fn limits_are_said() {
    let deep = "pass from ".to_owned() + &"{ ".repeat(200) + "10.0.0.1" + &" }".repeat(200);
    assert_eq!(said_of(deep.as_bytes(), &[]), ["pf.conf:1: lists nest deeper than 64"]);

    let anchors = "anchor {\n".repeat(70) + &"}\n".repeat(70);
    assert_eq!(
        said_of(anchors.as_bytes(), &[]).first().unwrap(),
        "pf.conf:64: anchors too deep"
    );

    let itself = [("a", "include \"a\"\n")];
    assert_eq!(said_of(b"include \"a\"\n", &itself), ["a:1: failed to include file a"]);

    let twice = [
        ("a", "include \"b\"\ninclude \"b\"\n"),
        ("b", "include \"a\"\ninclude \"a\"\n"),
    ];
    assert!(said_of(b"include \"a\"\n", &twice).len() <= Limits::default().faults + 1);

    let mut doubling = "a = \"x x x x x x x x\"\n".to_owned();
    for _ in 0..60 {
        doubling += "a = $a $a\n";
    }
    let said = said_of(doubling.as_bytes(), &[]);
    assert_eq!(said.len(), 1);
    assert!(
        said[0].ends_with("the definition of a macro is larger than 1048576 bytes once macros are replaced"),
        "{said:?}"
    );
}

/// All that is said of a text, as the expected files of `corpus/syntax` have it.
fn told(sources: &Sources, findings: &[Diagnostic]) -> String {
    let place = |span| {
        let location = sources.location(span);
        let name = if location.name.ends_with(".conf") {
            ""
        } else {
            location.name
        };
        format!(
            "{name}{}{}:{}",
            if name.is_empty() { "" } else { ":" },
            location.line,
            location.column
        )
    };
    let mut text = String::new();
    for finding in findings {
        let label = finding.primary.as_ref().unwrap();
        text += &format!("{}: {}\n", place(label.span), finding.message);
        if !label.text.is_empty() {
            text += &format!("    here: {}\n", label.text);
        }
        for label in &finding.related {
            text += &format!("    {}: {}\n", place(label.span), label.text);
        }
        if let Some(help) = &finding.help {
            text += &format!("    help: {help}\n");
        }
    }
    text
}

#[test]
fn the_corpus_is_judged_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/syntax");
    let mut wrong = Vec::new();
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "conf") {
            continue;
        }
        cases += 1;
        let mut sources = Sources::new();
        let machine = std::fs::read_to_string(folder.join("machine.toml")).unwrap();
        let machine = sources.add("machine.toml", machine);
        let (context, _) = context_from_toml(&sources, machine);
        let name = path.file_name().unwrap().to_string_lossy();
        let bytes = std::fs::read(&path).unwrap();
        let (_, findings) = lower::load(&mut sources, &Folder(folder.clone()), &name, &bytes, &[], &context);
        let found = told(&sources, &findings);
        let expected = path.with_extension("expected");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &found).unwrap();
        }
        if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("{name}:\n{found}"));
        }
    }
    assert!(cases > 0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
