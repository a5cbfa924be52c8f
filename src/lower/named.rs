//! Names of protocols, icmp types and codes, users and groups, and the interfaces of `on`.

use super::node::{IcmpNode, InterfaceNode};
use super::port::number;
use super::{Lowerer, Refused};
use crate::diagnostic::Code;
use crate::net::{Family, Operator, Protocol, names};
use crate::ruleset::{IcmpMatch, Rule};
use crate::source::At;
use crate::syntax::ast::{
    BinaryOperator, Comparison, IcmpItem, IcmpSpec, Id, InterfaceItem, InterfaceKind, NamedOrNumber, Spanned,
    UnaryOperator, Word,
};

/// The same name, among others that live less long.
pub(super) fn shorten<'a>(name: &'static str) -> &'a str {
    name
}

impl Lowerer<'_> {
    /// A protocol by name or number.
    pub(super) fn protocol(&mut self, item: &NamedOrNumber) -> Result<Protocol, Refused> {
        match item {
            NamedOrNumber::Number(number) => Ok(Protocol(number.value)),
            NamedOrNumber::Name(word) => match names::protocol(&word.text) {
                Some(Protocol(0)) => Err(self.refuse(word.at, "proto 0 cannot be used")),
                Some(protocol) => Ok(protocol),
                None => {
                    let help = self.did_you_mean(&word.text, names::protocol_names());
                    Err(self.refuse_with(word.at, format!("unknown protocol {}", word.text), help))
                }
            },
        }
    }

    /// `icmp-type …` or `icmp6-type …`.
    pub(super) fn icmp(&mut self, spec: &IcmpSpec) -> Result<Vec<IcmpNode>, Refused> {
        let protocol = match spec.family {
            Family::Inet => Protocol::ICMP,
            Family::Inet6 => Protocol::ICMP6,
        };
        spec.items
            .iter()
            .map(|item| {
                let test = self.icmp_item(spec.family, item)?;
                Ok(IcmpNode { protocol, test })
            })
            .collect()
    }

    fn icmp_item(&mut self, family: Family, item: &IcmpItem) -> Result<IcmpMatch, Refused> {
        let word_for = match family {
            Family::Inet => "icmp",
            Family::Inet6 => "icmp6",
        };
        let kind = match &item.kind {
            NamedOrNumber::Number(number) => number.value,
            NamedOrNumber::Name(word) => names::icmp_type(family, &word.text).ok_or_else(|| {
                let help = self.did_you_mean(&word.text, names::icmp_type_names(family));
                self.refuse_with(word.at, format!("unknown {word_for}-type {}", word.text), help)
            })?,
        };
        let code = match &item.code {
            None => None,
            Some(NamedOrNumber::Number(number)) => Some(number.value),
            Some(NamedOrNumber::Name(word)) => Some(names::icmp_code(family, kind, &word.text).ok_or_else(|| {
                let text = format!("unknown {word_for}-code {}", word.text);
                let help = "codes have names for their own type only".to_owned();
                self.refuse_with(word.at, text, Some(help))
            })?),
        };
        Ok(IcmpMatch { kind, code })
    }

    /// The code of `return-icmp (…)`, of the unreachable of that family (`parseicmpspec`).
    pub(super) fn return_code(&mut self, family: Family, code: &NamedOrNumber) -> Result<u8, Refused> {
        let word = match code {
            NamedOrNumber::Number(number) => return Ok(number.value),
            NamedOrNumber::Name(word) => word,
        };
        let unreachable = match family {
            Family::Inet => 3,
            Family::Inet6 => 1,
        };
        match number(&word.text) {
            Some(value) => u8::try_from(value).map_err(|_| self.refuse(word.at, format!("invalid icmp code {value}"))),
            None => names::icmp_code(family, unreachable, &word.text)
                .ok_or_else(|| self.refuse(word.at, format!("unknown icmp code {}", word.text))),
        }
    }

    /// One item of `user` or `group`; `id` finds the number of a name.
    pub(super) fn owner(
        &mut self,
        item: &Spanned<Comparison<Id>>,
        id: fn(&mut Self, &Word) -> Result<u32, Refused>,
    ) -> Result<Operator<u32>, Refused> {
        let mut number = |written: &Id| match written {
            Id::Name(word) => id(self, word),
            Id::Number(number) => Ok(number.value),
            Id::Unknown(_) => Ok(Rule::UNKNOWN_ID),
        };
        Ok(match &item.value {
            Comparison::Plain(a) => Operator::Equal(number(a)?),
            Comparison::Unary(operator, a) => {
                let a = number(a)?;
                match operator.value {
                    UnaryOperator::Equal => Operator::Equal(a),
                    UnaryOperator::NotEqual => Operator::NotEqual(a),
                    UnaryOperator::Less => Operator::Less(a),
                    UnaryOperator::LessOrEqual => Operator::LessOrEqual(a),
                    UnaryOperator::Greater => Operator::Greater(a),
                    UnaryOperator::GreaterOrEqual => Operator::GreaterOrEqual(a),
                }
            }
            Comparison::Binary(a, operator, b) => {
                let (a, b) = (number(a)?, number(b)?);
                match operator.value {
                    BinaryOperator::Between => Operator::Between(a, b),
                    BinaryOperator::Outside => Operator::Outside(a, b),
                }
            }
        })
    }

    /// The id of a user.
    pub(super) fn user_id(&mut self, word: &Word) -> Result<u32, Refused> {
        let own = self.context.users.get(&*word.text).copied();
        own.or_else(|| names::user_id(&word.text)).ok_or_else(|| {
            let own = self.context.users.keys().map(String::as_str);
            let help = self.did_you_mean(&word.text, own.chain(names::user_names().map(shorten)));
            self.refuse_with(
                word.at,
                format!("unknown user {}", word.text),
                help.or_else(|| {
                    Some("a user that OpenBSD does not ship needs its id in `[users]` of the context".into())
                }),
            )
        })
    }

    /// The id of a group of users.
    pub(super) fn group_id(&mut self, word: &Word) -> Result<u32, Refused> {
        let own = self.context.groups.get(&*word.text).copied();
        own.or_else(|| names::group_id(&word.text)).ok_or_else(|| {
            let own = self.context.groups.keys().map(String::as_str);
            let help = self.did_you_mean(&word.text, own.chain(names::group_names().map(shorten)));
            self.refuse_with(
                word.at,
                format!("unknown group {}", word.text),
                help.or_else(|| {
                    Some("a group that OpenBSD does not ship needs its id in `[groups]` of the context".into())
                }),
            )
        })
    }

    /// `on …`.
    pub(super) fn interfaces(&mut self, items: &[InterfaceItem]) -> Vec<InterfaceNode> {
        items.iter().map(|item| self.interface(item)).collect()
    }

    fn interface(&mut self, item: &InterfaceItem) -> InterfaceNode {
        let negated = item.negated;
        match &item.kind {
            InterfaceKind::Any => InterfaceNode::Name {
                negated,
                name: self.name("any"),
            },
            InterfaceKind::Rdomain(rdomain) => InterfaceNode::Rdomain {
                negated,
                rdomain: *rdomain,
            },
            InterfaceKind::Name(word) => {
                let consequence = if negated {
                    "the rule matches on every interface"
                } else {
                    "the rule never matches"
                };
                self.expect_interface(&word.text, word.at, consequence);
                InterfaceNode::Name {
                    negated,
                    name: self.name(&word.text),
                }
            }
        }
    }

    /// Warns of an interface or group that a closed context does not have, and says what follows.
    pub(super) fn expect_interface(&mut self, name: &str, at: At, consequence: &str) {
        if self.context.open || name == "any" || self.is_known_interface(name) {
            return;
        }
        let text = format!("no interface or group `{name}`: {consequence}");
        let mut finding = self.document.finding(Code::UnknownInterface, at, text);
        let interfaces = self.context.interfaces.iter();
        let names = interfaces.flat_map(|interface| {
            std::iter::once(interface.name.as_str()).chain(interface.groups.iter().map(String::as_str))
        });
        finding.help = self.did_you_mean(name, names);
        self.faults.push((at, finding));
    }

    fn is_known_interface(&mut self, name: &str) -> bool {
        if let Some(&known) = self.known_interfaces.get(name) {
            return known;
        }
        let known = self.context.knows(name) && name != "self";
        self.known_interfaces.insert(name.into(), known);
        known
    }
}
