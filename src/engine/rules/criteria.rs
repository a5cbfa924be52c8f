//! What a rule asks for, as boxes over the header at its place in the evaluation (the `PF_TEST_ATTRIB`s of
//! `pf_match_rule`). A rule becomes several boxes where a criterion binds some packets and not others.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use smallvec::{SmallVec, smallvec};

use super::hosts::{self, Hosts};
use super::memo::Memo;
use super::routing::{Routes, line};
use super::unknown::Unknown;
use crate::context::Context;
use crate::engine::packets::header::{Field, PacketBox};
use crate::engine::packets::space::{Place, Space, address_number};
use crate::engine::packets::transport;
use crate::net::{Direction, Family, FlagsMatch, Operator, Protocol, RangeSet, TcpFlags};
use crate::ruleset::{Action, Host, IcmpMatch, InterfaceMatch, KeepState, Name, Peer, ReceivedOn, Rule, Ruleset};

/// Something that no header shows. Two facts are equal if they are surely true together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) struct Fact {
    pub(in crate::engine) unknown: Unknown,
    pub(in crate::engine) about: About,
}

/// What a fact is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) enum About {
    /// That rule, by its number in the list, at one hop.
    Rule(usize),
    /// Whether the original number of that field is in that host.
    Host(Field, Host),
}

/// One box of packets that match a rule if the facts are so.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Alternative {
    pub(in crate::engine) region: PacketBox,
    pub(super) facts: Vec<(Fact, bool)>,
}

impl Alternative {
    pub(super) fn with(&self, field: Field, set: &RangeSet) -> Option<Self> {
        self.clone().narrowed(field, set)
    }

    fn narrowed(mut self, field: Field, set: &RangeSet) -> Option<Self> {
        self.region = self.region.with(field, set)?;
        Some(self)
    }

    pub(super) fn if_so(mut self, fact: Fact, holds: bool) -> Self {
        self.facts.push((fact, holds));
        self
    }
}

/// The boxes of a rule: mostly one.
pub(super) type Alternatives = SmallVec<[Alternative; 1]>;

/// What rules are read against.
pub(in crate::engine) struct Reader<'a, 's> {
    pub(super) ruleset: &'a Ruleset,
    pub(super) context: &'a Context,
    pub(super) space: &'s Space,
    routes: OnceLock<Vec<(u32, Routes)>>,
    // What many rules ask for alike.
    places: Memo<AskedPlaces, RangeSet>,
    transports: Memo<AskedTransport, RangeSet>,
    tables: Memo<(Name, Name, Family), Hosts>,
}

/// What a rule asks for as a place.
type AskedPlaces = (Option<Direction>, InterfaceMatch, Option<ReceivedOn>);

/// What a rule asks of protocol, flags and icmp, and whether it leaves out replies of icmp.
type AskedTransport = (Option<Protocol>, Option<FlagsMatch>, Option<IcmpMatch>, bool, Family);

impl<'a, 's> Reader<'a, 's> {
    pub(in crate::engine) fn new(ruleset: &'a Ruleset, context: &'a Context, space: &'s Space) -> Self {
        Self {
            ruleset,
            context,
            space,
            routes: OnceLock::new(),
            places: Memo::default(),
            transports: Memo::default(),
            tables: Memo::default(),
        }
    }

    /// The routing tables of the routing domains.
    pub(super) fn routes(&self) -> &[(u32, Routes)] {
        self.routes.get_or_init(|| {
            let domains: BTreeSet<u32> = self
                .context
                .interfaces
                .iter()
                .map(|interface| interface.rdomain)
                .collect();
            let domains = domains.into_iter();
            domains
                .map(|domain| (domain, Routes::new(self.context, self.space, domain)))
                .collect()
        })
    }

    /// The boxes of a rule of that anchor, disjoint. `number` is the rule's in the list; the tag is not asked here.
    pub(in crate::engine) fn alternatives(&self, rule: &Rule, anchor: &str, number: usize) -> Alternatives {
        let families = Family::BOTH
            .into_iter()
            .filter(|family| rule.family.is_none_or(|own| own == *family));
        families
            .flat_map(|family| self.of_family(rule, anchor, number, family))
            .collect()
    }

    fn of_family(&self, rule: &Rule, anchor: &str, number: usize, family: Family) -> Alternatives {
        let places = self.places(rule);
        let all = PacketBox::all(family).with(Field::Place, &places);
        let all = all.map(|region| Alternative {
            region,
            facts: Vec::new(),
        });
        let mut found: Alternatives = all.into_iter().collect();
        let mut refine = |step: &dyn Fn(Alternative) -> Alternatives| {
            let refined = std::mem::take(&mut found).into_iter().map(step);
            let joined = refined.reduce(|mut all, more| {
                all.extend(more);
                all
            });
            found = joined.unwrap_or_default();
        };
        let of_rule = |unknown: Unknown| Fact {
            unknown,
            about: About::Rule(number),
        };
        refine(&|part| self.peer(part, Field::Source, &rule.source, anchor));
        refine(&|part| self.peer(part, Field::Destination, &rule.destination, anchor));
        refine(&|part| self.transport(part, rule, &of_rule(Unknown::Os)));
        refine(&|part| self.owner(part, rule, &of_rule(Unknown::User)));
        if let Some(tos) = rule.tos {
            // pf looks at the byte without its two lowest bits.
            let tos = u128::from(tos);
            let set = if tos & 3 == 0 {
                RangeSet::range(tos, tos + 3)
            } else {
                RangeSet::empty()
            };
            refine(&|part| part.narrowed(Field::Tos, &set).into_iter().collect());
        }
        if let Some(prio) = rule.prio {
            refine(&|part| {
                part.narrowed(Field::Prio, &RangeSet::single(u128::from(prio)))
                    .into_iter()
                    .collect()
            });
        }
        let open = [
            rule.probability.map(|_| Unknown::Probability),
            rule.max_pkt_rate.map(|_| Unknown::Rate),
            (rule.once && !matches!(rule.action, Action::Anchor(_))).then_some(Unknown::Once),
        ];
        for unknown in open.into_iter().flatten() {
            refine(&|part| smallvec![part.if_so(of_rule(unknown.clone()), true)]);
        }
        found
    }

    /// The numbers of the places where direction, interface, routing domain and received-on agree.
    fn places(&self, rule: &Rule) -> Arc<RangeSet> {
        let asked = (rule.direction, rule.interface.clone(), rule.received_on.clone());
        self.places.get(asked, || self.places_asked(rule))
    }

    fn places_asked(&self, rule: &Rule) -> RangeSet {
        let interfaces = &self.context.interfaces;
        let count = interfaces.len();
        let on = |id: usize| {
            interfaces.get(id).is_some_and(|interface| match &rule.interface {
                InterfaceMatch::All => true,
                InterfaceMatch::Any => self.context.matches(interface, "any"),
                InterfaceMatch::Name { negated, name } => self.context.matches(interface, name) != *negated,
                // pf tests the `!` against the interface as well: without one the negated form matches nothing.
                InterfaceMatch::Rdomain {
                    negated,
                    rdomain,
                    interface: scope,
                } => {
                    let named = scope
                        .as_ref()
                        .is_none_or(|scope| self.context.matches(interface, scope));
                    named != *negated && (interface.rdomain == *rdomain) != *negated
                }
            })
        };
        let came = |ReceivedOn { negated, interface }: &ReceivedOn, id: usize| {
            interfaces
                .get(id)
                .is_some_and(|known| self.context.matches(known, interface) != *negated)
        };
        let mut numbers = Vec::new();
        let mut add = |place: Place| {
            let number = self.space.number(place);
            numbers.push((number, number));
        };
        if rule.direction != Some(Direction::Out) {
            let inward = (0..count).filter(|&id| on(id));
            let inward = inward.filter(|&id| rule.received_on.as_ref().is_none_or(|wanted| came(wanted, id)));
            inward.for_each(|id| add(Place::In(id)));
        }
        if rule.direction != Some(Direction::In) {
            for id in (0..count).filter(|&id| on(id)) {
                match &rule.received_on {
                    None => {
                        let first = Place::Out {
                            on: id,
                            received: Some(0),
                        };
                        let last = Place::Out { on: id, received: None };
                        numbers.push((self.space.number(first), self.space.number(last)));
                    }
                    Some(wanted) => {
                        let from = (0..count).filter(|&from| came(wanted, from)).map(Some);
                        // What the machine sends was received nowhere.
                        let from = from.chain(wanted.negated.then_some(None));
                        for received in from {
                            let number = self.space.number(Place::Out { on: id, received });
                            numbers.push((number, number));
                        }
                    }
                }
            }
        }
        RangeSet::from_ranges(numbers)
    }

    /// The places of a routing domain.
    pub(super) fn places_of(&self, wanted: impl Fn(usize) -> bool) -> RangeSet {
        let count = self.context.interfaces.len();
        RangeSet::from_ranges((0..count).filter(|&id| wanted(id)).flat_map(|id| {
            let inward = self.space.number(Place::In(id));
            let first = self.space.number(Place::Out {
                on: id,
                received: Some(0),
            });
            let last = self.space.number(Place::Out { on: id, received: None });
            [(inward, inward), (first, last)]
        }))
    }

    /// One end: its host and its port.
    fn peer(&self, part: Alternative, field: Field, peer: &Peer, anchor: &str) -> Alternatives {
        let ports = match field {
            Field::Source => Field::SourcePort,
            _ => Field::DestinationPort,
        };
        let part = match peer.port {
            Some(port) => part.narrowed(ports, &numbers(port, u16::MAX)),
            None => Some(part),
        };
        let Some(part) = part else {
            return Alternatives::new();
        };
        match peer.host {
            Host::Any if !peer.negated => smallvec![part],
            Host::NoRoute | Host::RouteLabel(_) => self.by_routing_domain(&part, field, peer),
            Host::UrpfFailed => self.by_interface(&part, field, peer.negated),
            Host::Any | Host::Prefix(_) | Host::Range(..) | Host::Dynamic(_) | Host::Table(_) => {
                let hosts = self.hosts(&peer.host, anchor, part.region.family);
                Self::in_hosts(part, field, peer, hosts)
            }
        }
    }

    fn in_hosts(part: Alternative, field: Field, peer: &Peer, hosts: Hosts) -> Alternatives {
        let hosts = if peer.negated {
            hosts.negated(part.region.family)
        } else {
            hosts
        };
        let maybe = hosts.maybe.and_then(|(set, unknown)| {
            let fact = Fact {
                unknown,
                about: About::Host(field, peer.host.clone()),
            };
            Some(part.with(field, &set)?.if_so(fact, !peer.negated))
        });
        part.narrowed(field, &hosts.surely).into_iter().chain(maybe).collect()
    }

    /// The addresses of a host that is the same everywhere.
    fn hosts(&self, host: &Host, anchor: &str, family: Family) -> Hosts {
        match host {
            Host::Any => Hosts::known(line(family)),
            Host::Prefix(net) if Family::of(net.addr()) == family => Hosts::known(super::routing::prefix(*net)),
            Host::Range(first, last) if Family::of(*first) == family => {
                Hosts::known(RangeSet::range(address_number(*first), address_number(*last)))
            }
            Host::Dynamic(dynamic) => hosts::matching(self.context, dynamic, family),
            Host::Table(name) => {
                let asked = (Name::from(anchor), name.clone(), family);
                let of_table = || hosts::of_table(self.context, self.ruleset.table(anchor, name), name, family);
                Hosts::clone(&self.tables.get(asked, of_table))
            }
            Host::Prefix(_) | Host::Range(..) | Host::NoRoute | Host::UrpfFailed | Host::RouteLabel(_) => {
                Hosts::default()
            }
        }
    }

    /// Protocol, flags, icmp, fragments, os.
    fn transport(&self, part: Alternative, rule: &Rule, os: &Fact) -> Alternatives {
        let family = part.region.family;
        let all = match rule.protocol {
            Some(protocol) => transport::protocol(protocol, family).intersection(&transport::line(family)),
            None => transport::line(family),
        };
        let asks_for_payload = rule.source.port.is_some()
            || rule.destination.port.is_some()
            || rule.icmp.is_some()
            || rule.user.is_some()
            || rule.group.is_some();
        let fragments = if self.space.reassembles() || asks_for_payload {
            None
        } else {
            let of_fragments = match rule.flags {
                Some(_) => all.minus(&transport::protocol(Protocol::TCP, family)),
                None => all.clone(),
            };
            let fragments = part.with(Field::Fragment, &RangeSet::range(1, 2));
            fragments.and_then(|fragments| fragments.narrowed(Field::Transport, &of_fragments))
        };
        let part = if self.space.reassembles() {
            Some(part)
        } else {
            part.narrowed(Field::Fragment, &RangeSet::single(0))
        };
        let whole = part.filter(|_| !rule.fragment);
        let mut found = whole.map_or_else(Alternatives::new, |part| self.whole(part, rule, &all, os));
        found.extend(fragments);
        found
    }

    /// Whole packets of a protocol of which those are the numbers.
    fn whole(&self, part: Alternative, rule: &Rule, all: &RangeSet, os: &Fact) -> Alternatives {
        let family = part.region.family;
        let sloppy = rule.state.as_ref().is_some_and(|state| state.sloppy);
        let queries_only = rule.keep_state != KeepState::No && !sloppy;
        let constrained = rule.protocol.is_some() || rule.flags.is_some() || queries_only;
        let asked = (rule.protocol, rule.flags, rule.icmp, queries_only, family);
        let Some(name) = &rule.os else {
            let narrowed = if constrained {
                part.narrowed(Field::Transport, &self.asked_of_whole(asked, all))
            } else {
                Some(part)
            };
            return narrowed.into_iter().collect();
        };
        let whole = self.asked_of_whole(asked, all);
        let opening = transport::flags_where(|flags| flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK));
        let sure = match &**name {
            "unknown" => opening.clone(),
            _ => transport::protocol(Protocol::TCP, family),
        };
        let of_os = part.with(Field::Transport, &whole.intersection(&opening));
        let of_os = of_os.map(|part| part.if_so(os.clone(), true));
        let others = part.narrowed(Field::Transport, &whole.minus(&sure));
        others.into_iter().chain(of_os).collect()
    }

    /// The numbers of whole packets among `all`, those of the protocol, that pass the tests.
    fn asked_of_whole(&self, asked: AskedTransport, all: &RangeSet) -> Arc<RangeSet> {
        let (_, flags, icmp, queries_only, family) = asked;
        self.transports.get(asked, || {
            let mut whole = all.clone();
            if let Some(test) = flags {
                let tcp = transport::protocol(Protocol::TCP, family);
                whole = whole.minus(&tcp.minus(&transport::flags(test)));
            }
            if let Some(test) = icmp {
                whole = whole.intersection(&transport::icmp_match(test));
            }
            if queries_only {
                whole = whole.minus(&transport::replies(family));
            }
            whole
        })
    }

    /// `user` and `group`: of the local socket (`pf_socket_lookup`). Which one pf finds, nobody can say: one that listens
    /// on every address is found for packets to its port wherever they go, and for those that come from it on their way
    /// out; where there is none the owner is unknown.
    fn owner(&self, part: Alternative, rule: &Rule, fact: &Fact) -> Alternatives {
        if rule.user.is_none() && rule.group.is_none() {
            return smallvec![part];
        }
        let family = part.region.family;
        let ported = transport::ported();
        let absent = &self.ruleset.options.absent;
        let nobody = |wanted: Option<Operator<u32>>, absent: &[u32]| match wanted {
            Some(Operator::Equal(id)) => absent.contains(&id),
            _ => false,
        };
        let never = nobody(rule.user, &absent.users) || nobody(rule.group, &absent.groups);
        let asked = part.with(Field::Transport, &ported).filter(|_| !never);
        let not_asked = part.with(Field::Transport, &transport::line(family).minus(&ported));
        let asked = asked.map(|part| part.if_so(fact.clone(), true));
        not_asked.into_iter().chain(asked).collect()
    }
}

/// The numbers from 0 to `max` that pass the comparison.
pub(super) fn numbers(operator: Operator<u16>, max: u16) -> RangeSet {
    let wide = u128::from;
    let max = wide(max);
    match operator {
        Operator::Equal(a) => RangeSet::single(wide(a)),
        Operator::NotEqual(a) => RangeSet::single(wide(a)).complement(max),
        Operator::Less(a) => RangeSet::range(wide(a), max).complement(max),
        Operator::LessOrEqual(a) => RangeSet::range(0, wide(a)),
        Operator::Greater(a) => RangeSet::range(wide(a) + 1, max),
        Operator::GreaterOrEqual(a) => RangeSet::range(wide(a), max),
        Operator::Range(a, b) => RangeSet::range(wide(a), wide(b)),
        Operator::Between(a, b) => RangeSet::range(wide(a) + 1, wide(b).saturating_sub(1)),
        Operator::Outside(a, b) => RangeSet::range(wide(a), wide(b)).complement(max),
    }
}
