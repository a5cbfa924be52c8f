//! Hosts that a zone names and that are not behind it: of them a `require` asks nothing.

use indexmap::IndexMap;

use super::ast::{Demand, HostItem, Packets, Statement};
use super::hosts::Resolved;
use super::zones::{ZoneOnMachine, Zones};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::engine::InterfaceId;
use crate::net::{Family, RangeSet};

impl Zones<'_> {
    /// The warnings about the hosts that the zones of a `require` name and that are behind another interface, all of an
    /// item: once for each. What only arrives from there is spoofed, and `forbid` and `closed` speak of it.
    #[must_use]
    pub fn hosts_elsewhere(&self) -> Vec<Diagnostic> {
        let mut findings = IndexMap::new();
        for statement in &self.policy().statements {
            let Demand::Require(packets, _) = &statement.demand else {
                continue;
            };
            for zone in self.zones_named(packets) {
                for (item, there) in self.items_elsewhere(zone, packets.family) {
                    let finding = || self.nothing_asked(zone, item, there, statement);
                    findings.entry(item.span).or_insert_with(finding);
                }
            }
        }
        findings.into_values().collect()
    }

    /// The zones that packets come from or go to.
    fn zones_named(&self, packets: &Packets) -> impl Iterator<Item = &ZoneOnMachine> {
        let hosts = [&packets.source, &packets.destination].into_iter();
        let hosts = hosts.filter_map(|end| end.hosts.as_ref());
        let items = hosts.filter_map(|hosts| self.resolve(hosts).ok()).flatten();
        items.filter_map(|(item, resolved)| match resolved {
            Resolved::Zone(zone) if !item.negated => self.all().get(zone),
            Resolved::Zone(_)
            | Resolved::Any
            | Resolved::Itself
            | Resolved::Addresses(_)
            | Resolved::UnknownTable(..) => None,
        })
    }

    fn nothing_asked(
        &self,
        zone: &ZoneOnMachine,
        item: &HostItem,
        there: InterfaceId,
        statement: &Statement,
    ) -> Diagnostic {
        let space = self.network().engine().space();
        let own = zone.interfaces.iter().map(|&own| space.interface_name(own));
        let (own, there) = (own.collect::<Vec<_>>().join(", "), space.interface_name(there));
        let message = format!(
            "of these hosts of zone `{}` nothing is asked: they are behind {there}",
            zone.name
        );
        let mut finding = Diagnostic::new(Code::VacuousStatement, message)
            .labelled(item.span, format!("not behind {own}"))
            .related(statement.span, "asked of here")
            .help(format!("name them in a zone on {there}"));
        finding.severity = Severity::Warning;
        finding
    }

    /// The items of a zone's `from` that are wholly behind another interface, each with that.
    fn items_elsewhere(&self, zone: &ZoneOnMachine, family: Option<Family>) -> Vec<(&HostItem, InterfaceId)> {
        let defined = self
            .policy()
            .zones
            .iter()
            .find(|defined| defined.name.span == zone.span);
        let Some(hosts) = defined.and_then(|defined| defined.from.as_ref()) else {
            return Vec::new();
        };
        let network = self.network();
        let elsewhere = |item: &HostItem, all: &[RangeSet; 2]| {
            let asked = Family::BOTH.into_iter().zip(all);
            let asked = asked.filter(|(of, named)| family.is_none_or(|family| family == *of) && !named.is_empty());
            let asked: Vec<(Family, &RangeSet)> = asked.collect();
            let may_be_here = zone.interfaces.iter().any(|&own| {
                let here = |of| network.routed(own, of).union(&network.perhaps_routed(own, of));
                asked.iter().any(|&(of, named)| !here(of).is_disjoint(named))
            });
            if item.negated || asked.is_empty() || may_be_here {
                return None;
            }
            let mut others = 0..network.engine().space().interfaces().len();
            others.find(|&other| {
                asked
                    .iter()
                    .all(|&(of, named)| named.is_subset(&network.routed(other, of)))
            })
        };
        let items = self.resolve(hosts).into_iter().flatten();
        items
            .filter_map(|(item, resolved)| match resolved {
                Resolved::Addresses(named) => Some((item, elsewhere(item, &named.all)?)),
                // Of a table of which not all entries are known some may be here.
                Resolved::Any | Resolved::Itself | Resolved::Zone(_) | Resolved::UnknownTable(..) => None,
            })
            .collect()
    }
}
