//! `assume`: what the machine alone knows, settled for the proof.

use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::ast::{Assumption, Fact, Packets, Policy};
use super::{Network, Zones};
use crate::context::Context;
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::engine::{Engine, Field, PacketBox, Place, address, transport};
use crate::net::{Direction, Family, FlagsMatch, Operator, Protocol, RangeSet, names};
use crate::ruleset::{
    Action, Anchor, Host, InterfaceMatch, KeepState, Name, Origin, Peer, ReceivedOn, Rule, Ruleset, Table, TableEntry,
};

/// The child of an anchor `x/*` that stands for all that others may load there.
const CHILD: &str = "assumed";
/// How many rules may stand for what one assumed anchor passes.
const MOST_RULES: usize = 1000;

/// Gives interfaces the addresses that are assumed; the complaints where there is no such interface.
pub fn settle_addresses(policy: &Policy, context: &mut Context) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for assumption in &policy.assumptions {
        let Fact::Address(interface, net) = &assumption.fact else {
            continue;
        };
        if !context.settle(interface, *net) {
            let finding = complaint(assumption, format!("no interface `{interface}` on this machine"));
            let names = context.interfaces.iter().map(|known| known.name.as_str());
            findings.push(match nearest(interface, names) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding,
            });
        }
    }
    findings
}

/// The ruleset with tables and anchors as assumed; the paths of the anchors that stand for what others load, and the
/// complaints.
#[must_use]
pub fn settle_ruleset(
    policy: &Policy,
    mut ruleset: Ruleset,
    context: &Context,
) -> (Ruleset, Vec<Name>, Vec<Diagnostic>) {
    if policy.assumptions.is_empty() {
        mark_filled(&mut ruleset);
        return (ruleset, Vec::new(), Vec::new());
    }
    let mut settled = ruleset.clone();
    mark_filled(&mut settled);
    let mut anchors = Vec::new();
    let mut findings = Vec::new();
    for assumption in &policy.assumptions {
        match &assumption.fact {
            Fact::Address(..) => {}
            Fact::NoUser(name) => {
                let id = owner(name, &context.users, names::user_id);
                settled.options.absent.users.extend(id);
                findings.extend(
                    id.is_none()
                        .then(|| complaint(assumption, format!("unknown user `{name}`"))),
                );
            }
            Fact::NoGroup(name) => {
                let id = owner(name, &context.groups, names::group_id);
                settled.options.absent.groups.extend(id);
                findings.extend(
                    id.is_none()
                        .then(|| complaint(assumption, format!("unknown group `{name}`"))),
                );
            }
            Fact::TableEmpty(name) => findings.extend(keep_table(&mut settled, name, assumption, |table| {
                let message = format!("table `<{name}>` is not empty: pf.conf fills it");
                let help = format!("say `assume table <{name}> as written`");
                (!table.is_empty()).then(|| complaint(assumption, message).help(help))
            })),
            Fact::TableAsWritten(name) => {
                let main = ruleset.anchors.get(Ruleset::MAIN);
                let in_part = main
                    .and_then(|main| main.tables.get(name))
                    .is_some_and(|table| table.unknown);
                findings.extend(keep_table(&mut settled, name, assumption, |_| {
                    let message = format!("what is written of table `<{name}>` is not all known");
                    in_part.then(|| complaint(assumption, message).help("a file or a name of it cannot be read"))
                }));
            }
            Fact::AnchorEmpty(name) => {
                let _ = anchor(&mut settled, name, Anchor::default(), false);
                findings.extend(uncalled(&ruleset, name, assumption));
            }
            Fact::AnchorOnly(name, packets) => {
                findings.extend(uncalled(&ruleset, name, assumption));
                match contents(policy, packets, &ruleset, context, assumption) {
                    Ok(contents) => anchors.push(anchor(&mut settled, name, contents, true)),
                    Err(finding) => findings.push(*finding),
                }
            }
        }
    }
    (settled, anchors, findings)
}

/// The `assume` statements, one a line, without which much could not be proved: that nobody has filled yet what others
/// may fill while the machine runs, and that nobody is there whom rules block.
#[must_use]
pub fn needed_assumptions(ruleset: &Ruleset) -> String {
    let mut marked = ruleset.clone();
    mark_filled(&mut marked);
    let mut lines: Vec<String> = Vec::new();
    let tables = marked
        .anchors
        .get(Ruleset::MAIN)
        .into_iter()
        .flat_map(|main| &main.tables);
    let known = |name: &Name| {
        ruleset
            .anchors
            .get(Ruleset::MAIN)?
            .tables
            .get(name)
            .map(|table| !table.unknown)
    };
    for (name, table) in tables.filter(|(_, table)| table.unknown) {
        if table.is_empty() {
            lines.push(format!("assume table <{name}> empty\n"));
        } else if known(name) == Some(true) {
            lines.push(format!("assume table <{name}> as written\n"));
        }
    }
    let rules = || marked.anchors.values().flat_map(|anchor| &anchor.rules);
    for rule in rules().filter(|rule| matches!(rule.action, Action::Block(_))) {
        let line = nobody(rule).map(|words| format!("assume {words}\n"));
        if let Some(line) = line.filter(|line| !lines.contains(line)) {
            lines.push(line);
        }
    }
    for rule in rules() {
        if let Action::Anchor(call) = &rule.action
            && !call.inline
            && !marked.anchors.contains_key(&call.path)
        {
            let child = if call.wildcard { "/*" } else { "" };
            let line = format!("assume anchor \"{}{child}\" empty\n", call.path);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines.concat()
}

/// What is to be assumed so that a rule which asks for the owner of a socket matches nothing: `user _pbuild none`; `None`
/// where it asks for none, or for more than one.
#[must_use]
pub fn nobody(rule: &Rule) -> Option<String> {
    let said = |kind: &str, wanted, name: fn(u32) -> Option<&'static str>| match wanted {
        Some(Operator::Equal(id)) if id != Rule::UNKNOWN_ID => {
            let name = name(id).map_or_else(|| id.to_string(), str::to_owned);
            Some(format!("{kind} {name} none"))
        }
        _ => None,
    };
    let user = said("user", rule.user, names::user_name);
    user.or_else(|| said("group", rule.group, names::group_name))
}

/// Takes for unknown what others fill while the machine runs: tables that pf.conf leaves empty, and those that
/// `overload` puts addresses into.
fn mark_filled(ruleset: &mut Ruleset) {
    let rules = ruleset.anchors.values().flat_map(|anchor| &anchor.rules);
    let states = rules.filter_map(|rule| rule.state.as_ref()?.overload.clone());
    let overloaded: Vec<Name> = states.collect();
    for (name, table) in ruleset.anchors.values_mut().flat_map(|anchor| &mut anchor.tables) {
        let left_empty = table.origin.is_some() && table.is_empty();
        table.unknown |= !table.constant && (left_empty || overloaded.contains(name));
    }
}

/// The id of a user or group: one of the context, one that OpenBSD ships, or a number.
fn owner(name: &str, own: &IndexMap<String, u32>, shipped: fn(&str) -> Option<u32>) -> Option<u32> {
    let number = || name.parse().ok();
    own.get(name).copied().or_else(|| shipped(name)).or_else(number)
}

fn complaint(assumption: &Assumption, message: String) -> Diagnostic {
    Diagnostic::new(Code::Policy, message).at(assumption.span)
}

/// Takes the table for what it is and stays; the complaint where there is none, or `refuses` has one.
fn keep_table(
    ruleset: &mut Ruleset,
    name: &Name,
    assumption: &Assumption,
    refuses: impl Fn(&Table) -> Option<Diagnostic>,
) -> Option<Diagnostic> {
    let main = ruleset.anchors.entry(Ruleset::MAIN.into()).or_default();
    let Some(table) = main.tables.get_mut(name) else {
        let names = main.tables.keys().map(|name| &**name);
        let finding = complaint(assumption, format!("table `<{name}>` is not defined"));
        return Some(match nearest(name, names) {
            Some(near) => finding.help(format!("did you mean `<{near}>`?")),
            None => finding,
        });
    };
    let refusal = refuses(table);
    if refusal.is_none() {
        table.unknown = false;
        // Nobody is expected to fill it.
        table.persist = false;
        table.constant = true;
    }
    refusal
}

/// Puts an anchor where its contents were not known; the path of the ruleset that has them.
fn anchor(ruleset: &mut Ruleset, name: &str, contents: Anchor, filled: bool) -> Name {
    let parent: Name = name.strip_suffix("/*").unwrap_or(name).into();
    let path: Name = if filled && name.ends_with("/*") {
        format!("{parent}/{CHILD}").into()
    } else {
        parent.clone()
    };
    // Parents of every anchor are present.
    let mut prefix = String::new();
    for part in parent.split('/') {
        if !prefix.is_empty() {
            prefix.push('/');
        }
        prefix.push_str(part);
        ruleset.anchors.entry(prefix.as_str().into()).or_default();
    }
    if filled {
        ruleset.anchors.insert(path.clone(), contents);
    }
    path
}

/// The warning that no rule calls the anchor.
fn uncalled(ruleset: &Ruleset, name: &str, assumption: &Assumption) -> Option<Diagnostic> {
    let wanted = name.strip_suffix("/*").unwrap_or(name);
    let called = ruleset
        .anchors
        .values()
        .flat_map(|anchor| &anchor.rules)
        .any(|rule| match &rule.action {
            Action::Anchor(call) => &*call.path == wanted,
            Action::Pass | Action::Block(_) | Action::Match => false,
        });
    (!called).then(|| {
        let mut finding = complaint(assumption, format!("no rule calls anchor \"{name}\""));
        finding.severity = crate::diagnostic::Severity::Warning;
        finding
    })
}

/// Rules that may pass those packets, each or none: `pass`, and `pass quick`, by chance.
fn contents(
    policy: &Policy,
    packets: &Packets,
    ruleset: &Ruleset,
    context: &Context,
    assumption: &Assumption,
) -> Result<Anchor, Box<Diagnostic>> {
    let engine = Engine::new(ruleset, context);
    let network = Network::new(&engine);
    let (zones, _) = Zones::new(policy, &network);
    let set = zones.perhaps_excused(packets)?.at_most();
    let origin = Origin {
        span: assumption.span,
        statement: u32::MAX,
    };
    let mut anchor = Anchor::default();
    for part in set.boxes() {
        let ends = [Field::Source, Field::Destination].map(|field| {
            let name: Name = format!("{CHILD}{}", anchor.tables.len()).into();
            let table = Table {
                entries: entries(&part.numbers(field), part.family),
                constant: true,
                ..Table::default()
            };
            anchor.tables.insert(name.clone(), table);
            name
        });
        for (hop, protocol) in
            hops(part, &engine).flat_map(|hop| protocols(part).map(move |protocol| (hop.clone(), protocol)))
        {
            for (source, destination) in ports(part, protocol) {
                if anchor.rules.len() >= MOST_RULES {
                    let message = "this assumption stands for too many rules".to_owned();
                    return Err(Box::new(complaint(assumption, message)));
                }
                let peer = |table: &Name, port| Peer {
                    host: Host::Table(table.clone()),
                    port,
                    ..Peer::default()
                };
                let mut rule = Rule::new(origin, Action::Pass);
                (rule.direction, rule.interface, rule.received_on) = hop.clone();
                rule.family = Some(part.family);
                rule.protocol = Some(protocol);
                rule.source = peer(&ends[0], source);
                rule.destination = peer(&ends[1], destination);
                rule.probability = Some(1 << 31);
                rule.keep_state = KeepState::Keep;
                rule.flags = (protocol == Protocol::TCP).then_some(FlagsMatch::SYN);
                let quick = Rule {
                    quick: true,
                    ..rule.clone()
                };
                anchor.rules.extend([rule, quick]);
            }
        }
    }
    Ok(anchor)
}

/// A rule's direction, its `on` and its `received-on`.
type HopOfRule = (Option<Direction>, InterfaceMatch, Option<ReceivedOn>);

/// The hops of packets that first meet the machine at the box's places: in there, and out what was received there.
fn hops(part: &PacketBox, engine: &Engine<'_>) -> impl Iterator<Item = HopOfRule> {
    let space = engine.space();
    let places = part.numbers(Field::Place);
    let count = space.interfaces().len();
    let mut hops = Vec::new();
    for on in (0..count).filter(|&on| places.contains(space.number(Place::In(on)))) {
        let name: Name = space.interface_name(on).into();
        let here = InterfaceMatch::Name {
            negated: false,
            name: name.clone(),
        };
        hops.push((Some(Direction::In), here, None));
        let received = ReceivedOn {
            negated: false,
            interface: name,
        };
        hops.push((Some(Direction::Out), InterfaceMatch::All, Some(received)));
    }
    let sent = |on| space.number(Place::Out { on, received: None });
    if (0..count).any(|on| places.contains(sent(on))) {
        let nowhere = ReceivedOn {
            negated: true,
            interface: "any".into(),
        };
        hops.push((Some(Direction::Out), InterfaceMatch::All, Some(nowhere)));
    }
    hops.into_iter()
}

fn protocols(part: &PacketBox) -> impl Iterator<Item = Protocol> {
    let transports = part.numbers(Field::Transport);
    let family = part.family;
    (0..=u8::MAX)
        .map(Protocol)
        .filter(move |&protocol| !transport::protocol(protocol, family).is_disjoint(&transports))
}

/// The ports that a rule asks for, if it does.
type Ports = Option<Operator<u16>>;

/// The pairs of source and destination ports that a protocol's rules need.
fn ports(part: &PacketBox, protocol: Protocol) -> Vec<(Ports, Ports)> {
    if !protocol.has_ports() {
        return vec![(None, None)];
    }
    let ranges = |field| -> Vec<Ports> {
        let ports: RangeSet = part.numbers(field);
        let ranges = ports.ranges().iter();
        ranges
            .map(|&(first, last)| Some(Operator::Range(first as u16, last as u16)))
            .collect()
    };
    let destinations = ranges(Field::DestinationPort);
    ranges(Field::SourcePort)
        .into_iter()
        .flat_map(|source| destinations.iter().map(move |&destination| (source, destination)))
        .collect()
}

/// The addresses as entries of a table.
fn entries(addresses: &RangeSet, family: Family) -> Vec<TableEntry> {
    let ranges = addresses.ranges().iter();
    let nets = ranges.flat_map(|&(first, last)| -> Vec<IpNet> {
        match (address(first, family), address(last, family)) {
            (IpAddr::V4(first), IpAddr::V4(last)) => Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect(),
            (IpAddr::V6(first), IpAddr::V6(last)) => Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect(),
            _ => Vec::new(),
        }
    });
    nets.map(|prefix| TableEntry {
        negated: false,
        prefix,
        interface: None,
        weight: None,
    })
    .collect()
}
