//! Repairs: rules to add to pf.conf after which a violated statement holds and no other breaks.
//!
//! Candidates are written as a good administrator would write them, put into the text, and the whole is judged anew: a
//! repair that would look right and break something else is never shown.

use crate::context::Context;
use crate::engine::Engine;
use crate::lower::{self, lower};
use crate::policy::ast::{Closed, Demand, Host, Packets, Policy, Spanned, Statement, Zone};
use crate::policy::{self, Macros};
use crate::ruleset::{Action, Name, Ruleset};
use crate::source::{Loader, Sources};
use crate::syntax::{self, Limits};
use crate::verify::{Case, Outcome, Repair, Verified, verify};

/// Rulesets with more rules, and policies with more statements, are judged once only.
const MOST_RULES: usize = 1000;
/// How many changed rulesets are judged for one run.
const MOST_TRIALS: usize = 120;
/// How many rules a repair may have.
const LONGEST: usize = 5;

/// What repairs are sought for.
pub(super) struct Patient<'a> {
    /// What pf.conf is called.
    pub(super) name: &'a str,
    /// Its text.
    pub(super) text: &'a str,
    pub(super) defines: &'a [(String, String)],
    pub(super) loader: &'a dyn Loader,
    pub(super) context: &'a Context,
    pub(super) policy: &'a Policy,
    pub(super) macros: &'a Macros,
    pub(super) ruleset: &'a Ruleset,
}

impl Patient<'_> {
    /// What the policy comes to with another text of pf.conf, on that machine; `None` where pfctl refuses the text.
    pub(super) fn verified(&self, text: &str, context: &Context) -> Option<Verified> {
        let mut sources = Sources::new();
        let (document, faults) = syntax::read(
            &mut sources,
            self.loader,
            self.name,
            text.as_bytes(),
            self.defines,
            &Limits::default(),
        );
        let limits = lower::Limits::default();
        let (lowered, more) = lower(document, &mut sources, self.loader, context, &limits);
        let is_error = |finding: &crate::diagnostic::Diagnostic| finding.severity == crate::diagnostic::Severity::Error;
        if faults.iter().chain(&more).any(is_error) {
            return None;
        }
        let (ruleset, assumed, _) = policy::settle_ruleset(self.policy, &lowered.ruleset, context);
        let engine = Engine::new(&ruleset, context);
        let (verified, _) = verify(Case {
            policy: self.policy,
            engine: &engine,
            assumed_anchors: &assumed,
        });
        Some(verified)
    }
}

/// Writes repairs into the judgements that can be mended.
pub(super) fn find(patient: &Patient<'_>, verified: &mut Verified) {
    let rules: usize = patient.ruleset.anchors.values().map(|anchor| anchor.rules.len()).sum();
    let is_settled = || patient.context.circumstances().is_some_and(|others| others.is_empty());
    if rules > MOST_RULES || !is_settled() {
        return;
    }
    let held: Vec<bool> = verified
        .judgements
        .iter()
        .map(|judgement| matches!(judgement.outcome, Outcome::Holds))
        .collect();
    let mut trials = Trials {
        patient,
        line: place(patient),
        held,
        left: MOST_TRIALS,
    };
    let numbers: Vec<usize> = verified
        .judgements
        .iter()
        .map(|judgement| judgement.statement)
        .collect();
    for (at, number) in numbers.into_iter().enumerate() {
        let Some(statement) = patient.policy.statements.get(number) else {
            continue;
        };
        let Some(judgement) = verified.judgements.get_mut(at) else {
            continue;
        };
        if let Outcome::Violated(violation) = &judgement.outcome {
            let size = violation.causes.len();
            judgement.repair = trials.repair(at, statement, size);
        }
    }
}

/// The line after which rules are put: behind the blocks that the ruleset begins with.
fn place(patient: &Patient<'_>) -> u32 {
    let mut line = 0;
    let mut first = None;
    for (at, text) in patient.text.lines().enumerate() {
        let word = text.split_whitespace().next().unwrap_or("");
        match word {
            "block" | "antispoof" => line = at as u32 + 1,
            "pass" | "match" | "anchor" => {
                first = Some(at as u32);
                break;
            }
            _ => {}
        }
    }
    if line == 0 { first.unwrap_or(0) } else { line }
}

struct Trials<'a> {
    patient: &'a Patient<'a>,
    line: u32,
    held: Vec<bool>,
    left: usize,
}

impl Trials<'_> {
    fn repair(&mut self, at: usize, statement: &Statement, size: usize) -> Option<Repair> {
        let candidates = self.candidates(statement);
        let mut chosen: Vec<String> = Vec::new();
        let mut size = size;
        for candidate in candidates {
            if chosen.len() >= LONGEST {
                break;
            }
            let mut rules = chosen.clone();
            rules.push(candidate);
            match self.judge(at, &rules) {
                Some(0) => {
                    let rules = self.shortened(at, rules);
                    return Some(Repair {
                        rules,
                        after: (self.patient.name.to_owned(), self.line),
                    });
                }
                Some(smaller) if smaller < size => {
                    size = smaller;
                    chosen = rules;
                }
                Some(_) | None => {}
            }
        }
        None
    }

    /// The rules without those that are not needed.
    fn shortened(&mut self, at: usize, mut rules: Vec<String>) -> Vec<String> {
        let mut number = 0;
        while rules.len() > 1 && number < rules.len() {
            let mut fewer = rules.clone();
            fewer.remove(number);
            if self.judge(at, &fewer) == Some(0) {
                rules = fewer;
            } else {
                number += 1;
            }
        }
        rules
    }

    /// How many causes still violate the statement with the rules added; `None` where they are refused or break
    /// another statement.
    fn judge(&mut self, at: usize, rules: &[String]) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let patient = self.patient;
        let mut text = String::with_capacity(patient.text.len() + 200);
        let mut lines = patient.text.split_inclusive('\n');
        for line in lines.by_ref().take(self.line as usize) {
            text.push_str(line);
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for rule in rules {
            text.push_str(rule);
            text.push('\n');
        }
        lines.for_each(|line| text.push_str(line));
        let verified = patient.verified(&text, patient.context)?;
        let outcomes = verified.judgements.iter().map(|judgement| &judgement.outcome);
        let breaks = outcomes
            .zip(&self.held)
            .any(|(outcome, &held)| held && !matches!(outcome, Outcome::Holds));
        if breaks || !verified.faults.is_empty() {
            return None;
        }
        match &verified.judgements.get(at)?.outcome {
            Outcome::Holds => Some(0),
            Outcome::Violated(violation) => Some(violation.causes.len().max(1)),
            Outcome::Unproven { .. } | Outcome::Vacuous => None,
        }
    }

    /// Rules that may mend a statement, the most likely first.
    fn candidates(&self, statement: &Statement) -> Vec<String> {
        match &statement.demand {
            Demand::Require(..) | Demand::Allow(_) => Vec::new(),
            Demand::Forbid(packets) => self.against(packets),
            Demand::Closed(Closed::All) => {
                let mut rules = vec![self.antispoof()];
                let zones = self.patient.policy.zones.iter();
                rules.extend(zones.flat_map(|zone| self.closed_to(zone)));
                rules
            }
            Demand::Closed(Closed::From(names)) => self
                .zones(names)
                .into_iter()
                .flat_map(|zone| self.closed_from(zone))
                .collect(),
            Demand::Closed(Closed::To(names)) => self
                .zones(names)
                .into_iter()
                .flat_map(|zone| self.closed_to(zone))
                .collect(),
        }
    }

    fn zones(&self, names: &[Spanned<Name>]) -> Vec<&Zone> {
        let zones = self.patient.policy.zones.iter();
        zones
            .filter(|zone| names.iter().any(|name| name.value == zone.name.value))
            .collect()
    }

    /// ` log`, where blocks of the ruleset log.
    fn log(&self) -> &'static str {
        let rules = self.patient.ruleset.rules(Ruleset::MAIN).iter();
        let mut blocks = rules.filter(|rule| matches!(rule.action, Action::Block(_)));
        if blocks.any(|rule| rule.log.is_some()) {
            " log"
        } else {
            ""
        }
    }

    /// The interfaces of a zone as pf.conf would write them: a macro where there is one.
    fn interfaces(&self, zone: &Zone) -> Vec<String> {
        zone.interfaces
            .iter()
            .map(|interface| self.word(&interface.value))
            .collect()
    }

    fn word(&self, interface: &str) -> String {
        let named = self
            .patient
            .macros
            .iter()
            .filter(|(_, value)| value.trim() == interface);
        let shortest = named.map(|(name, _)| name).min();
        shortest.map_or_else(|| interface.to_owned(), |name| format!("${name}"))
    }

    /// The hosts of a zone as pf.conf would write them; none for those behind a default route.
    fn hosts(&self, zone: &Zone) -> Vec<String> {
        let context = self.patient.context;
        let outside = |name: &str| {
            context
                .members(name)
                .iter()
                .any(|interface| context.in_group(interface, "egress"))
        };
        let interfaces = zone.interfaces.iter().filter(|interface| !outside(&interface.value));
        interfaces
            .map(|interface| format!("{}:network", self.word(&interface.value)))
            .collect()
    }

    fn antispoof(&self) -> String {
        let all: Vec<String> = self
            .patient
            .policy
            .zones
            .iter()
            .flat_map(|zone| self.interfaces(zone))
            .collect();
        let mut words: Vec<String> = Vec::new();
        for word in all {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        format!("antispoof{} quick for {{ {} }}", self.log(), words.join(" "))
    }

    /// Blocks from one zone to another.
    fn blocks(&self, from: &Zone, to: &str) -> Vec<String> {
        let log = self.log();
        let interfaces = self.interfaces(from).into_iter();
        interfaces
            .map(|interface| format!("block in{log} quick on {interface} from any to {to}"))
            .collect()
    }

    fn against(&self, packets: &Packets) -> Vec<String> {
        let all = &self.patient.policy.zones;
        let named = |end: &policy::ast::End| -> Vec<&Zone> {
            let items = end.hosts.iter().flat_map(|hosts| &hosts.items);
            let names = items.filter_map(|item| match &item.host {
                Host::Named(name, _) if !item.negated => Some(name),
                Host::Named(..) | Host::Any | Host::Itself | Host::Prefix(_) | Host::Table(_) => None,
            });
            names
                .filter_map(|name| all.iter().find(|zone| zone.name.value == *name))
                .collect()
        };
        let sources = named(&packets.source);
        let sources = if sources.is_empty() {
            all.iter().collect()
        } else {
            sources
        };
        let mut targets: Vec<String> = named(&packets.destination)
            .into_iter()
            .flat_map(|zone| self.hosts(zone))
            .collect();
        let items = packets.destination.hosts.iter().flat_map(|hosts| &hosts.items);
        targets.extend(items.filter_map(|item| match &item.host {
            Host::Itself => Some("self".to_owned()),
            Host::Prefix(net) => Some(crate::print::prefix(*net)),
            Host::Table(name) => Some(format!("<{name}>")),
            Host::Any | Host::Named(..) => None,
        }));
        let rules = sources
            .iter()
            .flat_map(|from| targets.iter().flat_map(|to| self.blocks(from, to)));
        rules.collect()
    }

    fn closed_from(&self, zone: &Zone) -> Vec<String> {
        let mut rules = vec![self.antispoof()];
        for other in &self.patient.policy.zones {
            if other.name.value != zone.name.value {
                rules.extend(self.hosts(other).iter().flat_map(|to| self.blocks(zone, to)));
            }
        }
        rules.extend(self.blocks(zone, "self"));
        rules
    }

    fn closed_to(&self, zone: &Zone) -> Vec<String> {
        let log = self.log();
        let mut rules = vec![self.antispoof()];
        let interfaces = self.interfaces(zone).into_iter();
        rules.extend(interfaces.map(|interface| format!("block out{log} quick on {interface} from self")));
        for other in &self.patient.policy.zones {
            if other.name.value != zone.name.value {
                rules.extend(self.hosts(zone).iter().flat_map(|to| self.blocks(other, to)));
            }
        }
        rules
    }
}
