//! From the pairs of the grammar to the tree, with the checks that pfctl makes of a statement's own text.
//!
//! The first fault of a statement ends it, as in pfctl, whose texts the messages are.

mod filter;
mod host;
mod option;
mod pool;
mod queue;
mod rule;
mod state;
mod table;

pub(super) use rule::check_anchor;

use std::borrow::Cow;

use pest::iterators::Pair as PestPair;

use super::ast::{Include, Spanned, StatementKind, Word};
use super::grammar::Rule;
use crate::source::At;

pub(super) type Pair<'i> = PestPair<'i, Rule>;

/// Why a statement is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) at: At,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Refusal {
    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What a builder returns.
pub(super) type Built<T> = Result<T, Box<Refusal>>;

fn refuse<T>(at: At, message: impl Into<String>) -> Built<T> {
    Err(Box::new(Refusal {
        at,
        message: message.into(),
        help: None,
    }))
}

/// The contents of a quoted word, `\` before `"` and `\` taken off.
pub(super) fn unquote(content: &str) -> Cow<'_, str> {
    if !content.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(content);
    }
    let mut text = String::with_capacity(content.len());
    let mut escaped = false;
    for letter in content.chars() {
        if letter == '\\' && !escaped {
            escaped = true;
        } else {
            text.push(letter);
            escaped = false;
        }
    }
    Cow::Owned(text)
}

/// The range of some words of the expanded text, which begin at `start`, without the quotes around the first and the
/// last and without the blank at the end.
pub(super) fn contents(words: &str, start: u32) -> At {
    let words = words.as_bytes();
    let last = words.iter().rposition(|byte| !matches!(byte, b' ' | b'\n'));
    let trimmed = last.and_then(|last| words.get(..=last)).unwrap_or_default();
    let quote = usize::from(trimmed.starts_with(b"\""));
    let end = trimmed.len() - usize::from(trimmed.len() > quote && trimmed.ends_with(b"\""));
    At {
        start: start + quote as u32,
        end: start + end.max(quote) as u32,
    }
}

/// Builds the tree of one statement.
pub(super) struct Builder {
    /// Where the statement's text begins in the expanded text.
    pub(super) base: u32,
    /// Whether it is all of the statement, or its beginning alone: then nothing is said of what is missing.
    pub(super) whole: bool,
}

impl Builder {
    /// The statement that a pair of the grammar's `line` is. (Macro definitions never come here.)
    pub(super) fn statement(&self, pair: Pair<'_>) -> Built<Option<StatementKind>> {
        Ok(Some(match pair.as_rule() {
            Rule::pf_rule => StatementKind::Rule(Box::new(self.pf_rule(pair)?)),
            Rule::anchor_rule => StatementKind::Anchor(Box::new(self.anchor_rule(pair)?)),
            Rule::antispoof_rule => StatementKind::Antispoof(Box::new(self.antispoof_rule(pair)?)),
            Rule::table_rule => StatementKind::Table(Box::new(self.table_rule(pair)?)),
            Rule::option => StatementKind::Option(Box::new(self.option(pair)?)),
            Rule::queue_rule => StatementKind::Queue(Box::new(self.queue_rule(pair)?)),
            Rule::load_anchor => StatementKind::LoadAnchor(Box::new(self.load_anchor(pair)?)),
            Rule::include => {
                let Some(path) = self.words(pair).next() else {
                    return Ok(None);
                };
                StatementKind::Include(Box::new(Include { path, read: false }))
            }
            _ => return Ok(None),
        }))
    }

    /// The place of a pair.
    fn at(&self, pair: &Pair<'_>) -> At {
        let span = pair.as_span();
        contents(span.as_str(), self.base + span.start() as u32)
    }

    /// A `string` or `number` as a word.
    fn word(&self, pair: &Pair<'_>) -> Word {
        let span = pair.as_span();
        let written = span.as_str();
        let text = written.strip_suffix(' ').unwrap_or(written);
        let text = match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(content) => unquote(content),
            None => Cow::Borrowed(text),
        };
        Word {
            at: contents(written, self.base + span.start() as u32),
            text: text.into(),
        }
    }

    /// The words directly within a pair.
    fn words<'i>(&self, pair: Pair<'i>) -> impl Iterator<Item = Word> + use<'i, '_> {
        pair.into_inner()
            .filter(|inner| matches!(inner.as_rule(), Rule::string | Rule::number))
            .map(|inner| self.word(&inner))
    }

    /// The only word directly within a pair.
    fn only_word(&self, pair: Pair<'_>) -> Word {
        let at = self.at(&pair);
        // INVARIANT: the grammar gives one; an empty word would be refused by what takes it.
        self.words(pair).next().unwrap_or(Word { at, text: "".into() })
    }

    /// Several words that count as one, with blanks between them (`string` in parse.y).
    fn strings(&self, pair: Pair<'_>) -> Word {
        let at = self.at(&pair);
        let mut words = self.words(pair);
        let Some(first) = words.next() else {
            return Word { at, text: "".into() };
        };
        let mut text = String::from(first.text);
        for word in words {
            text.push(' ');
            text.push_str(&word.text);
        }
        Word { at, text: text.into() }
    }

    /// The `strings` directly within a pair.
    fn only_strings(&self, pair: Pair<'_>) -> Word {
        let at = self.at(&pair);
        match pair.into_inner().find(|inner| inner.as_rule() == Rule::strings) {
            Some(strings) => self.strings(strings),
            None => Word { at, text: "".into() },
        }
    }

    /// A `number`.
    fn number(&self, pair: &Pair<'_>) -> Spanned<i64> {
        Spanned {
            at: self.at(pair),
            // INVARIANT: the preprocessor writes only numbers that fit.
            value: pair.as_str().trim_end().parse().unwrap_or(i64::MAX),
        }
    }

    /// The only number directly within a pair.
    fn only_number(&self, pair: Pair<'_>) -> Spanned<i64> {
        let at = self.at(&pair);
        pair.into_inner()
            .find(|inner| inner.as_rule() == Rule::number)
            .map_or(Spanned { at, value: i64::MAX }, |inner| self.number(&inner))
    }

    /// The only number directly within a pair, if it fits; else the message that `wrong` makes of it.
    fn ranged<T: TryFrom<i64>>(&self, pair: Pair<'_>, wrong: impl Fn(i64) -> String) -> Built<Spanned<T>> {
        let number = self.only_number(pair);
        match T::try_from(number.value) {
            Ok(value) => Ok(Spanned { at: number.at, value }),
            Err(_) => refuse(number.at, wrong(number.value)),
        }
    }

    /// The only number directly within a pair, as an unsigned number of 32 bits.
    fn positive(&self, pair: Pair<'_>) -> Built<Spanned<u32>> {
        self.ranged(pair, |_| "only positive values permitted".into())
    }
}

/// Takes an option that may be given but once.
fn once<T>(slot: &mut Option<T>, value: T, at: At, message: &str) -> Built<()> {
    if slot.is_some() {
        return refuse(at, message);
    }
    *slot = Some(value);
    Ok(())
}

/// Refuses a word that is longer than what pf keeps of it.
fn shorter(word: Word, size: usize, message: impl FnOnce(&str) -> String) -> Built<Word> {
    if word.text.len() >= size {
        let message = message(&word.text);
        return refuse(word.at, message);
    }
    Ok(word)
}

/// The number that `strtod` reads at the beginning of a word, and what follows it.
fn leading_number(text: &str) -> (f64, &str) {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or(&[]);
        from + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let sign = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let whole = digits(sign);
    let mut end = whole;
    if bytes.get(whole) == Some(&b'.') {
        let fraction = digits(whole + 1);
        if fraction > whole + 1 || whole > sign {
            end = fraction;
        }
    }
    if end == sign {
        return (0.0, text);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits(sign);
        if exponent > sign {
            end = exponent;
        }
    }
    let (number, rest) = text.split_at(end);
    (number.parse().unwrap_or(0.0), rest)
}

/// The number that `strtoul` reads from a whole word, in decimal, octal or hexadecimal (`atoul` in parse.y).
fn whole_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_numbers_are_read_as_strtod_does() {
        for (text, number, rest) in [
            ("10M", 10.0, "M"),
            ("1.5G", 1.5, "G"),
            ("33%", 33.0, "%"),
            ("1e3b", 1000.0, "b"),
            ("12e", 12.0, "e"),
            (".5x", 0.5, "x"),
            ("K", 0.0, "K"),
            ("5.", 5.0, ""),
        ] {
            assert_eq!(leading_number(text), (number, rest), "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_read_as_strtoul_does() {
        for (text, number) in [
            ("80", Some(80)),
            ("0x50", Some(80)),
            ("0120", Some(80)),
            ("08", None),
            ("8a", None),
            ("", None),
            ("0", Some(0)),
        ] {
            assert_eq!(whole_number(text), number, "{text}");
        }
    }
}
