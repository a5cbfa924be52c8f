//! Rules that may mend a statement, as a good administrator would write them.

use super::Patient;
use crate::net::Family;
use crate::policy::ast::{self, Closed, Demand, Host, Packets, Spanned, Statement, Zone};
use crate::ruleset::{Action, Name, Ruleset};

impl Patient<'_> {
    /// Rules that may mend a statement, the most likely first.
    pub(super) fn candidates(&self, statement: &Statement) -> Vec<String> {
        match &statement.demand {
            Demand::Require(..) | Demand::Allow(_) => Vec::new(),
            Demand::Forbid(packets) => self.against(packets),
            Demand::Closed(Closed::All) => {
                let mut rules = vec![self.antispoof()];
                let zones = self.zones.policy().zones.iter();
                rules.extend(zones.flat_map(|zone| self.closed_to(zone)));
                rules
            }
            Demand::Closed(Closed::From(names)) => self
                .zones(names)
                .into_iter()
                .flat_map(|zone| self.closed_from(zone))
                .collect(),
            Demand::Closed(Closed::To(names)) => self
                .zones(names)
                .into_iter()
                .flat_map(|zone| self.closed_to(zone))
                .collect(),
        }
    }

    fn zones(&self, names: &[Spanned<Name>]) -> Vec<&Zone> {
        let zones = self.zones.policy().zones.iter();
        zones
            .filter(|zone| names.iter().any(|name| name.value == zone.name.value))
            .collect()
    }

    /// ` log`, where blocks of the ruleset log.
    fn log(&self) -> &'static str {
        let rules = self.ruleset.rules(Ruleset::MAIN).iter();
        let mut blocks = rules.filter(|rule| matches!(rule.action, Action::Block(_)));
        if blocks.any(|rule| rule.log.is_some()) {
            " log"
        } else {
            ""
        }
    }

    /// The interfaces of a zone as pf.conf would write them: a macro where there is one.
    fn interfaces(&self, zone: &Zone) -> Vec<String> {
        zone.interfaces
            .iter()
            .map(|interface| self.word(&interface.value))
            .collect()
    }

    fn word(&self, interface: &str) -> String {
        let named = self.macros.iter().filter(|(_, value)| value.trim() == interface);
        let shortest = named.map(|(name, _)| name).min();
        shortest.map_or_else(|| interface.to_owned(), |name| format!("${name}"))
    }

    /// The hosts of a zone as pf.conf would write them; none for those behind a default route.
    fn hosts(&self, zone: &Zone) -> Vec<String> {
        let context = self.context;
        let outside = |name: &str| {
            context
                .members(name)
                .iter()
                .any(|interface| context.in_group(interface, "egress"))
        };
        let interfaces = zone.interfaces.iter().filter(|interface| !outside(&interface.value));
        interfaces
            .map(|interface| format!("{}:network", self.word(&interface.value)))
            .collect()
    }

    /// The machine; with the addresses that it has when a packet comes, where they may change.
    fn itself(&self) -> &'static str {
        let mut interfaces = self.context.interfaces.iter();
        match interfaces.any(|interface| Family::BOTH.iter().any(|&family| interface.has_unknown(family))) {
            true => "(self)",
            false => "self",
        }
    }

    fn antispoof(&self) -> String {
        let all: Vec<String> = self
            .zones
            .policy()
            .zones
            .iter()
            .flat_map(|zone| self.interfaces(zone))
            .collect();
        let mut words: Vec<String> = Vec::new();
        for word in all {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        format!("antispoof{} quick for {{ {} }}", self.log(), words.join(" "))
    }

    /// Blocks from one zone to another.
    fn blocks(&self, from: &Zone, to: &str) -> Vec<String> {
        let log = self.log();
        let interfaces = self.interfaces(from).into_iter();
        interfaces
            .map(|interface| format!("block in{log} quick on {interface} from any to {to}"))
            .collect()
    }

    fn against(&self, packets: &Packets) -> Vec<String> {
        let all = &self.zones.policy().zones;
        let named = |end: &ast::End| -> Vec<&Zone> {
            let items = end.hosts.iter().flat_map(|hosts| &hosts.items);
            let names = items.filter_map(|item| match &item.host {
                Host::Named(name, _) if !item.negated => Some(name),
                Host::Named(..) | Host::Any | Host::Itself | Host::Prefix(_) | Host::Table(_) => None,
            });
            names
                .filter_map(|name| all.iter().find(|zone| zone.name.value == *name))
                .collect()
        };
        let sources = named(&packets.source);
        let sources = if sources.is_empty() {
            all.iter().collect()
        } else {
            sources
        };
        let mut targets: Vec<String> = named(&packets.destination)
            .into_iter()
            .flat_map(|zone| self.hosts(zone))
            .collect();
        let items = packets.destination.hosts.iter().flat_map(|hosts| &hosts.items);
        targets.extend(items.filter_map(|item| match &item.host {
            Host::Itself => Some(self.itself().to_owned()),
            Host::Prefix(net) => Some(crate::print::prefix(*net)),
            Host::Table(name) => Some(format!("<{name}>")),
            Host::Any | Host::Named(..) => None,
        }));
        let rules = sources
            .iter()
            .flat_map(|from| targets.iter().flat_map(|to| self.blocks(from, to)));
        rules.collect()
    }

    fn closed_from(&self, zone: &Zone) -> Vec<String> {
        let mut rules = vec![self.antispoof()];
        for other in &self.zones.policy().zones {
            if other.name.value != zone.name.value {
                rules.extend(self.hosts(other).iter().flat_map(|to| self.blocks(zone, to)));
            }
        }
        rules.extend(self.blocks(zone, self.itself()));
        rules
    }

    fn closed_to(&self, zone: &Zone) -> Vec<String> {
        let log = self.log();
        let mut rules = vec![self.antispoof()];
        let interfaces = self.interfaces(zone).into_iter();
        let itself = self.itself();
        rules.extend(interfaces.map(|interface| format!("block out{log} quick on {interface} from {itself}")));
        for other in &self.zones.policy().zones {
            if other.name.value != zone.name.value {
                rules.extend(self.hosts(zone).iter().flat_map(|to| self.blocks(other, to)));
            }
        }
        rules
    }
}
