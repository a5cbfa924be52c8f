//! The cases of `corpus/syntax`: each folder's pf.conf becomes `print.txt`, or is refused and warned of as
//! `findings.txt` says. Without `context.toml` nothing is known of the machine.
//!
//! `PFPROOF_UPDATE=1` writes what is found instead; read the difference before committing it.

use std::fs;
use std::path::{Path, PathBuf};

use pfproof::context::{Context, context_from_toml};
use pfproof::diagnostic::{Diagnostic, Severity};
use pfproof::source::{LoadError, Loader, Sources};
use pfproof::{lower, print};

struct Folder<'a>(&'a Path);

impl Loader for Folder<'_> {
    fn load(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        fs::read(self.0.join(path)).map_err(|_| LoadError::NotFound)
    }
}

#[test]
fn syntax_cases_are_as_written_down() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/syntax");
    let mut folders: Vec<PathBuf> = fs::read_dir(&corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert!(folders.len() >= 20, "{} cases", folders.len());
    let mut faults = Vec::new();
    for folder in &folders {
        let (findings, printed) = answer(folder);
        check(&folder.join("findings.txt"), findings, &mut faults);
        check(&folder.join("print.txt"), printed, &mut faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Findings, and the print where nothing is refused; empty where there is none.
fn answer(folder: &Path) -> (String, String) {
    let mut sources = Sources::new();
    let context = match fs::read_to_string(folder.join("context.toml")) {
        Ok(text) => {
            let file = sources.add("context.toml", text);
            let (context, diagnostics) = context_from_toml(&sources, file);
            assert!(diagnostics.is_empty(), "{}: {diagnostics:?}", folder.display());
            context
        }
        Err(_) => Context::default(),
    };
    let text = fs::read(folder.join("pf.conf")).unwrap();
    let (lowered, diagnostics) = lower::load(&mut sources, &Folder(folder), "pf.conf", &text, &[], &context);
    let findings = diagnostics.iter().map(|found| describe(&sources, found)).collect();
    let refused = diagnostics.iter().any(|found| found.severity == Severity::Error);
    let printed = match refused {
        true => String::new(),
        false => print::ruleset(&lowered.ruleset, &lowered.loaded, false),
    };
    (findings, printed)
}

/// `FILE:LINE:COLUMN: text`, then `text` of the place, other places and help, each behind a bar.
fn describe(sources: &Sources, found: &Diagnostic) -> String {
    let mut out = String::new();
    if let Some(label) = &found.primary {
        let place = sources.location(label.span);
        out += &format!("{}:{}:{}: ", place.name, place.line, place.column);
    }
    out += &format!("{}: {}\n", found.code, found.message);
    if let Some(label) = &found.primary {
        let line = sources.text(label.span).lines().next().unwrap_or("").to_owned();
        out += &format!("  | {line}\n");
    }
    for label in &found.related {
        let place = sources.location(label.span);
        out += &format!("  at {}:{}:{}: {}\n", place.name, place.line, place.column, label.text);
    }
    if let Some(help) = &found.help {
        out += &format!("  help: {help}\n");
    }
    out
}

fn check(path: &Path, found: String, faults: &mut Vec<String>) {
    if std::env::var_os("PFPROOF_UPDATE").is_some() {
        match found.is_empty() {
            true => _ = fs::remove_file(path),
            false => fs::write(path, &found).unwrap(),
        }
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected != found {
        faults.push(format!("{}: expected\n{expected}found\n{found}", path.display()));
    }
}
