//! Random rulesets of the whole language, as the text of a pf.conf, and the machines they are for.
//!
//! A ruleset is a list of statements, so that a failing one shrinks by losing statements. pfctl refuses some of them;
//! lowering then leaves them out.

use pfproof::context::{Context, context_from_toml};
use pfproof::diagnostic::Severity;
use pfproof::lower;
use pfproof::ruleset::Ruleset;
use pfproof::source::{MemoryLoader, Sources};
use proptest::prelude::*;
use proptest::sample::select;

/// The machines: a router of both families, one with routing domains and labels, one without IPv6, one with a
/// point-to-point link and routes that reject, one with two ways out of which both count.
pub(crate) const CONTEXTS: [&str; 5] = [
    r#"
[interface.lo0]
addresses = ["127.0.0.1/8", "::1/128"]
[interface.em0]
addresses = ["203.0.113.7/24", "2001:db8::7/64", "fe80::7/64"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24", "10.0.1.2/24", "2001:db8:1::1/64"]
groups = ["trusted"]
[interface.em2]
addresses = ["10.0.2.1/24", "2001:db8:2::1/64"]
[[route]]
to = "default"
interface = "em0"
via = "203.0.113.1"
[[route]]
to = "::/0"
interface = "em0"
via = "2001:db8::1"
"#,
    r#"
[interface.lo0]
addresses = ["127.0.0.1/8", "::1/128"]
[interface.em0]
addresses = ["203.0.113.7/24", "2001:db8::7/64"]
[interface.em1]
addresses = ["10.0.1.1/24", "2001:db8:1::1/64"]
[interface.em2]
addresses = ["10.0.2.1/24"]
rdomain = 1
[[route]]
to = "10.0.9.0/24"
interface = "em1"
via = "10.0.1.9"
label = "lab"
[[route]]
to = "default"
interface = "em2"
via = "10.0.2.9"
rtable = 1
"#,
    r#"
[interface.lo0]
addresses = ["127.0.0.1/8"]
[interface.em0]
addresses = ["203.0.113.7/24"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24"]
[interface.em2]
addresses = ["10.0.2.1/24"]
up = false
[[route]]
to = "default"
interface = "em0"
via = "203.0.113.1"
"#,
    r#"
[interface.lo0]
addresses = ["127.0.0.1/8", "::1/128", "fe80::1/64"]
[interface.em0]
addresses = ["203.0.113.7/32", "2001:db8::7/64"]
peer = "203.0.113.1"
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/25", "10.0.1.129/25", "fe80::1/64", "2001:db8:1::1/64"]
groups = ["trusted"]
[interface.em2]
addresses = []
groups = ["trusted"]
[[route]]
to = "default"
interface = "em0"
via = "203.0.113.1"
[[route]]
to = "10.0.2.0/24"
interface = "em1"
via = "10.0.1.9"
label = "lab"
[[route]]
to = "10.0.3.0/24"
interface = "lo0"
via = "127.0.0.1"
reject = true
"#,
    r#"
[interface.lo0]
addresses = ["127.0.0.1/8"]
[interface.em0]
addresses = ["203.0.113.7/24"]
groups = ["egress"]
[interface.em1]
addresses = ["10.0.1.1/24"]
[interface.em2]
addresses = ["10.0.2.1/24"]
[[route]]
to = "default"
interface = "em0"
via = "203.0.113.1"
[[route]]
to = "default"
interface = "em2"
via = "10.0.2.9"
[[route]]
to = "8.0.0.0/8"
interface = "em0"
[[route]]
to = "9.0.0.0/8"
interface = "em2"
[[route]]
to = "8.0.0.0/8"
interface = "em2"
"#,
];

/// What precedes every ruleset: the tables that its rules name.
pub(crate) const TABLES: &str = "\
table <hosts> { 10.0.1.0/24, !10.0.1.128/25, 10.0.1.200, 2001:db8:1::/64 }
table <empty> persist
";

const INTERFACES: &[&str] = &[
    "em0",
    "em1",
    "em2",
    "lo0",
    "egress",
    "trusted",
    "any",
    "! em1",
    "{ em0 em1 }",
    "! egress",
    "all",
    "em9",
];

const HOSTS: &[&str] = &[
    "any",
    "10.0.1.0/24",
    "10.0.1.5",
    "! 10.0.1.0/24",
    "{ 10.0.1.1 10.0.2.0/24 }",
    "{ !10.0.1.1, !10.0.2.1 }",
    "10.0.1.10 - 10.0.1.20",
    "203.0.113.0/24",
    "<hosts>",
    "! <hosts>",
    "<empty>",
    "! <nowhere>",
    "(em1)",
    "! (em1)",
    "(em0:network)",
    "(em0:0)",
    "em1:network",
    "(self)",
    "self",
    "2001:db8:1::/64",
    "2001:db8:1::5",
    "{ 10.0.1.0/24 2001:db8:1::/64 }",
    "any",
    "0.0.0.0/0",
    "10.0.1.255",
    "! 10.0.1.1",
    "255.255.255.255",
    "224.0.0.0/4",
    "127.0.0.1",
    "em1:broadcast",
    "(em1:network)",
    "! (em0:network)",
    "(egress)",
    "(trusted:network:0)",
    "! (self)",
    "! self",
    "! 2001:db8::/32",
    "2001:db8:2::5",
    "fe80::/10",
    "{ <hosts> 8.8.8.8 }",
    "{ 10.0.0.0/8 ! 10.0.1.0/24 }",
    "10.0.1.10 - 10.0.2.20",
];

const PORTS: &[&str] = &[
    "port 80",
    "port { 22 80:90 }",
    "port > 1023",
    "port 20 >< 25",
    "port 20 <> 25",
    "port != 53",
    "port 1000:2000",
    "port <= 53",
    "port >= 80",
    "port < 80",
    "port 1:65535",
    "port { != 80 22 }",
];

/// One of the words, or nothing: the latter as often as `nothing` says.
fn maybe(words: &'static [&'static str], nothing: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        nothing => Just(String::new()),
        1 => select(words).prop_map(|word| format!(" {word}")),
    ]
}

/// `proto` with what may be asked of it: ports of the source and the destination, and options.
fn protocol() -> impl Strategy<Value = (String, String, String, String)> {
    let ported = (
        select(&["tcp", "udp", "{ tcp udp }"][..]),
        maybe(PORTS, 4),
        maybe(PORTS, 1),
    );
    let tcp = (
        maybe(PORTS, 4),
        maybe(PORTS, 1),
        select(
            &[
                "flags S/SA",
                "flags any",
                "flags A/A",
                "flags SF/SFRA",
                "flags /SFRA",
                "flags S/SAEW",
            ][..],
        ),
    );
    let icmp = select(
        &[
            ("inet proto icmp", "icmp-type echoreq"),
            ("inet proto icmp", ""),
            ("inet proto icmp", "icmp-type { unreach code needfrag, timex }"),
            ("inet6 proto icmp6", "icmp6-type echoreq"),
            ("inet6 proto icmp6", "icmp6-type neighbrsol"),
            ("inet6 proto icmp6", ""),
            ("inet6 proto icmp6", "icmp6-type { echorep routeradv toobig }"),
            ("inet proto icmp", "icmp-type { echorep timereq }"),
            ("inet proto { icmp tcp }", ""),
        ][..],
    );
    let none = String::new;
    prop_oneof![
        4 => ported.prop_map(|(proto, sport, dport)| (format!(" proto {proto}"), sport, dport, String::new())),
        2 => tcp.prop_map(|(sport, dport, flags)| (" proto tcp".to_owned(), sport, dport, format!(" {flags}"))),
        2 => icmp.prop_map(move |(proto, kind)| (format!(" {proto}"), none(), none(), format!(" {kind}"))),
        1 => select(&[" proto esp", " proto { esp ah }", " proto 2", " proto { tcp icmp6 }"][..])
            .prop_map(move |proto| (proto.to_owned(), none(), none(), none())),
        4 => maybe(&["inet", "inet6"], 3).prop_map(move |family| (family, none(), none(), none())),
    ]
}

/// Criteria and what a rule sets, of every action.
fn options() -> impl Strategy<Value = String> {
    (
        maybe(&["tos 0x10", "tos lowdelay", "tos 0xb8"], 15),
        maybe(
            &[
                "received-on em0",
                "received-on em1",
                "! received-on em1",
                "received-on egress",
                "! received-on any",
                "received-on any",
            ],
            10,
        ),
        maybe(&["tagged A", "! tagged A", "tagged B"], 6),
        maybe(&["tag A", "tag B", "tag \"on_$if\""], 4),
        maybe(&["prio 3", "prio 5"], 20),
        maybe(&["set prio 5", "set ( prio (2, 6), tos 0x10 )", "set tos lowdelay"], 12),
        maybe(
            &[
                "user root",
                "user > 1000",
                "group = 0",
                "user != 1000",
                "user { root 1000 }",
                "user unknown",
            ],
            50,
        ),
        maybe(&["rtable 1", "rtable 0"], 15),
        maybe(&["fragment"], 60),
        maybe(&["probability 50%", "once", "max-pkt-rate 2/10"], 15),
    )
        .prop_map(
            |(tos, received, tagged, tag, prio, set, user, rtable, fragment, chance)| {
                format!("{fragment}{tos}{user}{received}{tagged}{tag}{prio}{rtable}{set}{chance}")
            },
        )
}

/// What only pass rules have.
fn pass_options() -> impl Strategy<Value = String> {
    (
        maybe(&["allow-opts"], 8),
        maybe(
            &[
                "no state",
                "keep state",
                "keep state (if-bound)",
                "keep state (floating)",
                "keep state (no-sync)",
                "keep state (sloppy)",
                "modulate state",
                "synproxy state",
                "keep state (max 2)",
                "keep state (source-track rule, max-src-states 1)",
            ],
            3,
        ),
        maybe(
            &[
                "route-to 10.0.1.9",
                "reply-to 203.0.113.1",
                "divert-to 127.0.0.1 port 8080",
                "divert-packet port 700",
                "route-to { 10.0.1.9 203.0.113.1 } round-robin",
                "route-to 2001:db8::1",
                "route-to 10.0.7.7",
                "reply-to (em0)",
                "dup-to 10.0.1.9",
                "divert-reply",
            ],
            20,
        ),
    )
        .prop_map(|(options, state, way)| format!("{options}{state}{way}"))
}

/// The translations of rules in one direction.
fn translation(outward: bool) -> impl Strategy<Value = String> {
    if outward {
        maybe(
            &[
                "nat-to (em0)",
                "nat-to 203.0.113.7",
                "nat-to 203.0.113.7 static-port",
                "nat-to 203.0.113.7 port 5000:5003",
                "nat-to { 203.0.113.8 203.0.113.9 } round-robin",
                "nat-to { 203.0.113.8 203.0.113.9 } round-robin sticky-address",
                "nat-to 203.0.113.16/28 bitmask",
                "nat-to (em0) nat-to 203.0.113.8",
                "nat-to (em1)",
                "nat-to (em0:0) static-port",
                "nat-to 203.0.113.16/28 source-hash",
                "nat-to 203.0.113.16/28 random",
                "nat-to 2001:db8::9",
                "nat-to <hosts> round-robin",
                "nat-to <hosts> least-states",
                "nat-to { 203.0.113.8 203.0.113.9 } least-states",
                "nat-to (em9)",
                "nat-to 10.0.1.5 static-port",
            ],
            5,
        )
        .boxed()
    } else {
        maybe(
            &[
                "rdr-to 10.0.2.5",
                "rdr-to 10.0.2.5 port 8080",
                "rdr-to 10.0.2.5 port 7000:*",
                "rdr-to 10.0.2.5 port 500:600",
                "rdr-to { 10.0.2.5 10.0.2.6 } random",
                "rdr-to 127.0.0.1",
                "rdr-to (em1) port 22",
                "rdr-to 2001:db8:2::5 port 8080",
                "rdr-to ::1",
                "rdr-to 10.0.9.9",
                "rdr-to 255.255.255.255",
                "rdr-to <empty> round-robin",
                "rdr-to (em2:network) least-states",
                "rdr-to { 10.0.1.5 8.8.8.8 } sticky-address",
                "nat-to 10.0.1.2",
                "rdr-to 10.0.2.0/28 bitmask",
                "af-to inet from 203.0.113.7",
                "af-to inet6 from 2001:db8::7 to 2001:db8:2::5",
                "af-to inet from 203.0.113.7 to 10.0.2.5",
            ],
            5,
        )
        .boxed()
    }
}

/// One rule, on a line.
pub(crate) fn rule() -> impl Strategy<Value = String> {
    let action = select(
        &[
            "block",
            "block return",
            "block return-icmp",
            "block drop",
            "block return-rst",
            "pass",
            "pass",
            "pass",
            "pass",
            "match",
            "match",
        ][..],
    );
    let way = select(&["in", "out", "in", "out", ""][..]);
    (action, way).prop_flat_map(|(action, way)| {
        let passes = action == "pass";
        let translates = !way.is_empty() && !action.starts_with("block");
        (
            maybe(&["log", "log (all)", "log (matches)"], 6),
            maybe(&["quick"], 5),
            prop_oneof![
                2 => Just(String::new()),
                6 => select(INTERFACES).prop_map(|on| format!(" on {on}")),
                1 => select(&["rdomain 0", "rdomain 1", "! rdomain 1"][..]).prop_map(|on| format!(" on {on}")),
            ],
            protocol(),
            (select(HOSTS), prop::bool::weighted(0.02)),
            maybe(&["no-route", "urpf-failed", "route \"lab\""], 12),
            select(HOSTS),
            options(),
            if passes { pass_options().boxed() } else { Just(String::new()).boxed() },
            if translates { translation(way == "out").boxed() } else { Just(String::new()).boxed() },
        )
            .prop_map(move |(log, quick, on, (proto, sport, dport, kind), (from, odd_os), odd, to, options, state, translation)| {
                let from = if odd.is_empty() { from } else { odd.trim() };
                let os = if odd_os { " os \"OpenBSD\"" } else { "" };
                let way = if way.is_empty() { String::new() } else { format!(" {way}") };
                format!(
                    "{action}{way}{log}{quick}{on}{proto} from {from}{sport}{os} to {to}{dport}{kind}{options}{state}{translation}\n"
                )
            })
    })
}

/// Statements that are no rule of the usual form.
const STATEMENTS: &[&str] = &[
    "antispoof for em1",
    "antispoof quick for { em0 (em1) lo0 }",
    "anchor \"filled/*\"",
    "anchor \"filled\" quick on em1",
    "pass out on em0 from 10.0.1.5 to any binat-to 203.0.113.8",
    "pass on em0 inet from 10.0.1.0/28 to any binat-to 203.0.113.16/28",
    "match on em0 inet from 10.0.1.5 to any binat-to 203.0.113.8",
    "match scrub (no-df)",
    "match in scrub (random-id reassemble tcp max-mss 1440)",
    "match in on em1 scrub (min-ttl 10 set-tos lowdelay)",
    "match in on em1 rtable 1",
    "block in quick from urpf-failed",
    "block in from no-route",
    "pass quick on em1",
    "pass out on em0 inet from ! (em0) nat-to (em0)",
    "block in log on ! em1 inet from 10.0.1.0/24",
    "set state-policy if-bound",
    "set block-policy return",
    "set state-defaults if-bound",
];

/// One statement: a rule, an antispoof, or an anchor with rules of its own.
pub(crate) fn statement() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        12 => rule().boxed(),
        1 => Just("table <hosts> { 10.0.2.0/24 }\n".to_owned()).boxed(),
    ];
    let any = leaf.prop_recursive(2, 12, 4, |inner| {
        let head = (
            maybe(&["\"a\"", "\"b\""], 6),
            maybe(&["in", "out"], 2),
            maybe(&["quick"], 3),
            maybe(&["on em1", "on egress"], 2),
            maybe(&["proto tcp", "inet"], 3),
            maybe(&["tag A", "tagged B"], 6),
        );
        (head, prop::collection::vec(inner, 1..4)).prop_map(|((name, way, quick, on, proto, tag), body)| {
            format!("anchor{name}{way}{quick}{on}{proto}{tag} {{\n{}}}\n", body.concat())
        })
    });
    prop_oneof![
        12 => any.boxed(),
        1 => select(STATEMENTS).prop_map(|text| format!("{text}\n")).boxed(),
    ]
}

/// The statements that load after those before them.
pub(crate) fn accepted(statements: Vec<String>, loads: impl Fn(&str) -> bool) -> Vec<String> {
    let mut text = String::new();
    let mut accepted = Vec::new();
    for statement in statements {
        let more = format!("{text}{statement}");
        if loads(&more) {
            text = more;
            accepted.push(statement);
        }
    }
    accepted
}

/// One of the machines.
#[allow(dead_code, reason = "some tests have machines of their own")]
pub(crate) fn machine(which: usize) -> Context {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", CONTEXTS[which]);
    Context {
        multipath: true,
        ..context_from_toml(&sources, file).0
    }
}

/// The ruleset of those statements that pfctl takes.
#[allow(dead_code, reason = "some tests edit it before")]
pub(crate) fn loaded(statements: Vec<String>, context: &Context) -> (String, Ruleset) {
    let lowered = |text: &str| {
        let (mut sources, loader) = (Sources::new(), MemoryLoader::new());
        lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], context)
    };
    let loads = |text: &str| lowered(text).1.iter().all(|found| found.severity != Severity::Error);
    let text = accepted(statements, loads).concat();
    let ruleset = lowered(&text).0.ruleset;
    (text, ruleset)
}

/// The options at the head of a file.
fn settings() -> impl Strategy<Value = String> {
    (
        maybe(&["set block-policy return\n"], 3),
        maybe(
            &[
                "set skip on lo0\n",
                "set skip on em2\n",
                "set skip on trusted\n",
                "set skip on { lo0 em0 }\n",
            ],
            4,
        ),
        maybe(&["set state-policy if-bound\n"], 6),
        maybe(&["set reassemble no\n", "set reassemble yes no-df\n"], 3),
        maybe(&["set state-defaults pflow\n"], 20),
    )
        .prop_map(|(block, skip, state, reassemble, defaults)| {
            [block, skip, state, reassemble, defaults]
                .map(|line| line.trim_start().to_owned())
                .concat()
        })
}

/// A pf.conf, as its statements.
pub(crate) fn ruleset(statements: usize) -> impl Strategy<Value = Vec<String>> {
    (settings(), prop::collection::vec(statement(), 1..=statements)).prop_map(|(settings, mut statements)| {
        statements.insert(0, format!("{settings}{TABLES}"));
        statements
    })
}
