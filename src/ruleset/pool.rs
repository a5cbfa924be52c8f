//! Translation and routing: the pools of nat-to, rdr-to, binat-to, af-to, route-to, reply-to, dup-to.

use ipnet::IpNet;

use super::{DynamicAddress, Host, Name};
use crate::net::Family;

/// The addresses of a pool (`struct pf_pool`). A list, or an interface with several addresses, is a table
/// `__automatic_N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolAddress {
    /// One address or network.
    Prefix(IpNet),
    /// `(if)`, or a bare name that the context does not know.
    Dynamic(DynamicAddress),
    /// `<table>`.
    Table(Name),
    /// What pfctl lets through and pf makes nothing sensible of: a range, `route "label"`.
    Other(Box<Host>),
}

/// How an address of a pool is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolKind {
    /// None was said: the first address.
    #[default]
    First,
    /// The network part replaced.
    Bitmask,
    /// At random.
    Random,
    /// By a hash of the source address, with that key.
    SourceHash([u32; 4]),
    /// One after the other.
    RoundRobin,
    /// The one with the fewest states.
    LeastStates,
}

/// A pool of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its addresses.
    pub address: PoolAddress,
    /// The interface of `address@interface`, or alone (`route-to` by interface).
    pub interface: Option<Name>,
    /// How one is chosen.
    pub kind: PoolKind,
    /// `sticky-address`.
    pub sticky: bool,
    /// `weight`.
    pub weight: Option<u16>,
}

/// The source ports of nat-to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NatPorts {
    /// pf's own: 50001 to 65535.
    #[default]
    Default,
    /// `static-port`: as it is.
    Static,
    /// `port a:b`, both included.
    Range(u16, u16),
}

/// The destination ports of rdr-to (`pf_get_transaddr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RdrPorts {
    /// The first port of the target.
    pub first: u16,
    /// The last, as pf has it (`proxy_port[1]`): 0 where only `first` is meant; for `first:*` as far from `first` as the
    /// rule's own `to port` reaches.
    pub last: u16,
}

/// `af-to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfTo {
    /// The family it translates to.
    pub family: Family,
    /// `from`.
    pub source: Pool,
    /// The source ports.
    pub ports: NatPorts,
    /// `to`, if given.
    pub destination: Option<Pool>,
    /// The destination ports; `None`: as they are.
    pub destination_ports: Option<RdrPorts>,
}

/// What a rule does with the addresses of what it passes. binat-to is already two rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Translation {
    /// `nat-to`.
    Nat {
        /// The new sources.
        pool: Pool,
        /// The new source ports.
        ports: NatPorts,
    },
    /// `rdr-to`.
    Rdr {
        /// The new destinations.
        pool: Pool,
        /// The new destination ports; `None`: as they are.
        ports: Option<RdrPorts>,
    },
    /// `nat-to` and `rdr-to` in one rule: pf does both, pfctl prints the first.
    NatAndRdr {
        /// The new sources.
        nat: Pool,
        /// The new source ports.
        nat_ports: NatPorts,
        /// The new destinations.
        rdr: Pool,
        /// The new destination ports; `None`: as they are.
        rdr_ports: Option<RdrPorts>,
    },
    /// `af-to`.
    Af(Box<AfTo>),
}

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteToKind {
    /// `route-to`.
    RouteTo,
    /// `reply-to`.
    ReplyTo,
    /// `dup-to`.
    DupTo,
}

/// `route-to`, `reply-to`, `dup-to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTo {
    /// Which of the three.
    pub kind: RouteToKind,
    /// The next hops.
    pub pool: Pool,
}
