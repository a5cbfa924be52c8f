//! The packets that follow the first one of a flow: replies, and of tcp what the originator sends later.
//!
//! They find the states that the hops of the first packet have made; where there is none the rules decide.

use std::rc::Rc;

use super::classes::{Arrival, Classes, Task};
use super::compiled::Compiled;
use super::frame::Tagging;
use super::journey::{Class, Decider, End};
use super::path::{Back, Path};
use super::question::Question;
use super::rewriting::{Now, Term};
use crate::context::InterfaceAddress;
use crate::engine::packets::header::{Field, PacketBox};
use crate::engine::packets::space::{InterfaceId, Place};
use crate::engine::packets::transport;
use crate::net::{Direction, Family, RangeSet};
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
    /// The routing domain in which it is found.
    pub(super) rdomain: u32,
    /// The tags that it may put on what finds it; 0 for none.
    pub(super) tags: RangeSet,
    /// What `set tos` and `set prio` make of what finds it.
    pub(super) sets: Vec<(Field, Term)>,
    /// The rule that made it, and how what finds it goes by it.
    pub(super) rule: Option<RuleId>,
    pub(super) course: Course,
}

/// How a packet goes by the state that a rule has made: what `route-to` and `reply-to` are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// It is the first, which made the state.
    First,
    /// As the first, which went out of that interface.
    Again(Option<InterfaceId>),
    /// Back.
    Back,
}

impl Known {
    pub(super) fn matches(&self, place: Place, now: &Now, rdomain: u32) -> bool {
        let (direction, on) = match place {
            Place::In(on) => (Direction::In, on),
            Place::Out { on, .. } => (Direction::Out, on),
        };
        self.direction == direction
            && self.rdomain == rdomain
            && self.bound.is_none_or(|bound| bound == on)
            && self.before.family == now.family
            && Field::ENDS
                .into_iter()
                .all(|field| self.before.term(field) == now.term(field))
    }

    /// The header that it makes of one that finds it.
    pub(super) fn translated(&self, now: &Now) -> Now {
        let mut now = now.clone();
        now.family = self.after.family;
        for field in Field::ENDS {
            now.set(field, self.after.term(field).clone());
        }
        for (field, term) in &self.sets {
            now.set(*field, term.clone());
        }
        // What a state translates goes on in the domain of its other side, and what it takes along by its table.
        if matches!(self.course, Course::Again(_)) || self.translates() {
            now.rtable = self.after.rtable;
        }
        now
    }

    /// The tag that a packet has which has found it: its own, where the state has none.
    pub(super) fn tagging(&self, arrived: Tagging) -> Tagging {
        match (self.tags.contains(0), arrived) {
            (false, _) => Tagging::OneOf(self.tags.clone()),
            (true, arrived) if self.tags.len() == 1 => arrived,
            (true, Tagging::OneOf(tags)) => Tagging::OneOf(self.tags.union(&tags)),
            (true, Tagging::Original | Tagging::After(..)) => Tagging::OneOf(Field::Tag.line(self.before.family)),
        }
    }

    /// Whether its two sides differ: what finds it is changed, if only to another routing domain.
    pub(super) fn translates(&self) -> bool {
        let (before, after) = (&self.before, &self.after);
        before.family != after.family
            || before.rtable != after.rtable
            || Field::ENDS
                .into_iter()
                .any(|field| before.term(field) != after.term(field))
    }
}

impl<'e, 'a> Classes<'e, 'a> {
    /// The search for what becomes of the packets that follow those of a class in their flow: the replies, and of tcp
    /// the originator's later packets.
    pub(in crate::engine) fn following(compiled: &'e Compiled<'a>, class: &Class, question: Question) -> Self {
        let mut search = Self::new(compiled, question);
        search.choices = class.choices;
        let original = Now::original(class.region.family);
        let mut steps = vec![original];
        steps.extend(class.trail.iter().cloned());
        let mut states = Vec::new();
        let tags = class.state_tags.iter();
        let mut hops = class.journey.hops.iter().zip(steps.windows(2)).zip(tags).peekable();
        while let Some(((hop, ends), tags)) = hops.next() {
            let [before, after] = ends else { continue };
            if !hop.state {
                continue;
            }
            let (there, back, on) = match hop.place {
                Place::In(on) => (Direction::In, Direction::Out, on),
                Place::Out { on, .. } => (Direction::Out, Direction::In, on),
            };
            // A state between the families is found by what comes in alone (`pf_find_state`).
            let crosses = before.family != after.family;
            let back = if crosses { Direction::In } else { back };
            let made_by = match &hop.decider {
                Decider::Rule(id) => Some(id.clone()),
                _ => None,
            };
            let rule = made_by.as_ref().and_then(|id| compiled.ruleset.rule(id));
            let options = rule.and_then(|rule| rule.state.as_ref());
            let bound = options.is_some_and(|options| options.if_bound).then_some(on);
            // Whatever is set is another choice than any before.
            let is_set = |field: &Field| before.term(*field) != after.term(*field);
            let sets: Vec<(Field, Term)> = [Field::Tos, Field::Prio]
                .into_iter()
                .filter(is_set)
                .map(|field| (field, search.chosen_anew(after.term(field))))
                .collect();
            let [mut before, mut after] = [before, after].map(Now::clone);
            // The sides of a state are in domains; only what goes the way of the first packet is given a table
            // (`pf_state_key_setup`, `pf_create_state`).
            let near = compiled.rdomain_of(compiled.table_at(hop.place, &before));
            let table = after.rtable.unwrap_or(near);
            let far = compiled.rdomain_of(table);
            before.rtable = Some(near);
            after.rtable = Some(far);
            let went = match (hops.peek(), class.journey.end) {
                (Some(((next, _), _)), _) => Some(next.place.interface()),
                (None, End::Leaves(on)) => Some(on),
                (None, _) => None,
            };
            if !after.unanswerable {
                let mut home = before.reversed();
                if crosses {
                    // It comes in, too, as the first packet did (`rtableid[pd->didx]`).
                    home.rtable = Some(table);
                }
                states.push(Known {
                    direction: back,
                    bound,
                    rdomain: far,
                    before: after.reversed(),
                    after: home,
                    tags: tags.clone(),
                    sets: sets.clone(),
                    rule: made_by.clone(),
                    course: Course::Back,
                });
            }
            after.rtable = Some(table);
            states.push(Known {
                direction: there,
                bound,
                rdomain: near,
                before,
                after,
                tags: tags.clone(),
                sets,
                rule: made_by,
                course: Course::Again(went),
            });
        }
        let states: Rc<[Known]> = states.into();
        if let (Some(first), Some(last), Some(header)) =
            (class.journey.hops.first(), class.journey.hops.last(), steps.last())
        {
            // It comes in where the first packet went out, as if from nowhere.
            let mut header = header.reversed();
            header.rtable = None;
            let at = match class.journey.end {
                End::Leaves(out) => Place::Out {
                    on: out,
                    received: None,
                },
                _ => {
                    // The machine itself answers in the domain where it has found the address its own.
                    let taken = steps.last().map(|last_now| compiled.table_at(last.place, last_now));
                    header.rtable = taken.map(|table| compiled.rdomain_of(table));
                    last.place
                }
            };
            let back = match first.place {
                Place::In(on) => Back::To(on),
                Place::Out { .. } => Back::Itself,
            };
            let somebody = somebody(compiled, first.place.interface(), class.region.family);
            let answered = class.region.clone().with(Field::Source, &somebody);
            let replies = answered.map(|answered| search.replies(&answered, &header));
            for (region, now) in replies.into_iter().flatten() {
                search.follow(class, region, now, at, Some(back), &states);
            }
            if let Some((region, now)) = search.later(&class.region, &steps[0]) {
                search.follow(class, region, now, first.place, None, &states);
            }
        }
        search
    }

    /// The same choice as pf makes it of another packet.
    fn chosen_anew(&mut self, term: &Term) -> Term {
        match term {
            Term::OneOf(_, values) => Term::OneOf(self.fresh(), values.clone()),
            Term::From(..) | Term::Open(_) => term.clone(),
        }
    }

    /// A packet of the flow meets the machine where the first one left it, a reply, or where it came in.
    pub(super) fn follow(
        &mut self,
        class: &Class,
        region: PacketBox,
        now: Now,
        at: Place,
        back_to: Option<Back>,
        states: &Rc<[Known]>,
    ) {
        let path = Path {
            supposed: Rc::new(class.supposed.for_next()),
            states: Rc::clone(states),
            follows: true,
            back_to,
            ..Path::new(region)
        };
        let tagging = Tagging::NONE;
        let place = match (at, back_to) {
            (place, None) => place,
            (Place::Out { on, .. }, Some(_)) => Place::In(on),
            (Place::In(on), Some(_)) => return self.answer(path, on, &now, &tagging),
        };
        self.stack.push(Task::Hop(path, Arrival { place, now, tagging }));
    }

    /// What the machine itself answers to packets that came in by that interface: link-local addresses are of that link, others are
    /// routed.
    fn answer(&mut self, path: Path, on: InterfaceId, now: &Now, tagging: &Tagging) {
        let (links, others) = now.to_links(&path.region, &path.supposed.narrowed);
        if let Some(region) = links {
            let arrival = Arrival {
                place: Place::Out { on, received: None },
                now: now.clone(),
                tagging: tagging.clone(),
            };
            self.stack.push(Task::Hop(Path { region, ..path.clone() }, arrival));
        }
        for region in others {
            self.route_from(Path { region, ..path.clone() }, on, None, now, tagging, None);
        }
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

/// The addresses at which somebody may be answered whose packets come by that interface: no unspecified one, no multicast, no
/// broadcast.
fn somebody(compiled: &Compiled<'_>, on: InterfaceId, family: Family) -> RangeSet {
    let line = Field::Source.line(family);
    line.minus(&match family {
        Family::Inet => {
            let rdomain = compiled.rdomain(on);
            let beside = compiled.context.interfaces.iter();
            let shared = beside.filter(|beside| beside.rdomain == rdomain).flat_map(|beside| {
                let nets = beside.addresses_of(family).filter_map(InterfaceAddress::known);
                nets.filter_map(|net| beside.shared_of(net))
            });
            let shared = shared.map(|address| (u128::from(u32::from(address)), u128::from(u32::from(address))));
            let nobody = [(0, 0x00ff_ffff), (0xe000_0000, 0xefff_ffff), (0xffff_ffff, 0xffff_ffff)];
            RangeSet::from_ranges(shared.chain(nobody))
        }
        Family::Inet6 => RangeSet::from_ranges([(0, 0), (0xff00 << 112, u128::MAX)]),
    })
}
