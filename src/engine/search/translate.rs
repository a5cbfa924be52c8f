//! What nat-to, rdr-to and af-to make of a header (`pf_get_transaddr`, `pf_map_addr`, `pf_get_sport`).

use super::compiled::Compiled;
use super::rewriting::{Narrowed, Now, Reading, Term};
use crate::context::{Interface, InterfaceAddress};
use crate::engine::packets::around::narrow;
use crate::engine::packets::header::{Field, Header, PacketBox};
use crate::engine::packets::space::{InterfaceId, address_number};
use crate::engine::packets::transport;
use crate::engine::rules::pool::{Supply, supply};
use crate::engine::rules::routing::{line, link_local, prefix};
use crate::net::{Family, Operator, RangeSet};
use crate::ruleset::{AfTo, Host, IcmpMatch, NatPorts, Pool, PoolAddress, RdrPorts, Rule, Translation};

/// Into how many boxes `bitmask` may part those of one rule: of more nothing is said.
const MOST_MOVED: u128 = 1024;

/// The fields of one translation.
pub(super) struct Translator<'t, 'a> {
    pub(super) compiled: &'t Compiled<'a>,
    /// The family of the original header.
    pub(super) original: Family,
    /// A packet, and the box around it for which the outcome is to hold: made smaller where it must be.
    pub(super) at: &'t Header,
    pub(super) within: &'t mut PacketBox,
    /// The number of the last choice that was made.
    pub(super) choices: &'t mut u32,
}

impl Translator<'_, '_> {
    fn supply(&self, pool: &Pool, anchor: &str, family: Family) -> Supply {
        supply(self.compiled.ruleset, self.compiled.context, pool, anchor, family)
    }

    fn one_of(&mut self, set: RangeSet) -> Term {
        *self.choices += 1;
        Term::OneOf(*self.choices, set)
    }

    /// Does what the rule of that number says to the header; `false` where pf cannot.
    pub(super) fn apply(&mut self, number: usize, rule: &Rule, now: &mut Now) -> bool {
        if let Some(rtable) = rule.rtable {
            now.rtable = Some(rtable);
        }
        let anchor = self
            .compiled
            .list
            .rules
            .get(number)
            .map(|(id, _)| id.anchor.clone())
            .unwrap_or_default();
        match rule.translation.as_deref() {
            None => true,
            Some(Translation::Nat { pool, ports }) => self.nat(pool, *ports, &anchor, now),
            Some(Translation::Rdr { pool, ports }) => self.rdr(pool, *ports, rule, &anchor, now),
            Some(Translation::NatAndRdr {
                nat,
                nat_ports,
                rdr,
                rdr_ports,
            }) => self.nat(nat, *nat_ports, &anchor, now) && self.rdr(rdr, *rdr_ports, rule, &anchor, now),
            Some(Translation::Af(af)) => self.af(af, rule, &anchor, now),
        }
    }

    /// Sends a translated neighbour solicitation to whom it asks for, which no field tells
    /// (`pf_state_key_addr_setup`); `false` where only its destination is translated: then both keys of its state are
    /// the same, which pf refuses (`pf_state_key_attach`).
    ///
    /// What goes on in another routing domain is translated, too. What the machine itself sends by the interface `sent_by` asks for
    /// its neighbours there.
    pub(super) fn retarget(
        &mut self,
        before: &Now,
        now: &mut Now,
        other_domain: bool,
        sent_by: Option<InterfaceId>,
    ) -> bool {
        let is_changed = |field| now.term(field) != before.term(field);
        let is_new = is_changed(Field::Source) || other_domain;
        let both = [now.family, before.family] == [Family::Inet6; 2];
        if !both || !(is_new || is_changed(Field::Destination)) {
            return true;
        }
        let asking = transport::icmp_match(IcmpMatch { kind: 135, code: None });
        let asks = asking.contains(self.at.get(Field::Transport));
        let line = Field::Transport.line(self.original);
        let kept = if asks { asking } else { line.minus(&asking) };
        narrow(self.within, Field::Transport, &kept);
        if asks {
            let asked = match sent_by.and_then(|on| self.compiled.context.interfaces.get(on)) {
                Some(on) => self.neighbours(on),
                None => Field::Destination.line(now.family),
            };
            let asked = self.one_of(asked);
            now.later.push((Field::Destination, asked));
        }
        is_new || !asks
    }

    /// For whom the machine asks by that interface (`nd6_ns_output`): from a link-local address for one of those, else for others
    /// of its networks.
    fn neighbours(&mut self, on: &Interface) -> RangeSet {
        let (line, link_local) = (line(Family::Inet6), link_local());
        let global = line.minus(&link_local);
        if link_local.contains(self.at.get(Field::Source)) {
            narrow(self.within, Field::Source, &link_local);
            return link_local;
        }
        narrow(self.within, Field::Source, &global);
        if on.has_unknown(Family::Inet6) {
            return line;
        }
        let context = self.compiled.context;
        let nets = on.addresses_of(Family::Inet6).filter_map(InterfaceAddress::known);
        let nets = RangeSet::from_ranges(nets.flat_map(|net| prefix(net).ranges().to_vec()));
        let own = context
            .interfaces
            .iter()
            .flat_map(|one| one.addresses_of(Family::Inet6));
        let own = own
            .filter_map(InterfaceAddress::known)
            .map(|net| address_number(net.addr()));
        let others = nets
            .intersection(&global)
            .minus(&RangeSet::from_ranges(own.map(|own| (own, own))));
        if others.is_empty() { line } else { others }
    }

    /// Makes the box smaller so that a field that now stands for the original's number stays in a range around it.
    fn keep(&mut self, now: &Now, field: Field, set: &RangeSet) {
        if let Reading::On(field, set) = now.read(field, set, self.original, &Narrowed::new()) {
            narrow(self.within, field, &set);
        }
    }

    /// The numbers in the box of the field that a field now stands for.
    fn numbers(&self, now: &Now, field: Field) -> RangeSet {
        match now.term(field) {
            Term::From(from, _) => self.within.numbers(*from),
            Term::OneOf(_, set) => set.clone(),
            Term::Open(_) => RangeSet::empty(),
        }
    }

    /// Whether the packets have ports; the box is made smaller so that all agree.
    fn ported(&mut self) -> bool {
        let ported = transport::ported();
        let here = ported.contains(self.at.get(Field::Transport));
        let kept = if here {
            ported
        } else {
            Field::Transport.line(self.original).minus(&ported)
        };
        narrow(self.within, Field::Transport, &kept);
        here
    }

    /// Gives a field an address of the pool.
    fn address(&mut self, field: Field, supply: Supply, now: &mut Now) -> bool {
        let term = match supply {
            Supply::Nothing => return false,
            Supply::OneOf(set) => self.one_of(set),
            Supply::Open(address) => Term::Open(address.into()),
            Supply::Unmodelled(why) => {
                now.unmodelled = Some(why.into());
                self.one_of(line(now.family))
            }
            Supply::Masked(net) => {
                let hosts = u128::MAX
                    .checked_shl(u32::from(net.max_prefix_len() - net.prefix_len()))
                    .map_or(u128::MAX, |mask| !mask);
                match now.number(field, self.at) {
                    Some(_) if self.numbers(now, field).len() / hosts.saturating_add(1) > MOST_MOVED => {
                        now.unmodelled = Some("`bitmask` of addresses of so many networks is not followed".into());
                        self.one_of(prefix(net))
                    }
                    Some(number) => {
                        let first = number & !hosts;
                        self.keep(now, field, &RangeSet::range(first, first | hosts));
                        now.shift(field, address_number(net.network()).wrapping_sub(first));
                        return true;
                    }
                    None => self.one_of(prefix(net)),
                }
            }
        };
        now.set(field, term);
        true
    }

    fn nat(&mut self, pool: &Pool, ports: NatPorts, anchor: &str, now: &mut Now) -> bool {
        let supply = self.supply(pool, anchor, now.family);
        if !self.address(Field::Source, supply, now) {
            return false;
        }
        self.source_port(ports, now);
        true
    }

    fn source_port(&mut self, ports: NatPorts, now: &mut Now) {
        let range = match ports {
            NatPorts::Static => return,
            NatPorts::Default => RangeSet::range(50001, 65535),
            NatPorts::Range(a, b) => RangeSet::range(u128::from(a.min(b)), u128::from(a.max(b))),
        };
        if self.ported() {
            let term = self.one_of(range);
            now.set(Field::SourcePort, term);
        }
    }

    fn rdr(&mut self, pool: &Pool, ports: Option<RdrPorts>, rule: &Rule, anchor: &str, now: &mut Now) -> bool {
        let supply = self.supply(pool, anchor, now.family);
        if !self.address(Field::Destination, supply, now) {
            return false;
        }
        if let Some(ports) = ports.filter(|ports| ports.first != 0) {
            if self.ported() {
                self.destination_port(ports, rule, now);
            } else {
                self.port_of_key(ports, now);
            }
        }
        true
    }

    /// What a port that is given does to packets without ports: it is in the key of their state alone
    /// (`pf_state_key_setup`). The key of an icmp query has the type there.
    fn port_of_key(&mut self, RdrPorts { first, last }: RdrPorts, now: &mut Now) {
        now.unanswerable = true;
        let Ok(kind) = u8::try_from(first) else { return };
        let queries = transport::icmp_match(IcmpMatch { kind, code: None });
        let is_type = queries.contains(self.at.get(Field::Transport));
        let line = Field::Transport.line(self.original);
        narrow(
            self.within,
            Field::Transport,
            &if is_type { queries } else { line.minus(&queries) },
        );
        if is_type || last != 0 {
            now.unmodelled = Some("a port that may be the type of an icmp query is not followed".into());
        }
    }

    fn destination_port(&mut self, ports: RdrPorts, rule: &Rule, now: &mut Now) {
        let size = u128::from(size(ports));
        if ports.last == 0 || size == 1 {
            let term = self.one_of(RangeSet::single(ports.first.into()));
            now.set(Field::DestinationPort, term);
            return;
        }
        let port = now.number(Field::DestinationPort, self.at);
        let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else {
            let term = self.one_of(RangeSet::range(1, 65535));
            now.set(Field::DestinationPort, term);
            return;
        };
        let to = |port| redirected(port, ports, rule.destination.port);
        if self.numbers(now, Field::DestinationPort).len() > size * size {
            // There are fewer ports to go to than ways to get there: those that go to one of them are taken together.
            let same = (0..=u16::MAX).filter(|&other| to(other) == to(port));
            let same = RangeSet::from_ranges(same.map(|port| (port.into(), port.into())));
            self.keep(now, Field::DestinationPort, &same);
            let term = self.one_of(RangeSet::single(to(port).into()));
            now.set(Field::DestinationPort, term);
            return;
        }
        let by = |port| i32::from(to(port)) - i32::from(port);
        let alike = |other: &u16| by(*other) == by(port);
        let first = (0..=port).rev().take_while(alike).last().unwrap_or(port);
        let last = (port..=u16::MAX).take_while(alike).last().unwrap_or(port);
        self.keep(now, Field::DestinationPort, &RangeSet::range(first.into(), last.into()));
        let by = u128::from(to(port)).wrapping_sub(port.into());
        now.shift(Field::DestinationPort, by);
    }

    /// af-to (`pf_get_transaddr_af`, inet_nat64.c). Prefixes of the lengths of RFC 6052 other than 96 are followed for
    /// single addresses, not bit by bit: else nothing is said of the packets.
    fn af(&mut self, af: &AfTo, rule: &Rule, anchor: &str, now: &mut Now) -> bool {
        let mut after = now.clone();
        after.family = af.family;
        let nat = self.supply(&af.source, anchor, af.family);
        let source = match nat.clone() {
            Supply::Masked(net) => Supply::OneOf(prefix(net)),
            other => other,
        };
        if !self.address(Field::Source, source, &mut after) {
            return false;
        }
        self.source_port(af.ports, &mut after);
        // The network whose first bits the address takes, and how many of its last 32 bits these are.
        let given = |pool: &Pool| match &pool.address {
            PoolAddress::Prefix(net) => Some(*net),
            PoolAddress::Dynamic(_) | PoolAddress::Table(_) | PoolAddress::Other(_) => None,
        };
        let low = u128::from(u32::MAX);
        let embedding = match (&af.destination, af.family) {
            (Some(pool), Family::Inet) => given(pool).map(|net| (address_number(net.network()), net.prefix_len())),
            (Some(pool), Family::Inet6) => given(pool)
                .filter(|net| net.prefix_len() >= 96)
                .map(|net| (address_number(net.network()), net.prefix_len() - 96)),
            (None, Family::Inet) => match rule.destination.host {
                Host::Prefix(net) => (net.prefix_len() >= 96 || net.prefix_len() < 32).then_some((0, 0)),
                Host::Any => Some((0, 0)),
                Host::Range(..) | Host::Dynamic(_) | Host::Table(_) | Host::NoRoute | Host::UrpfFailed => None,
                Host::RouteLabel(_) => None,
            },
            (None, Family::Inet6) => given(&af.source)
                .filter(|net| net.prefix_len() >= 96)
                .map(|net| (address_number(net.network()) & !low, 0)),
        };
        let term = match embedding.zip(now.number(Field::Destination, self.at)) {
            // It is one address, whatever it was.
            Some(((network, 32..), _)) => self.one_of(RangeSet::single(network)),
            Some(((network, bits), number)) => {
                let hosts = low.checked_shr(u32::from(bits)).unwrap_or(0);
                let first = number & !hosts;
                self.keep(now, Field::Destination, &RangeSet::range(first, first | hosts));
                after.shift(Field::Destination, (network & !hosts).wrapping_sub(first));
                after.term(Field::Destination).clone()
            }
            None => match self.embedded(af, rule, now) {
                Some(address) => self.one_of(RangeSet::single(address)),
                None => {
                    after.unmodelled = Some("what `af-to` makes of these destinations is not followed".into());
                    self.one_of(line(af.family))
                }
            },
        };
        after.set(Field::Destination, term);
        if let Some(ports) = af.destination_ports.filter(|ports| ports.first != 0) {
            if self.ported() {
                let term = self.one_of(RangeSet::single(u128::from(ports.first)));
                after.set(Field::DestinationPort, term);
            } else {
                self.port_of_key(ports, &mut after);
            }
        }
        if self.is_rewritten(af, now.family) {
            self.icmp(now.family, &mut after);
            *now = after;
        } else {
            // Its state is between the families, the packet is not.
            now.unanswerable = true;
        }
        true
    }

    /// The IPv4 address that is in the only destination of the box, where RFC 6052 has it behind such a prefix: its
    /// octet 8 is left out.
    fn embedded(&self, af: &AfTo, rule: &Rule, now: &Now) -> Option<u128> {
        let (None, Family::Inet, Host::Prefix(net)) = (&af.destination, af.family, &rule.destination.host) else {
            return None;
        };
        let destinations = self.numbers(now, Field::Destination);
        let number = now.number(Field::Destination, self.at)?;
        let length = net.prefix_len();
        if destinations.len() != 1 || !matches!(length, 32 | 40 | 48 | 56 | 64) {
            return None;
        }
        let octets = number.to_be_bytes().into_iter().enumerate();
        let octets = octets.skip(usize::from(length / 8)).filter(|(at, _)| *at != 8);
        let octets = octets.take(4).map(|(_, octet)| octet);
        Some(octets.fold(0, |address, octet| address << 8 | u128::from(octet)))
    }

    /// Whether anything in the packet's own header changes with the family: else pf lets it go on as it is
    /// (`pf_test_rule`, `rewrite`). The box is made smaller so that all agree.
    fn is_rewritten(&mut self, af: &AfTo, before: Family) -> bool {
        let icmp = transport::echo_requests(before);
        let keeps_ports = af.ports == NatPorts::Static && af.destination_ports.is_none();
        let changing = if keeps_ports {
            icmp
        } else {
            icmp.union(&transport::ported())
        };
        let changes = changing.contains(self.at.get(Field::Transport));
        let kept = if changes {
            changing
        } else {
            Field::Transport.line(self.original).minus(&changing)
        };
        narrow(self.within, Field::Transport, &kept);
        changes
    }

    /// Echo requests become those of the other family.
    fn icmp(&mut self, before: Family, after: &mut Now) {
        let own = transport::echo_requests(before);
        if own.contains(self.at.get(Field::Transport)) {
            let first = |family: Family| transport::echo_requests(family).first().unwrap_or(0);
            narrow(self.within, Field::Transport, &own);
            after.shift(Field::Transport, first(after.family).wrapping_sub(first(before)));
        } else {
            let others = Field::Transport.line(self.original).minus(&own);
            narrow(self.within, Field::Transport, &others);
        }
    }
}

/// The port that rdr-to makes of one: as far from the first of the target as it was from the first number of the rule's `port`,
/// around in the target (`pf_get_transaddr`, in signed and then in unsigned numbers, as the kernel).
fn redirected(port: u16, ports: RdrPorts, matched: Option<Operator<u16>>) -> u16 {
    let base = matched.map_or(0, Operator::first);
    let offset = (i32::from(port) - i32::from(base)) % i32::from(size(ports));
    let moved = (offset + i32::from(ports.first)) as u32;
    let around = if moved > 65535 {
        moved.wrapping_sub(65535)
    } else {
        moved
    };
    match around as u16 {
        0 => port,
        to => to,
    }
}

/// How many ports the target has, as the kernel counts them: it wraps, and 0 are taken for one.
fn size(ports: RdrPorts) -> u16 {
    ports.last.wrapping_sub(ports.first).wrapping_add(1).max(1)
}
