//! What an outcome hangs on, in words: why nothing is proved, and what must be so for a packet to go its way.

use super::build::Builder;
use crate::engine::{Condition, Decider, Undecided, Unknown};
use crate::ruleset::{Host, Name, Peer};
use crate::verify::{self, Doubt};

impl Builder<'_> {
    /// Why something is not proved, where those packets were found to offend.
    pub(super) fn doubts(&self, doubts: &[Doubt], found: &verify::Violation) -> Vec<String> {
        let kinds: usize = found.causes.iter().map(|cause| cause.packets.boxes().len()).sum();
        let unknowns = || doubts.iter().filter_map(depends_on);
        // What settles the one settles the other.
        let is_loaded =
            |name: &Name| unknowns().any(|unknown| matches!(unknown, Unknown::Loaded(loaded) if loaded == name));
        let is_settled = |doubt: &&Doubt| {
            let named = depends_on(doubt).and_then(address_of);
            named.is_some_and(is_loaded)
        };
        let mut reasons: Vec<String> = Vec::new();
        for doubt in doubts.iter().filter(|doubt| !is_settled(doubt)) {
            let reason = self.doubt(doubt, kinds);
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        reasons
    }

    /// Why something is not proved, where so many kinds of packets were found, and what would settle it.
    fn doubt(&self, doubt: &Doubt, kinds: usize) -> String {
        let reason = match doubt {
            Doubt::Depends(condition) => self.condition(condition),
            Doubt::Packets(unknown) => {
                format!("{} is not known, and the statement names it", unknown_words(unknown))
            }
            Doubt::Undecided(Undecided::Steps) if kinds > 1 => {
                format!("the search ended with {kinds} kinds of packets found")
            }
            Doubt::Undecided(Undecided::Steps) => "the search ran out of steps: the question is too large".to_owned(),
            Doubt::Undecided(Undecided::Unmodelled(what)) => what.clone(),
            Doubt::Circumstance(words) => words.clone(),
        };
        match (doubt.assumption(self.subject.engine.ruleset()), depends_on(doubt)) {
            (Some(assumption), Some(Unknown::Loaded(name))) => self.loaded(&reason, name, &assumption),
            (Some(assumption), _) => format!("{reason}; `{assumption}` would settle it"),
            (None, _) => reason,
        }
    }

    /// What would settle what a bare name stands for.
    fn loaded(&self, reason: &str, name: &str, assumption: &str) -> String {
        match self.subject.engine.context().members(name).is_empty() {
            true => format!("{reason}; `[hosts]` of context.toml would settle it"),
            false => {
                format!("{reason}, and may have lost since; `({name})` in rules, or `{assumption}`, would settle it")
            }
        }
    }

    fn condition(&self, condition: &Condition) -> String {
        let what = unknown_words(&condition.unknown);
        match &condition.rule {
            Some(rule) => {
                let place = self.place(rule);
                let place = place.map_or_else(String::new, |(file, line)| format!(" ({file}:{line})"));
                match &condition.unknown {
                    _ if rule.anchor.ends_with("/assumed") => {
                        format!("it hangs on what others load into anchor \"{}\"{place}", rule.anchor)
                    }
                    Unknown::Anchor(_) => format!("rule @{rule}{place} calls {what}, which others fill"),
                    _ => format!("rule @{rule}{place} asks for {what}"),
                }
            }
            None => match self.asking(&condition.unknown) {
                Some(rule) => format!("{rule} asks for {what}"),
                None => format!("it hangs on {what}"),
            },
        }
    }

    /// The first rule that asks for a table, and its place.
    fn asking(&self, unknown: &Unknown) -> Option<String> {
        let Unknown::Table(name) = unknown else { return None };
        let asks = |peer: &Peer| matches!(&peer.host, Host::Table(table) if table == name);
        let mut rules = self.subject.engine.ruleset().all_rules();
        let (id, _) = rules.find(|(_, rule)| asks(&rule.source) || asks(&rule.destination))?;
        let (file, line) = self.place(&id)?;
        Some(format!("rule @{id} ({file}:{line})"))
    }

    /// What must be so for a cause to come about; without what is said of pools where their choices are told already.
    pub(super) fn choices(&self, cause: &verify::Cause, pools_are_told: bool) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        for condition in &cause.conditions {
            let word = match &condition.unknown {
                Unknown::Pool if pools_are_told => continue,
                Unknown::Anchor(name) => self.anchor(cause, condition, name),
                Unknown::Address(name) | Unknown::Loaded(name) | Unknown::Network(name)
                    if is_both_ways(cause, condition) =>
                {
                    Some(format!(
                        "if {} is at one end, and not at the other",
                        own_words(&condition.unknown, name)
                    ))
                }
                _ => Some(condition_words(condition)),
            };
            words.extend(word.filter(|word| !words.contains(word)));
        }
        words
    }

    /// What must be so of an anchor that others fill: on each hop of the flow one of its rules decides, or none.
    fn anchor(&self, cause: &verify::Cause, condition: &Condition, name: &str) -> Option<String> {
        let both = is_both_ways(cause, condition);
        let shown = cause.hops.iter().any(|(_, decider, _)| match decider {
            Decider::Anchor(rule) => Some(rule) == condition.rule.as_ref(),
            Decider::Rule(_)
            | Decider::Default
            | Decider::Skipped
            | Decider::OwnState
            | Decider::State
            | Decider::Nobody => false,
        });
        match (condition.holds, both, shown) {
            (true, false, true) => Some(format!("if a rule in anchor \"{name}\" decides")),
            (true, true, true) => Some(format!("if a rule in anchor \"{name}\" decides only where it is shown")),
            (true, _, false) => Some(format!(
                "if a rule in anchor \"{name}\" decides another hop of the flow"
            )),
            (false, true, true) => None,
            (false, true, false) => Some(format!(
                "if no rule in anchor \"{name}\" decides the hops that are shown"
            )),
            (false, false, _) => Some(format!("if no rule in anchor \"{name}\" decides")),
        }
    }
}

/// What a doubt hangs on, of what is not known.
fn depends_on(doubt: &Doubt) -> Option<&Unknown> {
    match doubt {
        Doubt::Depends(condition) => Some(&condition.unknown),
        Doubt::Packets(_) | Doubt::Undecided(_) | Doubt::Circumstance(_) => None,
    }
}

/// Whose address, or network, it is that is not known.
fn address_of(unknown: &Unknown) -> Option<&Name> {
    match unknown {
        Unknown::Address(name) | Unknown::Network(name) => Some(name),
        Unknown::Os
        | Unknown::User
        | Unknown::Table(_)
        | Unknown::Loaded(_)
        | Unknown::Anchor(_)
        | Unknown::Probability
        | Unknown::Once
        | Unknown::Rate
        | Unknown::Tag
        | Unknown::Pool => None,
    }
}

/// Whether it has to be so at one place, and not so at another: of the two ends of a packet, say.
fn is_both_ways(cause: &verify::Cause, condition: &Condition) -> bool {
    let mut others = cause.conditions.iter();
    others.any(|other| {
        let same = (&other.unknown, &other.rule) == (&condition.unknown, &condition.rule);
        same && other.holds != condition.holds
    })
}

/// What of an interface an address may be that is not known.
fn own_words(unknown: &Unknown, interface: &str) -> String {
    match unknown {
        Unknown::Network(_) => format!("an address in the network of {interface}"),
        Unknown::Loaded(_) => loaded_words(interface),
        _ => format!("the address of {interface}"),
    }
}

/// What a bare name stands for in a rule: addresses or networks.
fn loaded_words(interface: &str) -> String {
    format!("what {interface} had when pf.conf was loaded")
}

/// What must be so for something to come about.
pub(crate) fn condition_words(condition: &Condition) -> String {
    let rule = condition
        .rule
        .as_ref()
        .map_or_else(String::new, |rule| format!(" of rule @{rule}"));
    let not = if condition.holds { "" } else { "not " };
    match &condition.unknown {
        Unknown::Os => format!("if the sender's os is {not}that{rule}"),
        Unknown::User => format!("if the socket's owner is {not}that{rule}"),
        // Of the pool of a rule.
        Unknown::Table(name) if condition.rule.is_some() => {
            format!(
                "if table <{name}>{rule} {}",
                if condition.holds {
                    "is empty"
                } else {
                    "has such an address"
                }
            )
        }
        Unknown::Table(name) => format!("if the address is {not}in table <{name}>"),
        Unknown::Address(name) => format!("if the address is {not}that of {name}"),
        Unknown::Loaded(name) => format!("if the address is {not}in {}", loaded_words(name)),
        Unknown::Network(name) => format!("if the address is {not}in the network of {name}"),
        Unknown::Anchor(name) => format!("if what fills anchor \"{name}\" does {not}decide"),
        Unknown::Probability => format!("if chance is {not}for the `probability`{rule}"),
        Unknown::Once if condition.holds => format!("if the `once`{rule} is not used up"),
        Unknown::Once => format!("if the `once`{rule} is used up"),
        Unknown::Rate if condition.holds => format!("if packets come within the `max-pkt-rate`{rule}"),
        Unknown::Rate => format!("if packets come faster than the `max-pkt-rate`{rule}"),
        Unknown::Tag => format!("if the tag is {not}that{rule}"),
        Unknown::Pool => format!("if pf chooses so from the pool{rule}"),
    }
}

/// What is not known, in words.
pub(crate) fn unknown_words(unknown: &Unknown) -> String {
    match unknown {
        Unknown::Os => "the os of the sender".to_owned(),
        Unknown::User => "the user of a local socket".to_owned(),
        Unknown::Table(name) => format!("the contents of table <{name}>"),
        Unknown::Address(name) | Unknown::Network(name) => format!("the address of {name}"),
        Unknown::Loaded(name) => loaded_words(name),
        Unknown::Anchor(name) => format!("anchor \"{name}\""),
        Unknown::Probability => "chance (`probability`)".to_owned(),
        Unknown::Once => "whether `once` is used up".to_owned(),
        Unknown::Rate => "a rate (`max-pkt-rate`)".to_owned(),
        Unknown::Tag => "the tag that an uncertain rule sets".to_owned(),
        Unknown::Pool => "pf's choice from a pool".to_owned(),
    }
}
