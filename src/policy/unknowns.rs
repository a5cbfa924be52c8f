//! What is not known that a list of hosts hangs on: contents of tables, networks and addresses of interfaces.
//!
//! Packets of the machine's own unknown addresses are the matter of `guesses`.

use super::ast::{Closed, End, Host, HostItem, Hosts, Packets};
use super::hosts::Resolved;
use super::sets::{Made, Purpose, Selection};
use super::zones::{Both, ZoneId, ZoneOnMachine, Zones};
use crate::context::Interface;
use crate::engine::{Field, InterfaceId, PacketBox, PacketSet, Place, Unknown};
use crate::net::{Direction, Family, RangeSet};
use crate::ruleset::{Name, RouteToKind, Rule};

impl Zones<'_> {
    /// The interfaces whose unknown address a `forbid` names as a source, where it names one as the destination, too:
    /// of packets from one to the other no guess is made.
    pub(super) fn unknown_at_both_ends(&self, packets: &Packets) -> Made<Vec<Unknown>> {
        let mut unknown = Vec::new();
        if self.named_owners(&packets.destination).is_empty() {
            return Ok(unknown);
        }
        for id in self.owners() {
            let is_pretended = !self.arriving_from_unknown(&packets.source, id)?.is_empty();
            unknown.extend(is_pretended.then(|| self.name_of(id)).flatten().map(Unknown::Address));
        }
        Ok(unknown)
    }

    fn name_of(&self, interface: InterfaceId) -> Option<Name> {
        let known = self.context().interfaces.get(interface)?;
        Some(known.name.as_str().into())
    }

    /// Whether `route-to` may send packets elsewhere than their destination lies.
    pub(super) fn routes_aside(&self) -> bool {
        let routes = |rule: &Rule| {
            let route = rule.route_to.as_ref();
            route.is_some_and(|route| route.kind == RouteToKind::RouteTo)
        };
        self.ruleset.all_rules().any(|(_, rule)| routes(rule))
    }

    /// Where `route-to` may send packets elsewhere than their destination lies, what is not known of a list of destinations: the
    /// addresses of the machine that it means, or may take away with a zone, and the networks of its zones.
    pub(super) fn sent_elsewhere(&self, end: &End) -> Vec<Unknown> {
        if !self.routes_aside() {
            return Vec::new();
        }
        let named = end
            .hosts
            .iter()
            .flat_map(|hosts| &hosts.items)
            .filter_map(|item| match &item.host {
                Host::Named(name, _) => Some((item.negated, *self.names.get(name)?)),
                Host::Any | Host::Itself | Host::Prefix(_) | Host::Table(_) => None,
            });
        let zones: Vec<(bool, ZoneId)> = named.collect();
        let name = |id| self.name_of(id);
        let mut unknown = Vec::new();
        if zones.iter().any(|(negated, _)| *negated) || !self.named_owners(end).is_empty() {
            unknown.extend(self.owners().into_iter().filter_map(name).map(Unknown::Address));
        }
        let of_zones = zones.iter().filter_map(|(_, zone)| self.all().get(*zone));
        let links: Vec<InterfaceId> = of_zones.flat_map(|zone| zone.interfaces.iter().copied()).collect();
        let may_hold = |&id: &InterfaceId| {
            let mut families = Family::BOTH.into_iter();
            families.any(|family| {
                let there = self.network.perhaps_routed(id, family);
                let mut links = links.iter().map(|&link| self.network.routed(link, family));
                links.any(|routed| !routed.is_disjoint(&there))
            })
        };
        let open = self.network.interfaces().filter(may_hold);
        unknown.extend(open.filter_map(name).map(Unknown::Network));
        unknown
    }

    /// What is not known of the addresses that the `from` of a zone means: contents of tables, networks of interfaces.
    pub(super) fn unknowns(&self, hosts: &Hosts) -> Vec<Unknown> {
        let tables = self.resolve(hosts).unwrap_or_default();
        let tables = tables.into_iter().filter_map(|(_, resolved)| match resolved {
            Resolved::UnknownTable(name, _) => Some(Unknown::Table(name)),
            Resolved::Any | Resolved::Itself | Resolved::Zone(_) | Resolved::Addresses(_) => None,
        });
        tables.chain(self.unknown_networks(hosts, true)).collect()
    }

    /// What is not known of one item of a list of hosts: contents of a table, the network of an interface, the addresses
    /// of a zone.
    pub(super) fn unknowns_of(&self, item: &HostItem) -> Vec<Unknown> {
        let alone = Hosts {
            span: item.span,
            items: vec![item.clone()],
        };
        let mut unknown = self.unknown_networks(&alone, false);
        for (_, resolved) in self.resolve(&alone).unwrap_or_default() {
            match resolved {
                Resolved::UnknownTable(name, _) => unknown.push(Unknown::Table(name)),
                Resolved::Zone(zone) => {
                    let zone = self.all().get(zone);
                    unknown.extend(zone.into_iter().flat_map(|zone| zone.unknown.clone()));
                }
                Resolved::Any | Resolved::Itself | Resolved::Addresses(_) => {}
            }
        }
        unknown
    }

    /// What is not known of one item of a list of hosts that may take away some of those that the list seems to mean.
    pub(super) fn taking_away(&self, item: &HostItem) -> Vec<Unknown> {
        let zone = match &item.host {
            Host::Named(name, _) => self.all().iter().find(|zone| zone.name == *name),
            Host::Any | Host::Itself | Host::Prefix(_) | Host::Table(_) => None,
        };
        match (item.negated, zone) {
            (true, _) => self.unknowns_of(item),
            (false, Some(zone)) => zone.without.clone(),
            (false, None) => Vec::new(),
        }
    }

    /// What is not known of the addresses of zones that are taken away from destinations of a `require`, where some of the others
    /// may be in them or not: networks, addresses that the machine itself may have.
    pub(super) fn perhaps_left(&self, destination: &End) -> Made<Vec<Unknown>> {
        let items = destination.hosts.iter().flat_map(|hosts| &hosts.items);
        let taken_away = items.filter_map(|item| match &item.host {
            Host::Named(name, _) if item.negated => self.all().get(*self.names.get(name)?),
            _ => None,
        });
        let zones: Vec<&ZoneOnMachine> = taken_away.collect();
        if zones.is_empty() || !self.has_unknown_own() {
            return Ok(Vec::new());
        }
        let meant = self.values(destination, |item, resolved| self.flows_to(item, resolved))?;
        let singly = self.values(destination, |item, resolved| match resolved {
            Resolved::Addresses(named) | Resolved::UnknownTable(_, named) if !item.negated => named.singly.clone(),
            _ => Both::default(),
        })?;
        let mut unknown = Vec::new();
        let links = zones.into_iter().flat_map(|zone| zone.interfaces.iter().copied());
        for (id, (at, family)) in links.flat_map(|id| [(id, (0, Family::Inet)), (id, (1, Family::Inet6))]) {
            let is_meant = |there: &RangeSet| !there.is_disjoint(&meant[at]);
            if is_meant(&self.network.perhaps_routed(id, family)) {
                unknown.extend(self.name_of(id).map(Unknown::Network));
            }
            if is_meant(&self.network.perhaps_elsewhere(id, family)) {
                let others = self.network.unknown_beside(id, family);
                unknown.extend(others.map(|other| Unknown::Network(other.name.as_str().into())));
            }
            let named = self.network.routed(id, family).intersection(&singly[at]);
            let is_own = |&owner: &InterfaceId| !self.network.unknown_own(owner, family).is_disjoint(&named);
            let owners = self.owners().into_iter().filter(is_own);
            unknown.extend(owners.filter_map(|owner| self.name_of(owner)).map(Unknown::Address));
        }
        Ok(unknown)
    }

    /// Headers that left by other interfaces than a zone's to what lies there only if their networks, which are not known, hold it:
    /// then it is not in the zone, whatever route that is known leads there.
    pub(super) fn held_elsewhere(&self, zone: ZoneId) -> PacketSet {
        let links = self.all().get(zone).map_or(&[][..], |zone| &zone.interfaces);
        let others = self.network.interfaces().filter(|id| !links.contains(id));
        let boxes = others.flat_map(|id| {
            let out = |place: Place| place.direction() == Direction::Out && place.interface() == id;
            let places = self.network.places(out);
            Family::BOTH.into_iter().filter_map(move |family| {
                PacketBox::all(family)
                    .with(Field::Place, &places)?
                    .with(Field::Destination, &self.network.perhaps_routed(id, family))
            })
        });
        boxes.collect()
    }

    /// The addresses that a `require` asks for by an item of its destinations, wherever they lie; none by one that takes away.
    fn flows_to(&self, item: &HostItem, resolved: &Resolved) -> Both {
        let zone_hosts = |family| {
            let hosts = self
                .network
                .interfaces()
                .map(|id| self.hosts(id, family, false, Purpose::Flows));
            hosts.fold(RangeSet::empty(), |all, hosts| all.union(&hosts))
        };
        match resolved {
            _ if item.negated => Both::default(),
            Resolved::Any => Family::BOTH.map(zone_hosts),
            Resolved::Itself => Both::default(),
            Resolved::Zone(zone) => Family::BOTH.map(|family| self.addresses_of(*zone, family, Purpose::Flows, 0)),
            Resolved::Addresses(named) | Resolved::UnknownTable(_, named) => named.all.clone(),
        }
    }

    /// Those of the packets from there that its zones, or anything, do not mean, but addresses; none where all networks are known.
    pub(super) fn by_address(&self, source: &End, packets: &PacketSet) -> Made<PacketSet> {
        let Some(hosts) = source.hosts.as_ref().filter(|_| self.network.has_perhaps_routed()) else {
            return Ok(PacketSet::empty());
        };
        let mut by_place = hosts.clone();
        by_place.items.retain(|item| {
            let zone = matches!(&item.host, Host::Named(name, _) if self.names.contains_key(name));
            item.negated || zone || matches!(item.host, Host::Any | Host::Itself)
        });
        let by_place = End {
            hosts: Some(by_place),
            ..source.clone()
        };
        let by_place = self.sources(&by_place, Purpose::Everything, &mut Selection::default())?;
        Ok(packets.minus(&by_place))
    }

    /// The networks, not known, because of which the named sources that are taken away may arrive elsewhere, or nowhere.
    pub(super) fn perhaps_taken_away(&self, hosts: &Hosts) -> Made<Vec<Unknown>> {
        if !self.network.has_perhaps_routed() || hosts.items.iter().all(|item| !item.negated) {
            return Ok(Vec::new());
        }
        let mut unknown = Vec::new();
        for (_, resolved) in self.resolve(hosts)?.into_iter().filter(|(item, _)| item.negated) {
            let (Resolved::Addresses(named) | Resolved::UnknownTable(_, named)) = resolved else {
                continue;
            };
            let may_hold = |&id: &InterfaceId| {
                let mut named = Family::BOTH.into_iter().zip(&named.all);
                named.any(|(family, named)| !self.network.perhaps_routed(id, family).is_disjoint(named))
            };
            let interfaces = &self.network.engine().context().interfaces;
            let holders = self
                .network
                .interfaces()
                .filter(may_hold)
                .filter_map(|id| interfaces.get(id));
            unknown.extend(holders.map(|one| Unknown::Network(one.name.as_str().into())));
        }
        Ok(unknown)
    }

    /// The interfaces in a list of hosts whose networks are not known; those whose own `addresses` are meant, too, where
    /// they are asked for, and where packets of another routing domain may have them at their ends: there they are other hosts.
    pub(super) fn unknown_networks(&self, hosts: &Hosts, addresses: bool) -> Vec<Unknown> {
        let context = self.network.engine().context();
        let is_elsewhere = |member: &Interface| {
            let mut others = self.network.interfaces().filter_map(|id| context.interfaces.get(id));
            others.any(|other| other.rdomain != member.rdomain)
        };
        let mut unknown = Vec::new();
        for item in &hosts.items {
            let Host::Named(name, modifiers) = &item.host else {
                continue;
            };
            let of_network = modifiers.network || modifiers.broadcast || modifiers.peer;
            let is_zone = !of_network && self.all().iter().any(|zone| zone.name == *name);
            let members = context.members(name).into_iter().filter(|member| {
                let is_asked = of_network || addresses || is_elsewhere(member);
                is_asked && !is_zone && Family::BOTH.iter().any(|&one| member.has_unknown(one))
            });
            unknown.extend(members.map(|member| Unknown::Network(member.name.as_str().into())));
        }
        unknown
    }

    /// What is not known of the addresses of the zones of a `closed`.
    #[must_use]
    pub fn unknown_of(&self, closed: &Closed) -> Vec<Unknown> {
        let (Closed::From(names) | Closed::To(names)) = closed else {
            return Vec::new();
        };
        let named = names.iter().filter_map(|name| self.zone(&name.value, name.span).ok());
        let zones = named.filter_map(|zone| self.all().get(zone));
        zones.flat_map(|zone| zone.unknown.clone()).collect()
    }
}
