//! [`Space`]: what the numbers of places and tags mean, and which packets exist at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use super::header::{Field, Header, PacketBox};
use super::set::PacketSet;
use super::transport;
use crate::context::Context;
use crate::net::{Direction, Family, Protocol, RangeSet};
use crate::packet::{ExtensionHeader, Fragment, Icmp, IpOptions, Packet, Way};
use crate::ruleset::{Name, Ruleset};

/// The number of an interface: its place in the context.
pub type InterfaceId = usize;

/// How a packet meets the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Coming in on an interface.
    In(InterfaceId),
    /// Going out on an interface.
    Out {
        /// The interface.
        on: InterfaceId,
        /// Where it came in; `None`: made on this machine.
        received: Option<InterfaceId>,
    },
}

impl Place {
    /// The interface that the packet comes in on, or goes out on.
    #[must_use]
    pub fn interface(self) -> InterfaceId {
        match self {
            Self::In(on) | Self::Out { on, .. } => on,
        }
    }

    /// In or out.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self {
            Self::In(_) => Direction::In,
            Self::Out { .. } => Direction::Out,
        }
    }
}

/// What the numbers of places and tags mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    interfaces: IndexSet<Name, FxBuildHasher>,
    tags: IndexSet<Name, FxBuildHasher>,
    reassemble: bool,
}

impl Space {
    /// The space of a machine with that ruleset.
    #[must_use]
    pub fn new(ruleset: &Ruleset, context: &Context) -> Self {
        let rules = ruleset.anchors.values().flat_map(|anchor| &anchor.rules);
        let tags = rules.flat_map(|rule| [rule.tag.as_ref(), rule.tagged.as_ref().map(|tagged| &tagged.tag)]);
        Self {
            interfaces: context
                .interfaces
                .iter()
                .map(|known| Name::from(known.name.as_str()))
                .collect(),
            tags: tags.flatten().cloned().collect(),
            reassemble: ruleset.options.reassemble.enabled,
        }
    }

    /// The names of the interfaces, in the order of their numbers.
    pub fn interfaces(&self) -> impl ExactSizeIterator<Item = &Name> {
        self.interfaces.iter()
    }

    /// The number of an interface; `None` where the context has none of that name.
    #[must_use]
    pub fn interface(&self, name: &str) -> Option<InterfaceId> {
        self.interfaces.get_index_of(name)
    }

    /// The name of an interface.
    #[must_use]
    pub fn interface_name(&self, id: InterfaceId) -> &str {
        self.interfaces.get_index(id).map_or("?", |name| name)
    }

    /// The number of a place on the line of [`Field::Place`].
    #[must_use]
    pub fn number(&self, place: Place) -> u128 {
        let count = self.interfaces.len();
        let number = match place {
            Place::In(on) => on,
            Place::Out { on, received } => count + on * (count + 1) + received.unwrap_or(count),
        };
        number as u128
    }

    /// The place of a number; `None` where there is none.
    #[must_use]
    pub fn place(&self, number: u128) -> Option<Place> {
        let count = self.interfaces.len();
        let number = usize::try_from(number).ok()?;
        let Some(out) = number.checked_sub(count) else {
            return Some(Place::In(number));
        };
        let (on, received) = (out / (count + 1), out % (count + 1));
        (on < count).then_some(Place::Out {
            on,
            received: (received < count).then_some(received),
        })
    }

    /// Whether fragments are held until whole, so that no rule sees one.
    #[must_use]
    pub fn reassembles(&self) -> bool {
        self.reassemble
    }

    /// The number of a tag on the line of [`Field::Tag`]; `None` where no rule sets or tests it.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<u128> {
        self.tags.get_index_of(name).map(|at| at as u128 + 1)
    }

    /// The tag of a number; `None` for 0, no tag.
    #[must_use]
    pub fn tag_name(&self, number: u128) -> Option<&Name> {
        self.tags.get_index(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// How many places there are; their numbers are those below.
    #[must_use]
    pub fn places(&self) -> u128 {
        let count = self.interfaces.len() as u128;
        count * (count + 2)
    }

    /// All packets that arrive on one of those interfaces.
    #[must_use]
    pub fn arriving(&self, on: impl IntoIterator<Item = InterfaceId>) -> PacketSet {
        self.at(on.into_iter().map(Place::In))
    }

    /// All packets that the machine itself sends by one of those interfaces.
    #[must_use]
    pub fn sent(&self, on: impl IntoIterator<Item = InterfaceId>) -> PacketSet {
        self.at(on.into_iter().map(|on| Place::Out { on, received: None }))
    }

    /// All packets at those places, without a tag.
    #[must_use]
    pub fn at(&self, places: impl IntoIterator<Item = Place>) -> PacketSet {
        let numbers = places.into_iter().map(|place| self.number(place));
        let places = RangeSet::from_ranges(numbers.map(|number| (number, number)));
        let there = self.anywhere().boxes().to_vec().into_iter();
        there
            .filter_map(|part| part.with(Field::Place, &places)?.with(Field::Tag, &RangeSet::single(0)))
            .collect()
    }

    /// All packets at any place, with any tag: the largest set.
    #[must_use]
    pub fn anywhere(&self) -> PacketSet {
        let places = match self.places().checked_sub(1) {
            Some(last) => RangeSet::range(0, last),
            None => RangeSet::empty(),
        };
        let tags = RangeSet::range(0, self.tags.len() as u128);
        let fragments = RangeSet::range(0, if self.reassemble { 0 } else { 2 });
        let mut boxes = Vec::new();
        for family in Family::BOTH {
            let (ported, zero) = (transport::ported(), RangeSet::single(0));
            let line = transport::line(family);
            let line = if self.reassemble {
                line.minus(&transport::protocol(Protocol::FRAGMENT, Family::Inet6))
            } else {
                line
            };
            let everywhere = PacketBox::all(family)
                .with(Field::Place, &places)
                .and_then(|all| all.with(Field::Tag, &tags))
                .and_then(|all| all.with(Field::Options, &Field::Options.line(family)))
                .and_then(|all| all.with(Field::Fragment, &fragments));
            let with_ports = everywhere.clone().and_then(|all| all.with(Field::Transport, &ported));
            let without = everywhere
                .and_then(|all| all.with(Field::Transport, &line.minus(&ported)))
                .and_then(|all| all.with(Field::DestinationPort, &zero))
                .and_then(|all| all.with(Field::SourcePort, &zero));
            boxes.extend(with_ports.into_iter().chain(without));
        }
        boxes.into_iter().collect()
    }

    /// The header of a packet; `None` where it has something that no field stands for.
    #[must_use]
    pub fn header(&self, packet: &Packet) -> Option<Header> {
        let on = self.interface(&packet.interface)?;
        let received = match &packet.received_on {
            Some(name) => Some(self.interface(name)?),
            None => None,
        };
        let place = match packet.way {
            Way::In | Way::Forward => Place::In(on),
            Way::Out => Place::Out { on, received },
        };
        let tag = match &packet.tag {
            Some(tag) => self.tag(tag)?,
            None => 0,
        };
        let icmp = transport::icmp(packet.family);
        let later = matches!(packet.fragment, Some(Fragment::Later { .. }));
        let number = match packet.icmp {
            _ if packet.protocol == Protocol::TCP && !(later && packet.family == Family::Inet6) => {
                transport::of_tcp(packet.flags)
            }
            Some(Icmp { kind, code, .. }) if packet.protocol == icmp && !(later && packet.family == Family::Inet6) => {
                transport::of_icmp(kind, code)
            }
            // The first header of a later fragment is the fragment header.
            _ if later && packet.family == Family::Inet6 => transport::first(Protocol::FRAGMENT, packet.family),
            _ => transport::first(packet.protocol, packet.family),
        };
        let fragment = match packet.fragment {
            None => 0,
            Some(Fragment::First { .. }) => 1,
            Some(Fragment::Later { .. }) => 2,
        };
        let has_ports = transport::ported().contains(number);
        let ports = |port: u16| if has_ports { u128::from(port) } else { 0 };
        let header = Header::zero(packet.family)
            .with(Field::Place, self.number(place))
            .with(Field::Transport, number)
            .with(Field::Destination, address_number(packet.dst))
            .with(Field::Source, address_number(packet.src))
            .with(Field::DestinationPort, ports(packet.dport))
            .with(Field::SourcePort, ports(packet.sport))
            .with(Field::Options, options_number(packet, number)?)
            .with(Field::Fragment, fragment)
            .with(Field::Tos, u128::from(packet.tos))
            .with(Field::Ttl, u128::from(packet.ttl))
            .with(Field::Prio, u128::from(packet.prio))
            .with(Field::Tag, tag);
        transport::line(packet.family).contains(number).then_some(header)
    }

    /// The packet of a header; one that arrives is followed to its end.
    #[must_use]
    pub fn packet(&self, header: &Header) -> Packet {
        let (way, on, received) = match self.place(header.get(Field::Place)) {
            Some(Place::In(on)) => (Way::Forward, on, None),
            Some(Place::Out { on, received }) => (Way::Out, on, received),
            None => (Way::Forward, usize::MAX, None),
        };
        let number = header.get(Field::Transport);
        let protocol = transport::protocol_at(number, header.family);
        let [src, dst] = [Field::Source, Field::Destination].map(|field| address(header.get(field), header.family));
        let mut packet = Packet::new(way, self.interface_name(on), protocol, src, dst);
        packet.sport = header.get(Field::SourcePort) as u16;
        packet.dport = header.get(Field::DestinationPort) as u16;
        if protocol == Protocol::TCP {
            packet.flags = transport::flags_at(number);
        }
        if protocol == transport::icmp(header.family) {
            let (kind, code) = transport::icmp_at(number);
            packet.icmp = Some(Icmp {
                kind,
                code,
                id: Packet::DEFAULT_ICMP_ID,
            });
        }
        match header.get(Field::Options) {
            0 => {}
            1 => packet.options = IpOptions::Some,
            _ => packet.extensions = vec![ExtensionHeader::Routing0],
        }
        packet.fragment = match header.get(Field::Fragment) {
            0 => None,
            1 => Some(Fragment::First { id: 1 }),
            _ => Some(Fragment::Later { id: 1, offset: 1480 }),
        };
        packet.tos = header.get(Field::Tos) as u8;
        packet.ttl = header.get(Field::Ttl) as u8;
        packet.prio = header.get(Field::Prio) as u8;
        packet.received_on = received.map(|id| self.interface_name(id).to_owned());
        packet.tag = self.tag_name(header.get(Field::Tag)).map(|name| name.to_string());
        packet
    }
}

/// The number of the options on the line of [`Field::Options`] of a packet with that number of its protocol.
fn options_number(packet: &Packet, protocol: u128) -> Option<u128> {
    let demanded = match packet.family {
        Family::Inet => transport::protocol(Protocol::IGMP, Family::Inet),
        Family::Inet6 => transport::listener_discovery(),
    };
    let alert = u128::from(!demanded.contains(protocol));
    let of_extension = |extension: &ExtensionHeader| match extension {
        ExtensionHeader::Authentication | ExtensionHeader::AtomicFragment => 0,
        ExtensionHeader::HopByHop | ExtensionHeader::Destination | ExtensionHeader::Routing2 => 1,
        ExtensionHeader::RouterAlert => alert,
        ExtensionHeader::Routing0 => 2,
    };
    let of_options = match packet.options {
        IpOptions::None => 0,
        IpOptions::Some => 1,
        IpOptions::RouterAlert => alert,
    };
    let mut numbers = packet.extensions.iter().map(of_extension).filter(|&number| number != 0);
    match (numbers.next(), numbers.next()) {
        (None, _) => Some(of_options),
        (Some(only), None) if of_options == 0 => Some(only),
        _ => None,
    }
}

/// The number of an address on its family's line.
#[must_use]
pub fn address_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The address of a number on a family's line.
#[must_use]
pub fn address(number: u128, family: Family) -> IpAddr {
    match family {
        Family::Inet => IpAddr::V4(Ipv4Addr::from(number as u32)),
        Family::Inet6 => IpAddr::V6(Ipv6Addr::from(number)),
    }
}
