//! What a policy says, as data: zones, statements, assumptions, each with its place.

use ipnet::IpNet;

use crate::net::{Family, Operator, Protocol};
use crate::ruleset::{IcmpMatch, Modifiers, Name};
use crate::source::Span;

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

/// All that one or several policy files say, in their order, includes in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The files that `config` names.
    pub configs: Vec<Spanned<String>>,
    /// The zones.
    pub zones: Vec<Zone>,
    /// `require`, `allow`, `forbid`, `closed`.
    pub statements: Vec<Statement>,
    /// `assume`.
    pub assumptions: Vec<Assumption>,
}

impl Policy {
    /// Adds what another policy says after what this one says.
    pub fn append(&mut self, other: Self) {
        self.configs.extend(other.configs);
        self.zones.extend(other.zones);
        self.statements.extend(other.statements);
        self.assumptions.extend(other.assumptions);
    }
}

/// `zone NAME on INTERFACES [from HOSTS]`: hosts behind interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: Spanned<Name>,
    /// The interfaces and groups.
    pub interfaces: Vec<Spanned<Name>>,
    /// The only hosts that are meant; all behind the interfaces where it is not said.
    pub from: Option<Hosts>,
}

/// One statement that has an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The whole statement.
    pub span: Span,
    /// Its name, if it has one.
    pub name: Option<Name>,
    /// What it demands.
    pub demand: Demand,
}

/// What a statement demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// `require`: every such flow gets through, as expected.
    Require(Packets, Vec<Spanned<Expectation>>),
    /// `allow`: such flows may get through.
    Allow(Packets),
    /// `forbid`: no such packet gets through.
    Forbid(Packets),
    /// `closed`: nothing gets through that no `require` or `allow` speaks of.
    Closed(Closed),
}

impl Demand {
    /// The statement's first word.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Require(..) => "require",
            Self::Allow(_) => "allow",
            Self::Forbid(_) => "forbid",
            Self::Closed(_) => "closed",
        }
    }
}

/// Of which packets `closed` speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// All that pass through the machine.
    All,
    /// Those that arrive through the interfaces of these zones.
    From(Vec<Spanned<Name>>),
    /// Those that leave through the interfaces of these zones.
    To(Vec<Spanned<Name>>),
}

impl Demand {
    /// The packets of `require`, `allow` or `forbid`.
    #[must_use]
    pub fn packets(&self) -> Option<&Packets> {
        match self {
            Self::Require(packets, _) | Self::Allow(packets) | Self::Forbid(packets) => Some(packets),
            Self::Closed(_) => None,
        }
    }
}

/// A set of packets: what stands between the verb and the expectations. An empty list is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// `inet`, `inet6`.
    pub family: Option<Family>,
    /// `proto`.
    pub protocols: Vec<Protocol>,
    /// `from`.
    pub source: End,
    /// `to`.
    pub destination: End,
    /// `icmp-type`, `icmp6-type`.
    pub icmp: Vec<IcmpMatch>,
}

/// One end of the packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The hosts; `None` where they are not said, which is any.
    pub hosts: Option<Hosts>,
    /// The ports, any of which matches.
    pub ports: Vec<Operator<u16>>,
}

impl End {
    /// The hosts that are called so, with any port.
    #[must_use]
    pub fn of(host: Host, span: Span) -> Self {
        let item = HostItem {
            span,
            negated: false,
            host,
        };
        Self {
            hosts: Some(Hosts {
                span,
                items: vec![item],
            }),
            ports: Vec::new(),
        }
    }
}

impl Zone {
    /// The zone as an end of packets.
    #[must_use]
    pub fn end(&self) -> End {
        End::of(
            Host::Named(self.name.value.clone(), Modifiers::default()),
            self.name.span,
        )
    }
}

/// A union of hosts, from which the negated ones are taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// Where it is written.
    pub span: Span,
    /// Its items; at least one is not negated.
    pub items: Vec<HostItem>,
}

/// One item of a host list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostItem {
    /// Where it is written.
    pub span: Span,
    /// `!`.
    pub negated: bool,
    /// The host.
    pub host: Host,
}

/// What a host stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// `any`: any address on any interface.
    Any,
    /// `self`: the machine.
    Itself,
    /// An address or prefix, host bits cleared.
    Prefix(IpNet),
    /// `<table>`.
    Table(Name),
    /// A zone, an interface, a group or a host name; with modifiers only an interface.
    Named(Name, Modifiers),
}

/// What a required flow must look like besides getting through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// `nat-to`: the source is translated to one of these; `None`: it is not translated.
    Nat(Option<Hosts>),
    /// `rdr-to`: the destination is translated to one of these hosts and ports; `None`: it is not translated.
    Rdr(Option<(Hosts, Vec<Operator<u16>>)>),
    /// `by label`: the rule with this label decides on at least one hop.
    By(Name),
    /// `log`: a deciding or matching rule of at least one hop logs.
    Log,
}

/// What the machine alone knows, settled for the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumption {
    /// Where it is written.
    pub span: Span,
    /// Its words, without `assume`.
    pub text: String,
    /// What is assumed.
    pub fact: Fact,
}

/// What is assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `anchor "x" empty`.
    AnchorEmpty(Name),
    /// `anchor "x" only …`: its rules pass nothing else.
    AnchorOnly(Name, Packets),
    /// `table <x> empty`.
    TableEmpty(Name),
    /// `table <x> as written`: nobody adds to what pf.conf puts in it.
    TableAsWritten(Name),
    /// `user x none`: no socket of the machine is of that user.
    NoUser(Name),
    /// `group x none`: no socket of the machine is of that group.
    NoGroup(Name),
    /// `em0 203.0.113.7/24`: the interface's address.
    Address(Name, IpNet),
}
