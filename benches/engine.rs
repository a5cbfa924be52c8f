//! How long answers take, by kind and number of rules: `cargo bench --bench engine`.
//!
//! Everything is counted but the reading of pf.conf, which is measured by itself; `check` is the whole way from three
//! texts to the report.

#[allow(dead_code, reason = "tests use the kinds that are not measured")]
#[path = "../tests/support/generate.rs"]
mod generate;

use divan::Bencher;
use generate::Kind;
use pfproof::check;
use pfproof::context::{Context, context_from_toml};
use pfproof::engine::{Difference, Engine, Question};
use pfproof::lower;
use pfproof::ruleset::{Action, Block, KeepState, Ruleset};
use pfproof::source::{MemoryLoader, Sources};

const SIZES: [u64; 3] = [1_000, 10_000, 100_000];
const CASES: [(Kind, u64); 11] = [
    (Kind::Router, SIZES[0]),
    (Kind::Router, SIZES[1]),
    (Kind::Router, SIZES[2]),
    (Kind::Acl, SIZES[0]),
    (Kind::Acl, SIZES[1]),
    (Kind::Acl, SIZES[2]),
    (Kind::Firewall, SIZES[0]),
    (Kind::Firewall, SIZES[1]),
    (Kind::Chains, SIZES[0]),
    (Kind::Chains, SIZES[1]),
    (Kind::Adversarial, SIZES[0]),
];

fn main() {
    divan::main();
}

fn machine() -> Context {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", generate::context());
    context_from_toml(&sources, file).0
}

fn read(text: &str, context: &Context) -> Ruleset {
    let mut sources = Sources::new();
    lower::load(
        &mut sources,
        &MemoryLoader::new(),
        "pf.conf",
        text.as_bytes(),
        &[],
        context,
    )
    .0
    .ruleset
}

fn loaded(kind: Kind, rules: u64) -> (Context, Ruleset) {
    let context = machine();
    let ruleset = read(&generate::rules(kind, rules, 1), &context);
    (context, ruleset)
}

#[divan::bench(args = CASES, sample_count = 3)]
fn reading(bencher: Bencher<'_, '_>, (kind, rules): (Kind, u64)) {
    let (context, text) = (machine(), generate::rules(kind, rules, 1));
    bencher.bench_local(|| read(&text, &context));
}

#[divan::bench(args = CASES, sample_count = 3)]
fn compiling(bencher: Bencher<'_, '_>, (kind, rules): (Kind, u64)) {
    let (context, ruleset) = loaded(kind, rules);
    bencher.bench_local(|| Engine::new(&ruleset, &context).space().places());
}

/// From the texts of pf.conf, context.toml and a policy of ten statements to the report.
#[divan::bench(args = CASES, sample_count = 3)]
fn check(bencher: Bencher<'_, '_>, (kind, rules): (Kind, u64)) {
    let (text, context) = (generate::rules(kind, rules, 1), generate::context());
    let loader = MemoryLoader::new();
    bencher.bench_local(|| check::texts(&text, &context, generate::POLICY, &loader));
}

#[divan::bench(args = CASES, sample_count = 3)]
fn dead_and_redundant(bencher: Bencher<'_, '_>, (kind, rules): (Kind, u64)) {
    let (context, ruleset) = loaded(kind, rules);
    bencher.bench_local(|| {
        let engine = Engine::new(&ruleset, &context);
        let idle = engine.idle_rules();
        (idle.dead.len(), idle.redundant.len())
    });
}

/// One rule in the middle is turned from pass to block or back.
#[divan::bench(args = CASES, sample_count = 3)]
fn difference(bencher: Bencher<'_, '_>, (kind, rules): (Kind, u64)) {
    let (context, ruleset) = loaded(kind, rules);
    let mut edited = ruleset.clone();
    if let Some(anchor) = edited.anchors.get_mut(Ruleset::MAIN) {
        let middle = anchor.rules.len() / 2;
        let rule = &mut anchor.rules[middle];
        rule.action = match rule.action {
            Action::Pass => Action::Block(Block::Drop),
            _ => Action::Pass,
        };
        rule.keep_state = KeepState::No;
    }
    bencher.bench_local(|| {
        let difference = Difference::new(&ruleset, &edited, &context);
        difference.changes(Question::STEPS).count()
    });
}
