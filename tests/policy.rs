//! Laws of `check`, over random rulesets and policies on a small machine.
//!
//! The oracle is enumeration: packets from a grid of telling addresses, ports and kinds, each followed by the evaluator,
//! and the meaning of statements written down once more, for one packet at a time.
//!
//! - forall rulesets, statements: a packet of the grid offends the statement => the statement is not said to hold
//! - forall rulesets, statements: it is said to be violated => its counterexample offends it, by the same oracle

use std::net::{IpAddr, Ipv4Addr};

use pfproof::check::{Machine as Subject, check};
use pfproof::context::{Context, context_from_toml};
use pfproof::eval::{End, Machine, Memory, Usual, Verdict};
use pfproof::lower;
use pfproof::net::{Protocol, TcpFlags};
use pfproof::packet::{Icmp, Packet, Way};
use pfproof::ruleset::Ruleset;
use pfproof::source::{MemoryLoader, Sources};
use pfproof::syntax;
use proptest::prelude::*;

const CONTEXT: &str = r#"
[interface.em0]
addresses = ["198.51.100.1/24"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24"]
[interface.em2]
addresses = ["10.0.2.1/24"]
[[route]]
to = "default"
interface = "em0"
via = "198.51.100.254"
"#;

const ZONES: &str = "zone internet on em0\nzone lan on em1\nzone iot on em2\n";
const NAMES: [&str; 3] = ["internet", "lan", "iot"];
const OWN: [&str; 3] = ["198.51.100.1", "10.0.1.1", "10.0.2.1"];
/// Addresses that tell classes apart: hosts, own, network, broadcast, multicast, private, no address.
const ADDRESSES: [&str; 14] = [
    "198.51.100.1",
    "198.51.100.9",
    "198.51.100.255",
    "9.9.9.9",
    "172.16.3.3",
    "10.0.1.0",
    "10.0.1.1",
    "10.0.1.5",
    "10.0.1.66",
    "10.0.2.1",
    "10.0.2.5",
    "255.255.255.255",
    "224.0.0.5",
    "0.0.0.0",
];

fn ip(text: &str) -> Ipv4Addr {
    text.parse().expect("an address")
}

/// The interface behind which the address lies, by route.
fn behind(address: Ipv4Addr) -> usize {
    match address.octets() {
        [10, 0, 1, _] => 1,
        [10, 0, 2, _] => 2,
        _ => 0,
    }
}

/// The interface in whose network the address is.
fn network(address: Ipv4Addr) -> Option<usize> {
    let nets = [[198, 51, 100], [10, 0, 1], [10, 0, 2]];
    nets.iter().position(|net| address.octets()[..3] == *net)
}

fn is_own(address: Ipv4Addr) -> bool {
    OWN.iter().any(|own| ip(own) == address)
}

/// What the machine takes in besides its own addresses.
fn is_shared(address: Ipv4Addr) -> bool {
    let octets = address.octets();
    let own_broadcast = octets[3] == 255 && matches!(octets[..3], [198, 51, 100] | [10, 0, 1] | [10, 0, 2]);
    address.is_broadcast() || address.is_multicast() || address.is_unspecified() || own_broadcast
}

/// One end of a statement.
#[derive(Clone, Debug)]
enum Who {
    Zone(usize),
    ZoneBut(usize, &'static str),
    Address(&'static str),
    Itself,
    Any,
}

impl Who {
    fn words(&self) -> String {
        match self {
            Self::Zone(zone) => NAMES[*zone].to_owned(),
            Self::ZoneBut(zone, but) => format!("{{ {} ! {but} }}", NAMES[*zone]),
            Self::Address(address) => (*address).to_owned(),
            Self::Itself => "self".to_owned(),
            Self::Any => "any".to_owned(),
        }
    }

    /// Whether a destination belongs to it.
    fn takes(&self, address: Ipv4Addr) -> bool {
        let zone = |zone: usize| behind(address) == zone && !is_own(address) && !is_shared(address);
        match self {
            Self::Zone(at) => zone(*at),
            Self::ZoneBut(at, but) => zone(*at) && address != ip(but),
            Self::Address(only) => address == ip(only),
            Self::Itself => is_own(address) || is_shared(address),
            Self::Any => true,
        }
    }

    /// Whether it may send such a packet; with `spoofed` what only pretends to come from there counts too.
    fn sends(&self, arrives: Option<usize>, source: Ipv4Addr, spoofed: bool) -> bool {
        let zone =
            |zone: usize| arrives == Some(zone) && (spoofed || behind(source) == zone || source.is_unspecified());
        match self {
            Self::Zone(at) => zone(*at),
            Self::ZoneBut(at, but) => zone(*at) && source != ip(but),
            Self::Address(only) => {
                source == ip(only)
                    && match arrives {
                        Some(at) => behind(source) == at && !is_own(source),
                        None => is_own(source),
                    }
            }
            Self::Itself => arrives.is_none(),
            Self::Any => true,
        }
    }
}

/// What a statement says of protocols and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    All,
    Tcp(u16),
    Udp,
    Icmp,
}

impl What {
    fn before(self) -> &'static str {
        match self {
            Self::All => "inet ",
            Self::Tcp(_) => "inet proto tcp ",
            Self::Udp => "inet proto udp ",
            Self::Icmp => "inet proto icmp ",
        }
    }

    fn after(self) -> String {
        match self {
            Self::Tcp(port) => format!(" port {port}"),
            Self::All | Self::Udp | Self::Icmp => String::new(),
        }
    }

    fn takes(self, packet: &Packet, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Tcp(wanted) => packet.protocol == Protocol::TCP && port == wanted,
            Self::Udp => packet.protocol == Protocol::UDP,
            Self::Icmp => packet.protocol == Protocol::ICMP,
        }
    }
}

/// A statement of the random policies.
#[derive(Clone, Debug)]
enum Statement {
    Require(What, Who, Who),
    Allow(What, Who, Who),
    Forbid(What, Who, Who),
    ClosedFrom(usize),
    ClosedTo(usize),
    Closed,
}

impl Statement {
    fn words(&self) -> String {
        let flow = |verb: &str, what: What, from: &Who, to: &Who| {
            format!(
                "{verb} {}from {} to {}{}",
                what.before(),
                from.words(),
                to.words(),
                what.after()
            )
        };
        match self {
            Self::Require(what, from, to) => flow("require", *what, from, to),
            Self::Allow(what, from, to) => flow("allow", *what, from, to),
            Self::Forbid(what, from, to) => flow("forbid", *what, from, to),
            Self::ClosedFrom(zone) => format!("closed from {}", NAMES[*zone]),
            Self::ClosedTo(zone) => format!("closed to {}", NAMES[*zone]),
            Self::Closed => "closed".to_owned(),
        }
    }
}

/// A packet's fate, as far as statements ask for it.
struct Fate {
    through: bool,
    /// Destination and port at the end.
    end: (Ipv4Addr, u16),
    /// Where it leaves; `None` if it stays here.
    leaves: Option<usize>,
    untranslated: bool,
}

fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

fn interface(name: &str) -> usize {
    ["em0", "em1", "em2"]
        .iter()
        .position(|known| *known == name)
        .expect("an interface")
}

fn fate(machine: &Machine<'_>, packet: &Packet) -> Option<Fate> {
    let to = v4(packet.dst);
    let mut packet = packet.clone();
    if packet.way == Way::Forward && is_shared(to) {
        packet.way = Way::In;
    }
    let journey = machine.follow(&packet, &mut Memory::default(), &mut Usual).ok()?;
    let last = journey.last()?;
    let mut through = journey.verdict() == Verdict::Pass && matches!(journey.end, End::Sent | End::Local);
    let end = v4(last.dst);
    let hop = journey.hops.last()?;
    let here = packet.way == Way::In || journey.end == End::Local;
    if is_shared(to) {
        // Never forwarded, redirected or not; no program takes tcp from there.
        through &= (is_own(end) || is_shared(end)) && packet.protocol != Protocol::TCP;
    }
    Some(Fate {
        through,
        end: (end, last.dport),
        leaves: (!here).then(|| interface(&hop.before.interface)),
        untranslated: (last.src, last.dst, last.sport, last.dport)
            == (packet.src, packet.dst, packet.sport, packet.dport),
    })
}

/// Whether the packet offends the statement of a policy.
fn offends(packet: &Packet, fate: &Fate, statement: &Statement, policy: &[Statement]) -> bool {
    let arrives = (packet.way != Way::Out).then(|| interface(&packet.interface));
    let (source, target) = (v4(packet.src), v4(packet.dst));
    let (end, end_port) = fate.end;
    let neighbours = fate.untranslated
        && arrives.is_some()
        && fate.leaves == arrives
        && arrives == network(source)
        && arrives == network(target);
    let excused = || {
        policy.iter().any(|one| match one {
            Statement::Require(what, from, to) | Statement::Allow(what, from, to) => {
                from.sends(arrives, source, matches!(from, Who::Any))
                    && ((what.takes(packet, packet.dport) && to.takes(target))
                        || (what.takes(packet, end_port) && to.takes(end)))
            }
            Statement::Forbid(..) | Statement::ClosedFrom(_) | Statement::ClosedTo(_) | Statement::Closed => false,
        })
    };
    match statement {
        Statement::Require(what, from, to) => {
            let host = |address: Ipv4Addr| {
                !is_shared(address) && !is_own(address) && address.octets()[3] != 0 && !address.is_unspecified()
            };
            let global = |address: Ipv4Addr, who: &Who| {
                !matches!(who, Who::Zone(0) | Who::ZoneBut(0, _) | Who::Any)
                    || behind(address) != 0
                    || !(address.is_private() || address.is_documentation())
            };
            let from_host = match (from, arrives) {
                (Who::Itself, None) => is_own(source) && OWN[interface(&packet.interface)].parse() == Ok(source),
                (Who::Address(_), _) => true,
                (_, None) => false,
                (_, Some(_)) => host(source) && global(source, from) && behind(source) == arrives.unwrap_or(9),
            };
            let to_host = match to {
                Who::Itself => is_own(target),
                Who::Address(_) => true,
                Who::Zone(_) | Who::ZoneBut(..) | Who::Any => host(target) && global(target, to),
            };
            let begins = packet.protocol != Protocol::TCP || packet.flags == TcpFlags::SYN;
            let elsewhere =
                arrives.is_none() || network(source) != arrives || network(target) != arrives || is_own(target);
            begins
                && from_host
                && to_host
                && elsewhere
                && from.sends(arrives, source, false)
                && to.takes(target)
                && what.takes(packet, packet.dport)
                && !fate.through
        }
        Statement::Allow(..) => false,
        Statement::Forbid(what, from, to) => {
            fate.through
                && !neighbours
                && from.sends(arrives, source, true)
                && to.takes(end)
                && what.takes(packet, end_port)
        }
        Statement::ClosedFrom(zone) => fate.through && !neighbours && arrives == Some(*zone) && !excused(),
        Statement::ClosedTo(zone) => fate.through && !neighbours && fate.leaves == Some(*zone) && !excused(),
        Statement::Closed => fate.through && !neighbours && !excused(),
    }
}

/// Every packet of the grid.
fn grid() -> Vec<Packet> {
    let kinds: [(Protocol, u16, TcpFlags); 5] = [
        (Protocol::TCP, 22, TcpFlags::SYN),
        (Protocol::TCP, 80, TcpFlags::SYN),
        (Protocol::TCP, 80, TcpFlags::ACK),
        (Protocol::UDP, 53, TcpFlags(0)),
        (Protocol::ICMP, 0, TcpFlags(0)),
    ];
    let mut packets = Vec::new();
    let mut add = |way, on: usize, source: Ipv4Addr, target: Ipv4Addr| {
        for (protocol, port, flags) in kinds {
            let mut packet = Packet::new(way, ["em0", "em1", "em2"][on], protocol, source.into(), target.into());
            packet.flags = flags;
            if protocol == Protocol::ICMP {
                packet.icmp = Some(Icmp {
                    kind: 8,
                    code: 0,
                    id: 7,
                });
            } else {
                packet.sport = 50_000;
                packet.dport = port;
            }
            // Its own reverse, where its addresses are equal.
            if source == target && protocol != Protocol::ICMP {
                let mut packet = packet.clone();
                packet.sport = packet.dport;
                packets.push(packet);
            }
            packets.push(packet);
        }
    };
    for source in ADDRESSES.map(ip) {
        for target in ADDRESSES.map(ip) {
            for on in 0..3 {
                add(Way::Forward, on, source, target);
            }
            if is_own(source) && !is_own(target) && !is_shared(target) {
                add(Way::Out, behind(target), source, target);
            }
        }
    }
    packets
}

fn host() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "any",
        "em1:network",
        "em2:network",
        "! em1:network",
        "! em2:network",
        "10.0.1.5",
        "10.0.1.66",
        "self",
        "(em0)",
        "<t>",
        "! <t>",
        "9.9.9.9",
        "255.255.255.255",
    ])
}

fn rule() -> impl Strategy<Value = String> {
    let on = prop::sample::select(vec!["", "", " on em0", " on em1", " on em2", " on ! em1", " on egress"]);
    let what = prop::sample::select(vec![
        ("", ""),
        ("", ""),
        ("proto tcp ", ""),
        ("proto tcp ", " port 80"),
        ("proto udp ", ""),
        ("proto icmp ", ""),
        ("proto tcp ", " port 22"),
    ]);
    let verb = prop::sample::select(vec!["block", "pass", "pass", "block"]);
    let direction = prop::sample::select(vec![" in", " out", ""]);
    let tail = prop::sample::select(vec![
        "",
        "",
        "",
        "",
        " no state",
        " received-on em1",
        " ! received-on any",
        " tagged A",
        " tag A",
        " flags any",
        "nat",
        "rdr",
    ]);
    (verb, direction, any::<bool>(), on, what, host(), host(), tail).prop_map(
        |(verb, direction, quick, on, (proto, port), from, to, tail)| {
            let quick = if quick { " quick" } else { "" };
            let pass = verb == "pass";
            let tail = match (tail, direction, pass) {
                ("nat", " out", true) => " nat-to (em0)",
                ("rdr", " in", true) => " rdr-to 10.0.2.5",
                ("nat" | "rdr", ..) => "",
                (" received-on em1" | " ! received-on any", " out", _) => tail,
                (" received-on em1" | " ! received-on any", ..) => "",
                (" no state" | " tag A", _, false) => "",
                (" flags any", _, pass) if !pass || proto != "proto tcp " => "",
                (tail, ..) => tail,
            };
            format!("{verb}{direction}{quick}{on} inet {proto}from {from} to {to}{port}{tail}\n")
        },
    )
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        4 => (0..3usize).prop_map(Who::Zone),
        1 => Just(Who::ZoneBut(1, "10.0.1.66")),
        1 => prop::sample::select(vec!["10.0.1.5", "10.0.2.5", "9.9.9.9"]).prop_map(Who::Address),
        1 => Just(Who::Itself),
        1 => Just(Who::Any),
    ]
}

fn statement() -> impl Strategy<Value = Statement> {
    let what = || prop::sample::select(vec![What::All, What::Tcp(80), What::Tcp(22), What::Udp, What::Icmp]);
    prop_oneof![
        3 => (what(), who(), who()).prop_map(|(what, from, to)| Statement::Require(what, from, to)),
        2 => (what(), who(), who()).prop_map(|(what, from, to)| Statement::Allow(what, from, to)),
        3 => (what(), who(), who()).prop_map(|(what, from, to)| Statement::Forbid(what, from, to)),
        2 => (0..3usize).prop_map(Statement::ClosedFrom),
        2 => (0..3usize).prop_map(Statement::ClosedTo),
        1 => Just(Statement::Closed),
    ]
}

fn context() -> Context {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", CONTEXT);
    let (context, findings) = context_from_toml(&sources, file);
    assert!(findings.is_empty(), "{findings:?}");
    context
}

fn judged(rules: &str, policy: &str) -> (Ruleset, pfproof::report::check::Router) {
    let loader = MemoryLoader::new();
    let mut sources = Sources::new();
    let limits = syntax::Limits::default();
    let (document, _) = syntax::read(&mut sources, &loader, "pf.conf", rules.as_bytes(), &[], &limits);
    let policies = vec![sources.add("policy", policy)];
    let machine = Subject {
        name: "pf.conf".to_owned(),
        document,
        defines: Vec::new(),
        context: context(),
        policies,
        assumptions: Vec::new(),
    };
    let router = check(&mut sources, &loader, machine);
    let (lowered, _) = lower::load(
        &mut Sources::new(),
        &loader,
        "pf.conf",
        rules.as_bytes(),
        &[],
        &context(),
    );
    (lowered.ruleset, router)
}

fn agree(rules: &[String], statements: &[Statement]) -> Result<(), TestCaseError> {
    let rules = format!(
        "table <t> const {{ 10.0.1.0/24 ! 10.0.1.66 9.9.9.9 }}\n{}",
        rules.concat()
    );
    let lines: Vec<String> = statements.iter().map(Statement::words).collect();
    let policy = format!("{ZONES}{}\n", lines.join("\n"));
    let (ruleset, router) = judged(&rules, &policy);
    prop_assert!(router.faults.is_empty(), "{rules}\n{policy}\n{:?}", router.faults);
    prop_assert_eq!(
        router.statements.len(),
        statements.len(),
        "{}\n{}\n{:?}",
        rules,
        policy,
        router.findings
    );
    let context = context();
    let machine = Machine::new(&ruleset, &context);
    let packets: Vec<(Packet, Fate)> = grid()
        .into_iter()
        .filter_map(|packet| fate(&machine, &packet).map(|fate| (packet, fate)))
        .collect();
    for (statement, answer) in statements.iter().zip(&router.statements) {
        let offender = packets
            .iter()
            .find(|(packet, fate)| offends(packet, fate, statement, statements));
        if let Some((packet, _)) = offender {
            prop_assert_eq!(
                answer.outcome,
                "violated",
                "{}\n{}\n{} offends `{}`: {:?}",
                rules,
                policy,
                pfproof::packet::write_json(packet),
                answer.text,
                answer.reasons
            );
        }
        if answer.outcome == "violated" {
            for cause in &answer.causes {
                let Some((json, _)) = &cause.json else { continue };
                let packet = pfproof::packet::read_value(json).expect("a packet");
                // The oracle knows IPv4 alone.
                if packet.dst.is_ipv6() {
                    continue;
                }
                let fate = fate(&machine, &packet);
                let is_reply = cause.says.contains("reply");
                let offends = is_reply || fate.is_none_or(|fate| offends(&packet, &fate, statement, statements));
                prop_assert!(offends, "{rules}\n{policy}\n{json} does not offend `{}`", answer.text);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn outcomes_agree_with_enumeration(
        rules in prop::collection::vec(rule(), 0..8),
        statements in prop::collection::vec(statement(), 1..6),
    ) {
        agree(&rules, &statements)?;
    }
}
