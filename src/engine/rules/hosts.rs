//! Hosts of rules as sets of addresses: tables with their longest prefixes, interfaces looked up when a packet comes.
//!
//! Where the contents are known only in part, a set has two halves: what is surely in it, and what may be.

use std::net::IpAddr;

use ipnet::IpNet;
use rustc_hash::FxHashSet;

use super::routing::{line, prefix};
use super::unknown::Unknown;
use crate::context::{Context, Interface, InterfaceAddress};
use crate::net::{Family, RangeSet};
use crate::ruleset::{DynamicAddress, Name, Table, TableInterface};

/// A set of addresses of one family.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    /// What is surely in it.
    pub(super) surely: RangeSet,
    /// What may be in it besides, and what that depends on.
    pub(super) maybe: Option<(RangeSet, Unknown)>,
}

impl Hosts {
    /// A set that is known.
    pub(super) fn known(surely: RangeSet) -> Self {
        Self { surely, maybe: None }
    }

    /// A set of which only a part is known.
    pub(super) fn partly(surely: RangeSet, family: Family, unknown: Unknown) -> Self {
        let rest = line(family).minus(&surely);
        Self {
            surely,
            maybe: (!rest.is_empty()).then_some((rest, unknown)),
        }
    }

    /// The set with an entry more, of which is known where it may lie: what it holds is in the set, or a hole in it if
    /// `negated`, as far as no longer prefix decides.
    fn perhaps_with(self, may_be: &RangeSet, negated: bool, unknown: &Unknown) -> Self {
        let (surely, open) = match negated {
            true => (self.surely.minus(may_be), may_be.intersection(&self.surely)),
            false => (self.surely.clone(), may_be.minus(&self.surely)),
        };
        let open = self.maybe.map_or(open.clone(), |(before, _)| before.union(&open));
        Self {
            surely,
            maybe: (!open.is_empty()).then(|| (open, unknown.clone())),
        }
    }

    /// The addresses that are not in it.
    pub(super) fn negated(self, family: Family) -> Self {
        let surely_not = line(family).minus(&self.surely);
        match self.maybe {
            None => Self::known(surely_not),
            Some((maybe, unknown)) => Self {
                surely: surely_not.minus(&maybe),
                maybe: Some((maybe, unknown)),
            },
        }
    }
}

/// The addresses of a family in a table; a table that nobody defines is empty (`pfr_match_addr`).
pub(super) fn of_table(context: &Context, table: Option<&Table>, name: &Name, family: Family) -> Hosts {
    let Some(table) = table else {
        return Hosts::default();
    };
    // Of equal prefixes the first holds.
    let mut seen = FxHashSet::default();
    let mut entries: Vec<_> = table
        .entries
        .iter()
        .filter(|entry| Family::of(entry.prefix.addr()) == family && seen.insert(entry.prefix.trunc()))
        .map(|entry| (entry.prefix.prefix_len(), entry.negated, prefix(entry.prefix)))
        .collect();
    entries.sort_by_key(|&(length, negated, _)| (length, negated));
    // The longest prefix decides: lay the short ones first, all of one length and sign at once.
    let laid = entries
        .chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
        .fold(RangeSet::empty(), |set, level| {
            let ranges = level.iter().flat_map(|(_, _, net)| net.ranges().iter().copied());
            let ranges = RangeSet::from_ranges(ranges);
            match level.first() {
                Some((_, true, _)) => set.minus(&ranges),
                _ => set.union(&ranges),
            }
        });
    let of_family = |one: &&TableInterface| one.family.is_none_or(|of| of == family);
    let interfaces = table.interfaces.iter().filter(of_family);
    let unknown = Unknown::Table(name.clone());
    let hosts = interfaces.fold(Hosts::known(laid), |hosts, one| {
        // INVARIANT: what is not known but of when the table was loaded has nothing that is surely in it.
        match matching(context, &one.address, family).maybe {
            Some((may_be, _)) => hosts.perhaps_with(&may_be, one.negated, &unknown),
            None => hosts,
        }
    });
    match table.unknown {
        true => Hosts::partly(hosts.surely, family, unknown),
        false => hosts,
    }
}

/// What `(if)` stands for, one after the other: known networks, and the interfaces of which an address is not known
/// (`pfi_table_update`, `pfi_instance_add`).
pub(super) fn of_dynamic(context: &Context, dynamic: &DynamicAddress, family: Family) -> (Vec<IpNet>, Option<Name>) {
    let members = members(context, dynamic);
    let (mut nets, mut unknown) = (Vec::new(), None);
    if dynamic.load_time || members.is_empty() && context.open {
        unknown = Some(dynamic.interface.clone());
    }
    for interface in members.into_iter().filter(|_| !dynamic.load_time) {
        of_interface(interface, dynamic, family, &mut nets, &mut unknown);
    }
    (nets, unknown)
}

/// What one interface gives.
fn of_interface(
    interface: &Interface,
    dynamic: &DynamicAddress,
    family: Family,
    nets: &mut Vec<IpNet>,
    unknown: &mut Option<Name>,
) {
    let modifiers = dynamic.modifiers;
    let broadcasts = !interface.is_loopback() && !interface.is_point_to_point();
    if modifiers.broadcast && (family == Family::Inet6 || !broadcasts)
        || modifiers.peer && !interface.is_point_to_point()
    {
        return;
    }
    for (at, address) in interface.addresses_of(family).enumerate() {
        let InterfaceAddress::Known(net) = address else {
            unknown.get_or_insert_with(|| Name::from(interface.name.as_str()));
            if modifiers.no_alias {
                return;
            }
            continue;
        };
        let link_local = matches!(net.addr(), IpAddr::V6(v6) if v6.is_unicast_link_local());
        if modifiers.network && link_local {
            continue;
        }
        let length = match dynamic.prefix {
            Some(length) => length.min(family.bits()),
            None if modifiers.network => net.prefix_len(),
            None => family.bits(),
        };
        let address = if modifiers.broadcast {
            interface.broadcast_of(net).map(IpAddr::V4)
        } else if modifiers.peer {
            interface.peer.filter(|peer| at == 0 && Family::of(*peer) == family)
        } else {
            Some(net.addr())
        };
        nets.extend(
            address
                .and_then(|address| IpNet::new(address, length).ok())
                .map(|net| net.trunc()),
        );
        if modifiers.no_alias {
            return;
        }
    }
}

/// The addresses of a family that `(if)` matches.
pub(super) fn matching(context: &Context, dynamic: &DynamicAddress, family: Family) -> Hosts {
    let (nets, unknown) = of_dynamic(context, dynamic, family);
    let known = RangeSet::from_ranges(nets.into_iter().flat_map(|net| prefix(net).ranges().to_vec()));
    let Some(interface) = unknown else {
        return Hosts::known(known);
    };
    let unknown = match dynamic.load_time {
        true => Unknown::Loaded(interface),
        false => Unknown::Address(interface),
    };
    let hosts = Hosts::partly(known, family, unknown);
    let beside = beside_all(context, dynamic, family);
    let maybe = hosts.maybe.map(|(set, unknown)| (set.minus(&beside), unknown));
    Hosts {
        surely: hosts.surely,
        maybe: maybe.filter(|(set, _)| !set.is_empty()),
    }
}

/// The addresses that lie in networks of other interfaces than each that is meant whose address is not known: none of those
/// is it.
fn beside_all(context: &Context, dynamic: &DynamicAddress, family: Family) -> RangeSet {
    if dynamic.prefix.is_some() || dynamic.modifiers.peer {
        return RangeSet::empty();
    }
    let unknown = members(context, dynamic)
        .into_iter()
        .filter(|one| one.has_unknown(family));
    let beside = unknown.map(|interface| {
        let nets = context.networks_beside(interface, family);
        RangeSet::from_ranges(nets.flat_map(|net| prefix(net).ranges().to_vec()))
    });
    beside.reduce(|all, one| all.intersection(&one)).unwrap_or_default()
}

/// The interfaces that are meant.
pub(in crate::engine) fn members<'c>(context: &'c Context, dynamic: &DynamicAddress) -> Vec<&'c Interface> {
    let group = match &*dynamic.interface {
        "self" => "all",
        other => other,
    };
    match context.interface(&dynamic.interface) {
        Some(interface) => vec![interface],
        None => {
            let all = context.interfaces.iter();
            all.filter(|interface| context.in_group(interface, group)).collect()
        }
    }
}
