//! Who a rule speaks of: interfaces, hosts, ports.

use super::{Spanned, Word};
use crate::source::At;

/// An interface in `on`, `received-on`, `antispoof for`, `set skip on`.
#[derive(Clone, Debug, PartialEq)]
pub struct InterfaceItem {
    /// The whole of it.
    pub at: At,
    /// `!`
    pub negated: bool,
    /// What it names.
    pub kind: InterfaceKind,
}

/// What an [`InterfaceItem`] names.
#[derive(Clone, Debug, PartialEq)]
pub enum InterfaceKind {
    /// An interface or group, at most 15 bytes.
    Name(Word),
    /// `any`
    Any,
    /// `rdomain N`
    Rdomain(u32),
}

/// The unary operators of ports, users and groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOperator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// The binary operators of ports, users and groups. (`a:b` is one word.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOperator {
    /// `a >< b`: strictly between.
    Between,
    /// `a <> b`: strictly outside.
    Outside,
}

/// A port, user or group as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison<T> {
    /// `a`; for ports also `a:b`.
    Plain(T),
    /// `operator a`
    Unary(Spanned<UnaryOperator>, T),
    /// `a operator b`
    Binary(T, Spanned<BinaryOperator>, T),
}

/// The modifiers of an interface in parentheses. At most one of `network`, `broadcast`, `peer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct InterfaceModifiers {
    /// `:network`
    pub network: bool,
    /// `:broadcast`
    pub broadcast: bool,
    /// `:peer`
    pub peer: bool,
    /// `:0`
    pub no_alias: bool,
}

/// `(if)`, `(if:network)/24`
#[derive(Clone, Debug, PartialEq)]
pub struct DynamicHost {
    /// The interface without its modifiers, at most 15 bytes.
    pub interface: Word,
    /// The modifiers.
    pub modifiers: InterfaceModifiers,
    /// What follows `/`.
    pub prefix: Option<u8>,
}

/// What stands for hosts.
#[derive(Clone, Debug, PartialEq)]
pub enum HostKind {
    /// An address, network, interface with modifiers, or host name: the whole word, `/N` included, as `host()` of
    /// pfctl gets it.
    Named(Word),
    /// `a - b`, the words as written.
    Range(Box<(Word, Word)>),
    /// `(if)`
    Dynamic(Box<DynamicHost>),
    /// `<table>`, at most 31 bytes.
    Table(Word),
    /// `route "label"`
    Route(Word),
    /// `no-route`
    NoRoute,
    /// `urpf-failed`; never in `to`.
    UrpfFailed,
}

/// A host with its `!`.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// The whole of it.
    pub at: At,
    /// The `!`.
    pub negated: Option<At>,
    /// What it is.
    pub kind: HostKind,
}

/// Hosts as written: lists may nest.
#[derive(Clone, Debug, PartialEq)]
pub enum IpSpec {
    /// `any`; in a list it swallows the whole list.
    Any(At),
    /// One.
    Host(Host),
    /// `{ … }`, not empty.
    List(Spanned<Vec<IpSpec>>),
}

/// What follows `from` or `to`.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerSpec {
    /// From the keyword on.
    pub at: At,
    /// The hosts, if given.
    pub hosts: Option<IpSpec>,
    /// The ports; empty where they are not given.
    pub ports: Vec<Spanned<Comparison<Word>>>,
}

/// `all`, or `from … os … to …`, each of which may be absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FromTo {
    /// `all`
    pub all: Option<At>,
    /// `from`
    pub from: Option<PeerSpec>,
    /// `os`; empty where it is not given.
    pub os: Vec<Word>,
    /// `to`
    pub to: Option<PeerSpec>,
}
