//! [`Frame`]: one hop of a class, and whether an entry of the list matches there: at a point, and how far around it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::rewriting::{Now, Reading, Term};
use super::suppositions::{HEADERS, Moment, Needs, Settled, Suppositions, known};
use crate::engine::packets::around::{Around, narrow};
use crate::engine::packets::header::{Field, Header, PacketBox};
use crate::engine::rules::criteria::{About, Fact};
use crate::engine::rules::index::{Hulls, Index};
use crate::engine::rules::list::{Entry, List, Part, Position};
use crate::engine::rules::met::Met;
use crate::engine::rules::unknown::Unknown;
use crate::net::{Family, RangeSet};

/// Whether an entry matches.
#[derive(Clone, Debug)]
pub(super) enum Match {
    No,
    Yes,
    Maybe(Needs),
}

/// Where the tag on a packet that comes to a hop is from.
#[derive(Clone, Debug)]
pub(super) enum Tagging {
    /// It was on it from the beginning.
    Original,
    /// It has one of these.
    OneOf(RangeSet),
    /// That which the hop before has left, when it stopped there.
    After(Rc<Frame>, Position),
}

/// One hop of a class of packets.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Which hop it is, from 0.
    pub(super) hop: u8,
    /// The number of its place.
    pub(super) place: u128,
    /// The family of the original header.
    pub(super) original: Family,
    pub(super) start: Now,
    /// The header after each match rule that changed it.
    pub(super) steps: Vec<(Position, Now)>,
    pub(super) tagging: Tagging,
    /// The entries that this place can meet.
    pub(super) met: Arc<Met>,
    /// Those of them that may decide or end the evaluation somewhere in the region that the hop began with, if they were
    /// looked up.
    pub(super) near: Option<Rc<[usize]>>,
}

/// The steps that are left.
#[derive(Debug)]
pub(in crate::engine) struct Budget(std::cell::Cell<u64>);

impl Budget {
    pub(in crate::engine) fn new(steps: u64) -> Self {
        Self(std::cell::Cell::new(steps))
    }

    pub(super) fn spend(&self) {
        self.spend_all(1);
    }

    /// Pays for that many things that are looked at.
    pub(super) fn spend_all(&self, count: usize) {
        self.0.set(self.0.get().saturating_sub(count as u64));
    }

    /// Gives up: something is more than can be followed.
    pub(super) fn exhaust(&self) {
        self.0.set(0);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left() == 0
    }

    pub(in crate::engine) fn left(&self) -> u64 {
        self.0.get()
    }
}

/// What the questions of one search share.
pub(in crate::engine) struct Ground<'e, 'a> {
    pub(super) list: &'e List<'a>,
    /// The number of each rule's tag; 0 for none.
    pub(super) tags: &'e [u128],
    pub(in crate::engine) budget: Budget,
    /// The numbers of the rule that is supposed not to be there.
    pub(super) without: Vec<usize>,
    /// Whether it is asked only if there is a packet: a class is then that one, not a box around it.
    pub(in crate::engine) packets_only: bool,
    /// The rules that have kept the chosen entries from deciding.
    pub(super) blamed: RefCell<Vec<usize>>,
}

impl Ground<'_, '_> {
    /// The entries of those numbers that are supposed to be there.
    pub(super) fn entries<'g>(&'g self, numbers: &'g [usize]) -> impl DoubleEndedIterator<Item = &'g Entry> {
        let entries = numbers.iter().filter_map(|&number| self.list.entries.get(number));
        entries.filter(|entry| !self.without.contains(&entry.rule))
    }
}

/// So many entries are gone through one by one rather than looked up.
const FEW: usize = 16;

/// How deep rules that ask for tags and set tags may hang on each other.
const TAG_DEPTH: u8 = 32;

impl Frame {
    /// The header as the entry at that position sees it.
    pub(super) fn now(&self, position: Position) -> &Now {
        let before = self.steps.iter().rev().find(|(at, _)| *at < position);
        before.map_or(&self.start, |(_, now)| now)
    }

    /// The header after an evaluation that ends at that position.
    pub(super) fn until(&self, stop: Position) -> &Now {
        let last = self.steps.iter().rev().find(|(at, _)| *at <= stop);
        last.map_or(&self.start, |(_, now)| now)
    }

    /// Whether the entry can match somewhere in the region. May say yes too often.
    pub(super) fn may_match(&self, entry: &Entry, region: &PacketBox) -> bool {
        entry
            .parts
            .iter()
            .all(|part| self.now(part.position).may_be_in(&part.region, region))
    }

    /// The entries that may decide or end the evaluation somewhere in the region, by their numbers, in order. Behind a quick
    /// one that decides whatever comes to it there are none.
    pub(in crate::engine) fn overlapping(&self, ground: &Ground<'_, '_>, region: &PacketBox) -> Vec<usize> {
        let nows = || self.steps.iter().map(|(_, now)| now).chain([&self.start]);
        let hull = |field: Field| {
            nows().try_fold((u128::MAX, 0), |(first, last), now| {
                let (least, greatest) = hull(now.term(field), region)?;
                Some((first.min(least), last.max(greatest)))
            })
        };
        let query: Hulls = Index::FIELDS.map(hull);
        let (mut found, mut last) = (Vec::new(), usize::MAX);
        let asked = |number: usize, field: Field| {
            let limit = ground.list.entries.get(number)?.own()?.region.limit(field)?;
            Some((limit.first()?, limit.last()?))
        };
        self.met.index.overlapping(&query, &asked, &mut |number| {
            if number > last {
                return;
            }
            ground.budget.spend();
            let mut entry = ground.entries(std::slice::from_ref(&number));
            if let Some(entry) = entry.next().filter(|entry| self.may_match(entry, region)) {
                found.push(number);
                if entry.quick && entry.kind.decides() && self.surely_matches(entry, region) {
                    last = number;
                }
            }
        });
        found.retain(|&number| number <= last);
        found.sort_unstable();
        found
    }

    /// The same of a part of the region that the hop began with.
    pub(super) fn overlapping_part(&self, ground: &Ground<'_, '_>, region: &PacketBox) -> Vec<usize> {
        match &self.near {
            Some(near) if near.len() <= FEW => {
                ground.budget.spend_all(near.len());
                let near = near.iter().copied();
                near.filter(|&number| {
                    let entry = ground.list.entries.get(number);
                    entry.is_some_and(|entry| self.may_match(entry, region))
                })
                .collect()
            }
            _ => self.overlapping(ground, region),
        }
    }

    /// The part of the region where the entry may match, its tag aside, and what that needs.
    pub(super) fn pulled(
        &self,
        entry: &Entry,
        region: &PacketBox,
        supposed: &Suppositions,
    ) -> Option<(PacketBox, Needs)> {
        let mut pulled = region.clone();
        let mut needs = Needs::default();
        for part in &entry.parts {
            let now = self.now(part.position);
            if now.family != part.region.family {
                return None;
            }
            for (field, set) in part.region.limits() {
                match self.read(part, field, set, supposed) {
                    Reading::On(field, set) => pulled = pulled.with(field, &set)?,
                    Reading::Always(true) => {}
                    Reading::Always(false) => return None,
                    Reading::Choice(id, inside, outside) => needs.choices.push((id, inside, outside)),
                    Reading::Unknown(name) => needs.facts.push(self.unknown_address(name, entry)),
                }
            }
            self.facts(part.facts.iter(), now, supposed, &mut needs)?;
        }
        Some((pulled, needs))
    }

    /// How what a part of an entry asks of a field reads on the original header.
    fn read<'p>(&self, part: &'p Part, field: Field, set: &'p RangeSet, supposed: &Suppositions) -> Reading<'p> {
        let now = self.now(part.position);
        let mut facts = part.facts.iter();
        match facts.find(|(fact, _)| is_settled(fact, field, now)) {
            Some((_, holds)) => Reading::Always(*holds),
            None => now.read(field, set, self.original, &supposed.narrowed),
        }
    }

    /// Adds the facts that are open; `None` where one is known not to be so, or another of them says that it is not.
    fn facts<'f>(
        &self,
        facts: impl Iterator<Item = &'f (Fact, bool)>,
        now: &Now,
        supposed: &Suppositions,
        needs: &mut Needs,
    ) -> Option<()> {
        for (fact, holds) in facts {
            let of_this_hop = match &fact.about {
                About::Host(field, _) => !now.is_original(*field),
                About::Rule(_) => fact.unknown.is_choice() || matches!(fact.unknown, Unknown::Anchor(_)),
            };
            let hop = of_this_hop.then(|| match &fact.about {
                About::Host(field, _) => self.moment(*field, now),
                About::Rule(_) => Moment::from(self.hop) * HEADERS,
            });
            let settled = match &fact.about {
                About::Host(field, _) => is_settled(fact, *field, now).then_some(true),
                About::Rule(_) => None,
            };
            let supposed = || supposed.known(fact, hop).or_else(|| known(&needs.facts, fact, hop));
            match settled.or_else(supposed) {
                Some(known) if known != *holds => return None,
                Some(_) => {}
                None => needs.facts.push((fact.clone(), hop, *holds)),
            }
        }
        Some(())
    }

    /// The moment at which the field first was what it is in that header.
    fn moment(&self, field: Field, now: &Now) -> Moment {
        let headers = [&self.start].into_iter().chain(self.steps.iter().map(|(_, now)| now));
        let mut numbered = (0..HEADERS).zip(headers);
        let first = numbered.find(|(_, header)| header.term(field) == now.term(field));
        Moment::from(self.hop) * HEADERS + first.map_or(0, |(number, _)| number)
    }

    fn unknown_address(&self, name: crate::ruleset::Name, entry: &Entry) -> Settled {
        let fact = Fact {
            unknown: Unknown::Address(name),
            about: About::Rule(entry.rule),
        };
        (fact, Some(Moment::from(self.hop) * HEADERS), true)
    }

    /// Whether the entry surely matches every packet of the region, and decides all that none before it in the order of
    /// first match does.
    pub(super) fn surely_matches(&self, entry: &Entry, region: &PacketBox) -> bool {
        let [part] = entry.parts.as_slice() else { return false };
        let now = self.now(part.position);
        self.met.is_straight
            && entry.is_unconditional()
            && now.family == part.region.family
            && part.region.limits().all(|(field, set)| match now.term(field) {
                Term::From(from, 0) => region.limit(*from).is_some_and(|own| own.is_subset(set)),
                Term::OneOf(_, all) => all.is_subset(set),
                Term::From(..) | Term::Open(_) => false,
            })
    }

    /// Whether the entry surely does not match the original header: some field of it is not what it asks for.
    pub(super) fn misses(&self, entry: &Entry, at: &Header) -> bool {
        entry.parts.iter().any(|part| {
            let now = self.now(part.position);
            let other = |(field, set): (Field, &RangeSet)| match now.number(field, at) {
                Some(number) => !set.contains(number),
                None => false,
            };
            now.family != part.region.family || part.region.limits().any(other)
        })
    }

    /// Whether the entry matches the original header `at`. `within`, a box around it, is made smaller so that the
    /// answer is the same for all of it.
    pub(super) fn matches(
        &self,
        ground: &Ground<'_, '_>,
        entry: &Entry,
        at: &Header,
        supposed: &Suppositions,
        within: &mut PacketBox,
    ) -> Match {
        self.matches_at_depth(ground, entry, at, supposed, within, 0)
    }

    fn matches_at_depth(
        &self,
        ground: &Ground<'_, '_>,
        entry: &Entry,
        at: &Header,
        supposed: &Suppositions,
        within: &mut PacketBox,
        depth: u8,
    ) -> Match {
        ground.budget.spend();
        let mut needs = Needs::default();
        let mut around = Around::default();
        for part in &entry.parts {
            let now = self.now(part.position);
            if now.family != part.region.family {
                return Match::No;
            }
            for (field, set) in part.region.limits() {
                match self.read(part, field, set, supposed) {
                    Reading::On(field, set) => around.ask(field, set, at, within),
                    Reading::Always(true) => {}
                    Reading::Always(false) => return Match::No,
                    Reading::Choice(id, inside, outside) => needs.choices.push((id, inside, outside)),
                    Reading::Unknown(name) => needs.facts.push(self.unknown_address(name, entry)),
                }
            }
            if self.facts(part.facts.iter(), now, supposed, &mut needs).is_none() {
                return Match::No;
            }
        }
        if around.is_missed() {
            around.narrow(within);
            return Match::No;
        }
        for part in &entry.parts {
            let Some(wanted) = &part.tag else { continue };
            let mut there = within.clone();
            let tags = self.tags(ground, part.position, at, supposed, &mut there, depth);
            if tags.is_disjoint(wanted) {
                *within = there;
                return Match::No;
            }
            *within = there;
            if !tags.is_subset(wanted) {
                let fact = Fact {
                    unknown: Unknown::Tag,
                    about: About::Rule(entry.rule),
                };
                needs.facts.push((fact, Some(Moment::from(self.hop) * HEADERS), true));
            }
        }
        around.narrow(within);
        if needs.is_nothing() {
            Match::Yes
        } else {
            Match::Maybe(needs)
        }
    }

    /// The tags that the state may have which an evaluation makes that ends there, decided by that entry; 0 for none. It takes
    /// that of its packet only where a rule has set or asked for one (`pf_match_tag`). `within` is made smaller so that they are
    /// the same.
    pub(super) fn state_tags(
        &self,
        ground: &Ground<'_, '_>,
        (decider, stop): (Option<&Entry>, Position),
        at: &Header,
        supposed: &Suppositions,
        within: &mut PacketBox,
    ) -> RangeSet {
        let none = RangeSet::single(0);
        if !ground.list.features.asks_for_tags {
            return none;
        }
        let before = self.tags(ground, 0, at, supposed, within, 0);
        let after = self.tags(ground, stop.saturating_add(1), at, supposed, within, 0);
        let asks = |entry: &Entry| entry.parts.iter().any(|part| part.tag.is_some());
        if before == none || decider.is_some_and(asks) {
            return after;
        }
        let is_there = |entry: &&Entry| entry.position <= stop && self.may_match(entry, within);
        let mut may_ask = ground.list.entries.iter().filter(is_there);
        let mut perhaps = ground.list.features.asks_before || may_ask.any(asks);
        for entry in ground.entries(&self.met.taggers).filter(|entry| entry.position <= stop) {
            match self.matches(ground, entry, at, supposed, within) {
                Match::Yes => return after,
                Match::Maybe(_) => perhaps = true,
                Match::No => {}
            }
        }
        if perhaps { after.union(&none) } else { none }
    }

    /// The tags that the packet may have at that position; `within` is made smaller so that they are the same.
    fn tags(
        &self,
        ground: &Ground<'_, '_>,
        position: Position,
        at: &Header,
        supposed: &Suppositions,
        within: &mut PacketBox,
        depth: u8,
    ) -> RangeSet {
        let mut tags = RangeSet::empty();
        if depth >= TAG_DEPTH || ground.budget.is_spent() {
            ground.budget.exhaust();
            return tags;
        }
        for entry in ground.entries(&self.met.taggers).rev() {
            if entry.position >= position || !self.may_match(entry, within) {
                continue;
            }
            let tag = ground.tags.get(entry.rule).copied().unwrap_or(0);
            match self.matches_at_depth(ground, entry, at, supposed, within, depth + 1) {
                Match::No => {}
                Match::Yes => return tags.union(&RangeSet::single(tag)),
                Match::Maybe(_) => tags = tags.union(&RangeSet::single(tag)),
            }
        }
        let before = match &self.tagging {
            Tagging::Original => {
                let tag = RangeSet::single(at.get(Field::Tag));
                narrow(within, Field::Tag, &tag);
                tag
            }
            Tagging::OneOf(tags) => tags.clone(),
            Tagging::After(frame, stop) => {
                let after = stop.saturating_add(1);
                frame.tags(ground, after, at, supposed, within, depth + 1)
            }
        };
        tags.union(&before)
    }
}

impl Tagging {
    /// No tag.
    pub(super) const NONE: Self = Self::OneOf(RangeSet::single(0));
}

/// Whether what a fact says of a field is so whatever the address is that a rule has put there.
fn is_settled(fact: &Fact, field: Field, now: &Now) -> bool {
    let is_about = matches!(fact.about, About::Host(about, _) if about == field);
    is_about && matches!(now.term(field), Term::Open(address) if address.is_in(fact, now.family))
}

/// The least and the greatest number that a field can have in a region; `None` where it may have any.
fn hull(term: &Term, region: &PacketBox) -> Option<(u128, u128)> {
    match term {
        Term::From(from, by) => {
            let set = region.limit(*from)?;
            let (first, last) = (set.first()?.wrapping_add(*by), set.last()?.wrapping_add(*by));
            (first <= last).then_some((first, last))
        }
        Term::OneOf(_, set) => Some((set.first()?, set.last()?)),
        Term::Open(_) => None,
    }
}
