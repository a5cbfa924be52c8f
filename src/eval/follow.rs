//! A packet on its way through the machine: in, by the routing table, out; or where `route-to` sends it
//! (`ip_forward`, `pf_route`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::choices::Choices;
use super::descriptor::Mbuf;
use super::hop::{Goes, Hop, Tested, without_scope};
use super::machine::Machine;
use super::memory::Memory;
use super::record::{ChosenParts, End, Evaluation, Journey, Unproven};
use crate::context::{Interface, has_scope};
use crate::net::{Direction, Family, Protocol};
use crate::packet::{Packet, Way};

impl Machine<'_> {
    /// One hop of the packet: out for [`Way::Out`], else in.
    ///
    /// # Errors
    /// [`Unproven`], where the answer depends on what is not known.
    pub fn decide(
        &self,
        packet: &Packet,
        memory: &mut Memory,
        choices: &mut dyn Choices,
    ) -> Result<Evaluation, Unproven> {
        let mut traveller = Traveller::new(self, memory, choices, false);
        let (mut mbuf, direction, interface) = self.arrival(packet)?;
        Ok(traveller.test(&mut mbuf, direction, interface)?.evaluation)
    }

    /// The way of the packet to its end: for [`Way::Forward`] in, by its route, out; else one hop, and the one that
    /// `route-to` adds.
    ///
    /// Multicast, 127/8 and link-local destinations are routed like any other, and a time to live of 1 stays, unless the
    /// machine is one [`with its stack`](Self::with_stack).
    ///
    /// # Errors
    /// [`Unproven`], where the answer depends on what is not known.
    pub fn follow(&self, packet: &Packet, memory: &mut Memory, choices: &mut dyn Choices) -> Result<Journey, Unproven> {
        let mut traveller = Traveller::new(self, memory, choices, false);
        traveller.travel(packet)
    }

    /// The same as [`Self::follow`]; the rules that did not match are noted too, each with the first criterion that
    /// failed.
    ///
    /// # Errors
    /// [`Unproven`], where the answer depends on what is not known.
    pub fn explain(
        &self,
        packet: &Packet,
        memory: &mut Memory,
        choices: &mut dyn Choices,
    ) -> Result<Journey, Unproven> {
        let mut traveller = Traveller::new(self, memory, choices, true);
        traveller.travel(packet)
    }

    /// The packet as it comes to its first hop: its direction and the place of its interface.
    fn arrival(&self, packet: &Packet) -> Result<(Mbuf, Direction, usize), Unproven> {
        let known = |name: &str| {
            self.interface(self.context.seen_on(name))
                .ok_or_else(|| Unproven(format!("there is no interface `{name}` in the context")))
        };
        let interface = known(&packet.interface)?;
        let (direction, received_on) = match packet.way {
            Way::In | Way::Forward => (Direction::In, Some(interface)),
            Way::Out => (Direction::Out, packet.received_on.as_deref().map(known).transpose()?),
        };
        let mbuf = Mbuf {
            packet: packet.clone(),
            rtable: self.rdomain(interface),
            received_on,
            forwarded: false,
            chosen: ChosenParts::default(),
        };
        Ok((mbuf, direction, interface))
    }

    /// Where a packet is going: to which address in which routing domain.
    fn destination_of(&self, mbuf: &Mbuf) -> (IpAddr, u32) {
        (mbuf.packet.dst, self.rdomain_of(mbuf.rtable))
    }

    /// The end of a packet that has passed its hop out: if that has sent it elsewhere it is routed once more, past the rules
    /// (`PF_TAG_REROUTE` in ip_output.c and ip6_forward.c).
    fn route_again(&self, sent_to: (IpAddr, u32), mbuf: &Mbuf, hops: &mut [Evaluation]) -> Result<End, Unproven> {
        let (dst, rtable) = (mbuf.packet.dst, mbuf.rtable);
        let Some(hop) = hops.last_mut() else {
            return Ok(End::Sent);
        };
        if self.destination_of(mbuf) == sent_to || hop.after.family != hop.before.family {
            return Ok(End::Sent);
        }
        if self.is_never_forwarded(dst, rtable) || self.is_local(dst, rtable, None)?.is_some() {
            return Err(Unproven(
                "what is sent to the machine itself on its way out is not followed".to_owned(),
            ));
        }
        let Some(interface) = self.route(dst, rtable)? else {
            return Ok(End::NoRoute);
        };
        self.name(interface).clone_into(&mut hop.after.interface);
        Ok(End::Sent)
    }

    /// The place of the interface by which a destination is reached; `None` without a route to it.
    fn route(&self, destination: IpAddr, rtable: u32) -> Result<Option<usize>, Unproven> {
        self.known_routes(destination, rtable)?;
        Ok(self
            .routes(rtable)
            .lookup(destination)
            .filter(|route| !route.reject)
            .and_then(|route| self.interface(route.interface)))
    }

    /// Whether rules see nothing of what is looped back in the routing domain of a table (`set skip`).
    fn skips_loopback(&self, rtable: u32) -> bool {
        let loopback = self.context.loopback_of(self.rdomain_of(rtable));
        let id = loopback.and_then(|loopback| self.interface(&loopback.name));
        id.is_some_and(|id| self.skipped.get(id) == Some(&true))
    }

    /// Whether packets to it are never sent on (`in_canforward`, `ip_output` without `IP_ALLOWBROADCAST`, `ip6_forward`).
    fn is_never_forwarded(&self, destination: IpAddr, rtable: u32) -> bool {
        match destination {
            IpAddr::V4(address) => {
                let interfaces = self.context.interfaces.iter();
                let interfaces = interfaces.filter(|interface| interface.rdomain == rtable && !interface.down);
                let mut broadcasts = interfaces.flat_map(|interface| {
                    let nets = interface.addresses.iter().filter_map(|address| address.known());
                    nets.filter_map(move |net| interface.shared_of(net))
                });
                matches!(address.octets()[0], 0 | 127)
                    || address.is_multicast()
                    || address.is_broadcast()
                    || broadcasts.any(|broadcast| broadcast == address)
            }
            IpAddr::V6(address) => {
                address.is_multicast()
                    || address.is_loopback()
                    || address.is_unspecified()
                    || address.is_unicast_link_local()
            }
        }
    }

    /// Whether the machine itself is meant: an own address of an interface, or a broadcast address of its networks while
    /// it is up. If so, where the packet ends that came in by that interface (`in_ouraddr`): without forwarding an
    /// address of another interface is not reached, but for what pf has translated to loopback, and a link-local one never.
    fn is_local(&self, destination: IpAddr, rtable: u32, from: Option<usize>) -> Result<Option<End>, Unproven> {
        let interfaces = &self.context.interfaces;
        let mut owners = interfaces.iter().filter(|interface| {
            let has = |address: IpAddr, broadcast: Option<Ipv4Addr>| {
                destination == address || broadcast.map(IpAddr::V4) == Some(destination)
            };
            let mut nets = interface.addresses.iter().filter_map(|address| address.known());
            interface.rdomain == rtable
                && interface.owns_addresses()
                && nets.any(|net| has(net.addr(), interface.broadcast_of(net).filter(|_| !interface.down)))
        });
        let Some(first) = owners.next() else {
            self.known_routes(destination, rtable)?;
            return Ok(None);
        };
        let of_link = matches!(destination, IpAddr::V6(address) if address.is_unicast_link_local());
        let forwards = self.context.forwards(Family::of(destination));
        let anywhere = forwards && !of_link || destination.is_loopback();
        let came_by = from.and_then(|from| interfaces.get(from));
        let taken = came_by.is_none_or(|came_by| {
            let is_own = |owner: &Interface| self.context.seen_on(&owner.name) == self.context.seen_on(&came_by.name);
            anywhere || came_by.takes_for_others() || is_own(first) || owners.any(is_own)
        });
        Ok(Some(if taken { End::Local } else { End::NotForwarded }))
    }
}

/// A packet's way, with what it needs.
struct Traveller<'t, 'a> {
    machine: &'t Machine<'a>,
    memory: &'t mut Memory,
    choices: &'t mut dyn Choices,
    explain: bool,
}

impl<'t, 'a> Traveller<'t, 'a> {
    fn new(machine: &'t Machine<'a>, memory: &'t mut Memory, choices: &'t mut dyn Choices, explain: bool) -> Self {
        Self {
            machine,
            memory,
            choices,
            explain,
        }
    }

    fn test(&mut self, mbuf: &mut Mbuf, direction: Direction, interface: usize) -> Result<Tested, Unproven> {
        Hop {
            machine: self.machine,
            direction,
            interface,
            memory: self.memory,
            choices: self.choices,
            explain: self.explain,
        }
        .test(mbuf)
    }

    fn travel(&mut self, packet: &Packet) -> Result<Journey, Unproven> {
        let (mut mbuf, direction, interface) = self.machine.arrival(packet)?;
        let sent_to = self.machine.destination_of(&mbuf);
        let Tested { evaluation, goes } = self.test(&mut mbuf, direction, interface)?;
        let mut hops = vec![evaluation];
        let end = match goes {
            Goes::Nowhere => End::Stopped,
            Goes::AfTo if packet.way == Way::Forward => self.forward_translated(&mbuf, &mut hops)?,
            Goes::Diverted if self.machine.programs && direction == Direction::Out => {
                self.machine.route_again(sent_to, &mbuf, &mut hops)?
            }
            Goes::Diverted if self.machine.programs && packet.way == Way::Forward => {
                self.reinjected(&mut mbuf, &mut hops)?
            }
            Goes::Diverted | Goes::AfTo => End::Sent,
            Goes::Routed(next) if direction == Direction::In => self.routed(next.address, &mut mbuf, &mut hops)?,
            Goes::Routed(next) => self.routed_out(next.address, &mbuf, &mut hops)?,
            // A local socket takes it, whatever its destination (`PF_TAG_DIVERTED`).
            Goes::On if packet.way == Way::Forward && hops.iter().any(|hop| hop.divert.is_some()) => End::Local,
            Goes::On if packet.way == Way::Forward => self.forward(&mut mbuf, &mut hops)?,
            Goes::On if direction == Direction::Out => self.machine.route_again(sent_to, &mbuf, &mut hops)?,
            Goes::On => End::Sent,
        };
        Ok(Journey { hops, end })
    }

    /// From the program to which `divert-packet` gave it: it comes in once more, past the rules, and nothing that pf knew of it
    /// is on it (`divert_output`).
    fn reinjected(&mut self, mbuf: &mut Mbuf, hops: &mut Vec<Evaluation>) -> Result<End, Unproven> {
        mbuf.packet.tag = None;
        mbuf.packet.prio = Packet::DEFAULT_PRIO;
        mbuf.rtable = 0;
        self.forward(mbuf, hops)
    }

    /// By the routing table to the interface it goes out on.
    fn forward(&mut self, mbuf: &mut Mbuf, hops: &mut Vec<Evaluation>) -> Result<End, Unproven> {
        let local = self.machine.is_local(mbuf.packet.dst, mbuf.rtable, mbuf.received_on)?;
        let is_shared = || self.machine.context.is_shared(mbuf.packet.dst, mbuf.rtable);
        if self.machine.stack && mbuf.packet.protocol == Protocol::TCP && is_shared() {
            return Ok(End::NotForwarded);
        }
        if let Some(end) = local {
            return Ok(end);
        }
        let came = hops.first().map(|hop| &hop.before).filter(|_| self.machine.stack);
        if let Some(end) = came.and_then(|came| self.machine.keeps(came, mbuf)) {
            return Ok(end);
        }
        if !self.machine.context.forwards(mbuf.packet.family) {
            return Ok(End::NotForwarded);
        }
        if let IpAddr::V6(dst) = mbuf.packet.dst
            && has_scope(dst)
            && dst.segments()[1] != 0
        {
            // The second word is taken for the number of an interface, which no route has.
            return Ok(End::Stopped);
        }
        let Some(interface) = self.machine.route(mbuf.packet.dst, mbuf.rtable)? else {
            return Ok(End::NoRoute);
        };
        mbuf.packet.ttl = mbuf.packet.ttl.saturating_sub(1).max(1);
        mbuf.forwarded = true;
        self.out(mbuf, interface, true, hops)
    }

    /// By the routing table of the other family, without another test (`PF_TAG_GENERATED`).
    fn forward_translated(&self, mbuf: &Mbuf, hops: &mut [Evaluation]) -> Result<End, Unproven> {
        let (machine, dst) = (self.machine, mbuf.packet.dst);
        if !machine.context.forwards(mbuf.packet.family) {
            return Ok(End::NotForwarded);
        }
        if machine.is_never_forwarded(dst, mbuf.rtable) {
            return Ok(End::NotForwarded);
        }
        match machine.is_local(dst, mbuf.rtable, mbuf.received_on)? {
            // It is looped back, and comes in once more.
            Some(End::Local) if !machine.skips_loopback(mbuf.rtable) => {
                let why =
                    "what af-to makes of packets to the machine itself comes in on loopback, and is not followed there";
                return Err(Unproven(why.to_owned()));
            }
            Some(end) => return Ok(end),
            None => {}
        }
        let Some(interface) = machine.route(dst, mbuf.rtable)? else {
            return Ok(End::NoRoute);
        };
        if let Some(hop) = hops.last_mut() {
            machine.name(interface).clone_into(&mut hop.after.interface);
        }
        Ok(End::Sent)
    }

    /// By `route-to`, past the routing table but for the next hop (`pf_route`).
    fn routed(&mut self, next: IpAddr, mbuf: &mut Mbuf, hops: &mut Vec<Evaluation>) -> Result<End, Unproven> {
        if mbuf.packet.ttl <= 1 {
            return Ok(End::Stopped);
        }
        mbuf.packet.ttl -= 1;
        let Some(interface) = self.machine.route(next, mbuf.rtable)? else {
            return Ok(End::NoRoute);
        };
        // A loopback source cannot leave: it becomes that of the route, which is not known here.
        let src = mbuf.packet.src;
        let leaves = !self
            .machine
            .context
            .interfaces
            .get(interface)
            .is_some_and(|interface| interface.is_loopback());
        if leaves && src.is_loopback() {
            mbuf.packet.src = match src {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
        }
        let end = self.out(mbuf, interface, false, hops)?;
        if let Some(hop) = hops.last_mut() {
            hop.before.src = src;
        }
        Ok(end)
    }

    /// Out of an interface; by the network stack, which asks for a route again where the hop has changed the destination,
    /// or by pf, which does not.
    fn out(
        &mut self,
        mbuf: &mut Mbuf,
        interface: usize,
        by_stack: bool,
        hops: &mut Vec<Evaluation>,
    ) -> Result<End, Unproven> {
        let sent_to = self.machine.destination_of(mbuf);
        let Tested { mut evaluation, goes } = self.test(mbuf, Direction::Out, interface)?;
        evaluation.before = without_scope(evaluation.before);
        hops.push(evaluation);
        Ok(match goes {
            Goes::Nowhere => End::Stopped,
            Goes::Routed(next) => return self.routed_out(next.address, mbuf, hops),
            Goes::On if by_stack => return self.machine.route_again(sent_to, mbuf, hops),
            Goes::Diverted if self.machine.programs && by_stack => {
                return self.machine.route_again(sent_to, mbuf, hops);
            }
            Goes::Diverted if self.machine.programs => {
                return Err(Unproven(
                    "what a program sends back of what `route-to` has sent is not followed".to_owned(),
                ));
            }
            Goes::On | Goes::AfTo | Goes::Diverted => End::Sent,
        })
    }

    /// By the route to the next hop straight out of its interface, past the rules there (`pf_route`).
    fn routed_out(&self, next: IpAddr, mbuf: &Mbuf, hops: &mut [Evaluation]) -> Result<End, Unproven> {
        let Some(interface) = self.machine.route(next, mbuf.rtable)? else {
            return Ok(End::NoRoute);
        };
        if let Some(hop) = hops.last_mut() {
            self.machine.name(interface).clone_into(&mut hop.after.interface);
        }
        Ok(End::Sent)
    }
}
