//! What can be said of a packet whatever the open criteria come to.

use std::net::IpAddr;

use ipnet::IpNet;

use super::choices::{Choices, Usual};
use super::machine::Machine;
use super::memory::Memory;
use super::record::{Criterion, Journey, Unproven};
use crate::packet::Packet;
use crate::ruleset::RuleId;

/// How many ways through the open criteria are tried.
const MAX_WAYS: usize = 64;

/// The usual choices, and for open criteria one answer after the other, later ones `true` until told otherwise.
#[derive(Default)]
struct Scripted {
    answers: Vec<bool>,
    next: usize,
    /// The first criterion that was asked for.
    first: Option<(RuleId, Criterion)>,
}

impl Choices for Scripted {
    fn holds(&mut self, rule: &RuleId, criterion: Criterion) -> Option<bool> {
        self.first.get_or_insert_with(|| (rule.clone(), criterion));
        if self.next == self.answers.len() {
            self.answers.push(true);
        }
        let answer = self.answers.get(self.next).copied();
        self.next += 1;
        answer
    }

    fn address(&mut self, rule: &RuleId, pool: &[IpNet]) -> Option<IpAddr> {
        Usual.address(rule, pool)
    }

    fn port(&mut self, rule: &RuleId, low: u16, high: u16, taken: &dyn Fn(u16) -> bool) -> Option<u16> {
        Usual.port(rule, low, high, taken)
    }
}

impl Machine<'_> {
    /// The way of the packet as [`Self::follow`] has it, with [`Usual`] choices, if it is the same whatever the criteria
    /// come to that only the running machine knows; and what pf remembers afterwards.
    ///
    /// # Errors
    /// [`Unproven`], where it is not the same, or depends on what else is not known.
    pub fn prove(&self, packet: &Packet, memory: &Memory) -> Result<(Journey, Memory), Unproven> {
        self.prove_by(memory, |after, choices| self.follow(packet, after, choices))
    }

    /// The same as [`Self::prove`], with the rules that did not match, as [`Self::explain`] has them.
    ///
    /// # Errors
    /// As [`Self::prove`].
    pub fn prove_and_explain(&self, packet: &Packet, memory: &Memory) -> Result<(Journey, Memory), Unproven> {
        self.prove_by(memory, |after, choices| self.explain(packet, after, choices))
    }

    fn prove_by(
        &self,
        memory: &Memory,
        follow: impl Fn(&mut Memory, &mut dyn Choices) -> Result<Journey, Unproven>,
    ) -> Result<(Journey, Memory), Unproven> {
        let mut script = Scripted::default();
        let run = |script: &mut Scripted| {
            script.next = 0;
            let mut after = memory.clone();
            follow(&mut after, script).map(|journey| (journey, after))
        };
        let first = run(&mut script)?;
        for _ in 0..MAX_WAYS {
            // The next way: the last answer that was yes becomes no.
            while script.answers.last() == Some(&false) {
                script.answers.pop();
            }
            match script.answers.last_mut() {
                None => return Ok(first),
                Some(last) => *last = false,
            }
            let other = run(&mut script)?;
            if !same(&first, &other) {
                return Err(difference(&script));
            }
        }
        Err(difference(&script))
    }
}

/// Whether two ways come to the same, whatever rules they met.
fn same(one: &(Journey, Memory), other: &(Journey, Memory)) -> bool {
    let bare = |journey: &Journey| {
        let mut journey = journey.clone();
        for hop in &mut journey.hops {
            hop.met.clear();
        }
        journey
    };
    bare(&one.0) == bare(&other.0) && one.1 == other.1
}

fn difference(script: &Scripted) -> Unproven {
    let what = match &script.first {
        Some((rule, Criterion::Os)) => format!("rule {rule} asks for the operating system of the sender"),
        Some((rule, Criterion::Probability)) => format!("rule {rule} matches by chance"),
        Some((rule, Criterion::User | Criterion::Group)) => {
            format!("rule {rule} asks for the owner of the local socket (`user`, `group`)")
        }
        Some((rule, Criterion::Rate)) => format!("rule {rule} asks how fast packets come"),
        Some((rule, _)) => format!("rule {rule} asks for what is not known"),
        None => "it depends on what is not known".to_owned(),
    };
    Unproven(what)
}
