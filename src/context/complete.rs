//! From facts to a [`Context`]: what follows from what was said, and the interfaces of routes.

use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;
use rustc_hash::FxHashMap;

use super::facts::{Facts, InterfaceFacts, RouteFacts, RouteOrigin, Said};
use super::lookup::{driver, is_cloned};
use super::words::default_route;
use super::{Context, Interface, InterfaceAddress, Route, RouteTable};
use crate::diagnostic::{Code, Diagnostic, Severity, nearest};
use crate::net::Family;
use crate::source::Span;

/// The machine that the facts describe, with what follows from them.
pub(super) fn complete(facts: &Facts, diagnostics: &mut Vec<Diagnostic>) -> Context {
    let mut context = Context {
        forwarding: facts.forwarding.as_ref().is_none_or(|said| said.value),
        forwarding_inet6: facts.forwarding_inet6.as_ref().map(|said| said.value),
        interfaces: facts.interfaces.iter().map(interface).collect(),
        routes: Vec::new(),
        hosts: values(&facts.hosts),
        users: values(&facts.users),
        groups: values(&facts.groups),
        services: values(&facts.services),
        open: !facts.complete || facts.unknown.interfaces,
        routes_open: !facts.all_routes,
        link_locals_open: !facts.complete || facts.unknown.link_locals,
        upstreams: Vec::new(),
        multipath: false,
        growing: facts.unknown.groups.iter().map(|group| group.value.clone()).collect(),
        hosts_open: facts.unknown.hosts,
    };
    if !facts.complete {
        context.find_carp_devices();
    }
    match context.interfaces.iter_mut().find(|interface| interface.name == "lo0") {
        // A lo0 of which nothing is said but, for instance, a group has the addresses that it always has.
        Some(lo0) => {
            if facts
                .interfaces
                .iter()
                .any(|said| said.name.value == "lo0" && said.addresses.is_none())
            {
                lo0.addresses = loopback_addresses();
            }
        }
        None => context.interfaces.insert(
            0,
            Interface {
                name: "lo0".to_owned(),
                addresses: loopback_addresses(),
                ..Interface::default()
            },
        ),
    }
    let all_listed = facts.complete && !facts.unknown.interfaces;
    context.routes = routes(&context, &facts.routes, all_listed, diagnostics);
    context.upstreams = match facts.unknown.upstreams.as_slice() {
        [] => learned_upstreams(&facts.routes),
        said => said_upstreams(&context, said, diagnostics),
    };
    // Membership in egress that follows from the routes is not said twice.
    let implied: Vec<bool> = context
        .interfaces
        .iter()
        .map(|interface| context.has_default_route(interface))
        .collect();
    for (interface, implied) in context.interfaces.iter_mut().zip(implied) {
        interface.groups.retain(|group| !(implied && group == "egress"));
    }
    context
}

fn interface(said: &InterfaceFacts) -> Interface {
    Interface {
        name: said.name.value.clone(),
        addresses: said.addresses.iter().flatten().map(|address| address.value).collect(),
        groups: said
            .groups
            .iter()
            .map(|group| group.value.clone())
            .filter(|group| group != "all" && !(driver(&said.name.value) == group && is_cloned(group)))
            .collect(),
        peer: said.peer.as_ref().map(|peer| peer.value),
        broadcast: said.broadcast.as_ref().map(|broadcast| broadcast.value),
        rdomain: said.rdomain.as_ref().map_or(0, |rdomain| rdomain.value),
        down: said.up.as_ref().is_some_and(|up| !up.value),
        carpdev: said.carpdev.as_ref().map(|device| device.value.clone()),
        bridge: said.bridge.as_ref().map(|bridge| bridge.value.clone()),
        backup: false,
    }
}

fn values<K: Clone + std::hash::Hash + Eq, V: Clone>(names: &IndexMap<K, Said<V>>) -> IndexMap<K, V> {
    names
        .iter()
        .map(|(name, said)| (name.clone(), said.value.clone()))
        .collect()
}

/// The addresses of lo0 that the kernel and netstart(8) give it.
fn loopback_addresses() -> Vec<InterfaceAddress> {
    use std::net::{Ipv4Addr, Ipv6Addr};
    let known = |address: IpAddr, bits| IpNet::new(address, bits).ok().map(InterfaceAddress::Known);
    [
        known(Ipv4Addr::LOCALHOST.into(), 8),
        known(Ipv6Addr::LOCALHOST.into(), 128),
        known(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into(), 64),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The interfaces that are taken to learn a default route, where there are several of one family: which of them is used
/// nobody says.
fn learned_upstreams(routes: &[RouteFacts]) -> Vec<String> {
    let learned = |family: Family| -> Vec<&String> {
        let defaults = routes.iter().filter(|route| {
            route.to == default_route(family) && route.rtable == 0 && route.origin == RouteOrigin::Autoconf
        });
        let mut names: Vec<&String> = defaults.filter_map(|route| route.interface.as_ref()).collect();
        names.dedup();
        if names.len() > 1 { names } else { Vec::new() }
    };
    let mut upstreams: Vec<String> = Vec::new();
    for name in Family::BOTH.into_iter().flat_map(learned) {
        if !upstreams.contains(name) {
            upstreams.push(name.clone());
        }
    }
    upstreams
}

/// The interfaces that are said to be those by one of which the default routes leave; one that there is not is reported.
fn said_upstreams(context: &Context, said: &[Said<String>], diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
    let mut upstreams = Vec::new();
    for upstream in said {
        if context.interface(&upstream.value).is_some() {
            upstreams.push(upstream.value.clone());
        } else {
            diagnostics.push(no_interface(context, &upstream.value, upstream.span));
        }
    }
    upstreams
}

/// The complaint that the machine has no interface of that name.
fn no_interface(context: &Context, name: &str, span: Span) -> Diagnostic {
    let finding = Diagnostic::new(Code::Context, format!("there is no interface `{name}`")).at(span);
    let known = context.interfaces.iter().map(|interface| interface.name.as_str());
    match nearest(name, known) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(format!("describe it: `[interface.{name}]`")),
    }
}

/// The routes, each with its interface; one whose interface cannot be found, or is not there where all are listed, is
/// reported and left out.
fn routes(context: &Context, said: &[RouteFacts], all_listed: bool, diagnostics: &mut Vec<Diagnostic>) -> Vec<Route> {
    // Gateways are looked up among the networks of interfaces, and behind them the routes by an interface that come before.
    let mut tables: FxHashMap<u32, RouteTable<'_>> = FxHashMap::default();
    let mut routes = Vec::new();
    for route in said {
        let table = tables
            .entry(route.rtable)
            .or_insert_with(|| context.kernel_table(route.rtable));
        match interface_of(context, table, &routes, route) {
            Ok(interface) if all_listed && context.interface(&interface).is_none() => {
                diagnostics.push(no_interface(context, &interface, route.span));
            }
            Ok(interface) => routes.push(Route {
                to: route.to,
                interface,
                via: route.via,
                label: route.label.clone(),
                rtable: route.rtable,
                reject: route.reject,
            }),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    routes
}

/// The interface of a route: the one that is said, else the one in whose network its gateway lies, or by which a route of
/// those `before` leads to it, else the only one whose network is not known.
fn interface_of(
    context: &Context,
    table: &RouteTable<'_>,
    before: &[Route],
    route: &RouteFacts,
) -> Result<String, Diagnostic> {
    if let Some(interface) = &route.interface {
        return Ok(interface.clone());
    }
    let Some(via) = route.via else {
        return Err(
            Diagnostic::new(Code::Context, format!("the route to `{}` names no interface", route.to))
                .at(route.span)
                .help("say `interface = \"…\"`, or `via` with an address of a network of an interface"),
        );
    };
    let family = Family::of(via);
    if let Some(found) = table.lookup(via) {
        return Ok(found.interface.to_owned());
    }
    let direct = before
        .iter()
        .filter(|known| known.rtable == route.rtable && known.via.is_none() && !known.reject);
    let leading = direct.filter(|known| known.to.prefix_len() > 0 && known.to.contains(&via));
    if let Some(found) = leading.max_by_key(|known| known.to.prefix_len()) {
        return Ok(found.interface.clone());
    }
    let mut unknown = context.interfaces.iter().filter(|interface| {
        interface.rdomain == route.rtable && interface.addresses.contains(&InterfaceAddress::Unknown(family))
    });
    match (unknown.next(), unknown.next()) {
        (Some(only), None) => Ok(only.name.clone()),
        (Some(_), Some(_)) | (None, _) => {
            let mut diagnostic = Diagnostic::new(
                Code::Context,
                format!("the gateway `{via}` is in no network of an interface: there is no such route"),
            )
            .at(route.span)
            .help("name the interface of the route, or give an interface an address in the gateway's network");
            // route(8) refuses it too («Network is unreachable»), and the machine runs without.
            diagnostic.severity = Severity::Warning;
            Err(diagnostic)
        }
    }
}
