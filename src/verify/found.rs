//! [`Found`]: what a search for packets that offend a statement came to.

use super::expectation::Expected;
use super::outcome::{Doubt, Why};
use crate::engine::{Class, Condition, PacketSet, Undecided, Unknown};

/// How many classes of offending packets are collected for one statement.
pub(super) const MOST_OFFENCES: usize = 1000;

/// Packets that offend a statement, and how.
pub(super) struct Offence {
    pub(super) why: Why,
    pub(super) class: Class,
    /// Conditions of the class that are so by what is asked: the packets are from or to that address.
    pub(super) implied: Vec<Condition>,
}

/// What the search for offences came to.
#[derive(Default)]
pub(super) struct Found {
    pub(super) offences: Vec<Offence>,
    /// Where the engine gave no answer, or the packets are not known.
    pub(super) doubts: Vec<Doubt>,
    /// Whether the search stopped before its end because of its length.
    pub(super) more: bool,
    /// Whether there is no such packet at all.
    pub(super) vacuous: bool,
    /// What a `require` expects.
    pub(super) expected: Vec<Expected>,
    /// Where a `forbid` wants nothing to end.
    pub(super) ends: PacketSet,
}

impl Found {
    /// Adds the classes of a question.
    pub(super) fn collect(
        &mut self,
        classes: impl Iterator<Item = Result<Class, Undecided>>,
        why: &Why,
        counts: impl Fn(&Class) -> bool,
    ) {
        for class in classes {
            match class {
                Ok(class) if counts(&class) => {
                    if !self.offend(why, class) {
                        return;
                    }
                }
                Ok(_) => {}
                Err(undecided) => self.undecided(undecided),
            }
        }
    }

    /// Adds a class; `false` where there are too many.
    pub(super) fn offend(&mut self, why: &Why, class: Class) -> bool {
        if self.offences.len() >= MOST_OFFENCES {
            self.more = true;
            return false;
        }
        self.offences.push(Offence {
            why: why.clone(),
            class,
            implied: Vec::new(),
        });
        true
    }

    /// Says of each offence that it is one only if that is so, or is not.
    pub(super) fn hang_on(&mut self, unknown: &Unknown, holds: bool) {
        let condition = Condition::by_itself(unknown.clone(), holds);
        for offence in &mut self.offences {
            if !offence.class.conditions.contains(&condition) {
                offence.class.conditions.push(condition.clone());
            }
        }
    }

    /// Adds what another search came to.
    pub(super) fn add(&mut self, searched: Self) {
        self.offences.extend(searched.offences);
        for doubt in searched.doubts {
            if !self.doubts.contains(&doubt) {
                self.doubts.push(doubt);
            }
        }
        self.more |= searched.more;
    }

    /// Says that the packets themselves hang on what is not known.
    pub(super) fn depend_on(&mut self, unknown: Vec<Unknown>) {
        self.vacuous &= unknown.is_empty();
        for doubt in unknown.into_iter().map(Doubt::Packets) {
            if !self.doubts.contains(&doubt) {
                self.doubts.push(doubt);
            }
        }
    }

    pub(super) fn undecided(&mut self, undecided: Undecided) {
        let doubt = Doubt::Undecided(undecided);
        if !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }
}
