//! [`Rule`]: one rule after expansion (`struct pf_rule`).

use super::{KeepState, Name, Peer, Pool, RouteTo, StateOptions, Translation};
use crate::net::{Direction, Family, FlagsMatch, Operator, Protocol};
use crate::source::Span;
use std::net::IpAddr;

/// Where a rule or table was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The statement in the text (of the file or the include).
    pub span: Span,
    /// The number of the statement within the run, the same for all rules that it expands to.
    pub statement: u32,
}

/// What a block rule answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Nothing.
    Drop,
    /// RST for tcp, icmp unreachable for the rest.
    Return {
        /// Code of the icmp unreachable for IPv4.
        icmp: u8,
        /// Code of the icmp6 unreachable for IPv6.
        icmp6: u8,
    },
    /// A RST, with that ttl where one is given.
    ReturnRst {
        /// `ttl N`.
        ttl: Option<u8>,
    },
    /// An icmp error: (type, code).
    ReturnIcmp {
        /// For IPv4.
        icmp: (u8, u8),
        /// For IPv6.
        icmp6: (u8, u8),
    },
}

/// A call of an anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorCall {
    /// As pfctl prints it between quotes: relative or absolute, with `/*`; `None` for an unnamed `{ }`.
    pub name: Option<Name>,
    /// The whole path of the ruleset it runs, without a leading `/` and without `/*`; an unnamed one is `…/_N`.
    pub path: Name,
    /// `/*`: the children of `path`, in the order of their names, not `path` itself.
    pub wildcard: bool,
    /// Whether its rules stand in `{ }` behind it.
    pub inline: bool,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `pass`.
    Pass,
    /// `block`.
    Block(Block),
    /// `match`.
    Match,
    /// `anchor`.
    Anchor(Box<AnchorCall>),
}

/// `on …`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum InterfaceMatch {
    /// Not said.
    #[default]
    All,
    /// `on any`: every interface but loopback ones.
    Any,
    /// `on name`: an interface or group.
    Name {
        /// `!`.
        negated: bool,
        /// The name.
        name: Name,
    },
    /// `on rdomain N`.
    Rdomain {
        /// `!`, which counts for the interface too (`ifnot` of pf.c).
        negated: bool,
        /// The routing domain.
        rdomain: u32,
        /// The interface that a link-local host of the rule belongs to.
        interface: Option<Name>,
    },
}

/// `log ( … )`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// `all`.
    pub all: bool,
    /// `matches`.
    pub matches: bool,
    /// `user`.
    pub user: bool,
    /// `to pflogN`; 0 is the usual one and is not printed.
    pub to: u32,
}

/// `icmp-type`, `icmp6-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpMatch {
    /// Type.
    pub kind: u8,
    /// Code, if said.
    pub code: Option<u8>,
}

/// `a/b`: so many in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub limit: u32,
    /// Seconds.
    pub seconds: u32,
}

/// `received-on`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReceivedOn {
    /// `!`.
    pub negated: bool,
    /// The interface or group; `any` as pf.conf(5) has it.
    pub interface: Name,
}

/// `tagged`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tagged {
    /// `!`.
    pub negated: bool,
    /// The tag.
    pub tag: Name,
}

/// `queue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleQueue {
    /// For most packets.
    pub name: Name,
    /// For tcp acks and low delay.
    pub priority: Option<Name>,
}

/// `set ( … )`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetFields {
    /// `prio`: for most packets, and for tcp acks and low delay (the same where one is given).
    pub prio: Option<(u8, u8)>,
    /// `queue`.
    pub queue: Option<RuleQueue>,
    /// `tos`.
    pub tos: Option<u8>,
    /// `delay`, in milliseconds.
    pub delay: Option<u16>,
}

/// `scrub ( … )`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrub {
    /// `no-df`.
    pub no_df: bool,
    /// `random-id`.
    pub random_id: bool,
    /// `min-ttl`; 0 if not said.
    pub min_ttl: u8,
    /// `reassemble tcp`.
    pub reassemble_tcp: bool,
    /// `max-mss`; 0 if not said.
    pub max_mss: u16,
}

/// `divert-…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divert {
    /// `divert-to address port N`.
    To {
        /// The address of the local socket.
        address: IpAddr,
        /// Its port.
        port: u16,
    },
    /// `divert-reply`.
    Reply,
    /// `divert-packet port N`.
    Packet {
        /// The port of the divert(4) socket.
        port: u16,
    },
}

/// One rule after expansion. The order of the fields is that in which pf tests, then what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Where it was written.
    pub origin: Origin,
    /// What it does.
    pub action: Action,
    /// `in`, `out`, or both.
    pub direction: Option<Direction>,
    /// `log`.
    pub log: Option<Log>,
    /// `quick`.
    pub quick: bool,
    /// `on`.
    pub interface: InterfaceMatch,
    /// `inet`, `inet6`, said or implied by its addresses.
    pub family: Option<Family>,
    /// `proto`.
    pub protocol: Option<Protocol>,
    /// `from`.
    pub source: Peer,
    /// `to`.
    pub destination: Peer,
    /// `os`: the name as pfctl prints it.
    pub os: Option<Name>,
    /// `received-on`.
    pub received_on: Option<ReceivedOn>,
    /// `user`; [`Rule::UNKNOWN_ID`] is `unknown`.
    pub user: Option<Operator<u32>>,
    /// `group`; [`Rule::UNKNOWN_ID`] is `unknown`.
    pub group: Option<Operator<u32>>,
    /// `flags`, said or implied; `None` is any.
    pub flags: Option<FlagsMatch>,
    /// `icmp-type`, `icmp6-type`.
    pub icmp: Option<IcmpMatch>,
    /// `tos`.
    pub tos: Option<u8>,
    /// `prio`.
    pub prio: Option<u8>,
    /// `max-pkt-rate`.
    pub max_pkt_rate: Option<Rate>,
    /// `fragment`.
    pub fragment: bool,
    /// `probability`, of 2^32; `None` is always.
    pub probability: Option<u32>,
    /// `tagged`.
    pub tagged: Option<Tagged>,
    /// `once`.
    pub once: bool,
    /// `set ( … )`.
    pub set: Option<Box<SetFields>>,
    /// `keep state` and the like, said or implied.
    pub keep_state: KeepState,
    /// The options of the state; usual ones are `None`.
    pub state: Option<Box<StateOptions>>,
    /// `scrub`.
    pub scrub: Option<Scrub>,
    /// `allow-opts`.
    pub allow_opts: bool,
    /// `label`, its macros expanded.
    pub label: Option<Name>,
    /// `tag`.
    pub tag: Option<Name>,
    /// `rtable`.
    pub rtable: Option<u32>,
    /// `divert-to`, `divert-reply`, `divert-packet`.
    pub divert: Option<Divert>,
    /// `nat-to`, `rdr-to`, `af-to`.
    pub translation: Option<Box<Translation>>,
    /// `route-to`, `reply-to`, `dup-to`.
    pub route_to: Option<Box<RouteTo>>,
}

impl Rule {
    /// The user or group id that stands for `unknown`.
    pub const UNKNOWN_ID: u32 = u32::MAX;

    /// A rule that matches everything and does just that.
    #[must_use]
    pub fn new(origin: Origin, action: Action) -> Self {
        Self {
            origin,
            action,
            direction: None,
            log: None,
            quick: false,
            interface: InterfaceMatch::All,
            family: None,
            protocol: None,
            source: Peer::default(),
            destination: Peer::default(),
            os: None,
            received_on: None,
            user: None,
            group: None,
            flags: None,
            icmp: None,
            tos: None,
            prio: None,
            max_pkt_rate: None,
            fragment: false,
            probability: None,
            tagged: None,
            once: false,
            set: None,
            keep_state: KeepState::No,
            state: None,
            scrub: None,
            allow_opts: false,
            label: None,
            tag: None,
            rtable: None,
            divert: None,
            translation: None,
            route_to: None,
        }
    }

    /// Whether the two are the same, wherever they were written.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let Self {
            origin: _,
            action,
            direction,
            log,
            quick,
            interface,
            family,
            protocol,
            source,
            destination,
            os,
            received_on,
            user,
            group,
            flags,
            icmp,
            tos,
            prio,
            max_pkt_rate,
            fragment,
            probability,
            tagged,
            once,
            set,
            keep_state,
            state,
            scrub,
            allow_opts,
            label,
            tag,
            rtable,
            divert,
            translation,
            route_to,
        } = self;
        *action == other.action
            && *direction == other.direction
            && *log == other.log
            && *quick == other.quick
            && *interface == other.interface
            && *family == other.family
            && *protocol == other.protocol
            && *source == other.source
            && *destination == other.destination
            && *os == other.os
            && *received_on == other.received_on
            && *user == other.user
            && *group == other.group
            && *flags == other.flags
            && *icmp == other.icmp
            && *tos == other.tos
            && *prio == other.prio
            && *max_pkt_rate == other.max_pkt_rate
            && *fragment == other.fragment
            && *probability == other.probability
            && *tagged == other.tagged
            && *once == other.once
            && *set == other.set
            && *keep_state == other.keep_state
            && *state == other.state
            && *scrub == other.scrub
            && *allow_opts == other.allow_opts
            && *label == other.label
            && *tag == other.tag
            && *rtable == other.rtable
            && *divert == other.divert
            && *translation == other.translation
            && *route_to == other.route_to
    }

    /// The pools that it takes addresses from.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        let (one, other) = match self.translation.as_deref() {
            None => (None, None),
            Some(Translation::Nat { pool, .. } | Translation::Rdr { pool, .. }) => (Some(pool), None),
            Some(Translation::NatAndRdr { nat, rdr, .. }) => (Some(nat), Some(rdr)),
            Some(Translation::Af(af)) => (Some(&af.source), af.destination.as_ref()),
        };
        let routed = self.route_to.as_ref().map(|route| &route.pool);
        one.into_iter().chain(other).chain(routed)
    }
}
