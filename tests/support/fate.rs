//! What becomes of a packet of a small world, in every way that things may go, by the evaluator and what the network stack
//! does besides. What that means to a policy is the business of `judge`.

use std::net::IpAddr;

use pfproof::eval::{self, End, Evaluation, Journey, Machine, Memory, Verdict};
use pfproof::net::{Direction, Protocol, TcpFlags};
use pfproof::packet::{Packet, Way};
use pfproof::ruleset::{Divert, RouteToKind};

use crate::chance::{self, Script};
use crate::site::{INTERFACES, Site, has_no_address, interface};

/// Where a packet is met that is asked for its destination: coming in, in some routing domain, going out, taken in by the
/// machine, in whatever domain, or by a program that diverts it, where it came in.
#[derive(Clone, Copy)]
pub(crate) enum Met {
    In(u32),
    Out(u32),
    Here,
    Diverted(u32),
}

/// What becomes of a packet, in one way that things may go.
pub(crate) struct Fate {
    pub(crate) journey: Journey,
    pub(crate) through: bool,
    pub(crate) lost: bool,
    pub(crate) routed: bool,
    /// Whether all that belongs to the flow comes through.
    pub(crate) answered: bool,
    pub(crate) end: (IpAddr, u16),
    /// Whether it is sent back to where it is from: the answer comes by no router.
    pub(crate) reflected: bool,
    /// Where it leaves; `None` if it stays here.
    pub(crate) leaves: Option<usize>,
    /// Where it is met last: what a program takes as it comes in may go on from there.
    pub(crate) met_last: Met,
    pub(crate) untranslated: bool,
}

/// Whether a journey ends well.
fn gets_through(journey: &Journey) -> bool {
    journey.verdict() == Verdict::Pass && matches!(journey.end, End::Sent | End::Local)
}

/// Whether the packets come through that answer one which got through, and those that the originator sends then; nothing
/// where the evaluator cannot say.
fn is_answered(
    site: &Site,
    machine: &Machine<'_>,
    packet: &Packet,
    journey: &Journey,
    memory: &Memory,
    choices: &mut Script,
) -> Option<bool> {
    let mut reply = match eval::reply(journey) {
        Some(reply) => reply,
        // The answer to a request for a time stamp; nothing else has none.
        None => return Some(true),
    };
    // The answer to the machine comes to it, the machine's own goes by its routes, in the domain where it took the packet.
    if packet.way == Way::Out {
        reply.way = Way::Forward;
    } else if reply.way == Way::Out && !(reply.dst.is_ipv6() && has_no_address(reply.dst)) {
        // A link-local address is answered on its link.
        let domain = site.domain_of(journey.hops.last()?.rtable);
        reply.interface = match INTERFACES.get(site.behind(domain, reply.dst)) {
            _ if site.is_own(domain, reply.dst) => format!("lo{domain}"),
            Some(out) => (*out).to_owned(),
            None => return Some(false),
        };
    }
    let mut memory = memory.clone();
    let is_back = |journey: &Journey| {
        let there = match packet.way {
            Way::Out => journey.end == End::Local,
            Way::In | Way::Forward => {
                journey.end == End::Sent && journey.last().is_some_and(|last| last.interface == packet.interface)
            }
        };
        gets_through(journey) && there
    };
    reply.seq = 5_000;
    let back = machine.follow(&reply, &mut memory, choices).ok()?;
    if !is_back(&back) {
        return Some(false);
    }
    if packet.protocol != Protocol::TCP {
        return Some(true);
    }
    // Each acknowledges what it has heard: states may have changed the numbers.
    let mut later = packet.clone();
    (later.flags, later.seq, later.ack) = (
        TcpFlags::ACK,
        packet.seq.wrapping_add(1),
        back.last()?.seq.wrapping_add(1),
    );
    let sent = machine.follow(&later, &mut memory, choices).ok()?;
    if !gets_through(&sent) {
        return Some(false);
    }
    let heard = sent.last()?;
    (reply.flags, reply.seq, reply.ack) = (TcpFlags::ACK, heard.ack, heard.seq);
    let back = machine.follow(&reply, &mut memory, choices).ok()?;
    Some(is_back(&back))
}

fn is_route_to(hop: &Evaluation) -> bool {
    hop.route.as_ref().is_some_and(|next| next.kind == RouteToKind::RouteTo)
}

/// Whether pf sends the packet on as it comes in, without asking the stack.
fn goes_by(journey: &Journey) -> bool {
    journey.hops.first().is_some_and(is_route_to)
}

/// Every way that things may go for the packet; nothing where the evaluator cannot say, or they are too many.
pub(crate) fn fates(site: &Site, machine: &Machine<'_>, packet: &Packet, os: Option<bool>) -> Vec<Fate> {
    let shared = site.is_shared(site.domain(interface(&packet.interface)), packet.dst);
    let one = |choices: &mut Script| {
        let mut packet = packet.clone();
        // To states, 0 is no number yet.
        packet.seq = 1_000;
        if packet.way == Way::Forward && shared {
            packet.way = Way::In;
            let arrived = machine.follow(&packet, &mut Memory::after_others(), choices).ok()?;
            choices.restart();
            let looked_up = arrived.hops.last()?.rtable;
            if !site.is_shared(looked_up, arrived.last()?.dst) || goes_by(&arrived) {
                packet.way = Way::Forward;
            }
        }
        let mut memory = Memory::after_others();
        let journey = machine.follow(&packet, &mut memory, choices).ok()?;
        let last = journey.last()?.clone();
        let end = last.dst;
        // What a program takes as it comes in has not been sent on.
        let to_program = |hop: &Evaluation| matches!(hop.divert, Some(Divert::To { .. } | Divert::Reply));
        let diverted = |hop: &Evaluation| to_program(hop) && hop.direction == Direction::In;
        let here = packet.way == Way::In || journey.end == End::Local || journey.hops.last().is_some_and(diverted);
        let mut through = gets_through(&journey);
        let by_pf = goes_by(&journey) && packet.way != Way::Out;
        if packet.way != Way::Out && !by_pf {
            // The stack: no tcp to broadcast or multicast; nothing to or from loopback, nothing from a link-local source is
            // sent on.
            let on = interface(&packet.interface);
            let arrived = journey.hops.first()?;
            // What a program sends back is looked up where programs are.
            let sent_back = matches!(arrived.divert, Some(Divert::Packet { .. }));
            let table = if sent_back { 0 } else { arrived.rtable };
            let source = arrived.after.src;
            let heard = packet.protocol != Protocol::TCP && site.takes_shared(on, end);
            through &= !(here && site.is_shared(table, end)) || heard;
            through &= here
                || !(site.is_shared(table, end) || end.is_loopback() || source.is_ipv6() && has_no_address(source));
            through &= !packet.src.is_multicast() || packet.src.is_ipv4();
            // Of the link it came by: there is no route to it. What a program takes there does not count.
            through &= here && !diverted(arrived) || !(end.is_ipv6() && has_no_address(end));
        }
        let hop = journey.hops.last()?;
        // Its own reply goes by the gateway of `reply-to`.
        let is_back = hop.state.as_ref().is_some_and(|state| state.existing);
        let by_gateway = is_route_to(hop) || is_back && hop.route.is_some();
        let leaves = (!here).then(|| interface(&hop.after.interface));
        let answered = through && is_answered(site, machine, &packet, &journey, &memory, choices)?;
        Some(Fate {
            through,
            // Redirected elsewhere, it is sent on only if it came as no broadcast on its link.
            lost: shared && !here && !by_pf && packet.way == Way::Forward,
            routed: journey.end != End::NoRoute || by_gateway || journey.hops.iter().any(is_sent_elsewhere),
            answered,
            end: (end, last.dport),
            reflected: (packet.src, last.src) == (last.dst, last.dst),
            leaves,
            met_last: match leaves {
                Some(out) => Met::Out(site.domain(out)),
                None if diverted(hop) => Met::Diverted(site.domain(interface(&packet.interface))),
                None => Met::Here,
            },
            untranslated: (last.src, last.dst, last.sport, last.dport)
                == (packet.src, packet.dst, packet.sport, packet.dport),
            journey,
        })
    };
    let ways = chance::ways(os, one);
    if ways.len() >= chance::MOST {
        return Vec::new();
    }
    let all: Option<Vec<Fate>> = ways.into_iter().collect();
    all.unwrap_or_default()
}

/// Whether a rule has given it another destination, or another routing table.
fn is_sent_elsewhere(hop: &Evaluation) -> bool {
    hop.after.dst != hop.before.dst || hop.rtable != hop.rtable_before
}
