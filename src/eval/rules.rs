//! The evaluation of the rules (`pf_match_rule`): in order, into anchors and out of them, until the end or a quick one.

use std::cell::Cell;

use super::choices::Choices;
use super::criteria::{Seen, Test};
use super::descriptor::{Descriptor, Mbuf};
use super::machine::{CompiledRule, Machine, RuleRef};
use super::memory::Memory;
use super::record::{Criterion, Effect, Met, Reason, Unproven};
use super::state::Actions;
use super::translate;
use crate::ruleset::{Action, AnchorCall, Name, Rule};

/// How many anchors deep an evaluation goes (`PF_ANCHOR_STACK_MAX` less the frame that stays empty).
const MAX_DEPTH: usize = 63;

/// How many rules one packet may meet: anchors that call each other could take for ever.
const MAX_STEPS: u64 = 5_000_000;

/// What the rules have come to for one packet (`struct pf_test_ctx`).
pub(super) struct Walk<'w, 'a> {
    pub(super) machine: &'w Machine<'a>,
    pub(super) pd: &'w mut Descriptor,
    pub(super) mbuf: &'w Mbuf,
    pub(super) memory: &'w mut Memory,
    pub(super) choices: &'w mut dyn Choices,
    /// Whether rules that do not match are written down too.
    pub(super) explain: bool,
    /// The last matching pass or block rule.
    pub(super) candidate: Option<RuleRef>,
    /// The anchor that the candidate stands directly in.
    candidate_anchor: Option<RuleRef>,
    /// The match rules that have matched, in order.
    pub(super) matches: Vec<RuleRef>,
    pub(super) actions: Actions,
    /// The tag that rules have put on the packet, or that it came with.
    pub(super) tag: Option<Name>,
    /// Whether a rule has put one on, or asked for it: only then does a state keep it.
    pub(super) tag_known: Cell<bool>,
    pub(super) log: bool,
    pub(super) met: Vec<Met>,
    steps: u64,
}

/// How many rules are noted: anchors that call each other could fill all memory.
const MAX_MET: usize = 500_000;

/// How the evaluation of a ruleset ended (`enum pf_test_status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// At its end.
    Ok,
    /// By a quick rule: nothing else is evaluated.
    Quick,
    /// The packet is dropped.
    Fail(Reason),
}

impl<'w, 'a> Walk<'w, 'a> {
    /// Nothing evaluated yet.
    pub(super) fn new(
        machine: &'w Machine<'a>,
        pd: &'w mut Descriptor,
        mbuf: &'w Mbuf,
        memory: &'w mut Memory,
        choices: &'w mut dyn Choices,
        explain: bool,
    ) -> Self {
        let rtable = pd.rdomain;
        Self {
            machine,
            pd,
            mbuf,
            memory,
            choices,
            explain,
            candidate: None,
            candidate_anchor: None,
            matches: Vec::new(),
            actions: Actions {
                rtable,
                ..Actions::default()
            },
            tag: mbuf.packet.tag.as_deref().map(Name::from),
            tag_known: Cell::new(false),
            log: false,
            met: Vec::new(),
            steps: 0,
        }
    }

    /// Evaluates the main ruleset.
    pub(super) fn run(&mut self) -> Result<Status, Unproven> {
        match self.machine.main {
            Some(main) => self.ruleset(main, None, 0),
            None => Ok(Status::Ok),
        }
    }

    /// Evaluates one ruleset, entered through `anchor`.
    fn ruleset(&mut self, ruleset: usize, anchor: Option<RuleRef>, depth: usize) -> Result<Status, Unproven> {
        let machine = self.machine;
        let Some(compiled) = machine.rulesets.get(ruleset) else {
            return Ok(Status::Ok);
        };
        for (rule, (head, compiled)) in compiled.heads.iter().zip(&compiled.rules).enumerate() {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(Unproven(format!("the packet meets more than {MAX_STEPS} rules")));
            }
            if !self.explain && !head.may_match(self.pd) {
                continue;
            }
            let place = RuleRef { ruleset, rule };
            if !self.matches(place, compiled)? {
                continue;
            }
            if let Some(tag) = &compiled.rule.tag {
                self.tag = Some(tag.clone());
                self.tag_known.set(true);
            }
            let status = match &compiled.rule.action {
                Action::Anchor(call) => self.anchor(place, compiled, call, depth)?,
                Action::Match => self.matched(place, compiled)?,
                Action::Pass | Action::Block(_) => {
                    self.decided(place, compiled.rule, anchor);
                    Status::Ok
                }
            };
            if status != Status::Ok {
                return Ok(status);
            }
            if !matches!(compiled.rule.action, Action::Anchor(_)) {
                self.log_matches(compiled.rule);
                if compiled.rule.quick {
                    return Ok(Status::Quick);
                }
            }
        }
        Ok(Status::Ok)
    }

    /// Whether the rule matches, written down where that is asked.
    fn matches(&mut self, place: RuleRef, compiled: &CompiledRule<'_>) -> Result<bool, Unproven> {
        let machine = self.machine;
        let seen = Seen {
            rtable: self.actions.rtable,
            tag: self.tag.as_ref(),
            tag_read: &self.tag_known,
        };
        let (memory, choices) = (&mut *self.memory, &mut *self.choices);
        let once = compiled.rule.once;
        let test = if once && memory.used_up.contains(&place) {
            Test::Miss(Criterion::Once)
        } else {
            let mut open = |criterion| memory.holds(machine, place, compiled.rule, criterion, choices);
            machine.test(compiled, self.pd, self.mbuf, &seen, &mut open)?
        };
        match test {
            Test::Match if once && memory.used_up_before(place, &machine.id(place), choices) => {
                if self.explain {
                    self.note(Met::Missed(machine.id(place), Criterion::Once));
                }
                Ok(false)
            }
            Test::Match => Ok(true),
            Test::Miss(criterion) => {
                if self.explain {
                    self.note(Met::Missed(machine.id(place), criterion));
                }
                Ok(false)
            }
        }
    }

    /// Evaluates what an anchor calls.
    fn anchor(
        &mut self,
        place: RuleRef,
        compiled: &CompiledRule<'_>,
        call: &AnchorCall,
        depth: usize,
    ) -> Result<Status, Unproven> {
        let effects = tag_effect(compiled.rule);
        self.note(Met::Matched(self.machine.id(place), effects));
        // An empty ruleset takes a frame of the stack too; a wildcard without children takes none.
        if depth >= MAX_DEPTH && !(call.wildcard && compiled.enters.is_empty()) {
            return Ok(Status::Fail(Reason::AnchorDepth));
        }
        for &child in &compiled.enters {
            let status = self.ruleset(child, Some(place), depth + 1)?;
            if status != Status::Ok {
                return Ok(status);
            }
            // A quick anchor ends the evaluation if the last match so far stands directly in it.
            if compiled.rule.quick && self.candidate_anchor == Some(place) {
                return Ok(Status::Quick);
            }
        }
        Ok(Status::Ok)
    }

    /// A match rule does its work at once.
    fn matched(&mut self, place: RuleRef, compiled: &CompiledRule<'_>) -> Result<Status, Unproven> {
        let rule = compiled.rule;
        self.use_up(place, rule);
        self.matches.push(place);
        self.actions.add(rule);
        let mut effects = tag_effect(rule);
        let before = (self.pd.new_src, self.pd.new_sport, self.pd.new_dst, self.pd.new_dport);
        let id = self.machine.id(place);
        let translated = translate::translate(self.machine, compiled, place, self.pd, self.memory, self.choices)?;
        if translated.is_none() {
            self.note(Met::Matched(id, effects));
            return Ok(Status::Fail(Reason::Translate));
        }
        if (before.0, before.1) != (self.pd.new_src, self.pd.new_sport) {
            effects.push(Effect::Source(self.pd.new_src, self.pd.new_sport));
        }
        if (before.2, before.3) != (self.pd.new_dst, self.pd.new_dport) {
            effects.push(Effect::Destination(self.pd.new_dst, self.pd.new_dport));
        }
        effects.extend(asked(rule));
        if rule.log.is_some() {
            self.log = true;
            effects.push(Effect::Log);
        }
        self.note(Met::Matched(id, effects));
        Ok(Status::Ok)
    }

    /// A pass or block rule decides, as long as no later one does.
    fn decided(&mut self, place: RuleRef, rule: &Rule, anchor: Option<RuleRef>) {
        self.use_up(place, rule);
        self.candidate = Some(place);
        self.candidate_anchor = anchor;
        self.note(Met::Matched(self.machine.id(place), tag_effect(rule)));
    }

    fn note(&mut self, met: Met) {
        if self.met.len() < MAX_MET {
            self.met.push(met);
        }
    }

    fn use_up(&mut self, place: RuleRef, rule: &Rule) {
        if rule.once {
            self.memory.used_up.insert(place);
        }
    }

    /// `log (matches)` of a match rule logs every rule that matches after it (`pf_log_matches`).
    pub(super) fn log_matches(&mut self, rule: &Rule) {
        let is_origin = rule.log.is_some_and(|log| log.matches);
        if self.actions.log_matches && !is_origin {
            self.log |= self.matches.iter().any(|&place| {
                self.machine
                    .rule(place)
                    .is_some_and(|compiled| compiled.rule.log.is_some_and(|log| log.matches))
            });
        }
    }
}

/// What a match rule asks for the packet, beyond its tag and addresses.
fn asked(rule: &Rule) -> impl Iterator<Item = Effect> {
    let set = rule.set.as_ref();
    let min_ttl = rule.scrub.map(|scrub| scrub.min_ttl).filter(|&ttl| ttl != 0);
    [
        rule.rtable.map(Effect::Rtable),
        set.and_then(|set| set.prio).map(|(usual, _)| Effect::Prio(usual)),
        set.and_then(|set| set.tos).map(Effect::Tos),
        min_ttl.map(Effect::MinTtl),
    ]
    .into_iter()
    .flatten()
}

fn tag_effect(rule: &Rule) -> Vec<Effect> {
    rule.tag.iter().cloned().map(Effect::Tag).collect()
}

impl Actions {
    /// Adds what a rule asks for; later over earlier (`pf_rule_to_actions`).
    pub(super) fn add(&mut self, rule: &Rule) {
        if let Some(rtable) = rule.rtable {
            self.rtable = rtable;
        }
        if let Some(log) = rule.log {
            self.log_all |= log.all;
            self.log_matches |= log.matches;
        }
        if let Some(set) = &rule.set {
            self.tos = set.tos.or(self.tos);
            self.prio = set.prio.or(self.prio);
        }
        if let Some(scrub) = rule.scrub
            && scrub.min_ttl != 0
        {
            self.min_ttl = scrub.min_ttl;
        }
    }
}
