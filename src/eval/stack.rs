//! What the network stack refuses, keeps, or does not send on, whatever pf says of it (`ip_input.c`, `ip6_input.c`,
//! `ip6_forward.c`).
//!
//! Followed only where that is asked for ([`Machine::with_stack`]): what pf alone makes of such packets was measured too.

use std::net::IpAddr;

use super::descriptor::Mbuf;
use super::machine::Machine;
use super::record::End;
use crate::packet::{Packet, Way};

impl Machine<'_> {
    /// The same machine with its network stack around pf: multicast and broadcast end at the machine, and what is never
    /// forwarded is not.
    #[must_use]
    pub fn with_stack(mut self) -> Self {
        self.stack = true;
        self
    }

    /// Why the network stack drops a packet that comes from a wire before pf sees it, in words; `None` where it does not.
    #[must_use]
    pub fn refuses(&self, packet: &Packet) -> Option<String> {
        if packet.way == Way::Out || self.is_loopback(&packet.interface) {
            return None;
        }
        let ends = [packet.src, packet.dst];
        if let Some(address) = ends.iter().find(|address| address.is_loopback()) {
            return Some(format!("{address} comes in on loopback alone"));
        }
        match (packet.src, packet.dst) {
            (IpAddr::V6(src), _) if src.is_multicast() => Some(format!("{src} is no source: it is multicast")),
            (_, IpAddr::V6(dst)) if dst.is_unspecified() => Some(format!("{dst} is no destination")),
            _ => None,
        }
    }

    /// Where a packet ends that the hop in has let pass and that is to none of the machine's own addresses; `None` where it
    /// is sent on.
    pub(super) fn keeps(&self, came: &Packet, mbuf: &Mbuf) -> Option<End> {
        let never = match (came.src, mbuf.packet.dst) {
            (_, IpAddr::V4(dst)) if dst.is_multicast() || dst.is_broadcast() || dst.is_unspecified() => {
                return Some(End::Local);
            }
            (_, IpAddr::V6(dst)) if dst.is_multicast() => return Some(End::Local),
            (_, IpAddr::V4(dst)) => matches!(dst.octets()[0], 0 | 127),
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                src.is_unspecified() || src.is_unicast_link_local() || dst.is_loopback() || dst.is_unicast_link_local()
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        };
        (never || came.ttl <= 1).then_some(End::NotForwarded)
    }
}
