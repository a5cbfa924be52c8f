//! [`Resolved`]: what an item of a host list stands for on this machine: a zone, the machine itself, addresses.
//!
//! Which packets that makes, as sources or destinations of a statement, is the matter of `sets`.

use ipnet::IpNet;

use super::addresses::{addressless, prefix};
use super::ast::{Host, HostItem, Hosts};
use super::zones::{Both, ZoneId, Zones};
use crate::context::Part;
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::engine::Field;
use crate::net::{Family, RangeSet};
use crate::ruleset::{Modifiers, Name, Ruleset, Table, TableInterface};
use crate::source::Span;

/// What one item of a host list stands for.
#[derive(Debug, Clone)]
pub(super) enum Resolved {
    Any,
    Itself,
    Zone(ZoneId),
    Addresses(Named),
    /// A table of which not all entries are known, and what is surely in it.
    UnknownTable(Name, Named),
}

/// Addresses that an item names, whose ever they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Named {
    /// All of them.
    pub(super) all: Both,
    /// Those that are named one by one, and so meant even where no host has them: the machine's own among them.
    pub(super) singly: Both,
    /// Those of networks in which there are only hosts without an address yet.
    pub(super) addressless: Both,
}

impl Named {
    fn new(nets: &[IpNet]) -> Self {
        let of = |family, wanted: fn(&IpNet) -> bool| {
            let nets = nets
                .iter()
                .filter(|net| Family::of(net.addr()) == family && wanted(net));
            RangeSet::from_ranges(nets.flat_map(|&net| prefix(net).ranges().to_vec()))
        };
        Self {
            all: Family::BOTH.map(|family| of(family, |_| true)),
            singly: Family::BOTH.map(|family| of(family, is_single)),
            addressless: Family::BOTH.map(|family| of(family, is_addressless)),
        }
    }

    /// The contents of a table that are known: the longest prefix wins, and of equal ones the first (`pfr_match_addr`,
    /// `pfr_add_addrs`).
    fn contents(table: &Table) -> Self {
        let mut entries: Vec<_> = table.entries.iter().collect();
        if entries.iter().all(|entry| !entry.negated) {
            let nets: Vec<IpNet> = entries.iter().map(|entry| entry.prefix).collect();
            return Self::new(&nets);
        }
        entries.sort_by_key(|entry| (entry.prefix.prefix_len(), entry.prefix.trunc()));
        entries.dedup_by_key(|entry| entry.prefix.trunc());
        entries.into_iter().fold(Self::default(), |contents, entry| {
            let named = Self::new(&[entry.prefix]);
            if entry.negated {
                contents.minus(&named)
            } else {
                contents.union(&named)
            }
        })
    }

    pub(super) fn union(self, other: &Self) -> Self {
        Self {
            all: union(&self.all, &other.all),
            singly: union(&self.singly, &other.singly),
            addressless: union(&self.addressless, &other.addressless),
        }
    }

    pub(super) fn minus(self, other: &Self) -> Self {
        Self {
            all: minus(&self.all, &other.all),
            singly: minus(&self.singly, &other.all),
            addressless: minus(&self.addressless, &other.all),
        }
    }

    fn is_empty(&self) -> bool {
        self.all.iter().all(RangeSet::is_empty)
    }
}

fn is_addressless(net: &IpNet) -> bool {
    prefix(*net).is_subset(addressless(Family::of(net.addr())))
}

fn is_single(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

/// The addresses of either.
pub(super) fn union(one: &Both, other: &Both) -> Both {
    [one[0].union(&other[0]), one[1].union(&other[1])]
}

/// The addresses of the one that are not of the other.
pub(super) fn minus(one: &Both, other: &Both) -> Both {
    [one[0].minus(&other[0]), one[1].minus(&other[1])]
}

impl Zones<'_> {
    /// The items of a host list with what they stand for.
    pub(super) fn resolve<'h>(&self, hosts: &'h Hosts) -> Result<Vec<(&'h HostItem, Resolved)>, Box<Diagnostic>> {
        hosts.items.iter().map(|item| Ok((item, self.host(item)?))).collect()
    }

    fn host(&self, item: &HostItem) -> Result<Resolved, Box<Diagnostic>> {
        let complaint = |message: String| Diagnostic::new(Code::Policy, message).at(item.span);
        Ok(match &item.host {
            Host::Any => Resolved::Any,
            Host::Itself => Resolved::Itself,
            Host::Prefix(net) => Resolved::Addresses(Named::new(&[*net])),
            Host::Table(name) => {
                let tables = self.ruleset.anchors.get(Ruleset::MAIN).map(|main| &main.tables);
                let Some(table) = tables.and_then(|tables| tables.get(name)) else {
                    let finding = complaint(format!("table `<{name}>` is not defined"));
                    let names = tables.into_iter().flat_map(|tables| tables.keys()).map(|name| &**name);
                    return Err(Box::new(match nearest(name, names) {
                        Some(near) => finding.help(format!("did you mean `<{near}>`?")),
                        None => finding,
                    }));
                };
                let named = Named::contents(table);
                if table.is_known() {
                    Resolved::Addresses(named)
                } else {
                    Resolved::UnknownTable(name.clone(), named.minus(&self.holes(table)))
                }
            }
            Host::Named(name, modifiers) => self.named(name, *modifiers, item.span)?,
        })
    }

    /// What may be missing of a table because of what interfaces have that is not known.
    fn holes(&self, table: &Table) -> Named {
        let holes = |family| {
            let of_family = |one: &&TableInterface| one.negated && one.family.is_none_or(|of| of == family);
            let interfaces = table.interfaces.iter().filter(of_family);
            interfaces.fold(RangeSet::empty(), |holes, one| {
                let interface = self.context().interface(&one.address.interface);
                let beside = interface
                    .into_iter()
                    .flat_map(|one| self.context().networks_beside(one, family));
                let line = Field::Source.line(family);
                holes.union(&beside.fold(line, |left, net| left.minus(&prefix(net))))
            })
        };
        Named {
            all: Family::BOTH.map(holes),
            ..Named::default()
        }
    }

    fn named(&self, name: &Name, modifiers: Modifiers, span: Span) -> Result<Resolved, Box<Diagnostic>> {
        let context = self.context();
        let plain = modifiers == Modifiers::default();
        if let Some(&zone) = self.names.get(name).filter(|_| plain) {
            return Ok(Resolved::Zone(zone));
        }
        if context.knows(name) {
            let part = match modifiers {
                Modifiers { network: true, .. } => Part::Network,
                Modifiers { broadcast: true, .. } => Part::Broadcast,
                Modifiers { peer: true, .. } => Part::Peer,
                _ => Part::Address,
            };
            let found = context.addresses(name, part, modifiers.no_alias).into_iter();
            let nets = found.filter_map(|found| found.address.known()).map(|net| match part {
                Part::Network => net,
                Part::Address | Part::Broadcast | Part::Peer => IpNet::from(net.addr()),
            });
            let named = Named::new(&nets.collect::<Vec<_>>());
            let unknown = context
                .members(name)
                .into_iter()
                .any(|interface| interface.addresses.iter().any(|address| address.known().is_none()));
            if named.is_empty() && !unknown {
                let finding = Diagnostic::new(Code::Policy, format!("interface `{name}` has no such address")).at(span);
                return Err(Box::new(
                    finding.help(format!("`assume {name} ADDRESS/BITS` gives it one")),
                ));
            }
            return Ok(Resolved::Addresses(named));
        }
        if let Some(addresses) = context.hosts.get(&**name).filter(|_| plain) {
            let nets: Vec<IpNet> = addresses.iter().copied().map(IpNet::from).collect();
            return Ok(Resolved::Addresses(Named::new(&nets)));
        }
        self.zone(name, span).map(Resolved::Zone)
    }
}
