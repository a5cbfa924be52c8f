//! What comes after a hop that passes: the route, the next hop, the end.

use std::rc::Rc;

use super::compiled::UnknownNetwork;
use super::criteria::{About, Fact};
use super::frame::Tagging;
use super::header::{Field, PacketBox};
use super::journey::{Decider, Drop, End, Hop, Unknown, Verdict};
use super::question::{Goal, Scope};
use super::rewriting::{ChoiceId, Narrowed, Now, Reading, Term};
use super::routing::{Piece, Target};
use super::search::{Arrival, Classes, Equal, Path, Task};
use super::space::{InterfaceId, Place};
use super::transport;
use crate::net::RangeSet;
use crate::ruleset::{Divert, Name, RouteToKind, Rule, Ruleset};

/// A state that a hop has made.
#[derive(Clone, Copy)]
pub(super) struct Made {
    /// Whether it is bound to its interface.
    pub(super) bound: bool,
}

impl<'e, 'a> Classes<'e, 'a> {
    /// A hop that passes: the route, and what follows.
    #[expect(clippy::too_many_arguments, reason = "what a hop leaves behind, each used once")]
    pub(super) fn passed(
        &mut self,
        mut path: Path,
        place: Place,
        decider: Decider,
        now: Now,
        tagging: Tagging,
        state: bool,
        rule: Option<&Rule>,
    ) {
        let translated_by = match path.duties.last() {
            Some(duty) if state => duty.translators(&self.compiled.list),
            _ => Vec::new(),
        };
        Rc::make_mut(&mut path.hops).push(Hop {
            place,
            decider,
            verdict: Verdict::Pass,
            translated_by,
            logged: false,
            state,
            ends: now.ends(&path.supposed.narrowed),
        });
        Rc::make_mut(&mut path.trail).push(now.clone());
        let bound = rule.is_some_and(|rule| rule.state.as_ref().is_some_and(|options| options.if_bound));
        let made = (state && path.states.is_empty()).then_some(Made { bound });
        let diverted = rule.and_then(|rule| rule.divert).filter(|_| rule.is_some());
        if let Some(Divert::Packet { .. }) = diverted {
            return self.ended_at(path, End::Diverted, &now);
        }
        let on = match place {
            _ if self.question.scope == Scope::Hop => return self.ended_at(path, End::Passed, &now),
            Place::Out { on, .. } => return self.ended_at(path, End::Leaves(on), &now),
            Place::In(on) => on,
        };
        if diverted.is_some() {
            return self.ended_at(path, End::Diverted, &now);
        }
        let gateways = rule.and_then(|rule| rule.route_to.as_deref()).filter(|_| state);
        if let Some(route) = gateways.filter(|route| route.kind == RouteToKind::RouteTo) {
            let anchor = match path.hops.last().map(|hop| &hop.decider) {
                Some(Decider::Rule(id)) => id.anchor.clone(),
                _ => Name::from(Ruleset::MAIN),
            };
            let by = self.compiled.route_to(route, &anchor, &now, on);
            if by.is_empty() {
                if let Some(last) = Rc::make_mut(&mut path.hops).last_mut() {
                    last.verdict = Verdict::Drop(Drop::Route);
                }
                return self.ended_at(path, End::Stopped, &now);
            }
            let chosen_by = path.duties.last().and_then(|duty| duty.rule(&self.compiled.list));
            if let (Some(rule), [_, _, ..]) = (chosen_by, by.as_slice()) {
                let fact = Fact {
                    unknown: Unknown::Pool,
                    about: About::Rule(rule),
                };
                Rc::make_mut(&mut path.supposed).facts.push((fact, Some(0), true));
            }
            for out in by {
                self.leave(path.clone(), on, out, now.clone(), tagging.clone(), made);
            }
            return;
        }
        self.route(path, on, &now, &tagging, made);
    }

    /// Sends the packet on by the route of its destination.
    pub(super) fn route(&mut self, path: Path, from: usize, now: &Now, tagging: &Tagging, made: Option<Made>) {
        self.route_from(path, from, Some(from), now, tagging, made);
    }

    /// The same for packets that came in on an interface, or that the machine sends itself, in that one's domain.
    pub(super) fn route_from(
        &mut self,
        path: Path,
        from: usize,
        received: Option<InterfaceId>,
        now: &Now,
        tagging: &Tagging,
        made: Option<Made>,
    ) {
        let compiled = self.compiled;
        let pieces = compiled.destinations(from, now);
        let unknown = compiled.unknown_networks(from, now.family);
        for Piece {
            addresses,
            target,
            given,
            ..
        } in pieces.iter()
        {
            self.ground.budget.spend();
            let mut region = path.region.clone();
            let mut choice = None;
            match now.read(Field::Destination, addresses, region.family, &path.supposed.narrowed) {
                Reading::On(field, set) => match region.with(field, &set) {
                    Some(there) => region = there,
                    None => continue,
                },
                Reading::Always(true) => {}
                Reading::Always(false) => continue,
                Reading::Choice(id, inside, _) => choice = Some((id, inside)),
                Reading::Unknown(name) => {
                    // An address of the machine itself.
                    let owner = compiled.space.interface(&name);
                    let refused = |owner| received.is_some() && !compiled.takes(from, owner, now.family);
                    let end = if owner.is_some_and(refused) {
                        End::NotForwarded
                    } else {
                        End::Local
                    };
                    self.ended_at(path, end, now);
                    return;
                }
            }
            let is_known = !*given || unknown.is_empty();
            if let (Target::Via(on), Goal::GetsThrough, true) = (*target, self.question.goal, is_known)
                && !self.may_end_at(Place::Out { on, received }, &region, now)
            {
                continue;
            }
            let mut path = Path { region, ..path.clone() };
            if let Some(narrowed) = choice {
                Rc::make_mut(&mut path.supposed).narrowed.push(narrowed);
            }
            // A destination that was translated, or is that of a later packet, is another one than the first packet's.
            let hop = (!now.is_original(Field::Destination)).then_some(u8::MAX - u8::from(!path.states.is_empty()));
            let mut rest = Some(path);
            if *given {
                // It may be an address of the machine, or lie in a network, that is not known.
                for UnknownNetwork { on, own, .. } in &unknown {
                    let taken = received.is_none() || compiled.takes(from, *on, now.family);
                    if let Some(path) = divide(&mut rest, own, hop) {
                        self.ended_at(path, if taken { End::Local } else { End::NotForwarded }, now);
                    }
                }
                let others = unknown
                    .iter()
                    .filter(|network| ![Target::Via(network.on), Target::Reject(network.on)].contains(target));
                for UnknownNetwork { on, connected, .. } in others {
                    if let Some(path) = divide(&mut rest, connected, hop) {
                        self.toward(path, from, Target::Via(*on), received, (now, tagging), made);
                    }
                }
            }
            if let Some(path) = rest {
                self.toward(path, from, *target, received, (now, tagging), made);
            }
        }
    }

    /// Where a route leads.
    fn toward(
        &mut self,
        path: Path,
        from: usize,
        target: Target,
        received: Option<InterfaceId>,
        (now, tagging): (&Now, &Tagging),
        made: Option<Made>,
    ) {
        let compiled = self.compiled;
        match target {
            Target::Refused if received.is_some() => self.ended_at(path, End::NotForwarded, now),
            Target::Local(_) | Target::Refused => self.ended_at(path, End::Local, now),
            Target::None | Target::Reject(_) => self.ended_at(path, End::NoRoute, now),
            Target::Via(out) if received.is_none() => {
                let place = Place::Out { on: out, received };
                let (now, tagging) = (now.clone(), tagging.clone());
                self.stack.push(Task::Hop(path, Arrival { place, now, tagging }));
            }
            Target::Via(_) if !compiled.context.forwards(now.family) => self.ended_at(path, End::NotForwarded, now),
            Target::Via(out) => {
                for (path, gone) in compiled.forwardable(path, from, out, now) {
                    match gone {
                        Some(end) => self.ended_at(path, end, now),
                        None => self.leave(path, from, out, now.clone(), tagging.clone(), made),
                    }
                }
            }
        }
    }

    /// The hop out.
    pub(super) fn leave(
        &mut self,
        mut path: Path,
        from: usize,
        out: usize,
        mut now: Now,
        tagging: Tagging,
        made: Option<Made>,
    ) {
        // What af-to has translated is not filtered again.
        if now.family != path.region.family {
            return self.ended_at(path, End::Leaves(out), &now);
        }
        let place = Place::Out {
            on: out,
            received: Some(from),
        };
        let found = made.is_some_and(|made| !made.bound || from == out);
        let skipped = self.compiled.skipped.get(out).copied().unwrap_or(false);
        if found
            && !skipped
            && let Some(Reverse { region, equal, chosen }) = own_reverse(&path.region, &now)
        {
            let reversing = region.clone();
            let mut reverse = Path { region, ..path.clone() };
            reverse.own_reverse = Some(equal.clone());
            let surely = chosen.is_empty();
            Rc::make_mut(&mut reverse.supposed).narrowed.extend(chosen);
            let back = translated_back(&now);
            Rc::make_mut(&mut reverse.hops).push(Hop {
                place,
                decider: Decider::OwnState,
                verdict: Verdict::Pass,
                translated_by: Vec::new(),
                logged: false,
                state: true,
                ends: back.ends(&reverse.supposed.narrowed),
            });
            Rc::make_mut(&mut reverse.trail).push(back.clone());
            self.ended_at(reverse, End::Leaves(out), &back);
            // What pf has chosen otherwise is for the rules.
            path.not_reverse = surely.then_some((reversing, equal));
        }
        now.shift(Field::Ttl, u128::MAX);
        self.stack.push(Task::Hop(path, Arrival { place, now, tagging }));
    }
}

/// Packets that are their own reverse, so that they find the state of their way in (`pf_find_state`).
struct Reverse {
    region: PacketBox,
    /// The pairs of fields that are equal besides.
    equal: Equal,
    /// The choices of pf that it hangs on.
    chosen: Narrowed,
}

/// What the state of the way in makes of a packet that finds it as its own reply: the first header with its ends
/// swapped. An end that was not changed is known to be like the other by now.
fn translated_back(now: &Now) -> Now {
    let mut back = now.clone();
    for (near, far) in [
        (Field::Source, Field::Destination),
        (Field::SourcePort, Field::DestinationPort),
    ] {
        if !now.is_original(far) {
            back.set(near, Term::From(far, 0));
        }
        if !now.is_original(near) {
            back.set(far, Term::From(near, 0));
        }
    }
    back
}

/// The packets of a region that are their own reverse by then.
fn own_reverse(region: &PacketBox, now: &Now) -> Option<Reverse> {
    if now.family != region.family {
        return None;
    }
    let icmp = transport::protocol(transport::icmp(region.family), region.family);
    let mut region = region.clone();
    region = region.with(Field::Transport, &Field::Transport.line(now.family).minus(&icmp))?;
    let (mut equal, mut chosen) = (Vec::new(), Narrowed::new());
    let mut choose = |id: ChoiceId, set: &RangeSet| {
        if set.len() > 1 {
            chosen.push((id, set.clone()));
        }
    };
    for (a, b) in [
        (Field::Source, Field::Destination),
        (Field::SourcePort, Field::DestinationPort),
    ] {
        match (now.term(a), now.term(b)) {
            (Term::From(a, 0), Term::From(b, 0)) => {
                let both = region.numbers(*a).intersection(&region.numbers(*b));
                region = region.with(*a, &both)?.with(*b, &both)?;
                equal.push((*a, *b));
            }
            (Term::From(from, 0), Term::OneOf(id, set)) | (Term::OneOf(id, set), Term::From(from, 0)) => {
                region = region.with(*from, set)?;
                choose(*id, set);
            }
            (Term::OneOf(id, one), Term::OneOf(other_id, other)) if !one.is_disjoint(other) => {
                choose(*id, one);
                choose(*other_id, other);
            }
            // Not followed: a moved field that comes to be equal to the other.
            (Term::OneOf(..) | Term::From(..) | Term::AddressOf(_), _) => return None,
        }
    }
    Some(Reverse { region, equal, chosen })
}

/// The way on which the fact holds, if it may; what is left is the one on which it does not.
fn divide(rest: &mut Option<Path>, fact: &Fact, hop: Option<u8>) -> Option<Path> {
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
