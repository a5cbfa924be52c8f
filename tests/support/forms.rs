//! A machine in the words of others: the files of its /etc, the output of ifconfig and route.

use std::fmt::Write;

use ipnet::IpNet;
use pfproof::context::{Context, Interface, Kind, driver, is_cloned};
use pfproof::net::Family;

/// The texts of sysctl.conf and hosts that say the same as the context.
fn small_files(context: &Context) -> Vec<(Kind, String)> {
    let sysctl = format!(
        "net.inet.ip.forwarding={}\nnet.inet6.ip6.forwarding={}\n",
        u8::from(context.forwards(Family::Inet)),
        u8::from(context.forwards(Family::Inet6))
    );
    let mut hosts = String::new();
    for (name, addresses) in &context.hosts {
        for address in addresses {
            writeln!(hosts, "{address}\t{name}").expect("a string");
        }
    }
    vec![(Kind::Sysctl, sysctl), (Kind::Hosts, hosts)]
}

/// The files of /etc that describe the context.
pub(crate) fn as_etc(context: &Context) -> Vec<(Kind, String)> {
    let mut texts = small_files(context);
    for interface in context.interfaces.iter().filter(|interface| interface.name != "lo0") {
        texts.push((Kind::HostnameIf(interface.name.clone()), as_hostname(interface)));
    }
    let mut routes = String::new();
    for route in &context.routes {
        let family = Family::of(route.to.addr());
        let reject = if route.reject { " -reject" } else { "" };
        let label = route
            .label
            .as_ref()
            .map_or_else(String::new, |label| format!(" -label {label}"));
        let via = route.via.expect("every generated route has one");
        writeln!(
            routes,
            "!route -T {} add -{family}{reject}{label} {} {via} -ifp {}",
            route.rtable, route.to, route.interface
        )
        .expect("a string");
    }
    texts.push((Kind::Mygate, routes));
    texts
}

fn as_hostname(interface: &Interface) -> String {
    let mut text = String::new();
    if interface.rdomain != 0 {
        writeln!(text, "rdomain {}", interface.rdomain).expect("a string");
    }
    for group in &interface.groups {
        writeln!(text, "group {group}").expect("a string");
    }
    if let Some(device) = &interface.carpdev {
        writeln!(text, "vhid 1 carpdev {device} advskew 100").expect("a string");
    }
    let mut first = true;
    for net in interface.addresses.iter().filter_map(|address| address.known()) {
        match net {
            IpNet::V6(net) => writeln!(text, "inet6 {} {}", net.addr(), net.prefix_len()).expect("a string"),
            IpNet::V4(net) if std::mem::take(&mut first) => {
                let broadcast = interface
                    .broadcast
                    .map_or("NONE".to_owned(), |address| address.to_string());
                writeln!(text, "inet {} {} {broadcast}", net.addr(), net.netmask()).expect("a string");
                if let Some(peer) = interface.peer {
                    writeln!(text, "dest {peer}").expect("a string");
                }
            }
            IpNet::V4(net) => {
                writeln!(text, "inet alias {} 0x{:08x}", net.addr(), net.netmask().to_bits()).expect("a string");
            }
        }
    }
    text.push_str(if interface.down { "down\n" } else { "up\n" });
    text
}

/// The output of `ifconfig -A` and `route -nv show` on that machine.
pub(crate) fn as_output(context: &Context) -> Vec<(Kind, String)> {
    let mut text = String::new();
    for (index, interface) in context.interfaces.iter().enumerate() {
        let up = if interface.down { "" } else { "UP," };
        let kind = match (&interface.peer, interface.name.as_str()) {
            (Some(_), _) => "POINTOPOINT",
            (None, "lo0") => "LOOPBACK",
            (None, _) => "BROADCAST",
        };
        let rdomain = match interface.rdomain {
            0 => String::new(),
            number => format!(" rdomain {number}"),
        };
        writeln!(
            text,
            "{}: flags=8843<{up}{kind},RUNNING>{rdomain} mtu 1500",
            interface.name
        )
        .expect("a string");
        writeln!(text, "\tindex {index} priority 0 llprio 3").expect("a string");
        if let Some(device) = &interface.carpdev {
            writeln!(text, "\tcarp: MASTER carpdev {device} vhid 1 advbase 1 advskew 100").expect("a string");
        }
        let driver = driver(&interface.name);
        let mut groups: Vec<&str> = if is_cloned(driver) { vec![driver] } else { Vec::new() };
        groups.extend(interface.groups.iter().map(String::as_str));
        if context.in_group(interface, "egress") && !groups.contains(&"egress") {
            groups.push("egress");
        }
        if !groups.is_empty() {
            writeln!(text, "\tgroups: {}", groups.join(" ")).expect("a string");
        }
        let mut first = true;
        for net in interface.addresses.iter().filter_map(|address| address.known()) {
            let scope = if pfproof::context::is_link_local(net.addr()) {
                format!("%{}", interface.name)
            } else {
                String::new()
            };
            match net {
                IpNet::V6(net) => {
                    writeln!(text, "\tinet6 {}{scope} prefixlen {}", net.addr(), net.prefix_len()).expect("a string");
                }
                IpNet::V4(net) => {
                    let is_first = std::mem::take(&mut first);
                    let peer = match interface.peer.filter(|_| is_first) {
                        Some(peer) => format!(" --> {peer}"),
                        None => String::new(),
                    };
                    let said = interface.broadcast.filter(|_| is_first);
                    let broadcast = said.map_or_else(|| net.broadcast().to_string(), |address| address.to_string());
                    let mask = net.netmask().to_bits();
                    writeln!(
                        text,
                        "\tinet {}{peer} netmask 0x{mask:08x} broadcast {broadcast}",
                        net.addr()
                    )
                    .expect("a string");
                }
            }
        }
    }
    let mut routes = String::from("Routing tables\n");
    for family in Family::BOTH {
        let name = if family == Family::Inet {
            "Internet"
        } else {
            "Internet6"
        };
        writeln!(
            routes,
            "\n{name}:\nDestination Gateway Flags Refs Use Mtu Prio Iface Label"
        )
        .expect("a string");
        for route in context
            .routes
            .iter()
            .filter(|route| Family::of(route.to.addr()) == family)
        {
            let to = if route.to.prefix_len() == 0 {
                "default".to_owned()
            } else {
                route.to.to_string()
            };
            let via = route.via.expect("every generated route has one");
            let reject = if route.reject { "R" } else { "" };
            let label = route
                .label
                .as_ref()
                .map_or_else(String::new, |label| format!(" \"{label}\""));
            writeln!(routes, "{to} {via} UG{reject}S 0 0 - 8 {}{label}", route.interface).expect("a string");
        }
    }
    let mut texts = small_files(context);
    texts.extend([(Kind::Ifconfig, text), (Kind::Routes, routes)]);
    texts
}
