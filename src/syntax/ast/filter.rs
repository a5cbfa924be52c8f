//! The options of a rule, in whatever order they were written. Where pfctl takes one only once, so does the reader;
//! where pfctl lets a later one win, it stands here.

use super::{AfToOption, Comparison, InterfaceItem, RouteOption, Spanned, TranslationOption, Word};
use crate::net::{Family, TcpFlags};
use crate::source::At;

/// A name or a number: protocols, icmp types and codes.
#[derive(Clone, Debug, PartialEq)]
pub enum NamedOrNumber {
    /// A word; for icmp codes of `return-icmp` it may spell a number (`0x3`).
    Name(Word),
    /// A number, 0 to 255.
    Number(Spanned<u8>),
}

impl NamedOrNumber {
    /// Its place.
    #[must_use]
    pub fn at(&self) -> At {
        match self {
            Self::Name(word) => word.at,
            Self::Number(number) => number.at,
        }
    }
}

/// A user or group. (`unknown` comes with no operator, `=` or `!=` only.)
#[derive(Clone, Debug, PartialEq)]
pub enum Id {
    /// A name.
    Name(Word),
    /// A number.
    Number(Spanned<u32>),
    /// `unknown`
    Unknown(At),
}

/// `flags …`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagsOption {
    /// The whole of it.
    pub at: At,
    /// The flags before and after `/`; `None` is `flags any`. Those before are among those after.
    pub test: Option<(TcpFlags, TcpFlags)>,
}

/// One item of `icmp-type` or `icmp6-type`.
#[derive(Clone, Debug, PartialEq)]
pub struct IcmpItem {
    /// The type.
    pub kind: NamedOrNumber,
    /// `code …`
    pub code: Option<NamedOrNumber>,
}

/// `icmp-type …`, `icmp6-type …`
#[derive(Clone, Debug, PartialEq)]
pub struct IcmpSpec {
    /// The whole of it.
    pub at: At,
    /// `inet` for `icmp-type`, `inet6` for `icmp6-type`.
    pub family: Family,
    /// The list, not empty.
    pub items: Vec<IcmpItem>,
}

/// `a/b`: so many in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateOption {
    /// How many.
    pub limit: u32,
    /// Seconds.
    pub seconds: u32,
}

/// The kinds of state keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateKind {
    /// `no state`
    No,
    /// `keep state`
    Keep,
    /// `modulate state`
    Modulate,
    /// `synproxy state`
    Synproxy,
}

/// `keep state ( … )` and its like.
#[derive(Clone, Debug, PartialEq)]
pub struct KeepOption {
    /// The whole of it.
    pub at: At,
    /// Which.
    pub kind: StateKind,
    /// The options in order, repeats included: whether one may be repeated is known only where they are applied.
    pub options: Vec<StateOption>,
}

/// One state option.
#[derive(Clone, Debug, PartialEq)]
pub struct StateOption {
    /// Where.
    pub at: At,
    /// Which.
    pub kind: StateOptionKind,
}

/// `source-track` and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceTracking {
    /// Nothing.
    Default,
    /// `global`
    Global,
    /// `rule`
    Rule,
}

/// `flush`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushKind {
    /// `flush`
    Rule,
    /// `flush global`
    Global,
}

/// `if-bound`, `floating`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateLock {
    /// `if-bound`
    IfBound,
    /// `floating`
    Floating,
}

/// The state options.
#[derive(Clone, Debug, PartialEq)]
pub enum StateOptionKind {
    /// `max N`
    Max(u32),
    /// `no-sync`
    NoSync,
    /// `source-track`
    SourceTrack(SourceTracking),
    /// `max-src-states N`
    MaxSrcStates(u32),
    /// `max-src-conn N`
    MaxSrcConn(u32),
    /// `max-src-conn-rate N/S`
    MaxSrcConnRate(RateOption),
    /// `max-src-nodes N`
    MaxSrcNodes(u32),
    /// `overload <table>`
    Overload {
        /// The table.
        table: Word,
        /// `flush`
        flush: Option<FlushKind>,
    },
    /// `if-bound`, `floating`
    Lock(StateLock),
    /// `sloppy`
    Sloppy,
    /// `pflow`
    Pflow,
    /// `tcp.first 60`; the name is not checked here.
    Timeout {
        /// The name.
        name: Word,
        /// Seconds.
        seconds: u32,
    },
}

/// `queue name`, `queue (name, name)`; also in `set`.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueOption {
    /// For most packets.
    pub name: Word,
    /// For tcp acks and low delay.
    pub priority: Option<Word>,
}

/// `prio N`, `prio (N, M)` of `set`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrioOption {
    /// For most packets.
    pub normal: u8,
    /// For tcp acks and low delay; the same where one is given.
    pub priority: u8,
}

/// `set ( … )`. (`set queue` and `queue` are one and the same: see [`FilterOptions::queue`].)
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SetOptions {
    /// `prio`
    pub prio: Option<Spanned<PrioOption>>,
    /// `tos`
    pub tos: Option<Spanned<u8>>,
    /// `delay`, milliseconds
    pub delay: Option<Spanned<u16>>,
}

/// `scrub ( … )`; of several, the last, but `reassemble tcp` of any.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrubOptions {
    /// Where.
    pub at: At,
    /// `no-df`
    pub no_df: bool,
    /// `random-id`
    pub random_id: bool,
    /// `min-ttl`; 0 is the same as none.
    pub min_ttl: Option<u8>,
    /// `max-mss`; 0 is the same as none.
    pub max_mss: Option<u16>,
    /// `reassemble tcp`
    pub reassemble_tcp: bool,
}

/// `tagged`
#[derive(Clone, Debug, PartialEq)]
pub struct TaggedOption {
    /// `!`
    pub negated: bool,
    /// The tag, at most 63 bytes.
    pub tag: Word,
}

/// `received-on`
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedOnOption {
    /// The whole of it.
    pub at: At,
    /// The interface, negated where `!` stands before `received-on`.
    pub interface: InterfaceItem,
}

/// `divert-to`, `divert-reply`, `divert-packet`
#[derive(Clone, Debug, PartialEq)]
pub enum DivertOption {
    /// `divert-to host port N`
    To {
        /// The host.
        host: Word,
        /// The port, a name or number.
        port: Word,
    },
    /// `divert-reply`
    Reply,
    /// `divert-packet port N`
    Packet {
        /// The port, a name or number.
        port: Word,
    },
}

/// What follows the hosts of a rule. Rules are many, so what is rare and large is boxed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilterOptions {
    /// `user …`, in pfctl's order: of several, the list that was written last comes first.
    pub user: Vec<Spanned<Comparison<Id>>>,
    /// `group …`, likewise.
    pub group: Vec<Spanned<Comparison<Id>>>,
    /// `flags`
    pub flags: Option<FlagsOption>,
    /// `icmp-type`, `icmp6-type`
    pub icmp: Option<Box<IcmpSpec>>,
    /// `prio`
    pub prio: Option<Spanned<u8>>,
    /// `tos`
    pub tos: Option<Spanned<u8>>,
    /// `keep state` and its like
    pub keep: Option<KeepOption>,
    /// `fragment`
    pub fragment: Option<At>,
    /// `allow-opts`
    pub allow_opts: Option<At>,
    /// `label`, at most 63 bytes before its macros are expanded.
    pub label: Option<Word>,
    /// `queue`, `set queue`
    pub queue: Option<Box<Spanned<QueueOption>>>,
    /// `tag`, at most 63 bytes.
    pub tag: Option<Word>,
    /// `tagged`
    pub tagged: Option<Box<Spanned<TaggedOption>>>,
    /// `probability`, of 2^32 - 1, at least 1
    pub probability: Option<Spanned<u32>>,
    /// `rtable`
    pub rtable: Option<Spanned<u32>>,
    /// `divert-to`, `divert-reply`, `divert-packet`
    pub divert: Option<Box<Spanned<DivertOption>>>,
    /// `scrub`
    pub scrub: Option<ScrubOptions>,
    /// `nat-to`, `binat-to`
    pub nat: Option<TranslationOption>,
    /// `rdr-to`
    pub rdr: Option<TranslationOption>,
    /// `af-to`; never together with `nat`.
    pub af_to: Option<Box<AfToOption>>,
    /// `route-to`, `reply-to`, `dup-to`
    pub route: Option<Box<RouteOption>>,
    /// `received-on`
    pub received_on: Option<Box<ReceivedOnOption>>,
    /// `once`
    pub once: Option<At>,
    /// `max-pkt-rate`
    pub max_pkt_rate: Option<Spanned<RateOption>>,
    /// `set`
    pub set: SetOptions,
}
