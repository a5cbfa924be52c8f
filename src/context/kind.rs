//! [`Kind`]: which texts describe a machine, and who reads them.

use super::{Facts, read_toml};
use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Sources};

/// A kind of text that describes a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `context.toml`.
    ContextToml,
    /// Output of `ifconfig -A`.
    Ifconfig,
    /// Output of `route -n show` or `netstat -rn`.
    Routes,
}

impl Kind {
    /// The kind of a file beside pf.conf, by its name; `None` for one that says nothing of the machine.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        match name {
            "context.toml" => Some(Self::ContextToml),
            _ => None,
        }
    }
}

/// What a text says of the machine, and what is wrong with it.
#[must_use]
pub fn read(kind: &Kind, sources: &Sources, file: FileId) -> (Facts, Vec<Diagnostic>) {
    match kind {
        Kind::ContextToml => read_toml(sources, file),
        Kind::Ifconfig | Kind::Routes => (Facts::default(), Vec::new()),
    }
}
