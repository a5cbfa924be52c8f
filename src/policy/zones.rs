//! [`Zones`]: what the names of a policy stand for on one machine, and what is wrong with them.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use super::ast::{Hosts, Policy, Zone};
use super::excuses::{Excuse, Excuses};
use super::hosts::{Named, Resolved};
use super::network::Network;
use super::sets::{Made, Selection};
use crate::context::{Context, Interface};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::engine::{InterfaceId, Memo, PacketSet, Unknown};
use crate::net::{Family, RangeSet};
use crate::ruleset::{Name, Rule, Ruleset, Translation};
use crate::source::Span;

/// The number of a zone.
pub type ZoneId = usize;

/// The addresses of both families, IPv4 first.
pub(super) type Both = [RangeSet; 2];

/// A zone on this machine.
#[derive(Debug)]
pub struct ZoneOnMachine {
    /// Its name.
    pub name: Name,
    /// Where it is defined.
    pub span: Span,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceId>,
    /// The only addresses that are meant, if the zone says which.
    pub(super) only: Option<Both>,
    /// Those of them that are named as what hosts have that have no address yet.
    pub(super) addressless: Both,
    /// What is not known of the addresses that are meant.
    pub(super) unknown: Vec<Unknown>,
    /// What of it may take away some of those that seem to be meant.
    pub(super) without: Vec<Unknown>,
}

impl ZoneOnMachine {
    /// The only addresses that are meant, of that family; `None`: all that are routed to its interfaces.
    #[must_use]
    pub fn only(&self, family: Family) -> Option<&RangeSet> {
        self.only
            .as_ref()
            .map(|only| &only[usize::from(family == Family::Inet6)])
    }
}

/// The zones of a policy on one machine.
#[derive(Debug)]
pub struct Zones<'a> {
    policy: &'a Policy,
    pub(super) network: &'a Network<'a>,
    pub(super) ruleset: &'a Ruleset,
    zones: Vec<ZoneOnMachine>,
    pub(super) names: FxHashMap<Name, ZoneId>,
    pub(super) common: Common,
}

/// The sets that most statements need, each made when it is first asked for.
#[derive(Debug, Default)]
pub(super) struct Common {
    pub(super) everything: OnceLock<PacketSet>,
    pub(super) excusing: OnceLock<PacketSet>,
    pub(super) on_one_network: OnceLock<PacketSet>,
    pub(super) within_one_network: OnceLock<PacketSet>,
    pub(super) going_nowhere: OnceLock<PacketSet>,
    pub(super) shared_tcp: OnceLock<PacketSet>,
    pub(super) never_taken: OnceLock<PacketSet>,
    pub(super) crosses: OnceLock<BTreeSet<Family>>,
    pub(super) excuses: OnceLock<Excuses>,
    /// Of the policy's statements, by where they are written.
    pub(super) flows: Memo<Span, Made<Selection>>,
    pub(super) excused: Memo<Span, Made<Excuse>>,
}

impl<'a> Zones<'a> {
    /// The zones of the policy, and every complaint about its names.
    #[must_use]
    pub fn new(policy: &'a Policy, network: &'a Network<'a>) -> (Self, Vec<Diagnostic>) {
        let mut zones = Self {
            policy,
            network,
            ruleset: network.engine().ruleset(),
            zones: Vec::new(),
            names: FxHashMap::default(),
            common: Common::default(),
        };
        let mut diagnostics = Vec::new();
        for zone in &policy.zones {
            zones.add(zone, &mut diagnostics);
        }
        (zones, diagnostics)
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &'a Policy {
        self.policy
    }

    /// The zones in their order.
    #[must_use]
    pub fn all(&self) -> &[ZoneOnMachine] {
        &self.zones
    }

    /// The zone of that name.
    ///
    /// # Errors
    /// A complaint with the nearest name where there is none.
    pub fn zone(&self, name: &str, span: Span) -> Result<ZoneId, Box<Diagnostic>> {
        self.names.get(name).copied().ok_or_else(|| {
            if self.context().knows(name) {
                let finding = Diagnostic::new(Code::Policy, format!("`{name}` is an interface or group, no zone"));
                return Box::new(
                    finding
                        .at(span)
                        .help(format!("name what is behind it: `zone NAME on {name}`")),
                );
            }
            let finding = Diagnostic::new(Code::Policy, format!("unknown zone `{name}`")).at(span);
            Box::new(self.suggest(finding, name))
        })
    }

    fn suggest(&self, finding: Diagnostic, name: &str) -> Diagnostic {
        let interfaces = self
            .context()
            .interfaces
            .iter()
            .map(|interface| interface.name.as_str());
        match nearest(name, self.names.keys().map(|name| &**name).chain(interfaces)) {
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None if self.names.is_empty() => finding.help(format!("define it: `zone {name} on INTERFACE`")),
            None => {
                let known: Vec<String> = self.zones.iter().map(|zone| format!("`{}`", zone.name)).collect();
                finding.help(format!("zones are {}", known.join(", ")))
            }
        }
    }

    /// The network around the machine.
    #[must_use]
    pub fn network(&self) -> &'a Network<'a> {
        self.network
    }

    /// The numbers of the addresses of a host list that may name no zone, IPv4 first.
    ///
    /// # Errors
    /// The complaint about a name.
    pub fn address_sets(&self, hosts: &Hosts) -> Result<[RangeSet; 2], Box<Diagnostic>> {
        self.addresses(hosts)
    }

    /// Whether a rule takes packets to the other family.
    pub(super) fn crosses(&self) -> bool {
        Family::BOTH.into_iter().any(|family| self.crosses_to(family))
    }

    /// Whether a rule takes packets to that family (`af-to`).
    #[must_use]
    pub fn crosses_to(&self, family: Family) -> bool {
        let to = |rule: &Rule| match rule.translation.as_deref() {
            Some(Translation::Af(af)) => Some(af.family),
            _ => None,
        };
        let made = &self.common.crosses;
        let made = made.get_or_init(|| self.ruleset.all_rules().filter_map(|(_, rule)| to(rule)).collect());
        made.contains(&family)
    }

    pub(super) fn context(&self) -> &'a Context {
        self.network.engine().context()
    }

    fn add(&mut self, zone: &Zone, diagnostics: &mut Vec<Diagnostic>) {
        let complaint = |message: String, span| Diagnostic::new(Code::Policy, message).at(span);
        let name = &zone.name.value;
        if let Some(&before) = self.names.get(name) {
            let finding = complaint(format!("zone `{name}` is defined twice"), zone.name.span);
            let finding = match self.zones.get(before) {
                Some(before) => finding.related(before.span, "here first"),
                None => finding,
            };
            diagnostics.push(finding);
            return;
        }
        if self.context().knows(name) {
            diagnostics.push(
                complaint(
                    format!("zone `{name}` has the name of an interface or group"),
                    zone.name.span,
                )
                .help("the name alone would mean the interface's own addresses: choose another"),
            );
        }
        let mut interfaces = Vec::new();
        for written in &zone.interfaces {
            let members = self.context().members(&written.value);
            if members.is_empty() {
                let message = format!("no interface or group `{}` on this machine", written.value);
                let names = self
                    .context()
                    .interfaces
                    .iter()
                    .map(|interface| interface.name.as_str());
                let finding = complaint(message, written.span);
                diagnostics.push(match nearest(&written.value, names) {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding.help("`pfproof context` shows what is known of the machine"),
                });
            }
            for interface in members {
                // What goes by a carp interface is met on its device.
                let seen_on = self.context().seen_on(&interface.name);
                if let Some(id) = self.network.engine().space().interface(seen_on) {
                    if !interfaces.contains(&id) {
                        interfaces.push(id);
                    }
                    diagnostics.extend(self.without_address(interface, id, written.span));
                }
            }
        }
        let only = match &zone.from {
            Some(hosts) => match self.all_named(hosts) {
                Ok(only) => Some(only),
                Err(finding) => {
                    diagnostics.push(*finding);
                    None
                }
            },
            None => None,
        };
        let addressless = only.as_ref().map(|only| only.addressless.clone());
        let unknown = zone.from.iter().flat_map(|hosts| self.unknowns(hosts)).collect();
        let negated = zone.from.clone().map(|mut hosts| {
            hosts.items.retain(|item| item.negated);
            self.unknowns(&hosts)
        });
        self.names.insert(name.clone(), self.zones.len());
        self.zones.push(ZoneOnMachine {
            name: name.clone(),
            span: zone.name.span,
            interfaces,
            only: only.map(|only| only.all),
            addressless: addressless.unwrap_or_default(),
            unknown,
            without: negated.unwrap_or_default(),
        });
    }

    /// The complaint about an interface behind which there can be nobody.
    fn without_address(&self, interface: &Interface, id: InterfaceId, span: Span) -> Option<Diagnostic> {
        let routed = Family::BOTH
            .iter()
            .any(|&family| !self.network.routed(id, family).is_empty());
        (interface.addresses.is_empty() && !routed).then(|| {
            let name = &interface.name;
            Diagnostic::new(
                Code::Policy,
                format!("interface `{name}` has no address and no route: nobody is behind it"),
            )
            .at(span)
            .help(match &interface.bridge {
                Some(bridge) => format!("it is a port of {bridge}: what that hands on is not followed"),
                None => format!("give it one in context.toml, or say `assume {name} ADDRESS/BITS`"),
            })
        })
    }

    /// The addresses of a host list that may name no zone.
    pub(super) fn addresses(&self, hosts: &Hosts) -> Result<Both, Box<Diagnostic>> {
        self.all_named(hosts).map(|named| named.all)
    }

    fn all_named(&self, hosts: &Hosts) -> Result<Named, Box<Diagnostic>> {
        let (mut all, mut without) = (Named::default(), Named::default());
        let whole = |all| Named {
            all,
            ..Named::default()
        };
        for (item, resolved) in self.resolve(hosts)? {
            let named = match resolved {
                Resolved::Any => whole(Family::BOTH.map(self::whole)),
                Resolved::Itself => whole(Family::BOTH.map(|family| self.network.own(family).clone())),
                Resolved::Addresses(named) | Resolved::UnknownTable(_, named) => named,
                Resolved::Zone(_) => {
                    let finding = Diagnostic::new(Code::Policy, "a zone cannot stand here").at(item.span);
                    return Err(Box::new(finding.help("name addresses, tables or interfaces")));
                }
            };
            let sum = if item.negated { &mut without } else { &mut all };
            *sum = std::mem::take(sum).union(&named);
        }
        Ok(all.minus(&without))
    }
}

/// Every address of a family.
pub(super) fn whole(family: Family) -> RangeSet {
    RangeSet::range(0, u128::MAX >> (128 - u32::from(family.bits())))
}
