//! The command `pfproof`: files, environment and terminal around the library.

#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::todo,
    clippy::dbg_macro
)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
