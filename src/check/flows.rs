//! What passes on a machine: between two ends that are named, or who reaches whom.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{Machine, prepare};
use crate::context::Context;
use crate::diagnostic::{Code, Diagnostic, Severity, sort};
use crate::engine::Engine;
use crate::policy::ast::{End, Host, Policy, Spanned, Zone};
use crate::policy::{Network, Zones};
use crate::report::flows::{Shown, between};
use crate::report::matrix::table;
use crate::ruleset::Name;
use crate::source::{Loader, Sources, Span};
use crate::verify::{self, Effort, Rounds, matrix, surroundings};

/// How far the search for the flows of one pair goes.
const EFFORT: Effort = Effort {
    steps: 2_000_000,
    classes: 4096,
};

/// What passes on a machine, in lines and as JSON: between two zones of its policies, or interfaces, groups, addresses, `self`;
/// without a pair, who reaches whom. And what is wrong with pf.conf or the policies: then there are no lines.
///
/// ```
/// use pfproof::check::{Machine, flows};
/// use pfproof::context::context_from_toml;
/// use pfproof::source::{MemoryLoader, Sources};
/// use pfproof::syntax;
///
/// let (mut sources, loader) = (Sources::new(), MemoryLoader::new());
/// let machine = "[interface.em0]\naddresses = [\"203.0.113.7/24\"]\n\
///                [interface.em1]\naddresses = [\"10.0.0.1/24\"]\n";
/// let file = sources.add("context.toml", machine);
/// let (context, _) = context_from_toml(&sources, file);
/// let pf_conf = b"block\npass in on em1 inet proto tcp to em0 port ssh\n";
/// let (document, _) = syntax::read(&mut sources, &loader, "pf.conf", pf_conf, &[], &syntax::Limits::default());
/// let machine = Machine {
///     name: "pf.conf".to_owned(),
///     document,
///     defines: Vec::new(),
///     context,
///     policies: vec![sources.add("lan.policy", "zone lan on em1\n")],
///     assumptions: Vec::new(),
/// };
/// let (lines, findings) = flows(&mut sources, &loader, machine, Some(("lan", "self")));
/// assert!(findings.is_empty());
/// assert_eq!(lines.unwrap().lines, ["tcp 22  from lan to self (203.0.113.7)", "    in by @1"]);
/// ```
///
/// # Errors
/// In words, where there is no such zone.
pub fn flows(
    sources: &mut Sources,
    loader: &dyn Loader,
    machine: Machine,
    pair: Option<(&str, &str)>,
) -> (Result<Shown, String>, Vec<Diagnostic>) {
    let prepared = prepare(sources, loader, machine);
    let mut findings = prepared.findings;
    let engine = Engine::new(&prepared.ruleset, &prepared.context);
    let network = Network::new(&engine);
    findings.extend(Zones::new(&prepared.policy, &network).1);
    sort(&mut findings);
    // A file that is missing leaves its contents unknown; the rest can be judged.
    let refuses = |finding: &Diagnostic| finding.severity == Severity::Error && finding.code != Code::Unreadable;
    if prepared.refused.is_some() || findings.iter().any(refuses) {
        let nothing = Shown {
            lines: Vec::new(),
            narrow: Vec::new(),
            json: Value::Null,
            whole: false,
        };
        return (Ok(nothing), findings);
    }
    let (mut around, _) = surroundings(&engine, &prepared.macros, &prepared.policy, usize::MAX);
    let shown = match pair {
        None => {
            let (zones, _) = Zones::new(&around, &network);
            Ok(table(&matrix(&zones, Rounds::THOROUGH)))
        }
        Some((from, to)) => {
            let mut end = |name: &str| {
                let file = sources.add("command line", name);
                let span = Span { file, start: 0, end: 0 };
                named(name, span, &mut around, &prepared.context)
            };
            let ends = end(from).and_then(|first| Ok((first, end(to)?)));
            ends.map(|(first, last)| {
                let (zones, _) = Zones::new(&around, &network);
                between(verify::flows(&zones, &first, &last, EFFORT), (from, to), &zones)
            })
        }
    };
    let assumed: Vec<String> = prepared.policy.assumptions.iter().map(|one| one.text.clone()).collect();
    let shown = shown.map(|mut shown| {
        let answer = std::mem::replace(
            &mut shown.json,
            json!({"version": 1, "config": prepared.name, "assumed": []}),
        );
        if let (Value::Object(all), Value::Object(answer)) = (&mut shown.json, answer) {
            all.extend(answer);
        }
        shown.assuming(&assumed)
    });
    (shown, findings)
}

/// The end that is called so: a zone, the machine itself, the hosts behind an interface or a group (a zone of that name is
/// added), an address or network.
fn named(name: &str, span: Span, policy: &mut Policy, context: &Context) -> Result<End, String> {
    if name == "self" {
        return Ok(End::of(Host::Itself, span));
    }
    if let Some(zone) = policy.zones.iter().find(|zone| *zone.name.value == *name) {
        return Ok(zone.end());
    }
    if !context.members(name).is_empty() {
        let name = Spanned {
            value: Name::from(name),
            span,
        };
        let zone = Zone {
            interfaces: vec![name.clone()],
            name,
            from: None,
        };
        let end = zone.end();
        policy.zones.push(zone);
        return Ok(end);
    }
    let one = name.parse::<IpAddr>().map(IpNet::from);
    match one.or_else(|_| name.parse::<IpNet>()) {
        Ok(net) => Ok(End::of(Host::Prefix(net.trunc()), span)),
        Err(_) => Err(format!("no zone, interface, group or address `{name}`")),
    }
}
