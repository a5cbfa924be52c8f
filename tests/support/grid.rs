//! Every packet of a grid of addresses, ports and kinds that tell the classes of a small world apart.

use std::net::IpAddr;

use pfproof::net::{Protocol, TcpFlags};
use pfproof::packet::{Icmp, IpOptions, Packet, Way};

use crate::site::{INTERFACES, Site, has_no_address, ip};

/// Addresses that tell classes apart: hosts, own, network, broadcast, multicast, private, no address.
const ADDRESSES: [&str; 24] = [
    "198.51.100.1",
    "198.51.100.9",
    "9.9.9.9",
    "172.16.3.3",
    "10.0.1.0",
    "10.0.1.1",
    "10.0.1.5",
    "10.0.1.66",
    "10.0.1.255",
    "10.0.2.1",
    "10.0.2.5",
    "10.9.0.5",
    "192.0.2.77",
    "255.255.255.255",
    "224.0.0.5",
    "0.0.0.0",
    "2001:db8:a::1",
    "2001:db8:a::9",
    "2620:fe::fe",
    "2001:db8:1::1",
    "2001:db8:1::5",
    // 10.0.2.5 for NAT64.
    "64:ff9b::a00:205",
    "fe80::5",
    "ff02::5",
];

/// Every packet of a grid.
pub(crate) fn grid(site: &Site) -> Vec<Packet> {
    let mut packets = Vec::new();
    for (source, target) in ADDRESSES
        .iter()
        .flat_map(|source| ADDRESSES.iter().map(|target| (ip(source), ip(target))))
    {
        if source.is_ipv4() != target.is_ipv4() {
            continue;
        }
        for on in INTERFACES {
            add(&mut packets, Way::Forward, on, source, target);
        }
        for domain in site.domains() {
            let out = INTERFACES.get(site.behind(domain, target));
            let Some(on) = out.filter(|_| site.is_own(domain, source) && !site.is_own(domain, target)) else {
                continue;
            };
            if !site.is_shared(domain, target) && !has_no_address(target) {
                add(&mut packets, Way::Out, on, source, target);
            }
        }
    }
    packets
}

fn add(packets: &mut Vec<Packet>, way: Way, on: &str, source: IpAddr, target: IpAddr) {
    let packet = |protocol| Packet::new(way, on, protocol, source, target);
    let ported = |protocol, sport, dport, flags| Packet {
        sport,
        dport,
        flags,
        ..packet(protocol)
    };
    let (syn, ack, none) = (TcpFlags::SYN, TcpFlags::ACK, TcpFlags(0));
    packets.extend([
        ported(Protocol::TCP, 50_000, 22, syn),
        ported(Protocol::TCP, 50_000, 80, syn),
        ported(Protocol::TCP, 50_000, 80, ack),
        ported(Protocol::UDP, 50_000, 53, none),
        Packet {
            options: IpOptions::Some,
            ..ported(Protocol::UDP, 50_000, 53, none)
        },
        packet(Protocol::ESP),
    ]);
    let (protocol, kinds): (_, &[u8]) = if source.is_ipv4() {
        (Protocol::ICMP, &[8, 0, 3, 13])
    } else {
        (Protocol::ICMP6, &[128, 1])
    };
    packets.extend(kinds.iter().map(|&kind| Packet {
        icmp: Some(Icmp { kind, code: 0, id: 7 }),
        ..packet(protocol)
    }));
    // Their own reverse.
    if source == target {
        packets.push(ported(Protocol::TCP, 80, 80, syn));
        packets.push(ported(Protocol::UDP, 53, 53, none));
    }
}
