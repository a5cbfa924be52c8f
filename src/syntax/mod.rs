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
mod build;
mod document;
mod explain;
mod grammar;
mod old_syntax;
mod parse;
mod preprocess;
mod read;

pub use document::{Document, Macro};
pub use read::read;

/// What reading may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of text after macros are replaced, comments not counted.
    pub expanded_bytes: u32,
    /// Bytes of one macro's definition after the macros in it are replaced.
    pub macro_bytes: u32,
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
            macro_bytes: 1 << 20,
            includes: 1000,
            include_depth: 16,
            nesting: 64,
            faults: 200,
        }
    }
}

/// The text that bytes spell: what is not UTF-8 becomes U+FFFD, which is refused outside of comments.
fn decode(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}
