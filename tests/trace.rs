//! `pfproof trace` from outside: words, files of packets and of sequences, bad lines, statuses.

#[allow(dead_code, reason = "other tests do more with trees")]
#[path = "support/tree.rs"]
mod tree;

use std::io::Write;
use std::process::{Command, Stdio};

/// Standard output, standard error and status of `pfproof trace` on the heater's ruleset.
fn trace(arguments: &[&str], input: &str) -> (String, String, i32) {
    run(
        &[
            arguments,
            &[concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/cases/mill-heater")],
        ]
        .concat(),
        input,
    )
}

/// Standard output, standard error and status of `pfproof trace`.
fn run(arguments: &[&str], input: &str) -> (String, String, i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pfproof"))
        .arg("trace")
        .args(arguments)
        .env_remove("COLUMNS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

const WORDS: &str = "in on vlan92 proto tcp from 10.62.1.50 to 10.41.8.20 port 443";
const PACKET: &str = r#"{"direction":"forward","interface":"vlan92","af":"inet","proto":"tcp","src":"10.62.1.50","dst":"10.41.8.20","sport":49152,"dport":443,"flags":"S"}"#;

#[test]
fn a_packet_in_words_is_followed_to_its_end() {
    let (out, _, status) = trace(&[WORDS], "");
    assert_eq!(status, 0);
    for part in [
        "10.62.1.50:49152 > 10.41.8.20:443 tcp S  in on vlan92",
        "decides  pf.conf:11",
        "overridden  pf.conf:4",
        "route     10.41.8.0/24 > vlan418",
        "no rule matches: passes, without a state",
        "gets through",
        "answer 10.41.8.20:443 > 10.62.1.50:49152 tcp SA",
    ] {
        assert!(out.contains(part), "`{part}` is not in\n{out}");
    }
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
}

#[test]
fn all_shows_every_rule() {
    let (folded, ..) = trace(&[WORDS], "");
    let (all, ..) = trace(&["--all", WORDS], "");
    assert!(folded.contains("do not match") && !all.contains("do not match"));
    assert!((0..12).all(|rule| all.contains(&format!("@{rule} "))), "{all}");
}

#[test]
fn one_hop_is_enough_where_it_is_asked() {
    let (out, ..) = trace(&["--hop", "--format", "short", WORDS], "");
    assert_eq!(out, "10.62.1.50:49152 > 10.41.8.20:443 tcp S: in vlan92 pass @5\n");
}

#[test]
fn packets_are_answered_a_line_an_item_and_bad_lines_are_told() {
    let lines = format!(
        "{{\"id\":1,\"packet\":{PACKET}}}\n\nnonsense\n{{\"id\":\"x\",\"packet\":{{\"direction\":\"in\"}}}}\n{{\"id\":2,\"packet\":{}}}\n{{\"id\":3,\"packet\":{PACKET}}}\n",
        PACKET.replace("vlan92", "vlan93")
    );
    let (out, _, status) = trace(&["--packets", "-", "--format", "json"], &lines);
    assert_eq!(status, 2);
    let answers: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = answers
        .iter()
        .map(|answer| {
            (
                answer["id"].to_string(),
                answer["verdict"].as_str(),
                answer["error"].is_string(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("1".to_owned(), Some("pass"), false),
            ("null".to_owned(), None, true),
            ("\"x\"".to_owned(), None, true),
            ("2".to_owned(), None, true),
            ("3".to_owned(), Some("pass"), false),
        ]
    );
    assert_eq!(answers[0]["hops"][0]["rule"], 5);
    assert_eq!(answers[0]["hops"][1]["rule"], serde_json::Value::Null);
}

#[test]
fn states_last_for_a_sequence() {
    let back = r#"{"direction":"out","interface":"vlan92","proto":"tcp","src":"@0.dst","dst":"@0.src","sport":443,"dport":"@0.sport","flags":"SA","ack":1}"#;
    let lines = format!("{{\"id\":\"s\",\"packets\":[{PACKET},{back}]}}\n{{\"id\":\"t\",\"packets\":[{back}]}}\n");
    let (out, _, status) = trace(&["--sequences", "-", "--format", "json"], &lines);
    assert_eq!(status, 2);
    let answers: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers[0]["results"][1]["existing"], true);
    assert!(answers[1]["error"].as_str().unwrap().contains("`@0.dst`"));
}

#[test]
fn a_slip_in_the_packet_is_named() {
    for (words, message) in [
        ("in on vlan92 from 10.62.1.50", "`to` is missing at the end"),
        (
            "in vlan92",
            "`on` is wanted, not `vlan92`\n  in vlan92\n     ^^^^^^\n  such as 'in on ",
        ),
        (
            "in on vlan92 proto tcp from 10.62.1.50 to 9.9.9.9",
            "say the port: `to 9.9.9.9 port …`\n  in on vlan92 proto tcp from 10.62.1.50 to 9.9.9.9\n                                                    ^\n",
        ),
        (
            "in on vlan93 from 10.62.1.50 to 9.9.9.9",
            "there is no interface `vlan93`",
        ),
    ] {
        let (out, errors, status) = trace(&[words], "");
        assert_eq!(status, 2, "{words}: {out}{errors}");
        assert!(errors.contains(message), "{words}: {errors}");
    }
}

#[test]
fn what_rules_do_is_said_where_they_do_it() {
    let context = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/cases/dmz-hairpin/context.toml");
    let rules = "match in on em1 set prio 5 tag LAN\n\
                 pass in on em1 proto udp route-to 10.0.1.9\n\
                 pass in on em1 proto tcp reply-to 10.0.0.9\n\
                 pass out\n";
    for (words, parts) in [
        (
            "in on em1 proto udp from 10.0.0.5 to 9.9.9.9 port 53",
            vec![
                "matches, tags LAN, prio 5",
                "route     route-to 10.0.1.9 > em2",
                "out  em1  passes: it belongs to the state that @1 made\n  tagged LAN\n  prio 5\ngets through",
            ],
        ),
        (
            "in on em1 proto tcp from 10.0.0.5 to 9.9.9.9 port 53",
            vec![
                "  reply-to 10.0.0.9, for its answers\n",
                "made\n  tagged LAN\n  prio 5\n  reply-to 10.0.0.9\ngets through",
            ],
        ),
    ] {
        let (out, ..) = run(&[words, "-", "--context", context], rules);
        for part in parts {
            assert!(out.contains(part), "`{part}` is not in\n{out}");
        }
    }
}

#[test]
fn what_af_to_makes_goes_by_its_own_route() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/cases/ipv6-nat64");
    let words = "in on em1 proto tcp from 2001:db8:1::9 to 64:ff9b::9.9.9.9 port 443";
    let (out, ..) = run(&[words, folder], "");
    for part in [
        "route     default > em0, without another test\ngets through",
        "in   em0  passes: it belongs to the state that @30 made",
        "route     2001:db8:1::/64 > em1, without another test\ngets through",
    ] {
        assert!(out.contains(part), "`{part}` is not in\n{out}");
    }
}

#[test]
fn what_passes_unseen_is_followed_to_its_end() {
    let folder = std::env::temp_dir().join(format!("pfproof-skipped-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let machine = "[interface.em0]\naddresses = [\"198.51.100.1/24\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n\
                   [[route]]\nto = \"default\"\ninterface = \"em0\"\n";
    std::fs::write(folder.join("context.toml"), machine).unwrap();
    std::fs::write(folder.join("pf.conf"), "set skip on em1\nblock\n").unwrap();
    let packet = r#"{"direction":"forward","interface":"em1","af":"inet","proto":"udp","src":"10.0.1.5","dst":"9.9.9.9","sport":3100,"dport":80}"#;
    let line = format!(r#"{{"id":"1","packet":{packet}}}"#);
    let path = folder.to_str().unwrap();
    let (out, error, _) = run(&["--packets", "-", "--format", "json", path], &line);
    std::fs::remove_dir_all(&folder).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&out).expect(&error);
    assert_eq!(answer["verdict"], "block", "{out}");
    assert_eq!(answer["hops"].as_array().map(Vec::len), Some(1), "{out}");
    assert_eq!(answer["hops"][0]["interface"], "em0", "{out}");
}

/// A machine whose rules meet what others fill.
const FILLED: &str = "table <bad> persist\ntable <pool> persist\ntable <known> const { 10.0.0.9 }\nblock\n\
                      block in quick proto tcp from <bad> to any port 22\npass in on em1 from any to ! <bad>\nanchor \"relayd/*\" out\n\
                      pass in on em1 proto udp from any to any port 53 rdr-to <pool>\n\
                      block in on em1 proto tcp from <bad> to any port 80\npass in on em1 proto tcp to any port 80 no state\n\
                      pass out quick on em0\n";

/// What is said of a packet there, of the words after «hangs on».
fn hanging(words: &str, arguments: &[&str]) -> Vec<String> {
    let context = "[interface.em0]\naddresses = [\"192.0.2.1/24\"]\n[interface.em1]\naddresses = [\"10.0.0.1/24\"]\n\
                   [[route]]\nto = \"default\"\ninterface = \"em0\"\n";
    let tree = tree::Tree::new(&[("pf.conf", FILLED), ("context.toml", context)]);
    let (out, err, status) = tree.run(&[&["trace", words, "--format", "json"], arguments].concat());
    assert_eq!(status, 0, "{out}{err}");
    let answer: serde_json::Value = serde_json::from_str(&out).expect("json");
    let words = answer["hangs_on"].as_array().cloned().unwrap_or_default();
    words
        .iter()
        .map(|word| word.as_str().expect("a word").to_owned())
        .collect()
}

#[test]
fn what_others_fill_is_said_where_the_answer_hangs_on_it() {
    let relayd = "anchor \"relayd/*\", which others fill";
    let bad = "whether 10.0.0.2 is in table <bad>";
    for (words, expected) in [
        (
            "in on em1 proto tcp from 10.0.0.2 to 10.0.0.1 port 22",
            vec![bad, "whether 10.0.0.1 is in table <bad>"],
        ),
        ("in on em1 proto tcp from 10.0.0.2 to 9.9.9.9 port 80", vec![relayd]),
        ("out on em0 proto tcp from 192.0.2.1 to 9.9.9.9 port 25", vec![relayd]),
        ("in on em0 proto tcp from 9.9.9.9 to 192.0.2.1 port 25", vec![]),
        ("in on em0 proto tcp from 10.0.0.2 to 192.0.2.1 port 22", vec![bad]),
    ] {
        assert_eq!(hanging(words, &[]), expected, "{words}");
    }
    // An empty pool drops: it is not known to be empty.
    let udp = "in on em1 proto udp from 10.0.0.2 to 9.9.9.9 port 53";
    assert_eq!(hanging(udp, &[]), ["what is in table <pool>"]);
    // What is assumed of it settles it.
    let ssh = "out on em0 proto tcp from 192.0.2.1 to 9.9.9.9 port 22";
    assert_eq!(
        hanging(ssh, &["--assume", "anchor \"relayd/*\" empty"]),
        Vec::<String>::new()
    );
}

#[test]
fn what_it_hangs_on_is_in_every_form_of_an_answer() {
    let tree = tree::Tree::new(&[
        ("pf.conf", "pass\nanchor \"relayd/*\"\n"),
        ("hostname.em0", "inet 192.0.2.1/24\n"),
    ]);
    let words = "in on em0 proto tcp from 192.0.2.9 to 192.0.2.1 port 22";
    let said = "hangs on anchor \"relayd/*\", which others fill";
    let (human, ..) = tree.run(&["trace", words]);
    assert!(human.lines().any(|line| line == said), "{human}");
    let (short, ..) = tree.run(&["trace", words, "--format", "short"]);
    assert!(short.ends_with(&format!("pass @0 ({said})\n")), "{short}");
    tree.write(
        "packets",
        &format!("{{\"packet\":{}}}\n", PACKET.replace("vlan92", "em0")),
    );
    tree.write(
        "sequences",
        &format!("{{\"packets\":[{}]}}\n", PACKET.replace("vlan92", "em0")),
    );
    for (option, format) in [
        ("--packets", "short"),
        ("--sequences", "short"),
        ("--packets", "json"),
        ("--sequences", "json"),
    ] {
        let (out, ..) = tree.run(&["trace", option, option.trim_start_matches('-'), "--format", format]);
        assert!(out.contains("which others fill"), "{option} {format}: {out}");
    }
    // A link-local address that no file lists may be the machine's own.
    tree.write("hostname.em0", "inet6 2001:db8::1 64\n");
    let (short, ..) = tree.run(&[
        "trace",
        "in on em0 proto tcp from fe80::2 to fe80::9 port 22",
        "--format",
        "short",
    ]);
    assert!(
        short.contains("whether fe80::9 is an address that the kernel gave an interface"),
        "{short}"
    );
}

#[test]
fn what_the_network_stack_does_not_send_on_ends_there() {
    let tree = tree::Tree::new(&[
        ("pf.conf", "pass\nblock in proto tcp to port 22 user root\n"),
        (
            "context.toml",
            "[interface.em0]\naddresses = [\"203.0.113.7/24\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\", \"2001:db8:1::1/64\"]\n\
             [[route]]\nto = \"default\"\nvia = \"203.0.113.1\"\n[[route]]\nto = \"::/0\"\ninterface = \"em0\"\n",
        ),
    ]);
    let last = |packet: &str| {
        let (out, err, status) = tree.run(&["trace", packet]);
        let said = if out.is_empty() { err } else { out };
        (said.lines().last().expect("a line").to_owned(), status)
    };
    let kept = "the network stack does not send it on: goes nowhere";
    let unseen = "no program sees tcp to a broadcast or multicast address: goes nowhere";
    let early = "the network stack drops the packet before pf sees it";
    let owner = "cannot be said: rule 1 asks for the owner of the local socket (`user`, `group`)";
    for (packet, end, status) in [
        (
            "in on em1 proto udp from 10.0.1.9 to 224.0.0.5 port 53",
            "reaches the machine itself",
            0,
        ),
        ("in on em1 proto udp from fe80::9 to 2001:db8:9::9 port 53", kept, 0),
        ("in on em1 proto udp from 10.0.1.9 to 9.9.9.9 port 53 ttl 1", kept, 0),
        ("in on em1 proto tcp from 10.0.1.9 to 10.0.1.255 port 80", unseen, 0),
        ("in on em1 proto tcp from 10.0.1.9 to 224.0.0.5 port 80", unseen, 0),
        (
            "in on em1 proto udp from 10.0.1.9 to 10.0.1.255 port 80",
            "reaches the machine itself",
            0,
        ),
        ("in on em1 proto udp from 10.0.1.9 to 127.0.0.5 port 53", early, 2),
        ("in on em1 proto udp from ff02::1 to 2001:db8:9::9 port 53", early, 2),
        ("in on em1 proto tcp from 10.0.1.9 to 9.9.9.9 port 22", owner, 0),
        (
            "in on em1 proto tcp from 10.0.1.9 to 10.0.1.1 port 22 user root",
            "does not get through",
            0,
        ),
        (
            "in on em1 proto tcp from 10.0.1.9 to 9.9.9.9 port 22 user unknown",
            "gets through",
            0,
        ),
    ] {
        let (said, found) = last(packet);
        assert!(said.ends_with(end) && found == status, "{packet}: {said}");
    }
}
