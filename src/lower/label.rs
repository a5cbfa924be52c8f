//! The macros in labels and tags: `$if`, `$srcaddr`, `$dstaddr`, `$srcport`, `$dstport`, `$proto`, and `$nr`, which is
//! known only when all rules are.

use crate::net::{Family, Operator, Protocol, names};
use crate::print;
use crate::ruleset::{Host, Name, Rule, Tagged};

use super::node::Node;

/// The bytes that pf has for a label or a tag, with the end.
const ROOM: usize = 64;

/// What the macros of one combination stand for.
pub(super) struct Words<'a> {
    /// `$if`.
    pub(super) interface: Option<&'a str>,
    /// The family of the rule.
    pub(super) family: Option<Family>,
    /// The source and its ports.
    pub(super) source: (&'a Node, Option<Operator<u16>>),
    /// The destination and its ports.
    pub(super) destination: (&'a Node, Option<Operator<u16>>),
    /// The protocol.
    pub(super) protocol: Option<Protocol>,
}

/// The text with its macros replaced but `$nr`; `None` where it becomes too long (`expand_label`).
pub(super) fn expand(text: &Name, words: &Words<'_>) -> Option<Name> {
    if !text.contains('$') {
        return Some(text.clone());
    }
    let mut text = text.to_string();
    for name in ["$if", "$srcaddr", "$dstaddr", "$srcport", "$dstport", "$proto"] {
        if text.contains(name) {
            text = text.replace(name, &value(name, words));
            if text.len() >= ROOM {
                return None;
            }
        }
    }
    Some(text.into())
}

fn value(name: &str, words: &Words<'_>) -> String {
    match name {
        "$if" => words.interface.unwrap_or("any").to_owned(),
        "$srcaddr" => address(words.source.0, words.family),
        "$dstaddr" => address(words.destination.0, words.family),
        "$srcport" => port(words.source.1),
        "$dstport" => port(words.destination.1),
        _ => {
            let protocol = words.protocol.unwrap_or(Protocol(0));
            names::protocol_name(protocol).map_or_else(|| protocol.0.to_string(), str::to_owned)
        }
    }
}

fn address(node: &Node, family: Option<Family>) -> String {
    let text = match &node.host {
        Host::Dynamic(dynamic) if dynamic.load_time => dynamic.interface.to_string(),
        Host::Dynamic(dynamic) => format!("({})", dynamic.interface),
        Host::Table(table) => format!("<{table}>"),
        Host::NoRoute => "no-route".to_owned(),
        Host::UrpfFailed => "urpf-failed".to_owned(),
        Host::Any => "any".to_owned(),
        Host::Prefix(_) if family.is_none() => "any".to_owned(),
        Host::Prefix(prefix) => print::prefix(*prefix),
        Host::Range(..) | Host::RouteLabel(_) => "?".to_owned(),
    };
    if node.negated { format!("! {text}") } else { text }
}

fn port(port: Option<Operator<u16>>) -> String {
    match port {
        // pfctl has no word for `a:b` here.
        None | Some(Operator::Range(..)) => String::new(),
        Some(Operator::Equal(a)) => a.to_string(),
        Some(Operator::NotEqual(a)) => format!("!={a}"),
        Some(Operator::Less(a)) => format!("<{a}"),
        Some(Operator::LessOrEqual(a)) => format!("<={a}"),
        Some(Operator::Greater(a)) => format!(">{a}"),
        Some(Operator::GreaterOrEqual(a)) => format!(">={a}"),
        Some(Operator::Between(a, b)) => format!("{a}><{b}"),
        Some(Operator::Outside(a, b)) => format!("{a}<>{b}"),
    }
}

/// Replaces `$nr` by the number of the rule in its ruleset (`pfctl_expand_label_nr`).
pub(super) fn number(rules: &mut [Rule]) {
    for (number, rule) in rules.iter_mut().enumerate() {
        let tagged = rule.tagged.as_mut().map(|Tagged { tag, .. }| tag);
        for name in [rule.label.as_mut(), rule.tag.as_mut(), tagged].into_iter().flatten() {
            if name.contains("$nr") {
                *name = name.replace("$nr", &number.to_string()).into();
            }
        }
    }
}
