//! Differences between two rulesets against the naive way: each packet is asked about in both.

#[path = "support/packets.rs"]
mod packets;
#[path = "support/rules.rs"]
mod rules;

use packets::{Bounds, Random};
use pfproof::context::{Context, context_from_toml};
use pfproof::diagnostic::Severity;
use pfproof::engine::{Change, Class, Engine, Field, Goal, Header, PacketBox, Question, Value};
use pfproof::lower;
use pfproof::net::RangeSet;
use pfproof::packet::Way;
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
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_time: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn changes_are_those_of_each_packet(statements in rules::ruleset(10), which in 0..rules::CONTEXTS.len(), seed in any::<u64>()) {
        let context = rules::machine(which);
        let statements = rules::accepted(statements, |text| load(text, &context).is_some());
        prop_assume!(!statements.is_empty());
        let mut random = Random(seed);
        let (before, after) = (statements.concat(), edited(statements, &mut random).concat());
        let (Some(old), Some(new)) = (load(&before, &context), load(&after, &context)) else { return Ok(()) };
        let (old, new) = (Engine::new(&old, &context), Engine::new(&new, &context));
        let Ok(changes) = old.changes(&new, STEPS).take(3000).collect::<Result<Vec<Change>, _>>() else { return Ok(()) };
        if changes.len() == 3000 {
            return Ok(());
        }
        let everything = old.space().anywhere();
        let bounds = [Bounds::of(old.ruleset(), &context), Bounds::of(new.ruleset(), &context)];
        for at in 0..PACKETS {
            let way = if at % 3 == 0 { Way::Out } else { Way::Forward };
            let packet = bounds[at % 2].packet(&mut random, way);
            let fresh = |header: &Header| {
                header.get(Field::Tag) == 0 && packet.received_on.is_none() && everything.contains(header)
            };
            let Some(header) = old.space().header(&packet).filter(fresh) else { continue };
            let (Some(was), Some(is)) = (fate(&old, &header), fate(&new, &header)) else { continue };
            let of_reverse = |change: &Change| change.before.own_reverse || change.after.own_reverse;
            let held = changes.iter().any(|change| !of_reverse(change) && change.region.contains(&header));
            // What a rule sets of tos and prio changes packets, but no end that a journey tells.
            let untold = held && [&before, &after].iter().any(|text| text.contains(" set "));
            prop_assert!(untold || held == (was != is), "{:?}\n{}\n{}\nof\n{}\nand\n{}", packet, was, is, before, after);
        }
    }
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
    let (old, new) = (Engine::new(&old, &context), Engine::new(&new, &context));
    let mut ports: Vec<(u128, bool)> = Vec::new();
    for change in old.changes(&new, STEPS) {
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
    assert_eq!(old.changes(&old, STEPS).count(), 0);
}
