//! All packets at once: what `eval` answers for one packet, answered for every packet of a region.
//!
//! The one primitive is [`Engine::classes`]: it enumerates, lazily and within a budget, boxes of packets that have one
//! and the same [`Journey`] of the kind that is asked for. The questions of a policy, dead rules, differences and the
//! matrix of zones are asked through it. Where the header alone does not decide, a class names its [`Condition`]s:
//! what pf chooses and what only the machine knows. So «nothing gets through» is an empty enumeration of
//! [`Goal::GetsThrough`], and «everything surely gets through» an empty one of [`Goal::Stopped`].
//!
//! A field is a line of numbers, a condition on it a set of ranges, and a box has one for each field. Numbers are not
//! compressed to ranks: what translates makes new ones on the way, and interval trees over the ranges of the rules find
//! those that overlap a box without it. No diagram of all that passes is built: boxes are taken away from a region one
//! by one, around points that show why (`cover`), and only what is to be shown is joined to few large boxes.
//!
//! An [`Engine`] is shared by threads: what it makes when it is first asked for is made once. Searches are their own. What
//! is made while others wait for it starts nothing side by side: a thread that took up their work would wait for itself.
//!
//! Knows nothing of `eval`: the two are checked against each other.

mod answers;
#[cfg(test)]
#[path = "../../tests/support/generate.rs"]
#[allow(dead_code, reason = "benches use the rest")]
mod generate;
mod packets;
mod rules;
mod search;

pub use answers::dead::{DeadRule, Idle, RedundantRule};
pub use answers::decided::{Decided, Effort};
pub use answers::difference::{Change, Difference};
pub(crate) use answers::edit::Noticing;
pub use packets::header::{Field, Header, PacketBox};
pub use packets::set::PacketSet;
pub use packets::space::{InterfaceId, Place, Space, address, address_number};
pub use packets::transport;
pub use rules::list::Drop;
pub(crate) use rules::memo::Memo;
pub use rules::unknown::Unknown;
pub use search::journey::{Class, Condition, Decider, End, Ends, Hop, Journey, Undecided, Value, Verdict};
pub use search::question::{Goal, Question, Scope};

use self::packets::witness;
use self::rules::nearby::Nearby;
use self::search::classes::Classes;
use self::search::compiled::Compiled;
use crate::context::Context;
use crate::net::{Family, RangeSet};
use crate::ruleset::Ruleset;

/// A ruleset on a machine, ready for questions.
#[derive(Debug)]
pub struct Engine<'a> {
    compiled: Compiled<'a>,
}

impl<'a> Engine<'a> {
    /// The engine for that ruleset on that machine.
    #[must_use]
    pub fn new(ruleset: &'a Ruleset, context: &'a Context) -> Self {
        Self {
            compiled: Compiled::new(ruleset, context, Space::new(ruleset, context), None),
        }
    }

    /// The same for those packets alone.
    fn near(ruleset: &'a Ruleset, context: &'a Context, space: Space, nearby: &Nearby) -> Self {
        Self {
            compiled: Compiled::new(ruleset, context, space, Some(nearby)),
        }
    }

    /// What the numbers of places and tags mean.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.compiled.space
    }

    /// The ruleset.
    #[must_use]
    pub fn ruleset(&self) -> &'a Ruleset {
        self.compiled.ruleset
    }

    /// The machine.
    #[must_use]
    pub fn context(&self) -> &'a Context {
        self.compiled.context
    }

    /// The classes of packets that the question asks for. After [`Undecided::Steps`] nothing follows;
    /// [`Undecided::Unmodelled`] stands for packets that may be asked for and of which nothing can be said.
    ///
    /// Every packet with a wanted journey is in the region of a class with that journey; regions of one journey are
    /// disjoint, those of journeys on different conditions may overlap.
    pub fn classes(&self, question: Question) -> impl Iterator<Item = Result<Class, Undecided>> + '_ {
        Classes::new(&self.compiled, question)
    }

    /// What happens to the packets that follow those of a class in their flow, on the states that its hops have made:
    /// the replies, and of tcp the originator's later packets. The classes of packets of the region of which a
    /// following packet has a journey of the wanted kind; icmp that is no query has no reply.
    pub fn replies(&self, class: &Class, goal: Goal) -> impl Iterator<Item = Result<Class, Undecided>> + '_ {
        Classes::following(&self.compiled, class, Question::new(PacketSet::empty(), goal))
    }

    /// The addresses of a family that are routed out of an interface, by its own routing domain's table.
    #[must_use]
    pub fn routed_to(&self, interface: InterfaceId, family: Family) -> RangeSet {
        self.compiled.routed_to(interface, family)
    }

    /// The same, as far as it is known.
    #[must_use]
    pub fn surely_routed_to(&self, interface: InterfaceId, family: Family) -> RangeSet {
        self.compiled.surely_routed_to(interface, family)
    }

    /// The packet of a box that people would think of first.
    #[must_use]
    pub fn readable(&self, region: &PacketBox) -> Header {
        witness::readable(region)
    }
}
