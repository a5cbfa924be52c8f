//! Interfaces, hosts, ports.

use super::{Builder, Built, Pair, Refusal, refuse, shorter};
use crate::source::At;
use crate::syntax::ast::{
    BinaryOperator, Comparison, DynamicHost, FromTo, Host, HostKind, InterfaceItem, InterfaceKind, InterfaceModifiers,
    IpSpec, NamedOrNumber, PeerSpec, Spanned, UnaryOperator, Word,
};
use crate::syntax::grammar::Rule;

/// `IFNAMSIZ`
const INTERFACE_SIZE: usize = 16;
/// `PF_TABLE_NAME_SIZE`
pub(super) const TABLE_SIZE: usize = 32;
/// `RTLABEL_LEN`
const ROUTE_LABEL_SIZE: usize = 32;
/// `RT_TABLEID_MAX`
pub(super) const ROUTING_TABLES: i64 = 255;

impl Builder {
    /// `on …`
    pub(super) fn ifspec(&self, pair: Pair<'_>) -> Built<Vec<InterfaceItem>> {
        pair.into_inner().map(|item| self.if_item(item)).collect()
    }

    fn if_item(&self, pair: Pair<'_>) -> Built<InterfaceItem> {
        let at = self.at(&pair);
        let mut negated = false;
        let mut item = InterfaceItem {
            at,
            negated,
            kind: InterfaceKind::Any,
        };
        for inner in pair.into_inner() {
            if inner.as_rule() == Rule::not {
                negated = true;
            } else {
                item = self.interface(&inner)?;
            }
        }
        Ok(InterfaceItem { at, negated, ..item })
    }

    /// `if_item` of parse.y: without `!`.
    pub(super) fn interface(&self, pair: &Pair<'_>) -> Built<InterfaceItem> {
        let at = self.at(pair);
        let kind = match pair.as_rule() {
            Rule::string => {
                let name = shorter(self.word(pair), INTERFACE_SIZE, |_| "interface name too long".into())?;
                InterfaceKind::Name(name)
            }
            Rule::rdomain => {
                let number = self.only_number(pair.clone());
                match u32::try_from(number.value) {
                    Ok(rdomain) if number.value <= ROUTING_TABLES => InterfaceKind::Rdomain(rdomain),
                    _ => return refuse(number.at, format!("rdomain {} outside range", number.value)),
                }
            }
            _ => InterfaceKind::Any,
        };
        Ok(InterfaceItem {
            at,
            negated: false,
            kind,
        })
    }

    /// Takes `all`, `from`, `os` or `to`.
    pub(super) fn hosts(&self, hosts: &mut FromTo, pair: Pair<'_>) -> Built<()> {
        match pair.as_rule() {
            Rule::all => hosts.all = Some(self.at(&pair)),
            Rule::from => hosts.from = Some(self.peer(pair)?),
            Rule::os => hosts.os = self.words(pair).collect(),
            Rule::to => {
                let to = self.peer(pair)?;
                if let Some(at) = to.hosts.as_ref().and_then(urpf_failed) {
                    return refuse(at, "\"urpf-failed\" is not permitted in a destination address");
                }
                hosts.to = Some(to);
            }
            _ => {}
        }
        Ok(())
    }

    fn peer(&self, pair: Pair<'_>) -> Built<PeerSpec> {
        let mut peer = PeerSpec {
            at: self.at(&pair),
            hosts: None,
            ports: Vec::new(),
        };
        for inner in pair.into_inner() {
            if inner.as_rule() == Rule::port {
                peer.ports = inner.into_inner().map(|item| self.port_item(item)).collect();
            } else {
                peer.hosts = Some(self.ipspec(inner)?);
            }
        }
        Ok(peer)
    }

    fn ipspec(&self, pair: Pair<'_>) -> Built<IpSpec> {
        let at = self.at(&pair);
        Ok(match pair.as_rule() {
            Rule::any => IpSpec::Any(at),
            Rule::host_list => {
                let value = pair.into_inner().map(|item| self.ipspec(item)).collect::<Built<_>>()?;
                IpSpec::List(Spanned { at, value })
            }
            _ => IpSpec::Host(self.host(pair)?),
        })
    }

    /// A `host` with its `!`, or a `redirhost` without its weight.
    pub(super) fn host(&self, pair: Pair<'_>) -> Built<Host> {
        let mut host = Host {
            at: self.at(&pair),
            negated: None,
            kind: HostKind::NoRoute,
        };
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::not => host.negated = Some(self.at(&inner)),
                Rule::weight => {}
                Rule::string | Rule::number => host.kind = HostKind::Named(self.word(&inner)),
                Rule::prefix => {
                    let bits = self.only_number(inner);
                    if let HostKind::Named(word) = &mut host.kind {
                        word.text = format!("{}/{}", word.text, bits.value).into();
                        word.at = word.at.to(bits.at);
                    }
                }
                Rule::range_end => {
                    let end = self.only_word(inner);
                    host.kind = match host.kind {
                        HostKind::Named(start) => HostKind::Range(Box::new((start, end))),
                        other => other,
                    };
                }
                Rule::dynamic => host.kind = self.dynamic(inner)?,
                Rule::table => {
                    host.kind = HostKind::Table(shorter(self.only_word(inner), TABLE_SIZE, |name| {
                        format!("table name '{name}' too long")
                    })?);
                }
                Rule::route_label => {
                    host.kind = HostKind::Route(shorter(self.only_word(inner), ROUTE_LABEL_SIZE, |_| {
                        format!("route label too long, max {} chars", ROUTE_LABEL_SIZE - 1)
                    })?);
                }
                Rule::urpf_failed => host.kind = HostKind::UrpfFailed,
                _ => host.kind = HostKind::NoRoute,
            }
        }
        Ok(host)
    }

    fn dynamic(&self, pair: Pair<'_>) -> Built<HostKind> {
        let mut prefix = None;
        let mut word = None;
        for inner in pair.into_inner() {
            if inner.as_rule() == Rule::prefix {
                let number = self.only_number(inner);
                match u8::try_from(number.value) {
                    Ok(bits) if bits <= 128 => prefix = Some(bits),
                    _ => return refuse(number.at, "bit number too big"),
                }
            } else {
                word = Some(self.word(&inner));
            }
        }
        let Some(word) = word else {
            return Ok(HostKind::NoRoute);
        };
        if !word.text.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Err(Box::new(Refusal {
                at: word.at,
                message: format!("invalid interface name '{}'", word.text),
                help: Some("only an interface or group stands in parentheses; write an address without them".into()),
            }));
        }
        let (interface, modifiers) = modifiers(&word)?;
        let interface = Word {
            at: word.at,
            text: interface.into(),
        };
        let interface = shorter(interface, INTERFACE_SIZE, |_| "interface name too long".into())?;
        Ok(HostKind::Dynamic(Box::new(DynamicHost {
            interface,
            modifiers,
            prefix,
        })))
    }

    fn port_item(&self, pair: Pair<'_>) -> Spanned<Comparison<Word>> {
        let at = self.at(&pair);
        let mut words = (None, None);
        let mut unary = None;
        let mut binary = None;
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::unary_op => unary = Some(self.unary(&inner)),
                Rule::binary_op => binary = Some(self.binary(&inner)),
                _ if words.0.is_none() => words.0 = Some(self.word(&inner)),
                _ => words.1 = Some(self.word(&inner)),
            }
        }
        let value = compare(words, unary, binary, || Word { at, text: "".into() });
        Spanned { at, value }
    }

    pub(super) fn unary(&self, pair: &Pair<'_>) -> Spanned<UnaryOperator> {
        let value = match pair.as_str().trim_end() {
            "!=" => UnaryOperator::NotEqual,
            "<=" => UnaryOperator::LessOrEqual,
            ">=" => UnaryOperator::GreaterOrEqual,
            "<" => UnaryOperator::Less,
            ">" => UnaryOperator::Greater,
            _ => UnaryOperator::Equal,
        };
        Spanned {
            at: self.at(pair),
            value,
        }
    }

    pub(super) fn binary(&self, pair: &Pair<'_>) -> Spanned<BinaryOperator> {
        let value = match pair.as_str().trim_end() {
            "<>" => BinaryOperator::Outside,
            _ => BinaryOperator::Between,
        };
        Spanned {
            at: self.at(pair),
            value,
        }
    }

    /// A name, or a number of 0 to 255; else the message that `wrong` makes of it.
    pub(super) fn named_or_byte(&self, pair: &Pair<'_>, wrong: impl Fn(i64) -> String) -> Built<NamedOrNumber> {
        if pair.as_rule() == Rule::string {
            return Ok(NamedOrNumber::Name(self.word(pair)));
        }
        let number = self.number(pair);
        match u8::try_from(number.value) {
            Ok(value) => Ok(NamedOrNumber::Number(Spanned { at: number.at, value })),
            Err(_) => refuse(number.at, wrong(number.value)),
        }
    }
}

/// The comparison that one or two operands and an operator make.
pub(super) fn compare<T>(
    (first, second): (Option<T>, Option<T>),
    unary: Option<Spanned<UnaryOperator>>,
    binary: Option<Spanned<BinaryOperator>>,
    missing: impl Fn() -> T,
) -> Comparison<T> {
    // INVARIANT: the grammar gives as many operands as the operator takes.
    let first = first.unwrap_or_else(&missing);
    match (unary, binary) {
        (Some(operator), _) => Comparison::Unary(operator, first),
        (None, Some(operator)) => Comparison::Binary(first, operator, second.unwrap_or_else(missing)),
        (None, None) => Comparison::Plain(first),
    }
}

/// An interface's name and its modifiers, taken off from the end as parse.y's `dynaddr` does.
fn modifiers(word: &Word) -> Built<(&str, InterfaceModifiers)> {
    let mut name: &str = &word.text;
    let mut found = InterfaceModifiers::default();
    while let Some((before, modifier)) = name.rsplit_once(':') {
        match modifier {
            "network" => found.network = true,
            "broadcast" => found.broadcast = true,
            "peer" => found.peer = true,
            "0" => found.no_alias = true,
            _ => return refuse(word.at, format!("interface {name} has bad modifier")),
        }
        name = before;
    }
    if u8::from(found.network) + u8::from(found.broadcast) + u8::from(found.peer) > 1 {
        return refuse(word.at, "illegal combination of interface modifiers");
    }
    Ok((name, found))
}

/// Where `urpf-failed` stands, if it does and no `any` swallows it.
fn urpf_failed(hosts: &IpSpec) -> Option<At> {
    match hosts {
        IpSpec::Any(_) => None,
        IpSpec::Host(host) => (host.kind == HostKind::UrpfFailed).then_some(host.at),
        IpSpec::List(list) if has_any(&list.value) => None,
        IpSpec::List(list) => list.value.iter().find_map(urpf_failed),
    }
}

fn has_any(list: &[IpSpec]) -> bool {
    list.iter().any(|item| match item {
        IpSpec::Any(_) => true,
        IpSpec::Host(_) => false,
        IpSpec::List(list) => has_any(&list.value),
    })
}
