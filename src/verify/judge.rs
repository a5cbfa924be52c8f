//! From the packets that offend a statement to its outcome.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::OnceLock;

use rayon::prelude::*;

use super::agreement::{contradictions, excused, unused_allows};
use super::astray::sent_astray;
use super::coverage::Coverage;
use super::expectation::Expected;
use super::found::{Found, Offence};
use super::outcome::{Cause, Doubt, Judgement, Outcome, Violation, Why};
use super::replay::{Choice, Replay, Replayer};
use super::search::Searcher;
use super::witness;
use crate::context::Interface;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::engine::{Class, Condition, Engine, Field, Noticing, PacketSet, Unknown, Value, address};
use crate::eval::Machine;
use crate::net::{Family, Protocol, RangeSet};
use crate::packet::Packet;
use crate::policy::Zones;
use crate::policy::ast::{Closed, Demand, Policy, Statement};
use crate::ruleset::Name;

/// How many causes of one statement get a counterexample.
const MOST_EXAMPLES: usize = 50;

/// Of how many ways of what an `allow` lets pass a packet is taken, and how many steps finding them may take.
const MOST_ALLOWED: usize = 20;
const STEPS_OF_ALLOWED: u64 = 100_000;

/// A policy on a machine with a ruleset.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// What the policy speaks of on that machine.
    pub zones: &'a Zones<'a>,
    /// The ruleset and the machine.
    pub engine: &'a Engine<'a>,
    /// Anchors whose contents are assumed: what hangs on their rules only the machine knows.
    pub assumed_anchors: &'a [Name],
}

/// What is said of a whole policy.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// One for each statement whose names are all known, in the policy's order.
    pub judgements: Vec<Judgement>,
    /// Counterexamples that did not replay, in words: faults of pfproof, never of the user.
    pub faults: Vec<String>,
}

impl Verified {
    /// Whether every statement holds, and nothing failed to replay.
    #[must_use]
    pub fn all_hold(&self) -> bool {
        self.faults.is_empty()
            && self
                .judgements
                .iter()
                .all(|judgement| matches!(judgement.outcome, Outcome::Holds))
    }
}

/// What becomes of each statement of the policy, and what is wrong with the statements.
#[must_use]
pub fn verify(case: Case<'_>) -> (Verified, Vec<Diagnostic>) {
    let policy = case.zones.policy();
    let judge = Judge {
        case,
        searcher: Searcher::new(case),
        machine: OnceLock::new(),
    };
    let (mut verified, mut diagnostics) = (Verified::default(), Vec::new());
    let judge_all = || -> Vec<_> {
        // One by one: a few of them take most of the time, and they stand together.
        let statements = policy.statements.par_iter().with_max_len(1);
        statements.map(|statement| judge.judged(statement)).collect()
    };
    let compare = || {
        let mut complaints = unused_allows(case.zones);
        complaints.extend(case.zones.hosts_elsewhere());
        complaints.extend(sent_astray(case));
        (contradictions(case.zones), complaints)
    };
    let (judged, (contradictions, complaints)) = rayon::join(judge_all, compare);
    for (number, judged) in judged.into_iter().enumerate() {
        match judged {
            Ok((outcome, faults)) => {
                verified.judgements.push(Judgement {
                    statement: number,
                    outcome,
                });
                verified.faults.extend(faults);
            }
            Err(finding) => diagnostics.push(*finding),
        }
    }
    for judgement in &verified.judgements {
        if let Some(statement) = policy.statements.get(judgement.statement) {
            diagnostics.extend(vacuous(statement, &judgement.outcome));
            diagnostics.extend(half_closed(statement, policy));
        }
    }
    let holds = |number: &usize| {
        let mut judgements = verified.judgements.iter();
        judgements.any(|judgement| judgement.statement == *number && matches!(judgement.outcome, Outcome::Holds))
    };
    let contradictions = contradictions.into_iter().filter(|(both, _)| !both.iter().all(holds));
    diagnostics.extend(contradictions.map(|(_, finding)| finding));
    diagnostics.extend(complaints);
    (verified, diagnostics)
}

/// Whether the statements of those numbers hold, all of them. With packets, where it is known that no others get through that
/// offend it: a `forbid` or `closed`.
pub(crate) fn hold(case: Case<'_>, asked: &[(usize, Option<&PacketSet>)]) -> bool {
    asked.par_iter().all(|&(number, among)| {
        let searcher = Searcher {
            among,
            ..Searcher::new(case)
        };
        let statement = case.zones.policy().statements.get(number);
        let found = statement.and_then(|statement| Some((statement, searcher.offences(statement).ok()?)));
        found.is_some_and(|(statement, found)| {
            let speaks = !found.vacuous || matches!(statement.demand, Demand::Closed(_));
            speaks && found.offences.is_empty() && found.doubts.is_empty()
        })
    })
}

/// Whether the statement is a `require` of which no flow has a packet among those.
pub(crate) fn is_required_of_others(zones: &Zones<'_>, statement: &Statement, noticing: &Noticing) -> bool {
    let Demand::Require(packets, _) = &statement.demand else {
        return false;
    };
    let (Ok(selection), Ok(guesses)) = (zones.flows_of(statement), zones.guessed_flows(packets)) else {
        return false;
    };
    let mut asked = guesses.iter().map(|guess| &guess.packets).chain([&selection.packets]);
    asked.all(|packets| noticing.spares(packets))
}

/// For each `require` of those numbers packets that get through where it holds: one of each box.
pub(crate) fn must_pass(zones: &Zones<'_>, numbers: &[usize]) -> Vec<Packet> {
    let space = zones.network().engine().space();
    let statements = &zones.policy().statements;
    let mut packets = Vec::new();
    for statement in numbers.iter().filter_map(|&number| statements.get(number)) {
        if !matches!(statement.demand, Demand::Require(..)) {
            continue;
        }
        let Ok(selection) = zones.flows_of(statement) else {
            continue;
        };
        let region = selection.packets.minus(zones.never_taken());
        let headers = region.boxes().iter().take(MOST_EXAMPLES);
        let headers = headers.filter_map(|part| witness::choose(part, &[], zones));
        packets.extend(headers.map(|header| space.packet(&header)));
    }
    packets
}

/// For each `allow` packets that get through whatever is not known: one of each of a few ways.
pub(crate) fn may_pass(zones: &Zones<'_>) -> Vec<Packet> {
    let engine = zones.network().engine();
    let statements = zones.policy().statements.iter();
    let allowed = statements.filter(|statement| matches!(statement.demand, Demand::Allow(_)));
    let mut packets = Vec::new();
    for excuse in allowed.filter_map(|statement| zones.excused_by(statement).ok()) {
        let classes = excused(zones, &excuse)
            .flat_map(|question| engine.classes(question.except(zones.never_taken()).within(STEPS_OF_ALLOWED)));
        let sure = |class: &Class| class.conditions.is_empty() && !class.own_reverse;
        let sure = classes.filter_map(Result::ok).filter(sure).take(MOST_ALLOWED);
        let headers = sure.filter_map(|class| witness::choose(&class.region, &class.equal, zones));
        packets.extend(headers.map(|header| engine.space().packet(&header)));
    }
    packets
}

/// Which pass rules, and which flows that pass, the policy speaks of.
#[must_use]
pub fn coverage(case: Case<'_>) -> Coverage {
    super::coverage::coverage(case)
}

/// The complaint about an `allow` of no packet; `require` and `forbid` say so by their outcome.
fn vacuous(statement: &Statement, outcome: &Outcome) -> Option<Diagnostic> {
    let is_allow = matches!(statement.demand, Demand::Allow(_));
    (is_allow && matches!(outcome, Outcome::Vacuous)).then(|| {
        let mut finding =
            Diagnostic::new(Code::VacuousStatement, "this `allow` speaks of no packet").at(statement.span);
        finding.severity = Severity::Warning;
        finding
    })
}

/// The warning that a `closed from` speaks of a part of what arrives only.
fn half_closed(statement: &Statement, policy: &Policy) -> Option<Diagnostic> {
    let Demand::Closed(Closed::From(names)) = &statement.demand else {
        return None;
    };
    let zones = policy.zones.iter().filter(|zone| zone.from.is_some());
    let zone = zones
        .into_iter()
        .find(|zone| names.iter().any(|name| name.value == zone.name.value))?;
    let message = format!(
        "zone `{}` has a `from`: other sources on its interfaces are not covered",
        zone.name.value
    );
    let mut finding = Diagnostic::new(Code::Policy, message)
        .at(statement.span)
        .related(zone.name.span, "defined here");
    finding.severity = Severity::Warning;
    Some(finding)
}

/// Packets of a cause, and what pf has to choose for them to offend.
struct Suspect {
    class: Class,
    choice: Choice,
}

struct Judge<'a> {
    case: Case<'a>,
    searcher: Searcher<'a>,
    /// For replays, once there is something to replay.
    machine: OnceLock<Machine<'a>>,
}

impl Judge<'_> {
    /// What becomes of a statement, and what did not replay.
    fn judged(&self, statement: &Statement) -> Result<(Outcome, Vec<String>), Box<Diagnostic>> {
        let found = self.searcher.offences(statement)?;
        let mut faults = Vec::new();
        let outcome = self.outcome(statement, found, &mut faults);
        Ok((outcome, faults))
    }

    fn outcome(&self, statement: &Statement, found: Found, faults: &mut Vec<String>) -> Outcome {
        if found.vacuous && !matches!(statement.demand, Demand::Closed(_)) {
            return Outcome::Vacuous;
        }
        // Of a choice only what ends there is forbidden.
        let (expected, ends) = (found.expected, found.ends);
        let (surely, perhaps): (Vec<Offence>, Vec<Offence>) =
            found.offences.into_iter().partition(|offence| self.is_sure(offence));
        let mut doubts: Vec<Doubt> = found.doubts;
        for offence in &perhaps {
            for condition in &offence.class.conditions {
                let doubt = Doubt::Depends(condition.clone());
                if !self.is_choice(condition) && !doubts.contains(&doubt) {
                    doubts.push(doubt);
                }
            }
        }
        if !surely.is_empty() {
            // INVARIANT: what is shown as all of it is all of it; what may be besides is said.
            let mut violation = self.violation(surely, (&expected, &ends), found.more, faults);
            violation.more |= !doubts.is_empty();
            violation.doubts = doubts;
            return Outcome::Violated(violation);
        }
        if doubts.is_empty() {
            Outcome::Holds
        } else {
            let violation = self.violation(perhaps, (&expected, &ends), found.more, faults);
            Outcome::Unproven { doubts, violation }
        }
    }

    /// Whether pf may choose so by itself.
    fn is_sure(&self, offence: &Offence) -> bool {
        let implied = |condition: &Condition| offence.implied.contains(condition);
        let mut conditions = offence.class.conditions.iter();
        conditions.all(|condition| implied(condition) || self.is_choice(condition))
    }

    fn is_choice(&self, condition: &Condition) -> bool {
        let assumed = condition
            .rule
            .as_ref()
            .is_some_and(|rule| self.case.assumed_anchors.contains(&rule.anchor));
        condition.unknown.is_choice() && !assumed
    }

    /// The offences by their causes, each with an example.
    fn violation(
        &self,
        offences: Vec<Offence>,
        (expected, wanted): (&[Expected], &PacketSet),
        more: bool,
        faults: &mut Vec<String>,
    ) -> Violation {
        let mut causes: Vec<Cause> = Vec::new();
        let mut suspects: Vec<Vec<Suspect>> = Vec::new();
        for Offence { why, class, .. } in offences {
            let hops: Vec<_> = class
                .journey
                .hops
                .iter()
                .map(|hop| (hop.place, hop.decider.clone(), hop.verdict))
                .collect();
            let to_own = self.to_own(&class);
            let known = causes.iter().position(|cause| {
                cause.why == why
                    && cause.to_own == to_own
                    && cause.hops == hops
                    && cause.end == class.journey.end
                    && cause.own_reverse == class.own_reverse
            });
            let failed = match &why {
                Why::Unexpected(failed) => failed.as_slice(),
                Why::GetsThrough | Why::Stopped | Why::ReplyStopped => &[],
            };
            let ends = class.journey.hops.last().map(|hop| &hop.ends);
            let destinations = match ends.map(|ends| (&ends.destination, ends.family)) {
                Some((Value::OneOf(set), family)) => {
                    let wanted = wanted.boxes().iter().filter(|part| part.family == family);
                    let wanted = wanted
                        .map(|part| part.numbers(Field::Destination))
                        .reduce(|all, set| all.union(&set));
                    // What is guessed of the machine's own addresses is not among them.
                    let wanted = wanted.map(|wanted| set.intersection(&wanted));
                    let wanted = wanted.filter(|wanted| !wanted.is_empty());
                    Some((wanted.unwrap_or_else(|| set.clone()), family))
                }
                Some((Value::Same | Value::Moved | Value::AddressOf(_), _)) | None => None,
            };
            let offending = failed.iter().find_map(|&(at, _)| expected.get(at)?.offending(&class));
            let redirected = || {
                let (set, family) = destinations.as_ref()?;
                Some(address(set.first()?, *family))
            };
            let choice = Choice {
                address: offending.or_else(redirected),
                destinations: destinations.as_ref().map(|(set, _)| set.clone()),
            };
            let at = known.unwrap_or_else(|| {
                causes.push(Cause {
                    why,
                    hops,
                    end: class.journey.end,
                    packets: PacketSet::empty(),
                    own_reverse: class.own_reverse,
                    to_own,
                    conditions: class.conditions.clone(),
                    example: None,
                    possible: None,
                });
                suspects.push(Vec::new());
                causes.len() - 1
            });
            if let Some(suspects) = suspects.get_mut(at) {
                suspects.push(Suspect { class, choice });
            }
        }
        let mut ranked = Vec::new();
        for (mut cause, mut suspects) in causes.into_iter().zip(suspects) {
            let network = self.searcher.zones.network();
            suspects.sort_by_cached_key(|one| witness::rank(&one.class.region, network));
            let rank = suspects.first().map(|one| witness::rank(&one.class.region, network));
            cause.packets = suspects.iter().map(|one| one.class.region.clone()).collect();
            ranked.push((cause.own_reverse, rank, cause, suspects));
        }
        ranked.sort_by_key(|(own_reverse, rank, ..)| (*own_reverse, *rank));
        let mut violation = Violation {
            causes: Vec::with_capacity(ranked.len()),
            more,
            doubts: Vec::new(),
        };
        let replayed = ranked
            .into_par_iter()
            .enumerate()
            .map(|(at, (_, _, mut cause, suspects))| {
                let shown = at < MOST_EXAMPLES;
                let fault = shown.then(|| self.add_example(&mut cause, &suspects, expected));
                (cause, fault.flatten())
            });
        for (cause, fault) in replayed.collect::<Vec<_>>() {
            violation.causes.push(cause);
            faults.extend(fault);
        }
        violation
    }

    /// The interface of which only packets to its address that is not known are meant.
    fn to_own(&self, class: &Class) -> Option<Name> {
        let context = self.case.engine.context();
        let unknown = |one: &&Interface| one.has_unknown(class.region.family);
        let mut interfaces = context.interfaces.iter().filter(unknown);
        let meant = interfaces.find(|one| class.supposes(Field::Destination, one, context, true))?;
        Some(Name::from(meant.name.as_str()))
    }

    /// Adds an example of a cause; in words what the evaluator sees otherwise, if it does.
    fn add_example(&self, cause: &mut Cause, suspects: &[Suspect], expected: &[Expected]) -> Option<String> {
        let engine = self.case.engine;
        let replayer = Replayer {
            machine: self
                .machine
                .get_or_init(|| Machine::new(engine.ruleset(), engine.context()).with_programs()),
            network: self.searcher.zones.network(),
            expected,
        };
        for Suspect { class, choice } in suspects.iter().take(8) {
            let Some(header) = witness::choose(&class.region, &class.equal, self.searcher.zones) else {
                continue;
            };
            let mut packet = engine.space().packet(&header);
            packet.target = solicited(&packet, class, replayer.network.own(Family::Inet6));
            let possible = packet.clone();
            match replayer.replay(packet, &cause.why, class, choice) {
                Replay::Confirmed(example) => {
                    cause.conditions.clone_from(&class.conditions);
                    if example.packet.target.is_some() {
                        // It is the packet that says to whom it goes, no pool.
                        cause.conditions.retain(|condition| condition.unknown != Unknown::Pool);
                    }
                    cause.example = Some(*example);
                    return None;
                }
                Replay::Open => {
                    cause.possible.get_or_insert(possible);
                }
                Replay::Refuted(example) => {
                    return Some(format!(
                        "the engine says that the packet from {} to {} on {} {}, the evaluator says otherwise",
                        example.packet.src,
                        example.packet.dst,
                        example.packet.interface,
                        cause.why.says()
                    ));
                }
            }
        }
        None
    }
}

/// Whom a neighbour solicitation asks for so that it goes where those of the class do: translated, it is sent to that address
/// (`pf_state_key_addr_setup`). The machine's own, if it may be.
fn solicited(packet: &Packet, class: &Class, own: &RangeSet) -> Option<Ipv6Addr> {
    let asks = packet.protocol == Protocol::ICMP6 && packet.icmp.as_ref().is_some_and(|icmp| icmp.kind == 135);
    let Some(Value::OneOf(_)) = class
        .journey
        .hops
        .last()
        .map(|hop| &hop.ends.destination)
        .filter(|_| asks)
    else {
        return None;
    };
    let sent_to = class.at_end(Field::Destination, &class.region)?;
    let best = sent_to.intersection(own).first().or_else(|| sent_to.first())?;
    match address(best, Family::Inet6) {
        IpAddr::V6(target) => Some(target),
        IpAddr::V4(_) => None,
    }
}
