//! [`Macros`]: the macros as they stand, and all that were ever defined.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::{DefinitionId, Span};
use crate::syntax::document::Macro;

/// What a name stands for.
#[derive(Debug)]
enum Meaning {
    Value {
        text: Arc<str>,
        number: DefinitionId,
        /// Given on the command line: it stays.
        given: bool,
        /// Its index in the list of all macros.
        index: usize,
    },
    /// It would be defined there, but is not.
    Lost(Span, &'static str),
}

/// The table of macros.
#[derive(Debug, Default)]
pub(super) struct Macros {
    known: FxHashMap<Box<str>, Meaning>,
    all: Vec<Macro>,
}

impl Macros {
    /// Defines a macro (`symset` of parse.y). One given on the command line stays as it is.
    pub(super) fn define(&mut self, definition: Macro, number: DefinitionId) {
        if self.is_given(&definition.name) {
            return;
        }
        let meaning = Meaning::Value {
            text: (&*definition.value).into(),
            number,
            given: definition.given,
            index: self.all.len(),
        };
        self.known.insert(definition.name.clone(), meaning);
        self.all.push(definition);
    }

    /// Whether the macro was given on the command line.
    fn is_given(&self, name: &str) -> bool {
        matches!(self.known.get(name), Some(Meaning::Value { given: true, .. }))
    }

    /// Notes where a macro would be defined, and why it is not; an earlier definition holds.
    pub(super) fn lose(&mut self, name: &str, span: Span, why: &'static str) {
        if !matches!(self.known.get(name), Some(Meaning::Value { .. })) {
            self.known.insert(name.into(), Meaning::Lost(span, why));
        }
    }

    /// The definition and value of a macro, which is thereby used.
    pub(super) fn used(&mut self, name: &str) -> Option<(DefinitionId, Arc<str>)> {
        let Some(Meaning::Value {
            text, number, index, ..
        }) = self.known.get(name)
        else {
            return None;
        };
        if let Some(found) = self.all.get_mut(*index) {
            found.used = true;
        }
        Some((*number, text.clone()))
    }

    /// What is to be said where an undefined macro is used.
    pub(super) fn undefined(&self, name: &str, span: Span) -> Diagnostic {
        let diagnostic = Diagnostic::new(Code::Syntax, format!("macro '{name}' not defined")).at(span);
        if let Some(&Meaning::Lost(place, why)) = self.known.get(name) {
            return diagnostic.related(place, why);
        }
        match nearest(name, self.known.keys().map(AsRef::as_ref)) {
            Some(near) => diagnostic.help(format!("did you mean `${near}`?")),
            None if name.is_empty() => diagnostic.help("the name of a macro stands after `$`"),
            None => diagnostic.help(format!(
                "define it before its use: `{name} = \"…\"`, or give it with `-D {name}=…`"
            )),
        }
    }

    /// All macros in the order of their definitions.
    pub(super) fn into_all(self) -> Vec<Macro> {
        self.all
    }
}
