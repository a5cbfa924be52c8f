//! Replays a counterexample in the evaluator, which shares no decision with the engine.

use std::net::IpAddr;

use ipnet::IpNet;

use super::expectation::Expected;
use super::outcome::{Counterexample, Why};
use crate::engine::{self, Class, Condition, Unknown, Value, address, address_number};
use crate::eval::{Choices, Criterion, End, Journey, Machine, Memory, Named, Unproven, Verdict, reply};
use crate::net::{Family, RangeSet};
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

/// In how many ways pf may choose that are tried for one packet.
const MOST_WAYS: usize = 64;

/// What the evaluator makes of the packet, if pf chooses so that it offends.
pub(super) fn replay(
    machine: &Machine<'_>,
    network: &Network<'_>,
    packet: &Packet,
    why: &Why,
    expected: Option<&Expected>,
    class: &Class,
) -> Replay {
    let mut packet = packet.clone();
    packet.way = way(&packet, network);
    let mut choices = Script::new(class, why);
    let mut first = None;
    for _ in 0..MOST_WAYS {
        let replayed = once(machine, network, &packet, why, expected, class, &mut choices);
        if matches!(replayed, Replay::Confirmed(_)) {
            return replayed;
        }
        first.get_or_insert(replayed);
        if !choices.advance() {
            break;
        }
    }
    first.unwrap_or(Replay::Open)
}

/// What the evaluator makes of the packet, if pf chooses so.
fn once(
    machine: &Machine<'_>,
    network: &Network<'_>,
    packet: &Packet,
    why: &Why,
    expected: Option<&Expected>,
    class: &Class,
    choices: &mut Script,
) -> Replay {
    let conditions = &class.conditions;
    let mut memory = Memory::default();
    let journey = match machine.follow(packet, &mut memory, choices) {
        Ok(journey) => journey,
        Err(Unproven(_)) => return Replay::Open,
    };
    let through = passes(&journey) && forwardable(&journey);
    let mut answer = None;
    let confirmed = match why {
        Why::GetsThrough => {
            if through && !is_translated_so(&journey, class) {
                return Replay::Open;
            }
            through && ends_there(&journey, class, network)
        }
        Why::Unexpected(..) => {
            let met = expected.and_then(|expected| expected.is_met_by(packet, journey.last()?));
            if through && met == Some(true) {
                return Replay::Open;
            }
            through
        }
        Why::Stopped => !through,
        Why::ReplyStopped => {
            let Some(packet) = reply(&journey).and_then(|reply| met_by(reply, &journey, network)) else {
                return Replay::Open;
            };
            match machine.follow(&packet, &mut memory, choices) {
                Ok(back) => {
                    let lost = !passes(&back) || !comes_back(&back, &journey);
                    answer = Some((packet, back));
                    through && lost
                }
                Err(Unproven(_)) => return Replay::Open,
            }
        }
    };
    let example = Box::new(Counterexample {
        packet: packet.clone(),
        journey,
        reply: answer,
        chosen: choices.chosen.clone(),
    });
    if confirmed {
        Replay::Confirmed(example)
    } else if conditions.iter().all(can_be_named) && is_settled_once(conditions) {
        Replay::Refuted(example)
    } else {
        Replay::Open
    }
}

/// The reply as it meets the machine: for the machine itself it may come in, its own goes out by the route.
fn met_by(mut reply: Packet, journey: &Journey, network: &Network<'_>) -> Option<Packet> {
    let context = network.engine().context();
    if journey.hops.first()?.before.way == Way::Out {
        reply.way = Way::Forward;
    } else if reply.way == Way::Out {
        let rdomain = context.interface(&reply.interface)?.rdomain;
        let table = context.route_table(rdomain);
        let route = table.lookup(reply.dst).filter(|route| !route.reject)?;
        route.interface.clone_into(&mut reply.interface);
    }
    Some(reply)
}

/// Whether a reply comes back to where the first packet came from.
fn comes_back(back: &Journey, journey: &Journey) -> bool {
    let (Some(first), Some(last)) = (journey.hops.first(), back.hops.last()) else {
        return false;
    };
    match first.before.way {
        Way::Out => back.end == End::Local,
        Way::In | Way::Forward => back.end == End::Sent && last.after.interface == first.before.interface,
    }
}

/// Whether the packet ends where those of the class do.
fn ends_there(journey: &Journey, class: &Class, network: &Network<'_>) -> bool {
    let Some(last) = journey.hops.last() else { return false };
    match class.journey.end {
        engine::End::Leaves(out) => {
            journey.end == End::Sent && last.after.interface == network.engine().space().interface_name(out)
        }
        engine::End::Passed
        | engine::End::Local
        | engine::End::Diverted
        | engine::End::Stopped
        | engine::End::NoRoute
        | engine::End::NotForwarded => journey.end != End::Sent || journey.hops.len() == 1,
    }
}

/// Whether each hop has made of the ends what those of the class have made of theirs, where pf has a choice.
fn is_translated_so(journey: &Journey, class: &Class) -> bool {
    let hops = class.journey.hops.iter().zip(&journey.hops);
    let fits = |value: &Value, number: u128| match value {
        Value::OneOf(set) => set.len() == 1 || set.contains(number),
        Value::Same | Value::Moved | Value::AddressOf(_) => true,
    };
    // One of one member is a choice too that was narrowed.
    let narrowed = class
        .conditions
        .iter()
        .any(|condition| condition.unknown == Unknown::Pool);
    let address = |value: &Value, address| match value {
        Value::OneOf(set) if narrowed => set.contains(address_number(address)),
        _ => fits(value, address_number(address)),
    };
    hops.filter(|(_, found)| found.verdict == Verdict::Pass)
        .filter(|(hop, found)| hop.ends.family == found.after.family)
        .all(|(hop, found)| {
            let (ends, after) = (&hop.ends, &found.after);
            address(&ends.source, after.src)
                && address(&ends.destination, after.dst)
                && fits(&ends.source_port, after.sport.into())
                && fits(&ends.destination_port, after.dport.into())
        })
}

/// Whether the packet gets through, by the evaluator; `None` where that hangs on what is not known.
pub(crate) fn gets_through(machine: &Machine<'_>, network: &Network<'_>, mut packet: Packet) -> Option<bool> {
    packet.way = way(&packet, network);
    let journey = machine.follow(&packet, &mut Memory::default(), &mut named(&[])).ok()?;
    Some(passes(&journey) && forwardable(&journey))
}

/// How far the packet is followed: broadcast and multicast end at the machine, only the hop in is evaluated, whatever
/// routes there are.
fn way(packet: &Packet, network: &Network<'_>) -> Way {
    let shared = network.shared(packet.family).contains(address_number(packet.dst));
    match packet.way {
        Way::Forward if shared => Way::In,
        way => way,
    }
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

/// Every way in which pf may choose from pools, those that make of a packet what a class has made first: one after the
/// other, the last that was asked for changes first.
struct Script {
    named: Named,
    /// What the rules of the class make of addresses and ports.
    addresses: Vec<(RuleId, RangeSet)>,
    ports: Vec<(RuleId, RangeSet)>,
    /// Each answer, and of how many.
    answers: Vec<(usize, usize)>,
    next: usize,
    /// The addresses that were taken this time.
    chosen: Vec<(RuleId, IpAddr)>,
}

impl Script {
    /// How many members of a pool are tried.
    const MEMBERS: usize = 16;

    fn new(class: &Class, why: &Why) -> Self {
        let (mut addresses, mut ports) = (Vec::new(), Vec::new());
        // Of replies the class tells the way back.
        for hop in class.journey.hops.iter().filter(|_| *why != Why::ReplyStopped) {
            let ends = &hop.ends;
            for rule in &hop.translated_by {
                let add = |all: &mut Vec<(RuleId, RangeSet)>, value: &Value| {
                    if let Value::OneOf(set) = value {
                        all.push((rule.clone(), set.clone()));
                    }
                };
                add(&mut addresses, &ends.source);
                add(&mut addresses, &ends.destination);
                add(&mut ports, &ends.source_port);
                add(&mut ports, &ends.destination_port);
            }
        }
        Self {
            named: named(&class.conditions),
            addresses,
            ports,
            answers: Vec::new(),
            next: 0,
            chosen: Vec::new(),
        }
    }

    /// The number of the answer to the next question, of so many.
    fn pick(&mut self, answers: usize) -> usize {
        if self.next == self.answers.len() {
            self.answers.push((0, answers));
        }
        let answer = self.answers.get(self.next).map_or(0, |&(answer, _)| answer);
        self.next += 1;
        answer
    }

    /// Whether there is another way; it is the next one.
    fn advance(&mut self) -> bool {
        self.next = 0;
        self.chosen.clear();
        while let Some((answer, answers)) = self.answers.pop() {
            if answer + 1 < answers {
                self.answers.push((answer + 1, answers));
                return true;
            }
        }
        false
    }
}

/// What those sets that are for the rule have.
fn wanted<'s>(sets: &'s [(RuleId, RangeSet)], rule: &RuleId) -> impl Iterator<Item = &'s RangeSet> {
    sets.iter().filter(move |(of, _)| of == rule).map(|(_, set)| set)
}

impl Choices for Script {
    fn holds(&mut self, rule: &RuleId, criterion: Criterion) -> Option<bool> {
        self.named.holds(rule, criterion)
    }

    fn address(&mut self, rule: &RuleId, pool: &[IpNet]) -> Option<IpAddr> {
        let mut members: Vec<IpAddr> = Vec::new();
        for net in pool {
            let all = RangeSet::range(address_number(net.network()), address_number(net.broadcast()));
            for set in wanted(&self.addresses, rule) {
                let both = set.intersection(&all);
                members.extend(both.first().map(|number| address(number, Family::of(net.addr()))));
            }
        }
        members.extend(pool.iter().take(Self::MEMBERS).map(IpNet::addr));
        let mut known: Vec<IpAddr> = Vec::new();
        members.retain(|member| {
            !known.contains(member) && {
                known.push(*member);
                true
            }
        });
        members.truncate(Self::MEMBERS);
        let at = self.pick(members.len());
        let address = members.get(at).copied()?;
        self.chosen.push((rule.clone(), address));
        Some(address)
    }

    fn port(&mut self, rule: &RuleId, low: u16, high: u16, taken: &dyn Fn(u16) -> bool) -> Option<u16> {
        let range = RangeSet::range(low.into(), high.into());
        let numbers = wanted(&self.ports, rule).filter_map(|set| set.intersection(&range).first());
        let ports = numbers.filter_map(|number| u16::try_from(number).ok());
        let wanted = ports.into_iter().find(|&port| !taken(port));
        wanted.or_else(|| self.named.port(rule, low, high, taken))
    }
}
