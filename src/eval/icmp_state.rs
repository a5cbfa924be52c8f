//! Icmp messages and the states they belong to: queries and replies to their own, errors to that of the packet they
//! carry (`pf_test_state_icmp`, `pf_icmp_state_lookup`).

use std::net::{IpAddr, Ipv6Addr};

use super::create::{icmp_of_other_family, key};
use super::descriptor::{Descriptor, Mbuf};
use super::hop::{Act, Hop};
use super::icmp::{self, Discovery, Mapping};
use super::record::{Reason, Unproven};
use super::state::{State, StateKey};
use super::tcp;
use super::track::{Find, Lookup, Target};
use crate::net::{Direction, Family, Protocol};
use crate::packet::{Embedded, Icmp, Packet};

/// The link-local address of all nodes, from which nobody answers (`__IPV6_ADDR_INT32_MLL`, `_ONE`).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What was found for an icmp message.
enum IcmpLookup {
    /// Nothing.
    None,
    /// A state for which it goes the wrong way.
    WrongWay(usize),
    /// Its state, and where in keys its identifier is.
    Found(usize, usize),
}

/// The two ends of a packet, its own or a carried one, as the lookup sees them.
struct Ends {
    src: IpAddr,
    dst: IpAddr,
    /// The place of the source in keys.
    source: usize,
    /// The protocol of the message.
    protocol: Protocol,
    /// What it tells of neighbours.
    discovery: Option<Discovery>,
    /// Whether it is carried by an error.
    inner: bool,
}

impl Hop<'_, '_> {
    /// What the state table says of an icmp message.
    pub(super) fn icmp_state(&mut self, pd: &mut Descriptor, mbuf: &mut Mbuf) -> Result<Lookup, Unproven> {
        let Some(mapping) = icmp::mapping(&mbuf.packet) else {
            return Ok(Lookup::None);
        };
        if mapping.other_state {
            self.icmp_error(pd, mbuf)
        } else {
            self.icmp_query(mapping, pd, mbuf)
        }
    }

    /// A query or a reply.
    fn icmp_query(&mut self, mapping: Mapping, pd: &mut Descriptor, mbuf: &mut Mbuf) -> Result<Lookup, Unproven> {
        let ends = Ends {
            src: pd.src,
            dst: pd.dst,
            source: pd.source_index(),
            protocol: pd.protocol,
            discovery: Discovery::of(&mbuf.packet),
            inner: false,
        };
        let (at, id) = match self.icmp_lookup_twice(mapping, &ends, pd)? {
            IcmpLookup::None => return Ok(Lookup::None),
            IcmpLookup::WrongWay(at) => return Ok(Lookup::Found(at, Act::Drop(Reason::StateMismatch))),
            IcmpLookup::Found(at, id) => (at, id),
        };
        let Some(state) = self.memory.states.get(at) else {
            return Ok(Lookup::None);
        };
        pd.chosen = state.chosen_for(pd);
        let Some(target) = state.target(pd) else {
            return Ok(Lookup::Found(at, Act::Pass));
        };
        let af_to = target.key.family != pd.family;
        let Some(mut icmp) = mbuf.packet.icmp else {
            return Ok(Lookup::None);
        };
        if af_to {
            let Some(other) = icmp_of_other_family(pd.family, icmp) else {
                return Ok(Lookup::Found(at, Act::Drop(Reason::Normalize)));
            };
            icmp = other;
        }
        icmp.id = target.key.port[if af_to { 1 - id } else { id }];
        mbuf.packet.icmp = Some(icmp);
        Ok(Lookup::Found(at, target.translate(pd, mbuf)))
    }

    /// Looks for the state of a message; an IPv6 reply may come to a query that went to all nodes.
    fn icmp_lookup_twice(&mut self, mapping: Mapping, ends: &Ends, pd: &Descriptor) -> Result<IcmpLookup, Unproven> {
        let first = self.icmp_lookup(mapping, ends, pd, false)?;
        let again = pd.family == Family::Inet6 && mapping.direction == Direction::Out;
        if !again || matches!(first, IcmpLookup::Found(..)) {
            return Ok(first);
        }
        match self.icmp_lookup(mapping, ends, pd, true)? {
            IcmpLookup::None => Ok(first),
            second => Ok(second),
        }
    }

    /// Looks for the state of a message once.
    fn icmp_lookup(
        &mut self,
        mapping: Mapping,
        ends: &Ends,
        pd: &Descriptor,
        multicast: bool,
    ) -> Result<IcmpLookup, Unproven> {
        let (id_at, sport, dport) = match mapping.direction {
            Direction::In => (ends.source, mapping.virtual_id, mapping.virtual_type),
            Direction::Out => (1 - ends.source, mapping.virtual_type, mapping.virtual_id),
        };
        if multicast && ends.discovery.is_some_and(Discovery::has_target) {
            return Ok(IcmpLookup::None);
        }
        let src = if multicast { IpAddr::V6(ALL_NODES) } else { ends.src };
        let wanted = key(
            (pd.family, ends.protocol, pd.rdomain),
            ends.source,
            (src, sport),
            (ends.dst, dport),
            ends.discovery,
        );
        let Find::Found(at) = self.find(&wanted, pd)? else {
            return Ok(IcmpLookup::None);
        };
        let Some(state) = self.memory.states.get(at) else {
            return Ok(IcmpLookup::None);
        };
        if state.sloppy {
            return Ok(IcmpLookup::Found(at, id_at));
        }
        let direction = match (state.af_to(), pd.family == state.wire.family) {
            (true, true) => Direction::In,
            (true, false) => Direction::Out,
            (false, _) => state.direction,
        };
        let way = if (direction == pd.direction) != ends.inner {
            Direction::In
        } else {
            Direction::Out
        };
        Ok(if way == mapping.direction {
            IcmpLookup::Found(at, id_at)
        } else {
            IcmpLookup::WrongWay(at)
        })
    }

    /// An error: the packet it carries went the other way.
    fn icmp_error(&mut self, pd: &mut Descriptor, mbuf: &mut Mbuf) -> Result<Lookup, Unproven> {
        let Some(embedded) = mbuf.packet.embedded.as_deref().cloned() else {
            return Ok(Lookup::None);
        };
        if embedded.src != pd.dst || Family::of(embedded.dst) != pd.family {
            return Ok(Lookup::None);
        }
        if embedded.protocol == Protocol::AH {
            return Err(Unproven(
                "pf looks through the AH header that an error carries, and what is behind it is not said".to_owned(),
            ));
        }
        let mapping = match embedded.protocol {
            // The other family's icmp makes no sense inside.
            Protocol::ICMP if pd.family != Family::Inet => return Ok(Lookup::None),
            Protocol::ICMP6 if pd.family != Family::Inet6 => return Ok(Lookup::None),
            Protocol::ICMP | Protocol::ICMP6 => icmp::mapping_of_embedded(pd.family, &embedded),
            _ => None,
        };
        let source = 1 - pd.source_index();
        let (at, id) = match mapping {
            Some(mapping) => {
                let ends = Ends {
                    src: embedded.src,
                    dst: embedded.dst,
                    source,
                    protocol: embedded.protocol,
                    discovery: Discovery::of_embedded(mapping, &embedded),
                    inner: true,
                };
                match self.icmp_lookup_twice(mapping, &ends, pd)? {
                    IcmpLookup::None => return Ok(Lookup::None),
                    IcmpLookup::WrongWay(at) => return Ok(Lookup::Found(at, Act::Drop(Reason::StateMismatch))),
                    IcmpLookup::Found(at, id) => (at, id),
                }
            }
            None => {
                let (sport, dport) = ports(&embedded);
                let wanted = StateKey::new(
                    (pd.family, embedded.protocol, pd.rdomain),
                    source,
                    (embedded.src, sport),
                    (embedded.dst, dport),
                );
                match self.find(&wanted, pd)? {
                    Find::None => return Ok(Lookup::None),
                    Find::Found(at) => (at, source),
                }
            }
        };
        if let Some(state) = self.memory.states.get_mut(at)
            && embedded.protocol == Protocol::TCP
            && !state.is_sent(&embedded, pd)
        {
            return Ok(Lookup::Found(at, Act::Drop(Reason::StateMismatch)));
        }
        let Some(state) = self.memory.states.get(at) else {
            return Ok(Lookup::None);
        };
        pd.chosen = state.chosen_for(pd);
        let Some(target) = state.target(pd) else {
            return Ok(Lookup::Found(at, Act::Pass));
        };
        let has_family = !matches!(
            embedded.protocol,
            Protocol::TCP | Protocol::UDP | Protocol::ICMP | Protocol::ICMP6
        );
        if state.af_to() && has_family {
            return Err(Unproven(format!(
                "an icmp error that carries protocol {} through af-to is not modelled",
                embedded.protocol.0
            )));
        }
        let act = translate_error(&target, embedded, id, mapping, pd, mbuf);
        Ok(Lookup::Found(at, act))
    }
}

/// The ports of a carried packet; only tcp and udp have some.
fn ports(embedded: &Embedded) -> (u16, u16) {
    if embedded.protocol.has_ports() {
        (embedded.sport.unwrap_or_default(), embedded.dport.unwrap_or_default())
    } else {
        (0, 0)
    }
}

/// Translates an error and the packet it carries.
fn translate_error(
    target: &Target<'_>,
    mut embedded: Embedded,
    id: usize,
    mapping: Option<Mapping>,
    pd: &mut Descriptor,
    mbuf: &mut Mbuf,
) -> Act {
    // What is carried went the other way.
    let (source, destination) = (1 - pd.source_index(), pd.source_index());
    let key = target.key;
    let af_to = key.family != pd.family;
    let is_echo = mapping.is_some_and(|mapping| {
        let echo_request = match pd.family {
            Family::Inet => icmp::ECHO,
            Family::Inet6 => icmp::ECHO_REQUEST6,
        };
        mapping.virtual_type == u16::from(echo_request)
    });
    let id = if af_to { key.port[1 - id] } else { key.port[id] };
    if !af_to {
        mbuf.rtable = key.rdomain;
        let old_dst = embedded.dst;
        embedded.src = key.address[source];
        embedded.dst = key.address[destination];
        mbuf.packet.dst = embedded.src;
        // The sender of the error is hidden with the one that it speaks for.
        if old_dst != embedded.dst {
            mbuf.packet.src = embedded.dst;
        }
        if embedded.protocol.has_ports() {
            if ports(&embedded).1 != key.port[destination] {
                mbuf.packet.src = embedded.dst;
            }
            embedded.sport = Some(key.port[source]);
            embedded.dport = Some(key.port[destination]);
        }
        if is_echo {
            embedded.icmp_id = Some(id);
        }
        mbuf.packet.embedded = Some(Box::new(embedded));
        return Act::Pass;
    }
    let outer = mbuf.packet.icmp.and_then(|icmp| icmp_of_other_family(pd.family, icmp));
    let Some(outer) = outer else {
        return Act::Drop(Reason::Normalize);
    };
    embedded.src = key.address[destination];
    embedded.dst = key.address[source];
    match embedded.protocol {
        Protocol::TCP | Protocol::UDP => {
            embedded.sport = Some(key.port[destination]);
            embedded.dport = Some(key.port[source]);
        }
        Protocol::ICMP | Protocol::ICMP6 => {
            let kind = embedded
                .icmp_type
                .or(mapping.map(|mapping| mapping.kind))
                .unwrap_or_default();
            let carried = Icmp {
                kind,
                code: 0,
                id: embedded.icmp_id.unwrap_or(Packet::DEFAULT_ICMP_ID),
            };
            let Some(carried) = icmp_of_other_family(pd.family, carried) else {
                return Act::Drop(Reason::Normalize);
            };
            embedded.icmp_type = Some(carried.kind);
            embedded.icmp_id = Some(if is_echo { id } else { carried.id });
            embedded.protocol = match key.family {
                Family::Inet => Protocol::ICMP,
                Family::Inet6 => Protocol::ICMP6,
            };
        }
        _ => {}
    }
    mbuf.packet.icmp = Some(outer);
    mbuf.packet.embedded = Some(Box::new(embedded));
    target.translate(pd, mbuf)
}

impl State {
    /// Whether the carried segment was sent in this connection, by its number.
    fn is_sent(&mut self, embedded: &Embedded, pd: &Descriptor) -> bool {
        if self.sloppy {
            return true;
        }
        let reversed = self.reversed(pd.family);
        let (src, dst) = self.ends(pd.direction.other(), reversed);
        let seq = embedded.seq.unwrap_or_default().wrapping_sub(src.seq_diff);
        tcp::at_most(seq, src.seq_high) && tcp::at_most(src.seq_low.wrapping_sub(dst.max_win.into()), seq)
    }
}
