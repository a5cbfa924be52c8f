//! What a hop does to a packet, in words.

use crate::eval::{Chosen, Evaluation, Verdict};
use crate::net::{Direction, Protocol};
use crate::packet::Packet;
use crate::ruleset::{Divert, RouteToKind};

/// Whether a packet goes as the first of its connection did, or comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    There,
    Back,
}

/// What a hop does to a packet that passes, in words; of the next hops that a state has, those that count for this one.
pub(super) fn changes(hop: &Evaluation, way: Bound) -> Vec<String> {
    let (before, after) = (&hop.before, &hop.after);
    if hop.verdict != Verdict::Pass || hop.skipped {
        return Vec::new();
    }
    let mut changes = Vec::new();
    let ends = |packet: &Packet| (packet.src, packet.dst, packet.sport, packet.dport);
    let id = |packet: &Packet| packet.icmp.map(|icmp| icmp.id);
    let chosen = choices(hop);
    if ends(before) != ends(after) || id(before) != id(after) || before.family != after.family {
        changes.push(format!("becomes {}{chosen}", after.brief()));
    } else if !chosen.is_empty() {
        changes.push(format!("stays {}{chosen}", after.brief()));
    }
    if after.tag != before.tag
        && let Some(tag) = &after.tag
    {
        changes.push(format!("tagged {tag}"));
    }
    if after.prio != before.prio {
        changes.push(format!("prio {}", after.prio));
    }
    if after.tos != before.tos {
        changes.push(format!("tos {:#04x}", after.tos));
    }
    if hop.rtable != hop.rtable_before {
        changes.push(format!("rtable {}", hop.rtable));
    }
    match hop.divert {
        Some(Divert::To { address, port }) if hop.direction == Direction::In => {
            changes.push(format!("diverted to {address} port {port}"));
        }
        Some(Divert::Reply) if hop.direction == Direction::In => changes.push("diverted to its socket".to_owned()),
        Some(Divert::Packet { port }) => changes.push(format!("diverted to divert(4) port {port}")),
        Some(Divert::To { .. } | Divert::Reply) | None => {}
    }
    if let Some(next) = &hop.route {
        let said = match (next.kind, way) {
            (RouteToKind::RouteTo, Bound::There) => Some(("route-to", "")),
            (RouteToKind::ReplyTo, Bound::There) => Some(("reply-to", ", for its answers")),
            (RouteToKind::ReplyTo, Bound::Back) => Some(("reply-to", "")),
            (RouteToKind::DupTo, _) => Some(("dup-to", ", a copy")),
            (RouteToKind::RouteTo, Bound::Back) => None,
        };
        let among = match &next.chosen {
            Chosen::Fixed => String::new(),
            Chosen::OneOf(all) => format!(", one of {}", list(all)),
            Chosen::Random => ", one of its pool".to_owned(),
        };
        changes.extend(said.map(|(kind, whose)| format!("{kind} {}{whose}{among}", next.address)));
    }
    if hop.log {
        changes.push("logged".to_owned());
    }
    changes
}

/// Which parts of a translated packet pf chose.
fn choices(hop: &Evaluation) -> String {
    let chosen = &hop.chosen;
    let mut parts = Vec::new();
    for (what, address) in [("source", &chosen.src), ("destination", &chosen.dst)] {
        match address {
            Chosen::Fixed => {}
            Chosen::OneOf(all) => parts.push(format!("{what} one of {}", list(all))),
            Chosen::Random => parts.push(format!("{what} one of its pool")),
        }
    }
    let identifier = if hop.after.protocol.has_ports() {
        &chosen.sport
    } else {
        &chosen.icmp_id
    };
    let named = match hop.after.protocol {
        Protocol::ICMP | Protocol::ICMP6 => "identifier",
        _ => "source port",
    };
    match identifier {
        Chosen::Fixed => {}
        Chosen::OneOf(all) => parts.push(format!("{named} one of {}", list(all))),
        Chosen::Random => parts.push(format!("{named} at random")),
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!(" ({})", parts.join(", "))
    }
}

/// The items with commas; the middle of many left out.
fn list<T: std::fmt::Display>(items: &[T]) -> String {
    let texts: Vec<_> = items.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [first, .., last] if texts.len() > 6 => format!("{first} … {last}"),
        _ => texts.join(", "),
    }
}
