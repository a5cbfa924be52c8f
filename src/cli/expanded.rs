//! A machine's pf.conf once it is expanded: what print, trace and flows begin with.

use pfproof::context::Context;
use pfproof::diagnostic::{self, Code, Diagnostic, Severity};
use pfproof::lower::{self, Lowered};
use pfproof::source::Sources;

use super::discover::Loaded;

/// The expanded ruleset of one machine, and what was found on the way.
#[derive(Debug)]
pub(crate) struct Expanded {
    /// Every text that was read.
    pub(crate) sources: Sources,
    /// The machine.
    pub(crate) context: Context,
    /// The ruleset; of a pf.conf that is refused, what is well of it.
    pub(crate) lowered: Lowered,
    /// What is wrong, in the order of the texts.
    pub(crate) findings: Vec<Diagnostic>,
}

impl Expanded {
    /// The expanded ruleset of what was loaded.
    ///
    /// Of the context only errors are told here; `pfproof context` tells the rest.
    pub(crate) fn new(loaded: Loaded) -> Self {
        let Loaded {
            mut sources,
            document,
            loader,
            context,
            diagnostics: mut findings,
            ..
        } = loaded;
        let (lowered, more) = lower::lower(document, &mut sources, &loader, &context, &lower::Limits::default());
        findings.extend(more);
        findings.retain(|finding| finding.code != Code::Context || finding.severity == Severity::Error);
        diagnostic::sort(&mut findings);
        Self {
            sources,
            context,
            lowered,
            findings,
        }
    }

    /// Whether pfctl would refuse it.
    pub(crate) fn refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// The remark for which state of the machine an answer is, where it may be in others.
pub(crate) fn state(context: &Context) -> Option<Diagnostic> {
    let state = context.state()?;
    let message = format!("answered for the machine while {state}; other states are possible");
    let mut remark = Diagnostic::new(Code::Context, message);
    remark.severity = Severity::Info;
    Some(remark)
}
