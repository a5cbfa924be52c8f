//! The rules: `pass`, `block`, `match`, `anchor`, `antispoof`, `load anchor`.

use super::{FilterOptions, FromTo, InterfaceItem, NamedOrNumber, Spanned, Statement, Word};
use crate::net::{Direction, Family};
use crate::source::At;

/// `pass`, `match`, or `block` and what it answers.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionWord {
    /// `pass`
    Pass,
    /// `match`
    Match,
    /// `block`
    Block(BlockSpec),
}

/// What follows `block`.
#[derive(Clone, Debug, PartialEq)]
pub enum BlockSpec {
    /// Nothing: as `set block-policy` says.
    Default,
    /// `drop`
    Drop,
    /// `return`
    Return,
    /// `return-rst`
    ReturnRst {
        /// `(ttl N)`
        ttl: Option<u8>,
    },
    /// `return-icmp`
    ReturnIcmp {
        /// The code for IPv4.
        icmp: Option<Box<NamedOrNumber>>,
        /// The code for IPv6.
        icmp6: Option<Box<NamedOrNumber>>,
    },
    /// `return-icmp6`
    ReturnIcmp6 {
        /// The code for IPv6.
        icmp6: Option<Box<NamedOrNumber>>,
    },
}

/// `log ( … )`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSpec {
    /// `all`
    pub all: bool,
    /// `matches`
    pub matches: bool,
    /// `user`
    pub user: bool,
    /// `to pflogN`; 0 where it is not given.
    pub to: u8,
}

/// A `pass`, `block` or `match` rule.
#[derive(Clone, Debug, PartialEq)]
pub struct PfRule {
    /// `pass`, `match`, `block …`
    pub action: Spanned<ActionWord>,
    /// `in`, `out`
    pub direction: Option<Spanned<Direction>>,
    /// `log`
    pub log: Option<Spanned<LogSpec>>,
    /// `quick`
    pub quick: Option<At>,
    /// `on …`; empty where it is not given.
    pub interfaces: Vec<InterfaceItem>,
    /// `inet`, `inet6`
    pub family: Option<Spanned<Family>>,
    /// `proto …`; empty where it is not given. Numbers are 1 to 255.
    pub protocols: Vec<NamedOrNumber>,
    /// `all`, or `from … os … to …`
    pub hosts: FromTo,
    /// All that follows, in any order.
    pub options: Option<Box<FilterOptions>>,
}

/// `anchor …`
#[derive(Clone, Debug, PartialEq)]
pub struct AnchorRule {
    /// Its name; not empty, no part of it begins with `_`. One without a body has a name; one with a body has no `/`
    /// in it.
    pub name: Option<Word>,
    /// `in`, `out`
    pub direction: Option<Spanned<Direction>>,
    /// `quick`
    pub quick: Option<At>,
    /// `on …`; empty where it is not given.
    pub interfaces: Vec<InterfaceItem>,
    /// `inet`, `inet6`
    pub family: Option<Spanned<Family>>,
    /// `proto …`; empty where it is not given.
    pub protocols: Vec<NamedOrNumber>,
    /// `all`, or `from … os … to …`
    pub hosts: FromTo,
    /// All that follows; without state options and routing.
    pub options: Option<Box<FilterOptions>>,
    /// `{ … }`
    pub body: Option<AnchorBody>,
}

/// The rules of an inline anchor: rules, anchors, tables and includes only.
#[derive(Clone, Debug, PartialEq)]
pub struct AnchorBody {
    /// In order.
    pub statements: Vec<Statement>,
    /// The closing brace.
    pub end: At,
}

/// `load anchor name from file`. The file is read after the whole main file, and knows none of its macros.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadAnchor {
    /// The anchor.
    pub name: Word,
    /// The path as written.
    pub file: Word,
}

/// An interface of `antispoof for`.
#[derive(Clone, Debug, PartialEq)]
pub struct AntispoofInterface {
    /// The interface; never negated.
    pub item: InterfaceItem,
    /// `(if)`
    pub dynamic: bool,
}

/// `antispoof …`
#[derive(Clone, Debug, PartialEq)]
pub struct AntispoofRule {
    /// `log`
    pub log: Option<Spanned<LogSpec>>,
    /// `quick`
    pub quick: Option<At>,
    /// `for …`
    pub interfaces: Vec<AntispoofInterface>,
    /// `inet`, `inet6`
    pub family: Option<Spanned<Family>>,
    /// `label`
    pub label: Option<Word>,
    /// `rtable`
    pub rtable: Option<Spanned<u32>>,
}
