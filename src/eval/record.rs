//! What the evaluator says of a packet: [`Evaluation`] of one hop, [`Journey`] of all of them. Plain data.

use std::net::IpAddr;

use crate::net::Direction;
use crate::packet::Packet;
use crate::ruleset::{Divert, Name, RouteToKind, RuleId};

/// A criterion of a rule, in the order in which pf tests them (`pf_match_rule`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Criterion {
    /// `once`, used up.
    Once,
    /// `on interface`.
    Interface,
    /// `in`, `out`.
    Direction,
    /// `on rdomain`.
    Rdomain,
    /// `inet`, `inet6`.
    Family,
    /// `proto`.
    Protocol,
    /// `from`.
    Source,
    /// `to`.
    Destination,
    /// A fragment matches no rule that asks for what only a whole packet has.
    WholePacket,
    /// `flags`.
    Flags,
    /// `os`.
    Os,
    /// `from … port`.
    SourcePort,
    /// `to … port`.
    DestinationPort,
    /// `user`.
    User,
    /// `group`.
    Group,
    /// `icmp-type`.
    IcmpType,
    /// `code`.
    IcmpCode,
    /// A stateful rule matches no icmp reply.
    IcmpReply,
    /// `fragment`.
    Fragment,
    /// `tos`.
    Tos,
    /// `probability`.
    Probability,
    /// `tagged`.
    Tagged,
    /// `received-on`.
    ReceivedOn,
    /// `prio`.
    Prio,
    /// `max-pkt-rate`.
    Rate,
}

/// What a rule did when it matched, beyond being a candidate to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It put this tag on the packet.
    Tag(Name),
    /// Later rules see this source.
    Source(IpAddr, u16),
    /// Later rules see this destination.
    Destination(IpAddr, u16),
    /// The packet goes on with this routing table.
    Rtable(u32),
    /// The packet gets this priority, if it makes a state.
    Prio(u8),
    /// The packet gets this type of service, if it makes a state.
    Tos(u8),
    /// The packet gets at least this time to live, if it makes a state.
    MinTtl(u8),
    /// It was logged.
    Log,
}

/// How a rule that was tried came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met {
    /// It did not match: the first criterion that failed.
    Missed(RuleId, Criterion),
    /// It matched.
    Matched(RuleId, Vec<Effect>),
}

impl Met {
    /// The rule.
    #[must_use]
    pub fn rule(&self) -> &RuleId {
        match self {
            Self::Missed(rule, _) | Self::Matched(rule, _) => rule,
        }
    }
}

/// What became of the packet on one hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// A block rule decided.
    Block,
    /// pf dropped it for another cause.
    Drop(Reason),
    /// A fragment, kept until the packet is whole.
    Held,
    /// pf answers the handshake itself.
    Synproxy,
}

impl Verdict {
    /// The word of it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Block => "block",
            Self::Drop(_) => "drop",
            Self::Held => "held",
            Self::Synproxy => "synproxy",
        }
    }
}

/// Why pf drops what no rule blocks (`PFRES_*` of pfvar.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A header that is cut short, or a port 0.
    Short,
    /// Headers that do not fit together.
    Normalize,
    /// A fragment that does not fit.
    Fragment,
    /// IP options without `allow-opts`, or ones that are never taken.
    IpOption,
    /// No address or port for a translation.
    Translate,
    /// `max` states.
    StateLimit,
    /// A limit on sources.
    SourceLimit,
    /// A state with those keys is there already.
    StateInsert,
    /// It does not fit the state that it belongs to.
    StateMismatch,
    /// No next hop for `route-to`.
    NoRoute,
    /// A handshake that pf answers itself went wrong.
    Synproxy,
    /// More than 63 anchors deep (`PF_ANCHOR_STACK_MAX`).
    AnchorDepth,
}

impl Reason {
    /// pf's word for it, as `pfctl -si` counts it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Normalize => "normalize",
            Self::Fragment => "fragment",
            Self::IpOption => "ip-option",
            Self::Translate => "translate",
            Self::StateLimit => "state-limit",
            Self::SourceLimit => "src-limit",
            Self::StateInsert => "state-insert",
            Self::StateMismatch => "state-mismatch",
            Self::NoRoute => "no-route",
            Self::Synproxy => "synproxy",
            Self::AnchorDepth => "memory",
        }
    }
}

/// What pf answers to a packet that a rule blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// A RST.
    Rst,
    /// An icmp error: type, code.
    Icmp(u8, u8),
}

/// The state that a packet made or belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateUse {
    /// Whether it was there before.
    pub existing: bool,
    /// The interface of an if-bound state; `None` for a floating one.
    pub bound_to: Option<String>,
}

/// A value of a translated header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen<T> {
    /// It follows from the packet and the rules.
    Fixed,
    /// pf chose it among these.
    OneOf(Vec<T>),
    /// pf chose it at random in a range.
    Random,
}

impl<T> Chosen<T> {
    /// Whether it follows from the packet and the rules.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed)
    }
}

/// Which parts of the packet that leaves were chosen by pf rather than following from packet and rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenParts {
    /// The source address.
    pub src: Chosen<IpAddr>,
    /// The destination address.
    pub dst: Chosen<IpAddr>,
    /// The source port.
    pub sport: Chosen<u16>,
    /// The destination port.
    pub dport: Chosen<u16>,
    /// The identifier of icmp.
    pub icmp_id: Chosen<u16>,
}

impl Default for ChosenParts {
    fn default() -> Self {
        Self {
            src: Chosen::Fixed,
            dst: Chosen::Fixed,
            sport: Chosen::Fixed,
            dport: Chosen::Fixed,
            icmp_id: Chosen::Fixed,
        }
    }
}

/// `route-to`, `reply-to` or `dup-to` of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Which.
    pub kind: RouteToKind,
    /// The next hop.
    pub address: IpAddr,
    /// Whether it was chosen from a pool.
    pub chosen: Chosen<IpAddr>,
}

/// One evaluation: a packet coming in on, or going out of, one interface (`pf_test`).
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The direction.
    pub direction: Direction,
    /// The packet as it came to this hop; its `interface` is this hop's.
    pub before: Packet,
    /// The routing table it came with: its interface's routing domain, or what an earlier hop set.
    pub rtable_before: u32,
    /// The packet as it goes on: translated, tagged, with its new priority. Where it does not pass, as it was.
    pub after: Packet,
    /// The routing table it goes on with.
    pub rtable: u32,
    /// What became of it.
    pub verdict: Verdict,
    /// Whether the interface is skipped (`set skip on`): then nothing was tested.
    pub skipped: bool,
    /// The rule that decides, or that made the state; `None` is the implicit default, or none.
    pub rule: Option<RuleId>,
    /// The rules that were tried, in order: those that matched, and the others if [`Machine::explain`] was asked.
    ///
    /// [`Machine::explain`]: super::Machine::explain
    pub met: Vec<Met>,
    /// The match rules that applied; for an existing state those that made it.
    pub matches: Vec<RuleId>,
    /// The state that was made or found.
    pub state: Option<StateUse>,
    /// Whether a log entry was written.
    pub log: bool,
    /// What was answered to a blocked packet.
    pub answer: Option<Answer>,
    /// What pf chose of the translation.
    pub chosen: ChosenParts,
    /// `divert-…` of the rule, where it takes hold.
    pub divert: Option<Divert>,
    /// The next hop of `route-to` and its like.
    pub route: Option<NextHop>,
}

/// How the way of a packet ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The last hop let it pass, and it is gone, or (one hop) that was all that was asked.
    Sent,
    /// It is addressed to the machine itself.
    Local,
    /// There is no route, or one that rejects.
    NoRoute,
    /// A hop did not let it pass.
    Stopped,
    /// The machine does not forward.
    NotForwarded,
}

/// All hops of one packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Journey {
    /// The evaluations, in order; those on skipped interfaces too.
    pub hops: Vec<Evaluation>,
    /// How it ends.
    pub end: End,
}

impl Journey {
    /// The first verdict that is not pass, else pass.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.hops
            .iter()
            .map(|hop| hop.verdict)
            .find(|&verdict| verdict != Verdict::Pass)
            .unwrap_or(Verdict::Pass)
    }

    /// The packet as it leaves the last hop.
    #[must_use]
    pub fn last(&self) -> Option<&Packet> {
        self.hops.last().map(|hop| &hop.after)
    }
}

/// What cannot be said of a packet from what is known: why not, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unproven(pub String);

impl std::fmt::Display for Unproven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unproven {}
