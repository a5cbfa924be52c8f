//! Addresses that an interface may have whose address is not known, one of each kind that a policy tells apart.
//!
//! What is proved for every address is tried with these: a proof that one of them belies is none.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::addresses::prefix;
use super::ast::Hosts;
use super::hosts::Resolved;
use super::network::refused;
use super::special::globally_reachable;
use super::zones::Zones;
use crate::context::Interface;
use crate::engine::{InterfaceId, address, address_number};
use crate::net::{Family, RangeSet};
use crate::ruleset::{Host, Peer, Pool, PoolAddress};

/// Of how many ranges that are named addresses are tried with each interface: more make a policy slow to check, and tell little
/// more.
const MOST_NAMED: usize = 4;

/// Of how many pieces of what rules name addresses are tried.
const MOST_PIECES: usize = 8;

/// How long the prefix of its network may be, the widest first: the first that overlaps no other network is taken.
const LENGTHS: [&[u8]; 2] = [&[24, 28, 30], &[64, 120, 126]];

impl Zones<'_> {
    /// Of each interface whose address is not known one that it may have, with its network; the networks overlap no others.
    #[must_use]
    pub fn sample_of_each(&self) -> Vec<(&Interface, IpNet)> {
        let mut given: Vec<(&Interface, IpNet)> = Vec::new();
        for family in Family::BOTH {
            for (id, interface) in self.context().interfaces.iter().enumerate() {
                let unnamed = self.possible(id, family).minus(&self.named_addresses(family));
                let global = unnamed.intersection(&assigned(family));
                let mut beside = self.networks_beside(interface, family);
                beside.extend(given.iter().map(|(_, net)| prefix(*net)));
                let free = |kind: &RangeSet| beside.iter().fold(kind.clone(), |left, net| left.minus(net));
                let found = [&global, &unnamed]
                    .into_iter()
                    .find_map(|kind| host_of(&free(kind), family, &beside));
                given.extend(found.map(|net| (interface, net)));
            }
        }
        given
    }

    /// Of each interface whose address is not known, addresses that it may have, with their networks: one that is globally reachable,
    /// one that is not; of the first ranges that the policy, or rules and routes, name some, and some that lie beside them.
    ///
    /// The first of each interface come before the second of any. Of how many families of interfaces no address is known is said,
    /// too.
    #[must_use]
    pub fn sample_addresses(&self) -> (Vec<(&Interface, IpNet)>, usize) {
        let interfaces = self.context().interfaces.iter().enumerate();
        let each = interfaces.flat_map(|one| Family::BOTH.map(|family| (one, family)));
        let samples = each.map(|((id, interface), family)| (interface, self.samples_of(id, interface, family)));
        let samples: Vec<_> = samples.filter(|(_, nets)| !nets.is_empty()).collect();
        let most = samples.iter().map(|(_, nets)| nets.len()).max().unwrap_or(0);
        let ranks = (0..most).flat_map(|rank| {
            let of_rank = move |(interface, nets): &(_, Vec<IpNet>)| Some((*interface, *nets.get(rank)?));
            samples.iter().filter_map(of_rank)
        });
        (ranks.collect(), samples.len())
    }

    fn samples_of(&self, id: InterfaceId, interface: &Interface, family: Family) -> Vec<IpNet> {
        let possible = self.possible(id, family);
        if possible.is_empty() {
            return Vec::new();
        }
        let named = self.named_addresses(family);
        let unnamed = possible.minus(&named);
        let global = assigned(family);
        let mut kinds = vec![unnamed.intersection(&global), unnamed.minus(&global)];
        for &(first, last) in possible.intersection(&named).ranges().iter().take(MOST_NAMED) {
            let around = RangeSet::range(first.saturating_sub(1), last.saturating_add(1));
            kinds.extend([RangeSet::range(first, last), unnamed.intersection(&around)]);
            kinds.extend((first < last).then(|| RangeSet::single(last)));
        }
        let configured = self.configured_addresses(family);
        let all = RangeSet::from_ranges(configured.iter().copied());
        let pieces = pieces(&configured)
            .into_iter()
            .map(|piece| unnamed.intersection(&piece));
        for piece in pieces.filter(|piece| !piece.is_empty()).take(MOST_PIECES) {
            let around = piece.first().zip(piece.last());
            let around = around.map_or_else(RangeSet::empty, |(first, last)| {
                RangeSet::range(first.saturating_sub(1), last.saturating_add(1))
            });
            kinds.extend([piece, unnamed.minus(&all).intersection(&around)]);
        }
        let beside = self.networks_beside(interface, family);
        kinds.iter().filter_map(|kind| host_of(kind, family, &beside)).collect()
    }

    /// The addresses that the interface may have, where they are not known.
    fn possible(&self, id: InterfaceId, family: Family) -> RangeSet {
        self.network.unknown_own(id, family).minus(&refused(family).0)
    }

    fn networks_beside(&self, interface: &Interface, family: Family) -> Vec<RangeSet> {
        self.context().networks_beside(interface, family).map(prefix).collect()
    }

    /// The networks that rules, tables and routes name, but for those of all, as ranges.
    fn configured_addresses(&self, family: Family) -> Vec<(u128, u128)> {
        let of_peer = |peer: &Peer| match peer.host {
            Host::Prefix(net) => Some(net),
            _ => None,
        };
        let of_pool = |pool: &Pool| match pool.address {
            PoolAddress::Prefix(net) => Some(net),
            _ => None,
        };
        let rules = self.ruleset.all_rules();
        let nets = rules.flat_map(|(_, rule)| {
            let ends = [of_peer(&rule.source), of_peer(&rule.destination)];
            ends.into_iter().chain(rule.pools().map(of_pool))
        });
        let routes = self.context().routes.iter().map(|route| Some(route.to));
        let tables = self.ruleset.anchors.values().flat_map(|anchor| anchor.tables.values());
        let entries = tables.flat_map(|table| table.entries.iter().map(|entry| Some(entry.prefix)));
        let nets = nets.chain(routes).chain(entries).flatten();
        let nets = nets.filter(|net| Family::of(net.addr()) == family && net.prefix_len() > 0);
        nets.map(|net| (address_number(net.network()), address_number(net.broadcast())))
            .collect()
    }

    /// The addresses that the policy names, whose ever they are.
    fn named_addresses(&self, family: Family) -> RangeSet {
        let policy = self.policy();
        let packets = policy.statements.iter().filter_map(|one| one.demand.packets());
        let ends = packets.flat_map(|packets| [&packets.source, &packets.destination]);
        let lists: Vec<&Hosts> = ends.filter_map(|end| end.hosts.as_ref()).collect();
        let lists = lists
            .into_iter()
            .chain(policy.zones.iter().filter_map(|zone| zone.from.as_ref()));
        let items = lists.flat_map(|hosts| self.resolve(hosts).unwrap_or_default());
        items.fold(RangeSet::empty(), |all, (_, resolved)| match resolved {
            Resolved::Addresses(named) | Resolved::UnknownTable(_, named) => {
                all.union(&named.all[usize::from(family == Family::Inet6)])
            }
            Resolved::Any | Resolved::Itself | Resolved::Zone(_) => all,
        })
    }
}

/// The pieces into which the bounds of ranges cut what lies in any of them, in order.
fn pieces(ranges: &[(u128, u128)]) -> Vec<RangeSet> {
    let bounds = ranges
        .iter()
        .flat_map(|&(first, last)| [Some(first), last.checked_add(1)]);
    let bounds: BTreeSet<u128> = bounds.flatten().collect();
    let all = RangeSet::from_ranges(ranges.iter().copied());
    let ends = bounds.iter().skip(1).map(|next| next - 1).chain([u128::MAX]);
    let pieces = bounds
        .iter()
        .zip(ends)
        .map(|(&first, last)| RangeSet::range(first, last));
    pieces
        .map(|piece| piece.intersection(&all))
        .filter(|piece| !piece.is_empty())
        .collect()
}

/// The addresses that hosts on the internet have: of IPv6 only 2000::/3 is given out.
fn assigned(family: Family) -> RangeSet {
    match family {
        Family::Inet => globally_reachable(family).clone(),
        Family::Inet6 => globally_reachable(family).intersection(&RangeSet::range(1 << 125, (1 << 126) - 1)),
    }
}

/// One of the first addresses of a set, with a network that overlaps none of those and in which it is a host's; `None` where
/// there is none.
fn host_of(set: &RangeSet, family: Family, beside: &[RangeSet]) -> Option<IpNet> {
    let first = set.first()?;
    let numbers = [Some(first), first.checked_add(1)].into_iter().flatten();
    let numbers = numbers.filter(|&number| set.contains(number));
    let lengths = LENGTHS[usize::from(family == Family::Inet6)].iter();
    let mut nets = lengths.flat_map(|&length| {
        let numbers = numbers.clone();
        numbers.filter_map(move |number| IpNet::new(address(number, family), length).ok())
    });
    nets.find(|net| {
        let is_end = |end| end == net.addr();
        let is_host = !is_end(net.network()) && !is_end(net.broadcast());
        is_host && beside.iter().all(|other| other.is_disjoint(&prefix(*net)))
    })
}
