//! Differences between two rulesets against the naive way: each packet is asked about in both.

use std::net::IpAddr;

#[path = "support/cases.rs"]
mod cases;
#[path = "support/packets.rs"]
mod packets;
#[path = "support/rules.rs"]
mod rules;

use packets::{Bounds, Random};
use pfproof::context::{Context, context_from_toml};
use pfproof::diagnostic::Severity;
use pfproof::engine::{Change, Class, Difference, Engine, Field, Goal, Header, PacketBox, Place, Question, Value};
use pfproof::lower;
use pfproof::net::{Protocol, RangeSet, TcpFlags};
use pfproof::packet::{Packet, Way};
use pfproof::ruleset::Ruleset;
use pfproof::source::{MemoryLoader, Sources};
use proptest::prelude::*;

/// How many packets each pair of rulesets meets.
const PACKETS: usize = 60;
const STEPS: u64 = 100_000;

/// The ruleset of a text; `None` where pfctl refuses it.
fn load(text: &str, context: &Context) -> Option<Ruleset> {
    let mut sources = Sources::new();
    let loader = MemoryLoader::new();
    let (lowered, found) = lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], context);
    let errors = found.iter().filter(|found| found.severity == Severity::Error);
    (errors.count() == 0).then_some(lowered.ruleset)
}

/// One edit: a statement goes, comes twice, changes places with another, or its action is turned round.
fn edited(mut statements: Vec<String>, random: &mut Random) -> Vec<String> {
    let at = random.below(statements.len());
    match random.below(4) {
        0 => drop(statements.remove(at)),
        1 => statements.insert(random.below(statements.len()), statements[at].clone()),
        2 => {
            let other = random.below(statements.len());
            statements.swap(at, other);
        }
        _ => {
            let turned = match statements[at].strip_prefix("block") {
                Some(rest) => format!("pass{rest}"),
                None => statements[at].replacen("pass", "block", 1),
            };
            statements[at] = turned;
        }
    }
    statements
}

/// Rules that are about few packets, and others that make them of other packets: what the one set says hangs on the other.
const MOVING: &[&str] = &[
    "block\n",
    "pass\n",
    "match out on em0 inet from 10.0.1.0/24 nat-to 203.0.113.7\n",
    "match in on em1 inet to 10.0.1.1 rdr-to 10.0.2.9\n",
    "match in on em0 inet proto tcp to 203.0.113.7 port 80 rdr-to 10.0.1.5 port 8080\n",
    "match out on em2 inet to 10.0.2.9 rdr-to 10.0.2.10\n",
    "pass in on em0 inet proto tcp to 203.0.113.7 port 80 rdr-to 10.0.1.5 port 8080\n",
    "pass in on em1 inet from 10.0.1.5 to 9.9.9.9 nat-to 10.0.2.1\n",
    "pass out on em0 inet from 10.0.1.9 binat-to 203.0.113.9\n",
    "block out on em0 inet from 203.0.113.7 to 9.9.9.9\n",
    "pass out on em0 inet from 203.0.113.7 to 9.9.9.0/24\n",
    "block in on em1 inet to 10.0.2.9\n",
    "pass in on em1 inet to 10.0.2.9\n",
    "pass out on em2 inet to 10.0.2.10\n",
    "block out on em1 inet proto tcp to 10.0.1.5 port 8080\n",
    "pass out on em1 inet proto tcp to port 8080\n",
    "block out inet from 10.0.2.1\n",
    "block in inet from 10.0.1.5\n",
    "pass in inet from 10.0.1.0/24\n",
    "block out on em0 inet from 203.0.113.9\n",
    "pass in on em1 inet to 10.0.1.1 tag A\n",
    "match in on em1 inet from 10.0.1.5 tag A\n",
    "block out tagged A\n",
    "block out inet from 203.0.113.7 tagged A\n",
    "block in inet to 10.0.2.9 tagged A\n",
    "pass out inet to 10.0.2.10 tagged A\n",
];

fn moving() -> impl Strategy<Value = Vec<String>> {
    let statements = proptest::collection::vec(proptest::sample::select(MOVING), 2..8);
    statements.prop_map(|statements| statements.into_iter().map(str::to_owned).collect())
}

fn point(header: &Header) -> PacketBox {
    Field::ALL
        .into_iter()
        .fold(PacketBox::all(header.family), |all, field| {
            all.with(field, &RangeSet::single(header.get(field))).unwrap()
        })
}

/// What becomes of one packet; `None` where it depends on more than the packet, or is not told exactly.
fn fate(engine: &Engine<'_>, header: &Header) -> Option<String> {
    let question = Question::new(point(header).into(), Goal::Any).within(STEPS);
    let classes: Vec<Class> = engine.classes(question).collect::<Result<_, _>>().ok()?;
    let [only] = classes.as_slice() else { return None };
    let moved = |value: &Value| *value == Value::Moved;
    let told = only.conditions.is_empty()
        && !only.own_reverse
        && only.journey.hops.iter().all(|hop| {
            let ends = &hop.ends;
            ![
                &ends.source,
                &ends.destination,
                &ends.source_port,
                &ends.destination_port,
            ]
            .into_iter()
            .any(moved)
        });
    let hops: Vec<_> = only
        .journey
        .hops
        .iter()
        .map(|hop| (hop.place, hop.verdict, hop.state, &hop.ends))
        .collect();
    told.then(|| format!("{hops:?} {:?}", only.journey.end))
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_time: 20_000, ..cases::cases(64) })]

    #[test]
    fn changes_are_those_of_each_packet(
        (statements, which) in (rules::ruleset(10), 0..rules::CONTEXTS.len()),
        seed in any::<u64>(),
    ) {
        let context = rules::machine(which);
        let statements = rules::accepted(statements, |text| load(text, &context).is_some());
        prop_assume!(!statements.is_empty());
        let mut random = Random(seed);
        let (before, after) = (statements.concat(), edited(statements, &mut random).concat());
        agree([&before, &after], &context, |bounds| {
            let way = |at: usize| if at.is_multiple_of(3) { Way::Out } else { Way::Forward };
            (0..PACKETS).map(|at| bounds[at % 2].packet(&mut random, way(at))).collect()
        })?;
    }

    #[test]
    fn what_is_translated_notices_rules_about_what_it_becomes(statements in moving(), seed in any::<u64>()) {
        let context = rules::machine(0);
        let (before, after) = (statements.concat(), edited(statements, &mut Random(seed)).concat());
        agree([&before, &after], &context, |_| between_few())?;
    }
}

/// Rules that match only what others have made of the packets are among those that they can meet.
#[test]
fn what_becomes_of_packets_is_looked_at_too() {
    let context = rules::machine(0);
    for (edited, others) in [
        (
            "match in on em1 inet from 10.0.1.5 tag A\n",
            "pass\nmatch out on em0 inet from 10.0.1.0/24 nat-to 203.0.113.7\nblock out inet from 203.0.113.7 tagged A\n",
        ),
        (
            "match in on em1 inet to 10.0.1.1 tag A\n",
            "pass\nmatch in on em1 inet to 10.0.1.1 rdr-to 10.0.2.9\nblock in inet to 10.0.2.9 tagged A\n",
        ),
        (
            "pass in on em1 inet to 10.0.1.1 rdr-to 10.0.2.9 tag A\n",
            "pass\nblock out inet to 10.0.2.9 ! tagged A\n",
        ),
    ] {
        let both = format!("{edited}{others}");
        let difference = agree([&both, others], &context, |_| between_few());
        difference.unwrap();
    }
}

/// A rule that neither decides before nor after may be the last match of a quick anchor, which then does not end there.
#[test]
fn the_last_match_in_a_quick_anchor_is_noticed() {
    let context = rules::machine(0);
    for call in ["anchor in quick", "anchor in quick proto tcp"] {
        let text = |rule: &str| {
            format!("{call} {{\npass in proto tcp\nanchor {{\n{rule}pass in proto udp\n}}\n}}\nblock in proto tcp\n")
        };
        let (with, without) = (text("pass in proto tcp to port 80\n"), text(""));
        agree([&with, &without], &context, |_| between_few()).unwrap();
        agree([&without, &with], &context, |_| between_few()).unwrap();
    }
}

/// Packets that are their own reverse leave by their own state, where that is not bound to another interface.
#[test]
fn packets_that_are_their_own_reverse_notice_bound_states() {
    let context = rules::machine(0);
    let changes = |old: &str, new: &str| -> Vec<Change> {
        let (old, new) = (load(old, &context).unwrap(), load(new, &context).unwrap());
        let difference = Difference::new(&old, &new, &context);
        difference.changes(STEPS).collect::<Result<_, _>>().unwrap()
    };
    let bound = "pass in on em1 inet proto tcp to 10.0.2.9 keep state (if-bound)\nblock out\n";
    let found = changes(bound, &bound.replace("if-bound", "floating"));
    let passes = |change: &Change| change.after.own_reverse && change.after.journey.gets_through();
    assert!(found.iter().any(passes), "{found:?}");
    // On the interface that it came in by a bound state is found too.
    let back =
        "block\npass in on em1 inet proto tcp from 10.0.1.0/24 to 10.0.1.0/24 keep state (floating)\nblock out\n";
    let found = changes(back, &back.replace("floating", "if-bound"));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn what_pf_sends_in_place_of_others_is_noticed() {
    let context = rules::machine(0);
    let old = "block\npass in on em1 inet proto tcp to 10.0.2.9 synproxy state\n";
    let new = format!("{old}pass out on em2 inet proto tcp to 10.0.2.9 ! received-on any\n");
    let (old, new) = (load(old, &context).unwrap(), load(&new, &context).unwrap());
    let difference = Difference::new(&old, &new, &context);
    let found: Vec<Change> = difference.changes(STEPS).collect::<Result<_, _>>().unwrap();
    let arrives = |change: &Change| matches!(change.after.journey.hops[0].place, Place::In(_));
    assert!(found.iter().any(arrives), "{found:?}");
}

/// Packets between the addresses that the rules name, by every way in.
fn between_few() -> Vec<Packet> {
    let addresses = [
        "10.0.1.5",
        "10.0.1.9",
        "10.0.1.1",
        "10.0.2.9",
        "10.0.2.10",
        "203.0.113.7",
        "9.9.9.9",
    ];
    let addresses = addresses.map(|address| address.parse::<IpAddr>().unwrap());
    let pairs = addresses
        .iter()
        .flat_map(|src| addresses.iter().map(move |dst| (*src, *dst)));
    let ways = ["em0", "em1", "em2"]
        .iter()
        .flat_map(|on| [80, 8080].map(|port| (on, port)));
    let packets = pairs.flat_map(|(src, dst)| {
        ways.clone().map(move |(on, port)| {
            let mut packet = Packet::new(Way::Forward, *on, Protocol::TCP, src, dst);
            (packet.sport, packet.dport, packet.flags) = (50_000, port, TcpFlags::SYN);
            packet
        })
    });
    packets.collect()
}

/// The changes are those of each of the packets.
fn agree(
    [before, after]: [&str; 2],
    context: &Context,
    packets: impl FnOnce(&[Bounds; 2]) -> Vec<Packet>,
) -> Result<(), TestCaseError> {
    let (Some(old), Some(new)) = (load(before, context), load(after, context)) else {
        return Ok(());
    };
    let difference = Difference::new(&old, &new, context);
    let (old, new) = (Engine::new(&old, context), Engine::new(&new, context));
    let Ok(changes) = difference.changes(STEPS).take(3000).collect::<Result<Vec<Change>, _>>() else {
        return Ok(());
    };
    if changes.len() == 3000 {
        return Ok(());
    }
    let everything = old.space().anywhere();
    let bounds = [&old, &new].map(|engine| Bounds::of(engine.ruleset(), context));
    for packet in packets(&bounds) {
        let fresh = |header: &Header| {
            header.get(Field::Tag) == 0 && packet.received_on.is_none() && everything.contains(header)
        };
        let Some(header) = old.space().header(&packet).filter(fresh) else {
            continue;
        };
        let (Some(was), Some(is)) = (fate(&old, &header), fate(&new, &header)) else {
            continue;
        };
        let of_reverse = |change: &Change| change.before.own_reverse || change.after.own_reverse;
        let held = changes
            .iter()
            .any(|change| !of_reverse(change) && change.region.contains(&header));
        // What a rule sets of tos and prio changes packets, but no end that a journey tells.
        let untold = held && [before, after].iter().any(|text| text.contains(" set "));
        prop_assert!(
            untold || held == (was != is),
            "{packet:?}\n{was}\n{is}\n{before}\nof\n{after}\nand\n"
        );
    }
    Ok(())
}

/// What is said of a change, by the boxes of what no longer passes.
#[test]
fn one_edit_is_one_box() {
    let context = {
        let mut sources = Sources::new();
        let text = "[interface.em0]\naddresses = [\"10.0.0.1/24\"]\n[interface.em1]\naddresses = [\"10.1.0.1/24\"]\n";
        let file = sources.add("context.toml", text);
        context_from_toml(&sources, file).0
    };
    let with = |port: u16| {
        let text = format!(
            "block\npass in on em0 inet proto tcp to 10.1.0.5 port {{ 22 {port} }}\npass out on em1 inet proto tcp to port 22:443\n"
        );
        load(&text, &context).unwrap()
    };
    let (old, new) = (with(80), with(443));
    let difference = Difference::new(&old, &new, &context);
    let mut ports: Vec<(u128, bool)> = Vec::new();
    for change in difference.changes(STEPS) {
        let change = change.unwrap();
        let port = change.region.limit(Field::DestinationPort).unwrap();
        assert_eq!(port.len(), 1, "{change:?}");
        let passes = change.after.journey.gets_through();
        // What has options is dropped for them where a rule blocked it.
        if passes != change.before.journey.gets_through() {
            ports.push((port.first().unwrap(), passes));
        }
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports, [(80, false), (443, true)]);
    assert_eq!(Difference::new(&old, &old, &context).changes(STEPS).count(), 0);
}
