//! The lints: the examples of their pages in `corpus/lint` are found as the pages say, and what is said of rules holds
//! for the packets of `corpus/kernel`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pfproof::check::texts;
use pfproof::context::context_from_toml;
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
