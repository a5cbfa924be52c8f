//! The blocks of a table that a pool takes its addresses from (`pfr_pool_get`).

use std::cmp::Reverse;

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use super::address::bits;
use crate::net::Family;

/// A positive entry of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) net: IpNet,
    /// The addresses that a pool takes from it, in order: those that no longer entry holds.
    pub(super) free: Vec<IpNet>,
}

impl Block {
    pub(super) fn is_network(&self) -> bool {
        self.net.prefix_len() < self.net.max_prefix_len()
    }
}

/// The blocks of the entries of one family, in the order in which the kernel walks them: of those with the same address
/// the longest prefix first (`rn_addroute`).
pub(super) fn blocks(family: Family, mut entries: Vec<(IpNet, bool)>) -> Vec<Block> {
    entries.sort_by_key(|(net, _)| (bits(net.network()), net.prefix_len()));
    let blocks = entries
        .iter()
        .enumerate()
        .filter(|(_, (_, positive))| *positive)
        .map(|(at, &(net, _))| {
            let inside = entries
                .iter()
                .skip(at + 1)
                .map(|&(nested, _)| nested)
                .take_while(|nested| net.contains(&nested.network()));
            Block {
                net,
                free: free(family, net, inside),
            }
        });
    let mut blocks: Vec<Block> = blocks.collect();
    blocks.sort_by_key(|block| (bits(block.net.network()), Reverse(block.net.prefix_len())));
    blocks
}

/// The addresses of a block that none of the entries inside it holds; these come in order.
fn free(family: Family, block: IpNet, inside: impl Iterator<Item = IpNet>) -> Vec<IpNet> {
    let (mut next, last) = (Some(bits(block.network())), bits(block.broadcast()));
    let mut free = Vec::new();
    for nested in inside {
        let (first, end) = (bits(nested.network()), bits(nested.broadcast()));
        let Some(from) = next else { break };
        if from > end {
            // It lies in one that is left out already.
            continue;
        }
        if from < first {
            free.extend(range(family, from, first - 1));
        }
        // Past an entry of IPv6 the kernel takes a mask of IPv4, and comes to the end of the block.
        next = match family {
            Family::Inet => end.checked_add(1),
            Family::Inet6 => None,
        };
    }
    if let Some(from) = next.filter(|&from| from <= last) {
        free.extend(range(family, from, last));
    }
    free
}

/// The prefixes that make up a range.
fn range(family: Family, first: u128, last: u128) -> IpSubnets {
    match family {
        Family::Inet => Ipv4Subnets::new((first as u32).into(), (last as u32).into(), 0).into(),
        Family::Inet6 => Ipv6Subnets::new(first.into(), last.into(), 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_entries_are_left_out() {
        for (family, entries, expected) in [
            (Family::Inet, "10.0.0.0/30", "10.0.0.0/30"),
            (Family::Inet, "10.0.0.0/30 !10.0.0.1/32", "10.0.0.0/32 10.0.0.2/31"),
            (
                Family::Inet,
                "10.0.0.0/30 10.0.0.0/31 !10.0.0.1/32",
                "10.0.0.0/32 10.0.0.2/31",
            ),
            (Family::Inet, "!10.0.0.0/8 10.0.0.9/32", "10.0.0.9/32"),
            (
                Family::Inet,
                "255.255.255.254/31 255.255.255.255/32",
                "255.255.255.254/32 255.255.255.255/32",
            ),
            (Family::Inet6, "fd00::/126 !fd00::1/128", "fd00::/128"),
            (Family::Inet6, "fd00::/126 !fd00::/128", ""),
        ] {
            let entries = entries
                .split(' ')
                .map(|word| match word.strip_prefix('!') {
                    Some(net) => (net.parse().unwrap(), false),
                    None => (word.parse().unwrap(), true),
                })
                .collect();
            let free: Vec<String> = blocks(family, entries)
                .iter()
                .flat_map(|block| &block.free)
                .map(ToString::to_string)
                .collect();
            assert_eq!(free.join(" "), expected);
        }
    }
}
