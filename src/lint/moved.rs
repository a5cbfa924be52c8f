//! Where the rules of a line would have to stand to decide packets that other rules decide: tried in the evaluator,
//! never guessed.

use crate::eval::{Machine, Memory, Usual};
use crate::packet::Packet;
use crate::ruleset::{Rule, RuleId, Ruleset};

use super::Subject;

/// How many rules and table entries may be copied to try changes, in one run.
const MOST_COPIED: usize = 200_000;

/// A change of a line after which its rules decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Before or behind the line of that rule; `None`: where it is.
    pub(super) beside: Option<(Side, RuleId)>,
    /// Whether it needs `quick`, which it does not have.
    pub(super) quick: bool,
}

/// A side of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    Behind,
}

/// Tries changes as long as that does not take too much.
pub(super) struct Mover<'a> {
    subject: Subject<'a>,
    /// What one copy of the ruleset takes.
    size: usize,
    left: usize,
}

impl<'a> Mover<'a> {
    pub(super) fn new(subject: Subject<'a>) -> Self {
        let anchors = subject.engine.ruleset().anchors.values();
        let entries = |tables: &std::collections::BTreeMap<_, crate::ruleset::Table>| {
            tables.values().map(|table| table.entries.len()).sum::<usize>()
        };
        Self {
            subject,
            size: anchors.map(|anchor| anchor.rules.len() + entries(&anchor.tables)).sum(),
            left: MOST_COPIED,
        }
    }

    /// The changes that let the line of `rule` decide every packet that the others decide now, the least first: giving
    /// it `quick`, another place, both. None is named that was not tried.
    pub(super) fn changes(&mut self, rule: &RuleId, others: &[(&RuleId, &Packet)]) -> Vec<Change> {
        let ruleset = self.subject.engine.ruleset();
        let Some(moved) = ruleset.rule(rule) else {
            return Vec::new();
        };
        // Behind or before an anchor's call is another matter.
        let here = others.iter().map(|(id, _)| *id).filter(|id| id.anchor == rule.anchor);
        if here.clone().count() != others.len() {
            return Vec::new();
        }
        let (first, last) = (here.clone().min(), here.max());
        let place = |side, id: Option<&RuleId>| id.map(|id| (side, id.clone()));
        let quick = !moved.quick;
        let candidates = [
            (None, true),
            (place(Side::Behind, last), false),
            (place(Side::Before, first), false),
            (place(Side::Before, first), true),
        ];
        let mut found: Vec<Change> = Vec::new();
        for (beside, with_quick) in candidates {
            // With `quick` in vain, or where the half of it was enough.
            let more = with_quick && beside.is_some() && !found.is_empty();
            if more || (with_quick && !quick) {
                continue;
            }
            let change = Change {
                beside,
                quick: with_quick,
            };
            if self.decides(rule, &change, others) {
                found.push(change);
            }
        }
        found
    }

    /// Whether the rules of the line decide all of those packets after the change.
    fn decides(&mut self, rule: &RuleId, change: &Change, others: &[(&RuleId, &Packet)]) -> bool {
        let Some(left) = self.left.checked_sub(self.size) else {
            return false;
        };
        self.left = left;
        let engine = self.subject.engine;
        let Some((changed, statement)) = changed(engine.ruleset(), rule, change) else {
            return false;
        };
        let machine = Machine::new(&changed, engine.context()).with_programs();
        others.iter().all(|(_, packet)| {
            let seen = machine.decide(packet, &mut Memory::default(), &mut Usual);
            let decider = seen.ok().and_then(|seen| seen.rule);
            decider
                .and_then(|id| changed.rule(&id))
                .is_some_and(|rule| rule.origin.statement == statement)
        })
    }
}

/// The ruleset after the change, and the number of the statement that was changed.
fn changed(ruleset: &Ruleset, rule: &RuleId, change: &Change) -> Option<(Ruleset, u32)> {
    let statement = ruleset.rule(rule)?.origin.statement;
    let mut changed = ruleset.clone();
    let rules = &mut changed.anchors.get_mut(&rule.anchor)?.rules;
    let beside = match &change.beside {
        Some((side, id)) => Some((*side, rules.get(id.number)?.origin.statement)),
        None => None,
    };
    if change.quick {
        for rule in rules.iter_mut().filter(|rule| rule.origin.statement == statement) {
            rule.quick = true;
        }
    }
    if let Some((side, other)) = beside {
        let (line, mut rest): (Vec<Rule>, Vec<Rule>) =
            rules.drain(..).partition(|rule| rule.origin.statement == statement);
        let is_other = |rule: &Rule| rule.origin.statement == other;
        let at = match side {
            Side::Before => rest.iter().position(is_other)?,
            Side::Behind => rest.iter().rposition(is_other)? + 1,
        };
        rest.splice(at..at, line);
        *rules = rest;
    }
    Some((changed, statement))
}
