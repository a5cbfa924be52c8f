//! What pfctl prints besides rules and queues: macros, options, tables, in the order in which it reads them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Anchor, BlockPolicy, DynamicAddress, Name, Queue, Reassemble, StatePolicy, TableEntry};

/// `set syncookies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncookieMode {
    /// `never`.
    Never,
    /// `always`.
    Always,
    /// `adaptive`, with its start and end in percent of the states, if given here or before.
    Adaptive(Option<(u8, u8)>),
}

/// One `set …` that pfctl prints. Words are as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `reassemble`.
    Reassemble(Reassemble),
    /// `optimization`.
    Optimization(Name),
    /// `timeout`: name and seconds.
    Timeout(Name, u32),
    /// `limit`: name and number.
    Limit(Name, u32),
    /// `loginterface`.
    LogInterface(Name),
    /// `hostid`.
    HostId(u32),
    /// `block-policy`.
    BlockPolicy(BlockPolicy),
    /// `fingerprints`: the file.
    Fingerprints(Name),
    /// `state-policy`.
    StatePolicy(StatePolicy),
    /// `debug`.
    Debug(Name),
    /// `skip on`: the names; none for `none`.
    Skip(Vec<Name>),
    /// `syncookies`.
    Syncookies(SyncookieMode),
}

/// One thing between the words of a table's definition.
#[derive(Clone, Debug, PartialEq)]
pub enum TableContent {
    /// An address or network.
    Entry(TableEntry),
    /// An interface of which the context does not know the addresses.
    Interface {
        /// `!`.
        negated: bool,
        /// The interface.
        address: DynamicAddress,
    },
    /// `a - b`, which pfctl takes in the table of a pool alone, and of which pf makes nothing sensible.
    Range(IpAddr, IpAddr),
    /// `file "…"`.
    File(Name),
}

/// One declaration that pfctl prints.
#[derive(Clone, Debug, PartialEq)]
pub enum Declaration {
    /// A macro and its value.
    Macro {
        /// Its name.
        name: Name,
        /// Its value, other macros in it expanded.
        value: Name,
    },
    /// `set …`.
    Set(Setting),
    /// `table <name> …`.
    Table {
        /// Its name.
        name: Name,
        /// `const`.
        constant: bool,
        /// `persist`.
        persist: bool,
        /// `counters`.
        counters: bool,
        /// Whether `{ }` or `file` was given, so that it is defined even if empty.
        initialized: bool,
        /// What is in it, as written.
        contents: Vec<TableContent>,
    },
}

/// What one run of pfctl's parser has read besides rules: of the main file, or of one of `load anchor`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The anchor it was read into; empty for the main file.
    pub path: Name,
    /// Macros, options and tables in the order in which pfctl prints them.
    pub declarations: Vec<Declaration>,
    /// Queues in the order in which pfctl prints them: each root with what hangs below it.
    pub queues: Vec<Queue>,
    /// Rulesets of this file that a later `load anchor` replaced, by their path.
    pub replaced: BTreeMap<Name, Anchor>,
}
