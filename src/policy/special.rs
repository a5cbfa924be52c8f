//! Which addresses are globally reachable, by IANA's special-purpose registries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::IpNet;

use super::addresses::{prefix, single};
use crate::net::{Family, RangeSet};

static REACHABLE: LazyLock<[RangeSet; 2]> = LazyLock::new(|| {
    let mut entries: Vec<(IpNet, bool)> = include_str!("special-purpose.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()? == "yes"))
        })
        .collect();
    entries.sort_by_key(|(net, _)| net.prefix_len());
    Family::BOTH.map(|family| {
        let anycast = ANYCAST.iter().filter(|address| Family::of(**address) == family);
        let anycast = anycast.fold(RangeSet::empty(), |all, &address| all.union(&single(address)));
        let all = RangeSet::range(0, u128::MAX >> (128 - u32::from(family.bits())));
        entries
            .iter()
            .filter(|(net, _)| Family::of(net.addr()) == family)
            .fold(all, |reachable, (net, global)| {
                if *global {
                    reachable.union(&prefix(*net))
                } else {
                    reachable.minus(&prefix(*net))
                }
            })
            .minus(&anycast)
    })
});

/// The addresses by which a network's own servers for port control, relays and service discovery are found (RFC 7723, 8155,
/// 9665): hosts have none of them, and rulesets that block all of 192.0.0.0/24 mean no harm to any.
const ANYCAST: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 9)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 10)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 2)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 3)),
];

/// The addresses of the family that hosts have and that are globally reachable. (Multicast is not in the registries.)
pub(super) fn globally_reachable(family: Family) -> &'static RangeSet {
    match family {
        Family::Inet => &REACHABLE[0],
        Family::Inet6 => &REACHABLE[1],
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, globally_reachable};
    use crate::engine::address_number;

    #[test]
    fn longer_prefixes_win() {
        let global = |address: &str| {
            let address = address.parse().unwrap();
            globally_reachable(Family::of(address)).contains(address_number(address))
        };
        for address in ["9.9.9.9", "2001:4860::1", "2001:4:112::1"] {
            assert!(global(address), "{address}");
        }
        for address in [
            "10.1.2.3",
            "192.0.0.8",
            "192.0.0.9",
            "2001:1::1",
            "203.0.113.1",
            "2001:5::1",
            "fe80::1",
            "::1",
        ] {
            assert!(!global(address), "{address}");
        }
    }

    #[test]
    fn every_line_of_the_table_is_read() {
        for line in include_str!("special-purpose.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            let mut words = line.split_whitespace();
            assert!(words.next().unwrap().parse::<ipnet::IpNet>().is_ok(), "{line}");
            assert!(matches!(words.next(), Some("yes" | "no")), "{line}");
        }
    }
}
