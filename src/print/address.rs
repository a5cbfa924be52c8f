//! Addresses and hosts (`print_addr`).

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::net::Family;
use crate::ruleset::{DynamicAddress, Host};

/// An address as inet_ntop(3) writes it, which knows the old form `::a.b.c.d` too.
pub(super) fn write_ip(out: &mut impl Write, address: IpAddr) -> fmt::Result {
    match address {
        IpAddr::V4(address) => write_ipv4(out, address),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            match u32::try_from(bits) {
                // Six words of zeroes and not seven: an embedded IPv4 address.
                Ok(low) if low > 0xffff => write!(out, "::{}", Ipv4Addr::from(low)),
                _ => write!(out, "{address}"),
            }
        }
    }
}

/// Four numbers with dots: most of a ruleset is these, and the formatter of the standard library pads each.
fn write_ipv4(out: &mut impl Write, address: Ipv4Addr) -> fmt::Result {
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            out.write_char('.')?;
        }
        for (divisor, is_written) in [(100, octet > 99), (10, octet > 9), (1, true)] {
            if is_written {
                out.write_char(char::from(b'0' + octet / divisor % 10))?;
            }
        }
    }
    Ok(())
}

/// An address with its prefix length, if it is no single address; `any` for all of them.
pub(super) fn write_prefix(out: &mut impl Write, prefix: IpNet) -> fmt::Result {
    if prefix.prefix_len() == 0 {
        return out.write_str("any");
    }
    write_ip(out, prefix.addr())?;
    if prefix.prefix_len() < prefix.max_prefix_len() {
        write!(out, "/{}", prefix.prefix_len())?;
    }
    Ok(())
}

/// `(if)` with its modifiers, or the bare name that was looked up when the rules were loaded.
pub(super) fn write_dynamic(out: &mut impl Write, address: &DynamicAddress, family: Option<Family>) -> fmt::Result {
    if !address.load_time {
        out.write_char('(')?;
    }
    out.write_str(&address.interface)?;
    let modifiers = address.modifiers;
    for (set, word) in [
        (modifiers.network, ":network"),
        (modifiers.broadcast, ":broadcast"),
        (modifiers.peer, ":peer"),
        (modifiers.no_alias, ":0"),
    ] {
        if set {
            out.write_str(word)?;
        }
    }
    if !address.load_time {
        out.write_char(')')?;
    }
    let bits = if family == Some(Family::Inet) { 32 } else { 128 };
    match address.prefix {
        Some(length) if length < bits => write!(out, "/{length}"),
        _ => Ok(()),
    }
}

/// The host of one end of a rule.
pub(super) fn write_host(out: &mut impl Write, host: &Host, family: Option<Family>) -> fmt::Result {
    match host {
        Host::Any => out.write_str("any"),
        Host::Prefix(prefix) => write_prefix(out, *prefix),
        Host::Range(first, last) => {
            write_ip(out, *first)?;
            out.write_str(" - ")?;
            write_ip(out, *last)
        }
        Host::Dynamic(address) => write_dynamic(out, address, family),
        Host::Table(name) => write!(out, "<{name}>"),
        Host::NoRoute => out.write_str("no-route"),
        Host::UrpfFailed => out.write_str("urpf-failed"),
        Host::RouteLabel(label) => write!(out, "route \"{label}\""),
    }
}

/// Whether it prints as `any`.
pub(super) fn is_any(host: &Host) -> bool {
    match host {
        Host::Any => true,
        Host::Prefix(prefix) => prefix.prefix_len() == 0,
        Host::Range(..)
        | Host::Dynamic(_)
        | Host::Table(_)
        | Host::NoRoute
        | Host::UrpfFailed
        | Host::RouteLabel(_) => false,
    }
}
