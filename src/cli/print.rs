//! `pfproof print`: the expanded ruleset as `pfctl -o none -nvf` prints it.

use clap::Args;
use pfproof::print;

use super::Status;
use super::console::Console;
use super::discover;
use super::expanded::Expanded;
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
    let expanded = Expanded::new(loaded);
    console.findings(&expanded.findings, &expanded.sources);
    if expanded.refused() {
        return Status::CouldNotJudge;
    }
    let lowered = &expanded.lowered;
    let text = print::ruleset(&lowered.ruleset, &lowered.loaded, arguments.numbers);
    let status = console.answer(&text, Status::Success);
    // The program ends: nobody needs the memory back, piece by piece.
    std::mem::forget(expanded);
    status
}
