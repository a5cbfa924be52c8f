//! Ports (`parseport`, `getservice`) and the numbers in words that go with them.

use super::named::shorten;
use super::node::PoolPorts;
use super::{Lowerer, Refused};
use crate::net::{Operator, Protocol, names};
use crate::syntax::ast::{BinaryOperator, Comparison, Spanned, UnaryOperator, Word};

/// A number as `strtoul(3)` reads it with base 0: decimal, `0x…` or `0…`; `None` where it is none.
pub(super) fn number(text: &str) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(rest) => (rest, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    Some(if negative { value.wrapping_neg() } else { value })
}

impl Lowerer<'_> {
    /// One item of a list of ports.
    pub(super) fn port(&mut self, item: &Spanned<Comparison<Word>>) -> Result<Operator<u16>, Refused> {
        let operator = match &item.value {
            Comparison::Plain(word) => match self.port_range(word)? {
                (a, None) => Operator::Equal(a),
                (a, Some(b)) => Operator::Range(a, b),
            },
            Comparison::Unary(operator, word) => {
                let port = self.single_port(word)?;
                match operator.value {
                    UnaryOperator::Equal => Operator::Equal(port),
                    UnaryOperator::NotEqual => Operator::NotEqual(port),
                    UnaryOperator::Less => Operator::Less(port),
                    UnaryOperator::LessOrEqual => Operator::LessOrEqual(port),
                    UnaryOperator::Greater => Operator::Greater(port),
                    UnaryOperator::GreaterOrEqual => Operator::GreaterOrEqual(port),
                }
            }
            Comparison::Binary(a, operator, b) => {
                let (a, b) = (self.single_port(a)?, self.single_port(b)?);
                match operator.value {
                    BinaryOperator::Between => Operator::Between(a, b),
                    BinaryOperator::Outside => Operator::Outside(a, b),
                }
            }
        };
        let empty = match operator {
            Operator::Range(a, b) | Operator::Outside(a, b) => a > b,
            Operator::Between(a, b) => a >= b,
            Operator::Equal(_)
            | Operator::NotEqual(_)
            | Operator::Less(_)
            | Operator::LessOrEqual(_)
            | Operator::Greater(_)
            | Operator::GreaterOrEqual(_) => false,
        };
        if empty {
            return Err(self.refuse_with(
                item.at,
                "invalid port range",
                Some("the first port must be below the second".to_owned()),
            ));
        }
        Ok(operator)
    }

    /// A port beside an operator, which no range may be.
    fn single_port(&mut self, word: &Word) -> Result<u16, Refused> {
        match self.port_range(word)? {
            (port, None) => Ok(port),
            (_, Some(_)) => Err(self.refuse(word.at, "':' cannot be used with an other port operator")),
        }
    }

    /// `a` or `a:b`.
    fn port_range(&mut self, word: &Word) -> Result<(u16, Option<u16>), Refused> {
        match word.text.split_once(':') {
            None => Ok((self.service(word, &word.text)?, None)),
            Some((a, b)) => {
                let (a, b) = (self.service(word, a)?, self.service(word, b)?);
                Ok((a, (a != b).then_some(b)))
            }
        }
    }

    /// The port of divert-to and divert-packet: a single one, not 0.
    pub(super) fn divert_port(&mut self, word: &Word) -> Result<u16, Refused> {
        if word.text.contains(':') {
            return Err(self.refuse(word.at, format!("port is invalid: {}", word.text)));
        }
        match self.service(word, &word.text)? {
            0 => Err(self.refuse(word.at, "invalid divert port: 0")),
            port => Ok(port),
        }
    }

    /// The ports of a pool.
    pub(super) fn pool_ports(&mut self, word: &Word) -> Result<PoolPorts, Refused> {
        if let Some(first) = word.text.strip_suffix(":*")
            && !first.contains(':')
        {
            return Ok(PoolPorts::From(self.service(word, first)?));
        }
        Ok(match self.port_range(word)? {
            (a, None) => PoolPorts::One(a),
            (a, Some(b)) => PoolPorts::Range(a, b),
        })
    }

    /// A port by number or by the name of a service, of tcp or else of udp.
    fn service(&mut self, word: &Word, text: &str) -> Result<u16, Refused> {
        if let Some(value) = number(text) {
            return u16::try_from(value).map_err(|_| {
                self.refuse_with(
                    word.at,
                    format!("illegal port value {value}"),
                    Some("ports go up to 65535".to_owned()),
                )
            });
        }
        let known = [("tcp", Protocol::TCP), ("udp", Protocol::UDP)]
            .into_iter()
            .find_map(|(word, protocol)| {
                let services = &self.context.services;
                let own = match services.is_empty() {
                    true => None,
                    false => services.get(&(text.to_owned(), word.to_owned())).copied(),
                };
                own.or_else(|| names::service_port(text, protocol))
            });
        known.ok_or_else(|| {
            let own = self.context.services.keys().map(|(name, _)| name.as_str());
            let help = self.did_you_mean(text, own.chain(names::service_names().map(shorten)));
            let dash = text
                .split_once('-')
                .filter(|(a, b)| number(a).is_some() && number(b).is_some());
            let help = dash.map(|(a, b)| format!("a range is written `{a}:{b}`")).or(help);
            self.refuse_with(word.at, format!("unknown port {text}"), help)
        })
    }
}
