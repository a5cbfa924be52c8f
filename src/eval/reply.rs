//! The answer to a packet: what the other end sends back.

use super::icmp;
use super::record::{End, Journey};
use crate::net::{Direction, Protocol, TcpFlags};
use crate::packet::{Packet, Way};

/// The first packet that comes back for one that got through: ends swapped, SYN+ACK for a SYN, a reply for a request.
///
/// It comes in where the packet went out; from the machine itself it goes out where the packet came in. `None` where
/// nothing got through, or nothing answers: nobody is answered at the unspecified address.
#[must_use]
pub fn reply(journey: &Journey) -> Option<Packet> {
    let last = journey.hops.last()?;
    let local = match journey.end {
        End::Local => true,
        End::Sent => last.direction == Direction::In && last.after.family == last.before.family,
        End::NoRoute | End::Stopped | End::NotForwarded => return None,
    };
    let sent = &last.after;
    let first = &journey.hops.first()?.before;
    if first.src.is_unspecified() {
        return None;
    }
    let way = match first.way {
        _ if local => Way::Out,
        Way::Forward => Way::Forward,
        Way::In | Way::Out if journey.hops.len() == 1 => Way::In,
        Way::In | Way::Out => Way::Forward,
    };
    let mut reply = Packet::new(way, sent.interface.clone(), sent.protocol, sent.dst, sent.src);
    reply.sport = sent.dport;
    reply.dport = sent.sport;
    match sent.protocol {
        Protocol::TCP => {
            let syn = sent.flags.contains(TcpFlags::SYN);
            reply.flags = if syn {
                TcpFlags::SYN | TcpFlags::ACK
            } else {
                TcpFlags::ACK
            };
            reply.ack = sent.seq.wrapping_add(sent.len.into()).wrapping_add(syn.into());
            reply.seq = sent.ack;
        }
        Protocol::ICMP | Protocol::ICMP6 => {
            let mut header = sent.icmp?;
            header.kind = match header.kind {
                icmp::ECHO if sent.protocol == Protocol::ICMP => icmp::ECHO_REPLY,
                icmp::ECHO_REQUEST6 if sent.protocol == Protocol::ICMP6 => icmp::ECHO_REPLY6,
                _ => return None,
            };
            reply.icmp = Some(header);
        }
        _ => {}
    }
    Some(reply)
}
