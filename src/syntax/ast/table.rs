//! `table <name> …`

use super::{Host, Spanned, Word};
use crate::source::At;

/// An entry of a table's list; lists may nest.
#[derive(Clone, Debug, PartialEq)]
pub enum TableItem {
    /// One, which is `Named` only: ranges, `(if)`, tables, `no-route` and `urpf-failed` are refused.
    Host {
        /// The host.
        host: Host,
        /// `weight N`
        weight: Option<Spanned<u16>>,
    },
    /// `{ … }`
    List(Spanned<Vec<TableItem>>),
}

/// The options of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum TableOption {
    /// `const`
    Const(At),
    /// `persist`
    Persist(At),
    /// `counters`
    Counters(At),
    /// `{ … }`, which may be empty.
    Hosts(Spanned<Vec<TableItem>>),
    /// `file "path"`
    File(Word),
}

/// `table <name> …`
#[derive(Clone, Debug, PartialEq)]
pub struct TableRule {
    /// The name, at most 31 bytes.
    pub name: Word,
    /// The options in order.
    pub options: Vec<TableOption>,
}
