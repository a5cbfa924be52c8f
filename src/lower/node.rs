//! What a rule's lists are made of before they are combined: pfctl's `node_host`, `node_if`, `node_icmp`, `redirspec`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::net::{Family, Operator, Protocol};
use crate::ruleset::{Host, IcmpMatch, Name, PoolKind};
use crate::source::At;

/// The bytes of an address in `struct pf_addr_wrap`; its mask follows.
const ADDRESS_BYTES: usize = 16;
/// The longest route label that leaves the part of the mask alone that IPv4 does not have.
pub(super) const INET_LABEL_BYTES: usize = ADDRESS_BYTES + 4;

/// One host of a list (`struct node_host`).
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// What it stands for.
    pub(super) host: Host,
    /// Its family; `None` for tables, dynamic addresses and the like.
    pub(super) family: Option<Family>,
    /// `!`.
    pub(super) negated: bool,
    /// The interface that its link-local address belongs to (`ifindex`).
    pub(super) scope: Option<Name>,
    /// The length of its mask as written, which may be too long for IPv4.
    pub(super) bits: u8,
    /// `weight`.
    pub(super) weight: Option<u16>,
    /// Where it was written.
    pub(super) at: At,
}

impl Node {
    /// A host without a family, such as a table or `any`.
    pub(super) fn new(host: Host, at: At) -> Self {
        Self {
            host,
            family: None,
            negated: false,
            scope: None,
            bits: 128,
            weight: None,
            at,
        }
    }

    /// The bits of a mask that no IPv4 address has, where `check_netmask` of pfctl_parser.c finds one. A route label lies
    /// in the same bytes as an address and its mask.
    pub(super) fn mask_beyond_inet(&self) -> Option<u32> {
        match &self.host {
            Host::Prefix(_) if self.bits > Family::Inet.bits() => Some(self.bits.into()),
            Host::RouteLabel(label) if label.len() > INET_LABEL_BYTES => {
                label.as_bytes().get(ADDRESS_BYTES).map(|first| first.leading_ones())
            }
            Host::Any
            | Host::Prefix(_)
            | Host::Range(..)
            | Host::Dynamic(_)
            | Host::Table(_)
            | Host::NoRoute
            | Host::UrpfFailed
            | Host::RouteLabel(_) => None,
        }
    }

    /// An address with a mask (`set_ipmask`): the bits behind it are cleared.
    pub(super) fn address(address: IpAddr, bits: Option<u8>, at: At) -> Self {
        let family = Family::of(address);
        let bits = bits.unwrap_or(family.bits());
        let net = IpNet::new(address, bits.min(family.bits())).map_or(IpNet::from(address), |net| net.trunc());
        Self {
            family: Some(family),
            bits,
            ..Self::new(Host::Prefix(net), at)
        }
    }

    /// What stands for an empty list: anything.
    pub(super) fn any(at: At) -> Self {
        Self {
            bits: 0,
            ..Self::new(Host::Any, at)
        }
    }

    /// Whether it is an address with a mask (`PF_ADDR_ADDRMASK`), be it one that is not known before loading.
    pub(super) fn is_address(&self) -> bool {
        match &self.host {
            Host::Any | Host::Prefix(_) => true,
            Host::Dynamic(dynamic) => dynamic.load_time,
            Host::Range(..) | Host::Table(_) | Host::NoRoute | Host::UrpfFailed | Host::RouteLabel(_) => false,
        }
    }

    /// Whether it may stand for several addresses when a packet comes (`DYNIF_MULTIADDR`).
    pub(super) fn is_multiple(&self) -> bool {
        match &self.host {
            Host::Dynamic(dynamic) => {
                let single =
                    dynamic.modifiers.no_alias && dynamic.interface.ends_with(|last: char| last.is_ascii_digit());
                !dynamic.load_time && !single
            }
            Host::Any
            | Host::Prefix(_)
            | Host::Range(..)
            | Host::Table(_)
            | Host::NoRoute
            | Host::UrpfFailed
            | Host::RouteLabel(_) => false,
        }
    }

    /// Whether its mask is empty in that family (`PF_AZERO` of the mask). A name lies in the same bytes.
    pub(super) fn has_no_mask(&self, family: Option<Family>) -> bool {
        let empty = match &self.host {
            Host::Table(name) | Host::RouteLabel(name) => name.len() <= ADDRESS_BYTES,
            Host::Any | Host::Prefix(_) | Host::Range(..) | Host::Dynamic(_) | Host::NoRoute | Host::UrpfFailed => {
                self.bits == 0
            }
        };
        family.is_some() && empty
    }
}

/// One interface of `on`, and what stands for none.
#[derive(Clone, Debug)]
pub(super) enum InterfaceNode {
    /// Not said.
    All,
    /// A name; `any` too.
    Name {
        /// `!`.
        negated: bool,
        /// The name.
        name: Name,
    },
    /// `rdomain N`.
    Rdomain {
        /// `!`.
        negated: bool,
        /// The routing domain.
        rdomain: u32,
    },
}

impl InterfaceNode {
    /// The name, where it is one.
    pub(super) fn name(&self) -> Option<&Name> {
        match self {
            Self::Name { name, .. } => Some(name),
            Self::All | Self::Rdomain { .. } => None,
        }
    }
}

/// One item of `icmp-type` or `icmp6-type`, which belongs to a protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct IcmpNode {
    /// icmp or icmp6.
    pub(super) protocol: Protocol,
    /// Type and code.
    pub(super) test: IcmpMatch,
}

/// The ports of a pool: `port a`, `port a:b`, `port a:*`.
#[derive(Clone, Copy, Debug)]
pub(super) enum PoolPorts {
    /// One.
    One(u16),
    /// `a:b`.
    Range(u16, u16),
    /// `a:*`.
    From(u16),
}

/// The addresses after `nat-to` and its like (`struct redirspec`).
#[derive(Clone, Debug)]
pub(super) struct Redirection {
    /// The whole of it.
    pub(super) at: At,
    /// The addresses.
    pub(super) hosts: Vec<Node>,
    /// The ports.
    pub(super) ports: Option<PoolPorts>,
    /// The pool type.
    pub(super) kind: PoolKind,
    /// `sticky-address`.
    pub(super) sticky: bool,
    /// `static-port`.
    pub(super) static_port: bool,
    /// The family after af-to.
    pub(super) family: Option<Family>,
    /// Whether it is binat-to.
    pub(super) binat: bool,
}

/// How many lists a rule expands over.
pub(super) const LISTS: usize = 10;

/// The lists that a rule expands over, from the outside in; none is empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists<'a> {
    pub(super) interfaces: &'a [InterfaceNode],
    pub(super) protocols: &'a [Option<Protocol>],
    pub(super) icmp: &'a [Option<IcmpNode>],
    pub(super) sources: &'a [Node],
    pub(super) destinations: &'a [Node],
    pub(super) source_ports: &'a [Option<Operator<u16>>],
    pub(super) destination_ports: &'a [Option<Operator<u16>>],
    pub(super) systems: &'a [Option<Name>],
    pub(super) users: &'a [Option<Operator<u32>>],
    pub(super) groups: &'a [Option<Operator<u32>>],
}

impl<'a> Lists<'a> {
    /// The lengths of the lists.
    pub(super) fn lengths(&self) -> [usize; LISTS] {
        [
            self.interfaces.len(),
            self.protocols.len(),
            self.icmp.len(),
            self.sources.len(),
            self.destinations.len(),
            self.source_ports.len(),
            self.destination_ports.len(),
            self.systems.len(),
            self.users.len(),
            self.groups.len(),
        ]
    }

    /// The number of combinations.
    pub(super) fn product(&self) -> u128 {
        let lengths = self.lengths().into_iter();
        lengths.fold(1, |product, length| product.saturating_mul(length as u128))
    }

    /// The lists from those items on.
    pub(super) fn starting_at(&self, at: [usize; LISTS]) -> Option<Self> {
        let [
            interface,
            protocol,
            icmp,
            source,
            destination,
            source_port,
            destination_port,
            system,
            user,
            group,
        ] = at;
        Some(Self {
            interfaces: self.interfaces.get(interface..)?,
            protocols: self.protocols.get(protocol..)?,
            icmp: self.icmp.get(icmp..)?,
            sources: self.sources.get(source..)?,
            destinations: self.destinations.get(destination..)?,
            source_ports: self.source_ports.get(source_port..)?,
            destination_ports: self.destination_ports.get(destination_port..)?,
            systems: self.systems.get(system..)?,
            users: self.users.get(user..)?,
            groups: self.groups.get(group..)?,
        })
    }
}

/// What pfctl does besides, pool by pool.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Redirections<'a> {
    /// `nat-to`, `binat-to`, the `from` of af-to.
    pub(super) nat: Option<&'a Redirection>,
    /// `rdr-to`, the `to` of af-to.
    pub(super) rdr: Option<&'a Redirection>,
    /// `route-to` and its like.
    pub(super) route: Option<&'a Redirection>,
}
