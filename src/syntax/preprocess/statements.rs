//! [`Preprocessor`]: the words of the text gathered into statements.

use std::sync::Arc;

use super::input::{Checkpoint, Input};
use super::keyword::{begins_statement, takes_list};
use super::lexer::{Fault, Kind, Lexer, Token};
use super::raw::{Raw, RawKind};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{At, FileId, Span, SpanMap};
use crate::syntax::Limits;
use crate::syntax::build::unquote;
use crate::syntax::document::{Macro, finding};

/// After an error yacc reports no syntax error until it has taken so many words.
const QUIET_WORDS: u32 = 3;

/// The beginning of a line within a statement.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: u32,
    checkpoint: Checkpoint,
    faults: usize,
}

/// Reads statement after statement.
#[derive(Debug)]
pub(in crate::syntax) struct Preprocessor<'a> {
    lexer: Lexer,
    limits: &'a Limits,
    start: Span,
    faults: Vec<(u32, Diagnostic)>,
    /// Words since the last refusal, the newline that ended it included.
    words_since: u32,
    skip_next: bool,
    /// What is to be said of a macro whose definition is skipped.
    why_skipped: &'static str,
    /// The lines of the last statement after its first.
    lines: Vec<Line>,
    /// The words of the last statement, if it begins like a macro definition.
    words: Vec<Token>,
    full: bool,
}

impl<'a> Preprocessor<'a> {
    /// Reads `text`, with the macros of `defines` known: (name, value, the text of that definition).
    pub(in crate::syntax) fn new(
        file: FileId,
        text: Arc<str>,
        defines: &[(&str, &str, FileId)],
        limits: &'a Limits,
    ) -> Self {
        let start = Span { file, start: 0, end: 0 };
        let mut preprocessor = Self {
            lexer: Lexer::new(Input::new(file, text)),
            limits,
            start,
            faults: Vec::new(),
            words_since: QUIET_WORDS,
            skip_next: false,
            why_skipped: "",
            lines: Vec::new(),
            words: Vec::new(),
            full: false,
        };
        for &(name, value, file) in defines {
            let out = &mut preprocessor.lexer.out;
            let at = out.end();
            out.map.written(at, file, name.len() as u32 + 1);
            out.text.extend_from_slice(value.as_bytes());
            out.text.push(b'\n');
            let span = Span {
                file,
                start: 0,
                end: name.len() as u32,
            };
            preprocessor.define(name, value, vec![(0, at)], span, true);
        }
        preprocessor
    }

    /// The next statement; `None` at the end of the text.
    pub(in crate::syntax) fn next(&mut self, in_anchor: bool) -> Option<Raw> {
        loop {
            if self.full {
                return None;
            }
            let skipped = std::mem::take(&mut self.skip_next);
            self.lines.clear();
            self.words.clear();
            let start = self.lexer.out.end();
            let quiet = self.words_since < QUIET_WORDS;
            let token = match self.lex() {
                Ok(token) => token,
                Err(fault) => {
                    self.refuse(*fault);
                    continue;
                }
            };
            let mut raw = match token.kind {
                Kind::End => return None,
                Kind::Newline => {
                    if skipped {
                        self.words_since = 1;
                    }
                    continue;
                }
                Kind::Sign(b'}') if in_anchor => self.close(token),
                Kind::Keyword(_) | Kind::Word | Kind::Number | Kind::Sign(_) | Kind::Operator => {
                    self.gather(token, start)
                }
            };
            if skipped {
                self.words_since = 1;
            }
            raw.skipped = skipped;
            raw.quiet = quiet;
            return Some(raw);
        }
    }

    fn lex(&mut self) -> Result<Token, Box<Fault>> {
        self.words_since = self.words_since.saturating_add(1);
        self.lexer.lex()
    }

    /// Notes a refusal; `at` orders it among the others.
    pub(in crate::syntax) fn note(&mut self, at: u32, fault: Diagnostic) {
        self.faults.push((at, fault));
        self.words_since = 1;
    }

    /// After a refusal that pfctl does not report, so close after another: it recovers anew all the same.
    pub(in crate::syntax) fn recover_anew(&mut self) {
        self.words_since = 1;
    }

    /// How many refusals were noted.
    pub(in crate::syntax) fn faults(&self) -> usize {
        self.faults.len()
    }

    /// Everything up to the end of the line is no part of a statement: after an include that failed.
    pub(in crate::syntax) fn skip_line(&mut self) {
        while let Ok(token) = self.lexer.lex() {
            if matches!(token.kind, Kind::Newline | Kind::End) {
                break;
            }
        }
    }

    /// Reads the statements of a file before what is left.
    pub(in crate::syntax) fn include(&mut self, file: FileId, text: Arc<str>) {
        self.lexer.input.include(file, text);
    }

    /// How many files are open.
    pub(in crate::syntax) fn depth(&self) -> usize {
        self.lexer.input.depth()
    }

    /// The files that are open, the innermost first.
    pub(in crate::syntax) fn files(&self) -> impl Iterator<Item = FileId> + '_ {
        self.lexer.input.files()
    }

    /// The end of the text, once it is reached: after the newline that pfctl's lexer adds.
    pub(in crate::syntax) fn here(&self) -> Span {
        let offset = self.lexer.input.offset() + 1;
        Span {
            file: self.lexer.input.file(),
            start: offset,
            end: offset,
        }
    }

    /// The expanded text of a range.
    pub(in crate::syntax) fn text(&self, at: At) -> &str {
        let bytes = self
            .lexer
            .out
            .text
            .get(at.start as usize..at.end as usize)
            .unwrap_or(&[]);
        // INVARIANT: the text is made of whole characters, so this never falls back.
        std::str::from_utf8(bytes).unwrap_or("")
    }

    pub(in crate::syntax) fn map(&self) -> &SpanMap {
        &self.lexer.out.map
    }

    /// A refusal at a place of the expanded text.
    pub(in crate::syntax) fn finding(&self, at: At, message: impl Into<String>, label: &str) -> Diagnostic {
        finding(self.map(), self.start, Code::Syntax, at, message.into(), label)
    }

    /// The first place of the text: where nothing better is known.
    pub(in crate::syntax) fn start(&self) -> Span {
        self.start
    }

    /// The expanded text, the way back, all macros, and what was refused with its order.
    pub(in crate::syntax) fn finish(self) -> (String, SpanMap, Vec<Macro>, Vec<(u32, Diagnostic)>) {
        let Lexer { mut out, macros, .. } = self.lexer;
        out.text.shrink_to_fit();
        out.map.shrink();
        // INVARIANT: the text is made of whole characters, so this never falls back.
        let text = String::from_utf8(out.text).unwrap_or_default();
        (text, out.map, macros.into_all(), self.faults)
    }

    fn refuse(&mut self, fault: Fault) {
        self.skip_next = fault.skipped;
        self.why_skipped = "pfctl skips this definition, because of the undefined macro on the line before";
        self.note(self.lexer.out.end(), fault.diagnostic);
    }

    fn close(&mut self, brace: Token) -> Raw {
        let mut raw = self.gather(brace, brace.at.start);
        raw.kind = RawKind::Close;
        let after = At {
            start: brace.at.end + 1,
            end: raw.at.end,
        };
        if !raw.refused && after.start < after.end {
            let fault = self.finding(after, "syntax error", "nothing may follow the `}` of an anchor");
            self.note(after.start, fault);
            raw.refused = true;
        }
        raw.at = brace.at;
        raw
    }

    /// The statement that begins with `first`.
    fn gather(&mut self, first: Token, start: u32) -> Raw {
        let mut raw = Raw {
            kind: RawKind::Plain,
            at: first.at,
            refused: false,
            skipped: false,
            quiet: false,
            single: true,
            unclosed: None,
        };
        let long = matches!(first.kind, Kind::Keyword(word) if begins_statement(word));
        let anchor = first.kind == Kind::Keyword("anchor");
        let include = first.kind == Kind::Keyword("include");
        let mut braces: Vec<At> = Vec::new();
        let mut last = first.kind;
        if first.kind == Kind::Word {
            self.words.push(first);
        }
        let end = loop {
            if let Some(limit) = self.limit_passed(start) {
                self.stop(first.at, limit);
                raw.refused = true;
                break self.lexer.out.end();
            }
            let checkpoint = self.lexer.input.checkpoint();
            let token = match self.lex() {
                Ok(token) => token,
                Err(fault) => {
                    raw.refused = true;
                    let opens = anchor && fault.brace && braces.is_empty();
                    let open = (braces.len() as i64 - fault.closed).clamp(0, i64::from(self.limits.nesting));
                    braces.resize(open as usize, first.at);
                    let goes_on = long && !braces.is_empty() && !fault.ends;
                    self.refuse(*fault);
                    if opens {
                        raw.kind = RawKind::Open;
                    }
                    // In a list pfctl skips a line of the list, and the rest of it is no statement.
                    self.skip_next &= !opens && !goes_on;
                    if !goes_on {
                        break self.lexer.out.end();
                    }
                    last = Kind::Newline;
                    continue;
                }
            };
            match token.kind {
                Kind::End => {
                    let end = self.lexer.out.end();
                    self.lexer.write_end();
                    raw.unclosed = braces.last().copied();
                    break end;
                }
                Kind::Newline if braces.is_empty() || !long => {
                    let end = self.lexer.out.end();
                    self.lexer.write_end();
                    break end;
                }
                Kind::Newline => {
                    raw.single = false;
                    self.lexer.write_newline();
                    self.lines.push(Line {
                        start: self.lexer.out.end(),
                        checkpoint: self.lexer.input.checkpoint(),
                        faults: self.faults.len(),
                    });
                }
                Kind::Keyword(word) if last == Kind::Newline && begins_statement(word) => {
                    let end = self.lexer.out.end();
                    self.lexer.write_end();
                    raw.unclosed = braces.last().copied();
                    if !self.lexer.input.back_to(checkpoint) {
                        self.skip_line();
                    }
                    break end;
                }
                Kind::Sign(b'{') => {
                    let listed = !braces.is_empty() || matches!(last, Kind::Keyword(word) if takes_list(word));
                    if anchor && !listed {
                        raw.kind = RawKind::Open;
                        break self.open(&mut raw);
                    }
                    braces.push(token.at);
                    if braces.len() > self.limits.nesting as usize && !raw.refused {
                        raw.refused = true;
                        let message = format!("lists nest deeper than {}", self.limits.nesting);
                        let fault = self.finding(token.at, message, "");
                        self.note(token.at.start, fault);
                    }
                }
                Kind::Sign(b'}') => {
                    braces.pop();
                }
                Kind::Keyword(_) | Kind::Word | Kind::Number | Kind::Sign(_) | Kind::Operator => {}
            }
            last = token.kind;
            if !self.words.is_empty() {
                self.words.push(token);
            }
            if include && token.kind == Kind::Word {
                raw.kind = RawKind::Include;
                let end = self.lexer.out.end();
                self.lexer.write_end();
                break end;
            }
        };
        raw.at = At { start, end };
        if self.is_definition() && !raw.refused {
            raw.kind = RawKind::Macro;
        }
        raw
    }

    /// After the `{` of an anchor: its rules begin on the next line.
    fn open(&mut self, raw: &mut Raw) -> u32 {
        let end = self.lexer.out.end();
        match self.lex() {
            Ok(token) if matches!(token.kind, Kind::Newline | Kind::End) => self.lexer.write_end(),
            Ok(token) => {
                raw.refused = true;
                let fault = self
                    .finding(token.at, "syntax error", "expected the end of the line")
                    .help("the rules of an inline anchor begin on the line after its `{`");
                self.note(token.at.start, fault);
                let mut braces = 1;
                let mut next = Ok(token);
                while let Ok(token) = next
                    && !matches!(token.kind, Kind::Newline | Kind::End)
                {
                    braces += i64::from(token.kind == Kind::Sign(b'{')) - i64::from(token.kind == Kind::Sign(b'}'));
                    next = self.lexer.lex();
                }
                // Closed on the same line: no rules follow.
                if braces <= 0 {
                    raw.kind = RawKind::Plain;
                }
                self.lexer.write_end();
            }
            Err(fault) => {
                raw.refused = true;
                self.refuse(*fault);
                self.skip_next = false;
            }
        }
        end
    }

    /// The limit that the expanded text has passed, in words; `start` is where the statement begins.
    fn limit_passed(&self, start: u32) -> Option<String> {
        let end = self.lexer.out.end();
        let Limits {
            expanded_bytes,
            macro_bytes,
            ..
        } = *self.limits;
        if end > expanded_bytes {
            Some(format!("the rules are larger than {expanded_bytes} bytes"))
        } else if !self.words.is_empty() && end - start > macro_bytes {
            Some(format!("the definition of a macro is larger than {macro_bytes} bytes"))
        } else {
            None
        }
    }

    /// A limit on the expanded text is passed: nothing more is read.
    fn stop(&mut self, at: At, limit: String) {
        let fault = self.finding(at, limit + " once macros are replaced", "");
        self.note(at.start, fault);
        self.full = true;
    }

    /// After a statement of several lines was refused at `at`: goes back to a line after that which looks like a
    /// statement of its own, so that it is not lost, and `true`. (A list that was never closed swallows all that follows.)
    pub(in crate::syntax) fn recover(&mut self, at: u32) -> bool {
        let looks_like_definition = |line: &Line| {
            let text = self.lexer.out.text.get(line.start as usize..).unwrap_or(&[]);
            let Some(word) = text.strip_prefix(b"\"") else {
                return false;
            };
            let end = word.iter().position(|&byte| byte == b'"' || byte == b'\n');
            end.is_some_and(|end| word.get(end..).is_some_and(|rest| rest.starts_with(b"\" = ")))
        };
        let of_fault = self.lines.partition_point(|line| line.start <= at).saturating_sub(1);
        let mut later = self.lines.iter().enumerate().skip(of_fault);
        let found = later.find(|(_, line)| looks_like_definition(line));
        if let Some((number, &line)) = found
            && self.lexer.input.back_to(line.checkpoint)
        {
            // The line of the fault itself is a part of the list to pfctl.
            self.skip_next = number == of_fault;
            self.why_skipped = "pfctl takes this definition for a part of the list above, which is not closed";
            self.faults.truncate(line.faults);
            return true;
        }
        false
    }

    fn is_definition(&self) -> bool {
        match self.words.as_slice() {
            [name, equals, values @ ..] => {
                name.kind == Kind::Word
                    && equals.kind == Kind::Sign(b'=')
                    && !values.is_empty()
                    && values.iter().all(|word| matches!(word.kind, Kind::Word | Kind::Number))
            }
            _ => false,
        }
    }

    /// Applies the definition that the last statement is, and returns its name and value. One that pfctl skips is lost.
    pub(in crate::syntax) fn apply_definition(&mut self, skipped: bool) -> Option<(At, String, String)> {
        let words = std::mem::take(&mut self.words);
        let (at, values) = match words.as_slice() {
            [name, _, values @ ..] => (name.at, values),
            _ => return None,
        };
        let name = unquote(self.text(at)).into_owned();
        let mut value = String::new();
        let mut pieces = Vec::with_capacity(values.len());
        for word in values {
            if !pieces.is_empty() {
                value.push(' ');
            }
            pieces.push((value.len() as u32, word.at.start));
            value.push_str(&unquote(self.text(word.at)));
        }
        let span = self.map().span(at).unwrap_or(self.start);
        if skipped {
            self.lexer.macros.lose(&name, span, self.why_skipped);
        } else {
            self.define(&name, &value, pieces, span, false);
        }
        Some((at, name, value))
    }

    /// Notes that the last statement would define a macro, had it not been refused.
    pub(in crate::syntax) fn lose_definition(&mut self) {
        if let [name, equals, ..] = self.words.as_slice()
            && equals.kind == Kind::Sign(b'=')
            && name.kind == Kind::Word
        {
            let at = name.at;
            let span = self.map().span(at).unwrap_or(self.start);
            let name = unquote(self.text(at)).into_owned();
            self.lexer.macros.lose(&name, span, "this definition is refused");
        }
    }

    fn define(&mut self, name: &str, value: &str, pieces: Vec<(u32, u32)>, span: Span, given: bool) {
        let number = self.lexer.out.map.define(name, pieces);
        let definition = Macro {
            name: name.into(),
            value: value.into(),
            span,
            given,
            used: false,
        };
        self.lexer.macros.define(definition, number);
    }
}
