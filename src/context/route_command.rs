//! What a `route add` command of route(8) says.

use std::net::IpAddr;

use ipnet::IpNet;

use super::facts::{RouteFacts, Said};
use super::ifconfig_command::odd;
use super::words::{self, address, default_route, mask, shown_prefix};
use crate::diagnostic::Diagnostic;
use crate::net::Family;
use crate::source::Span;

/// The modifiers that are followed by an argument that pf does not ask about.
const OTHER_ARGUMENTS: &[&str] = &[
    "-expire",
    "-hopcount",
    "-ifa",
    "-mtu",
    "-priority",
    "-recvpipe",
    "-rtt",
    "-rttvar",
    "-sendpipe",
    "-ssthresh",
];

/// The route that the words of a route(8) command, after `route`, add; `None` where they add none, or no such as can be
/// understood.
pub(super) fn read(words: &[Said<String>], span: Span, diagnostics: &mut Vec<Diagnostic>) -> Option<RouteFacts> {
    let mut route = RouteFacts::new(default_route(Family::Inet), span);
    let mut family = Family::Inet;
    let (mut to, mut gateway): (Option<&Said<String>>, Option<&Said<String>>) = (None, None);
    let mut length = None;
    let mut adds = false;
    let mut by_interface = false;
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let mut argument = || rest.next();
        match word.value.as_str() {
            "add" if !adds => adds = true,
            "-inet" => family = Family::Inet,
            "-inet6" => family = Family::Inet6,
            "-T" => route.rtable = words::rtable(&argument()?.value)?,
            "-ifp" => route.interface = argument().map(|word| word.value.clone()),
            "-label" => route.label = argument().map(|word| word.value.clone()),
            "-iface" | "-interface" | "-link" => by_interface = true,
            "-reject" | "-blackhole" => route.reject = true,
            "-gateway" => gateway = argument(),
            "-dst" => to = argument(),
            "-netmask" => length = argument().and_then(|word| mask(&word.value)),
            "-prefixlen" => length = argument().and_then(|word| word.value.parse().ok()),
            "-mpath" => route.multipath = true,
            "-net" | "-host" | "-static" | "-cloning" | "-nostatic" | "-llinfo" | "-lock" | "-lockrest" | "-proto1"
            | "-proto2" | "-bfd" | "-nobfd" => {}
            other if OTHER_ARGUMENTS.contains(&other) => {
                argument();
            }
            // Options before the command: -n, -q, -v, together too; -T takes its table as they do.
            option if option.starts_with('-') && !adds => match option.split_once('T') {
                Some((_, "")) => route.rtable = words::rtable(&argument()?.value)?,
                Some((_, table)) => route.rtable = words::rtable(table)?,
                None => {}
            },
            _ if !adds => return None,
            option if option.starts_with('-') => diagnostics.push(odd(word, "is no modifier of route(8)")),
            _ if to.is_none() => to = Some(word),
            _ if gateway.is_none() => gateway = Some(word),
            // After destination and gateway comes a mask.
            _ => length = mask(&word.value),
        }
    }
    if !adds {
        return None;
    }
    let (Some(to), Some(gateway)) = (to, gateway) else {
        return None;
    };
    // A destination of IPv6 says so itself.
    if to.value.contains(':') || (to.value == "default" && gateway.value.contains(':')) {
        family = Family::Inet6;
    }
    route.to = match destination(&to.value, length, family) {
        Some(net) => net,
        None => {
            diagnostics.push(odd(to, "is no destination: the route is left out"));
            return None;
        }
    };
    // By an interface, which may be said by an address of its own too.
    if by_interface && address(&gateway.value).is_none() || super::is_interface_name(&gateway.value) {
        route.interface.get_or_insert_with(|| gateway.value.clone());
        return route
            .interface
            .as_deref()
            .is_none_or(words::names_interface)
            .then_some(route);
    }
    match address(&gateway.value) {
        // 0.0.0.1 and its like stand for «whatever the other end is» on a point-to-point interface.
        Some(IpAddr::V4(via)) if via.octets()[0] == 0 => {}
        Some(via) => route.via = Some(via),
        None => {
            diagnostics.push(odd(gateway, "is no gateway: the route is left out"));
            return None;
        }
    }
    // A link-local gateway names its link.
    if let Some((_, scope)) = gateway.value.split_once('%') {
        route.interface.get_or_insert_with(|| scope.to_owned());
    }
    route
        .interface
        .as_deref()
        .is_none_or(words::names_interface)
        .then_some(route)
}

/// A destination as route(8) takes it: `default`, a prefix, an address with a mask, or a single address.
fn destination(word: &str, length: Option<u8>, family: Family) -> Option<IpNet> {
    if word == "default" {
        return Some(default_route(family));
    }
    match (word.contains('/'), length) {
        (false, Some(length)) => IpNet::new(address(word)?, length).ok(),
        (true, _) | (false, None) => shown_prefix(word),
    }
}
