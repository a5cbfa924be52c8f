//! Reads what `ifconfig -A` of OpenBSD, and `ifconfig -a` of FreeBSD, print.

use std::net::IpAddr;

use ipnet::IpNet;

use super::InterfaceAddress;
use super::driver;
use super::facts::{Facts, InterfaceFacts, Said};
use super::ifconfig_command::{add_group, odd, warning};
use super::lines::{Line, lines};
use super::lookup::is_filtering_bridge;
use super::words::{self, address, classful, mask};
use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Sources};

/// What the output of ifconfig(8) says: every interface that there is, and its addresses.
#[must_use]
pub fn read_ifconfig(sources: &Sources, file: FileId) -> (Facts, Vec<Diagnostic>) {
    let (mut facts, mut diagnostics) = (Facts::default(), Vec::new());
    let mut current: Option<InterfaceFacts> = None;
    let (mut bridge, mut ports) = (None, Vec::new());
    for line in lines(sources, file) {
        let fields = line.fields();
        let Some(first) = fields.first() else { continue };
        if !line.text.starts_with([' ', '\t']) {
            facts.interfaces.extend(current.take());
            match header(&line, &fields) {
                Some(interface) => {
                    let asks_pf = is_filtering_bridge(driver(&interface.name.value), has_flag(&fields, "LINK1"));
                    bridge = asks_pf.then(|| interface.name.clone());
                    current = Some(interface);
                }
                None => diagnostics.push(odd(first, "is no line of ifconfig(8): it is left out")),
            }
        } else if let (Some(bridge), [port, flags, ..]) = (&bridge, fields.as_slice())
            && flags.value.starts_with("flags=")
        {
            ports.push((port.clone(), bridge.clone()));
        } else if let Some(interface) = &mut current {
            property(interface, first, &fields[1..], &mut diagnostics);
        } else {
            diagnostics.push(odd(first, "belongs to no interface: it is left out"));
        }
    }
    facts.interfaces.extend(current);
    for (port, bridge) in ports {
        facts.interface(&port.value, port.span).bridge = Some(bridge);
    }
    facts.complete = !facts.interfaces.is_empty();
    if facts.interfaces.is_empty() {
        let start = crate::source::Span { file, start: 0, end: 0 };
        diagnostics
            .push(warning("there is no interface in it".to_owned(), start).help("save the output of `ifconfig -A`"));
    }
    (facts, diagnostics)
}

/// `em0: flags=8843<UP,BROADCAST,…> rdomain 1 mtu 1500`.
fn header(line: &Line<'_>, fields: &[Said<String>]) -> Option<InterfaceFacts> {
    let (first, rest) = fields.split_first()?;
    let name = first.value.strip_suffix(':').filter(|name| words::is_name(name))?;
    rest.first()?.value.strip_prefix("flags=")?;
    let mut interface = InterfaceFacts::new(name, line.span());
    interface.up = Some(Said::new(has_flag(fields, "UP"), line.span()));
    interface.addresses = Some(Vec::new());
    interface.rdomain = Some(Said::new(0, line.span()));
    if let Some(rdomain) = after(rest, "rdomain") {
        interface.rdomain = Some(Said::new(words::rtable(&rdomain.value)?, rdomain.span));
    }
    Some(interface)
}

/// Whether a header shows that flag.
fn has_flag(fields: &[Said<String>], flag: &str) -> bool {
    let flags = fields.get(1).and_then(|flags| flags.value.split_once('<'));
    flags.is_some_and(|(_, flags)| flags.trim_end_matches('>').split(',').any(|said| said == flag))
}

/// The word after that one.
fn after<'a>(fields: &'a [Said<String>], word: &str) -> Option<&'a Said<String>> {
    let at = fields.iter().position(|field| field.value == word)?;
    fields.get(at + 1)
}

/// An indented line.
fn property(
    interface: &mut InterfaceFacts,
    first: &Said<String>,
    rest: &[Said<String>],
    diagnostics: &mut Vec<Diagnostic>,
) {
    match first.value.as_str() {
        "groups:" => rest.iter().for_each(|group| add_group(interface, group, diagnostics)),
        "lladdr" | "ether" => interface.lladdr = rest.first().cloned(),
        // `carp: MASTER carpdev em0 vhid 1 …`: which of the states it is in now says nothing of later.
        "carp:" => interface.carpdev = after(rest, "carpdev").cloned(),
        "inet" | "inet6" => {
            let said = rest.first().and_then(|word| interface_address(word, rest));
            match (said, rest.first()) {
                (Some(said), _) => {
                    peer_and_broadcast(interface, said.value, rest);
                    interface.addresses.get_or_insert_with(Vec::new).push(said);
                }
                (None, Some(word)) => diagnostics.push(odd(word, "is no address: it is left out")),
                (None, None) => {}
            }
        }
        // Nothing else bears on pf.
        _ => {}
    }
}

/// `203.0.113.7 netmask 0xffffff00 …`, `2001:db8::7 prefixlen 64 …`, `203.0.113.7/24 …`.
fn interface_address(word: &Said<String>, rest: &[Said<String>]) -> Option<Said<InterfaceAddress>> {
    let (bare, bits) = match word.value.split_once('/') {
        Some((bare, bits)) => (bare, Some(bits.parse().ok()?)),
        None => (word.value.as_str(), None),
    };
    let address = address(bare)?;
    let said = match address {
        IpAddr::V4(address) => match after(rest, "netmask") {
            Some(word) => mask(&word.value)?,
            None => classful(address),
        },
        IpAddr::V6(_) => after(rest, "prefixlen").map_or(Some(64), |word| word.value.parse().ok())?,
    };
    let net = IpNet::new(address, bits.unwrap_or(said)).ok()?;
    Some(Said::new(InterfaceAddress::Known(net), word.span))
}

/// `--> 10.0.0.2` and `broadcast 203.0.113.255` of the first IPv4 address.
fn peer_and_broadcast(interface: &mut InterfaceFacts, said: InterfaceAddress, rest: &[Said<String>]) {
    let is_first = !interface
        .addresses
        .iter()
        .flatten()
        .any(|known| known.value.family() == said.family());
    let (Some(IpNet::V4(net)), true) = (said.known(), is_first) else {
        return;
    };
    let found = |word| after(rest, word).and_then(|said| Some(Said::new(address(&said.value)?, said.span)));
    interface.peer = found("-->");
    // One that follows from the mask says nothing.
    interface.broadcast = found("broadcast").filter(|said| said.value != IpAddr::V4(net.broadcast()));
}
