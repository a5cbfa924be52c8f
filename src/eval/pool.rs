//! The address that a pool gives (`pf_map_addr`).

use std::net::IpAddr;

use ipnet::IpNet;

use super::address::{bits, from_bits, is_link_local, mask};
use super::blocks::Block;
use super::choices::Choices;
use super::machine::{CompiledPool, Machine, PoolSet, RuleRef};
use super::memory::{Memory, PoolUse};
use super::record::{Chosen, Unproven};
use crate::net::Family;
use crate::ruleset::{PoolAddress, PoolKind};

/// Pools of more addresses than this are not listed.
pub(super) const LISTED: u128 = 64;

/// An address of a pool, and whether pf chose it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mapped {
    pub(super) address: IpAddr,
    pub(super) chosen: Chosen<IpAddr>,
}

/// Who asks a pool, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) rule: RuleRef,
    pub(super) what: PoolUse,
    /// The family of the address that is wanted.
    pub(super) family: Family,
    /// The source of the packet.
    pub(super) source: IpAddr,
}

/// The addresses that a pool may give.
enum Candidates {
    /// None at all.
    None,
    /// This one.
    One(IpAddr),
    /// One of these.
    Among(Vec<IpNet>),
}

/// The address that a pool gives; `None` where it has none.
pub(super) fn map_address(
    machine: &Machine<'_>,
    pool: &CompiledPool<'_>,
    asker: Asker,
    memory: &mut Memory,
    choices: &mut dyn Choices,
) -> Result<Option<Mapped>, Unproven> {
    let among = match candidates(pool, asker)? {
        Candidates::None => return Ok(None),
        Candidates::One(address) => {
            return Ok(Some(Mapped {
                address,
                chosen: Chosen::Fixed,
            }));
        }
        Candidates::Among(among) => among,
    };
    let id = machine.id(asker.rule);
    let sticks = (asker.rule, asker.what, asker.source);
    if let Some(mapped) = memory.sticky.get(&sticks)
        && pool.pool.sticky
    {
        return Ok(Some(mapped.clone()));
    }
    let address = choices
        .address(&id, &among)
        .ok_or_else(|| Unproven(format!("rule {id}: the address it chooses is not known")))?;
    // Of a pool that goes round, the first source gets the first address.
    let is_first = pool.pool.kind == PoolKind::RoundRobin
        && !matches!(&pool.addresses, PoolSet::Table(set) if set.weighted)
        && among.first().map(IpNet::addr) == Some(address)
        && !memory
            .sticky
            .keys()
            .any(|(rule, what, _)| (*rule, *what) == (asker.rule, asker.what));
    let mapped = Mapped {
        address,
        chosen: if pool.pool.sticky && is_first {
            Chosen::Fixed
        } else {
            listed(&among)
        },
    };
    if pool.pool.sticky {
        memory.sticky.insert(sticks, mapped.clone());
    }
    Ok(Some(mapped))
}

/// The addresses that remain when the first is used up: those of pools that go on to the next one.
pub(super) fn alternatives(pool: &CompiledPool<'_>, asker: Asker) -> Result<Vec<IpAddr>, Unproven> {
    let goes_on = match pool.pool.kind {
        PoolKind::Random | PoolKind::RoundRobin | PoolKind::LeastStates => true,
        PoolKind::First | PoolKind::Bitmask | PoolKind::SourceHash(_) => false,
    };
    match candidates(pool, asker)? {
        Candidates::Among(among) if goes_on => Ok(addresses(&among).take(LISTED as usize).collect()),
        Candidates::Among(_) | Candidates::None | Candidates::One(_) => Ok(Vec::new()),
    }
}

fn candidates(pool: &CompiledPool<'_>, asker: Asker) -> Result<Candidates, Unproven> {
    let kind = pool.pool.kind;
    let set = match &pool.addresses {
        PoolSet::Prefix(prefix) if Family::of(prefix.addr()) != asker.family => return Ok(Candidates::None),
        PoolSet::Prefix(prefix) => {
            return match kind {
                PoolKind::First => Ok(Candidates::One(prefix.addr())),
                PoolKind::Bitmask => Ok(Candidates::One(masked(*prefix, asker.source))),
                PoolKind::Random | PoolKind::SourceHash(_) | PoolKind::RoundRobin => Ok(among(vec![*prefix])),
                PoolKind::LeastStates => Err(Unproven("least-states of a single network is not modelled".to_owned())),
            };
        }
        PoolSet::Other => {
            return Err(Unproven(
                "a pool that is no address, network or table is not modelled".to_owned(),
            ));
        }
        PoolSet::Dynamic(set) | PoolSet::Table(set) => set,
    };
    if let Some(unknown) = set.unknown.as_ref().filter(|unknown| unknown.of(asker.family)) {
        return Err(Unproven(unknown.why.clone()));
    }
    let lowest = set.blocks(asker.family).first().map(|block| block.net);
    Ok(match kind {
        // Not with a table (`PF_POOL_DYNTYPE`).
        PoolKind::First | PoolKind::Bitmask if matches!(pool.addresses, PoolSet::Table(_)) => Candidates::None,
        PoolKind::First => lowest.map_or(Candidates::None, |net| Candidates::One(net.addr())),
        PoolKind::Bitmask => lowest.map_or(Candidates::None, |net| Candidates::One(masked(net, asker.source))),
        // Of each block the first address.
        PoolKind::Random | PoolKind::SourceHash(_) => among(
            usable(pool, asker.family)
                .filter_map(|block| block.free.first())
                .map(|net| IpNet::from(net.network()))
                .collect(),
        ),
        PoolKind::LeastStates if usable(pool, asker.family).any(Block::is_network) => {
            // It counts the states of single addresses alone: what it takes of a network it cannot give
            // (`pfr_states_increase`).
            if !usable(pool, asker.family).all(Block::is_network) {
                return Err(Unproven(
                    "least-states of networks and hosts is not modelled".to_owned(),
                ));
            }
            Candidates::None
        }
        PoolKind::RoundRobin | PoolKind::LeastStates => among(
            usable(pool, asker.family)
                .flat_map(|block| block.free.iter().copied())
                .collect(),
        ),
    })
}

/// The blocks that a pool takes addresses from: those of an interface without its link-local ones.
fn usable<'p>(pool: &'p CompiledPool<'_>, family: Family) -> impl Iterator<Item = &'p Block> {
    let (blocks, of_interface) = match &pool.addresses {
        PoolSet::Dynamic(set) => (set.blocks(family), true),
        PoolSet::Table(set) => (set.blocks(family), false),
        PoolSet::Prefix(_) | PoolSet::Other => (&[][..], false),
    };
    blocks
        .iter()
        .filter(move |block| !(of_interface && is_link_local(block.net.addr())))
}

/// The length of the mask that a pool's address carries (`addr.v.a.mask`): a table's name lies in its place, of which
/// no byte is all ones.
pub(super) fn mask_length(pool: &CompiledPool<'_>, family: Family) -> u8 {
    match &pool.pool.address {
        PoolAddress::Prefix(prefix) => prefix.prefix_len(),
        PoolAddress::Dynamic(dynamic) => dynamic.prefix.unwrap_or(u8::MAX).min(family.bits()),
        PoolAddress::Table(_) | PoolAddress::Other(_) => 0,
    }
}

/// The address as one of that family: pf takes its first octets for it.
pub(super) fn in_family(address: IpAddr, family: Family) -> IpAddr {
    match (address, family) {
        (IpAddr::V6(address), Family::Inet) => from_bits(family, u128::from(address) >> 96),
        (IpAddr::V4(address), Family::Inet6) => from_bits(family, u128::from(u32::from(address)) << 96),
        (IpAddr::V4(_), Family::Inet) | (IpAddr::V6(_), Family::Inet6) => address,
    }
}

fn among(blocks: Vec<IpNet>) -> Candidates {
    match blocks.as_slice() {
        [] => Candidates::None,
        [net] if net.prefix_len() == net.max_prefix_len() => Candidates::One(net.addr()),
        _ => Candidates::Among(blocks),
    }
}

/// The network part of the one address, the host part of the other (`pf_poolmask`).
pub(super) fn pool_mask(net: IpAddr, length: u8, host: IpAddr) -> IpAddr {
    let family = Family::of(net);
    let mask = mask(family, length);
    from_bits(family, (bits(net) & mask) | (bits(host) & !mask))
}

fn masked(net: IpNet, host: IpAddr) -> IpAddr {
    pool_mask(net.addr(), net.prefix_len(), host)
}

/// Every address of the prefixes, in order.
fn addresses(nets: &[IpNet]) -> impl Iterator<Item = IpAddr> + '_ {
    nets.iter().flat_map(|net| {
        let family = Family::of(net.addr());
        let first = bits(net.network());
        (first..=bits(net.broadcast())).map(move |address| from_bits(family, address))
    })
}

fn listed(nets: &[IpNet]) -> Chosen<IpAddr> {
    let count = nets.iter().fold(0u128, |count, net| {
        count.saturating_add((bits(net.broadcast()) - bits(net.network())).saturating_add(1))
    });
    if count <= LISTED {
        Chosen::OneOf(addresses(nets).collect())
    } else {
        Chosen::Random
    }
}
