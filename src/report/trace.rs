//! The way of a packet for people: every rule it meets, who decides and what that overrides, translation, route, the
//! next hop, and the answer's way back.

use crate::context::{Context, Interface};
use crate::eval::{Answer, Effect, End, Evaluation, Journey, Met, Reason, RuleId, Unproven, Verdict};
use crate::net::{Direction, Protocol};
use crate::packet::{Packet, Way};
use crate::print;
use crate::ruleset::{Action, Rule, Ruleset};
use crate::source::Sources;

use super::look::for_terminal;
use super::route::route;
use super::trace_changes::{Bound, changes};
use super::trace_miss::{Seen, nearness, why};
use super::{Look, Paint, printable};

/// How many rules that nearly match are shown of each hop.
const NEAR: usize = 4;

/// What is known of a packet's way.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'t> {
    /// The packet.
    pub packet: &'t Packet,
    /// Its way.
    pub journey: &'t Result<Journey, Unproven>,
    /// What pf sends in its place, as if it were the machine's own, and its way.
    pub instead: Option<(&'t Packet, &'t Result<Journey, Unproven>)>,
    /// The answer to it, and its way.
    pub reply: Option<(&'t Packet, &'t Result<Journey, Unproven>)>,
    /// The rules.
    pub ruleset: &'t Ruleset,
    /// The machine.
    pub context: &'t Context,
    /// The texts of the rules.
    pub sources: &'t Sources,
    /// What it hangs on that others fill, in words.
    pub hangs_on: &'t [String],
    /// Whether every rule is shown.
    pub all: bool,
}

/// The way of the packet as text; it ends in a newline.
#[must_use]
pub fn human(trace: &Trace<'_>, look: Look) -> String {
    let mut page = Page {
        trace,
        look,
        text: String::new(),
    };
    page.heading(trace.packet);
    match trace.journey {
        Ok(journey) => page.journey(journey),
        Err(unproven) => page.unproven(unproven),
    }
    if let Some((packet, journey)) = trace.instead {
        let brief = page.look.paint(Paint::Strong, &packet.brief());
        page.line(&format!("\npf sends {brief}"));
        match journey {
            Ok(journey) => page.journey(journey),
            Err(unproven) => page.unproven(unproven),
        }
    }
    if let Some((packet, journey)) = trace.reply {
        page.reply(packet, journey);
    }
    page.hangs_on();
    for_terminal(page.text, look)
}

/// The way of the packet in one line: where each hop is decided, by what, and what it hangs on that others fill.
#[must_use]
pub fn short(packet: &Packet, journey: &Result<Journey, Unproven>, hangs_on: &[String]) -> String {
    let ways = match journey {
        Ok(journey) => journey
            .hops
            .iter()
            .map(|hop| {
                let rule = hop
                    .rule
                    .as_ref()
                    .map_or_else(String::new, |rule| format!(" {}", name(rule)));
                let skipped = if hop.skipped { " skipped" } else { "" };
                format!(
                    "{} {} {}{rule}{skipped}",
                    hop.direction,
                    hop.before.interface,
                    hop.verdict.word()
                )
            })
            .collect::<Vec<_>>()
            .join(", "),
        Err(Unproven(reason)) => format!("unproven: {reason}"),
    };
    let hangs_on = match hangs_on {
        [] => String::new(),
        words => format!(" (hangs on {})", words.join("; ")),
    };
    printable(&format!("{}: {ways}{hangs_on}", packet.brief())).into_owned()
}

/// How a rule is called: `@3`, in an anchor `path@3`.
fn name(rule: &RuleId) -> String {
    if rule.anchor.is_empty() {
        format!("@{}", rule.number)
    } else {
        rule.to_string()
    }
}

struct Page<'p> {
    trace: &'p Trace<'p>,
    look: Look,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// A line of words, broken at the width.
    fn words(&mut self, text: &str, indent: usize) {
        let wrapped = self.look.wrap(&format!("{:indent$}{text}", ""), indent + 2);
        self.line(&wrapped);
    }

    fn heading(&mut self, packet: &Packet) {
        let brief = self.look.paint(Paint::Strong, &packet.brief());
        let way = match packet.way {
            Way::In | Way::Forward => "in on",
            Way::Out => "out on",
        };
        self.line(&format!("{brief}  {way} {}", printable(&packet.interface)));
    }

    fn unproven(&mut self, unproven: &Unproven) {
        let word = self.look.paint(Paint::Doubtful, "cannot be said");
        self.words(&format!("{word}: {}", printable(&unproven.to_string())), 0);
        let has_unknown = |interface: &Interface| interface.addresses.iter().any(|address| address.known().is_none());
        if let Some(interface) = self
            .trace
            .context
            .interfaces
            .iter()
            .find(|interface| has_unknown(interface))
        {
            let help = format!(
                "  --assume {}=ADDRESS/LENGTH tries it with that address",
                interface.name
            );
            let help = self.look.paint(Paint::Note, &help);
            self.line(&help);
        }
    }

    fn journey(&mut self, journey: &Journey) {
        for (at, hop) in journey.hops.iter().enumerate() {
            if at > 0 {
                self.route(&journey.hops[at - 1], &hop.before.interface, "");
            }
            self.hop(hop);
        }
        self.end(journey);
    }

    /// The route by which a packet leaves a hop for an interface.
    fn route(&mut self, from: &Evaluation, interface: &str, remark: &str) {
        let route = route(self.trace.context, from, interface);
        self.line(&printable(&format!("route     {route}{remark}")));
    }

    /// One hop: its rules, what it comes to, what it does to the packet.
    fn hop(&mut self, hop: &Evaluation) {
        let place = place(hop);
        let place = self.look.paint(Paint::Note, &place);
        self.line(&place);
        self.rules(hop);
        let (paint, verdict) = verdict(hop);
        let verdict = self.look.paint(paint, &verdict);
        self.words(&verdict, 2);
        for change in changes(hop, Bound::There) {
            self.words(&printable(&change), 2);
        }
    }

    /// The rules that the packet meets: those that match, and those that nearly do.
    fn rules(&mut self, hop: &Evaluation) {
        let mut seen = Seen::of(hop);
        let nearest = nearest(&hop.met);
        let mut hidden = 0usize;
        for (at, met) in hop.met.iter().enumerate() {
            match met {
                Met::Matched(id, effects) => {
                    self.fold(&mut hidden);
                    self.matched(hop, id, effects);
                    seen.changed(effects);
                }
                Met::Missed(id, criterion) => {
                    let shown = self.trace.all || nearest.contains(&at);
                    let Some(rule) = self.trace.ruleset.rule(id).filter(|_| shown) else {
                        hidden += 1;
                        continue;
                    };
                    self.fold(&mut hidden);
                    let why = format!("not: {}", why(*criterion, rule, hop, &seen));
                    self.rule(id, rule, &why, Paint::Faint);
                }
            }
        }
        self.fold(&mut hidden);
    }

    /// Says how many rules were left out.
    fn fold(&mut self, hidden: &mut usize) {
        let text = match std::mem::take(hidden) {
            0 => return,
            1 => "  … 1 rule does not match".to_owned(),
            count => format!("  … {count} rules do not match"),
        };
        let text = self.look.paint(Paint::Faint, &text);
        self.line(&text);
    }

    fn matched(&mut self, hop: &Evaluation, id: &RuleId, effects: &[Effect]) {
        let Some(rule) = self.trace.ruleset.rule(id) else {
            return;
        };
        let decides = hop.rule.as_ref() == Some(id);
        let (word, paint) = match (&rule.action, decides) {
            (Action::Pass | Action::Block(_), true) => ("decides", Paint::Strong),
            (Action::Pass | Action::Block(_), false) => ("overridden", Paint::Faint),
            (Action::Match, _) => ("matches", Paint::Note),
            (Action::Anchor(_), _) => ("enters", Paint::Note),
        };
        let mut word = word.to_owned();
        for effect in effects {
            word += &match effect {
                Effect::Tag(tag) => format!(", tags {tag}"),
                Effect::Source(address, port) => format!(", source {}", end(&hop.before, *address, *port)),
                Effect::Destination(address, port) => format!(", destination {}", end(&hop.before, *address, *port)),
                Effect::Rtable(table) => format!(", rtable {table}"),
                Effect::Prio(prio) => format!(", prio {prio}"),
                Effect::Tos(tos) => format!(", tos {tos:#04x}"),
                Effect::MinTtl(ttl) => format!(", min-ttl {ttl}"),
                Effect::Log => ", logs".to_owned(),
            };
        }
        self.rule(id, rule, &word, paint);
    }

    /// A rule with a remark and where it is written; on one line if that fits.
    fn rule(&mut self, id: &RuleId, rule: &Rule, remark: &str, paint: Paint) {
        let label = name(id);
        let indent = 2 + label.chars().count().max(3) + 1;
        let text = print::rule(rule);
        let text = printable(text.trim_end());
        let location = self.trace.sources.location(rule.origin.span);
        let file = location.name.rsplit('/').next().unwrap_or(location.name);
        let place = format!("{file}:{}", location.line);
        let used = indent + text.chars().count();
        let tail = remark.chars().count() + 2 + place.chars().count();
        let painted = self.look.paint(paint, remark);
        let place = self.look.paint(Paint::Faint, &place);
        let head = format!("  {label:<3} ");
        if used + 2 + tail <= self.look.width {
            let gap = self.look.width - used - tail;
            self.line(&format!("{head}{text}{:gap$}{painted}  {place}", ""));
        } else {
            let wrapped = self.look.wrap(&format!("{head}{text}"), indent + 2);
            self.text.push_str(&wrapped);
            let used = wrapped.lines().last().map_or(0, |line| line.chars().count());
            let gap = self.look.width.saturating_sub(tail);
            if used + 2 <= gap {
                let gap = gap - used;
                self.line(&format!("{:gap$}{painted}  {place}", ""));
                return;
            }
            self.line("");
            if indent <= gap {
                self.line(&format!("{:gap$}{painted}  {place}", ""));
            } else {
                self.words(&printable(remark), indent);
                self.line(&format!("{:indent$}{place}", ""));
            }
        }
    }

    /// How the way ends.
    fn end(&mut self, journey: &Journey) {
        let Some(last) = journey.hops.last() else { return };
        if journey.end == End::Sent && last.after.interface != last.before.interface {
            self.route(last, &last.after.interface, ", without another test");
        }
        let is_shared = self.trace.context.is_shared(last.after.dst, last.rtable);
        let (paint, text) = match (journey.end, journey.verdict()) {
            (End::Stopped, Verdict::Synproxy) => {
                let text = match self.trace.instead {
                    Some(_) => "goes on when the sender has answered: then pf sends a packet of its own",
                    None => "goes on when the sender has answered",
                };
                (Paint::Note, text.to_owned())
            }
            (End::Stopped, _) => (Paint::Bad, "does not get through".to_owned()),
            (End::NoRoute, _) => (Paint::Bad, format!("no route to {}: goes nowhere", last.after.dst)),
            (End::NotForwarded, _) if last.after.protocol == Protocol::TCP && is_shared => {
                let why = "no program sees tcp to a broadcast or multicast address: goes nowhere";
                (Paint::Bad, why.to_owned())
            }
            (End::NotForwarded, _) if self.trace.context.forwards(last.after.family) => {
                let why = "the network stack does not send it on: goes nowhere";
                (Paint::Bad, why.to_owned())
            }
            (End::NotForwarded, _) => (Paint::Bad, "the machine does not forward: goes nowhere".to_owned()),
            (End::Local, _) => (Paint::Good, "reaches the machine itself".to_owned()),
            (End::Sent, _) if last.direction == Direction::Out || last.after.family != last.before.family => {
                (Paint::Good, "gets through".to_owned())
            }
            (End::Sent, _) => (Paint::Good, "gets in".to_owned()),
        };
        let text = self.look.paint(paint, &text);
        self.line(&text);
    }

    /// What the ways hang on that others fill: they are shown as pf.conf has it.
    fn hangs_on(&mut self) {
        let words = self.trace.hangs_on.join("; ");
        if !words.is_empty() {
            let head = self.look.paint(Paint::Doubtful, "hangs on");
            self.words(&format!("{head} {}", printable(&words)), 0);
        }
    }

    /// The way of the answer, a line a hop.
    fn reply(&mut self, packet: &Packet, journey: &Result<Journey, Unproven>) {
        let brief = self.look.paint(Paint::Strong, &packet.brief());
        self.line(&format!("\nanswer {brief}"));
        let journey = match journey {
            Ok(journey) => journey,
            Err(unproven) => return self.unproven(unproven),
        };
        for hop in &journey.hops {
            let place = place(hop);
            let place = self.look.paint(Paint::Note, &place);
            let (paint, verdict) = verdict(hop);
            let verdict = self.look.paint(paint, &verdict);
            self.words(&format!("{place}  {verdict}"), 0);
            for change in changes(hop, Bound::Back) {
                self.words(&printable(&change), 2);
            }
        }
        self.end(journey);
    }
}

/// Which of the rules that nearly match are shown: those that fail latest, of equal ones the last.
fn nearest(met: &[Met]) -> Vec<usize> {
    let mut near: Vec<_> = met
        .iter()
        .enumerate()
        .filter_map(|(at, met)| Some((nearness(met)?, at)))
        .collect();
    near.sort_unstable();
    near.into_iter().rev().take(NEAR).map(|(_, at)| at).collect()
}

/// Where a hop is.
fn place(hop: &Evaluation) -> String {
    format!("{:<4} {}", hop.direction.to_string(), hop.before.interface)
}

/// What a hop comes to, in words.
fn verdict(hop: &Evaluation) -> (Paint, String) {
    let rule = hop.rule.as_ref().map(name);
    match (hop.verdict, &hop.state) {
        _ if hop.skipped => (Paint::Good, "passes unseen: the interface is skipped".to_owned()),
        (Verdict::Pass, Some(state)) if state.existing => {
            let by = rule.map_or_else(String::new, |rule| format!(" that {rule} made"));
            (Paint::Good, format!("passes: it belongs to the state{by}"))
        }
        (Verdict::Pass, Some(state)) => {
            let bound = state
                .bound_to
                .as_ref()
                .map_or_else(String::new, |interface| format!(", bound to {interface}"));
            (Paint::Good, format!("passes, and makes a state{bound}"))
        }
        (Verdict::Pass, None) => {
            let who = match (rule, hop.matches.is_empty()) {
                (Some(_), _) => "",
                (None, true) => "no rule matches: ",
                (None, false) => "no pass or block rule matches: ",
            };
            (Paint::Good, format!("{who}passes, without a state"))
        }
        (Verdict::Block, _) => {
            let answer = match hop.answer {
                None | Some(Answer::Nothing) => "without an answer".to_owned(),
                Some(Answer::Rst) => "answered with a RST".to_owned(),
                Some(Answer::Icmp(kind, code)) => format!("answered with icmp type {kind} code {code}"),
            };
            (Paint::Bad, format!("blocked, {answer}"))
        }
        (Verdict::Drop(reason), _) => (Paint::Bad, format!("dropped: {}", words(reason))),
        (Verdict::Held, _) => (Paint::Note, "held until the packet is whole".to_owned()),
        (Verdict::Synproxy, _) => (Paint::Note, "pf answers the handshake itself (synproxy)".to_owned()),
    }
}

/// Why pf drops what no rule blocks, in words.
fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::Short => "a header is cut short, or a port is 0",
        Reason::Normalize => "its headers do not fit together",
        Reason::Fragment => "the fragment does not fit those before it",
        Reason::IpOption => "it has IP options, and the rule that decides has no `allow-opts`",
        Reason::Translate => "the translation finds no address or port",
        Reason::StateLimit => "`max` states are reached",
        Reason::SourceLimit => "a limit on sources is reached",
        Reason::StateInsert => "another state has its key",
        Reason::StateMismatch => "it does not fit its state",
        Reason::NoRoute => "there is no next hop for its route",
        Reason::Synproxy => "the handshake with synproxy went wrong",
        Reason::AnchorDepth => "anchors lie more than 63 deep",
    }
}

/// An address with its port, where the packet has ports.
fn end(packet: &Packet, address: std::net::IpAddr, port: u16) -> String {
    match packet.protocol.has_ports() {
        true => format!("{address} port {port}"),
        false => address.to_string(),
    }
}
