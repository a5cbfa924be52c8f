//! [`Routes`]: one routing table as a partition of the addresses. The order of the routes is `context`'s.

use std::net::IpAddr;

use ipnet::IpNet;
use rustc_hash::FxHashMap;

use crate::context::{Context, RouteKind, RouteTable, TableRoute};
use crate::engine::packets::space::{InterfaceId, Space, address_number};
use crate::net::{Family, RangeSet};

/// Where the addresses of one part of the table go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Target {
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
pub(in crate::engine) struct Piece {
    pub(in crate::engine) addresses: RangeSet,
    pub(in crate::engine) target: Target,
    /// Whether it follows from a route that was given, not from an interface's own networks.
    pub(in crate::engine) given: bool,
    pub(in crate::engine) label: Option<String>,
}

/// One routing table.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Routes {
    families: [Partition; 2],
}

/// The addresses of one family.
#[derive(Clone, Debug, Default)]
struct Partition {
    /// They cover all addresses without overlap.
    pieces: Vec<Piece>,
    /// With multipath, the addresses to which a route besides the first leads by that interface.
    also: Vec<(InterfaceId, RangeSet)>,
}

impl Partition {
    fn new(context: &Context, space: &Space, table: &RouteTable<'_>, family: Family) -> Self {
        let mut partition = Self::default();
        let mut covered = RangeSet::empty();
        // Of each destination what its first route has.
        let mut first: FxHashMap<IpNet, RangeSet> = FxHashMap::default();
        let of_family = |route: &&TableRoute<'_>| Family::of(route.to.addr()) == family;
        for route in table.routes().iter().filter(of_family) {
            let interface = space.interface(route.interface);
            let net = prefix(route.to);
            let addresses = net.minus(&covered);
            if context.multipath && route.kind == RouteKind::Given {
                match first.get(&route.to) {
                    Some(there) => partition.also.extend(interface.map(|by| (by, there.clone()))),
                    None => {
                        first.insert(route.to, addresses.clone());
                    }
                }
            }
            let Some(interface) = interface.filter(|_| !addresses.is_empty()) else {
                continue;
            };
            covered = covered.union(&net);
            let target = match route.kind {
                RouteKind::Local => Target::Local(interface),
                _ if route.reject => Target::Reject(interface),
                RouteKind::Connected | RouteKind::Given => Target::Via(interface),
            };
            let label = route.label.map(str::to_owned);
            partition.add(addresses, target, route.kind == RouteKind::Given, label);
        }
        let rest = line(family).minus(&covered);
        if !rest.is_empty() {
            partition.add(rest, Target::None, true, None);
        }
        partition
    }

    fn add(&mut self, addresses: RangeSet, target: Target, given: bool, label: Option<String>) {
        let mut known = self.pieces.iter_mut();
        let same = known.find(|known| known.target == target && known.given == given && known.label == label);
        match same {
            Some(known) => known.addresses = known.addresses.union(&addresses),
            None => self.pieces.push(Piece {
                addresses,
                target,
                given,
                label,
            }),
        }
    }
}

impl Routes {
    /// The routing table of that number.
    pub(in crate::engine) fn new(context: &Context, space: &Space, rtable: u32) -> Self {
        let table = context.route_table(rtable);
        let families = Family::BOTH.map(|family| Partition::new(context, space, &table, family));
        Self { families }
    }

    fn of(&self, family: Family) -> &Partition {
        match family {
            Family::Inet => &self.families[0],
            Family::Inet6 => &self.families[1],
        }
    }

    /// The pieces of a family.
    pub(in crate::engine) fn pieces(&self, family: Family) -> &[Piece] {
        &self.of(family).pieces
    }

    /// The addresses of those pieces.
    pub(in crate::engine) fn addresses(&self, family: Family, wanted: impl Fn(&Piece) -> bool) -> RangeSet {
        let pieces = self.pieces(family).iter().filter(|piece| wanted(piece));
        RangeSet::from_ranges(pieces.flat_map(|piece| piece.addresses.ranges().iter().copied()))
    }

    /// The addresses of a family to which, with multipath, a route besides the first leads by that interface.
    pub(super) fn also_by(&self, interface: InterfaceId, family: Family) -> RangeSet {
        let also = self.of(family).also.iter().filter(|(by, _)| *by == interface);
        also.fold(RangeSet::empty(), |all, (_, there)| all.union(there))
    }
}

/// The link-local addresses of IPv6.
pub(in crate::engine) fn link_local() -> RangeSet {
    RangeSet::range(0xfe80 << 112, (0xfec0 << 112) - 1)
}

/// All addresses of a family.
pub(in crate::engine) fn line(family: Family) -> RangeSet {
    RangeSet::range(0, u128::MAX >> (128 - u32::from(family.bits())))
}

/// The addresses of a network.
pub(in crate::engine) fn prefix(net: IpNet) -> RangeSet {
    let net = net.trunc();
    let last = match net {
        IpNet::V4(net) => IpAddr::V4(net.broadcast()),
        IpNet::V6(net) => IpAddr::V6(net.broadcast()),
    };
    RangeSet::range(address_number(net.network()), address_number(last))
}
