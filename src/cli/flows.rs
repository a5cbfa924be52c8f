//! `pfproof flows`: who reaches whom, and what passes between two zones, exactly.

use std::path::{Path, PathBuf};

use clap::Args;
use pfproof::check::{Machine, flows};
use pfproof::diagnostic::{Code, Severity};
use pfproof::report::printable;

use super::Status;
use super::check::policies;
use super::console::Console;
use super::discover::{self, Failure, Loaded};
use super::expanded::state;
use super::options::{Format, Input, Output};
use super::threads;

/// Show what passes between zones: the matrix, or one pair in few boxes
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    output: Output,

    /// The policy whose zones are meant, instead of every *.policy beside pf.conf; may be repeated
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,

    /// Where the flows begin: a zone of the policies, the hosts behind an interface or group, an address, or `self`
    #[arg(long, value_name = "ZONE", requires = "to")]
    from: Option<String>,

    /// Where they end
    #[arg(long, value_name = "ZONE", requires = "from")]
    to: Option<String>,
}

/// Prints the matrix, or the flows of one pair of zones.
pub(crate) fn run(arguments: &Arguments) -> Status {
    let console = Console::new(&arguments.output);
    match answer(arguments, console) {
        Ok(status) => status,
        Err(failure) => {
            console.message(&failure.to_string());
            Status::CouldNotJudge
        }
    }
}

fn answer(arguments: &Arguments, console: Console) -> Result<Status, Failure> {
    let mut loaded = discover::load_one(&arguments.input)?;
    let from_stdin = arguments.input.config.as_deref() == Some(Path::new("-"));
    let (policies, elsewhere) = policies(&mut loaded, &arguments.policy, from_stdin)?;
    let Loaded {
        mut sources,
        name,
        document,
        loader,
        context,
        assumed,
        mut diagnostics,
        ..
    } = loaded;
    let state = state(&context);
    let machine = Machine {
        name,
        document,
        defines: arguments.input.define.clone(),
        context,
        policies,
        assumptions: arguments.input.assumed_facts(),
    };
    let pair = arguments.from.as_deref().zip(arguments.to.as_deref());
    threads::start();
    let (shown, found) = flows(&mut sources, &loader, machine, pair);
    diagnostics.extend(found);
    // A file that is missing leaves its contents unknown; the rest can be shown.
    let refused = |code: Code| code != Code::Unreadable;
    diagnostics.retain(|finding| finding.severity == Severity::Error);
    diagnostics.extend(elsewhere);
    diagnostics.extend(state);
    console.findings(&diagnostics, &sources);
    let mut errors = diagnostics.iter().filter(|finding| finding.severity == Severity::Error);
    let is_faulty = errors.clone().next().is_some();
    if errors.any(|finding| refused(finding.code)) {
        return Ok(Status::CouldNotJudge);
    }
    Ok(match shown {
        Ok(shown) => {
            let shown = shown.assuming(&assumed);
            let text = match arguments.output.format() {
                Format::Json => format!("{}\n", shown.json),
                Format::Human | Format::Short => shown.text(console.look()),
            };
            let status = if shown.whole && !is_faulty {
                Status::Success
            } else {
                Status::CouldNotJudge
            };
            console.answer(&text, status)
        }
        Err(words) => {
            console.message(&format!("pfproof: {}\n", printable(&words)));
            Status::CouldNotJudge
        }
    })
}
