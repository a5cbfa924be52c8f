//! The address that a pool gives (`pf_map_addr`).

use std::net::IpAddr;

use ipnet::IpNet;

use super::address::{bits, from_bits, is_link_local, mask};
use super::choices::Choices;
use super::machine::{CompiledPool, Machine, PoolSet, RuleRef};
use super::memory::{Memory, PoolUse};
use super::record::{Chosen, Unproven};
use crate::net::Family;
use crate::ruleset::PoolKind;

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
    let (blocks, is_table) = match &pool.addresses {
        PoolSet::Prefix(prefix) if Family::of(prefix.addr()) != asker.family => return Ok(Candidates::None),
        PoolSet::Prefix(prefix) => (vec![*prefix], None),
        PoolSet::Other => {
            return Err(Unproven(
                "a pool that is no address, network or table is not modelled".to_owned(),
            ));
        }
        PoolSet::Dynamic(set) | PoolSet::Table(set) => {
            if let Some(unknown) = set.unknown.as_ref().filter(|unknown| unknown.of(asker.family)) {
                return Err(Unproven(unknown.why.clone()));
            }
            let of_family = |net: &&IpNet| Family::of(net.addr()) == asker.family;
            // The kernel walks a table in the order of the addresses.
            let mut blocks: Vec<IpNet> = set.blocks.iter().filter(of_family).copied().collect();
            blocks.sort_by_key(|net| (bits(net.network()), net.prefix_len()));
            (blocks, Some(matches!(pool.addresses, PoolSet::Table(_))))
        }
    };
    // The kernel walks a table in the order of the addresses.
    let lowest = blocks
        .iter()
        .min_by_key(|net| (bits(net.network()), net.prefix_len()))
        .copied();
    let usable = |blocks: Vec<IpNet>| -> Vec<IpNet> {
        let of_interface = is_table == Some(false);
        blocks
            .into_iter()
            .filter(|net| !(of_interface && is_link_local(net.addr())))
            .collect()
    };
    Ok(match pool.pool.kind {
        PoolKind::First | PoolKind::Bitmask if is_table == Some(true) => Candidates::None,
        PoolKind::First => lowest.map_or(Candidates::None, |net| Candidates::One(net.addr())),
        PoolKind::Bitmask => lowest.map_or(Candidates::None, |net| Candidates::One(pool_mask(net, asker.source))),
        // Of a block of a table the first address.
        PoolKind::Random | PoolKind::SourceHash(_) if is_table.is_some() => among(
            usable(blocks)
                .into_iter()
                .map(|net| IpNet::from(net.network()))
                .collect(),
        ),
        PoolKind::LeastStates if is_table.is_none() => {
            return Err(Unproven("least-states of a single network is not modelled".to_owned()));
        }
        PoolKind::Random | PoolKind::SourceHash(_) | PoolKind::RoundRobin | PoolKind::LeastStates => {
            among(usable(blocks))
        }
    })
}

fn among(blocks: Vec<IpNet>) -> Candidates {
    match blocks.as_slice() {
        [] => Candidates::None,
        [net] if net.prefix_len() == net.max_prefix_len() => Candidates::One(net.addr()),
        _ => Candidates::Among(blocks),
    }
}

/// The network part of the pool's address, the host part of the other (`pf_poolmask`).
pub(super) fn pool_mask(net: IpNet, host: IpAddr) -> IpAddr {
    let family = Family::of(net.addr());
    let mask = mask(family, net.prefix_len());
    from_bits(family, (bits(net.addr()) & mask) | (bits(host) & !mask))
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
