//! Laws of verification, over random rulesets and policies on a small machine.
//!
//! The oracle is enumeration: every packet of a grid, followed by the evaluator in every way that pf may choose, in every
//! state of what the machine alone knows, and judged by the meaning of statements written down once more.
//!
//! - forall rulesets, statements: a packet offends it => it is violated, or unproven where something is not known
//! - forall rulesets, statements: it is violated => its counterexamples offend it, whatever is not known
//! - forall rulesets, statements: nothing is unknown => it is not unproven
//! - forall rulesets, statements: it is vacuous => no packet is asked for
//! - forall rulesets, statements: it is violated, nothing is unknown => it is shown by a packet
//! - forall rulesets, statements: it is violated => its boxes hold every packet that offends it, and only such

#[path = "support/cases.rs"]
mod cases;
#[path = "support/chance.rs"]
mod chance;
#[path = "support/fate.rs"]
mod fate;
#[path = "support/grid.rs"]
mod grid;
#[path = "support/judge.rs"]
mod judge;
#[path = "support/packets.rs"]
#[expect(dead_code, reason = "packets come from a grid here")]
mod packets;
#[path = "support/random_policy.rs"]
mod random_policy;
#[path = "support/site.rs"]
mod site;

use std::net::IpAddr;

use fate::{Fate, fates};
use grid::grid;
use judge::{Statement, begins_a_flow, is_required, is_unspoken, offends};
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
use random_policy::{rule, statement};
use site::{SITES, Site};

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
    site.has_rules(&text);
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
            machine: Machine::new(ruleset, context).with_programs(),
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
            let itself = |fate: &Fate| fate.journey.hops.iter().any(|hop| hop.after.src == hop.after.dst);
            let reflected = packet.src == packet.dst || fates.iter().any(itself);
            let odd = unspoken.more || fates.is_empty() || reflected;
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
                let shown = violation.causes.iter().any(|cause| cause.example.is_some());
                prop_assert!(
                    shown || !sure,
                    "{both}\n`{words}` is violated, by no packet: {:?}",
                    violation.causes
                );
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

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_time: 20_000, max_shrink_iters: 300, ..cases::cases(40) })]

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
