//! [`Compiled`]: a ruleset on a machine as the search needs it, and what is asked of it again and again.

use std::rc::Rc;
use std::sync::{Arc, LazyLock, OnceLock};

use rustc_hash::FxHashMap;

use super::first_match::FirstMatch;
use super::journey::End;
use super::path::Path;
use super::rewriting::{Now, Reading};
use crate::context::{Context, Interface, InterfaceAddress};
use crate::engine::packets::header::Field;
use crate::engine::packets::set::PacketSet;
use crate::engine::packets::space::{InterfaceId, Place, Space, address_number};
use crate::engine::rules::criteria::{About, Fact, Reader};
use crate::engine::rules::list::List;
use crate::engine::rules::memo::Memo;
use crate::engine::rules::met::{Meetings, Met};
use crate::engine::rules::nearby::Nearby;
use crate::engine::rules::pool::{self, Supply};
use crate::engine::rules::routing::{Piece, Routes, Target, line, link_local, prefix};
use crate::engine::rules::unknown::Unknown;
use crate::net::{Direction, Family, RangeSet};
use crate::ruleset::{DynamicAddress, Host, Modifiers, Name, RouteTo, RuleId, Ruleset};

/// An interface of which an address is not known: what a destination may be to it.
pub(super) struct UnknownNetwork {
    pub(super) on: InterfaceId,
    /// It is the interface's own address.
    pub(super) own: Fact,
    /// It lies in the interface's network.
    pub(super) connected: Fact,
}

/// The entries of each rule of the list, by its name: those of all places where its anchor is called.
pub(in crate::engine) type ByRule = FxHashMap<RuleId, Vec<usize>>;

/// A ruleset on a machine.
#[derive(Debug)]
pub(in crate::engine) struct Compiled<'a> {
    pub(in crate::engine) ruleset: &'a Ruleset,
    pub(in crate::engine) context: &'a Context,
    pub(in crate::engine) space: Space,
    /// All packets, at any place, with any tag.
    pub(in crate::engine) everything: PacketSet,
    pub(in crate::engine) list: List<'a>,
    /// The number of each rule's tag, by the numbers of the list; 0 for none.
    pub(super) tags: Vec<u128>,
    /// Of each interface, whether `set skip` names it.
    pub(super) skipped: Vec<bool>,
    /// Made when it is first asked for.
    pub(in crate::engine) by_rule: OnceLock<ByRule>,
    pub(super) first_match: OnceLock<FirstMatch>,
    /// The places of one direction where pf looks, and those where it does not.
    pub(super) alike: Vec<RangeSet>,
    /// Where destinations go, by the interface that packets come in on, the routing table, and the family.
    destinations: Memo<(InterfaceId, u32, Family), [Piece]>,
    pub(in crate::engine) meetings: Meetings,
    routes: Memo<u32, Routes>,
}

impl<'a> Compiled<'a> {
    /// Of all packets, or of those alone, in the space of the two.
    pub(in crate::engine) fn new(
        ruleset: &'a Ruleset,
        context: &'a Context,
        space: Space,
        nearby: Option<&Nearby>,
    ) -> Self {
        let list = List::new(&Reader::new(ruleset, context, &space), nearby);
        let tag = |rule: &crate::ruleset::Rule| rule.tag.as_ref().and_then(|tag| space.tag(tag)).unwrap_or(0);
        let skips = |interface| ruleset.options.skip.iter().any(|name| context.matches(interface, name));
        let skipped: Vec<bool> = context.interfaces.iter().map(skips).collect();
        Self {
            tags: list.rules.iter().map(|(_, rule)| tag(rule)).collect(),
            by_rule: OnceLock::new(),
            first_match: OnceLock::new(),
            alike: alike(&space, &skipped),
            skipped,
            meetings: Meetings::new(&list),
            routes: Memo::default(),
            destinations: Memo::default(),
            everything: space.anywhere(),
            ruleset,
            context,
            list,
            space,
        }
    }

    /// The entries that packets of that family can meet at the place of that number, or at any.
    pub(in crate::engine) fn met(&self, place: Option<u128>, family: Family) -> Arc<Met> {
        self.meetings.at(&self.list, place, family)
    }

    fn routes(&self, rtable: u32) -> Arc<Routes> {
        self.routes
            .get(rtable, || Routes::new(self.context, &self.space, rtable))
    }

    pub(super) fn rdomain(&self, interface: InterfaceId) -> u32 {
        self.context.interfaces.get(interface).map_or(0, |known| known.rdomain)
    }

    /// The routing table by which a packet goes that is at a place: that which rules have set, or that of the domain
    /// it came from.
    pub(super) fn table_at(&self, place: Place, now: &Now) -> u32 {
        now.rtable.unwrap_or_else(|| match place {
            Place::In(on) | Place::Out { on, received: None } => self.rdomain(on),
            Place::Out {
                received: Some(from), ..
            } => self.rdomain(from),
        })
    }

    /// The loopback interface on which a routing domain meets its own addresses (`rtable_loindex`).
    pub(super) fn loopback_of(&self, rdomain: u32) -> Option<InterfaceId> {
        let loopback = self.context.loopback_of(rdomain)?;
        self.space.interface(&loopback.name)
    }

    /// The routing domain that a routing table belongs to (`rtable_l2`).
    pub(super) fn rdomain_of(&self, rtable: u32) -> u32 {
        let known = self.context.interfaces.iter();
        let mut domains = known.map(|interface| interface.rdomain);
        domains.find(|&rdomain| rdomain == rtable).unwrap_or(0)
    }

    /// The addresses that are routed out of an interface, by its own routing domain's table: where its network is not
    /// known, all that lie in no other.
    pub(in crate::engine) fn routed_to(&self, interface: InterfaceId, family: Family) -> RangeSet {
        let known = self.context.interfaces.get(interface);
        self.routed(interface, family, known.is_some_and(|known| known.has_unknown(family)))
    }

    /// The same, as far as it is known.
    pub(in crate::engine) fn surely_routed_to(&self, interface: InterfaceId, family: Family) -> RangeSet {
        self.routed(interface, family, false)
    }

    fn routed(&self, interface: InterfaceId, family: Family, is_open: bool) -> RangeSet {
        let routes = self.routes(self.rdomain(interface));
        routes.addresses(family, |piece| {
            piece.target == Target::Via(interface) || is_open && piece.given
        })
    }

    /// Whether the translation of that rule surely cannot be made for a family.
    pub(super) fn translation_fails(&self, number: usize, family: Family) -> bool {
        let rule = self.list.rules.get(number);
        rule.is_some_and(|(id, rule)| pool::fails(self.ruleset, self.context, &id.anchor, rule, family))
    }

    /// Where destinations go, for packets that came in on that interface: what the stack takes for the machine
    /// itself, then the routing table.
    pub(super) fn destinations(&self, from: InterfaceId, now: &Now) -> Arc<[Piece]> {
        let rtable = now.rtable.unwrap_or_else(|| self.rdomain(from));
        self.destinations.get((from, rtable, now.family), || {
            self.destinations_by(from, rtable, now.family)
        })
    }

    fn destinations_by(&self, from: InterfaceId, rtable: u32, family: Family) -> Vec<Piece> {
        let taken_in = taken_in(self.context, rtable, family, |_| true);
        let routes = self.routes(rtable);
        let routed = routes.pieces(family).iter().map(|piece| Piece {
            addresses: piece.addresses.minus(&taken_in),
            ..piece.clone()
        });
        let local = |addresses, target| Piece {
            addresses,
            target,
            given: false,
            label: None,
        };
        let loopback = loopback(family);
        let elsewhere = self.of_other_links(from, family);
        let mut pieces: Vec<Piece> = Vec::new();
        for piece in routed {
            let refused = match piece.target {
                Target::Local(owner) if !self.takes(from, owner, family) => piece.addresses.minus(&loopback),
                Target::Local(_) => piece.addresses.intersection(&elsewhere),
                _ => RangeSet::empty(),
            };
            let addresses = piece.addresses.minus(&refused);
            pieces.push(local(refused, Target::Refused));
            pieces.push(Piece { addresses, ..piece });
        }
        let here = self::taken_in(self.context, rtable, family, |owner| self.takes(from, owner, family));
        pieces.push(local(taken_in.minus(&here), Target::Refused));
        pieces.push(local(here, Target::Local(from)));
        pieces.retain(|piece| !piece.addresses.is_empty());
        pieces
    }

    /// The link-local addresses that are none of the machine's own on the link of an interface.
    fn of_other_links(&self, from: InterfaceId, family: Family) -> RangeSet {
        let here = self.context.interfaces.get(from);
        let Some(here) = here.filter(|here| family == Family::Inet6 && !here.takes_for_others()) else {
            return RangeSet::empty();
        };
        let seen_on = |one: &Interface| self.context.seen_on(&one.name) == self.context.seen_on(&here.name);
        let own = self.context.interfaces.iter().filter(|one| seen_on(one));
        let own = own.flat_map(|one| one.addresses_of(family).filter_map(InterfaceAddress::known));
        let own = own.map(|net| address_number(net.addr()));
        link_local().minus(&RangeSet::from_ranges(own.map(|own| (own, own))))
    }

    /// Whether the stack takes in what comes in by one interface to an address of another: a machine that does not forward
    /// refuses it («received on wrong interface», `in_ouraddr` in ip_input.c, `ip6_input_if` in ip6_input.c).
    pub(super) fn takes(&self, from: InterfaceId, owner: InterfaceId, family: Family) -> bool {
        let seen_on = |id: InterfaceId| {
            self.context
                .interfaces
                .get(id)
                .map(|own| self.context.seen_on(&own.name))
        };
        self.context.forwards(family)
            || seen_on(from) == seen_on(owner)
            || self
                .context
                .interfaces
                .get(from)
                .is_some_and(crate::context::Interface::takes_for_others)
    }

    /// Destinations that are never sent on by a routing table: what the stack takes for the machine itself besides its own
    /// addresses, and what it knows no network for.
    pub(super) fn never_forwarded(&self, rtable: u32, family: Family) -> RangeSet {
        taken_in(self.context, rtable, family, |_| true).union(left_out(family).1)
    }

    /// The interfaces of which an address of that family is not known, and which that routing table knows, with the
    /// questions whether a destination is that address, and whether it lies in its network.
    pub(super) fn unknown_networks(&self, rtable: u32, family: Family) -> Vec<UnknownNetwork> {
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
        all.filter(|(_, interface)| interface.rdomain == rtable && interface.has_unknown(family))
            .map(|(on, interface)| UnknownNetwork {
                on,
                own: fact(&interface.name, false),
                connected: fact(&interface.name, true),
            })
            .collect()
    }

    /// Divides a way by what the stack forwards; what it does not has an end (`in_canforward` in ip_input.c,
    /// `ip6_forward` in ip6_forward.c).
    pub(super) fn forwardable(
        &self,
        path: Path,
        from: InterfaceId,
        out: InterfaceId,
        now: &Now,
    ) -> Vec<(Path, Option<End>)> {
        let gone = Some(End::NotForwarded);
        if self
            .context
            .interfaces
            .get(out)
            .is_some_and(crate::context::Interface::is_loopback)
        {
            return vec![(path, gone)];
        }
        let (sources, destinations) = left_out(now.family);
        let original = Now::original(path.region.family);
        let redirected = path.states.is_empty() && !now.is_original(Field::Destination);
        let taken_in = if redirected {
            taken_in(self.context, self.rdomain(from), path.region.family, |_| true)
        } else {
            RangeSet::empty()
        };
        // Whether what was sent to a broadcast or multicast address comes as such on the link is for the sender to choose:
        // if so it is not sent on, else it is, as soon as pf has changed the destination (`ip_forward`).
        let tests = [
            (&original, Field::Destination, &taken_in, true),
            (now, Field::Source, sources, false),
            (now, Field::Destination, destinations, false),
        ];
        let mut divided = Vec::new();
        let mut going = vec![path];
        for (header, field, left_out, may_go) in tests.into_iter().filter(|(_, _, set, _)| !set.is_empty()) {
            for path in std::mem::take(&mut going) {
                let family = path.region.family;
                match header.read(field, left_out, family, &path.supposed.narrowed) {
                    Reading::On(field, set) => {
                        let rest = field.line(family).minus(&set);
                        let part = |set: &RangeSet| {
                            let region = path.region.clone().with(field, set)?;
                            Some(Path { region, ..path.clone() })
                        };
                        divided.extend(part(&set).map(|path| (path, gone)));
                        if may_go {
                            going.push(path);
                        } else {
                            going.extend(part(&rest));
                        }
                    }
                    Reading::Always(true) => {
                        if may_go {
                            going.push(path.clone());
                        }
                        divided.push((path, gone));
                    }
                    Reading::Always(false) | Reading::Unknown(_) => going.push(path),
                    Reading::Choice(id, inside, outside) => {
                        let with = |set: RangeSet| {
                            let mut path = path.clone();
                            Rc::make_mut(&mut path.supposed).narrowed.push((id, set));
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

    /// The interfaces by which the gateways of route-to and its like may be reached by a routing table; `None` among them
    /// where one may have no route (`pf_route`).
    pub(super) fn gateways(
        &self,
        route: &RouteTo,
        anchor: &str,
        family: Family,
        rtable: u32,
    ) -> Vec<Option<InterfaceId>> {
        let routes = self.routes(rtable);
        let is_open = pool::unknown_table_of(self.ruleset, self.context, anchor, &route.pool, family).is_some();
        let gateways = match pool::supply(self.ruleset, self.context, &route.pool, anchor, family) {
            Supply::Nothing => return vec![None],
            Supply::Open(address) => return vec![self.space.interface(&address.interface)],
            Supply::OneOf(set) => set,
            Supply::Masked(net) => prefix(net),
            Supply::Unmodelled(_) => line(family),
        };
        // A network that is not known may hold what lies in none that is known.
        let mut out: Vec<_> = match self.perhaps_elsewhere(&gateways, rtable, family) {
            true => {
                let unknown = self.unknown_networks(rtable, family).into_iter();
                unknown.map(|network| Some(network.on)).collect()
            }
            false => Vec::new(),
        };
        for piece in routes
            .pieces(family)
            .iter()
            .filter(|piece| !piece.addresses.is_disjoint(&gateways))
        {
            let by = match piece.target {
                Target::Local(by) | Target::Via(by) => Some(by),
                Target::Refused | Target::Reject(_) | Target::None | Target::NotForwarded => None,
            };
            if !out.contains(&by) {
                out.push(by);
            }
        }
        if is_open && !out.contains(&None) {
            // There may be none in the table.
            out.push(None);
        }
        out
    }

    /// Whether some of the addresses lie in no network that is known.
    fn perhaps_elsewhere(&self, addresses: &RangeSet, rtable: u32, family: Family) -> bool {
        let routes = self.routes(rtable);
        let mut pieces = routes.pieces(family).iter();
        pieces.any(|piece| piece.given && !piece.addresses.is_disjoint(addresses))
    }

    /// What it is for the machine to know, or for pf to choose, by which of several ways a gateway is reached.
    pub(super) fn chooses_gateway(&self, route: &RouteTo, anchor: &str, family: Family, rtable: u32) -> Unknown {
        if let Some(table) = pool::unknown_table_of(self.ruleset, self.context, anchor, &route.pool, family) {
            return Unknown::Table(table);
        }
        let perhaps = match pool::supply(self.ruleset, self.context, &route.pool, anchor, family) {
            Supply::OneOf(set) => self.perhaps_elsewhere(&set, rtable, family),
            Supply::Masked(net) => self.perhaps_elsewhere(&prefix(net), rtable, family),
            Supply::Nothing | Supply::Open(_) | Supply::Unmodelled(_) => false,
        };
        let unknown = self.unknown_networks(rtable, family).into_iter().next();
        unknown
            .filter(|_| perhaps)
            .map_or(Unknown::Pool, |network| network.connected.unknown)
    }

    /// That the table is empty which a rule's translation takes an address from, where its contents are not known.
    pub(super) fn may_be_empty(&self, number: usize, family: Family) -> Option<Fact> {
        let (id, rule) = self.list.rules.get(number)?;
        let table = pool::unknown_table(self.ruleset, self.context, &id.anchor, rule, family)?;
        Some(Fact {
            unknown: Unknown::Table(table),
            about: About::Rule(number),
        })
    }
}

/// Destinations that the stack takes for the machine itself, by that routing table, besides its own addresses: broadcast
/// and multicast (`in_ouraddr` and `ip_input_if` in ip_input.c, `ip6_input_if` in ip6_input.c).
///
/// Of the broadcast addresses those of interfaces that are `wanted`.
fn taken_in(context: &Context, rtable: u32, family: Family, wanted: impl Fn(InterfaceId) -> bool) -> RangeSet {
    match family {
        Family::Inet => {
            let interfaces = context.interfaces.iter().enumerate();
            let interfaces = interfaces.filter(|(_, interface)| interface.rdomain == rtable && !interface.down);
            let broadcast = interfaces.filter(|&(id, _)| wanted(id)).flat_map(|(_, interface)| {
                let nets = interface.addresses_of(family).filter_map(InterfaceAddress::known);
                nets.filter_map(|net| interface.shared_of(net)).map(u32::from)
            });
            let broadcast = broadcast.map(|address| (u128::from(address), u128::from(address)));
            let fixed = [(0, 0), (0xe000_0000, 0xefff_ffff), (0xffff_ffff, 0xffff_ffff)];
            RangeSet::from_ranges(broadcast.chain(fixed))
        }
        Family::Inet6 => RangeSet::range(0xff00 << 112, u128::MAX),
    }
}

/// The addresses of loopback: what pf has translated to them is taken in wherever it came from
/// (`PF_TAG_TRANSLATE_LOCALHOST`).
fn loopback(family: Family) -> RangeSet {
    match family {
        Family::Inet => RangeSet::range(0x7f00_0000, 0x7fff_ffff),
        Family::Inet6 => RangeSet::single(1),
    }
}

/// The places of one direction where pf looks, and those where it does not.
fn alike(space: &Space, skipped: &[bool]) -> Vec<RangeSet> {
    let mut groups: [Vec<(u128, u128)>; 4] = Default::default();
    for number in 0..space.places() {
        let Some(place) = space.place(number) else { continue };
        let skipped = skipped.get(place.interface()).copied().unwrap_or(false);
        let outward = place.direction() == Direction::Out;
        groups[usize::from(skipped) * 2 + usize::from(outward)].push((number, number));
    }
    let groups = groups.into_iter().map(RangeSet::from_ranges);
    groups.filter(|places| !places.is_empty()).collect()
}

/// The sources and the destinations that are never forwarded.
fn left_out(family: Family) -> (&'static RangeSet, &'static RangeSet) {
    static LEFT_OUT: LazyLock<[RangeSet; 4]> = LazyLock::new(|| {
        let nets: [&[&str]; 4] = [
            &[],
            &["0.0.0.0/8", "127.0.0.0/8"],
            &["fe80::/10", "ff00::/8", "::/128"],
            &["fe80::/10", "::1/128", "::/128"],
        ];
        nets.map(|nets| {
            let nets = nets.iter().filter_map(|net| net.parse().ok()).map(prefix);
            nets.fold(RangeSet::empty(), |all, net| all.union(&net))
        })
    });
    let [sources, destinations, sources6, destinations6] = &*LEFT_OUT;
    match family {
        Family::Inet => (sources, destinations),
        Family::Inet6 => (sources6, destinations6),
    }
}
