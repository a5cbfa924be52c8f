//! Hosts: `host()` of pfctl_parser.c and the nonterminals `host`, `xhost`, `host_list` of parse.y.
//!
//! A word is tried as an interface, an address, a name, in that order. Interfaces and names are asked of the context,
//! never of the machine this runs on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::node::Node;
use super::{Lowerer, Refused};
use crate::context::{InterfaceAddress, Part, has_scope, is_host_name};
use crate::net::Family;
use crate::ruleset::{DynamicAddress, Host, Modifiers};
use crate::source::At;
use crate::syntax::ast::{self, HostKind, InterfaceModifiers, IpSpec, Word};

/// Why a word is no host.
pub(super) enum NoHost {
    /// No interface, address or name.
    Unknown,
    /// What pfctl says before it says that it found none.
    Because(String),
}

impl Lowerer<'_> {
    /// The hosts after `from` or `to`; `None` is any host.
    pub(super) fn hosts(&mut self, spec: &IpSpec) -> Result<Option<Vec<Node>>, Refused> {
        match spec {
            IpSpec::Any(_) => Ok(None),
            IpSpec::Host(host) => self.host(host).map(Some),
            IpSpec::List(list) => {
                let mut all = Some(Vec::new());
                let mut refused = None;
                for item in &list.value {
                    match (self.hosts(item), &mut all) {
                        (Ok(Some(nodes)), Some(so_far)) => so_far.extend(nodes),
                        (Ok(Some(_)), None) => {}
                        // `any` swallows the whole list.
                        (Ok(None), _) => all = None,
                        (Err(error), _) => refused = Some(error),
                    }
                }
                refused.map_or(Ok(all), Err)
            }
        }
    }

    /// One host with its `!`.
    pub(super) fn host(&mut self, host: &ast::Host) -> Result<Vec<Node>, Refused> {
        let mut nodes = match &host.kind {
            HostKind::Named(word) => self.named(word)?,
            HostKind::Range(ends) => vec![self.range(host.at, &ends.0, &ends.1)?],
            HostKind::Dynamic(dynamic) => {
                let interface = self.name(&dynamic.interface.text);
                vec![Node {
                    bits: dynamic.prefix.unwrap_or(128),
                    ..Node::new(
                        Host::Dynamic(DynamicAddress {
                            interface,
                            modifiers: modifiers(dynamic.modifiers),
                            prefix: dynamic.prefix,
                            load_time: false,
                        }),
                        host.at,
                    )
                }]
            }
            HostKind::Table(name) => vec![Node::new(Host::Table(self.name(&name.text)), host.at)],
            HostKind::Route(label) => vec![Node::new(Host::RouteLabel(self.name(&label.text)), host.at)],
            HostKind::NoRoute => vec![Node::new(Host::NoRoute, host.at)],
            HostKind::UrpfFailed => vec![Node::new(Host::UrpfFailed, host.at)],
        };
        for node in &mut nodes {
            node.negated = host.negated.is_some();
        }
        Ok(nodes)
    }

    /// The addresses that a word stands for.
    pub(super) fn named(&mut self, word: &Word) -> Result<Vec<Node>, Refused> {
        self.look_up(&word.text, word.at).map_err(|why| {
            let (why, help) = match why {
                NoHost::Unknown => (format!("no IP address found for {word}"), self.host_help(&word.text)),
                NoHost::Because(why) => (why, None),
            };
            self.refuse_with(word.at, format!("could not parse host specification: {why}"), help)
        })
    }

    /// What to do about a word that is no host.
    fn host_help(&self, word: &str) -> Option<String> {
        let name = word.split('/').next().unwrap_or(word);
        if let Some((_, interface)) = name.split_once('@') {
            return Some(format!("the next hop stands alone today: leave `@{interface}` out"));
        }
        if name.contains('.') && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Some("an IPv4 address is four numbers of at most 255".to_owned());
        }
        let name = name.split(':').next().unwrap_or(name);
        let known = self.context.interfaces.iter().map(|interface| interface.name.as_str());
        let groups = self.context.interfaces.iter().flat_map(|interface| &interface.groups);
        let hosts = self.context.hosts.keys();
        let candidates = known.chain(groups.map(String::as_str)).chain(hosts.map(String::as_str));
        if self.context.knows(name) {
            return Some(format!(
                "the interface has no such address when the rules are loaded; `({name})` looks it up when a packet comes"
            ));
        }
        self.did_you_mean(name, candidates).or_else(|| {
            name.starts_with(|first: char| first.is_ascii_alphabetic()).then(|| {
                format!(
                    "`{name}` is no interface, group or host name of the context; a host name needs an entry in `[hosts]`"
                )
            })
        })
    }

    /// `a - b`.
    fn range(&mut self, at: At, first: &Word, last: &Word) -> Result<Node, Refused> {
        let (first, last) = (self.named(first)?, self.named(last)?);
        if let ([first], [last]) = (&first[..], &last[..])
            && let (Host::Prefix(a), Host::Prefix(b)) = (&first.host, &last.host)
            && first.family == last.family
            && first
                .family
                .is_some_and(|family| first.bits == family.bits() && last.bits == family.bits())
        {
            return Ok(Node {
                host: Host::Range(a.addr(), b.addr()),
                at,
                ..first.clone()
            });
        }
        Err(self.refuse_with(
            at,
            "invalid address range",
            Some("both ends must be single addresses of one family".to_owned()),
        ))
    }

    /// What `host()` of pfctl_parser.c makes of a word.
    pub(super) fn look_up(&mut self, word: &str, at: At) -> Result<Vec<Node>, NoHost> {
        let (name, bits) = match word.split_once('/') {
            Some((name, length)) => (name, Some(mask_length(length)?)),
            None => (word, None),
        };
        // No interface's name begins like that.
        let numeric = name.starts_with(|first: char| first.is_ascii_digit() || first == ':');
        let mut because = None;
        if !numeric {
            match self.interface_addresses(name, bits, at) {
                Ok(nodes) if !nodes.is_empty() => return Ok(nodes),
                Ok(_) => {}
                Err(why) => because = Some(why),
            }
        }
        if let Some(node) = self.numeric(name, bits, at) {
            return Ok(vec![node]);
        }
        let resolved = self.resolved(name, bits, at);
        if !resolved.is_empty() {
            return Ok(resolved);
        }
        match because {
            Some(why) => Err(NoHost::Because(why)),
            None => self.load_time(name, bits, at).ok_or(NoHost::Unknown),
        }
    }

    /// `host_if`: the addresses of an interface, a group or `self`; none if there is no such thing or it has none.
    fn interface_addresses(&mut self, word: &str, bits: Option<u8>, at: At) -> Result<Vec<Node>, String> {
        let Some((name, modifiers)) = split_modifiers(word) else {
            return Ok(Vec::new());
        };
        let modes = [modifiers.network, modifiers.broadcast, modifiers.peer];
        if modes.iter().filter(|&&set| set).count() > 1 {
            return Err("illegal combination of interface modifiers".to_owned());
        }
        if (modifiers.network || modifiers.broadcast) && bits.is_some() {
            return Err("network or broadcast lookup, but extra netmask given".to_owned());
        }
        let open_group = self.context.open && self.context.members(name).is_empty();
        if open_group || !self.context.knows(name) {
            return Ok(Vec::new());
        }
        Ok(self.addresses_of(name, modifiers, bits, at))
    }

    /// `ifa_lookup`: the addresses that the context knows a name to have, in the kernel's order; an address that only
    /// the running machine knows stands as itself.
    pub(super) fn addresses_of(&mut self, name: &str, modifiers: Modifiers, bits: Option<u8>, at: At) -> Vec<Node> {
        let context = self.context;
        let mut nodes: Vec<Node> = Vec::new();
        for found in context.addresses(name, part(modifiers), modifiers.no_alias) {
            let interface = self.name(&found.interface.name);
            let node = match found.address {
                InterfaceAddress::Known(net) => {
                    let own = bits.or(modifiers.network.then(|| net.prefix_len()));
                    Node {
                        scope: found.link_local.then_some(interface),
                        ..Node::address(net.addr(), own, at)
                    }
                }
                InterfaceAddress::Unknown(family) => {
                    let dynamic = DynamicAddress {
                        interface,
                        modifiers,
                        prefix: bits,
                        load_time: true,
                    };
                    Node {
                        family: Some(family),
                        bits: bits.unwrap_or(128),
                        ..Node::new(Host::Dynamic(dynamic), at)
                    }
                }
            };
            let repeated = nodes.iter().any(|other| {
                matches!(other.host, Host::Dynamic(_)) && other.host == node.host && other.family == node.family
            });
            if !repeated {
                nodes.push(node);
            }
        }
        nodes
    }

    /// `host_ip`: an address, also one of the short form `10/8`.
    fn numeric(&mut self, name: &str, bits: Option<u8>, at: At) -> Option<Node> {
        if let Some((address, scope)) = self.numeric_address(name) {
            return Some(Node {
                scope,
                ..Node::address(address, bits, at)
            });
        }
        let address = short_address(name)?;
        bits.map(|bits| Node::address(address.into(), Some(bits), at))
    }

    /// An address as numbers, with the interface after `%`, which only one that means nothing without its link may have.
    fn numeric_address(&mut self, name: &str) -> Option<(IpAddr, Option<crate::ruleset::Name>)> {
        if let Some(address) = ipv4(name) {
            return Some((address.into(), None));
        }
        let (address, scope) = match name.split_once('%') {
            Some((address, scope)) => (address, Some(scope)),
            None => (name, None),
        };
        let address = ipv6(address)?;
        let Some(scope) = scope else {
            return Some((address.into(), None));
        };
        let known = self.context.interface(scope).is_some() || self.context.open;
        (known && has_scope(address)).then(|| (address.into(), Some(self.name(scope))))
    }

    /// `host_dns`: the addresses of a host name; with `:0` the first of each family.
    fn resolved(&mut self, name: &str, bits: Option<u8>, at: At) -> Vec<Node> {
        const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let (name, first_only) = match name.strip_suffix(":0") {
            Some(name) if !name.contains(':') => (name, true),
            _ => (name, false),
        };
        if first_only && let Some((address, _)) = self.numeric_address(name) {
            return vec![Node::address(address, bits, at)];
        }
        let hosts = &self.context.hosts;
        let written_otherwise = || hosts.iter().find(|(host, _)| host.eq_ignore_ascii_case(name));
        let known = hosts
            .get(name)
            .or_else(|| written_otherwise().map(|(_, addresses)| addresses));
        let addresses: &[IpAddr] = match known {
            Some(addresses) => addresses,
            None if name.eq_ignore_ascii_case("localhost") => &LOCALHOST,
            None => &[],
        };
        // The resolver answers IPv4 first.
        let mut nodes = Vec::new();
        for family in Family::BOTH {
            let own = addresses.iter().filter(|&&address| Family::of(address) == family);
            let limit = if first_only { 1 } else { usize::MAX };
            nodes.extend(own.take(limit).map(|&address| Node::address(address, bits, at)));
        }
        nodes
    }

    /// Where nobody said which interfaces or host names there are: a word that may be one stands for the addresses that
    /// it will have when the rules are loaded.
    fn load_time(&mut self, word: &str, bits: Option<u8>, at: At) -> Option<Vec<Node>> {
        let (name, modifiers) = split_modifiers(word)?;
        let plausible = name.len() < 16
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_host = self.context.hosts_open && is_host_name(name);
        if !(self.context.open && plausible || is_host) {
            return None;
        }
        let dynamic = DynamicAddress {
            interface: self.name(name),
            modifiers,
            prefix: bits,
            load_time: true,
        };
        Some(vec![Node {
            bits: bits.unwrap_or(128),
            ..Node::new(Host::Dynamic(dynamic), at)
        }])
    }
}

/// The modifiers in the ruleset's words.
fn modifiers(written: InterfaceModifiers) -> Modifiers {
    let InterfaceModifiers {
        network,
        broadcast,
        peer,
        no_alias,
    } = written;
    Modifiers {
        network,
        broadcast,
        peer,
        no_alias,
    }
}

/// The part of an interface's addresses that modifiers mean.
fn part(modifiers: Modifiers) -> Part {
    match modifiers {
        Modifiers { broadcast: true, .. } => Part::Broadcast,
        Modifiers { peer: true, .. } => Part::Peer,
        Modifiers { network: true, .. } => Part::Network,
        Modifiers { .. } => Part::Address,
    }
}

/// The name and its modifiers; `None` where something else follows a colon.
fn split_modifiers(word: &str) -> Option<(&str, Modifiers)> {
    let mut modifiers = Modifiers::default();
    let mut rest = word;
    while let Some((name, modifier)) = rest.rsplit_once(':') {
        match modifier {
            "network" => modifiers.network = true,
            "broadcast" => modifiers.broadcast = true,
            "peer" => modifiers.peer = true,
            "0" => modifiers.no_alias = true,
            _ => return None,
        }
        rest = name;
    }
    Some((rest, modifiers))
}

/// The length of a mask as strtonum(3) reads it, in pfctl's words where it is none.
fn mask_length(text: &str) -> Result<u8, NoHost> {
    let why = match text.trim_start().parse::<i128>() {
        Ok(length @ 0..=128) => return Ok(length as u8),
        Ok(length) if length < 0 => "too small",
        Ok(_) => "too large",
        Err(_) => "invalid",
    };
    Err(NoHost::Because(format!("netmask is {why}: /{text}")))
}

/// Four numbers with dots, each up to 255; zeros before them count for nothing (`inet_pton`).
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.as_bytes().split(|&byte| byte == b'.');
    for octet in &mut octets {
        let part = parts.next().filter(|part| !part.is_empty())?;
        *octet = part.iter().try_fold(0u8, |number, &byte| {
            let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
            number.checked_mul(10)?.checked_add(digit)
        })?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// An IPv6 address, of which the end may be an IPv4 one.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    match text.rsplit_once(':') {
        Some((head, tail)) if tail.contains('.') => format!("{head}:{}", ipv4(tail)?).parse().ok(),
        _ => text.parse().ok(),
    }
}

/// The network of the short form, as in `10/8` (`inet_net_pton`).
fn short_address(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        if digits.is_empty() || digits.len() > 8 {
            return None;
        }
        for (at, digit) in digits.chars().enumerate() {
            let value = digit.to_digit(16)? as u8;
            octets[at / 2] |= if at % 2 == 0 { value << 4 } else { value };
        }
        return Some(octets.into());
    }
    let mut given = 0;
    for (at, part) in text.split('.').enumerate() {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        *octets.get_mut(at)? = part.parse().ok().filter(|_| digits)?;
        given = at + 1;
    }
    (given > 0).then(|| octets.into())
}
