//! `pfproof context`: what is known of the machine, from where, and what is assumed.

use clap::Args;
use pfproof::context::write_toml_from;
use pfproof::diagnostic::{Code, Severity};
use pfproof::report::{self, Look};

use super::Status;
use super::console::Console;
use super::discover;
use super::options::{Input, Output};

/// Print what is known of the machine, from where, and what is assumed, as context.toml
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    output: Output,
}
