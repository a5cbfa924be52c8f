//! Ports and icmp types of a policy: numbers and names, as pf.conf(5) has them.

use pest::iterators::Pair;

use super::build::{Builder, Built};
use super::grammar::Rule;
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::net::names;
use crate::net::{Family, Operator, Protocol};
use crate::ruleset::IcmpMatch;

impl<'a> Builder<'a> {
    pub(super) fn ports(&self, pair: Pair<'a, Rule>, protocols: &[Protocol]) -> Built<Vec<Operator<u16>>> {
        pair.into_inner()
            .filter(|pair| pair.as_rule() == Rule::port)
            .map(|pair| self.port(pair, protocols))
            .collect()
    }

    fn port(&self, pair: Pair<'a, Rule>, protocols: &[Protocol]) -> Built<Operator<u16>> {
        let mut operator = "=";
        let mut numbers = Vec::new();
        for pair in pair.into_inner().flat_map(Pair::into_inner) {
            match pair.as_rule() {
                Rule::comparison | Rule::outside_or_between => operator = pair.as_str(),
                _ => {
                    if let Some((first, last)) = pair.as_str().trim().split_once(':') {
                        let first = if first.is_empty() {
                            0
                        } else {
                            self.port_number(&pair, first, protocols)?
                        };
                        let last = if last.is_empty() {
                            u16::MAX
                        } else {
                            self.port_number(&pair, last, protocols)?
                        };
                        return Ok(Operator::Range(first, last));
                    }
                    numbers.push(self.port_number(&pair, pair.as_str().trim(), protocols)?);
                }
            }
        }
        Ok(match (operator, numbers.as_slice()) {
            ("!=", &[a]) => Operator::NotEqual(a),
            ("<", &[a]) => Operator::Less(a),
            ("<=", &[a]) => Operator::LessOrEqual(a),
            (">", &[a]) => Operator::Greater(a),
            (">=", &[a]) => Operator::GreaterOrEqual(a),
            ("><", &[a, b]) => Operator::Between(a, b),
            ("<>", &[a, b]) => Operator::Outside(a, b),
            (_, &[a, ..]) => Operator::Equal(a),
            (_, &[]) => Operator::Equal(0),
        })
    }

    fn port_number(&self, pair: &Pair<'_, Rule>, word: &str, protocols: &[Protocol]) -> Built<u16> {
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            return word
                .parse()
                .or_else(|_| self.error(pair, format!("illegal port value `{word}`")));
        }
        protocols
            .iter()
            .find_map(|&protocol| names::service_port(word, protocol))
            .map_or_else(
                || {
                    self.unknown(
                        pair,
                        &format!("unknown port `{word}`"),
                        nearest(word, names::service_names()),
                    )
                },
                Ok,
            )
    }

    pub(super) fn icmp_types(&self, pair: Pair<'a, Rule>, protocols: &[Protocol]) -> Built<Vec<IcmpMatch>> {
        let family = match protocols {
            [Protocol::ICMP] => Family::Inet,
            [Protocol::ICMP6] => Family::Inet6,
            _ => {
                let finding = Diagnostic::new(Code::Policy, "icmp-type only applies to icmp")
                    .at(self.span(&pair))
                    .help("say `inet proto icmp` or `inet6 proto icmp6` before it");
                return Err(Box::new(finding));
            }
        };
        pair.into_inner()
            .filter(|pair| pair.as_rule() == Rule::icmp_type)
            .map(|pair| self.icmp_type(pair, family))
            .collect()
    }

    fn icmp_type(&self, pair: Pair<'a, Rule>, family: Family) -> Built<IcmpMatch> {
        let mut found = IcmpMatch { kind: 0, code: None };
        for pair in pair.into_inner() {
            let word = pair.as_str().trim();
            match pair.as_rule() {
                Rule::word => {
                    let kind = word.parse().ok().or_else(|| names::icmp_type(family, word));
                    found.kind = match kind {
                        Some(kind) => kind,
                        None => {
                            let near = nearest(word, names::icmp_type_names(family));
                            return self.unknown(&pair, &format!("unknown icmp-type `{word}`"), near);
                        }
                    };
                }
                Rule::icmp_code => {
                    let code = word.parse().ok().or_else(|| names::icmp_code(family, found.kind, word));
                    match code {
                        Some(code) => found.code = Some(code),
                        None => return self.error(&pair, format!("unknown icmp-code `{word}`")),
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }
}
