//! The bytes that the lexer reads: files within files, and at most one macro's value pushed before them. Follows
//! `igetc` and `lgetc` of parse.y.

use std::sync::Arc;

use crate::source::{FileId, UseId};

/// Where a byte came from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    /// From the innermost file, at that offset.
    File(FileId, u32),
    /// From the value of a macro, at that offset.
    Value(UseId, u32),
}

/// A byte and where it came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Byte {
    pub(super) value: u8,
    pub(super) mark: Mark,
}

#[derive(Debug)]
struct File {
    id: FileId,
    text: Arc<str>,
    at: usize,
    /// The end was met once, and a newline given for it.
    ended: bool,
}

#[derive(Debug)]
struct Value {
    number: UseId,
    text: Arc<str>,
}

/// A place to come back to, within the same file and before its end was passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checkpoint {
    depth: usize,
    at: usize,
    ended: bool,
    value_at: usize,
    expanding: bool,
}

/// The input, as a stack of files.
#[derive(Debug)]
pub(super) struct Input {
    outer: Vec<File>,
    file: File,
    value: Option<Value>,
    value_at: usize,
    /// Whether `$` is an ordinary character, because it comes from a macro's value.
    expanding: bool,
}

impl Input {
    /// The input that reads `text`.
    pub(super) fn new(id: FileId, text: Arc<str>) -> Self {
        Self {
            outer: Vec::new(),
            file: File {
                id,
                text,
                at: 0,
                ended: false,
            },
            value: None,
            value_at: 0,
            expanding: false,
        }
    }

    /// Reads `text` before what is left.
    pub(super) fn include(&mut self, id: FileId, text: Arc<str>) {
        let file = File {
            id,
            text,
            at: 0,
            ended: false,
        };
        self.outer.push(std::mem::replace(&mut self.file, file));
    }

    /// Reads the value of a macro before what is left.
    pub(super) fn expand(&mut self, number: UseId, text: Arc<str>) {
        self.value = Some(Value { number, text });
        self.value_at = 0;
        self.expanding = true;
    }

    /// How many files are open.
    pub(super) fn depth(&self) -> usize {
        self.outer.len() + 1
    }

    /// The files that are open, the innermost first.
    pub(super) fn files(&self) -> impl Iterator<Item = FileId> + '_ {
        std::iter::once(self.file.id).chain(self.outer.iter().rev().map(|file| file.id))
    }

    /// The innermost file.
    pub(super) fn file(&self) -> FileId {
        self.file.id
    }

    /// The offset of the next byte in the innermost file.
    pub(super) fn offset(&self) -> u32 {
        self.file.at as u32
    }

    /// Whether `$` begins no macro now.
    pub(super) fn expanding(&self) -> bool {
        self.expanding
    }

    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            depth: self.depth(),
            at: self.file.at,
            ended: self.file.ended,
            value_at: self.value_at,
            expanding: self.expanding,
        }
    }

    /// Goes back to a checkpoint; `false`, and nothing is done, if its file has been left.
    pub(super) fn back_to(&mut self, checkpoint: Checkpoint) -> bool {
        if checkpoint.depth != self.depth() {
            return false;
        }
        self.file.at = checkpoint.at;
        self.file.ended = checkpoint.ended;
        self.value_at = checkpoint.value_at;
        self.expanding = checkpoint.expanding;
        true
    }

    /// The rest of the innermost file, if the next byte comes from there; [`skip`](Self::skip) takes some of it.
    pub(super) fn plain(&self) -> Option<(&str, FileId, u32)> {
        if self.expanding {
            return None;
        }
        let rest = self.file.text.get(self.file.at..)?;
        Some((rest, self.file.id, self.file.at as u32))
    }

    /// Leaves out bytes of [`plain`](Self::plain).
    pub(super) fn skip(&mut self, bytes: usize) {
        self.file.at += bytes;
    }

    /// The next byte as it stands. (The bytes 1 and 2 are pfctl's own marks of a macro's value, even in a file.)
    pub(super) fn raw(&mut self) -> Option<Byte> {
        loop {
            if self.expanding
                && let Some(value) = &self.value
            {
                if let Some(&byte) = value.text.as_bytes().get(self.value_at) {
                    let mark = Mark::Value(value.number, self.value_at as u32);
                    self.value_at += 1;
                    return Some(Byte { value: byte, mark });
                }
                self.expanding = false;
            }
            let at = self.file.at;
            let &byte = self.file.text.as_bytes().get(at)?;
            self.file.at += 1;
            match byte {
                1 => {
                    self.expanding = true;
                    self.value = None;
                }
                2 => self.expanding = false,
                _ => {
                    return Some(Byte {
                        value: byte,
                        mark: Mark::File(self.file.id, at as u32),
                    });
                }
            }
        }
    }

    /// The next byte outside quotes: `\` and a newline are left out, `\` before anything else is dropped, and a file's
    /// end is a newline first.
    pub(super) fn next(&mut self) -> Option<Byte> {
        let mut next = self.raw();
        while next.is_some_and(|byte| byte.value == b'\\') {
            let escaped = self.raw();
            if escaped.is_none_or(|byte| byte.value != b'\n') {
                next = escaped;
                break;
            }
            next = self.raw();
        }
        if next.is_some() {
            return next;
        }
        if !self.file.ended {
            self.file.ended = true;
            return Some(Byte {
                value: b'\n',
                mark: Mark::File(self.file.id, self.file.at as u32),
            });
        }
        while next.is_none() && self.close() {
            next = self.raw();
        }
        next
    }

    /// Leaves the innermost file; `false` if it is the only one.
    pub(super) fn close(&mut self) -> bool {
        match self.outer.pop() {
            Some(file) => {
                self.file = file;
                true
            }
            None => false,
        }
    }
}
