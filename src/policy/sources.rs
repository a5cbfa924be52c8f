//! The sources of a statement: which packets come from one end of its words.

use super::addresses::{addressless, linked};
use super::ast::End;
use super::hosts::Resolved;
use super::protocols::port_numbers;
use super::sets::{Made, Purpose, Selection};
use super::zones::{ZoneId, Zones, whole};
use crate::engine::{Field, InterfaceId, PacketBox, PacketSet, Place};
use crate::net::{Family, RangeSet};

impl Zones<'_> {
    /// The packets from one end: place and source, and for what the machine sends its destination's route.
    pub(super) fn sources(&self, end: &End, purpose: Purpose, selection: &mut Selection) -> Made<PacketSet> {
        let hosts = match &end.hosts {
            None => self.sources_of(&Resolved::Any, purpose),
            Some(hosts) => self.union(hosts, selection, |resolved, negated| {
                // What is taken away is meant whole: hosts or not.
                let is_whole = negated && purpose == Purpose::Flows;
                let purpose = if is_whole { Purpose::Everything } else { purpose };
                self.sources_of(resolved, purpose)
            })?,
        };
        if let Some(hosts) = &end.hosts {
            selection.unknown.extend(self.perhaps_taken_away(hosts)?);
        }
        let ports = port_numbers(&end.ports);
        let with_ports = hosts.boxes().iter().filter_map(|part| match &ports {
            Some(ports) => part.clone().with(Field::SourcePort, ports),
            None => Some(part.clone()),
        });
        // Which of the unknown addresses are taken away, it does not say: each by itself is asked about.
        let takes_away = end.hosts.iter().flat_map(|hosts| &hosts.items).any(|item| item.negated);
        let all = match purpose {
            Purpose::Excuse | Purpose::ExcuseSurely if takes_away => self.everything(),
            Purpose::Flows | Purpose::Surely | Purpose::Everything => self.everything(),
            Purpose::Excuse | Purpose::ExcuseSurely => {
                let made = &self.common.excusing;
                made.get_or_init(|| self.all_of(Purpose::Excuse))
            }
        };
        Ok(all.intersection(&with_ports.collect()))
    }

    fn sources_of(&self, resolved: &Resolved, purpose: Purpose) -> PacketSet {
        let interfaces = || self.network.interfaces();
        match (resolved, purpose) {
            (Resolved::Any, Purpose::Flows | Purpose::Surely) => interfaces()
                .flat_map(|id| self.arriving(id, |family| self.network.hosts(id, family, false)))
                .collect(),
            (Resolved::Any, Purpose::Everything | Purpose::Excuse | Purpose::ExcuseSurely) => {
                let arriving = interfaces().flat_map(|id| self.arriving(id, whole));
                arriving.collect::<PacketSet>().union(self.sent(purpose))
            }
            (Resolved::Itself, _) => self.sent(purpose),
            (Resolved::Zone(zone), _) => self.arriving_from(*zone, purpose),
            (Resolved::Addresses(named) | Resolved::UnknownTable(_, named), _) => {
                let all = |family: Family| &named.all[usize::from(family == Family::Inet6)];
                let arriving = interfaces().flat_map(|id| {
                    self.arriving(id, |family| {
                        let all = all(family);
                        if purpose == Purpose::Flows {
                            let here = all.intersection(&self.network.sources(id, family));
                            let foreign = here.minus(self.network.own_beside(id, family));
                            let without_address = &named.addressless[usize::from(family == Family::Inet6)];
                            let without_address = foreign.intersection(without_address);
                            self.without_special(foreign, named, id, family).union(&without_address)
                        } else if self.network.is_port(id) {
                            all.clone()
                        } else if purpose == Purpose::ExcuseSurely {
                            all.intersection(&self.network.sure_sources(id, family))
                        } else {
                            all.intersection(&self.network.sources(id, family))
                        }
                    })
                });
                let own = self.sent_from(|on, family| {
                    let own = all(family).intersection(self.network.own_beside(on, family));
                    if purpose == Purpose::Flows {
                        self.without_special(own, named, on, family)
                    } else {
                        own
                    }
                });
                arriving.collect::<PacketSet>().union(own)
            }
        }
    }

    /// Packets that arrive from a zone.
    pub(super) fn arriving_from(&self, zone: ZoneId, purpose: Purpose) -> PacketSet {
        let Some(zone) = self.all().get(zone) else {
            return PacketSet::empty();
        };
        let network = self.network;
        let interfaces = zone
            .interfaces
            .iter()
            .filter(|&&id| network.interfaces().any(|known| known == id));
        let boxes = interfaces.flat_map(|&id| {
            self.arriving(id, |family| {
                let only = zone
                    .only
                    .as_ref()
                    .map(|only| &only[usize::from(family == Family::Inet6)]);
                let sources = |routed: RangeSet| routed.union(&network.unrouted(id, family));
                match (purpose, only) {
                    (Purpose::Everything, None) => whole(family),
                    (Purpose::Everything, Some(only)) => only.clone(),
                    (Purpose::Flows | Purpose::Surely, None) => network.hosts(id, family, false),
                    (Purpose::Flows | Purpose::Surely, Some(only)) => {
                        let without_address = &zone.addressless[usize::from(family == Family::Inet6)];
                        let without_address = without_address.minus(network.own_beside(id, family));
                        network
                            .hosts(id, family, true)
                            .intersection(only)
                            .union(&without_address)
                    }
                    (Purpose::Excuse, None) => sources(network.sources(id, family)),
                    (Purpose::ExcuseSurely, None) => sources(network.sure_sources(id, family)),
                    (Purpose::Excuse, Some(only)) => sources(network.sources(id, family)).intersection(only),
                    (Purpose::ExcuseSurely, Some(only)) => sources(network.sure_sources(id, family)).intersection(only),
                }
            })
        });
        boxes.collect()
    }

    /// The boxes, one a family, of what arrives on the interface from those sources.
    fn arriving(&self, id: InterfaceId, sources: impl Fn(Family) -> RangeSet) -> Vec<PacketBox> {
        let place = RangeSet::single(self.network.engine().space().number(Place::In(id)));
        let of = |family| {
            PacketBox::all(family)
                .with(Field::Place, &place)?
                .with(Field::Source, &sources(family))
        };
        Family::BOTH.into_iter().filter_map(of).collect()
    }

    /// What the machine sends: to whom it is routed, from its own addresses; flows only from that of the interface.
    pub(super) fn sent(&self, purpose: Purpose) -> PacketSet {
        self.sent_from(|id, family| match purpose {
            Purpose::Flows | Purpose::Surely => self.network.own_of(id, family).minus(addressless(family)),
            Purpose::Everything => self.network.own_beside(id, family).clone(),
            Purpose::Excuse | Purpose::ExcuseSurely => self.network.perhaps_own(id, family),
        })
    }

    pub(super) fn sent_from(&self, sources: impl Fn(InterfaceId, Family) -> RangeSet) -> PacketSet {
        let space = self.network.engine().space();
        let boxes = self.network.interfaces().flat_map(|on| {
            let place = RangeSet::single(space.number(Place::Out { on, received: None }));
            let sources = &sources;
            Family::BOTH.into_iter().filter_map(move |family| {
                let routed = self.network.routed(on, family);
                let routed = routed.minus(self.network.shared_beside(on, family));
                // A link-local address is that of its link alone.
                let others = linked(family).minus(&self.network.own_of(on, family));
                let others = others.intersection(self.network.own_beside(on, family));
                PacketBox::all(family)
                    .with(Field::Place, &place)?
                    .with(Field::Source, &sources(on, family).minus(&others))?
                    .with(Field::Destination, &routed.minus(self.network.own_beside(on, family)))
            })
        });
        boxes.collect()
    }
}
