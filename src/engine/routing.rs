//! [`Routes`]: one routing table as a partition of the addresses. The order of the routes is `context`'s.

use std::net::IpAddr;

use ipnet::IpNet;

use super::space::{InterfaceId, Space, address_number};
use crate::context::{Context, RouteKind};
use crate::net::{Family, RangeSet};

/// Where the addresses of one part of the table go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To the machine itself; the interface has the address.
    Local(InterfaceId),
    /// To the machine itself, but what comes in by that interface is refused: the address is another one's.
    Refused,
    /// Out of that interface.
    Via(InterfaceId),
    /// Rejected, by a route of that interface.
    Reject(InterfaceId),
    /// Nowhere.
    None,
    /// The stack does not send it on.
    NotForwarded,
}

/// Addresses with one and the same route.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) addresses: RangeSet,
    pub(super) target: Target,
    /// Whether it follows from a route that was given, not from an interface's own networks.
    pub(super) given: bool,
    pub(super) label: Option<String>,
}

/// One routing table: pieces that cover each family's addresses without overlap.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    pieces: [Vec<Piece>; 2],
}

impl Routes {
    /// The routing table of that number.
    pub(super) fn new(context: &Context, space: &Space, rtable: u32) -> Self {
        let table = context.route_table(rtable);
        let pieces = Family::BOTH.map(|family| {
            let mut pieces: Vec<Piece> = Vec::new();
            let mut covered = RangeSet::empty();
            for route in table
                .routes()
                .iter()
                .filter(|route| Family::of(route.to.addr()) == family)
            {
                let net = prefix(route.to);
                let addresses = net.minus(&covered);
                let Some(interface) = space.interface(route.interface).filter(|_| !addresses.is_empty()) else {
                    continue;
                };
                covered = covered.union(&net);
                let target = match route.kind {
                    RouteKind::Local => Target::Local(interface),
                    _ if route.reject => Target::Reject(interface),
                    RouteKind::Connected | RouteKind::Given => Target::Via(interface),
                };
                let label = route.label.map(str::to_owned);
                let given = route.kind == RouteKind::Given;
                let mut known = pieces.iter_mut();
                let same = known.find(|known| known.target == target && known.given == given && known.label == label);
                match same {
                    Some(known) => known.addresses = known.addresses.union(&addresses),
                    None => pieces.push(Piece {
                        addresses,
                        target,
                        given,
                        label,
                    }),
                }
            }
            let rest = line(family).minus(&covered);
            if !rest.is_empty() {
                pieces.push(Piece {
                    addresses: rest,
                    target: Target::None,
                    given: true,
                    label: None,
                });
            }
            pieces
        });
        Self { pieces }
    }

    /// The pieces of a family.
    pub(super) fn pieces(&self, family: Family) -> &[Piece] {
        match family {
            Family::Inet => &self.pieces[0],
            Family::Inet6 => &self.pieces[1],
        }
    }

    /// The addresses of those pieces.
    pub(super) fn addresses(&self, family: Family, wanted: impl Fn(&Piece) -> bool) -> RangeSet {
        let pieces = self.pieces(family).iter().filter(|piece| wanted(piece));
        RangeSet::from_ranges(pieces.flat_map(|piece| piece.addresses.ranges().iter().copied()))
    }
}

/// All addresses of a family.
pub(super) fn line(family: Family) -> RangeSet {
    RangeSet::range(0, u128::MAX >> (128 - u32::from(family.bits())))
}

/// The addresses of a network.
pub(super) fn prefix(net: IpNet) -> RangeSet {
    let net = net.trunc();
    let last = match net {
        IpNet::V4(net) => IpAddr::V4(net.broadcast()),
        IpNet::V6(net) => IpAddr::V6(net.broadcast()),
    };
    RangeSet::range(address_number(net.network()), address_number(last))
}
