//! [`Packet`]: the fields that pf looks at.

use std::net::{IpAddr, Ipv6Addr};

use crate::net::{Family, Protocol, TcpFlags};

/// How a packet meets the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// One evaluation, coming in on the interface.
    In,
    /// One evaluation, going out on the interface.
    Out,
    /// In on the interface, routed by the translated destination, out on the interface found.
    Forward,
}

/// The part of a fragmented packet that a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// Offset 0, more to come.
    First {
        /// The identification of the whole.
        id: u32,
    },
    /// Offset above 0, the last one.
    Later {
        /// The identification of the whole.
        id: u32,
        /// The offset in bytes.
        offset: u16,
    },
}

/// Whether the IP header has options (IPv4), or there are destination options (IPv6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IpOptions {
    /// None.
    #[default]
    None,
    /// IPv4 record route; IPv6 destination options.
    Some,
    /// Router alert alone.
    RouterAlert,
}

/// An IPv6 extension header before the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExtensionHeader {
    /// Hop-by-hop options (`hop`).
    HopByHop,
    /// Hop-by-hop options that are a router alert (`hopra`).
    RouterAlert,
    /// Destination options (`dst`).
    Destination,
    /// Routing, type 0 (`route0`).
    Routing0,
    /// Routing, type 2 (`route2`).
    Routing2,
    /// Authentication (`ah`).
    Authentication,
    /// The fragment header of a whole packet (`atomic`).
    AtomicFragment,
}

/// The header fields of icmp and icmp6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Identifier, of those types that have one.
    pub id: u16,
}

/// The packet inside an icmp error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol.
    pub protocol: Protocol,
    /// Source port.
    pub sport: Option<u16>,
    /// Destination port.
    pub dport: Option<u16>,
    /// Sequence number of tcp.
    pub seq: Option<u32>,
    /// Type of icmp.
    pub icmp_type: Option<u8>,
    /// Identifier of icmp.
    pub icmp_id: Option<u16>,
}

/// One packet as pf sees it, and what the machine knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// How it meets the machine.
    pub way: Way,
    /// The interface: where it comes in, or for [`Way::Out`] where it goes out.
    pub interface: String,
    /// Address family.
    pub family: Family,
    /// Protocol.
    pub protocol: Protocol,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Source port of tcp and udp; 0 elsewhere.
    pub sport: u16,
    /// Destination port of tcp and udp; 0 elsewhere.
    pub dport: u16,
    /// Flags of tcp.
    pub flags: TcpFlags,
    /// Header of icmp and icmp6.
    pub icmp: Option<Icmp>,
    /// Type of service, the whole byte.
    pub tos: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// `None` for a whole packet.
    pub fragment: Option<Fragment>,
    /// IP options.
    pub options: IpOptions,
    /// IPv6 extension headers, in order.
    pub extensions: Vec<ExtensionHeader>,
    /// Target of a neighbour solicitation or advertisement.
    pub target: Option<Ipv6Addr>,
    /// For [`Way::Out`]: where it came in; `None`: made on this machine.
    pub received_on: Option<String>,
    /// The tag that is already on it.
    pub tag: Option<String>,
    /// Its priority, 0 to 7.
    pub prio: u8,
    /// User id of the owner of the local socket; `None`: no socket, or nobody said.
    pub user: Option<u32>,
    /// Group id of the owner of the local socket; `None`: no socket, or nobody said.
    pub group: Option<u32>,
    /// Sequence number of tcp.
    pub seq: u32,
    /// Acknowledgement number of tcp.
    pub ack: u32,
    /// Bytes of payload.
    pub len: u16,
    /// The packet inside an icmp error.
    pub embedded: Option<Box<Embedded>>,
}

impl Packet {
    /// The priority that a packet has if nothing set another (`IFQ_DEFPRIO`).
    pub const DEFAULT_PRIO: u8 = 3;
    /// The id of an owner that says that there is no local socket, as `unknown` of pf.conf(5).
    pub const NO_SOCKET: u32 = u32::MAX;
    /// The identifier of an icmp query where none is given.
    pub const DEFAULT_ICMP_ID: u16 = 16962;

    /// A packet of that protocol between two addresses of one family, all else as usual: ttl 64, no
    /// ports, flags, options or tag.
    #[must_use]
    pub fn new(way: Way, interface: impl Into<String>, protocol: Protocol, src: IpAddr, dst: IpAddr) -> Self {
        Self {
            way,
            interface: interface.into(),
            family: Family::of(dst),
            protocol,
            src,
            dst,
            sport: 0,
            dport: 0,
            flags: TcpFlags(0),
            icmp: None,
            tos: 0,
            ttl: 64,
            fragment: None,
            options: IpOptions::None,
            extensions: Vec::new(),
            target: None,
            received_on: None,
            tag: None,
            prio: Self::DEFAULT_PRIO,
            user: None,
            group: None,
            seq: 0,
            ack: 0,
            len: 0,
            embedded: None,
        }
    }
}
