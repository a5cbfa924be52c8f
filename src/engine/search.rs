//! [`Classes`]: the search through the ways that packets of a region can take.
//!
//! A way is chosen step by step: the place, which match rules change the header, which rule decides, what comes of it,
//! the route, the next hop. Each choice narrows the region to a box; whether the chosen rules really decide there is
//! left to `cover`, which looks only at entries that overlap the box. Steps that the question does not ask for are
//! never taken.

use std::cell::RefCell;
use std::rc::Rc;

use super::compiled::Compiled;
use super::cover::{Cover, Duty};
use super::frame::{Budget, Frame, Ground, Match, Suppositions, Tagging};
use super::header::{Field, PacketBox, transport};
use super::journey::{Class, Decider, Drop, End, Hop, Journey, Undecided, Verdict};
use super::list::{END, Entry, Kind};
use super::question::{Goal, Question, Scope};
use super::rewriting::{Now, Reading, Term};
use super::routing::{Piece, Target};
use super::set::PacketSet;
use super::space::{InterfaceId, Place};
use super::translate::Translator;
use super::witness;
use crate::net::{Direction, Family, RangeSet};
use crate::ruleset::{Divert, KeepState, Name, RouteToKind, Rule, RuleId, Ruleset};

/// A way so far.
#[derive(Clone)]
pub(super) struct Path {
    /// The packets that it is about, at most.
    pub(super) region: PacketBox,
    pub(super) supposed: Suppositions,
    pub(super) duties: Vec<Duty>,
    pub(super) hops: Vec<Hop>,
    /// If only packets that are their own reverse are meant: the fields that are equal besides.
    pub(super) own_reverse: Option<Equal>,
    /// The packets that are their own reverse and so are not meant: those of the box whose fields are equal besides.
    pub(super) not_reverse: Option<(PacketBox, Equal)>,
    /// The header after each hop.
    pub(super) trail: Vec<Now>,
    /// The states that the flow has already made, for packets that follow the first.
    pub(super) states: Rc<[Known]>,
}

/// A state that a packet of the flow can find.
#[derive(Clone, Debug)]
pub(super) struct Known {
    direction: Direction,
    /// The interface that it is bound to.
    bound: Option<InterfaceId>,
    /// The header that finds it, and what it makes of it.
    before: Now,
    after: Now,
    /// The rule that made it, where it diverts or routes what finds the state.
    rule: Option<RuleId>,
}

impl Known {
    fn matches(&self, place: Place, now: &Now) -> bool {
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

/// A state that a hop has made.
#[derive(Clone, Copy)]
struct Made {
    /// Whether it is bound to its interface.
    bound: bool,
}

/// Pairs of fields of the original header that are equal.
pub(super) type Equal = Vec<(Field, Field)>;

/// A hop that is still to come.
#[derive(Clone)]
struct Arrival {
    place: Place,
    now: Now,
    tagging: Tagging,
}

enum Task {
    Hop(Path, Arrival),
    /// The entries that may decide, in the order of first match, from that one on.
    Decide(Path, Rc<Frame>, Rc<[usize]>, usize),
    Cover(Box<Cover>, End),
}

/// The classes that a question asks for, one after the other.
pub(super) struct Classes<'e, 'a> {
    compiled: &'e Compiled<'a>,
    ground: Ground<'e, 'a>,
    question: Question,
    stack: Vec<Task>,
    ended: bool,
    choices: u32,
    /// The only entries that are to decide, if not all.
    deciding: Option<Rc<[usize]>>,
}

impl<'e, 'a> Classes<'e, 'a> {
    pub(super) fn new(compiled: &'e Compiled<'a>, question: Question) -> Self {
        let mut search = Self {
            compiled,
            ground: Ground {
                list: &compiled.list,
                tags: &compiled.tags,
                budget: Budget::new(question.steps),
                without: None,
                blamed: RefCell::default(),
            },
            stack: Vec::new(),
            ended: false,
            choices: 0,
            deciding: None,
            question,
        };
        let regions = search.question.region.boxes().to_vec();
        // The stack is worked off from its end.
        for region in regions.into_iter().rev() {
            search.enter(&region);
        }
        search
    }

    /// Puts the ways of a box of the question's region on the stack: one for each place; of one hop one for all places
    /// of one direction where pf looks, and for those where it does not.
    fn enter(&mut self, region: &PacketBox) {
        let numbers = region.numbers(Field::Place);
        let last = self.compiled.space.places().saturating_sub(1);
        let ranges = numbers.intersection(&RangeSet::range(0, last));
        let all = ranges.ranges().iter().flat_map(|&(first, last)| first..=last);
        let places = all.filter_map(|number| Some((number, self.compiled.space.place(number)?)));
        let mut groups: Vec<(Place, Vec<(u128, u128)>)> = Vec::new();
        for (number, place) in places {
            let like = |known: &Place| {
                let skipped = |place: Place| self.compiled.skipped.get(place.interface()).copied();
                self.question.scope == Scope::Hop
                    && known.direction() == place.direction()
                    && skipped(*known) == skipped(place)
            };
            match groups.iter_mut().find(|(known, _)| like(known)) {
                Some((_, numbers)) => numbers.push((number, number)),
                None => groups.push((place, vec![(number, number)])),
            }
        }
        for (place, numbers) in groups.into_iter().rev() {
            let Some(region) = region.clone().with(Field::Place, &RangeSet::from_ranges(numbers)) else {
                continue;
            };
            let now = Now::original(region.family);
            let path = Path {
                region,
                supposed: Suppositions::default(),
                duties: Vec::new(),
                hops: Vec::new(),
                own_reverse: None,
                not_reverse: None,
                trail: Vec::new(),
                states: Rc::default(),
            };
            let tagging = Tagging::Original;
            self.stack.push(Task::Hop(path, Arrival { place, now, tagging }));
        }
    }

    /// The search for packets of one hop, at any place and with any tag, that one of those entries decides.
    pub(super) fn deciding(compiled: &'e Compiled<'a>, entries: &[usize], without: Option<usize>, steps: u64) -> Self {
        let question = Question::new(PacketSet::empty(), Goal::Any).of_one_hop().within(steps);
        let mut search = Self::new(compiled, question);
        search.ground.without = without;
        search.deciding = Some(entries.into());
        // No rule changes these fields for later rules of one hop.
        let fixed = [Field::Place, Field::Transport, Field::Options, Field::Fragment];
        for entry in entries
            .iter()
            .rev()
            .filter_map(|&number| compiled.list.entries.get(number))
        {
            let Some(own) = entry.own() else { continue };
            for part in compiled.everything.of_family(own.region.family).boxes() {
                let limits = own.region.limits().filter(|(field, _)| fixed.contains(field));
                let mut limits = limits;
                let narrowed = limits.try_fold(part.clone(), |part, (field, set)| part.with(field, set));
                if let Some(region) = narrowed {
                    search.enter(&region);
                }
            }
        }
        search
    }

    /// The search for what one hop does with the packets of a box if that rule is not there.
    pub(super) fn without(compiled: &'e Compiled<'a>, region: &PacketBox, rule: usize, steps: u64) -> Self {
        let question = Question::new(PacketSet::empty(), Goal::Any).of_one_hop().within(steps);
        let mut search = Self::new(compiled, question);
        search.ground.without = Some(rule);
        search.enter(region);
        search
    }

    /// The rules that have kept the chosen entries from deciding, as often as they did.
    pub(super) fn blamed(&self) -> Vec<usize> {
        self.ground.blamed.borrow().clone()
    }

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
    fn follow(&mut self, class: &Class, region: PacketBox, now: Now, at: Place, reply: bool, states: &Rc<[Known]>) {
        let path = Path {
            region,
            supposed: class.supposed.clone(),
            duties: Vec::new(),
            hops: Vec::new(),
            own_reverse: None,
            not_reverse: None,
            trail: Vec::new(),
            states: Rc::clone(states),
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
    fn replies(&mut self, region: &PacketBox, reversed: &Now) -> Vec<(PacketBox, Now)> {
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
    fn later(&mut self, region: &PacketBox, original: &Now) -> Option<(PacketBox, Now)> {
        let tcp = transport::protocol(crate::net::Protocol::TCP, region.family);
        let part = region.clone().with(Field::Transport, &tcp)?;
        let mut now = original.clone();
        let id = self.fresh();
        now.set(Field::Transport, Term::OneOf(id, transport::answering()));
        Some((part, now))
    }

    fn fresh(&mut self) -> u32 {
        self.choices += 1;
        self.choices
    }

    /// Begins a hop: what match rules make of the header splits the region.
    fn hop(&mut self, path: Path, arrival: Arrival) {
        let compiled = self.compiled;
        let interface = arrival.place.interface();
        if compiled.skipped.get(interface).copied().unwrap_or(false) {
            let (place, now) = (arrival.place, arrival.now);
            return self.passed(path, place, Decider::Skipped, now, arrival.tagging, false, None);
        }
        let mut arrival = arrival;
        if !path.hops.is_empty() || !path.states.is_empty() {
            // Where the original came in does not tell where this hop is.
            let here = RangeSet::single(compiled.space.number(arrival.place));
            arrival.now.set(Field::Place, Term::OneOf(0, here));
        }
        if let Some(known) = path
            .states
            .iter()
            .find(|known| known.matches(arrival.place, &arrival.now))
        {
            let mut now = arrival.now.clone();
            now.family = known.after.family;
            for field in [
                Field::Source,
                Field::Destination,
                Field::SourcePort,
                Field::DestinationPort,
            ] {
                now.set(field, known.after.term(field).clone());
            }
            let rule = known.rule.as_ref().and_then(|id| compiled.ruleset.rule(id));
            return self.passed(path, arrival.place, Decider::State, now, arrival.tagging, true, rule);
        }
        let number = compiled.space.number(arrival.place);
        let several = self.question.scope == Scope::Hop;
        let met = compiled.met((!several).then_some(number), arrival.now.family);
        let frame = Frame {
            hop: path.hops.len() as u8,
            place: number,
            original: path.region.family,
            start: arrival.now,
            steps: Vec::new(),
            tagging: arrival.tagging,
            met: Rc::clone(&met),
        };
        let entries = &compiled.list.entries;
        let rewriters: Vec<&Entry> = met
            .rewriters
            .iter()
            .filter_map(|&number| entries.get(number))
            .filter(|entry| self.ground.without != Some(entry.rule))
            .filter(|entry| frame.may_match(entry, &path.region) || entry.parts.len() > 1)
            .collect();
        if rewriters.is_empty() {
            return self.candidates(path, frame);
        }
        let mut left = vec![path.region.clone()];
        while let Some(piece) = left.pop() {
            if self.ground.budget.is_spent() {
                return;
            }
            let at = witness::readable(&piece);
            let mut within = piece.clone();
            let mut outcomes = vec![(frame.clone(), path.supposed.clone())];
            for entry in &rewriters {
                let Some((_, rule)) = compiled.list.rule(entry) else {
                    continue;
                };
                for (mut frame, mut supposed) in std::mem::take(&mut outcomes) {
                    let needs = match frame.matches(&self.ground, entry, &at, &supposed, &mut within) {
                        Match::No => {
                            outcomes.push((frame, supposed));
                            continue;
                        }
                        Match::Yes => None,
                        Match::Maybe(needs) => Some(needs),
                    };
                    if let Some(needs) = needs {
                        let mut refused = supposed.clone();
                        if refused.refuse(&needs) {
                            outcomes.push((frame.clone(), refused));
                        }
                        supposed.suppose(&needs);
                    }
                    let mut now = frame.last().clone();
                    let mut translator = Translator {
                        compiled,
                        original: frame.original,
                        at: &at,
                        within: &mut within,
                        choices: &mut self.choices,
                    };
                    // A translation that cannot be made is an entry of its own: it drops.
                    if translator.apply(entry.rule, rule, &mut now) {
                        now.later.extend(self.set_fields(rule));
                        frame.steps.push((entry.position, now));
                    }
                    outcomes.push((frame, supposed));
                }
            }
            for (frame, supposed) in outcomes {
                let path = Path {
                    region: within.clone(),
                    supposed,
                    ..path.clone()
                };
                self.candidates(path, frame);
            }
            left.extend(piece.minus(&within));
        }
    }

    /// Puts the entries that may decide a hop on the stack, in the order of first match: the quick ones, then the
    /// others backwards.
    fn candidates(&mut self, path: Path, frame: Frame) {
        let entries = &self.compiled.list.entries;
        let overlapping = match &self.deciding {
            None => frame.overlapping(&self.ground, &path.region),
            Some(entries) => entries.to_vec(),
        };
        let decides = |number: &usize| entries.get(*number).is_some_and(|entry| entry.kind.decides());
        let quick = |number: &usize| entries.get(*number).is_some_and(|entry| entry.quick);
        let (mut order, others): (Vec<usize>, Vec<usize>) = overlapping.into_iter().filter(decides).partition(quick);
        order.extend(others.into_iter().rev());
        self.stack.push(Task::Decide(path, Rc::new(frame), order.into(), 0));
    }

    /// Tries the entries that may decide a hop, from the one at `from` on; the default comes last.
    fn decide(&mut self, path: Path, frame: Rc<Frame>, order: Rc<[usize]>, from: usize) {
        for (at, &number) in order.iter().enumerate().skip(from) {
            let Some(entry) = self
                .compiled
                .list
                .entries
                .get(number)
                .filter(|entry| self.is_wanted(entry, &frame))
            else {
                continue;
            };
            self.ground.budget.spend();
            let Some((region, needs)) = frame.pulled(entry, &path.region, &path.supposed) else {
                continue;
            };
            let rest = Task::Decide(path.clone(), Rc::clone(&frame), Rc::clone(&order), at + 1);
            self.stack.push(rest);
            let mut chosen = Path { region, ..path };
            chosen.supposed.suppose(&needs);
            chosen.duties.push(Duty::new(&frame, Some(number)));
            return self.decided(chosen, &frame, entry);
        }
        if self.deciding.is_some() {
            return;
        }
        // Nothing matches: the default passes, without a state.
        let mut chosen = path;
        chosen.duties.push(Duty::new(&frame, None));
        self.pass(chosen, &frame, None);
    }

    /// Whether a way on which that entry decides can be one that is asked for.
    fn is_wanted(&self, entry: &Entry, frame: &Frame) -> bool {
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
    fn may_go_on(&self, frame: &Frame) -> bool {
        matches!(self.compiled.space.place(frame.place), Some(Place::In(_)))
    }

    /// Whether pf may drop a packet that the rule passes.
    fn may_fail(&self, entry: &Entry) -> bool {
        let rule = self.compiled.list.rule(entry);
        rule.is_some_and(|(_, rule)| !rule.allow_opts || rule.translation.is_some())
    }

    fn decided(&mut self, path: Path, frame: &Rc<Frame>, entry: &'e Entry) {
        let id = self.compiled.list.rule(entry).map(|(id, _)| id.clone());
        match entry.kind {
            Kind::Pass => self.pass(path, frame, Some(entry)),
            Kind::Block => {
                let decider = id.map_or(Decider::Nobody, Decider::Rule);
                self.stopped(path, frame, decider, Verdict::Block);
            }
            Kind::Drop(why) => self.stopped(path, frame, Decider::Nobody, Verdict::Drop(why)),
            Kind::Filled => {
                let decider = id.map_or(Decider::Nobody, Decider::Anchor);
                self.stopped(path.clone(), frame, decider.clone(), Verdict::Block);
                let place = self.place(frame);
                // Its rules may send the packet anywhere else.
                let mut elsewhere = frame.last().clone();
                let mut open = path.clone();
                for field in [Field::Destination, Field::DestinationPort] {
                    let id = self.fresh();
                    elsewhere.set(field, Term::OneOf(id, field.line(elsewhere.family)));
                }
                if let Place::In(_) = place {
                    self.passed(
                        open.clone(),
                        place,
                        decider.clone(),
                        elsewhere,
                        self.tagging(frame, entry),
                        true,
                        None,
                    );
                }
                open = path;
                let now = frame.last().clone();
                self.passed(open, place, decider, now, self.tagging(frame, entry), false, None);
            }
            Kind::Match | Kind::Call => {}
        }
    }

    fn place(&self, frame: &Frame) -> Place {
        self.compiled.space.place(frame.place).unwrap_or(Place::In(usize::MAX))
    }

    /// The tag that the hop leaves on the packet.
    fn tagging(&self, frame: &Rc<Frame>, decider: &Entry) -> Tagging {
        if frame.met.taggers.is_empty() {
            return frame.tagging.clone();
        }
        let entries = &self.compiled.list.entries;
        let own = self.compiled.tags.get(decider.rule).copied().unwrap_or(0);
        let mut later = frame.met.taggers.iter().filter_map(|&number| entries.get(number));
        let overridden = later.any(|entry| entry.position > decider.position && entry.position <= decider.stop);
        if own != 0 && !overridden {
            Tagging::Is(own)
        } else {
            Tagging::After(Rc::clone(frame), decider.stop)
        }
    }

    /// A deciding pass rule, or the default, and what comes of it.
    fn pass(&mut self, path: Path, frame: &Rc<Frame>, entry: Option<&'e Entry>) {
        let decision = entry.and_then(|entry| self.compiled.list.rule(entry).map(|(id, rule)| (entry, id, rule)));
        let family = path.region.family;
        let rule = decision.map(|(_, _, rule)| rule);
        let decider = decision.map_or(Decider::Default, |(_, id, _)| Decider::Rule(id.clone()));
        // Options need `allow-opts`.
        let mut clean = vec![path.region.clone()];
        if !rule.is_some_and(|rule| rule.allow_opts) {
            let alert_allowed = match frame.start.family {
                Family::Inet => transport::protocol(crate::net::Protocol::IGMP, family),
                Family::Inet6 => transport::listener_discovery(),
            };
            let none = path.region.clone().with(Field::Options, &RangeSet::single(0));
            let alert = path
                .region
                .clone()
                .with(Field::Options, &RangeSet::single(2))
                .and_then(|part| part.with(Field::Transport, &alert_allowed));
            clean = none.into_iter().chain(alert).collect();
            if self.question.goal != Goal::GetsThrough {
                let dropped = clean.iter().fold(vec![path.region.clone()], |left, part| {
                    left.iter().flat_map(|rest| rest.minus(part)).collect()
                });
                for region in dropped {
                    let path = Path { region, ..path.clone() };
                    self.stopped(path, frame, decider.clone(), Verdict::Drop(Drop::Options));
                }
            }
        }
        for region in clean {
            let path = Path { region, ..path.clone() };
            match decision {
                None => {
                    let tagging = if frame.met.taggers.is_empty() {
                        frame.tagging.clone()
                    } else {
                        Tagging::After(Rc::clone(frame), END)
                    };
                    self.passed(
                        path,
                        self.place(frame),
                        Decider::Default,
                        frame.start.clone(),
                        tagging,
                        false,
                        None,
                    );
                }
                Some((entry, _, rule)) => self.pass_by_rule(path, frame, entry, rule, &decider),
            }
        }
    }

    fn pass_by_rule(&mut self, path: Path, frame: &Rc<Frame>, entry: &'e Entry, rule: &'a Rule, decider: &Decider) {
        let place = self.place(frame);
        let tagging = self.tagging(frame, entry);
        // Translation is done by the state. The header that rules saw before is what goes on without one.
        let stateless = match rule.keep_state {
            KeepState::No => vec![path.region.clone()],
            KeepState::Keep | KeepState::Modulate | KeepState::Synproxy => {
                let fragments = path.region.clone().with(Field::Fragment, &RangeSet::range(1, 2));
                let fragments = fragments.filter(|_| !self.compiled.space.reassembles());
                let whole = match fragments {
                    Some(_) => path.region.clone().with(Field::Fragment, &RangeSet::single(0)),
                    None => Some(path.region.clone()),
                };
                let none = transport::stateless(path.region.family);
                let part = whole.and_then(|whole| whole.with(Field::Transport, &none));
                fragments.into_iter().chain(part).collect()
            }
        };
        let mut stateful = vec![path.region.clone()];
        for region in stateless {
            stateful = stateful.iter().flat_map(|part| part.minus(&region)).collect();
            let path = Path { region, ..path.clone() };
            let mut now = frame.start.clone();
            now.rtable = rule.rtable.or(frame.last().rtable);
            now.later = self.set_fields(rule);
            now.settle();
            if self.compiled.translation_fails(entry.rule, frame.last().family) {
                self.stopped(path, frame, decider.clone(), Verdict::Drop(Drop::Translation));
            } else {
                self.passed(path, place, decider.clone(), now, tagging.clone(), false, Some(rule));
            }
        }
        while let Some(piece) = stateful.pop() {
            if self.ground.budget.is_spent() {
                return;
            }
            let at = witness::readable(&piece);
            let mut within = piece.clone();
            let mut now = frame.last().clone();
            let mut translator = Translator {
                compiled: self.compiled,
                original: frame.original,
                at: &at,
                within: &mut within,
                choices: &mut self.choices,
            };
            let translated = translator.apply(entry.rule, rule, &mut now);
            now.later.extend(self.set_fields(rule));
            now.settle();
            let path = Path {
                region: within.clone(),
                ..path.clone()
            };
            if translated {
                self.passed(path, place, decider.clone(), now, tagging.clone(), true, Some(rule));
            } else {
                self.stopped(path, frame, decider.clone(), Verdict::Drop(Drop::Translation));
            }
            stateful.extend(piece.minus(&within));
        }
    }

    /// `set tos` and `set prio`: the next hop sees them.
    fn set_fields(&mut self, rule: &Rule) -> Vec<(Field, Term)> {
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

    fn stopped(&mut self, mut path: Path, frame: &Frame, decider: Decider, verdict: Verdict) {
        let hop = Hop {
            place: self.place(frame),
            decider,
            verdict,
            translated_by: Vec::new(),
            logged: false,
            state: false,
            ends: frame.start.ends(&path.supposed.narrowed),
        };
        path.hops.push(hop);
        self.ended_at(path, End::Stopped, frame.last());
    }

    /// A hop that passes: the route, and what follows.
    #[expect(clippy::too_many_arguments, reason = "what a hop leaves behind, each used once")]
    fn passed(
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
        path.hops.push(Hop {
            place,
            decider,
            verdict: Verdict::Pass,
            translated_by,
            logged: false,
            state,
            ends: now.ends(&path.supposed.narrowed),
        });
        path.trail.push(now.clone());
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
                let last = path.hops.len() - 1;
                path.hops[last].verdict = Verdict::Drop(Drop::Route);
                return self.ended_at(path, End::Stopped, &now);
            }
            for out in by {
                self.leave(path.clone(), on, out, now.clone(), tagging.clone(), made);
            }
            return;
        }
        self.route(path, on, &now, &tagging, made);
    }

    /// Sends the packet on by the route of its destination.
    fn route(&mut self, path: Path, from: usize, now: &Now, tagging: &Tagging, made: Option<Made>) {
        self.route_from(path, from, Some(from), now, tagging, made);
    }

    /// The same for packets that came in on an interface, or that the machine sends itself, in that one's domain.
    fn route_from(
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
        for Piece {
            addresses,
            target,
            given,
            ..
        } in pieces
        {
            let mut path = path.clone();
            match now.read(
                Field::Destination,
                &addresses,
                path.region.family,
                &path.supposed.narrowed,
            ) {
                Reading::On(field, set) => {
                    let Some(region) = path.region.clone().with(field, &set) else {
                        continue;
                    };
                    path.region = region;
                }
                Reading::Always(true) => {}
                Reading::Always(false) => continue,
                Reading::Choice(id, inside, _) => path.supposed.narrowed.push((id, inside)),
                Reading::Unknown(_) => {
                    // An address of the machine itself.
                    self.ended_at(path, End::Local, now);
                    return;
                }
            }
            if given {
                // It may be an address of the machine that is not known.
                for fact in compiled.unknown_own(from, now.family) {
                    let fixed = !now.is_original(Field::Destination);
                    let hop = fixed.then_some(u8::MAX);
                    match path.supposed.known(&fact, hop) {
                        Some(false) => {}
                        Some(true) => {
                            self.ended_at(path, End::Local, now);
                            return;
                        }
                        None => {
                            let mut local = path.clone();
                            local.supposed.facts.push((fact.clone(), hop, true));
                            self.ended_at(local, End::Local, now);
                            path.supposed.facts.push((fact, hop, false));
                        }
                    }
                }
            }
            match target {
                Target::Local(_) => self.ended_at(path, End::Local, now),
                Target::None | Target::Reject(_) => self.ended_at(path, End::NoRoute, now),
                Target::Via(out) if received.is_none() => {
                    let place = Place::Out { on: out, received };
                    let (now, tagging) = (now.clone(), tagging.clone());
                    self.stack.push(Task::Hop(path, Arrival { place, now, tagging }));
                }
                Target::Via(_) if !compiled.context.forwards(now.family) => self.ended_at(path, End::NotForwarded, now),
                Target::Via(out) => {
                    for (path, gone) in compiled.forwardable(path, out, now) {
                        match gone {
                            Some(end) => self.ended_at(path, end, now),
                            None => self.leave(path, from, out, now.clone(), tagging.clone(), made),
                        }
                    }
                }
            }
        }
    }

    /// The hop out.
    fn leave(&mut self, mut path: Path, from: usize, out: usize, mut now: Now, tagging: Tagging, made: Option<Made>) {
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
            && let Some((region, equal)) = own_reverse(&path.region, &now)
        {
            let reversing = region.clone();
            let mut reverse = Path { region, ..path.clone() };
            reverse.own_reverse = Some(equal.clone());
            reverse.hops.push(Hop {
                place,
                decider: Decider::OwnState,
                verdict: Verdict::Pass,
                translated_by: Vec::new(),
                logged: false,
                state: true,
                ends: now.ends(&reverse.supposed.narrowed),
            });
            self.ended_at(reverse, End::Leaves(out), &now);
            path.not_reverse = Some((reversing, equal));
        }
        now.shift(Field::Ttl, u128::MAX);
        self.stack.push(Task::Hop(path, Arrival { place, now, tagging }));
    }

    /// A way that has come to its end: if it is one that is asked for, its packets remain to be found.
    fn ended_at(&mut self, path: Path, end: End, now: &Now) {
        let journey = Journey { hops: Vec::new(), end };
        let wanted = match self.question.goal {
            Goal::Any => true,
            Goal::GetsThrough => journey.gets_through(),
            Goal::Stopped => !journey.gets_through(),
        };
        if !wanted {
            return;
        }
        let cover = Cover::new(self.compiled, &self.ground, path, now, &self.question, self.choices);
        self.stack
            .extend(cover.into_iter().map(|cover| Task::Cover(Box::new(cover), end)));
    }
}

impl Iterator for Classes<'_, '_> {
    type Item = Result<Class, Undecided>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(why) = self.compiled.list.incomplete.as_ref().filter(|_| !self.ended) {
            self.ended = true;
            return Some(Err(Undecided::Unmodelled(why.clone())));
        }
        while !self.ended {
            if self.ground.budget.is_spent() {
                self.ended = true;
                return Some(Err(Undecided::Steps));
            }
            match self.stack.pop()? {
                Task::Hop(path, arrival) => self.hop(path, arrival),
                Task::Decide(path, frame, order, from) => self.decide(path, frame, order, from),
                Task::Cover(mut cover, end) => {
                    if let Some(class) = cover.next(&self.ground, end) {
                        self.stack.push(Task::Cover(cover, end));
                        return Some(Ok(class));
                    }
                }
            }
        }
        None
    }
}

/// The packets of a region that are their own reverse by then, so that they find the state of their way in
/// (`pf_find_state`): a box, and the pairs of fields that are equal besides.
fn own_reverse(region: &PacketBox, now: &Now) -> Option<(PacketBox, Equal)> {
    if now.family != region.family {
        return None;
    }
    let icmp = transport::protocol(transport::icmp(region.family), region.family);
    let mut region = region.clone();
    region = region.with(Field::Transport, &Field::Transport.line(now.family).minus(&icmp))?;
    let mut equal = Vec::new();
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
            (Term::From(from, 0), Term::OneOf(_, set)) | (Term::OneOf(_, set), Term::From(from, 0)) => {
                region = region.with(*from, set)?;
            }
            (Term::OneOf(_, one), Term::OneOf(_, other)) if !one.is_disjoint(other) => {}
            // Not followed: a moved field that comes to be equal to the other.
            (Term::OneOf(..) | Term::From(..) | Term::AddressOf(_), _) => return None,
        }
    }
    Some((region, equal))
}
