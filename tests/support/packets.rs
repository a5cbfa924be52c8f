//! Random packets for a ruleset: half of their fields from the bounds of its rules, half from everywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use pfproof::context::Context;
use pfproof::net::{Family, Operator, Protocol, TcpFlags};
use pfproof::packet::{Fragment, Icmp, IpOptions, Packet, Way};
use pfproof::ruleset::{Host, PoolAddress, Ruleset, Translation};

/// A generator of numbers (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in `n`.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of the items.
    pub(crate) fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}

/// What the rules of a ruleset and the machine know: the values from which packets are drawn.
pub(crate) struct Bounds {
    interfaces: Vec<String>,
    inet: Vec<IpAddr>,
    inet6: Vec<IpAddr>,
    ports: Vec<u16>,
    protocols: Vec<Protocol>,
    icmp: Vec<(u8, u8)>,
    tags: Vec<String>,
}

impl Bounds {
    /// The bounds of every rule and table, and one beyond them.
    pub(crate) fn of(ruleset: &Ruleset, context: &Context) -> Self {
        let mut bounds = Self {
            interfaces: context
                .interfaces
                .iter()
                .map(|interface| interface.name.clone())
                .collect(),
            inet: [
                "8.8.8.8",
                "10.0.2.5",
                "127.0.0.1",
                "255.255.255.255",
                "224.0.0.5",
                "0.0.0.0",
            ]
            .map(|text| text.parse().unwrap())
            .to_vec(),
            inet6: ["2620:fe::fe", "2001:db8:2::5", "::1", "ff02::1", "fe80::5", "::"]
                .map(|text| text.parse().unwrap())
                .to_vec(),
            ports: vec![1, 53, 80, 65535],
            protocols: vec![
                Protocol::TCP,
                Protocol::UDP,
                Protocol::ICMP,
                Protocol::ICMP6,
                Protocol::ESP,
            ],
            icmp: vec![
                (8, 0),
                (0, 0),
                (3, 4),
                (128, 0),
                (129, 0),
                (1, 4),
                (133, 0),
                (135, 0),
                (136, 0),
            ],
            tags: Vec::new(),
        };
        for interface in &context.interfaces {
            for net in interface.addresses.iter().filter_map(|address| address.known()) {
                bounds.address(net.addr());
                bounds.net(net);
            }
        }
        for anchor in ruleset.anchors.values() {
            for entry in anchor.tables.values().flat_map(|table| &table.entries) {
                bounds.net(entry.prefix);
            }
            for rule in &anchor.rules {
                for peer in [&rule.source, &rule.destination] {
                    match &peer.host {
                        Host::Prefix(net) => bounds.net(*net),
                        Host::Range(first, last) => {
                            bounds.address(*first);
                            bounds.address(*last);
                        }
                        Host::Any
                        | Host::Dynamic(_)
                        | Host::Table(_)
                        | Host::NoRoute
                        | Host::UrpfFailed
                        | Host::RouteLabel(_) => {}
                    }
                    if let Some(operator) = peer.port {
                        bounds.port(operator);
                    }
                }
                bounds.protocols.extend(rule.protocol);
                if let Some(icmp) = rule.icmp {
                    bounds.icmp.push((icmp.kind, icmp.code.unwrap_or(1)));
                }
                bounds.tags.extend(rule.tag.iter().map(|tag| tag.to_string()));
                if let Some(Translation::Nat { pool, .. } | Translation::Rdr { pool, .. }) = rule.translation.as_deref()
                    && let PoolAddress::Prefix(net) = &pool.address
                {
                    bounds.net(*net);
                }
            }
        }
        bounds
    }

    fn net(&mut self, net: IpNet) {
        self.address(net.network());
        self.address(net.broadcast());
    }

    /// The address and its neighbours.
    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                let number = u32::from(address);
                let near = [number.saturating_sub(1), number, number.saturating_add(1)];
                self.inet.extend(near.map(|number| IpAddr::V4(Ipv4Addr::from(number))));
            }
            IpAddr::V6(address) => {
                let number = u128::from(address);
                let near = [number.saturating_sub(1), number, number.saturating_add(1)];
                self.inet6.extend(near.map(|number| IpAddr::V6(Ipv6Addr::from(number))));
            }
        }
    }

    fn port(&mut self, operator: Operator<u16>) {
        let ends = match operator {
            Operator::Equal(a)
            | Operator::NotEqual(a)
            | Operator::Less(a)
            | Operator::LessOrEqual(a)
            | Operator::Greater(a)
            | Operator::GreaterOrEqual(a) => [a, a],
            Operator::Range(a, b) | Operator::Between(a, b) | Operator::Outside(a, b) => [a, b],
        };
        for end in ends {
            self.ports
                .extend([end.saturating_sub(1).max(1), end.max(1), end.saturating_add(1)]);
        }
    }

    /// A random packet that meets the machine in that way.
    pub(crate) fn packet(&self, random: &mut Random, way: Way) -> Packet {
        let family = if random.one_in(3) { Family::Inet6 } else { Family::Inet };
        let address = |random: &mut Random| {
            let bounds = match family {
                Family::Inet => &self.inet,
                Family::Inet6 => &self.inet6,
            };
            match (random.one_in(2), family) {
                (true, _) => random.pick(bounds),
                (false, Family::Inet) => Ipv4Addr::new(10, 0, random.below(4) as u8, random.below(256) as u8).into(),
                (false, Family::Inet6) => Ipv6Addr::new(
                    0x2001,
                    0xdb8,
                    random.below(3) as u16,
                    0,
                    0,
                    0,
                    0,
                    random.below(16) as u16,
                )
                .into(),
            }
        };
        let port = |random: &mut Random| {
            if random.one_in(2) {
                random.pick(&self.ports)
            } else {
                1 + random.below(65535) as u16
            }
        };
        let protocol = match (random.pick(&self.protocols), family) {
            (Protocol::ICMP, Family::Inet6) => Protocol::ICMP6,
            (Protocol::ICMP6, Family::Inet) => Protocol::ICMP,
            (protocol, _) => protocol,
        };
        let (src, dst) = (address(random), address(random));
        let mut packet = Packet::new(way, random.pick(&self.interfaces), protocol, src, dst);
        match protocol {
            Protocol::TCP | Protocol::UDP => {
                packet.sport = port(random);
                packet.dport = port(random);
                if protocol == Protocol::TCP {
                    let flags = ["S", "S", "S", "SA", "A", "FA", "R", "F", "SEW", ""];
                    packet.flags = TcpFlags::parse(random.pick(&flags)).unwrap();
                }
            }
            Protocol::ICMP | Protocol::ICMP6 => {
                let (kind, code) = random.pick(&self.icmp);
                packet.icmp = Some(Icmp {
                    kind,
                    code,
                    id: Packet::DEFAULT_ICMP_ID,
                });
                packet.ttl = random.pick(&[64, 255]);
                if let IpAddr::V6(neighbour) = address(random)
                    && matches!(kind, 135 | 136)
                {
                    packet.target = Some(neighbour);
                }
            }
            _ => {}
        }
        if random.one_in(12) {
            packet.fragment = Some(random.pick(&[Fragment::First { id: 1 }, Fragment::Later { id: 1, offset: 1480 }]));
        }
        // A later one has no header of its protocol.
        if let Some(Fragment::Later { .. }) = packet.fragment {
            (packet.sport, packet.dport, packet.flags) = (0, 0, TcpFlags(0));
            packet.fragment = packet.fragment.filter(|_| packet.icmp.is_none());
        }
        // Its own reverse.
        if random.one_in(12) {
            packet.dst = packet.src;
            packet.dport = packet.sport;
        }
        // Where it is redirected to where it comes from, it is so too.
        if random.one_in(12) {
            packet.dport = packet.sport;
        }
        if random.one_in(12) {
            packet.options = random.pick(&[IpOptions::Some, IpOptions::RouterAlert]);
        }
        if random.one_in(8) {
            packet.tos = random.pick(&[0x10, 0x08, 0xb8]);
        }
        if random.one_in(8) {
            packet.prio = random.pick(&[0, 5]);
        }
        if !self.tags.is_empty() && random.one_in(6) {
            packet.tag = Some(random.pick(&self.tags));
        }
        if way == Way::Out && random.one_in(2) {
            packet.received_on = Some(random.pick(&self.interfaces));
        }
        if random.one_in(6) {
            packet.user = Some(random.pick(&[0, 1000, 1001]));
            packet.group = packet.user;
        }
        packet
    }
}
