//! What happens to the packets of a class: [`Journey`], hop by hop, and what it depends on.

use rustc_hash::FxHashSet;

use super::rewriting::{Now, Term};
use super::suppositions::{Looked, Moment, Suppositions};
use crate::context::{Context, Interface};
use crate::engine::packets::header::{Field, PacketBox};
use crate::engine::packets::space::{InterfaceId, Place};
use crate::engine::rules::criteria::{About, Fact};
use crate::engine::rules::hosts;
use crate::engine::rules::list::Drop;
use crate::engine::rules::unknown::Unknown;
use crate::net::Family;
use crate::net::RangeSet;
use crate::ruleset::{DynamicAddress, Host, Name, RuleId};

/// What decided one hop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Decider {
    /// That rule: the last match, or a quick one.
    Rule(RuleId),
    /// No rule matched: the packet passes, without a state.
    Default,
    /// The interface is one of `set skip`: it passes unseen.
    Skipped,
    /// The state that its own way in has made: it is its own reverse.
    OwnState,
    /// A state that the flow made before: a reply.
    State,
    /// No rule: pf drops it.
    Nobody,
    /// An anchor that others fill, at that rule.
    Anchor(RuleId),
}

/// What a hop did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It passes.
    Pass,
    /// A block rule decided.
    Block,
    /// pf dropped it.
    Drop(Drop),
}

/// What a field became: a value of the original header, or another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// As it was in the original header.
    Same,
    /// One of these numbers: one where there is no choice.
    OneOf(RangeSet),
    /// The original number of that line moved, by port arithmetic of rdr-to or by a bitmask.
    Moved,
    /// An address that only the running machine knows: one of that interface.
    AddressOf(Name),
}

/// The ends as they are after a hop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    /// Address family; another than the original's after af-to.
    pub family: Family,
    /// Source address.
    pub source: Value,
    /// Destination address.
    pub destination: Value,
    /// Source port.
    pub source_port: Value,
    /// Destination port.
    pub destination_port: Value,
}

/// One evaluation of the rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// Where.
    pub place: Place,
    /// What decided.
    pub decider: Decider,
    /// What came of it.
    pub verdict: Verdict,
    /// The rules that translated: match rules in their order, then the deciding one.
    pub translated_by: Vec<RuleId>,
    /// Whether the deciding rule, or a match rule that it met, logs.
    pub logged: bool,
    /// Whether it made a state.
    pub state: bool,
    /// The header after it.
    pub ends: Ends,
    /// The routing table that rules have set.
    pub rtable: Option<u32>,
}

impl Hop {
    /// Whether one of those rules decided.
    pub(in crate::engine) fn is_decided_by(&self, rules: &FxHashSet<RuleId>) -> bool {
        matches!(&self.decider, Decider::Rule(decider) if rules.contains(decider))
    }
}

/// Where a packet ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It leaves by that interface.
    Leaves(InterfaceId),
    /// One hop was asked for, and passes.
    Passed,
    /// It is for the machine itself.
    Local,
    /// It goes to a program by divert-to; of one hop alone, by divert-packet, too.
    Diverted,
    /// A rule, or pf, stopped it at the last hop.
    Stopped,
    /// There is no route, or one that rejects.
    NoRoute,
    /// The machine does not forward.
    NotForwarded,
}

impl End {
    /// Whether the packet gets through: it leaves, or is for the machine itself or a program on it.
    #[must_use]
    pub fn gets_through(self) -> bool {
        match self {
            Self::Leaves(_) | Self::Passed | Self::Local | Self::Diverted => true,
            Self::Stopped | Self::NoRoute | Self::NotForwarded => false,
        }
    }
}

/// The way of a packet through the machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Journey {
    /// The evaluations, in order; one or two, three where route-to runs another.
    pub hops: Vec<Hop>,
    /// Where it ends.
    pub end: End,
}

impl Journey {
    /// Whether the packet gets through.
    #[must_use]
    pub fn gets_through(&self) -> bool {
        self.end.gets_through()
    }
}

/// A condition of a journey: it is what happens *if* this is so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// What is not known.
    pub unknown: Unknown,
    /// The rule that asks; `None` for routing.
    pub rule: Option<RuleId>,
    /// Whether that rule's criterion holds on this journey.
    pub holds: bool,
}

impl Condition {
    /// That it is so, or is not, whatever rule asks.
    pub(crate) fn by_itself(unknown: Unknown, holds: bool) -> Self {
        Self {
            unknown,
            rule: None,
            holds,
        }
    }

    /// The interface, if it is that an address is none of the interface's which is not known.
    pub(crate) fn shunned(&self) -> Option<&Name> {
        let is_so = self.rule.is_none() && !self.holds;
        match &self.unknown {
            Unknown::Address(name) | Unknown::Loaded(name) => Some(name).filter(|_| is_so),
            Unknown::Os
            | Unknown::User
            | Unknown::Table(_)
            | Unknown::Network(_)
            | Unknown::Anchor(_)
            | Unknown::Probability
            | Unknown::Once
            | Unknown::Rate
            | Unknown::Tag
            | Unknown::Pool => None,
        }
    }
}

/// Packets with one and the same journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The packets, as they first met the machine.
    pub region: PacketBox,
    /// What happens to them, on the conditions.
    pub journey: Journey,
    /// What it depends on besides the header. Without any, it is what happens.
    pub conditions: Vec<Condition>,
    /// Whether it happens only to those packets of the region whose source is their destination and whose ports are
    /// equal (after the first hop's translation); otherwise it does not happen to them where the last hop of two is
    /// decided by rules.
    pub own_reverse: bool,
    /// Of such packets: pairs of fields of which the second is the first plus that number, modulo 2^128, in the header
    /// as it first met the machine.
    pub equal: Vec<(Field, Field, u128)>,
    /// The header after each hop, or before one that does not pass; what was supposed, and the last choice of pf, for the packets that
    /// follow in the flow.
    pub(in crate::engine) trail: Vec<Now>,
    /// For each hop the tags that the state may have which it makes; 0 for none.
    pub(super) state_tags: Vec<RangeSet>,
    pub(super) supposed: Suppositions,
    pub(super) choices: u32,
}

impl Class {
    /// Whether it comes about only if that original address is none of that interface, although it is not known
    /// (`holds` false), or only if it is one (`holds` true).
    #[must_use]
    pub fn supposes(&self, field: Field, interface: &Interface, context: &Context, holds: bool) -> bool {
        self.suppose_at(|hop| hop.is_none(), field, interface, context, holds)
    }

    /// The same of that address of the packets that follow the first: what hangs on where replies go.
    #[must_use]
    pub fn supposes_later(&self, field: Field, interface: &Interface, context: &Context, holds: bool) -> bool {
        let is_later = |at: Option<Moment>| at == Some(Looked::BACK);
        self.suppose_at(is_later, field, interface, context, holds)
    }

    /// Whether it comes about only if packets that follow the first go to an address or a network of the machine that
    /// nobody knows, in that routing domain.
    #[must_use]
    pub fn follows_to_unknown(&self, context: &Context, rdomain: u32) -> bool {
        let follows = [Some(Looked::BACK), Some(Looked::ELSEWHERE)];
        let is_there = |unknown: &Unknown| match unknown {
            Unknown::Address(name) | Unknown::Network(name) => {
                context.interface(name).is_some_and(|known| known.rdomain == rdomain)
            }
            Unknown::Os
            | Unknown::User
            | Unknown::Table(_)
            | Unknown::Loaded(_)
            | Unknown::Anchor(_)
            | Unknown::Probability
            | Unknown::Once
            | Unknown::Rate
            | Unknown::Tag
            | Unknown::Pool => false,
        };
        let mut facts = self.supposed.facts.iter();
        facts.any(|(fact, hop, holds)| {
            let network_stack = matches!(fact.about, About::Host(Field::Destination, Host::Dynamic(_)));
            follows.contains(hop) && *holds && network_stack && is_there(&fact.unknown)
        })
    }

    /// Whether only that original address has to be one of the interface's for it to come about, if any.
    #[must_use]
    pub fn asks_only_of(&self, field: Field, interface: &Interface) -> bool {
        let wanted = Unknown::Address(Name::from(interface.name.as_str()));
        let settled = self.supposed.facts.iter();
        let settled = settled.map(|(fact, hop, holds)| (fact, *holds, hop.is_none()));
        let open = self.supposed.open.iter().map(|(fact, holds)| (fact, *holds, false));
        settled.chain(open).all(|(fact, holds, of_original)| {
            let is_it = match &fact.about {
                About::Host(about, Host::Dynamic(dynamic)) => of_original && *about == field && !dynamic.load_time,
                About::Host(..) | About::Rule(_) => false,
            };
            is_it || !holds || fact.unknown != wanted
        })
    }

    /// Of how many unknown addresses of the machine its original source, and its original destination, must be none for it to come
    /// about; `None` where it asks something else of what interfaces have that is not known.
    #[must_use]
    pub fn shuns(&self, context: &Context) -> Option<[usize; 2]> {
        let of_address = |fact: &Fact| matches!(fact.unknown, Unknown::Address(_) | Unknown::Loaded(_));
        if self.supposed.open.iter().any(|(fact, _)| of_address(fact)) {
            return None;
        }
        let mut seen: FxHashSet<(Field, &DynamicAddress)> = FxHashSet::default();
        let mut counts = [0; 2];
        for (fact, hop, holds) in self.supposed.facts.iter().filter(|(fact, ..)| of_address(fact)) {
            let About::Host(field, Host::Dynamic(dynamic)) = &fact.about else {
                return None;
            };
            if hop.is_some() || *holds || !dynamic.is_address() {
                return None;
            }
            let members = hosts::members(context, dynamic).into_iter();
            let unknown = members.flat_map(|one| one.addresses_of(self.region.family));
            let unknown = unknown.filter(|address| address.known().is_none()).count();
            if unknown == 0 {
                return None;
            }
            if seen.insert((*field, dynamic)) {
                counts[usize::from(*field == Field::Destination)] += unknown;
            }
        }
        Some(counts)
    }

    /// What it hangs on. That an address is none of the machine's is so for all but these, and left out.
    pub fn hangs_on<'c>(&'c self, context: &Context) -> impl Iterator<Item = &'c Condition> {
        let spares_few = self.shuns(context).is_some();
        let conditions = self.conditions.iter();
        conditions.filter(move |one| !(spares_few && one.shunned().is_some()))
    }

    fn suppose_at(
        &self,
        at: impl Fn(Option<Moment>) -> bool,
        field: Field,
        interface: &Interface,
        context: &Context,
        holds: bool,
    ) -> bool {
        let family = self.region.family;
        let settled = self.supposed.facts.iter().filter(|(_, hop, _)| at(*hop));
        let mut facts = settled.map(|(fact, _, holds)| (fact, *holds));
        facts.any(|(fact, so)| match &fact.about {
            About::Host(about, Host::Dynamic(dynamic)) => {
                let modifiers = dynamic.modifiers;
                let is_first = interface
                    .addresses_of(family)
                    .next()
                    .is_some_and(|first| first.known().is_none());
                // An address is in its own network, but not all of that network is the address.
                let is_wider = modifiers.network || dynamic.prefix.is_some();
                let of_others = modifiers.broadcast || modifiers.peer || holds && is_wider;
                *about == field
                    && so == holds
                    && !dynamic.load_time
                    && !of_others
                    && (is_first || !modifiers.no_alias)
                    && (*dynamic.interface == *"self" || context.matches(interface, &dynamic.interface))
            }
            About::Host(..) | About::Rule(_) => false,
        })
    }

    /// The packets of the region in which those fields end with the numbers with which they arrived, translated or not.
    /// Where pf chooses the number, only those of which it may choose the same, if `by_chance`; else none.
    #[must_use]
    pub fn keeping(&self, fields: &[Field], by_chance: bool) -> Option<PacketBox> {
        let Some(last) = self.trail.last() else {
            return Some(self.region.clone());
        };
        if last.family != self.region.family {
            return None;
        }
        let single = |set: &RangeSet| (set.len() == 1).then(|| set.clone());
        let all = Some(self.region.clone());
        fields.iter().fold(all, |kept, &field| {
            let kept = kept?;
            match last.term(field) {
                Term::From(from, 0) if *from == field => Some(kept),
                // The other end: followed where one of them is a single number.
                Term::From(from, 0) => {
                    let [own, other] = [field, *from].map(|field| kept.numbers(field));
                    let both = single(&own).or_else(|| single(&other))?;
                    kept.with(field, &both)?.with(*from, &both)
                }
                Term::OneOf(id, all) => {
                    let set = Now::values(*id, all, &self.supposed.narrowed);
                    kept.with(field, set).filter(|_| by_chance || set.len() == 1)
                }
                Term::From(..) | Term::Open(_) => None,
            }
        })
    }

    /// Whose address that is at the end, where it is not known; and whether it is one that the interface has when the packet
    /// comes, none of its network and not what it had when the rules were loaded.
    #[must_use]
    pub fn unknown_at_end(&self, field: Field) -> Option<(&Name, bool)> {
        match self.trail.last()?.term(field) {
            Term::Open(address) => Some((&address.interface, address.is_current)),
            Term::From(..) | Term::OneOf(..) => None,
        }
    }

    /// The numbers that a field has at the end, of those packets of the region; `None` where it is an address that is
    /// not known.
    #[must_use]
    pub fn at_end(&self, field: Field, region: &PacketBox) -> Option<RangeSet> {
        match self.trail.last() {
            Some(last) => last.numbers(field, region, &self.supposed.narrowed),
            None => Some(region.numbers(field)),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Undecided {
    /// The budget of steps ran out.
    Steps,
    /// Something that is not modelled, in words.
    Unmodelled(String),
}
