//! The trees of statements: one by one, or many at a time and on several threads.

use pest::Parser;

use super::ast::{Statement, StatementKind};
use super::build::{Builder, contents};
use super::document::finding;
use super::explain;
use super::grammar::{Grammar, Rule};
use super::preprocess::Raw;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{At, Span, SpanMap};

/// So many statements are parsed at a time, where nothing is wrong with them.
const BATCH: usize = 32;

/// From so many statements on, a second thread is worth its start.
const STATEMENTS_A_THREAD: usize = 2000;

/// A statement of the main rules.
pub(super) enum Slot {
    Done(Statement),
    /// One line, to be parsed when all has been gathered.
    Later(Raw),
}

/// Parses what was put off, on several threads if there is much of it.
pub(super) fn parse_later(
    slots: Vec<Slot>,
    text: &str,
    map: &SpanMap,
    start: Span,
    faults: &mut Vec<(u32, Diagnostic)>,
) -> Vec<Statement> {
    let parse_all = |slots: Vec<Slot>| parse_slots(slots, text, map, start);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = processors.min(slots.len() / STATEMENTS_A_THREAD).max(1);
    let mut rest = slots;
    let share = rest.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let mut others = Vec::new();
        // The last shares go to the others, the first stays here.
        while rest.len() > share {
            let of_thread = rest.split_off(rest.len() - share);
            others.push(scope.spawn(move || parse_all(of_thread)));
        }
        let (mut statements, more) = parse_all(rest);
        faults.extend(more);
        for other in others.into_iter().rev() {
            // A panic there is a fault of this program, and goes on here.
            let (more, of_thread) = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            statements.extend(more);
            faults.extend(of_thread);
        }
        statements
    })
}

/// Parses what was put off, many statements at a time where they stand side by side.
fn parse_slots(slots: Vec<Slot>, text: &str, map: &SpanMap, start: Span) -> (Vec<Statement>, Vec<(u32, Diagnostic)>) {
    let mut statements = Vec::with_capacity(slots.len());
    let mut faults = Vec::new();
    let mut batch: Vec<Raw> = Vec::with_capacity(BATCH);
    let mut flush = |batch: &mut Vec<Raw>, statements: &mut Vec<Statement>| {
        let all = parse_batch(batch, text);
        if let Some(kinds) = all {
            statements.extend(
                batch
                    .drain(..)
                    .zip(kinds)
                    .filter(|(raw, _)| !raw.skipped)
                    .map(|(raw, kind)| Statement {
                        at: contents(words(text, raw), raw.at.start),
                        kind,
                    }),
            );
        }
        for raw in batch.drain(..) {
            match parse(line(text, raw), map, start, raw) {
                Ok(Some(kind)) if !raw.skipped => {
                    let at = contents(words(text, raw), raw.at.start);
                    statements.push(Statement { at, kind });
                }
                Ok(_) => {}
                Err(fault) => faults.push((raw.at.start, fault.diagnostic)),
            }
        }
    };
    for slot in slots {
        match slot {
            Slot::Done(statement) => {
                flush(&mut batch, &mut statements);
                statements.push(statement);
            }
            Slot::Later(raw) => {
                let follows = batch.last().is_none_or(|last| last.at.end + 1 == raw.at.start);
                if !follows || batch.len() == BATCH {
                    flush(&mut batch, &mut statements);
                }
                batch.push(raw);
            }
        }
    }
    flush(&mut batch, &mut statements);
    (statements, faults)
}

/// The trees of statements that stand side by side in the expanded text; `None` if one of them is refused.
fn parse_batch(batch: &[Raw], text: &str) -> Option<Vec<StatementKind>> {
    let (first, last) = (batch.first()?, batch.last()?);
    let base = first.at.start;
    let lines = text.get(base as usize..last.at.end as usize + 1)?;
    let builder = Builder { base };
    let pairs = Grammar::parse(Rule::lines, lines).ok()?;
    let kinds: Vec<StatementKind> = pairs
        .map_while(|pair| builder.statement(pair).transpose())
        .collect::<Result<_, _>>()
        .ok()?;
    (kinds.len() == batch.len()).then_some(kinds)
}

/// The words of a statement in the expanded text.
fn words(text: &str, raw: Raw) -> &str {
    text.get(raw.at.start as usize..raw.at.end as usize).unwrap_or("")
}

/// The words of a statement and the newline that ends it.
fn line(text: &str, raw: Raw) -> &str {
    text.get(raw.at.start as usize..raw.at.end as usize + 1).unwrap_or("")
}

/// Why a statement is refused, and where in the expanded text.
pub(super) struct Fault {
    pub(super) at: u32,
    pub(super) diagnostic: Diagnostic,
}

/// The tree of one statement, whose expanded text `text` is.
pub(super) fn parse(text: &str, map: &SpanMap, start: Span, raw: Raw) -> Result<Option<StatementKind>, Box<Fault>> {
    let fault = |at, message, label: &str| finding(map, start, Code::Syntax, at, message, label);
    let parsed = Grammar::parse(Rule::line, text).map(|mut pairs| pairs.next());
    if let Ok(pair) = parsed {
        let builder = Builder { base: raw.at.start };
        return match pair.map(|pair| builder.statement(pair)) {
            None => Ok(None),
            Some(Ok(kind)) => Ok(kind),
            Some(Err(refusal)) => {
                let mut diagnostic = fault(refusal.at, refusal.message, "");
                diagnostic.help = refusal.help;
                let at = refusal.at.start;
                Err(Box::new(Fault { at, diagnostic }))
            }
        };
    }
    let found = explain::syntax_error(text);
    let at = At {
        start: raw.at.start + found.start,
        end: raw.at.start + found.end,
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
    }))
}
