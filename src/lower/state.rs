//! State options: what `keep state ( … )` or `set state-defaults` says, applied to a rule in order.

use super::{Lowerer, Refused};
use crate::ruleset::{Rate, SourceTrack, StateOptions, StatePolicy, Timeout};
use crate::source::At;
use crate::syntax::ast::{FlushKind, SourceTracking, StateLock, StateOption, StateOptionKind};

/// The timeouts in pfvar.h's order (`PFTM_`), which is that of printing.
pub(super) const TIMEOUTS: [&str; 20] = [
    "tcp.first",
    "tcp.opening",
    "tcp.established",
    "tcp.closing",
    "tcp.finwait",
    "tcp.closed",
    "udp.first",
    "udp.single",
    "udp.multiple",
    "icmp.first",
    "icmp.error",
    "other.first",
    "other.single",
    "other.multiple",
    "frag",
    "interval",
    "adaptive.start",
    "adaptive.end",
    "src.track",
    "tcp.tsdiff",
];
const ADAPTIVE_START: usize = 16;
const ADAPTIVE_END: usize = 17;
const SOURCE_NODE: usize = 18;

/// The other words of state options.
const OPTIONS: [&str; 12] = [
    "floating",
    "if-bound",
    "max",
    "max-src-conn",
    "max-src-conn-rate",
    "max-src-nodes",
    "max-src-states",
    "no-sync",
    "overload",
    "pflow",
    "sloppy",
    "source-track",
];

/// `PF_THRESHOLD_MAX`.
const HIGHEST_RATE: u32 = u32::MAX / 1000;

/// The state options of one rule while they are gathered.
#[derive(Default)]
struct Draft {
    options: StateOptions,
    timeouts: [u32; TIMEOUTS.len()],
    tracking: Option<SourceTracking>,
    /// Some option counts sources (`PFRULE_SRCTRACK`).
    tracks: bool,
    /// Some option counts them for this rule (`PFRULE_RULESRCTRACK`).
    tracks_rule: bool,
    locked: bool,
    adaptive: bool,
}

impl Lowerer<'_> {
    /// The options of a stateful rule. `at` is the rule, where faults of `set state-defaults` show.
    pub(super) fn state_options(
        &mut self,
        options: &[StateOption],
        defaults: bool,
        at: At,
    ) -> Result<StateOptions, Refused> {
        let mut draft = Draft::default();
        for option in options {
            let place = if defaults { at } else { option.at };
            if let Err(text) = draft.apply(&option.kind, |name| self.name(name)) {
                return Err(self.refuse(place, text));
            }
        }
        if !draft.locked && self.shared.state_policy == StatePolicy::IfBound {
            draft.options.if_bound = true;
        }
        draft.finish().map_err(|text| self.refuse(at, text))
    }

    /// Refuses timeouts that no state has.
    pub(super) fn check_timeouts(&mut self, options: &[StateOption]) -> Result<(), Refused> {
        for option in options {
            if let StateOptionKind::Timeout { name, .. } = &option.kind
                && let Err(text) = state_timeout(&name.text)
            {
                let of_states = TIMEOUTS.iter().copied().filter(|name| name.contains('.'));
                let near = self.did_you_mean(&name.text, of_states.chain(OPTIONS));
                let help = near.unwrap_or_else(|| "a timeout of states is such as `tcp.established 3600`".to_owned());
                return Err(self.refuse_with(name.at, text, Some(help)));
            }
        }
        Ok(())
    }
}

/// The number of a timeout that a state may have.
fn state_timeout(name: &str) -> Result<usize, String> {
    let Some(number) = TIMEOUTS.iter().position(|&known| known == name) else {
        return Err(format!("illegal timeout name {name}"));
    };
    if name.contains('.') {
        Ok(number)
    } else {
        Err(format!("illegal state timeout {name}"))
    }
}

impl Draft {
    /// Applies one option; pfctl's text where it refuses it.
    fn apply(
        &mut self,
        kind: &StateOptionKind,
        mut intern: impl FnMut(&str) -> crate::ruleset::Name,
    ) -> Result<(), String> {
        let twice = |name: &str| Err(format!("state option '{name}' multiple definitions"));
        let zero = |name: &str| Err(format!("'{name}' must be > 0"));
        let options = &mut self.options;
        match kind {
            StateOptionKind::Max(_) if options.max.is_some() => return twice("max"),
            StateOptionKind::Max(max) => options.max = Some(*max).filter(|&max| max > 0),
            StateOptionKind::NoSync if options.no_sync => return twice("sync"),
            StateOptionKind::NoSync => options.no_sync = true,
            StateOptionKind::SourceTrack(_) if self.tracking.is_some() => return twice("source-track"),
            StateOptionKind::SourceTrack(tracking) => {
                self.tracking = Some(*tracking);
                self.tracks = true;
            }
            StateOptionKind::MaxSrcStates(_) if options.max_src_states.is_some() => return twice("max-src-states"),
            StateOptionKind::MaxSrcStates(0) => return zero("max-src-states"),
            StateOptionKind::MaxSrcStates(states) => {
                options.max_src_states = Some(*states);
                self.tracks = true;
            }
            StateOptionKind::Overload { .. } if options.overload.is_some() => {
                return Err("multiple 'overload' table definitions".to_owned());
            }
            StateOptionKind::Overload { table, flush } => {
                options.overload = Some(intern(&table.text));
                options.flush = flush.map(|flush| match flush {
                    FlushKind::Rule => false,
                    FlushKind::Global => true,
                });
            }
            StateOptionKind::MaxSrcConn(_) if options.max_src_conn.is_some() => return twice("max-src-conn"),
            StateOptionKind::MaxSrcConn(0) => return zero("max-src-conn"),
            StateOptionKind::MaxSrcConn(connections) => {
                options.max_src_conn = Some(*connections);
                (self.tracks, self.tracks_rule) = (true, true);
            }
            StateOptionKind::MaxSrcConnRate(_) if options.max_src_conn_rate.is_some() => {
                return twice("max-src-conn-rate");
            }
            StateOptionKind::MaxSrcConnRate(rate) if rate.limit == 0 || rate.seconds == 0 => {
                return Err("'max-src-conn-rate' values must be > 0".to_owned());
            }
            StateOptionKind::MaxSrcConnRate(rate) if rate.limit > HIGHEST_RATE => {
                return Err(format!("'max-src-conn-rate' maximum rate must be < {HIGHEST_RATE}"));
            }
            StateOptionKind::MaxSrcConnRate(rate) => {
                options.max_src_conn_rate = Some(Rate {
                    limit: rate.limit,
                    seconds: rate.seconds,
                });
                (self.tracks, self.tracks_rule) = (true, true);
            }
            StateOptionKind::MaxSrcNodes(_) if options.max_src_nodes.is_some() => return twice("max-src-nodes"),
            StateOptionKind::MaxSrcNodes(0) => return zero("max-src-nodes"),
            StateOptionKind::MaxSrcNodes(nodes) => {
                options.max_src_nodes = Some(*nodes);
                (self.tracks, self.tracks_rule) = (true, true);
            }
            StateOptionKind::Lock(_) if self.locked => {
                return Err("state locking option: multiple definitions".to_owned());
            }
            StateOptionKind::Lock(lock) => {
                self.locked = true;
                options.if_bound = *lock == StateLock::IfBound;
            }
            StateOptionKind::Sloppy if options.sloppy => {
                return Err("state sloppy option: multiple definitions".to_owned());
            }
            StateOptionKind::Sloppy => options.sloppy = true,
            StateOptionKind::Pflow if options.pflow => {
                return Err("state pflow option: multiple definitions".to_owned());
            }
            StateOptionKind::Pflow => options.pflow = true,
            StateOptionKind::Timeout { name, seconds } => {
                let number = state_timeout(&name.text)?;
                if self.timeouts[number] != 0 {
                    return Err(format!("state timeout {name} multiple definitions"));
                }
                self.adaptive |= number == ADAPTIVE_START || number == ADAPTIVE_END;
                self.timeouts[number] = *seconds;
            }
        }
        Ok(())
    }

    /// What follows from all options together.
    fn finish(mut self) -> Result<StateOptions, String> {
        let options = &mut self.options;
        if let Some(max) = options.max.filter(|_| !self.adaptive) {
            self.timeouts[ADAPTIVE_START] = (max / 10).wrapping_mul(6);
            self.timeouts[ADAPTIVE_END] = (max / 10).wrapping_mul(12);
        }
        if self.tracks {
            if self.tracking == Some(SourceTracking::Global) {
                let incompatible = [
                    (options.max_src_nodes.is_some(), "max-src-nodes"),
                    (options.max_src_conn.is_some(), "max-src-conn"),
                    (options.max_src_conn_rate.is_some(), "max-src-conn-rate"),
                ];
                if let Some((_, name)) = incompatible.into_iter().find(|&(set, _)| set) {
                    return Err(format!("'{name}' is incompatible with 'source-track global'"));
                }
            }
            let seconds = options.max_src_conn_rate.map_or(0, |rate| rate.seconds);
            self.timeouts[SOURCE_NODE] = self.timeouts[SOURCE_NODE].max(seconds);
            let by_rule = self.tracks_rule || self.tracking == Some(SourceTracking::Rule);
            options.source_track = Some(if by_rule {
                SourceTrack::Rule
            } else {
                SourceTrack::Global
            });
        }
        options.timeouts = TIMEOUTS
            .iter()
            .zip(self.timeouts)
            .filter(|&(_, seconds)| seconds != 0)
            .map(|(&name, seconds)| Timeout { name, seconds })
            .collect();
        Ok(self.options)
    }
}
