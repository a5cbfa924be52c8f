//! [`Choices`]: what pf chooses at random, or what only the running machine knows. The evaluator asks, somebody else
//! answers: thus every answer is a matter of the question, and a witness can name the choices it rests on.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::record::Criterion;
use crate::ruleset::RuleId;

/// Answers to what packet, rules and context leave open.
pub trait Choices {
    /// Whether a rule whose other criteria all match matches in this one too: [`Criterion::Probability`],
    /// [`Criterion::Os`], [`Criterion::Rate`], [`Criterion::Once`] (of the last two asked only where others may
    /// have come before: [`Memory::after_others`](super::Memory::after_others)); `None` where that is not known.
    fn holds(&mut self, rule: &RuleId, criterion: Criterion) -> Option<bool>;

    /// The address that is taken from a pool of several; `None` where that is not known.
    ///
    /// The prefixes are those of the pool, in the order of the text.
    fn address(&mut self, rule: &RuleId, pool: &[IpNet]) -> Option<IpAddr>;

    /// A port (or icmp identifier) from `low` to `high`, both included, that is not taken; `None` where that is not
    /// known.
    fn port(&mut self, rule: &RuleId, low: u16, high: u16, taken: &dyn Fn(u16) -> bool) -> Option<u16>;
}

/// The first address of each pool, the lowest free port; what only the running machine knows is not known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usual;

impl Choices for Usual {
    fn holds(&mut self, _rule: &RuleId, _criterion: Criterion) -> Option<bool> {
        None
    }

    fn address(&mut self, _rule: &RuleId, pool: &[IpNet]) -> Option<IpAddr> {
        pool.first().map(IpNet::addr)
    }

    fn port(&mut self, _rule: &RuleId, low: u16, high: u16, taken: &dyn Fn(u16) -> bool) -> Option<u16> {
        (low..=high).find(|&port| !taken(port))
    }
}

/// The choices that a witness names; for the rest those of [`Usual`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Whether a rule matches in a criterion that only the running machine knows.
    pub holds: HashMap<(RuleId, Criterion), bool>,
    /// The address taken from a rule's pool.
    pub addresses: HashMap<RuleId, IpAddr>,
    /// The port taken for a rule.
    pub ports: HashMap<RuleId, u16>,
}

impl Choices for Named {
    fn holds(&mut self, rule: &RuleId, criterion: Criterion) -> Option<bool> {
        self.holds.get(&(rule.clone(), criterion)).copied()
    }

    fn address(&mut self, rule: &RuleId, pool: &[IpNet]) -> Option<IpAddr> {
        match self.addresses.get(rule) {
            Some(&address) => pool.iter().any(|net| net.contains(&address)).then_some(address),
            None => Usual.address(rule, pool),
        }
    }

    fn port(&mut self, rule: &RuleId, low: u16, high: u16, taken: &dyn Fn(u16) -> bool) -> Option<u16> {
        match self.ports.get(rule) {
            Some(&port) => (low..=high).contains(&port).then_some(port),
            None => Usual.port(rule, low, high, taken),
        }
    }
}
