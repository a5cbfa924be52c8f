//! [`FirstMatch`]: the list as one of first match, the quick entries in order and then the others backwards, for packets
//! of one hop that no rule rewrites. There boxes alone say what decides, and no way has to be followed.
//!
//! Every answer is exact or not given: where a rule may change the header, asks for tags, or matches only if more than
//! the header is so, the answer is left to the search.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;

use super::compiled::Compiled;
use crate::engine::packets::header::{Field, Header, PacketBox};
use crate::engine::packets::witness;
use crate::engine::rules::alike::acts_like;
use crate::engine::rules::index::Index;
use crate::engine::rules::list::{END, Entry, Kind};
use crate::net::RangeSet;
use crate::ruleset::{Action, Rule, RuleId};

/// What became of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Need {
    /// It decides packets that would be decided otherwise without it.
    Needed,
    /// It decides packets, and the ruleset without it decides them alike: these rules do, or may.
    Redundant(Vec<RuleId>),
    /// Others decide all that it matches: the numbers of these rules, as often as they were met.
    Dead(Vec<usize>),
}

/// How often a packet is held against an entry for one rule before the answer is left to the search.
const LOOKS: usize = 100_000;

/// The list in the order of first match.
#[derive(Debug)]
pub(super) struct FirstMatch {
    /// What packets may be that some rule may rewrite, by the fields that no rule changes.
    rewritten: Vec<PacketBox>,
    /// The packets that rules see on one hop.
    seen: Vec<PacketBox>,
    /// How large the box of each entry is, in 64ths of a power of two.
    sizes: Vec<i64>,
}

/// A question about one rule.
pub(super) struct Asked<'e, 'a> {
    compiled: &'e Compiled<'a>,
    /// The entries of the rule.
    own: &'e [usize],
    /// The rule, if it is asked what would be without it.
    rule: Option<&'e Rule>,
    /// How often packets may still be held against entries.
    looks: Cell<usize>,
    /// The numbers of the rules that have packets of the own entries, as often as they were met.
    met: RefCell<Vec<usize>>,
}

/// What a rule decides of some packets.
enum Decides {
    /// Nothing.
    Nothing,
    /// A packet that would be decided alike without it.
    Replaceable,
    /// A packet that would be decided otherwise without it.
    Needed,
}

/// What becomes of a packet that the rule matches.
enum OfPacket {
    /// The rule decides it.
    Decided(Decides),
    /// Others come first: the largest of them, with its size.
    Taken((i64, usize)),
}

/// Place in the order of first match: less comes first.
type Rank = u64;

fn rank(entry: &Entry) -> Rank {
    match entry.quick {
        true => Rank::from(entry.position),
        false => 2 * Rank::from(END) - Rank::from(entry.position),
    }
}

/// The fields that no rule changes for later rules of one hop.
pub(super) const FIXED: [Field; 4] = [Field::Place, Field::Transport, Field::Options, Field::Fragment];

/// The box but for what rules may change.
pub(in crate::engine) fn fixed(region: &PacketBox) -> Option<PacketBox> {
    let mut limits = region.limits().filter(|(field, _)| FIXED.contains(field));
    limits.try_fold(PacketBox::all(region.family), |part, (field, set)| {
        part.with(field, set)
    })
}

/// An entry of another rule: the rule's number, and its box.
type Other<'e> = (usize, &'e PacketBox);

/// The entries that overlap one, but those of its own rule.
#[derive(Default)]
struct Neighbours<'e> {
    /// Those before it in the order of first match that surely match where their boxes say so, the largest first.
    before: Vec<Other<'e>>,
    /// Those before it that match only if more than the header is so.
    perhaps: Vec<&'e PacketBox>,
    /// Those behind it, in that order.
    behind: Vec<&'e Entry>,
}

impl FirstMatch {
    fn new(compiled: &Compiled<'_>) -> Self {
        let rewrites = |entry: &&Entry| {
            let rule = compiled.list.rule(entry).map(|(_, rule)| rule);
            entry.kind == Kind::Match && (entry.quick || rule.is_some_and(rewrites)) || entry.kind == Kind::Call
        };
        let rewriting = compiled.list.entries.iter().filter(rewrites);
        let looked_at = (0..compiled.space.places()).filter(|&number| {
            let place = compiled.space.place(number);
            place.is_some_and(|place| !compiled.skipped.get(place.interface()).copied().unwrap_or(false))
        });
        let places = RangeSet::from_ranges(looked_at.map(|number| (number, number)));
        let everything = compiled.everything.boxes().iter();
        Self {
            rewritten: rewriting.filter_map(|entry| fixed(&entry.own()?.region)).collect(),
            sizes: compiled
                .list
                .entries
                .iter()
                .map(|entry| entry.own().map_or(0, |part| (part.region.magnitude() * 64.0) as i64))
                .collect(),
            seen: everything
                .filter_map(|part| part.clone().with(Field::Place, &places))
                .collect(),
        }
    }
}

impl FirstMatch {
    fn size(&self, number: usize) -> i64 {
        self.sizes.get(number).copied().unwrap_or(0)
    }

    /// What is left of the boxes without what some rule may rewrite; `None` where no rule rewrites any of it.
    fn as_they_come(&self, pieces: &[PacketBox]) -> Option<Vec<PacketBox>> {
        let is_met = |part: &&PacketBox| pieces.iter().any(|piece| !piece.is_disjoint(part));
        let mut met = self.rewritten.iter().filter(is_met).peekable();
        met.peek()?;
        Some(met.fold(pieces.to_vec(), |left, part| {
            left.iter().flat_map(|piece| piece.minus(part)).collect()
        }))
    }
}

impl<'a> Compiled<'a> {
    fn first_match(&self) -> &FirstMatch {
        self.first_match.get_or_init(|| FirstMatch::new(self))
    }

    /// The packets that rules see on one hop.
    pub(super) fn seen(&self) -> &[PacketBox] {
        &self.first_match().seen
    }

    /// Whether a rule decides packets and, where the rule is given, whether the ruleset without it would decide them
    /// alike. `own` are its entries. `None` where that is not to be seen here.
    pub(in crate::engine) fn need(&self, rule: Option<&Rule>, own: &[usize]) -> Option<Need> {
        Asked::new(self, rule, own).need()
    }

    /// Whether one of the entries, which are those of one rule, decides packets, and how many looks that has taken.
    /// `None` where it is not to be seen here.
    pub(in crate::engine) fn decides(&self, own: &[usize]) -> (Option<bool>, usize) {
        let asked = Asked::new(self, None, own);
        let decides = asked.need().map(|need| !matches!(need, Need::Dead(_)));
        (decides, LOOKS - asked.looks.get())
    }
}

impl<'e, 'a> Asked<'e, 'a> {
    fn new(compiled: &'e Compiled<'a>, rule: Option<&'e Rule>, own: &'e [usize]) -> Self {
        Self {
            compiled,
            own,
            rule,
            looks: Cell::new(LOOKS),
            met: RefCell::default(),
        }
    }

    fn entry(&self, number: usize) -> Option<&'e Entry> {
        self.compiled.list.entries.get(number)
    }

    fn need(&self) -> Option<Need> {
        let known = self.compiled.first_match();
        let mut regions: Vec<(&Entry, Vec<PacketBox>)> = Vec::new();
        let mut is_rewritten = false;
        for &number in self.own {
            let entry = self.entry(number).filter(|entry| is_plain(entry))?;
            let region = &entry.own()?.region;
            let pieces: Vec<PacketBox> = known.seen.iter().filter_map(|part| part.intersection(region)).collect();
            if pieces.is_empty() {
                continue;
            }
            let as_they_come = known.as_they_come(&pieces);
            is_rewritten |= as_they_come.is_some();
            regions.push((entry, as_they_come.unwrap_or(pieces)));
        }
        let mut decides = false;
        for (_, pieces) in &regions {
            match self.decides(pieces.clone())? {
                Decides::Needed => return Some(Need::Needed),
                Decides::Replaceable => decides = true,
                Decides::Nothing => {}
            }
        }
        match self.rule {
            // What is seen of the packets that come as they are is not all.
            _ if is_rewritten => None,
            _ if !decides => Some(Need::Dead(self.met.take())),
            None => Some(Need::Needed),
            Some(rule) => {
                let mut instead = Vec::new();
                for (entry, pieces) in regions {
                    let neighbours = self.neighbours(entry, &pieces)?;
                    if self.is_missed(rule, &pieces, neighbours, &mut instead)? {
                        return Some(Need::Needed);
                    }
                }
                instead.sort_unstable();
                instead.dedup();
                let rules = &self.compiled.list.rules;
                let named = instead.into_iter().filter_map(|number| rules.get(number));
                Some(Need::Redundant(named.map(|(id, _)| id.clone()).collect()))
            }
        }
    }

    /// Whether one of the own entries decides a packet of those boxes, of which each is in one of them: packets that
    /// others decide take away the largest of these others' boxes, until one is found or nothing is left. `None` where
    /// that is not to be found out.
    fn decides(&self, mut left: Vec<PacketBox>) -> Option<Decides> {
        let mut is_begun = false;
        while let Some(piece) = left.pop() {
            // The first piece is looked at in more places than one: most rules need no more.
            let (first, others) = match is_begun {
                true => (Some(piece.least()), None),
                false => (None, Some(samples(&piece))),
            };
            is_begun = true;
            let (mut taker, mut replaceable) = (None, false);
            for at in first.into_iter().chain(others.into_iter().flatten()) {
                match self.of_packet(&at)? {
                    OfPacket::Decided(Decides::Needed) => return Some(Decides::Needed),
                    OfPacket::Decided(_) => replaceable = true,
                    OfPacket::Taken(by) => {
                        taker = taker.max(Some(by));
                        // What has one packet of a piece has often all of it.
                        if self
                            .entry(by.1)?
                            .own()
                            .is_some_and(|part| piece.is_subset(&part.region))
                        {
                            break;
                        }
                    }
                }
            }
            if replaceable {
                return Some(Decides::Replaceable);
            }
            let (_, taker) = taker?;
            let entry = self.entry(taker)?;
            self.met.borrow_mut().push(entry.rule);
            left.extend(piece.minus(&entry.own()?.region));
        }
        Some(Decides::Nothing)
    }

    /// What one packet, which an own entry matches, says; `None` where that hangs on more than the header.
    fn of_packet(&self, at: &Header) -> Option<OfPacket> {
        let met = self.compiled.met(Some(at.get(Field::Place)), at.family);
        let mut matching: Vec<(Rank, usize)> = Vec::new();
        let (mut looks, mut ends_early) = (0, false);
        let query = Index::FIELDS.map(|field| Some((at.get(field), at.get(field))));
        met.index
            .overlapping(&query, &|number, field| self.hull(number, field), &mut |number| {
                looks += 1;
                if let Some(entry) = self.entry(number).filter(|entry| contains(entry, at)) {
                    ends_early |= !is_simple(entry);
                    matching.push((rank(entry), number));
                }
            });
        self.looks.set(self.looks.get().checked_sub(looks)?);
        if ends_early {
            return None;
        }
        let (own, others): (Vec<_>, Vec<_>) = matching.into_iter().partition(|(_, number)| self.own.contains(number));
        let own = own.into_iter().min()?;
        if others.iter().any(|other| *other < own) {
            let before = others
                .into_iter()
                .filter(|other| *other < own)
                .map(|(_, number)| number);
            let plain = before.filter(|&number| self.entry(number).is_some_and(is_plain));
            let sized = plain.map(|number| (self.compiled.first_match().size(number), number));
            return sized.max().map(OfPacket::Taken);
        }
        let Some(rule) = self.rule else {
            return Some(OfPacket::Decided(Decides::Needed));
        };
        let next = match others.into_iter().min() {
            Some((_, number)) => Some(self.entry(number).filter(|entry| is_plain(entry))?),
            None => None,
        };
        Some(OfPacket::Decided(match self.acts_alike(rule, next) {
            true => Decides::Replaceable,
            false => Decides::Needed,
        }))
    }

    /// The least and the greatest number that an entry binds a field to.
    fn hull(&self, number: usize, field: Field) -> Option<(u128, u128)> {
        let limit = self.entry(number)?.own()?.region.limit(field)?;
        Some((limit.first()?, limit.last()?))
    }

    /// The entries of other rules that overlap those boxes of an entry; `None` where one of them may end the evaluation
    /// otherwise.
    fn neighbours(&self, entry: &'e Entry, pieces: &[PacketBox]) -> Option<Neighbours<'e>> {
        let region = &entry.own()?.region;
        let met = self.compiled.met(None, region.family);
        let mut overlapping: Vec<usize> = Vec::new();
        let query = Index::FIELDS.map(|field| {
            let limit = region.limit(field)?;
            Some((limit.first()?, limit.last()?))
        });
        met.index
            .overlapping(&query, &|number, field| self.hull(number, field), &mut |other| {
                overlapping.push(other)
            });
        // What covers most is looked at first.
        overlapping.sort_unstable_by_key(|&number| Reverse(self.compiled.first_match().size(number)));
        let mut neighbours = Neighbours::default();
        for number in overlapping.into_iter().filter(|number| !self.own.contains(number)) {
            let other = self.entry(number)?;
            let own = &other.own()?.region;
            if pieces.iter().all(|piece| piece.is_disjoint(own)) {
                continue;
            }
            if !is_simple(other) {
                return None;
            }
            if rank(other) > rank(entry) {
                neighbours.behind.push(other);
            } else if is_plain(other) {
                neighbours.before.push((other.rule, own));
            } else {
                neighbours.perhaps.push(own);
            }
        }
        neighbours.behind.sort_unstable_by_key(|other| rank(other));
        Some(neighbours)
    }

    /// Whether packets that the entry decides would be decided otherwise without the rule; `instead` gets the numbers of the
    /// rules that may decide them alike.
    fn is_missed(
        &self,
        rule: &Rule,
        pieces: &[PacketBox],
        neighbours: Neighbours<'e>,
        instead: &mut Vec<usize>,
    ) -> Option<bool> {
        let mut covering = neighbours.before;
        for next in neighbours.behind.into_iter().map(Some).chain([None]) {
            let region = next.and_then(|next| Some(&next.own()?.region));
            if next.is_some_and(|next| !is_plain(next)) {
                return None;
            }
            if self.acts_alike(rule, next) {
                instead.extend(next.map(|next| next.rule));
                let Some(region) = region else { return Some(false) };
                if pieces.iter().all(|piece| piece.is_subset(region)) {
                    return Some(false);
                }
                covering.extend(next.map(|next| (next.rule, region)));
                continue;
            }
            let there = match region {
                Some(region) => pieces.iter().filter_map(|piece| piece.intersection(region)).collect(),
                None => pieces.to_vec(),
            };
            if self.outside(there, &covering, &neighbours.perhaps)? {
                return Some(true);
            }
            if region.is_some_and(|region| pieces.iter().all(|piece| piece.is_subset(region))) {
                return Some(false);
            }
        }
        Some(false)
    }

    /// Whether that entry, or the default, does with a packet what the rule does.
    fn acts_alike(&self, rule: &Rule, next: Option<&Entry>) -> bool {
        let first = self.own.first().and_then(|&number| self.entry(number));
        let Some((id, _)) = first.and_then(|entry| self.compiled.list.rule(entry)) else {
            return false;
        };
        match next {
            Some(next) => {
                let other = self.compiled.list.rule(next);
                other.is_some_and(|(other, known)| acts_like((id, rule), (other, known)))
            }
            None => acts_like((id, rule), (id, &Rule::new(rule.origin, Action::Pass))),
        }
    }

    /// Whether some packet of the boxes is surely in none of the others; `None` where that is not to be found out.
    fn outside(&self, mut left: Vec<PacketBox>, others: &[Other<'_>], perhaps: &[&PacketBox]) -> Option<bool> {
        while let Some(piece) = left.pop() {
            let at = piece.least();
            let covering = others.iter().position(|(_, region)| region.contains(&at));
            let looked = covering.unwrap_or(others.len()) + 1;
            self.looks.set(self.looks.get().checked_sub(looked)?);
            match covering.and_then(|number| others.get(number)) {
                Some((rule, region)) => {
                    self.met.borrow_mut().push(*rule);
                    left.extend(piece.minus(region));
                }
                None if perhaps.iter().any(|region| region.contains(&at)) => return None,
                None => return Some(true),
            }
        }
        Some(false)
    }
}

/// Whether the rule may change the header, or the tag, for later rules.
fn rewrites(rule: &Rule) -> bool {
    let set = rule.set.as_ref();
    rule.translation.is_some()
        || rule.rtable.is_some()
        || set.is_some_and(|set| set.prio.is_some() || set.tos.is_some())
}

/// Whether the entry passes, blocks or drops what is in its box, for good or if nothing else does.
fn is_simple(entry: &Entry) -> bool {
    let decides = match entry.kind {
        Kind::Pass | Kind::Block | Kind::Drop(_) => true,
        Kind::Match | Kind::Call | Kind::Filled => false,
    };
    decides && entry.parts.len() == 1 && (entry.quick || entry.stop == END)
}

/// Whether the box of the entry is moreover all that it asks for.
fn is_plain(entry: &Entry) -> bool {
    is_simple(entry) && entry.is_unconditional()
}

/// Whether the packet is in every box of the entry.
fn contains(entry: &Entry, at: &Header) -> bool {
    entry.parts.iter().all(|part| part.region.contains(at))
}

/// A few packets of a box: the one that comes to mind first, and others at the far ends of its lines.
fn samples(region: &PacketBox) -> impl Iterator<Item = Header> + '_ {
    const ENDS: [&[Field]; 6] = [
        &[],
        &[Field::Destination],
        &[Field::Source],
        &[Field::DestinationPort],
        &[Field::Place],
        &[
            Field::Source,
            Field::Destination,
            Field::DestinationPort,
            Field::SourcePort,
        ],
    ];
    let first = witness::readable(region);
    ENDS.into_iter().map(move |ends| {
        ends.iter().fold(first.clone(), |header, &field| {
            let last = region.numbers(field).last();
            let number = last.unwrap_or_else(|| header.get(field));
            header.with(field, number)
        })
    })
}
