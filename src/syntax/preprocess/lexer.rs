//! [`Lexer`]: the words of the text, as `yylex` of parse.y reads them, written anew into the expanded text.

use super::expanded::Expanded;
use super::input::{Byte, Checkpoint, Input, Mark};
use super::keyword::keyword;
use super::macros::Macros;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{At, Span};

/// The longest word that pfctl's buffer takes.
const WORD_BYTES: usize = 8095;
/// The longest string between quotes, and the longest name of a macro.
const QUOTED_BYTES: usize = 8094;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Keyword(&'static str),
    /// A word that is no keyword, or anything in quotes.
    Word,
    Number,
    /// A sign of one byte.
    Sign(u8),
    /// `!=`, `<=`, `>=`, `<>`, `><`
    Operator,
    Newline,
    End,
}

/// One word and its place in the expanded text, without quotes. A newline and the end are not written there: theirs is
/// the place where they would be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: At,
}

/// What pfctl's lexer refuses.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) diagnostic: Diagnostic,
    /// Whether pfctl skips the next line too, having skipped the rest of this one.
    pub(super) skipped: bool,
    /// Whether the statement ends here, even within a list.
    pub(super) ends: bool,
    /// Whether the part that was skipped ends in `{`.
    pub(super) brace: bool,
    /// How many more `}` than `{` it has.
    pub(super) closed: i64,
}

/// After so many quotes that are never closed the rest of the text is given up: looking for the end of each costs as
/// much as reading all of it.
const UNCLOSED_QUOTES: u32 = 4;

const WORD: u8 = 1;
const START: u8 = 2;
const DIGIT: u8 = 4;
const ENDS_NUMBER: u8 = 8;
const SPECIAL: u8 = 16;

/// What a byte may be (`allowed_in_string`, `allowed_to_end_number` of parse.y).
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let c = byte as u8;
        let mut class = 0;
        if c.is_ascii_alphanumeric() {
            class |= WORD | START;
        }
        if c.is_ascii_punctuation()
            && !matches!(
                c,
                b'(' | b')' | b'{' | b'}' | b'<' | b'>' | b'!' | b'=' | b'/' | b'#' | b','
            )
        {
            class |= WORD;
        }
        if matches!(c, b':' | b'_') {
            class |= START;
        }
        if c.is_ascii_digit() {
            class |= DIGIT;
        }
        if matches!(c, b' ' | 9..=13 | b')' | b',' | b'/' | b'}' | b'=') {
            class |= ENDS_NUMBER;
        }
        if matches!(c, b'\\' | 1 | 2) {
            class = SPECIAL | (class & WORD);
        }
        classes[byte] = class;
        byte += 1;
    }
    classes
};

fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// The lexer: input, macros, and the expanded text that it writes.
#[derive(Debug)]
pub(super) struct Lexer {
    pub(super) input: Input,
    pub(super) out: Expanded,
    pub(super) macros: Macros,
    /// How many quotes were never closed.
    unclosed: u32,
    word: Vec<Byte>,
}

impl Lexer {
    pub(super) fn new(input: Input) -> Self {
        Self {
            input,
            out: Expanded::default(),
            macros: Macros::default(),
            unclosed: 0,
            word: Vec::new(),
        }
    }

    /// The next word.
    pub(super) fn lex(&mut self) -> Result<Token, Box<Fault>> {
        loop {
            if let Some(token) = self.plain_word() {
                return Ok(token);
            }
            let mut next = self.input.next();
            while next.is_some_and(|byte| matches!(byte.value, b' ' | b'\t')) {
                next = self.input.next();
            }
            if next.is_some_and(|byte| byte.value == b'#') {
                while next.is_some_and(|byte| byte.value != b'\n') {
                    next = self.input.next();
                }
            }
            let Some(byte) = next else {
                return Ok(self.place(Kind::End, None));
            };
            match byte.value {
                b'$' if !self.input.expanding() => self.expand(byte)?,
                b'\'' | b'"' => return self.quoted(byte),
                b'\n' => return Ok(self.place(Kind::Newline, Some(byte))),
                b'!' => return Ok(self.sign(byte, b"=")),
                b'<' => return Ok(self.sign(byte, b">=")),
                b'>' => return Ok(self.sign(byte, b"<=")),
                b'-' | b'0'..=b'9' => {
                    if let Some(token) = self.number(byte)? {
                        return Ok(token);
                    }
                    return if byte.value == b'-' {
                        Ok(self.sign(byte, b""))
                    } else {
                        self.word(byte)
                    };
                }
                value if is(value, START) => return self.word(byte),
                _ => return Ok(self.sign(byte, b"")),
            }
        }
    }

    /// Writes the newline of a list, which is a word there.
    pub(super) fn write_newline(&mut self) {
        self.out.text.extend_from_slice(b"\n ");
    }

    /// Writes the newline that ends a statement: it is no part of it, but has a place.
    pub(super) fn write_end(&mut self) {
        self.out.text.push(b'\n');
    }

    /// A word that stands in a file and has nothing unusual in it: nearly all are so.
    fn plain_word(&mut self) -> Option<Token> {
        let (rest, file, offset) = self.input.plain()?;
        let bytes = rest.as_bytes();
        let start = bytes.iter().position(|&byte| byte != b' ' && byte != b'\t')?;
        if !is(*bytes.get(start)?, START) {
            return None;
        }
        let length = bytes
            .get(start..)?
            .iter()
            .position(|&byte| !is(byte, WORD) || is(byte, SPECIAL))?;
        let end = start + length;
        let stop = *bytes.get(end)?;
        if is(stop, SPECIAL) || length > WORD_BYTES {
            return None;
        }
        let word = rest.get(start..end)?;
        let place = offset + start as u32;
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        let token = if digits && is(stop, ENDS_NUMBER) {
            let number: i64 = word.parse().ok()?;
            let at = if word.len() > 1 && word.starts_with('0') {
                self.out.slice(&number.to_string(), file, place, false)
            } else {
                self.out.slice(word, file, place, false)
            };
            Token { kind: Kind::Number, at }
        } else if let Some(keyword) = keyword(word) {
            Token {
                kind: Kind::Keyword(keyword),
                at: self.out.slice(word, file, place, false),
            }
        } else {
            Token {
                kind: Kind::Word,
                at: self.out.slice(word, file, place, true),
            }
        };
        self.input.skip(end);
        Some(token)
    }

    /// A token that is not written: the place where it would be.
    fn place(&mut self, kind: Kind, byte: Option<Byte>) -> Token {
        match byte {
            Some(byte) => self.out.mark(byte.mark),
            None => {
                // After the newline that was added.
                let mark = Mark::File(self.input.file(), self.input.offset() + 1);
                self.out.mark(mark);
            }
        }
        let start = self.out.end();
        Token {
            kind,
            at: At { start, end: start + 1 },
        }
    }

    /// A sign, or an operator if one of `seconds` follows.
    fn sign(&mut self, first: Byte, seconds: &[u8]) -> Token {
        let checkpoint = self.input.checkpoint();
        if !seconds.is_empty()
            && let Some(second) = self.input.next()
        {
            if seconds.contains(&second.value) {
                return Token {
                    kind: Kind::Operator,
                    at: self.out.plain(&[first, second]),
                };
            }
            self.input.back_to(checkpoint);
        }
        self.word.clear();
        self.word.push(first);
        // The rest of a character beyond ASCII: the text is cut into whole characters only.
        if first.value >= 0xc0 {
            let mut checkpoint = self.input.checkpoint();
            while let Some(next) = self.input.raw() {
                if next.value & 0xc0 != 0x80 {
                    self.input.back_to(checkpoint);
                    break;
                }
                self.word.push(next);
                checkpoint = self.input.checkpoint();
            }
        }
        Token {
            kind: Kind::Sign(first.value),
            at: self.out.plain(&self.word),
        }
    }

    fn number(&mut self, first: Byte) -> Result<Option<Token>, Box<Fault>> {
        let after_first = self.input.checkpoint();
        self.word.clear();
        self.word.push(first);
        let mut checkpoint = after_first;
        let end = loop {
            let next = self.input.next();
            match next {
                Some(byte) if byte.value.is_ascii_digit() => {
                    self.word.push(byte);
                    if self.word.len() > WORD_BYTES {
                        return Err(self.fault(first, "string too long"));
                    }
                    checkpoint = self.input.checkpoint();
                }
                other => break other,
            }
        };
        let is_number =
            end.is_none_or(|byte| is(byte.value, ENDS_NUMBER)) && (self.word.len() > 1 || first.value != b'-');
        if !is_number {
            self.input.back_to(after_first);
            return Ok(None);
        }
        self.input.back_to(checkpoint);
        let text: String = self.word.iter().map(|byte| char::from(byte.value)).collect();
        let Ok(number) = text.parse::<i64>() else {
            let why = if first.value == b'-' { "too small" } else { "too large" };
            return Err(self.fault(first, &format!("\"{text}\" invalid number: {why}")));
        };
        self.out.mark(first.mark);
        let start = self.out.end();
        self.out.text.extend_from_slice(number.to_string().as_bytes());
        let at = At {
            start,
            end: self.out.end(),
        };
        self.out.text.push(b' ');
        Ok(Some(Token { kind: Kind::Number, at }))
    }

    fn word(&mut self, first: Byte) -> Result<Token, Box<Fault>> {
        self.word.clear();
        let mut next = Some(first);
        let mut checkpoint = self.input.checkpoint();
        while let Some(byte) = next.filter(|byte| is(byte.value, WORD)) {
            self.word.push(byte);
            if self.word.len() > WORD_BYTES {
                return Err(self.fault(first, "string too long"));
            }
            checkpoint = self.input.checkpoint();
            next = self.input.next();
        }
        self.input.back_to(checkpoint);
        let bytes: Vec<u8> = self.word.iter().map(|byte| byte.value).collect();
        let found = std::str::from_utf8(&bytes).ok().and_then(keyword);
        Ok(match found {
            Some(keyword) => Token {
                kind: Kind::Keyword(keyword),
                at: self.out.plain(&self.word),
            },
            None => Token {
                kind: Kind::Word,
                at: self.out.quoted(&self.word),
            },
        })
    }

    fn quoted(&mut self, quote: Byte) -> Result<Token, Box<Fault>> {
        self.word.clear();
        let mut line = None;
        loop {
            let Some(mut byte) = self.input.raw() else {
                return Err(self.unclosed(quote, line));
            };
            match byte.value {
                b'\n' => {
                    line = line.or_else(|| Some(self.input.checkpoint()));
                    continue;
                }
                0 => return Err(self.fault(byte, "syntax error")),
                value if value == quote.value => break,
                b'\\' => {
                    let checkpoint = self.input.checkpoint();
                    let Some(escaped) = self.input.raw() else {
                        return Err(self.unclosed(quote, line));
                    };
                    match escaped.value {
                        b'\n' => continue,
                        b' ' | b'\t' => byte = escaped,
                        value if value == quote.value => byte = escaped,
                        _ => {
                            self.input.back_to(checkpoint);
                        }
                    }
                }
                _ => {}
            }
            if self.word.len() + 1 > QUOTED_BYTES {
                return Err(self.fault(quote, "string too long"));
            }
            self.word.push(byte);
        }
        if self.word.is_empty() {
            self.out.mark(quote.mark);
        }
        let no_text = |window: &[Byte]| {
            window
                .iter()
                .map(|byte| byte.value)
                .eq(char::REPLACEMENT_CHARACTER.to_string().bytes())
        };
        if let Some(at) = self
            .word
            .windows(char::REPLACEMENT_CHARACTER.len_utf8())
            .position(no_text)
        {
            let mut fault = self.fault(self.word[at], "what stands between these quotes is no UTF-8");
            fault.diagnostic = fault
                .diagnostic
                .help("pfctl takes any bytes, but here names would not be told apart: convert the file, as by `iconv`");
            return Err(fault);
        }
        Ok(Token {
            kind: Kind::Word,
            at: self.out.quoted(&self.word),
        })
    }

    /// Reads the name of a macro and puts its value before what is left.
    fn expand(&mut self, dollar: Byte) -> Result<(), Box<Fault>> {
        let start = self.span(dollar);
        let mut name = String::new();
        let mut end = start;
        let mut checkpoint = self.input.checkpoint();
        while let Some(byte) = self.input.next() {
            if !byte.value.is_ascii_alphanumeric() && byte.value != b'_' {
                break;
            }
            if name.len() + 1 > QUOTED_BYTES {
                return Err(self.fault(dollar, "string too long"));
            }
            name.push(char::from(byte.value));
            end = self.span(byte);
            checkpoint = self.input.checkpoint();
        }
        self.input.back_to(checkpoint);
        let span = start.to(end);
        match self.macros.used(&name) {
            Some((definition, value)) => {
                let number = self.out.map.use_of(definition, span);
                self.input.expand(number, value);
                Ok(())
            }
            None => Err(self.skip_line(self.macros.undefined(&name, span))),
        }
    }

    /// The fault, after the rest of the line has been skipped (`findeol`).
    fn fault(&mut self, at: Byte, message: &str) -> Box<Fault> {
        let diagnostic = Diagnostic::new(Code::Syntax, message).at(self.span(at));
        self.skip_line(diagnostic)
    }

    fn skip_line(&mut self, diagnostic: Diagnostic) -> Box<Fault> {
        let mut last = 0;
        let mut comment = false;
        let mut closed = 0;
        while let Some(byte) = self.input.next() {
            match byte.value {
                b'\n' => break,
                b' ' | b'\t' => {}
                b'#' => comment = true,
                value if !comment => {
                    closed += i64::from(value == b'}') - i64::from(value == b'{');
                    last = value;
                }
                _ => {}
            }
        }
        Box::new(Fault {
            diagnostic,
            skipped: true,
            ends: false,
            brace: last == b'{',
            closed,
        })
    }

    /// The text ends within quotes: reading goes on after the line of the quote, the first few times.
    fn unclosed(&mut self, quote: Byte, line: Option<Checkpoint>) -> Box<Fault> {
        let message = "reached end of file while parsing quoted string";
        let diagnostic =
            Diagnostic::new(Code::Syntax, message).labelled(self.span(quote), "this quote is never closed");
        self.unclosed += 1;
        if self.unclosed <= UNCLOSED_QUOTES
            && let Some(line) = line
        {
            self.input.back_to(line);
        }
        Box::new(Fault {
            diagnostic,
            skipped: false,
            ends: true,
            brace: false,
            closed: 0,
        })
    }

    /// Where a byte stands in a file.
    fn span(&self, byte: Byte) -> Span {
        match byte.mark {
            Mark::File(file, start) => Span {
                file,
                start,
                end: start + 1,
            },
            Mark::Value(used, _) => self.out.map.used(used).unwrap_or(Span {
                file: self.input.file(),
                start: self.input.offset(),
                end: self.input.offset(),
            }),
        }
    }
}
