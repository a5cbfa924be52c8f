//! [`Mbuf`], a packet on its way through the machine, and [`Descriptor`], what pf reads off it before anything else
//! (`pf_setup_pdesc`, `pf_walk_header`, `pf_walk_header6`).

use std::net::{IpAddr, Ipv4Addr};

use super::icmp::{self, Mapping};
use super::machine::source_index;
use super::record::{ChosenParts, Reason};
use crate::net::{Direction, Family, Protocol};
use crate::packet::{ExtensionHeader, Fragment, IpOptions, Packet};

/// A packet and what the machine has noted on it (`struct mbuf`, its `m_pkthdr`).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mbuf {
    /// The packet, with its tag and priority.
    pub(super) packet: Packet,
    /// The routing table (`ph_rtableid`).
    pub(super) rtable: u32,
    /// The interface that it came in on (`ph_ifidx`); `None`: made here.
    pub(super) received_on: Option<usize>,
    /// Whether it is on its way through (`PF_FWD`): it has no local socket.
    pub(super) forwarded: bool,
    /// Which parts of its header pf chose on an earlier hop.
    pub(super) chosen: ChosenParts,
}

/// What pf tests as the protocol (`virtual_proto`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VirtualProtocol {
    /// A fragment that is not reassembled.
    Fragment,
    /// A whole packet of that protocol.
    Whole(Protocol),
}

/// What pf knows of a packet on one hop (`struct pf_pdesc`). Ports of icmp are the virtual ones of its mapping.
#[derive(Clone, Debug)]
pub(super) struct Descriptor {
    pub(super) direction: Direction,
    /// The place of the interface.
    pub(super) interface: usize,
    pub(super) rdomain: u32,
    pub(super) family: Family,
    /// The family after af-to.
    pub(super) new_family: Family,
    /// The protocol as rules see it.
    pub(super) protocol: Protocol,
    pub(super) virtual_protocol: VirtualProtocol,
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) old_sport: u16,
    pub(super) old_dport: u16,
    /// Addresses and ports as match rules have changed them.
    pub(super) new_src: IpAddr,
    pub(super) new_dst: IpAddr,
    pub(super) new_sport: u16,
    pub(super) new_dport: u16,
    /// Whether there are options that need `allow-opts`.
    pub(super) bad_options: bool,
    /// The type of service without the ECN bits.
    pub(super) tos: u8,
    pub(super) ttl: u8,
    /// Bytes of payload.
    pub(super) payload: u32,
    /// What kind of icmp message it is.
    pub(super) icmp: Option<Mapping>,
    /// Which parts of the translation pf chose.
    pub(super) chosen: ChosenParts,
}

impl Descriptor {
    /// The place of the source in state keys.
    pub(super) fn source_index(&self) -> usize {
        source_index(self.direction)
    }

    /// Whether af-to changes the family.
    pub(super) fn af_to(&self) -> bool {
        self.family != self.new_family
    }
}

/// What the headers before the payload amount to.
struct Walk {
    protocol: Protocol,
    /// A router alert, and any other option.
    router_alert: bool,
    other: bool,
}

/// What pf knows of the packet, or why it drops it.
pub(super) fn set_up(mbuf: &Mbuf, direction: Direction, interface: usize, rdomain: u32) -> Result<Descriptor, Reason> {
    let packet = &mbuf.packet;
    let walk = match packet.family {
        Family::Inet => walk_header(packet)?,
        Family::Inet6 => walk_header6(packet)?,
    };
    let virtual_protocol = match packet.fragment {
        Some(_) => VirtualProtocol::Fragment,
        None => VirtualProtocol::Whole(walk.protocol),
    };
    let (mut sport, mut dport) = (0, 0);
    match virtual_protocol {
        VirtualProtocol::Whole(Protocol::TCP | Protocol::UDP) => {
            if packet.dport == 0 {
                return Err(Reason::Short);
            }
            (sport, dport) = (packet.sport, packet.dport);
        }
        VirtualProtocol::Whole(Protocol::ICMP6) if packet.family == Family::Inet6 => {
            if icmp::is_neighbour_discovery(packet) && packet.ttl != 255 {
                return Err(Reason::Normalize);
            }
        }
        VirtualProtocol::Fragment | VirtualProtocol::Whole(_) => {}
    }
    Ok(Descriptor {
        direction,
        interface,
        rdomain,
        family: packet.family,
        new_family: packet.family,
        protocol: walk.protocol,
        virtual_protocol,
        src: packet.src,
        dst: packet.dst,
        old_sport: sport,
        old_dport: dport,
        new_src: packet.src,
        new_dst: packet.dst,
        new_sport: sport,
        new_dport: dport,
        bad_options: walk.router_alert || walk.other,
        // The two lowest bits are for congestion.
        tos: packet.tos & !0x03,
        ttl: packet.ttl,
        payload: u32::from(packet.len),
        icmp: None,
        chosen: mbuf.chosen.clone(),
    })
}

/// How many headers pf looks through (`pf_hdr_limit`).
const HEADER_LIMIT: usize = 20;

/// The IPv4 options, and the AH header that pf looks through (`pf_walk_header`).
fn walk_header(packet: &Packet) -> Result<Walk, Reason> {
    let mut walk = Walk {
        protocol: packet.protocol,
        router_alert: packet.options == IpOptions::RouterAlert,
        other: packet.options == IpOptions::Some,
    };
    if packet.protocol == Protocol::IGMP {
        // RFC 1112: what goes to all hosts has a ttl of 1.
        if packet.ttl != 1 && packet.dst == IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1)) {
            return Err(Reason::IpOption);
        }
        walk.router_alert = false;
    }
    Ok(walk)
}

/// The IPv6 extension headers (`pf_walk_header6`).
fn walk_header6(packet: &Packet) -> Result<Walk, Reason> {
    let mut walk = Walk {
        protocol: packet.protocol,
        router_alert: packet.options == IpOptions::RouterAlert,
        other: packet.options == IpOptions::Some,
    };
    let mut routing_headers = 0;
    let mut fragment_headers = u32::from(packet.fragment.is_some());
    for (at, header) in packet.extensions.iter().enumerate().take(HEADER_LIMIT) {
        match header {
            ExtensionHeader::HopByHop | ExtensionHeader::RouterAlert if at > 0 => return Err(Reason::IpOption),
            ExtensionHeader::HopByHop | ExtensionHeader::Destination => walk.other = true,
            ExtensionHeader::RouterAlert => walk.router_alert = true,
            ExtensionHeader::Routing0 | ExtensionHeader::Routing2 => {
                walk.other = true;
                routing_headers += 1;
                if routing_headers > 1 || *header == ExtensionHeader::Routing0 {
                    return Err(Reason::IpOption);
                }
            }
            ExtensionHeader::Authentication => {}
            ExtensionHeader::AtomicFragment => {
                fragment_headers += 1;
                if fragment_headers > 1 {
                    return Err(Reason::Fragment);
                }
            }
        }
    }
    let before_the_payload = usize::from(matches!(packet.fragment, Some(Fragment::First { .. })));
    if packet.extensions.len() + before_the_payload >= HEADER_LIMIT {
        return Err(Reason::IpOption);
    }
    if matches!(packet.fragment, Some(Fragment::Later { .. })) {
        // The walk ends at the fragment header; what follows is of no protocol.
        walk.protocol = Protocol::FRAGMENT;
        return Ok(walk);
    }
    if packet.protocol == Protocol::ICMP6 && icmp::is_listener_discovery(packet) {
        // RFC 2710: never routed, and from a link-local source.
        if packet.ttl != 1 || !super::address::is_link_local(packet.src) {
            return Err(Reason::IpOption);
        }
        walk.router_alert = false;
    }
    Ok(walk)
}
