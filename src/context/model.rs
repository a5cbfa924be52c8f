//! [`Context`]: the machine, as data.

use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;

use crate::net::Family;

/// One address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InterfaceAddress {
    /// A known address with its network, as written (`203.0.113.7/24`; host bits kept).
    Known(IpNet),
    /// One that only the running machine knows (dhcp, autoconf, pppoe): any address, or none.
    Unknown(Family),
}

impl InterfaceAddress {
    /// Its family.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Known(net) => Family::of(net.addr()),
            Self::Unknown(family) => family,
        }
    }

    /// The address with its network, where it is known.
    #[must_use]
    pub fn known(self) -> Option<IpNet> {
        match self {
            Self::Known(net) => Some(net),
            Self::Unknown(_) => None,
        }
    }
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its addresses in the kernel's order; the first of each family is primary.
    pub addresses: Vec<InterfaceAddress>,
    /// Its groups besides `all` and the driver's name of a cloned interface.
    pub groups: Vec<String>,
    /// The other end, which makes it point-to-point (goes with the first IPv4 address).
    pub peer: Option<IpAddr>,
    /// The broadcast address where it is not the network's last (goes with the first IPv4 address).
    pub broadcast: Option<IpAddr>,
    /// Routing domain.
    pub rdomain: u32,
    /// Whether it is down; an interface that is down implies no connected networks, and its addresses are nobody's.
    pub down: bool,
    /// The interface on which pf sees the packets of a carp(4) interface (`carpdev`).
    pub carpdev: Option<String>,
    /// The bridge(4), veb(4) or tpmr(4) that it is a port of, where that asks pf about what it hands on from port to port.
    pub bridge: Option<String>,
    /// Whether nothing is routed by it, but its addresses stay its own (`rt_if_linkstate_change` in route.c): a carp(4)
    /// interface that is not master; one that is down, where that is taken for so.
    pub backup: bool,
}

/// One route that is not implied by an interface's networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination.
    pub to: IpNet,
    /// The interface it leaves by.
    pub interface: String,
    /// The gateway.
    pub via: Option<IpAddr>,
    /// For pf's `route "label"`.
    pub label: Option<String>,
    /// Routing table.
    pub rtable: u32,
    /// Whether packets to it are rejected.
    pub reject: bool,
}

/// The machine, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Whether the machine forwards packets (IPv4 ones, where IPv6 differs). Ask [`Context::forwards`].
    pub forwarding: bool,
    /// Whether it forwards IPv6 packets, where that is said apart.
    pub forwarding_inet6: Option<bool>,
    /// Interfaces in the kernel's order.
    pub interfaces: Vec<Interface>,
    /// Routes in the order they were given; connected networks are implied.
    pub routes: Vec<Route>,
    /// Host names and their addresses, in order.
    pub hosts: IndexMap<String, Vec<IpAddr>>,
    /// User names and ids besides OpenBSD's own.
    pub users: IndexMap<String, u32>,
    /// Group names and ids besides OpenBSD's own.
    pub groups: IndexMap<String, u32>,
    /// Services besides OpenBSD's own: (name, protocol `tcp` or `udp`) and port.
    pub services: IndexMap<(String, String), u16>,
    /// Whether interfaces that are not listed may exist: nobody said which there are.
    pub open: bool,
    /// Whether routes that are not listed may exist: nobody showed a routing table.
    pub routes_open: bool,
    /// Whether interfaces with IPv6 have link-local addresses, given by the kernel, that are not listed.
    pub link_locals_open: bool,
    /// Where nobody says by which interface the default routes leave: those that it may be. The routes have the first.
    pub upstreams: Vec<String>,
    /// Whether of several routes to one destination all count (`net.inet.ip.multipath`), not the first alone.
    pub multipath: bool,
    /// Groups that pf.conf names, and that may have members besides those that are listed: nobody listed every interface,
    /// or programs make such interfaces while the machine runs.
    pub growing: Vec<String>,
    /// Whether host names that are not listed may have addresses: a resolver knows more than the files that were read.
    pub hosts_open: bool,
}

impl Default for Context {
    /// A machine of which nothing is known but that it forwards.
    fn default() -> Self {
        Self {
            forwarding: true,
            forwarding_inet6: None,
            interfaces: Vec::new(),
            routes: Vec::new(),
            hosts: IndexMap::new(),
            users: IndexMap::new(),
            groups: IndexMap::new(),
            services: IndexMap::new(),
            open: true,
            routes_open: true,
            link_locals_open: false,
            upstreams: Vec::new(),
            multipath: false,
            growing: Vec::new(),
            hosts_open: false,
        }
    }
}
