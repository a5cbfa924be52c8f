//! [`Report`]: what `check` says of machines and policies, as data; one file a format.

mod build;
mod conditions;
mod human;
mod json;
mod short;

pub use build::{Subject, router};
pub(crate) use conditions::{condition_words, unknown_words};

use super::{Format, Look};
use crate::diagnostic::Diagnostic;
use crate::engine::{PacketSet, Space};
use crate::eval::Journey;
use crate::packet::Packet;
use crate::ruleset::Ruleset;
use crate::source::Sources;

/// All that one run of `check` found.
#[derive(Debug, Default)]
pub struct Report {
    /// One for each machine, in order.
    pub routers: Vec<Router>,
}

/// What was found of one machine.
#[derive(Debug, Default)]
pub struct Router {
    /// What its pf.conf is called.
    pub config: String,
    /// Lines of pf.conf, and rules after expansion.
    pub size: (usize, usize),
    /// The texts that the machine is known from, in words.
    pub known_from: Option<String>,
    /// What is assumed, one line each.
    pub assumed: Vec<String>,
    /// The statements of the policies, in their order.
    pub statements: Vec<Statement>,
    /// What the packets and rules of the statements are those of, where there are statements.
    pub model: Option<Model>,
    /// Who reaches whom, where there is no policy: one line each.
    pub matrix: Vec<String>,
    /// Which part of the ruleset the policy speaks about, in words.
    pub coverage: Vec<String>,
    /// What gets through and no statement speaks of, where that was asked.
    pub unspoken: Option<Unspoken>,
    /// What becomes of a pf.conf that pfctl refuses, in words; then nothing else was judged.
    pub refused: Option<String>,
    /// What else was found.
    pub findings: Vec<Diagnostic>,
    /// Counterexamples that did not replay: faults of pfproof.
    pub faults: Vec<String>,
}

/// Flows that pass and of which a policy says nothing.
#[derive(Debug)]
pub struct Unspoken {
    /// The packets that begin them, in few words, one line each.
    pub packets: Vec<String>,
    /// Whether there may be more.
    pub more: bool,
}

/// What was judged: it says what the numbers in packets and rules mean.
#[derive(Debug)]
pub struct Model {
    /// The rules.
    pub ruleset: Ruleset,
    /// The places of packets.
    pub space: Space,
}

/// One statement and its outcome.
#[derive(Debug)]
pub struct Statement {
    /// The policy's file, its line and column, from 1.
    pub place: (String, u32, u32),
    /// Its first word.
    pub verb: &'static str,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What it says, without its name, blanks merged.
    pub text: String,
    /// `holds`, `violated`, `unproven` or `vacuous`.
    pub outcome: &'static str,
    /// Why it is not proved, or what is wrong, in words.
    pub reasons: Vec<String>,
    /// How it is violated, the most telling cause first.
    pub causes: Vec<Cause>,
    /// All packets that violate it, in few words.
    pub packets: Vec<String>,
    /// The same in boxes, field by field.
    pub boxes: PacketSet,
    /// Whether packets that are their own reverse violate it besides, which are in no box.
    pub own_reverse: bool,
    /// Why there may be more than these, if so.
    pub more: Option<Vec<String>>,
    /// A change of pf.conf that was verified to mend it.
    pub repair: Option<Repair>,
}

/// A change of pf.conf after which the statement holds and no other breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The rules to add.
    pub rules: Vec<String>,
    /// Where: the name of the file and the line after which; 0 is before the first line.
    pub after: (String, u32),
}

/// Packets that violate a statement for one reason.
#[derive(Debug)]
pub struct Cause {
    /// Hops and deciding rules: the same for equal causes.
    pub key: String,
    /// Where the hops are: the same for causes that a reader would take for one.
    pub kind: String,
    /// What happens, in words, where it is not «gets through».
    pub says: String,
    /// The packet: its ends and protocol.
    pub packet: String,
    /// Its way.
    pub hops: Vec<Hop>,
    /// Where it ends, in words, where the hops do not show it.
    pub end: Option<String>,
    /// The choices of pf that it rests on, in words.
    pub choices: Vec<String>,
    /// The packet itself and its way, where it was replayed.
    pub example: Option<(Packet, Journey)>,
}

impl Cause {
    /// Whether a reader would see the same packet on the same way.
    fn looks_like(&self, other: &Self) -> bool {
        self.says == other.says && self.is_way_of(other)
    }

    /// Whether both only might happen, to the same packet on the same way, on the same conditions.
    fn goes_with(&self, other: &Self) -> bool {
        self.example.is_none() && other.example.is_none() && self.choices == other.choices && self.is_way_of(other)
    }

    fn is_way_of(&self, other: &Self) -> bool {
        (&self.packet, &self.hops, &self.end) == (&other.packet, &other.hops, &other.end)
    }
}

/// One line of a packet's way.
#[derive(Debug, PartialEq, Eq)]
pub enum Hop {
    /// An evaluation of the rules.
    Rules {
        /// `in` or `out`; `back` for those of a reply.
        direction: String,
        /// The interface.
        interface: String,
        /// The rules that matched, in order.
        rows: Vec<Row>,
        /// What came of it, where no row says it.
        outcome: Option<String>,
        /// What the packet became, where it was translated.
        translated: Option<String>,
    },
    /// A look into the routing table: the route and its interface.
    Route(String),
    /// The reply begins.
    Reply(String),
    /// What the sender sends when it has a reply begins.
    Next(String),
}

/// One rule that a packet matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `@5`.
    pub number: String,
    /// The rule as pfctl prints it.
    pub text: String,
    /// Whether it decides.
    pub decides: bool,
    /// Where it was written: file and line.
    pub place: (String, u32),
    /// The macros that it was written with and where they are defined: `$lan (line 2)`.
    pub macros: Vec<String>,
}

impl Report {
    /// The report in that format.
    #[must_use]
    pub fn render(&self, sources: &[&Sources], format: Format, look: Look) -> String {
        match format {
            Format::Human => human::render(self, sources, look),
            Format::Short => short::render(self, sources),
            Format::Json => json::render(self, sources),
        }
    }
}

impl Router {
    /// Whether every statement holds. An `allow` of no packet is only a warning.
    #[must_use]
    pub fn all_hold(&self) -> bool {
        let holds = |one: &Statement| one.outcome == "holds" || (one.verb == "allow" && one.outcome == "vacuous");
        self.statements.iter().all(holds)
    }
}
