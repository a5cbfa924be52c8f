//! [`Path`]: a way through the machine as far as it has been chosen.
//!
//! Ways branch at every step: what is behind them is shared.

use std::iter::successors;
use std::rc::Rc;

use rustc_hash::FxHashSet;

use super::cover::Duty;
use super::following::Known;
use super::journey::{Decider, End, Hop, Verdict};
use super::rewriting::{Narrowed, Now};
use super::suppositions::{Moment, Suppositions};
use crate::engine::packets::header::{Field, PacketBox};
use crate::engine::packets::space::{InterfaceId, Place};
use crate::engine::rules::criteria::Fact;
use crate::ruleset::RuleId;

/// A way so far.
#[derive(Clone)]
pub(super) struct Path {
    /// The packets that it is about, at most.
    pub(super) region: PacketBox,
    pub(super) supposed: Rc<Suppositions>,
    pub(super) duties: Chain<Duty>,
    pub(super) steps: Chain<Step>,
    /// If only packets that are their own reverse are meant: the fields that are equal besides.
    pub(super) own_reverse: Option<Equal>,
    /// The packets that are their own reverse and so are not meant: those of the box whose fields are equal besides.
    pub(super) not_reverse: Option<(PacketBox, Equal)>,
    /// The states that the flow has already made, for packets that follow the first.
    pub(super) states: Rc<[Known]>,
    /// Whether it is about packets that follow the first of a flow: then the region tells where that one came in.
    pub(super) follows: bool,
    /// Of a reply: where it must come to.
    pub(super) back_to: Option<Back>,
    /// Whether the last hop has made it a packet of the other family, which is not filtered again.
    pub(super) crossed: bool,
    /// Whether the last hop, out, has sent it elsewhere: it is routed again, and not filtered.
    pub(super) rerouted: bool,
    /// Whether it goes out where a gateway of `route-to` is: the network stack routes it no more.
    pub(super) by_gateway: bool,
}

impl Path {
    /// The way of a first packet that has done nothing yet.
    pub(in crate::engine) fn new(region: PacketBox) -> Self {
        Self {
            region,
            supposed: Rc::default(),
            duties: Chain::default(),
            steps: Chain::default(),
            own_reverse: None,
            not_reverse: None,
            states: Rc::default(),
            follows: false,
            back_to: None,
            crossed: false,
            rerouted: false,
            by_gateway: false,
        }
    }
}

/// One hop of a way.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) place: Place,
    pub(super) decider: Decider,
    pub(super) verdict: Verdict,
    pub(super) translated_by: Vec<RuleId>,
    /// Whether it made a state.
    pub(super) state: bool,
    /// The header after it, or before it where it does not pass.
    pub(super) now: Now,
}

impl Step {
    /// The hop as a journey tells it, with what was chosen by its end.
    pub(super) fn hop(&self, narrowed: &Narrowed) -> Hop {
        Hop {
            place: self.place,
            decider: self.decider.clone(),
            verdict: self.verdict,
            translated_by: self.translated_by.clone(),
            logged: false,
            state: self.state,
            ends: self.now.ends(narrowed),
            rtable: self.now.rtable,
        }
    }

    /// Whether one of those rules decided.
    pub(in crate::engine) fn is_decided_by(&self, rules: &FxHashSet<RuleId>) -> bool {
        matches!(&self.decider, Decider::Rule(decider) if rules.contains(decider))
    }
}

/// Where a reply comes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// Out of the interface that the first packet came in on.
    To(InterfaceId),
    /// To the machine itself.
    Itself,
}

impl Back {
    /// Whether that end is there.
    pub(super) fn is(self, end: End) -> bool {
        match self {
            Self::To(on) => end == End::Leaves(on),
            Self::Itself => matches!(end, End::Local | End::Diverted),
        }
    }
}

/// Pairs of fields of the original header of which the second is the first plus that number, modulo 2^128.
pub(super) type Equal = Vec<(Field, Field, u128)>;

/// A list that grows at its end; what is before the end is shared by clones.
pub(super) struct Chain<T>(Option<Rc<Link<T>>>);

#[derive(Clone)]
struct Link<T> {
    item: T,
    before: Chain<T>,
    count: usize,
}

impl<T> Chain<T> {
    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |link| link.count)
    }

    pub(super) fn push(&mut self, item: T) {
        let count = self.len() + 1;
        let before = Self(self.0.take());
        self.0 = Some(Rc::new(Link { item, before, count }));
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.0.as_ref().map(|link| &link.item)
    }

    /// The items, the last one first.
    pub(super) fn backwards(&self) -> impl Iterator<Item = &T> {
        successors(self.0.as_deref(), |link| link.before.0.as_deref()).map(|link| &link.item)
    }

    /// The items, the first one first.
    pub(super) fn forwards(&self) -> impl Iterator<Item = &T> {
        let mut items = Vec::with_capacity(self.len());
        items.extend(self.backwards());
        items.into_iter().rev()
    }
}

impl<T: Clone> Chain<T> {
    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut().map(|link| &mut Rc::make_mut(link).item)
    }
}

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Clone for Chain<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The way on which the fact holds, if it may; what is left is the one on which it does not.
pub(super) fn divide(rest: &mut Option<Path>, fact: &Fact, hop: Option<Moment>) -> Option<Path> {
    let path = rest.as_mut()?;
    match path.supposed.known(fact, hop) {
        Some(true) => rest.take(),
        Some(false) => None,
        None => {
            let mut holds = path.clone();
            Rc::make_mut(&mut holds.supposed).facts.push((fact.clone(), hop, true));
            Rc::make_mut(&mut path.supposed).facts.push((fact.clone(), hop, false));
            Some(holds)
        }
    }
}
