//! Making a state, and translating the packet that makes it (`pf_create_state`, `pf_state_key_setup`,
//! `pf_translate`).

use std::net::IpAddr;

use super::criteria::is_sloppy;
use super::descriptor::{Descriptor, Mbuf};
use super::hop::{Act, Hop, is_synproxied};
use super::icmp::{self, Discovery};
use super::machine::{CompiledRule, RuleRef};
use super::memory::PoolUse;
use super::pool::{Asker, map_address};
use super::record::{NextHop, Reason, Unproven};
use super::state::{Actions, State, StateKey, TcpPeer};
use super::tcp;
use crate::net::{Direction, Family, Protocol, TcpFlags};
use crate::packet::{Icmp, Packet};
use crate::ruleset::{KeepState, Name, Rule};

/// What came of making a state.
pub(super) struct Made {
    pub(super) act: Act,
    /// The place of the state, if it was made.
    pub(super) state: Option<usize>,
}

impl Made {
    fn dropped(reason: Reason) -> Self {
        Self {
            act: Act::Drop(reason),
            state: None,
        }
    }
}

/// The two keys of a new state.
struct Keys {
    wire: StateKey,
    stack: StateKey,
    /// Whether they were made apart: the packet is translated.
    distinct: bool,
}

impl Hop<'_, '_> {
    /// Makes the state that the rule asks for, and translates the packet by it.
    #[expect(
        clippy::too_many_arguments,
        reason = "as pf_create_state: packet, rule and what match rules asked for"
    )]
    pub(super) fn create_state(
        &mut self,
        pd: &mut Descriptor,
        mbuf: &mut Mbuf,
        place: RuleRef,
        compiled: &CompiledRule<'_>,
        matches: &[RuleRef],
        actions: Actions,
        tag: Option<Name>,
    ) -> Result<Made, Unproven> {
        let rule = compiled.rule;
        let options = rule.state.as_deref();
        if options.is_some_and(|options| options.max_src_nodes.is_some()) && rule.pools().any(|pool| pool.sticky) {
            let why = "what `sticky-address` remembers of sources counts for `max-src-nodes`, and is not counted here";
            return Err(Unproven(why.to_owned()));
        }
        if let Some(reason) = self.over_limit(place, rule, pd.src) {
            return Ok(Made::dropped(reason));
        }
        let is_syn = mbuf.packet.flags.contains(TcpFlags::SYN) && !mbuf.packet.flags.contains(TcpFlags::ACK);
        let (mut src, mut dst) = (TcpPeer::default(), TcpPeer::default());
        let mut rewritten = false;
        if pd.protocol == Protocol::TCP {
            src = tcp::first_sender(&mbuf.packet);
            dst = tcp::first_receiver();
            if is_syn && rule.keep_state == KeepState::Modulate {
                src.seq_diff = tcp::MODULATION;
                mbuf.packet.seq = mbuf.packet.seq.wrapping_add(src.seq_diff);
                rewritten = true;
            }
        }
        let keys = self.keys(pd, &mbuf.packet, actions.rtable);
        let route = match (&rule.route_to, &compiled.route) {
            (Some(route), Some(pool)) => {
                let asker = Asker {
                    rule: place,
                    what: PoolUse::Route,
                    family: keys.wire.family,
                    source: pd.src,
                };
                let Some(mapped) = map_address(self.machine, pool, asker, self.memory, self.choices)? else {
                    return Ok(Made::dropped(Reason::NoRoute));
                };
                Some(NextHop {
                    kind: route.kind,
                    address: mapped.address,
                    chosen: mapped.chosen,
                })
            }
            _ => None,
        };
        let proxying = is_synproxied(rule, pd.direction, &mbuf.packet);
        let options = rule.state.as_deref();
        let state = State {
            wire: keys.wire.clone(),
            stack: keys.stack.clone(),
            direction: pd.direction,
            bound_to: options.filter(|state| state.if_bound).map(|_| pd.interface),
            rule: place,
            matches: matches.to_vec(),
            actions,
            tag,
            allow_options: rule.allow_opts,
            sloppy: is_sloppy(rule),
            keep: rule.keep_state,
            src,
            dst,
            proxying,
            route,
            chosen: pd.chosen.clone(),
            purged: false,
            counted_source: options.and_then(|state| state.source_track).map(|_| pd.src),
        };
        let Ok(at) = self.memory.states.insert(state, keys.distinct) else {
            return Ok(Made::dropped(Reason::StateInsert));
        };
        let mut made = Made {
            act: Act::Pass,
            state: Some(at),
        };
        if keys.distinct {
            let target = match pd.direction {
                Direction::In => &keys.stack,
                Direction::Out => &keys.wire,
            };
            rewritten |= translate_packet(pd, &mut mbuf.packet, target);
        }
        if proxying {
            // What pf sends in its place is translated so.
            made.act = Act::Synproxy;
            return Ok(made);
        }
        if rewritten && pd.af_to() {
            made.act = Act::AfTo;
        }
        Ok(made)
    }

    /// The keys of the state that the packet makes.
    fn keys(&self, pd: &Descriptor, packet: &Packet, rtable: u32) -> Keys {
        let source = pd.source_index();
        let discovery = Discovery::of(packet);
        let old = key(
            (pd.family, pd.protocol, pd.rdomain),
            source,
            (pd.src, pd.old_sport),
            (pd.dst, pd.old_dport),
            discovery,
        );
        let rdomain = self.machine.rdomain_of(rtable);
        let translated = pd.new_src != pd.src
            || pd.new_dst != pd.dst
            || pd.new_sport != pd.old_sport
            || pd.new_dport != pd.old_dport
            || rdomain != pd.rdomain
            || pd.af_to();
        let new = if translated {
            // After af-to the ends change places: both families come in.
            let source = if pd.af_to() { 1 - source } else { source };
            let protocol = match pd.protocol {
                Protocol::ICMP if pd.af_to() => Protocol::ICMP6,
                Protocol::ICMP6 if pd.af_to() => Protocol::ICMP,
                protocol => protocol,
            };
            key(
                (pd.new_family, protocol, rdomain),
                source,
                (pd.new_src, pd.new_sport),
                (pd.new_dst, pd.new_dport),
                discovery,
            )
        } else {
            old.clone()
        };
        let (wire, stack) = match pd.direction {
            Direction::In => (old, new),
            Direction::Out => (new, old),
        };
        Keys {
            wire,
            stack,
            distinct: translated,
        }
    }

    /// Which limit of the rule is reached, if one is (`pf_insert_src_node`). Sources are counted for each rule, with
    /// `source-track global` too.
    fn over_limit(&self, place: RuleRef, rule: &Rule, source: IpAddr) -> Option<Reason> {
        let options = rule.state.as_deref()?;
        let of_rule = || self.memory.states.iter().filter(|state| state.rule == place);
        if options.source_track.is_some() {
            let mut same = 0u32;
            let mut others = rustc_hash::FxHashSet::default();
            for counted in of_rule().filter_map(|state| state.counted_source) {
                if counted == source {
                    same += 1;
                } else {
                    others.insert(counted);
                }
            }
            let nodes_full = same == 0
                && options
                    .max_src_nodes
                    .is_some_and(|max| max != 0 && others.len() >= max as usize);
            let states_full = same > 0 && options.max_src_states.is_some_and(|max| max != 0 && same >= max);
            if nodes_full || states_full {
                return Some(Reason::SourceLimit);
            }
        }
        options
            .max
            .filter(|&max| max != 0 && of_rule().count() >= max as usize)
            .map(|_| Reason::StateLimit)
    }

    /// Says that a connection of the rule is established; refuses to judge where that may pass a limit whose counts
    /// fall with time.
    pub(super) fn established(&mut self, at: usize) -> Result<(), Unproven> {
        let Some(state) = self.memory.states.get(at) else {
            return Ok(());
        };
        let Some(options) = self
            .machine
            .rule(state.rule)
            .and_then(|compiled| compiled.rule.state.as_deref())
        else {
            return Ok(());
        };
        if options.source_track.is_none() {
            return Ok(());
        }
        let connections = self
            .memory
            .states
            .iter()
            .filter(|other| {
                other.rule == state.rule
                    && other.counted_source == state.counted_source
                    && other.src.state >= super::state::TcpState::Established
                    && other.dst.state >= super::state::TcpState::Established
            })
            .count();
        let over = |limit: Option<u32>| limit.is_some_and(|limit| limit != 0 && connections > limit as usize);
        if over(options.max_src_conn) || over(options.max_src_conn_rate.map(|rate| rate.limit)) {
            let id = self.machine.id(state.rule);
            return Err(Unproven(format!(
                "rule {id}: a limit on connections of one source is reached"
            )));
        }
        Ok(())
    }
}

/// A key; in neighbour discovery the target stands for one end (`pf_state_key_addr_setup`).
pub(super) fn key(
    header: (Family, Protocol, u32),
    source: usize,
    (src, sport): (IpAddr, u16),
    (dst, dport): (IpAddr, u16),
    discovery: Option<Discovery>,
) -> StateKey {
    let (src, dst) = match discovery {
        Some(discovery) if header.0 == Family::Inet6 => discovery.ends(src, dst),
        Some(_) | None => (src, dst),
    };
    StateKey::new(header, source, (src, sport), (dst, dport))
}

/// Gives the packet the addresses and ports of a key; whether anything changed (`pf_translate`).
fn translate_packet(pd: &Descriptor, packet: &mut Packet, target: &StateKey) -> bool {
    let (mut source, mut destination) = (pd.source_index(), 1 - pd.source_index());
    if pd.af_to() {
        (source, destination) = (destination, source);
    }
    let (sport, dport) = (target.port[source], target.port[destination]);
    let mut rewritten = false;
    match pd.protocol {
        Protocol::TCP | Protocol::UDP => {
            rewritten = packet.sport != sport || packet.dport != dport;
            (packet.sport, packet.dport) = (sport, dport);
        }
        Protocol::ICMP | Protocol::ICMP6 => {
            let Some(mapping) = pd.icmp else { return false };
            if pd.af_to() {
                let Some(icmp) = packet.icmp.and_then(|icmp| icmp_of_other_family(pd.family, icmp)) else {
                    return false;
                };
                packet.icmp = Some(icmp);
                rewritten = true;
            }
            let echo_request = match pd.family {
                Family::Inet => icmp::ECHO,
                Family::Inet6 => icmp::ECHO_REQUEST6,
            };
            if mapping.virtual_type == u16::from(echo_request)
                && let Some(icmp) = &mut packet.icmp
            {
                let id = match mapping.direction {
                    Direction::In => sport,
                    Direction::Out => dport,
                };
                rewritten |= icmp.id != id;
                icmp.id = id;
            }
        }
        _ => {}
    }
    if !pd.af_to() {
        let (src, dst) = (target.address[source], target.address[destination]);
        rewritten |= packet.src != src || packet.dst != dst;
        (packet.src, packet.dst) = (src, dst);
    }
    rewritten
}

/// Makes the packet one of the other family, between the new addresses (`pf_translate_af`).
pub(super) fn change_family(pd: &Descriptor, packet: &mut Packet) {
    packet.family = pd.new_family;
    packet.src = pd.new_src;
    packet.dst = pd.new_dst;
    packet.extensions.clear();
    packet.options = crate::packet::IpOptions::None;
    // What rules have set of these is lost.
    packet.tos = pd.tos;
    packet.ttl = pd.ttl;
    packet.protocol = match (packet.protocol, pd.new_family) {
        (Protocol::ICMP, Family::Inet6) => Protocol::ICMP6,
        (Protocol::ICMP6, Family::Inet) => Protocol::ICMP,
        (protocol, _) => protocol,
    };
    if pd.new_family == Family::Inet6 && (packet.ttl == 0 || packet.ttl > 64) {
        packet.ttl = 64;
    }
}

/// The message of the other family that says the same; `None` where there is none (`pf_translate_icmp_af`).
pub(super) fn icmp_of_other_family(family: Family, icmp: Icmp) -> Option<Icmp> {
    let (kind, code) = match family {
        Family::Inet6 => match (icmp.kind, icmp.code) {
            (icmp::ECHO_REQUEST6, code) => (icmp::ECHO, code),
            (icmp::ECHO_REPLY6, code) => (icmp::ECHO_REPLY, code),
            // Unreachable: no route, beyond scope, address; prohibited; port.
            (1, 0 | 2 | 3) => (3, 1),
            (1, 1) => (3, 10),
            (1, 4) => (3, 3),
            // Packet too big.
            (2, _) => (3, 4),
            // Time exceeded.
            (3, code) => (11, code),
            // Parameter problem: in the header (pf knows its place only from the message's body); next header.
            (4, 0) => (12, 0),
            (4, 1) => (3, 2),
            _ => return None,
        },
        Family::Inet => match (icmp.kind, icmp.code) {
            (icmp::ECHO, code) => (icmp::ECHO_REQUEST6, code),
            (icmp::ECHO_REPLY, code) => (icmp::ECHO_REPLY6, code),
            // Unreachable: net, host and their like; port; prohibited; protocol; too big.
            (3, 0 | 1 | 6 | 7 | 8 | 11 | 12) => (1, 0),
            (3, 3) => (1, 4),
            (3, 9 | 10 | 13 | 15) => (1, 1),
            (3, 2) => (4, 1),
            (3, 4) => (2, 0),
            // Time exceeded.
            (11, code) => (3, code),
            // Parameter problem.
            (12, 0 | 2) => (4, 0),
            _ => return None,
        },
    };
    Some(Icmp { kind, code, ..icmp })
}
