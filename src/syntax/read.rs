//! [`read`]: statement by statement, from the preprocessor through the grammar to the tree.

use pest::Parser;

use super::ast::{AnchorRule, Include, MacroDefinition, Statement, StatementKind, Word};
use super::build::{Builder, contents};
use super::document::{Document, finding};
use super::explain;
use super::grammar::{Grammar, Rule};
use super::preprocess::{Preprocessor, Raw, RawKind};
use super::{Limits, decode};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{At, FileId, Loader, Sources, Span, SpanMap};

/// How deep pfctl lets anchors nest (`PFCTL_ANCHOR_STACK_DEPTH`).
const ANCHOR_DEPTH: usize = 63;

/// So many statements are parsed at a time, where nothing is wrong with them.
const BATCH: usize = 32;

/// From so many statements on, a second thread is worth its start.
const STATEMENTS_A_THREAD: usize = 2000;

/// An anchor whose rules are being read.
struct Open {
    at: At,
    /// The head, unless it was refused.
    rule: Option<Box<AnchorRule>>,
    statements: Vec<Statement>,
    /// Whether a fault within has made pfctl leave the anchor.
    left: bool,
}

/// A statement of the main rules.
enum Slot {
    Done(Statement),
    /// One line, to be parsed when all has been gathered.
    Later(Raw),
}

struct Reader<'a> {
    sources: &'a mut Sources,
    loader: &'a dyn Loader,
    limits: &'a Limits,
    words: Preprocessor<'a>,
    slots: Vec<Slot>,
    open: Vec<Open>,
    includes: u32,
}

/// The statements of a pf.conf, and what is wrong with those that pfctl would refuse.
///
/// `name` is what the text is called in messages. `defines` are the macros of `-D`. Includes are asked of `loader`; the
/// files of `load anchor` are not read here: read them by a call of their own, after the main file, without `defines`.
#[must_use]
pub fn read(
    sources: &mut Sources,
    loader: &dyn Loader,
    name: &str,
    bytes: &[u8],
    defines: &[(String, String)],
    limits: &Limits,
) -> (Document, Vec<Diagnostic>) {
    let given: Vec<(&str, &str, FileId)> = defines
        .iter()
        .map(|(name, value)| {
            let text = format!("{name}={value}");
            (name.as_str(), value.as_str(), sources.add("-D", text))
        })
        .collect();
    let file = sources.add(name, decode(bytes));
    let text = sources.file(file).text().clone();
    let words = Preprocessor::new(file, text, &given, limits);
    let mut reader = Reader {
        sources,
        loader,
        limits,
        words,
        slots: Vec::new(),
        open: Vec::new(),
        includes: 0,
    };
    reader.run();
    let Reader { words, slots, .. } = reader;
    let start = words.start();
    let (text, map, macros, mut faults) = words.finish();
    let statements = parse_later(slots, &text, &map, start, &mut faults);
    faults.sort_by_key(|&(order, _)| order);
    let mut faults: Vec<Diagnostic> = faults.into_iter().map(|(_, fault)| fault).collect();
    if faults.len() > limits.faults {
        faults.truncate(limits.faults);
        let message = format!("more than {} errors: the rest is not shown", limits.faults);
        faults.push(Diagnostic::new(Code::Syntax, message).at(start));
    }
    let document = Document {
        statements,
        macros,
        text,
        map,
        start,
    };
    (document, faults)
}

/// Parses what was put off, on several threads if there is much of it.
fn parse_later(
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

impl Reader<'_> {
    fn run(&mut self) {
        while let Some(raw) = self.words.next(!self.open.is_empty()) {
            let before = self.words.faults();
            self.take(raw);
            if (raw.refused || self.words.faults() > before)
                && let Some(open) = self.open.last_mut()
            {
                open.left = true;
            }
            if self.words.faults() > self.limits.faults {
                return;
            }
        }
        let here = self.words.here();
        while let Some(open) = self.open.pop() {
            let brace = At {
                start: open.at.end.saturating_sub(2),
                end: open.at.end.saturating_sub(1),
            };
            let mut fault =
                Diagnostic::new(Code::Syntax, "syntax error").labelled(here, "the file ends within an anchor");
            if let Some(span) = self.words.map().span(brace) {
                fault = fault.related(span, "this `{` is never closed");
            }
            self.words.note(u32::MAX, fault);
        }
    }

    fn take(&mut self, raw: Raw) {
        if let Some(brace) = raw.unclosed
            && raw.refused
        {
            let fault = self.words.finding(brace, "syntax error", "this list is never closed");
            self.words.note(brace.start, fault);
            return;
        }
        match raw.kind {
            RawKind::Close => self.close(raw),
            RawKind::Open => self.open(raw),
            RawKind::Macro => self.definition(raw),
            RawKind::Include | RawKind::Plain if raw.refused => self.words.lose_definition(),
            RawKind::Include => self.include(raw),
            RawKind::Plain if raw.single && self.open.is_empty() => {
                self.words.lose_definition();
                self.slots.push(Slot::Later(raw));
            }
            RawKind::Plain => {
                if let Some(kind) = self.parse(raw) {
                    self.push(raw, kind);
                }
            }
        }
    }

    fn note(&mut self, raw: Raw, fault: Diagnostic) {
        self.words.note(raw.at.start, fault);
    }

    /// The place of a statement.
    fn place(&self, raw: Raw) -> At {
        contents(self.words.text(raw.at), raw.at.start)
    }

    /// Puts a statement into the tree, unless it may not stand here or pfctl skips it.
    fn push(&mut self, raw: Raw, kind: StatementKind) {
        if raw.skipped {
            return;
        }
        let at = self.place(raw);
        let statement = Statement { at, kind };
        let Some(open) = self.open.last_mut() else {
            self.slots.push(Slot::Done(statement));
            return;
        };
        let allowed = match &statement.kind {
            StatementKind::Rule(_) | StatementKind::Anchor(_) | StatementKind::Table(_) | StatementKind::Include(_) => {
                true
            }
            StatementKind::Macro(_)
            | StatementKind::Option(_)
            | StatementKind::Queue(_)
            | StatementKind::Antispoof(_)
            | StatementKind::LoadAnchor(_) => open.left,
        };
        if allowed {
            open.statements.push(statement);
            return;
        }
        let fault = self
            .words
            .finding(at, "syntax error", "not allowed within an anchor")
            .help("between the braces of an anchor stand only rules, anchors, tables and includes: move it before the anchor");
        self.note(raw, fault);
    }

    fn definition(&mut self, raw: Raw) {
        if self.open.last().is_some_and(|open| !open.left) {
            let fault = self
                .words
                .finding(self.place(raw), "syntax error", "no macro is defined within an anchor")
                .help("move the definition before the anchor");
            self.note(raw, fault);
            return;
        }
        let Some((at, name, value)) = self.words.apply_definition(raw.skipped) else {
            return;
        };
        // parse.y looks at all characters but the first.
        if name.bytes().skip(1).any(|byte| matches!(byte, b' ' | 9..=13)) {
            let fault = self.words.finding(at, "macro name cannot contain whitespace", "");
            self.note(raw, fault);
            return;
        }
        let name = Word { at, text: name.into() };
        let value = value.into();
        self.push(raw, StatementKind::Macro(Box::new(MacroDefinition { name, value })));
    }

    fn open(&mut self, raw: Raw) {
        let mut rule = None;
        if self.open.len() >= ANCHOR_DEPTH {
            let fault = self.words.finding(self.place(raw), "anchors too deep", "");
            self.note(raw, fault);
        } else if !raw.refused
            && let Some(StatementKind::Anchor(anchor)) = self.parse(raw)
        {
            rule = Some(anchor).filter(|_| !raw.skipped);
        }
        let left = rule.is_none();
        self.open.push(Open {
            at: raw.at,
            rule,
            statements: Vec::new(),
            left,
        });
    }

    fn close(&mut self, raw: Raw) {
        let Some(open) = self.open.pop() else {
            return;
        };
        if open.left {
            if let Some(outer) = self.open.last_mut() {
                outer.left = true;
            }
            if !raw.quiet {
                let label = "pfctl has left this anchor at the error above";
                let fault = self.words.finding(raw.at, "syntax error", label);
                self.note(raw, fault);
            }
        }
        let Some(mut rule) = open.rule else {
            return;
        };
        if let Some(body) = &mut rule.body {
            body.statements = open.statements;
            body.end = raw.at;
        }
        let head = Raw { at: open.at, ..raw };
        self.push(head, StatementKind::Anchor(rule));
    }

    fn include(&mut self, raw: Raw) {
        let Some(StatementKind::Include(mut include)) = self.parse(raw) else {
            self.words.skip_line();
            return;
        };
        if raw.skipped {
            self.words.skip_line();
            return;
        }
        match self.load(&include) {
            Ok(file) => {
                include.read = true;
                let text = self.sources.file(file).text().clone();
                self.words.include(file, text);
            }
            Err(why) => {
                let message = format!("failed to include file {}", include.path);
                let mut fault = self.words.finding(include.path.at, message, &why);
                fault.code = Code::Unreadable;
                self.note(raw, fault);
                self.words.skip_line();
            }
        }
        self.push(raw, StatementKind::Include(include));
    }

    fn load(&mut self, include: &Include) -> Result<FileId, String> {
        if self.words.depth() > self.limits.include_depth as usize {
            return Err(format!("includes nest deeper than {}", self.limits.include_depth));
        }
        if self.includes >= self.limits.includes {
            return Err(format!("more than {} files are included", self.limits.includes));
        }
        self.includes += 1;
        let bytes = self
            .loader
            .load(&include.path.text)
            .map_err(|error| error.to_string())?;
        Ok(self.sources.add(&*include.path.text, decode(&bytes)))
    }

    /// The tree of a statement; a refusal is noted.
    fn parse(&mut self, raw: Raw) -> Option<StatementKind> {
        let line = At {
            start: raw.at.start,
            end: raw.at.end + 1,
        };
        match parse(self.words.text(line), self.words.map(), self.words.start(), raw) {
            Ok(kind) => kind,
            Err(fault) => {
                self.words.recover(fault.at);
                self.note(raw, fault.diagnostic);
                None
            }
        }
    }
}

/// Why a statement is refused, and where in the expanded text.
struct Fault {
    at: u32,
    diagnostic: Diagnostic,
}

/// The tree of one statement, whose expanded text `text` is.
fn parse(text: &str, map: &SpanMap, start: Span, raw: Raw) -> Result<Option<StatementKind>, Box<Fault>> {
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
