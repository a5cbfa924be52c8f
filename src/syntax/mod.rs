//! From the text of a pf.conf to its statements.
//!
//! ```text
//! text -> preprocess (macros, include, statements; the lexer of pfctl) -> grammar (pest, statement by statement)
//!      -> build (the tree, and what pfctl checks of a statement's own text) -> Document
//! ```
//!
//! Follows parse.y. Knows nothing of interfaces, names of services and users, or what earlier statements said: that is
//! `lower`'s.

pub mod ast;
mod document;

pub use document::{Document, Macro};

use crate::diagnostic::Diagnostic;
use crate::source::{Loader, Sources, Span};

/// What reading may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of text after macros are replaced, comments not counted.
    pub expanded_bytes: u32,
    /// Files that `include` may read.
    pub includes: u32,
    /// How deep includes may nest.
    pub include_depth: u32,
    /// How deep lists and anchors may nest.
    pub nesting: u32,
    /// How many faults are reported.
    pub faults: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            expanded_bytes: 64 << 20,
            includes: 1000,
            include_depth: 16,
            nesting: 64,
            faults: 200,
        }
    }
}

/// The statements of a pf.conf, and what is wrong with those that pfctl would refuse.
///
/// `name` is what the text is called in messages. `defines` are the macros of `-D`. Includes are asked of `loader`; the
/// files of `load anchor` are not read here: read them by a call of their own, after the main file, without `defines`.
#[must_use]
pub fn read(
    sources: &mut Sources,
    loader: &dyn Loader,
    name: &str,
    bytes: &[u8],
    defines: &[(String, String)],
    limits: &Limits,
) -> (Document, Vec<Diagnostic>) {
    let _ = (loader, defines, limits);
    let file = sources.add(name, String::from_utf8_lossy(bytes));
    let start = Span { file, start: 0, end: 0 };
    let document = Document {
        statements: Vec::new(),
        macros: Vec::new(),
        text: String::new(),
        map: crate::source::SpanMap::default(),
        start,
    };
    (document, Vec::new())
}
