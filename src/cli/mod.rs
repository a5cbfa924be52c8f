//! The command line: what can be said on it, and the exit statuses. One file a command.
//!
//! The only part that touches files, the environment and the terminal; all judging is the library's.

mod check;
mod console;
mod context;
mod discover;
mod expanded;
mod files;
mod flows;
mod globs;
mod init;
mod live;
mod options;
mod print;
mod project;
mod template;
mod threads;
mod trace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// All holds, or the answer was given.
    Success,
    /// Something is violated, unproven or found.
    Found,
    /// It could not judge: pf.conf refused, input or output, usage, a limit.
    CouldNotJudge,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Success => 0,
            Status::Found => 1,
            Status::CouldNotJudge => 2,
        })
    }
}

/// Proves that an OpenBSD pf.conf lets every required flow through and nothing else.
#[derive(Parser)]
#[command(name = "pfproof", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Context(context::Arguments),
    Check(check::Arguments),
    Flows(flows::Arguments),
    Init(init::Arguments),
    Print(print::Arguments),
    Trace(trace::Arguments),
}

/// The exit code of the whole program, from the arguments of the process.
pub(crate) fn main() -> ExitCode {
    let status = match Cli::parse().command {
        Command::Context(arguments) => context::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Flows(arguments) => flows::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Print(arguments) => print::run(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
    };
    status.into()
}
