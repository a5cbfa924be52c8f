//! [`Suppositions`]: what is supposed of what a packet does not show, and what a match that is not certain needs.

use super::rewriting::{ChoiceId, Narrowed, Now, Term};
use crate::engine::packets::header::Field;
use crate::engine::rules::criteria::Fact;
use crate::engine::rules::unknown::Unknown;
use crate::net::RangeSet;

/// A hop, and which of the headers on it that match rules make: the hop's number times [`HEADERS`], and the number of the header.
pub(super) type Moment = u32;

/// When the stack looks up where to send a packet: a destination that was translated, or is that of a later packet, is another
/// one than the first packet's.
pub(super) struct Looked;

impl Looked {
    /// The destination of a first packet that was translated.
    const TRANSLATED: Moment = Moment::MAX;
    /// Where the first packet came from.
    pub(super) const BACK: Moment = Moment::MAX - 1;
    /// That of a later packet, another one.
    pub(super) const ELSEWHERE: Moment = Moment::MAX - 2;

    pub(in crate::engine) fn at(now: &Now, follows: bool) -> Option<Moment> {
        match now.term(Field::Destination) {
            Term::From(Field::Destination, 0) => None,
            Term::From(Field::Source, 0) if follows => Some(Self::BACK),
            _ if follows => Some(Self::ELSEWHERE),
            _ => Some(Self::TRANSLATED),
        }
    }
}

/// More than there are headers on a hop.
pub(super) const HEADERS: Moment = 1 << 16;

/// A fact at a moment: what is settled of a header that pf has made is counted apart from what holds at all.
pub(super) type Settled = (Fact, Option<Moment>, bool);

/// What has been supposed so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Suppositions {
    pub(super) facts: Vec<Settled>,
    pub(super) narrowed: Narrowed,
    /// Facts of which it is enough that one of several is so: the way hangs on them, none of them is settled.
    pub(super) open: Vec<(Fact, bool)>,
}

impl Suppositions {
    /// The same for the next packet: what one hop alone has settled is open again, but the way still hangs on it.
    pub(super) fn for_next(&self) -> Self {
        let (facts, of_hops): (Vec<_>, Vec<_>) = self.facts.iter().cloned().partition(|(_, hop, _)| hop.is_none());
        let mut open = self.open.clone();
        open.extend(of_hops.into_iter().map(|(fact, _, holds)| (fact, holds)));
        Self {
            facts,
            open,
            narrowed: self.narrowed.clone(),
        }
    }

    /// What is supposed of a fact.
    pub(super) fn known(&self, fact: &Fact, at: Option<Moment>) -> Option<bool> {
        known(&self.facts, fact, at)
    }

    /// Whether a rule with `once` is supposed to match a packet that has met it on an earlier hop, or that follows one which has:
    /// there it was used up, or found so.
    pub(super) fn use_up_twice(&self) -> bool {
        let mut matching = self
            .facts
            .iter()
            .filter(|(fact, _, holds)| fact.unknown == Unknown::Once && *holds);
        matching.any(|(fact, then, _)| {
            let mut facts = self.facts.iter();
            let mut before = self.open.iter();
            facts.any(|(earlier, at, _)| earlier == fact && at < then) || before.any(|(earlier, _)| earlier == fact)
        })
    }

    /// Whether the fact is that a rule with `once` is not used up, and that rule is supposed to match: on later hops it does not.
    pub(super) fn uses_up(&self, fact: &Fact) -> bool {
        let mut facts = self.facts.iter();
        fact.unknown == Unknown::Once && facts.any(|(matching, _, holds)| matching == fact && *holds)
    }

    /// How much is settled.
    pub(super) fn settled(&self) -> usize {
        self.facts.len() + self.narrowed.len()
    }

    /// Adds what a match that is not certain needs.
    pub(super) fn suppose(&mut self, needs: &Needs) {
        self.facts.extend(needs.facts.iter().cloned());
        self.narrowed
            .extend(needs.choices.iter().map(|(id, taken, _)| (*id, taken.clone())));
    }

    /// Adds that a match which needs that does not come about.
    pub(super) fn prevent(&mut self, needs: Needs) {
        let prevention = Prevention {
            needs,
            others: Vec::new(),
        };
        if !self.settle(&prevention) {
            self.leave_open(&[prevention]);
        }
    }

    /// Adds what prevents it, if that is one thing.
    pub(super) fn settle(&mut self, prevention: &Prevention) -> bool {
        let Prevention { needs, others } = prevention;
        match (needs.facts.as_slice(), needs.choices.as_slice(), others.as_slice()) {
            ([], [], [only]) => self.suppose(only),
            ([(fact, hop, holds)], [], []) => self.facts.push((fact.clone(), *hop, !holds)),
            ([], [(id, _, rest)], []) => self.narrowed.push((*id, rest.clone())),
            _ => return false,
        }
        true
    }

    /// Adds that each of them hangs on one of several things, of which is left open which. Of one alone it is enough what pf
    /// chooses.
    pub(super) fn leave_open(&mut self, preventions: &[Prevention]) {
        for prevention in preventions {
            let chosen = prevention.ways().find(|(needs, so)| needs.is_for_pf(*so));
            let chosen = chosen.filter(|_| preventions.len() == 1);
            let is_meant = |needs: &Needs| chosen.is_none_or(|(chosen, _)| std::ptr::eq(chosen, needs));
            for (needs, so) in prevention.ways().filter(|(needs, _)| is_meant(needs)) {
                let all = needs.choices.iter().map(|(id, taken, rest)| (*id, taken.union(rest)));
                self.narrowed.extend(all);
                let facts = needs.facts.iter();
                let open = facts.filter(|(fact, ..)| chosen.is_none() || fact.unknown.is_choice());
                self.open
                    .extend(open.map(|(fact, _, holds)| (fact.clone(), *holds == so)));
            }
        }
    }
}

/// What keeps an entry from deciding that may: that not all it needs is so, or that another matches too.
#[derive(Clone, Debug)]
pub(super) struct Prevention {
    pub(super) needs: Needs,
    pub(super) others: Vec<Needs>,
}

impl Prevention {
    /// Of each of its ways what must be so, or must not all be so.
    fn ways(&self) -> impl Iterator<Item = (&Needs, bool)> {
        let others = self.others.iter().map(|other| (other, true));
        [(&self.needs, false)].into_iter().chain(others)
    }
}

/// What those say of a fact.
pub(super) fn known(facts: &[Settled], fact: &Fact, at: Option<Moment>) -> Option<bool> {
    let found = facts.iter().find(|(known, then, _)| known == fact && *then == at);
    found.map(|(_, _, holds)| *holds)
}

/// What a match that is not certain needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    pub(super) facts: Vec<Settled>,
    /// Choices of pf: the numbers with which it matches, and the others.
    pub(super) choices: Vec<(ChoiceId, RangeSet, RangeSet)>,
}

impl Needs {
    /// Whether pf may choose so that all of it is so, or that not all of it is.
    fn is_for_pf(&self, so: bool) -> bool {
        let mut facts = self.facts.iter().map(|(fact, ..)| fact.unknown.is_choice());
        match so {
            true => facts.all(|chosen| chosen),
            false => !self.choices.is_empty() || facts.any(|chosen| chosen),
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.facts.is_empty() && self.choices.is_empty()
    }
}
