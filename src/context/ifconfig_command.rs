//! What the arguments of an ifconfig(8) command make of an interface.

use std::net::IpAddr;

use ipnet::IpNet;

use super::InterfaceAddress;
use super::facts::{InterfaceFacts, Said};
use super::words::{self, address, classful, mask};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::net::Family;
use crate::source::Span;

/// The words of ifconfig(8) that are followed by one argument, besides those that are handled here.
const ONE_ARGUMENT: &[&str] = &[
    "-discover",
    "-edge",
    "-endpoint",
    "-autoedge",
    "-autoptp",
    "-blocknonip",
    "-ifcost",
    "-join",
    "-learn",
    "-mediaopt",
    "-nwflag",
    "-peerflag",
    "-protected",
    "-ptp",
    "-stp",
    "-trunkport",
    "-wgpeer",
    "add",
    "addlocal",
    "addspan",
    "advbase",
    "advskew",
    "apn",
    "authkey",
    "authname",
    "authproto",
    "autoedge",
    "autoptp",
    "balancing",
    "blocknonip",
    "bssid",
    "carpnodes",
    "carppeer",
    "del",
    "deladdr",
    "delspan",
    "descr",
    "description",
    "discover",
    "edge",
    "flowdst",
    "flowsrc",
    "flushrule",
    "fwddelay",
    "hellotime",
    "holdcnt",
    "inst",
    "instance",
    "ipdst",
    "join",
    "lacpmode",
    "lacptimeout",
    "learn",
    "llprio",
    "maxaddr",
    "maxage",
    "maxupd",
    "mediaopt",
    "metric",
    "mode",
    "mplslabel",
    "mtu",
    "nwflag",
    "nwid",
    "nwkey",
    "parent",
    "pass",
    "patch",
    "peerflag",
    "peerkey",
    "peername",
    "peerproto",
    "pflowproto",
    "pin",
    "pltime",
    "pppoeac",
    "pppoedev",
    "pppoesvc",
    "priority",
    "proto",
    "ptp",
    "rtlabel",
    "rulefile",
    "rules",
    "rxprio",
    "spanpriority",
    "state",
    "stp",
    "syncdev",
    "syncif",
    "syncpeer",
    "timeout",
    "trunkport",
    "trunkproto",
    "tunneladdr",
    "tunneldomain",
    "tunnelttl",
    "txprio",
    "vhid",
    "vlan",
    "vlandev",
    "vltime",
    "vnetid",
    "wgpeer",
    "wgaip",
    "wgdescr",
    "wgdescription",
    "wgkey",
    "wgpka",
    "wgport",
    "wgpsk",
    "wgrtable",
    "wpaakms",
    "wpaciphers",
    "wpagroupcipher",
    "wpakey",
    "wpaprotos",
];

/// Those that are followed by two.
const TWO_ARGUMENTS: &[&str] = &[
    "chgpin",
    "endpoint",
    "ifcost",
    "ifpriority",
    "keepalive",
    "protected",
    "puk",
    "pweneighbor",
    "static",
    "tunnel",
    "wgendpoint",
];

/// Those that are followed by one argument unless the next word is one of ifconfig's own.
const PERHAPS_ONE_ARGUMENT: &[&str] = &[
    "chan",
    "class",
    "hwfeatures",
    "joinlist",
    "media",
    "powersave",
    "scan",
    "sff",
    "transceiver",
];

/// Those that stand alone.
const ALONE: &[&str] = &[
    "-apn",
    "-arp",
    "-bssid",
    "-carppeer",
    "-chan",
    "-class",
    "-debug",
    "-defer",
    "-descr",
    "-description",
    "-flowdst",
    "-flowsrc",
    "-joinlist",
    "-keepalive",
    "-link0",
    "-link1",
    "-link2",
    "-mode",
    "-monitor",
    "-mpls",
    "-mplslabel",
    "-nwid",
    "-nwkey",
    "-parent",
    "-patch",
    "-powersave",
    "-pppoeac",
    "-pppoesvc",
    "-pwecw",
    "-pwefat",
    "-pweneighbor",
    "-roaming",
    "-rtlabel",
    "-soii",
    "-staticarp",
    "-syncdev",
    "-syncif",
    "-syncpeer",
    "-tcplro",
    "-temporary",
    "-tentative",
    "-anycast",
    "-tunnel",
    "-tunneldf",
    "-tunneldomain",
    "-tunnelecn",
    "-vlan",
    "-vlandev",
    "-vnetflowid",
    "-vnetid",
    "-wgdescr",
    "-wgdescription",
    "-wgpeerall",
    "-wgpsk",
    "-wol",
    "-wpa",
    "-wpakey",
    "-autoconfprivacy",
    "autoconfprivacy",
    "addr",
    "anycast",
    "arp",
    "create",
    "debug",
    "defer",
    "destroy",
    "flush",
    "flushall",
    "link0",
    "link1",
    "link2",
    "monitor",
    "mpls",
    "pwecw",
    "pwefat",
    "roaming",
    "rule",
    "sffdump",
    "soii",
    "staticarp",
    "tcplro",
    "temporary",
    "tentative",
    "tunneldf",
    "tunnelecn",
    "vnetflowid",
    "wol",
    "wpa",
];

/// Those that say something of what pf asks.
const HANDLED: &[&str] = &[
    "-alias",
    "-autoconf",
    "-group",
    "-inet",
    "-inet6",
    "-rdomain",
    "alias",
    "autoconf",
    "broadcast",
    "carpdev",
    "delete",
    "down",
    "eui64",
    "group",
    "lladdr",
    "netmask",
    "prefixlen",
    "rdomain",
    "up",
];

/// Whether it is a word of ifconfig(8) rather than an argument.
pub(super) fn is_keyword(word: &str) -> bool {
    [ONE_ARGUMENT, TWO_ARGUMENTS, PERHAPS_ONE_ARGUMENT, ALONE, HANDLED]
        .into_iter()
        .any(|list| list.contains(&word))
}

/// What one command says of the address it is about.
#[derive(Default)]
struct Request {
    address: Option<Said<String>>,
    peer: Option<Said<String>>,
    broadcast: Option<Said<String>>,
    length: Option<u8>,
    alias: bool,
    delete: bool,
    autoconf: Option<bool>,
    eui64: bool,
}

/// Applies the arguments of one ifconfig(8) command, after the name of the interface, to what is known of it.
pub(super) fn apply(facts: &mut InterfaceFacts, words: &[Said<String>], diagnostics: &mut Vec<Diagnostic>) {
    let (family, words) = match words.split_first() {
        Some((first, rest)) if first.value == "inet" => (Family::Inet, rest),
        Some((first, rest)) if first.value == "inet6" => (Family::Inet6, rest),
        Some(_) | None => (Family::Inet, words),
    };
    let mut request = Request::default();
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
                        diagnostics.push(odd(word, "is no mask"));
                    }
                }
            }
            "prefixlen" => {
                if let Some(word) = argument() {
                    request.length = word.value.parse().ok().filter(|&bits| bits <= family.bits());
                    if request.length.is_none() {
                        diagnostics.push(odd(word, "is no prefix length"));
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
        let Some((address, length)) = self.length_of(said, family, diagnostics) else {
            return;
        };
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
            diagnostics.push(odd(said, &format!("is no {family} address: it is left out")));
            return None;
        };
        let length = match after_slash.map(str::parse) {
            Some(Ok(length)) if length <= family.bits() => Some(length),
            Some(Ok(_) | Err(_)) => {
                diagnostics.push(odd(said, "has no good prefix length: it is left out"));
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
