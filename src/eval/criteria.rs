//! Whether one rule matches one packet: every criterion, in the order in which pf tests them (the `PF_TEST_ATTRIB`s
//! of `pf_match_rule`).

use std::cell::Cell;
use std::net::IpAddr;

use super::descriptor::{Descriptor, Mbuf, VirtualProtocol};
use super::machine::{Addresses, CompiledRule, Machine};
use super::record::{Criterion, Unproven};
use crate::context::{RouteKind, has_scope};
use crate::net::{Direction, Family, FlagsMatch, Operator, Protocol, TcpFlags};
use crate::packet::Packet;
use crate::ruleset::{InterfaceMatch, Name, Peer, Rule};

/// How a rule and a packet come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// All criteria hold.
    Match,
    /// This is the first that does not.
    Miss(Criterion),
}

/// What the evaluation of a ruleset has come to, as far as rules ask for it.
pub(super) struct Seen<'e> {
    /// The routing table that match rules have set.
    pub(super) rtable: u32,
    /// The tag on the packet.
    pub(super) tag: Option<&'e Name>,
    /// Set once a rule asks for the tag.
    pub(super) tag_read: &'e Cell<bool>,
}

/// Answers what the packet does not show, for one rule: whether a criterion that only the running machine knows
/// holds.
pub(super) type Open<'e> = dyn FnMut(Criterion) -> Result<bool, Unproven> + 'e;

/// Yields a miss unless the condition holds.
macro_rules! require {
    ($condition:expr, $criterion:ident) => {
        if !$condition {
            return Ok(Test::Miss(Criterion::$criterion));
        }
    };
}

impl Machine<'_> {
    /// Whether the rule matches; what only the running machine knows is asked last, for it need not be known where
    /// another criterion fails.
    pub(super) fn test(
        &self,
        compiled: &CompiledRule<'_>,
        pd: &Descriptor,
        mbuf: &Mbuf,
        seen: &Seen<'_>,
        open: &mut Open<'_>,
    ) -> Result<Test, Unproven> {
        let rule = compiled.rule;
        require!(on(&compiled.on, pd.interface), Interface);
        require!(
            rule.direction.is_none_or(|direction| direction == pd.direction),
            Direction
        );
        if let InterfaceMatch::Rdomain { negated, rdomain, .. } = rule.interface {
            require!((rdomain == pd.rdomain) != negated, Rdomain);
        }
        require!(rule.family.is_none_or(|family| family == pd.family), Family);
        require!(rule.protocol.is_none_or(|protocol| protocol == pd.protocol), Protocol);
        let source = self.peer(
            &rule.source,
            &compiled.source,
            pd.new_src,
            Some(pd.interface),
            seen.rtable,
        );
        let destination = self.peer(&rule.destination, &compiled.destination, pd.new_dst, None, seen.rtable);
        // What is not known of the one end does not matter where the other fails.
        match (source, destination) {
            (Ok(false), _) => return Ok(Test::Miss(Criterion::Source)),
            (_, Ok(false)) => return Ok(Test::Miss(Criterion::Destination)),
            (Err(unproven), _) | (_, Err(unproven)) => return Err(unproven),
            (Ok(true), Ok(true)) => {}
        }
        let os = match pd.virtual_protocol {
            VirtualProtocol::Fragment => {
                require!(is_for_fragments(rule, pd.protocol), WholePacket);
                None
            }
            VirtualProtocol::Whole(protocol @ (Protocol::TCP | Protocol::UDP)) => {
                let is_tcp = protocol == Protocol::TCP;
                let fits = |wanted: FlagsMatch| wanted.matches(mbuf.packet.flags);
                require!(!is_tcp || rule.flags.is_none_or(fits), Flags);
                require!(ports(rule.source.port, pd.new_sport), SourcePort);
                require!(ports(rule.destination.port, pd.new_dport), DestinationPort);
                require!(
                    self.owns(rule.user, mbuf.packet.user, (mbuf, Criterion::User), open)?,
                    User
                );
                require!(
                    self.owns(rule.group, mbuf.packet.group, (mbuf, Criterion::Group), open)?,
                    Group
                );
                rule.os.as_ref().filter(|_| is_tcp)
            }
            VirtualProtocol::Whole(Protocol::ICMP | Protocol::ICMP6) => {
                if let Some(mapping) = pd.icmp {
                    if let Some(wanted) = rule.icmp {
                        require!(wanted.kind == mapping.kind, IcmpType);
                        require!(wanted.code.is_none_or(|code| code == mapping.code), IcmpCode);
                    }
                    // A reply must find the state of its query, not make one.
                    let is_reply = mapping.direction == Direction::Out && !mapping.other_state;
                    let advertises = pd.family == Family::Inet6 && mapping.kind == super::icmp::NEIGHBOR_ADVERT;
                    let makes_state = keeps_state(rule) && !is_sloppy(rule);
                    require!(!is_reply || advertises || !makes_state, IcmpReply);
                }
                None
            }
            VirtualProtocol::Whole(_) => None,
        };
        require!(
            !rule.fragment || pd.virtual_protocol == VirtualProtocol::Fragment,
            Fragment
        );
        require!(rule.tos.is_none_or(|tos| tos == 0 || tos == pd.tos), Tos);
        if let Some(tagged) = &rule.tagged {
            seen.tag_read.set(true);
            require!((seen.tag == Some(&tagged.tag)) != tagged.negated, Tagged);
        }
        if let (Some(received), Some(names)) = (&rule.received_on, &compiled.received_on) {
            // What the machine sends itself was received on no interface.
            let named = mbuf
                .received_on
                .is_some_and(|interface| names.get(interface).copied().unwrap_or(false));
            require!(named != received.negated, ReceivedOn);
        }
        require!(rule.prio.is_none_or(|prio| prio == mbuf.packet.prio), Prio);
        if let Some(os) = os {
            require!(self.os(os, mbuf, open)?, Os);
        }
        // The kernel draws a number from 1 to 2^32 - 2 and wants one below the rule's.
        match rule.probability {
            None | Some(0 | u32::MAX) => {}
            Some(1) => return Ok(Test::Miss(Criterion::Probability)),
            Some(_) => require!(open(Criterion::Probability)?, Probability),
        }
        if rule.max_pkt_rate.is_some_and(|rate| rate.limit > 0) {
            require!(open(Criterion::Rate)?, Rate);
        }
        Ok(Test::Match)
    }

    /// Whether the owner of the local socket is one that a rule wants; where nobody said which it is, that is open. A packet on
    /// its way through has none (`pf_socket_lookup`).
    fn owns(
        &self,
        wanted: Option<Operator<u32>>,
        owner: Option<u32>,
        (mbuf, criterion): (&Mbuf, Criterion),
        open: &mut Open<'_>,
    ) -> Result<bool, Unproven> {
        match wanted {
            None => Ok(true),
            Some(_) if self.open_sockets && owner.is_none() && !mbuf.forwarded => open(criterion),
            Some(_) => {
                let owner = owner.filter(|&id| id != Packet::NO_SOCKET && !mbuf.forwarded);
                Ok(id(wanted, owner.unwrap_or(Rule::UNKNOWN_ID)))
            }
        }
    }

    /// Whether the sender's system fits: only a first SYN has a fingerprint (`pf_osfp_fingerprint`).
    fn os(&self, os: &str, mbuf: &Mbuf, open: &mut Open<'_>) -> Result<bool, Unproven> {
        let flags = mbuf.packet.flags;
        if flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK) {
            open(Criterion::Os)
        } else {
            Ok(os == "unknown")
        }
    }

    /// Whether one end fits what a rule asks for, but for ports (`PF_MISMATCHAW`).
    fn peer(
        &self,
        peer: &Peer,
        addresses: &Addresses<'_>,
        address: IpAddr,
        interface: Option<usize>,
        rtable: u32,
    ) -> Result<bool, Unproven> {
        let matches = match addresses {
            Addresses::Any => true,
            Addresses::Prefix(prefix) => prefix.contains(&address),
            Addresses::Range(first, last) => (first..=last).contains(&&address),
            Addresses::Set(set) => set.contains(address).map_err(|unknown| Unproven(unknown.why.clone()))?,
            Addresses::NoRoute => !self.is_routable(address, None, rtable)?,
            Addresses::UrpfFailed => match interface {
                Some(interface) => !self.is_routable(address, Some(interface), rtable)?,
                None => true,
            },
            Addresses::RouteLabel(label) => {
                self.known_routes(address, rtable)?;
                self.routes(rtable)
                    .lookup(address)
                    .is_some_and(|route| route.label == Some(label))
            }
        };
        Ok(matches != peer.negated)
    }

    /// Whether there is a route to the address; with an interface, whether it leaves there (`pf_routable`).
    fn is_routable(&self, address: IpAddr, interface: Option<usize>, rtable: u32) -> Result<bool, Unproven> {
        // Link-local addresses, and those of ipsec, come from wherever they came.
        let has_scope = matches!(address, IpAddr::V6(address) if has_scope(address));
        let name = interface.map(|interface| self.name(interface));
        if has_scope || name.is_some_and(|name| name.starts_with("enc")) {
            return Ok(true);
        }
        self.known_routes(address, rtable)?;
        let routes = self.routes(rtable);
        let Some(route) = routes.lookup(address) else {
            return Ok(false);
        };
        let mut equal = routes.equal(route).filter(|_| self.context.multipath);
        let by = |name: &str| route.interface == name || equal.any(|other| other.interface == name);
        Ok(name.is_none_or(by))
    }

    /// Refuses to look up a route that hangs on an address which is not known.
    ///
    /// An unknown network is taken to be none of the known ones, and an unknown address not to be the one asked for.
    /// What goes by a route that was given may lie in an unknown network, but leaves all the same if that is on the
    /// route's own interface.
    pub(super) fn known_routes(&self, address: IpAddr, rtable: u32) -> Result<(), Unproven> {
        let family = Family::of(address);
        if !self.context.has_unknown(family, rtable) {
            return Ok(());
        }
        let route = self.routes(rtable).lookup(address);
        let unknown = self.context.interfaces.iter().find(|interface| {
            interface.rdomain == rtable
                && interface.has_unknown(family)
                && route.is_none_or(|route| route.kind == RouteKind::Given && route.interface != interface.name)
        });
        match unknown {
            None => Ok(()),
            Some(interface) => Err(Unproven(format!(
                "the route of {address} hangs on the {family} address of `{}`, which is not known",
                interface.name
            ))),
        }
    }
}

/// Whether `on` holds there.
fn on(on: &Option<Vec<bool>>, interface: usize) -> bool {
    on.as_ref().is_none_or(|on| on.get(interface).copied().unwrap_or(false))
}

/// Whether the rule asks for nothing that only a whole packet has.
fn is_for_fragments(rule: &Rule, protocol: Protocol) -> bool {
    rule.source.port.is_none()
        && rule.destination.port.is_none()
        && !(protocol == Protocol::TCP && rule.flags.is_some())
        && rule.icmp.is_none()
        && rule.user.is_none()
        && rule.group.is_none()
}

fn ports(wanted: Option<Operator<u16>>, port: u16) -> bool {
    wanted.is_none_or(|wanted| wanted.matches(port))
}

/// Whether an id fits; the unknown one is neither more nor less than any (`pf_match_uid`).
fn id(wanted: Option<Operator<u32>>, owner: u32) -> bool {
    let Some(wanted) = wanted else { return true };
    let compares = !matches!(wanted, Operator::Equal(_) | Operator::NotEqual(_));
    !(owner == Rule::UNKNOWN_ID && compares) && wanted.matches(owner)
}

/// Whether it makes states.
pub(super) fn keeps_state(rule: &Rule) -> bool {
    rule.keep_state != crate::ruleset::KeepState::No
}

/// Whether its states are sloppy.
pub(super) fn is_sloppy(rule: &Rule) -> bool {
    rule.state.as_ref().is_some_and(|state| state.sloppy)
}
