//! Laws of the evaluator: what may be done to a ruleset without a packet's noticing.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/packets.rs"]
mod packets;
#[path = "support/rules.rs"]
mod rules;

use packets::{Bounds, Random};
use pfproof::context::{Context, context_from_toml};
use pfproof::diagnostic::Severity;
use pfproof::eval::{Evaluation, Journey, Machine, Memory, RuleId, Unproven};
use pfproof::lower::{self, Lowered};
use pfproof::packet::{Packet, Way, read_value, write_json};
use pfproof::print;
use pfproof::ruleset::{Action, Ruleset};
use pfproof::source::{MemoryLoader, Sources};
use proptest::prelude::*;

/// How many packets each ruleset meets.
const PACKETS: usize = 40;

/// Lists of protocols that have ports.
const PROTOCOLS: &[&[&str]] = &[&["tcp", "udp"], &["tcp"]];

fn context(which: usize) -> Context {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", rules::CONTEXTS[which]);
    let (context, diagnostics) = context_from_toml(&sources, file);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    context
}

/// What a text becomes, and how many errors it has.
fn load(text: &str, context: &Context) -> (Lowered, usize) {
    let mut sources = Sources::new();
    let loader = MemoryLoader::new();
    let (lowered, diagnostics) = lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], context);
    let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error);
    (lowered, errors.count())
}

/// The statements that pfctl takes.
fn accepted(statements: Vec<String>, context: &Context) -> Vec<String> {
    rules::accepted(statements, |text| load(text, context).1 == 0)
}

/// What a rule says, wherever it stands.
fn said(ruleset: &Ruleset, id: &RuleId) -> String {
    print::rule(ruleset.rule(id).unwrap())
}

/// What a packet notices of a ruleset: everything but where its rules stand.
fn noticed(journey: &Result<Journey, Unproven>, ruleset: &Ruleset) -> String {
    let Ok(journey) = journey else {
        return "unproven".to_owned();
    };
    let hop = |hop: &Evaluation| {
        let mut bare = hop.clone();
        let rules = bare.rule.take().into_iter().chain(bare.matches.drain(..));
        let rules: Vec<_> = rules.map(|id| said(ruleset, &id)).collect();
        bare.met.clear();
        format!("{bare:?} {rules:?}")
    };
    let hops: Vec<_> = journey.hops.iter().map(hop).collect();
    format!("{hops:#?} {:?}", journey.end)
}

/// The way alone of what was proved.
fn left(proved: &Result<(Journey, Memory), Unproven>) -> Result<Journey, Unproven> {
    match proved {
        Ok((journey, _)) => Ok(journey.clone()),
        Err(unproven) => Err(unproven.clone()),
    }
}

fn ways(random: &mut Random) -> Way {
    random.pick(&[Way::In, Way::Out, Way::Forward, Way::Forward])
}

/// Fails unless random packets, drawn from the first ruleset, notice no difference.
fn same(before: &str, after: &str, context: &Context, seed: u64) -> Result<(), TestCaseError> {
    let (before, after) = (load(before, context).0.ruleset, load(after, context).0.ruleset);
    let bounds = Bounds::of(&before, context);
    let (one, other) = (Machine::new(&before, context), Machine::new(&after, context));
    let mut random = Random(seed);
    let (mut memory, mut other_memory) = (Memory::default(), Memory::default());
    for _ in 0..PACKETS {
        let way = ways(&mut random);
        let packet = bounds.packet(&mut random, way);
        let journey = one.prove(&packet, &memory);
        let other_journey = other.prove(&packet, &other_memory);
        let (mine, theirs) = (left(&journey), left(&other_journey));
        prop_assert_eq!(noticed(&mine, &before), noticed(&theirs, &after), "{:?}", packet);
        // One in two packets leaves its states behind.
        if random.one_in(2)
            && let (Ok((_, kept)), Ok((_, other_kept))) = (journey, other_journey)
        {
            (memory, other_memory) = (kept, other_kept);
        }
    }
    Ok(())
}

/// The number of rules that some statements make in the main ruleset.
fn main_rules(ruleset: &Ruleset) -> usize {
    ruleset.rules(Ruleset::MAIN).len()
}

proptest! {
    #![proptest_config(cases::cases(96))]

    // forall rulesets, packets. a rule that matches nothing, put anywhere => nothing changes
    #[test]
    fn a_rule_that_matches_nothing_changes_nothing(
        statements in rules::ruleset(8), which in 0..rules::CONTEXTS.len(), at in any::<prop::sample::Index>(), seed: u64,
        dead in prop::sample::select(&[
            "block quick on em99\n",
            "pass in quick from <nowhere> to any\n",
            "match out on em99 tag A set prio 7\n",
            "block quick proto tcp flags S/S from any to any port 10 >< 11\n",
        ][..]),
    ) {
        let context = context(which);
        let statements = accepted(statements, &context);
        let mut more = statements.clone();
        more.insert(1 + at.index(statements.len()), dead.to_owned());
        same(&statements.concat(), &more.concat(), &context, seed)?;
    }

    // forall rulesets, packets. a rule with a list == its items, one after the other
    #[test]
    fn a_list_is_its_items(
        before in rules::ruleset(4), after in rules::ruleset(4), which in 0..rules::CONTEXTS.len(), seed: u64,
        head in prop::sample::select(&["pass in", "block out quick", "match in log tag A", "pass out log (all)"][..]),
        protos in prop::sample::select(PROTOCOLS),
        sources in prop::collection::vec(prop::sample::select(&["10.0.1.0/24", "!10.0.1.5", "10.0.2.7", "2001:db8:1::/64"][..]), 1..4),
        ports in prop::collection::vec(prop::sample::select(&["80", "1000:2000", "!= 53"][..]), 1..4),
    ) {
        let list = |items: &[&str]| format!("{{ {} }}", items.join(", "));
        let together = format!("{head} proto {} from {} to any port {}\n", list(protos), list(&sources), list(&ports));
        let mut apart = String::new();
        for proto in protos {
            for source in &sources {
                for port in &ports {
                    apart += &format!("{head} proto {proto} from {source} to any port {port}\n");
                }
            }
        }
        let context = context(which);
        let (before, after) = (accepted(before, &context).concat(), accepted(after, &context)[1..].concat());
        same(&format!("{before}{together}{after}"), &format!("{before}{apart}{after}"), &context, seed)?;
    }

    // forall rulesets without match and tag, packets. a quick rule that decides, moved first, decides
    #[test]
    fn a_quick_rule_moved_first_decides_what_it_decided(
        statements in rules::ruleset(10), which in 0..rules::CONTEXTS.len(), seed: u64, at in any::<prop::sample::Index>(),
        quick in rules::rule().prop_filter("a plain quick rule", |rule| {
            rule.contains(" quick") && !rule.starts_with("match") && ["tag", "once", "rate", "prob"].iter().all(|word| !rule.contains(word))
        }),
    ) {
        let plain: Vec<_> = statements
            .into_iter()
            .filter(|statement| !statement.starts_with("match") && !statement.starts_with("anchor"))
            .filter(|statement| ["tag", "once", "rate", "prob"].iter().all(|word| !statement.contains(word)))
            .collect();
        let context = context(which);
        let (head, tail) = plain.split_at((1 + at.index(plain.len())).min(plain.len()));
        let inside = format!("{}{quick}{}", head.concat(), tail.concat());
        let first = format!("{}{quick}{}{}", head[0], head[1..].concat(), tail.concat());
        let (inside, first) = (load(&inside, &context).0.ruleset, load(&first, &context).0.ruleset);
        let start = main_rules(&load(&head.concat(), &context).0.ruleset);
        let count = main_rules(&load(&format!("{}{quick}", head[0]), &context).0.ruleset);
        let bounds = Bounds::of(&inside, &context);
        let (one, other) = (Machine::new(&inside, &context), Machine::new(&first, &context));
        let mut random = Random(seed);
        for _ in 0..PACKETS {
            let way = random.pick(&[Way::In, Way::Out]);
            let packet = bounds.packet(&mut random, way);
            let decided = |machine: &Machine<'_>| machine.prove(&packet, &Memory::default()).ok()?.0.hops.first()?.rule.clone();
            if let Some(rule) = decided(&one).filter(|rule| (start..start + count).contains(&rule.number)) {
                let moved = decided(&other).map(|rule| rule.number);
                prop_assert_eq!(moved, Some(rule.number - start));
            }
        }
    }

    // forall rulesets, packets. neighbours of one action and options that match disjoint packets, swapped => nothing changes
    #[test]
    fn disjoint_neighbours_may_change_places(
        before in rules::ruleset(4), after in rules::ruleset(4), which in 0..rules::CONTEXTS.len(), seed: u64,
        head in prop::sample::select(&["pass in", "block quick", "match in log tag A", "pass out quick log"][..]),
        pair in prop::sample::select(&[
            ("proto tcp to port 80", "proto tcp to port 81:90"),
            ("proto udp", "proto tcp"),
            ("from 10.0.1.0/25", "from 10.0.1.128/25"),
            ("inet", "inet6"),
            ("on em0", "on ! em0"),
        ][..]),
    ) {
        let context = context(which);
        let (before, after) = (accepted(before, &context).concat(), accepted(after, &context)[1..].concat());
        let text = |one: &str, other: &str| format!("{before}{head} {one}\n{head} {other}\n{after}");
        same(&text(pair.0, pair.1), &text(pair.1, pair.0), &context, seed)?;
    }

    // forall rulesets, packets. what is printed, read again, decides the same
    #[test]
    fn what_is_printed_decides_the_same(statements in rules::ruleset(10), which in 0..rules::CONTEXTS.len(), seed: u64) {
        let context = context(which);
        // pfctl prints the tables of an inline anchor as if they were the main ruleset's.
        let in_anchor = |statement: &String| statement.starts_with("anchor") && statement.contains("table ");
        // It prints a probability between `keep state` and the options of the state, and does not read that again.
        let apart = |statement: &String| statement.contains("probability") && statement.contains("state (");
        // It prints the interface of a link-local address besides a routing domain, and reads one of them.
        let twice = |statement: &String| statement.contains("rdomain") && statement.contains("self");
        // It prints ports that `*` takes around as a range whose end comes before its beginning, and refuses to read that.
        let around = |statement: &String| statement.contains("rdr-to") && statement.contains(":*");
        // Nor does it print that a state is floating, which a policy of states makes another.
        let given = statements.iter().any(|statement| statement.contains("set state-"));
        let odd = |statement: &String| in_anchor(statement) || apart(statement) || twice(statement) || around(statement);
        let odd = |statement: &String| odd(statement) || given && ["probability", "floating"].iter().any(|word| statement.contains(word));
        let statements = statements.into_iter().filter(|statement| !odd(statement));
        // And options as it comes to them, before all rules, though they hold for later rules alone.
        let (options, rules): (Vec<_>, Vec<_>) = statements.partition(|statement| statement.starts_with("set "));
        let statements = accepted([options, rules].concat(), &context);
        let (lowered, _) = load(&statements.concat(), &context);
        let printed = print::ruleset(&lowered.ruleset, &lowered.loaded, false);
        same(&statements.concat(), &printed, &context, seed)?;
    }

    // forall packets. read(write(packet)) == packet
    #[test]
    fn packets_survive_json(statements in rules::ruleset(3), which in 0..rules::CONTEXTS.len(), seed: u64) {
        let context = context(which);
        let bounds = Bounds::of(&load(&statements.concat(), &context).0.ruleset, &context);
        let mut random = Random(seed);
        for _ in 0..PACKETS {
            let way = ways(&mut random);
            let packet: Packet = bounds.packet(&mut random, way);
            prop_assert_eq!(read_value(&write_json(&packet)).unwrap(), packet);
        }
    }
}

/// The generator must not waste its time: most of what it writes loads, and every part of the language comes up.
#[test]
fn random_rulesets_are_of_the_whole_language() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let context = context(0);
    let mut runner = TestRunner::deterministic();
    let (mut statements, mut taken, mut rules_seen) = (0, 0, 0);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let text = rules::ruleset(12).new_tree(&mut runner).unwrap().current();
        statements += text.len();
        let text = accepted(text, &context);
        taken += text.len();
        let (lowered, _) = load(&text.concat(), &context);
        for rule in lowered.ruleset.anchors.values().flat_map(|anchor| &anchor.rules) {
            rules_seen += 1;
            seen.insert(match &rule.action {
                Action::Pass => "pass",
                Action::Block(_) => "block",
                Action::Match => "match",
                Action::Anchor(_) => "anchor",
            });
            seen.extend(rule.translation.as_ref().map(|_| "translation"));
            seen.extend(rule.route_to.as_ref().map(|_| "route-to"));
            seen.extend(rule.tagged.as_ref().map(|_| "tagged"));
            seen.extend(rule.os.as_ref().map(|_| "os"));
            seen.extend(rule.once.then_some("once"));
        }
    }
    println!("{statements} statements, {taken} taken, {rules_seen} rules");
    assert!(taken * 2 > statements, "only {taken} of {statements} statements load");
    for part in [
        "pass",
        "block",
        "match",
        "anchor",
        "translation",
        "route-to",
        "tagged",
        "os",
        "once",
    ] {
        assert!(seen.contains(part), "no {part}");
    }
}
