//! `keep state` and its options.

use super::host::TABLE_SIZE;
use super::{Builder, Built, Pair, shorter};
use crate::syntax::ast::{
    FlushKind, KeepOption, SourceTracking, StateKind, StateLock, StateOption, StateOptionKind, Word,
};
use crate::syntax::grammar::Rule;

impl Builder {
    /// `no state`, `keep state`, `modulate state`, `synproxy state`
    pub(super) fn keep(&self, pair: Pair<'_>) -> Built<KeepOption> {
        let mut keep = KeepOption {
            at: self.at(&pair),
            kind: StateKind::No,
            options: Vec::new(),
        };
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::keep => keep.kind = StateKind::Keep,
                Rule::modulate => keep.kind = StateKind::Modulate,
                Rule::synproxy => keep.kind = StateKind::Synproxy,
                Rule::state_opts => keep.options = self.state_opts(inner)?,
                _ => keep.kind = StateKind::No,
            }
        }
        Ok(keep)
    }

    pub(super) fn state_opts(&self, pair: Pair<'_>) -> Built<Vec<StateOption>> {
        pair.into_inner()
            .flat_map(Pair::into_inner)
            .map(|option| {
                let at = self.at(&option);
                let kind = self.state_opt(option)?;
                Ok(StateOption { at, kind })
            })
            .collect()
    }

    fn state_opt(&self, pair: Pair<'_>) -> Built<StateOptionKind> {
        Ok(match pair.as_rule() {
            Rule::max => StateOptionKind::Max(self.positive(pair)?.value),
            Rule::no_sync => StateOptionKind::NoSync,
            Rule::source_track => {
                StateOptionKind::SourceTrack(match pair.into_inner().next().map(|inner| inner.as_rule()) {
                    None => SourceTracking::Default,
                    Some(Rule::global) => SourceTracking::Global,
                    Some(_) => SourceTracking::Rule,
                })
            }
            Rule::max_src_states => StateOptionKind::MaxSrcStates(self.positive(pair)?.value),
            Rule::max_src_conn => StateOptionKind::MaxSrcConn(self.positive(pair)?.value),
            Rule::max_src_conn_rate => StateOptionKind::MaxSrcConnRate(self.rate(pair)?),
            Rule::max_src_nodes => StateOptionKind::MaxSrcNodes(self.positive(pair)?.value),
            Rule::overload => {
                let flush = pair
                    .clone()
                    .into_inner()
                    .find(|inner| inner.as_rule() == Rule::flush)
                    .map(|flush| match flush.into_inner().next() {
                        Some(_) => FlushKind::Global,
                        None => FlushKind::Rule,
                    });
                let table = shorter(self.only_word(pair), TABLE_SIZE, |name| {
                    format!("table name '{name}' too long")
                })?;
                StateOptionKind::Overload { table, flush }
            }
            Rule::state_lock => StateOptionKind::Lock(state_lock(&pair)),
            Rule::sloppy => StateOptionKind::Sloppy,
            Rule::pflow => StateOptionKind::Pflow,
            _ => {
                let (name, seconds) = self.named_number(pair)?;
                StateOptionKind::Timeout {
                    name,
                    seconds: seconds.value,
                }
            }
        })
    }

    /// A name and its number: a timeout or limit.
    pub(super) fn named_number(&self, pair: Pair<'_>) -> Built<(Word, crate::syntax::ast::Spanned<u32>)> {
        let name = self.only_word(pair.clone());
        Ok((name, self.positive(pair)?))
    }
}

/// `if-bound`, `floating`
pub(super) fn state_lock(pair: &Pair<'_>) -> StateLock {
    match pair.as_str() {
        "if-bound " => StateLock::IfBound,
        _ => StateLock::Floating,
    }
}
