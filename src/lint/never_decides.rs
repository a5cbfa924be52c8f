//! `never-decides`: other rules decide all the packets that a rule matches; `dead-list-item`: so it is with some of the
//! rules that a line makes.
//!
//! That a rule never decides is proved by the engine for one hop, at any place, whatever pf chooses and the machine
//! knows. Which rules decide instead is told by packets that the evaluator has replayed.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::Subject;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::engine::{Decider, Engine, Field, Goal, PacketBox, Place, Question};
use crate::eval::{Machine, Memory, Met, Usual};
use crate::net::RangeSet;
use crate::packet::Packet;
use crate::policy::{Network, Policy, Zones};
use crate::ruleset::{Action, Name, Rule, RuleId};
use crate::verify::{choose, rank};

/// How many steps the proofs about all rules may take together, and the proof about one.
const STEPS: u64 = 300_000;
const STEPS_OF_ONE: u64 = 20_000;
/// How many steps the search for the rules that decide instead may take, and how many classes are looked at.
const STEPS_OF_DECIDERS: u64 = 10_000;
const MOST_CLASSES: usize = 100;
/// For how many rules the rules that decide instead are looked for, and how many of them are named.
const MOST_EXPLAINED: usize = 50;
const MOST_NAMED: usize = 3;

/// A rule that decides packets of one that never does.
struct Instead {
    rule: RuleId,
    /// The size of the largest box of them.
    magnitude: f64,
    example: Packet,
    /// How readable that is; less is better.
    rank: (u8, u8, usize),
}

/// What becomes of the packets of rules that never decide.
#[derive(Default)]
struct Fate {
    /// The rules that decide instead.
    instead: Vec<Instead>,
    /// Match rules before them that change what they would match.
    translators: Vec<RuleId>,
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
        let network = Network::new(subject.engine);
        let explainer = Explainer {
            machine: Machine::new(ruleset, subject.engine.context()),
            zones: &Zones::new(&Policy::default(), &network).0,
            engine: subject.engine,
        };
        let mut explained = 0;
        for line in lines.values() {
            let Some((id, rule)) = line.never.first().and_then(|id| Some((id, ruleset.rule(id)?))) else {
                continue;
            };
            let mut fate = Fate::default();
            let left = MOST_EXPLAINED.saturating_sub(explained);
            for id in line.never.iter().take(left) {
                explained += 1;
                explainer.explain(id, &mut fate);
            }
            fate.instead.sort_by(|a, b| b.magnitude.total_cmp(&a.magnitude));
            findings.push(finding(subject, line, (id, rule), &fate));
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
fn lines(engine: &Engine<'_>, assumed_anchors: &[Name]) -> (IndexMap<u32, Line>, usize) {
    let mut lines: IndexMap<u32, Line> = IndexMap::new();
    let (mut unknown, mut steps) = (0, STEPS);
    for (id, rule) in engine.ruleset().all_rules() {
        match rule.action {
            // What is assumed of an anchor is no line of pf.conf.
            Action::Pass | Action::Block(_) if !assumed_anchors.contains(&id.anchor) => {}
            Action::Pass | Action::Block(_) | Action::Match | Action::Anchor(_) => continue,
        }
        let line = lines.entry(rule.origin.statement).or_default();
        line.all += 1;
        // A tag takes hold although its rule does not decide.
        if rule.tag.is_some() {
            continue;
        }
        let given = steps.min(STEPS_OF_ONE);
        let (decides, left) = engine.decides(&id, given);
        match decides {
            Some(true) => {}
            None => unknown += 1,
            // A rule that no packet meets is another matter.
            Some(false) if engine.matched_by(&id).is_empty() => {}
            Some(false) => line.never.push(id),
        }
        steps -= given - left;
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
        let classes = self.engine.classes(question).take(MOST_CLASSES).map_while(Result::ok);
        for class in classes {
            let Some(hop) = class.journey.hops.first() else {
                continue;
            };
            let Some(header) = choose(&self.usual(&class.region), &class.equal, self.zones) else {
                continue;
            };
            let packet = self.engine.space().packet(&header);
            let Ok(seen) = self.machine.decide(&packet, &mut Memory::default(), &mut Usual) else {
                continue;
            };
            let met = seen.met.iter().any(|met| match met {
                Met::Matched(rule, _) => rule == id,
                Met::Missed(..) => false,
            });
            let known = |id: &RuleId| self.engine.ruleset().rule(id);
            let changed: Vec<&RuleId> = hop
                .translated_by
                .iter()
                .filter(|id| known(id).is_some_and(|rule| rule.action == Action::Match))
                .collect();
            match &hop.decider {
                // Behind a quick rule nothing is met.
                Decider::Rule(rule)
                    if seen.rule.as_ref() == Some(rule)
                        && (met || changed.is_empty() && known(rule).is_some_and(|rule| rule.quick)) =>
                {
                    fate.add(rule, class.region.magnitude(), rank(&class.region), packet);
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
    fn add(&mut self, rule: &RuleId, magnitude: f64, rank: (u8, u8, usize), example: Packet) {
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
fn finding(subject: Subject<'_>, line: &Line, (id, rule): (&RuleId, &Rule), fate: &Fate) -> Diagnostic {
    let instead = &fate.instead;
    let ruleset = subject.engine.ruleset();
    let whole = line.is_whole();
    let mut others = instead.iter().filter_map(|one| ruleset.rule(&one.rule));
    let otherwise = others.any(|other| acts(other) != acts(rule));
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
    let mut deciders = instead.iter().map(|one| named(subject, &one.rule, rule));
    let whose = if line.never.len() == 1 { "its" } else { "their" };
    let by = match (deciders.len(), otherwise) {
        (0, _) if !fate.translators.is_empty() => {
            let named = fate.translators.iter().map(|id| named(subject, id, rule));
            format!("{whose} packets are translated before by match {}", listed(named))
        }
        (0, _) => format!("other rules decide all {whose} packets"),
        (1, false) => format!("{} decides all {whose} packets", deciders.next().unwrap_or_default()),
        (_, false) => format!("{whose} packets are decided by {}", listed(deciders)),
        (_, true) => format!(
            "{whose} packets {} by {}",
            match instead
                .first()
                .and_then(|one| ruleset.rule(&one.rule))
                .map(|rule| &rule.action)
            {
                Some(Action::Block(_)) => "are blocked",
                Some(Action::Pass | Action::Match | Action::Anchor(_)) | None => "pass otherwise",
            },
            listed(deciders)
        ),
    };
    let code = if whole { Code::NeverDecides } else { Code::DeadListItem };
    let mut finding = Diagnostic::new(code, format!("{who}: {by}")).at(rule.origin.span);
    if whole && otherwise {
        finding.severity = Severity::Error;
    }
    let deciding = instead
        .iter()
        .map(|one| (&one.rule, format!("decides: {}", one.example)));
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
    match instead.first().and_then(|one| ruleset.rule(&one.rule)) {
        Some(first) if whole => finding.help(help(subject, rule, first)),
        None if !fate.translators.is_empty() => {
            finding.help("rules behind a `match` with nat-to or rdr-to see the translated packet")
        }
        Some(_) | None => finding,
    }
}

/// What a rule does with the packets that it decides, as far as others notice.
fn acts(rule: &Rule) -> impl PartialEq + '_ {
    let passes = match rule.action {
        Action::Pass => true,
        Action::Block(_) | Action::Match | Action::Anchor(_) => false,
    };
    (passes, &rule.translation, &rule.route_to, &rule.divert)
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

fn help(subject: Subject<'_>, rule: &Rule, first: &Rule) -> String {
    let there = place(subject, first, rule);
    if first.quick && first.origin.statement < rule.origin.statement {
        format!("take it away, or put it before {there} if it is to decide")
    } else if first.origin.statement > rule.origin.statement {
        format!("take it away, or put it behind {there} (or give it `quick`) if it is to decide")
    } else {
        "take it away".to_owned()
    }
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
