//! `keep state` and its options.

use super::{Name, Rate};

/// Whether and how a rule keeps state (`keep_state` of pf_rule).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepState {
    /// `no state`, and block and match rules.
    #[default]
    No,
    /// `keep state`.
    Keep,
    /// `modulate state`.
    Modulate,
    /// `synproxy state`.
    Synproxy,
}

/// `source-track`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceTrack {
    /// Over all rules.
    Global,
    /// For this rule.
    Rule,
}

/// A timeout, by its number in pfvar.h's `PFTM_` list, and its seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// Its name in pf.conf(5), such as `tcp.established`.
    pub name: &'static str,
    /// Seconds.
    pub seconds: u32,
}

/// The options in the parentheses of `keep state ( … )`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateOptions {
    /// `max N`.
    pub max: Option<u32>,
    /// `no-sync`.
    pub no_sync: bool,
    /// `source-track`, said or implied.
    pub source_track: Option<SourceTrack>,
    /// `max-src-states N`.
    pub max_src_states: Option<u32>,
    /// `max-src-conn N`.
    pub max_src_conn: Option<u32>,
    /// `max-src-conn-rate N/S`.
    pub max_src_conn_rate: Option<Rate>,
    /// `max-src-nodes N`.
    pub max_src_nodes: Option<u32>,
    /// `overload <table>`.
    pub overload: Option<Name>,
    /// `flush`, and whether `global`.
    pub flush: Option<bool>,
    /// `if-bound`.
    pub if_bound: bool,
    /// `sloppy`.
    pub sloppy: bool,
    /// `pflow`.
    pub pflow: bool,
    /// Timeouts, in pfvar.h's order.
    pub timeouts: Vec<Timeout>,
}
