//! Leaving: the hop out of packets that came in, and of those that find the state of their way in there.

use std::rc::Rc;

use super::criteria::{About, Fact};
use super::frame::Tagging;
use super::header::{Field, PacketBox};
use super::journey::{Decider, Drop, End, Unknown, Verdict};
use super::list::List;
use super::onward::{Leaving, Made};
use super::path::{Equal, Path, Step};
use super::rewriting::{ChoiceId, Narrowed, Now, Term, shifted};
use super::search::{Arrival, Classes, Task};
use super::space::Place;
use super::transport;
use crate::net::{RangeSet, TcpFlags};
use crate::ruleset::KeepState;

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
        // What af-to has translated is not filtered again.
        if path.crossed {
            return self.ended_at(path, End::Leaves(out), &now);
        }
        path.region = match self.beyond_synproxy(&path, &now) {
            Some(rest) => rest,
            None => return,
        };
        let place = Place::Out {
            on: out,
            received: Some(from),
        };
        let found = made.is_some_and(|made| !made.bound || from == out);
        let skipped = self.compiled.skipped.get(out).copied().unwrap_or(false);
        if found
            && !skipped
            && let Some(Reverse {
                region,
                equal,
                chosen,
                open,
            }) = own_reverse(&path.region, &now, &path.supposed.narrowed)
        {
            let reversing = region.clone();
            let mut reverse = Path { region, ..path.clone() };
            reverse.own_reverse = Some(equal.clone());
            let surely = chosen.is_empty() && open.is_empty();
            let supposed = Rc::make_mut(&mut reverse.supposed);
            supposed.narrowed.extend(chosen);
            supposed.open.extend(open.into_iter().map(|fact| (fact, true)));
            if path.follows {
                let mut end = now.clone();
                end.unmodelled = Some("what answers and is its own reverse is not followed".into());
                self.ended_at(reverse, End::Stopped, &end);
            } else {
                self.leave_by_own_state(reverse, place, &now, made);
            }
            // What pf has chosen otherwise is for the rules.
            path.not_reverse = surely.then_some((reversing, equal));
        }
        now.shift(Field::Ttl, u128::MAX);
        self.stack.push(Task::Hop(path, Arrival { place, now, tagging }));
    }

    /// What of the packets goes out by itself: in place of one whose handshake pf has answered it sends another, past the rules,
    /// and the rest of the flow finds no state there.
    fn beyond_synproxy(&mut self, path: &Path, now: &Now) -> Option<PacketBox> {
        let Some(Step {
            decider: Decider::Rule(id),
            state: true,
            ..
        }) = path.steps.last()
        else {
            return Some(path.region.clone());
        };
        let rule = self.compiled.ruleset.rule(id);
        if rule.is_none_or(|rule| rule.keep_state != KeepState::Synproxy) {
            return Some(path.region.clone());
        }
        let begins = transport::flags_where(|flags| flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK));
        let line = Field::Transport.line(path.region.family);
        if let Some(region) = path.region.clone().with(Field::Transport, &begins) {
            let why = "what pf sends for those whose handshake it has answered (`synproxy state`) is not followed";
            self.not_followed(Path { region, ..path.clone() }, now, why);
        }
        path.region.clone().with(Field::Transport, &line.minus(&begins))
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
    chosen: Narrowed,
    /// What else must be so.
    open: Vec<Fact>,
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

/// The packets of a region that are their own reverse by then, where pf has chosen so far as is said.
fn own_reverse(region: &PacketBox, now: &Now, narrowed: &Narrowed) -> Option<Reverse> {
    if now.family != region.family {
        return None;
    }
    let mut region = region.clone();
    let (mut equal, mut chosen, mut open) = (Vec::new(), Narrowed::new(), Vec::new());
    // Those of a set that are still possible.
    let mut choose = |id: ChoiceId, all: &RangeSet, left: &RangeSet| {
        if all.len() > 1 {
            chosen.push((id, left.clone()));
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
                choose(*id, set, &shifted(&region.numbers(*from), *by));
            }
            (Term::OneOf(id, one), Term::OneOf(other_id, other)) => {
                let [one, other] = [(id, one), (other_id, other)].map(|(id, set)| Now::values(*id, set, narrowed));
                if one.is_disjoint(other) {
                    return None;
                }
                choose(*id, one, one);
                choose(*other_id, other, other);
            }
            // That may be any address.
            (Term::AddressOf(name), _) | (_, Term::AddressOf(name)) => open.push(Fact {
                unknown: Unknown::Address(name.clone()),
                about: About::Rule(List::NO_RULE),
            }),
        }
    }
    let icmp = transport::protocol(transport::icmp(region.family), region.family);
    let region = region.with(Field::Transport, &Field::Transport.line(now.family).minus(&icmp))?;
    Some(Reverse {
        region,
        equal,
        chosen,
        open,
    })
}
