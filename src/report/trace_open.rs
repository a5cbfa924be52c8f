//! What the way of a packet hangs on that pf.conf does not say: what others fill while the machine runs.
//!
//! The evaluator takes anchors and tables as pf.conf leaves them. Where a way meets one that daemons or `overload` fill,
//! it may go otherwise on the machine: that is said with it.

use std::net::IpAddr;

use crate::context::{Context, is_link_local};
use crate::eval::{Criterion, End, Evaluation, Journey, Met, Otherwise};
use crate::ruleset::{Action, AnchorCall, Host, Name, Peer, PoolAddress, Rule, RuleId, Ruleset};

use super::trace_miss::Seen;

/// What others fill, of the anchors and tables of a ruleset.
#[derive(Clone, Debug)]
pub struct Filled<'f> {
    /// The ruleset with its tables marked whose contents are not known, and with the anchors that are.
    ruleset: Ruleset,
    /// Anchors whose contents are known only at most.
    at_most: Vec<Name>,
    context: &'f Context,
    /// Whether anchors or tables are among it.
    has_rules: bool,
}

/// What a way hangs on where pf takes an address of a pool, in words.
#[must_use]
pub fn hangs_on_pool(other: &Otherwise) -> String {
    let Otherwise { rule, address, journey } = other;
    let end = match (journey.end, journey.hops.last()) {
        (End::Sent, Some(last)) => format!("it leaves by {}", last.after.interface),
        (End::Sent, None) | (End::Stopped, _) => "it does not get through".to_owned(),
        (End::Local, _) => "it reaches the machine itself".to_owned(),
        (End::NoRoute, _) => "there is no route".to_owned(),
        (End::NotForwarded, _) => "it goes nowhere".to_owned(),
    };
    format!("the address that pf takes from the pool of rule @{rule}: with {address} {end}")
}

impl<'f> Filled<'f> {
    /// What others fill, by what `settle_ruleset` made of the ruleset; `None` where there is nothing of the kind.
    #[must_use]
    pub fn of((ruleset, at_most): (Ruleset, Vec<Name>), context: &'f Context) -> Option<Self> {
        let mut filled = Self {
            ruleset,
            at_most,
            context,
            has_rules: false,
        };
        let is_open = |(id, rule): (RuleId, &Rule)| match &rule.action {
            Action::Anchor(call) if filled.is_filled(call) => true,
            _ => !filled.tables(&id, rule).is_empty(),
        };
        filled.has_rules = filled.ruleset.all_rules().any(is_open);
        (filled.has_rules || context.link_locals_open).then_some(filled)
    }

    /// Whether the rules that did not match are needed to say what a way hangs on.
    #[must_use]
    pub fn needs_every_rule(&self) -> bool {
        self.has_rules
    }

    /// What the way hangs on, in words.
    #[must_use]
    pub fn hangs_on(&self, journey: &Journey) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |word: String| {
            if !words.contains(&word) {
                words.push(word);
            }
        };
        for hop in &journey.hops {
            self.of_hop(hop).into_iter().for_each(&mut add);
            let dst = hop.after.dst;
            if self.context.link_locals_open && is_link_local(dst) && !self.context.is_local(dst, hop.rtable) {
                add(format!("whether {dst} is an address that the kernel gave an interface"));
            }
        }
        words
    }

    fn of_hop(&self, hop: &Evaluation) -> Vec<String> {
        let mut words = Vec::new();
        let mut seen = Seen::of(hop);
        let decides = hop
            .met
            .iter()
            .rposition(|met| matches!(met, Met::Matched(..)) && Some(met.rule()) == hop.rule.as_ref());
        for (at, met) in hop.met.iter().enumerate() {
            let Some(rule) = self.ruleset.rule(met.rule()) else {
                continue;
            };
            let is_overridden = decides.is_some_and(|decides| at < decides) && has_no_other_effect(rule);
            match met {
                Met::Matched(id, effects) => {
                    if let Action::Anchor(call) = &rule.action
                        && self.is_filled(call)
                    {
                        let name = call.name.as_ref().unwrap_or(&call.path);
                        words.push(format!("anchor \"{name}\", which others fill"));
                    }
                    if !is_overridden {
                        words.extend(self.matched(id, rule, &seen));
                    }
                    seen.changed(effects);
                }
                Met::Missed(id, criterion) if !is_overridden && seen.fits_ports(rule) => {
                    let missed = match criterion {
                        Criterion::Source => Some((&rule.source, seen.src)),
                        Criterion::Destination => Some((&rule.destination, seen.dst)),
                        _ => None,
                    };
                    let missed = missed.filter(|(peer, _)| !peer.negated);
                    words.extend(missed.and_then(|(peer, address)| self.whether(id, peer, address)));
                }
                Met::Missed(..) => {}
            }
        }
        words
    }

    /// What a match hangs on: addresses that are not in a table, and what it takes from one.
    fn matched(&self, id: &RuleId, rule: &Rule, seen: &Seen) -> Vec<String> {
        let ends = [(&rule.source, seen.src), (&rule.destination, seen.dst)];
        let not_in = ends.into_iter().filter(|(peer, _)| peer.negated);
        let not_in = not_in.filter_map(|(peer, address)| self.whether(id, peer, address));
        let pools = rule.pools().filter_map(|pool| match &pool.address {
            PoolAddress::Table(name) if self.is_open(id, name) => Some(format!("what is in table <{name}>")),
            PoolAddress::Table(_) | PoolAddress::Prefix(_) | PoolAddress::Dynamic(_) | PoolAddress::Other(_) => None,
        });
        not_in.chain(pools).collect()
    }

    fn whether(&self, id: &RuleId, peer: &Peer, address: IpAddr) -> Option<String> {
        let name = table(peer).filter(|name| self.is_open(id, name))?;
        Some(format!("whether {address} is in table <{name}>"))
    }

    /// The tables of a rule whose contents are not known.
    fn tables<'r>(&self, id: &RuleId, rule: &'r Rule) -> Vec<&'r Name> {
        let ends = [&rule.source, &rule.destination].into_iter().filter_map(table);
        let pools = rule.pools().filter_map(|pool| match &pool.address {
            PoolAddress::Table(name) => Some(name),
            PoolAddress::Prefix(_) | PoolAddress::Dynamic(_) | PoolAddress::Other(_) => None,
        });
        ends.chain(pools).filter(|name| self.is_open(id, name)).collect()
    }

    /// Whether others fill the table that a rule means by that name.
    fn is_open(&self, id: &RuleId, name: &Name) -> bool {
        self.ruleset.table(&id.anchor, name).is_some_and(|table| table.unknown)
    }

    fn is_filled(&self, call: &AnchorCall) -> bool {
        let is_of = |path: &Name| {
            path.strip_prefix(&*call.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !self.ruleset.anchors.contains_key(&call.path) || self.at_most.iter().any(is_of)
    }
}

/// Whether all that a rule does is decide: a later match undoes it.
fn has_no_other_effect(rule: &Rule) -> bool {
    matches!(rule.action, Action::Pass | Action::Block(_)) && !rule.quick && !rule.once && rule.tag.is_none()
}

/// The table that one end of a rule is in.
fn table(peer: &Peer) -> Option<&Name> {
    match &peer.host {
        Host::Table(name) => Some(name),
        _ => None,
    }
}
