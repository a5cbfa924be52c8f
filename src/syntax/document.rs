//! [`Document`]: the statements of one pf.conf and its includes, and the way back to where they were written.

use super::ast::Statement;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{At, FileId, Span, SpanMap};

/// A macro that was defined.
#[derive(Clone, Debug, PartialEq)]
pub struct Macro {
    /// Its name.
    pub name: Box<str>,
    /// Its value.
    pub value: Box<str>,
    /// Where its name is written; for one given on the command line, in the text of that definition.
    pub span: Span,
    /// Whether it was given on the command line.
    pub given: bool,
    /// Whether it was used.
    pub used: bool,
}

/// One pf.conf with its includes, as read.
#[derive(Debug)]
pub struct Document {
    /// The statements in order; those of an included file follow its [`Include`](super::ast::Include). Statements that
    /// were refused are not among them.
    pub statements: Vec<Statement>,
    /// How many faults pfctl would refuse it for.
    pub refused: usize,
    /// The macros in the order of their definitions, redefinitions included.
    pub macros: Vec<Macro>,
    /// The beginnings of statements that have a syntax error, up to the error, what is open there being closed: names in
    /// them that are unknown are to be reported too, for pfctl meets them first.
    pub beginnings: Vec<Statement>,
    pub(super) text: String,
    pub(super) map: SpanMap,
    pub(super) start: Span,
}

impl Document {
    /// The file that pf.conf itself is among the sources.
    #[must_use]
    pub fn file(&self) -> FileId {
        self.start.file
    }

    /// The place in a file that a node was written at; for text from a macro, its use.
    #[must_use]
    pub fn span(&self, at: At) -> Span {
        self.map.span(at).unwrap_or(self.start)
    }

    /// The expanded text of a node: macros replaced, every word that is no keyword in quotes, one blank after each.
    #[must_use]
    pub fn text(&self, at: At) -> &str {
        self.text.get(at.start as usize..at.end as usize).unwrap_or("")
    }

    /// A finding about a node, with the macros through which it came as related places.
    #[must_use]
    pub fn finding(&self, code: Code, at: At, message: impl Into<String>) -> Diagnostic {
        finding(&self.map, self.start, code, at, message.into(), "")
    }

    /// A finding of [`Code::Syntax`] about a node: pfctl refuses the statement with that message.
    #[must_use]
    pub fn refuse(&self, at: At, message: impl Into<String>) -> Diagnostic {
        self.finding(Code::Syntax, at, message)
    }
}

/// A finding at a range of the expanded text, with the macros through which it came.
pub(super) fn finding(map: &SpanMap, start: Span, code: Code, at: At, message: String, label: &str) -> Diagnostic {
    let place = map.span(at).unwrap_or(start);
    let mut diagnostic = Diagnostic::new(code, message).labelled(place, label);
    for through in map.through(at) {
        diagnostic = diagnostic.related(through.defined, format!("through macro `{}`", through.name));
    }
    diagnostic
}
