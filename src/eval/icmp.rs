//! What kinds of icmp messages there are, and how a query and its reply meet in one state (`pf_icmp_mapping`).

use std::net::{IpAddr, Ipv6Addr};

use crate::net::{Direction, Family, Protocol};
use crate::packet::{Embedded, Icmp, Packet};

/// Echo request of icmp.
pub(super) const ECHO: u8 = 8;
/// Echo reply of icmp.
pub(super) const ECHO_REPLY: u8 = 0;
/// Echo request of icmp6.
pub(super) const ECHO_REQUEST6: u8 = 128;
/// Echo reply of icmp6.
pub(super) const ECHO_REPLY6: u8 = 129;
/// Neighbour solicitation.
pub(super) const NEIGHBOR_SOLICIT: u8 = 135;
/// Neighbour advertisement.
pub(super) const NEIGHBOR_ADVERT: u8 = 136;
/// Redirect of icmp6.
const REDIRECT6: u8 = 137;

/// How a message is matched to states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// The type and code of the message itself.
    pub(super) kind: u8,
    pub(super) code: u8,
    /// `In` for queries and what has a state of its own; `Out` for replies.
    pub(super) direction: Direction,
    /// The type of the query (`virtual_type`).
    pub(super) virtual_type: u16,
    /// The identifier that query and reply share (`virtual_id`).
    pub(super) virtual_id: u16,
    /// Whether it belongs to another connection, or makes no state for another reason (`state_icmp`).
    pub(super) other_state: bool,
}

/// A message of IPv6: its type and what it tells of (`struct nd_neighbor_solicit`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Discovery {
    kind: u8,
    /// The neighbour that it is about; nobody where it does not say.
    target: Ipv6Addr,
    /// Whether it goes to many.
    multicast: bool,
}

impl Discovery {
    /// What a packet tells; `None` where it is no message of IPv6.
    pub(super) fn of(packet: &Packet) -> Option<Self> {
        let icmp = packet
            .icmp
            .filter(|_| packet.family == Family::Inet6 && packet.protocol == Protocol::ICMP6)?;
        Some(Self {
            kind: icmp.kind,
            target: packet.target.unwrap_or(Ipv6Addr::UNSPECIFIED),
            multicast: packet.dst.is_multicast(),
        })
    }

    /// What the packet tells that an error carries: so much of it is not there that it has a target.
    pub(super) fn of_embedded(mapping: Mapping, embedded: &Embedded) -> Option<Self> {
        (embedded.protocol == Protocol::ICMP6).then_some(Self {
            kind: mapping.kind,
            target: Ipv6Addr::UNSPECIFIED,
            multicast: embedded.dst.is_multicast(),
        })
    }

    /// Whether it is a neighbour solicitation or advertisement.
    pub(super) fn has_target(self) -> bool {
        matches!(self.kind, NEIGHBOR_SOLICIT | NEIGHBOR_ADVERT)
    }

    /// The ends of the packet as keys have them (`pf_state_key_addr_setup`).
    pub(super) fn ends(self, src: IpAddr, dst: IpAddr) -> (IpAddr, IpAddr) {
        let target = IpAddr::V6(self.target);
        match self.kind {
            NEIGHBOR_SOLICIT => (src, target),
            NEIGHBOR_ADVERT if self.multicast => (target, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            NEIGHBOR_ADVERT => (target, dst),
            _ => (src, dst),
        }
    }
}

/// Whether routers and neighbours tell each other something with it: such messages never pass a router.
pub(super) fn is_neighbour_discovery(packet: &Packet) -> bool {
    packet.icmp.is_some_and(|icmp| (133..=REDIRECT6).contains(&icmp.kind))
}

/// Whether it is a message of multicast listener discovery.
pub(super) fn is_listener_discovery(packet: &Packet) -> bool {
    packet.icmp.is_some_and(|icmp| matches!(icmp.kind, 130..=132 | 143))
}

/// Whether `block return` leaves an icmp message unanswered: errors, and what stands for them.
pub(super) fn is_unanswered(family: Family, kind: u8) -> bool {
    match family {
        // ICMP_INFOTYPE of ip_icmp.h names what may be answered.
        Family::Inet => !matches!(kind, ECHO_REPLY | ECHO | 9 | 10 | 13..=18),
        Family::Inet6 => kind < ECHO_REQUEST6 || kind == REDIRECT6,
    }
}

/// The mapping of the message in a packet.
pub(super) fn mapping(packet: &Packet) -> Option<Mapping> {
    let icmp = packet.icmp?;
    Some(match packet.family {
        Family::Inet => mapping4(icmp),
        Family::Inet6 => mapping6(icmp, fold_target(packet)),
    })
}

/// The mapping of the message that an icmp error carries. It has no target: neighbour discovery draws no errors.
pub(super) fn mapping_of_embedded(family: Family, embedded: &Embedded) -> Option<Mapping> {
    let echo_request = match (family, embedded.protocol) {
        (Family::Inet, Protocol::ICMP) => ECHO,
        (Family::Inet6, Protocol::ICMP6) => ECHO_REQUEST6,
        _ => return None,
    };
    let icmp = Icmp {
        kind: embedded.icmp_type.unwrap_or(echo_request),
        code: 0,
        id: embedded.icmp_id.unwrap_or(Packet::DEFAULT_ICMP_ID),
    };
    Some(match family {
        Family::Inet => mapping4(icmp),
        Family::Inet6 => mapping6(icmp, 0),
    })
}

/// The number that stands for the target of neighbour discovery.
fn fold_target(packet: &Packet) -> u16 {
    let target = packet.target.map_or(0, u128::from);
    let folded = (0..4).fold(0u32, |folded, word| folded ^ (target >> (32 * word)) as u32);
    (folded >> 16) as u16 ^ folded as u16
}

fn mapping4(icmp: Icmp) -> Mapping {
    let own = |direction, query: u8, id| Mapping {
        kind: icmp.kind,
        code: icmp.code,
        direction,
        virtual_type: query.into(),
        virtual_id: id,
        other_state: false,
    };
    use Direction::{In, Out};
    match icmp.kind {
        ECHO => own(In, ECHO, icmp.id),
        ECHO_REPLY => own(Out, ECHO, icmp.id),
        // Timestamp, information, address mask.
        13 => own(In, 13, icmp.id),
        14 => own(Out, 13, icmp.id),
        15 => own(In, 15, icmp.id),
        16 => own(Out, 15, icmp.id),
        17 => own(In, 17, icmp.id),
        18 => own(Out, 17, icmp.id),
        // Where are you, mobile registration, router solicitation: nothing to tell two apart.
        33 => own(In, 33, 0),
        34 => own(Out, 33, 0),
        35 => own(In, 35, 0),
        36 => own(Out, 35, 0),
        10 => own(In, 10, 0),
        9 => own(Out, 10, 0),
        // Unreachable, source quench, redirect, time exceeded, parameter problem.
        3 | 4 | 5 | 11 | 12 => Mapping {
            other_state: true,
            ..own(In, icmp.kind, 0)
        },
        _ => own(In, icmp.kind, 0),
    }
}

fn mapping6(icmp: Icmp, target: u16) -> Mapping {
    let own = |direction, query: u8, id| Mapping {
        kind: icmp.kind,
        code: icmp.code,
        direction,
        virtual_type: query.into(),
        virtual_id: id,
        other_state: false,
    };
    use Direction::{In, Out};
    match icmp.kind {
        ECHO_REQUEST6 => own(In, ECHO_REQUEST6, icmp.id),
        ECHO_REPLY6 => own(Out, ECHO_REQUEST6, icmp.id),
        // Listener query and report: the one may come without the other.
        130 | 131 => own(In, 130, target),
        // Who are you, mtrace.
        139 => own(In, 139, 0),
        140 => own(Out, 139, 0),
        201 => own(In, 201, 0),
        200 => own(Out, 201, 0),
        NEIGHBOR_SOLICIT => own(In, NEIGHBOR_SOLICIT, target),
        // Nobody answers an advertisement: no state is made for one that nobody asked for.
        NEIGHBOR_ADVERT => Mapping {
            other_state: true,
            ..own(Out, NEIGHBOR_SOLICIT, target)
        },
        // Unreachable, packet too big, time exceeded, parameter problem.
        1..=4 => Mapping {
            other_state: true,
            ..own(In, icmp.kind, 0)
        },
        _ => own(In, icmp.kind, 0),
    }
}
