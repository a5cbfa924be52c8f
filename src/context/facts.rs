//! [`Facts`]: what one text says of the machine, each with its place, and how the texts add up to a [`Context`].
//!
//! Sources are combined field by field: what a later one says wins. Two that contradict each other are reported; a
//! known address in place of an unknown one contradicts nothing.

use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;
use rustc_hash::{FxHashMap, FxHashSet};

use super::complete::complete;
use super::lookup::is_link_local;
use super::words::is_link_address;
use super::{Assumption, Context, InterfaceAddress};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::net::Family;
use crate::source::Span;

/// A value and the place where it is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<T> {
    /// What is said.
    pub value: T,
    /// Where.
    pub span: Span,
}

impl<T> Said<T> {
    /// That value, said there.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// What one text says of an interface; `None` and empty lists where it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceFacts {
    /// Its name and where it is introduced.
    pub name: Said<String>,
    /// Its addresses in order; `None` where the text does not speak of them.
    pub addresses: Option<Vec<Said<InterfaceAddress>>>,
    /// Groups besides the implied ones.
    pub groups: Vec<Said<String>>,
    /// The other end.
    pub peer: Option<Said<IpAddr>>,
    /// The broadcast address.
    pub broadcast: Option<Said<IpAddr>>,
    /// Routing domain.
    pub rdomain: Option<Said<u32>>,
    /// Whether it is up.
    pub up: Option<Said<bool>>,
    /// Its link-layer address.
    pub lladdr: Option<Said<String>>,
    /// The interface that carries the packets of a carp(4) interface.
    pub carpdev: Option<Said<String>>,
    /// The bridge that it is a port of, where that asks pf.
    pub bridge: Option<Said<String>>,
}

impl InterfaceFacts {
    /// An interface of which nothing but the name is said.
    #[must_use]
    pub fn new(name: impl Into<String>, span: Span) -> Self {
        Self {
            name: Said::new(name.into(), span),
            addresses: None,
            groups: Vec::new(),
            peer: None,
            broadcast: None,
            rdomain: None,
            up: None,
            lladdr: None,
            carpdev: None,
            bridge: None,
        }
    }
}

/// What one text says of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFacts {
    /// Where it is said.
    pub span: Span,
    /// Destination.
    pub to: IpNet,
    /// The interface, where it is said; else the one in whose network the gateway lies.
    pub interface: Option<String>,
    /// The gateway.
    pub via: Option<IpAddr>,
    /// Label.
    pub label: Option<String>,
    /// Routing table.
    pub rtable: u32,
    /// Whether packets to it are rejected.
    pub reject: bool,
    /// Whether it stands beside others to the same destination (`-mpath`).
    pub multipath: bool,
    /// How it comes about.
    pub origin: RouteOrigin,
}

/// How a route comes about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteOrigin {
    /// It is said.
    #[default]
    Said,
    /// Taken to be learned by an interface that is configured automatically.
    Autoconf,
    /// From mygate(5), which is used only where no interface of that family is configured automatically.
    Mygate,
}

impl RouteFacts {
    /// A route of the first table to that destination, of which nothing else is said.
    #[must_use]
    pub fn new(to: IpNet, span: Span) -> Self {
        Self {
            span,
            to,
            interface: None,
            via: None,
            label: None,
            rtable: 0,
            reject: false,
            multipath: false,
            origin: RouteOrigin::Said,
        }
    }
}

/// What a text says is not known of the machine, although it lists the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownFacts {
    /// Whether there may be interfaces that it does not list.
    pub interfaces: bool,
    /// Groups that may have members that it does not list.
    pub groups: Vec<Said<String>>,
    /// Those interfaces by one of which the default routes leave.
    pub upstreams: Vec<Said<String>>,
    /// Whether interfaces with IPv6 have link-local addresses that it does not list.
    pub link_locals: bool,
    /// Whether host names that it does not list may have addresses.
    pub hosts: bool,
}

impl UnknownFacts {
    /// Adds what a later source says is not known: its lists win.
    fn add(&mut self, later: Self) {
        let Self {
            interfaces,
            groups,
            upstreams,
            link_locals,
            hosts,
        } = later;
        self.interfaces |= interfaces;
        self.link_locals |= link_locals;
        self.hosts |= hosts;
        for (known, later) in [(&mut self.groups, groups), (&mut self.upstreams, upstreams)] {
            if !later.is_empty() {
                *known = later;
            }
        }
    }
}

/// What one text, or several together, say of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether it forwards.
    pub forwarding: Option<Said<bool>>,
    /// Whether it forwards IPv6, where that is said apart.
    pub forwarding_inet6: Option<Said<bool>>,
    /// Interfaces, in order.
    pub interfaces: Vec<InterfaceFacts>,
    /// Routes, in order.
    pub routes: Vec<RouteFacts>,
    /// Host names.
    pub hosts: IndexMap<String, Said<Vec<IpAddr>>>,
    /// User names.
    pub users: IndexMap<String, Said<u32>>,
    /// Group names.
    pub groups: IndexMap<String, Said<u32>>,
    /// Services: (name, protocol) and port.
    pub services: IndexMap<(String, String), Said<u16>>,
    /// Whether the text lists every interface that there is.
    pub complete: bool,
    /// Whether it lists every route that there is.
    pub all_routes: bool,
    /// What it says is not known.
    pub unknown: UnknownFacts,
    /// What the text leaves open and its reader had to assume.
    pub assumed: Vec<Assumption>,
}

impl Facts {
    /// The facts on the interface of that name, made where there are none.
    pub fn interface(&mut self, name: &str, span: Span) -> &mut InterfaceFacts {
        let at = match self
            .interfaces
            .iter()
            .position(|interface| interface.name.value == name)
        {
            Some(at) => at,
            None => {
                self.interfaces.push(InterfaceFacts::new(name, span));
                self.interfaces.len() - 1
            }
        };
        &mut self.interfaces[at]
    }
}

/// The machine as all sources together describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Combined {
    /// The machine.
    pub context: Context,
    /// What was said, and where, after later sources have won over earlier ones.
    pub facts: Facts,
}

/// The machine that the sources describe together, and what is wrong with them.
#[must_use]
pub fn combine(sources: Vec<Facts>) -> (Combined, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut facts = Facts::default();
    for source in sources {
        add(&mut facts, source, &mut diagnostics);
    }
    resolve_link_addresses(&mut facts);
    // A context.toml that does not speak of it says yes.
    if facts.forwarding.is_none() && !(facts.complete && facts.all_routes) {
        facts.assumed.push(Assumption::of_forwarding());
    }
    let context = complete(&facts, &mut diagnostics);
    facts.assumed.extend(Assumption::of_upstreams(&context.upstreams));
    (Combined { context, facts }, diagnostics)
}

/// The remark that nothing passes through a machine that does not forward: what its rules and policies say of such
/// packets is idle. Of IPv6 it is made where an interface has such an address.
#[must_use]
pub fn not_forwarding(context: &Context, facts: &Facts) -> Option<Diagnostic> {
    let [inet, inet6] = Family::BOTH.map(|family| context.forwards(family));
    let others = context.interfaces.iter().filter(|interface| !interface.is_loopback());
    let has_inet6 = || {
        others
            .clone()
            .any(|interface| interface.addresses_of(Family::Inet6).next().is_some())
    };
    let what = match (inet, inet6) {
        // A machine of one interface has nothing to forward.
        _ if others.clone().count() < 2 => return None,
        (false, false) => "packets",
        (false, true) => "packets of inet",
        (true, false) if has_inet6() => "packets of inet6",
        (true, _) => return None,
    };
    let said = if inet {
        &facts.forwarding_inet6
    } else {
        &facts.forwarding
    };
    let mut remark = Diagnostic::new(
        Code::Context,
        format!("the machine does not forward {what}: none pass through it"),
    );
    remark.severity = Severity::Info;
    Some(match said {
        Some(said) => remark.at(said.span),
        None => remark,
    })
}

/// The same with what a later source says.
fn add(facts: &mut Facts, later: Facts, diagnostics: &mut Vec<Diagnostic>) {
    let Facts {
        forwarding,
        forwarding_inet6,
        interfaces,
        routes,
        hosts,
        users,
        groups,
        services,
        complete,
        all_routes,
        unknown,
        assumed,
    } = later;
    facts.assumed.extend(assumed);
    facts.unknown.add(unknown);
    // Who says `forwarding` without more means both families.
    if forwarding.is_some() && forwarding_inet6.is_none() {
        facts.forwarding_inet6 = None;
    }
    replace(
        &mut facts.forwarding,
        forwarding,
        || "`forwarding`".to_owned(),
        diagnostics,
    );
    replace(
        &mut facts.forwarding_inet6,
        forwarding_inet6,
        || "forwarding of IPv6".to_owned(),
        diagnostics,
    );
    facts.complete |= complete;
    facts.all_routes |= all_routes;
    for interface in interfaces {
        add_interface(facts, interface, diagnostics);
    }
    add_routes(&mut facts.routes, routes, diagnostics);
    let mut conflict = |what: String, was: Span, now: Span| diagnostics.push(contradiction(&what, was, now));
    add_names(
        &mut facts.hosts,
        hosts,
        |name| format!("the addresses of `{name}`"),
        &mut conflict,
    );
    add_names(
        &mut facts.users,
        users,
        |name| format!("the id of user `{name}`"),
        &mut conflict,
    );
    add_names(
        &mut facts.groups,
        groups,
        |name| format!("the id of group `{name}`"),
        &mut conflict,
    );
    add_names(
        &mut facts.services,
        services,
        |(name, proto)| format!("the port of `{name}/{proto}`"),
        &mut conflict,
    );
}

fn add_interface(facts: &mut Facts, later: InterfaceFacts, diagnostics: &mut Vec<Diagnostic>) {
    let InterfaceFacts {
        name,
        addresses,
        groups,
        peer,
        broadcast,
        rdomain,
        up,
        lladdr,
        carpdev,
        bridge,
    } = later;
    let known = facts.interface(&name.value, name.span);
    let of = |what: &str| format!("{what} of `{}`", name.value);
    if let Some(addresses) = addresses {
        if let Some(earlier) = &known.addresses
            && let (Some(was), Some(now)) = (earlier.first(), addresses.first())
            && contradict(earlier, &addresses)
        {
            diagnostics.push(contradiction(&of("the addresses"), was.span, now.span));
        }
        known.addresses = Some(addresses);
    }
    for group in groups {
        if !known.groups.iter().any(|old| old.value == group.value) {
            known.groups.push(group);
        }
    }
    replace(&mut known.peer, peer, || of("the peer"), diagnostics);
    replace(
        &mut known.broadcast,
        broadcast,
        || of("the broadcast address"),
        diagnostics,
    );
    replace(&mut known.rdomain, rdomain, || of("the rdomain"), diagnostics);
    replace(&mut known.up, up, || of("`up`"), diagnostics);
    replace(&mut known.carpdev, carpdev, || of("`carpdev`"), diagnostics);
    replace(&mut known.bridge, bridge, || of("the bridge"), diagnostics);
    known.lladdr = lladdr.or(known.lladdr.take());
}

/// Whether two lists of addresses cannot both be true: an earlier known address that the later list lacks, but for
/// link-local ones, which files seldom write, and where an unknown one was said as well.
fn contradict(earlier: &[Said<InterfaceAddress>], later: &[Said<InterfaceAddress>]) -> bool {
    let lacks = |one: &[Said<InterfaceAddress>], other: &[Said<InterfaceAddress>]| {
        one.iter().any(|said| {
            said.value.known().is_some_and(|net| !is_link_local(net.addr()))
                && !other.iter().any(|there| {
                    there.value == said.value || there.value == InterfaceAddress::Unknown(said.value.family())
                })
        })
    };
    lacks(earlier, later) || lacks(later, earlier)
}

/// The table and destination of a route: of several sources, the later says all routes there.
fn place(route: &RouteFacts) -> (IpNet, u32) {
    (route.to.trunc(), route.rtable)
}

/// Routes of a later source: one to the same destination in the same table replaces all earlier ones.
fn add_routes(routes: &mut Vec<RouteFacts>, mut later: Vec<RouteFacts>, diagnostics: &mut Vec<Diagnostic>) {
    let is_learned = |route: &RouteFacts| route.origin == RouteOrigin::Autoconf || route.multipath;
    // Several interfaces may learn a default route, or be given one with `-mpath`: one does not replace the other. mygate(5)
    // gives way to them.
    if later.iter().all(is_learned) {
        routes.retain(|old| old.origin != RouteOrigin::Mygate || !later.iter().any(|new| place(old) == place(new)));
        routes.extend(later);
        return;
    }
    later.retain(|new| {
        let learned = || routes.iter().find(|old| is_learned(old) && place(old) == place(new));
        let Some(learned) = (new.origin == RouteOrigin::Mygate).then(learned).flatten() else {
            return true;
        };
        let mut unused = Diagnostic::new(Code::Context, "this gateway is not used: an interface has autoconf")
            .at(new.span)
            .related(learned.span, "here");
        unused.severity = Severity::Info;
        diagnostics.push(unused);
        false
    });
    let mut old_at: FxHashMap<(IpNet, u32), Vec<&RouteFacts>> = FxHashMap::default();
    for old in routes.iter() {
        old_at.entry(place(old)).or_default().push(old);
    }
    for new in &mut later {
        let Some(old) = old_at.get(&place(new)) else { continue };
        if let Some(other) = old.iter().find(|old| differ(old, new))
            && !old.iter().any(|old| !differ(old, new))
        {
            diagnostics.push(contradiction(
                &format!("the route to `{}`", new.to),
                other.span,
                new.span,
            ));
        }
        // The way of an earlier source to a gateway is kept where the later one does not say it.
        if let Some(old) = old.iter().find(|old| old.via == new.via) {
            new.interface = new.interface.take().or_else(|| old.interface.clone());
            new.label = new.label.take().or_else(|| old.label.clone());
        }
    }
    let places: FxHashSet<_> = later.iter().map(place).collect();
    routes.retain(|old| !places.contains(&place(old)));
    routes.extend(later);
}

/// Whether two routes to one destination cannot be the same.
fn differ(a: &RouteFacts, b: &RouteFacts) -> bool {
    let interfaces = (&a.interface, &b.interface);
    matches!(interfaces, (Some(one), Some(other)) if one != other)
        || matches!((a.via, b.via), (Some(one), Some(other)) if one != other)
        || a.reject != b.reject
}

fn add_names<K: std::hash::Hash + Eq, V: PartialEq>(
    names: &mut IndexMap<K, Said<V>>,
    later: IndexMap<K, Said<V>>,
    what: impl Fn(&K) -> String,
    conflict: &mut impl FnMut(String, Span, Span),
) {
    for (name, said) in later {
        if let Some(old) = names.get(&name)
            && old.value != said.value
        {
            conflict(what(&name), old.span, said.span);
        }
        names.insert(name, said);
    }
}

/// Puts a later value in the place of an earlier one, and reports it where they differ.
fn replace<T: PartialEq>(
    slot: &mut Option<Said<T>>,
    later: Option<Said<T>>,
    what: impl Fn() -> String,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(later) = later else { return };
    if let Some(old) = slot
        && old.value != later.value
    {
        diagnostics.push(contradiction(&what(), old.span, later.span));
    }
    *slot = Some(later);
}

fn contradiction(what: &str, was: Span, now: Span) -> Diagnostic {
    let mut diagnostic = Diagnostic::new(Code::Context, format!("{what}: two sources differ"))
        .labelled(now, "this one counts: it is read later")
        .related(was, "the other one");
    diagnostic.severity = Severity::Warning;
    diagnostic
}

/// Gives interfaces that are named by their link-layer address the name of the one that has it, where some source says
/// which: what is said by address counts where nothing else is said.
fn resolve_link_addresses(facts: &mut Facts) {
    let named = std::mem::take(&mut facts.interfaces);
    let (by_address, mut interfaces): (Vec<_>, Vec<_>) = named
        .into_iter()
        .partition(|interface| is_link_address(&interface.name.value));
    for mut found in by_address {
        let same = |other: &InterfaceFacts| {
            let lladdr = other.lladdr.as_ref();
            lladdr.is_some_and(|lladdr| lladdr.value.eq_ignore_ascii_case(&found.name.value))
        };
        let Some(target) = interfaces.iter_mut().find(|other| same(other)) else {
            facts.assumed.push(Assumption::new(
                format!("hostname.{}", found.name.value),
                "the name of its interface is not known",
            ));
            interfaces.push(found);
            continue;
        };
        for route in &mut facts.routes {
            if route.interface.as_ref() == Some(&found.name.value) {
                route.interface = Some(target.name.value.clone());
            }
        }
        if target.addresses.as_ref().is_none_or(Vec::is_empty) {
            target.addresses = found.addresses.take();
        }
        for group in found.groups.drain(..) {
            if !target.groups.iter().any(|known| known.value == group.value) {
                target.groups.push(group);
            }
        }
        target.peer = target.peer.take().or(found.peer);
        target.broadcast = target.broadcast.take().or(found.broadcast);
        target.rdomain = target.rdomain.take().or(found.rdomain);
        target.up = target.up.take().or(found.up);
        target.carpdev = target.carpdev.take().or(found.carpdev);
        target.bridge = target.bridge.take().or(found.bridge);
    }
    facts.interfaces = interfaces;
}
