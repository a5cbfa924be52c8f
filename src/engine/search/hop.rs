//! One hop: what match rules make of the header, which entries may decide, and what comes of it.

use std::rc::Rc;
use std::sync::Arc;

use super::classes::{Arrival, Classes, Task};
use super::cover::Duty;
use super::following::Course;
use super::frame::{Frame, Tagging};
use super::journey::{Decider, End, Verdict};
use super::path::{Path, Step, divide};
use super::question::{Goal, Scope};
use super::rewrite::MOST_PIECES;
use super::rewriting::{Now, Term};
use super::translate::Translator;
use crate::context::Interface;
use crate::engine::packets::header::{Field, PacketBox};
use crate::engine::packets::space::Place;
use crate::engine::packets::transport;
use crate::engine::packets::witness;
use crate::engine::rules::list::{Drop, END, Entry, Kind, Position};
use crate::net::{Direction, RangeSet, TcpFlags};
use crate::ruleset::{KeepState, Rule, SourceTrack, Translation};

impl<'e, 'a> Classes<'e, 'a> {
    /// Begins a hop: what match rules make of the header splits the region.
    pub(super) fn hop(&mut self, path: Path, arrival: Arrival) {
        let compiled = self.compiled;
        let interface = arrival.place.interface();
        let mut arrival = arrival;
        arrival.now.unanswerable = false;
        if path.steps.last().is_some() || path.follows {
            // Where the original came in does not tell where this hop is.
            let here = RangeSet::single(compiled.space.number(arrival.place));
            arrival.now.set(Field::Place, Term::OneOf(0, here));
        }
        if self.question.scope == Scope::Journey
            && let Some(Interface {
                bridge: Some(bridge), ..
            }) = compiled.context.interfaces.get(interface)
        {
            let why = format!("{bridge} hands on what its ports see, and that is not followed");
            return self.not_followed(path, &arrival.now, &why);
        }
        if compiled.skipped.get(interface).copied().unwrap_or(false) {
            let (place, now) = (arrival.place, arrival.now);
            return self.passed(path, place, Decider::Skipped, (None, now), arrival.tagging, false, None);
        }
        if let Some(answered) = self.answered(&path, &arrival) {
            for region in path.region.minus(&answered) {
                let path = Path { region, ..path.clone() };
                self.stack.push(Task::Hop(path, arrival.clone()));
            }
            let path = Path {
                region: answered,
                ..path
            };
            let why = "pf answers it itself (`set syncookies always`), and what comes of the handshake is not followed";
            return self.not_followed(path, &arrival.now, why);
        }
        let mut path = path;
        path.crossed = false;
        let table = compiled.table_at(arrival.place, &arrival.now);
        let rdomain = compiled.rdomain_of(table);
        let known = path.states.iter();
        let mut known = known.filter(|known| known.matches(arrival.place, &arrival.now, rdomain));
        if let Some(known) = known.next().cloned() {
            let now = known.translated(&arrival.now);
            let tagging = known.tagging(arrival.tagging);
            path.crossed = now.family != arrival.now.family;
            let rule = known.rule.as_ref().and_then(|id| compiled.ruleset.rule(id));
            let by = rule.map(|rule| (rule, known.course));
            return self.passed(
                path,
                arrival.place,
                Decider::State,
                (Some(&arrival.now), now),
                tagging,
                true,
                by,
            );
        }
        // Rules begin with the domain's own table, whatever table brought the packet here (`pf_test_rule`).
        arrival.now.rtable = arrival.now.rtable.map(|_| rdomain);
        let number = compiled.space.number(arrival.place);
        let several = self.question.scope == Scope::Hop;
        let met = compiled.met((!several).then_some(number), arrival.now.family);
        let frame = Frame {
            hop: path.steps.len() as u8,
            place: number,
            original: path.region.family,
            start: arrival.now,
            steps: Vec::new(),
            tagging: arrival.tagging,
            met: Arc::clone(&met),
            near: None,
        };
        self.rewrite(path, frame);
    }

    /// The packets that pf answers itself before it looks at states and rules: SYNs that come in (`pf_synflood_check`).
    fn answered(&self, path: &Path, arrival: &Arrival) -> Option<PacketBox> {
        let answers = self.compiled.ruleset.options.syncookies && self.question.scope == Scope::Journey;
        if !answers || arrival.place.direction() != Direction::In {
            return None;
        }
        let opens = |flags: TcpFlags| flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK);
        let opening = arrival
            .now
            .part(&path.region, Field::Transport, &transport::flags_where(opens))?;
        arrival.now.part(&opening, Field::Fragment, &RangeSet::single(0))
    }

    /// Puts the entries that may decide a hop on the stack, in the order of first match: the quick ones, then the
    /// others backwards.
    pub(super) fn candidates(&mut self, path: Path, mut frame: Frame) {
        let entries = &self.compiled.list.entries;
        let aimed = self.aimed(&path, &frame);
        let overlapping = match &self.deciding {
            Some(only) => only.to_vec(),
            None => {
                let mut found = aimed
                    .as_ref()
                    .map_or_else(Vec::new, |aimed| frame.overlapping(&self.ground, aimed));
                if aimed.as_ref() != Some(&path.region) {
                    found.extend(frame.met.turning_aside.iter().copied().filter(|&number| {
                        self.ground.budget.spend();
                        let mut entry = self.ground.entries(std::slice::from_ref(&number));
                        entry.next().is_some_and(|entry| frame.may_match(entry, &path.region))
                    }));
                    found.sort_unstable();
                    found.dedup();
                } else {
                    frame.near = Some(found.as_slice().into());
                }
                found
            }
        };
        let decides = |number: &usize| entries.get(*number).is_some_and(|entry| entry.kind.decides());
        let quick = |number: &usize| entries.get(*number).is_some_and(|entry| entry.quick);
        let (mut order, others): (Vec<usize>, Vec<usize>) = overlapping.into_iter().filter(decides).partition(quick);
        order.extend(others.into_iter().rev());
        self.stack
            .push(Task::Decide(path, Rc::new(frame), aimed, order.into(), 0));
    }

    /// Tries the entries that may decide a hop, from the one at `from` on; the default comes last.
    pub(super) fn decide(
        &mut self,
        path: Path,
        frame: Rc<Frame>,
        mut aimed: Option<PacketBox>,
        order: Rc<[usize]>,
        from: usize,
    ) {
        for (at, &number) in order.iter().enumerate().skip(from) {
            let Some(entry) = self.compiled.list.entries.get(number) else {
                continue;
            };
            self.ground.budget.spend();
            let within = match &aimed {
                _ if entry.turns_aside => &path.region,
                Some(aimed) => aimed,
                None => continue,
            };
            // INVARIANT: what this one surely matches, none of those behind it decides.
            let decides_all = |region: &PacketBox| self.deciding.is_none() && frame.surely_matches(entry, region);
            let is_last = decides_all(&path.region);
            let after = aimed.clone().filter(|aimed| !is_last && !decides_all(aimed));
            let wanted = path.back_to.is_some() || self.is_wanted(entry, &frame);
            let pulled = Some(entry).filter(|entry| wanted && self.may_be_by(&path, &frame, Some(entry)));
            let pulled = pulled.and_then(|entry| frame.pulled(entry, within, &path.supposed));
            let Some((region, needs)) = pulled.filter(|(region, _)| !self.is_excused(region)) else {
                if is_last {
                    return;
                }
                aimed = after;
                continue;
            };
            if !is_last {
                let rest = Task::Decide(path.clone(), Rc::clone(&frame), after, Rc::clone(&order), at + 1);
                self.stack.push(rest);
            }
            let mut chosen = Path { region, ..path };
            if !needs.is_nothing() {
                Rc::make_mut(&mut chosen.supposed).suppose(&needs);
            }
            for path in self.ended(chosen, &frame, Some(number)) {
                self.decided(path, &frame, entry);
            }
            return;
        }
        if self.deciding.is_some() {
            return;
        }
        // Nothing matches: the default passes, without a state.
        let aimed = aimed.filter(|_| self.may_be_by(&path, &frame, None));
        let Some(region) = aimed.filter(|region| !self.is_excused(region)) else {
            return;
        };
        for path in self.ended(Path { region, ..path }, &frame, None) {
            if self.deciders_only {
                self.ended_by(path, &frame, Decider::Default);
            } else {
                self.pass(path, &frame, None);
            }
        }
    }

    /// The ways on which that entry decides: the evaluation ends where it must, or a quick match rule ends it before.
    fn ended(&self, path: Path, frame: &Rc<Frame>, decider: Option<usize>) -> Vec<Path> {
        let list = &self.compiled.list;
        let whole = Duty::new(list, frame, decider, None);
        let from = decider.and_then(|number| list.entries.get(number));
        let from = from.map_or(0, |entry| entry.position);
        let mut ways = Vec::new();
        for &number in &frame.met.quick_matches {
            let Some(entry) = list.entries.get(number) else {
                continue;
            };
            self.ground.budget.spend();
            if entry.position <= from || entry.position > whole.stop || self.ground.without.contains(&entry.rule) {
                continue;
            }
            if let Some((region, needs)) = frame.pulled(entry, &path.region, &path.supposed) {
                let mut ended = Path { region, ..path.clone() };
                if !needs.is_nothing() {
                    Rc::make_mut(&mut ended.supposed).suppose(&needs);
                }
                ended.duties.push(Duty::new(list, frame, decider, Some(number)));
                ways.push(ended);
            }
        }
        let mut path = path;
        path.duties.push(whole);
        ways.push(path);
        ways
    }

    /// Whether a way on which that entry decides can be one that is asked for.
    pub(super) fn is_wanted(&self, entry: &Entry, frame: &Frame) -> bool {
        let passes = match entry.kind {
            Kind::Pass => true,
            Kind::Filled => return true,
            Kind::Block | Kind::Drop(_) => false,
            Kind::Match | Kind::Call => return false,
        };
        match self.question.goal {
            Goal::Any => true,
            Goal::GetsThrough => passes,
            Goal::Stopped => {
                !passes || self.question.scope == Scope::Journey && self.may_go_on(frame) || self.may_fail(entry)
            }
        }
    }

    /// Whether another hop, or a route, may follow that one.
    pub(super) fn may_go_on(&self, frame: &Frame) -> bool {
        matches!(self.compiled.space.place(frame.place), Some(Place::In(_)))
    }

    /// Whether pf may drop a packet that the rule passes.
    pub(super) fn may_fail(&self, entry: &Entry) -> bool {
        let rule = self.compiled.list.rule(entry);
        rule.is_some_and(|(_, rule)| {
            !rule.allow_opts || rule.translation.is_some() || rule.state.is_some() || rule.route_to.is_some()
        })
    }

    pub(super) fn decided(&mut self, path: Path, frame: &Rc<Frame>, entry: &'e Entry) {
        let id = self.compiled.list.rule(entry).map(|(id, _)| id.clone());
        if self.deciders_only {
            let decider = match entry.kind {
                Kind::Filled => id.map(Decider::Anchor),
                Kind::Pass | Kind::Block => id.map(Decider::Rule),
                Kind::Drop(_) | Kind::Match | Kind::Call => None,
            };
            return self.ended_by(path, frame, decider.unwrap_or(Decider::Nobody));
        }
        match entry.kind {
            Kind::Pass => self.pass(path, frame, Some(entry)),
            Kind::Block => {
                let decider = id.map_or(Decider::Nobody, Decider::Rule);
                self.stopped(path, frame, decider, Verdict::Block);
            }
            Kind::Drop(why) => self.stopped(path, frame, Decider::Nobody, Verdict::Drop(why)),
            Kind::Filled => self.filled(path, frame, entry, id.map_or(Decider::Nobody, Decider::Anchor)),
            Kind::Match | Kind::Call => {}
        }
    }

    /// Ends the hop where it is known what decides it.
    fn ended_by(&mut self, mut path: Path, frame: &Frame, decider: Decider) {
        path.steps.push(Step {
            place: self.place(frame),
            decider,
            verdict: Verdict::Pass,
            translated_by: Vec::new(),
            state: false,
            now: frame.start.clone(),
        });
        let now = frame.until(stop(&path));
        self.ended_at(path, End::Passed, now);
    }

    pub(super) fn place(&self, frame: &Frame) -> Place {
        self.compiled.space.place(frame.place).unwrap_or(Place::In(usize::MAX))
    }

    /// The tag that the hop leaves on the packet.
    pub(super) fn tagging(&self, frame: &Rc<Frame>, decider: &Entry, stop: Position) -> Tagging {
        if frame.met.taggers.is_empty() {
            return frame.tagging.clone();
        }
        let entries = &self.compiled.list.entries;
        let own = self.compiled.tags.get(decider.rule).copied().unwrap_or(0);
        let mut later = frame.met.taggers.iter().filter_map(|&number| entries.get(number));
        let overridden = later.any(|entry| entry.position > decider.position && entry.position <= stop);
        if own != 0 && !overridden {
            Tagging::OneOf(RangeSet::single(own))
        } else {
            Tagging::After(Rc::clone(frame), stop)
        }
    }

    /// A deciding pass rule, or the default, and what comes of it.
    pub(super) fn pass(&mut self, path: Path, frame: &Rc<Frame>, entry: Option<&'e Entry>) {
        let decision = entry.and_then(|entry| self.compiled.list.rule(entry).map(|(id, rule)| (entry, id, rule)));
        let rule = decision.map(|(_, _, rule)| rule);
        let decider = decision.map_or(Decider::Default, |(_, id, _)| Decider::Rule(id.clone()));
        let Some(path) = self.without_options(path, frame, rule, &decider) else {
            return;
        };
        match decision {
            None => {
                let tagging = if frame.met.taggers.is_empty() {
                    frame.tagging.clone()
                } else {
                    Tagging::After(Rc::clone(frame), stop(&path))
                };
                // Without a state, too, the packet goes by the routing table that match rules have set.
                let mut now = frame.start.clone();
                now.rtable = frame.until(stop(&path)).rtable;
                let now = (Some(&frame.start), now);
                self.passed(path, self.place(frame), Decider::Default, now, tagging, false, None);
            }
            Some((entry, _, rule)) => self.pass_by_rule(path, frame, entry, rule, &decider),
        }
    }

    /// The packets that pass: those with options need `allow-opts`, the others are dropped.
    fn without_options(&mut self, path: Path, frame: &Frame, rule: Option<&Rule>, decider: &Decider) -> Option<Path> {
        if rule.is_some_and(|rule| rule.allow_opts) {
            return Some(path);
        }
        let clean = frame.start.part(&path.region, Field::Options, &RangeSet::single(0));
        if self.question.goal != Goal::GetsThrough {
            let others = match &clean {
                Some(clean) => path.region.minus(clean),
                None => vec![path.region.clone()],
            };
            for region in others {
                let path = Path { region, ..path.clone() };
                self.stopped(path, frame, decider.clone(), Verdict::Drop(Drop::Options));
            }
        }
        clean.map(|region| Path { region, ..path })
    }

    pub(super) fn pass_by_rule(
        &mut self,
        path: Path,
        frame: &Rc<Frame>,
        entry: &'e Entry,
        rule: &'a Rule,
        decider: &Decider,
    ) {
        let place = self.place(frame);
        let stop = stop(&path);
        let tagging = self.tagging(frame, entry, stop);
        let mut rest = Some(path);
        if let Some(empty) = self.compiled.may_be_empty(entry.rule, frame.until(stop).family)
            && let Some(path) = divide(&mut rest, &empty, None)
        {
            self.stopped(path, frame, decider.clone(), Verdict::Drop(Drop::Translation));
        }
        let Some(path) = rest else { return };
        // Translation is done by the state. The header that rules saw before is what goes on without one.
        let stateless = match rule.keep_state {
            KeepState::No => vec![path.region.clone()],
            KeepState::Keep | KeepState::Modulate | KeepState::Synproxy => {
                let fragments = frame.start.part(&path.region, Field::Fragment, &RangeSet::range(1, 2));
                let fragments = fragments.filter(|_| !self.compiled.space.reassembles());
                let whole = match fragments {
                    Some(_) => frame.start.part(&path.region, Field::Fragment, &RangeSet::single(0)),
                    None => Some(path.region.clone()),
                };
                let none = transport::stateless(frame.start.family);
                let icmp = whole.and_then(|whole| frame.start.part(&whole, Field::Transport, &none));
                fragments.into_iter().chain(icmp).collect()
            }
        };
        let mut stateful = vec![path.region.clone()];
        for region in stateless {
            stateful = stateful.iter().flat_map(|part| part.minus(&region)).collect();
            let path = Path { region, ..path.clone() };
            let mut now = frame.start.clone();
            now.rtable = rule.rtable.or(frame.until(stop).rtable);
            now.later = self.set_fields(rule);
            now.settle();
            if self.compiled.translation_fails(entry.rule, frame.until(stop).family) {
                self.stopped(path, frame, decider.clone(), Verdict::Drop(Drop::Translation));
            } else {
                self.passed(
                    path,
                    place,
                    decider.clone(),
                    (Some(&frame.start), now),
                    tagging.clone(),
                    false,
                    Some((rule, Course::First)),
                );
            }
        }
        let counts_sources = rule.state.as_ref().is_some_and(|state| state.max_src_nodes.is_some());
        if counts_sources && rule.pools().any(|pool| pool.sticky) {
            let why = "what `sticky-address` remembers of sources counts for `max-src-nodes`, and is not counted here";
            for region in stateful {
                self.not_followed(Path { region, ..path.clone() }, &frame.start, why);
            }
            return;
        }
        if self.is_exhausted(&path, rule, decider) {
            for region in stateful {
                let path = Path { region, ..path.clone() };
                self.stopped(path, frame, decider.clone(), Verdict::Drop(Drop::Limit));
            }
            return;
        }
        let mut pieces = 0;
        while let Some(piece) = stateful.pop() {
            pieces += 1;
            if pieces > MOST_PIECES {
                self.ground.budget.exhaust();
            }
            if self.ground.budget.is_spent() {
                return;
            }
            let at = witness::readable(&piece);
            let mut within = piece.clone();
            let mut now = frame.until(stop).clone();
            let mut translator = Translator {
                compiled: self.compiled,
                original: frame.original,
                at: &at,
                within: &mut within,
                choices: &mut self.choices,
            };
            let domain = |now: &Now| self.compiled.rdomain_of(self.compiled.table_at(place, now));
            let mut translated = translator.apply(entry.rule, rule, &mut now);
            let other_domain = domain(&frame.start) != domain(&now);
            let sent_by = match place {
                Place::Out { on, received: None } if self.question.scope == Scope::Journey => Some(on),
                Place::In(_) | Place::Out { .. } => None,
            };
            translated = translated && translator.retarget(&frame.start, &mut now, other_domain, sent_by);
            let is_af_to = matches!(rule.translation.as_deref(), Some(Translation::Af(_)));
            if translated && is_af_to && now.family == frame.start.family {
                leave_as_it_came(&mut now, &frame.start);
            }
            now.later.extend(self.set_fields(rule));
            now.settle();
            let path = Path {
                region: within.clone(),
                crossed: now.family != frame.start.family,
                ..path.clone()
            };
            if translated {
                let by = Some((rule, Course::First));
                let now = (Some(&frame.start), now);
                self.passed(path, place, decider.clone(), now, tagging.clone(), true, by);
            } else {
                self.stopped(path, frame, decider.clone(), Verdict::Drop(Drop::Translation));
            }
            stateful.extend(piece.minus(&within));
        }
    }

    /// Whether the states that the packet's own way has made so far are as many as the rule allows (`max`,
    /// `max-src-states`). Other packets' states do not count: questions start from an empty state table.
    fn is_exhausted(&self, path: &Path, rule: &Rule, decider: &Decider) -> bool {
        let Some(options) = &rule.state else { return false };
        let made = |counts: &dyn Fn(&Decider) -> bool| {
            let steps = path
                .steps
                .backwards()
                .filter(|step| step.state && counts(&step.decider));
            u32::try_from(steps.count()).unwrap_or(u32::MAX)
        };
        let own = made(&|other| other == decider);
        let tracked = match options.source_track {
            Some(SourceTrack::Global) => made(&|other| match other {
                Decider::Rule(id) => {
                    let other = self.compiled.ruleset.rule(id).and_then(|rule| rule.state.as_ref());
                    other.is_some_and(|other| other.source_track == Some(SourceTrack::Global))
                }
                Decider::Default
                | Decider::Skipped
                | Decider::OwnState
                | Decider::State
                | Decider::Nobody
                | Decider::Anchor(_) => false,
            }),
            Some(SourceTrack::Rule) | None => own,
        };
        let reached = |limit: Option<u32>, made: u32| limit.is_some_and(|limit| limit > 0 && made >= limit);
        reached(options.max, own) || reached(options.max_src_states, tracked)
    }

    /// `set tos` and `set prio`: the next hop sees them.
    pub(super) fn set_fields(&mut self, rule: &Rule) -> Vec<(Field, Term)> {
        let tos = rule.set.as_ref().and_then(|set| set.tos).map(|tos| {
            let tos = u128::from(tos & 0xfc);
            (Field::Tos, RangeSet::range(tos, tos + 3))
        });
        let prio = rule.set.as_ref().and_then(|set| set.prio).map(|(usual, low_delay)| {
            let values = [usual, low_delay].map(|prio| (u128::from(prio), u128::from(prio)));
            (Field::Prio, RangeSet::from_ranges(values))
        });
        let set = tos.into_iter().chain(prio);
        set.map(|(field, values)| (field, Term::OneOf(self.fresh(), values)))
            .collect()
    }

    pub(super) fn stopped(&mut self, mut path: Path, frame: &Frame, decider: Decider, verdict: Verdict) {
        path.steps.push(Step {
            place: self.place(frame),
            decider,
            verdict,
            translated_by: Vec::new(),
            state: false,
            now: frame.start.clone(),
        });
        let now = frame.until(stop(&path));
        self.ended_at(path, End::Stopped, now);
    }
}

/// Where the evaluation of a way's last hop ends.
pub(super) fn stop(path: &Path) -> Position {
    path.duties.last().map_or(END, |duty| duty.stop)
}

/// What af-to leaves in its family goes on as it came, whatever match rules have made of its addresses (`pf_translate`).
fn leave_as_it_came(now: &mut Now, before: &Now) {
    let ports = [Field::SourcePort, Field::DestinationPort];
    if ports.iter().any(|&port| now.term(port) != before.term(port)) {
        now.unmodelled = Some("ports that match rules change under `af-to` are not followed".into());
    }
    for end in Field::ENDS {
        now.set(end, before.term(end).clone());
    }
}
