//! Pools of addresses (`print_pool`).

use std::fmt::{self, Write};

use super::address;
use crate::net::Family;
use crate::ruleset::{NatPorts, Pool, PoolAddress, PoolKind, RdrPorts, RouteTo, RouteToKind, Translation};

pub(super) fn write_translation(
    out: &mut impl Write,
    translation: &Translation,
    family: Option<Family>,
) -> fmt::Result {
    match translation {
        Translation::Nat { pool, ports }
        | Translation::NatAndRdr {
            nat: pool,
            nat_ports: ports,
            ..
        } => {
            out.write_str(" nat-to ")?;
            write_nat(out, pool, *ports, family)
        }
        Translation::Rdr { pool, ports } => {
            out.write_str(" rdr-to ")?;
            write_rdr(out, pool, *ports, family)
        }
        Translation::Af(to) => {
            write!(out, " af-to {} from ", to.family)?;
            write_nat(out, &to.source, to.ports, Some(to.family))?;
            match &to.destination {
                Some(pool) => {
                    out.write_str(" to ")?;
                    write_rdr(out, pool, to.destination_ports, Some(to.family))
                }
                None => Ok(()),
            }
        }
    }
}

pub(super) fn write_route_to(out: &mut impl Write, route_to: &RouteTo, family: Option<Family>) -> fmt::Result {
    out.write_str(match route_to.kind {
        RouteToKind::RouteTo => " route-to ",
        RouteToKind::ReplyTo => " reply-to ",
        RouteToKind::DupTo => " dup-to ",
    })?;
    write_address(out, &route_to.pool, family)?;
    write_kind(out, &route_to.pool)
}

fn write_nat(out: &mut impl Write, pool: &Pool, ports: NatPorts, family: Option<Family>) -> fmt::Result {
    write_address(out, pool, family)?;
    match ports {
        NatPorts::Default | NatPorts::Static => {}
        NatPorts::Range(first, last) if first == last => write!(out, " port {first}")?,
        NatPorts::Range(first, last) => write!(out, " port {first}:{last}")?,
    }
    write_kind(out, pool)?;
    match ports {
        NatPorts::Static => out.write_str(" static-port"),
        NatPorts::Default | NatPorts::Range(..) => Ok(()),
    }
}

fn write_rdr(out: &mut impl Write, pool: &Pool, ports: Option<RdrPorts>, family: Option<Family>) -> fmt::Result {
    write_address(out, pool, family)?;
    if let Some(RdrPorts { first, last }) = ports.filter(|ports| ports.first != 0) {
        write!(out, " port {first}")?;
        if last != 0 && last != first {
            write!(out, ":{last}")?;
        }
    }
    write_kind(out, pool)
}

fn write_address(out: &mut impl Write, pool: &Pool, family: Option<Family>) -> fmt::Result {
    match &pool.address {
        PoolAddress::Prefix(prefix) => address::write_prefix(out, *prefix)?,
        PoolAddress::Dynamic(dynamic) => address::write_dynamic(out, dynamic, family)?,
        PoolAddress::Table(name) => write!(out, "<{name}>")?,
        PoolAddress::Other(host) => address::write_host(out, host, family)?,
    }
    match &pool.interface {
        Some(interface) => write!(out, "@{interface}"),
        None => Ok(()),
    }
}

fn write_kind(out: &mut impl Write, pool: &Pool) -> fmt::Result {
    match pool.kind {
        PoolKind::First => {}
        PoolKind::Bitmask => out.write_str(" bitmask")?,
        PoolKind::Random => out.write_str(" random")?,
        PoolKind::SourceHash([a, b, c, d]) => write!(out, " source-hash 0x{a:08x}{b:08x}{c:08x}{d:08x}")?,
        PoolKind::RoundRobin => out.write_str(" round-robin")?,
        PoolKind::LeastStates => out.write_str(" least-states")?,
    }
    if pool.sticky {
        out.write_str(" sticky-address")?;
    }
    Ok(())
}
