//! What makes the engine fast changes no answer: questions about many packets at once, with ends and excuses, against
//! questions about one packet each, in which nothing is left out, looked up or covered.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/packets.rs"]
mod packets;
#[path = "support/rules.rs"]
mod rules;

use packets::{Bounds, Random};
use pfproof::context::context_from_toml;
use pfproof::engine::{Class, End, Engine, Field, Goal, Header, PacketBox, PacketSet, Place, Question, Value};
use pfproof::lower;
use pfproof::net::{Family, RangeSet};
use pfproof::packet::Way;
use pfproof::source::{MemoryLoader, Sources};
use proptest::prelude::*;

/// How many packets each question is held against.
const PACKETS: usize = 60;
const STEPS: u64 = 100_000;

/// The set of that one packet.
fn point(header: &Header) -> PacketBox {
    Field::ALL
        .into_iter()
        .fold(PacketBox::all(header.family), |all, field| {
            all.with(field, &RangeSet::single(header.get(field))).unwrap()
        })
}

/// A box between the fields of two packets, some of them left open.
fn between(a: &Header, b: &Header, random: &mut Random) -> PacketBox {
    let fields = [
        Field::Transport,
        Field::Destination,
        Field::Source,
        Field::DestinationPort,
        Field::SourcePort,
    ];
    let chosen = fields.into_iter().filter(|_| random.one_in(3)).collect::<Vec<_>>();
    chosen.into_iter().fold(PacketBox::all(a.family), |part, field| {
        let (first, last) = (a.get(field).min(b.get(field)), a.get(field).max(b.get(field)));
        part.with(field, &RangeSet::range(first, last)).unwrap()
    })
}

/// The header at the end of a journey, where it is one and the same for the whole class.
fn ending(engine: &Engine<'_>, header: &Header, class: &Class) -> Option<Header> {
    let last = class.journey.hops.last()?;
    if last.ends.family != header.family {
        return None;
    }
    let number = |value: &Value, field: Field| match value {
        Value::Same => Some(header.get(field)),
        Value::OneOf(set) => set.first().filter(|_| set.len() == 1),
        Value::Moved | Value::AddressOf(_) => None,
    };
    // It may be sent elsewhere on its way out.
    let place = match (class.journey.end, last.place) {
        (End::Leaves(on), Place::Out { received, .. }) => Place::Out { on, received },
        (End::Leaves(on), Place::In(from)) => Place::Out {
            on,
            received: Some(from),
        },
        (_, place) => place,
    };
    let header = header
        .clone()
        .with(Field::Destination, number(&last.ends.destination, Field::Destination)?)
        .with(
            Field::DestinationPort,
            number(&last.ends.destination_port, Field::DestinationPort)?,
        )
        .with(Field::Place, engine.space().number(place));
    Some(header)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_time: 20_000, ..cases::cases(48) })]

    #[test]
    fn many_at_once_as_one_by_one(statements in rules::ruleset(10), which in 0..rules::CONTEXTS.len(), seed in any::<u64>()) {
        let context = rules::machine(which);
        let (text, ruleset) = rules::loaded(statements, &context);
        let engine = Engine::new(&ruleset, &context);
        let bounds = Bounds::of(&ruleset, &context);
        let mut random = Random(seed);
        let space = engine.space();
        let count = space.interfaces().len();
        let mut drawn = || loop {
            let way = random.pick(&[Way::Forward, Way::Forward, Way::Out]);
            let mut packet = bounds.packet(&mut random, way);
            packet.received_on = None;
            if let Some(header) = space.header(&packet).filter(|header| header.get(Field::Tag) == 0) {
                return header;
            }
        };
        let headers: Vec<Header> = (0..PACKETS).map(|_| drawn()).collect();
        let pair = |random: &mut Random| {
            let a = random.pick(&headers);
            let of_family: Vec<Header> = headers.iter().filter(|header| header.family == a.family).cloned().collect();
            let b = random.pick(&of_family);
            between(&a, &b, random)
        };
        // Leaving by one interface, or ending here.
        let out = random.below(count);
        let leaving = (0..count).map(Some).chain([None]).map(|received| Place::Out { on: out, received });
        let here = (0..count).map(Place::In).filter(|_| random.one_in(2)).collect::<Vec<_>>();
        let places = RangeSet::from_ranges(leaving.chain(here).map(|place| (space.number(place), space.number(place))));
        let boxes: Vec<PacketBox> = (0..3).map(|_| pair(&mut random)).collect();
        let ends: PacketSet = boxes.into_iter().filter_map(|part| part.with(Field::Place, &places)).collect();
        let (excused, excused_at_end) = (PacketSet::from(pair(&mut random)), PacketSet::from(pair(&mut random)));
        let (arriving, ending_there) = (PacketSet::from(pair(&mut random)), PacketSet::from(pair(&mut random)));
        let region = space.arriving(0..count).union(space.sent(0..count));
        let question = Question::new(region.clone(), Goal::GetsThrough)
            .ending_in(ends.clone())
            .except(&excused)
            .except_ending_in(&excused_at_end)
            .except_flows(&arriving, &ending_there)
            .within(STEPS);
        let Ok(found) = engine.classes(question).collect::<Result<Vec<_>, _>>() else { return Ok(()) };
        for header in headers.iter().filter(|header| region.contains(header)) {
            let alone = Question::new(point(header).into(), Goal::GetsThrough).within(STEPS);
            let Ok(classes) = engine.classes(alone).collect::<Result<Vec<_>, _>>() else { continue };
            let sure = |class: &Class| class.conditions.is_empty() && !class.own_reverse;
            if !classes.iter().all(sure) {
                continue;
            }
            let endings: Option<Vec<Header>> = classes.iter().map(|class| ending(&engine, header, class)).collect();
            let Some(endings) = endings else { continue };
            let wanted = endings.iter().any(|end| {
                let flow = arriving.contains(header) && ending_there.contains(end);
                ends.contains(end) && !excused.contains(header) && !excused_at_end.contains(end) && !flow
            });
            let held = found.iter().any(|class| !class.own_reverse && class.region.contains(header));
            prop_assert_eq!(held, wanted, "{:?}\nends {:?}\nof {}", space.packet(header), ends, text);
        }
    }
}

/// Rules that nothing overlaps, among which one is looked up.
#[test]
fn one_rule_among_many_is_found() {
    let mut text = String::from("block\n");
    for number in 0..200 {
        text.push_str(&format!(
            "pass in on em1 inet proto tcp from any to 10.7.{number}.1 port {}\n",
            number + 1
        ));
    }
    let mut sources = Sources::new();
    let file = sources.add(
        "context.toml",
        "[interface.em1]\naddresses = [\"10.1.0.1/24\"]\n[interface.em2]\naddresses = [\"10.7.0.254/16\"]\n",
    );
    let context = context_from_toml(&sources, file).0;
    let loader = MemoryLoader::new();
    let lowered = lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], &context).0;
    let engine = Engine::new(&lowered.ruleset, &context);
    let to = |number: u128| {
        let there = RangeSet::single(0x0a07_0001 | number << 8);
        let arriving = engine.space().arriving([engine.space().interface("em1").unwrap()]);
        let boxes = arriving.of_family(Family::Inet).boxes().to_vec();
        boxes
            .into_iter()
            .filter_map(|part| part.with(Field::Destination, &there))
            .collect::<PacketSet>()
    };
    for number in [0, 99, 199] {
        let question = Question::new(to(number), Goal::GetsThrough).of_one_hop();
        let classes: Vec<Class> = engine.classes(question).collect::<Result<_, _>>().unwrap();
        let ports: Vec<u128> = classes
            .iter()
            .flat_map(|class| class.region.limit(Field::DestinationPort)?.first())
            .collect();
        assert_eq!(ports, [number + 1]);
    }
}
