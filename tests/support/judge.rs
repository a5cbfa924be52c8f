//! The meaning of a policy's statements, for one packet at a time: written from the policy language's reference alone, on
//! a small world, with the evaluator to say where packets go (`fate`). Shares no code with what it judges.

use std::net::IpAddr;

use pfproof::eval::Journey;
use pfproof::net::{Protocol, TcpFlags};
use pfproof::packet::{Icmp, IpOptions, Packet, Way};
use pfproof::ruleset::{Action, Ruleset};

use crate::fate::{Fate, Met};
use crate::site::{INTERFACES, Site, ZONES, has_no_address, in_net, interface, ip, is_addressless, is_one};

/// One item of a host list.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Zone(usize),
    Net(&'static str),
    /// The addresses of an interface, one by one.
    Interface(&'static str),
    Itself,
    Any,
}

/// Hosts, and one item that is taken away.
#[derive(Clone, Debug)]
pub(crate) struct Who(pub(crate) Vec<Item>, pub(crate) Option<Item>);

/// What a set of packets is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// `require`.
    Flows,
    /// `forbid`, `closed`.
    All,
    /// `allow`, and `require` where it excuses.
    Excuse,
}

impl For {
    /// What is taken away is meant whole, hosts or not.
    fn taken_away(self) -> Self {
        match self {
            Self::Flows => Self::All,
            Self::All | Self::Excuse => self,
        }
    }
}

impl Item {
    fn words(&self) -> &'static str {
        match self {
            Self::Zone(zone) => ZONES[*zone].0,
            Self::Net(name) | Self::Interface(name) => name,
            Self::Itself => "self",
            Self::Any => "any",
        }
    }

    /// Whether it sends such packets; `arrives`: on that interface, or from the machine itself.
    fn sends(&self, site: &Site, arrives: Option<usize>, out: usize, source: IpAddr, purpose: For) -> bool {
        match (self, arrives) {
            (Self::Itself, None) => purpose != For::Flows || site.is_of(out, source),
            (Self::Itself, Some(_)) | (Self::Zone(_), None) => false,
            (Self::Any, None) => purpose != For::Flows,
            (Self::Any, Some(on)) => {
                let near = site.is_near(on, source);
                let host = site.is_host(site.domain(on), source);
                purpose != For::Flows || host && site.comes_by(on, source) && near
            }
            (Self::Net(net), None) => {
                in_net(net, source) && site.is_own(site.domain(out), source) && (purpose != For::Flows || is_one(net))
            }
            // It is the machine that has them, in the routing domain of the interface.
            (Self::Interface(name), None) => {
                site.is_of(interface(name), source) && site.is_own(site.domain(out), source)
            }
            (Self::Interface(name), Some(on)) => {
                let near = site.comes_by(on, source) || has_no_address(source);
                let foreign = purpose != For::Flows || !site.is_own(site.domain(on), source);
                site.is_of(interface(name), source) && near && foreign
            }
            (Self::Net(net), Some(on)) => {
                let near = site.comes_by(on, source) || has_no_address(source);
                let domain = site.domain(on);
                let meant = || is_one(net) || is_addressless(net) || site.is_host(domain, source);
                let foreign = || !site.is_own(domain, source) && meant();
                let host = purpose != For::Flows || foreign();
                in_net(net, source) && near && host
            }
            (Self::Zone(zone), Some(on)) => {
                let (_, interfaces, only) = ZONES[*zone];
                let meant = only.is_none_or(|only| in_net(only, source));
                let real = match purpose {
                    For::All => true,
                    For::Excuse => site.comes_by(on, source) || has_no_address(source) || site.is_beyond(on, source),
                    For::Flows => {
                        let host = site.is_host(site.domain(on), source);
                        let host = site.comes_by(on, source) && host && site.is_near(on, source);
                        host || only.is_some_and(is_addressless) && !site.is_own(site.domain(on), source)
                    }
                };
                interfaces.contains(&on) && meant && real
            }
        }
    }

    /// Whether it is where a packet goes to that address.
    fn takes(&self, site: &Site, address: IpAddr, purpose: For, met: Met) -> bool {
        let own = |domain| site.is_own(domain, address);
        let taken = |domain| own(domain) || site.is_shared(domain, address);
        let host = |on: usize| {
            site.is_behind(on, address) && site.is_host(site.domain(on), address) && site.is_near(on, address)
        };
        match (self, met) {
            (Self::Itself, Met::Here) => true,
            (Self::Itself, Met::Diverted(_)) => site.domains().into_iter().any(taken),
            (Self::Itself, Met::In(domain) | Met::Out(domain)) => match purpose {
                For::Flows => own(domain),
                For::All | For::Excuse => taken(domain),
            },
            (Self::Any, _) if purpose != For::Flows => true,
            (Self::Any, Met::Here | Met::Diverted(_)) | (Self::Zone(_), Met::Here) => false,
            (Self::Any, Met::In(domain) | Met::Out(domain)) => {
                let mut there = (0..INTERFACES.len()).filter(|&on| site.may_go(domain, on));
                there.any(host) && !own(domain)
            }
            (Self::Net(net), Met::Here | Met::Diverted(_)) => in_net(net, address),
            (Self::Net(net), Met::In(domain) | Met::Out(domain)) => {
                in_net(net, address) && (purpose != For::Flows || is_one(net) || site.is_host(domain, address))
            }
            (Self::Interface(name), _) => site.is_of(interface(name), address),
            (Self::Zone(zone), Met::In(_) | Met::Out(_) | Met::Diverted(_)) => {
                let (_, interfaces, only) = ZONES[*zone];
                let linked = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
                let in_domain = |on: usize| match met {
                    Met::In(domain) | Met::Out(domain) | Met::Diverted(domain) => site.domain(on) == domain,
                    Met::Here => true,
                };
                let may_go = |on: usize| match met {
                    Met::In(domain) | Met::Out(domain) | Met::Diverted(domain) => site.may_go(domain, on),
                    Met::Here => true,
                };
                let there = interfaces.iter().any(|&on| match purpose {
                    For::Flows => host(on) && may_go(on),
                    For::All | For::Excuse => in_domain(on) && site.is_behind(on, address) && !taken(site.domain(on)),
                });
                let here = match met {
                    Met::In(domain) => taken(domain),
                    Met::Diverted(_) => site.domains().into_iter().any(taken),
                    Met::Out(_) | Met::Here => false,
                };
                there && !here && !linked && only.is_none_or(|only| in_net(only, address))
            }
        }
    }
}

impl Who {
    pub(crate) fn words(&self) -> String {
        let items: Vec<&str> = self.0.iter().map(Item::words).collect();
        match (&self.1, items.as_slice()) {
            (None, [one]) => (*one).to_owned(),
            (None, items) => format!("{{ {} }}", items.join(" ")),
            (Some(but), items) => format!("{{ {} ! {} }}", items.join(" "), but.words()),
        }
    }

    fn sends(&self, site: &Site, packet: &Packet, purpose: For) -> bool {
        let on = interface(&packet.interface);
        let arrives = (packet.way != Way::Out).then_some(on);
        let one = |item: &Item, purpose| item.sends(site, arrives, on, packet.src, purpose);
        self.0.iter().any(|item| one(item, purpose)) && !self.1.iter().any(|item| one(item, purpose.taken_away()))
    }

    fn takes(&self, site: &Site, address: IpAddr, purpose: For, met: Met) -> bool {
        let one = |item: &Item, purpose| item.takes(site, address, purpose, met);
        self.0.iter().any(|item| one(item, purpose)) && !self.1.iter().any(|item| one(item, purpose.taken_away()))
    }
}

/// What a statement says of family, protocol and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct What {
    /// `inet `, `inet6 `, or nothing.
    pub(crate) family: &'static str,
    pub(crate) proto: Proto,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proto {
    All,
    Tcp(Option<u16>),
    Udp(Option<u16>),
    Both(u16),
    Icmp(Option<&'static str>),
    Esp,
}

impl What {
    pub(crate) fn before(self) -> String {
        let proto = match (self.proto, self.family) {
            (Proto::All, _) => "",
            (Proto::Tcp(_), _) => "proto tcp ",
            (Proto::Udp(_), _) => "proto udp ",
            (Proto::Both(_), _) => "proto { tcp udp } ",
            (Proto::Icmp(_), "inet6 ") => "proto icmp6 ",
            (Proto::Icmp(_), _) => "proto icmp ",
            (Proto::Esp, _) => "proto esp ",
        };
        format!("{}{proto}", self.family)
    }

    pub(crate) fn after(self) -> String {
        match self.proto {
            Proto::Tcp(Some(port)) | Proto::Udp(Some(port)) | Proto::Both(port) => format!(" port {port}"),
            Proto::Icmp(Some(kind)) if self.family == "inet " => format!(" icmp-type {kind}"),
            Proto::All | Proto::Tcp(None) | Proto::Udp(None) | Proto::Icmp(_) | Proto::Esp => String::new(),
        }
    }

    fn takes(self, packet: &Packet, port: u16) -> bool {
        let family = match self.family {
            "inet " => packet.dst.is_ipv4(),
            "inet6 " => packet.dst.is_ipv6(),
            _ => true,
        };
        let ported = |wanted: Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        let kind = packet.icmp.map(|icmp| icmp.kind);
        family
            && match self.proto {
                Proto::All => true,
                Proto::Tcp(wanted) => packet.protocol == Protocol::TCP && ported(wanted),
                Proto::Udp(wanted) => packet.protocol == Protocol::UDP && ported(wanted),
                Proto::Both(wanted) => {
                    [Protocol::TCP, Protocol::UDP].contains(&packet.protocol) && ported(Some(wanted))
                }
                Proto::Icmp(named) => {
                    let wanted = match named.filter(|_| self.family == "inet ") {
                        Some("echoreq") => kind == Some(8),
                        Some("unreach") => kind == Some(3),
                        Some("timereq") => kind == Some(13),
                        _ => true,
                    };
                    packet.protocol
                        == if self.family == "inet6 " {
                            Protocol::ICMP6
                        } else {
                            Protocol::ICMP
                        }
                        && wanted
                }
                Proto::Esp => packet.protocol == Protocol::ESP,
            }
    }

    /// Whether the packet begins a flow of that kind.
    fn begins(self, packet: &Packet) -> bool {
        let plain = packet.options == IpOptions::None && packet.fragment.is_none();
        let first = match (packet.protocol, packet.icmp) {
            (Protocol::TCP, _) => packet.flags.0 & 0x3f == TcpFlags::SYN.0,
            (_, Some(Icmp { kind: 8, code: 0, .. })) => packet.dst.is_ipv4(),
            (_, Some(Icmp { kind: 128, code: 0, .. })) => packet.dst.is_ipv6(),
            (_, Some(Icmp { kind: 13, code: 0, .. })) => {
                self.proto == Proto::Icmp(Some("timereq")) && packet.dst.is_ipv4()
            }
            (_, Some(_)) => false,
            (_, None) => true,
        };
        plain && first
    }
}

/// What a required flow must look like besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Nat(&'static str),
    NoNat,
    Rdr(&'static str),
    NoRdr,
    Label(&'static str),
    Log,
}

impl Expect {
    fn words(self) -> String {
        match self {
            Self::Nat(to) => format!(" nat-to ({to})"),
            Self::NoNat => " nat-to none".to_owned(),
            Self::Rdr(to) => format!(" rdr-to {to}"),
            Self::NoRdr => " rdr-to none".to_owned(),
            Self::Label(label) => format!(" by label \"{label}\""),
            Self::Log => " log".to_owned(),
        }
    }

    fn is_met(self, site: &Site, packet: &Packet, journey: &Journey, ruleset: &Ruleset) -> bool {
        let last = journey.last().expect("a hop");
        let rules = || journey.hops.iter().flat_map(|hop| hop.rule.iter().chain(&hop.matches));
        match self {
            Self::Nat(to) => {
                (last.src, last.sport) != (packet.src, packet.sport) && site.is_of(interface(to), last.src)
            }
            Self::NoNat => (last.src, last.sport) == (packet.src, packet.sport),
            Self::Rdr(to) => (last.dst, last.dport) != (packet.dst, packet.dport) && last.dst == ip(to),
            Self::NoRdr => (last.dst, last.dport) == (packet.dst, packet.dport),
            Self::Label(label) => rules()
                .filter_map(|id| ruleset.rule(id))
                .any(|rule| rule.action == Action::Pass && rule.label.as_deref() == Some(label)),
            Self::Log => rules().filter_map(|id| ruleset.rule(id)).any(|rule| rule.log.is_some()),
        }
    }
}

/// A statement of the random policies.
#[derive(Clone, Debug)]
pub(crate) enum Statement {
    Require(What, Who, Who, Option<Expect>),
    Allow(What, Who, Who),
    Forbid(What, Who, Who),
    ClosedFrom(usize),
    ClosedTo(usize),
    Closed,
}

impl Statement {
    pub(crate) fn words(&self) -> String {
        let flow = |verb: &str, what: What, from: &Who, to: &Who| {
            format!(
                "{verb} {}from {} to {}{}",
                what.before(),
                from.words(),
                to.words(),
                what.after()
            )
        };
        match self {
            Self::Require(what, from, to, expect) => {
                flow("require", *what, from, to) + &expect.map(Expect::words).unwrap_or_default()
            }
            Self::Allow(what, from, to) => flow("allow", *what, from, to),
            Self::Forbid(what, from, to) => flow("forbid", *what, from, to),
            Self::ClosedFrom(zone) => format!("closed from {}", ZONES[*zone].0),
            Self::ClosedTo(zone) => format!("closed to {}", ZONES[*zone].0),
            Self::Closed => "closed".to_owned(),
        }
    }
}

/// Where a packet is met first.
fn met_first(site: &Site, packet: &Packet) -> Met {
    let domain = site.domain(interface(&packet.interface));
    match packet.way {
        Way::Out => Met::Out(domain),
        Way::In | Way::Forward => Met::In(domain),
    }
}

/// Whether the statement asks for the packet to get through.
pub(crate) fn is_required(site: &Site, packet: &Packet, statement: &Statement) -> bool {
    let Statement::Require(what, from, to, _) = statement else {
        return false;
    };
    let arrives = (packet.way != Way::Out).then(|| interface(&packet.interface));
    let domain = site.domain(interface(&packet.interface));
    let shared = site.is_shared(domain, packet.dst);
    let together = site.are_neighbours(arrives, packet.src, packet.dst) && !site.is_own(domain, packet.dst) && !shared;
    let refused = shared && packet.protocol == Protocol::TCP || packet.dst.is_ipv6() && packet.src.is_multicast();
    // Nobody without an address is sent on.
    let stays = arrives.is_some() && has_no_address(packet.src) && !site.is_own(domain, packet.dst) && !shared;
    what.begins(packet)
        && !together
        && !refused
        && !stays
        && from.sends(site, packet, For::Flows)
        && to.takes(site, packet.dst, For::Flows, met_first(site, packet))
        && what.takes(packet, packet.dport)
}

/// Whether the statement speaks of the packet, where that becomes of it: what is required or allowed as it comes or by its
/// end, what is forbidden by its end.
fn speaks(site: &Site, packet: &Packet, fate: &Fate, statement: &Statement) -> bool {
    let arrives = (packet.way != Way::Out).then(|| interface(&packet.interface));
    let (end, end_port) = fate.end;
    match statement {
        Statement::Require(what, from, to, _) | Statement::Allow(what, from, to) => {
            let by = |address, port, met| what.takes(packet, port) && to.takes(site, address, For::Excuse, met);
            let first = met_first(site, packet);
            from.sends(site, packet, For::Excuse)
                && (by(packet.dst, packet.dport, first) || by(end, end_port, fate.met_last))
        }
        Statement::Forbid(what, from, to) => {
            from.sends(site, packet, For::All)
                && to.takes(site, end, For::All, fate.met_last)
                && what.takes(packet, end_port)
        }
        Statement::ClosedFrom(zone) => Item::Zone(*zone).sends(site, arrives, 0, packet.src, For::All),
        Statement::ClosedTo(zone) => {
            let (_, interfaces, only) = ZONES[*zone];
            let leaves = fate.leaves.is_some_and(|out| interfaces.contains(&out));
            leaves && only.is_none_or(|only| in_net(only, end))
        }
        Statement::Closed => true,
    }
}

/// Whether it gets through and counts: neighbours meet without the machine.
fn counts(site: &Site, packet: &Packet, fate: &Fate) -> bool {
    let arrives = (packet.way != Way::Out).then(|| interface(&packet.interface));
    let neighbours = fate.untranslated
        && arrives.is_some()
        && fate.leaves == arrives
        && site.are_neighbours(arrives, packet.src, packet.dst);
    fate.through && !neighbours
}

/// Whether the packet really comes from there.
#[allow(dead_code, reason = "statements ask for more")]
pub(crate) fn comes_from(site: &Site, packet: &Packet, who: &Who) -> bool {
    who.sends(site, packet, For::Excuse)
}

/// Whether the packet begins a flow between hosts, from the machine, or to it.
pub(crate) fn begins_a_flow(site: &Site, packet: &Packet) -> bool {
    let ends = [
        (Item::Any, Item::Any),
        (Item::Itself, Item::Any),
        (Item::Any, Item::Itself),
    ];
    let all = || What {
        family: "",
        proto: Proto::All,
    };
    ends.into_iter().any(|(from, to)| {
        let [from, to] = [from, to].map(|one| Who(vec![one], None));
        is_required(site, packet, &Statement::Require(all(), from, to, None))
    })
}

/// Whether the packet gets through, where that becomes of it, and none of the statements speaks of it.
pub(crate) fn is_unspoken(site: &Site, packet: &Packet, fate: &Fate, statements: &[Statement]) -> bool {
    counts(site, packet, fate) && !statements.iter().any(|one| speaks(site, packet, fate, one))
}

/// Whether the packet offends the statement of a policy, where that becomes of it.
pub(crate) fn offends(
    site: &Site,
    packet: &Packet,
    fate: &Fate,
    statement: &Statement,
    policy: &[Statement],
    ruleset: &Ruleset,
) -> bool {
    let excuses = |one: &Statement| matches!(one, Statement::Require(..) | Statement::Allow(..));
    let excused = || policy.iter().any(|one| excuses(one) && speaks(site, packet, fate, one));
    match statement {
        Statement::Require(.., expect) => {
            let met = |expect: &Expect| expect.is_met(site, packet, &fate.journey, ruleset);
            is_required(site, packet, statement)
                && (!fate.through && fate.routed
                    || fate.lost
                    || fate.through && (!fate.answered && !fate.reflected || !expect.iter().all(met)))
        }
        Statement::Allow(..) => false,
        Statement::Forbid(..) => counts(site, packet, fate) && speaks(site, packet, fate, statement),
        Statement::ClosedFrom(_) | Statement::ClosedTo(_) | Statement::Closed => {
            counts(site, packet, fate) && speaks(site, packet, fate, statement) && !excused()
        }
    }
}
