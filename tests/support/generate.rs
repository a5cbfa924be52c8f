//! Large rulesets for measuring, each from a seed: as on a router between networks, as ClassBench's families (access
//! lists, firewalls, IP chains), and adversarial ones.

use std::fmt::Write as _;

/// A generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len() as u64) as usize]
    }
}

/// A kind of ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Networks on VLANs: default deny, hosts and services that reach each other, nat on the way out.
    Router,
    /// Access lists: pairs of specific prefixes and ports.
    Acl,
    /// Firewalls: many wildcards and ranges.
    Firewall,
    /// IP chains: in between.
    Chains,
    /// Interleaved wildcards, alternating actions, overlapping ranges.
    Adversarial,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 5] = [Self::Router, Self::Acl, Self::Firewall, Self::Chains, Self::Adversarial];
}

/// How many VLANs the router has.
const VLANS: u64 = 16;

/// The machine for every kind, as a context.toml.
pub(crate) fn context() -> String {
    let mut text = String::from(
        "[interface.em0]\naddresses = [\"203.0.113.7/24\", \"2001:db8::7/64\"]\n\
         [[route]]\nto = \"default\"\ninterface = \"em0\"\n[[route]]\nto = \"::/0\"\ninterface = \"em0\"\n",
    );
    for vlan in 0..VLANS {
        let _ = writeln!(
            text,
            "[interface.vlan{vlan}]\naddresses = [\"10.{vlan}.0.1/16\", \"2001:db8:{vlan:x}0::1/60\"]"
        );
    }
    text
}

/// Ten statements about the first networks of that machine.
pub(crate) const POLICY: &str = "\
zone a on vlan1
zone b on vlan2
zone c on vlan3
zone internet on em0
allow inet proto { tcp udp } from { a b c } to internet
forbid from a to b
forbid from internet to a
forbid from internet to self
forbid from b to c
forbid proto tcp from a to internet port 23
closed to a
closed to b
closed from internet
require proto udp from self to internet port 53
";

/// A pf.conf of about so many rules.
pub(crate) fn rules(kind: Kind, count: u64, seed: u64) -> String {
    let mut random = Random(seed);
    let mut text = String::from("set skip on lo\n");
    match kind {
        Kind::Router => router(&mut text, count, &mut random),
        Kind::Acl | Kind::Firewall | Kind::Chains => classes(&mut text, kind, count, &mut random),
        Kind::Adversarial => adversarial(&mut text, count, &mut random),
    }
    text
}

fn router(text: &mut String, count: u64, random: &mut Random) {
    text.push_str("match out on em0 inet from 10.0.0.0/8 nat-to (em0)\nblock drop log all\npass out on em0\n");
    for _ in 0..count / 2 {
        let (from, to) = (random.below(VLANS), random.below(VLANS));
        let (net, host, other) = (random.below(256), random.below(254) + 1, random.below(256));
        let proto = random.pick(&["tcp", "tcp", "tcp", "udp"]);
        let port = random.below(2000) + 1;
        let source = match random.below(3) {
            0 => format!("10.{from}.{net}.{host}"),
            1 => format!("10.{from}.{net}.0/24"),
            _ => format!("10.{from}.0.0/16"),
        };
        let destination = format!("10.{to}.{other}.{host}");
        let action = if random.below(10) == 0 { "block drop" } else { "pass" };
        let _ = writeln!(
            text,
            "{action} in on vlan{from} inet proto {proto} from {source} to {destination} port {port}\n\
             {action} out on vlan{to} inet proto {proto} from {source} to {destination} port {port}"
        );
    }
}

fn prefix(random: &mut Random, lengths: &[u64]) -> String {
    let length = lengths[random.below(lengths.len() as u64) as usize];
    if length == 0 {
        return "any".to_owned();
    }
    let address = (random.below(1 << 16) << 16 | random.below(1 << 16)) as u32;
    let address = 10 << 24 | address >> 8;
    let mask = u32::MAX << (32 - length as u32);
    format!("{}/{length}", std::net::Ipv4Addr::from(address & mask))
}

fn classes(text: &mut String, kind: Kind, count: u64, random: &mut Random) {
    let (sources, destinations): (&[u64], &[u64]) = match kind {
        Kind::Acl => (&[24, 28, 32, 32, 16], &[24, 32, 32, 27]),
        Kind::Firewall => (&[0, 0, 16, 24, 32], &[0, 0, 24, 32]),
        Kind::Chains | Kind::Router | Kind::Adversarial => (&[0, 16, 24, 32, 32], &[0, 24, 24, 32, 32]),
    };
    text.push_str("block drop all\n");
    for _ in 0..count {
        let action = random.pick(&["pass", "pass", "pass", "block drop"]);
        let quick = random.pick(&["", " quick"]);
        let direction = random.pick(&["in", "in", "out"]);
        let proto = random.pick(&["tcp", "tcp", "udp"]);
        let first = random.below(60_000) + 1;
        let port = match random.below(4) {
            0 => String::new(),
            1 => format!(" port {first}:{}", first + random.below(4000)),
            _ => format!(" port {}", random.below(1024) + 1),
        };
        let _ = writeln!(
            text,
            "{action} {direction}{quick} inet proto {proto} from {} to {}{port}",
            prefix(random, sources),
            prefix(random, destinations)
        );
    }
}

fn adversarial(text: &mut String, count: u64, random: &mut Random) {
    text.push_str("pass all\n");
    for number in 0..count {
        let action = if number % 2 == 0 { "block drop" } else { "pass" };
        let (a, b) = (random.below(65_000) + 1, random.below(65_000) + 1);
        let (c, d) = (random.below(65_000) + 1, random.below(65_000) + 1);
        let ports = format!("port {}:{}", a.min(b), a.max(b));
        let others = format!("port {}:{}", c.min(d), c.max(d));
        let (source, destination) = match number % 3 {
            0 => (prefix(random, &[1, 2, 3, 4, 9, 10, 11, 12]), "any".to_owned()),
            1 => ("any".to_owned(), prefix(random, &[9, 10, 11, 12, 13, 14])),
            _ => (prefix(random, &[9, 10, 11, 12]), prefix(random, &[9, 10, 11, 12])),
        };
        let _ = writeln!(
            text,
            "{action} inet proto tcp from {source} {ports} to {destination} {others}"
        );
    }
}
