//! A policy file as statements: where each begins and ends, its macros expanded, and the way back to what is written.

use std::collections::HashMap;

use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::{FileId, Sources, Span};

/// The macros of pf.conf: each name and its text at the end of the file.
pub type Macros = HashMap<String, String>;

/// The longest statement after expansion, in bytes.
const LONGEST: usize = 1 << 20;

/// One statement with its macros expanded.
pub(super) struct Statement {
    /// Its text.
    pub(super) text: String,
    file: FileId,
    /// From which offset of `text` on which place of the file stands; a macro's text stands for its `$name` whole.
    pieces: Vec<Piece>,
}

struct Piece {
    from: usize,
    start: u32,
    /// The length of `$name`; `None` for text that stands as written.
    name: Option<u32>,
}

impl Statement {
    /// The place in the file of a range of the expanded text.
    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        let first = self.written(start, false);
        let last = if end > start {
            self.written(end - 1, true)
        } else {
            first
        };
        Span {
            file: self.file,
            start: first,
            end: last.max(first),
        }
    }

    /// The place of the whole statement, without blanks and comments around it.
    pub(super) fn whole(&self) -> Span {
        let trimmed = self.text.trim();
        let start = self.text.len() - self.text.trim_start().len();
        self.span(start, start + trimmed.len())
    }

    /// Where the byte of the expanded text is written; past it if `past`.
    fn written(&self, offset: usize, past: bool) -> u32 {
        let at = self.pieces.partition_point(|piece| piece.from <= offset);
        let Some(piece) = at.checked_sub(1).and_then(|at| self.pieces.get(at)) else {
            return 0;
        };
        match piece.name {
            Some(length) => piece.start + if past { length } else { 0 },
            None => piece.start + (offset - piece.from) as u32 + u32::from(past),
        }
    }
}

/// The statements of a file. A statement ends with its line, unless the line ends in `\` or a `{` is open; comments
/// are taken out, text in quotes stays as it is.
pub(super) fn split(sources: &Sources, file: FileId, macros: &Macros) -> (Vec<Statement>, Vec<Diagnostic>) {
    let text = sources.file(file).text();
    let mut splitter = Splitter {
        file,
        text,
        macros,
        statement: empty(file),
        broken: false,
        statements: Vec::new(),
        diagnostics: Vec::new(),
    };
    splitter.run();
    (splitter.statements, splitter.diagnostics)
}

fn empty(file: FileId) -> Statement {
    Statement {
        text: String::new(),
        file,
        pieces: Vec::new(),
    }
}

struct Splitter<'a> {
    file: FileId,
    text: &'a str,
    macros: &'a Macros,
    statement: Statement,
    /// Whether the statement has an error already, and is to be skipped.
    broken: bool,
    statements: Vec<Statement>,
    diagnostics: Vec<Diagnostic>,
}

impl Splitter<'_> {
    fn run(&mut self) {
        let bytes = self.text.as_bytes();
        let (mut at, mut depth, mut in_word) = (0, 0usize, false);
        while let Some(&byte) = bytes.get(at) {
            let rest = &bytes[at..];
            let next = match byte {
                b'#' => {
                    // A comment ends with its line, whatever its last character is.
                    at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
                }
                b'\\' if rest.get(1) == Some(&b'\n') => {
                    self.copy(at, " ");
                    at + 2
                }
                b'\n' if depth == 0 || begins_statement(&self.text[at + 1..]) => {
                    self.finish();
                    depth = 0;
                    at + 1
                }
                b'"' => {
                    let length = rest[1..].iter().position(|&b| b == b'"' || b == b'\n');
                    let end = at + length.map_or(rest.len(), |length| length + 1);
                    // The closing quote belongs to it, a newline does not.
                    let end = if bytes.get(end) == Some(&b'"') { end + 1 } else { end };
                    self.copy(at, &self.text[at..end]);
                    end
                }
                b'$' if !in_word => at + self.expand(at),
                _ => {
                    let length = self.text[at..].chars().next().map_or(1, char::len_utf8);
                    self.copy(at, &self.text[at..at + length]);
                    at + length
                }
            };
            depth = match byte {
                b'{' => depth + 1,
                b'}' => depth.saturating_sub(1),
                _ => depth,
            };
            in_word = !(byte.is_ascii_whitespace() || b"(){}<>!=/#,\"\\".contains(&byte));
            at = next;
        }
        self.finish();
    }

    /// Adds text that stands at that place of the file.
    fn copy(&mut self, at: usize, text: &str) {
        let statement = &mut self.statement;
        let continues = statement.pieces.last().is_some_and(|piece| {
            piece.name.is_none() && piece.start as usize + (statement.text.len() - piece.from) == at
        });
        if !continues {
            statement.pieces.push(Piece {
                from: statement.text.len(),
                start: at as u32,
                name: None,
            });
        }
        statement.text.push_str(text);
    }

    /// Adds the text of the macro whose `$` stands there; the length of `$name`.
    fn expand(&mut self, at: usize) -> usize {
        let name: &str = self.text.get(at + 1..).unwrap_or("");
        let length = name
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(name.len());
        let name = &name[..length];
        let span = Span {
            file: self.file,
            start: at as u32,
            end: (at + 1 + length) as u32,
        };
        match self.macros.get(name) {
            Some(text) if self.statement.text.len() + text.len() <= LONGEST => {
                self.statement.pieces.push(Piece {
                    from: self.statement.text.len(),
                    start: at as u32,
                    name: Some(1 + length as u32),
                });
                self.statement.text.push_str(text);
            }
            Some(_) => {
                self.broken = true;
                let message = format!("the statement is longer than {LONGEST} bytes after expansion");
                self.diagnostics.push(Diagnostic::new(Code::Policy, message).at(span));
            }
            None => {
                self.broken = true;
                let mut finding = Diagnostic::new(Code::Policy, format!("macro `{name}` not defined"))
                    .labelled(span, "pf.conf defines no such macro");
                if let Some(near) = nearest(name, self.macros.keys().map(String::as_str)) {
                    finding = finding.help(format!("there is `${near}`"));
                }
                self.diagnostics.push(finding);
            }
        }
        1 + length
    }

    fn finish(&mut self) {
        let statement = std::mem::replace(&mut self.statement, empty(self.file));
        let broken = std::mem::take(&mut self.broken);
        if !broken && !statement.text.trim().is_empty() {
            self.statements.push(statement);
        }
    }
}

/// Whether a line begins with a statement's verb: then a `{` that is still open was forgotten.
fn begins_statement(rest: &str) -> bool {
    const VERBS: [&str; 8] = [
        "require", "allow", "forbid", "closed", "assume", "zone", "include", "config",
    ];
    rest.split('\n')
        .next()
        .and_then(|line| line.split_whitespace().next())
        .is_some_and(|word| VERBS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::{Macros, split};
    use crate::source::Sources;

    fn texts(text: &str) -> Vec<String> {
        let mut sources = Sources::new();
        let file = sources.add("p", text);
        let macros = Macros::from([("if".to_owned(), "em0".to_owned())]);
        let (statements, _) = split(&sources, file, &macros);
        statements.into_iter().map(|s| s.text.trim().to_owned()).collect()
    }

    #[test]
    fn splits_by_lines() {
        assert_eq!(texts("closed # all\n\nclosed from a\n"), ["closed", "closed from a"]);
        assert_eq!(
            texts("zone a on { em0\n em1 }\nclosed"),
            ["zone a on { em0\n em1 }", "closed"]
        );
        assert_eq!(texts("zone a \\\n on em0"), ["zone a   on em0"]);
        assert_eq!(texts("zone a on { em0\nclosed"), ["zone a on { em0", "closed"]);
        assert_eq!(texts("include \"a#b\""), ["include \"a#b\""]);
    }

    #[test]
    fn expands_and_finds_back() {
        assert_eq!(texts("zone a on $if:network x$if"), ["zone a on em0:network x$if"]);
        let mut sources = Sources::new();
        let file = sources.add("p", "zone a on $if from b");
        let (statements, _) = split(&sources, file, &Macros::from([("if".to_owned(), "lagg00".to_owned())]));
        let statement = &statements[0];
        let at = statement.text.find("lagg00").unwrap();
        assert_eq!(sources.text(statement.span(at, at + 6)), "$if");
        let at = statement.text.find("from").unwrap();
        assert_eq!(sources.text(statement.span(at, at + 4)), "from");
    }
}
