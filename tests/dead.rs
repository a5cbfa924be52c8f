//! Dead and redundant rules against their definitions: every packet of shrunken fields meets the rules one by one, and
//! once more without the rule in question.

#[path = "support/cases.rs"]
mod cases;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use pfproof::context::{Context, context_from_toml};
use pfproof::engine::Engine;
use pfproof::lower;
use pfproof::print;
use pfproof::ruleset::{RuleId, Ruleset};
use pfproof::source::{MemoryLoader, Sources};
use proptest::prelude::*;

const CONTEXT: &str =
    "[interface.em0]\naddresses = [\"192.0.2.1/24\"]\n[interface.em1]\naddresses = [\"10.9.0.1/24\"]\n";
/// What a rule may ask for as a host, with the numbers of those of [`ADDRESSES`] that are in it.
const HOSTS: [(&str, &[usize]); 5] = [
    ("10.0.0.0/30", &[0, 1, 2, 3]),
    ("10.0.0.0/31", &[0, 1]),
    ("10.0.0.2/31", &[2, 3]),
    ("10.0.0.1", &[1]),
    ("10.0.0.3", &[3]),
];
/// How many addresses tell the hosts apart: four of a network and one elsewhere.
const ADDRESSES: usize = 5;
/// How many interfaces there are: the two that rules name, and the loopback.
const INTERFACES: usize = 3;
const PORTS: [(u16, u16); 4] = [(22, 22), (22, 80), (80, 443), (443, 443)];
/// One of each part into which the ranges cut the line.
const WITH_PORTS: [u16; 6] = [22, 50, 80, 200, 443, 1000];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Syn,
    Ack,
    Udp,
    EchoRequest,
    EchoReply,
    Esp,
}

const KINDS: [Kind; 6] = [
    Kind::Syn,
    Kind::Ack,
    Kind::Udp,
    Kind::EchoRequest,
    Kind::EchoReply,
    Kind::Esp,
];

/// A packet of the shrunken fields.
#[derive(Clone, Copy, Debug)]
struct Packet {
    outward: bool,
    on: usize,
    kind: Kind,
    from: usize,
    to: usize,
    port: u16,
    tagged: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    pass: bool,
    quick: bool,
    outward: Option<bool>,
    on: Option<usize>,
    proto: Option<&'static str>,
    from: Option<usize>,
    to: Option<usize>,
    ports: Option<usize>,
    state: bool,
    tag: bool,
    tagged: Option<bool>,
}

impl Rule {
    fn text(&self) -> String {
        let mut text = String::from(if self.pass { "pass" } else { "block" });
        let mut add = |word: String| text.push_str(&format!(" {word}"));
        if let Some(outward) = self.outward {
            add(if outward { "out" } else { "in" }.to_owned());
        }
        if self.quick {
            add("quick".to_owned());
        }
        if let Some(on) = self.on {
            add(format!("on em{on}"));
        }
        add("inet".to_owned());
        if let Some(proto) = self.proto {
            add(format!("proto {proto}"));
        }
        let host = |host: Option<usize>| host.map_or("any", |host| HOSTS[host].0);
        add(format!("from {} to {}", host(self.from), host(self.to)));
        if let Some((first, last)) = self.ported() {
            add(format!("port {first}:{last}"));
        }
        if self.pass && !self.state {
            add("no state".to_owned());
        }
        if self.tag {
            add("tag A".to_owned());
        }
        match self.tagged {
            Some(true) => add("tagged A".to_owned()),
            Some(false) => add("! tagged A".to_owned()),
            None => {}
        }
        text
    }

    fn ported(&self) -> Option<(u16, u16)> {
        let asks = matches!(self.proto, Some("tcp" | "udp"));
        self.ports.filter(|_| asks).map(|at| PORTS[at])
    }

    fn matches(&self, packet: &Packet, tagged: bool) -> bool {
        let proto = match packet.kind {
            Kind::Syn | Kind::Ack => "tcp",
            Kind::Udp => "udp",
            Kind::EchoRequest | Kind::EchoReply => "icmp",
            Kind::Esp => "esp",
        };
        let host = |host: Option<usize>, address| host.is_none_or(|host| HOSTS[host].1.contains(&address));
        let stateful = self.pass && self.state;
        self.outward.is_none_or(|outward| outward == packet.outward)
            && self.on.is_none_or(|on| on == packet.on)
            && self.proto.is_none_or(|wanted| wanted == proto)
            && host(self.from, packet.from)
            && host(self.to, packet.to)
            && self
                .ported()
                .is_none_or(|(first, last)| (first..=last).contains(&packet.port))
            && self.tagged.is_none_or(|wanted| wanted == tagged)
            && !(stateful && matches!(packet.kind, Kind::Ack | Kind::EchoReply))
    }

    /// What it does with packets that it decides.
    fn effect(&self) -> (bool, bool) {
        (self.pass, self.pass && self.state)
    }
}

#[derive(Clone, Debug)]
enum Line {
    Rule(Rule),
    Anchor {
        quick: bool,
        on: Option<usize>,
        rules: Vec<Rule>,
    },
}

fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        match line {
            Line::Rule(rule) => writeln!(text, "{}", rule.text()).unwrap(),
            Line::Anchor { quick, on, rules } => {
                let quick = if *quick { " quick" } else { "" };
                let on = on.map_or(String::new(), |on| format!(" on em{on}"));
                writeln!(text, "anchor \"a{number}\"{quick}{on} {{").unwrap();
                rules.iter().for_each(|rule| writeln!(text, "{}", rule.text()).unwrap());
                writeln!(text, "}}").unwrap();
            }
        }
    }
    text
}

/// A rule by its line, and within an anchor by its number there.
type Id = (usize, Option<usize>);

fn name(ruleset: &Ruleset, lines: &[Line], id: Id) -> RuleId {
    let (anchor, number) = match id {
        (line, None) => (String::new(), line),
        (line, Some(number)) => (format!("a{line}"), number),
    };
    let id = RuleId {
        anchor: anchor.as_str().into(),
        number,
    };
    assert!(ruleset.rule(&id).is_some(), "{id} of\n{}", text(lines));
    id
}

/// The rule that decides, and whether the packet has the tag in the end.
fn decide<'r>(lines: &'r [Line], without: &[Id], packet: &Packet) -> (Option<(Id, &'r Rule)>, bool) {
    let mut last = None;
    let mut tagged = packet.tagged;
    for (at, line) in lines.iter().enumerate() {
        match line {
            Line::Rule(rule) if !without.contains(&(at, None)) && rule.matches(packet, tagged) => {
                tagged |= rule.tag;
                last = Some(((at, None), rule));
                if rule.quick {
                    return (last, tagged);
                }
            }
            Line::Anchor { quick, on, rules } if on.is_none_or(|on| on == packet.on) => {
                for (inner, rule) in rules.iter().enumerate() {
                    if without.contains(&(at, Some(inner))) || !rule.matches(packet, tagged) {
                        continue;
                    }
                    tagged |= rule.tag;
                    last = Some(((at, Some(inner)), rule));
                    if rule.quick {
                        return (last, tagged);
                    }
                }
                if *quick && last.is_some_and(|((line, _), _)| line == at) {
                    return (last, tagged);
                }
            }
            Line::Rule(_) | Line::Anchor { .. } => {}
        }
    }
    (last, tagged)
}

fn packets() -> Vec<Packet> {
    let mut all = Vec::new();
    for number in 0..4 * INTERFACES * ADDRESSES * ADDRESSES {
        let (outward, tagged) = (number & 1 == 1, number & 2 == 2);
        let (on, ends) = (number / 4 % INTERFACES, number / 4 / INTERFACES);
        for kind in KINDS {
            let ports: &[u16] = if matches!(kind, Kind::EchoRequest | Kind::EchoReply | Kind::Esp) {
                &[0]
            } else {
                &WITH_PORTS
            };
            all.extend(ports.iter().map(|&port| Packet {
                outward,
                on,
                kind,
                from: ends % ADDRESSES,
                to: ends / ADDRESSES,
                port,
                tagged,
            }));
        }
    }
    all
}

fn rule() -> impl Strategy<Value = Rule> {
    let maybe = |count: usize| prop::option::weighted(0.6, 0..count);
    let fields = (
        maybe(HOSTS.len()),
        maybe(HOSTS.len()),
        prop::option::weighted(0.3, 0..PORTS.len()),
    );
    let proto = prop::sample::select(vec![None, Some("tcp"), Some("udp"), Some("icmp")]);
    let words = (
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::option::of(any::<bool>()),
        prop::option::of(0..2usize),
    );
    let marks = (
        any::<bool>(),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.1, any::<bool>()),
    );
    (words, proto, fields, marks).prop_map(
        |((pass, quick, outward, on), proto, (from, to, ports), (state, tag, tagged))| Rule {
            pass,
            quick,
            outward,
            on,
            proto,
            from,
            to,
            ports,
            state,
            tag,
            tagged,
        },
    )
}

fn line() -> impl Strategy<Value = Line> {
    let anchor = (
        any::<bool>(),
        prop::option::of(0..2usize),
        prop::collection::vec(rule(), 1..4),
    );
    prop_oneof![
        5 => rule().prop_map(Line::Rule),
        1 => anchor.prop_map(|(quick, on, rules)| Line::Anchor { quick, on, rules }),
    ]
}

fn context(text: &str) -> Context {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", text);
    context_from_toml(&sources, file).0
}

fn load(text: &str, context: &Context) -> Ruleset {
    let mut sources = Sources::new();
    let loader = MemoryLoader::new();
    let (lowered, diagnostics) = lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], context);
    assert!(diagnostics.is_empty(), "{diagnostics:?} in\n{text}");
    lowered.ruleset
}

proptest! {
    #![proptest_config(cases::cases(96))]

    #[test]
    fn by_definition(lines in prop::collection::vec(line(), 1..9)) {
        let text = text(&lines);
        let context = context(CONTEXT);
        let ruleset = load(&text, &context);
        let engine = Engine::new(&ruleset, &context);
        let found = engine.idle_rules();
        let removable: BTreeSet<RuleId> = found.removable().into_iter().cloned().collect();
        let redundant: BTreeSet<RuleId> = found.redundant.into_iter().map(|one| one.rule).collect();
        let found: BTreeSet<RuleId> = found.dead.into_iter().map(|dead| dead.rule).collect();
        let packets = packets();
        let before: Vec<_> = packets.iter().map(|packet| decide(&lines, &[], packet)).collect();
        let ids = lines.iter().enumerate().flat_map(|(at, line)| match line {
            Line::Rule(_) => vec![(at, None)],
            Line::Anchor { rules, .. } => (0..rules.len()).map(|inner| (at, Some(inner))).collect(),
        });
        let ids: Vec<Id> = ids.collect();
        let effect = |decider: &Option<(Id, &Rule)>| decider.map_or((true, false), |(_, rule)| rule.effect());
        let gone: Vec<Id> = ids.iter().copied().filter(|id| removable.contains(&name(&ruleset, &lines, *id))).collect();
        for (packet, (decider, _)) in packets.iter().zip(&before) {
            let (other, _) = decide(&lines, &gone, packet);
            prop_assert_eq!(effect(decider), effect(&other), "{:?} without {:?} of\n{}", packet, removable, text);
        }
        for id in ids {
            let name = name(&ruleset, &lines, id);
            let dead = !before.iter().any(|(decider, _)| decider.is_some_and(|(by, _)| by == id));
            prop_assert_eq!(found.contains(&name), dead, "dead: {} of\n{}", name, text);
            let unneeded = packets.iter().zip(&before).all(|(packet, (decider, tagged))| {
                let (other, still) = decide(&lines, &[id], packet);
                // A blocked packet loses its tag.
                let passes = effect(decider).0;
                effect(&other) == effect(decider) && (*tagged == still || !passes || !text.contains("tagged A"))
            });
            prop_assert!(unneeded || !redundant.contains(&name), "not redundant: {} of\n{}", name, text);
            // Where tags are set, a rule that could go may be called needed.
            let said = dead || text.contains("tag A") || redundant.contains(&name);
            prop_assert!(!unneeded || said, "redundant: {} of\n{}", name, text);
        }
    }
}

/// The rules of a file of the corpus that are found so, as pfctl prints them.
fn printed(case: &str, found: impl Fn(&Engine<'_>) -> Vec<RuleId>) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/cases").join(case);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let context = context(&read("context.toml"));
    let ruleset = load(&read("pf.conf"), &context);
    let found = found(&Engine::new(&ruleset, &context));
    found.iter().map(|id| print::rule(ruleset.rule(id).unwrap())).collect()
}

/// A later rule passes dns to every server.
#[test]
fn the_heaters_dns_rule_is_dead() {
    let dead = printed("mill-heater", |engine| {
        engine.idle_rules().dead.into_iter().map(|dead| dead.rule).collect()
    });
    let [only] = dead.as_slice() else { panic!("{dead:?}") };
    assert!(only.contains("to 10.62.1.1 port = 53"), "{only}");
}
