//! `never-decides`: other rules decide all the packets that a rule matches; `dead-list-item`: so it is with some of the
//! rules that a line makes.
//!
//! That a rule never decides is proved by the engine for one hop, at any place, whatever pf chooses and the machine
//! knows. Which rules decide instead is told by packets that the evaluator has replayed.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

use super::Subject;
use super::moved::{Change, Mover, Side};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::engine::{Decider, Effort, Engine, Field, Goal, PacketBox, Place, Question};
use crate::eval::{Machine, Memory, Met, Unproven};
use crate::net::RangeSet;
use crate::packet::Packet;
use crate::policy::Zones;
use crate::ruleset::{Action, Name, Rule, RuleId};
use crate::verify::{Rank, choices_of, choose, rank};

/// What the proofs about all rules may take together.
const EFFORT: Effort = Effort {
    looks: 20_000_000,
    steps: 300_000,
    steps_of_one: 20_000,
};
/// How many steps the search for the rules that decide instead may take, and how many classes are looked at.
const STEPS_OF_DECIDERS: u64 = 10_000;
const MOST_CLASSES: usize = 100;
/// For how many rules the rules that decide instead are looked for, and how many of them are named.
const MOST_EXPLAINED: usize = 100;
const MOST_NAMED: usize = 3;

/// A rule that decides packets of one that never does.
struct Instead {
    rule: RuleId,
    /// The size of the largest box of them.
    magnitude: f64,
    example: Packet,
    /// How readable that is; less is better.
    rank: Rank,
}

/// What becomes of the packets of rules that never decide.
#[derive(Default)]
struct Fate {
    /// The rules that decide instead.
    instead: Vec<Instead>,
    /// Match rules before them that change what they would match.
    translators: Vec<RuleId>,
    /// Whether it was looked for.
    looked: bool,
    /// Whether some of them meet no rule at all: `set skip`.
    skipped: bool,
    /// Whether it is not so of some, or not known.
    met: bool,
    /// Why the evaluator could not follow some of them.
    unproven: Option<String>,
}

/// The rules that one statement of pf.conf makes.
#[derive(Default)]
struct Line {
    all: usize,
    never: Vec<RuleId>,
}

impl Line {
    fn is_whole(&self) -> bool {
        self.never.len() == self.all
    }
}

pub(super) fn findings(subject: Subject<'_>) -> Vec<Diagnostic> {
    let ruleset = subject.engine.ruleset();
    let (mut lines, unknown) = lines(subject.engine, subject.assumed_anchors);
    if let Some(elsewhere) = subject.never_elsewhere {
        lines.retain(|statement, line| line.is_whole() && elsewhere.contains(statement));
    }
    let mut findings = Vec::new();
    if lines.values().any(|line| !line.never.is_empty()) {
        let explainer = Explainer {
            machine: Machine::new(ruleset, subject.engine.context()).with_programs(),
            zones: subject.zones,
            engine: subject.engine,
        };
        let mut mover = Mover::new(subject);
        let mut left = MOST_EXPLAINED;
        for line in lines.values() {
            let Some((id, rule)) = line.never.first().and_then(|id| Some((id, ruleset.rule(id)?))) else {
                continue;
            };
            let mut fate = Fate::default();
            // Of half the rules of a line nothing is said: the others may be decided otherwise.
            if let Some(rest) = left.checked_sub(line.never.len()) {
                left = rest;
                fate.looked = true;
                line.never.iter().for_each(|id| explainer.explain(id, &mut fate));
            }
            fate.instead.sort_by(|a, b| b.magnitude.total_cmp(&a.magnitude));
            findings.push(finding(subject, line, (id, rule), &fate, &mut mover));
        }
    }
    if unknown > 0 {
        let words = format!("whether {unknown} of the rules ever decide was not found out: it would take too long");
        let mut finding = Diagnostic::new(Code::NeverDecides, words);
        finding.severity = Severity::Info;
        findings.push(finding);
    }
    findings
}

/// The statements of which no rule ever decides.
#[must_use]
pub fn never_deciding(engine: &Engine<'_>, assumed_anchors: &[Name]) -> BTreeSet<u32> {
    let (lines, _) = lines(engine, assumed_anchors);
    let whole = lines.into_iter().filter(|(_, line)| line.is_whole());
    whole.map(|(statement, _)| statement).collect()
}

/// The pass and block rules by the statements that make them, and of how many it is not known whether they decide.
fn lines(engine: &Engine<'_>, assumed_anchors: &[Name]) -> (IndexMap<u32, Line, FxBuildHasher>, usize) {
    let mut lines: IndexMap<u32, Line, FxBuildHasher> = IndexMap::default();
    let mut asked: Vec<RuleId> = Vec::new();
    for (id, rule) in engine.ruleset().all_rules() {
        match rule.action {
            // What is assumed of an anchor is no line of pf.conf.
            Action::Pass | Action::Block(_) if !assumed_anchors.contains(&id.anchor) => {}
            Action::Pass | Action::Block(_) | Action::Match | Action::Anchor(_) => continue,
        }
        let line = lines.entry(rule.origin.statement).or_default();
        line.all += 1;
        // A tag takes hold although its rule does not decide.
        if rule.tag.is_none() {
            asked.push(id);
        }
    }
    let decide = engine.decide(&asked, EFFORT);
    let mut unknown = 0;
    for (id, decides) in asked.into_iter().zip(decide) {
        match decides {
            Some(true) => {}
            None => unknown += 1,
            // A rule that no packet meets is another matter.
            Some(false) if engine.matched_by(&id).is_empty() => {}
            Some(false) => {
                let statement = engine.ruleset().rule(&id).map(|rule| rule.origin.statement);
                if let Some(line) = statement.and_then(|statement| lines.get_mut(&statement)) {
                    line.never.push(id);
                }
            }
        }
    }
    (lines, unknown)
}

struct Explainer<'a> {
    engine: &'a Engine<'a>,
    machine: Machine<'a>,
    zones: &'a Zones<'a>,
}

impl Explainer<'_> {
    /// Adds what becomes of the packets of a rule; the evaluator has to see it so too.
    fn explain(&self, id: &RuleId, fate: &mut Fate) {
        let question = Question::new(self.engine.matched_by(id), Goal::Any)
            .of_one_hop()
            .within(STEPS_OF_DECIDERS);
        for class in self.engine.classes(question).take(MOST_CLASSES) {
            let Ok(class) = class else {
                fate.met = true;
                break;
            };
            let Some(hop) = class.journey.hops.first() else {
                continue;
            };
            let Some(header) = choose(&self.usual(&class.region), &class.equal, self.zones) else {
                fate.met = true;
                continue;
            };
            let packet = self.engine.space().packet(&header);
            let choices = &mut choices_of(&class);
            let seen = match self.machine.decide(&packet, &mut Memory::default(), choices) {
                Ok(seen) => seen,
                Err(Unproven(why)) => {
                    fate.unproven.get_or_insert(why);
                    continue;
                }
            };
            fate.skipped |= seen.skipped;
            fate.met |= !seen.skipped;
            let met = seen.met.iter().any(|met| match met {
                Met::Matched(rule, _) => rule == id,
                Met::Missed(..) => false,
            });
            // Of what is blocked in the end the hop names no translation.
            let translates = |id: &&RuleId| {
                let rule = self.engine.ruleset().rule(id);
                rule.is_some_and(|rule| rule.action == Action::Match && rule.translation.is_some())
            };
            let matched = seen.met.iter().filter_map(|met| match met {
                Met::Matched(rule, _) => Some(rule),
                Met::Missed(..) => None,
            });
            let changed: Vec<&RuleId> = matched.filter(translates).collect();
            match &hop.decider {
                // Behind a quick rule, or a quick anchor, nothing is met.
                Decider::Rule(rule)
                    if seen.rule.as_ref() == Some(rule) && (met || changed.is_empty() && self.may_end(rule)) =>
                {
                    fate.add(
                        rule,
                        class.region.magnitude(),
                        rank(&class.region, self.zones.network()),
                        packet,
                    );
                }
                Decider::Rule(_) if !met => {
                    for id in changed {
                        if !fate.translators.contains(id) {
                            fate.translators.push(id.clone());
                        }
                    }
                }
                Decider::Rule(_)
                | Decider::Default
                | Decider::Skipped
                | Decider::OwnState
                | Decider::State
                | Decider::Nobody
                | Decider::Anchor(_) => {}
            }
        }
    }

    /// Whether the evaluation may end with that rule: it is quick, or stands in a quick anchor.
    fn may_end(&self, id: &RuleId) -> bool {
        let ruleset = self.engine.ruleset();
        let calls = |rule: &Rule| match &rule.action {
            Action::Anchor(call) => rule.quick && id.anchor.starts_with(&*call.path),
            Action::Pass | Action::Block(_) | Action::Match => false,
        };
        ruleset.rule(id).is_some_and(|rule| rule.quick) || ruleset.all_rules().any(|(_, rule)| calls(rule))
    }

    /// The box without loopback interfaces, if there are others.
    fn usual(&self, region: &PacketBox) -> PacketBox {
        let (space, context) = (self.engine.space(), self.engine.context());
        let wire = |id: usize| context.interfaces.get(id).is_some_and(|known| !known.is_loopback());
        let usual = |place: &Place| match *place {
            Place::In(on) => wire(on),
            Place::Out { on, received } => wire(on) && received.is_none_or(wire),
        };
        let places = region
            .numbers(Field::Place)
            .intersection(&RangeSet::range(0, space.places().saturating_sub(1)));
        let numbers = places.ranges().iter().flat_map(|&(first, last)| first..=last);
        let wires = numbers.filter(|&number| space.place(number).as_ref().is_some_and(usual));
        let wires = RangeSet::from_ranges(wires.map(|number| (number, number)));
        let narrowed = region.clone().with(Field::Place, &wires);
        narrowed.unwrap_or_else(|| region.clone())
    }
}

impl Fate {
    fn add(&mut self, rule: &RuleId, magnitude: f64, rank: Rank, example: Packet) {
        match self.instead.iter_mut().find(|known| known.rule == *rule) {
            Some(known) => {
                known.magnitude = known.magnitude.max(magnitude);
                if rank < known.rank {
                    (known.rank, known.example) = (rank, example);
                }
            }
            None => self.instead.push(Instead {
                rule: rule.clone(),
                magnitude,
                example,
                rank,
            }),
        }
    }
}

/// The finding about one line: what is said of it, by the rules that decide instead, the biggest first.
fn finding(
    subject: Subject<'_>,
    line: &Line,
    (id, rule): (&RuleId, &Rule),
    fate: &Fate,
    mover: &mut Mover<'_>,
) -> Diagnostic {
    let ruleset = subject.engine.ruleset();
    let whole = line.is_whole();
    let instead: Vec<(&Instead, &Rule)> = fate
        .instead
        .iter()
        .filter_map(|one| Some((one, ruleset.rule(&one.rule)?)))
        .collect();
    let who = match line.never.as_slice() {
        [_] if whole => format!("rule @{id} never decides"),
        [_] => format!("rule @{id}, one of {} that this line makes, never decides", line.all),
        several if whole => format!("none of the {} rules that this line makes ever decides", several.len()),
        several => format!(
            "{} of the {} rules that this line makes never decide: {}",
            several.len(),
            line.all,
            listed(several.iter().map(|id| format!("@{id}")))
        ),
    };
    let by = by(subject, line, rule, &instead, fate);
    let code = if whole { Code::NeverDecides } else { Code::DeadListItem };
    let mut finding = Diagnostic::new(code, format!("{who}: {by}")).at(rule.origin.span);
    // Where some of them do what it would do, taking it away may well be meant: what the rest does is said.
    let otherwise = instead.iter().all(|(_, other)| acts(other, rule) != Acts::Alike);
    if whole && otherwise && !instead.is_empty() {
        finding.severity = Severity::Error;
    }
    let deciding = instead.iter().map(|(one, other)| {
        let does = match other.action {
            Action::Block(_) => "blocks",
            Action::Pass | Action::Match | Action::Anchor(_) => "passes",
        };
        (&one.rule, format!("{does}: {}", one.example))
    });
    let before = fate.translators.iter().filter(|_| instead.is_empty());
    let translating = before.map(|id| (id, "translates them".to_owned()));
    for (id, words) in deciding.chain(translating).take(MOST_NAMED) {
        let Some(other) = ruleset.rule(id) else { continue };
        let span = other.origin.span;
        match finding.related.iter_mut().find(|label| label.span == span) {
            Some(label) => label.text.push_str(&format!("; @{id} {words}")),
            None => finding = finding.related(span, format!("@{id} {words}")),
        }
    }
    if instead.is_empty() {
        return match fate.translators.as_slice() {
            [] => finding,
            _ => finding.help("rules behind a `match` with nat-to or rdr-to see the translated packet"),
        };
    }
    if whole {
        // Where some do what it would do, it is no question that the others are to stay before it.
        let counts = |other: &Rule| otherwise || acts(other, rule) == Acts::Alike;
        let others = instead.iter().filter(|(_, other)| counts(other));
        let others: Vec<(&RuleId, &Packet)> = others.map(|(one, _)| (&one.rule, &one.example)).collect();
        let changes = mover.changes(id, &others);
        finding = finding.help(help(subject, rule, &changes));
    }
    finding
}

/// Who decides the packets of a rule instead, and what becomes of them.
fn by(subject: Subject<'_>, line: &Line, rule: &Rule, instead: &[(&Instead, &Rule)], fate: &Fate) -> String {
    let whose = if line.never.len() == 1 { "its" } else { "their" };
    if instead.is_empty() && !fate.translators.is_empty() {
        let named = fate.translators.iter().map(|id| named(subject, id, rule));
        return format!("{whose} packets are translated before by match {}", listed(named));
    }
    let mut groups: IndexMap<Acts, Vec<String>, FxBuildHasher> = IndexMap::default();
    for (one, other) in instead {
        let others = groups.entry(acts(other, rule)).or_default();
        others.push(named(subject, &one.rule, rule));
    }
    match groups.as_slice().len() {
        0 => return unnamed(whose, fate),
        1 => {}
        _ => {
            let parts = groups.into_iter().map(|(acts, others)| {
                let does = match (acts, &rule.action) {
                    (Acts::Alike, Action::Block(_)) => Acts::Blocks.word(),
                    (acts, _) => acts.word(),
                };
                format!("{does} by {}", listed(others.into_iter()))
            });
            let parts: Vec<String> = parts.collect();
            return format!("{whose} packets are {}", parts.join(", "));
        }
    }
    match groups.into_iter().next() {
        Some((Acts::Alike, others)) => match others.as_slice() {
            [only] => format!("{only} decides all {whose} packets"),
            _ => format!("{whose} packets are decided by {}", listed(others.into_iter())),
        },
        Some((acts, others)) => format!("{whose} packets are {} by {}", acts.word(), listed(others.into_iter())),
        None => String::new(),
    }
}

/// Why no rule is named that decides the packets of a rule instead.
fn unnamed(whose: &str, fate: &Fate) -> String {
    let instead = format!("which rules decide {whose} packets instead");
    match &fate.unproven {
        _ if !fate.looked => format!("{instead} was not looked for, for there are too many such rules"),
        Some(why) => format!("{instead} is not known here: {why}"),
        None if fate.skipped && !fate.met => format!("{whose} packets meet no rule (`set skip`)"),
        None => format!("{instead} was not found out"),
    }
}

/// What a rule does with packets, beside what another would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Acts {
    /// The same.
    Alike,
    /// It blocks what the other would pass.
    Blocks,
    /// It passes what the other would block.
    Passes,
    /// Both pass; the packets leave with other addresses or ports.
    Translates,
    /// Both pass; the packets go elsewhere.
    Sends,
}

impl Acts {
    fn word(self) -> &'static str {
        match self {
            Self::Alike | Self::Passes => "passed",
            Self::Blocks => "blocked",
            Self::Translates => "passed, but translated otherwise,",
            Self::Sends => "passed, but sent elsewhere,",
        }
    }
}

/// What a rule does with the packets that it decides, as far as others notice, beside what `rule` would do.
fn acts(other: &Rule, rule: &Rule) -> Acts {
    let blocks = |rule: &Rule| match rule.action {
        Action::Block(_) => true,
        Action::Pass | Action::Match | Action::Anchor(_) => false,
    };
    match (blocks(other), blocks(rule)) {
        (true, true) => Acts::Alike,
        (true, false) => Acts::Blocks,
        (false, true) => Acts::Passes,
        (false, false) if other.translation != rule.translation => Acts::Translates,
        (false, false) if (&other.route_to, &other.divert) != (&rule.route_to, &rule.divert) => Acts::Sends,
        (false, false) => Acts::Alike,
    }
}

/// `rule @10 (line 16)`; the file too where it is another than that of `beside`.
fn named(subject: Subject<'_>, id: &RuleId, beside: &Rule) -> String {
    let Some(rule) = subject.engine.ruleset().rule(id) else {
        return format!("rule @{id}");
    };
    format!("rule @{id} ({})", place(subject, rule, beside))
}

fn place(subject: Subject<'_>, rule: &Rule, beside: &Rule) -> String {
    let at = subject.sources.location(rule.origin.span);
    if rule.origin.span.file == beside.origin.span.file {
        format!("line {}", at.line)
    } else {
        format!("{}:{}", at.name, at.line)
    }
}

/// What to do about a line: the changes were tried.
fn help(subject: Subject<'_>, rule: &Rule, changes: &[Change]) -> String {
    let mut ways: Vec<String> = Vec::new();
    for change in changes {
        let beside = change
            .beside
            .as_ref()
            .and_then(|(side, id)| Some((side, subject.engine.ruleset().rule(id)?)));
        let place = beside.map(|(side, other)| {
            let side = match side {
                Side::Before => "before",
                Side::Behind => "behind",
            };
            format!("put it {side} {}", place(subject, other, rule))
        });
        let quick = change.quick.then(|| "give it `quick`".to_owned());
        let parts: Vec<String> = place.into_iter().chain(quick).collect();
        ways.push(parts.join(" and "));
    }
    if ways.is_empty() {
        return "take it away".to_owned();
    }
    format!("take it away, or {} if it is to decide", ways.join(" or "))
}

/// `a`, `a and b`, `a, b, c and 2 more`.
fn listed(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    let more = words.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        words.truncate(MOST_NAMED);
        words.push(format!("{more} more"));
    }
    match words.pop() {
        Some(last) if !words.is_empty() => format!("{} and {last}", words.join(", ")),
        Some(only) => only,
        None => String::new(),
    }
}
