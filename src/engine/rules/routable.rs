//! Hosts of rules that ask for a route: `no-route`, `urpf-failed`, `route "label"` (`pf_routable`, `pf_rtlabel_match`).
//!
//! An interface whose address is not known has a network that is not known either: what lies in no network that is known may
//! lie there, whatever route leads elsewhere.

use super::criteria::{About, Alternative, Alternatives, Fact, Reader};
use super::routing::{Piece, Routes, Target, line, link_local};
use super::unknown::Unknown;
use crate::engine::packets::header::Field;
use crate::engine::packets::space::InterfaceId;
use crate::net::{Family, RangeSet};
use crate::ruleset::{DynamicAddress, Host, Modifiers, Name, Peer};

impl Reader<'_, '_> {
    /// `no-route` and `route "label"`: by the table of the packet's routing domain.
    pub(super) fn by_routing_domain(&self, part: &Alternative, field: Field, peer: &Peer) -> Alternatives {
        let family = part.region.family;
        let in_domain = self.routes().iter().flat_map(|(domain, routes)| {
            let places = self.places_of(|id| self.rdomain(id) == Some(*domain));
            let found = match &peer.host {
                Host::RouteLabel(label) => routes.addresses(family, |piece| piece.label.as_deref() == Some(&**label)),
                _ => routes
                    .addresses(family, |piece| piece.target == Target::None)
                    .minus(&with_link(family)),
            };
            let unknown = self.unknown_networks(*domain, field, family, |_| true);
            let there = part.with(Field::Place, &places);
            there.map_or_else(Alternatives::new, |there| match peer.negated {
                false => there.outside(field, &found, &unknown).into_iter().collect(),
                true => {
                    let surely = there.with(field, &line(family).minus(&found));
                    surely
                        .into_iter()
                        .chain(there.inside(field, &found, &unknown))
                        .collect()
                }
            })
        });
        in_domain.collect()
    }

    /// `urpf-failed`: the address is not routed to the interface of the packet.
    pub(super) fn by_interface(&self, part: &Alternative, field: Field, negated: bool) -> Alternatives {
        let interfaces = 0..self.context.interfaces.len();
        let on_interface = interfaces.filter_map(|id| {
            let there = part.with(Field::Place, &self.places_of(|other| other == id))?;
            let rdomain = self.rdomain(id)?;
            let (_, routes) = self.routes().iter().find(|(domain, _)| *domain == rdomain)?;
            Some(self.checked_on(id, (rdomain, routes), &there, (field, negated)))
        });
        on_interface.flatten().collect()
    }

    /// The same on one interface.
    fn checked_on(
        &self,
        id: InterfaceId,
        (rdomain, routes): (u32, &Routes),
        there: &Alternative,
        (field, negated): (Field, bool),
    ) -> Alternatives {
        let family = there.region.family;
        let is_here = |piece: &Piece| match piece.target {
            Target::Local(on) | Target::Via(on) | Target::Reject(on) => on == id,
            Target::Refused | Target::None | Target::NotForwarded => false,
        };
        let name = self.context.interfaces.get(id).map_or("", |known| known.name.as_str());
        // Those of a link come from wherever they came.
        let unasked = match crate::context::driver(name) {
            "enc" => line(family),
            _ => with_link(family),
        };
        let here = routes.addresses(family, |piece| is_here(piece) && !piece.given);
        let here = here.union(&unasked);
        let by_route = routes.addresses(family, |piece| is_here(piece) && piece.given);
        let by_route = by_route.union(&routes.also_by(id, family)).minus(&here);
        let elsewhere = routes.addresses(family, |piece| piece.given);
        let elsewhere = elsewhere.minus(&by_route).minus(&here);
        let others = self.unknown_networks(rdomain, field, family, |other| other != id);
        let own = self.unknown_networks(rdomain, field, family, |other| other == id);
        let mut found = Alternatives::new();
        if negated {
            found.extend(there.with(field, &here));
            found.extend(there.outside(field, &by_route, &others));
            found.extend(there.inside(field, &elsewhere, &own));
        } else {
            let in_others = line(family).minus(&here).minus(&by_route).minus(&elsewhere);
            found.extend(there.with(field, &in_others));
            found.extend(there.inside(field, &by_route, &others));
            found.extend(there.outside(field, &elsewhere, &own));
        }
        found
    }

    fn rdomain(&self, id: InterfaceId) -> Option<u32> {
        self.context.interfaces.get(id).map(|known| known.rdomain)
    }

    /// Whether the number of the field lies in the network of each of the wanted interfaces in a routing domain whose network
    /// is not known.
    fn unknown_networks(
        &self,
        rdomain: u32,
        field: Field,
        family: Family,
        wanted: impl Fn(InterfaceId) -> bool,
    ) -> Vec<Fact> {
        let interfaces = self.context.interfaces.iter().enumerate();
        let unknown = interfaces
            .filter(|(id, known)| known.rdomain == rdomain && known.has_unknown(family) && wanted(*id))
            .map(|(_, known)| Name::from(known.name.as_str()));
        let fact = |name: Name| Fact {
            unknown: Unknown::Network(name.clone()),
            about: About::Host(
                field,
                Host::Dynamic(DynamicAddress {
                    interface: name,
                    modifiers: Modifiers {
                        network: true,
                        ..Modifiers::default()
                    },
                    prefix: None,
                    load_time: false,
                }),
            ),
        };
        unknown.map(fact).collect()
    }
}

impl Alternative {
    /// With a number of the field in the set, if it lies in none of those networks.
    fn outside(&self, field: Field, set: &RangeSet, networks: &[Fact]) -> Option<Self> {
        let there = self.with(field, set)?;
        Some(
            networks
                .iter()
                .fold(there, |there, network| there.if_so(network.clone(), false)),
        )
    }

    /// With a number of the field in the set, if it lies in one of those networks.
    fn inside(&self, field: Field, set: &RangeSet, networks: &[Fact]) -> Vec<Self> {
        let there = networks.iter().enumerate().filter_map(|(at, network)| {
            let there = self.outside(field, set, &networks[..at])?;
            Some(there.if_so(network.clone(), true))
        });
        there.collect()
    }
}

/// The addresses that always count as routed: those that carry their link, IPv6 alone (`IN6_IS_SCOPE_EMBED`).
fn with_link(family: Family) -> RangeSet {
    match family {
        Family::Inet => RangeSet::empty(),
        Family::Inet6 => {
            let multicast = (0..16).map(|flags| {
                let first: u128 = (0xff01 | flags << 4) << 112;
                (first, first + (2 << 112) - 1)
            });
            RangeSet::from_ranges(multicast).union(&link_local())
        }
    }
}
