//! What the evaluator says of a packet, as JSON: the keys of the measured vectors.
//!
//! Of one hop: `verdict`, `reason` (of a drop), `rule`, `anchor`, `state`, `existing`, `state_if`, `matches`, `log`,
//! `skipped`; of a block `return`, `kind`, `icmp`; `tag`, `prio`, `tos`, `rtable`; after a translation `src`, `dst`,
//! `sport`, `dport`, `icmp_id`, `af`; `divert`, `route_to`, `route_kind`. Of a way of several hops, or of a forwarded
//! packet: `verdict`, `hops`, `local`, `noroute`. A value is `null` where pf chooses it at random, `{"any_of": […]}`
//! where it chooses among some.

use serde_json::{Map, Value, json};

use crate::eval::{Answer, Chosen, End, Evaluation, Journey, Unproven, Verdict};
use crate::packet::{Packet, Way};
use crate::ruleset::{Action, Block, Divert, RouteToKind, Ruleset};

/// The answer to a packet: its way, or why it cannot be said.
#[must_use]
pub fn answer(journey: &Result<Journey, Unproven>, ruleset: &Ruleset) -> Value {
    match journey {
        Ok(journey) => expect(journey, ruleset),
        Err(Unproven(reason)) => json!({ "verdict": "unproven", "reason": reason }),
    }
}

/// The way of a packet.
#[must_use]
pub fn expect(journey: &Journey, ruleset: &Ruleset) -> Value {
    let Some(arrived) = journey.hops.first().map(|hop| &hop.before) else {
        return Value::Null;
    };
    let forwarded = arrived.way == Way::Forward;
    match journey.hops.as_slice() {
        // A fragment that is held has not gone anywhere; what passes unseen is told alone.
        [hop] if !forwarded || hop.verdict == Verdict::Held => Value::Object(evaluation(hop, &hop.before, ruleset)),
        [hop, ..] if hop.skipped && journey.verdict() == Verdict::Pass => {
            Value::Object(evaluation(hop, &hop.before, ruleset))
        }
        hops => {
            let mut object = Map::new();
            object.insert("verdict".to_owned(), journey.verdict().word().into());
            let hops: Vec<Value> = hops
                .iter()
                .filter(|hop| !hop.skipped)
                .map(|hop| {
                    let mut object = Map::new();
                    object.insert("interface".to_owned(), hop.before.interface.as_str().into());
                    object.insert("direction".to_owned(), hop.direction.to_string().into());
                    object.extend(evaluation(hop, arrived, ruleset));
                    Value::Object(object)
                })
                .collect();
            // What af-to sends on was measured no further.
            let af_to = journey.last().is_some_and(|last| last.family != arrived.family);
            match journey.end {
                _ if af_to => None,
                End::Local => object.insert("local".to_owned(), true.into()),
                End::NoRoute => object.insert("noroute".to_owned(), true.into()),
                End::NotForwarded => object.insert("notforwarded".to_owned(), true.into()),
                End::Sent | End::Stopped => None,
            };
            object.insert("hops".to_owned(), hops.into());
            Value::Object(object)
        }
    }
}

/// One hop of a packet that arrived at the machine like that.
fn evaluation(hop: &Evaluation, arrived: &Packet, ruleset: &Ruleset) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    put("verdict", hop.verdict.word().into());
    if let Verdict::Drop(reason) = hop.verdict {
        put("reason", reason.word().into());
    }
    put("rule", hop.rule.as_ref().map_or(Value::Null, |rule| rule.number.into()));
    if let Some(rule) = hop.rule.as_ref().filter(|rule| !rule.anchor.is_empty()) {
        put("anchor", rule.anchor.as_ref().into());
    }
    put("state", hop.state.is_some().into());
    if let Some(state) = &hop.state {
        if state.existing {
            put("existing", true.into());
        } else if let Some(interface) = &state.bound_to {
            put("state_if", interface.as_str().into());
        }
    }
    if !hop.matches.is_empty() {
        let matches: Vec<Value> = hop.matches.iter().map(|rule| rule.to_string().into()).collect();
        put("matches", matches.into());
    }
    put("log", hop.log.into());
    if hop.skipped {
        put("skipped", true.into());
    }
    if hop.verdict == Verdict::Block {
        match hop.answer {
            None | Some(Answer::Nothing) => put("return", "drop".into()),
            Some(Answer::Rst) => put("return", "rst".into()),
            Some(Answer::Icmp(kind, code)) => {
                put("return", "icmp".into());
                put("icmp", json!([kind, code]));
            }
        }
        if let Some(Action::Block(block)) = hop.rule.as_ref().and_then(|id| Some(&ruleset.rule(id)?.action)) {
            put("kind", kind(*block).into());
        }
    }
    if let Some(tag) = hop.after.tag.as_ref().filter(|_| is_tested(hop)) {
        put("tag", tag.as_str().into());
    }
    if matches!(hop.verdict, Verdict::Pass | Verdict::Synproxy) && !hop.skipped {
        if hop.after.prio != arrived.prio {
            put("prio", hop.after.prio.into());
        }
        if hop.after.tos != arrived.tos {
            put("tos", hop.after.tos.into());
        }
        if hop.rtable != 0 {
            put("rtable", hop.rtable.into());
        }
    }
    if hop.verdict == Verdict::Pass && !hop.skipped {
        object.extend(translation(hop));
        object.extend(divert_and_route(hop));
    }
    object
}

/// Whether anything was tested: it is not on a skipped interface, nor of a fragment that is held.
fn is_tested(hop: &Evaluation) -> bool {
    !hop.skipped && hop.verdict != Verdict::Held
}

/// What a block rule says, in pf.conf's words.
fn kind(block: Block) -> String {
    match block {
        Block::Drop => "drop".to_owned(),
        Block::Return { .. } => "return".to_owned(),
        Block::ReturnRst { .. } => "return-rst".to_owned(),
        Block::ReturnIcmp {
            icmp: (kind, code),
            icmp6: _,
        } => format!("return-icmp({kind},{code})"),
    }
}

/// Addresses, ports and identifier where they have changed.
fn translation(hop: &Evaluation) -> Map<String, Value> {
    let (before, after, chosen) = (&hop.before, &hop.after, &hop.chosen);
    let mut object = Map::new();
    if before.family != after.family {
        object.insert("af".to_owned(), after.family.to_string().into());
    }
    let ends_differ =
        (before.src, before.dst, before.sport, before.dport) != (after.src, after.dst, after.sport, after.dport);
    if ends_differ {
        let text = |address: &std::net::IpAddr| Value::from(address.to_string());
        object.insert("src".to_owned(), value(&chosen.src, &after.src, text));
        object.insert("dst".to_owned(), value(&chosen.dst, &after.dst, text));
        // The ports of what an icmp error carries are not the packet's.
        if after.protocol.has_ports() {
            let number = |port: &u16| Value::from(*port);
            object.insert("sport".to_owned(), value(&chosen.sport, &after.sport, number));
            object.insert("dport".to_owned(), value(&chosen.dport, &after.dport, number));
        }
    }
    if let (Some(old), Some(new)) = (before.icmp, after.icmp)
        && old.id != new.id
    {
        object.insert(
            "icmp_id".to_owned(),
            value(&chosen.icmp_id, &new.id, |id| Value::from(*id)),
        );
    }
    object
}

/// A value, or what it is chosen from.
fn value<T>(chosen: &Chosen<T>, value: &T, json: impl Fn(&T) -> Value) -> Value {
    match chosen {
        Chosen::Fixed => json(value),
        Chosen::OneOf(values) => json!({ "any_of": values.iter().map(json).collect::<Vec<_>>() }),
        Chosen::Random => Value::Null,
    }
}

fn divert_and_route(hop: &Evaluation) -> Map<String, Value> {
    let mut object = Map::new();
    match hop.divert {
        None => {}
        Some(Divert::To { address, port }) => {
            let divert = json!({ "kind": "divert-to", "port": port, "address": address.to_string() });
            object.insert("divert".to_owned(), divert);
        }
        Some(Divert::Reply) => {
            object.insert("divert".to_owned(), json!({ "kind": "divert-reply", "port": 0 }));
        }
        Some(Divert::Packet { port }) => {
            object.insert("divert".to_owned(), json!({ "kind": "divert-packet", "port": port }));
        }
    }
    if let Some(next) = &hop.route {
        let address = value(&next.chosen, &next.address, |address| address.to_string().into());
        object.insert("route_to".to_owned(), address);
        let kind = match next.kind {
            RouteToKind::RouteTo => "route-to",
            RouteToKind::ReplyTo => "reply-to",
            RouteToKind::DupTo => "dup-to",
        };
        object.insert("route_kind".to_owned(), kind.into());
    }
    object
}
