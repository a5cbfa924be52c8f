//! Fragments, held until the packet is whole (`pf_normalize_ip`, `pf_normalize_ip6`, `pf_fillup_fragment`).
//!
//! A fragment here is the first or the last of its packet; what lies between two such is never there, so that a packet
//! of more than two never gets whole.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::descriptor::Mbuf;
use super::record::Reason;
use crate::net::{Family, Protocol};
use crate::packet::{Fragment, Packet};

/// The largest packet (`IP_MAXPACKET`), and the header of IPv4 in it.
const MAX_PACKET: u32 = 65535;
const INET_HEADER: u32 = 20;
/// Fragments end at multiples of this, but for the last.
const UNIT: u32 = 8;

/// What fragments of one packet have in common (`struct pf_frnode`, `fr_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Whole {
    src: IpAddr,
    dst: IpAddr,
    /// In IPv6 only the first fragment knows it.
    protocol: Option<Protocol>,
    id: u32,
}

/// A fragment that is held.
#[derive(Clone, Debug, PartialEq)]
struct Piece {
    first: u32,
    end: u32,
    /// Whether more comes after it.
    more: bool,
    /// The first one itself: it has the headers, and the whole packet comes in as it did (`pf_join_fragment`).
    headers: Option<Mbuf>,
}

/// All fragments that are held.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fragments {
    held: FxHashMap<Whole, Vec<Piece>>,
}

/// What becomes of a fragment.
pub(super) enum Reassembly {
    /// It is held.
    Held,
    /// The packet is whole.
    Whole(Box<Mbuf>),
    /// It does not fit.
    Drop(Reason),
}

/// The bytes of header and payload that a fragment carries; its length must not be zero, nor, where more comes, odd.
fn data_length(packet: &Packet) -> u32 {
    let header = match (packet.fragment, packet.protocol) {
        (Some(Fragment::Later { .. }), _) => 0,
        (_, Protocol::TCP) => 20,
        (_, Protocol::UDP | Protocol::ICMP | Protocol::ICMP6) => 8,
        _ => 0,
    };
    let length = header + u32::from(packet.len);
    match packet.fragment {
        Some(Fragment::First { .. }) => length.next_multiple_of(UNIT).max(UNIT),
        Some(Fragment::Later { .. }) => length.max(1),
        None => length,
    }
}

impl Fragments {
    /// What becomes of the fragment.
    pub(super) fn add(&mut self, mbuf: &Mbuf, fragment: Fragment) -> Reassembly {
        let packet = &mbuf.packet;
        let (id, first, more) = match fragment {
            Fragment::First { id } => (id, 0, true),
            Fragment::Later { id, offset } => (id, u32::from(offset), false),
        };
        let end = first + data_length(packet);
        if end > MAX_PACKET {
            return Reassembly::Drop(Reason::Fragment);
        }
        let whole = Whole {
            src: packet.src,
            dst: packet.dst,
            protocol: (packet.family == Family::Inet).then_some(packet.protocol),
            id,
        };
        let piece = Piece {
            first,
            end,
            more,
            headers: (first == 0).then(|| mbuf.clone()),
        };
        let Some(held) = self.held.get_mut(&whole) else {
            self.held.insert(whole, vec![piece]);
            return Reassembly::Held;
        };
        match insert(held, piece, packet.family) {
            Fit::Taken => {}
            Fit::Refused => return Reassembly::Drop(Reason::Fragment),
            Fit::AllLost => {
                self.held.remove(&whole);
                return Reassembly::Drop(Reason::Fragment);
            }
        }
        let Some((mbuf, length)) = joined(held) else {
            return Reassembly::Held;
        };
        let too_long = packet.family == Family::Inet && length + INET_HEADER > MAX_PACKET;
        self.held.remove(&whole);
        if too_long {
            return Reassembly::Drop(Reason::Short);
        }
        Reassembly::Whole(Box::new(mbuf))
    }
}

/// How a fragment fits to those before it.
enum Fit {
    Taken,
    /// It alone is dropped.
    Refused,
    /// All of its packet are (RFC 5722).
    AllLost,
}

/// Adds a fragment to those of its packet (`pf_fillup_fragment`).
fn insert(held: &mut Vec<Piece>, mut new: Piece, family: Family) -> Fit {
    let misfit = match family {
        Family::Inet => Fit::Refused,
        Family::Inet6 => Fit::AllLost,
    };
    let Some(last) = held.last() else {
        held.push(new);
        return Fit::Taken;
    };
    let total = last.end;
    if new.end < total && !new.more {
        return misfit;
    }
    let beyond_the_last = !last.more && (new.end > total || (new.end == total && new.more));
    let second_last = last.more && new.end == total && !new.more;
    if beyond_the_last || second_last {
        return misfit;
    }
    let at = held.partition_point(|piece| piece.first <= new.first);
    if let Some(before) = at.checked_sub(1).and_then(|before| held.get(before))
        && before.end > new.first
    {
        if family == Family::Inet6 {
            return misfit;
        }
        if before.end >= new.end {
            return Fit::Refused;
        }
        new.first = before.end;
    }
    while let Some(after) = held.get_mut(at).filter(|after| new.end > after.first) {
        if family == Family::Inet6 {
            return misfit;
        }
        if new.end < after.end {
            after.first = new.end;
            break;
        }
        held.remove(at);
    }
    held.insert(at, new);
    Fit::Taken
}

/// The whole packet and how many bytes it has behind its first header, if there are no holes left.
fn joined(held: &[Piece]) -> Option<(Mbuf, u32)> {
    let complete = held.last().is_some_and(|last| !last.more)
        && held.first().is_some_and(|first| first.first == 0)
        && held.windows(2).all(|pair| matches!(pair, [a, b] if a.end == b.first));
    if !complete {
        return None;
    }
    let mut mbuf = held.first()?.headers.clone()?;
    let end = held.last()?.end;
    let packet = &mut mbuf.packet;
    packet.fragment = None;
    let header = match packet.protocol {
        Protocol::TCP => 20,
        Protocol::UDP | Protocol::ICMP | Protocol::ICMP6 => 8,
        _ => 0,
    };
    packet.len = u16::try_from(end.saturating_sub(header)).unwrap_or(u16::MAX);
    Some((mbuf, end))
}
