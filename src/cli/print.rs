//! `pfproof print`: the expanded ruleset as `pfctl -o none -nvf` prints it.

use clap::Args;

use super::Status;
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

/// Prints the ruleset to standard output, diagnostics to standard error.
pub(crate) fn run(_arguments: &Arguments) -> Status {
    Status::CouldNotJudge
}
