//! `pfproof context`: what is known of the machine, from where, and what is assumed.

use std::fmt::Write;

use clap::Args;
use pfproof::context::{assumptions_in_full, write_toml_from};
use pfproof::diagnostic::{Code, Diagnostic, Severity};
use pfproof::report::{self, Format, Look};
use serde_json::{Value, json};

use super::Status;
use super::console::Console;
use super::discover::{self, Loaded};
use super::options::{Input, Output};

/// Print what is known of the machine, from where, and what is assumed, as context.toml
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    output: Output,
}

/// Prints the context to standard output, what is wrong with its sources to standard error.
pub(crate) fn run(arguments: &Arguments) -> Status {
    let console = Console::new(&arguments.output);
    let loaded = match discover::load_one(&arguments.input) {
        Ok(loaded) => loaded,
        Err(failure) => {
            console.message(&failure.to_string());
            return Status::CouldNotJudge;
        }
    };
    // What is wrong with pf.conf itself is said by the commands that judge it; but a template has no interfaces.
    let of_context = |diagnostic: &&Diagnostic| match diagnostic.code {
        Code::Context => true,
        Code::Syntax => loaded.is_template,
        Code::Unreadable => diagnostic.severity != Severity::Error,
        _ => false,
    };
    let found: Vec<Diagnostic> = loaded.diagnostics.iter().filter(of_context).cloned().collect();
    let look = Look {
        color: console.error_color,
        width: console.width,
        ..Look::default()
    };
    let format = match arguments.output.format() {
        super::options::Format::Short => Format::Short,
        super::options::Format::Human | super::options::Format::Json => Format::Human,
    };
    console.message(&report::diagnostics(&found, &loaded.sources, format, look));
    let wrong = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let status = if wrong { Status::CouldNotJudge } else { Status::Success };
    let answer = match arguments.output.format() {
        super::options::Format::Json => json(&loaded),
        super::options::Format::Human | super::options::Format::Short => text(&loaded),
    };
    console.answer(&answer, status)
}

/// The keys of context.toml as JSON, with where it comes from and what is assumed.
fn json(loaded: &Loaded) -> String {
    let written = write_toml_from(&loaded.context, &loaded.facts, &loaded.sources);
    // What was written here is read again: it is one language.
    let context: Value = toml::from_str(&written).unwrap_or(Value::Null);
    let answer = json!({
        "version": 1,
        "from": loaded.known_from(),
        "assumed": assumptions_in_full(&loaded.context, &loaded.facts.assumed),
        "context": context,
    });
    format!("{answer}\n")
}

/// The context as context.toml, with where it comes from and what is assumed as comments.
fn text(loaded: &Loaded) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = match loaded.known_from() {
        Some(names) => writeln!(text, "# from {names}"),
        None => writeln!(text, "# nothing is known of the machine but what {} names", loaded.name),
    };
    for line in assumptions_in_full(&loaded.context, &loaded.facts.assumed) {
        let _ = writeln!(text, "# assumed: {line}");
    }
    text.push_str(&write_toml_from(&loaded.context, &loaded.facts, &loaded.sources));
    text
}
