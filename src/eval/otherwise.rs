//! What else may become of a packet: where pf takes another address of a pool than the first.

use std::net::IpAddr;

use ipnet::IpNet;

use super::choices::{Choices, Usual};
use super::machine::Machine;
use super::memory::Memory;
use super::record::{Criterion, End, Journey, Verdict};
use crate::net::Direction;
use crate::packet::Packet;
use crate::ruleset::RuleId;

/// How many members of each pool are tried.
const MOST_MEMBERS: usize = 16;

/// An address of a pool with which a packet fares otherwise than with the usual one.
#[derive(Clone, Debug)]
pub struct Otherwise {
    /// The rule that has the pool.
    pub rule: RuleId,
    /// The address.
    pub address: IpAddr,
    /// What becomes of the packet then.
    pub journey: Journey,
}

/// The usual choices but for one pool: there that member is taken.
#[derive(Default)]
struct Swapped {
    /// The number of the question, and of the member.
    at: Option<(usize, usize)>,
    /// The pools that were asked for, with how many members are tried.
    asked: Vec<(RuleId, usize)>,
    taken: Option<IpAddr>,
}

impl Choices for Swapped {
    fn holds(&mut self, _rule: &RuleId, _criterion: Criterion) -> Option<bool> {
        // INVARIANT: asked only of packets of which it is proved that it does not matter.
        Some(true)
    }

    fn address(&mut self, rule: &RuleId, pool: &[IpNet]) -> Option<IpAddr> {
        let question = self.asked.len();
        self.asked.push((rule.clone(), pool.len().min(MOST_MEMBERS)));
        match self.at {
            Some((at, member)) if at == question => {
                self.taken = pool.get(member).map(IpNet::addr);
                self.taken
            }
            _ => Usual.address(rule, pool),
        }
    }

    fn port(&mut self, rule: &RuleId, low: u16, high: u16, taken: &dyn Fn(u16) -> bool) -> Option<u16> {
        Usual.port(rule, low, high, taken)
    }
}

impl Machine<'_> {
    /// A choice of pf with which the packet fares otherwise than [`Self::prove`] says: another verdict, another interface.
    #[must_use]
    pub fn otherwise(&self, packet: &Packet, memory: &Memory) -> Option<Otherwise> {
        let run = |choices: &mut Swapped| self.follow(packet, &mut memory.clone(), choices).ok();
        let mut usual = Swapped::default();
        let fate = fate(&run(&mut usual)?);
        let asked = usual.asked.into_iter().enumerate();
        let mut ways =
            asked.flat_map(|(at, (rule, members))| (1..members).map(move |member| (rule.clone(), at, member)));
        ways.find_map(|(rule, at, member)| {
            let mut choices = Swapped {
                at: Some((at, member)),
                ..Swapped::default()
            };
            let journey = run(&mut choices)?;
            (self::fate(&journey) != fate).then_some(Otherwise {
                rule,
                address: choices.taken?,
                journey,
            })
        })
    }
}

/// What others notice of a way.
fn fate(journey: &Journey) -> (End, Vec<(Direction, String, Verdict)>) {
    let hops = journey.hops.iter();
    let hops = hops.map(|hop| (hop.direction, hop.after.interface.clone(), hop.verdict));
    (journey.end, hops.collect())
}
