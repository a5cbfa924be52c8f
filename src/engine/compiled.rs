//! [`Compiled`]: a ruleset on a machine as the search needs it, and what is asked of it again and again.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::criteria::{About, Fact, Reader};
use super::decided::ByRule;
use super::frame::Met;
use super::header::{Field, PacketBox};
use super::index::Index;
use super::journey::{End, Unknown};
use super::list::{Kind, List};
use super::rewriting::{Now, Reading};
use super::routing::{Piece, Routes, Target, prefix};
use super::search::Path;
use super::set::PacketSet;
use super::space::{InterfaceId, Place, Space};
use super::translate::{self, Supply};
use crate::context::{Context, InterfaceAddress};
use crate::net::{Family, RangeSet};
use crate::ruleset::{DynamicAddress, Host, Modifiers, Name, RouteTo, Ruleset};

/// What a packet can meet, by its place and family, as far as it was asked for.
type MetBy = HashMap<(Option<u128>, Family), Rc<Met>>;

/// An interface of which an address is not known: what a destination may be to it.
pub(super) struct UnknownNetwork {
    pub(super) on: InterfaceId,
    /// It is the interface's own address.
    pub(super) own: Fact,
    /// It lies in the interface's network.
    pub(super) connected: Fact,
}

/// A ruleset on a machine.
#[derive(Debug)]
pub(super) struct Compiled<'a> {
    pub(super) ruleset: &'a Ruleset,
    pub(super) context: &'a Context,
    pub(super) space: Space,
    /// All packets, at any place, with any tag.
    pub(super) everything: PacketSet,
    pub(super) list: List<'a>,
    /// The number of each rule's tag, by the numbers of the list; 0 for none.
    pub(super) tags: Vec<u128>,
    /// Of each interface, whether `set skip` names it.
    pub(super) skipped: Vec<bool>,
    /// Made when it is first asked for.
    pub(super) by_rule: OnceCell<ByRule>,
    met: RefCell<MetBy>,
    routes: RefCell<HashMap<u32, Rc<Routes>>>,
}

/// How many rules may set a tag at one place only if more than the header is so, for each way to be followed.
const MOST_UNSURE: usize = 6;

impl<'a> Compiled<'a> {
    pub(super) fn new(ruleset: &'a Ruleset, context: &'a Context) -> Self {
        let space = Space::new(ruleset, context);
        let list = List::new(&Reader::new(ruleset, context, &space));
        let tag = |rule: &crate::ruleset::Rule| rule.tag.as_ref().and_then(|tag| space.tag(tag)).unwrap_or(0);
        let skips = |interface| ruleset.options.skip.iter().any(|name| context.matches(interface, name));
        Self {
            tags: list.rules.iter().map(|(_, rule)| tag(rule)).collect(),
            skipped: context.interfaces.iter().map(skips).collect(),
            by_rule: OnceCell::new(),
            met: RefCell::default(),
            routes: RefCell::default(),
            everything: space.anywhere(),
            ruleset,
            context,
            list,
            space,
        }
    }

    /// The entries that packets of that family can meet at the place of that number, or at any.
    pub(super) fn met(&self, place: Option<u128>, family: Family) -> Rc<Met> {
        let place = place.map(|place| self.like(place));
        if let Some(known) = self.met.borrow().get(&(place, family)) {
            return Rc::clone(known);
        }
        let mut met = Met::default();
        let mut unsure = Vec::new();
        let mut indexed = Vec::new();
        for (number, entry) in self.list.entries.iter().enumerate() {
            let here = |region: &PacketBox| match (place, region.limit(Field::Place)) {
                (Some(place), Some(places)) => places.contains(place),
                _ => true,
            };
            let Some(own) = entry.own().filter(|part| part.region.family == family) else {
                continue;
            };
            if !entry.parts.iter().all(|part| here(&part.region)) {
                continue;
            }
            let rule = self.list.rule(entry).map(|(_, rule)| rule);
            if entry.kind.decides() || entry.quick {
                let hull = |field: Field| {
                    own.region
                        .limit(field)
                        .and_then(|set| Some((set.first()?, set.last()?)))
                };
                // At one place it is no use to look entries up by theirs.
                let asked = |field: Field| hull(field).filter(|_| place.is_none() || field != Field::Place);
                indexed.push((number, Index::FIELDS.map(asked)));
            }
            if entry.kind == Kind::Match && entry.quick {
                met.quick_matches.push(number);
            }
            let Some(rule) = rule else { continue };
            if self.list.asks_for_tags && rule.tag.is_some() {
                met.taggers.push(number);
                if entry.parts.iter().any(|part| !part.facts.is_empty()) {
                    unsure.push(number);
                }
            }
            let set = rule.set.as_ref();
            let sets = self.list.asks_for_fields && set.is_some_and(|set| set.prio.is_some() || set.tos.is_some());
            if entry.kind == Kind::Match && (rule.translation.is_some() || rule.rtable.is_some() || sets) {
                met.rewriters.push(number);
            }
            if entry.kind == Kind::Match && rule.log.is_some() {
                met.loggers.push(number);
            }
        }
        // Of a few, each way is followed; of many, the tag is left open.
        if unsure.len() <= MOST_UNSURE {
            met.rewriters.extend(unsure);
            met.rewriters.sort_unstable();
            met.rewriters.dedup();
        }
        met.index = Index::new(indexed);
        let met = Rc::new(met);
        self.met.borrow_mut().insert((place, family), Rc::clone(&met));
        met
    }

    /// The number of a place that meets the same rules: where no rule asks for the interface on which a packet came in,
    /// that does not matter on its way out.
    fn like(&self, number: u128) -> u128 {
        match self.space.place(number) {
            Some(Place::Out { on, .. }) if !self.list.asks_where_received => {
                self.space.number(Place::Out { on, received: None })
            }
            _ => number,
        }
    }

    fn routes(&self, rtable: u32) -> Rc<Routes> {
        let mut known = self.routes.borrow_mut();
        let routes = known
            .entry(rtable)
            .or_insert_with(|| Rc::new(Routes::new(self.context, &self.space, rtable)));
        Rc::clone(routes)
    }

    fn rdomain(&self, interface: InterfaceId) -> u32 {
        self.context.interfaces.get(interface).map_or(0, |known| known.rdomain)
    }

    /// The addresses that are routed out of an interface, by its own routing domain's table: where its network is not
    /// known, all that lie in no other.
    pub(super) fn routed_to(&self, interface: InterfaceId, family: Family) -> RangeSet {
        let routes = self.routes(self.rdomain(interface));
        let known = self.context.interfaces.get(interface);
        let is_open = known.is_some_and(|known| known.has_unknown(family));
        routes.addresses(family, |piece| {
            piece.target == Target::Via(interface) || is_open && piece.given
        })
    }

    /// Whether the translation of that rule surely cannot be made for a family.
    pub(super) fn translation_fails(&self, number: usize, family: Family) -> bool {
        let rule = self.list.rules.get(number);
        rule.is_some_and(|(id, rule)| translate::fails(self.ruleset, self.context, &id.anchor, rule, family))
    }

    /// Where destinations go, for packets that came in on that interface: what the stack takes for the machine
    /// itself, then the routing table.
    pub(super) fn destinations(&self, from: InterfaceId, now: &Now) -> Vec<Piece> {
        let routes = self.routes(now.rtable.unwrap_or_else(|| self.rdomain(from)));
        let taken_in = self.taken_in(now.family);
        let mut pieces: Vec<Piece> = Vec::new();
        for piece in routes.pieces(now.family) {
            let addresses = piece.addresses.minus(&taken_in);
            if !addresses.is_empty() {
                pieces.push(Piece {
                    addresses,
                    ..piece.clone()
                });
            }
        }
        pieces.push(Piece {
            addresses: taken_in,
            target: Target::Local(from),
            given: false,
            label: None,
        });
        pieces
    }

    /// Destinations that the stack takes for the machine itself besides its own addresses: broadcast and multicast
    /// (`in_ouraddr` and `ip_input_if` in ip_input.c, `ip6_input_if` in ip6_input.c).
    fn taken_in(&self, family: Family) -> RangeSet {
        match family {
            Family::Inet => {
                let broadcast = self.context.interfaces.iter().flat_map(|interface| {
                    let nets = interface.addresses_of(family).filter_map(InterfaceAddress::known);
                    nets.filter_map(|net| interface.broadcast_of(net)).map(u32::from)
                });
                let fixed = [(0, 0), (0xe000_0000, 0xefff_ffff), (0xffff_ffff, 0xffff_ffff)];
                RangeSet::from_ranges(
                    broadcast
                        .map(|address| (u128::from(address), u128::from(address)))
                        .chain(fixed),
                )
            }
            Family::Inet6 => RangeSet::range(0xff00 << 112, u128::MAX),
        }
    }

    /// The interfaces of which an address of that family is not known, in the routing domain of an interface, with the
    /// questions whether a destination is that address, and whether it lies in its network.
    pub(super) fn unknown_networks(&self, from: InterfaceId, family: Family) -> Vec<UnknownNetwork> {
        let rdomain = self.rdomain(from);
        let fact = |name: &str, network: bool| Fact {
            unknown: if network {
                Unknown::Network(Name::from(name))
            } else {
                Unknown::Address(Name::from(name))
            },
            about: About::Host(
                Field::Destination,
                Host::Dynamic(DynamicAddress {
                    interface: Name::from(name),
                    modifiers: Modifiers {
                        network,
                        ..Modifiers::default()
                    },
                    prefix: None,
                    load_time: false,
                }),
            ),
        };
        let all = self.context.interfaces.iter().enumerate();
        all.filter(|(_, interface)| interface.rdomain == rdomain && interface.has_unknown(family))
            .map(|(on, interface)| UnknownNetwork {
                on,
                own: fact(&interface.name, false),
                connected: fact(&interface.name, true),
            })
            .collect()
    }

    /// Divides a way by what the stack forwards; what it does not has an end (`in_canforward` in ip_input.c,
    /// `ip6_forward` in ip6_forward.c).
    pub(super) fn forwardable(&self, path: Path, out: InterfaceId, now: &Now) -> Vec<(Path, Option<End>)> {
        let gone = Some(End::NotForwarded);
        if self
            .context
            .interfaces
            .get(out)
            .is_some_and(crate::context::Interface::is_loopback)
        {
            return vec![(path, gone)];
        }
        let parse = |nets: &[&str]| {
            let nets = nets.iter().filter_map(|net| net.parse().ok()).map(prefix);
            nets.fold(RangeSet::empty(), |all, net| all.union(&net))
        };
        let (sources, destinations) = match now.family {
            Family::Inet => (RangeSet::empty(), parse(&["0.0.0.0/8", "127.0.0.0/8"])),
            Family::Inet6 => (
                parse(&["fe80::/10", "ff00::/8", "::/128"]),
                parse(&["fe80::/10", "::1/128", "::/128"]),
            ),
        };
        let original = Now::original(path.region.family);
        let redirected = !now.is_original(Field::Destination);
        let taken_in = if redirected {
            self.taken_in(path.region.family)
        } else {
            RangeSet::empty()
        };
        let tests = [
            (now, Field::Source, sources),
            (now, Field::Destination, destinations),
            (&original, Field::Destination, taken_in),
        ];
        let mut divided = Vec::new();
        let mut going = vec![path];
        for (header, field, left_out) in tests.into_iter().filter(|(.., set)| !set.is_empty()) {
            for path in std::mem::take(&mut going) {
                let family = path.region.family;
                match header.read(field, &left_out, family, &path.supposed.narrowed) {
                    Reading::On(field, set) => {
                        let rest = field.line(family).minus(&set);
                        let part = |set: &RangeSet| {
                            let region = path.region.clone().with(field, set)?;
                            Some(Path { region, ..path.clone() })
                        };
                        divided.extend(part(&set).map(|path| (path, gone)));
                        going.extend(part(&rest));
                    }
                    Reading::Always(true) => divided.push((path, gone)),
                    Reading::Always(false) | Reading::Unknown(_) => going.push(path),
                    Reading::Choice(id, inside, outside) => {
                        let with = |set: RangeSet| {
                            let mut path = path.clone();
                            path.supposed.narrowed.push((id, set));
                            path
                        };
                        divided.push((with(inside), gone));
                        going.push(with(outside));
                    }
                }
            }
        }
        divided.extend(going.into_iter().map(|path| (path, None)));
        divided
    }

    /// The interfaces by which route-to may send a packet (`pf_route`).
    pub(super) fn route_to(&self, route: &RouteTo, anchor: &str, now: &Now, from: InterfaceId) -> Vec<InterfaceId> {
        let routes = self.routes(now.rtable.unwrap_or_else(|| self.rdomain(from)));
        let gateways = match translate::supply(self.ruleset, self.context, &route.pool, anchor, now.family) {
            Supply::Nothing => return Vec::new(),
            Supply::AddressOf(name) => return self.space.interface(&name).into_iter().collect(),
            Supply::OneOf(set) => set,
            Supply::Masked(net) => prefix(net),
        };
        let mut out = Vec::new();
        for piece in routes
            .pieces(now.family)
            .iter()
            .filter(|piece| !piece.addresses.is_disjoint(&gateways))
        {
            match piece.target {
                Target::Local(by) | Target::Via(by) if !out.contains(&by) => out.push(by),
                Target::Local(_) | Target::Via(_) | Target::Reject(_) | Target::None => {}
            }
        }
        out
    }
}
