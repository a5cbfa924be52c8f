//! Random rulesets and statements for the small sites: their addresses, their interfaces, and what pf may do there.

use proptest::prelude::*;
use proptest::sample::select;

use crate::judge::{Expect, Item, Proto, Statement, What, Who};
use crate::site::ZONES;

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
    "no-route",
    "urpf-failed",
    // What translation makes.
    "198.51.100.1",
    "10.0.2.5",
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
        " tos 16",
        " ! tagged A",
        " prio 3",
        " prio 5",
        " probability 50%",
        " once",
        " max-pkt-rate 2/10",
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
        " keep state (sloppy)",
        " modulate state",
        " set prio 5",
        " set tos 16",
        " divert-packet port 700",
        " divert-to 127.0.0.1 port 8080",
        " dup-to 10.0.2.9",
        " route-to { 10.0.2.9 198.51.100.254 }",
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
        " nat-to 198.51.100.0/24 bitmask",
        " nat-to 10.0.2.0/30 source-hash",
        " nat-to 2001:db8:1::9",
        " nat-to (em0)",
        " rdr-to 10.0.2.5",
        " rdr-to 10.0.1.5 port 80",
    ],
    // Inward ones.
    &[
        " rdr-to 10.0.2.5",
        " rdr-to 10.0.2.5 port 80",
        " rdr-to 10.0.2.5 port 8000:*",
        " rdr-to 10.0.1.5 port 70:75",
        " rdr-to 2001:db8:1::5",
        " rdr-to { 10.0.2.5 10.0.1.5 } random",
        " rdr-to { 10.0.2.4/30 10.0.1.4/31 } least-states",
        " rdr-to { 10.0.2.5 10.0.1.5 } least-states",
        " rdr-to 10.0.2.0/24 bitmask",
        " rdr-to 10.0.2.4/30 source-hash",
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
        "match in on em1 inet from 10.0.1.5 nat-to 198.51.100.1\n",
        "match in inet proto tcp from 198.51.100.1 rdr-to 10.0.2.5\n",
        "match in inet to 9.9.9.9 rdr-to 10.0.2.5\n",
        "match in inet to 10.0.2.5 rdr-to 10.0.2.9\n",
        "match out inet from 198.51.100.1 nat-to 10.0.2.1\n",
    ],
];

/// A rule, an anchor with some, or a statement of another form; each ends its line.
pub(crate) fn rule() -> impl Strategy<Value = String> {
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
            (" proto tcp", " port > 53"),
            (" proto udp", " port 22 <> 80"),
            (" inet6", ""),
            (" inet6 proto icmp6", ""),
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

const NETS: [&str; 14] = [
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
    "fe80::/10",
    "0.0.0.0/32",
    "0.0.0.0/0",
    "::/0",
];

fn item(nets: &'static [&'static str]) -> impl Strategy<Value = Item> {
    prop_oneof![
        5 => (0..ZONES.len()).prop_map(Item::Zone),
        2 => select(nets).prop_map(Item::Net),
        1 => select(&["em0", "em1", "em2"][..]).prop_map(Item::Interface),
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

/// A statement.
pub(crate) fn statement() -> impl Strategy<Value = Statement> {
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
