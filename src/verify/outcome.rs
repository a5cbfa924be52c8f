//! What is said of a statement, as data.

use std::net::IpAddr;

use crate::engine::{Condition, Decider, End, PacketSet, Place, Undecided, Unknown, Verdict};
use crate::eval;
use crate::net::Direction;
use crate::packet::Packet;
use crate::policy::nobody;
use crate::ruleset::{Name, RuleId, Ruleset};
use crate::source::Span;

/// What became of one statement.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Its number among the policy's statements.
    pub statement: usize,
    /// What was found.
    pub outcome: Outcome,
}

/// The outcomes of POLICY.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It holds.
    Holds,
    /// Packets offend it.
    Violated(Violation),
    /// It could not be proved, and no packet surely offends it.
    Unproven {
        /// Why not.
        doubts: Vec<Doubt>,
        /// The packets that may offend it.
        violation: Violation,
    },
    /// There is no such packet.
    Vacuous,
}

impl Outcome {
    /// The word for it in every format.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Violated(_) => "violated",
            Self::Unproven { .. } => "unproven",
            Self::Vacuous => "vacuous",
        }
    }

    /// The packets that offend it, or may.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Self::Violated(violation) | Self::Unproven { violation, .. } => Some(violation),
            Self::Holds | Self::Vacuous => None,
        }
    }

    /// The same, to be changed.
    pub fn violation_mut(&mut self) -> Option<&mut Violation> {
        match self {
            Self::Violated(violation) | Self::Unproven { violation, .. } => Some(violation),
            Self::Holds | Self::Vacuous => None,
        }
    }
}

/// The packets that offend a statement, by their causes.
#[derive(Clone, Debug, Default)]
pub struct Violation {
    /// The causes, the most telling first.
    pub causes: Vec<Cause>,
    /// Whether more packets than these may offend it: the search was cut short, or there are doubts.
    pub more: bool,
    /// Why there may be more.
    pub doubts: Vec<Doubt>,
}

/// Packets that offend a statement for one and the same reason: the same hops, the same deciding rules.
#[derive(Clone, Debug)]
pub struct Cause {
    /// How they offend it.
    pub why: Why,
    /// Where each hop was and what decided it.
    pub hops: Vec<(Place, Decider, Verdict)>,
    /// Where the packets end.
    pub end: End,
    /// The packets.
    pub packets: PacketSet,
    /// Whether only those of them whose source is their destination.
    pub own_reverse: bool,
    /// The interface whose address is not known, if it happens only to those that are sent to that address.
    pub to_own: Option<Name>,
    /// What must be so for it to happen.
    pub conditions: Vec<Condition>,
    /// One of them, replayed.
    pub example: Option<Counterexample>,
    /// One of them that the evaluator cannot replay, because it hangs on what is not known.
    pub possible: Option<Packet>,
}

/// How packets offend a statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// They get through, and must not.
    GetsThrough,
    /// They do not get through, and must.
    Stopped,
    /// They get through, but their replies do not come back.
    ReplyStopped,
    /// They get through, but not as expected: the numbers of the expectations that fail, and their places.
    Unexpected(Vec<(usize, Span)>),
}

impl Why {
    /// What the packet does, as a verb.
    #[must_use]
    pub fn says(&self) -> &'static str {
        match self {
            Self::GetsThrough => "gets through",
            Self::Stopped => "does not get through",
            Self::ReplyStopped => "gets no reply",
            Self::Unexpected(..) => "gets through otherwise than expected",
        }
    }
}

/// One packet that offends a statement, as the evaluator sees it.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The packet.
    pub packet: Packet,
    /// Its way through the machine.
    pub journey: eval::Journey,
    /// The way of its reply, or of what its sender sends then, where that is what offends.
    pub reply: Option<(Packet, eval::Journey)>,
    /// The addresses that pf takes from the pools of rules, where with others it would not offend.
    pub choices: Vec<(RuleId, IpAddr)>,
    /// The expectations that are not met, where that is what offends.
    pub unmet: Vec<Span>,
    /// What is supposed of the machine that is not known of it, or may be otherwise: the words after «supposing».
    pub supposed: Option<String>,
}

impl Counterexample {
    /// The direction of a hop, for reports.
    #[must_use]
    pub fn directions(&self) -> Vec<Direction> {
        self.journey.hops.iter().map(|hop| hop.direction).collect()
    }
}

/// Why nothing could be proved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// It hangs on this.
    Depends(Condition),
    /// The packets themselves hang on the contents of this table.
    Packets(Unknown),
    /// The engine gave no answer.
    Undecided(Undecided),
    /// The machine may be in another state, in which the outcome is not the same.
    Circumstance(String),
}

impl Doubt {
    /// The `assume` that would settle it, if there is one.
    #[must_use]
    pub fn assumption(&self, ruleset: &Ruleset) -> Option<String> {
        let unknown = match self {
            Self::Depends(condition) => &condition.unknown,
            Self::Packets(unknown) => unknown,
            Self::Undecided(_) | Self::Circumstance(_) => return None,
        };
        match unknown {
            Unknown::Table(name) => {
                let main = ruleset.anchors.get(Ruleset::MAIN);
                let table = main.and_then(|main| main.tables.get(name));
                if let Some(open) = table
                    .filter(|table| !table.unknown)
                    .and_then(|table| table.interfaces.first())
                {
                    return Some(format!("assume {} ADDRESS/BITS", open.address.interface));
                }
                let filled = table.is_some_and(|table| !table.is_empty());
                let contents = if filled { "as written" } else { "empty" };
                Some(format!("assume table <{name}> {contents}"))
            }
            Unknown::Anchor(name) => Some(format!("assume anchor \"{name}\" empty")),
            Unknown::Address(name) | Unknown::Loaded(name) | Unknown::Network(name) => {
                Some(format!("assume {name} ADDRESS/BITS"))
            }
            Unknown::User => {
                let Self::Depends(Condition { rule: Some(rule), .. }) = self else {
                    return None;
                };
                nobody(ruleset.rule(rule)?).map(|words| format!("assume {words}"))
            }
            Unknown::Os | Unknown::Probability | Unknown::Once | Unknown::Rate | Unknown::Tag | Unknown::Pool => None,
        }
    }
}
