//! What OpenBSD's pf decided, packet by packet: the corpus, and all of ../shared/vectors where it is there.
//!
//! `PFPROOF_VECTORS=nat-0` tries only the rulesets whose folder's name holds that text.

use std::path::{Path, PathBuf};

use pfproof::context::context_from_toml;
use pfproof::eval::{Machine, Session};
use pfproof::lower;
use pfproof::report::trace_json::answer;
use pfproof::source::{LoadError, Loader, Sources};
use serde_json::Value;

/// Reads files beside a pf.conf.
struct Folder<'f>(&'f Path);

impl Loader for Folder<'_> {
    fn load(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        std::fs::read(self.0.join(path)).map_err(|error| LoadError::Other(error.to_string()))
    }
}

/// The lines of a file; none where it is missing.
fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// How many packets of a ruleset were judged, how many of them unproven, and what differs from the measurement.
#[derive(Default)]
struct Score {
    packets: usize,
    unproven: usize,
    differences: Vec<String>,
}

impl Score {
    fn compare(&mut self, place: &str, packet: &Value, got: &Value, measured: &Value) {
        self.packets += 1;
        if got["verdict"] == "unproven" {
            self.unproven += 1;
            // Only what takes a fingerprint to know may be left open.
            if !got["reason"].as_str().unwrap().contains("operating system") {
                self.differences.push(format!("{place}\n  {packet}\n  {got}"));
            }
            return;
        }
        if !same(got, measured) {
            self.differences.push(format!(
                "{place}\n  packet   {packet}\n  answered {got}\n  measured {measured}"
            ));
        }
    }
}

/// Whether an answer is what was measured. `reason` is informative, and the members of a pool have no order.
fn same(got: &Value, measured: &Value) -> bool {
    match (got, measured) {
        (Value::Object(got), Value::Object(measured)) => {
            let keys = |object: &serde_json::Map<String, Value>| {
                let mut keys: Vec<_> = object.keys().filter(|key| *key != "reason").cloned().collect();
                keys.sort();
                keys
            };
            keys(got) == keys(measured)
                && measured.iter().filter(|(key, _)| *key != "reason").all(|(key, value)| {
                    match (key.as_str(), &got[key], value) {
                        ("any_of", Value::Array(got), Value::Array(measured)) => {
                            got.len() == measured.len() && measured.iter().all(|value| got.contains(value))
                        }
                        (_, got, measured) => same(got, measured),
                    }
                })
        }
        (Value::Array(got), Value::Array(measured)) => {
            got.len() == measured.len() && got.iter().zip(measured).all(|(got, measured)| same(got, measured))
        }
        _ => got == measured,
    }
}

/// Judges the packets and sequences of one folder.
fn judge(folder: &Path) -> Score {
    let mut sources = Sources::new();
    let text = std::fs::read_to_string(folder.join("context.toml")).unwrap();
    let file = sources.add("context.toml", text);
    let (context, _) = context_from_toml(&sources, file);
    let bytes = std::fs::read(folder.join("pf.conf")).unwrap();
    let (lowered, _) = lower::load(&mut sources, &Folder(folder), "pf.conf", &bytes, &[], &context);
    let ruleset = &lowered.ruleset;
    let machine = Machine::new(ruleset, &context);
    let name = folder.file_name().unwrap().to_string_lossy();
    let mut score = Score::default();
    // Every packet meets an empty state table.
    let mut session = Session::new(&machine);
    for line in lines(&folder.join("packets.jsonl")) {
        session.flush();
        let got = answer(&session.next(&line["packet"]).unwrap(), ruleset);
        score.compare(
            &format!("{name} {}", line["id"]),
            &line["packet"],
            &got,
            &line["expect"],
        );
    }
    for line in lines(&folder.join("sequences.jsonl")) {
        session.flush();
        let packets = line["packets"].as_array().unwrap().iter();
        for (at, (packet, measured)) in packets.zip(line["expect"].as_array().unwrap()).enumerate() {
            let got = answer(&session.next(packet).unwrap(), ruleset);
            score.compare(&format!("{name} {} packet {at}", line["id"]), packet, &got, measured);
        }
    }
    score
}

/// The folders of rulesets that pf took.
fn folders(root: &Path) -> Vec<PathBuf> {
    let wanted = std::env::var("PFPROOF_VECTORS").unwrap_or_default();
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    let mut folders: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("packets.jsonl").exists())
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .collect();
    folders.sort();
    folders
}

/// Judges all folders under a root and fails with the first differences.
fn check(root: &Path) -> usize {
    let folders = folders(root);
    let half = folders.len() / 2;
    let scores: Vec<Score> = std::thread::scope(|scope| {
        let (first, second) = folders.split_at(half);
        let other = scope.spawn(|| second.iter().map(|folder| judge(folder)).collect::<Vec<_>>());
        let mut scores: Vec<_> = first.iter().map(|folder| judge(folder)).collect();
        scores.extend(other.join().unwrap());
        scores
    });
    let packets: usize = scores.iter().map(|score| score.packets).sum();
    let unproven: usize = scores.iter().map(|score| score.unproven).sum();
    let differences: Vec<_> = scores.into_iter().flat_map(|score| score.differences).collect();
    println!(
        "{}: {} rulesets, {packets} packets, {unproven} unproven, {} differ",
        root.display(),
        folders.len(),
        differences.len()
    );
    let shown: Vec<_> = differences.iter().take(20).cloned().collect();
    assert!(
        differences.is_empty(),
        "{} differ\n{}",
        differences.len(),
        shown.join("\n")
    );
    packets
}

#[test]
fn decides_the_corpus_as_measured() {
    let packets = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/kernel"));
    assert!(packets > 1000 || std::env::var_os("PFPROOF_VECTORS").is_some());
}

#[test]
fn decides_all_vectors_as_measured() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    if root.exists() {
        check(&root);
    } else {
        println!("skipped: no ../shared");
    }
}
