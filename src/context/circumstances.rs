//! What a machine may be besides what its [`Context`] says: other states in which the same files leave it.
//!
//! carp(4) interfaces are master or backup, and where nobody says by which interface the default routes leave, it may be
//! any. What is proved has to hold in each of these circumstances.

use std::net::IpAddr;

use super::lookup::{driver, is_link_local};
use super::{Context, Interface, InterfaceAddress};
use crate::net::Family;

/// A state of the machine other than the one that its context describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circumstance {
    /// When it is so: the words after «while».
    pub words: String,
    /// The machine then.
    pub context: Context,
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
        };
        let mut all = vec![here];
        if self.upstreams.len() > MOST {
            return None;
        }
        for upstream in self.upstreams.iter().skip(1) {
            let mut context = self.clone();
            context.settle_upstream(upstream);
            all.push(Circumstance {
                words: format!("the default routes leave by {upstream}"),
                context,
            });
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
        all.remove(0);
        Some(all)
    }

    /// Lets the default routes leave by that interface, where nobody said by which; false where there is none of that
    /// name.
    pub fn settle_upstream(&mut self, interface: &str) -> bool {
        if self.interface(interface).is_none() {
            return false;
        }
        let assumed = std::mem::take(&mut self.upstreams);
        for route in &mut self.routes {
            let is_default = route.to.prefix_len() == 0 && route.rtable == 0;
            if is_default && assumed.first() == Some(&route.interface) {
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
    /// The same while that interface is backup.
    fn with_backup(&self, at: usize, name: &str) -> Self {
        let mut context = self.context.clone();
        if let Some(carp) = context.interfaces.get_mut(at) {
            carp.backup = true;
        }
        let also = format!("{name} is backup");
        let words = match self.words.as_str() {
            "" => also,
            words => format!("{words} and {also}"),
        };
        Self { words, context }
    }
}
