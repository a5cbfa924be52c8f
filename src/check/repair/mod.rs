//! Repairs: rules to add to pf.conf after which a violated statement holds and no other breaks.
//!
//! Candidates are written as a good administrator would write them. Which of them may do is tried on packets, in the
//! evaluator: those that must be stopped, those that must still get through. What passes that is put into the text, and
//! the whole is proved anew: a repair that would look right and break something else is never shown.

mod candidates;

use std::sync::OnceLock;

use rayon::prelude::*;

use super::circumstances;
use crate::context::{Circumstance, Context};
use crate::engine::{Engine, Noticing, PacketSet};
use crate::eval::Machine;
use crate::lower::{self, lower};
use crate::packet::Packet;
use crate::policy::ast::{Demand, Policy};
use crate::policy::{self, Macros, Network, Zones};
use crate::report::check::Repair;
use crate::ruleset::{Action, Name, Rule, Ruleset};
use crate::source::{Loader, Sources};
use crate::syntax::{self, Limits};
use crate::verify::{Case, Outcome, Verified, gets_through, hold, is_required_of_others, may_pass, must_pass, verify};

/// Rulesets with more rules are not mended.
const MOST_RULES: usize = 1000;
/// How many changed rulesets are proved for one statement.
const MOST_PROOFS: usize = 3;
/// How many statements are mended in one run.
const MOST_MENDED: usize = 8;
/// How many rules a repair may have.
const LONGEST: usize = 5;

/// What repairs are sought for.
pub(super) struct Patient<'a> {
    /// What pf.conf is called.
    pub(super) name: &'a str,
    /// Its text.
    pub(super) text: &'a str,
    pub(super) defines: &'a [(String, String)],
    pub(super) loader: &'a dyn Loader,
    pub(super) context: &'a Context,
    pub(super) macros: &'a Macros,
    /// What the policy speaks of on that machine.
    pub(super) zones: &'a Zones<'a>,
    pub(super) ruleset: &'a Ruleset,
}

impl Patient<'_> {
    /// The answer about the policy on another machine.
    pub(super) fn on<T>(&self, context: &Context, ask: impl FnOnce(Case<'_>) -> T) -> Option<T> {
        self.writing(self.text).on(context, self.zones.policy(), ask)
    }

    /// Another text of pf.conf.
    fn writing<'t>(&'t self, text: &'t str) -> Writing<'t> {
        Writing {
            name: self.name,
            text,
            defines: self.defines,
            loader: self.loader,
        }
    }

    /// Whether a packet gets through.
    fn fate(&self, machine: &Machine<'_>, packet: &Packet) -> Option<bool> {
        gets_through(machine, self.zones.network(), packet.clone())
    }

    /// The packets that have to get through still: those that statements which hold require, and those that do now and are
    /// allowed, for somebody uses what a policy allows.
    fn must_pass(&self, held: &[usize]) -> Vec<Packet> {
        let mut packets = must_pass(self.zones, held);
        let machine = Machine::new(self.ruleset, self.context).with_programs();
        let allowed = may_pass(self.zones).into_iter();
        packets.extend(allowed.filter(|packet| self.fate(&machine, packet) == Some(true)));
        packets
    }

    /// The candidates that pfctl takes, each with its rules.
    fn lowered(&self, candidates: Vec<String>) -> impl Iterator<Item = Candidate> {
        let mut sources = Sources::new();
        let defines: Vec<(String, String)> = self.macros.clone().into_iter().collect();
        let limits = Limits::default();
        candidates.into_iter().filter_map(move |text| {
            let line = format!("{text}\n");
            let (document, faults) =
                syntax::read(&mut sources, self.loader, "repair", line.as_bytes(), &defines, &limits);
            let limits = lower::Limits::default();
            let (lowered, more) = lower(document, &mut sources, self.loader, self.context, &limits);
            let rules = lowered.ruleset.rules(Ruleset::MAIN).to_vec();
            (faults.is_empty() && more.is_empty() && !rules.is_empty()).then_some(Candidate { text, rules })
        })
    }
}

/// A text of pf.conf, and what it takes to read it.
pub(super) struct Writing<'a> {
    /// What pf.conf is called.
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    pub(super) defines: &'a [(String, String)],
    pub(super) loader: &'a dyn Loader,
}

impl Writing<'_> {
    /// The answer about that policy on that machine; `None` where pfctl refuses the text.
    pub(super) fn on<T>(&self, context: &Context, policy: &Policy, ask: impl FnOnce(Case<'_>) -> T) -> Option<T> {
        let (ruleset, assumed_anchors) = self.settled(context, policy)?;
        let engine = Engine::new(&ruleset, context);
        let network = Network::new(&engine);
        Some(ask(Case {
            zones: &Zones::new(policy, &network).0,
            engine: &engine,
            assumed_anchors: &assumed_anchors,
        }))
    }

    /// The ruleset on that machine with what the policy assumes, and the anchors that are assumed; `None` where pfctl
    /// refuses the text.
    fn settled(&self, context: &Context, policy: &Policy) -> Option<(Ruleset, Vec<Name>)> {
        let mut sources = Sources::new();
        let (document, faults) = syntax::read(
            &mut sources,
            self.loader,
            self.name,
            self.text.as_bytes(),
            self.defines,
            &Limits::default(),
        );
        let limits = lower::Limits::default();
        let (lowered, more) = lower(document, &mut sources, self.loader, context, &limits);
        let complaints: Vec<_> = faults.into_iter().chain(more).collect();
        let lower::Lowered { ruleset, documents, .. } = lowered;
        if documents
            .first()
            .is_none_or(|document| super::refusal(document, &complaints).is_some())
        {
            return None;
        }
        let (ruleset, assumed, _) = policy::settle_ruleset(policy, ruleset, context);
        Some((ruleset, assumed))
    }
}

/// What is to be mended, and what must stay as it is.
pub(super) struct Wounds {
    violated: Vec<Wound>,
    /// The numbers of the statements that hold.
    held: Vec<usize>,
}

/// A violated statement.
struct Wound {
    /// The number of its judgement.
    at: usize,
    /// Its own number.
    statement: usize,
    /// Packets that must not get through.
    must_stop: Vec<Packet>,
    /// All that offend it, where they are known.
    offending: Option<PacketSet>,
}

impl Wounds {
    /// The wounds that were found.
    pub(super) fn of(verified: &Verified) -> Self {
        let (mut violated, mut held) = (Vec::new(), Vec::new());
        for (at, judgement) in verified.judgements.iter().enumerate() {
            match &judgement.outcome {
                Outcome::Holds => held.push(judgement.statement),
                Outcome::Violated(violation) => {
                    let examples = violation.causes.iter().filter_map(|cause| cause.example.as_ref());
                    let all = || {
                        violation
                            .causes
                            .iter()
                            .flat_map(|cause| cause.packets.boxes().iter().cloned())
                    };
                    violated.push(Wound {
                        at,
                        statement: judgement.statement,
                        must_stop: examples.map(|example| example.packet.clone()).collect(),
                        offending: (!violation.more).then(|| all().collect()),
                    });
                }
                Outcome::Unproven { .. } | Outcome::Vacuous => {}
            }
        }
        Self { violated, held }
    }
}

/// The repairs that were found, each with the number of the judgement that it mends.
pub(super) fn find(patient: &Patient<'_>, sources: &Sources, wounds: &Wounds) -> Vec<(usize, Repair)> {
    let rules: usize = patient.ruleset.anchors.values().map(|anchor| anchor.rules.len()).sum();
    let is_settled = || patient.context.circumstances().is_some_and(|others| others.is_empty());
    if rules > MOST_RULES || wounds.violated.is_empty() || !is_settled() {
        return Vec::new();
    }
    let line = place(patient);
    let before = patient.ruleset.rules(Ruleset::MAIN).iter();
    let at = before
        .take_while(|rule| {
            let at = sources.location(rule.origin.span);
            at.name == patient.name && at.line <= line
        })
        .count();
    let trials = Trials {
        patient,
        line,
        at,
        must_pass: patient.must_pass(&wounds.held),
        elsewhere: OnceLock::new(),
        held: &wounds.held,
    };
    let most = wounds.violated.len().min(MOST_MENDED);
    let wounds = wounds.violated[..most].par_iter().with_max_len(1);
    let repairs = wounds.filter_map(|wound| Some((wound.at, trials.repair(wound)?)));
    repairs.collect()
}

/// The line after which rules are put: behind the blocks that the ruleset begins with.
fn place(patient: &Patient<'_>) -> u32 {
    let mut line = 0;
    let mut first = None;
    for (at, text) in patient.text.lines().enumerate() {
        let word = text.split_whitespace().next().unwrap_or("");
        match word {
            "block" | "antispoof" => line = at as u32 + 1,
            "pass" | "match" | "anchor" => {
                first = Some(at as u32);
                break;
            }
            _ => {}
        }
    }
    if line == 0 { first.unwrap_or(0) } else { line }
}

/// A rule that may do: its text, and what pfctl makes of it.
#[derive(Clone)]
struct Candidate {
    text: String,
    rules: Vec<Rule>,
}

impl Candidate {
    /// Whether its rules block what they match, and do nothing else.
    fn only_blocks(&self) -> bool {
        let blocks = |rule: &Rule| matches!(rule.action, Action::Block(_)) && rule.tag.is_none() && rule.set.is_none();
        self.rules.iter().all(blocks)
    }
}

struct Trials<'a> {
    patient: &'a Patient<'a>,
    /// Where rules are put: the line of the text, and the number in the ruleset.
    line: u32,
    at: usize,
    /// The statements that hold, and packets that have to get through still.
    held: &'a [usize],
    must_pass: Vec<Packet>,
    /// The machine with addresses that it may have, once that is asked for.
    elsewhere: OnceLock<Vec<Elsewhere>>,
}

/// A machine of which something is supposed, and what becomes there of each statement, by its number.
struct Elsewhere {
    supposed: Circumstance,
    before: Vec<(usize, Outcome)>,
}

impl Trials<'_> {
    fn repair(&self, wound: &Wound) -> Option<Repair> {
        let patient = self.patient;
        let must_stop = &wound.must_stop;
        let statement = patient.zones.policy().statements.get(wound.statement)?;
        let mut chosen: Vec<Candidate> = Vec::new();
        let mut passing = must_stop.len();
        let mut proofs = 0;
        let candidates: Vec<Candidate> = patient.lowered(patient.candidates(statement)).collect();
        // Where all of them together do not stop every packet, no few of them do.
        if candidates.iter().all(Candidate::only_blocks) && self.let_through(&candidates, must_stop) {
            return None;
        }
        for candidate in candidates {
            if chosen.len() >= LONGEST {
                break;
            }
            chosen.push(candidate);
            let Some(fewer) = self.fewer_passing(&chosen, must_stop, passing) else {
                chosen.pop();
                continue;
            };
            passing = fewer;
            if passing > 0 {
                continue;
            }
            let shortened = self.shortened(&chosen, must_stop);
            for rules in [shortened, texts(&chosen)] {
                if proofs >= MOST_PROOFS {
                    return None;
                }
                proofs += 1;
                if self.is_proved(wound, &rules, chosen.iter().all(Candidate::only_blocks)) {
                    let after = (self.patient.name.to_owned(), self.line);
                    return Some(Repair { rules, after });
                }
                if rules.len() == chosen.len() {
                    break;
                }
            }
        }
        None
    }

    /// How many of the packets still get through with those rules added; `None` where those are some and no fewer than
    /// before, or something required does not.
    fn fewer_passing(&self, chosen: &[Candidate], must_stop: &[Packet], before: usize) -> Option<usize> {
        let ruleset = self.with(chosen)?;
        let machine = Machine::new(&ruleset, self.patient.context).with_programs();
        let passing = self.passing(&machine, must_stop);
        if passing > 0 && passing >= before {
            return None;
        }
        let breaks = self
            .must_pass
            .iter()
            .any(|packet| self.patient.fate(&machine, packet) == Some(false));
        (!breaks).then_some(passing)
    }

    /// The ruleset with those rules added.
    fn with(&self, chosen: &[Candidate]) -> Option<Ruleset> {
        let mut ruleset = self.patient.ruleset.clone();
        let main = ruleset.anchors.get_mut(Ruleset::MAIN)?;
        let rules = chosen.iter().flat_map(|candidate| candidate.rules.iter().cloned());
        main.rules.splice(self.at..self.at, rules);
        Some(ruleset)
    }

    /// Whether even with all of them one of the packets surely gets through.
    fn let_through(&self, candidates: &[Candidate], packets: &[Packet]) -> bool {
        self.with(candidates).is_some_and(|ruleset| {
            let machine = Machine::new(&ruleset, self.patient.context).with_programs();
            self.passing(&machine, packets) > 0
        })
    }

    /// How many of the packets surely get through. What the evaluator cannot say is left to the proof.
    fn passing(&self, machine: &Machine<'_>, packets: &[Packet]) -> usize {
        let through = |packet: &&Packet| self.patient.fate(machine, packet) == Some(true);
        packets.iter().filter(through).count()
    }

    /// The texts of the candidates without those that are not needed to stop the packets.
    fn shortened(&self, chosen: &[Candidate], must_stop: &[Packet]) -> Vec<String> {
        let mut kept: Vec<Candidate> = Vec::new();
        for (at, candidate) in chosen.iter().enumerate() {
            let mut others: Vec<Candidate> = Vec::new();
            others.extend(kept.iter().cloned());
            others.extend(chosen.iter().skip(at + 1).cloned());
            if others.is_empty() || self.fewer_passing(&others, must_stop, 1).is_none() {
                kept.push(candidate.clone());
            }
        }
        texts(&kept)
    }

    /// Whether with the rules added to the text the statement holds, and those that held still do. `only_block` says that
    /// the rules block and do nothing else.
    fn is_proved(&self, wound: &Wound, rules: &[String], only_block: bool) -> bool {
        let patient = self.patient;
        let mut text = String::with_capacity(patient.text.len() + 200);
        let mut lines = patient.text.split_inclusive('\n');
        for line in lines.by_ref().take(self.line as usize) {
            text.push_str(line);
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for rule in rules {
            text.push_str(rule);
            text.push('\n');
        }
        lines.for_each(|line| text.push_str(line));
        let zones = patient.zones;
        let Some((ruleset, assumed_anchors)) = patient.writing(&text).settled(patient.context, zones.policy()) else {
            return false;
        };
        let engine = Engine::new(&ruleset, patient.context);
        // What the policy speaks of is the same, where the numbers mean the same.
        if engine.space() != zones.network().engine().space() {
            return false;
        }
        let statements = &zones.policy().statements;
        let noticing = Noticing::of(zones.network().engine().ruleset(), &engine);
        // INVARIANT: what gets through where some rules more block got through before, on the same way: it breaks no `forbid` and
        // no `closed` that held, and of others only what offended before still may.
        let may_break = |held: usize| {
            let statement = statements.get(held);
            let blocks = only_block && statement.is_some_and(|one| !matches!(one.demand, Demand::Require(..)));
            let noticing = statement.zip(noticing.as_ref());
            !blocks && !noticing.is_some_and(|(statement, noticing)| is_required_of_others(zones, statement, noticing))
        };
        let mut asked = vec![(wound.statement, wound.offending.as_ref().filter(|_| only_block))];
        let held = self.held.iter().filter(|held| may_break(**held));
        asked.extend(held.map(|&held| (held, None)));
        let case = Case {
            zones,
            engine: &engine,
            assumed_anchors: &assumed_anchors,
        };
        hold(case, &asked) && self.is_proved_elsewhere(wound, &text)
    }

    /// Whether the statement holds, and no other breaks, with each of the addresses that are tried where one is not known.
    fn is_proved_elsewhere(&self, wound: &Wound, text: &str) -> bool {
        let patient = self.patient;
        let elsewhere = self.elsewhere.get_or_init(|| {
            let samples = circumstances::with_addresses(patient.zones).into_iter();
            let before = |supposed| Elsewhere {
                before: outcomes(&patient.writing(patient.text), patient, &supposed),
                supposed,
            };
            samples.map(before).collect()
        });
        elsewhere.iter().all(|Elsewhere { supposed, before }| {
            let after = outcomes(&patient.writing(text), patient, supposed);
            let is_whole = |outcome: &Outcome| matches!(outcome, Outcome::Holds | Outcome::Vacuous);
            let mut each = before.iter().zip(&after);
            before.len() == after.len()
                && each.all(|((statement, before), (_, after))| {
                    is_whole(after) || *statement != wound.statement && !is_whole(before)
                })
        })
    }
}

/// What becomes of each statement, by its number, where something is supposed of the machine.
fn outcomes(writing: &Writing<'_>, patient: &Patient<'_>, supposed: &Circumstance) -> Vec<(usize, Outcome)> {
    let verified = writing.on(&supposed.context, patient.zones.policy(), |case| verify(case).0);
    let judgements = verified.into_iter().flat_map(|verified| verified.judgements);
    judgements.map(|one| (one.statement, one.outcome)).collect()
}

fn texts(candidates: &[Candidate]) -> Vec<String> {
    candidates.iter().map(|candidate| candidate.text.clone()).collect()
}
