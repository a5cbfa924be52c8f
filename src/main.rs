//! The command `pfproof`: files, environment and terminal around the library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
