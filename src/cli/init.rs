//! `pfproof init`: writes a first policy from what passes today. It overwrites nothing.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use pfproof::check::draft;
use pfproof::diagnostic::{Diagnostic, Severity};
use pfproof::report::{Format, Look, diagnostics};

use super::Status;
use super::console::Console;
use super::discover::load_one;
use super::options::{Input, Output};
use super::threads;

/// Write a first policy from what passes today; overwrites nothing
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    output: Output,

    /// The file to write, or `-` for standard output [default: draft.policy beside pf.conf]
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Writes the draft; where pf.conf is refused or the file is there already, says so.
pub(crate) fn run(arguments: &Arguments) -> Status {
    let console = Console::new(&arguments.output);
    let mut loaded = match load_one(&arguments.input) {
        Ok(loaded) => loaded,
        Err(failure) => {
            console.message(&failure.to_string());
            return Status::CouldNotJudge;
        }
    };
    let from_stdin = arguments.input.config.as_deref() == Some(Path::new("-"));
    // What is piped in is, or is going to be, the pf.conf of this folder.
    let name = if from_stdin { "pf.conf" } else { &loaded.name };
    let config = Path::new(name);
    let beside = config.with_file_name("draft.policy");
    let path = arguments.file.clone().unwrap_or(beside);
    let refused = |findings: &[Diagnostic]| findings.iter().any(|finding| finding.severity == Severity::Error);
    let mut findings = loaded.diagnostics;
    let mut text = String::new();
    if !refused(&findings) {
        threads::start();
        let (drafted, complaints) = draft(
            &mut loaded.sources,
            &loaded.loader,
            loaded.document,
            &loaded.context,
            &arguments.input.define,
            name,
        );
        text = drafted;
        findings.extend(complaints);
    }
    if refused(&findings) {
        findings.retain(|finding| finding.severity == Severity::Error);
        let look = Look {
            color: console.error_color,
            width: console.width,
            ..Look::default()
        };
        console.message(&diagnostics(&findings, &loaded.sources, Format::Human, look));
        return Status::CouldNotJudge;
    }
    if path == Path::new("-") {
        return console.answer(&text, Status::Success);
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    let shown = path.display();
    match written {
        Ok(()) => {
            let statements = text.lines().filter(|line| is_statement(line)).count();
            let open = text.lines().filter(|line| line.starts_with("# closed")).count();
            let open = match open {
                0 => String::new(),
                1 => ", 1 `closed` for you to decide".to_owned(),
                open => format!(", {open} `closed` for you to decide"),
            };
            let how = if from_stdin {
                format!("--policy {shown} -")
            } else {
                name.to_owned()
            };
            let next = format!("{shown}: {statements} statements{open}; now `pfproof check {how}`\n");
            console.answer(&next, Status::Success)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            console.message(&format!(
                "pfproof: {shown} is there already: it stays as it is\n  help: name another file by `-o FILE`, or `-o -` to see the draft\n"
            ));
            Status::CouldNotJudge
        }
        Err(error) => {
            console.message(&format!("pfproof: {shown}: {error}\n"));
            Status::CouldNotJudge
        }
    }
}

/// Whether a line of the draft demands something.
fn is_statement(line: &str) -> bool {
    ["require", "allow", "forbid", "closed"]
        .iter()
        .any(|verb| line.starts_with(verb))
}
