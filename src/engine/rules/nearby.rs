//! [`Nearby`]: which rules may match some of a few packets on any of their hops, by what the rules say: none is read.

use super::criteria::numbers;
use crate::engine::packets::header::{Field, PacketBox};
use crate::engine::packets::space::address_number;
use crate::engine::packets::transport;
use crate::net::{Direction, Family, Protocol, RangeSet};
use crate::ruleset::{Host, Peer, Rule};

/// What some packets may have on their hops. It is no less than they have.
#[derive(Debug, Default)]
pub(in crate::engine) struct Nearby {
    families: [Option<Hops>; 2],
}

/// What packets of one family may have.
#[derive(Debug)]
struct Hops {
    /// Any where there is `None`. No rule changes it.
    protocols: Option<Vec<Protocol>>,
    /// Coming in, and going out.
    ends: [Ends; 2],
}

/// The numbers of some packets: sources and destinations, any where there is `None`.
#[derive(Debug, Default)]
struct Ends {
    sources: Numbers,
    destinations: Numbers,
}

#[derive(Debug, Default)]
struct Numbers {
    addresses: Option<RangeSet>,
    ports: Option<RangeSet>,
}

impl Nearby {
    /// The packets of those boxes, as they first meet the machine, where rules may change those fields on the way to hops of that
    /// direction. (None may change the family.)
    pub(in crate::engine) fn new<'b>(
        boxes: impl Iterator<Item = &'b PacketBox> + Clone,
        moved: &[(Direction, Field)],
    ) -> Self {
        let families = Family::BOTH.map(|family| {
            let boxes = boxes.clone().filter(move |part| part.family == family);
            boxes.clone().next()?;
            let all = |field: Field| {
                let mut limits = boxes.clone().map(|part| part.limit(field));
                limits.try_fold(RangeSet::empty(), |all, limit| Some(all.union(limit?)))
            };
            let protocols = all(Field::Transport).map(|transports| transport::protocols(&transports, family));
            let ends = [Direction::In, Direction::Out].map(|direction| {
                let numbers = |field| all(field).filter(|_| !moved.contains(&(direction, field)));
                let end = |address, port| Numbers {
                    addresses: numbers(address),
                    ports: numbers(port),
                };
                Ends {
                    sources: end(Field::Source, Field::SourcePort),
                    destinations: end(Field::Destination, Field::DestinationPort),
                }
            });
            Some(Hops { protocols, ends })
        });
        Self { families }
    }

    /// Whether the rule may match one of them: `false` only where it surely matches none.
    pub(super) fn may_match(&self, rule: &Rule) -> bool {
        let mut families = Family::BOTH.into_iter().zip(&self.families);
        families.any(|(family, hops)| {
            let Some(hops) = hops.as_ref().filter(|_| rule.family.is_none_or(|own| own == family)) else {
                return false;
            };
            let mut known = hops.protocols.iter().zip(rule.protocol);
            if known.any(|(protocols, asked)| !protocols.contains(&asked)) {
                return false;
            }
            let [coming, going] = &hops.ends;
            let may = |ends: &Ends| {
                ends.sources.may_be(&rule.source, family) && ends.destinations.may_be(&rule.destination, family)
            };
            rule.direction != Some(Direction::Out) && may(coming) || rule.direction != Some(Direction::In) && may(going)
        })
    }
}

impl Numbers {
    fn may_be(&self, peer: &Peer, family: Family) -> bool {
        let mut known = self.ports.iter().zip(peer.port);
        let has_port = known.all(|(ports, asked)| !ports.is_disjoint(&numbers(asked, u16::MAX)));
        has_port && (peer.negated || self.may_be_at(&peer.host, family))
    }

    fn may_be_at(&self, host: &Host, family: Family) -> bool {
        let (first, last) = match *host {
            Host::Prefix(net) => (net.network(), net.broadcast()),
            Host::Range(first, last) => (first, last),
            Host::Any | Host::Dynamic(_) | Host::Table(_) | Host::NoRoute | Host::UrpfFailed | Host::RouteLabel(_) => {
                return true;
            }
        };
        let has = |addresses: &RangeSet| {
            let found = addresses.first_within(address_number(first), address_number(last));
            found.is_some()
        };
        Family::of(first) == family && self.addresses.as_ref().is_none_or(has)
    }
}
