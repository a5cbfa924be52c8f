//! Rules (`print_rule`).

use std::fmt::{self, Display, Write};

use super::{address, pool, state};
use crate::net::{Family, Operator, Protocol, names};
use crate::ruleset::{Action, Block, Divert, IcmpMatch, InterfaceMatch, KeepState, Log, Peer, Rule, Scrub, SetFields};

/// The rule, without a newline.
pub(super) fn write(out: &mut impl Write, rule: &Rule) -> fmt::Result {
    write_action(out, rule)?;
    if let Some(direction) = rule.direction {
        write!(out, " {direction}")?;
    }
    if let Some(log) = rule.log {
        write_log(out, log)?;
    }
    if rule.quick {
        out.write_str(" quick")?;
    }
    write_interface(out, &rule.interface)?;
    if let Some(family) = rule.family {
        write!(out, " {family}")?;
    }
    if let Some(protocol) = rule.protocol {
        match names::protocol_name(protocol) {
            Some(name) => write!(out, " proto {name}")?,
            None => write!(out, " proto {}", protocol.0)?,
        }
    }
    write_from_to(out, rule)?;
    if let Some(received_on) = &rule.received_on {
        let not = if received_on.negated { "!" } else { "" };
        write!(out, " {not}received-on {}", received_on.interface)?;
    }
    if let Some(user) = rule.user {
        write_owner(out, "user", user)?;
    }
    if let Some(group) = rule.group {
        write_owner(out, "group", group)?;
    }
    write_flags(out, rule)?;
    if let Some(icmp) = rule.icmp {
        write_icmp(out, icmp, rule.family)?;
    }
    if let Some(tos) = rule.tos {
        write!(out, " tos 0x{tos:02x}")?;
    }
    if let Some(prio) = rule.prio {
        write!(out, " prio {prio}")?;
    }
    if let Some(rate) = rule.max_pkt_rate {
        write!(out, " max-pkt-rate {}/{}", rate.limit, rate.seconds)?;
    }
    if let Some(set) = &rule.set {
        write_set(out, set)?;
    }
    state::write(out, rule)?;
    if rule.fragment {
        out.write_str(" fragment")?;
    }
    if let Some(scrub) = rule.scrub {
        write_scrub(out, scrub)?;
    }
    if rule.allow_opts {
        out.write_str(" allow-opts")?;
    }
    if let Some(label) = &rule.label {
        write!(out, " label \"{label}\"")?;
    }
    if rule.once {
        out.write_str(" once")?;
    }
    if let Some(tag) = &rule.tag {
        write!(out, " tag {tag}")?;
    }
    if let Some(tagged) = &rule.tagged {
        let not = if tagged.negated { " !" } else { "" };
        write!(out, "{not} tagged {}", tagged.tag)?;
    }
    if let Some(rtable) = rule.rtable {
        write!(out, " rtable {rtable}")?;
    }
    match rule.divert {
        None => {}
        Some(Divert::To { address, port }) => {
            out.write_str(" divert-to ")?;
            address::write_ip(out, address)?;
            write!(out, " port {port}")?;
        }
        Some(Divert::Reply) => out.write_str(" divert-reply")?,
        Some(Divert::Packet { port }) => write!(out, " divert-packet port {port}")?,
    }
    if let Some(translation) = &rule.translation {
        pool::write_translation(out, translation, rule.family)?;
    }
    match &rule.route_to {
        Some(route_to) => pool::write_route_to(out, route_to, rule.family),
        None => Ok(()),
    }
}

fn write_action(out: &mut impl Write, rule: &Rule) -> fmt::Result {
    let block = match &rule.action {
        Action::Pass => return out.write_str("pass"),
        Action::Match => return out.write_str("match"),
        Action::Anchor(call) => {
            return match &call.name {
                Some(name) => write!(out, "anchor \"{name}\""),
                None => out.write_str("anchor"),
            };
        }
        Action::Block(block) => block,
    };
    out.write_str("block")?;
    match *block {
        Block::Drop => out.write_str(" drop"),
        Block::Return { .. } => out.write_str(" return"),
        Block::ReturnRst { ttl: None } => out.write_str(" return-rst"),
        Block::ReturnRst { ttl: Some(ttl) } => write!(out, " return-rst(ttl {ttl})"),
        Block::ReturnIcmp { icmp, icmp6 } => {
            let (icmp, icmp6) = (IcmpCode(Family::Inet, icmp), IcmpCode(Family::Inet6, icmp6));
            match rule.family {
                Some(Family::Inet) => write!(out, " return-icmp({icmp})"),
                Some(Family::Inet6) => write!(out, " return-icmp6({icmp6})"),
                None => write!(out, " return-icmp({icmp}, {icmp6})"),
            }
        }
    }
}

/// The code of an icmp error, by its name if it has one.
struct IcmpCode(Family, (u8, u8));

impl Display for IcmpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(family, (kind, code)) = *self;
        match names::icmp_code_name(family, kind, code) {
            Some(name) => f.write_str(name),
            None => write!(f, "{code}"),
        }
    }
}

fn write_log(out: &mut impl Write, log: Log) -> fmt::Result {
    let Log { all, matches, user, to } = log;
    out.write_str(" log")?;
    let mut words = Separated::new(" (", ", ");
    for (set, word) in [(all, "all"), (matches, "matches"), (user, "user")] {
        if set {
            words.next(out)?.write_str(word)?;
        }
    }
    if to != 0 {
        write!(words.next(out)?, "to pflog{to}")?;
    }
    words.end(out, ")")
}

fn write_interface(out: &mut impl Write, interface: &InterfaceMatch) -> fmt::Result {
    let not = |negated: bool| if negated { "! " } else { "" };
    match interface {
        InterfaceMatch::All => Ok(()),
        InterfaceMatch::Any => out.write_str(" on any"),
        InterfaceMatch::Name { negated, name } => write!(out, " on {}{name}", not(*negated)),
        InterfaceMatch::Rdomain {
            negated,
            rdomain,
            interface,
        } => {
            if let Some(name) = interface {
                write!(out, " on {}{name}", not(*negated))?;
            }
            write!(out, " on {}rdomain {rdomain}", not(*negated))
        }
    }
}

fn write_from_to(out: &mut impl Write, rule: &Rule) -> fmt::Result {
    let open = |peer: &Peer| address::is_any(&peer.host) && !peer.negated && peer.port.is_none();
    if open(&rule.source) && open(&rule.destination) && rule.os.is_none() {
        return out.write_str(" all");
    }
    out.write_str(" from ")?;
    write_peer(out, &rule.source, rule.family)?;
    if let Some(os) = &rule.os {
        write!(out, " os \"{os}\"")?;
    }
    out.write_str(" to ")?;
    write_peer(out, &rule.destination, rule.family)
}

fn write_peer(out: &mut impl Write, peer: &Peer, family: Option<Family>) -> fmt::Result {
    if peer.negated {
        out.write_str("! ")?;
    }
    address::write_host(out, &peer.host, family)?;
    match peer.port {
        Some(port) => write!(out, " port {}", Comparison(port)),
        None => Ok(()),
    }
}

/// An operator with its numbers (`print_op`).
struct Comparison<T>(Operator<T>);

impl<T: Display + Copy> Display for Comparison<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Operator::Equal(a) => write!(f, "= {a}"),
            Operator::NotEqual(a) => write!(f, "!= {a}"),
            Operator::Less(a) => write!(f, "< {a}"),
            Operator::LessOrEqual(a) => write!(f, "<= {a}"),
            Operator::Greater(a) => write!(f, "> {a}"),
            Operator::GreaterOrEqual(a) => write!(f, ">= {a}"),
            Operator::Range(a, b) => write!(f, "{a}:{b}"),
            Operator::Between(a, b) => write!(f, "{a} >< {b}"),
            Operator::Outside(a, b) => write!(f, "{a} <> {b}"),
        }
    }
}

fn write_owner(out: &mut impl Write, word: &str, id: Operator<u32>) -> fmt::Result {
    match id {
        Operator::Equal(Rule::UNKNOWN_ID) => write!(out, " {word} = unknown"),
        Operator::NotEqual(Rule::UNKNOWN_ID) => write!(out, " {word} != unknown"),
        other => write!(out, " {word} {}", Comparison(other)),
    }
}

fn write_flags(out: &mut impl Write, rule: &Rule) -> fmt::Result {
    let stateful = match rule.action {
        Action::Pass | Action::Match => rule.keep_state != KeepState::No,
        Action::Block(_) | Action::Anchor(_) => false,
    };
    match rule.flags {
        Some(flags) => write!(out, " flags {flags}"),
        None if stateful && rule.protocol.is_none_or(|protocol| protocol == Protocol::TCP) && !rule.fragment => {
            out.write_str(" flags any")
        }
        None => Ok(()),
    }
}

fn write_icmp(out: &mut impl Write, icmp: IcmpMatch, family: Option<Family>) -> fmt::Result {
    let (family, word) = match family {
        Some(Family::Inet6) => (Family::Inet6, "icmp6-type"),
        Some(Family::Inet) | None => (Family::Inet, "icmp-type"),
    };
    match names::icmp_type_name(family, icmp.kind) {
        Some(name) => write!(out, " {word} {name}")?,
        None => write!(out, " {word} {}", icmp.kind)?,
    }
    match icmp.code {
        Some(code) => write!(out, " code {}", IcmpCode(family, (icmp.kind, code))),
        None => Ok(()),
    }
}

fn write_set(out: &mut impl Write, set: &SetFields) -> fmt::Result {
    let SetFields {
        prio,
        queue,
        tos,
        delay,
    } = set;
    let mut fields = Separated::new(" set (", ", ");
    match prio {
        Some((usual, low_delay)) if usual == low_delay => write!(fields.next(out)?, "prio {usual}")?,
        Some((usual, low_delay)) => write!(fields.next(out)?, "prio({usual}, {low_delay})")?,
        None => {}
    }
    if let Some(queue) = queue {
        match &queue.priority {
            Some(priority) => write!(fields.next(out)?, "queue({}, {priority})", queue.name)?,
            None => write!(fields.next(out)?, "queue {}", queue.name)?,
        }
    }
    if let Some(tos) = tos {
        write!(fields.next(out)?, "tos 0x{tos:02x}")?;
    }
    if let Some(delay) = delay {
        write!(fields.next(out)?, "delay {delay}")?;
    }
    fields.end(out, ")")
}

fn write_scrub(out: &mut impl Write, scrub: Scrub) -> fmt::Result {
    let Scrub {
        no_df,
        random_id,
        min_ttl,
        reassemble_tcp,
        max_mss,
    } = scrub;
    let mut words = Separated::new(" scrub (", " ");
    if no_df {
        words.next(out)?.write_str("no-df")?;
    }
    if random_id {
        words.next(out)?.write_str("random-id")?;
    }
    if min_ttl != 0 {
        write!(words.next(out)?, "min-ttl {min_ttl}")?;
    }
    if reassemble_tcp {
        words.next(out)?.write_str("reassemble tcp")?;
    }
    if max_mss != 0 {
        write!(words.next(out)?, "max-mss {max_mss}")?;
    }
    words.end(out, ")")
}

/// A list that opens before its first item and is not there without one.
pub(super) struct Separated {
    before: &'static str,
    between: &'static str,
    started: bool,
}

impl Separated {
    pub(super) fn new(before: &'static str, between: &'static str) -> Self {
        Self {
            before,
            between,
            started: false,
        }
    }

    /// Where to write the next item.
    pub(super) fn next<'a, W: Write>(&mut self, out: &'a mut W) -> Result<&'a mut W, fmt::Error> {
        out.write_str(if self.started { self.between } else { self.before })?;
        self.started = true;
        Ok(out)
    }

    pub(super) fn end(&self, out: &mut impl Write, after: &str) -> fmt::Result {
        if self.started { out.write_str(after) } else { Ok(()) }
    }
}
