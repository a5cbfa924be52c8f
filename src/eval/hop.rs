//! One hop of a packet (`pf_test`): what is dropped before any rule, the state it belongs to, the rules, and what is
//! done to it in the end.

use std::net::IpAddr;

use super::choices::Choices;
use super::create::change_family;
use super::criteria::keeps_state;
use super::descriptor::{self, Descriptor, Mbuf, VirtualProtocol};
use super::fragment::Reassembly;
use super::icmp;
use super::machine::{Machine, RuleRef};
use super::memory::Memory;
use super::record::{Answer, ChosenParts, Evaluation, Met, NextHop, Reason, StateUse, Unproven, Verdict};
use super::rules::{Status, Walk};
use super::state::State;
use super::tcp;
use super::track::Lookup;
use super::translate;
use crate::context::has_scope;
use crate::net::{Direction, Family, Protocol, TcpFlags};
use crate::packet::{Fragment, Packet};
use crate::ruleset::{Action, Block, Divert, KeepState, Rule, RuleId};

/// Low delay of the type of service (`IPTOS_LOWDELAY`).
const LOW_DELAY: u8 = 0x10;

/// What happens to a packet after a hop.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Goes {
    /// It goes on as usual.
    On,
    /// It was translated to the other family, and is not filtered again.
    AfTo,
    /// `route-to` and its like route it.
    Routed(NextHop),
    /// A divert socket has it.
    Diverted,
    /// It is gone: dropped, held, or answered.
    Nowhere,
}

/// One evaluation, and what happens to the packet after it.
pub(super) struct Tested {
    pub(super) evaluation: Evaluation,
    pub(super) goes: Goes,
}

/// What pf does with a packet in the end (`PF_PASS` and its like).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Pass,
    AfTo,
    Block,
    Drop(Reason),
    Held,
    Synproxy,
}

/// What the rules and the states have come to.
struct Outcome {
    act: Act,
    rule: Option<RuleRef>,
    matches: Vec<RuleRef>,
    /// The place of the state, and whether it was there before.
    state: Option<(usize, bool)>,
    met: Vec<Met>,
    log: bool,
    /// Logged whatever rules say (`PF_LOG_FORCE`).
    force_log: bool,
    answer: Option<Answer>,
}

impl Outcome {
    fn new(act: Act) -> Self {
        Self {
            act,
            rule: None,
            matches: Vec::new(),
            state: None,
            met: Vec::new(),
            log: false,
            force_log: false,
            answer: None,
        }
    }

    /// Dropped before any rule, and logged.
    fn logged_drop(reason: Reason) -> Self {
        Self {
            force_log: true,
            ..Self::new(Act::Drop(reason))
        }
    }
}

/// One hop: where, and with what.
pub(super) struct Hop<'h, 'a> {
    pub(super) machine: &'h Machine<'a>,
    pub(super) direction: Direction,
    pub(super) interface: usize,
    pub(super) memory: &'h mut Memory,
    pub(super) choices: &'h mut dyn Choices,
    pub(super) explain: bool,
}

impl Hop<'_, '_> {
    /// What becomes of the packet here.
    pub(super) fn test(&mut self, mbuf: &mut Mbuf) -> Result<Tested, Unproven> {
        mbuf.packet.interface = self.machine.name(self.interface).to_owned();
        let mut before = mbuf.packet.clone();
        let rtable_before = mbuf.rtable;
        if let Some(why) = self.machine.bridged(self.interface) {
            return Err(why);
        }
        if self.machine.skipped.get(self.interface).copied().unwrap_or(false) {
            let evaluation = self.evaluation(
                before,
                rtable_before,
                mbuf,
                &Outcome::new(Act::Pass),
                ChosenParts::default(),
            );
            return Ok(Tested {
                evaluation: Evaluation {
                    skipped: true,
                    ..evaluation
                },
                goes: Goes::On,
            });
        }
        let mut pd = None;
        let mut outcome = self.outcome(mbuf, &mut before, &mut pd)?;
        if !matches!(outcome.act, Act::Block | Act::Drop(_) | Act::Held)
            && let Some(pd) = &pd
        {
            self.finish(pd, mbuf, &mut outcome);
        }
        let chosen = pd.map_or_else(ChosenParts::default, |pd| pd.chosen);
        mbuf.chosen = chosen.clone();
        let mut evaluation = self.evaluation(before, rtable_before, mbuf, &outcome, chosen);
        let goes = self.goes(&outcome, &mut evaluation);
        Ok(Tested { evaluation, goes })
    }

    /// What the rules or the states say.
    fn outcome(
        &mut self,
        mbuf: &mut Mbuf,
        before: &mut Packet,
        described: &mut Option<Descriptor>,
    ) -> Result<Outcome, Unproven> {
        // Of a later fragment nothing is looked at.
        let header =
            Some(mbuf.packet.protocol).filter(|_| !matches!(mbuf.packet.fragment, Some(Fragment::Later { .. })));
        if let Some(name) = header.and_then(|protocol| looked_through(protocol, mbuf.packet.family)) {
            let why = format!("pf looks through {name}, and what is behind it is not said");
            return Err(Unproven(why));
        }
        let (machine, direction, interface) = (self.machine, self.direction, self.interface);
        let set_up = |mbuf: &Mbuf| {
            let rdomain = machine.rdomain_of(mbuf.rtable);
            descriptor::set_up(mbuf, direction, interface, rdomain)
        };
        let mut pd = match set_up(mbuf) {
            Ok(pd) => pd,
            Err(reason) => return Ok(Outcome::logged_drop(reason)),
        };
        if let Some(fragment) = mbuf.packet.fragment
            && self.machine.ruleset.options.reassemble.enabled
        {
            match self.memory.fragments.add(mbuf, fragment) {
                Reassembly::Held => return Ok(Outcome::new(Act::Held)),
                Reassembly::Drop(reason) => return Ok(Outcome::logged_drop(reason)),
                Reassembly::Whole(whole) => {
                    let (interface, way) = (mbuf.packet.interface.clone(), mbuf.packet.way);
                    *mbuf = *whole;
                    (mbuf.packet.interface, mbuf.packet.way) = (interface, way);
                    before.clone_from(&mbuf.packet);
                    pd = match set_up(mbuf) {
                        Ok(pd) => pd,
                        Err(reason) => return Ok(Outcome::logged_drop(reason)),
                    };
                }
            }
        }
        let outcome = self.protocol(&mut pd, mbuf);
        *described = Some(pd);
        outcome
    }

    fn protocol(&mut self, pd: &mut Descriptor, mbuf: &mut Mbuf) -> Result<Outcome, Unproven> {
        let lookup = match pd.virtual_protocol {
            VirtualProtocol::Fragment => return self.rules(pd, mbuf),
            VirtualProtocol::Whole(Protocol::ICMP) if pd.family != Family::Inet => {
                return Ok(Outcome::new(Act::Drop(Reason::Normalize)));
            }
            VirtualProtocol::Whole(Protocol::ICMP6) if pd.family != Family::Inet6 => {
                return Ok(Outcome::new(Act::Drop(Reason::Normalize)));
            }
            VirtualProtocol::Whole(Protocol::ICMP | Protocol::ICMP6) => self.icmp_state(pd, mbuf)?,
            VirtualProtocol::Whole(Protocol::TCP) => {
                let flags = mbuf.packet.flags;
                let opens = flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK);
                if self.machine.ruleset.options.syncookies && self.direction == Direction::In && opens {
                    let why = "pf answers it itself (`set syncookies always`), and what comes of the handshake is not followed";
                    return Err(Unproven(why.to_owned()));
                }
                let Some(flags) = tcp::normalize(mbuf.packet.flags) else {
                    return Ok(Outcome::new(Act::Drop(Reason::Normalize)));
                };
                mbuf.packet.flags = flags;
                self.state(pd, mbuf)?
            }
            VirtualProtocol::Whole(_) => self.state(pd, mbuf)?,
        };
        match lookup {
            Lookup::None => self.rules(pd, mbuf),
            Lookup::Found(at, act) => Ok(self.existing(at, act)),
        }
    }

    /// The packet belongs to a state.
    fn existing(&self, at: usize, act: Act) -> Outcome {
        let mut outcome = Outcome {
            state: Some((at, true)),
            ..Outcome::new(act)
        };
        let Some(state) = self.memory.states.get(at) else {
            return outcome;
        };
        outcome.matches.clone_from(&state.matches);
        if matches!(act, Act::Pass | Act::AfTo) {
            outcome.rule = Some(state.rule);
            outcome.log = state.actions.log_all && self.logs_all(state);
        }
        outcome
    }

    /// Whether a rule of the state logs every packet.
    fn logs_all(&self, state: &State) -> bool {
        std::iter::once(&state.rule).chain(&state.matches).any(|&place| {
            self.machine
                .rule(place)
                .is_some_and(|compiled| compiled.rule.log.is_some_and(|log| log.all))
        })
    }

    /// No state: the rules decide (`pf_test_rule`).
    fn rules(&mut self, pd: &mut Descriptor, mbuf: &mut Mbuf) -> Result<Outcome, Unproven> {
        if matches!(
            pd.virtual_protocol,
            VirtualProtocol::Whole(Protocol::ICMP | Protocol::ICMP6)
        ) {
            pd.icmp = icmp::mapping(&mbuf.packet);
            if let Some(mapping) = pd.icmp {
                let (sport, dport) = match mapping.direction {
                    Direction::In => (mapping.virtual_id, mapping.virtual_type),
                    Direction::Out => (mapping.virtual_type, mapping.virtual_id),
                };
                (pd.old_sport, pd.old_dport) = (sport, dport);
                (pd.new_sport, pd.new_dport) = (sport, dport);
            }
        }
        let machine = self.machine;
        let mut walk = Walk::new(machine, pd, mbuf, self.memory, self.choices, self.explain);
        let status = walk.run()?;
        let mut outcome = Outcome::new(Act::Pass);
        outcome.rule = walk.candidate;
        let decider = walk.candidate.and_then(|place| Some((place, machine.rule(place)?)));
        let mut failed = match status {
            Status::Ok | Status::Quick => None,
            Status::Fail(reason) => Some(reason),
        };
        if let (None, Some((place, compiled))) = (failed, decider) {
            walk.actions.add(compiled.rule);
            if translate::translate(machine, compiled, place, walk.pd, walk.memory, walk.choices)?.is_none() {
                failed = Some(Reason::Translate);
            } else {
                walk.log |= compiled.rule.log.is_some();
                walk.log_matches(compiled.rule);
            }
        }
        outcome.log = walk.log;
        outcome.met = std::mem::take(&mut walk.met);
        outcome.matches = std::mem::take(&mut walk.matches);
        let (actions, tag, tag_known) = (walk.actions, walk.tag, walk.tag_known.get());
        if let Some(reason) = failed {
            outcome.act = Act::Drop(reason);
            return Ok(outcome);
        }
        if let Some((_, compiled)) = decider
            && let Action::Block(block) = &compiled.rule.action
        {
            outcome.act = Act::Block;
            outcome.answer = Some(answer(*block, pd, &mbuf.packet));
            return Ok(outcome);
        }
        mbuf.packet.tag = tag.as_deref().map(str::to_owned);
        mbuf.rtable = actions.rtable;
        let rule = decider.map(|(_, compiled)| compiled.rule);
        if pd.bad_options && !rule.is_some_and(|rule| rule.allow_opts) {
            outcome.act = Act::Drop(Reason::IpOption);
            outcome.force_log = true;
            return Ok(outcome);
        }
        let stateful =
            pd.virtual_protocol != VirtualProtocol::Fragment && !pd.icmp.is_some_and(|mapping| mapping.other_state);
        if let Some((place, compiled)) = decider
            && stateful
            && keeps_state(compiled.rule)
        {
            let made = self.create_state(
                pd,
                mbuf,
                place,
                compiled,
                &outcome.matches,
                actions,
                tag.filter(|_| tag_known),
            )?;
            outcome.act = made.act;
            outcome.state = made.state.map(|at| (at, false));
        }
        Ok(outcome)
    }

    /// What is done to a packet that goes on (the end of `pf_test`).
    fn finish(&mut self, pd: &Descriptor, mbuf: &mut Mbuf, outcome: &mut Outcome) {
        let preferred = (pd.virtual_protocol == VirtualProtocol::Whole(Protocol::TCP)
            && mbuf.packet.flags.contains(TcpFlags::ACK)
            && pd.payload == 0)
            || pd.tos & LOW_DELAY != 0;
        let packet = &mut mbuf.packet;
        let (tos, min_ttl, prio) = match outcome.state.and_then(|(at, _)| self.memory.states.get(at)) {
            Some(state) => {
                if outcome.act == Act::Pass && pd.bad_options && !state.allow_options {
                    outcome.act = Act::Drop(Reason::IpOption);
                    outcome.force_log = true;
                }
                if let Some(tag) = &state.tag {
                    packet.tag = Some(tag.to_string());
                }
                // What comes back is routed as usual.
                if state.direction == pd.direction {
                    mbuf.rtable = state.actions.rtable;
                }
                (state.actions.tos, state.actions.min_ttl, state.actions.prio)
            }
            // Of what match rules ask for, nothing holds without a state.
            None => match outcome.rule.and_then(|place| self.machine.rule(place)) {
                Some(compiled) => (
                    compiled.rule.set.as_ref().and_then(|set| set.tos),
                    compiled.rule.scrub.map_or(0, |scrub| scrub.min_ttl),
                    compiled.rule.set.as_ref().and_then(|set| set.prio),
                ),
                None => (None, 0, None),
            },
        };
        packet.ttl = packet.ttl.max(min_ttl);
        if let Some(tos) = tos {
            packet.tos = tos | (packet.tos & 0x03);
        }
        if let Some((usual, preferred_prio)) = prio {
            packet.prio = if preferred { preferred_prio } else { usual };
        }
        if outcome.act == Act::AfTo {
            change_family(pd, packet);
        }
    }

    fn evaluation(
        &self,
        before: Packet,
        rtable_before: u32,
        mbuf: &Mbuf,
        outcome: &Outcome,
        chosen: ChosenParts,
    ) -> Evaluation {
        let id = |place: RuleRef| -> RuleId { self.machine.id(place) };
        let after = match outcome.act {
            Act::Block | Act::Held => before.clone(),
            Act::Drop(_) => mbuf.packet.clone(),
            Act::Pass | Act::AfTo | Act::Synproxy => without_scope(mbuf.packet.clone()),
        };
        Evaluation {
            direction: self.direction,
            before,
            rtable_before,
            after,
            rtable: mbuf.rtable,
            verdict: match outcome.act {
                Act::Pass | Act::AfTo => Verdict::Pass,
                Act::Block => Verdict::Block,
                Act::Drop(reason) => Verdict::Drop(reason),
                Act::Held => Verdict::Held,
                Act::Synproxy => Verdict::Synproxy,
            },
            skipped: false,
            rule: outcome.rule.map(id),
            met: outcome.met.clone(),
            matches: outcome.matches.iter().copied().map(id).collect(),
            state: outcome.state.map(|(at, existing)| StateUse {
                existing,
                bound_to: self
                    .memory
                    .states
                    .get(at)
                    .and_then(|state| state.bound_to)
                    .map(|interface| self.machine.name(interface).to_owned()),
            }),
            log: outcome.log || outcome.force_log,
            answer: outcome.answer,
            chosen,
            divert: None,
            route: None,
        }
    }

    /// Where the packet goes, noted in the evaluation.
    fn goes(&self, outcome: &Outcome, evaluation: &mut Evaluation) -> Goes {
        match outcome.act {
            Act::AfTo => return Goes::AfTo,
            Act::Pass => {}
            Act::Block | Act::Drop(_) | Act::Held | Act::Synproxy => return Goes::Nowhere,
        }
        let rule = outcome
            .rule
            .and_then(|place| self.machine.rule(place))
            .map(|compiled| compiled.rule);
        evaluation.divert = rule.and_then(|rule| rule.divert);
        if matches!(evaluation.divert, Some(Divert::Packet { .. })) {
            return Goes::Diverted;
        }
        let Some(state) = outcome.state.and_then(|(at, _)| self.memory.states.get(at)) else {
            return Goes::On;
        };
        evaluation.route.clone_from(&state.route);
        match &state.route {
            Some(next) if next.redirects(self.direction == state.direction) => Goes::Routed(next.clone()),
            Some(_) | None => Goes::On,
        }
    }
}

impl NextHop {
    /// Whether the packet leaves its usual way: `route-to` takes those that go as the first went, `reply-to` the
    /// others, `dup-to` none.
    fn redirects(&self, forward: bool) -> bool {
        use crate::ruleset::RouteToKind;
        match self.kind {
            RouteToKind::RouteTo => forward,
            RouteToKind::ReplyTo => !forward,
            RouteToKind::DupTo => false,
        }
    }
}

/// The packet as others see it: the kernel keeps the scope of link-local addresses in their second word, and clears it
/// before they leave.
pub(super) fn without_scope(mut packet: Packet) -> Packet {
    for address in [&mut packet.src, &mut packet.dst] {
        if let IpAddr::V6(inner) = *address
            && has_scope(inner)
        {
            let mut segments = inner.segments();
            segments[1] = 0;
            *address = IpAddr::V6(segments.into());
        }
    }
    packet
}

/// What pf answers to a packet that it blocks.
fn answer(block: Block, pd: &Descriptor, packet: &Packet) -> Answer {
    if pd.virtual_protocol == VirtualProtocol::Fragment {
        return Answer::Nothing;
    }
    let (rst, icmp) = match block {
        Block::Drop => return Answer::Nothing,
        Block::Return { icmp, icmp6 } => (true, Some(((3, icmp), (1, icmp6)))),
        Block::ReturnRst { ttl: _ } => (true, None),
        Block::ReturnIcmp { icmp, icmp6 } => (false, Some((icmp, icmp6))),
    };
    if rst && pd.protocol == Protocol::TCP && !packet.flags.contains(TcpFlags::RST) {
        return Answer::Rst;
    }
    let unanswered = pd
        .icmp
        .is_some_and(|mapping| icmp::is_unanswered(pd.family, mapping.kind));
    match (icmp, pd.family) {
        (Some(_), _) if unanswered => Answer::Nothing,
        (Some(((kind, code), _)), Family::Inet) => Answer::Icmp(kind, code),
        (Some((_, (kind, code))), Family::Inet6) => Answer::Icmp(kind, code),
        (None, _) => Answer::Nothing,
    }
}

/// What pf calls the protocol of, if it goes on to the header behind it (`pf_walk_header`, `pf_walk_header6`).
fn looked_through(protocol: Protocol, family: Family) -> Option<&'static str> {
    match (protocol.0, family) {
        (51, _) => Some("an AH header"),
        (0, Family::Inet6) => Some("hop-by-hop options"),
        (43, Family::Inet6) => Some("a routing header"),
        (44, Family::Inet6) => Some("a fragment header"),
        (60, Family::Inet6) => Some("destination options"),
        _ => None,
    }
}

/// Whether a packet is one that `synproxy state` answers.
pub(super) fn is_synproxied(rule: &Rule, direction: Direction, packet: &Packet) -> bool {
    rule.keep_state == KeepState::Synproxy
        && direction == Direction::In
        && packet.protocol == Protocol::TCP
        && packet.flags.contains(TcpFlags::SYN)
        && !packet.flags.contains(TcpFlags::ACK)
}
