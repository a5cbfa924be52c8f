//! Replays a counterexample in the evaluator, which shares no decision with the engine.

use std::net::IpAddr;

use super::choices::Script;
use super::expectation::Expected;
use super::outcome::{Counterexample, Why};
use crate::context::RouteKind;
use crate::engine::{self, Class, Condition, Field, Unknown, Value, address_number, transport};
use crate::eval::{Choices, Criterion, End, Evaluation, Journey, Machine, Memory, Named, Unproven, Verdict, reply};
use crate::net::{Protocol, RangeSet, TcpFlags};
use crate::packet::{Packet, Way};
use crate::policy::Network;
use crate::ruleset::RouteToKind;

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
    through: bool,
    offends: bool,
    /// Whether translation makes of it what the engine says.
    lands: bool,
}

impl Run {
    fn shows(&self) -> bool {
        self.offends && self.lands
    }
}

impl Replayer<'_> {
    /// What the evaluator makes of the packet. Of the choices that pf has one that offends is looked for.
    pub(super) fn replay(&self, packet: Packet, why: &Why, class: &Class, choice: &Choice) -> Replay {
        let conditions = &class.conditions;
        // The evaluator takes no rule of an anchor that others fill for a decider: its way is another.
        let filled = |condition: &Condition| matches!(condition.unknown, Unknown::Anchor(_)) && condition.holds;
        if conditions.iter().any(filled) {
            return Replay::Open;
        }
        // Translated to what it is it is not translated.
        let wished: Vec<IpAddr> = choice.address.into_iter().chain([packet.src, packet.dst]).collect();
        let mut choices = Script::new(class, why, named(conditions), wished);
        let mut usual = None;
        for tried in 0..MOST_WAYS {
            let run = self.run(&packet, why, (class, choice), &mut choices).ok();
            let (shown, other) = match run {
                Some(run) if run.shows() => (Some(run), None),
                other => (None, other),
            };
            if let Some(mut run) = shown {
                let taken = choices.taken();
                let mut others = (tried + 1..MOST_WAYS).map_while(|_| {
                    let next = choices.advance();
                    next.then(|| self.run(&packet, why, (class, choice), &mut choices).ok())
                });
                // What is shown whatever pf chooses hangs on no choice.
                if tried > 0 || others.any(|other| other.is_some_and(|other| !other.shows())) {
                    run.example.choices = taken;
                }
                return Replay::Confirmed(run.example);
            }
            if tried == 0 {
                usual = other;
            }
            if !choices.advance() {
                break;
            }
        }
        self.unshown(usual, why, conditions)
    }

    /// What a packet comes to that offends by none of the choices that were tried.
    fn unshown(&self, usual: Option<Run>, why: &Why, conditions: &[Condition]) -> Replay {
        let Some(run) = usual.filter(|run| !run.offends) else {
            return Replay::Open;
        };
        let would_show = match why {
            Why::Unexpected(failed) => {
                let mut failed = failed.iter().filter_map(|&(at, _)| self.expected.get(at));
                !run.through || failed.any(Expected::shows)
            }
            Why::GetsThrough | Why::Stopped | Why::ReplyStopped => true,
        };
        if would_show && conditions.iter().all(can_be_named) && is_settled_once(conditions) {
            Replay::Refuted(run.example)
        } else {
            Replay::Open
        }
    }

    fn run(
        &self,
        packet: &Packet,
        why: &Why,
        (class, choice): (&Class, &Choice),
        choices: &mut Script,
    ) -> Result<Run, Unproven> {
        let mut memory = Memory::after_others();
        let mut packet = packet.clone();
        let journey = follow(
            self.machine,
            self.network,
            &mut packet,
            &mut memory,
            (choices, Script::restart),
        )?;
        let through = passes(&journey) && forwardable(&journey);
        // What comes as broadcast on its link the stack does not send on.
        let may_be_lost = journey.hops.len() > 1 && !routed_by_pf(&journey) && is_shared(&packet, self.network);
        let (mut answer, mut unmet, mut lands) = (None, Vec::new(), true);
        let offends = match why {
            Why::GetsThrough => {
                let last = journey.hops.last();
                let destinations = choice.destinations.as_ref();
                let wanted = last.zip(destinations);
                let in_wanted = wanted.is_none_or(|(last, wanted)| wanted.contains(address_number(last.after.dst)));
                lands = in_wanted && is_translated_so(&journey, class);
                through && (!lands || ends_there(&journey, class, self.network))
            }
            Why::Stopped => !through || may_be_lost,
            Why::Unexpected(failed) => {
                let met = |at: usize| {
                    let expected = self.expected.get(at);
                    expected.is_none_or(|expected| expected.is_met_by(&journey, self.network.engine().ruleset()))
                };
                unmet.extend(failed.iter().filter(|(at, _)| !met(*at)).map(|(_, span)| *span));
                through && !unmet.is_empty()
            }
            Why::ReplyStopped if journey.verdict() == Verdict::Synproxy => {
                return Err(Unproven("the handshake with pf is not gone through".to_owned()));
            }
            Why::ReplyStopped => {
                let (follower, way, lost) = self.lost((&packet, &journey), class, &mut memory, choices)?;
                answer = Some((follower, way));
                through && lost
            }
        };
        Ok(Run {
            example: Box::new(Counterexample {
                packet,
                journey,
                reply: answer,
                choices: Vec::new(),
                unmet,
                supposed: None,
            }),
            through,
            offends,
            lands,
        })
    }

    /// Of what follows a packet the first that is lost, with its way, or else the reply, and whether it is: the reply, and of
    /// tcp what the sender sends then, and what comes back for that.
    fn lost(
        &self,
        (packet, journey): (&Packet, &Journey),
        class: &Class,
        memory: &mut Memory,
        choices: &mut Script,
    ) -> Result<(Packet, Journey, bool), Unproven> {
        let answer = |there: &Journey| {
            let answer = reply(there).map(|answer| met_by(answer, there, self.network));
            answer.ok_or_else(|| Unproven("there is no reply".to_owned()))
        };
        let is_lost = |back: &Journey| !passes(back) || !comes_back(back, journey);
        // What the machine has no route for is met by no rule.
        let nowhere = Journey {
            hops: Vec::new(),
            end: End::NoRoute,
        };
        let (first, is_sent) = answer(journey)?;
        if !is_sent {
            return Ok((first, nowhere, true));
        }
        let back = self.machine.follow(&first, memory, choices)?;
        let lost = is_lost(&back);
        if lost || packet.protocol != Protocol::TCP {
            return Ok((first, back, lost));
        }
        let flags = later_flags(class);
        let seen = back.hops.last().map_or(0, |hop| hop.after.seq);
        let later = Packet {
            flags,
            seq: packet.seq.wrapping_add(1),
            ack: seen.wrapping_add(1),
            ..packet.clone()
        };
        let there = self.machine.follow(&later, memory, choices)?;
        if !passes(&there) {
            return Ok((later, there, true));
        }
        let (next, is_sent) = answer(&there)?;
        let next = Packet { flags, ..next };
        if !is_sent {
            return Ok((next, nowhere, true));
        }
        let then = self.machine.follow(&next, memory, choices)?;
        Ok(match is_lost(&then) {
            true => (next, then, true),
            false => (first, back, false),
        })
    }
}

/// The flags of the tcp packets that follow and are lost: ACK alone, if they may be so.
fn later_flags(class: &Class) -> TcpFlags {
    let lost = class.at_end(Field::Transport, &class.region);
    let others = lost.filter(|lost| !lost.contains(transport::of_tcp(TcpFlags::ACK)));
    let first = others.and_then(|lost| lost.first());
    first.map_or(TcpFlags::ACK, transport::flags_at)
}

/// The reply as it meets the machine: for the machine itself it may come in, its own goes out by the route; and whether there
/// is one.
fn met_by(mut reply: Packet, journey: &Journey, network: &Network<'_>) -> (Packet, bool) {
    let (Some(first), Some(last)) = (journey.hops.first(), journey.hops.last()) else {
        return (reply, false);
    };
    if first.before.way == Way::Out {
        reply.way = Way::Forward;
    } else if reply.way == Way::Out && !is_of_link(reply.dst) {
        // It answers in the domain where it has found the address its own; to a link-local address where that is.
        let context = network.engine().context();
        let domain = context.interfaces.iter().map(|interface| interface.rdomain);
        let rdomain = domain.filter(|&rdomain| rdomain == last.rtable).max().unwrap_or(0);
        let table = context.route_table(rdomain);
        let route = table.lookup(reply.dst).filter(|route| !route.reject);
        let by = route.and_then(|route| match route.kind {
            RouteKind::Local => Some(context.loopback_of(rdomain)?.name.as_str()),
            RouteKind::Connected | RouteKind::Given => Some(route.interface),
        });
        let Some(by) = by else { return (reply, false) };
        by.clone_into(&mut reply.interface);
    }
    (reply, true)
}

/// Whether it is an address of one link, in no routing table.
fn is_of_link(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
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
    let mut memory = Memory::default();
    let choices = &mut named(&[]);
    let journey = follow(machine, network, &mut packet, &mut memory, (choices, |_| {})).ok()?;
    Some(passes(&journey) && forwardable(&journey))
}

/// The way of the packet. What is to a broadcast or multicast address behind the hop in ends at the machine, whatever routes
/// there are, and only that hop is evaluated; but where pf routes it itself, it is sent on as any other. What pf sends in place
/// of a packet is the rest of its way.
///
/// The choices come with what has them asked for from the beginning again.
fn follow<C: Choices>(
    machine: &Machine<'_>,
    network: &Network<'_>,
    packet: &mut Packet,
    memory: &mut Memory,
    (choices, restart): (&mut C, impl Fn(&mut C)),
) -> Result<Journey, Unproven> {
    let stays = |journey: &Journey| {
        let is_taken = |hop: &Evaluation| {
            let shared = network.shared_by_table(hop.rtable, hop.after.family);
            hop.verdict == Verdict::Pass && shared.contains(address_number(hop.after.dst))
        };
        !routed_by_pf(journey) && journey.hops.first().is_some_and(is_taken)
    };
    let before = (packet.way == Way::Forward).then(|| memory.clone());
    if packet.way == Way::Forward && is_shared(packet, network) {
        packet.way = Way::In;
        let mut after = memory.clone();
        let journey = machine.follow(packet, &mut after, choices)?;
        if stays(&journey) || !passes(&journey) {
            *memory = after;
            return Ok(journey);
        }
        packet.way = Way::Forward;
        restart(choices);
    }
    let mut journey = machine.follow(packet, memory, choices)?;
    if let Some(before) = before.filter(|_| stays(&journey)) {
        *memory = before;
        packet.way = Way::In;
        restart(choices);
        return machine.follow(packet, memory, choices);
    }
    if let Some(sent) = machine.sent_instead(&journey) {
        let onward = machine.follow(&sent, memory, choices)?;
        journey.hops.extend(onward.hops);
        journey.end = onward.end;
    }
    Ok(journey)
}

/// Whether the packet is to a broadcast or multicast address.
fn is_shared(packet: &Packet, network: &Network<'_>) -> bool {
    let on = network.engine().space().interface(&packet.interface);
    on.is_some_and(|on| {
        let shared = network.shared_beside(on, packet.family);
        shared.contains(address_number(packet.dst))
    })
}

/// Whether the hop in sends the packet on by itself: the network stack is not asked (`pf_route`).
fn routed_by_pf(journey: &Journey) -> bool {
    let route = journey.hops.first().and_then(|first| first.route.as_ref());
    route.is_some_and(|next| next.kind == RouteToKind::RouteTo)
}

/// Whether a packet leaves, or reaches the machine itself; so does one whose handshake pf has answered, if what pf sends in its
/// place does.
fn passes(journey: &Journey) -> bool {
    let passes = |hop: &Evaluation| matches!(hop.verdict, Verdict::Pass | Verdict::Synproxy);
    match journey.end {
        End::Sent | End::Local => journey.hops.iter().all(passes),
        End::Stopped => journey.hops.len() == 1 && journey.verdict() == Verdict::Synproxy,
        End::NoRoute | End::NotForwarded => false,
    }
}

/// Whether the network stack forwards what the first hop has let in (`in_canforward`, `ip6_forward`): the evaluator
/// goes by the routing table alone.
fn forwardable(journey: &Journey) -> bool {
    let (Some(first), End::Sent, true) = (journey.hops.first(), journey.end, journey.hops.len() > 1) else {
        return true;
    };
    if routed_by_pf(journey) {
        return true;
    }
    let (before, after) = (&first.before, &first.after);
    let source = match before.src {
        IpAddr::V4(_) => true,
        IpAddr::V6(source) => !source.is_unspecified() && !source.is_multicast() && !source.is_unicast_link_local(),
    };
    let destination = match after.dst {
        IpAddr::V4(destination) => !matches!(destination.octets()[0], 0 | 127) && !destination.is_multicast(),
        IpAddr::V6(destination) => {
            !destination.is_multicast() && !destination.is_loopback() && !destination.is_unicast_link_local()
        }
    };
    source && destination
}

/// Whether the evaluator can be told how a condition comes out.
fn can_be_named(condition: &Condition) -> bool {
    condition.rule.is_some() && criterion(&condition.unknown).is_some()
}

/// Whether no criterion comes out one way for one packet of the flow and the other way for another: the evaluator is
/// told of one outcome alone. (A `once` that matches is used up for the packets after.)
fn is_settled_once(conditions: &[Condition]) -> bool {
    let contradicts = |a: &Condition, b: &Condition| a.rule == b.rule && a.unknown == b.unknown && a.holds != b.holds;
    let uses_up = |a: &Condition| a.unknown == Unknown::Once && a.holds;
    !conditions
        .iter()
        .any(|a| uses_up(a) || conditions.iter().any(|b| contradicts(a, b)))
}

/// The criterion whose outcome the evaluator asks for.
fn criterion(unknown: &Unknown) -> Option<Criterion> {
    match unknown {
        Unknown::Probability => Some(Criterion::Probability),
        Unknown::Os => Some(Criterion::Os),
        Unknown::Rate => Some(Criterion::Rate),
        Unknown::Once => Some(Criterion::Once),
        Unknown::User
        | Unknown::Table(_)
        | Unknown::Address(_)
        | Unknown::Loaded(_)
        | Unknown::Network(_)
        | Unknown::Anchor(_)
        | Unknown::Tag
        | Unknown::Pool => None,
    }
}

/// Choices with which packets of the class take its way, and meet all rules that may match them.
pub(crate) fn choices_of(class: &Class) -> impl Choices {
    Script::new(class, &Why::GetsThrough, named(&class.conditions), Vec::new()).matching()
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
