//! What pfctl prints and refuses, byte for byte and line by line, against the data beside the repository (`../shared`):
//! OpenBSD's own regression rulesets, published files, measured vectors.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use pfproof::context::{Context, Interface, InterfaceAddress, context_from_toml};
use pfproof::diagnostic::{Diagnostic, Severity};
use pfproof::lower::{Lowered, load};
use pfproof::print;
use pfproof::source::{LoadError, Loader, Sources};

/// Reads files relative to a folder, as pfctl does when it runs there.
struct Folder(PathBuf);

impl Loader for Folder {
    fn load(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        fs::read(self.0.join(path)).map_err(|_| LoadError::NotFound)
    }
}

fn shared(part: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(part);
    let found = path.is_dir();
    if !found {
        println!("skipped: no ../shared");
    }
    found.then_some(path)
}

/// The machine that the regression data assume (their README.md).
fn regress_machine() -> Context {
    let interface = |name: &str, addresses: &[&str]| Interface {
        name: name.to_owned(),
        addresses: addresses
            .iter()
            .map(|address| InterfaceAddress::Known(address.parse().unwrap()))
            .collect(),
        ..Interface::default()
    };
    let localhost: [IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    Context {
        interfaces: vec![
            interface("lo0", &["::1/128", "fe80::1/64", "127.0.0.1/8"]),
            interface("enc0", &[]),
            interface("lo1000000", &[]),
            interface("tun1000000", &[]),
            interface("tun1000001", &[]),
        ],
        hosts: [("localhost".to_owned(), localhost.to_vec())].into(),
        open: false,
        ..Context::default()
    }
}

struct Outcome {
    sources: Sources,
    lowered: Lowered,
    errors: Vec<Diagnostic>,
}

impl Outcome {
    /// What pfctl prints; nothing but the complaints where it refuses.
    fn printed(&self) -> Result<String, String> {
        if self.errors.is_empty() {
            Ok(print::ruleset(&self.lowered.ruleset, &self.lowered.loaded, false))
        } else {
            Err(self.complaints())
        }
    }

    fn complaints(&self) -> String {
        self.errors
            .iter()
            .map(|error| match &error.primary {
                Some(label) => {
                    let place = self.sources.location(label.span);
                    format!("{}:{}: {}\n", place.name, place.line, error.message)
                }
                None => format!("{}\n", error.message),
            })
            .collect()
    }
}

fn run(folder: &Path, name: &str, bytes: &[u8], defines: &[(String, String)], context: &Context) -> Outcome {
    let mut sources = Sources::new();
    let loader = Folder(folder.to_owned());
    let (lowered, diagnostics) = load(&mut sources, &loader, name, bytes, defines, context);
    let errors = diagnostics
        .into_iter()
        .filter(|found| found.severity == Severity::Error);
    Outcome {
        errors: errors.collect(),
        sources,
        lowered,
    }
}

/// The context of a folder.
fn context_of(folder: &Path) -> Context {
    let text = fs::read_to_string(folder.join("context.toml")).unwrap();
    let mut sources = Sources::new();
    let file = sources.add("context.toml", text);
    let (context, diagnostics) = context_from_toml(&sources, file);
    assert!(diagnostics.is_empty(), "{}: {diagnostics:?}", folder.display());
    context
}

/// The numbers of `prefixN.in`, sorted.
fn numbers(folder: &Path, prefix: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_prefix(prefix)?.strip_suffix(".in")?.parse().ok()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

/// The first line in which two texts differ.
fn difference(expected: &str, got: &str) -> Option<String> {
    if expected == got {
        return None;
    }
    let (mut ours, mut theirs) = (got.lines(), expected.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (theirs.next(), ours.next()) {
            (None, None) => return Some("line ends differ".to_owned()),
            (a, b) if a == b => {}
            (a, b) => {
                return Some(format!(
                    "line {number}:\n  pfctl:   {}\n  pfproof: {}",
                    a.unwrap_or("(end)"),
                    b.unwrap_or("(end)")
                ));
            }
        }
    }
}

/// Fails with all that is in the list.
fn conclude(what: &str, total: usize, faults: &[String]) {
    println!("{what}: {} of {total}", total - faults.len());
    assert!(
        faults.is_empty(),
        "{what}: {} of {total} differ\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn regression_rulesets_print_as_pfctl_prints_them() {
    let Some(folder) = shared("regress") else { return };
    let context = regress_machine();
    let (mut faults, mut total) = (Vec::new(), 0);
    for (prefix, options) in [("pf", false), ("pfopt", true)] {
        for number in numbers(&folder, prefix) {
            let name = format!("{prefix}{number}");
            let input = fs::read(folder.join(format!("{name}.in"))).unwrap();
            let expected = fs::read_to_string(folder.join(format!("{name}.ok"))).unwrap();
            let options = if options {
                fs::read_to_string(folder.join(format!("{name}.opts"))).unwrap()
            } else {
                String::new()
            };
            total += 1;
            let Some((defines, numbered)) = parse_options(&options) else {
                continue;
            };
            let _ = numbered;
            let outcome = run(&folder, "stdin", &input, &defines, &context);
            match outcome.printed() {
                Ok(printed) => faults.extend(difference(&expected, &printed).map(|line| format!("{name}: {line}"))),
                Err(complaints) => faults.push(format!("{name}: refused: {complaints}")),
            }
            if prefix == "pf" {
                let again = run(&folder, "stdin", expected.as_bytes(), &[], &context);
                match again.printed() {
                    Ok(printed) => {
                        faults.extend(difference(&expected, &printed).map(|line| format!("{name}.ok: {line}")));
                    }
                    Err(complaints) => faults.push(format!("{name}.ok: refused: {complaints}")),
                }
            }
        }
    }
    conclude("regress", total, &faults);
}

/// `-D name=value` of an option line.
fn parse_options(text: &str) -> Option<(Vec<(String, String)>, bool)> {
    let mut defines = Vec::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-D" => {
                let (name, value) = words.next()?.split_once('=')?;
                defines.push((name.to_owned(), value.to_owned()));
            }
            _ => return None,
        }
    }
    Some((defines, false))
}

#[test]
fn simple_regression_rulesets_are_accepted() {
    let Some(folder) = shared("regress") else { return };
    let mut faults = Vec::new();
    let numbers = numbers(&folder, "pfsimple");
    for number in &numbers {
        let input = fs::read(folder.join(format!("pfsimple{number}.in"))).unwrap();
        if let Err(complaints) = run(&folder, "stdin", &input, &[], &regress_machine()).printed() {
            faults.push(format!("pfsimple{number}: refused: {complaints}"));
        }
    }
    conclude("pfsimple", numbers.len(), &faults);
}

#[test]
fn published_rulesets_print_as_pfctl_prints_them() {
    let Some(folder) = shared("real") else { return };
    check_folders(&folder, "");
}

#[test]
fn vectors_print_as_pfctl_prints_them() {
    let Some(folder) = shared("vectors") else { return };
    check_folders(&folder, "");
}

fn check_folders(folder: &Path, prefix: &str) {
    let mut folders: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && path.file_name().unwrap().to_str().unwrap().starts_with(prefix))
        .collect();
    folders.sort();
    let mut faults = Vec::new();
    for folder in &folders {
        let name = folder.file_name().unwrap().to_string_lossy();
        let text = fs::read(folder.join("pf.conf")).unwrap();
        let outcome = run(folder, "pf.conf", &text, &[], &context_of(folder));
        match (fs::read_to_string(folder.join("rules.txt")), outcome.printed()) {
            (Ok(expected), Ok(printed)) => {
                faults.extend(difference(&expected, &printed).map(|line| format!("{name}: {line}")));
            }
            (Ok(_), Err(complaints)) => faults.push(format!("{name}: refused: {complaints}")),
            (Err(_), _) => {
                let expected = fs::read_to_string(folder.join("errors.txt")).unwrap();
                faults.extend(refusals(&expected, "pf.conf", &outcome).map(|why| format!("{name}: {why}")));
            }
        }
    }
    conclude("folders", folders.len(), &faults);
}

#[test]
fn failing_regression_rulesets_are_refused_line_by_line() {
    let Some(folder) = shared("regress") else { return };
    let (mut faults, mut total) = (Vec::new(), 0);
    for number in numbers(&folder, "pfail") {
        if number == 53 {
            continue;
        }
        total += 1;
        let input = fs::read(folder.join(format!("pfail{number}.in"))).unwrap();
        let expected = fs::read_to_string(folder.join(format!("pfail{number}.ok"))).unwrap();
        let outcome = run(&folder, "stdin", &input, &[], &regress_machine());
        faults.extend(refusals(&expected, "stdin", &outcome).map(|why| format!("pfail{number}: {why}")));
    }
    conclude("pfail", total, &faults);
}

/// Where our refusals are not pfctl's: a line refused by one alone, or another first text of a line.
fn refusals(expected: &str, file: &str, outcome: &Outcome) -> Option<String> {
    let theirs = complaints_of_pfctl(expected, file);
    let ours: Vec<(u32, &str)> = outcome
        .errors
        .iter()
        .filter_map(|error| {
            let place = outcome.sources.location(error.primary.as_ref()?.span);
            Some((place.line, error.message.as_str()))
        })
        .collect();
    let lines = |complaints: &[(u32, &str)]| complaints.iter().map(|&(line, _)| line).collect::<BTreeSet<_>>();
    let texts: Vec<(u32, &str)> = theirs.iter().map(|(line, text)| (*line, text.as_str())).collect();
    if outcome.errors.is_empty() {
        return Some(format!("accepted, but pfctl says\n{expected}"));
    }
    if lines(&texts) != lines(&ours) {
        return Some(format!("pfctl says\n{expected}we say\n{}", outcome.complaints()));
    }
    for line in lines(&texts) {
        let first = texts.iter().find(|&&(number, _)| number == line)?;
        let fits = ours.iter().any(|&(number, text)| number == line && says(text, first.1));
        if !fits {
            return Some(format!(
                "line {line}: pfctl says\n{expected}we say\n{}",
                outcome.complaints()
            ));
        }
    }
    None
}

/// Whether our text is pfctl's, or pfctl's with more behind it.
fn says(ours: &str, theirs: &str) -> bool {
    ours == theirs
        || ours
            .strip_prefix(theirs)
            .is_some_and(|rest| rest.starts_with([':', ',', ';']))
}

/// `FILE:LINE: text`, each with its line. A text without a place is left out.
fn complaints_of_pfctl(text: &str, file: &str) -> Vec<(u32, String)> {
    text.lines()
        .filter_map(|line| {
            let (number, text) = line.strip_prefix(file)?.strip_prefix(':')?.split_once(": ")?;
            Some((number.parse().ok()?, text.to_owned()))
        })
        .collect()
}
