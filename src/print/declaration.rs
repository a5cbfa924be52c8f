//! Macros, options, tables and queues (`print_tabledef`, `print_queuespec`, and what pfctl.c says of options).

use std::fmt::{self, Write};

use super::address;
use crate::ruleset::{
    Bandwidth, BlockPolicy, Declaration, Queue, ServiceCurve, Setting, StatePolicy, SyncookieMode, TableContent,
};

pub(super) fn write(out: &mut impl Write, declaration: &Declaration) -> fmt::Result {
    match declaration {
        Declaration::Macro { name, value } => writeln!(out, "{name} = \"{value}\""),
        Declaration::Set(setting) => write_setting(out, setting),
        Declaration::Table {
            name,
            constant,
            persist,
            counters,
            initialized,
            contents,
        } => {
            write!(out, "table <{name}>")?;
            for (set, word) in [(constant, " const"), (persist, " persist"), (counters, " counters")] {
                if *set {
                    out.write_str(word)?;
                }
            }
            write_contents(out, contents)?;
            if *initialized && contents.is_empty() {
                out.write_str(" { }")?;
            }
            out.write_char('\n')
        }
    }
}

/// Files stand by themselves, addresses between them share braces.
fn write_contents(out: &mut impl Write, contents: &[TableContent]) -> fmt::Result {
    let mut open = false;
    for content in contents {
        let negated = match content {
            TableContent::File(path) => {
                if std::mem::take(&mut open) {
                    out.write_str(" }")?;
                }
                write!(out, " file \"{path}\"")?;
                continue;
            }
            TableContent::Entry(entry) => entry.negated,
            TableContent::Range(..) => false,
            TableContent::Interface { negated, .. } => *negated,
        };
        if !std::mem::replace(&mut open, true) {
            out.write_str(" {")?;
        }
        out.write_str(if negated { " !" } else { " " })?;
        match content {
            TableContent::Entry(entry) => {
                address::write_prefix(out, entry.prefix)?;
                if let Some(interface) = &entry.interface {
                    write!(out, "@{interface}")?;
                }
            }
            TableContent::Interface { address, .. } => address::write_dynamic(out, address, None)?,
            TableContent::Range(first, last) => {
                address::write_ip(out, *first)?;
                out.write_str(" - ")?;
                address::write_ip(out, *last)?;
            }
            TableContent::File(_) => {}
        }
    }
    if open { out.write_str(" }") } else { Ok(()) }
}

fn write_setting(out: &mut impl Write, setting: &Setting) -> fmt::Result {
    match setting {
        Setting::Reassemble(reassemble) => {
            let yes = if reassemble.enabled { "yes" } else { "no" };
            let no_df = if reassemble.no_df { "no-df" } else { "" };
            // pfctl leaves the blank before a missing word.
            writeln!(out, "set reassemble {yes} {no_df}")
        }
        Setting::Optimization(name) => writeln!(out, "set optimization {name}"),
        // pfctl prints these unsigned numbers as signed ones.
        Setting::Timeout(name, seconds) => writeln!(out, "set timeout {name} {}", seconds.cast_signed()),
        Setting::Limit(name, limit) => writeln!(out, "set limit {name} {}", limit.cast_signed()),
        Setting::LogInterface(name) => writeln!(out, "set loginterface {name}"),
        Setting::HostId(id) => writeln!(out, "set hostid 0x{id:08x}"),
        Setting::BlockPolicy(BlockPolicy::Drop) => writeln!(out, "set block-policy drop"),
        Setting::BlockPolicy(BlockPolicy::Return) => writeln!(out, "set block-policy return"),
        Setting::Fingerprints(path) => writeln!(out, "set fingerprints \"{path}\""),
        Setting::StatePolicy(StatePolicy::Floating) => writeln!(out, "set state-policy floating"),
        Setting::StatePolicy(StatePolicy::IfBound) => writeln!(out, "set state-policy if-bound"),
        Setting::Debug(level) => writeln!(out, "set debug {level}"),
        Setting::Skip(names) if names.is_empty() => writeln!(out, "set skip on none"),
        Setting::Skip(names) => {
            out.write_str("set skip on {")?;
            for name in names {
                write!(out, " {name}")?;
            }
            out.write_str(" }\n")
        }
        Setting::Syncookies(SyncookieMode::Never) => writeln!(out, "set syncookies never"),
        Setting::Syncookies(SyncookieMode::Always) => writeln!(out, "set syncookies always"),
        Setting::Syncookies(SyncookieMode::Adaptive(None)) => writeln!(out, "set syncookies adaptive"),
        Setting::Syncookies(SyncookieMode::Adaptive(Some((start, end)))) => {
            writeln!(out, "set syncookies adaptive (start {start}%, end {end}%)")
        }
    }
}

pub(super) fn write_queue(out: &mut impl Write, queue: &Queue) -> fmt::Result {
    let Queue {
        name,
        parent,
        interface,
        flows,
        quantum,
        bandwidth,
        min,
        max,
        default,
        limit,
    } = queue;
    write!(out, "queue {name}")?;
    match (parent, interface) {
        (Some(parent), _) => write!(out, " parent {parent}")?,
        (None, Some(interface)) => write!(out, " on {interface}")?,
        (None, None) => {}
    }
    if let Some(flows) = flows {
        write!(out, " flows {flows}")?;
        if let Some(quantum) = quantum {
            write!(out, " quantum {quantum}")?;
        }
    }
    if let Some(curve) = bandwidth.filter(|curve| !is_zero(curve)) {
        write_curve(out, " bandwidth ", curve)?;
        if let Some(min) = min {
            write_curve(out, ", min ", *min)?;
        }
        if let Some(max) = max {
            write_curve(out, ", max ", *max)?;
        }
    }
    if *default {
        out.write_str(" default")?;
    }
    if *limit != 0 {
        write!(out, " qlimit {limit}")?;
    }
    out.write_char('\n')
}

fn is_zero(curve: &ServiceCurve) -> bool {
    curve.bandwidth.0 == 0 && curve.burst.is_none_or(|(bandwidth, _)| bandwidth.0 == 0)
}

fn write_curve(out: &mut impl Write, before: &str, curve: ServiceCurve) -> fmt::Result {
    write_bandwidth(out, before, curve.bandwidth)?;
    match curve.burst {
        Some((bandwidth, milliseconds)) if milliseconds != 0 => {
            out.write_str(" burst ")?;
            write_bandwidth(out, "", bandwidth)?;
            write!(out, " for {milliseconds}ms")
        }
        Some(_) | None => Ok(()),
    }
}

/// The number with the largest unit that divides it; a blank is the unit of bits; nothing for zero.
fn write_bandwidth(out: &mut impl Write, before: &str, bandwidth: Bandwidth) -> fmt::Result {
    let mut rate = bandwidth.0;
    if rate == 0 {
        return Ok(());
    }
    let mut units = [' ', 'K', 'M', 'G'].into_iter();
    let mut unit = units.next();
    while rate >= 1000 && rate.is_multiple_of(1000) {
        rate /= 1000;
        // A fourth division leaves pfctl with its string's end as the unit.
        unit = units.next();
        if unit.is_none() {
            unit = Some('\0');
            break;
        }
    }
    write!(out, "{before}{rate}{}", unit.unwrap_or(' '))
}
