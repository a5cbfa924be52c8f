//! Every way through what pf chooses at random and what only the running machine knows, one after the other.

use std::net::IpAddr;

use ipnet::{IpAddrRange, IpNet, Ipv4AddrRange, Ipv6AddrRange};
use pfproof::eval::{Choices, Criterion};
use pfproof::ruleset::RuleId;

/// The most ways that are tried for one packet; of so many there may be more.
pub(crate) const MOST: usize = 128;

/// Answers that run through all alternatives: the last one that was asked for changes first.
#[derive(Default)]
pub(crate) struct Script {
    /// Each answer, and of how many alternatives.
    answers: Vec<(usize, usize)>,
    next: usize,
    /// Whether fingerprints match: no choice of pf's. `None`: one more alternative.
    os: Option<bool>,
    /// The rules of which it was told: a sender is the same on every hop.
    fingerprints: Vec<(RuleId, bool)>,
}

impl Script {
    fn pick(&mut self, alternatives: usize) -> usize {
        if self.next == self.answers.len() {
            self.answers.push((0, alternatives));
        }
        let (answer, _) = self.answers[self.next];
        self.next += 1;
        answer
    }

    /// Begins the same way once more.
    #[allow(dead_code, reason = "not every test goes the same way twice")]
    pub(crate) fn restart(&mut self) {
        self.next = 0;
        self.fingerprints.clear();
    }

    /// Whether there is another way; it is the next one.
    fn advance(&mut self) -> bool {
        self.next = 0;
        self.fingerprints.clear();
        while let Some((answer, alternatives)) = self.answers.pop() {
            if answer + 1 < alternatives {
                self.answers.push((answer + 1, alternatives));
                return true;
            }
        }
        false
    }
}

impl Choices for Script {
    fn holds(&mut self, rule: &RuleId, criterion: Criterion) -> Option<bool> {
        if criterion != Criterion::Os {
            return Some(self.pick(2) == 0);
        }
        let told = self.fingerprints.iter().find(|(known, _)| known == rule);
        let fits = match (self.os, told) {
            (Some(fits), _) | (None, Some(&(_, fits))) => fits,
            (None, None) => {
                let fits = self.pick(2) == 0;
                self.fingerprints.push((rule.clone(), fits));
                fits
            }
        };
        Some(fits)
    }

    fn address(&mut self, _rule: &RuleId, pool: &[IpNet]) -> Option<IpAddr> {
        let at = self.pick(pool.len().min(4));
        let mut addresses = match pool.get(at)? {
            IpNet::V4(net) => IpAddrRange::V4(Ipv4AddrRange::new(net.network(), net.broadcast())),
            IpNet::V6(net) => IpAddrRange::V6(Ipv6AddrRange::new(net.network(), net.broadcast())),
        };
        let few = addresses.take(4).count();
        addresses.nth(self.pick(few))
    }

    fn port(&mut self, _rule: &RuleId, low: u16, high: u16, taken: &dyn Fn(u16) -> bool) -> Option<u16> {
        match self.pick(2) {
            0 => (low..=high).find(|&port| !taken(port)),
            _ => (low..=high).rev().find(|&port| !taken(port)),
        }
    }
}

/// What comes of each way; with `os` fingerprints match always, or never.
pub(crate) fn ways<T>(os: Option<bool>, mut run: impl FnMut(&mut Script) -> T) -> Vec<T> {
    let mut script = Script {
        os,
        ..Script::default()
    };
    let mut found = vec![run(&mut script)];
    while found.len() < MOST && script.advance() {
        found.push(run(&mut script));
    }
    found
}
