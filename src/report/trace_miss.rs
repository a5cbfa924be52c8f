//! Why a rule does not match a packet, in words.

use std::net::IpAddr;

use crate::eval::{Criterion, Effect, Evaluation, Met};
use crate::net::{Protocol, names};
use crate::packet::Packet;
use crate::ruleset::{InterfaceMatch, Peer, Rule};

/// The packet as the next rule sees it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) src: IpAddr,
    sport: u16,
    pub(super) dst: IpAddr,
    dport: u16,
    tag: Option<String>,
}

impl Seen {
    /// The packet as the first rule sees it.
    pub(super) fn of(hop: &Evaluation) -> Self {
        let packet = &hop.before;
        Self {
            src: packet.src,
            sport: packet.sport,
            dst: packet.dst,
            dport: packet.dport,
            tag: packet.tag.clone(),
        }
    }

    /// Whether its ports are those that the rule asks for, if it does.
    pub(super) fn fits_ports(&self, rule: &Rule) -> bool {
        let fits = |peer: &Peer, port| peer.port.is_none_or(|wanted| wanted.matches(port));
        fits(&rule.source, self.sport) && fits(&rule.destination, self.dport)
    }

    /// Takes note of what a rule did.
    pub(super) fn changed(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Tag(tag) => self.tag = Some(tag.to_string()),
                Effect::Source(address, port) => (self.src, self.sport) = (*address, *port),
                Effect::Destination(address, port) => (self.dst, self.dport) = (*address, *port),
                Effect::Rtable(_) | Effect::Prio(_) | Effect::Tos(_) | Effect::MinTtl(_) | Effect::Log => {}
            }
        }
    }
}

/// How far a rule comes that nearly matches: it is for such packets on such an interface, only not for this one.
pub(super) fn nearness(met: &Met) -> Option<Criterion> {
    match met {
        Met::Missed(_, criterion) if *criterion >= Criterion::Source || *criterion == Criterion::Once => {
            Some(*criterion)
        }
        Met::Missed(..) | Met::Matched(..) => None,
    }
}

/// Who has the local socket, if anybody.
fn owner(word: &str, id: Option<u32>) -> String {
    match id {
        None | Some(Packet::NO_SOCKET) => format!("no local socket, no {word}"),
        Some(id) => format!("{word} {id}"),
    }
}

/// Why the rule does not match.
pub(super) fn why(criterion: Criterion, rule: &Rule, hop: &Evaluation, seen: &Seen) -> String {
    let packet = &hop.before;
    match criterion {
        Criterion::Once => "it is used up (`once`)".to_owned(),
        Criterion::Interface => match &rule.interface {
            InterfaceMatch::Rdomain {
                negated: true,
                interface: None,
                ..
            } => "`on ! rdomain` never matches".to_owned(),
            InterfaceMatch::All
            | InterfaceMatch::Any
            | InterfaceMatch::Name { .. }
            | InterfaceMatch::Rdomain { .. } => format!("on {}", packet.interface),
        },
        Criterion::Direction => format!("going {}", hop.direction),
        Criterion::Rdomain => "of another routing domain".to_owned(),
        Criterion::Family => packet.family.to_string(),
        Criterion::Protocol => match names::protocol_name(packet.protocol) {
            _ if packet.protocol == Protocol::ICMP6 => "icmp6".to_owned(),
            Some(name) => name.to_owned(),
            None => format!("protocol {}", packet.protocol.0),
        },
        Criterion::Source => format!("from {}", seen.src),
        Criterion::Destination => format!("to {}", seen.dst),
        Criterion::WholePacket => "a fragment has not what it asks for".to_owned(),
        Criterion::Flags => match packet.flags.0 {
            0 => "no flags".to_owned(),
            _ => format!("flags {}", packet.flags),
        },
        Criterion::Os => "the sender's system".to_owned(),
        Criterion::SourcePort => format!("from port {}", seen.sport),
        Criterion::DestinationPort => format!("to port {}", seen.dport),
        Criterion::User => owner("user", packet.user),
        Criterion::Group => owner("group", packet.group),
        Criterion::IcmpType => "icmp-type".to_owned(),
        Criterion::IcmpCode => "icmp code".to_owned(),
        Criterion::IcmpReply => "a rule with state matches no icmp reply".to_owned(),
        Criterion::Fragment => "the packet is whole".to_owned(),
        Criterion::Tos => format!("tos {:#04x}", packet.tos),
        Criterion::Probability => "by chance".to_owned(),
        Criterion::Tagged => seen
            .tag
            .as_ref()
            .map_or_else(|| "no tag".to_owned(), |tag| format!("tagged {tag}")),
        Criterion::ReceivedOn => packet
            .received_on
            .as_ref()
            .map_or_else(|| "received elsewhere".to_owned(), |name| format!("received on {name}")),
        Criterion::Prio => format!("prio {}", packet.prio),
        Criterion::Rate => "too many packets".to_owned(),
    }
}
