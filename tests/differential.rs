//! eval against engine: what one decides for a packet, the other must say of the box that holds it.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/chance.rs"]
mod chance;
#[path = "support/packets.rs"]
mod packets;
#[path = "support/rules.rs"]
mod rules;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use packets::{Bounds, Random};
use proptest::prelude::*;

use pfproof::context::{Context, context_from_toml};
use pfproof::diagnostic::Severity;
use pfproof::engine::{
    Class, Condition, Decider, Drop, End, Engine, Field, Goal, Header, PacketBox, Question, Undecided, Unknown, Value,
    Verdict,
};
use pfproof::eval::{self, Machine, Memory};
use pfproof::lower;
use pfproof::net::{Protocol, RangeSet};
use pfproof::packet::{Icmp, Packet, Way, read_value};
use pfproof::ruleset::Ruleset;
use pfproof::source::{MemoryLoader, Sources};

/// A ruleset on a machine.
struct Case {
    ruleset: Ruleset,
    context: Context,
}

/// The files of a folder and of the folders in it, by their paths from there.
fn files(folder: &Path) -> MemoryLoader {
    let mut left = vec![folder.to_owned()];
    let mut loader = MemoryLoader::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            loader = loader.with(name, std::fs::read(&path).unwrap());
        }
    }
    loader
}

fn load(loader: &MemoryLoader, text: &[u8], context: &str) -> Case {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", context);
    let (context, _) = context_from_toml(&sources, file);
    let (lowered, diagnostics) = lower::load(&mut sources, loader, "pf.conf", text, &[], &context);
    let errors: Vec<_> = diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    Case {
        ruleset: lowered.ruleset,
        context,
    }
}

/// The set of that one packet.
fn point(header: &Header) -> PacketBox {
    Field::ALL
        .into_iter()
        .fold(PacketBox::all(header.family), |all, field| {
            all.with(field, &RangeSet::single(header.get(field))).unwrap()
        })
}

/// What eval found, in a form to compare.
fn of_eval(journey: &eval::Journey) -> Vec<String> {
    let hops = journey.hops.iter().map(|hop| {
        let verdict = match hop.verdict {
            eval::Verdict::Pass | eval::Verdict::Synproxy => "pass",
            eval::Verdict::Block => "block",
            eval::Verdict::Drop(_) => "drop",
            eval::Verdict::Held => "held",
        };
        let state = hop.state.is_some() && verdict == "pass";
        let rule = match (&hop.rule, verdict) {
            _ if hop.skipped => "skipped".to_owned(),
            (_, "drop") => String::new(),
            (None, _) => "default".to_owned(),
            (Some(rule), _) => rule.to_string(),
        };
        format!("{} {verdict} {rule} {state}", hop.direction)
    });
    let end = match journey.end {
        eval::End::Sent => "passes",
        eval::End::Local => "local",
        eval::End::NoRoute => "no route",
        eval::End::Stopped => "stopped",
        eval::End::NotForwarded => "not forwarded",
    };
    hops.chain([end.to_owned()]).collect()
}

/// What the engine found, in the same form.
fn of_engine(class: &Class) -> Vec<String> {
    let hops = class.journey.hops.iter().enumerate().map(|(at, hop)| {
        let verdict = match hop.verdict {
            Verdict::Pass => "pass",
            Verdict::Block => "block",
            Verdict::Drop(_) => "drop",
        };
        let direction = match hop.place {
            pfproof::engine::Place::In(_) => "in",
            pfproof::engine::Place::Out { .. } => "out",
        };
        let rule = match &hop.decider {
            Decider::Skipped => "skipped".to_owned(),
            _ if verdict == "drop" => String::new(),
            Decider::Rule(rule) => rule.to_string(),
            Decider::Default => "default".to_owned(),
            Decider::Anchor(rule) => format!("anchor {rule}"),
            // A state tells the rule that made it.
            Decider::OwnState => match class.journey.hops.get(at.wrapping_sub(1)).map(|hop| &hop.decider) {
                Some(Decider::Rule(rule)) => rule.to_string(),
                _ => "state".to_owned(),
            },
            Decider::State | Decider::Nobody => "state".to_owned(),
        };
        format!("{direction} {verdict} {rule} {}", hop.state)
    });
    let end = match class.journey.end {
        End::Leaves(_) | End::Passed => "passes",
        End::Local | End::Diverted => "local",
        End::Stopped => "stopped",
        End::NoRoute => "no route",
        End::NotForwarded => "not forwarded",
    };
    hops.chain([end.to_owned()]).collect()
}

fn question(region: PacketBox, way: Way, goal: Goal) -> Question {
    let question = Question::new(region.into(), goal);
    match way {
        Way::Forward => question,
        Way::In | Way::Out => question.of_one_hop(),
    }
}

/// What eval says of a packet, whatever pf chooses and whoever sends it; nothing where it does not say.
fn decided(machine: &Machine<'_>, packet: &Packet) -> Vec<eval::Journey> {
    let one = |choices: &mut chance::Script| {
        let memory = &mut Memory::after_others();
        let journey = match packet.way {
            Way::Forward => machine.follow(packet, memory, choices).ok()?,
            Way::In | Way::Out => {
                let hop = machine.decide(packet, memory, choices).ok()?;
                let passes = hop.verdict == eval::Verdict::Pass;
                let end = if passes { eval::End::Sent } else { eval::End::Stopped };
                eval::Journey { hops: vec![hop], end }
            }
        };
        let apart = |hop: &eval::Evaluation| matches!(hop.verdict, eval::Verdict::Held | eval::Verdict::Synproxy);
        (!journey.hops.iter().any(apart)).then_some(journey)
    };
    let all: Option<Vec<_>> = chance::ways(None, one).into_iter().collect();
    all.unwrap_or_default()
}

/// Whether the ends of each hop are such as the class says.
fn admits(class: &Class, journey: &eval::Journey, packet: &Packet) -> bool {
    // eval shows the scope within addresses of one link as the kernel does.
    let linked =
        |address| matches!(address, IpAddr::V6(address) if address.is_multicast() || address.is_unicast_link_local());
    let number = |address| pfproof::engine::address_number(address);
    let fits = |value: &Value, is: u128, was: u128| match value {
        Value::Same => is == was,
        Value::OneOf(set) => set.contains(is),
        Value::Moved | Value::AddressOf(_) => true,
    };
    let hops = class.journey.hops.iter().zip(&journey.hops);
    hops.filter(|(_, found)| found.verdict == eval::Verdict::Pass)
        .all(|(hop, found)| {
            let (ends, after) = (&hop.ends, &found.after);
            // eval shows what af-to makes of a packet only where it goes on.
            ends.family != after.family
                || linked(after.src)
                || linked(after.dst)
                || fits(&ends.source, number(after.src), number(packet.src))
                    && fits(&ends.destination, number(after.dst), number(packet.dst))
                    && fits(&ends.source_port, after.sport.into(), packet.sport.into())
                    && fits(&ends.destination_port, after.dport.into(), packet.dport.into())
        })
}

/// Whether the stack takes the packets of the class in, or does not forward them, whatever the routes say by which
/// alone eval sends them on; or a divert(4) socket has them.
fn by_the_stack(engine: &Engine<'_>, journey: &eval::Journey, class: &Class) -> bool {
    match class.journey.end {
        End::NotForwarded => engine.context().forwards(class.region.family),
        End::Diverted => true,
        // There is no route to another's link-local address; the stack knows that before it looks for one.
        End::NoRoute if journey.end == eval::End::Stopped => journey
            .last()
            .is_some_and(|packet| matches!(packet.dst, IpAddr::V6(to) if to.is_unicast_link_local())),
        End::Local => {
            let by_address = |condition: &Condition| matches!(condition.unknown, Unknown::Address(_));
            journey.end != eval::End::Local && !class.conditions.iter().any(by_address)
        }
        // eval sends what af-to has made without a look at the routes.
        End::NoRoute => class
            .journey
            .hops
            .last()
            .is_some_and(|hop| hop.ends.family != class.region.family),
        // A gateway without a route: a drop of pf's to the engine.
        End::Stopped => {
            journey.end == eval::End::NoRoute
                && matches!(class.journey.hops.last(), Some(hop) if hop.verdict == Verdict::Drop(Drop::Route))
        }
        End::Leaves(_) | End::Passed => false,
    }
}

/// Compares the two on one packet; `None` where one of them does not model it.
fn compare(engine: &Engine<'_>, machine: &Machine<'_>, packet: &Packet) -> Option<Result<(), String>> {
    // That a packet lives too short to be sent on is not the engine's matter, nor what comes from a loopback address: no
    // wire brings it, and what pf routes itself is given another.
    let by_wire = packet.way == Way::Forward && packet.src.is_loopback();
    if packet.embedded.is_some() || packet.ttl < 2 || by_wire {
        return None;
    }
    // Only what the machine itself sends or takes in has a local socket.
    let local = match packet.way {
        Way::Out => packet.received_on.is_none(),
        Way::In | Way::Forward => engine.context().is_local(packet.dst, 0),
    };
    let packet = &Packet {
        user: packet.user.filter(|_| local),
        group: packet.group.filter(|_| local),
        ..packet.clone()
    };
    let header = engine.space().header(packet)?;
    let classes: Result<Vec<Class>, _> = engine
        .classes(question(point(&header), packet.way, Goal::Any))
        .collect();
    let classes = match classes {
        Ok(classes) => classes,
        Err(Undecided::Unmodelled(_)) => return None,
        Err(Undecided::Steps) => return Some(Err("too many steps".to_owned())),
    };
    let found: Vec<_> = classes.iter().map(of_engine).collect();
    let sure = classes.iter().all(|class| class.conditions.is_empty());
    let mut compared = None;
    for journey in decided(machine, packet) {
        if classes.iter().any(|class| by_the_stack(engine, &journey, class)) {
            return None;
        }
        let expected = of_eval(&journey);
        let same = |(class, found): (&Class, &Vec<String>)| *found == expected && admits(class, &journey, packet);
        let agreed = classes.iter().zip(&found).any(same) && (!sure || found.iter().all(|one| *one == expected));
        if !agreed {
            return Some(Err(format!(
                "eval {expected:?}\nengine {found:?}\n{packet:?}\n{journey:?}\n{classes:?}"
            )));
        }
        compared = Some(Ok(()));
    }
    compared
}

fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(folder);
    if !path.is_dir() {
        println!("skipped: no ../shared");
        return None;
    }
    Some(path)
}

#[test]
fn measured_packets() {
    let Some(vectors) = shared("vectors") else { return };
    let mut folders: Vec<_> = std::fs::read_dir(vectors)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    let (mut compared, mut unmodelled, mut wrong) = (0, 0, Vec::new());
    for folder in folders.iter().filter(|folder| folder.join("packets.jsonl").is_file()) {
        let text = std::fs::read(folder.join("pf.conf")).unwrap();
        let context = std::fs::read_to_string(folder.join("context.toml")).unwrap();
        let case = load(&files(folder), &text, &context);
        let engine = Engine::new(&case.ruleset, &case.context);
        let machine = Machine::new(&case.ruleset, &case.context).with_programs();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for line in std::fs::read_to_string(folder.join("packets.jsonl")).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let packet = read_value(&line["packet"]).unwrap();
            match compare(&engine, &machine, &packet) {
                None => unmodelled += 1,
                Some(Ok(())) => compared += 1,
                Some(Err(why)) => wrong.push(format!("{name} {}: {why}", line["id"])),
            }
        }
    }
    println!(
        "{compared} packets compared, {unmodelled} not modelled, {} wrong",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(compared > unmodelled, "only {compared} packets were compared");
}

/// Neighbour discovery is translated as the keys of its state say: a solicitation goes to whom it asks for.
#[test]
fn neighbours_are_asked_for_under_translation() {
    let rulesets = [
        "pass out inet6 nat-to 2001:db8:9::1\n",
        "pass out inet6 nat-to 2001:db8:9::1 no state\n",
        "match out inet6 nat-to 2001:db8:9::1\npass\n",
        "match out inet6 nat-to 2001:db8:9::1\nblock out from 2001:db8:9::1 to ff02::/16\n",
        "pass in inet6 rdr-to 2001:db8:1::9\npass out\n",
    ];
    let context = rules::machine(0);
    let (mut compared, mut redirected) = (0, 0);
    for text in rulesets {
        let (text, ruleset) = rules::loaded(vec![text.to_owned()], &context);
        let (engine, eval) = (
            Engine::new(&ruleset, &context),
            Machine::new(&ruleset, &context).with_programs(),
        );
        for (kind, to, way) in [133, 134, 135, 136, 137].into_iter().flat_map(|kind| {
            ["ff02::1:ff00:5", "2001:db8:1::5"]
                .into_iter()
                .flat_map(move |to| [Way::In, Way::Out, Way::Forward].map(move |way| (kind, to, way)))
        }) {
            for target in [None, Some("2001:db8:1::7".parse().unwrap())] {
                let [src, dst] = ["2001:db8:1::1", to].map(|text| text.parse().unwrap());
                let mut packet = Packet::new(way, "em0", Protocol::ICMP6, src, dst);
                packet.icmp = Some(Icmp { kind, code: 0, id: 0 });
                (packet.ttl, packet.target) = (255, target);
                match compare(&engine, &eval, &packet) {
                    None => {}
                    Some(Ok(())) => compared += 1,
                    Some(Err(why)) => panic!("{why}\n{text}"),
                }
                let asked = |journey: &eval::Journey| {
                    journey
                        .last()
                        .is_some_and(|last| Some(last.dst) == target.map(IpAddr::V6))
                };
                redirected += usize::from(decided(&eval, &packet).iter().any(asked));
            }
        }
    }
    assert!(compared > 100 && redirected > 0, "{compared}, {redirected}");
}

/// The machine, or another state in which it may be.
fn state(which: usize, seed: u64) -> Context {
    let described = rules::machine(which);
    let others = described.circumstances().unwrap_or_default();
    let others = others.into_iter().filter(|other| !other.is_more);
    let mut all: Vec<Context> = others.map(|other| other.context).chain([described]).collect();
    let at = seed as usize % all.len();
    all.swap_remove(at)
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

/// The engine decides every packet as eval does, from the box that is this packet alone: of packets half from the bounds of
/// rules.
#[test]
fn random_packets() {
    let (asked, compared) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let config = ProptestConfig {
        max_shrink_time: 20_000,
        ..cases::cases(600)
    };
    proptest!(config, |(statements in rules::ruleset(14), which in 0..rules::CONTEXTS.len(), seed in any::<u64>())| {
        let context = state(which, seed);
        let (text, ruleset) = rules::loaded(statements, &context);
        let (engine, eval) = (Engine::new(&ruleset, &context), Machine::new(&ruleset, &context).with_programs());
        let bounds = Bounds::of(&ruleset, &context);
        let mut random = Random(seed);
        for way in [Way::In, Way::Out, Way::Forward, Way::Forward].into_iter().cycle().take(24) {
            let packet = bounds.packet(&mut random, way);
            asked.fetch_add(1, Ordering::Relaxed);
            match compare(&engine, &eval, &packet) {
                Some(Err(why)) => prop_assert!(false, "{why}\n{text}"),
                Some(Ok(())) => drop(compared.fetch_add(1, Ordering::Relaxed)),
                None => {}
            }
        }
    });
    let (asked, compared) = (asked.into_inner(), compared.into_inner());
    assert!(compared * 2 > asked, "only {compared} of {asked} packets were compared");
}

/// Every packet of a class has the journey of the class.
#[test]
fn random_classes() {
    let compared = AtomicUsize::new(0);
    let config = ProptestConfig {
        max_shrink_time: 5_000,
        ..cases::cases(12)
    };
    proptest!(config, |(statements in rules::ruleset(10), which in 0..rules::CONTEXTS.len(), seed in any::<u64>(), hop in any::<bool>())| {
        let context = rules::machine(which);
        let (text, ruleset) = rules::loaded(statements, &context);
        let (engine, eval) = (Engine::new(&ruleset, &context), Machine::new(&ruleset, &context).with_programs());
        let mut random = Random(seed);
        let everything = Question::new(engine.space().anywhere(), Goal::Any).within(2_000);
        let question = if hop { everything.of_one_hop() } else { everything };
        for class in engine.classes(question).take(20) {
            let Ok(class) = class else { break };
            if !class.conditions.is_empty() || class.own_reverse {
                continue;
            }
            for _ in 0..4 {
                let header = sample(&class.region, &mut random);
                let mut packet = engine.space().packet(&header);
                if hop && packet.way == Way::Forward {
                    packet.way = Way::In;
                }
                let reverse = packet.src == packet.dst && packet.sport == packet.dport;
                if reverse || packet.ttl < 2 || engine.space().header(&packet).as_ref() != Some(&header) {
                    continue;
                }
                compared.fetch_add(1, Ordering::Relaxed);
                for journey in decided(&eval, &packet) {
                    if !by_the_stack(&engine, &journey, &class) {
                        prop_assert_eq!(of_eval(&journey), of_engine(&class), "{:?}\n{:?}\n{}", packet, class, text);
                    }
                }
            }
        }
    });
    let compared = compared.into_inner();
    assert!(compared > 100, "only {compared} packets were compared");
}
