//! Words that several readers share: names, prefixes, masks.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::net::Family;

/// The length of a name of an interface or group, with the zero byte that ends it (`IFNAMSIZ` in if.h).
const IFNAMSIZ: usize = 16;

/// Whether the word can be the name of an interface.
pub(super) fn is_name(word: &str) -> bool {
    !word.is_empty()
        && word.len() < IFNAMSIZ
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// Whether the word can be the name of a group: it ends in no digit (`if_addgroup` in if.c).
pub(super) fn is_group(word: &str) -> bool {
    is_name(word) && !word.ends_with(|letter: char| letter.is_ascii_digit())
}

/// The prefix that matches every address of that family.
pub(super) fn default_route(family: Family) -> IpNet {
    match family {
        Family::Inet => IpNet::V4(Ipv4Net::default()),
        Family::Inet6 => IpNet::V6(Ipv6Net::default()),
    }
}

/// An address, or an address and a prefix length after a slash; a single address is a prefix of its own.
pub(super) fn prefix(word: &str) -> Option<IpNet> {
    match word.split_once('/') {
        Some((address, bits)) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
            IpNet::new(address.parse().ok()?, bits.parse().ok()?).ok()
        }
        Some(_) => None,
        None => word.parse::<IpAddr>().ok().map(IpNet::from),
    }
}
