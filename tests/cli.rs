//! The command itself: statuses, streams, formats, and that README.md shows what is really printed.

use std::path::Path;
use std::process::{Command, Output};

const HEATER: &str = "corpus/cases/mill-heater";

fn pfproof(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pfproof"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("COLUMNS")
        .env("NO_COLOR", "1")
        .output()
        .expect("the command runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn with_input(arguments: &[&str], input: &[u8]) -> Output {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_pfproof"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the command runs");
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[test]
fn statuses_tell_what_happened() {
    let nowhere = Path::new(env!("CARGO_TARGET_TMPDIR")).display().to_string();
    for (arguments, status) in [
        (&["check", HEATER][..], 1),
        (&["check", "corpus/cases/mill-heater-hardened"], 0),
        (&["print", HEATER], 0),
        (&["context", HEATER], 0),
        (
            &[
                "trace",
                "in on vlan92 proto tcp from 10.62.1.50 to 10.62.1.1 port 22",
                HEATER,
            ],
            0,
        ),
        (&["check", "corpus/cases/no-such-case"], 2),
        (&["print", &nowhere], 2),
        (&["check", "--no-such-option"], 2),
        (&["trace", "in on vlan92 proto tcp", HEATER], 2),
    ] {
        let output = pfproof(arguments);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}\n{}",
            text(&output.stderr)
        );
        let silent = if status == 2 { &output.stderr } else { &output.stdout };
        assert!(!silent.is_empty(), "{arguments:?} says nothing");
    }
}

#[test]
fn readme_shows_what_is_printed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).expect("README.md");
    let (before, rest) = readme
        .split_once("$ pfproof check corpus/cases/mill-heater\n")
        .expect("the heater's output");
    let (shown, after) = rest.split_once("```").expect("its end");
    let printed = text(&pfproof(&["check", HEATER]).stdout);
    if std::env::var_os("PFPROOF_UPDATE").is_some() {
        let text = format!("{before}$ pfproof check {HEATER}\n{printed}```{after}");
        std::fs::write(&path, text).expect("README.md can be written");
        return;
    }
    assert_eq!(
        shown, printed,
        "README.md does not show what is printed now; PFPROOF_UPDATE=1 rewrites it"
    );
}

#[test]
fn refusals_have_their_place_in_every_format() {
    let wrong = b"pass in on em0 proto tcp to port htttp\nblock in quik\n";
    let short = with_input(&["print", "--format", "short", "-"], wrong);
    assert_eq!(short.status.code(), Some(2));
    assert!(short.stdout.is_empty(), "a refused file is not printed");
    let lines = text(&short.stderr);
    assert!(
        lines.contains("stdin:1:") && lines.contains("unknown port htttp"),
        "{lines}"
    );
    assert!(lines.contains("stdin:2:") && lines.contains("syntax error"), "{lines}");
    let human = text(&with_input(&["print", "-"], wrong).stderr);
    assert!(human.contains("quik") && human.contains("quick"), "{human}");
    assert!(!human.contains('\u{1b}'), "color in a pipe");
    let colored = text(&with_input(&["print", "--color", "always", "-"], wrong).stderr);
    assert!(colored.contains('\u{1b}'), "no color where it was asked for");
}

#[test]
fn macros_are_set_from_outside() {
    let output = with_input(
        &["print", "-D", "net=192.0.2.0/24", "-"],
        b"net = \"10/8\"\nblock from $net\n",
    );
    assert!(
        text(&output.stdout).contains("block drop inet from 192.0.2.0/24 to any"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn hostile_bytes_are_answered() {
    for input in [
        &b"pass in \0 on em0"[..],
        b"pass in \xff\xfe",
        b"{{{{{{{{",
        b"pass\r\nblock\r\n",
        b"\"",
        b"$",
    ] {
        let output = with_input(&["print", "-"], input);
        assert!(
            output.status.code().is_some_and(|status| status == 0 || status == 2),
            "{input:?}"
        );
    }
}

#[test]
fn json_has_each_outcome_and_its_packet() {
    let output = pfproof(&["check", "--format", "json", HEATER]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let statements = json["routers"][0]["statements"].as_array().expect("statements");
    let outcome = |statement: &serde_json::Value| statement["outcome"].as_str().map(str::to_owned);
    assert_eq!(
        statements
            .iter()
            .filter(|one| outcome(one).as_deref() == Some("violated"))
            .count(),
        3
    );
    for statement in statements
        .iter()
        .filter(|one| outcome(one).as_deref() == Some("violated"))
    {
        assert!(
            statement["counterexamples"][0]["packet"]["src"].is_string(),
            "{statement}"
        );
    }
}

/// A folder of its own with those files.
fn folder(name: &str, files: &[(&str, &str)]) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("a file");
    }
    folder.display().to_string()
}

#[test]
fn a_policy_for_another_pf_conf_is_not_passed_over_in_silence() {
    let files = [
        ("pf.conf", "block\n"),
        ("p.policy", "# for another\nconfig \"gone.conf\"\nclosed\n"),
    ];
    let beside = folder("policy-elsewhere", &files);
    let found = pfproof(&["check", "--format", "short", &beside]);
    let line = "p.policy:2:8: error[policy]: this policy is left out: there is no `gone.conf` here";
    assert!(text(&found.stdout).contains(line), "{}", text(&found.stdout));
    assert_eq!(found.status.code(), Some(2), "a gate that checks nothing is none");
    let named = format!("{beside}/p.policy");
    let given = pfproof(&["check", "--format", "short", "--policy", &named, &beside]);
    let line = "warning[policy]: this policy is for `gone.conf`, and is checked against `";
    assert!(text(&given.stdout).contains(line), "{}", text(&given.stdout));
    // One that is about a file that is there is none of this one's business.
    let both = [files[0], files[1], ("gone.conf", "block\n")];
    let beside = folder("policy-of-another", &both);
    let silent = text(&pfproof(&["check", "--format", "short", &beside]).stdout);
    assert!(!silent.contains("p.policy"), "{silent}");
}

#[test]
fn flows_and_context_have_json() {
    let json = |arguments: &[&str]| -> serde_json::Value {
        let output = pfproof(&[arguments, &["--format", "json", HEATER]].concat());
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(value["version"], 1);
        value
    };
    let matrix = json(&["flows"]);
    let spoofed = serde_json::json!({"from": "internet", "to": "iot", "passes": "spoofed", "translated": "nothing", "open": false});
    assert!(
        matrix["pairs"].as_array().expect("pairs").contains(&spoofed),
        "{matrix}"
    );
    let pair = json(&["flows", "--from", "iot", "--to", "clients"]);
    let flows = pair["flows"].as_array().expect("flows");
    let https = flows
        .iter()
        .find(|flow| flow["packets"][0] == "tcp 443  from iot to clients");
    assert_eq!(https.expect("https")["boxes"][0]["dport"][0], "443", "{pair}");
    let context = json(&["context"]);
    assert_eq!(
        context["context"]["interface"]["vlan92"]["addresses"][0], "10.62.1.1/24",
        "{context}"
    );
}

#[test]
fn invisible_causes_are_named() {
    let marked = with_input(&["print", "-"], b"\xef\xbb\xbfblock\n");
    assert!(
        text(&marked.stderr).contains("byte order mark"),
        "{}",
        text(&marked.stderr)
    );
    let files = [
        ("pf.conf", "block\ninclude \"a.conf\"\n"),
        ("a.conf", "include \"b.conf\"\n"),
        ("b.conf", "include \"a.conf\"\n"),
    ];
    let looped = pfproof(&["print", &folder("include-loop", &files)]);
    assert!(
        text(&looped.stderr).contains("it includes itself"),
        "{}",
        text(&looped.stderr)
    );
}

#[test]
fn flows_say_why_there_may_be_more() {
    let machine = "[interface.em0]\naddresses = [\"203.0.113.7/24\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n\
                   [[route]]\nto = \"default\"\ninterface = \"em0\"\n";
    let rules =
        "block\npass in on em1 proto udp\npass in on em1 inet proto tcp rdr-to 192.0.2.0/24 bitmask\npass out on em0\n";
    let at = folder("flows-and-more", &[("context.toml", machine), ("pf.conf", rules)]);
    let output = pfproof(&["flows", "--from", "em1", "--to", "em0", &at]);
    let shown = text(&output.stdout);
    assert!(
        shown.contains("udp  from net_em1 to internet\n    in by @1, out by @3\n"),
        "{shown}"
    );
    assert!(shown.contains("and perhaps more: `bitmask` of"), "{shown}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_draft_of_what_is_piped_in_is_about_the_pf_conf_of_the_folder() {
    let draft = text(&with_input(&["init", "-o", "-", "-"], b"set skip on lo\nblock\n").stdout);
    assert!(draft.contains("\nconfig \"pf.conf\"\n"), "{draft}");
}
