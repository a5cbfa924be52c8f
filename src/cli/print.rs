//! `pfproof print`: the expanded ruleset as `pfctl -o none -nvf` prints it.

use clap::Args;
use pfproof::diagnostic::{self, Code, Severity};
use pfproof::{lower, print};

use super::Status;
use super::console::Console;
use super::discover::{self, Loaded};
use super::options::{Input, Output};

/// Print the expanded ruleset, byte for byte as `pfctl -o none -nvf` does
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    output: Output,

    /// Put `@N ` before each rule
    #[arg(long)]
    numbers: bool,
}

/// Prints the ruleset to standard output, findings to standard error; of a pf.conf that pfctl would refuse only those.
pub(crate) fn run(arguments: &Arguments) -> Status {
    let console = Console::new(&arguments.output);
    let loaded = match discover::load_strictly(&arguments.input) {
        Ok(loaded) => loaded,
        Err(failure) => {
            console.message(&failure.to_string());
            return Status::CouldNotJudge;
        }
    };
    let Loaded {
        mut sources,
        document,
        loader,
        context,
        mut diagnostics,
        ..
    } = loaded;
    let (lowered, more) = lower::lower(document, &mut sources, &loader, &context, &lower::Limits::default());
    diagnostics.extend(more);
    // What is wrong with the context is no matter of pfctl's; `pfproof context` tells it.
    diagnostics.retain(|finding| finding.code != Code::Context || finding.severity == Severity::Error);
    diagnostic::sort(&mut diagnostics);
    console.findings(&diagnostics, &sources);
    if diagnostics.iter().any(|finding| finding.severity == Severity::Error) {
        return Status::CouldNotJudge;
    }
    console.answer(
        &print::ruleset(&lowered.ruleset, &lowered.loaded, arguments.numbers),
        Status::Success,
    )
}
