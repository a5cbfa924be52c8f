//! What a rule does to addresses and ports: nat-to, rdr-to, af-to (`pf_get_transaddr`, `pf_get_sport`,
//! `pf_get_transaddr_af`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::choices::Choices;
use super::descriptor::Descriptor;
use super::icmp;
use super::machine::{CompiledPool, CompiledRule, Machine, RuleRef};
use super::memory::{Memory, PoolUse};
use super::pool::{Asker, LISTED, Mapped, alternatives, in_family, map_address, mask_length, pool_mask};
use super::record::{Chosen, Unproven};
use super::state::StateKey;
use crate::net::{Direction, Family, Operator, Protocol};
use crate::ruleset::{AfTo, Host, NatPorts, PoolKind, RdrPorts, Rule, Translation};

/// The ports that nat-to takes if nothing else is said (`PF_NAT_PROXY_PORT_LOW`, `_HIGH`).
const NAT_PORTS: (u16, u16) = (50001, 65535);

/// Ports that are never handed out at random (`DEFBADDYNAMICPORTS_TCP`, `_UDP` of in_pcb.h).
const BAD_TCP_PORTS: [u16; 18] = [
    587, 749, 750, 751, 853, 871, 2049, 6000, 6001, 6002, 6003, 6004, 6005, 6006, 6007, 6008, 6009, 6010,
];
const BAD_UDP_PORTS: [u16; 9] = [623, 664, 749, 750, 751, 2049, 3784, 3785, 7784];

/// The packet has what the rule makes of it, or the rule finds no address or port.
pub(super) type Translated = Option<()>;

/// What a rule asks of its translation, and with what.
struct Translator<'t, 'a> {
    machine: &'t Machine<'a>,
    place: RuleRef,
    memory: &'t mut Memory,
    choices: &'t mut dyn Choices,
}

/// Gives the packet's description the addresses and ports that the rule translates to; `None` where it finds none.
pub(super) fn translate(
    machine: &Machine<'_>,
    compiled: &CompiledRule<'_>,
    place: RuleRef,
    pd: &mut Descriptor,
    memory: &mut Memory,
    choices: &mut dyn Choices,
) -> Result<Translated, Unproven> {
    let mut translator = Translator {
        machine,
        place,
        memory,
        choices,
    };
    let Some(translation) = compiled.rule.translation.as_deref() else {
        return Ok(Some(()));
    };
    match (translation, &compiled.nat, &compiled.rdr) {
        (Translation::Nat { pool: _, ports }, Some(pool), _) => translator.nat(pool, *ports, pd),
        (Translation::Rdr { pool: _, ports }, _, Some(pool)) => translator.rdr(pool, *ports, compiled.rule, pd),
        (
            Translation::NatAndRdr {
                nat: _,
                nat_ports,
                rdr: _,
                rdr_ports,
            },
            Some(nat),
            Some(rdr),
        ) => Ok(match translator.nat(nat, *nat_ports, pd)? {
            Some(()) => translator.rdr(rdr, *rdr_ports, compiled.rule, pd)?,
            None => None,
        }),
        (Translation::Af(af_to), Some(pool), rdr) => {
            pd.new_family = af_to.family;
            if pd.af_to() {
                translator.af(af_to, pool, rdr.as_ref(), compiled, pd)
            } else {
                Ok(None)
            }
        }
        // A pool is there for each that the rule names.
        (
            Translation::Nat { .. } | Translation::Rdr { .. } | Translation::NatAndRdr { .. } | Translation::Af(_),
            _,
            _,
        ) => Ok(None),
    }
}

/// A source and its port.
struct Source {
    address: Mapped,
    port: u16,
    port_chosen: Chosen<u16>,
}

impl Translator<'_, '_> {
    fn nat(&mut self, pool: &CompiledPool<'_>, ports: NatPorts, pd: &mut Descriptor) -> Result<Translated, Unproven> {
        let Some(source) = self.source(pool, ports, pd)? else {
            return Ok(None);
        };
        pd.new_src = source.address.address;
        pd.new_sport = source.port;
        pd.chosen.src = source.address.chosen;
        pd.chosen_source_port(source.port_chosen);
        Ok(Some(()))
    }

    fn rdr(
        &mut self,
        pool: &CompiledPool<'_>,
        ports: Option<RdrPorts>,
        rule: &Rule,
        pd: &mut Descriptor,
    ) -> Result<Translated, Unproven> {
        let asker = Asker {
            rule: self.place,
            what: PoolUse::Rdr,
            family: pd.family,
            source: pd.new_src,
        };
        let Some(mut mapped) = map_address(self.machine, pool, asker, self.memory, self.choices)? else {
            return Ok(None);
        };
        if pool.pool.kind == PoolKind::Bitmask {
            // The host part is that of the old destination.
            mapped.address = pool_mask(mapped.address, mask_length(pool, pd.family), pd.new_dst);
        }
        pd.new_dst = mapped.address;
        pd.chosen.dst = mapped.chosen;
        if let Some(ports) = ports {
            let port = redirect_port(ports, rule.destination.port, pd.new_dport);
            if port != 0 {
                pd.new_dport = port;
                pd.chosen.dport = Chosen::Fixed;
            }
        }
        Ok(Some(()))
    }

    /// The source of a translation and a port that no state has (`pf_get_sport`).
    fn source(
        &mut self,
        pool: &CompiledPool<'_>,
        ports: NatPorts,
        pd: &Descriptor,
    ) -> Result<Option<Source>, Unproven> {
        let asker = Asker {
            rule: self.place,
            what: PoolUse::Nat,
            family: pd.new_family,
            source: in_family(pd.new_src, pd.new_family),
        };
        let Some(first) = map_address(self.machine, pool, asker, self.memory, self.choices)? else {
            return Ok(None);
        };
        let (mut low, mut high) = match ports {
            NatPorts::Default => NAT_PORTS,
            NatPorts::Static => (0, 0),
            NatPorts::Range(a, b) => (a.min(b), a.max(b)),
        };
        let echo_request = match pd.protocol {
            Protocol::ICMP => Some(icmp::ECHO),
            Protocol::ICMP6 => Some(icmp::ECHO_REQUEST6),
            _ => None,
        };
        if let Some(echo_request) = echo_request {
            if pd.new_dport != u16::from(echo_request) {
                // Other messages have no identifier that could be changed; the state's key gets none.
                return Ok(Some(Source {
                    address: first,
                    port: 0,
                    port_chosen: Chosen::Fixed,
                }));
            }
            (low, high) = (1, u16::MAX);
        }
        if let Some((port, port_chosen)) = self.port(pd, first.address, low, high)? {
            return Ok(Some(Source {
                address: first,
                port,
                port_chosen,
            }));
        }
        for address in alternatives(pool, asker)? {
            if let Some((port, port_chosen)) = self.port(pd, address, low, high)? {
                let address = Mapped { address, ..first };
                return Ok(Some(Source {
                    address,
                    port,
                    port_chosen,
                }));
            }
        }
        Ok(None)
    }

    /// A source port that no state has with that address; `None` where all are taken.
    fn port(
        &mut self,
        pd: &Descriptor,
        address: IpAddr,
        low: u16,
        high: u16,
    ) -> Result<Option<(u16, Chosen<u16>)>, Unproven> {
        let states = &self.memory.states;
        let is_taken = |port: u16| {
            let (source, destination) = (pd.source_index(), 1 - pd.source_index());
            let mut key = StateKey {
                family: pd.new_family,
                protocol: pd.protocol,
                rdomain: pd.rdomain,
                address: [address; 2],
                port: [port; 2],
            };
            key.address[destination] = pd.new_dst;
            key.port[destination] = pd.new_dport;
            key.port[source] = port;
            // The new state will be found from the other side.
            states.is_taken(&key, pd.direction.other())
        };
        let has_ports = matches!(
            pd.protocol,
            Protocol::TCP | Protocol::UDP | Protocol::ICMP | Protocol::ICMP6
        );
        if !has_ports || (low == 0 && high == 0) {
            return Ok((!is_taken(pd.new_sport)).then_some((pd.new_sport, Chosen::Fixed)));
        }
        if low == high {
            return Ok((!is_taken(low)).then_some((low, Chosen::Fixed)));
        }
        let taken = |port: u16| is_taken(port) || is_bad(pd.protocol, port);
        // What is chosen at random is hardly ever what was there before.
        let taken_or_own = |port: u16| taken(port) || port == pd.new_sport;
        let id = self.machine.id(self.place);
        let chosen = if !(low..=high).all(taken_or_own) {
            self.choices.port(&id, low, high, &taken_or_own)
        } else if !(low..=high).all(taken) {
            self.choices.port(&id, low, high, &taken)
        } else {
            return Ok(None);
        };
        match chosen {
            Some(port) if u128::from(high - low) < LISTED => Ok(Some((port, Chosen::OneOf((low..=high).collect())))),
            Some(port) => Ok(Some((port, Chosen::Random))),
            None => Err(Unproven(format!("rule {id}: the port it chooses is not known"))),
        }
    }

    fn af(
        &mut self,
        af_to: &AfTo,
        pool: &CompiledPool<'_>,
        rdr: Option<&CompiledPool<'_>>,
        compiled: &CompiledRule<'_>,
        pd: &mut Descriptor,
    ) -> Result<Translated, Unproven> {
        let Some(source) = self.source(pool, af_to.ports, pd)? else {
            return Ok(None);
        };
        let new_src = source.address.address;
        pd.new_sport = source.port;
        pd.chosen_source_port(source.port_chosen);
        let query_side = match pd.direction {
            Direction::In => &mut pd.new_dport,
            Direction::Out => &mut pd.new_sport,
        };
        *query_side = echo_of_other_family(pd.protocol, *query_side);
        let new_dst = match rdr {
            Some(rdr) => {
                let asker = Asker {
                    rule: self.place,
                    what: PoolUse::Rdr,
                    family: pd.new_family,
                    source: new_src,
                };
                let Some(mapped) = map_address(self.machine, rdr, asker, self.memory, self.choices)? else {
                    return Ok(None);
                };
                pd.chosen.dst = mapped.chosen;
                if let Some(ports) = af_to.destination_ports.filter(|ports| ports.first != 0) {
                    pd.new_dport = ports.first;
                }
                combine(pd.new_dst, mapped.address, mask_length(rdr, pd.new_family))
            }
            None => match (pd.new_dst, new_src) {
                // The prefix is that of the rule's destination.
                (IpAddr::V6(dst), IpAddr::V4(_)) => destination_length(&compiled.rule.destination.host)
                    .and_then(|length| extract(dst, dst, if length < 32 { 96 } else { length }))
                    .map(IpAddr::V4),
                // The prefix is that of the new source.
                (IpAddr::V4(dst), IpAddr::V6(src)) => {
                    Some(IpAddr::V6(embed(dst, src, mask_length(pool, pd.new_family).min(96))))
                }
                _ => None,
            },
        };
        let Some(new_dst) = new_dst else {
            return Err(Unproven(format!(
                "rule {}: af-to with a prefix of that length has no defined result",
                self.machine.id(self.place)
            )));
        };
        pd.new_src = new_src;
        pd.new_dst = new_dst;
        pd.chosen.src = source.address.chosen;
        Ok(Some(()))
    }
}

impl Descriptor {
    /// Notes how the source port was found: of icmp it is the identifier.
    fn chosen_source_port(&mut self, chosen: Chosen<u16>) {
        match self.protocol {
            Protocol::ICMP | Protocol::ICMP6 => self.chosen.icmp_id = chosen,
            _ => self.chosen.sport = chosen,
        }
    }
}

fn is_bad(protocol: Protocol, port: u16) -> bool {
    match protocol {
        Protocol::TCP => BAD_TCP_PORTS.contains(&port),
        Protocol::UDP => BAD_UDP_PORTS.contains(&port),
        _ => false,
    }
}

/// The port that rdr-to sends to: ranges keep the offset from the first number of the rule's `to port`, modulo the
/// size of the target.
fn redirect_port(ports: RdrPorts, matched: Option<Operator<u16>>, port: u16) -> u16 {
    if ports.last == 0 {
        return ports.first;
    }
    let base = matched.map_or(0, Operator::first);
    let size = i64::from(ports.last.wrapping_sub(ports.first).wrapping_add(1)).max(1);
    // The kernel computes with signed numbers here and unsigned ones from here on.
    let offset = (i64::from(port) - i64::from(base)) % size;
    let shifted = (offset + i64::from(ports.first)) as u32;
    let wrapped = if shifted > 65535 {
        shifted.wrapping_sub(65535)
    } else {
        shifted
    };
    wrapped as u16
}

/// The type of an echo in the other family's icmp; other types stay.
fn echo_of_other_family(protocol: Protocol, kind: u16) -> u16 {
    let (request, reply) = (u16::from(icmp::ECHO), u16::from(icmp::ECHO_REPLY));
    let (request6, reply6) = (u16::from(icmp::ECHO_REQUEST6), u16::from(icmp::ECHO_REPLY6));
    match protocol {
        Protocol::ICMP6 if kind == request6 => request,
        Protocol::ICMP6 if kind == reply6 => reply,
        Protocol::ICMP if kind == request => request6,
        Protocol::ICMP if kind == reply => reply6,
        _ => kind,
    }
}

/// The address of the other family that an address and a pool's prefix make (`inet_nat46`, `inet_nat64`).
fn combine(address: IpAddr, prefix: IpAddr, length: u8) -> Option<IpAddr> {
    match (address, prefix) {
        (IpAddr::V6(address), IpAddr::V4(prefix)) => {
            let host = u128::from(address) as u32;
            Some(IpAddr::V4(blend(host, prefix.into(), length).into()))
        }
        (IpAddr::V4(address), IpAddr::V6(prefix)) => Some(IpAddr::V6(embed(address, prefix, length))),
        _ => None,
    }
}

/// The first `length` bits of the prefix, the others of the host.
fn blend(host: u32, prefix: u32, length: u8) -> u32 {
    let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
    (host & !mask) | (prefix & mask)
}

/// Where RFC 6052 puts the octets of an IPv4 address behind a prefix of that length; octet 8 is left out.
fn octets(length: u8) -> Option<[usize; 4]> {
    match length {
        32 => Some([4, 5, 6, 7]),
        40 => Some([5, 6, 7, 9]),
        48 => Some([6, 7, 9, 10]),
        56 => Some([7, 9, 10, 11]),
        64 => Some([9, 10, 11, 12]),
        96 => Some([12, 13, 14, 15]),
        _ => None,
    }
}

/// The IPv4 address in an IPv6 address behind a prefix of that length (`inet_nat64_inet`); `None` for lengths that
/// have no place for one.
fn extract(address: Ipv6Addr, prefix: Ipv6Addr, length: u8) -> Option<Ipv4Addr> {
    let from = address.octets();
    match octets(length) {
        Some(places) => Some(places.map(|place| from[place]).into()),
        None if (96..=128).contains(&length) => {
            let (host, prefix) = (u128::from(address) as u32, u128::from(prefix) as u32);
            Some(blend(host, prefix, length - 96).into())
        }
        None => None,
    }
}

/// The IPv6 address that holds an IPv4 address behind a prefix of that length (`inet_nat64_inet6`); the prefix alone
/// for lengths that have no place for one.
fn embed(address: Ipv4Addr, prefix: Ipv6Addr, length: u8) -> Ipv6Addr {
    let mut into = prefix.octets();
    match octets(length) {
        Some(places) => {
            into[8] = 0;
            for (place, octet) in places.into_iter().zip(address.octets()) {
                into[place] = octet;
            }
            into.into()
        }
        None if (96..=128).contains(&length) => {
            let low = blend(address.into(), u128::from(prefix) as u32, length - 96);
            ((u128::from(prefix) >> 32 << 32) | u128::from(low)).into()
        }
        None => prefix,
    }
}

/// The length of the mask in a rule's destination (`dst.addr.v.a.mask`): a table's name lies in its place, of which no
/// byte is all ones; `None` for a range, whose end lies there.
fn destination_length(host: &Host) -> Option<u8> {
    match host {
        Host::Prefix(prefix) => Some(prefix.prefix_len()),
        Host::Dynamic(dynamic) => Some(dynamic.prefix.unwrap_or(Family::Inet6.bits())),
        Host::Any | Host::Table(_) | Host::NoRoute | Host::UrpfFailed | Host::RouteLabel(_) => Some(0),
        Host::Range(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_keep_the_offset() {
        let to = |first, last| RdrPorts { first, last };
        for (ports, matched, port, expected) in [
            (to(80, 0), Some(Operator::Range(1000, 2000)), 1500, 80),
            (to(500, 600), Some(Operator::Range(1000, 2000)), 1050, 550),
            (to(500, 600), Some(Operator::Range(1000, 2000)), 1101, 500),
            (to(7000, 65535), None, 25, 7025),
            (to(7000, 65535), None, 58536, 7000),
            (to(500, 600), None, 1, 501),
        ] {
            assert_eq!(
                redirect_port(ports, matched, port),
                expected,
                "{ports:?} {matched:?} {port}"
            );
        }
    }

    #[test]
    fn families_are_embedded_as_rfc_6052_says() {
        let v4: Ipv4Addr = "192.0.2.33".parse().unwrap();
        for (prefix, length, expected) in [
            ("2001:db8::", 32, "2001:db8:c000:221::"),
            ("2001:db8:100::", 40, "2001:db8:1c0:2:21::"),
            ("2001:db8:122::", 48, "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::", 56, "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::", 64, "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::", 96, "2001:db8:122:344::192.0.2.33"),
        ] {
            let embedded = embed(v4, prefix.parse().unwrap(), length);
            assert_eq!(embedded, expected.parse::<Ipv6Addr>().unwrap());
            assert_eq!(extract(embedded, embedded, length), Some(v4));
        }
    }
}
