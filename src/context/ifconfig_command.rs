//! What the arguments of an ifconfig(8) command make of an interface.

use std::net::IpAddr;

use ipnet::IpNet;

use super::InterfaceAddress;
use super::facts::{InterfaceFacts, Said};
use super::ifconfig_words::{ALONE, ONE_ARGUMENT, PERHAPS_ONE_ARGUMENT, TWO_ARGUMENTS, is_keyword};
use super::words::{self, address, classful, mask};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::net::Family;
use crate::source::Span;

/// What one command says of the address it is about.
#[derive(Default)]
struct Request {
    address: Option<Said<String>>,
    peer: Option<Said<String>>,
    broadcast: Option<Said<String>>,
    length: Option<u8>,
    /// Whether the length of its network is said, but in no way that can be understood.
    odd_length: bool,
    /// Whether the words begin with a family, so that an address is surely meant.
    is_address: bool,
    alias: bool,
    delete: bool,
    autoconf: Option<bool>,
    eui64: bool,
}

/// The family that a word of ifconfig(8) names.
fn family_of(word: &Said<String>) -> Option<Family> {
    match word.value.as_str() {
        "inet" => Some(Family::Inet),
        "inet6" => Some(Family::Inet6),
        _ => None,
    }
}

/// Applies the arguments of one ifconfig(8) command, after the name of the interface, to what is known of it.
pub(super) fn apply(facts: &mut InterfaceFacts, words: &[Said<String>], diagnostics: &mut Vec<Diagnostic>) {
    let said = words.first().and_then(family_of);
    let family = said.unwrap_or(Family::Inet);
    let words = &words[usize::from(said.is_some())..];
    let mut request = Request {
        is_address: said.is_some(),
        ..Request::default()
    };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let mut argument = || rest.next();
        match word.value.as_str() {
            "up" => facts.up = Some(Said::new(true, word.span)),
            "down" => facts.up = Some(Said::new(false, word.span)),
            "alias" => request.alias = true,
            "-alias" | "delete" => request.delete = true,
            "autoconf" => request.autoconf = Some(true),
            "-autoconf" => request.autoconf = Some(false),
            "eui64" => request.eui64 = true,
            "-inet" => remove(facts, Family::Inet),
            "-inet6" => remove(facts, Family::Inet6),
            "-rdomain" => move_to(facts, 0, word.span, diagnostics),
            "group" => {
                if let Some(group) = argument() {
                    add_group(facts, group, diagnostics);
                }
            }
            "-group" => {
                if let Some(group) = argument() {
                    facts.groups.retain(|known| known.value != group.value);
                }
            }
            "rdomain" => match argument().map(|number| (number, words::rtable(&number.value))) {
                Some((number, Some(rdomain))) => move_to(facts, rdomain, number.span, diagnostics),
                Some((number, None)) => diagnostics.push(odd(number, "is no routing domain")),
                None => {}
            },
            "lladdr" => facts.lladdr = argument().cloned(),
            "carpdev" => facts.carpdev = argument().cloned(),
            "broadcast" => request.broadcast = argument().cloned(),
            "netmask" => {
                if let Some(word) = argument() {
                    request.length = mask(&word.value);
                    if request.length.is_none() {
                        request.odd_length = true;
                        diagnostics.push(odd(word, "is no mask: the address is taken as not known"));
                    }
                }
            }
            "prefixlen" => {
                if let Some(word) = argument() {
                    request.length = word.value.parse().ok().filter(|&bits| bits <= family.bits());
                    if request.length.is_none() {
                        request.odd_length = true;
                        diagnostics.push(odd(word, "is no prefix length: the address is taken as not known"));
                    }
                }
            }
            one if ONE_ARGUMENT.contains(&one) => {
                argument();
            }
            two if TWO_ARGUMENTS.contains(&two) => {
                argument();
                rest.next();
            }
            perhaps if PERHAPS_ONE_ARGUMENT.contains(&perhaps) => {
                if rest.as_slice().first().is_some_and(|next| !is_keyword(&next.value)) {
                    rest.next();
                }
            }
            alone if ALONE.contains(&alone) => {}
            "inet" | "inet6" => {
                // `ifconfig em0 mtu 1400 inet …` is refused.
                diagnostics.push(
                    odd(word, "stands after other words, where ifconfig(8) takes no family: its address is taken as not known")
                        .help("write it first, and what is before it on a line of its own"),
                );
                let unknown = family_of(word).map(InterfaceAddress::Unknown);
                unknown
                    .into_iter()
                    .for_each(|unknown| push(facts, Said::new(unknown, word.span)));
                break;
            }
            _ if request.address.is_none() => request.address = Some(word.clone()),
            _ if request.peer.is_none() => request.peer = Some(word.clone()),
            _ => diagnostics.push(odd(word, "is no word of ifconfig(8)")),
        }
    }
    request.carry_out(facts, family, diagnostics);
}

impl Request {
    fn carry_out(&self, facts: &mut InterfaceFacts, family: Family, diagnostics: &mut Vec<Diagnostic>) {
        let unknown = InterfaceAddress::Unknown(family);
        match self.autoconf {
            Some(true) => push(facts, Said::new(unknown, facts.name.span)),
            Some(false) => addresses(facts).retain(|known| known.value != unknown),
            None => {}
        }
        let Some(said) = &self.address else { return };
        let found = self.length_of(said, family, diagnostics);
        // What is meant may still be there, under a name or in a form that is not read here.
        if self.is_address && !self.delete && (found.is_none() || self.odd_length) {
            push(facts, Said::new(unknown, said.span));
            return;
        }
        let Some((address, length)) = found else { return };
        if self.delete {
            addresses(facts).retain(|known| known.value.known().is_none_or(|net| net.addr() != address));
            return;
        }
        // An address of 0.0.0.0 is one that ppp(8) or pppoe(4) agrees on with the other end; one with eui64 has the
        // interface's own number in it.
        let value = match IpNet::new(address, length) {
            Ok(_) if address.is_unspecified() || self.eui64 => unknown,
            Ok(net) => InterfaceAddress::Known(net),
            Err(_) => {
                diagnostics.push(odd(said, "is no address of that family"));
                return;
            }
        };
        let is_first = !addresses(facts).iter().any(|known| known.value.family() == family);
        if family == Family::Inet && !self.alias && !is_first {
            self.replace(facts, said, diagnostics);
        }
        if let Some(peer) = &self.peer {
            match words::address(&peer.value) {
                // The other end, too, is agreed on.
                Some(IpAddr::V4(peer)) if peer.octets()[0] == 0 => {}
                Some(found) => facts.peer = Some(Said::new(found, peer.span)),
                None => diagnostics.push(odd(peer, "is no address")),
            }
        }
        if let (Some(broadcast), true) = (&self.broadcast, is_first || !self.alias) {
            match (words::address(&broadcast.value), value.known()) {
                // One that follows from the mask says nothing.
                (Some(IpAddr::V4(found)), Some(IpNet::V4(net))) if net.broadcast() == found => {}
                (Some(found), Some(_)) => facts.broadcast = Some(Said::new(found, broadcast.span)),
                (Some(_), None) => {}
                (None, _) => diagnostics.push(odd(broadcast, "is no address")),
            }
        }
        push(facts, Said::new(value, said.span));
    }

    /// The address and the length of its network: after a slash, by its mask, else by its class or 64.
    fn length_of(
        &self,
        said: &Said<String>,
        family: Family,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<(IpAddr, u8)> {
        let (bare, after_slash) = match said.value.split_once('/') {
            Some((bare, bits)) => (bare, Some(bits)),
            None => (said.value.as_str(), None),
        };
        let Some(address) = address(bare).filter(|&found| Family::of(found) == family) else {
            diagnostics.push(odd(said, &format!("is no {family} address: {}", self.instead())));
            return None;
        };
        let length = match after_slash.map(str::parse) {
            Some(Ok(length)) if length <= family.bits() => Some(length),
            Some(Ok(_) | Err(_)) => {
                diagnostics.push(odd(said, &format!("has no good prefix length: {}", self.instead())));
                return None;
            }
            None => self.length,
        };
        let implied = match address {
            IpAddr::V4(address) => classful(address),
            IpAddr::V6(_) if self.peer.is_some() => 128,
            IpAddr::V6(_) => 64,
        };
        Some((address, length.unwrap_or(implied)))
    }

    /// What is made of an address that cannot be read.
    fn instead(&self) -> &'static str {
        if self.is_address && !self.delete {
            "one that is not known is taken"
        } else {
            "it is left out"
        }
    }

    /// Without `alias` the first IPv4 address is replaced, not joined.
    fn replace(&self, facts: &mut InterfaceFacts, said: &Said<String>, diagnostics: &mut Vec<Diagnostic>) {
        let all = addresses(facts);
        let Some(at) = all.iter().position(|known| known.value.family() == Family::Inet) else {
            return;
        };
        let old = all.remove(at);
        if old.value.known().is_some() {
            let mut diagnostic = Diagnostic::new(
                Code::Context,
                format!("`{}` takes the place of the address before it", said.value),
            )
            .at(said.span)
            .related(old.span, "this one is removed again")
            .help("write `inet alias …` for a further address");
            diagnostic.severity = Severity::Warning;
            diagnostics.push(diagnostic);
        }
    }
}

/// Moves the interface to a routing domain; from another one its addresses do not come with it (`if_setrdomain` in if.c).
fn move_to(facts: &mut InterfaceFacts, rdomain: u32, span: Span, diagnostics: &mut Vec<Diagnostic>) {
    let was = facts.rdomain.replace(Said::new(rdomain, span));
    if was.map_or(0, |was| was.value) != rdomain && !addresses(facts).is_empty() {
        addresses(facts).clear();
        let message = "the addresses before it are taken away: write `rdomain` first".to_owned();
        diagnostics.push(warning(message, span));
    }
}

fn addresses(facts: &mut InterfaceFacts) -> &mut Vec<Said<InterfaceAddress>> {
    facts.addresses.get_or_insert_with(Vec::new)
}

fn push(facts: &mut InterfaceFacts, said: Said<InterfaceAddress>) {
    let all = addresses(facts);
    if !all.iter().any(|known| known.value == said.value) {
        all.push(said);
    }
}

fn remove(facts: &mut InterfaceFacts, family: Family) {
    addresses(facts).retain(|known| known.value.family() != family);
}

/// Puts the interface in a group, unless its name already does.
pub(super) fn add_group(facts: &mut InterfaceFacts, group: &Said<String>, diagnostics: &mut Vec<Diagnostic>) {
    if !words::is_group(&group.value) {
        diagnostics.push(odd(group, "is no name of a group"));
    } else if group.value != "all"
        && !(super::driver(&facts.name.value) == group.value && super::is_cloned(&group.value))
        && !facts.groups.iter().any(|known| known.value == group.value)
    {
        facts.groups.push(group.clone());
    }
}

/// A warning about one word.
pub(super) fn odd(word: &Said<String>, what: &str) -> Diagnostic {
    warning(format!("`{}` {what}", word.value), word.span)
}

/// A warning about the context.
pub(super) fn warning(message: String, span: Span) -> Diagnostic {
    let mut diagnostic = Diagnostic::new(Code::Context, message).at(span);
    diagnostic.severity = Severity::Warning;
    diagnostic
}
