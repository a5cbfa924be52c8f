//! What is wrong or worth knowing, as data: code, severity, message, places, help.
//!
//! How it looks on a terminal or in a file is the business of `report`.

mod code;
mod near;

pub use code::Code;
pub use near::nearest;

use crate::source::Span;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Probably not what was meant.
    Warning,
    /// Wrong.
    Error,
}

/// Puts findings in the order of the texts that they speak of (files in the order read); those without a place first.
pub fn sort(findings: &mut [Diagnostic]) {
    findings.sort_by_key(|finding| {
        finding
            .primary
            .as_ref()
            .map(|label| (label.span.file, label.span.start))
    });
}

/// A place and what it has to do with the matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there, in lower case, no full stop; may be empty for the primary label.
    pub text: String,
}

/// One finding. Messages are in lower case, without a full stop, the user's text in backticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind of finding: the same word in every output format.
    pub code: Code,
    /// How grave.
    pub severity: Severity,
    /// What is the matter. Where pfctl has words for it, those.
    pub message: String,
    /// Where it happens; `None` only for matters that have no place in a text.
    pub primary: Option<Label>,
    /// Other places that explain it («macro `x` is defined here»).
    pub related: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A finding of that code at its usual severity, without places or help.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            primary: None,
            related: Vec::new(),
            help: None,
        }
    }

    /// The same with its primary place.
    #[must_use]
    pub fn at(self, span: Span) -> Self {
        self.labelled(span, "")
    }

    /// The same with its primary place and words for it.
    #[must_use]
    pub fn labelled(mut self, span: Span, text: impl Into<String>) -> Self {
        self.primary = Some(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// The same with one more related place.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// The same with what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}
