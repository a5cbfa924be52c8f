//! Tables.

use ipnet::IpNet;

use super::{Name, Origin};

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
    /// Whether its contents are not known from the text (a missing file, an interface that the context does not know):
    /// then `entries` is only a part.
    pub unknown: bool,
}
