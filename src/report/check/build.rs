//! From what `verify` found to the words and places of a [`Report`](super::Report).

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::{Cause, Hop, Router, Row, Statement, Unspoken};
use crate::engine::{self, Decider, Engine, Memo, PacketSet, Place};
use crate::eval::{End, Evaluation, Journey, Met, Verdict};
use crate::net::{Direction, Family, Protocol, names};
use crate::packet::Packet;
use crate::policy::Zones;
use crate::print;
use crate::report::boxes::Namer;
use crate::report::route::route;
use crate::ruleset::{Name, RuleId};
use crate::source::{Sources, Span};
use crate::syntax::Macro;
use crate::verify::{self, Outcome, Verified, Why};

/// What a report is made of.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// All texts.
    pub sources: &'a Sources,
    /// What the policy that was verified speaks of.
    pub zones: &'a Zones<'a>,
    /// The ruleset and the machine.
    pub engine: &'a Engine<'a>,
    /// The macros of pf.conf, in the order of their definitions.
    pub macros: &'a [Macro],
    /// What gets through and no statement speaks of, if it was asked.
    pub unspoken: Option<&'a verify::Unspoken>,
}

/// The statements' part of a machine's report, of what was found: one for each judgement, without repairs.
#[must_use]
pub fn router(subject: Subject<'_>, verified: Verified) -> Router {
    let builder = Builder {
        subject,
        namer: Namer::of_zones(subject.zones),
        rows: Memo::default(),
    };
    let rules = subject
        .engine
        .ruleset()
        .anchors
        .values()
        .map(|anchor| anchor.rules.len());
    let judgements = verified.judgements.into_par_iter();
    let unspoken = subject.unspoken.map(|unspoken| Unspoken {
        packets: builder.namer.flows(&unspoken.packets.joined()),
        more: unspoken.more,
    });
    Router {
        unspoken,
        size: (0, rules.sum()),
        statements: judgements
            .filter_map(|judgement| builder.statement(judgement))
            .collect(),
        faults: verified.faults,
        ..Router::default()
    }
}

pub(super) struct Builder<'a> {
    pub(super) subject: Subject<'a>,
    namer: Namer<'a>,
    /// What is said of a rule, wherever it is met.
    rows: Memo<RuleId, Option<Row>>,
}

impl Builder<'_> {
    fn statement(&self, judgement: verify::Judgement) -> Option<Statement> {
        let statement = self.subject.zones.policy().statements.get(judgement.statement)?;
        let at = self.subject.sources.location(statement.span);
        let text = self.subject.sources.text(statement.span);
        let outcome = judgement.outcome.word();
        let (mut reasons, violation) = match judgement.outcome {
            Outcome::Holds => (Vec::new(), None),
            Outcome::Vacuous => {
                let context = self.subject.engine.context();
                let asked = statement.demand.packets().and_then(|packets| packets.family);
                let mut families = Family::BOTH
                    .into_iter()
                    .filter(|family| asked.is_none_or(|asked| asked == *family));
                let forwards = families.any(|family| context.forwards(family));
                let why = if forwards {
                    "there is no such packet on this machine"
                } else {
                    "there is no such packet on this machine, which does not forward"
                };
                (vec![why.to_owned()], None)
            }
            Outcome::Violated(violation) => (Vec::new(), Some(violation)),
            Outcome::Unproven { doubts, violation } => (self.doubts(&doubts, &violation), Some(violation)),
        };
        reasons.dedup();
        let more = violation.as_ref().filter(|violation| violation.more);
        let more = more.map(|violation| match self.doubts(&violation.doubts, violation) {
            words if words.is_empty() => vec!["the list was cut short".to_owned()],
            words => words,
        });
        let all = violation.map_or_else(Vec::new, |violation| violation.causes);
        let together = |counts: &dyn Fn(&verify::Cause) -> bool| -> PacketSet {
            let causes = all.iter().filter(|cause| !cause.own_reverse && counts(cause));
            let boxes: PacketSet = causes.flat_map(|cause| cause.packets.boxes().iter().cloned()).collect();
            boxes.joined()
        };
        let boxes = together(&|_| true);
        let taken: BTreeSet<&Name> = all.iter().filter_map(|cause| cause.to_own.as_ref()).collect();
        let mut packets = match taken.is_empty() {
            true => self.namer.lines(&boxes),
            false => self.namer.lines(&together(&|cause| cause.to_own.is_none())),
        };
        for interface in taken {
            let to_own = together(&|cause| cause.to_own.as_ref() == Some(interface));
            packets.extend(self.namer.lines_to(&to_own, interface));
        }
        let own_reverse = all.iter().any(|cause| cause.own_reverse);
        if own_reverse {
            packets.push("packets that are their own reverse".to_owned());
        }
        let mut causes: Vec<Cause> = Vec::new();
        for cause in all.into_iter().filter_map(|cause| self.cause(cause)) {
            // The same packet on the same way is shown once, on the fewest conditions.
            match causes.iter_mut().find(|known| known.looks_like(&cause)) {
                Some(known) if known.choices.len() > cause.choices.len() => *known = cause,
                Some(_) => {}
                None => match causes.iter_mut().find(|known| known.goes_with(&cause)) {
                    Some(known) => known.says = format!("{}, or {}", known.says, cause.says),
                    None => causes.push(cause),
                },
            }
        }
        Some(Statement {
            place: (at.name.to_owned(), at.line, at.column),
            verb: statement.demand.verb(),
            name: statement.name.as_ref().map(ToString::to_string),
            text: plain(text),
            outcome,
            reasons,
            causes,
            packets,
            boxes,
            own_reverse,
            more,
            repair: None,
        })
    }

    pub(super) fn place(&self, rule: &RuleId) -> Option<(String, u32)> {
        let rule = self.subject.engine.ruleset().rule(rule)?;
        let at = self.subject.sources.location(rule.origin.span);
        Some((at.name.to_owned(), at.line))
    }

    /// The macros that a rule was written with, and where they are defined.
    fn macros(&self, rule: &RuleId) -> Vec<String> {
        let Some(rule) = self.subject.engine.ruleset().rule(rule) else {
            return Vec::new();
        };
        let sources = self.subject.sources;
        let span = rule.origin.span;
        let lines = sources.text(span).lines().map(without_comment);
        let dollars = lines.flat_map(|line| line.match_indices('$').map(|(at, _)| line.split_at(at)));
        let mut words = Vec::new();
        for (before, rest) in dollars {
            // Within a word `$` is an ordinary letter.
            let begins = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let name = rest.get(1..).unwrap_or("");
            let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let name = name.get(..end.unwrap_or(name.len())).unwrap_or("");
            let here = |known: &&Macro| known.span.file != span.file || known.span.start < span.start;
            let mut known = self.subject.macros.iter().rev().filter(|known| &*known.name == name);
            let Some(known) = known.find(here).filter(|_| begins) else {
                continue;
            };
            let at = sources.location(known.span);
            let place = if known.given {
                "-D".to_owned()
            } else if known.span.file == span.file {
                format!("line {}", at.line)
            } else {
                format!("{}:{}", at.name, at.line)
            };
            let word = format!("${name} ({place})");
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words
    }

    fn cause(&self, mut cause: verify::Cause) -> Option<Cause> {
        let Some(example) = cause.example.take() else {
            return self.possible(&cause);
        };
        let mut hops = self.hops(&example.journey, false);
        if let Some((packet, back)) = &example.reply {
            hops.push(match is_next(&example) {
                true => Hop::Next(ends(packet)),
                false => Hop::Reply(ends(packet)),
            });
            hops.extend(self.hops(back, true));
        }
        let says = match (&cause.why, cause.own_reverse) {
            (Why::GetsThrough, true) if example.packet.src == example.packet.dst => {
                "gets out as if it were its own reply: its source is its destination".to_owned()
            }
            (Why::GetsThrough, true) => {
                "gets out as if it were its own reply: translated, its source is its destination".to_owned()
            }
            (Why::GetsThrough, false) => String::new(),
            (Why::Stopped, _) => stopped(&example.journey),
            (Why::ReplyStopped, _) => lost(&example),
            (Why::Unexpected(_), _) => format!("gets through, but not {}", self.expectations(&example.unmet)),
        };
        let end = end(&example.journey, cause.to_own.as_ref(), self.subject.engine);
        let chosen = example
            .choices
            .iter()
            .map(|(rule, address)| format!("if pf takes {address} from the pool of rule @{rule}"));
        let supposed = example.supposed.iter().map(|supposed| format!("supposing {supposed}"));
        let mut choices: Vec<String> = supposed.chain(chosen).collect();
        choices.extend(self.choices(&cause, !example.choices.is_empty()));
        Some(Cause {
            key: format!("{:?}", (cause.why == Why::ReplyStopped, &cause.hops, &cause.end)),
            kind: format!(
                "{:?}",
                (
                    cause.hops.iter().map(|hop| hop.0).collect::<Vec<_>>(),
                    &cause.end,
                    cause.own_reverse,
                    &example.unmet,
                )
            ),
            says,
            packet: ends(&example.packet),
            hops,
            end,
            choices,
            example: Some((example.packet, example.journey)),
        })
    }

    /// A cause that the evaluator cannot replay: the rules that would decide, if what is not known is so.
    fn possible(&self, cause: &verify::Cause) -> Option<Cause> {
        let packet = cause.possible.as_ref()?;
        let space = self.subject.engine.space();
        let hops = cause.hops.iter().map(|(place, decider, verdict)| {
            let (direction, on) = match place {
                Place::In(on) => (Direction::In, *on),
                Place::Out { on, .. } => (Direction::Out, *on),
            };
            let (rule, outcome) = match decider {
                Decider::Rule(rule) => (Some(rule), None),
                Decider::Anchor(rule) => (Some(rule), Some("by a rule that others may load here")),
                Decider::Default => (None, Some("no rule matches: passes, without a state")),
                Decider::Skipped => (None, Some("skipped (`set skip`): passes unseen")),
                Decider::OwnState | Decider::State => (None, Some("a state lets it pass")),
                Decider::Nobody => (None, Some("pf drops it")),
            };
            let rows = rule.and_then(|id| self.row(id, matches!(decider, Decider::Rule(_))));
            let outcome = match verdict {
                engine::Verdict::Pass | engine::Verdict::Block => outcome.map(str::to_owned),
                engine::Verdict::Drop(_) => Some("pf drops it".to_owned()),
            };
            Hop::Rules {
                direction: direction.to_string(),
                interface: space.interface_name(on).to_owned(),
                rows: rows.into_iter().collect(),
                outcome,
                translated: None,
            }
        });
        // A packet that may not arrive, or its answer: both are the same loss.
        let lost = matches!(cause.why, Why::Stopped | Why::ReplyStopped);
        let says = match &cause.why {
            Why::GetsThrough => "might get through".to_owned(),
            Why::Stopped => "might not get through".to_owned(),
            Why::ReplyStopped => "might get no reply".to_owned(),
            Why::Unexpected(failed) => {
                let spans: Vec<Span> = failed.iter().map(|(_, span)| *span).collect();
                format!("might get through, but not {}", self.expectations(&spans))
            }
        };
        Some(Cause {
            key: format!("{:?}", (cause.why == Why::ReplyStopped, &cause.hops, &cause.end)),
            kind: format!("{:?}", ((!lost).then_some(&cause.why), &cause.end)),
            says,
            packet: ends(packet),
            hops: hops.collect(),
            end: None,
            choices: self.choices(cause, false),
            example: None,
        })
    }

    /// Expectations in words: `` `nat-to 203.0.113.7` and `log` ``.
    fn expectations(&self, spans: &[Span]) -> String {
        let words = spans
            .iter()
            .map(|span| format!("`{}`", plain(self.subject.sources.text(*span))));
        words.collect::<Vec<_>>().join(" and not ")
    }

    fn hops(&self, journey: &Journey, back: bool) -> Vec<Hop> {
        let mut hops = Vec::new();
        for (at, hop) in journey.hops.iter().enumerate() {
            let from = at.checked_sub(1).and_then(|before| journey.hops.get(before));
            if let Some(from) = from.filter(|_| hop.direction == Direction::Out && !back) {
                hops.push(Hop::Route(route(
                    self.subject.engine.context(),
                    from,
                    &hop.before.interface,
                )));
            }
            hops.push(self.hop(hop));
        }
        hops
    }

    fn hop(&self, hop: &Evaluation) -> Hop {
        let rows: Vec<Row> = hop
            .met
            .iter()
            .filter_map(|met| match met {
                Met::Matched(rule, _) => self.row(rule, hop.rule.as_ref() == Some(rule)),
                Met::Missed(..) => None,
            })
            .collect();
        let decides = rows.iter().any(|row| row.decides);
        let outcome = if hop.skipped {
            Some("skipped (`set skip`): passes unseen".to_owned())
        } else {
            match hop.verdict {
                Verdict::Drop(reason) => Some(format!("pf drops it ({})", reason.word())),
                Verdict::Held => Some("held: a fragment".to_owned()),
                Verdict::Synproxy => Some("pf answers the handshake itself".to_owned()),
                Verdict::Pass if hop.state.as_ref().is_some_and(|state| state.existing) => {
                    Some("a state lets it pass".to_owned())
                }
                Verdict::Pass if !decides => Some("no rule matches: passes, without a state".to_owned()),
                Verdict::Pass | Verdict::Block => None,
            }
        };
        Hop::Rules {
            direction: hop.direction.to_string(),
            interface: hop.before.interface.clone(),
            rows,
            outcome,
            translated: translated(&hop.before, &hop.after),
        }
    }

    fn row(&self, id: &RuleId, decides: bool) -> Option<Row> {
        let row = self.rows.get(id.clone(), || {
            let rule = self.subject.engine.ruleset().rule(id)?;
            Some(Row {
                number: format!("@{id}"),
                text: print::rule(rule),
                decides: false,
                place: self.place(id)?,
                macros: self.macros(id),
            })
        });
        Option::clone(&row).map(|row| Row { decides, ..row })
    }
}

/// The text of a statement on one line, comments left out.
fn plain(text: &str) -> String {
    let lines = text.lines().map(without_comment);
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or("")
}

fn stopped(journey: &Journey) -> String {
    match journey.end {
        End::NoRoute => "does not get through: there is no route".to_owned(),
        End::NotForwarded => "does not get through: the machine does not forward".to_owned(),
        End::Sent | End::Local | End::Stopped => "does not get through".to_owned(),
    }
}

/// Whether not a reply is lost, but what the sender sends when it has one.
fn is_next(example: &verify::Counterexample) -> bool {
    let follower = example.reply.as_ref().map(|(packet, _)| packet);
    follower.is_some_and(|packet| (packet.src, packet.sport) == (example.packet.src, example.packet.sport))
}

/// What becomes of a reply that does not come back.
fn lost(example: &verify::Counterexample) -> String {
    if is_next(example) {
        return "gets through, but not what its sender sends when it is answered".to_owned();
    }
    let first = example.journey.hops.first();
    let last = example.reply.as_ref().filter(|(_, back)| back.end == End::Sent);
    let last = last.and_then(|(_, back)| back.hops.last());
    match (first, last) {
        (Some(first), Some(last)) if first.before.interface != last.after.interface => format!(
            "gets through, its reply leaves by {}, not by {}",
            last.after.interface, first.before.interface
        ),
        _ if example.reply.as_ref().is_some_and(|(_, back)| back.hops.is_empty()) => {
            "gets through, for its reply there is no route".to_owned()
        }
        _ => "gets through, its reply does not come back".to_owned(),
    }
}

/// Where a packet ends, where its hops do not show it; `to_own`: at the address of that interface, which is not known.
fn end(journey: &Journey, to_own: Option<&Name>, engine: &Engine<'_>) -> Option<String> {
    match journey.end {
        End::Local => {
            let packet = journey.last()?;
            let owner = engine.context().owner(packet.dst, 0);
            let owner = owner.map(|interface| interface.name.as_str());
            Some(match owner.or(to_own.map(|name| &**name)) {
                Some(interface) => format!("{} is the machine itself ({interface})", packet.dst),
                None => format!("the machine itself takes in {}", packet.dst),
            })
        }
        End::NoRoute => Some("no route".to_owned()),
        End::NotForwarded => Some("the machine does not forward".to_owned()),
        End::Sent => {
            let last = journey.hops.last()?;
            let elsewhere = last.after.interface != last.before.interface;
            elsewhere.then(|| format!("leaves by {}", last.after.interface))
        }
        End::Stopped => None,
    }
}

/// `10.62.1.50:49152 > 10.41.8.2:443 tcp S`.
pub(crate) fn ends(packet: &Packet) -> String {
    let with_port = |address: std::net::IpAddr, port: u16| match (packet.protocol.has_ports(), address) {
        (true, std::net::IpAddr::V6(address)) => format!("[{address}]:{port}"),
        (true, std::net::IpAddr::V4(address)) => format!("{address}:{port}"),
        (false, address) => address.to_string(),
    };
    let protocol = names::protocol_name(packet.protocol).map_or_else(|| packet.protocol.0.to_string(), str::to_owned);
    let mut words = format!(
        "{} > {} {}",
        with_port(packet.src, packet.sport),
        with_port(packet.dst, packet.dport),
        if packet.protocol == Protocol::ICMP6 {
            "icmp6"
        } else {
            &protocol
        }
    );
    if packet.protocol == Protocol::TCP {
        let flags = packet.flags.to_string();
        words.push_str(&format!(" {}", if flags.is_empty() { "without flags" } else { &flags }));
    }
    if let Some(icmp) = &packet.icmp {
        let family = if packet.protocol == Protocol::ICMP6 {
            Family::Inet6
        } else {
            Family::Inet
        };
        let kind = names::icmp_type_name(family, icmp.kind).map_or_else(|| icmp.kind.to_string(), str::to_owned);
        words.push_str(&format!(" {kind}"));
        if let Some(target) = packet.target {
            words.push_str(&format!(" target {target}"));
        }
        if icmp.code != 0 {
            words.push_str(&format!(" code {}", icmp.code));
        }
    }
    if packet.fragment.is_some() {
        words.push_str(" (fragment)");
    }
    if packet.options != crate::packet::IpOptions::None {
        words.push_str(" (with IP options)");
    }
    words
}

/// What a packet became, where addresses, ports or family changed.
fn translated(before: &Packet, after: &Packet) -> Option<String> {
    let of = |packet: &Packet| (packet.src, packet.dst, packet.sport, packet.dport, packet.family);
    (of(before) != of(after)).then(|| ends(after))
}
