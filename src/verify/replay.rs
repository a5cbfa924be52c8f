//! Replays a counterexample in the evaluator, which shares no decision with the engine.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::expectation::Expected;
use super::outcome::{Counterexample, Why};
use crate::engine::{Condition, Unknown, address_number};
use crate::eval::{Choices, Criterion, End, Journey, Machine, Memory, Named, Unproven, Verdict, reply};
use crate::net::RangeSet;
use crate::packet::{Packet, Way};
use crate::policy::Network;
use crate::ruleset::RuleId;

/// How a replay came out.
pub(super) enum Replay {
    /// The evaluator sees the packet offend too.
    Confirmed(Box<Counterexample>),
    /// The evaluator cannot say: it hangs on what is not known, or on a choice that it does not take.
    Open,
    /// The evaluator sees it otherwise: a fault of ours.
    Refuted(Box<Counterexample>),
}

/// How many choices of pf are tried for one packet, and how many addresses of one pool.
const MOST_TRIES: usize = 48;
const MOST_ADDRESSES: usize = 8;

/// What pf has to choose for packets to offend, as far as that is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    /// An address that offends if some pool has it.
    pub(super) address: Option<IpAddr>,
    /// What their destination becomes, where it is translated.
    pub(super) destinations: Option<RangeSet>,
}

/// What packets are replayed with.
pub(super) struct Replayer<'a> {
    pub(super) machine: &'a Machine<'a>,
    pub(super) network: &'a Network<'a>,
    /// What the statement expects besides getting through.
    pub(super) expected: &'a [Expected],
}

/// One run of a packet.
struct Run {
    example: Box<Counterexample>,
    offends: bool,
    /// Whether its destination becomes what the engine says.
    lands: bool,
    /// The pools that were asked: the rule, what it chooses from, what was taken.
    asked: Vec<(RuleId, Vec<IpNet>, IpAddr)>,
}

impl Replayer<'_> {
    /// What the evaluator makes of the packet. Of the choices that pf has one that offends is looked for.
    pub(super) fn replay(&self, packet: Packet, why: &Why, conditions: &[Condition], choice: &Choice) -> Replay {
        // The evaluator takes no rule of an anchor that others fill for a decider: its way is another.
        let filled = |condition: &Condition| matches!(condition.unknown, Unknown::Anchor(_)) && condition.holds;
        if conditions.iter().any(filled) {
            return Replay::Open;
        }
        let base = named(conditions);
        let Ok(usual) = self.run(&packet, why, choice, base.clone()) else {
            return Replay::Open;
        };
        // Translated to what it is it is not translated.
        let wished: Vec<IpAddr> = choice.address.into_iter().chain([packet.src, packet.dst]).collect();
        let mut others = tries(&usual.asked, &wished).into_iter().filter_map(|addresses| {
            let choices = Named {
                addresses,
                ..base.clone()
            };
            self.run(&packet, why, choice, choices).ok()
        });
        let shows = |run: &Run| run.offends && run.lands;
        let (mut run, chosen) = if shows(&usual) {
            let matters = others.any(|other| !shows(&other));
            (usual, matters)
        } else {
            match others.find(shows) {
                Some(other) => (other, true),
                None => (usual, false),
            }
        };
        if run.offends {
            if chosen {
                let taken = run.asked.into_iter().map(|(rule, _, taken)| (rule, taken));
                run.example.choices = taken.collect();
            }
            return Replay::Confirmed(run.example);
        }
        let would_show = match why {
            Why::Unexpected(failed) => failed
                .iter()
                .any(|&(at, _)| self.expected.get(at).is_some_and(Expected::shows)),
            Why::GetsThrough | Why::Stopped | Why::ReplyStopped => true,
        };
        if would_show && conditions.iter().all(can_be_named) && is_settled_once(conditions) {
            Replay::Refuted(run.example)
        } else {
            Replay::Open
        }
    }

    fn run(&self, packet: &Packet, why: &Why, choice: &Choice, choices: Named) -> Result<Run, Unproven> {
        let mut choices = Asked {
            named: choices,
            asked: Vec::new(),
        };
        let mut memory = Memory::default();
        let mut packet = packet.clone();
        let journey = follow(self.machine, self.network, &mut packet, &mut memory, &mut choices)?;
        let through = passes(&journey) && forwardable(&journey);
        // What comes as broadcast on its link is not sent on.
        let may_be_lost = journey.hops.len() > 1 && is_shared(&packet, self.network);
        let (mut answer, mut unmet) = (None, Vec::new());
        let offends = match why {
            Why::GetsThrough => through,
            Why::Stopped => !through || may_be_lost,
            Why::Unexpected(failed) => {
                let met = |at: usize| {
                    let expected = self.expected.get(at);
                    expected.is_none_or(|expected| expected.is_met_by(&journey, self.network.engine().ruleset()))
                };
                unmet.extend(failed.iter().filter(|(at, _)| !met(*at)).map(|(_, span)| *span));
                through && !unmet.is_empty()
            }
            Why::ReplyStopped => {
                let reply = reply(&journey).ok_or_else(|| Unproven("there is no reply".to_owned()))?;
                let back = self.machine.follow(&reply, &mut memory, &mut choices)?;
                let lost = !passes(&back);
                answer = Some((reply, back));
                through && lost
            }
        };
        let lands = match (why, journey.hops.last(), &choice.destinations) {
            (Why::GetsThrough, Some(last), Some(destinations)) => destinations.contains(address_number(last.after.dst)),
            _ => true,
        };
        Ok(Run {
            lands,
            example: Box::new(Counterexample {
                packet,
                journey,
                reply: answer,
                choices: Vec::new(),
                unmet,
            }),
            offends,
            asked: choices.asked,
        })
    }
}

/// Choices that are named, and what was asked for.
struct Asked {
    named: Named,
    asked: Vec<(RuleId, Vec<IpNet>, IpAddr)>,
}

impl Choices for Asked {
    fn holds(&mut self, rule: &RuleId, criterion: Criterion) -> Option<bool> {
        self.named.holds(rule, criterion)
    }

    fn address(&mut self, rule: &RuleId, pool: &[IpNet]) -> Option<IpAddr> {
        let taken = self.named.address(rule, pool)?;
        if !self.asked.iter().any(|(known, ..)| known == rule) {
            self.asked.push((rule.clone(), pool.to_vec(), taken));
        }
        Some(taken)
    }

    fn port(&mut self, rule: &RuleId, low: u16, high: u16, taken: &dyn Fn(u16) -> bool) -> Option<u16> {
        self.named.port(rule, low, high, taken)
    }
}

/// Other choices than those that were taken: of each pool those addresses that it has, and the first and last of its
/// networks; of several pools in every combination.
fn tries(asked: &[(RuleId, Vec<IpNet>, IpAddr)], wished: &[IpAddr]) -> Vec<HashMap<RuleId, IpAddr>> {
    let mut ways: Vec<HashMap<RuleId, IpAddr>> = vec![HashMap::new()];
    for (rule, pool, taken) in asked {
        let in_pool = |address: &&IpAddr| pool.iter().any(|net| net.contains(*address));
        let wished = wished.iter().filter(in_pool).copied();
        let ends = pool
            .iter()
            .take(MOST_ADDRESSES)
            .flat_map(|net| [net.network(), net.broadcast()]);
        let mut candidates: Vec<IpAddr> = Vec::new();
        for candidate in wished.chain(ends).chain([*taken]) {
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates.truncate(MOST_ADDRESSES);
        let more = ways.iter().flat_map(|way| {
            candidates.iter().map(|&candidate| {
                let mut way = way.clone();
                way.insert(rule.clone(), candidate);
                way
            })
        });
        ways = more.take(MOST_TRIES).collect();
    }
    let usual: HashMap<RuleId, IpAddr> = asked.iter().map(|(rule, _, taken)| (rule.clone(), *taken)).collect();
    ways.retain(|way| *way != usual);
    ways
}

/// Whether the packet gets through, by the evaluator; `None` where that hangs on what is not known.
pub(crate) fn gets_through(machine: &Machine<'_>, network: &Network<'_>, mut packet: Packet) -> Option<bool> {
    let mut memory = Memory::default();
    let journey = follow(machine, network, &mut packet, &mut memory, &mut named(&[])).ok()?;
    Some(passes(&journey) && forwardable(&journey))
}

/// The way of the packet. Broadcast and multicast end at the machine, whatever routes there are, and only the hop in is
/// evaluated; but where that has changed the destination they are sent on as any other.
fn follow(
    machine: &Machine<'_>,
    network: &Network<'_>,
    packet: &mut Packet,
    memory: &mut Memory,
    choices: &mut dyn Choices,
) -> Result<Journey, Unproven> {
    if packet.way == Way::Forward && is_shared(packet, network) {
        packet.way = Way::In;
        let mut after = memory.clone();
        let journey = machine.follow(packet, &mut after, choices)?;
        if !journey
            .last()
            .is_some_and(|last| last.dst != packet.dst && !is_shared(last, network))
        {
            *memory = after;
            return Ok(journey);
        }
        packet.way = Way::Forward;
    }
    machine.follow(packet, memory, choices)
}

/// Whether the packet is to a broadcast or multicast address.
fn is_shared(packet: &Packet, network: &Network<'_>) -> bool {
    let on = network.engine().space().interface(&packet.interface);
    on.is_some_and(|on| {
        let shared = network.shared_beside(on, packet.family);
        shared.contains(address_number(packet.dst))
    })
}

/// Whether a packet leaves, or reaches the machine itself.
fn passes(journey: &Journey) -> bool {
    let passes = journey.verdict() == Verdict::Pass;
    match journey.end {
        End::Sent | End::Local => passes,
        End::NoRoute | End::Stopped | End::NotForwarded => false,
    }
}

/// Whether the network stack forwards what the first hop has let in (`in_canforward`, `ip6_forward`): the evaluator
/// goes by the routing table alone.
fn forwardable(journey: &Journey) -> bool {
    let (Some(first), End::Sent, true) = (journey.hops.first(), journey.end, journey.hops.len() > 1) else {
        return true;
    };
    let (before, after) = (&first.before, &first.after);
    let source = match before.src {
        IpAddr::V4(_) => true,
        IpAddr::V6(source) => !source.is_unspecified() && !source.is_multicast() && !source.is_unicast_link_local(),
    };
    let destination = match after.dst {
        IpAddr::V4(destination) => !matches!(destination.octets()[0], 0 | 127) && !destination.is_multicast(),
        IpAddr::V6(destination) => !destination.is_multicast() && !destination.is_loopback(),
    };
    source && destination
}

/// Whether the evaluator can be told how a condition comes out.
fn can_be_named(condition: &Condition) -> bool {
    condition.rule.is_some() && criterion(&condition.unknown).is_some()
}

/// Whether no criterion comes out one way for one packet of the flow and the other way for another: the evaluator is
/// told of one outcome alone.
fn is_settled_once(conditions: &[Condition]) -> bool {
    let contradicts = |a: &Condition, b: &Condition| a.rule == b.rule && a.unknown == b.unknown && a.holds != b.holds;
    !conditions.iter().any(|a| conditions.iter().any(|b| contradicts(a, b)))
}

/// The criterion whose outcome the evaluator asks for.
fn criterion(unknown: &Unknown) -> Option<Criterion> {
    match unknown {
        Unknown::Probability => Some(Criterion::Probability),
        Unknown::Os => Some(Criterion::Os),
        Unknown::Rate => Some(Criterion::Rate),
        Unknown::User
        | Unknown::Table(_)
        | Unknown::Address(_)
        | Unknown::Network(_)
        | Unknown::Anchor(_)
        | Unknown::Once
        | Unknown::Limit
        | Unknown::Tag
        | Unknown::Pool => None,
    }
}

/// The choices that the conditions name.
fn named(conditions: &[Condition]) -> Named {
    let mut named = Named::default();
    for condition in conditions {
        if let (Some(rule), Some(criterion)) = (&condition.rule, criterion(&condition.unknown)) {
            named.holds.insert((rule.clone(), criterion), condition.holds);
        }
    }
    named
}
