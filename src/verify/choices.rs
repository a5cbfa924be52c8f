//! What pf may choose, and what only the running machine knows, while a packet is replayed: [`Script`] goes through it, way by
//! way.

use std::net::IpAddr;

use ipnet::IpNet;

use super::outcome::Why;
use crate::engine::{Class, Value, address, address_number};
use crate::eval::{Choices, Criterion, Named};
use crate::net::{Family, RangeSet};
use crate::ruleset::RuleId;

/// Every way in which pf may choose from pools, those that make of a packet what a class has made first: one after the
/// other, the last that was asked for changes first.
pub(super) struct Script {
    named: Named,
    /// What the rules of the class make of addresses and ports.
    addresses: Vec<(RuleId, RangeSet)>,
    ports: Vec<(RuleId, RangeSet)>,
    /// Each answer, and of how many.
    answers: Vec<(usize, usize)>,
    next: usize,
    /// How a criterion comes out first on which the class does not hang.
    usually: bool,
    /// Addresses that are tried wherever a pool has them.
    wished: Vec<IpAddr>,
    /// The addresses that were taken this time.
    chosen: Vec<(RuleId, IpAddr)>,
}

impl Script {
    /// How many members of a pool are tried.
    const MEMBERS: usize = 16;

    pub(super) fn new(class: &Class, why: &Why, named: Named, wished: Vec<IpAddr>) -> Self {
        let (mut addresses, mut ports) = (Vec::new(), Vec::new());
        // Of replies the class tells the way back.
        for hop in class.journey.hops.iter().filter(|_| *why != Why::ReplyStopped) {
            let ends = &hop.ends;
            for rule in &hop.translated_by {
                let add = |all: &mut Vec<(RuleId, RangeSet)>, value: &Value| {
                    if let Value::OneOf(set) = value {
                        all.push((rule.clone(), set.clone()));
                    }
                };
                add(&mut addresses, &ends.source);
                add(&mut addresses, &ends.destination);
                add(&mut ports, &ends.source_port);
                add(&mut ports, &ends.destination_port);
            }
        }
        Self {
            named,
            addresses,
            ports,
            answers: Vec::new(),
            next: 0,
            usually: false,
            wished,
            chosen: Vec::new(),
        }
    }

    /// The same with rules that match wherever it does not matter.
    pub(super) fn matching(self) -> Self {
        Self { usually: true, ..self }
    }

    /// The number of the answer to the next question, of so many.
    fn pick(&mut self, answers: usize) -> usize {
        if self.next == self.answers.len() {
            self.answers.push((0, answers));
        }
        let answer = self.answers.get(self.next).map_or(0, |&(answer, _)| answer);
        self.next += 1;
        answer
    }

    /// The addresses that were taken on the last way, each rule's once.
    pub(super) fn taken(&self) -> Vec<(RuleId, IpAddr)> {
        let mut taken: Vec<(RuleId, IpAddr)> = Vec::new();
        for one in &self.chosen {
            if !taken.contains(one) {
                taken.push(one.clone());
            }
        }
        taken
    }

    /// Goes the same way from its beginning.
    pub(super) fn restart(&mut self) {
        self.next = 0;
        self.chosen.clear();
    }

    /// Whether there is another way; it is the next one.
    pub(super) fn advance(&mut self) -> bool {
        self.restart();
        while let Some((answer, answers)) = self.answers.pop() {
            if answer + 1 < answers {
                self.answers.push((answer + 1, answers));
                return true;
            }
        }
        false
    }
}

/// What those sets that are for the rule have.
fn wanted<'s>(sets: &'s [(RuleId, RangeSet)], rule: &RuleId) -> impl Iterator<Item = &'s RangeSet> {
    sets.iter().filter(move |(of, _)| of == rule).map(|(_, set)| set)
}

impl Choices for Script {
    fn holds(&mut self, rule: &RuleId, criterion: Criterion) -> Option<bool> {
        // What the class does not hang on comes out one way or the other.
        let named = self.named.holds(rule, criterion);
        named.or_else(|| Some(self.usually ^ (self.pick(2) == 1)))
    }

    fn address(&mut self, rule: &RuleId, pool: &[IpNet]) -> Option<IpAddr> {
        let usual = self.named.address(rule, pool)?;
        let in_pool = |address: &IpAddr| pool.iter().any(|net| net.contains(address));
        let mut members: Vec<IpAddr> = Vec::new();
        for net in pool {
            let all = RangeSet::range(address_number(net.network()), address_number(net.broadcast()));
            for set in wanted(&self.addresses, rule) {
                let both = set.intersection(&all);
                members.extend(both.first().map(|number| address(number, Family::of(net.addr()))));
            }
        }
        let fits = |set: &RangeSet| set.contains(address_number(usual));
        let at = if members.is_empty() || wanted(&self.addresses, rule).any(fits) {
            0
        } else {
            members.len()
        };
        members.insert(at, usual);
        members.extend(self.wished.iter().copied().filter(in_pool));
        let nets = pool.iter().take(Self::MEMBERS);
        members.extend(nets.flat_map(|net| [net.network(), net.addr(), net.broadcast()]));
        let mut known: Vec<IpAddr> = Vec::new();
        members.retain(|member| {
            !known.contains(member) && {
                known.push(*member);
                true
            }
        });
        members.truncate(Self::MEMBERS);
        let at = self.pick(members.len());
        let address = members.get(at).copied()?;
        self.chosen.push((rule.clone(), address));
        Some(address)
    }

    fn port(&mut self, rule: &RuleId, low: u16, high: u16, taken: &dyn Fn(u16) -> bool) -> Option<u16> {
        let range = RangeSet::range(low.into(), high.into());
        let numbers = wanted(&self.ports, rule).filter_map(|set| set.intersection(&range).first());
        let ports = numbers.filter_map(|number| u16::try_from(number).ok());
        let wanted = ports.into_iter().find(|&port| !taken(port));
        wanted.or_else(|| self.named.port(rule, low, high, taken))
    }
}
