//! What hangs on what a packet does not show: the classes of a whole region against the evaluator, packet by packet, in
//! every state of what only the machine knows and in every way that pf may choose.
//!
//! - forall packets, states: it may get through => a class of those that do holds it
//! - forall classes: it hangs on nothing but what pf chooses => its packets may get through in every state
//! - forall classes: it hangs on one thing of the machine => its packets may get through in some state
//!
//! Few packets, many ways to nest rules: quick anchors, chance, tables, tags.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/chance.rs"]
mod chance;
#[path = "support/packets.rs"]
#[expect(dead_code, reason = "packets are few here")]
mod packets;

use std::net::IpAddr;

use pfproof::context::{Context, context_from_toml};
use pfproof::diagnostic::Severity;
use pfproof::engine::{Class, Engine, Goal, PacketBox, PacketSet, Question};
use pfproof::eval::{End, Machine, Memory, Verdict};
use pfproof::lower;
use pfproof::net::{Protocol, TcpFlags};
use pfproof::packet::{Packet, Way};
use pfproof::policy::{self, ast::Policy};
use pfproof::ruleset::Ruleset;
use pfproof::source::{MemoryLoader, Sources};
use proptest::prelude::*;
use proptest::sample::select;

const MACHINE: &str = r#"
[interface.em0]
addresses = ["10.0.1.1/24"]
[interface.em1]
addresses = ["10.0.2.1/24"]
"#;

const SENDERS: [&str; 2] = ["10.0.1.5", "10.0.1.6"];
const TARGETS: [&str; 2] = ["10.0.2.5", "10.0.1.6"];

/// The tables of which it is not known what is in them, and what may be.
const TABLES: [&str; 2] = ["u", "v"];
const CONTENTS: [&str; 8] = [
    "192.0.2.1",
    "10.0.1.5",
    "10.0.1.6",
    "10.0.2.5",
    "10.0.1.5 10.0.1.6",
    "10.0.1.5 10.0.2.5",
    "10.0.1.6 10.0.2.5",
    "10.0.1.5 10.0.1.6 10.0.2.5",
];

fn context() -> Context {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", MACHINE);
    context_from_toml(&sources, file).0
}

fn load(text: &str, context: &Context) -> Option<Ruleset> {
    let mut sources = Sources::new();
    let loader = MemoryLoader::new();
    let (lowered, found) = lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], context);
    let loads = found.iter().all(|one| one.severity != Severity::Error);
    loads.then_some(lowered.ruleset)
}

/// The ruleset in every state of its tables.
fn states(rules: &str, context: &Context) -> Vec<Ruleset> {
    let texts = TABLES.iter().fold(vec![rules.to_owned()], |texts, table| {
        let asked = rules.contains(&format!("<{table}>"));
        let contents = &CONTENTS[..if asked { CONTENTS.len() } else { 1 }];
        let with = |text: &String, contents: &&str| format!("table <{table}> const {{ {contents} }}\n{text}");
        let all = texts
            .iter()
            .flat_map(|text| contents.iter().map(move |contents| with(text, contents)));
        all.collect()
    });
    texts
        .iter()
        .map(|text| load(text, context).expect("it loads"))
        .collect()
}

fn packets() -> Vec<Packet> {
    let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
    let ends = SENDERS.iter().flat_map(|from| TARGETS.map(|to| (ip(from), ip(to))));
    let ports = ends.flat_map(|(from, to)| [79, 80, 81, 82].map(|port| (from, to, port)));
    let packet = |(from, to, port)| Packet {
        sport: 50_000,
        dport: port,
        flags: TcpFlags::SYN,
        ..Packet::new(Way::Forward, "em0", Protocol::TCP, from, to)
    };
    ports.map(packet).collect()
}

/// Whether the packet may get through, and whether it may be stopped, whatever pf chooses.
fn outcomes(machine: &Machine<'_>, packet: &Packet) -> [bool; 2] {
    let gets_through = |choices: &mut chance::Script| {
        let journey = machine
            .follow(packet, &mut Memory::after_others(), choices)
            .expect("all is known");
        journey.verdict() == Verdict::Pass && matches!(journey.end, End::Sent | End::Local)
    };
    let ways = chance::ways(None, gets_through);
    [ways.contains(&true), ways.contains(&false)]
}

/// On how many things the class hangs that the machine knows, one table in two ways being two.
fn of_machine(class: &Class) -> usize {
    let known = class.conditions.iter().filter(|one| !one.unknown.is_choice());
    known.count()
}

fn agree(rules: &[String]) -> Result<(), TestCaseError> {
    let context = context();
    let unknown: String = TABLES.map(|name| format!("table <{name}> persist\n")).concat();
    let rules = rules.iter().fold(String::new(), |text, rule| {
        let more = format!("{text}{rule}");
        if load(&format!("{unknown}{more}"), &context).is_some() {
            more
        } else {
            text
        }
    });
    let lowered = load(&format!("{unknown}{rules}"), &context).expect("it loads");
    let (ruleset, ..) = policy::settle_ruleset(&Policy::default(), lowered, &context);
    let engine = Engine::new(&ruleset, &context);
    let states = states(&rules, &context);
    let machines: Vec<Machine<'_>> = states.iter().map(|ruleset| Machine::new(ruleset, &context)).collect();
    let packets = packets();
    let headers: Vec<_> = packets
        .iter()
        .map(|packet| engine.space().header(packet).expect("a header"))
        .collect();
    let region: PacketSet = headers.iter().map(PacketBox::of).collect::<PacketSet>().joined();
    for (at, goal) in [Goal::GetsThrough, Goal::Stopped].into_iter().enumerate() {
        let classes: Result<Vec<Class>, _> = engine.classes(Question::new(region.clone(), goal)).collect();
        let classes = classes.expect("few rules");
        for (packet, header) in packets.iter().zip(&headers) {
            let may: Vec<bool> = machines.iter().map(|machine| outcomes(machine, packet)[at]).collect();
            let holding: Vec<&Class> = classes.iter().filter(|class| class.region.contains(header)).collect();
            let words = || format!("{rules}{goal:?} {} > {}:{}", packet.src, packet.dst, packet.dport);
            let (some, all) = (may.contains(&true), !may.contains(&false));
            prop_assert!(!some || !holding.is_empty(), "{}: no class", words());
            for class in holding {
                let right = match of_machine(class) {
                    0 => all,
                    1 => some,
                    _ => true,
                };
                prop_assert!(right, "{}\n{:?}", words(), class);
            }
        }
    }
    Ok(())
}

fn rule() -> impl Strategy<Value = String> {
    let quick = || prop::bool::weighted(0.25).prop_map(|quick| if quick { " quick" } else { "" });
    let from = || select(&["any", "any", "any", "<u>", "! <u>", "<v>", "! <v>", "10.0.1.5"][..]);
    let direction = || select(&["", " in", " in", " out"][..]);
    let leaf = (
        select(&["block", "block", "pass", "pass", "match"][..]),
        direction(),
        quick(),
        from(),
        select(&["any", "any", "any", "10.0.2.5", "! 10.0.2.5", "<v>", "! <v>"][..]),
        select(&["", "", " port 80", " port 81:82"][..]),
        select(
            &[
                "",
                "",
                "",
                " probability 50%",
                " tag A",
                " tagged A",
                " ! tagged A",
                " rdr-to { 10.0.2.5 10.0.1.6 }",
                " rdr-to 10.0.2.5 port 80",
                " nat-to { 10.0.1.5 10.0.1.6 }",
            ][..],
        ),
    );
    let leaf = leaf.prop_map(|(action, direction, quick, from, to, port, tail)| {
        format!("{action}{direction}{quick} proto tcp from {from} to {to}{port}{tail}\n")
    });
    leaf.prop_recursive(2, 10, 4, move |inner| {
        (direction(), quick(), from(), prop::collection::vec(inner, 1..4)).prop_map(|(direction, quick, from, body)| {
            format!("anchor{quick}{direction} from {from} {{\n{}}}\n", body.concat())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_time: 20_000, ..cases::cases(1500) })]

    #[test]
    fn classes_hang_on_what_they_say(rules in prop::collection::vec(rule(), 1..6)) {
        agree(&rules)?;
    }
}
