//! How a report may look: format, width, colors, characters; and small helpers to lay out text.

use std::borrow::Cow;

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
    /// The text in that paint, or plain where colors are off; without control characters of its own.
    #[must_use]
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        let text = printable(text);
        if self.color && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", paint.code())
        } else {
            text.into_owned()
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

/// The user's text with control characters replaced, and those that turn the direction of writing, so that it cannot
/// write escape sequences to a terminal. It has as many bytes as before.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    replaced(text, hidden)
}

/// A finished text for a terminal: the same as [`printable`], but colors stay where they are wanted.
#[must_use]
pub(crate) fn for_terminal(text: String, look: Look) -> String {
    let clean = if look.color {
        replaced(&text, |c| c != ESCAPE && hidden(c))
    } else {
        printable(&text)
    };
    let mut out = String::with_capacity(clean.len());
    let mut parts = clean.split(ESCAPE);
    out.extend(parts.next());
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == '['));
        let colors = part.starts_with('[') && end.is_some_and(|end| part[end..].starts_with('m'));
        out.push(if colors { ESCAPE } else { '?' });
        out.push_str(part);
    }
    out
}

const ESCAPE: char = '\x1b';

fn hidden(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\t' && c != '\n') || turns
}

fn replaced(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hidden) {
        return text.into();
    }
    let of_size = |c: char| match c.len_utf8() {
        1 => '?',
        2 => '¿',
        _ => '\u{fffd}',
    };
    text.chars().map(|c| if hidden(c) { of_size(c) } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Look, Paint, for_terminal, printable};

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
        for text in ["\x07", "\u{9b}31m", "\u{202e}txt"] {
            let shown = printable(text);
            assert!(shown != text && shown.len() == text.len(), "{text:?}");
        }
    }

    #[test]
    fn only_colors_of_our_own_reach_the_terminal() {
        let look = Look {
            color: true,
            ..Look::default()
        };
        let painted = look.paint(Paint::Bad, "x\x1b[31m");
        assert_eq!(painted, "\x1b[31;1mx?[31m\x1b[0m");
        assert_eq!(for_terminal(painted.clone(), look), painted);
        assert_eq!(for_terminal("a\x1b]0;b\x07\x1b[2Jc".into(), look), "a?]0;b??[2Jc");
        assert_eq!(for_terminal("\x1b[1mc".into(), Look::default()), "?[1mc");
    }
}
