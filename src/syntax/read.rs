//! [`read`]: statement by statement, from the preprocessor through the grammar to the tree.

use super::ast::{AnchorRule, Include, MacroDefinition, Statement, StatementKind, Word};
use super::build::{check_anchor, contents};
use super::document::Document;
use super::parse::{Refused, Slot, parse, parse_later};
use super::preprocess::{Preprocessor, Raw, RawKind};
use super::{Limits, decode};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{At, FileId, Loader, Sources, Span};

/// How deep pfctl lets anchors nest (`PFCTL_ANCHOR_STACK_DEPTH`).
const ANCHOR_DEPTH: usize = 63;

/// An anchor whose rules are being read.
struct Open {
    at: At,
    /// The head, unless it was refused.
    rule: Option<Box<AnchorRule>>,
    statements: Vec<Statement>,
    /// Whether a fault within has made pfctl leave the anchor.
    left: bool,
}

/// What some editors write before a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

struct Reader<'a> {
    sources: &'a mut Sources,
    loader: &'a dyn Loader,
    limits: &'a Limits,
    words: Preprocessor<'a>,
    slots: Vec<Slot>,
    open: Vec<Open>,
    includes: u32,
    beginnings: Vec<Statement>,
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
        beginnings: Vec::new(),
    };
    reader.run();
    let Reader {
        words,
        slots,
        mut beginnings,
        ..
    } = reader;
    let start = words.start();
    let (text, map, macros, mut faults) = words.finish();
    let (statements, refused) = parse_later(slots, &text, &map, start, limits.faults);
    for Refused {
        order,
        diagnostics,
        beginning,
    } in refused
    {
        faults.extend(diagnostics.into_iter().map(|diagnostic| (order, diagnostic)));
        beginnings.extend(beginning);
    }
    faults.sort_by_key(|&(order, _)| order);
    let mut faults: Vec<Diagnostic> = faults.into_iter().map(|(_, fault)| fault).collect();
    if faults.len() > limits.faults {
        faults.truncate(limits.faults);
        let message = format!("more than {} errors: the rest is not shown", limits.faults);
        faults.push(Diagnostic::new(Code::Syntax, message).at(start));
    }
    // Many an editor writes one, and nobody sees it.
    let marked = |fault: &&mut Diagnostic| {
        let place = fault.primary.as_ref().map(|label| label.span);
        place.is_some_and(|span| {
            let file = sources.file(span.file);
            file.text().starts_with(BYTE_ORDER_MARK) && file.line_of(span.start) == 1
        })
    };
    if let Some(fault) = faults.iter_mut().find(marked) {
        fault.help = Some("the file begins with a byte order mark (U+FEFF): save it without one".to_owned());
    }
    let document = Document {
        refused: faults
            .iter()
            .filter(|fault| matches!(fault.code, Code::Syntax | Code::OldSyntax))
            .count(),
        statements,
        macros,
        beginnings,
        text,
        map,
        start,
    };
    (document, faults)
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
            // Of anchors in each other pfctl names one; one that it has left is no longer open.
            if !open.left {
                let fault = self.unclosed_anchor(open.at, here);
                self.words.note(u32::MAX, fault);
            }
            if let Some(outer) = self.open.last_mut() {
                outer.left = true;
            }
            // pfctl has judged the words of its head.
            if let Some(rule) = open.rule {
                let at = contents(self.words.text(open.at), open.at.start);
                let kind = StatementKind::Anchor(rule);
                self.beginnings.push(Statement { at, kind });
            }
            self.adopt(open.statements);
        }
    }

    /// The fault of an anchor whose head stands at `at`, where the text ends at `end` without its `}`.
    fn unclosed_anchor(&self, at: At, end: Span) -> Diagnostic {
        let brace = At {
            start: at.end.saturating_sub(2),
            end: at.end.saturating_sub(1),
        };
        let fault = Diagnostic::new(Code::Syntax, "syntax error").labelled(end, "the file ends within an anchor");
        match self.words.map().span(brace) {
            Some(span) => fault.related(span, "this `{` is never closed"),
            None => fault,
        }
    }

    /// Takes the rules of an anchor that is refused into what is around it, where pfctl reads them.
    fn adopt(&mut self, statements: Vec<Statement>) {
        match self.open.last_mut() {
            Some(outer) => outer.statements.extend(statements),
            None => self.slots.extend(statements.into_iter().map(Slot::Done)),
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
            if raw.quiet {
                self.words.recover_anew();
            } else {
                let label = "pfctl has left this anchor at the error above";
                let fault = self.words.finding(raw.at, "syntax error", label);
                self.note(raw, fault);
            }
        }
        let Some(mut rule) = open.rule else {
            self.adopt(open.statements);
            return;
        };
        if let Err(refusal) = check_anchor(&rule, open.at) {
            // Where pfctl says it: at the end of the anchor.
            let mut fault = self.words.finding(raw.at, refusal.message, "");
            if let Some(span) = self.words.map().span(refusal.at) {
                fault = fault.related(span, "in the head of this anchor");
            }
            self.note(raw, fault);
            self.adopt(open.statements);
            return;
        }
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
        let mut open = self.words.files().map(|file| self.sources.file(file).name());
        let name = self.loader.name(&include.path.text);
        if open.any(|open| open == name) {
            return Err("it includes itself".to_owned());
        }
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
        Ok(self.sources.add(name, decode(&bytes)))
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
                let recovered = self.words.recover(fault.at);
                let refused = Refused::new(raw, *fault);
                for diagnostic in refused.diagnostics {
                    self.note(raw, diagnostic);
                }
                if !recovered {
                    self.beginnings.extend(refused.beginning);
                }
                None
            }
        }
    }
}
