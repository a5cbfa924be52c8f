//! Translation and routing: pools of addresses.

use super::{Host, Spanned, Word};
use crate::net::Family;
use crate::source::At;

/// One address of a pool. Never negated.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolHost {
    /// The address.
    pub host: Host,
    /// `weight N`, 1 to 65535
    pub weight: Option<Spanned<u16>>,
}

/// The addresses and ports of `nat-to` and its like.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// The whole of it.
    pub at: At,
    /// The addresses, at least one.
    pub hosts: Vec<PoolHost>,
    /// Whether they stand in `{ }`.
    pub listed: bool,
    /// `port …`: a name, a number, `a:b` or `a:*`, as written.
    pub port: Option<Word>,
    /// What follows.
    pub options: PoolOptions,
}

/// The key of `source-hash`.
#[derive(Clone, Debug, PartialEq)]
pub enum HashKey {
    /// None: pfctl draws one at random.
    Random,
    /// `0x` and 32 hex digits.
    Hex([u32; 4]),
    /// Any other word; the key is its MD5.
    Text(Word),
}

/// The pool types.
#[derive(Clone, Debug, PartialEq)]
pub enum PoolType {
    /// `bitmask`
    Bitmask,
    /// `random`
    Random,
    /// `source-hash`
    SourceHash(HashKey),
    /// `round-robin`
    RoundRobin,
    /// `least-states`
    LeastStates,
}

/// What follows the addresses of a pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolOptions {
    /// The pool type.
    pub kind: Option<Spanned<PoolType>>,
    /// `static-port`
    pub static_port: Option<At>,
    /// `sticky-address`
    pub sticky: Option<At>,
}

/// `nat-to`, `binat-to`, `rdr-to`
#[derive(Clone, Debug, PartialEq)]
pub struct TranslationOption {
    /// The whole of it.
    pub at: At,
    /// Whether it is `binat-to`.
    pub binat: bool,
    /// The addresses.
    pub pool: Box<Pool>,
}

/// `af-to family from … to …`. parse.y keeps but one set of pool options for both: that of `to`, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct AfToOption {
    /// The whole of it.
    pub at: At,
    /// The family after it.
    pub family: Family,
    /// `from`
    pub from: Pool,
    /// `to`
    pub to: Option<Pool>,
}

/// Which way of routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// `route-to`
    RouteTo,
    /// `reply-to`
    ReplyTo,
    /// `dup-to`
    DupTo,
}

/// `route-to`, `reply-to`, `dup-to`
#[derive(Clone, Debug, PartialEq)]
pub struct RouteOption {
    /// The whole of it.
    pub at: At,
    /// Which.
    pub kind: RouteKind,
    /// The next hops; without ports.
    pub pool: Pool,
}
