//! The engine's steps and time are bounded, whatever the rules: an answer, or undecided.

#[allow(dead_code, reason = "benches use the rest")]
#[path = "support/generate.rs"]
mod generate;

use std::time::{Duration, Instant};

use generate::Kind;
use pfproof::context::context_from_toml;
use pfproof::engine::{Engine, Goal, Question, Undecided};
use pfproof::lower;
use pfproof::source::{MemoryLoader, Sources};

/// What a question about a thousand rules may take.
const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_thousand_rules_are_answered_or_given_up_in_time() {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", generate::context());
    let (context, _) = context_from_toml(&sources, file);
    for kind in Kind::ALL {
        let text = generate::rules(kind, 1000, 1);
        let mut sources = Sources::new();
        let loader = MemoryLoader::new();
        let (lowered, diagnostics) = lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], &context);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let begun = Instant::now();
        let engine = Engine::new(&lowered.ruleset, &context);
        let compiled = begun.elapsed();
        let everything = engine.space().arriving(0..engine.space().interfaces().len());
        for goal in [Goal::GetsThrough, Goal::Stopped] {
            let asked = Instant::now();
            let first = engine.classes(Question::new(everything.clone(), goal)).next();
            assert!(
                matches!(first, Some(Ok(_) | Err(Undecided::Steps))),
                "{kind:?} {first:?}"
            );
            assert!(asked.elapsed() < LIMIT, "{kind:?} {goal:?}: {:?}", asked.elapsed());
        }
        let asked = Instant::now();
        let steps = 200_000;
        let question = Question::new(everything, Goal::GetsThrough).within(steps);
        let classes = engine
            .classes(question)
            .take(10_000)
            .filter(|class| class.is_ok())
            .count();
        assert!(asked.elapsed() < LIMIT, "{kind:?}: {:?}", asked.elapsed());
        let listed = asked.elapsed();
        let asked = Instant::now();
        let dead = engine.idle_rules().dead.len();
        assert!(asked.elapsed() < LIMIT, "{kind:?}: {:?}", asked.elapsed());
        println!(
            "{kind:?}: compiled in {compiled:?}, {classes} classes in {listed:?}, {dead} dead rules in {:?}",
            asked.elapsed()
        );
    }
}
