//! [`Sources`]: the table of all texts, with line starts, and [`Span`], a place in one of them.

use std::sync::Arc;

/// The number of a text in [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

impl FileId {
    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// The file of a number that came from [`number`](Self::number).
    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// A range of bytes of one text: from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The text.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte; equal to `start` for a point.
    pub end: u32,
}

impl Span {
    /// The smallest span that holds both; `self` where they lie in different files.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        if self.file != other.file {
            return self;
        }
        Self {
            file: self.file,
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// A place as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location<'a> {
    /// The name of the text, as the user wrote it.
    pub name: &'a str,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// One text that was read.
#[derive(Debug)]
pub struct SourceFile {
    name: String,
    text: Arc<str>,
    line_starts: Vec<u32>,
}

impl SourceFile {
    /// The name, as the user wrote it (`pf.conf`, `stdin`).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The line of a byte, from 1. What lies past the end is on the line after the last, as pfctl counts.
    #[must_use]
    pub fn line_of(&self, offset: u32) -> u32 {
        let past_end = usize::from(offset as usize > self.text.len());
        let line = self.line_starts.partition_point(|&start| start <= offset) + past_end;
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    /// The text of a line (from 1) without its newline; empty where there is no such line.
    #[must_use]
    pub fn line(&self, number: u32) -> &str {
        let index = number.saturating_sub(1) as usize;
        let Some(&start) = self.line_starts.get(index) else {
            return "";
        };
        let end = self
            .line_starts
            .get(index + 1)
            .map_or(self.text.len(), |&next| next as usize);
        self.text
            .get(start as usize..end)
            .unwrap_or("")
            .trim_end_matches(['\n', '\r'])
    }

    /// The first byte of a line (from 1); the end of the text where there is no such line.
    #[must_use]
    pub fn line_start(&self, number: u32) -> u32 {
        let index = number.saturating_sub(1) as usize;
        self.line_starts.get(index).copied().unwrap_or(self.text.len() as u32)
    }
}

/// All texts of one run.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of the text that was added under `name`.
    ///
    /// A text longer than 4 GiB is cut there; the loaders' limits are far below.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        let text: Arc<str> = text.into();
        let mut line_starts = vec![0];
        line_starts.extend(text.match_indices('\n').map(|(at, _)| at as u32 + 1));
        self.files.push(SourceFile {
            name: name.into(),
            text,
            line_starts,
        });
        FileId(self.files.len() as u32 - 1)
    }

    /// The text of that number.
    ///
    /// # Panics
    /// If `file` comes from another table: a fault of the program, never of its input.
    #[must_use]
    pub fn file(&self, file: FileId) -> &SourceFile {
        // INVARIANT: a FileId is only made by `add`, and texts are never taken away.
        &self.files[file.0 as usize]
    }

    /// The files in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files
            .iter()
            .enumerate()
            .map(|(at, file)| (FileId(at as u32), file))
    }

    /// The place where a span begins.
    #[must_use]
    pub fn location(&self, span: Span) -> Location<'_> {
        let file = self.file(span.file);
        let line = file.line_of(span.start);
        let before = file
            .text
            .get(file.line_start(line) as usize..span.start as usize)
            .unwrap_or("");
        Location {
            name: &file.name,
            line,
            column: before.chars().count() as u32 + 1,
        }
    }

    /// The text of a span.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        self.file(span.file)
            .text
            .get(span.start as usize..span.end as usize)
            .unwrap_or("")
    }
}
