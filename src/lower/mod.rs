//! From the tree and the machine to the expanded ruleset, as parse.y does it: lists, hosts, implied defaults, tables,
//! anchors, options, queues, and all that pfctl refuses in a statement that reads well.
//!
//! Everything goes in the order in which pfctl does it, because numbers of automatic tables, which fault is found first,
//! and what later statements mean hang on it. Knows nothing of packets.

mod anchor;
mod antispoof;
mod consistent;
mod expand;
mod host;
mod label;
mod load;
mod named;
mod node;
mod option;
mod pool;
mod port;
mod queue;
mod rule;
mod state;
mod table;

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::context::Context;
use crate::diagnostic::{Code, Diagnostic, Label, Severity, nearest};
use crate::ruleset::{Anchor, BlockPolicy, Declaration, Loaded, Name, Origin, Reassemble, Rule, Ruleset, StatePolicy};
use crate::source::{At, Loader, Sources, Span};
use crate::syntax::Document;
use crate::syntax::ast::{StateOption, Statement, StatementKind};

pub use load::{load, lower};

/// What expanding may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rules of all rulesets together.
    pub rules: usize,
    /// Entries of all tables together.
    pub table_entries: usize,
    /// Files of `load anchor`.
    pub anchor_files: usize,
    /// Bytes of tables' files and of those of `load anchor`, together.
    pub file_bytes: usize,
    /// Faults that are kept.
    pub faults: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rules: 2_000_000,
            table_entries: 20_000_000,
            anchor_files: 1000,
            file_bytes: 1 << 30,
            faults: 1000,
        }
    }
}

/// What a pf.conf, with the files of its `load anchor`, becomes.
#[derive(Debug)]
pub struct Lowered {
    /// What pf loads. Statements that were refused are not in it.
    pub ruleset: Ruleset,
    /// What was declared besides, file by file, for `print`.
    pub loaded: Vec<Loaded>,
    /// The trees: of the main file, then of each `load anchor`, in the order in which they were loaded.
    pub documents: Vec<Document>,
}

/// A statement or a part of it is refused: the diagnostic is already kept.
#[derive(Clone, Copy, Debug)]
struct Refused;

/// What outlives one file: parse.y's static variables and what is loaded so far.
#[derive(Debug, Default)]
struct Shared {
    ruleset: Ruleset,
    rules: usize,
    entries: usize,
    file_bytes: usize,
    names: FxHashSet<Name>,
    automatic_tables: u32,
    statements: u32,
    state_defaults: Option<Vec<StateDefault>>,
    state_policy: StatePolicy,
    /// Queues with a parent: those that rules may name.
    child_queues: FxHashSet<Box<str>>,
    load_anchors: VecDeque<LoadAnchor>,
    diagnostics: Vec<Diagnostic>,
    /// Faults that were found and are not kept: there were too many.
    unkept: usize,
}

/// One of `set state-defaults`; its place belongs to the document that set it.
type StateDefault = StateOption;

/// A file to load after the main one.
#[derive(Debug)]
struct LoadAnchor {
    path: Name,
    file: Box<str>,
    origin: Origin,
}

/// One run of pfctl's parser over one file: `struct pfctl`.
struct Lowerer<'a> {
    document: &'a Document,
    sources: &'a Sources,
    context: &'a Context,
    loader: &'a dyn Loader,
    limits: &'a Limits,
    shared: Shared,
    /// The ruleset that the file is loaded into.
    base: Name,
    /// The ruleset that rules go to now.
    path: Name,
    anchor: Anchor,
    block_policy: BlockPolicy,
    reassemble: Reassemble,
    /// How many braces of anchors have been opened.
    braces: u32,
    /// The number of the innermost brace that is open; 0 for none.
    brace: u32,
    syncookies: Option<(u8, u8)>,
    declarations: Vec<Declaration>,
    queues: queue::Queues,
    /// Where the statement ends, once all of it was read: pfctl says there what is wrong with it as a whole.
    end: Option<Span>,
    /// What the statement that is being read is refused for, or warned of.
    faults: Vec<(At, Diagnostic)>,
    known_interfaces: FxHashMap<Box<str>, bool>,
    origin: Origin,
}

impl<'a> Lowerer<'a> {
    fn new(
        document: &'a Document,
        sources: &'a Sources,
        context: &'a Context,
        loader: &'a dyn Loader,
        limits: &'a Limits,
        shared: Shared,
        base: Name,
    ) -> Self {
        let origin = Origin {
            span: document.span(At::default()),
            statement: 0,
        };
        Self {
            document,
            sources,
            context,
            loader,
            limits,
            shared,
            path: base.clone(),
            base,
            anchor: Anchor::default(),
            block_policy: BlockPolicy::default(),
            reassemble: Reassemble::default(),
            braces: 0,
            brace: 0,
            syncookies: None,
            declarations: Vec::new(),
            queues: queue::Queues::default(),
            end: None,
            faults: Vec::new(),
            known_interfaces: FxHashMap::default(),
            origin,
        }
    }

    /// Lowers the whole file; what is loaded stands in `shared` then.
    fn file(mut self) -> (Shared, Loaded) {
        self.statements(&self.document.statements);
        self.beginnings();
        let queues = self.finish_queues();
        self.close_anchor();
        let loaded = Loaded {
            path: self.base,
            declarations: self.declarations,
            queues,
            replaced: std::collections::BTreeMap::new(),
        };
        (self.shared, loaded)
    }

    /// Looks up the names in the beginnings of statements that have a syntax error.
    fn beginnings(&mut self) {
        for statement in &self.document.beginnings {
            let at = statement.at;
            self.origin.span = self.document.span(at);
            self.end = None;
            // What is wrong is noted, and the statement is refused anyway.
            let _noted = match &statement.kind {
                StatementKind::Rule(rule) => self.rule_names(rule, at).map(|_| ()),
                StatementKind::Anchor(anchor) => self.anchor_names(anchor, at).map(|_| ()),
                StatementKind::Table(table) => self.table_hosts(table).map(|_| ()),
                StatementKind::Option(option) => self.option(option, at),
                StatementKind::Macro(_)
                | StatementKind::Include(_)
                | StatementKind::Queue(_)
                | StatementKind::Antispoof(_)
                | StatementKind::LoadAnchor(_) => Ok(()),
            };
            self.keep_faults();
        }
    }

    /// Lowers statement after statement; whether each of them went through pfctl's parser (`YYERROR` is no).
    fn statements(&mut self, statements: &[Statement]) -> Vec<bool> {
        // Most statements make a rule.
        self.anchor.rules.reserve(statements.len());
        statements.iter().map(|statement| self.statement(statement)).collect()
    }

    fn statement(&mut self, statement: &Statement) -> bool {
        self.shared.statements += 1;
        self.origin = Origin {
            span: self.document.span(statement.at),
            statement: self.shared.statements,
        };
        self.end = None;
        let outcome = match &statement.kind {
            StatementKind::Macro(definition) => {
                let declaration = Declaration::Macro {
                    name: Name::from(&*definition.name.text),
                    value: Name::from(&*definition.value),
                };
                self.declarations.push(declaration);
                Ok(())
            }
            StatementKind::Include(_) => Ok(()),
            StatementKind::Option(option) => self.option(option, statement.at),
            StatementKind::Table(table) => self.table(table, statement.at),
            StatementKind::Queue(queue) => self.queue(queue, statement.at),
            StatementKind::Antispoof(antispoof) => self.antispoof(antispoof, statement.at),
            StatementKind::Rule(rule) => self.pf_rule(rule, statement.at),
            StatementKind::Anchor(anchor) => self.anchor_rule(anchor, statement.at),
            StatementKind::LoadAnchor(load) => self.load_anchor(load),
        };
        self.keep_faults();
        outcome.is_ok()
    }

    /// Moves the faults of a statement to the others, those of earlier words first.
    fn keep_faults(&mut self) {
        if self.faults.is_empty() {
            return;
        }
        let mut faults = std::mem::take(&mut self.faults);
        faults.sort_by_key(|(at, _)| at.start);
        for (_, fault) in faults {
            let full = self.shared.diagnostics.len() >= self.limits.faults;
            match (full, fault.severity) {
                (false, _) => self.shared.diagnostics.push(fault),
                (true, Severity::Error) => self.shared.unkept += 1,
                // A warning more or less does not change the answer.
                (true, Severity::Warning | Severity::Info) => {}
            }
        }
    }

    /// Refuses with pfctl's text.
    fn refuse(&mut self, at: At, text: impl Into<String>) -> Refused {
        self.refuse_with(at, text, None)
    }

    /// Refuses with pfctl's text and says what to do; once for each place and text, however many combinations of
    /// lists show it.
    fn refuse_with(&mut self, at: At, text: impl Into<String>, help: Option<String>) -> Refused {
        if self.faults.len() >= self.limits.faults {
            self.shared.unkept += 1;
            return Refused;
        }
        let text = text.into();
        if !self
            .faults
            .iter()
            .any(|(place, fault)| *place == at && fault.message == text)
        {
            let mut fault = self.document.refuse(at, text);
            fault.help = help;
            self.move_to_end(&mut fault);
            self.faults.push((at, fault));
        }
        Refused
    }

    /// Moves what is wrong with a whole statement to its last line, where pfctl says it; the part stays as a related
    /// place.
    fn move_to_end(&self, fault: &mut Diagnostic) {
        let Some(end) = self.end else { return };
        let Some(part) = fault.primary.take() else { return };
        let point = Span {
            start: end.end.saturating_sub(1).max(end.start),
            ..end
        };
        let (line, last) = (self.sources.location(part.span), self.sources.location(point));
        if line.name == last.name && line.line >= last.line {
            fault.primary = Some(part);
            return;
        }
        let file = self.sources.file(point.file);
        let indent = file.line(last.line).chars().take_while(|letter| letter.is_whitespace());
        let start = file.line_start(last.line) + indent.map(|letter| letter.len_utf8() as u32).sum::<u32>();
        let text = "this part of the statement".to_owned();
        fault.related.insert(0, Label { span: part.span, text });
        let span = Span {
            start: start.min(point.start),
            ..point
        };
        fault.primary = Some(Label { span, text: part.text });
    }

    /// «did you mean», where a name is near. Of many faults only the first are worth the search.
    fn did_you_mean<'n>(&self, name: &str, candidates: impl IntoIterator<Item = &'n str>) -> Option<String> {
        const WORTH: usize = 100;
        if self.faults.len() + self.shared.diagnostics.len() >= WORTH {
            return None;
        }
        nearest(name, candidates).map(|near| format!("did you mean `{near}`?"))
    }

    /// Refuses for a file that cannot be read.
    fn unreadable(&mut self, at: At, text: impl Into<String>) -> Refused {
        let mut fault = self.document.finding(Code::Unreadable, at, text);
        self.move_to_end(&mut fault);
        self.faults.push((at, fault));
        Refused
    }

    /// A name, one copy of each.
    fn name(&mut self, text: &str) -> Name {
        if let Some(name) = self.shared.names.get(text) {
            return name.clone();
        }
        let name = Name::from(text);
        self.shared.names.insert(name.clone());
        name
    }

    /// Adds a rule to the ruleset that is being filled (`pfctl_add_rule`).
    fn add_rule(&mut self, rule: Rule) {
        self.shared.rules += 1;
        self.anchor.rules.push(rule);
    }

    /// Stores what was filled so far under its path.
    fn close_anchor(&mut self) {
        let mut anchor = std::mem::take(&mut self.anchor);
        let path = self.path.clone();
        let stored = self.shared.ruleset.anchors.entry(path).or_default();
        if stored.rules.is_empty() {
            stored.rules = anchor.rules;
        } else {
            stored.rules.append(&mut anchor.rules);
        }
        stored.tables.append(&mut anchor.tables);
    }
}
