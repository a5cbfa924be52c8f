//! Tables.

use ipnet::IpNet;

use super::{DynamicAddress, Name, Origin};
use crate::net::Family;

/// One entry of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// `!`: a hole.
    pub negated: bool,
    /// The address or network, host bits cleared.
    pub prefix: IpNet,
    /// The interface of `address@interface` (automatic tables of route-to).
    pub interface: Option<Name>,
    /// `weight` of an entry of a pool.
    pub weight: Option<u16>,
}

/// An entry that stands for what an interface had when the table was loaded, where that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInterface {
    /// `!`: a hole.
    pub negated: bool,
    /// The interface, and what of it.
    pub address: DynamicAddress,
    /// The family of the addresses; `None` is both.
    pub family: Option<Family>,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Where it is defined; `None` where a rule only names it.
    pub origin: Option<Origin>,
    /// `const`.
    pub constant: bool,
    /// `persist`.
    pub persist: bool,
    /// `counters`.
    pub counters: bool,
    /// Its contents when it is loaded, files and interfaces resolved; the order is the text's.
    pub entries: Vec<TableEntry>,
    /// What interfaces add whose addresses the context does not know.
    pub interfaces: Vec<TableInterface>,
    /// Whether its contents are not known from the text (a missing file): then the rest is only a part.
    pub unknown: bool,
}

impl Table {
    /// Whether all that it holds is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.unknown && self.interfaces.is_empty()
    }

    /// Whether nothing is written to be in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.interfaces.is_empty()
    }
}
