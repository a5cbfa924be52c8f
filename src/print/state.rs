//! How a rule keeps state, its options, and its probability, which pfctl prints between them.

use std::fmt::{self, Write};

use super::rule::Separated;
use crate::ruleset::{Action, KeepState, Rule, SourceTrack, StateOptions};

pub(super) fn write(out: &mut impl Write, rule: &Rule) -> fmt::Result {
    let options = rule.state.as_deref().filter(|options| is_printed(options));
    match rule.keep_state {
        KeepState::No if rule.action == Action::Pass => out.write_str(" no state")?,
        KeepState::Keep if options.is_some() => out.write_str(" keep state")?,
        KeepState::No | KeepState::Keep => {}
        KeepState::Modulate => out.write_str(" modulate state")?,
        KeepState::Synproxy => out.write_str(" synproxy state")?,
    }
    if let Some(probability) = rule.probability {
        let percent = format!("{:.6}", f64::from(probability) * 100.0 / 4_294_967_296.0);
        let percent = percent.trim_end_matches('0').trim_end_matches('.');
        write!(out, " probability {percent}%")?;
    }
    match options {
        Some(options) => write_options(out, options),
        None => Ok(()),
    }
}

/// Whether pfctl takes note of the options (`ropts` of `print_rule`).
fn is_printed(options: &StateOptions) -> bool {
    *options != StateOptions::default()
}

fn write_options(out: &mut impl Write, options: &StateOptions) -> fmt::Result {
    let StateOptions {
        max,
        no_sync,
        source_track,
        max_src_states,
        max_src_conn,
        max_src_conn_rate,
        max_src_nodes,
        overload,
        flush,
        if_bound,
        sloppy,
        pflow,
        timeouts,
    } = options;
    let mut words = Separated::new(" (", ", ");
    if let Some(max) = max {
        write!(words.next(out)?, "max {max}")?;
    }
    if *no_sync {
        words.next(out)?.write_str("no-sync")?;
    }
    match source_track {
        Some(SourceTrack::Rule) => words.next(out)?.write_str("source-track rule")?,
        Some(SourceTrack::Global) => words.next(out)?.write_str("source-track global")?,
        None => {}
    }
    if let Some(states) = max_src_states {
        write!(words.next(out)?, "max-src-states {states}")?;
    }
    if let Some(connections) = max_src_conn {
        write!(words.next(out)?, "max-src-conn {connections}")?;
    }
    if let Some(rate) = max_src_conn_rate {
        write!(words.next(out)?, "max-src-conn-rate {}/{}", rate.limit, rate.seconds)?;
    }
    if let Some(nodes) = max_src_nodes {
        write!(words.next(out)?, "max-src-nodes {nodes}")?;
    }
    if let Some(table) = overload {
        write!(words.next(out)?, "overload <{table}>")?;
        match flush {
            Some(true) => out.write_str(" flush global")?,
            Some(false) => out.write_str(" flush")?,
            None => {}
        }
    }
    for (set, word) in [(if_bound, "if-bound"), (sloppy, "sloppy"), (pflow, "pflow")] {
        if *set {
            words.next(out)?.write_str(word)?;
        }
    }
    for timeout in timeouts {
        write!(words.next(out)?, "{} {}", timeout.name, timeout.seconds)?;
    }
    words.end(out, ")")
}
