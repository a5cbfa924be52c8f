//! What the pools of nat-to, rdr-to, af-to and route-to can give.

use ipnet::IpNet;

use super::criteria::{About, Fact};
use super::hosts;
use super::routing::{line, prefix};
use super::unknown::Unknown;
use crate::context::Context;
use crate::engine::packets::space::address_number;
use crate::net::{Family, RangeSet};
use crate::ruleset::{DynamicAddress, Host, Modifiers, Name, Pool, PoolAddress, PoolKind, Rule, Ruleset, Translation};

/// What a pool can give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Supply {
    /// Nothing: the translation cannot be made.
    Nothing,
    /// One of these.
    OneOf(RangeSet),
    /// The address with its network part replaced.
    Masked(IpNet),
    /// An address that is not known.
    Open(OpenAddress),
    /// It may be any address: what pf makes of such a pool is not modelled, for that reason.
    Unmodelled(&'static str),
}

/// An address of an interface that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct OpenAddress {
    /// Whose.
    pub(in crate::engine) interface: Name,
    /// Whether it is surely an address that the interface itself has, not another of its network or group.
    is_own: bool,
    /// Whether it is an address that some interface which is meant has when a packet comes: none of its network, and not what it
    /// had when the rules were loaded.
    pub(in crate::engine) is_current: bool,
    /// What it may be: none that lies in a network of another interface.
    pub(in crate::engine) may_be: RangeSet,
}

impl OpenAddress {
    /// One that `(if)` stands for, of that interface.
    fn of(interface: Name, context: &Context, dynamic: &DynamicAddress, family: Family) -> Self {
        let modifiers = Modifiers {
            no_alias: false,
            ..dynamic.modifiers
        };
        let is_plain = modifiers == Modifiers::default() && dynamic.prefix.is_none() && !dynamic.load_time;
        let own = context
            .interface(&interface)
            .filter(|_| is_plain && hosts::members(context, dynamic).len() == 1);
        let beside = own.into_iter().flat_map(|own| context.networks_beside(own, family));
        let may_be = beside.fold(line(family), |any, net| any.minus(&prefix(net)));
        Self {
            interface,
            is_own: own.is_some(),
            is_current: is_plain,
            may_be,
        }
    }

    /// Whether it is surely in what `(if)` stands for, if that is known by that fact.
    pub(in crate::engine) fn is_in(&self, fact: &Fact, family: Family) -> bool {
        let About::Host(_, Host::Dynamic(dynamic)) = &fact.about else {
            return false;
        };
        let Modifiers {
            network,
            broadcast,
            peer,
            no_alias,
        } = dynamic.modifiers;
        // A network has the address in it, but no link-local one.
        let has_own = !broadcast && !peer && !no_alias && !dynamic.load_time && (!network || family == Family::Inet);
        self.is_own && has_own && fact.unknown == Unknown::Address(self.interface.clone())
    }
}

/// What the pool of a rule of that anchor can give for a family.
pub(in crate::engine) fn supply(
    ruleset: &Ruleset,
    context: &Context,
    pool: &Pool,
    anchor: &str,
    family: Family,
) -> Supply {
    let any = |set: RangeSet| {
        if set.is_empty() {
            Supply::Nothing
        } else {
            Supply::OneOf(set)
        }
    };
    let first_only = pool.kind == PoolKind::First;
    match &pool.address {
        PoolAddress::Prefix(net) if Family::of(net.addr()) != family => Supply::Nothing,
        PoolAddress::Prefix(net) => match pool.kind {
            PoolKind::First => any(RangeSet::single(address_number(net.network()))),
            PoolKind::Bitmask => Supply::Masked(*net),
            PoolKind::Random | PoolKind::SourceHash(_) | PoolKind::RoundRobin => any(prefix(*net)),
            PoolKind::LeastStates => Supply::Unmodelled("least-states of a single network is not followed"),
        },
        PoolAddress::Dynamic(dynamic) => {
            let (nets, unknown) = hosts::of_dynamic(context, dynamic, family);
            match (nets.as_slice(), unknown) {
                (several, _) if pool.kind == PoolKind::LeastStates && has_network(several) => least_states(several),
                (_, Some(interface)) if nets.is_empty() || first_only => {
                    Supply::Open(OpenAddress::of(interface, context, dynamic, family))
                }
                ([], _) => Supply::Nothing,
                ([first, ..], _) if first_only => any(RangeSet::single(address_number(first.network()))),
                ([only], None) if pool.kind == PoolKind::Bitmask => Supply::Masked(*only),
                (_, Some(_)) => Supply::Unmodelled("a pool of which not all addresses are known is not followed"),
                (several, None) => any(RangeSet::from_ranges(
                    several.iter().flat_map(|net| prefix(*net).ranges().to_vec()),
                )),
            }
        }
        PoolAddress::Other(_) => Supply::Unmodelled("a pool that is no address, network or table is not followed"),
        PoolAddress::Table(name) => {
            let table = ruleset.table(anchor, name);
            let entries = table.iter().flat_map(|table| &table.entries);
            let entries = entries.filter(|entry| !entry.negated && Family::of(entry.prefix.addr()) == family);
            let nets: Vec<IpNet> = entries.map(|entry| entry.prefix).collect();
            if pool.kind == PoolKind::LeastStates && has_network(&nets) {
                return least_states(&nets);
            }
            let found = hosts::of_table(context, table, name, family);
            match found.maybe {
                Some((maybe, _)) => any(found.surely.union(&maybe)),
                None => any(found.surely),
            }
        }
    }
}

fn has_network(nets: &[IpNet]) -> bool {
    nets.iter().any(|net| net.prefix_len() < net.max_prefix_len())
}

/// What `least-states` takes where there are networks: of these pf counts no states, and so can give none of their addresses
/// (`pfr_states_increase`). Where there are hosts beside them it is for the counts to say which it tries.
fn least_states(nets: &[IpNet]) -> Supply {
    match nets.iter().all(|net| net.prefix_len() < net.max_prefix_len()) {
        true => Supply::Nothing,
        false => Supply::Unmodelled("least-states of networks and hosts is not followed"),
    }
}

/// Whether a rule's translation surely cannot be made for packets of that family.
pub(in crate::engine) fn fails(
    ruleset: &Ruleset,
    context: &Context,
    anchor: &str,
    rule: &Rule,
    family: Family,
) -> bool {
    let nothing = |pool: &Pool, family: Family| supply(ruleset, context, pool, anchor, family) == Supply::Nothing;
    match rule.translation.as_deref() {
        None => false,
        Some(Translation::Nat { pool, .. } | Translation::Rdr { pool, .. }) => nothing(pool, family),
        Some(Translation::NatAndRdr { nat, rdr, .. }) => nothing(nat, family) || nothing(rdr, family),
        Some(Translation::Af(af)) => {
            nothing(&af.source, af.family) || af.destination.as_ref().is_some_and(|pool| nothing(pool, af.family))
        }
    }
}

/// The table that a rule's translation takes an address from for packets of that family, where its contents are not known:
/// there may be none in it.
pub(in crate::engine) fn unknown_table(
    ruleset: &Ruleset,
    context: &Context,
    anchor: &str,
    rule: &Rule,
    family: Family,
) -> Option<Name> {
    let table = |pool: &Pool, family: Family| unknown_table_of(ruleset, context, anchor, pool, family);
    match rule.translation.as_deref()? {
        Translation::Nat { pool, .. } | Translation::Rdr { pool, .. } => table(pool, family),
        Translation::NatAndRdr { nat, rdr, .. } => table(nat, family).or_else(|| table(rdr, family)),
        Translation::Af(af) => {
            let destination = af.destination.as_ref();
            table(&af.source, af.family).or_else(|| table(destination?, af.family))
        }
    }
}

/// The table of a pool whose contents are not known.
pub(in crate::engine) fn unknown_table_of(
    ruleset: &Ruleset,
    context: &Context,
    anchor: &str,
    pool: &Pool,
    family: Family,
) -> Option<Name> {
    let PoolAddress::Table(name) = &pool.address else {
        return None;
    };
    let maybe = hosts::of_table(context, ruleset.table(anchor, name), name, family).maybe;
    maybe.map(|_| name.clone())
}
