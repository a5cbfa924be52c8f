//! What the evaluator says where the measured vectors have nothing to say: choices, limits, hostile rulesets.

#[path = "support/router.rs"]
mod router;

use pfproof::eval::{Criterion, Machine, Memory, Named, RuleId, Session, Verdict, reply};
use pfproof::packet::{Packet, parse_words};
use pfproof::report::trace::short;
use pfproof::report::trace_json::answer;
use pfproof::ruleset::Ruleset;
use serde_json::{Value, json};

use router::{ROUTER, context, ruleset};

fn packet(words: &str) -> Packet {
    parse_words(words).unwrap()
}

/// Checks where each hop of a packet is decided, in the words of `trace --format short`.
fn check_on(toml: &str, rules: &str, words: &str, expected: &str) {
    let context = context(toml);
    let ruleset = ruleset(rules, &context);
    let packet = packet(words);
    let journey = Machine::new(&ruleset, &context)
        .prove(&packet, &Memory::default())
        .map(|(journey, _)| journey);
    let told = short(&packet, &journey, &[]);
    let (_, decisions) = told.split_once(": ").unwrap();
    assert_eq!(decisions, expected, "{rules}\n{words}");
}

fn check(rules: &str, words: &str, expected: &str) {
    check_on(ROUTER, rules, words, expected);
}

const WEB: &str = "in on em1 proto tcp from 10.0.1.5 to 9.9.9.9 port 80";

#[test]
fn what_only_the_machine_knows_is_unproven_only_where_it_matters() {
    for (rules, expected) in [
        // It decides.
        (
            "block\npass proto tcp from any os \"OpenBSD\"\n",
            "unproven: rule 1 asks for the operating system of the sender",
        ),
        ("pass\nblock in probability 50%\n", "unproven: rule 1 matches by chance"),
        // A later rule decides anyhow.
        (
            "block\npass proto tcp from any os \"OpenBSD\"\nblock in\n",
            "in em1 block @2",
        ),
        // Both ways come to the same.
        (
            "block\nblock drop in quick probability 50%\nblock drop in\n",
            "unproven: rule 1 matches by chance",
        ),
        // Another criterion fails.
        (
            "block\npass proto tcp from any os \"OpenBSD\" to any port 22\n",
            "in em1 block @0",
        ),
        // The first packets are within any rate.
        (
            "block\npass in max-pkt-rate 1/10 no state\n",
            "in em1 pass @1, out em0 block @0",
        ),
    ] {
        check(rules, WEB, expected);
    }
}

#[test]
fn a_witness_is_replayed_with_the_choices_it_names() {
    let context = context(ROUTER);
    let ruleset = ruleset(
        "pass\nblock in probability 50%\npass out on em0 nat-to { 203.0.113.8 203.0.113.9 } random\n",
        &context,
    );
    let machine = Machine::new(&ruleset, &context);
    let rule = |number| RuleId {
        anchor: Ruleset::MAIN.into(),
        number,
    };
    let mut choices = Named::default();
    choices.holds.insert((rule(1), Criterion::Probability), false);
    choices.addresses.insert(rule(2), "203.0.113.9".parse().unwrap());
    choices.ports.insert(rule(2), 60000);
    let packet = packet(WEB);
    let journey = machine.follow(&packet, &mut Memory::default(), &mut choices).unwrap();
    let sent = journey.last().unwrap();
    assert_eq!((sent.src.to_string().as_str(), sent.sport), ("203.0.113.9", 60000));
    choices.holds.insert((rule(1), Criterion::Probability), true);
    let journey = machine.follow(&packet, &mut Memory::default(), &mut choices).unwrap();
    assert_eq!(journey.verdict(), Verdict::Block);
}

#[test]
fn replies_come_back_by_the_states() {
    let context = context(ROUTER);
    let ruleset = ruleset("block\npass in on em1\npass out on em0 nat-to (em0)\n", &context);
    let machine = Machine::new(&ruleset, &context);
    for words in [
        WEB,
        "in on em1 proto udp from 10.0.1.5 to 9.9.9.9 port 53",
        "in on em1 proto icmp from 10.0.1.5 to 9.9.9.9",
        "in on em1 proto tcp from 10.0.1.5 to 10.0.1.1 port 22",
    ] {
        let sent = packet(words);
        let (journey, memory) = machine.prove(&sent, &Memory::default()).unwrap();
        let answer = reply(&journey).unwrap();
        let (back, _) = machine.prove(&answer, &memory).unwrap();
        assert_eq!(back.verdict(), Verdict::Pass, "{words}");
        let home = back.last().unwrap();
        assert_eq!((home.src, home.dst), (sent.dst, sent.src), "{words}");
        assert!(
            back.hops
                .iter()
                .all(|hop| hop.state.as_ref().is_some_and(|state| state.existing)),
            "{words}"
        );
    }
}

#[test]
fn once_and_max_count_from_a_fresh_start() {
    let context = context(ROUTER);
    let ruleset = ruleset(
        "block\npass in proto tcp once\npass in proto udp keep state (max 1)\n",
        &context,
    );
    let machine = Machine::new(&ruleset, &context);
    let mut memory = Memory::default();
    let mut verdicts = Vec::new();
    for (protocol, port) in [("tcp", 1), ("tcp", 2), ("udp", 3), ("udp", 4), ("udp", 3)] {
        let mut sent = packet(&format!(
            "in on em1 proto {protocol} from 10.0.1.5 port {port} to 10.0.1.1 port 80"
        ));
        sent.way = pfproof::packet::Way::In;
        let (journey, after) = machine.prove(&sent, &memory).unwrap();
        memory = after;
        verdicts.push(journey.verdict().word());
    }
    assert_eq!(verdicts, ["pass", "block", "pass", "drop", "pass"]);
}

#[test]
fn anchors_that_call_each_other_come_to_an_end() {
    // The 64th call finds the stack full.
    let recursive = "block\nanchor \"a\" {\npass\nanchor \"/a\"\n}\n";
    check(recursive, WEB, "in em1 drop a@0");
    // A call to itself on the way out only.
    let doubling = "block\nanchor \"a\" {\nblock in tagged NOBODY\nanchor \"/a\" out\nanchor \"/b\"\nanchor \"/b\"\n}\nanchor \"b\" {\nanchor \"/c\"\nanchor \"/c\"\n}\nanchor \"c\" {\npass\n}\n";
    check(doubling, WEB, "in em1 pass c@0, out em0 drop @0");
}

#[test]
fn anchors_that_double_on_each_level_are_given_up() {
    let level = |n: usize| format!("anchor \"l{n}\" {{\nanchor \"/l{0}\"\nanchor \"/l{0}\"\n}}\n", n + 1);
    let rules: String = (0..40).map(level).collect();
    check(&rules, WEB, "unproven: the packet meets more than 5000000 rules");
}

#[test]
fn addresses_that_nobody_knows_are_unproven_only_where_they_matter() {
    let dhcp = ROUTER.replace("\"203.0.113.7/24\"", "\"dhcp\"");
    for (rules, words, expected) in [
        (
            "block\npass in on em1\npass out on em0\n",
            WEB,
            "in em1 pass @1, out em0 pass @2",
        ),
        (
            "pass in\npass out on em0 nat-to (em0)\n",
            WEB,
            "unproven: the inet address of `em0` is not known",
        ),
        (
            "block\npass in on em0 to (em0)\n",
            "in on em0 proto tcp from 9.9.9.9 to 198.51.100.1 port 22",
            "unproven: the inet address of `em0` is not known",
        ),
        ("block\npass in on em1 to (em1)\n", WEB, "in em1 block @0"),
    ] {
        check_on(&dhcp, rules, words, expected);
    }
}

#[test]
fn what_an_ah_header_hides_is_unproven() {
    check(
        "pass proto ah\n",
        "in on em1 proto ah from 10.0.1.5 to 9.9.9.9",
        "unproven: pf looks through an AH header, and what is behind it is not said",
    );
}

/// The answers to packets one after the other, each meeting the states of those before it.
fn answers(rules: &str, words: &[&str]) -> Vec<Value> {
    let context = context(ROUTER);
    let ruleset = ruleset(rules, &context);
    let machine = Machine::new(&ruleset, &context);
    let mut session = Session::new(&machine);
    words
        .iter()
        .map(|words| answer(&session.follow(packet(words)), &ruleset))
        .collect()
}

fn verdicts(rules: &str, words: &[&str]) -> String {
    let verdicts: Vec<_> = answers(rules, words)
        .iter()
        .map(|answer| answer["verdict"].as_str().unwrap().to_owned())
        .collect();
    verdicts.join(" ")
}

const NAT64: &str = "in on em1 proto tcp from 2001:db8::5 port 50001 to 64:ff9b::9.9.9.9 port 80";

#[test]
fn af_to_makes_a_new_header_in_the_end() {
    // pf_test scrubs first and calls pf_translate_af then; a port chosen at random is not the one that was there.
    let rules = "pass in on em1 inet6 from any to 64:ff9b::/96 set tos lowdelay af-to inet from 203.0.113.7\n";
    let hop = &answers(rules, &[NAT64])[0]["hops"][0];
    assert_eq!(hop["af"], "inet", "{hop}");
    assert_eq!(hop["dst"], "9.9.9.9");
    assert_eq!((&hop["sport"], hop.get("tos")), (&Value::Null, None));
}

#[test]
fn pools_take_what_lies_in_no_other_entry() {
    // pfr_pool_get.
    for (kind, expected) in [
        (
            "round-robin",
            json!({ "any_of": ["203.0.113.8", "203.0.113.10", "203.0.113.11"] }),
        ),
        ("random", json!("203.0.113.8")),
    ] {
        let rules =
            format!("table <t> const {{ 203.0.113.8/30 !203.0.113.9 }}\npass in\npass out on em0 nat-to <t> {kind}\n");
        assert_eq!(answers(&rules, &[WEB])[0]["hops"][1]["src"], expected, "{kind}");
    }
    // pf_poolmask takes the first octets of the other family's address.
    let rules = "pass in on em1 inet6 from any to 64:ff9b::/96 af-to inet from 192.0.2.0/24 bitmask\n";
    assert_eq!(answers(rules, &[NAT64])[0]["hops"][0]["src"], "192.0.2.184");
}

#[test]
fn a_handshake_may_begin_anew() {
    let syn = "in on em1 proto tcp from 10.0.1.5 port 1000 to 10.0.1.1 port 22 seq 100";
    for (rules, second, third, expected) in [
        // pf_tcp_track_full forgets an answer that fits no SYN.
        (
            "pass\n",
            "out on em1 proto tcp from 10.0.1.1 port 22 to 10.0.1.5 port 1000 flags SA seq 5000 ack 1000000",
            "out on em1 proto tcp from 10.0.1.1 port 22 to 10.0.1.5 port 1000 flags SA seq 900000 ack 101",
            "pass drop pass",
        ),
        // pf_synproxy wants the number that pf chose.
        (
            "pass proto tcp synproxy state\n",
            "in on em1 proto tcp from 10.0.1.5 port 1000 to 10.0.1.1 port 22 flags A seq 101 ack 7",
            syn,
            "synproxy drop synproxy",
        ),
    ] {
        assert_eq!(verdicts(rules, &[syn, second, third]), expected, "{rules}");
    }
}

#[test]
fn sources_are_counted_for_each_rule() {
    // pf_insert_src_node, with `source-track global` too.
    let rules = "pass in proto tcp to port 80 keep state (source-track global, max-src-states 1)\n\
                 pass in proto tcp to port 81 keep state (source-track global, max-src-states 1)\n";
    let to = |sport: u16, port: u16| format!("in on em1 proto tcp from 10.0.1.5 port {sport} to 10.0.1.1 port {port}");
    let words = [to(1, 80), to(2, 81), to(3, 80)];
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    assert_eq!(verdicts(rules, &words), "pass pass drop");
}

#[test]
fn headers_are_looked_through_up_to_a_limit() {
    // pf_walk_header6.
    for (headers, expected) in [(19, "pass"), (20, "drop")] {
        let words = format!(
            "in on em1 proto udp from 2001:db8::5 to 2001:db8::6 port 53 ext6 {}",
            vec!["dst"; headers].join(",")
        );
        assert_eq!(verdicts("pass allow-opts\n", &[&words]), expected, "{headers}");
    }
}
