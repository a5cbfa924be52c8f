//! [`Raw`]: the shape of a statement, before its grammar is known.

use crate::source::At;

/// What a statement is, as far as its shape goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::syntax) enum RawKind {
    /// Any statement.
    Plain,
    /// `name = value`, well formed.
    Macro,
    /// `include "file"`; the rest of the line comes after the file.
    Include,
    /// `anchor … {`, whose rules follow.
    Open,
    /// The `}` that closes an anchor.
    Close,
}

/// One statement, its words in the expanded text.
#[derive(Clone, Copy, Debug)]
pub(in crate::syntax) struct Raw {
    pub(in crate::syntax) kind: RawKind,
    pub(in crate::syntax) at: At,
    /// Whether a fault was already reported.
    pub(in crate::syntax) refused: bool,
    /// Whether pfctl skips it, after an undefined macro on the line before.
    pub(in crate::syntax) skipped: bool,
    /// Whether pfctl would not report a syntax error at its first word, so close after another.
    pub(in crate::syntax) quiet: bool,
    /// Whether it stands on one line: if it is refused, nothing is read again.
    pub(in crate::syntax) single: bool,
    /// The opening brace of a list that is not closed before the next statement.
    pub(in crate::syntax) unclosed: Option<At>,
}
