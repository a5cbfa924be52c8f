//! The trees of statements: one by one, or many at a time and on several threads.

use pest::Parser;
use rayon::prelude::*;

use super::ast::{Statement, StatementKind};
use super::build::{Builder, Built, contents};
use super::document::finding;
use super::explain;
use super::grammar::{Grammar, Rule};
use super::preprocess::Raw;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{At, Span, SpanMap};

/// So many statements are parsed at a time, where nothing is wrong with them.
const BATCH: usize = 32;

/// So many statements are parsed by one thread: fewer are not worth its start.
const STATEMENTS_A_THREAD: usize = 1000;

/// A statement of the main rules.
pub(super) enum Slot {
    Done(Statement),
    /// One line, to be parsed when all has been gathered.
    Later(Raw),
}

/// The statements in order, and the refusals of those that were put off, up to `limit` and one more.
///
/// Those are parsed on several threads if they are many.
pub(super) fn parse_later(
    slots: Vec<Slot>,
    text: &str,
    map: &SpanMap,
    start: Span,
    limit: usize,
) -> (Vec<Statement>, Vec<Refused>) {
    let later: Vec<Raw> = slots
        .iter()
        .filter_map(|slot| match slot {
            Slot::Done(_) => None,
            Slot::Later(raw) => Some(*raw),
        })
        .collect();
    let parse_all = |raws: &[Raw]| parse_all(raws, text, map, start, limit);
    let shares: Vec<_> = match later.len() {
        0..=STATEMENTS_A_THREAD => vec![parse_all(&later)],
        _ => later.par_chunks(STATEMENTS_A_THREAD).map(parse_all).collect(),
    };
    let (mut kinds, mut refused) = (Vec::with_capacity(later.len()), Vec::new());
    for (more, of_share) in shares {
        kinds.extend(more);
        refused.extend(of_share);
    }
    let mut kinds = kinds.into_iter();
    let statements = slots
        .into_iter()
        .filter_map(|slot| match slot {
            Slot::Done(statement) => Some(statement),
            Slot::Later(raw) => {
                let kind = kinds.next()?.filter(|_| !raw.skipped)?;
                let words = text.get(raw.at.start as usize..raw.at.end as usize)?;
                let at = contents(words, raw.at.start);
                Some(Statement { at, kind })
            }
        })
        .collect();
    (statements, refused)
}

/// A refused statement: what orders it among the others, why, and its beginning.
pub(super) struct Refused {
    pub(super) order: u32,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) beginning: Option<Statement>,
}

impl Refused {
    pub(super) fn new(raw: Raw, fault: Fault) -> Self {
        let beginning = fault.beginning.map(|kind| Statement { at: raw.at, kind });
        Self {
            order: raw.at.start,
            diagnostics: fault.earlier.into_iter().chain([fault.diagnostic]).collect(),
            beginning,
        }
    }
}

/// The trees of statements, `None` for those that are refused, many at a time where they stand side by side. After more
/// than `limit` refusals the rest is left out.
fn parse_all(
    raws: &[Raw],
    text: &str,
    map: &SpanMap,
    start: Span,
    limit: usize,
) -> (Vec<Option<StatementKind>>, Vec<Refused>) {
    let mut kinds = Vec::with_capacity(raws.len());
    let mut refused = Vec::new();
    for side_by_side in raws.chunk_by(|one, next| one.at.end + 1 == next.at.start) {
        for batch in side_by_side.chunks(BATCH) {
            if let Some(all) = parse_batch(batch, text) {
                kinds.extend(all.into_iter().map(Some));
                continue;
            }
            for &raw in batch {
                if refused.len() > limit {
                    kinds.resize_with(raws.len(), || None);
                    return (kinds, refused);
                }
                match parse(line(text, raw), map, start, raw) {
                    Ok(kind) => kinds.push(kind),
                    Err(fault) => {
                        kinds.push(None);
                        refused.push(Refused::new(raw, *fault));
                    }
                }
            }
        }
    }
    (kinds, refused)
}

/// The trees of statements that stand side by side in the expanded text; `None` if one of them is refused.
fn parse_batch(batch: &[Raw], text: &str) -> Option<Vec<StatementKind>> {
    let (first, last) = (batch.first()?, batch.last()?);
    let base = first.at.start;
    let lines = text.get(base as usize..last.at.end as usize + 1)?;
    let builder = Builder { base, whole: true };
    let pairs = Grammar::parse(Rule::lines, lines).ok()?;
    let kinds: Vec<StatementKind> = pairs
        .map_while(|pair| builder.statement(pair).transpose())
        .collect::<Result<_, _>>()
        .ok()?;
    (kinds.len() == batch.len()).then_some(kinds)
}

/// The words of a statement and the newline that ends it.
fn line(text: &str, raw: Raw) -> &str {
    text.get(raw.at.start as usize..raw.at.end as usize + 1).unwrap_or("")
}

/// Why a statement is refused, and where in the expanded text.
pub(super) struct Fault {
    pub(super) at: u32,
    pub(super) diagnostic: Diagnostic,
    /// Why its words before a syntax error are refused.
    pub(super) earlier: Option<Diagnostic>,
    /// What they would be, if they are not.
    pub(super) beginning: Option<StatementKind>,
}

/// The tree of one statement, whose expanded text `text` is.
pub(super) fn parse(text: &str, map: &SpanMap, start: Span, raw: Raw) -> Result<Option<StatementKind>, Box<Fault>> {
    let fault = |at, message, label: &str| finding(map, start, Code::Syntax, at, message, label);
    let parsed = Grammar::parse(Rule::line, text).map(|mut pairs| pairs.next());
    if let Ok(pair) = parsed {
        let builder = Builder {
            base: raw.at.start,
            whole: true,
        };
        return match pair.map(|pair| builder.statement(pair)) {
            None => Ok(None),
            Some(Ok(kind)) => Ok(kind),
            Some(Err(refusal)) => {
                let mut diagnostic = fault(refusal.at, refusal.message, "");
                diagnostic.help = refusal.help;
                let at = refusal.at.start;
                Err(Box::new(Fault {
                    at,
                    diagnostic,
                    earlier: None,
                    beginning: None,
                }))
            }
        };
    }
    let found = explain::syntax_error(text);
    let at = At {
        start: raw.at.start + found.start,
        end: raw.at.start + found.end,
    };
    let before = text.get(..found.start as usize).unwrap_or("");
    let (earlier, beginning) = match beginning(before, raw.at.start) {
        Some(Err(refusal)) => {
            let mut diagnostic = fault(refusal.at, refusal.message, "");
            diagnostic.help = refusal.help;
            (Some(diagnostic), None)
        }
        Some(Ok(kind)) => (None, Some(kind)),
        None => (None, None),
    };
    let unclosed = raw.unclosed.filter(|brace| brace.end < at.start);
    let label = match unclosed {
        Some(_) => "expected `}`: a list is still open",
        None => &found.label,
    };
    let mut diagnostic = fault(at, "syntax error".into(), label);
    diagnostic.help = found.help;
    if found.old {
        diagnostic.code = Code::OldSyntax;
    }
    if let Some(span) = unclosed.and_then(|brace| map.span(brace)) {
        diagnostic = diagnostic.related(span, "this list is not closed");
    }
    Err(Box::new(Fault {
        at: at.start,
        diagnostic,
        earlier,
        beginning,
    }))
}

/// The statement that the words before a syntax error make, when what is open there is closed and at most a few words
/// are left out: pfctl has judged them before it meets the error. `None` if they make none.
fn beginning(words: &str, base: u32) -> Option<Built<StatementKind>> {
    const LEFT_OUT: usize = 4;
    let mut ends = words.rmatch_indices(' ').map(|(at, _)| at + 1);
    ends.by_ref().take(LEFT_OUT).find_map(|end| {
        let words = words.get(..end)?;
        let text = format!("{words}{}\n", closing(words)?);
        let pair = Grammar::parse(Rule::line, &text).ok()?.next()?;
        Builder { base, whole: false }.statement(pair).transpose()
    })
}

/// What closes the lists and parentheses that are open after those words; `None` within quotes.
fn closing(words: &str) -> Option<String> {
    let mut open = Vec::new();
    let mut quoted = false;
    let mut escaped = false;
    for byte in words.bytes() {
        match byte {
            b'"' if !escaped => quoted = !quoted,
            b'{' if !quoted => open.push("} "),
            b'(' if !quoted => open.push(") "),
            b'}' | b')' if !quoted => {
                open.pop();
            }
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
    }
    open.reverse();
    (!quoted).then(|| open.concat())
}
