//! What comes after a hop that passes: the route, the next hop, the end.

use std::rc::Rc;

use super::classes::{Arrival, Classes, Task};
use super::compiled::UnknownNetwork;
use super::following::Course;
use super::frame::Tagging;
use super::journey::{Decider, End, Verdict};
use super::path::{Path, Step, divide};
use super::question::{Goal, Scope};
use super::rewriting::{Now, Reading, Term};
use super::suppositions::Looked;
use crate::engine::packets::header::Field;
use crate::engine::packets::space::{InterfaceId, Place};
use crate::engine::rules::criteria::{About, Fact};
use crate::engine::rules::list::{Drop, List};
use crate::engine::rules::routing::{Piece, Target};
use crate::net::RangeSet;
use crate::packet::Packet;
use crate::ruleset::{Divert, Name, RouteTo, RouteToKind, Rule, Ruleset};

/// A state that a hop has made.
#[derive(Clone, Copy)]
pub(super) struct Made {
    /// Whether it is bound to its interface.
    pub(super) bound: bool,
    /// Where what goes back by it leaves.
    pub(super) back: Leaving,
}

/// Where a packet leaves that a state lets out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Where its destination is routed.
    AsRouted,
    /// By the interface of the only gateway of `reply-to`.
    By(InterfaceId),
    /// Nowhere: that gateway has no route.
    Nowhere,
    /// By that of one of several.
    Open,
}

impl<'e, 'a> Classes<'e, 'a> {
    /// A hop that passes: the route, and what follows. The header before the hop is that of one that may have changed it.
    #[expect(clippy::too_many_arguments, reason = "what a hop leaves behind, each used once")]
    pub(super) fn passed(
        &mut self,
        mut path: Path,
        place: Place,
        decider: Decider,
        (before, now): (Option<&Now>, Now),
        tagging: Tagging,
        state: bool,
        by: Option<(&Rule, Course)>,
    ) {
        let translated_by = match path.duties.last() {
            Some(duty) if state => duty.translators(&self.compiled.list),
            _ => Vec::new(),
        };
        let anchor = match &decider {
            Decider::Rule(id) => id.anchor.clone(),
            _ => Name::from(Ruleset::MAIN),
        };
        path.steps.push(Step {
            place,
            decider,
            verdict: Verdict::Pass,
            translated_by,
            state,
            now: now.clone(),
        });
        if self.question.scope == Scope::Hop {
            let diverted = by.is_some_and(|(rule, _)| matches!(rule.divert, Some(Divert::Packet { .. })));
            let end = if diverted { End::Diverted } else { End::Passed };
            return self.ended_at(path, end, &now);
        }
        let course = by.map_or(Course::First, |(_, course)| course);
        let route = by.and_then(|(rule, _)| rule.route_to.as_deref()).filter(|_| state);
        let kind = route.map(|route| route.kind);
        let bound = by.is_some_and(|(rule, _)| rule.state.as_ref().is_some_and(|options| options.if_bound));
        let back = match route.filter(|_| kind == Some(RouteToKind::ReplyTo)) {
            None => Leaving::AsRouted,
            Some(route) => {
                let table = self.compiled.table_at(place, &now);
                match self.compiled.gateways(route, &anchor, now.family, table).as_slice() {
                    [Some(out)] => Leaving::By(*out),
                    [None] => Leaving::Nowhere,
                    _ => Leaving::Open,
                }
            }
        };
        // What answers finds a state of its own making only where rules translate it once more.
        let last = path.steps.last();
        let anew = last.is_some_and(|step| step.decider != Decider::State && !step.translated_by.is_empty());
        let made = (state && !now.unanswerable && (anew || !path.follows)).then_some(Made { bound, back });
        // What comes back does so only where nothing is routed; not so what af-to has made.
        let diverted = by.filter(|(rule, course)| *course != Course::Back || rule.route_to.is_none());
        let diverted = diverted.filter(|_| !path.crossed).and_then(|(rule, _)| rule.divert);
        if let Some(Divert::Packet { .. }) = diverted {
            return self.reinjected(path, place, before, now, made);
        }
        let copies = self.question.copies && self.question.goal == Goal::GetsThrough;
        if let (Some(route), Some(RouteToKind::DupTo), Course::First, true) = (route, kind, course, copies) {
            self.copied(&path, place, route, &anchor, &now);
        }
        let routed = route.filter(|_| match (kind, course) {
            (Some(RouteToKind::RouteTo), Course::First | Course::Again(_)) => true,
            (Some(RouteToKind::ReplyTo), Course::Back) => true,
            (Some(RouteToKind::RouteTo | RouteToKind::ReplyTo | RouteToKind::DupTo) | None, _) => false,
        });
        if let (Place::In(_), Some(_)) = (place, diverted) {
            return self.ended_at(path, End::Diverted, &now);
        }
        let Some(route) = routed.filter(|_| !path.crossed) else {
            return match place {
                Place::In(on) => self.route(path, on, &now, &tagging, made),
                Place::Out { .. } => self.go_out(path, place, before, &now),
            };
        };
        let gateways = match course {
            // It was chosen when the state was made.
            Course::Again(Some(went)) => vec![Some(went)],
            Course::First | Course::Again(None) | Course::Back => {
                let table = self.compiled.table_at(place, &now);
                self.compiled.gateways(route, &anchor, now.family, table)
            }
        };
        if gateways.len() > 1 {
            let table = self.compiled.table_at(place, &now);
            let chosen_by = path.duties.last().and_then(|duty| duty.rule(&self.compiled.list));
            let fact = Fact {
                unknown: self.compiled.chooses_gateway(route, &anchor, now.family, table),
                about: About::Rule(chosen_by.unwrap_or(List::NO_RULE)),
            };
            Rc::make_mut(&mut path.supposed).facts.push((fact, Some(0), true));
        }
        for gateway in gateways {
            let mut path = path.clone();
            match (gateway, place) {
                (None, _) => {
                    if let Some(last) = path.steps.last_mut() {
                        last.verdict = Verdict::Drop(Drop::Route);
                    }
                    self.ended_at(path, End::Stopped, &now);
                }
                (Some(out), Place::In(on)) => {
                    path.by_gateway = true;
                    self.leave(path, on, out, now.clone(), tagging.clone(), made);
                }
                // It is not filtered there.
                (Some(out), Place::Out { .. }) => self.ended_at(path, End::Leaves(out), &now),
            }
        }
    }

    /// What `divert-packet` has given to a program, which is taken to send it back as it is: there it goes on, past the rules,
    /// and nothing that pf knew of it is on it (`divert_output`).
    fn reinjected(&mut self, path: Path, place: Place, before: Option<&Now>, mut now: Now, made: Option<Made>) {
        let Place::In(on) = place else {
            if path.by_gateway {
                let why = "what a program sends back of what `route-to` has sent is not followed";
                return self.not_followed(path, &now, why);
            }
            return self.go_out(path, place, before, &now);
        };
        let found_in = self.compiled.rdomain_of(self.compiled.table_at(place, &now));
        now.rtable = Some(0);
        let made = made.filter(|_| self.compiled.rdomain_of(0) == found_in);
        now.set(
            Field::Prio,
            Term::OneOf(0, RangeSet::single(u128::from(Packet::DEFAULT_PRIO))),
        );
        self.route(path, on, &now, &Tagging::NONE, made);
    }

    /// The copies that `dup-to` sends, which no rule sees on their way out.
    fn copied(&mut self, path: &Path, place: Place, route: &RouteTo, anchor: &str, now: &Now) {
        let table = self.compiled.table_at(place, now);
        let mut copy = now.clone();
        copy.unmodelled = Some("copies that `dup-to` sends are not followed".into());
        let gateways = self.compiled.gateways(route, anchor, now.family, table);
        for out in gateways.into_iter().flatten() {
            self.ended_at(path.clone(), End::Leaves(out), &copy);
        }
    }

    /// The end of the hop out: if that has changed the destination, or the routing domain, the stack asks for a route once
    /// more, and no rule (`PF_TAG_REROUTE`); not so what pf itself routes (`pf_route`).
    pub(super) fn go_out(&mut self, path: Path, place: Place, before: Option<&Now>, now: &Now) {
        let compiled = self.compiled;
        let domain = |now: &Now| compiled.rdomain_of(compiled.table_at(place, now));
        let (on, from) = match place {
            Place::Out { on, received } => (on, received.unwrap_or(on)),
            Place::In(on) => (on, on),
        };
        let is_turned = before.is_some_and(|before| {
            before.family == now.family
                && (before.term(Field::Destination) != now.term(Field::Destination) || domain(before) != domain(now))
        });
        if !is_turned || path.by_gateway {
            return self.ended_at(path, End::Leaves(on), now);
        }
        let mut now = now.clone();
        now.rtable = Some(compiled.table_at(place, &now));
        // A link-local address is one of the link by which it leaves.
        let (links, others) = now.to_links(&path.region, &path.supposed.narrowed);
        if let Some(region) = links {
            self.ended_at(Path { region, ..path.clone() }, End::Leaves(on), &now);
        }
        for region in others {
            let rerouted = Path {
                region,
                rerouted: true,
                ..path.clone()
            };
            self.route_from(rerouted, from, Some(from), &now, &Tagging::NONE, None);
        }
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
        // What af-to has made is forwarded straight away: a machine that does not forward takes nothing of it in.
        if path.crossed && !compiled.context.forwards(now.family) {
            return self.ended_at(path, End::NotForwarded, now);
        }
        let mut pieces = compiled.destinations(from, now);
        if path.crossed {
            let rtable = compiled.table_at(Place::In(from), now);
            let never = compiled.never_forwarded(rtable, now.family);
            let others = pieces.iter().map(|piece| Piece {
                addresses: piece.addresses.minus(&never),
                ..piece.clone()
            });
            let gone = Piece {
                addresses: never.clone(),
                target: Target::NotForwarded,
                given: false,
                label: None,
            };
            pieces = others
                .filter(|piece| !piece.addresses.is_empty())
                .chain([gone])
                .collect();
        }
        let rtable = compiled.table_at(Place::In(from), now);
        let unknown = compiled.unknown_networks(rtable, now.family);
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
                    if !path.rerouted && received.is_none() {
                        return self.answer_itself(path, from, now, tagging);
                    }
                    let owner = compiled.space.interface(&name);
                    let refused = |owner| received.is_some() && !compiled.takes(from, owner, now.family);
                    let end = if owner.is_some_and(refused) {
                        End::NotForwarded
                    } else {
                        End::Local
                    };
                    return self.taken_in(path, end, now);
                }
            }
            if self.is_excused(&region) {
                continue;
            }
            let is_known = !*given || unknown.is_empty();
            let as_routed = made.is_none_or(|made| made.back == Leaving::AsRouted);
            if let (Target::Via(on), Goal::GetsThrough, true) = (*target, self.question.goal, is_known && as_routed)
                && !self.may_end_at(Place::Out { on, received }, &region, now)
            {
                continue;
            }
            let mut path = Path { region, ..path.clone() };
            if let Some(narrowed) = choice {
                Rc::make_mut(&mut path.supposed).narrowed.push(narrowed);
            }
            let hop = Looked::at(now, path.follows);
            let mut rest = Some(path);
            if *given {
                // It may be an address of the machine, or lie in a network, that is not known.
                for UnknownNetwork { on, own, .. } in &unknown {
                    let taken = received.is_none() || compiled.takes(from, *on, now.family);
                    if let Some(path) = divide(&mut rest, own, hop) {
                        self.taken_in(path, if taken { End::Local } else { End::NotForwarded }, now);
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
            Target::Local(_) | Target::Refused | Target::NotForwarded if path.rerouted => {
                self.taken_in(path, End::Local, now);
            }
            Target::Via(out) if path.rerouted => self.ended_at(path, End::Leaves(out), now),
            Target::Local(_) | Target::Refused if received.is_none() => self.answer_itself(path, from, now, tagging),
            Target::Refused => self.ended_at(path, End::NotForwarded, now),
            Target::Local(_) => self.taken_in(path, End::Local, now),
            Target::None | Target::Reject(_) => self.ended_at(path, End::NoRoute, now),
            Target::NotForwarded => self.ended_at(path, End::NotForwarded, now),
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

    /// What the machine answers to an address of its own goes out on loopback. A state that it finds there translates it
    /// back, and it is routed again, past the rules (`PF_TAG_REROUTE`); else it stays here.
    fn answer_itself(&mut self, mut path: Path, from: usize, now: &Now, tagging: &Tagging) {
        let compiled = self.compiled;
        let domain = compiled.rdomain_of(compiled.table_at(Place::In(from), now));
        let Some(seen) = compiled.loopback_of(domain) else {
            let mut now = now.clone();
            now.unmodelled =
                Some(format!("routing domain {domain} has no `lo{domain}`, by which it answers itself").into());
            return self.ended_at(path, End::Local, &now);
        };
        let seen = Some(seen).filter(|&on| !compiled.skipped.get(on).copied().unwrap_or(false));
        let place = seen.map(|on| Place::Out { on, received: None });
        let mut states = path.states.iter();
        let found = place.and_then(|place| states.find(|known| known.matches(place, now, domain)));
        let Some(known) = found.filter(|known| known.translates()) else {
            return self.ended_at(path, End::Local, now);
        };
        let now = known.translated(now);
        let rule = known.rule.as_ref().and_then(|id| compiled.ruleset.rule(id));
        let replies = |rule: &&Rule| {
            rule.route_to
                .as_ref()
                .is_some_and(|route| route.kind == RouteToKind::ReplyTo)
        };
        if let (Some(rule), Some(place)) = (rule.filter(replies), place) {
            let by = Some((rule, known.course));
            return self.passed(path, place, Decider::State, (None, now), tagging.clone(), true, by);
        }
        path.rerouted = true;
        self.route_from(path, from, None, &now, tagging, None);
    }

    /// What is addressed to the machine itself: it ends there, if it does not come in by the loopback interface once more.
    fn taken_in(&mut self, path: Path, end: End, now: &Now) {
        let compiled = self.compiled;
        let table = path.steps.last().map_or(0, |step| compiled.table_at(step.place, now));
        let loopback = compiled.loopback_of(compiled.rdomain_of(table));
        let skips_loopback = || loopback.is_some_and(|id| compiled.skipped.get(id) == Some(&true));
        let why = if path.rerouted {
            "what is sent to the machine itself on its way out is not followed"
        } else if path.crossed && end == End::Local && !skips_loopback() {
            // It is sent on as if by the machine, past the rules (`PF_TAG_GENERATED`), and looped back.
            "what af-to makes of packets to the machine itself comes in on loopback, and is not followed there"
        } else {
            return self.ended_at(path, end, now);
        };
        // It gets there or it is stopped.
        let mut now = now.clone();
        now.unmodelled = Some(why.into());
        for end in [End::Local, End::Stopped] {
            self.ended_at(path.clone(), end, &now);
        }
    }
}
