//! Words that several readers share: names, prefixes, masks.

use std::net::{IpAddr, Ipv4Addr};

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

/// The prefix length of a mask, in dotted form (`255.255.255.0`) or hexadecimal (`0xffffff00`); `None` for other words
/// and for masks with holes.
pub(super) fn mask(word: &str) -> Option<u8> {
    let bits = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => word.parse::<Ipv4Addr>().ok()?.to_bits(),
    };
    let length = bits.leading_ones();
    (bits.checked_shl(length).unwrap_or(0) == 0).then_some(u8::try_from(length).unwrap_or(32))
}

/// The length of the mask that an IPv4 address had by its class, which ifconfig(8) takes without a mask.
pub(super) fn classful(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        192.. => 24,
    }
}

/// An address, its scope (`%em0`) left out.
pub(super) fn address(word: &str) -> Option<IpAddr> {
    word.split('%').next()?.parse().ok()
}

/// A destination as route(8) shows it: an address, a network with or without all of its octets (`10/8`,
/// `203.0.113/24`), a scope within (`fe80::%em0/64`).
pub(super) fn shown_prefix(word: &str) -> Option<IpNet> {
    let (address, bits) = match word.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (word, None),
    };
    let address = address.split('%').next()?;
    if address.contains(':') {
        let whole: IpAddr = address.parse().ok()?;
        return IpNet::new(whole, bits.unwrap_or(Family::of(whole).bits())).ok();
    }
    let octets = address.split('.').count();
    let left_out = 4usize.checked_sub(octets)?;
    let whole: IpAddr = format!("{address}{}", ".0".repeat(left_out)).parse().ok()?;
    // Without a length the octets that are there are the network.
    IpNet::new(whole, bits.or(u8::try_from(8 * octets).ok())?).ok()
}

/// The number of a routing table or domain (`RT_TABLEID_MAX` in socket.h).
pub(super) fn rtable(word: &str) -> Option<u32> {
    word.parse().ok().filter(|&number| number < 256)
}

/// Whether it is a link-layer address, by which a hostname.if(5) file may be named.
pub(super) fn is_link_address(word: &str) -> bool {
    let parts: Vec<_> = word.split(':').collect();
    parts.len() == 6
        && parts
            .iter()
            .all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether the word names an interface: by its name, or by its link-layer address where its name is not known.
pub(super) fn names_interface(word: &str) -> bool {
    is_name(word) || is_link_address(word)
}
