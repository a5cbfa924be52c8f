//! What reports say of statements, conditions and zones is true of the packets that they show.

use pfproof::check::texts;
use pfproof::report::check::{Hop, Report, Router, Statement};
use pfproof::report::{Format, Look};
use pfproof::source::MemoryLoader;

const CONTEXT: &str = "[interface.em0]\naddresses = [\"203.0.113.7/24\"]\ngroups = [\"egress\"]\n\
                       [interface.em1]\naddresses = [\"10.0.1.1/24\"]\n[[route]]\nto = \"default\"\n\
                       interface = \"em0\"\n";
const ZONES: &str = "zone lan on em1\nzone internet on em0\n";

fn check(pf_conf: &str, statements: &str) -> Router {
    let policy = format!("{ZONES}{statements}");
    texts(pf_conf, CONTEXT, &policy, &MemoryLoader::new()).1
}

fn rendered(pf_conf: &str, policy: &str, look: Look) -> String {
    let (sources, router) = texts(pf_conf, CONTEXT, policy, &MemoryLoader::new());
    let report = Report { routers: vec![router] };
    report.render(&[&sources], Format::Human, look)
}

fn only(router: &Router) -> &Statement {
    let [statement] = router.statements.as_slice() else {
        panic!("{:?}", router.statements);
    };
    statement
}

const POOL: &str = "block\nmatch out on em0 inet from em1:network nat-to { 203.0.113.7 203.0.113.8 }\n\
                    pass in on em1 inet proto tcp from em1:network to any port 80\npass out on em0\n";

/// What a packet became on its way.
fn becomes(statement: &Statement) -> Vec<&str> {
    let hops = statement.causes.iter().flat_map(|cause| &cause.hops);
    let translated = hops.filter_map(|hop| match hop {
        Hop::Rules { translated, .. } => translated.as_deref(),
        Hop::Route(_) | Hop::Reply(_) | Hop::Next(_) => None,
    });
    translated.collect()
}

#[test]
fn a_witness_shows_the_choice_that_offends_and_names_it() {
    for (wanted, shown) in [("203.0.113.7", "203.0.113.8"), ("203.0.113.8", "203.0.113.7")] {
        let line = format!("require inet proto tcp from lan to internet port 80 nat-to {wanted}\n");
        let router = check(POOL, &line);
        let statement = only(&router);
        assert_eq!(statement.outcome, "violated");
        let [cause] = statement.causes.as_slice() else {
            panic!("{statement:?}");
        };
        assert_eq!(cause.says, format!("gets through, but not `nat-to {wanted}`"));
        assert_eq!(cause.choices, [format!("if pf takes {shown} from the pool of rule @1")]);
        assert!(becomes(statement)[0].starts_with(&format!("{shown}:")), "{statement:?}");
    }
}

#[test]
fn no_choice_is_named_where_each_offends() {
    let line = "require inet proto tcp from lan to internet port 80 nat-to 203.0.113.9\n";
    let router = check(POOL, line);
    let statement = only(&router);
    assert_eq!(statement.outcome, "violated");
    assert!(statement.causes[0].choices.is_empty(), "{statement:?}");
}

#[test]
fn a_redirection_that_pf_may_choose_is_shown() {
    let pf_conf = "block\npass in on em0 inet proto tcp to 203.0.113.7 port 80 rdr-to { 10.0.1.10 10.0.1.20 }\n\
                   pass out on em1\n";
    let router = check(pf_conf, "forbid from internet to 10.0.1.20\n");
    let statement = only(&router);
    assert_eq!(statement.outcome, "violated", "{statement:?}");
    let cause = &statement.causes[0];
    assert_eq!(cause.choices, ["if pf takes 10.0.1.20 from the pool of rule @1"]);
    assert!(becomes(statement)[0].contains("> 10.0.1.20:80"), "{statement:?}");
}

#[test]
fn every_expectation_that_fails_is_named() {
    let line = "require inet proto tcp from lan to internet port 80 nat-to 203.0.113.9 log by label \"web\"\n";
    let router = check(POOL, line);
    assert_eq!(
        only(&router).causes[0].says,
        "gets through, but not `nat-to 203.0.113.9` and not `log` and not `by label \"web\"`"
    );
}

#[test]
fn an_address_that_pf_may_choose_though_the_packet_has_it_already_is_shown() {
    let pf_conf = "block\npass out on em0 inet proto udp nat-to { 203.0.113.8 203.0.113.9 203.0.113.7 } static-port\n";
    let nat = "nat-to { 203.0.113.8 203.0.113.9 203.0.113.7 }";
    let router = check(
        pf_conf,
        &format!("require inet proto udp from em0 to internet port 53 {nat}\n"),
    );
    let statement = only(&router);
    assert_eq!(statement.outcome, "violated", "{statement:?}");
    assert_eq!(
        statement.causes[0].choices,
        ["if pf takes 203.0.113.7 from the pool of rule @1"]
    );
}

#[test]
fn packets_of_one_way_that_fail_different_expectations_are_told_apart() {
    let pf_conf = "block\npass in on em0 inet proto tcp to port 80 rdr-to 10.0.1.10\npass out on em1\n";
    let line = "require inet proto tcp from internet to { 203.0.113.7 10.0.1.10 } port 80 rdr-to 10.0.1.10 log\n";
    let router = check(pf_conf, line);
    let mut says: Vec<&str> = only(&router).causes.iter().map(|cause| cause.says.as_str()).collect();
    says.sort_unstable();
    assert_eq!(
        says,
        [
            "gets through, but not `log`",
            "gets through, but not `rdr-to 10.0.1.10` and not `log`"
        ]
    );
}

#[test]
fn what_fails_is_said_though_the_rules_are_shown_elsewhere() {
    let policy = format!(
        "{ZONES}require inet proto tcp from lan to internet port 80 log\n\
         require inet proto tcp from lan to internet port 80 by label \"web\"\n"
    );
    let text = rendered(POOL, &policy, Look::default());
    assert!(text.contains("gets through, but not `log`"), "{text}");
    assert!(text.contains("gets through, but not `by label \"web\"`"), "{text}");
    assert!(text.contains("    by the rules that are shown at policy:3\n"), "{text}");
}

/// Where an anchor is said to decide, it is the one that is shown; and what is shown is shown once.
#[test]
fn conditions_are_those_of_the_way_that_is_shown() {
    let pf_conf = "table <bad> persist\nblock\nanchor \"relayd/*\"\nanchor \"ftp-proxy/*\"\n\
                   pass in on em1 inet proto tcp from em1:network to any port 80\npass out on em0\n\
                   block in quick on em1 from <bad>\n";
    let router = check(
        pf_conf,
        "require inet proto tcp from lan to internet port 80\nforbid from lan to internet\nclosed from lan\n",
    );
    let mut anchors = 0;
    for statement in &router.statements {
        assert_eq!(statement.outcome, "unproven");
        assert!(
            statement
                .reasons
                .iter()
                .any(|reason| reason.starts_with("rule @5 (pf.conf:7) asks for")),
            "{:?}",
            statement.reasons
        );
        for cause in &statement.causes {
            let shown = |anchor: &str| {
                cause.hops.iter().any(|hop| match hop {
                    Hop::Rules { rows, outcome, .. } => {
                        let others = outcome.as_deref() == Some("by a rule that others may load here");
                        others && rows.iter().any(|row| row.text.contains(anchor))
                    }
                    Hop::Route(_) | Hop::Reply(_) | Hop::Next(_) => false,
                })
            };
            for anchor in ["\"relayd/*\"", "\"ftp-proxy/*\""] {
                let about: Vec<&String> = cause.choices.iter().filter(|choice| choice.contains(anchor)).collect();
                let says = |words: &str| about.iter().any(|choice| choice.ends_with(words));
                anchors += about.len();
                assert_eq!(
                    says("decides only where it is shown")
                        || about
                            .iter()
                            .any(|choice| choice.starts_with("if a rule") && choice.ends_with(" decides")),
                    shown(anchor),
                    "{cause:?}"
                );
                assert!(!(says(" decides") && about.len() > 1), "{cause:?}");
            }
            let same = statement
                .causes
                .iter()
                .filter(|other| (&other.packet, &other.says, &other.hops) == (&cause.packet, &cause.says, &cause.hops));
            assert_eq!(same.count(), 1, "{cause:?}");
        }
    }
    assert!(anchors > 0);
}

#[test]
fn a_zone_is_named_only_for_what_lies_in_it() {
    let policy = "zone admins on em0 from 198.51.100.0/28\nzone world on em0\n\
                  allow from admins to self\nclosed\n";
    let (_, router) = texts(
        "block\npass in on em0 inet proto tcp to port ssh\n",
        CONTEXT,
        policy,
        &MemoryLoader::new(),
    );
    let closed = &router.statements[1];
    assert!(
        closed
            .packets
            .iter()
            .any(|line| line.contains("from any on em0 but admins")),
        "{:?}",
        closed.packets
    );
    assert!(
        !closed.packets.iter().any(|line| line.contains("from admins")),
        "{:?}",
        closed.packets
    );
    let policy =
        "zone broker on em1 from 10.0.1.20\nzone servers on em1\nzone world on em0\nforbid from world to servers\n";
    for (to, words) in [
        ("10.0.1.20", "to broker"),
        ("em1:network", "to servers"),
        ("! 10.0.1.20", "to servers but broker"),
        ("10.0.1.30", "to servers (10.0.1.30)"),
    ] {
        let pf_conf = format!("block\npass in on em0 inet proto tcp to {to} port 80\npass out on em1\n");
        let (_, router) = texts(&pf_conf, CONTEXT, policy, &MemoryLoader::new());
        let packets = &only(&router).packets;
        let itself = |line: &&String| *line == "packets that are their own reverse";
        assert!(
            packets
                .iter()
                .filter(|line| !itself(line))
                .all(|line| line.ends_with(words)),
            "{to}: {packets:?}"
        );
    }
}

#[test]
fn nothing_of_a_refused_file_is_taken_for_a_verdict() {
    let text = rendered(
        "block\npass in quik\npass out on em0\n",
        &format!("{ZONES}closed\n"),
        Look::default(),
    );
    assert!(
        text.ends_with(
            "2 other statements are fine. pfctl would refuse the file; at boot the machine\n\
             would run with its temporary rules: ssh in, no forwarding.\n"
        ),
        "{text}"
    );
    assert!(!text.contains("holds") && !text.contains("violated"), "{text}");
    let text = rendered("block\npass in proto tcp to port htttp\n", "", Look::default());
    assert!(
        text.contains("1 other statement is fine.") && !text.contains("who reaches whom"),
        "{text}"
    );
}

#[test]
fn a_policy_without_statements_is_said_to_state_nothing() {
    for policy in ["# nothing\n", ZONES] {
        let text = rendered("block\n", policy, Look::default());
        assert!(
            text.contains("error: the policy states nothing: nothing was proved"),
            "{text}"
        );
        assert!(text.contains("policy:1:1"), "{text}");
    }
}

#[test]
fn one_is_no_plural() {
    let text = rendered("block\n", ZONES, Look::default());
    assert!(text.starts_with("pf.conf: 1 line, 1 rule\n"), "{text}");
}

#[test]
fn part_of_the_flows_that_are_translated_is_said_to_be_a_part() {
    let some = "pass\nmatch out on em0 inet proto tcp from em1:network to any port 80 nat-to (em0)\n";
    let text = rendered(some, "", Look::default());
    assert!(text.contains("> internet  all, some nat to 203.0.113.7"), "{text}");
    let all = "pass inet\nmatch out on em0 inet from em1:network nat-to (em0)\n";
    let text = rendered(all, "", Look::default());
    assert!(text.contains(", nat to 203.0.113.7"), "{text}");
}

#[test]
fn no_escape_sequence_of_a_text_reaches_the_terminal() {
    let nasty = "\x1b[31m\x1b]0;x\x07\u{9b}2J";
    let pf_conf = format!("pass in on em1 label \"x{nasty}\"\npass out quick\npass out on em0 label \"{nasty}\"\n");
    let policy = format!("# {nasty}\n{ZONES}forbid \"{nasty}\" from lan to internet\nallow from lann{nasty} to lan\n");
    for color in [false, true] {
        let look = Look {
            color,
            verbose: true,
            ..Look::default()
        };
        for policy in [policy.as_str(), ""] {
            let text = rendered(&pf_conf, policy, look);
            assert!(text.contains("?[31m"), "{text:?}");
            assert!(!text.contains("\x1b[31m\x1b]") && !text.contains("x\x1b"), "{text:?}");
            // Colors of our own and of miette.
            let mut left = String::new();
            for (at, part) in text.split('\x1b').enumerate() {
                let painted = part.strip_prefix('[').and_then(|rest| rest.split_once('m'));
                let codes = painted.filter(|(codes, _)| codes.chars().all(|c| c.is_ascii_digit() || c == ';'));
                match codes {
                    Some((_, rest)) if color && at > 0 => left.push_str(rest),
                    _ if at == 0 => left.push_str(part),
                    _ => panic!("{part:?}"),
                }
            }
            let control = |c: char| c.is_control() && c != '\n';
            assert!(!left.contains(control), "{left:?}");
        }
    }
}

/// Without a context the only interface is taken for the upstream; what the user calls it counts more.
#[test]
fn a_network_is_called_as_the_user_calls_its_interface() {
    for (name, zone) in [
        ("lan", "lan"),
        ("int", "int"),
        ("ext_if", "internet"),
        ("wan", "internet"),
    ] {
        let pf_conf = format!("{name} = \"em0\"\nblock\npass in on ${name} inet proto tcp to port ssh\n");
        let text = rendered(&pf_conf, "", Look::default());
        assert!(text.contains(&format!("  {zone} > self")), "{name}: {text}");
    }
}

#[test]
fn what_is_long_is_told_by_its_ends() {
    let verbose = Look {
        verbose: true,
        ..Look::default()
    };
    let matches: String = (0..40)
        .map(|at| format!("match in on em1 proto tcp tag T{at}\n"))
        .collect();
    let pf_conf = format!("block\n{matches}pass in on em1 proto tcp tagged T39\npass out on em0\n");
    let policy = format!("{ZONES}forbid proto tcp from lan to internet\n");
    let short = rendered(&pf_conf, &policy, Look::default());
    assert!(short.contains("… 30 more that match"), "{short}");
    assert!(
        short.contains("tag T0 ") && !short.contains("tag T20") && short.contains("tagged"),
        "{short}"
    );
    let whole = rendered(&pf_conf, &policy, verbose);
    assert!(whole.contains("tag T20"), "{whole}");

    let users: String = (1000..1040)
        .map(|port| format!("pass in on em1 proto tcp to port {port} user {port}\n"))
        .collect();
    let pf_conf = format!("block\n{users}pass out on em0\n");
    let short = rendered(&pf_conf, &policy, Look::default());
    assert!(short.contains("… 32 reasons more"), "{short}");
    let whole = rendered(&pf_conf, &policy, verbose);
    assert!(
        whole.contains("user 1000") && !whole.contains("reasons more"),
        "{whole}"
    );
}

#[test]
fn protocols_that_are_not_among_the_others_are_named() {
    let policy = format!("{ZONES}forbid inet from lan to internet\n");
    let text = rendered("pass\nblock in inet proto esp\n", &policy, Look::default());
    assert!(text.contains("other protocols but esp"), "{text}");
    let text = rendered(
        "block\npass inet proto icmp icmp-type unreach code needfrag\n",
        &policy,
        Look::default(),
    );
    assert!(text.contains("icmp unreach (some codes)"), "{text}");
}
