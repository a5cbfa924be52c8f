//! How long the engine takes, from text to answer, by kind and number of rules: `cargo bench --bench engine`.

#[allow(dead_code, reason = "tests use the kinds that are not measured")]
#[path = "../tests/support/generate.rs"]
mod generate;

use divan::Bencher;
use generate::Kind;
use pfproof::context::{Context, context_from_toml};
use pfproof::engine::{Engine, Field, Goal, PacketSet, Question};
use pfproof::lower;
use pfproof::net::{Family, RangeSet};
use pfproof::ruleset::Ruleset;
use pfproof::source::{MemoryLoader, Sources};

const SIZES: [u64; 3] = [1_000, 10_000, 100_000];
const CASES: [(Kind, u64); 10] = [
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

/// Ten questions as a policy asks them: what reaches one network from the others, beyond a service or two.
fn ask(engine: &Engine<'_>) -> usize {
    let space = engine.space();
    let count = space.interfaces().len();
    let mut found = 0;
    for to in 1..count.min(11) {
        let from = (0..count).filter(|&id| id != to);
        let there = engine.routed_to(to, Family::Inet);
        let destination = space
            .arriving(from)
            .of_family(Family::Inet)
            .boxes()
            .to_vec()
            .into_iter();
        let region: PacketSet = destination
            .filter_map(|part| part.with(Field::Destination, &there))
            .collect();
        let allowed: PacketSet = region
            .boxes()
            .iter()
            .filter_map(|part| part.clone().with(Field::DestinationPort, &RangeSet::range(22, 443)))
            .collect();
        let question = Question::new(region, Goal::GetsThrough).except(&allowed);
        found += engine.classes(question).take(1).filter(|class| class.is_ok()).count();
    }
    found
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

#[divan::bench(args = CASES, sample_count = 3)]
fn checking(bencher: Bencher<'_, '_>, (kind, rules): (Kind, u64)) {
    let (context, ruleset) = loaded(kind, rules);
    bencher.bench_local(|| ask(&Engine::new(&ruleset, &context)));
}
