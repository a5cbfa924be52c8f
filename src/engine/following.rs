//! The packets that follow the first one of a flow: replies, and of tcp what the originator sends later.
//!
//! They find the states that the hops of the first packet have made; where there is none the rules decide.

use std::rc::Rc;

use super::compiled::Compiled;
use super::frame::Tagging;
use super::header::{Field, PacketBox};
use super::journey::{Class, Decider};
use super::question::Question;
use super::rewriting::{Now, Term};
use super::search::{Arrival, Classes, Path, Task};
use super::space::{InterfaceId, Place};
use super::transport;
use crate::net::{Direction, RangeSet};
use crate::ruleset::RuleId;

/// A state that a packet of the flow can find.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) direction: Direction,
    /// The interface that it is bound to.
    pub(super) bound: Option<InterfaceId>,
    /// The header that finds it, and what it makes of it.
    pub(super) before: Now,
    pub(super) after: Now,
    /// The rule that made it, where it diverts or routes what finds the state.
    pub(super) rule: Option<RuleId>,
}

impl Known {
    pub(super) fn matches(&self, place: Place, now: &Now) -> bool {
        let (direction, on) = match place {
            Place::In(on) => (Direction::In, on),
            Place::Out { on, .. } => (Direction::Out, on),
        };
        let fields = [
            Field::Source,
            Field::Destination,
            Field::SourcePort,
            Field::DestinationPort,
        ];
        self.direction == direction
            && self.bound.is_none_or(|bound| bound == on)
            && self.before.family == now.family
            && fields
                .into_iter()
                .all(|field| self.before.term(field) == now.term(field))
    }
}

impl<'e, 'a> Classes<'e, 'a> {
    /// The search for what becomes of the packets that follow those of a class in their flow: the replies, and of tcp
    /// the originator's later packets.
    pub(super) fn following(compiled: &'e Compiled<'a>, class: &Class, question: Question) -> Self {
        let mut search = Self::new(compiled, question);
        search.choices = class.choices;
        let original = Now::original(class.region.family);
        let mut steps = vec![original];
        steps.extend(class.trail.iter().cloned());
        let mut states = Vec::new();
        for (hop, ends) in class.journey.hops.iter().zip(steps.windows(2)) {
            let [before, after] = ends else { continue };
            let (there, back, on) = match hop.place {
                Place::In(on) => (Direction::In, Direction::Out, on),
                Place::Out { on, .. } => (Direction::Out, Direction::In, on),
            };
            if hop.state {
                let rule = match &hop.decider {
                    Decider::Rule(id) => compiled.ruleset.rule(id),
                    _ => None,
                };
                let bound = rule
                    .and_then(|rule| rule.state.as_ref())
                    .is_some_and(|options| options.if_bound);
                let bound = bound.then_some(on);
                let (before, after) = (before.clone(), after.clone());
                let made_by = match &hop.decider {
                    Decider::Rule(id) => Some(id.clone()),
                    _ => None,
                };
                // route-to is for the direction of the state alone.
                let diverts = rule.is_some_and(|rule| rule.divert.is_some() && rule.route_to.is_none());
                states.push(Known {
                    direction: back,
                    bound,
                    before: after.reversed(),
                    after: before.reversed(),
                    rule: made_by.clone().filter(|_| diverts),
                });
                states.push(Known {
                    direction: there,
                    bound,
                    before,
                    after,
                    rule: made_by,
                });
            }
        }
        let states: Rc<[Known]> = states.into();
        if let (Some(first), Some(last), Some(header)) =
            (class.journey.hops.first(), class.journey.hops.last(), steps.last())
        {
            for (region, now) in search.replies(&class.region, &header.reversed()) {
                search.follow(class, region, now, last.place, true, &states);
            }
            if let Some((region, now)) = search.later(&class.region, &steps[0]) {
                search.follow(class, region, now, first.place, false, &states);
            }
        }
        search
    }

    /// A packet of the flow meets the machine where the first one left it, or where it came in.
    pub(super) fn follow(
        &mut self,
        class: &Class,
        region: PacketBox,
        now: Now,
        at: Place,
        reply: bool,
        states: &Rc<[Known]>,
    ) {
        let path = Path {
            region,
            supposed: Rc::new(class.supposed.for_next()),
            duties: Rc::default(),
            hops: Rc::default(),
            own_reverse: None,
            not_reverse: None,
            trail: Rc::default(),
            states: Rc::clone(states),
            follows: true,
        };
        let tagging = Tagging::Is(0);
        let place = match (at, reply) {
            (place, false) => place,
            (Place::Out { on, .. }, true) => Place::In(on),
            // The machine itself answers.
            (Place::In(on), true) => return self.route_from(path, on, None, &now, &tagging, None),
        };
        self.stack.push(Task::Hop(path, Arrival { place, now, tagging }));
    }

    /// The replies of packets of a region, by protocol: a part of the region, and the header of its replies.
    pub(super) fn replies(&mut self, region: &PacketBox, reversed: &Now) -> Vec<(PacketBox, Now)> {
        let family = region.family;
        let mut fresh = reversed.clone();
        for (field, number) in [(Field::Options, 0), (Field::Tos, 0), (Field::Ttl, 64), (Field::Prio, 3)] {
            let id = self.fresh();
            fresh.set(field, Term::OneOf(id, RangeSet::single(number)));
        }
        let mut found = Vec::new();
        let mut rest = Some(region.clone());
        for (queries, answer) in transport::answers(family) {
            let part = region.clone().with(Field::Transport, &queries);
            let mut now = fresh.clone();
            if now.family == family {
                now.shift(Field::Transport, answer);
            }
            found.extend(part.map(|part| (part, now)));
        }
        let tcp = transport::protocol(crate::net::Protocol::TCP, family);
        if let Some(part) = region.clone().with(Field::Transport, &tcp) {
            let mut now = fresh.clone();
            let id = self.fresh();
            now.set(Field::Transport, Term::OneOf(id, transport::answering()));
            found.push((part, now));
        }
        let icmp = transport::protocol(transport::icmp(family), family);
        rest = rest.and_then(|rest| {
            rest.with(
                Field::Transport,
                &Field::Transport.line(family).minus(&tcp).minus(&icmp),
            )
        });
        found.extend(rest.map(|rest| (rest, fresh)));
        found
    }

    /// The later packets of the originators of tcp connections.
    pub(super) fn later(&mut self, region: &PacketBox, original: &Now) -> Option<(PacketBox, Now)> {
        let tcp = transport::protocol(crate::net::Protocol::TCP, region.family);
        let part = region.clone().with(Field::Transport, &tcp)?;
        let mut now = original.clone();
        let id = self.fresh();
        now.set(Field::Transport, Term::OneOf(id, transport::answering()));
        Some((part, now))
    }
}
