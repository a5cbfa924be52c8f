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
            total += 1;
            let defines = if options {
                parse_options(&fs::read_to_string(folder.join(format!("{name}.opts"))).unwrap())
            } else {
                Vec::new()
            };
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

/// The macros of `-D`. (`-a` says which ruleset the rules are loaded into, which the print does not show.)
fn parse_options(text: &str) -> Vec<(String, String)> {
    let mut defines = Vec::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        match word.strip_prefix("-D") {
            Some(define) => {
                let (name, value) = define.split_once('=').unwrap();
                defines.push((name.to_owned(), value.to_owned()));
            }
            None => {
                assert_eq!(word, "-a", "an unknown option");
                words.next();
            }
        }
    }
    defines
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

/// One complaint of pfctl: its line, and its text with those without a place that stand before it.
struct Complaint {
    line: Option<u32>,
    texts: Vec<String>,
}

/// Where our refusals are not pfctl's: a line refused by one alone, or another text where a line is first refused.
fn refusals(expected: &str, file: &str, outcome: &Outcome) -> Option<String> {
    let theirs = complaints_of_pfctl(expected, file);
    let both = || format!("pfctl says\n{expected}we say\n{}", outcome.complaints());
    if theirs.is_empty() {
        return match outcome.printed() {
            Ok(printed) => difference(expected, &printed),
            Err(_) => Some(format!("pfctl accepts it; {}", both())),
        };
    }
    let ours: Vec<(u32, &str)> = outcome
        .errors
        .iter()
        .filter_map(|error| {
            let place = outcome.sources.location(error.primary.as_ref()?.span);
            Some((place.line, error.message.as_str()))
        })
        .collect();
    let mut lines: BTreeSet<u32> = theirs.iter().filter_map(|complaint| complaint.line).collect();
    for complaint in &theirs {
        let Some(line) = complaint.line else {
            // pfctl says no line: ours may be any, but the text must be there.
            let ours = ours
                .iter()
                .find(|(_, ours)| complaint.texts.iter().any(|theirs| ours.contains(&**theirs)));
            match ours {
                Some(&(line, _)) => _ = lines.insert(line),
                None => return Some(both()),
            }
            continue;
        };
        let first = theirs.iter().find(|complaint| complaint.line == Some(line));
        let texts = first.map_or(&[][..], |first| &first.texts);
        let fits = |&(number, ours): &(u32, &str)| number == line && texts.iter().any(|theirs| says(ours, theirs));
        if !ours.iter().any(fits) {
            return Some(format!("line {line}: {}", both()));
        }
    }
    (lines != ours.iter().map(|&(line, _)| line).collect()).then(both)
}

/// Whether our text is pfctl's, or pfctl's with more behind it.
fn says(ours: &str, theirs: &str) -> bool {
    ours == theirs
        || ours
            .strip_prefix(theirs)
            .is_some_and(|rest| rest.starts_with([':', ',', ';']))
}

/// What pfctl says on standard error. A text without a place belongs to the next that has one; if none follows, the
/// last of them stands by itself, without the names of program and function.
fn complaints_of_pfctl(text: &str, file: &str) -> Vec<Complaint> {
    let (mut complaints, mut without) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let placed = line
            .strip_prefix(file)
            .and_then(|rest| rest.strip_prefix(':')?.split_once(": "));
        match placed.and_then(|(number, text)| Some((number.parse().ok()?, text))) {
            Some((line, text)) => {
                let mut texts = std::mem::take(&mut without);
                texts.push(text.to_owned());
                let line = Some(line);
                complaints.push(Complaint { line, texts });
            }
            None if line.starts_with("pfctl: ") || line.contains("invalid") || line.contains("netmask") => {
                let text = line.trim_start_matches("pfctl: ").trim_start_matches("pushfile: ");
                without.push(text.to_owned());
            }
            None => {}
        }
    }
    if !without.is_empty() {
        let (line, texts) = (None, without);
        complaints.push(Complaint { line, texts });
    }
    complaints
}

/// Every ruleset that is cut short, or lacks a byte, gets an answer: a print or a refusal with a place, never a panic.
/// (Whether its print reads back is not asked: pfctl's own does not always.)
#[test]
fn damaged_rulesets_are_answered() {
    let Some(folder) = shared("regress") else { return };
    let context = regress_machine();
    let (mut printed, mut refused) = (0, 0);
    for number in numbers(&folder, "pf") {
        let input = fs::read(folder.join(format!("pf{number}.in"))).unwrap();
        for at in 0..input.len() {
            let shortened = [&input[..at], &input[at + 1..]].concat();
            for text in [&input[..at], &shortened[..]] {
                let outcome = run(&folder, "stdin", text, &[], &context);
                match outcome.printed() {
                    Ok(_) => printed += 1,
                    Err(_) => {
                        refused += 1;
                        let placed = outcome.errors.iter().all(|error| error.primary.is_some());
                        assert!(placed, "pf{number} at {at}: {}", outcome.complaints());
                    }
                }
            }
        }
    }
    assert!(printed > 500 && refused > 500, "{printed} printed, {refused} refused");
}
