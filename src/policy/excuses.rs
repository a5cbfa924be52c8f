//! What `allow` and `require` excuse from `closed`.

use super::ast::{Demand, End, Host, Packets, Statement};
use super::protocols::{ports, transports};
use super::sets::{Made, Purpose, Selection, at_end};
use super::zones::Zones;
use crate::engine::{InterfaceId, PacketSet, Unknown};
use crate::net::Family;

/// What excuses a packet from `closed`: sets as [`Selection`], by the packet as it arrives and by where it ends.
#[derive(Clone, Debug, Default)]
pub struct Excuse {
    /// As it first meets the machine.
    pub arriving: PacketSet,
    /// The header at the end.
    pub ending: PacketSet,
    /// By either, what it excuses whatever the networks and addresses of the machine are that are not known.
    pub certain: (PacketSet, PacketSet),
    /// Of what af-to takes to the other family: as it arrives, and the header at the end; what is in both.
    pub crossing: Vec<(PacketSet, PacketSet)>,
    /// Tables and networks that it names and of which it is not known what is in them.
    pub unknown: Vec<Unknown>,
    /// What it excuses besides of what the machine sends from the unknown address of an interface.
    pub sent: Vec<ExcusedSent>,
    /// The interfaces whose unknown address it names as a source.
    pub named: Vec<InterfaceId>,
    /// What it excuses as it arrives if its destination is the unknown address of that interface.
    pub addressed: Vec<(InterfaceId, PacketSet)>,
}

/// What is excused if its source is the unknown address of that interface: sets as in [`Excuse`].
#[derive(Clone, Debug)]
pub struct ExcusedSent {
    /// The interface.
    pub interface: InterfaceId,
    /// As it is sent.
    pub arriving: PacketSet,
    /// The header at the end.
    pub ending: PacketSet,
}

impl Excuse {
    /// All that it excuses as it arrives, whatever the addresses are that are not known.
    #[must_use]
    pub fn at_most(&self) -> PacketSet {
        let sent = self.sent.iter().map(|sent| &sent.arriving);
        sent.fold(self.arriving.clone(), |all, sent| all.union(sent.clone()))
    }
}

/// What the statements of a policy excuse together.
#[derive(Debug, Default)]
pub struct Excuses {
    /// What they surely do, and what of their tables and networks is not known.
    pub surely: Excuse,
    /// What they may.
    pub perhaps: Excuse,
}

impl Zones<'_> {
    /// What the policy excuses. Statements that name what is not known excuse nothing: whoever asks about them hears of it.
    #[must_use]
    pub fn excuses(&self) -> &Excuses {
        self.common.excuses.get_or_init(|| {
            let mut excuses = Excuses::default();
            for statement in &self.policy().statements {
                let (Demand::Require(packets, _) | Demand::Allow(packets)) = &statement.demand else {
                    continue;
                };
                let Ok(excuse) = self.excused_by(statement) else {
                    continue;
                };
                let surely = self.surely(excuse, packets);
                let perhaps = match surely.unknown.is_empty() {
                    true => surely.clone(),
                    false => self.perhaps_excused(packets).unwrap_or_default(),
                };
                for (all, excuse) in [(&mut excuses.surely, surely), (&mut excuses.perhaps, perhaps)] {
                    all.arriving = std::mem::take(&mut all.arriving).union(excuse.arriving);
                    all.ending = std::mem::take(&mut all.ending).union(excuse.ending);
                    let (arriving, ending) = std::mem::take(&mut all.certain);
                    all.certain = (arriving.union(excuse.certain.0), ending.union(excuse.certain.1));
                    all.crossing.extend(excuse.crossing);
                    all.unknown.extend(excuse.unknown);
                    all.sent.extend(excuse.sent);
                    all.named.extend(excuse.named);
                    all.addressed.extend(excuse.addressed);
                }
            }
            excuses
        })
    }

    /// What the policy excuses for certain that is for no zone: as it arrives, and as it ends.
    #[must_use]
    pub fn certain_beside_zones(&self) -> (PacketSet, PacketSet) {
        let mut certain = (PacketSet::empty(), PacketSet::empty());
        for statement in &self.policy().statements {
            let (Demand::Require(packets, _) | Demand::Allow(packets)) = &statement.demand else {
                continue;
            };
            let mut packets = packets.clone();
            if let Some(hosts) = &mut packets.destination.hosts {
                let is_zone = |host: &Host| matches!(host, Host::Named(name, _) if self.names.contains_key(name));
                hosts.items.retain(|item| item.negated || !is_zone(&item.host));
                if hosts.items.iter().all(|item| item.negated) {
                    continue;
                }
            }
            let excuse = self.excused(&packets).map(|excuse| self.surely(excuse, &packets));
            let (arriving, ending) = excuse.unwrap_or_default().certain;
            certain = (certain.0.union(arriving), certain.1.union(ending));
        }
        certain
    }

    /// The packets that an `allow`, or a `require`, excuses from `closed`.
    ///
    /// # Errors
    /// The complaint about a name.
    pub fn excused(&self, packets: &Packets) -> Made<Excuse> {
        let mut selection = Selection::default();
        let from = self.sources(&packets.source, Purpose::Excuse, &mut selection)?;
        let (transports, ports) = (transports(packets), ports(packets));
        let what = transports.intersection(&ports);
        let mut to = |purpose| self.destinations(&packets.destination, purpose, &mut selection);
        let (arriving, ending) = (to(Purpose::Excuse)?.intersection(&what), to(Purpose::Everything)?);
        let certain = match self.has_unknown_own() {
            true => {
                let to = self.destinations(&packets.destination, Purpose::ExcuseSurely, &mut Selection::default())?;
                let to = to.intersection(&what);
                let from = self.sources(&packets.source, Purpose::ExcuseSurely, &mut Selection::default())?;
                (from.intersection(&to), at_end(&from, self).intersection(&to))
            }
            false => Default::default(),
        };
        let addressed = self.addressed_to_unknown(&packets.destination).into_iter();
        let addressed = addressed.map(|(id, there)| (id, from.intersection(&what).intersection(&there)));
        let crossing = self.crossing(&from.intersection(&transports), &ending.intersection(&ports));
        let ending = ending.intersection(&what);
        let at_machine = self.excused_at_machine(packets, &from);
        let sent = self
            .excused_sent(&packets.source)?
            .into_iter()
            .map(|(interface, from)| ExcusedSent {
                interface,
                ending: at_end(&from, self).intersection(&ending),
                arriving: from.intersection(&arriving),
            });
        let sent = sent.collect();
        let mut unknown = Vec::new();
        for one in selection.unknown {
            if !unknown.contains(&one) {
                unknown.push(one);
            }
        }
        Ok(Excuse {
            ending: at_end(&from, self).intersection(&ending).union(at_machine),
            arriving: from.intersection(&arriving),
            certain,
            crossing,
            unknown,
            sent,
            named: self.owners_by_name(&packets.source),
            addressed: addressed.collect(),
        })
    }

    /// The pairs of what arrives in one family and ends in the other, where rules take it there.
    fn crossing(&self, arriving: &PacketSet, ending: &PacketSet) -> Vec<(PacketSet, PacketSet)> {
        if !self.crosses() {
            return Vec::new();
        }
        let pair = |family: Family| (arriving.of_family(family), ending.of_family(family.other()));
        let pairs = Family::BOTH.into_iter().map(pair);
        pairs
            .filter(|(first, last)| !first.is_empty() && !last.is_empty())
            .collect()
    }

    /// The same of a statement of the policy, made once; nothing of a `closed`.
    ///
    /// # Errors
    /// The complaint about a name.
    pub fn excused_by(&self, statement: &Statement) -> Made<Excuse> {
        let make = || {
            let packets = statement.demand.packets();
            packets.map_or_else(|| Ok(Excuse::default()), |packets| self.excused(packets))
        };
        Made::clone(&self.common.excused.get(statement.span, make))
    }

    /// What those packets excuse without what they do only if something is not in a table, say, of which it is not known
    /// what is in it.
    fn surely(&self, excuse: Excuse, packets: &Packets) -> Excuse {
        let ends = [&packets.source, &packets.destination];
        let items = ends
            .into_iter()
            .flat_map(|end| &end.hosts)
            .flat_map(|hosts| &hosts.items);
        if items.into_iter().any(|item| !self.taking_away(item).is_empty()) {
            let unknown = excuse.unknown;
            return Excuse {
                unknown,
                ..Excuse::default()
            };
        }
        excuse
    }

    /// The same as [`excused`](Self::excused) with all that it may excuse: anything may be in a table, say, of which it
    /// is not known what is in it.
    ///
    /// # Errors
    /// The complaint about a name.
    pub fn perhaps_excused(&self, packets: &Packets) -> Made<Excuse> {
        let widened = |end: &End| {
            let mut items = end.hosts.iter().flat_map(|hosts| &hosts.items);
            let hangs = items.any(|item| !self.unknowns_of(item).is_empty());
            End {
                hosts: end.hosts.clone().filter(|_| !hangs),
                ..end.clone()
            }
        };
        let mut source = widened(&packets.source);
        if let Some(hosts) = &source.hosts
            && !self.perhaps_taken_away(hosts)?.is_empty()
        {
            source.hosts = None;
        }
        self.excused(&Packets {
            source,
            destination: widened(&packets.destination),
            ..packets.clone()
        })
    }

    /// What really comes from the source of these packets, to whatever destination.
    ///
    /// # Errors
    /// The complaint about a name.
    pub fn from(&self, packets: &Packets) -> Made<PacketSet> {
        let anywhere = Packets {
            destination: End::default(),
            ..packets.clone()
        };
        self.excused(&anywhere).map(|excuse| excuse.arriving)
    }
}
