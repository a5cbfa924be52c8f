//! The ruleset as pf has it after expansion: one [`Rule`] for each `@N`. Plain data: no text, no decisions.
//!
//! The names follow pf.conf(5) and `struct pf_rule` of pfvar.h. `lower` makes it, `print` writes it as pfctl
//! does, `eval` and `engine` decide by it.

mod declaration;
mod options;
mod peer;
mod pool;
mod queue;
mod rule;
mod state;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use declaration::{Declaration, Loaded, Setting, SyncookieMode, TableContent};
pub use options::{Absent, BlockPolicy, Options, Reassemble, StatePolicy};
pub use peer::{DynamicAddress, Host, Modifiers, Peer};
pub use pool::{AfTo, NatPorts, Pool, PoolAddress, PoolKind, RdrPorts, RouteTo, RouteToKind, Translation};
pub use queue::{Bandwidth, Queue, ServiceCurve};
pub use rule::{
    Action, AnchorCall, Block, Divert, IcmpMatch, InterfaceMatch, Log, Origin, Rate, ReceivedOn, Rule, RuleQueue,
    Scrub, SetFields, Tagged,
};
pub use state::{KeepState, SourceTrack, StateOptions, Timeout};
pub use table::{Table, TableEntry, TableInterface};

/// A name in a ruleset (interface, group, table, tag, label, anchor), cheap to clone.
pub type Name = Arc<str>;

/// One rule of a ruleset. Shown as pf counts: `3`, in an anchor `path@3`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId {
    /// The path of its ruleset.
    pub anchor: Name,
    /// Its number within it, `@N`.
    pub number: usize,
}

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.anchor.is_empty() {
            write!(f, "{}", self.number)
        } else {
            write!(f, "{}@{}", self.anchor, self.number)
        }
    }
}

/// All that pf loads from one pf.conf.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ruleset {
    /// The options that bear on decisions, as they stand at the end of the file.
    pub options: Options,
    /// The anchors by their whole path without a leading `/`; the main ruleset is `""`. Parents of every anchor are
    /// present. A path that is called but that nobody fills is absent.
    pub anchors: BTreeMap<Name, Anchor>,
}

/// One ruleset: the main one, or that of an anchor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Anchor {
    /// Its rules; a rule's number is its index.
    pub rules: Vec<Rule>,
    /// Its own tables, automatic ones (`__automatic_…`) included.
    pub tables: BTreeMap<Name, Table>,
}

impl Ruleset {
    /// The path of the main ruleset.
    pub const MAIN: &'static str = "";

    /// The rule of that number; `None` where there is none.
    #[must_use]
    pub fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.rules(&id.anchor).get(id.number)
    }

    /// All rules, with their numbers: the main ruleset's first, then anchor by anchor.
    pub fn all_rules(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        self.anchors.iter().flat_map(|(anchor, known)| {
            let id = |number| RuleId {
                anchor: anchor.clone(),
                number,
            };
            known
                .rules
                .iter()
                .enumerate()
                .map(move |(number, rule)| (id(number), rule))
        })
    }

    /// The table that a rule of an anchor means: the anchor's own, else the main ruleset's; `None` where neither has it
    /// (`pfr_attach_table`).
    #[must_use]
    pub fn table(&self, anchor: &str, name: &str) -> Option<&Table> {
        let of = |path: &str| self.anchors.get(path)?.tables.get(name);
        of(anchor).or_else(|| of(Self::MAIN))
    }

    /// The rules of the anchor at that path; none where it is absent.
    #[must_use]
    pub fn rules(&self, path: &str) -> &[Rule] {
        self.anchors.get(path).map_or(&[], |anchor| &anchor.rules)
    }
}
