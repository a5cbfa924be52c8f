//! The texts that were read, and places in them.
//!
//! Every byte that pfproof judges comes from a [`SourceFile`] held by [`Sources`]; a [`Span`] names a
//! range of it. A [`SpanMap`] leads from text with macros replaced back to it. Reading from a disk is the business of a [`Loader`], which the command line supplies.
//! Knows nothing of pf.

mod loader;
mod sources;
mod span_map;

pub use loader::{LoadError, Loader, MemoryLoader};
pub use sources::{FileId, Location, SourceFile, Sources, Span};
pub use span_map::{At, DefinitionId, SpanMap, Through, UseId};
