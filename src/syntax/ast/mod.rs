//! The tree of a pf.conf: what was written, statement by statement, with its places.
//!
//! Follows the grammar of parse.y and the names of pf.conf(5). It holds everything that can be said of a statement
//! from its own text: numbers are in range, options that may not be given twice are given once, flags and tos are
//! known. What needs names of services, protocols, users or hosts, interfaces, or earlier statements is `lower`'s.
//! Every node carries an [`At`], which [`Document`](super::Document) resolves to a place in a file.

mod filter;
mod host;
mod option;
mod pool;
mod queue;
mod rule;
mod table;

pub use filter::{
    DivertOption, FilterOptions, FlagsOption, FlushKind, IcmpItem, IcmpSpec, Id, KeepOption, NamedOrNumber, PrioOption,
    QueueOption, RateOption, ReceivedOnOption, ScrubOptions, SetOptions, SourceTracking, StateKind, StateLock,
    StateOption, StateOptionKind, TaggedOption,
};
pub use host::{
    BinaryOperator, Comparison, DynamicHost, FromTo, Host, HostKind, InterfaceItem, InterfaceKind, InterfaceModifiers,
    IpSpec, PeerSpec, UnaryOperator,
};
pub use option::{BlockPolicyWord, NamedNumber, OptimizerWord, SetOption, SyncookieOptions, SyncookieWord};
pub use pool::{AfToOption, HashKey, Pool, PoolHost, PoolOptions, PoolType, RouteKind, RouteOption, TranslationOption};
pub use queue::{QueueBandwidth, QueueSpec, QueueStatement};
pub use rule::{
    ActionWord, AnchorBody, AnchorRule, AntispoofInterface, AntispoofRule, BlockSpec, LoadAnchor, LogSpec, PfRule,
};
pub use table::{TableItem, TableOption, TableRule};

use crate::source::At;

/// A word or quoted string, as the lexer of pfctl hands it on: quotes taken off.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Word {
    /// Where.
    pub at: At,
    /// Its text.
    pub text: Box<str>,
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Something with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// Where.
    pub at: At,
    /// What.
    pub value: T,
}

/// A macro definition: `name = value`. The reader has already applied it; pfctl prints it.
#[derive(Clone, Debug, PartialEq)]
pub struct MacroDefinition {
    /// The name.
    pub name: Word,
    /// Its value: the words, one blank between them, quotes taken off.
    pub value: Box<str>,
}

/// `include "file"`. Its statements follow as if they stood here.
#[derive(Clone, Debug, PartialEq)]
pub struct Include {
    /// The path as written.
    pub path: Word,
    /// Whether it was read. Where not, a diagnostic has said so, and what it holds is not known.
    pub read: bool,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The whole of it, without the body of an anchor.
    pub at: At,
    /// What it is.
    pub kind: StatementKind,
}

/// The kinds of statements.
#[derive(Clone, Debug, PartialEq)]
pub enum StatementKind {
    /// `name = value`
    Macro(Box<MacroDefinition>),
    /// `include "file"`
    Include(Box<Include>),
    /// `set …`
    Option(Box<SetOption>),
    /// `table <name> …`
    Table(Box<TableRule>),
    /// `queue name …`
    Queue(Box<QueueStatement>),
    /// `antispoof …`
    Antispoof(Box<AntispoofRule>),
    /// `pass`, `block`, `match`
    Rule(Box<PfRule>),
    /// `anchor …`
    Anchor(Box<AnchorRule>),
    /// `load anchor … from …`
    LoadAnchor(Box<LoadAnchor>),
}
