//! Laws of verification, over random rulesets and policies on a small machine.
//!
//! The oracle is enumeration: every packet of a grid, followed by the evaluator in every way that pf may choose, in every
//! state of what the machine alone knows, and judged by the meaning of statements written down once more.
//!
//! - forall rulesets, statements: a packet offends it => it is violated, or unproven where something is not known
//! - forall rulesets, statements: it is violated => its counterexamples offend it, whatever is not known
//! - forall rulesets, statements: nothing is unknown => it is not unproven
//! - forall rulesets, statements: it is vacuous => no packet is asked for
//! - forall rulesets, statements: it is violated => its boxes hold every packet that offends it, and only such

#[path = "support/chance.rs"]
mod chance;
#[path = "support/grid.rs"]
mod grid;
#[path = "support/judge.rs"]
mod judge;
#[path = "support/packets.rs"]
#[expect(dead_code, reason = "packets come from a grid here")]
mod packets;

#[path = "support/site.rs"]
mod site;

use std::net::IpAddr;

use grid::grid;
use judge::{Expect, Fate, Item, Proto, Statement, What, Who, begins_a_flow, fates, is_required, is_unspoken, offends};
use packets::Random;
use pfproof::context::Context;
use pfproof::diagnostic::Severity;
use pfproof::engine::{Engine, Field, Header, PacketBox};
use pfproof::eval::Machine;
use pfproof::lower;
use pfproof::packet::{Packet, write_json};
use pfproof::policy::{self, Network, Zones};
use pfproof::ruleset::Ruleset;
use pfproof::source::{MemoryLoader, Sources};
use pfproof::verify::{Case, Cause, Doubt, Outcome, coverage, verify};
use proptest::prelude::*;
use proptest::sample::select;
use site::{SITES, Site, ZONES};

/// What only the machine knows: in a rule's text, and what it may be.
const UNKNOWN: [(&str, &[&str]); 2] = [
    (
        "table <u> persist\n",
        &[
            "table <u> const { 203.0.113.99 }\n",
            "table <u> const { 10.0.1.5 9.9.9.9 }\n",
            "table <u> const { 0.0.0.0/0 ::/0 }\n",
        ],
    ),
    ("anchor \"x/*\"\n", &["\n", "pass quick\n", "block quick\n"]),
];

fn load(text: &str, context: &Context) -> Option<Ruleset> {
    let mut sources = Sources::new();
    let loader = MemoryLoader::new();
    let (lowered, found) = lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], context);
    found
        .iter()
        .all(|one| one.severity != Severity::Error)
        .then_some(lowered.ruleset)
}

/// The rulesets that the text may stand for, and what fingerprints come to in each.
fn worlds(text: &str, context: &Context) -> Vec<(Ruleset, Option<bool>)> {
    let mut texts = vec![text.to_owned()];
    for (unknown, known) in UNKNOWN.iter().filter(|(unknown, _)| text.contains(unknown)) {
        texts = texts
            .iter()
            .flat_map(|text| known.iter().map(move |one| text.replace(unknown, one)))
            .collect();
    }
    let os: &[bool] = if text.contains(" os ") { &[true, false] } else { &[true] };
    texts
        .iter()
        .map(|text| load(text, context).expect("it loads"))
        .flat_map(|ruleset| os.iter().map(move |&os| (ruleset.clone(), Some(os))))
        .collect()
}

/// A packet of the box, some of its fields at the bounds of their ranges.
fn sample(region: &PacketBox, random: &mut Random) -> Header {
    Field::ALL
        .into_iter()
        .fold(Header::zero(region.family), |header, field| {
            let numbers = region.numbers(field);
            let (first, last) = random.pick(numbers.ranges());
            let number = match random.below(3) {
                0 => first,
                1 => last,
                _ => first + u128::from(random.next()) % (last - first).saturating_add(1).max(1),
            };
            header.with(field, number)
        })
}

fn is_linked(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// A world, ready to judge packets.
struct World<'a> {
    site: &'a Site,
    machine: Machine<'a>,
    ruleset: &'a Ruleset,
    os: Option<bool>,
}

impl World<'_> {
    fn offends(&self, packet: &Packet, fates: &[Fate], statement: &Statement, policy: &[Statement]) -> bool {
        fates
            .iter()
            .any(|fate| offends(self.site, packet, fate, statement, policy, self.ruleset))
    }
}

fn agree(site: &Site, rules: &[String], statements: &[Statement], seed: u64) -> Result<(), TestCaseError> {
    let context = &site.context;
    let mut text = "table <t> const { 10.0.1.0/24 ! 10.0.1.66 9.9.9.9 }\n".to_owned();
    for rule in rules {
        let more = format!("{text}{rule}");
        if load(&more, context).is_some() {
            text = more;
        }
    }
    let lines: Vec<String> = statements.iter().map(Statement::words).collect();
    let written = format!("{}{}\n", site::ZONE_LINES, lines.join("\n"));
    let both = format!("{text}\n{written}");

    let mut sources = Sources::new();
    let file = sources.add("policy", written.as_str());
    let (policy, complaints) = policy::read(&mut sources, file, &policy::Macros::new(), &MemoryLoader::new());
    prop_assert!(complaints.is_empty(), "{both}\n{complaints:?}");
    let lowered = load(&text, context).expect("it loads");
    let (ruleset, ..) = policy::settle_ruleset(&policy, lowered, context);
    let engine = Engine::new(&ruleset, context);
    let network = Network::new(&engine);
    let case = Case {
        zones: &Zones::new(&policy, &network).0,
        engine: &engine,
        assumed_anchors: &[],
    };
    let (verified, _) = verify(case);
    prop_assert!(verified.faults.is_empty(), "{both}\n{:?}", verified.faults);
    prop_assert_eq!(verified.judgements.len(), statements.len(), "{}", both);

    let known = worlds(&text, context);
    let worlds: Vec<World<'_>> = known
        .iter()
        .map(|(ruleset, os)| World {
            site,
            machine: Machine::new(ruleset, context),
            ruleset,
            os: *os,
        })
        .collect();
    let sure = worlds.len() == 1;
    let grid = grid(site);
    let mut random = Random(seed);
    let mut offenders: Vec<Vec<&Packet>> = vec![Vec::new(); statements.len()];
    let unspoken = coverage(case).unspoken.expect("few statements");
    for world in &worlds {
        for packet in &grid {
            let fates = fates(world.site, &world.machine, packet, world.os);
            for (statement, found) in statements.iter().zip(&mut offenders) {
                if world.offends(packet, &fates, statement, statements) {
                    found.push(packet);
                }
            }
            let listed = engine
                .space()
                .header(packet)
                .is_some_and(|header| unspoken.packets.contains(&header));
            let mut silent = fates.iter().map(|fate| is_unspoken(site, packet, fate, statements));
            let odd = unspoken.more || fates.is_empty() || packet.src == packet.dst;
            if sure && !odd && (listed || begins_a_flow(site, packet)) {
                prop_assert_eq!(
                    listed,
                    silent.any(|silent| silent) && begins_a_flow(site, packet),
                    "{}\nno statement speaks of {}",
                    both,
                    write_json(packet)
                );
            }
        }
    }
    for ((statement, judgement), found) in statements.iter().zip(&verified.judgements).zip(&offenders) {
        let words = statement.words();
        let word = judgement.outcome.word();
        let asked = grid.iter().any(|packet| is_required(site, packet, statement));
        prop_assert!(!(word == "vacuous" && asked), "{both}\n`{words}` is vacuous");
        if let Some(packet) = found.first() {
            let right = word == "violated" || word == "unproven" && !sure;
            prop_assert!(right, "{both}\n{} offends `{words}`, which {word}", write_json(packet));
        }
        match &judgement.outcome {
            Outcome::Violated(violation) => {
                for cause in &violation.causes {
                    offend(cause, &worlds, statement, statements, &engine, &mut random).map_err(|why| {
                        TestCaseError::fail(format!("{both}\n{why} does not offend `{words}`\n{cause:?}"))
                    })?;
                }
                let covered = |packet: &Packet| {
                    let header = engine.space().header(packet).expect("a header");
                    // What is translated to come from where it goes is of those, too.
                    let moved = |cause: &Cause| {
                        let first = cause.example.as_ref().and_then(|example| example.journey.hops.first());
                        first.is_some_and(|hop| (hop.before.src, hop.before.dst) != (hop.after.src, hop.after.dst))
                    };
                    let alone = |cause: &Cause| !cause.own_reverse || packet.src == packet.dst || moved(cause);
                    violation
                        .causes
                        .iter()
                        .any(|cause| cause.packets.contains(&header) && alone(cause))
                };
                let missed = found
                    .iter()
                    .find(|packet| !covered(packet))
                    .filter(|_| sure && !violation.more);
                prop_assert!(
                    missed.is_none(),
                    "{both}\n`{words}`: outside of all boxes: {:?}",
                    missed.map(|one| write_json(one))
                );
            }
            Outcome::Unproven { doubts, .. } => {
                let open = doubts.iter().all(|doubt| matches!(doubt, Doubt::Undecided(_)));
                prop_assert!(!sure || open, "{both}\n`{words}` is unproven: {doubts:?}");
            }
            Outcome::Holds | Outcome::Vacuous => {}
        }
    }
    Ok(())
}

/// Fails with a packet of the cause that does not offend the statement in some world.
fn offend(
    cause: &Cause,
    worlds: &[World<'_>],
    statement: &Statement,
    policy: &[Statement],
    engine: &Engine<'_>,
    random: &mut Random,
) -> Result<(), String> {
    let mut packets: Vec<Packet> = cause.example.iter().map(|example| example.packet.clone()).collect();
    for _ in 0..4 {
        let region = random.pick(cause.packets.boxes());
        let header = sample(&region, random);
        let packet = engine.space().packet(&header);
        // A moment's life is not enough to be sent on; where only what is its own reverse is meant, little of a box is.
        let odd =
            packet.ttl < 2 || packet.src == packet.dst || engine.space().header(&packet).as_ref() != Some(&header);
        if !odd && !cause.own_reverse {
            packets.push(packet);
        }
    }
    // Whom a neighbour solicitation asks for is in no field; translated it goes there.
    let asks = |packet: &Packet| packet.dst.is_ipv6() && packet.icmp.is_some_and(|icmp| icmp.kind == 135);
    packets.retain(|packet| !asks(packet));
    // Of what belongs to which link in a link-local address, the grid knows nothing.
    packets.retain(|packet| ![packet.src, packet.dst].iter().any(is_linked));
    for packet in packets {
        for world in worlds {
            let fates = fates(world.site, &world.machine, &packet, world.os);
            let told = !fates.is_empty() && !fates.iter().any(|fate| fate.reflected);
            if told && !world.offends(&packet, &fates, statement, policy) {
                return Err(write_json(&packet).to_string());
            }
        }
    }
    Ok(())
}

const HOSTS: &[&str] = &[
    "any",
    "any",
    "em1:network",
    "em2:network",
    "! em1:network",
    "! em2:network",
    "10.0.1.5",
    "10.0.1.66",
    "self",
    "(em0)",
    "! (em1)",
    "<t>",
    "! <t>",
    "<u>",
    "9.9.9.9",
    "10.9.0.0/16",
    "255.255.255.255",
    "{ 10.0.1.5 2001:db8:1::5 }",
    "2001:db8:1::/64",
    "2620:fe::fe",
];

/// What may follow a rule: with a direction, whether it passes or matches.
const TAILS: [&[&str]; 5] = [
    // Every rule.
    &[
        "",
        "",
        "",
        "",
        " received-on em1",
        " ! received-on any",
        " tagged A",
        " tag A",
        " probability 50%",
        " label \"l\"",
    ],
    // Pass rules.
    &[
        "",
        " no state",
        " no state",
        " keep state (if-bound)",
        " tag A",
        " flags any",
        " allow-opts",
        " route-to 10.0.2.9",
        " reply-to 198.51.100.254",
        " rtable 0",
        " rtable 1",
        " rtable 5",
        " label \"l\"",
    ],
    // Outward pass and match rules.
    &[
        " nat-to (em0)",
        " nat-to 198.51.100.1 static-port",
        " nat-to { 198.51.100.1 198.51.100.2 } round-robin",
        " rdr-to 10.0.2.5",
        " rdr-to 10.0.1.5 port 80",
    ],
    // Inward ones.
    &[
        " rdr-to 10.0.2.5",
        " rdr-to 10.0.2.5 port 80",
        " rdr-to { 10.0.2.5 10.0.1.5 } random",
        " rdr-to 127.0.0.1",
        " rdr-to 10.0.1.1",
        " nat-to (em0)",
        " nat-to 10.0.2.5",
    ],
    // Statements of other forms.
    &[
        "table <u> persist\n",
        "anchor \"x/*\"\n",
        "set state-policy if-bound\n",
        "set skip on em1\n",
        "set skip on em2\n",
        "set reassemble no\n",
        "antispoof quick for em1\n",
        "match out on em0 inet from em1:network nat-to (em0)\n",
        "match in log\n",
        "pass out\n",
        "block\n",
        "pass in on em1\n",
        "pass inet proto icmp\n",
        "pass out on em0 inet from 10.0.1.5 binat-to 198.51.100.9\n",
    ],
];

fn rule() -> impl Strategy<Value = String> {
    let on = select(&["", "", " on em0", " on em1", " on em2", " on ! em1", " on egress"][..]);
    let what = select(
        &[
            ("", ""),
            ("", ""),
            (" proto tcp", ""),
            (" proto tcp", " port 80"),
            (" proto udp", ""),
            (" inet proto icmp", ""),
            (" inet proto icmp", " icmp-type echoreq"),
            (" proto tcp", " port 22"),
            (" inet6", ""),
            (" inet", ""),
        ][..],
    );
    let head = select(&["block", "block return", "pass", "pass", "pass", "match"][..]);
    let direction = select(&[" in", " out", ""][..]);
    let tails = (
        select(TAILS[0]),
        select(TAILS[1]),
        select(TAILS[2]),
        select(TAILS[3]),
        0..5u8,
    );
    let log = select(&["", "", "", " log"][..]);
    let os = prop::bool::weighted(0.04);
    let rule = (
        head,
        direction,
        log,
        prop::bool::weighted(0.3),
        on,
        what,
        (select(HOSTS), os, select(HOSTS)),
        tails,
    );
    let rule = rule.prop_map(
        |(head, direction, log, quick, on, (proto, port), (from, os, to), tails)| {
            let quick = if quick { " quick" } else { "" };
            let os = if os && proto == " proto tcp" {
                " os \"OpenBSD\""
            } else {
                ""
            };
            let (any, pass, outward, inward, which) = tails;
            let tail = match (head, direction, which) {
                ("pass" | "match", " out", 0) => outward,
                ("pass" | "match", " in", 0) => inward,
                ("pass", _, 1 | 2) => pass,
                _ => any,
            };
            format!("{head}{direction}{log}{quick}{on}{proto} from {from}{os} to {to}{port}{tail}\n")
        },
    );
    let leaf = prop_oneof![
        10 => rule.boxed(),
        1 => af_to().boxed(),
        2 => select(TAILS[4]).prop_map(str::to_owned).boxed(),
    ];
    leaf.prop_recursive(1, 6, 3, |inner| {
        let head = select(
            &[
                "anchor",
                "anchor quick",
                "anchor in",
                "anchor on em1",
                "anchor proto tcp",
            ][..],
        );
        (head, prop::collection::vec(inner, 1..4)).prop_map(|(head, body)| format!("{head} {{\n{}}}\n", body.concat()))
    })
}

/// What takes packets to the other family.
fn af_to() -> impl Strategy<Value = String> {
    let what = select(
        &[
            ("", ""),
            ("", ""),
            (" proto tcp", ""),
            (" proto tcp", " port 80"),
            (" proto udp", ""),
            (" proto esp", ""),
        ][..],
    );
    let crossing = select(
        &[
            ("inet6", "any", "64:ff9b::/96", "inet from 198.51.100.1"),
            ("inet6", "any", "64:ff9b::/96", "inet from 10.0.2.1"),
            ("inet6", "2001:db8:1::/64", "64:ff9b::/96", "inet from (em0)"),
            ("inet6", "any", "any", "inet from 198.51.100.1 to 10.0.2.5"),
            (
                "inet6",
                "any",
                "2620:fe::fe",
                "inet from { 198.51.100.1 198.51.100.9 } to 9.9.9.9 port 80",
            ),
            (
                "inet6",
                "any",
                "2001:db8:1::1",
                "inet from 10.0.1.1 to 10.0.2.0/24 port 8000:*",
            ),
            ("inet", "any", "any", "inet6 from 2001:db8:a::1 to 2001:db8:1::5"),
            (
                "inet",
                "any",
                "10.9.0.5",
                "inet6 from 2001:db8:a::1 static-port to 2620:fe::fe",
            ),
            (
                "inet",
                "any",
                "198.51.100.1",
                "inet6 from 2001:db8:1::1 to 2001:db8:1::5 port 80",
            ),
            ("inet", "<t>", "! <t>", "inet6 from 2001:db8:1::1 to 64:ff9b::/96"),
            ("inet", "any", "10.0.1.66", "inet6 from 2001:db8:1::1 to 2001:db8:1::1"),
        ][..],
    );
    let on = select(&["", "", " on em0", " on em1", " on ! em2"][..]);
    let tail = select(
        &[
            "",
            "",
            "",
            " no state",
            " keep state (if-bound)",
            " tag A",
            " label \"l\"",
            " rtable 1",
        ][..],
    );
    (prop::bool::weighted(0.3), on, what, crossing, tail).prop_map(
        |(quick, on, (proto, port), (family, from, to, crossing), tail)| {
            let quick = if quick { " quick" } else { "" };
            format!("pass in{quick}{on} {family}{proto} from {from} to {to}{port} af-to {crossing}{tail}\n")
        },
    )
}

const NETS: [&str; 12] = [
    "10.0.1.5/32",
    "10.0.2.5/32",
    "9.9.9.9/32",
    "10.0.1.64/26",
    "2001:db8:1::5/128",
    "10.9.0.0/16",
    "10.0.1.0/24",
    "10.0.1.1/32",
    "2001:db8:1::/64",
    // As sources alone: what the grid knows nothing of as a destination.
    "fe80::5/128",
    "0.0.0.0/0",
    "::/0",
];

fn item(nets: &'static [&'static str]) -> impl Strategy<Value = Item> {
    prop_oneof![
        5 => (0..ZONES.len()).prop_map(Item::Zone),
        2 => select(nets).prop_map(Item::Net),
        1 => Just(Item::Itself),
        1 => Just(Item::Any),
    ]
}

fn who(nets: &'static [&'static str]) -> impl Strategy<Value = Who> {
    let item = || item(nets);
    prop_oneof![
        6 => item().prop_map(|one| Who(vec![one], None)),
        1 => (item(), item()).prop_map(|(one, other)| Who(vec![one, other], None)),
        1 => (item(), item()).prop_map(|(one, but)| Who(vec![one], Some(but))),
    ]
}

fn from() -> impl Strategy<Value = Who> {
    who(&NETS)
}

fn to() -> impl Strategy<Value = Who> {
    who(&NETS[..9])
}

fn what() -> impl Strategy<Value = What> {
    let port = || select(&[None, Some(22), Some(80), Some(53)][..]);
    let proto = prop_oneof![
        3 => Just(Proto::All),
        3 => port().prop_map(Proto::Tcp),
        2 => port().prop_map(Proto::Udp),
        1 => Just(Proto::Both(80)),
        2 => select(&[None, Some("echoreq"), Some("unreach")][..]).prop_map(Proto::Icmp),
        1 => Just(Proto::Esp),
    ];
    (proto, select(&["inet ", "inet ", "inet6 ", ""][..])).prop_map(|(proto, family)| {
        let icmp = matches!(proto, Proto::Icmp(_));
        let family = if icmp && family.is_empty() { "inet " } else { family };
        What { family, proto }
    })
}

fn statement() -> impl Strategy<Value = Statement> {
    let expect = select(
        &[
            None,
            None,
            None,
            None,
            Some(Expect::Nat("em0")),
            Some(Expect::NoNat),
            Some(Expect::Rdr("10.0.2.5")),
            Some(Expect::NoRdr),
            Some(Expect::Label("l")),
            Some(Expect::Log),
        ][..],
    );
    prop_oneof![
        4 => (what(), from(), to(), expect).prop_map(|(what, from, to, expect)| Statement::Require(what, from, to, expect)),
        2 => (what(), from(), to()).prop_map(|(what, from, to)| Statement::Allow(what, from, to)),
        3 => (what(), from(), to()).prop_map(|(what, from, to)| Statement::Forbid(what, from, to)),
        2 => (0..ZONES.len()).prop_map(Statement::ClosedFrom),
        2 => (0..ZONES.len()).prop_map(Statement::ClosedTo),
        1 => Just(Statement::Closed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_time: 20_000, max_shrink_iters: 300, ..packets::cases(40) })]

    #[test]
    fn outcomes_agree_with_enumeration(
        rules in prop::collection::vec(rule(), 0..8),
        statements in prop::collection::vec(statement(), 1..6),
        site in 0..SITES,
        seed in any::<u64>(),
    ) {
        agree(&Site::new(site), &rules, &statements, seed)?;
    }
}
