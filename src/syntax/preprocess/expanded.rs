//! [`Expanded`]: the words of the text written anew, in the three shapes that the grammar reads.

use super::input::{Byte, Mark};
use crate::source::{At, FileId, SpanMap};

/// The text with macros replaced, and the way back.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    pub(super) text: Vec<u8>,
    pub(super) map: SpanMap,
}

impl Expanded {
    pub(super) fn end(&self) -> u32 {
        self.text.len() as u32
    }

    pub(super) fn mark(&mut self, mark: Mark) {
        match mark {
            Mark::File(file, offset) => self.map.written(self.text.len() as u32, file, offset),
            Mark::Value(used, offset) => self.map.expanded(self.text.len() as u32, used, offset),
        }
    }

    /// Writes a word as it stands, and a blank.
    pub(super) fn plain(&mut self, bytes: &[Byte]) -> At {
        let start = self.end();
        for byte in bytes {
            self.mark(byte.mark);
            self.text.push(byte.value);
        }
        let at = At { start, end: self.end() };
        self.text.push(b' ');
        at
    }

    /// Writes a word in quotes, and a blank.
    pub(super) fn quoted(&mut self, bytes: &[Byte]) -> At {
        if let Some(first) = bytes.first() {
            self.mark(first.mark);
        }
        self.text.push(b'"');
        let start = self.end();
        for byte in bytes {
            self.mark(byte.mark);
            if byte.value == b'"' || byte.value == b'\\' {
                self.text.push(b'\\');
            }
            self.text.push(byte.value);
        }
        let at = At { start, end: self.end() };
        self.text.extend_from_slice(b"\" ");
        at
    }

    /// Writes a word that stands so in a file, in quotes if it is no keyword.
    pub(super) fn slice(&mut self, word: &str, file: FileId, offset: u32, quoted: bool) -> At {
        if quoted {
            self.text.push(b'"');
        }
        let start = self.end();
        self.map.written(start, file, offset);
        if quoted && word.contains('"') {
            for (at, byte) in word.bytes().enumerate() {
                self.map.written(self.end(), file, offset + at as u32);
                if byte == b'"' {
                    self.text.push(b'\\');
                }
                self.text.push(byte);
            }
        } else {
            self.text.extend_from_slice(word.as_bytes());
        }
        let at = At { start, end: self.end() };
        self.text.extend_from_slice(if quoted { b"\" " } else { b" " });
        at
    }
}
