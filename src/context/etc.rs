//! Reads the smaller files of `/etc`: mygate(5), hosts(5), services(5), sysctl.conf(5), rc.conf.local(8).

use super::facts::{Facts, RouteFacts, RouteOrigin, Said};
use super::ifconfig_command::{odd, warning};
use super::lines::lines;
use super::route_command;
use super::words::{self, address, default_route};
use crate::diagnostic::Diagnostic;
use crate::net::Family;
use crate::source::{FileId, Sources};

/// The addresses of one name that are taken at most.
const MOST_ADDRESSES: usize = 1000;

/// What a mygate(5) says: the first gateway of each family.
#[must_use]
pub fn read_mygate(sources: &Sources, file: FileId) -> (Facts, Vec<Diagnostic>) {
    let (mut facts, mut diagnostics) = (Facts::default(), Vec::new());
    let mut seen = Vec::new();
    for line in lines(sources, file) {
        let words = line.shell_words();
        let Some((first, rest)) = words.split_first() else {
            continue;
        };
        if let Some(command) = first.value.strip_prefix('!') {
            // `!route …` or `! route …`; never run.
            let arguments = if command.is_empty() {
                rest.get(1..).unwrap_or(&[])
            } else {
                rest
            };
            facts
                .routes
                .extend(route_command::read(arguments, line.span(), &mut diagnostics));
            continue;
        }
        let Some(via) = address(&first.value) else {
            diagnostics.push(odd(first, "is no address: it is left out").help("write the gateway's address"));
            continue;
        };
        let family = Family::of(via);
        if seen.contains(&family) {
            diagnostics.push(odd(
                first,
                &format!("is a second {family} gateway: netstart(8) uses the first"),
            ));
            continue;
        }
        seen.push(family);
        let scope = first.value.split_once('%').map(|(_, scope)| scope);
        facts.routes.push(RouteFacts {
            via: Some(via),
            interface: scope.filter(|scope| words::is_name(scope)).map(str::to_owned),
            origin: RouteOrigin::Mygate,
            ..RouteFacts::new(default_route(family), first.span)
        });
    }
    (facts, diagnostics)
}

/// What a hosts(5) says: the addresses of each name, in order.
#[must_use]
pub fn read_hosts(sources: &Sources, file: FileId) -> (Facts, Vec<Diagnostic>) {
    let (mut facts, mut diagnostics) = (Facts::default(), Vec::new());
    for line in lines(sources, file) {
        let words = line.uncommented();
        let Some((first, names)) = words.split_first() else {
            continue;
        };
        let Some(found) = address(&first.value) else {
            diagnostics.push(odd(first, "is no address: the line is left out"));
            continue;
        };
        for name in names {
            let known = facts
                .hosts
                .entry(name.value.clone())
                .or_insert_with(|| Said::new(Vec::new(), name.span));
            if known.value.len() < MOST_ADDRESSES && !known.value.contains(&found) {
                known.value.push(found);
            }
        }
    }
    (facts, diagnostics)
}

/// What a services(5) says: the ports of each name for tcp and udp.
#[must_use]
pub fn read_services(sources: &Sources, file: FileId) -> (Facts, Vec<Diagnostic>) {
    let (mut facts, mut diagnostics) = (Facts::default(), Vec::new());
    for line in lines(sources, file) {
        let words = line.uncommented();
        let Some((name, rest)) = words.split_first() else {
            continue;
        };
        let port = rest.first().and_then(|word| {
            let (port, protocol) = word.value.split_once('/')?;
            Some((port.parse::<u16>().ok()?, protocol))
        });
        let Some((port, protocol)) = port else {
            diagnostics.push(odd(name, "has no `port/protocol`: the line is left out"));
            continue;
        };
        // pf knows ports of tcp and udp alone.
        if !matches!(protocol, "tcp" | "udp") {
            continue;
        }
        for alias in std::iter::once(name).chain(rest.iter().skip(1)) {
            facts
                .services
                .entry((alias.value.clone(), protocol.to_owned()))
                .or_insert_with(|| Said::new(port, alias.span));
        }
    }
    (facts, diagnostics)
}

/// What a sysctl.conf(5) says: whether the machine forwards. Without a line on it, it does not: that is the kernel's
/// default.
#[must_use]
pub fn read_sysctl(sources: &Sources, file: FileId) -> (Facts, Vec<Diagnostic>) {
    let (mut facts, mut diagnostics) = (Facts::default(), Vec::new());
    let whole = crate::source::Span { file, start: 0, end: 0 };
    let mut forwarding = [Said::new(false, whole), Said::new(false, whole)];
    for line in lines(sources, file) {
        let code = line.text.split('#').next().unwrap_or("");
        let Some((name, value)) = code.split_once('=') else {
            continue;
        };
        let family = match name.trim() {
            "net.inet.ip.forwarding" => 0,
            "net.inet6.ip6.forwarding" => 1,
            _ => continue,
        };
        match value.trim() {
            "0" => forwarding[family] = Said::new(false, line.span()),
            // 2 is for packets that ipsec(4) has protected: the others are not forwarded, but pf cannot know which.
            "1" | "2" => forwarding[family] = Said::new(true, line.span()),
            other => diagnostics.push(warning(format!("`{other}` is neither 0, 1 nor 2"), line.span())),
        }
    }
    let [inet, inet6] = forwarding;
    facts.forwarding = Some(inet);
    facts.forwarding_inet6 = Some(inet6);
    (facts, diagnostics)
}

/// What an rc.conf.local(8) says that bears on pf: whether it is on, and which rules are loaded.
#[must_use]
pub fn read_rc_conf(sources: &Sources, file: FileId) -> (Facts, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    for line in lines(sources, file) {
        let words = line.shell_words();
        let Some((name, value)) = words.first().and_then(|word| word.value.split_once('=')) else {
            continue;
        };
        match (name, value) {
            ("pf", "NO") => diagnostics.push(
                warning("pf is switched off: nothing is filtered".to_owned(), line.span())
                    .help("take the line away, or say `pf=YES`"),
            ),
            ("pf_rules", rules) if rules != "/etc/pf.conf" => diagnostics.push(warning(
                format!("the machine loads `{rules}`, not `/etc/pf.conf`"),
                line.span(),
            )),
            _ => {}
        }
    }
    (Facts::default(), diagnostics)
}
