//! What a question's ends ask of a hop before its rules are looked at: packets that no route takes there are left out.

use super::classes::Classes;
use super::compiled::Compiled;
use super::frame::Frame;
use super::path::Path;
use super::question::{Goal, Question, Scope};
use super::rewriting::Now;
use crate::engine::packets::header::{Field, PacketBox};
use crate::engine::packets::space::{InterfaceId, Place};
use crate::engine::rules::list::Entry;
use crate::engine::rules::routing::Target;
use crate::net::{Direction, RangeSet};

/// How many boxes of ends are looked at; of more, every packet is taken to be asked for.
const ENDS: usize = 64;

impl Classes<'_, '_> {
    /// A box that holds the packets of a way that may come to end as the question asks, if the entry that decides this
    /// hop sends them where they were going (not [`Entry::turns_aside`](crate::engine::rules::list::Entry)); `None` where there are none.
    pub(super) fn aimed(&self, path: &Path, frame: &Frame) -> Option<PacketBox> {
        let region = &path.region;
        let compiled = self.compiled;
        let place = compiled.space.place(frame.place);
        let followed = self.question.scope == Scope::Journey && self.question.goal == Goal::GetsThrough;
        let untouched = frame.steps.is_empty()
            && frame.start.rtable.is_none()
            && Field::ENDS.into_iter().all(|field| frame.start.is_original(field))
            && !compiled.list.features.redirects_outward;
        let (Some(ends), Some(place), true) = (&self.question.ends, place, followed && untouched) else {
            return Some(region.clone());
        };
        let Place::In(from) = place else {
            return self.may_end_at(place, region, &frame.start).then(|| region.clone());
        };
        if ends.boxes().len() > ENDS {
            return Some(region.clone());
        }
        let mut hull: Option<PacketBox> = None;
        for wanted in ends.boxes() {
            self.ground.budget.spend();
            let narrowed = wanted
                .limits()
                .filter(|(field, _)| *field != Field::Place)
                .try_fold(region.clone(), |part, (field, set)| part.with(field, set));
            let part = narrowed
                .filter(|part| part.family == wanted.family)
                .and_then(|part| part.with(Field::Destination, &self.leading_to(wanted, from, &frame.start)));
            hull = match (hull, part) {
                (Some(one), Some(other)) => Some(one.hull(&other)),
                (one, other) => one.or(other),
            };
        }
        hull
    }

    /// The destinations of packets that come in on an interface from which the routes lead to a place of the box.
    fn leading_to(&self, wanted: &PacketBox, from: InterfaceId, now: &Now) -> RangeSet {
        let space = &self.compiled.space;
        let is_wanted = |place| {
            let number = space.number(place);
            wanted.limit(Field::Place).is_none_or(|places| places.contains(number))
        };
        let here = is_wanted(Place::In(from));
        let rtable = self.compiled.table_at(Place::In(from), now);
        if !self.compiled.unknown_networks(rtable, now.family).is_empty() {
            return Field::Destination.line(now.family);
        }
        let received = Some(from);
        let pieces = self.compiled.destinations(from, now);
        let leads = pieces.iter().filter(|piece| match piece.target {
            Target::Local(_) => here,
            Target::Via(on) => is_wanted(Place::Out { on, received }),
            Target::Refused | Target::Reject(_) | Target::None | Target::NotForwarded => false,
        });
        RangeSet::from_ranges(leads.flat_map(|piece| piece.addresses.ranges().iter().copied()))
    }

    /// Whether packets of the region that go out there may be asked for. May say yes too often.
    pub(super) fn may_end_at(&self, place: Place, region: &PacketBox, now: &Now) -> bool {
        let Some(ends) = &self.question.ends else { return true };
        if now.family != region.family || self.compiled.list.features.redirects_outward {
            return true;
        }
        let number = self.compiled.space.number(place);
        let original = Now::original(region.family);
        ends.boxes().iter().any(|wanted| {
            wanted.family == now.family
                && wanted.limits().all(|(field, set)| match field {
                    Field::Place => set.contains(number),
                    Field::Destination | Field::DestinationPort => now.may_have(field, set, region),
                    Field::Transport
                    | Field::Source
                    | Field::SourcePort
                    | Field::Options
                    | Field::Fragment
                    | Field::Tos
                    | Field::Ttl
                    | Field::Prio
                    | Field::Tag => original.may_have(field, set, region),
                })
        })
    }

    /// Whether one of the rules that are to decide can do so on a way on which that entry, or the default, decides.
    pub(super) fn may_be_by(&self, path: &Path, frame: &Frame, entry: Option<&Entry>) -> bool {
        let Some(rules) = &self.question.by else { return true };
        let rule = entry.and_then(|entry| self.compiled.list.rule(entry));
        rule.is_some_and(|(id, _)| rules.contains(id))
            || path.steps.backwards().any(|step| step.is_decided_by(rules))
            || self.decided_outward && self.question.scope == Scope::Journey && self.may_go_on(frame)
    }

    /// Whether all packets of the region are excused as they arrive.
    pub(super) fn is_excused(&self, region: &PacketBox) -> bool {
        self.question.excused.iter().any(|known| region.is_subset(known))
    }
}

impl Compiled<'_> {
    /// Whether a rule by which the question wants some hop decided may decide on a way out.
    pub(super) fn may_decide_outward(&self, question: &Question) -> bool {
        let Some(rules) = &question.by else { return false };
        let wanted = |entry: &&Entry| self.list.rule(entry).is_some_and(|(id, _)| rules.contains(id));
        let outward = |number: u128| {
            let place = self.space.place(number);
            place.is_some_and(|place| place.direction() == Direction::Out)
        };
        let places = RangeSet::range(0, self.space.places().saturating_sub(1));
        self.list.entries.iter().filter(wanted).any(|entry| {
            let asked = entry.own().and_then(|part| part.region.limit(Field::Place));
            let there = asked.map_or_else(|| places.clone(), |asked| asked.intersection(&places));
            let mut numbers = there.ranges().iter().flat_map(|&(first, last)| first..=last);
            numbers.any(outward)
        })
    }
}
