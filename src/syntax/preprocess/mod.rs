//! From text to statements: macros replaced, includes opened, lists joined over lines.
//!
//! [`lexer`] reads words as pfctl does; [`Preprocessor`] gathers them into statements. What a statement means is the
//! business of the grammar; only macro definitions are understood, and applied, here.

mod expanded;
mod input;
mod keyword;
mod lexer;
mod macros;
mod raw;
mod statements;

pub(super) use raw::{Raw, RawKind};
pub(super) use statements::Preprocessor;
