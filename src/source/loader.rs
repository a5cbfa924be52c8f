//! [`Loader`]: how the library asks for a file that a text names, and a loader from memory.

use std::collections::HashMap;

/// Why a file could not be read, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// No such file.
    NotFound,
    /// It leads out of the root, by its path or by a link.
    OutsideRoot,
    /// Larger than the limit, in bytes.
    TooLarge(u64),
    /// Anything else, as the operating system says it.
    Other(String),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => write!(f, "no such file"),
            Self::OutsideRoot => write!(f, "it lies outside the root folder"),
            Self::TooLarge(limit) => write!(f, "it is larger than {limit} bytes"),
            Self::Other(why) => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Reads the files that pf.conf, a policy or a table names.
pub trait Loader: Sync {
    /// The bytes of the file that is written as `path`; relative paths are from pf.conf's folder.
    ///
    /// # Errors
    /// [`LoadError`], where it is missing, too large, not readable, or outside the root.
    fn load(&self, path: &str) -> Result<Vec<u8>, LoadError>;

    /// What messages call the file that is written as `path`: as it is written, or so that it can be opened from where the
    /// message is read.
    fn name(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// A loader from memory, for tests and for users of the library.
#[derive(Clone, Debug, Default)]
pub struct MemoryLoader {
    files: HashMap<String, Vec<u8>>,
}

impl MemoryLoader {
    /// A loader of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same loader with one more file.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), bytes.into());
        self
    }
}

impl Loader for MemoryLoader {
    fn load(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        self.files.get(path).cloned().ok_or(LoadError::NotFound)
    }
}
