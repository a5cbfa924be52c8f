//! Replays a counterexample in the evaluator, which shares no decision with the engine.

use std::net::IpAddr;

use super::outcome::{Counterexample, Why};
use crate::engine::{Condition, Unknown, address_number};
use crate::eval::{Criterion, End, Journey, Machine, Memory, Named, Unproven, Verdict, reply};
use crate::packet::{Packet, Way};
use crate::policy::Network;

/// How a replay came out.
pub(super) enum Replay {
    /// The evaluator sees the packet offend too.
    Confirmed(Box<Counterexample>),
    /// The evaluator cannot say: it hangs on what is not known, or on a choice that it does not take.
    Open,
    /// The evaluator sees it otherwise: a fault of ours.
    Refuted(Box<Counterexample>),
}

/// What the evaluator makes of the packet.
pub(super) fn replay(
    machine: &Machine<'_>,
    network: &Network<'_>,
    mut packet: Packet,
    why: &Why,
    conditions: &[Condition],
) -> Replay {
    let mut choices = named(conditions);
    let mut memory = Memory::default();
    let journey = match follow(machine, network, &mut packet, &mut memory, &mut choices) {
        Ok(journey) => journey,
        Err(Unproven(_)) => return Replay::Open,
    };
    let through = passes(&journey) && forwardable(&journey);
    // What comes as broadcast on its link is not sent on.
    let may_be_lost = journey.hops.len() > 1 && is_shared(&packet, network);
    let mut answer = None;
    let confirmed = match why {
        Why::GetsThrough | Why::Unexpected(..) => through,
        Why::Stopped => !through || may_be_lost,
        Why::ReplyStopped => {
            let Some(packet) = reply(&journey) else {
                return Replay::Open;
            };
            match machine.follow(&packet, &mut memory, &mut choices) {
                Ok(back) => {
                    let lost = !passes(&back);
                    answer = Some((packet, back));
                    through && lost
                }
                Err(Unproven(_)) => return Replay::Open,
            }
        }
    };
    let example = Box::new(Counterexample {
        packet,
        journey,
        reply: answer,
    });
    if confirmed {
        Replay::Confirmed(example)
    } else if conditions.iter().all(can_be_named) && is_settled_once(conditions) {
        Replay::Refuted(example)
    } else {
        Replay::Open
    }
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
    choices: &mut Named,
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
