//! [`RouteTable`]: which route one address takes.
//!
//! The routes that were given, and those that follow from addresses: to each own address, to a peer, to the
//! networks of interfaces that are up.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;

use super::lookup::{is_link_local, single};
use super::{Context, Interface, InterfaceAddress};
use crate::net::Family;

/// Where a route comes from, the one that the kernel prefers first (`RTP_LOCAL`, `RTP_CONNECTED`, `RTP_STATIC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteKind {
    /// To one of the machine's own addresses.
    Local,
    /// To a network or peer of an interface.
    Connected,
    /// A route that was given.
    Given,
}

/// One route of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableRoute<'a> {
    /// Destination, host bits cleared.
    pub to: IpNet,
    /// The name of the interface it leaves by.
    pub interface: &'a str,
    /// The gateway.
    pub via: Option<IpAddr>,
    /// For pf's `route "label"`.
    pub label: Option<&'a str>,
    /// Whether packets to it are rejected.
    pub reject: bool,
    /// Where it comes from.
    pub kind: RouteKind,
}

impl TableRoute<'_> {
    /// What comes first is tried first.
    fn order(&self) -> (Reverse<u8>, RouteKind) {
        (Reverse(self.to.prefix_len()), self.kind)
    }
}

/// The routes of one routing table, in the order in which they are tried: the first that holds an address is its
/// route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable<'a> {
    // INVARIANT: longest prefix first; of equal prefixes local, connected, given, then as they were given.
    routes: Vec<TableRoute<'a>>,
}

impl<'a> RouteTable<'a> {
    /// Every route, in the order in which they are tried.
    #[must_use]
    pub fn routes(&self) -> &[TableRoute<'a>] {
        &self.routes
    }

    /// The routes that were given to the same destination as this one, itself included: with multipath any of them may be
    /// taken.
    pub fn equal(&self, route: &TableRoute<'_>) -> impl Iterator<Item = &TableRoute<'a>> {
        let (to, given) = (route.to, route.kind == RouteKind::Given);
        let equal = move |other: &&TableRoute<'_>| given && other.to == to && other.kind == RouteKind::Given;
        self.routes.iter().filter(equal)
    }

    /// The route of one address: the longest prefix that holds it (`rtable_match`).
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<&TableRoute<'a>> {
        self.routes.iter().find(|route| route.to.contains(&address))
    }
}

impl Context {
    /// The routing table of that number, as pf sees it: what goes by a carp(4) interface it meets on that one's device.
    ///
    /// Own addresses, peers and networks are in the table of their interface's routing domain. Link-local networks
    /// are in none: which link is meant, the address does not say.
    #[must_use]
    pub fn route_table(&self, rtable: u32) -> RouteTable<'_> {
        let mut table = self.kernel_table(rtable);
        for route in &mut table.routes {
            route.interface = self.seen_on(route.interface);
        }
        table
    }

    /// The route that an address takes by the routing table of that number, as [`RouteTable::lookup`] finds it.
    #[must_use]
    pub fn route(&self, rtable: u32, address: IpAddr) -> Option<TableRoute<'_>> {
        let routes = self.kernel_routes(rtable);
        let held = routes.filter(|route| route.to.contains(&address));
        let mut found = held.min_by_key(TableRoute::order)?;
        found.interface = self.seen_on(found.interface);
        Some(found)
    }

    /// The same as [`route_table`](Self::route_table), with the interfaces as the kernel has them.
    pub(super) fn kernel_table(&self, rtable: u32) -> RouteTable<'_> {
        let mut routes: Vec<_> = self.kernel_routes(rtable).collect();
        routes.sort_by_key(TableRoute::order);
        RouteTable { routes }
    }

    /// The routes of the routing table of that number, in no order; of those to the same network the first holds.
    fn kernel_routes(&self, rtable: u32) -> impl Iterator<Item = TableRoute<'_>> {
        let implied = self
            .interfaces
            .iter()
            .filter(move |interface| interface.rdomain == rtable)
            .flat_map(implied_routes);
        let given = self
            .routes
            .iter()
            .filter(move |route| route.rtable == rtable && self.interface(&route.interface).is_none_or(|by| !by.backup))
            .map(|route| TableRoute {
                to: route.to.trunc(),
                interface: &route.interface,
                via: route.via,
                label: route.label.as_deref(),
                reject: route.reject,
                kind: RouteKind::Given,
            });
        implied.chain(given)
    }
}

/// The routes that follow from an interface's addresses.
fn implied_routes(interface: &Interface) -> Vec<TableRoute<'_>> {
    let route = |to: IpNet, kind| TableRoute {
        to: to.trunc(),
        interface: &interface.name,
        via: None,
        label: None,
        reject: false,
        kind,
    };
    let mut routes = Vec::new();
    for net in interface
        .addresses
        .iter()
        .filter_map(|address| InterfaceAddress::known(*address))
    {
        if interface.owns_addresses() {
            routes.push(route(single(net.addr()), RouteKind::Local));
        }
        let has_peer = interface
            .peer
            .is_some_and(|peer| Family::of(peer) == Family::of(net.addr()));
        // Behind a loopback interface there is no network but 127/8, and IPv4 knows none behind a point-to-point one.
        let is_alone = match net {
            IpNet::V4(_) if interface.is_loopback() => !net.addr().is_loopback(),
            IpNet::V4(_) => interface.is_point_to_point(),
            IpNet::V6(_) => has_peer || interface.is_loopback(),
        };
        if !interface.down && !interface.backup && !is_link_local(net.addr()) {
            let behind = if is_alone { single(net.addr()) } else { net };
            routes.push(route(behind, RouteKind::Connected));
        }
    }
    if let (Some(peer), false) = (interface.peer, interface.down) {
        routes.push(route(single(peer), RouteKind::Connected));
    }
    routes
}
