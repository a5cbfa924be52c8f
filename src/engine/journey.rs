//! What happens to the packets of a class: [`Journey`], hop by hop, and what it depends on.

use super::frame::Suppositions;
use super::header::{Field, PacketBox};
use super::rewriting::Now;
use super::space::{InterfaceId, Place};
use crate::net::Family;
use crate::net::RangeSet;
use crate::ruleset::{Name, RuleId};

/// Why pf drops a packet without any rule, or although a rule passes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drop {
    /// tcp flags that make no sense (`pf_normalize_tcp`).
    Flags,
    /// Destination port 0 (`pf_setup_pdesc`).
    PortZero,
    /// A routing header of type 0.
    RoutingHeader,
    /// Neighbour discovery, IGMP or multicast listener discovery with a wrong ttl or source.
    HopLimit,
    /// Icmp of the other family.
    Normalize,
    /// IP options or extension headers without `allow-opts`.
    Options,
    /// A translation for which there is no address.
    Translation,
    /// `max`, `max-src-states` and the like.
    Limit,
    /// route-to without a route.
    Route,
}

/// What decided one hop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Decider {
    /// That rule: the last match, or a quick one.
    Rule(RuleId),
    /// No rule matched: the packet passes, without a state.
    Default,
    /// The interface is one of `set skip`: it passes unseen.
    Skipped,
    /// The state that its own way in has made: it is its own reverse.
    OwnState,
    /// A state that the flow made before: a reply.
    State,
    /// No rule: pf drops it.
    Nobody,
    /// An anchor that others fill, at that rule.
    Anchor(RuleId),
}

/// What a hop did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It passes.
    Pass,
    /// A block rule decided.
    Block,
    /// pf dropped it.
    Drop(Drop),
}

/// What a field became: a value of the original header, or another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// As it was in the original header.
    Same,
    /// One of these numbers: one where there is no choice.
    OneOf(RangeSet),
    /// The original number of that line moved, by port arithmetic of rdr-to or by a bitmask.
    Moved,
    /// An address that only the running machine knows: one of that interface.
    AddressOf(Name),
}

/// The ends as they are after a hop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    /// Address family; another than the original's after af-to.
    pub family: Family,
    /// Source address.
    pub source: Value,
    /// Destination address.
    pub destination: Value,
    /// Source port.
    pub source_port: Value,
    /// Destination port.
    pub destination_port: Value,
}

/// One evaluation of the rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// Where.
    pub place: Place,
    /// What decided.
    pub decider: Decider,
    /// What came of it.
    pub verdict: Verdict,
    /// The rules that translated: match rules in their order, then the deciding one.
    pub translated_by: Vec<RuleId>,
    /// Whether the deciding rule, or a match rule that it met, logs.
    pub logged: bool,
    /// Whether it made a state.
    pub state: bool,
    /// The header after it.
    pub ends: Ends,
}

/// Where a packet ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It leaves by that interface.
    Leaves(InterfaceId),
    /// One hop was asked for, and passes.
    Passed,
    /// It is for the machine itself.
    Local,
    /// It goes to a program by divert-to or divert-packet.
    Diverted,
    /// A rule, or pf, stopped it at the last hop.
    Stopped,
    /// There is no route, or one that rejects.
    NoRoute,
    /// The machine does not forward.
    NotForwarded,
}

/// The way of a packet through the machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Journey {
    /// The evaluations, in order; one or two, three where route-to runs another.
    pub hops: Vec<Hop>,
    /// Where it ends.
    pub end: End,
}

impl Journey {
    /// Whether the packet gets through: it leaves, or is for the machine itself or a program on it.
    #[must_use]
    pub fn gets_through(&self) -> bool {
        match self.end {
            End::Leaves(_) | End::Passed | End::Local | End::Diverted => true,
            End::Stopped | End::NoRoute | End::NotForwarded => false,
        }
    }
}

/// Something that a packet does not show, on which a journey depends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// The sender's operating system (`os`).
    Os,
    /// The owner of the local socket (`user`, `group`).
    User,
    /// The contents of a table.
    Table(Name),
    /// The address of an interface.
    Address(Name),
    /// The network of an interface.
    Network(Name),
    /// The rules of an anchor that others fill.
    Anchor(Name),
    /// `probability`.
    Probability,
    /// `once`: whether it is used up.
    Once,
    /// `max-pkt-rate`.
    Rate,
    /// `max`, `max-src-nodes`, `max-src-states` and the like: whether the limit is reached.
    Limit,
    /// Which tag the packet has, for a rule that sets it may match or not.
    Tag,
    /// Which address of a pool, or which port, pf takes.
    Pool,
}

impl Unknown {
    /// Whether pf chooses it; else it is for the machine to know.
    #[must_use]
    pub fn is_choice(&self) -> bool {
        match self {
            Self::Probability | Self::Once | Self::Rate | Self::Limit | Self::Pool => true,
            Self::Os
            | Self::User
            | Self::Tag
            | Self::Table(_)
            | Self::Address(_)
            | Self::Network(_)
            | Self::Anchor(_) => false,
        }
    }
}

/// A condition of a journey: it is what happens *if* this is so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// What is not known.
    pub unknown: Unknown,
    /// The rule that asks; `None` for routing.
    pub rule: Option<RuleId>,
    /// Whether that rule's criterion holds on this journey.
    pub holds: bool,
}

/// Packets with one and the same journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The packets, as they first met the machine.
    pub region: PacketBox,
    /// What happens to them, on the conditions.
    pub journey: Journey,
    /// What it depends on besides the header. Without any, it is what happens.
    pub conditions: Vec<Condition>,
    /// Whether it happens only to those packets of the region whose source is their destination and whose ports are
    /// equal (after the first hop's translation); otherwise it does not happen to them where the last hop of two is
    /// decided by rules.
    pub own_reverse: bool,
    /// Of such packets: pairs of fields of which the second is the first plus that number, modulo 2^128, in the header
    /// as it first met the machine.
    pub equal: Vec<(Field, Field, u128)>,
    /// The header after each hop that passes, what was supposed, and the last choice of pf, for the packets that
    /// follow in the flow.
    pub(super) trail: Vec<Now>,
    pub(super) supposed: Suppositions,
    pub(super) choices: u32,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Undecided {
    /// The budget of steps ran out.
    Steps,
    /// Something that is not modelled, in words.
    Unmodelled(String),
}
