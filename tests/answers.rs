//! The answer to a packet that gets through, and what its sender sends then: what the engine says of them is what the
//! evaluator sees, over random rulesets of the whole language.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/chance.rs"]
mod chance;
#[path = "support/packets.rs"]
mod packets;
#[path = "support/rules.rs"]
mod rules;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use ipnet::IpNet;
use packets::{Bounds, Random};
use pfproof::context::Context;
use pfproof::engine::{Class, End, Engine, Goal, PacketBox, Question, Undecided, address_number};
use pfproof::eval::{self, Journey, Machine, Memory, Verdict};
use pfproof::net::{Protocol, TcpFlags};
use pfproof::packet::{Icmp, IpOptions, Packet, Way};
use proptest::prelude::*;
use proptest::sample::select;

/// The packet as one that begins a flow, if it is of a protocol that has answers.
fn beginning(mut packet: Packet) -> Option<Packet> {
    packet.fragment = None;
    packet.options = IpOptions::None;
    packet.extensions = Vec::new();
    packet.received_on = None;
    packet.tag = None;
    packet.ttl = 64;
    match packet.protocol {
        // A state takes 0 for a number that it has not seen.
        Protocol::TCP => (packet.flags, packet.seq) = (TcpFlags::SYN, 1_000),
        Protocol::UDP | Protocol::ESP => {}
        Protocol::ICMP if packet.dst.is_ipv4() => packet.icmp = Some(query(8)),
        Protocol::ICMP6 if packet.dst.is_ipv6() => packet.icmp = Some(query(128)),
        _ => return None,
    }
    let odd = packet.src == packet.dst || packet.src.is_loopback() || packet.src.is_multicast();
    (packet.embedded.is_none() && !odd).then_some(packet)
}

/// Whether no one host has the address, by the networks of the machine: the network stack treats it in its own way.
fn is_shared(context: &Context, address: IpAddr) -> bool {
    let mut nets = context.interfaces.iter().flat_map(|one| &one.addresses);
    let is_end = |net: IpNet| net.prefix_len() < 31 && [net.network(), net.broadcast()].contains(&address);
    let special = match address {
        IpAddr::V4(address) => address.is_broadcast() || address.octets()[0] == 0,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let odd = special || address.is_unspecified() || address.is_multicast() || address.is_loopback();
    odd || nets.any(|one| one.known().is_some_and(is_end))
}

/// Whether the packet is from where it seems to be: from a host behind the interface that it comes by, or from the address
/// of the one that it leaves by.
fn is_real(engine: &Engine<'_>, packet: &Packet) -> bool {
    let context = engine.context();
    let Some(on) = engine.space().interface(&packet.interface) else {
        return false;
    };
    let nets = || context.interfaces.iter().flat_map(|one| &one.addresses);
    let nets = || nets().filter_map(|address| address.known());
    let is_own = |address: IpAddr| nets().any(|net| net.addr() == address);
    let is_host = |address: IpAddr| !is_shared(context, address) && !is_own(address);
    let behind = engine.surely_routed_to(on, packet.family);
    let is_there = |address: IpAddr| behind.contains(address_number(address));
    let of_interface = context.interfaces.get(on).is_some_and(|one| {
        let mut own = one.addresses.iter().filter_map(|address| address.known());
        own.any(|net| net.addr() == packet.src)
    });
    let from = match packet.way {
        Way::Out => of_interface && is_there(packet.dst),
        Way::In | Way::Forward => is_host(packet.src) && is_there(packet.src),
    };
    from && is_host(packet.dst)
}

fn query(kind: u8) -> Icmp {
    Icmp { kind, code: 0, id: 7 }
}

fn passes(journey: &Journey) -> bool {
    journey.verdict() == Verdict::Pass && matches!(journey.end, eval::End::Sent | eval::End::Local)
}

/// Whether all that follows the packet comes through; `None` where the packet itself does not leave, or the evaluator cannot
/// say.
fn is_answered(
    machine: &Machine<'_>,
    context: &Context,
    packet: &Packet,
    choices: &mut chance::Script,
) -> Option<bool> {
    let is_plain = |journey: &Journey| !journey.hops.iter().any(|hop| is_shared(context, hop.after.dst));
    let mut memory = Memory::after_others();
    let first = machine.follow(packet, &mut memory, choices).ok()?;
    let mut reply = eval::reply(&first).filter(|_| passes(&first) && first.end == eval::End::Sent)?;
    // What has been translated to its own reverse is another matter.
    let last = first.last()?.clone();
    if last.src == last.dst || reply.way == Way::Out {
        return None;
    }
    (reply.way, reply.seq) = (Way::Forward, 5_000);
    let back = machine.follow(&reply, &mut memory, choices).ok().filter(is_plain)?;
    if !comes_back(&back, packet) {
        return Some(false);
    }
    if packet.protocol != Protocol::TCP {
        return Some(true);
    }
    // What each end sees are the numbers that pf has made.
    let mut later = packet.clone();
    (later.flags, later.seq) = (TcpFlags::ACK, packet.seq.wrapping_add(1));
    later.ack = back.last()?.seq.wrapping_add(1);
    let there = machine.follow(&later, &mut memory, choices).ok().filter(is_plain)?;
    if !passes(&there) {
        return Some(false);
    }
    // That a rule without a state may send it elsewhere than the first is not asked.
    if there.last()?.interface != last.interface {
        return None;
    }
    let mut reply = eval::reply(&there)?;
    reply.way = Way::Forward;
    let back = machine.follow(&reply, &mut memory, choices).ok().filter(is_plain)?;
    Some(comes_back(&back, packet))
}

/// Whether the reply gets to where the packet is from.
fn comes_back(back: &Journey, packet: &Packet) -> bool {
    let there = match packet.way {
        Way::Out => back.end == eval::End::Local,
        Way::In | Way::Forward => {
            back.end == eval::End::Sent && back.last().is_some_and(|last| last.interface == packet.interface)
        }
    };
    passes(back) && there
}

/// Compares the two on one packet; `None` where one of them does not model it, or the packet does not surely leave.
fn compare(engine: &Engine<'_>, machine: &Machine<'_>, packet: &Packet) -> Option<Result<(), String>> {
    let header = engine.space().header(packet)?;
    let question = Question::new(PacketBox::of(&header).into(), Goal::Any).without_copies();
    let classes: Result<Vec<Class>, Undecided> = engine.classes(question).collect();
    let classes = classes.ok()?;
    let [class] = classes.as_slice() else { return None };
    let leaves = matches!(class.journey.end, End::Leaves(_));
    if !leaves || !class.conditions.is_empty() || class.own_reverse {
        return None;
    }
    let lost: Result<Vec<Class>, Undecided> = engine.replies(class, Goal::Stopped).collect();
    // What the network stack never sends on the evaluator routes like any other.
    let lost = lost.ok()?;
    if lost.iter().any(|class| class.journey.end == End::NotForwarded) {
        return None;
    }
    let surely_lost = lost.iter().any(|class| class.conditions.is_empty());
    let ways: Option<Vec<bool>> = chance::ways(None, |choices| is_answered(machine, engine.context(), packet, choices))
        .into_iter()
        .collect();
    let ways = ways.filter(|ways| ways.len() < chance::MOST)?;
    let by_choice = |class: &Class| class.conditions.iter().all(|one| one.unknown.is_choice());
    let may_be_lost = lost.iter().any(by_choice);
    let (some_lost, some_answered) = (ways.contains(&false), ways.contains(&true));
    let right = (!some_lost || !lost.is_empty()) && (!may_be_lost || some_lost) && (!surely_lost || !some_answered);
    Some(match right {
        true => Ok(()),
        false => Err(format!("answered {ways:?}\n{packet:?}\n{class:?}\nlost {lost:?}")),
    })
}

/// What is decided before the rest: flows with a state on both hops, or on one.
const FIRST: &[&str] = &[
    "pass\n",
    "pass in\n",
    "pass out\n",
    "block out\npass in\n",
    "pass out tag A\n",
    "pass in set tos 16\npass out no state\n",
    "pass in\nmatch out on egress inet nat-to (egress)\npass out on egress\n",
];

#[test]
fn what_follows_is_what_the_evaluator_sees() {
    let compared = AtomicUsize::new(0);
    let config = ProptestConfig {
        max_shrink_time: 20_000,
        ..cases::cases(300)
    };
    let rulesets = (
        rules::ruleset(10),
        select(FIRST),
        0..rules::CONTEXTS.len(),
        any::<u64>(),
    );
    proptest!(config, |((mut statements, first, which, seed) in rulesets)| {
        let context = rules::machine(which);
        statements.insert(1, first.to_owned());
        let (text, ruleset) = rules::loaded(statements, &context);
        let (engine, eval) = (Engine::new(&ruleset, &context), Machine::new(&ruleset, &context).with_programs());
        let bounds = Bounds::of(&ruleset, &context);
        let mut random = Random(seed);
        for way in [Way::Forward, Way::Forward, Way::Out].into_iter().cycle().take(200) {
            let packet = beginning(bounds.packet(&mut random, way));
            let Some(packet) = packet.filter(|packet| is_real(&engine, packet)) else { continue };
            match compare(&engine, &eval, &packet) {
                Some(Err(why)) => prop_assert!(false, "{why}\n{text}"),
                Some(Ok(())) => drop(compared.fetch_add(1, Ordering::Relaxed)),
                None => {}
            }
        }
    });
    let compared = compared.into_inner();
    assert!(compared > 300, "only {compared} flows were compared");
}
