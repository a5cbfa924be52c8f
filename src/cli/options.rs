//! Options that several commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use pfproof::diagnostic::Severity;
use serde::Deserialize;

/// What is judged, and where what is known of the machine comes from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Input {
    /// pf.conf, a folder that has one, or `-` for standard input [default: pf.conf, else etc/pf.conf]
    #[arg(value_name = "PF.CONF")]
    pub(crate) config: Option<PathBuf>,

    /// Set a macro, as pfctl does
    #[arg(short = 'D', value_name = "NAME=VALUE", value_parser = define)]
    pub(crate) define: Vec<(String, String)>,

    /// Take the machine from this context.toml and look for nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) context: Option<PathBuf>,

    /// The folder that absolute paths are under [default: the parent of etc/, else pf.conf's folder]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) root: Option<PathBuf>,

    /// Interfaces from saved output of `ifconfig -A`
    #[arg(long, value_name = "FILE")]
    pub(crate) ifconfig: Option<PathBuf>,

    /// Routes from saved output of `route -n show` or `netstat -rn`
    #[arg(long, value_name = "FILE")]
    pub(crate) routes: Option<PathBuf>,

    /// Run ifconfig and route on this machine
    #[arg(long)]
    pub(crate) live: bool,

    /// Settle what only the machine knows: `em0 203.0.113.7/24` (or with `=`), `egress=em0`
    #[arg(long, value_name = "FACT")]
    pub(crate) assume: Vec<String>,
}

impl Input {
    /// The facts of `--assume` that are the policy's business; those of the machine are settled with it.
    pub(crate) fn assumed_facts(&self) -> Vec<String> {
        let of_policy = self.assume.iter().filter(|fact| of_machine(fact).is_none());
        of_policy.cloned().collect()
    }
}

/// The two sides of a fact about the machine: `em0=203.0.113.7/24`, `em0 203.0.113.7/24`, `egress=em0`; none of others.
pub(crate) fn of_machine(fact: &str) -> Option<(&str, &str)> {
    let is_address = |(_, second): &(&str, &str)| second.trim().parse::<IpNet>().is_ok();
    let words = || fact.trim().split_once(char::is_whitespace).filter(is_address);
    fact.split_once('=').or_else(words)
}

/// How the answer looks.
#[derive(Args, Clone, Debug)]
pub(crate) struct Output {
    /// For whom the answer is [default: human, of check what pfproof.toml says]
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// When to use color
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,

    /// Say nothing but the answer
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Fold nothing
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

impl Output {
    /// The format that was asked for, else that one.
    pub(crate) fn format_or(&self, usual: Option<Format>) -> Format {
        self.format.or(usual).unwrap_or_default()
    }

    /// The format that was asked for, else the one for people.
    pub(crate) fn format(&self) -> Format {
        self.format_or(None)
    }
}

/// The formats of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// For people
    #[default]
    Human,
    /// FILE:LINE:COLUMN: text
    Short,
    /// For programs
    Json,
}

impl From<Format> for pfproof::report::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Human => Self::Human,
            Format::Short => Self::Short,
            Format::Json => Self::Json,
        }
    }
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    /// Errors
    #[default]
    Error,
    /// Warnings and errors
    Warning,
    /// Everything
    Info,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warning => Self::Warning,
            Level::Info => Self::Info,
        }
    }
}

/// When to use color.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

fn define(text: &str) -> Result<(String, String), String> {
    // As pfctl does, at the last one.
    match text.rsplit_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a macro is set as NAME=VALUE".to_owned()),
    }
}
