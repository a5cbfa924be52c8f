//! Leaving: the hop out of packets that came in, and of those that find the state of their way in there.

use std::rc::Rc;

use super::classes::{Arrival, Classes, Task};
use super::frame::Tagging;
use super::journey::{Decider, End, Verdict};
use super::onward::{Leaving, Made};
use super::path::{Equal, Path, Step};
use super::rewriting::{ChoiceId, Narrowed, Now, Term, shifted};
use crate::engine::packets::header::{Field, PacketBox};
use crate::engine::packets::space::{InterfaceId, Place};
use crate::engine::packets::transport;
use crate::engine::rules::criteria::{About, Fact};
use crate::engine::rules::list::{Drop, List};
use crate::engine::rules::unknown::Unknown;
use crate::net::{Family, RangeSet, TcpFlags};
use crate::packet::Packet;
use crate::ruleset::{IcmpMatch, KeepState, Rule};

/// How many numbers that pf may choose are followed one by one, where packets are like what it chooses.
const FEW_CHOICES: u128 = 16;

impl Classes<'_, '_> {
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
        let skipped = self.compiled.skipped.get(out).copied().unwrap_or(false);
        let found = !skipped && made.is_some_and(|made| !made.bound || from == out);
        path.region = match self.in_place_of(&path, out, (&now, &tagging), found) {
            Some(rest) => rest,
            None => return,
        };
        // What af-to has translated is not filtered again.
        if path.crossed {
            return self.ended_at(path, End::Leaves(out), &now);
        }
        let place = Place::Out {
            on: out,
            received: Some(from),
        };
        let reverses = if found {
            split_reverse(&mut path, &now)
        } else {
            Vec::new()
        };
        for reverse in reverses {
            if path.follows {
                let mut end = now.clone();
                end.unmodelled = Some("what answers and is its own reverse is not followed".into());
                self.ended_at(reverse, End::Stopped, &end);
            } else {
                let (dropped, others) = without_type(&reverse.region);
                if let Some(region) = dropped {
                    let path = Path {
                        region,
                        ..reverse.clone()
                    };
                    self.dropped_by_own_state(path, place, &now, Drop::Normalize);
                }
                if let Some(region) = others {
                    self.leave_by_own_state(Path { region, ..reverse }, place, &now, made);
                }
            }
        }
        now.shift(Field::Ttl, u128::MAX);
        self.stack.push(Task::Hop(path, Arrival { place, now, tagging }));
    }

    /// In place of packets whose handshake pf has answered (`synproxy state`), what it sends when their sender has answered: a SYN
    /// from itself, as if it were the machine's own (`pf_synproxy`). `found`: their state may be found there. Which of the packets
    /// go out themselves.
    fn in_place_of(
        &mut self,
        path: &Path,
        out: InterfaceId,
        (now, tagging): (&Now, &Tagging),
        found: bool,
    ) -> Option<PacketBox> {
        let rule = match path.steps.last() {
            Some(Step {
                decider: Decider::Rule(id),
                state: true,
                ..
            }) => self.compiled.ruleset.rule(id),
            _ => None,
        };
        let Some(rule) = rule.filter(|rule| rule.keep_state == KeepState::Synproxy) else {
            return Some(path.region.clone());
        };
        let begins = transport::flags_where(|flags| flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK));
        let line = Field::Transport.line(path.region.family);
        if let Some(region) = path.region.clone().with(Field::Transport, &begins) {
            let why = "what pf sends for those whose handshake it has answered is not followed where it goes by `route-to` or af-to";
            let mut path = Path { region, ..path.clone() };
            if rule.route_to.is_some() || path.crossed {
                self.not_followed(path, now, why);
            } else {
                let place = Place::Out {
                    on: out,
                    received: None,
                };
                // What is its own reverse finds the state of its way in, which drops it.
                let reverses = if found {
                    split_reverse(&mut path, now)
                } else {
                    Vec::new()
                };
                for reverse in reverses {
                    self.dropped_by_own_state(reverse, place, now, Drop::Synproxy);
                }
                let (now, tagging) = (self.syn_of_its_own(rule, now), tagging.clone());
                self.stack.push(Task::Hop(path, Arrival { place, now, tagging }));
            }
        }
        path.region.clone().with(Field::Transport, &line.minus(&begins))
    }

    /// The hop out of what finds the state of its way in, which drops it.
    fn dropped_by_own_state(&mut self, mut reverse: Path, place: Place, now: &Now, why: Drop) {
        reverse.steps.push(Step {
            place,
            decider: Decider::OwnState,
            verdict: Verdict::Drop(why),
            translated_by: Vec::new(),
            state: false,
            now: now.clone(),
        });
        self.ended_at(reverse, End::Stopped, now);
    }

    /// The SYN that pf sends, of a header.
    fn syn_of_its_own(&mut self, rule: &Rule, now: &Now) -> Now {
        let mut now = now.clone();
        let prio = rule.set.as_ref().and_then(|set| set.prio);
        let prio = prio.map_or(Packet::DEFAULT_PRIO, |(usual, _)| usual);
        for (field, number) in [
            (Field::Transport, transport::of_tcp(TcpFlags::SYN)),
            (Field::Options, 0),
            (Field::Fragment, 0),
            (Field::Tos, 0),
            (Field::Ttl, 64),
            (Field::Prio, u128::from(prio)),
        ] {
            let term = Term::OneOf(self.fresh(), RangeSet::single(number));
            now.set(field, term);
        }
        now
    }

    /// The hop out of what finds the state of its way in: no rule decides it.
    fn leave_by_own_state(&mut self, mut reverse: Path, place: Place, now: &Now, made: Option<Made>) {
        let mut back = translated_back(now);
        // It is back in the domain that it came from.
        let home = self.compiled.table_at(place, &Now::original(now.family));
        if self.compiled.rdomain_of(self.compiled.table_at(place, now)) != home {
            back.rtable = Some(home);
        }
        reverse.steps.push(Step {
            place,
            decider: Decider::OwnState,
            verdict: Verdict::Pass,
            translated_by: Vec::new(),
            state: true,
            now: back.clone(),
        });
        match made.map_or(Leaving::AsRouted, |made| made.back) {
            Leaving::AsRouted => self.go_out(reverse, place, Some(now), &back),
            Leaving::By(gateway) => self.ended_at(reverse, End::Leaves(gateway), &back),
            Leaving::Nowhere => {
                if let Some(last) = reverse.steps.last_mut() {
                    last.verdict = Verdict::Drop(Drop::Route);
                }
                self.ended_at(reverse, End::Stopped, &back);
            }
            Leaving::Open => {
                let mut end = back;
                end.unmodelled = Some("`reply-to` several gateways is not followed by what is its own reverse".into());
                self.ended_at(reverse, End::Leaves(place.interface()), &end);
            }
        }
    }
}

/// Packets that are their own reverse, so that they find the state of their way in (`pf_find_state`).
struct Reverse {
    region: PacketBox,
    /// The pairs of fields that are equal besides.
    equal: Equal,
    /// The choices of pf that it hangs on.
    chosen: Vec<Chosen>,
    /// What else must be so.
    open: Vec<Fact>,
}

/// A choice of pf, and what is left of it.
struct Chosen {
    id: ChoiceId,
    left: RangeSet,
    /// The field of the original header that it is like, that much greater.
    like: Option<(Field, u128)>,
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

/// The packets of ICMPv6 without a type, 0, and the others: the key of their state has the type where it has an identifier, and they
/// find it as what it is not for (`pf_icmp_mapping`, `pf_icmp_state_lookup`).
fn without_type(region: &PacketBox) -> (Option<PacketBox>, Option<PacketBox>) {
    let line = Field::Transport.line(region.family);
    let none = typeless(region.family);
    let part = |set: &RangeSet| region.clone().with(Field::Transport, set);
    (part(&none), part(&line.minus(&none)))
}

fn typeless(family: Family) -> RangeSet {
    match family {
        Family::Inet => RangeSet::empty(),
        Family::Inet6 => transport::icmp_match(IcmpMatch { kind: 0, code: None }),
    }
}

/// The ways of those that are their own reverse by then; the other is that of the rest.
fn split_reverse(path: &mut Path, now: &Now) -> Vec<Path> {
    let Some(Reverse {
        region,
        equal,
        chosen,
        open,
    }) = own_reverse(&path.region, now, &path.supposed.narrowed)
    else {
        return Vec::new();
    };
    // What pf has chosen otherwise is for the rules.
    let surely = chosen.is_empty() && open.is_empty();
    let mut reverse = Path {
        region: region.clone(),
        own_reverse: Some(equal.clone()),
        ..path.clone()
    };
    let supposed = Rc::make_mut(&mut reverse.supposed);
    supposed.open.extend(open.into_iter().map(|fact| (fact, true)));
    path.not_reverse = surely.then_some((region, equal));
    chosen.iter().fold(vec![reverse], |ways, chosen| {
        ways.iter().flat_map(|way| having_chosen(way, chosen)).collect()
    })
}

/// The ways on which pf has chosen so. Which packets it is like hangs on each number: a way has one of few.
fn having_chosen(way: &Path, chosen: &Chosen) -> Vec<Path> {
    let with = |region: PacketBox, left: &RangeSet| {
        let mut way = Path { region, ..way.clone() };
        Rc::make_mut(&mut way.supposed).narrowed.push((chosen.id, left.clone()));
        way
    };
    match chosen.like {
        Some((field, by)) if chosen.left.len() <= FEW_CHOICES => {
            let numbers = chosen.left.ranges().iter().flat_map(|&(first, last)| first..=last);
            let ways = numbers.filter_map(|number| {
                let alike = RangeSet::single(number.wrapping_sub(by));
                let region = way.region.clone().with(field, &alike)?;
                Some(with(region, &RangeSet::single(number)))
            });
            ways.collect()
        }
        Some(_) | None => vec![with(way.region.clone(), &chosen.left)],
    }
}

/// The packets of a region that are their own reverse by then, where pf has chosen so far as is said.
fn own_reverse(region: &PacketBox, now: &Now, narrowed: &Narrowed) -> Option<Reverse> {
    if now.family != region.family {
        return None;
    }
    let mut region = region.clone();
    let (mut equal, mut chosen, mut open) = (Vec::new(), Vec::new(), Vec::new());
    // Those of a set that are still possible.
    let mut choose = |id: ChoiceId, all: &RangeSet, left: &RangeSet, like: Option<(Field, u128)>| {
        if all.len() > 1 {
            let left = left.clone();
            chosen.push(Chosen { id, left, like });
        }
    };
    for (a, b) in [
        (Field::Source, Field::Destination),
        (Field::SourcePort, Field::DestinationPort),
    ] {
        match (now.term(a), now.term(b)) {
            (Term::From(a, more), Term::From(b, less)) if a == b => {
                if more != less {
                    return None;
                }
            }
            (Term::From(a, more), Term::From(b, less)) => {
                let by = more.wrapping_sub(*less);
                let both = shifted(&region.numbers(*a), by).intersection(&region.numbers(*b));
                region = region.with(*a, &shifted(&both, by.wrapping_neg()))?.with(*b, &both)?;
                equal.push((*a, *b, by));
            }
            (Term::From(from, by), Term::OneOf(id, set)) | (Term::OneOf(id, set), Term::From(from, by)) => {
                let set = Now::values(*id, set, narrowed);
                region = region.with(*from, &shifted(set, by.wrapping_neg()))?;
                choose(*id, set, &shifted(&region.numbers(*from), *by), Some((*from, *by)));
            }
            (Term::OneOf(id, one), Term::OneOf(other_id, other)) => {
                let [one, other] = [(id, one), (other_id, other)].map(|(id, set)| Now::values(*id, set, narrowed));
                if one.is_disjoint(other) {
                    return None;
                }
                choose(*id, one, one, None);
                choose(*other_id, other, other, None);
            }
            // That may be any address.
            (Term::Open(address), _) | (_, Term::Open(address)) => open.push(Fact {
                unknown: Unknown::Address(address.interface.clone()),
                about: About::Rule(List::NO_RULE),
            }),
        }
    }
    let icmp = transport::protocol(transport::icmp(region.family), region.family);
    let icmp = icmp.minus(&typeless(region.family));
    let region = region.with(Field::Transport, &Field::Transport.line(now.family).minus(&icmp))?;
    Some(Reverse {
        region,
        equal,
        chosen,
        open,
    })
}
