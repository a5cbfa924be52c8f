//! How a report may look: format, width, colors, characters; and small helpers to lay out text.

use crate::diagnostic::Severity;

/// The format of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people at a terminal.
    #[default]
    Human,
    /// One line a finding, `FILE:LINE:COLUMN: text`, for editors and grep.
    Short,
    /// For programs.
    Json,
}

/// What the terminal can show and how much is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether to use ANSI colors.
    pub color: bool,
    /// Whether box-drawing characters can be shown; plain ASCII otherwise.
    pub unicode: bool,
    /// Columns.
    pub width: usize,
    /// Whether nothing is folded away (`--verbose`).
    pub verbose: bool,
}

impl Default for Look {
    /// 80 columns, box-drawing characters, no colors.
    fn default() -> Self {
        Self {
            color: false,
            unicode: true,
            width: 80,
            verbose: false,
        }
    }
}

/// A color or weight, by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Errors and violations.
    Bad,
    /// Warnings and what is unproven.
    Doubtful,
    /// What holds.
    Good,
    /// Places, names, help.
    Note,
    /// What lost or matters less.
    Faint,
    /// What to read first.
    Strong,
}

impl Paint {
    /// The paint of a severity.
    #[must_use]
    pub fn of(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Bad,
            Severity::Warning => Self::Doubtful,
            Severity::Info => Self::Note,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Bad => "31;1",
            Self::Doubtful => "33;1",
            Self::Good => "32",
            Self::Note => "36",
            Self::Faint => "2",
            Self::Strong => "1",
        }
    }
}

impl Look {
    /// The text in that paint, or as it is where colors are off.
    #[must_use]
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", paint.code())
        } else {
            text.to_owned()
        }
    }

    /// The text broken at blanks into lines of this width, later lines indented by so many blanks. A word that is
    /// longer than a line stays whole.
    #[must_use]
    pub fn wrap(&self, text: &str, indent: usize) -> String {
        let mut out = String::with_capacity(text.len());
        let mut column = 0;
        for (at, word) in text.split(' ').enumerate() {
            let length = word.chars().count();
            if at > 0 && column > indent && column + 1 + length > self.width {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else if at > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += length;
        }
        out
    }
}

/// The user's text with control characters replaced, so that it cannot write escape sequences to a terminal.
#[must_use]
pub(crate) fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    let hidden = |c: char| c.is_control() && c != '\t' && c != '\n';
    if text.contains(hidden) {
        text.replace(hidden, "?").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::{Look, printable};

    #[test]
    fn wraps_at_the_width() {
        let look = Look {
            width: 10,
            ..Look::default()
        };
        assert_eq!(look.wrap("one two three four", 2), "one two\n  three\n  four");
        assert_eq!(look.wrap("  help: short", 2), "  help:\n  short");
        assert_eq!(look.wrap("  a b", 2), "  a b");
    }

    #[test]
    fn hides_escape_sequences() {
        assert_eq!(printable("a\x1b[2Jb"), "a?[2Jb");
        assert_eq!(printable("a\tb"), "a\tb");
    }
}
