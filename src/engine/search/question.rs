//! [`Question`]: which packets of a region have a journey of the wanted kind.

use rustc_hash::FxHashSet;

use crate::engine::packets::header::PacketBox;
use crate::engine::packets::set::PacketSet;
use crate::ruleset::RuleId;

/// Which journeys are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Those that get through: leave, or reach the machine itself.
    GetsThrough,
    /// Those that do not.
    Stopped,
    /// All.
    Any,
}

/// How far a packet is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One evaluation of the rules.
    Hop,
    /// To its end: in, route, out.
    Journey,
}

/// Which packets of `region` that are not excused have a journey of the wanted kind.
///
/// With `ends`, only those of which the header *at the end* is in that set too: the original header with the
/// destination and its port as translated, and the place of the last hop. Excuses are sets of the same two kinds, and
/// pairs of them.
#[derive(Clone, Debug)]
pub struct Question {
    pub(super) region: PacketSet,
    pub(super) goal: Goal,
    pub(super) scope: Scope,
    pub(super) ends: Option<PacketSet>,
    pub(super) excused: Vec<PacketBox>,
    pub(super) excused_at_end: Vec<PacketBox>,
    /// What is excused if it arrives in the one and ends in the other.
    pub(super) excused_flows: Vec<(PacketBox, PacketBox)>,
    pub(super) steps: u64,
    /// The rules of which one decides some hop, if not any.
    pub(super) by: Option<FxHashSet<RuleId>>,
    /// Whether copies of packets that `dup-to` sends elsewhere are asked for too.
    pub(super) copies: bool,
}

impl Question {
    /// How many steps an answer may take if nothing else is said.
    pub const STEPS: u64 = 4_000_000;

    /// The packets of the region that have such a journey, to their ends.
    #[must_use]
    pub fn new(region: PacketSet, goal: Goal) -> Self {
        Self {
            region,
            goal,
            scope: Scope::Journey,
            ends: None,
            excused: Vec::new(),
            excused_at_end: Vec::new(),
            excused_flows: Vec::new(),
            steps: Self::STEPS,
            by: None,
            copies: true,
        }
    }

    /// The same of one evaluation of the rules.
    #[must_use]
    pub fn of_one_hop(mut self) -> Self {
        self.scope = Scope::Hop;
        self
    }

    /// The same, only where the header at the end is in the set.
    #[must_use]
    pub fn ending_in(mut self, ends: PacketSet) -> Self {
        self.ends = Some(ends);
        self
    }

    /// The same without packets of that set.
    #[must_use]
    pub fn except(mut self, excused: &PacketSet) -> Self {
        self.excused.extend_from_slice(excused.boxes());
        self
    }

    /// The same without packets whose header at the end is in that set, of the family with which they arrived.
    #[must_use]
    pub fn except_ending_in(mut self, excused: &PacketSet) -> Self {
        self.excused_at_end.extend_from_slice(excused.boxes());
        self
    }

    /// The same without packets that are in the one set as they arrive, and whose header at the end is in the other.
    #[must_use]
    pub fn except_flows(mut self, arriving: &PacketSet, ending: &PacketSet) -> Self {
        for part in arriving.boxes() {
            let flows = ending.boxes().iter().map(|end| (part.clone(), end.clone()));
            self.excused_flows.extend(flows);
        }
        self
    }

    /// The same, only where one of those rules decides some hop.
    #[must_use]
    pub fn decided_by(mut self, rules: impl IntoIterator<Item = RuleId>) -> Self {
        self.by = Some(rules.into_iter().collect());
        self
    }

    /// The same without the copies that `dup-to` makes: the packets themselves alone.
    #[must_use]
    pub fn without_copies(mut self) -> Self {
        self.copies = false;
        self
    }

    /// The same with another budget of steps.
    #[must_use]
    pub fn within(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }
}
