//! What a machine may be besides what its [`Context`] says: other states in which the same files leave it.
//!
//! carp(4) interfaces are master or backup, where nobody says by which interface the default routes leave, it may be any, of
//! several routes to one destination it may be each, or all, interfaces with IPv6 have a link-local address besides those that files list, the addresses of interfaces that are down
//! may still be the machine's own, and where nobody lists every interface, there may be more. What is proved has to hold in each of these circumstances.

use std::net::IpAddr;

use ipnet::IpNet;

use super::lookup::{driver, is_link_local};
use super::mentioned::unknown_interface;
use super::{Context, Interface, InterfaceAddress, Route};
use crate::net::Family;

/// A state of the machine other than the one that its context describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circumstance {
    /// When it is so: the words after «while».
    pub words: String,
    /// The machine then.
    pub context: Context,
    /// Whether it is no state of the machine that is described, but a machine of which more could be described: what
    /// is violated without that is violated.
    pub is_more: bool,
}

/// Which of several routes is taken.
fn route_words(to: IpNet, by: &str) -> String {
    match to.prefix_len() {
        0 => format!("the default routes leave by {by}"),
        _ => format!("the route to {to} is that by {by}"),
    }
}

/// The states that are told apart at most.
const MOST: usize = 16;

impl Context {
    /// The other circumstances in which the machine may be; `None` where they are too many to look at each.
    #[must_use]
    pub fn circumstances(&self) -> Option<Vec<Circumstance>> {
        let here = Circumstance {
            words: String::new(),
            context: self.clone(),
            is_more: false,
        };
        let mut all = vec![here];
        if self.upstreams.len() > MOST || self.growing.len() > MOST {
            return None;
        }
        for upstream in self.upstreams.iter().skip(1) {
            let mut context = self.clone();
            context.settle_upstream(upstream);
            all.push(Circumstance {
                words: format!("the default routes leave by {upstream}"),
                context,
                is_more: false,
            });
        }
        for (to, rtable, routes) in self.equal_routes() {
            let others = routes.iter().skip(1);
            let other: Vec<_> = others
                .flat_map(|&by| all.iter().map(move |other| other.with_route(to, rtable, by)))
                .collect();
            all.extend(other);
            if all.len() > MOST {
                return None;
            }
        }
        if !self.equal_routes().is_empty() {
            let all_count: Vec<_> = all.iter().map(Circumstance::with_multipath).collect();
            all.extend(all_count);
        }
        for (at, carp) in self.interfaces.iter().enumerate() {
            if !self.leads_elsewhere(carp) {
                continue;
            }
            let backup: Vec<_> = all.iter().map(|other| other.with_backup(at, &carp.name)).collect();
            all.extend(backup);
            if all.len() > MOST {
                return None;
            }
        }
        let down: Vec<_> = all.iter().filter_map(Circumstance::with_addresses_of_down).collect();
        all.extend(down);
        if all.len() > MOST {
            return None;
        }
        all.remove(0);
        all.extend(self.with_link_locals());
        all.extend(self.with_more_interfaces());
        Some(all)
    }

    /// The circumstance that the addresses of interfaces which are not known are those.
    #[must_use]
    pub fn with_addresses(&self, given: &[(&str, IpNet)]) -> Circumstance {
        let mut context = self.clone();
        for &(interface, address) in given {
            let unknown = InterfaceAddress::Unknown(Family::of(address.addr()));
            let own = context.interfaces.iter_mut().filter(|one| one.name == interface);
            for one in own.flat_map(|one| &mut one.addresses).filter(|one| **one == unknown) {
                *one = InterfaceAddress::Known(address);
            }
        }
        let words = given
            .iter()
            .map(|(interface, address)| format!("{interface} has {address}"));
        Circumstance {
            words: words.collect::<Vec<_>>().join(" and "),
            context,
            is_more: false,
        }
    }

    /// The state that this context describes, in the words after «while», where the machine may be in others too.
    #[must_use]
    pub fn state(&self) -> Option<String> {
        let upstream = self.upstreams.get(1).and(self.upstreams.first());
        let upstream = upstream.map(|upstream| format!("the default routes leave by {upstream}"));
        let carps = self
            .interfaces
            .iter()
            .filter(|interface| self.leads_elsewhere(interface));
        let carps: Vec<&str> = carps.map(|carp| carp.name.as_str()).collect();
        let masters = match carps.as_slice() {
            [] => None,
            [only] => Some(format!("{only} is master")),
            [..] => Some(format!("{} are master", carps.join(", "))),
        };
        let down = self.down_in_use();
        let down = down.map(|names| format!("what is down ({names}) keeps its routes and has no addresses"));
        let equal = self.equal_routes();
        let routes = equal
            .iter()
            .filter_map(|(to, _, by)| Some(route_words(*to, by.first()?)));
        let words: Vec<String> = upstream.into_iter().chain(routes).chain(masters).chain(down).collect();
        Some(words.join(" and ")).filter(|words| !words.is_empty())
    }

    /// The destinations to which several routes were given, with their table and the interfaces of the routes, in order.
    ///
    /// Those that are learned, of which nobody says which is used, are not among them.
    pub(super) fn equal_routes(&self) -> Vec<(IpNet, u32, Vec<&str>)> {
        let mut found: Vec<(IpNet, u32, Vec<&str>)> = Vec::new();
        for route in &self.routes {
            let (to, rtable, by) = (route.to.trunc(), route.rtable, route.interface.as_str());
            if to.prefix_len() == 0 && rtable == 0 && !self.upstreams.is_empty() {
                continue;
            }
            match found
                .iter_mut()
                .find(|(known, table, _)| (*known, *table) == (to, rtable))
            {
                Some((_, _, interfaces)) if interfaces.contains(&by) => {}
                Some((_, _, interfaces)) => interfaces.push(by),
                None => found.push((to, rtable, vec![by])),
            }
        }
        found.retain(|(_, _, interfaces)| interfaces.len() > 1);
        found
    }

    /// The interfaces that are down, and that addresses or routes speak of, by name; `None` where there is none.
    fn down_in_use(&self) -> Option<String> {
        let in_use = |interface: &&Interface| {
            interface.addresses.iter().any(|address| address.known().is_some())
                || self.routes.iter().any(|route| route.interface == interface.name)
        };
        let down = self.interfaces.iter().filter(|interface| interface.down);
        let names: Vec<&str> = down.filter(in_use).map(|interface| interface.name.as_str()).collect();
        Some(names.join(", ")).filter(|names| !names.is_empty())
    }

    /// The same with interfaces that nobody names: one in each group that may grow, and one in no group where nobody
    /// listed every interface.
    fn with_more_interfaces(&self) -> Option<Circumstance> {
        let mut context = self.clone();
        let groups = self.growing.iter().cloned().map(Some);
        let nowhere = self.open.then_some(None);
        for group in groups.chain(nowhere) {
            let names = (0..).map(|number: u32| format!("other{number}"));
            let mut free = names.filter(|name| context.interface(name).is_none());
            let Some(name) = free.next() else { continue };
            drop(free);
            context.interfaces.push(unknown_interface(&name, group));
        }
        let words = match (self.open, self.growing.as_slice()) {
            (false, []) => return None,
            (true, []) => "there is an interface that pf.conf does not name".to_owned(),
            (true, [..]) => "there are interfaces that pf.conf does not name".to_owned(),
            (false, groups) => format!("there are more interfaces in {}", groups.join(", ")),
        };
        Some(Circumstance {
            words,
            context,
            is_more: true,
        })
    }

    /// The same with the link-local addresses that the kernel gives to interfaces with IPv6 (`in6_ifattach_linklocal` in
    /// in6_ifattach.c), where no source lists them, and to those that learn their addresses (`autoconf` asks from it): some
    /// address of that network stands for each.
    fn with_link_locals(&self) -> Option<Circumstance> {
        let mut context = self.clone();
        let mut names = Vec::new();
        for (number, interface) in context.interfaces.iter_mut().enumerate() {
            let inet6: Vec<_> = interface.addresses_of(Family::Inet6).collect();
            let is_listed = inet6
                .iter()
                .any(|address| address.known().is_some_and(|net| is_link_local(net.addr())));
            let is_open = self.link_locals_open || inet6.iter().any(|address| address.known().is_none());
            let has_none = is_open && !inet6.is_empty() && !is_listed;
            let host = 0x0200_00ff_fe00_0000 | number as u128;
            let address = IpAddr::V6((0xfe80 << 112 | host).into());
            if let (true, false, Ok(net)) = (has_none, interface.down, IpNet::new(address, 64)) {
                interface.addresses.push(InterfaceAddress::Known(net));
                names.push(interface.name.clone());
            }
        }
        let words = match names.as_slice() {
            [] => return None,
            [only] => format!("{only} has the link-local address that the kernel gives it"),
            [..] => format!(
                "{} have the link-local addresses that the kernel gives them",
                names.join(", ")
            ),
        };
        Some(Circumstance {
            words,
            context,
            is_more: false,
        })
    }

    /// Lets the default routes leave by that interface, where nobody said by which; false where there is none of that
    /// name.
    pub fn settle_upstream(&mut self, interface: &str) -> bool {
        if self.interface(interface).is_none() {
            return false;
        }
        let assumed = std::mem::take(&mut self.upstreams);
        let is_default = |route: &Route| route.to.prefix_len() == 0 && route.rtable == 0;
        // Of several that are learned, the one that is used comes first.
        let is_learned = |route: &Route| is_default(route) && route.interface == interface;
        if self.routes.iter().any(is_learned) {
            self.routes.sort_by_key(|route| !is_learned(route));
            return true;
        }
        for route in &mut self.routes {
            if is_default(route) && assumed.first() == Some(&route.interface) {
                interface.clone_into(&mut route.interface);
            }
        }
        true
    }

    /// Whether packets go elsewhere while that interface is backup: it is one of carp(4), and something is routed by it
    /// alone.
    pub(super) fn leads_elsewhere(&self, carp: &Interface) -> bool {
        if driver(&carp.name) != "carp" || carp.down {
            return false;
        }
        let networks = |interface: &Interface| -> Vec<_> {
            let known = interface.addresses.iter().filter_map(|address| address.known());
            known
                .filter(|net| net.prefix_len() < Family::of(net.addr()).bits())
                .map(|net| net.trunc())
                .collect()
        };
        let others: Vec<_> = self
            .interfaces
            .iter()
            .filter(|other| other.rdomain == carp.rdomain && !other.down && driver(&other.name) != "carp")
            .flat_map(networks)
            .collect();
        networks(carp).iter().any(|net| !others.contains(net))
            || carp.addresses.iter().any(|address| address.known().is_none())
            || self.routes.iter().any(|route| route.interface == carp.name)
    }

    /// Gives each carp(4) interface whose device nobody named the one that shares a network with it, as the kernel does
    /// (`carp_set_addr` in ip_carp.c).
    pub(super) fn find_carp_devices(&mut self) {
        let nets: Vec<_> = self
            .interfaces
            .iter()
            .filter(|interface| driver(&interface.name) != "carp")
            .flat_map(|interface| {
                let known = interface.addresses.iter().copied().filter_map(InterfaceAddress::known);
                let nets = known.filter(|net| !is_link_local(net.addr()));
                nets.map(|net| (net, interface.rdomain, interface.name.clone()))
            })
            .collect();
        for carp in &mut self.interfaces {
            if driver(&carp.name) != "carp" || carp.carpdev.is_some() {
                continue;
            }
            let addresses: Vec<IpAddr> = carp
                .addresses
                .iter()
                .filter_map(|address| address.known())
                .map(|net| net.addr())
                .collect();
            let shared = nets.iter().find(|(net, rdomain, _)| {
                *rdomain == carp.rdomain && addresses.iter().any(|address| net.contains(address))
            });
            carp.carpdev = shared.map(|(_, _, name)| name.clone());
        }
    }

    /// The interface on which pf sees the packets that the kernel has on that one: the device of a carp(4) interface,
    /// else itself (`pf_test`).
    #[must_use]
    pub fn seen_on<'a>(&'a self, interface: &'a str) -> &'a str {
        let device = self.interface(interface).and_then(|known| known.carpdev.as_deref());
        match device {
            Some(device) if self.interface(device).is_some() => device,
            Some(_) | None => interface,
        }
    }
}

impl Circumstance {
    /// The same while the addresses of interfaces that are down stay the machine's own, and nothing is routed by them;
    /// `None` where there are none.
    ///
    /// So the kernel has it (`rt_if_linkstate_change` in route.c), as far as that was read; where packets to such
    /// addresses were measured, the routing table did not know them.
    fn with_addresses_of_down(&self) -> Option<Self> {
        let down = self.context.down_in_use()?;
        let words = self.and(&format!("what is down ({down}) keeps its addresses and has no routes"));
        let mut context = self.context.clone();
        for interface in context.interfaces.iter_mut().filter(|interface| interface.down) {
            interface.backup = true;
        }
        Some(Self {
            words,
            context,
            is_more: self.is_more,
        })
    }

    /// When it is so and that, too.
    fn and(&self, also: &str) -> String {
        match self.words.as_str() {
            "" => also.to_owned(),
            words => format!("{words} and {also}"),
        }
    }

    /// The same with the route by that interface before the others to its destination.
    fn with_route(&self, to: IpNet, rtable: u32, by: &str) -> Self {
        let mut context = self.context.clone();
        let is_meant = |route: &Route| (route.to.trunc(), route.rtable, route.interface.as_str()) == (to, rtable, by);
        context.routes.sort_by_key(|route| !is_meant(route));
        Self {
            words: self.and(&route_words(to, by)),
            context,
            is_more: self.is_more,
        }
    }

    /// The same where of several routes to one destination all count.
    fn with_multipath(&self) -> Self {
        Self {
            words: self.and("all routes to one destination count (multipath)"),
            context: Context {
                multipath: true,
                ..self.context.clone()
            },
            is_more: self.is_more,
        }
    }

    /// The same while that interface is backup.
    fn with_backup(&self, at: usize, name: &str) -> Self {
        let mut context = self.context.clone();
        if let Some(carp) = context.interfaces.get_mut(at) {
            carp.backup = true;
        }
        Self {
            words: self.and(&format!("{name} is backup")),
            context,
            is_more: self.is_more,
        }
    }
}
