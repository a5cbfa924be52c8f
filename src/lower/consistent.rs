//! What a single rule may not combine (`rule_consistent`).

use super::expand::Places;
use crate::net::{Family, Protocol};
use crate::ruleset::{Action, Block, KeepState, Rule, SourceTrack, StateOptions, Translation};
use crate::source::At;

/// The rule and what it takes from its template, which is no field of a rule that cannot have it.
pub(super) struct Draft<'a> {
    pub(super) rule: &'a Rule,
    /// The family after af-to.
    pub(super) translated: Option<Family>,
    /// Whether it has route-to and the like.
    pub(super) routed: bool,
}

/// What pfctl says of the rule, in its order, with the places.
pub(super) fn faults(draft: &Draft<'_>, places: &Places) -> Vec<(At, &'static str, Option<&'static str>)> {
    let rule = draft.rule;
    let mut faults = Vec::new();
    let mut fault = |wrong: bool, at: At, text: &'static str, help: Option<&'static str>| {
        if wrong {
            faults.push((at, text, help));
        }
    };
    let protocol = rule.protocol;
    let has_ports = protocol.is_some_and(Protocol::has_ports);
    let ports = rule.source.port.is_some() || rule.destination.port.is_some();
    let is_icmp = protocol == Some(Protocol::ICMP) || protocol == Some(Protocol::ICMP6);
    let passes = matches!(rule.action, Action::Pass | Action::Anchor(_));
    let stateful = rule.keep_state != KeepState::No;
    let translates = match rule.translation.as_deref() {
        Some(
            Translation::Nat { .. } | Translation::Rdr { .. } | Translation::NatAndRdr { .. } | Translation::Af(_),
        ) => true,
        None => false,
    };
    let usual = StateOptions::default();
    let state = rule.state.as_deref().unwrap_or(&usual);
    let tcp = Some("write `proto tcp`");
    let tcp_udp = Some("write `proto tcp`, `proto udp` or `proto { tcp udp }` before the hosts");

    let not_tcp = protocol != Some(Protocol::TCP);
    fault(
        not_tcp && rule.os.is_some(),
        places.system,
        "os only applies to tcp",
        tcp,
    );
    let port_at = if rule.source.port.is_some() {
        places.source_port
    } else {
        places.destination_port
    };
    fault(!has_ports && ports, port_at, "port only applies to tcp/udp", tcp_udp);
    fault(
        !has_ports && rule.user.is_some(),
        places.user,
        "user only applies to tcp/udp",
        tcp_udp,
    );
    fault(
        !has_ports && rule.group.is_some(),
        places.group,
        "group only applies to tcp/udp",
        tcp_udp,
    );
    fault(
        !is_icmp && rule.icmp.is_some(),
        places.icmp,
        "icmp-type/code only applies to icmp",
        Some("write `proto icmp`, or `proto icmp6`"),
    );
    fault(
        rule.family.is_none() && rule.icmp.is_some(),
        places.icmp,
        "must indicate address family with icmp-type/code",
        Some("write `inet`, or `inet6`"),
    );
    fault(
        draft.translated.is_some() && rule.family == draft.translated,
        places.nat,
        "must indicate different address family with af-to",
        None,
    );
    fault(
        state.overload.is_some() && state.max_src_conn.is_none() && state.max_src_conn_rate.is_none(),
        places.state,
        "'overload' requires 'max-src-conn' or 'max-src-conn-rate'",
        None,
    );
    match (protocol, rule.family) {
        (Some(Protocol::ICMP), Some(Family::Inet6)) => fault(
            true,
            places.protocol,
            "proto icmp doesn't match address family inet6",
            Some("IPv6 has `proto icmp6`; or write `inet`"),
        ),
        (Some(Protocol::ICMP6), Some(Family::Inet)) => fault(
            true,
            places.protocol,
            "proto icmp6 doesn't match address family inet",
            Some("IPv4 has `proto icmp`; or write `inet6`"),
        ),
        _ => {}
    }
    fault(
        rule.allow_opts && !passes,
        places.allow_opts,
        "allow-opts can only be specified for pass rules",
        None,
    );
    fault(
        rule.fragment && (ports || rule.flags.is_some() || rule.icmp.is_some()),
        places.fragment,
        "fragments can be filtered only on IP header fields",
        None,
    );
    let resets = matches!(rule.action, Action::Block(Block::ReturnRst { .. }));
    fault(
        resets && not_tcp,
        places.action,
        "return-rst can only be applied to TCP rules",
        Some("write `proto tcp`, or `block return`"),
    );
    fault(
        state.max_src_nodes.is_some() && state.source_track != Some(SourceTrack::Rule),
        places.state,
        "max-src-nodes requires 'source-track rule'",
        None,
    );
    fault(
        !passes && stateful,
        places.state,
        "keep state is great, but only for pass rules",
        None,
    );
    fault(
        draft.routed && !stateful,
        places.route,
        "route-to, reply-to and dup-to require keep state",
        None,
    );
    fault(
        state.sloppy && matches!(rule.keep_state, KeepState::Modulate | KeepState::Synproxy),
        places.state,
        "sloppy state matching cannot be used with synproxy state or modulate state",
        None,
    );
    fault(
        translates && rule.action != Action::Match && !stateful,
        places.nat,
        "nat-to and rdr-to require keep state",
        None,
    );
    fault(
        translates && rule.direction.is_none(),
        places.nat,
        "nat-to and rdr-to require a direction",
        Some("write `in` or `out` behind the action"),
    );
    let scrub = rule.scrub.unwrap_or_default();
    fault(
        rule.family == Some(Family::Inet6) && (scrub.no_df || scrub.random_id),
        places.scrub,
        "address family inet6 does not support scrub options no-df, random-id",
        None,
    );
    match rule.action {
        Action::Match => {
            fault(
                rule.divert.is_some(),
                places.divert,
                "divert is not supported on match rules",
                None,
            );
            let text = "route-to, reply-to and dup-to are not supported on match rules";
            fault(draft.routed, places.route, text, None);
            fault(
                draft.translated.is_some(),
                places.nat,
                "af-to is not supported on match rules",
                None,
            );
        }
        Action::Block(_) => {
            let text = "route-to, reply-to and dup-to are not supported on block rules";
            fault(draft.routed, places.route, text, None);
        }
        Action::Pass | Action::Anchor(_) => {}
    }
    faults
}
