//! The lints: the examples of their pages in `corpus/lint` are found as the pages say, and what is said of rules holds
//! for the packets of `corpus/kernel`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pfproof::check::texts;
use pfproof::context::context_from_toml;
use pfproof::diagnostic::{Code, Severity};
use pfproof::engine::Engine;
use pfproof::lint::LINTS;
use pfproof::lower;
use pfproof::report::{Format, Look, diagnostics};
use pfproof::ruleset::RuleId;
use pfproof::source::{LoadError, Loader, MemoryLoader, Sources};

fn corpus(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(folder)
}

/// The fenced blocks of a page, with their kind.
fn blocks(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.split_once('\n'))
}

#[test]
fn every_lint_has_its_page_and_finds_what_the_page_says() {
    for code in LINTS.iter().flat_map(|lint| lint.codes) {
        let path = corpus("lint").join(format!("{code}.md"));
        let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(page.starts_with(&format!("# {code}\n")), "{}", path.display());
        let mut context = "";
        let mut examples = 0;
        for (kind, body) in blocks(&page) {
            match kind {
                "toml" => context = body,
                "pf.conf" => {
                    let expected: Vec<String> = body
                        .lines()
                        .zip(1..)
                        .filter_map(|(line, number)| {
                            let (_, finding) = line.split_once("# => ")?;
                            Some(format!("pf.conf:{number}:1: {finding}\n"))
                        })
                        .collect();
                    let (sources, router) = texts(&format!("{body}\n"), context, "", &MemoryLoader::new());
                    let found = diagnostics(&router.findings, &sources, Format::Short, Look::default());
                    assert_eq!(found, expected.concat(), "{}", path.display());
                    examples += expected.len();
                }
                other => panic!("{}: a block of kind `{other}`", path.display()),
            }
        }
        assert!(examples > 0, "{}: no example", path.display());
    }
}

struct Folder(PathBuf);

impl Loader for Folder {
    fn load(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        fs::read(self.0.join(path)).map_err(|_| LoadError::NotFound)
    }
}

#[test]
fn no_rule_that_decided_a_measured_packet_is_said_never_to_decide() {
    let (mut measured, mut never) = (BTreeSet::new(), 0);
    for entry in fs::read_dir(corpus("kernel")).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(folder.join("context.toml")) else {
            continue;
        };
        let mut sources = Sources::new();
        let file = sources.add("context.toml", text);
        let (context, _) = context_from_toml(&sources, file);
        let text = fs::read(folder.join("pf.conf")).unwrap();
        let loader = Folder(folder.clone());
        let (lowered, _) = lower::load(&mut sources, &loader, "pf.conf", &text, &[], &context);
        let engine = Engine::new(&lowered.ruleset, &context);
        let decides = |id: &RuleId| engine.decided_by(id, 200_000).next().is_some();
        never += lowered.ruleset.all_rules().filter(|(id, _)| !decides(id)).count();
        let packets = fs::read_to_string(folder.join("packets.jsonl")).unwrap();
        for line in packets.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            for hop in line["expect"]["hops"].as_array().into_iter().flatten() {
                let Some(number) = hop["rule"].as_u64() else { continue };
                let id = RuleId {
                    anchor: hop["anchor"].as_str().unwrap_or("").into(),
                    number: number as usize,
                };
                if measured.insert((folder.clone(), id.clone())) {
                    assert!(decides(&id), "{}: @{id} decides {}", folder.display(), line["id"]);
                }
            }
        }
    }
    assert!(measured.len() > 300 && never > 100, "{} {never}", measured.len());
}

const TWO_NETWORKS: &str = "[interface.em0]\naddresses = [\"203.0.113.7/24\"]\ngroups = [\"egress\"]\n\
                            [interface.em1]\naddresses = [\"10.0.1.1/24\"]\n[[route]]\nto = \"default\"\n\
                            interface = \"em0\"\n";

/// What is said of rules that never decide, with the level and the help.
fn never_decides(pf_conf: &str, context: &str) -> Vec<(Severity, String, String)> {
    let (_, router) = texts(pf_conf, context, "", &MemoryLoader::new());
    let findings = router.findings.into_iter();
    let findings = findings.filter(|finding| finding.code == Code::NeverDecides);
    findings
        .map(|finding| (finding.severity, finding.message, finding.help.unwrap_or_default()))
        .collect()
}

/// What the help says is done by hand here: then the rule decides, and nothing is said of it.
#[test]
fn what_the_help_says_lets_the_rule_decide() {
    let rule = "pass in on em0 inet proto tcp from 10.1.0.0/16 to any port 22";
    let quick = "pass in quick on em0 inet proto tcp from 10.1.0.0/16 to any port 22";
    let block = "block in quick on em0 from 10.0.0.0/8";
    let later = "block in on em0 from 10.0.0.0/8";
    let narrow = "block in quick on em0 inet proto tcp from 10.1.0.0/17";
    for (lines, help, after) in [
        (
            vec![block, rule],
            "take it away, or put it before line 1 and give it `quick` if it is to decide",
            vec![quick, block],
        ),
        (
            vec![block, quick],
            "take it away, or put it before line 1 if it is to decide",
            vec![quick, block],
        ),
        (
            vec![rule, later],
            "take it away, or give it `quick` or put it behind line 2 if it is to decide",
            vec![later, rule],
        ),
        (
            vec![narrow, rule, later],
            "take it away, or put it before line 1 and give it `quick` if it is to decide",
            vec![quick, narrow, later],
        ),
    ] {
        let found = never_decides(&format!("{}\n", lines.join("\n")), TWO_NETWORKS);
        let [(Severity::Error, _, said)] = found.as_slice() else {
            panic!("{lines:?}: {found:?}");
        };
        assert_eq!(said, help, "{lines:?}");
        let after = format!("{}\n", after.join("\n"));
        let left = never_decides(&after, TWO_NETWORKS);
        assert!(
            left.iter().all(|(_, message, _)| !message.contains("@0")),
            "{after}: {left:?}"
        );
    }
}

/// A rule that others make superfluous is no error because antispoof blocks what nobody sends; and what each rule does
/// is said of it.
#[test]
fn the_repair_of_the_heater_makes_no_error_of_its_warning() {
    let folder = corpus("cases/mill-heater");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (pf_conf, context) = (read("pf.conf"), read("context.toml"));
    let [(Severity::Warning, message, _)] = &*never_decides(&pf_conf, &context) else {
        panic!("one warning");
    };
    assert!(
        message.ends_with("rule @10 (line 16) decides all its packets"),
        "{message}"
    );
    let repair = "antispoof log quick for { $VLAN_MILL_IOT $VLAN_CLIENTS egress }\n";
    let after = "block log on $VLAN_MILL_IOT\n";
    assert!(read("expected.txt").contains(repair.trim_end()) && pf_conf.contains(after));
    let repaired = pf_conf.replace(after, &format!("{after}{repair}"));
    let [(Severity::Warning, message, _)] = &*never_decides(&repaired, &context) else {
        panic!("{:?}", never_decides(&repaired, &context));
    };
    assert!(
        message.contains("are passed by rule @16 (line 17), blocked by rule @"),
        "{message}"
    );
}
