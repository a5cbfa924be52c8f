//! The engine's steps are bounded, whatever the rules: an answer, or undecided.

#[allow(dead_code, reason = "benches use the rest")]
#[path = "support/generate.rs"]
mod generate;

use generate::Kind;
use pfproof::context::context_from_toml;
use pfproof::engine::{Engine, Goal, Question, Undecided};
use pfproof::lower;
use pfproof::source::{MemoryLoader, Sources};

#[test]
fn a_thousand_rules_are_answered_or_given_up() {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", generate::context());
    let (context, _) = context_from_toml(&sources, file);
    for kind in Kind::ALL {
        let text = generate::rules(kind, 1000, 1);
        let mut sources = Sources::new();
        let loader = MemoryLoader::new();
        let (lowered, diagnostics) = lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], &context);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let engine = Engine::new(&lowered.ruleset, &context);
        let everything = engine.space().arriving(0..engine.space().interfaces().len());
        for goal in [Goal::GetsThrough, Goal::Stopped] {
            let first = engine.classes(Question::new(everything.clone(), goal)).next();
            assert!(
                matches!(first, Some(Ok(_) | Err(Undecided::Steps))),
                "{kind:?} {first:?}"
            );
        }
        // A class takes more than one step; what the steps do not suffice for is said once, at the end.
        let steps = 200_000;
        let question = Question::new(everything, Goal::GetsThrough).within(steps);
        let classes: Vec<_> = engine.classes(question).collect();
        assert!((classes.len() as u64) < steps, "{kind:?}: {} classes", classes.len());
        let undecided = classes.iter().position(Result::is_err);
        assert!(undecided.is_none_or(|at| at + 1 == classes.len()), "{kind:?}");
        let idle = engine.idle_rules();
        println!("{kind:?}: {} classes, {} dead rules", classes.len(), idle.dead.len());
    }
}
