//! From the pairs of pest to the AST: numbers, names of services and protocols, and what the grammar cannot say.

use std::net::IpAddr;

use ipnet::IpNet;
use pest::Parser;
use pest::error::InputLocation;
use pest::iterators::Pair;

use super::ast::{
    Assumption, Closed, Demand, End, Expectation, Fact, Host, HostItem, Hosts, Packets, Policy, Spanned, Statement,
    Zone,
};
use super::grammar::{PolicyParser, Rule, expected, is_reserved};
use super::statements;
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::net::names;
use crate::net::{Family, Protocol};
use crate::ruleset::{Modifiers, Name};
use crate::source::Span;

/// The deepest nesting of `{ }` in a host list.
const DEEPEST: usize = 50;

/// Statements of pf.conf: who writes one into a policy has the wrong file.
const PF_CONF: [&str; 12] = [
    "pass",
    "block",
    "match",
    "set",
    "table",
    "anchor",
    "antispoof",
    "load",
    "queue",
    "altq",
    "nat",
    "rdr",
];

/// One line of a policy.
pub(super) enum Line {
    /// `include`, of that file.
    Include(Spanned<String>),
    /// Anything else; it is in the policy already.
    Done,
}

/// Parses one statement and adds what it says to the policy; the complaint where it cannot.
pub(super) fn line(text: &statements::Statement, policy: &mut Policy) -> Result<Line, Box<Diagnostic>> {
    let builder = Builder { text };
    let pair = builder.parse(Rule::line)?;
    builder.line(pair, policy)
}

/// The assumption that a `--assume` says.
pub(super) fn assumption(text: &statements::Statement) -> Result<Assumption, Box<Diagnostic>> {
    let builder = Builder { text };
    let pair = builder.parse(Rule::assumption_line)?;
    let inner = pair.into_inner().find(|pair| pair.as_rule() == Rule::assumption);
    match inner {
        Some(pair) => builder.assumption(pair),
        None => Err(Box::new(Diagnostic::new(Code::Policy, "syntax error").at(text.whole()))),
    }
}

pub(super) type Built<T> = Result<T, Box<Diagnostic>>;

pub(super) struct Builder<'a> {
    text: &'a statements::Statement,
}

impl<'a> Builder<'a> {
    fn parse(&self, rule: Rule) -> Built<Pair<'a, Rule>> {
        self.check_depth()?;
        let failed = match PolicyParser::parse(rule, &self.text.text) {
            Ok(mut pairs) => {
                if let Some(pair) = pairs.next() {
                    return Ok(pair);
                }
                return Err(Box::new(
                    Diagnostic::new(Code::Policy, "syntax error").at(self.text.whole()),
                ));
            }
            Err(error) => error,
        };
        let first = self.text.text.split_whitespace().next().unwrap_or("");
        let start = match failed.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
        };
        let rest = self.text.text.get(start..).unwrap_or("");
        let word = rest
            .find(|c: char| c.is_whitespace() || "{}()<>!=,#".contains(c))
            .map_or(rest.len(), |length| length.max(1));
        let word = rest.get(..word).unwrap_or("").trim_end();
        let span = self.text.span(start, start + word.len());
        if PF_CONF.contains(&first) || self.text.text.split_whitespace().nth(1) == Some("=") {
            let start = self.text.text.find(first).unwrap_or(0);
            let message = if PF_CONF.contains(&first) {
                format!("`{first}` is a statement of pf.conf, not of a policy")
            } else {
                format!("`{first} = …` defines a macro, which only pf.conf can")
            };
            let help = "a policy has `zone`, `require`, `allow`, `forbid`, `closed`, `assume`, `config`, `include`";
            return Err(Box::new(
                Diagnostic::new(Code::Policy, message)
                    .at(self.text.span(start, start + first.len()))
                    .help(help),
            ));
        }
        let mut finding = Diagnostic::new(Code::Policy, "syntax error");
        let expected = expected(&failed).unwrap_or_default();
        finding = match expected.as_str() {
            "" => finding.at(span),
            expected if word.is_empty() => finding.labelled(span, format!("{expected} here")),
            expected => finding.labelled(span, expected),
        };
        let verbs = [
            "require", "allow", "forbid", "closed", "zone", "assume", "config", "include",
        ];
        let near = match verbs.contains(&first) {
            false => nearest(first, verbs),
            // The words that are expected stand in backquotes.
            true => nearest(word, expected.split('`').skip(1).step_by(2)),
        };
        if let Some(near) = near {
            finding = finding.help(format!("did you mean `{near}`?"));
        } else if first == "closed" && word == "self" {
            finding = finding.help("`closed` is about zones; of the machine itself say `forbid from … to self`");
        } else if is_reserved(&failed) {
            finding = finding.help(format!("`{word}` is a word of the language: choose another name"));
        }
        Err(Box::new(finding))
    }

    /// Lists may nest, but not without end: the parser is recursive.
    fn check_depth(&self) -> Built<()> {
        let mut depth = 0usize;
        for (at, c) in self.text.text.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > DEEPEST {
                let message = format!("lists are nested more than {DEEPEST} deep");
                return Err(Box::new(
                    Diagnostic::new(Code::Policy, message).at(self.text.span(at, at + 1)),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let text = pair.as_str();
        let start = pair.as_span().start();
        self.text.span(start, start + text.trim_end().len())
    }

    pub(super) fn error<T>(&self, pair: &Pair<'_, Rule>, message: impl Into<String>) -> Built<T> {
        Err(Box::new(Diagnostic::new(Code::Policy, message).at(self.span(pair))))
    }

    fn spanned(&self, pair: &Pair<'_, Rule>) -> Spanned<Name> {
        Spanned {
            value: pair.as_str().trim().into(),
            span: self.span(pair),
        }
    }

    fn line(&self, pair: Pair<'a, Rule>, policy: &mut Policy) -> Built<Line> {
        for pair in pair.into_inner() {
            match pair.as_rule() {
                Rule::include => {
                    return Ok(Line::Include(self.string_in(pair)));
                }
                Rule::config => policy.configs.push(self.string_in(pair)),
                Rule::zone => policy.zones.push(self.zone(pair)?),
                Rule::closed => policy.statements.push(self.closed(pair)?),
                Rule::flow => policy.statements.push(self.flow(pair)?),
                Rule::assume => {
                    for pair in pair.into_inner().filter(|pair| pair.as_rule() == Rule::assumption) {
                        policy.assumptions.push(self.assumption(pair)?);
                    }
                }
                // The grammar has nothing else in a line but its end.
                _ => {}
            }
        }
        Ok(Line::Done)
    }

    /// The text in the quotes of a statement that has one.
    fn string_in(&self, pair: Pair<'a, Rule>) -> Spanned<String> {
        let whole = self.span(&pair);
        pair.into_inner()
            .find(|pair| pair.as_rule() == Rule::string)
            .map_or_else(
                || Spanned {
                    value: String::new(),
                    span: whole,
                },
                |string| Spanned {
                    value: unquoted(&string).to_owned(),
                    span: self.span(&string),
                },
            )
    }

    fn zone(&self, pair: Pair<'a, Rule>) -> Built<Zone> {
        let mut name = self.spanned(&pair);
        let mut interfaces = Vec::new();
        let mut from = None;
        for pair in pair.into_inner() {
            match pair.as_rule() {
                Rule::name => name = self.spanned(&pair),
                Rule::interfaces => interfaces = pair.into_inner().map(|pair| self.spanned(&pair)).collect(),
                Rule::hosts => from = Some(self.hosts(pair)?),
                _ => {}
            }
        }
        Ok(Zone { name, interfaces, from })
    }

    fn closed(&self, pair: Pair<'a, Rule>) -> Built<Statement> {
        let span = self.span(&pair);
        let mut name = None;
        let mut closed = Closed::All;
        for pair in pair.into_inner() {
            match pair.as_rule() {
                Rule::string => name = Some(unquoted(&pair).into()),
                Rule::closed_from => closed = Closed::From(self.names(pair)),
                Rule::closed_to => closed = Closed::To(self.names(pair)),
                _ => {}
            }
        }
        Ok(Statement {
            span,
            name,
            demand: Demand::Closed(closed),
        })
    }

    fn names(&self, pair: Pair<'a, Rule>) -> Vec<Spanned<Name>> {
        pair.into_inner()
            .filter(|pair| pair.as_rule() == Rule::names)
            .flat_map(Pair::into_inner)
            .map(|pair| self.spanned(&pair))
            .collect()
    }

    fn flow(&self, pair: Pair<'a, Rule>) -> Built<Statement> {
        let span = self.span(&pair);
        let mut verb = "";
        let mut name = None;
        let mut packets = Packets::default();
        let mut expectations = Vec::new();
        for pair in pair.into_inner() {
            match pair.as_rule() {
                Rule::verb => verb = pair.as_str(),
                Rule::string => name = Some(unquoted(&pair).into()),
                Rule::packets => packets = self.packets(pair)?,
                Rule::expectation => {
                    if verb != "require" {
                        return self.error(&pair, format!("only `require` has expectations, `{verb}` has none"));
                    }
                    expectations.push(Spanned {
                        span: self.span(&pair),
                        value: self.expectation(pair)?,
                    });
                }
                _ => {}
            }
        }
        let demand = match verb {
            "require" => Demand::Require(packets, expectations),
            "allow" => Demand::Allow(packets),
            _ => Demand::Forbid(packets),
        };
        Ok(Statement { span, name, demand })
    }

    fn packets(&self, pair: Pair<'a, Rule>) -> Built<Packets> {
        let mut packets = Packets::default();
        let whole = pair.clone();
        for pair in pair.into_inner() {
            match pair.as_rule() {
                Rule::family => {
                    packets.family = Some(if pair.as_str() == "inet" {
                        Family::Inet
                    } else {
                        Family::Inet6
                    });
                }
                Rule::protocols => {
                    for pair in pair.into_inner().filter(|pair| pair.as_rule() == Rule::protocol) {
                        packets.protocols.push(self.protocol(&pair)?);
                    }
                }
                Rule::source => packets.source = self.end(pair, &packets.protocols)?,
                Rule::destination => packets.destination = self.end(pair, &packets.protocols)?,
                Rule::icmp_types => packets.icmp = self.icmp_types(pair, &packets.protocols)?,
                _ => {}
            }
        }
        for (protocol, family) in [(Protocol::ICMP, Family::Inet), (Protocol::ICMP6, Family::Inet6)] {
            if packets.protocols.contains(&protocol) && packets.family.is_some_and(|said| said != family) {
                let name = if family == Family::Inet { "icmp" } else { "icmp6" };
                let message = format!("proto {name} doesn't match address family {}", family.other());
                return self.error(&whole, message);
            }
        }
        Ok(packets)
    }

    fn protocol(&self, pair: &Pair<'_, Rule>) -> Built<Protocol> {
        let word = pair.as_str().trim();
        if let Ok(number) = word.parse::<u8>() {
            return Ok(Protocol(number));
        }
        names::protocol(word).map_or_else(
            || {
                self.unknown(
                    pair,
                    &format!("unknown protocol `{word}`"),
                    nearest(word, names::protocol_names()),
                )
            },
            Ok,
        )
    }

    pub(super) fn unknown<T>(&self, pair: &Pair<'_, Rule>, message: &str, near: Option<&str>) -> Built<T> {
        let mut finding = Diagnostic::new(Code::Policy, message).at(self.span(pair));
        if let Some(near) = near {
            finding = finding.help(format!("did you mean `{near}`?"));
        }
        Err(Box::new(finding))
    }

    fn end(&self, pair: Pair<'a, Rule>, protocols: &[Protocol]) -> Built<End> {
        let mut end = End::default();
        for pair in pair.into_inner() {
            match pair.as_rule() {
                Rule::hosts => end.hosts = Some(self.hosts(pair)?),
                Rule::ports => {
                    if protocols.is_empty() || !protocols.iter().all(|protocol| protocol.has_ports()) {
                        let finding = Diagnostic::new(Code::Policy, "port only applies to tcp/udp")
                            .at(self.span(&pair))
                            .help("say `proto tcp`, `proto udp` or `proto { tcp udp }` before it");
                        return Err(Box::new(finding));
                    }
                    end.ports = self.ports(pair, protocols)?;
                }
                _ => {}
            }
        }
        Ok(end)
    }

    fn hosts(&self, pair: Pair<'a, Rule>) -> Built<Hosts> {
        let span = self.span(&pair);
        let is_list = pair.as_str().starts_with('{');
        let mut items = Vec::new();
        self.host_items(pair, &mut items)?;
        if let ([only], false) = (items.as_slice(), is_list)
            && only.negated
        {
            // As in pf.conf: any but that.
            items.insert(
                0,
                HostItem {
                    span,
                    negated: false,
                    host: Host::Any,
                },
            );
        }
        if items.iter().all(|item: &HostItem| item.negated) {
            let finding = Diagnostic::new(Code::Policy, "only negated hosts: nothing to take them away from")
                .at(span)
                .help("say from what, as in `{ any ! 10.1.0.66 }`");
            return Err(Box::new(finding));
        }
        Ok(Hosts { span, items })
    }

    fn host_items(&self, pair: Pair<'a, Rule>, items: &mut Vec<HostItem>) -> Built<()> {
        for pair in pair.into_inner() {
            match pair.as_rule() {
                Rule::hosts => self.host_items(pair, items)?,
                Rule::host => items.push(self.host(pair)?),
                _ => {}
            }
        }
        Ok(())
    }

    fn host(&self, pair: Pair<'a, Rule>) -> Built<HostItem> {
        let span = self.span(&pair);
        let mut negated = false;
        let mut host = Host::Any;
        for pair in pair.into_inner() {
            host = match pair.as_rule() {
                Rule::negation => {
                    negated = true;
                    continue;
                }
                Rule::itself => Host::Itself,
                Rule::table => Host::Table(table_name(&pair)),
                Rule::prefix => Host::Prefix(self.prefix(&pair)?.trunc()),
                Rule::name => self.named(&pair)?,
                Rule::dynamic => match pair.into_inner().next() {
                    Some(name) => self.named(&name)?,
                    None => continue,
                },
                _ => continue,
            };
        }
        Ok(HostItem { span, negated, host })
    }

    /// An address, or a name with pf's modifiers of interfaces.
    fn named(&self, pair: &Pair<'_, Rule>) -> Built<Host> {
        let word = pair.as_str().trim();
        if let Ok(address) = word.parse::<IpAddr>() {
            return Ok(Host::Prefix(IpNet::from(address)));
        }
        let mut parts = word.split(':');
        let name = parts.next().unwrap_or("");
        let mut modifiers = Modifiers::default();
        for part in parts {
            match part {
                "network" => modifiers.network = true,
                "broadcast" => modifiers.broadcast = true,
                "peer" => modifiers.peer = true,
                "0" => modifiers.no_alias = true,
                _ => return self.error(pair, format!("`{word}` is no address, and `:{part}` no modifier")),
            }
        }
        Ok(Host::Named(name.into(), modifiers))
    }

    fn prefix(&self, pair: &Pair<'_, Rule>) -> Built<IpNet> {
        let text = pair.as_str().trim();
        let (word, bits) = text.split_once('/').unwrap_or((text, ""));
        // As in pf.conf, the last parts of an IPv4 network may be left out.
        let padded = match word.split('.').count() {
            parts @ 1..4 if !word.contains(':') => format!("{word}{}", ".0".repeat(4 - parts)),
            _ => word.to_owned(),
        };
        match (padded.parse::<IpAddr>(), bits.parse::<u8>()) {
            (Ok(address), Ok(bits)) => {
                IpNet::new(address, bits).or_else(|_| self.error(pair, format!("illegal prefix length in `{text}`")))
            }
            _ => self.error(pair, format!("`{text}` is no network")),
        }
    }

    fn expectation(&self, pair: Pair<'a, Rule>) -> Built<Expectation> {
        let Some(pair) = pair.clone().into_inner().next() else {
            return self.error(&pair, "syntax error");
        };
        let rule = pair.as_rule();
        if rule == Rule::log {
            return Ok(Expectation::Log);
        }
        if rule == Rule::by_label {
            return Ok(Expectation::By(self.string_in(pair).value.into()));
        }
        let mut target = None;
        let mut ports = Vec::new();
        for pair in pair.into_inner() {
            match pair.as_rule() {
                Rule::target => {
                    for hosts in pair.into_inner() {
                        target = Some(self.hosts(hosts)?);
                    }
                }
                Rule::ports => ports = self.ports(pair, &[Protocol::TCP, Protocol::UDP])?,
                _ => {}
            }
        }
        Ok(if rule == Rule::nat_to {
            Expectation::Nat(target)
        } else {
            Expectation::Rdr(target.map(|hosts| (hosts, ports)))
        })
    }

    fn assumption(&self, pair: Pair<'a, Rule>) -> Built<Assumption> {
        let span = self.span(&pair);
        let text = pair.as_str().split_whitespace().collect::<Vec<_>>().join(" ");
        let Some(pair) = pair.clone().into_inner().next() else {
            return self.error(&pair, "syntax error");
        };
        let rule = pair.as_rule();
        let whole = pair.clone();
        let mut name: Name = "".into();
        let mut packets = Packets::default();
        let mut address = None;
        for pair in pair.into_inner() {
            match pair.as_rule() {
                Rule::string => name = unquoted(&pair).trim_start_matches('/').into(),
                Rule::table => name = table_name(&pair),
                Rule::packets => packets = self.packets(pair)?,
                Rule::prefix => address = Some(self.prefix(&pair)?),
                Rule::name if name.is_empty() => name = pair.as_str().trim().into(),
                Rule::name => match pair.as_str().trim().parse::<IpAddr>() {
                    Ok(found) => address = Some(IpNet::from(found)),
                    Err(_) => return self.error(&pair, format!("`{}` is no address", pair.as_str().trim())),
                },
                _ => {}
            }
        }
        let fact = match (rule, address) {
            (Rule::anchor_empty, _) => Fact::AnchorEmpty(name),
            (Rule::anchor_only, _) => Fact::AnchorOnly(name, packets),
            (Rule::table_empty, _) => Fact::TableEmpty(name),
            (Rule::table_as_written, _) => Fact::TableAsWritten(name),
            (Rule::user_none, _) => Fact::NoUser(name),
            (Rule::group_none, _) => Fact::NoGroup(name),
            (_, Some(address)) => Fact::Address(name, address),
            (_, None) => return self.error(&whole, "syntax error"),
        };
        Ok(Assumption { span, text, fact })
    }
}

fn unquoted<'a>(pair: &Pair<'a, Rule>) -> &'a str {
    pair.as_str().trim_matches('"')
}

fn table_name(pair: &Pair<'_, Rule>) -> Name {
    pair.as_str().trim_matches(['<', '>']).into()
}
