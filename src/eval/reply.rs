//! The answer to a packet: what the other end sends back.

use std::net::IpAddr;

use super::icmp;
use super::record::{End, Journey};
use crate::net::{Direction, Protocol, TcpFlags};
use crate::packet::{Packet, Way};

/// The first packet that comes back for one that got through: ends swapped, SYN+ACK for a SYN, a reply for a request.
///
/// It comes in where the packet went out; from the machine itself it goes out where the packet came in. `None` where
/// nothing got through, or nothing answers: nobody is answered at an unspecified, multicast or broadcast address.
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
    if is_nobody(first.src) {
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

/// Whether nobody has the address: 0.0.0.0/8, `::`, multicast, 255.255.255.255.
fn is_nobody(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[0] == 0 || address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unspecified() || address.is_multicast(),
    }
}
