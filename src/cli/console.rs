//! Standard output and standard error: color, width, and readers that go away.

use std::io::{ErrorKind, IsTerminal, Write};

use pfproof::diagnostic::Diagnostic;
use pfproof::report::{self, Format, Look};
use pfproof::source::Sources;

use super::Status;
use super::options::{Color, Output};

/// Where answers and progress go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    /// Whether answers on standard output are colored.
    pub(crate) color: bool,
    /// Whether messages on standard error are colored.
    pub(crate) error_color: bool,
    /// Columns that a line may take.
    pub(crate) width: usize,
    /// Whether nothing is folded away.
    verbose: bool,
    /// The format that was asked for.
    format: Format,
}

impl Console {
    /// Columns where nothing tells how many there are.
    const WIDTH: usize = 80;

    /// The console that the options and the environment (NO_COLOR, COLUMNS) ask for, as wide as the terminal.
    pub(crate) fn new(output: &Output) -> Self {
        let wanted = |terminal: bool| match output.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let columns = said.or_else(|| terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)));
        Self {
            color: wanted(std::io::stdout().is_terminal()),
            error_color: wanted(std::io::stderr().is_terminal()),
            width: columns.filter(|&columns| columns >= 40).unwrap_or(Self::WIDTH),
            verbose: output.verbose,
            format: output.format().into(),
        }
    }

    /// `status`, after the answer was written to standard output.
    ///
    /// A reader that went away (`| head`) is no fault; any other failure is [`Status::CouldNotJudge`].
    pub(crate) fn answer(self, text: &str, status: Status) -> Status {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => status,
            Err(error) if error.kind() == ErrorKind::BrokenPipe => status,
            Err(error) => {
                self.message(&format!("pfproof: standard output: {error}\n"));
                Status::CouldNotJudge
            }
        }
    }

    /// How a report on standard output looks.
    pub(crate) fn look(self) -> Look {
        Look {
            color: self.color,
            width: self.width,
            verbose: self.verbose,
            ..Look::default()
        }
    }

    /// Writes findings to standard error, in the format that was asked for.
    pub(crate) fn findings(self, findings: &[Diagnostic], sources: &Sources) {
        if findings.is_empty() {
            return;
        }
        let look = Look {
            color: self.error_color,
            ..self.look()
        };
        self.message(&report::diagnostics(findings, sources, self.format, look));
    }

    /// Writes to standard error; nobody can be told if that fails.
    pub(crate) fn message(self, text: &str) {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}
