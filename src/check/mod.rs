//! The whole way, from texts to a report: what `pfproof check` does, for users of the library.
//!
//! [`check`] joins the stages: policies are read with the macros of pf.conf, what they assume is settled, pf.conf is
//! lowered on that machine, every statement is verified. Nothing is read but through the [`Loader`].

mod circumstances;
mod flows;
mod repair;

pub use flows::flows;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::context::{Context, context_from_toml};
use crate::diagnostic::{Code, Diagnostic, Severity, sort};
use crate::engine::Engine;
use crate::lint;
use crate::lower::{self, lower};
use crate::policy::{self, Macros, Network, Policy, Zones};
use crate::report::check::{Model, Router, Subject, router};
use crate::report::matrix;
use crate::ruleset::{Action, Host, Name, Peer, Ruleset};
use crate::source::{FileId, Loader, MemoryLoader, Sources, Span};
use crate::syntax::ast::{Statement, StatementKind};
use crate::syntax::{self, Document, Limits};
use crate::verify::{self, Case, Coverage, Rounds, RulesSpokenOf, verify};

/// How many zones an overview has; with more it would be a wall.
const MOST_ZONES: usize = 8;

/// One machine and what is demanded of it.
#[derive(Debug)]
pub struct Machine {
    /// What its pf.conf is called.
    pub name: String,
    /// Its pf.conf, read.
    pub document: Document,
    /// The macros of `-D`.
    pub defines: Vec<(String, String)>,
    /// The machine.
    pub context: Context,
    /// The policies, in order; with none, the report says who reaches whom.
    pub policies: Vec<FileId>,
    /// What `--assume` says.
    pub assumptions: Vec<String>,
}

/// A machine with what its policies say and assume, ready for questions.
struct Prepared {
    name: String,
    text: Arc<str>,
    defines: Vec<(String, String)>,
    context: Context,
    policy: Policy,
    macros: Macros,
    defined: Vec<syntax::Macro>,
    ruleset: Ruleset,
    rule_count: usize,
    assumed_anchors: Vec<Name>,
    findings: Vec<Diagnostic>,
    /// The complaint that its policies say nothing that could be proved.
    silent: Option<Diagnostic>,
    /// What the machine does instead, where pfctl refuses pf.conf: then the ruleset is what is left of it.
    refused: Option<String>,
}

/// Reads what is said of a machine, and settles what is assumed.
fn prepare(sources: &mut Sources, loader: &dyn Loader, machine: Machine) -> Prepared {
    let Machine {
        name,
        document,
        defines,
        mut context,
        policies,
        assumptions,
    } = machine;
    let text = Arc::clone(sources.file(document.file()).text());
    let macros = macros(&document, &defines);
    let defined = document.macros.clone();
    let mut findings = Vec::new();
    let mut policy = Policy::default();
    for file in &policies {
        let (read, complaints) = policy::read(sources, *file, &macros, loader);
        policy.append(read);
        findings.extend(complaints);
    }
    for text in &assumptions {
        match policy::assumption(sources, text, &macros) {
            Ok(assumption) => policy.assumptions.push(assumption),
            Err(complaint) => findings.push(*complaint),
        }
    }
    let silent = without_statements(&policies, &policy, &findings);
    findings.extend(policy::settle_addresses(&policy, &mut context));
    let (lowered, complaints) = lower(document, sources, loader, &context, &lower::Limits::default());
    let lower::Lowered { ruleset, documents, .. } = lowered;
    let refused = documents.first().and_then(|document| refusal(document, &complaints));
    // What is built now takes the memory of the trees.
    drop(documents);
    findings.extend(complaints);
    let rule_count = ruleset.anchors.values().map(|anchor| anchor.rules.len()).sum();
    let (ruleset, assumed_anchors, complaints) = policy::settle_ruleset(&policy, ruleset, &context);
    if refused.is_none() {
        findings.extend(complaints);
    }
    Prepared {
        name,
        text,
        defines,
        context,
        policy,
        macros,
        defined,
        ruleset,
        rule_count,
        assumed_anchors,
        findings,
        silent,
        refused,
    }
}

/// What is found of one machine: its policies' statements with their outcomes, and what is wrong with pf.conf or the
/// policies.
#[must_use]
pub fn check(sources: &mut Sources, loader: &dyn Loader, machine: Machine) -> Router {
    let without_policy = machine.policies.is_empty();
    let Prepared {
        name,
        text,
        defines,
        context,
        policy,
        macros,
        defined,
        ruleset,
        rule_count,
        assumed_anchors,
        mut findings,
        silent,
        refused,
    } = prepare(sources, loader, machine);
    findings.extend(silent);
    let lines = text.lines().count();
    let assumed = policy.assumptions.iter().map(|one| one.text.clone()).collect();
    if refused.is_some() {
        // What is left of it says nothing about what the machine would do.
        sort(&mut findings);
        return Router {
            config: name,
            size: (lines, 0),
            refused,
            assumed,
            findings,
            ..Router::default()
        };
    }
    let engine = Engine::new(&ruleset, &context);
    let network = Network::new(&engine);
    let (zones, complaints) = Zones::new(&policy, &network);
    findings.extend(complaints);
    let case = Case {
        zones: &zones,
        engine: &engine,
        assumed_anchors: &assumed_anchors,
    };
    let patient = repair::Patient {
        name: &name,
        text: &text,
        defines: &defines,
        loader,
        context: &context,
        macros: &macros,
        zones: &zones,
        ruleset: &ruleset,
    };
    let sources = &*sources;
    let prove = || {
        let (mut verified, complaints) = verify(case);
        circumstances::hold(&patient, &mut verified);
        (verified, complaints)
    };
    let look = || {
        let never_elsewhere = circumstances::never_deciding(&patient);
        let linted = lint::findings(lint::Subject {
            sources,
            engine: &engine,
            zones: &zones,
            assumed_anchors: &assumed_anchors,
            never_elsewhere: never_elsewhere.as_ref(),
        });
        let coverage = match policy.statements.as_slice() {
            [] => Coverage::default(),
            _ => verify::coverage(case),
        };
        (linted, coverage)
    };
    let ((verified, complaints), (linted, coverage)) = rayon::join(prove, look);
    findings.extend(complaints);
    findings.extend(linted);
    let subject = Subject {
        sources,
        zones: &zones,
        engine: &engine,
        macros: &defined,
        unspoken: coverage.unspoken.as_ref(),
    };
    let wounds = repair::Wounds::of(&verified);
    let mend = || repair::find(&patient, sources, &wounds);
    let (repairs, mut report) = rayon::join(mend, || router(subject, verified));
    for (at, repair) in repairs {
        if let Some(statement) = report.statements.get_mut(at) {
            statement.repair = Some(repair);
        }
    }
    let words = coverage
        .rules
        .and_then(|rules| coverage_words(&rules, &ruleset, sources));
    report.coverage = words.into_iter().collect();
    if without_policy {
        report.matrix = overview(&engine, &macros);
    }
    let space = engine.space().clone();
    drop(zones);
    drop(network);
    drop(engine);
    report.model = Some(Model { ruleset, space });
    report.config = name;
    report.size = (lines, rule_count);
    report.assumed = assumed;
    sort(&mut findings);
    report.findings = findings;
    report
}

/// Who reaches whom on a machine without a policy, in lines.
fn overview(engine: &Engine<'_>, macros: &Macros) -> Vec<String> {
    let (around, left_out) = verify::surroundings(engine, macros, &Policy::default(), MOST_ZONES);
    let network = Network::new(engine);
    let (zones, _) = Zones::new(&around, &network);
    let found = verify::matrix(&zones, Rounds::OVERVIEW);
    matrix::overview(&found, &zones, left_out, engine.context().state().as_deref())
}

/// What a machine does with a pf.conf that pfctl refuses: where some statements could not be read, or there is a complaint
/// about one of those that were.
fn refusal(document: &Document, complaints: &[Diagnostic]) -> Option<String> {
    let refusals = || {
        let errors = complaints.iter().filter(|one| one.severity == Severity::Error);
        errors.filter(|one| one.code == Code::Syntax)
    };
    if document.refused == 0 && refusals().next().is_none() {
        return None;
    }
    let is_fine = |statement: &&Statement| {
        let span = document.span(statement.at);
        let mut places = refusals().filter_map(|one| one.primary.as_ref());
        !places.any(|label| within(label.span, span))
    };
    Some(refused_words(document.statements.iter().filter(is_fine).count()))
}

/// In words, with how many statements are well.
fn refused_words(fine: usize) -> String {
    let refused = "pfctl would refuse the file; at boot the machine would run with its temporary rules: ssh in, no \
                   forwarding.";
    match fine {
        0 => refused.to_owned(),
        1 => format!("1 other statement is fine. {refused}"),
        _ => format!("{fine} other statements are fine. {refused}"),
    }
}

fn within(inner: Span, outer: Span) -> bool {
    inner.file == outer.file && outer.start <= inner.start && inner.start < outer.end.max(outer.start + 1)
}

/// The complaint that policies say nothing that could be proved.
fn without_statements(files: &[FileId], policy: &Policy, findings: &[Diagnostic]) -> Option<Diagnostic> {
    let &file = files.first()?;
    let faulty = findings.iter().any(|finding| finding.severity == Severity::Error);
    if faulty || !policy.statements.is_empty() {
        return None;
    }
    let start = Span { file, start: 0, end: 0 };
    let finding = Diagnostic::new(Code::Policy, "the policy states nothing: nothing was proved")
        .labelled(start, "no `require`, `allow`, `forbid` or `closed`");
    Some(finding.help("say what must get through and what must not, or draft it: pfproof init"))
}

/// The text of a first policy for the pf.conf of that name, from what passes today; empty where pf.conf
/// is refused. And what is wrong with pf.conf.
///
/// Every statement holds in every circumstance in which the machine may be.
#[must_use]
pub fn draft(
    sources: &mut Sources,
    loader: &dyn Loader,
    document: Document,
    context: &Context,
    defines: &[(String, String)],
    name: &str,
) -> (String, Vec<Diagnostic>) {
    let macros = macros(&document, defines);
    let text = Arc::clone(sources.file(document.file()).text());
    let (lowered, findings) = lower(document, sources, loader, context, &lower::Limits::default());
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return (String::new(), findings);
    }
    let assumptions = told(&policy::needed_assumptions(&lowered.ruleset), &lowered.ruleset);
    let (ruleset, _, _) = policy::settle_ruleset(&verify::parsed(&assumptions, &macros), lowered.ruleset, context);
    let engine = Engine::new(&ruleset, context);
    let file = name.rsplit('/').next().unwrap_or(name);
    let draft = verify::draft(&engine, &macros, file, &assumptions);
    let writing = repair::Writing {
        name,
        text: &text,
        defines,
        loader,
    };
    (
        circumstances::settle_draft(&writing, context, &draft, &macros),
        findings,
    )
}

/// The `assume` statements with what each of them means for what is proved. That a table is empty of which pf.conf lets
/// the addresses through is nobody's to assume: the statement is a comment.
fn told(assumptions: &str, ruleset: &Ruleset) -> String {
    let admits = |name: &str| {
        let is = |peer: &Peer| !peer.negated && matches!(&peer.host, Host::Table(table) if **table == *name);
        let mut rules = ruleset.all_rules().map(|(_, rule)| rule);
        rules.any(|rule| rule.action == Action::Pass && (is(&rule.source) || is(&rule.destination)))
    };
    let lines = assumptions.lines().map(|line| {
        let table = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        match table {
            Some((name, " empty")) if admits(name) => {
                format!("# {line:<34} # pf.conf passes what is in it: who is that?\n")
            }
            Some((_, " empty")) => format!("{line:<36} # proved for hosts that are not in it\n"),
            Some(_) => format!("{line:<36} # proved as long as nobody else is in it\n"),
            None if line.starts_with("assume anchor") => {
                format!("{line:<36} # what is loaded there was not looked at\n")
            }
            None => format!("{line:<36} # what pf.conf blocks of its sockets was not looked at\n"),
        }
    });
    lines.collect()
}

/// How many of the pass rules that decide something the policy speaks of, and where the others are.
fn coverage_words(coverage: &RulesSpokenOf, ruleset: &Ruleset, sources: &Sources) -> Option<String> {
    let silent = coverage.silent.len();
    if silent == 0 && coverage.unknown > 0 {
        return None;
    }
    if silent == 0 {
        return Some(format!(
            "the policy speaks of what every deciding pass rule lets through ({})",
            coverage.all
        ));
    }
    let lines = coverage.silent.iter().filter_map(|id| {
        let rule = ruleset.rule(id)?;
        Some(sources.location(rule.origin.span).line)
    });
    let mut lines: Vec<String> = lines.map(|line| line.to_string()).collect();
    lines.dedup();
    let word = if lines.len() == 1 { "line" } else { "lines" };
    let more = lines.len().saturating_sub(8);
    lines.truncate(8);
    if more > 0 {
        lines.push(format!("… ({more} more)"));
    }
    Some(format!(
        "no statement speaks of what {silent} of {} deciding pass rules let through: {word} {}",
        coverage.all,
        lines.join(", ")
    ))
}

/// The macros of pf.conf at its end; one given by `-D` stays.
fn macros(document: &Document, defines: &[(String, String)]) -> Macros {
    let mut macros = Macros::new();
    for statement in &document.statements {
        if let StatementKind::Macro(definition) = &statement.kind {
            macros.insert(definition.name.to_string(), definition.value.to_string());
        }
    }
    macros.extend(defines.iter().cloned());
    macros
}

/// The report of three texts: pf.conf, context.toml, policy (empty: there is none). What pf.conf or the policy include is looked for in
/// `loader`.
///
/// ```
/// use pfproof::source::MemoryLoader;
///
/// let (sources, router) = pfproof::check::texts(
///     "block\npass in on em1 inet proto tcp to port https\npass out\n",
///     "[interface.em0]\naddresses = [\"203.0.113.7/24\"]\n\
///      [interface.em1]\naddresses = [\"10.0.0.1/24\"]\n\
///      [[route]]\nto = \"default\"\ninterface = \"em0\"\n",
///     "zone lan on em1\nzone internet on em0\n\
///      require inet proto tcp from lan to internet port https\n\
///      forbid from internet to lan\n",
///     &MemoryLoader::new(),
/// );
/// let outcomes: Vec<&str> = router.statements.iter().map(|statement| statement.outcome).collect();
/// assert_eq!(outcomes, ["holds", "holds"]);
/// # drop(sources);
/// ```
#[must_use]
pub fn texts(config: &str, context: &str, policy: &str, loader: &MemoryLoader) -> (Sources, Router) {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", context);
    let (context, mut findings) = context_from_toml(&sources, file);
    let limits = Limits::default();
    let (document, complaints) = syntax::read(&mut sources, loader, "pf.conf", config.as_bytes(), &[], &limits);
    findings.extend(complaints);
    let policies = match policy {
        "" => Vec::new(),
        policy => vec![sources.add("policy", policy)],
    };
    let machine = Machine {
        name: "pf.conf".to_owned(),
        document,
        defines: Vec::new(),
        context,
        policies,
        assumptions: Vec::new(),
    };
    let mut router = check(&mut sources, loader, machine);
    findings.append(&mut router.findings);
    router.findings = findings;
    (sources, router)
}

/// What became of a machine, for the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All holds.
    Holds,
    /// A statement does not hold, or a finding is grave enough.
    Found,
    /// It could not be judged: pf.conf or a policy is refused, a file cannot be read, or pfproof is at fault.
    CouldNotJudge,
}

/// The verdict on a machine, where findings at or above that severity count.
#[must_use]
pub fn verdict(router: &Router, fail_on: Severity) -> Verdict {
    let refused = |finding: &Diagnostic| {
        let refusals = [Code::Syntax, Code::Unreadable, Code::Context, Code::Policy, Code::Limit];
        finding.severity == Severity::Error && refusals.contains(&finding.code)
    };
    let grave = |finding: &Diagnostic| finding.severity >= fail_on;
    if !router.faults.is_empty() || router.refused.is_some() || router.findings.iter().any(refused) {
        Verdict::CouldNotJudge
    } else if router.all_hold() && !router.findings.iter().any(grave) {
        Verdict::Holds
    } else {
        Verdict::Found
    }
}

/// How many statements came out how, by the words of the outcomes.
#[must_use]
pub fn count(router: &Router) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for statement in &router.statements {
        *counts.entry(statement.outcome).or_default() += 1;
    }
    counts
}
