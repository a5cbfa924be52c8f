//! Writes a [`Context`] as `context.toml`.

use std::fmt::{self, Write};

use super::words::default_route;
use super::{Context, Facts, Interface, InterfaceAddress, Route};
use crate::net::Family;
use crate::source::{Sources, Span};

/// The context as `context.toml`: reading it gives the same machine.
#[must_use]
pub fn write_toml(context: &Context) -> String {
    write_commented(context, |_| None, |_| None)
}

/// The same, with the text that each interface and route comes from as a comment.
#[must_use]
pub fn write_toml_from(context: &Context, facts: &Facts, sources: &Sources) -> String {
    let file = |span: Span| {
        let name = sources.file(span.file).name();
        name.rsplit('/').next().unwrap_or(name).to_owned()
    };
    let interface = |interface: &Interface| {
        let said = facts.interfaces.iter().find(|said| said.name.value == interface.name);
        Some(match said {
            Some(said) => file(said.name.span),
            None if interface.name == "lo0" => "always there".to_owned(),
            None => "assumed: named in pf.conf".to_owned(),
        })
    };
    let route = |route: &Route| {
        let said = facts.routes.iter().find(|said| {
            said.to == route.to
                && said.rtable == route.rtable
                && said.via == route.via
                && said
                    .interface
                    .as_ref()
                    .is_none_or(|interface| *interface == route.interface)
        });
        Some(match said {
            Some(said) => file(said.span),
            None => "assumed".to_owned(),
        })
    };
    write_commented(context, interface, route)
}

fn write_commented(
    context: &Context,
    interface_comment: impl Fn(&Interface) -> Option<String>,
    route_comment: impl Fn(&Route) -> Option<String>,
) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut text, context, &interface_comment, &route_comment);
    text
}

fn write_all(
    out: &mut String,
    context: &Context,
    interface_comment: &dyn Fn(&Interface) -> Option<String>,
    route_comment: &dyn Fn(&Route) -> Option<String>,
) -> fmt::Result {
    writeln!(out, "forwarding = {}", context.forwarding)?;
    if let Some(inet6) = context.forwarding_inet6 {
        writeln!(out, "forwarding-inet6 = {inet6}")?;
    }
    for interface in &context.interfaces {
        let comment = comment(interface_comment(interface));
        writeln!(out, "\n[interface.{}]{comment}", key(&interface.name))?;
        write_interface(out, interface)?;
    }
    for route in &context.routes {
        writeln!(out, "\n[[route]]{}", comment(route_comment(route)))?;
        write_route(out, route)?;
    }
    let hosts = context
        .hosts
        .iter()
        .map(|(name, addresses)| (name.clone(), list(addresses)));
    table(out, "hosts", hosts)?;
    table(
        out,
        "users",
        context.users.iter().map(|(name, id)| (name.clone(), id.to_string())),
    )?;
    table(
        out,
        "groups",
        context.groups.iter().map(|(name, id)| (name.clone(), id.to_string())),
    )?;
    let services = context
        .services
        .iter()
        .map(|((name, protocol), port)| (format!("{name}/{protocol}"), port.to_string()));
    table(out, "services", services)?;
    table(out, "unknown", unknown(context).into_iter())
}

/// What is not known besides addresses: without it a policy might hold by this file alone.
fn unknown(context: &Context) -> Vec<(String, String)> {
    let is_so = |name: &str, so: bool| so.then(|| (name.to_owned(), "true".to_owned()));
    let names = |name: &str, names: &[String]| (!names.is_empty()).then(|| (name.to_owned(), list(names)));
    let all = [
        is_so("interfaces", context.open),
        names("groups", &context.growing),
        names("upstreams", &context.upstreams),
        is_so("link-locals", context.link_locals_open),
        is_so("hosts", context.hosts_open),
    ];
    all.into_iter().flatten().collect()
}

fn write_interface(out: &mut String, interface: &Interface) -> fmt::Result {
    let addresses: Vec<String> = interface
        .addresses
        .iter()
        .map(|address| match address {
            InterfaceAddress::Known(net) => net.to_string(),
            InterfaceAddress::Unknown(Family::Inet) => "dhcp".to_owned(),
            InterfaceAddress::Unknown(Family::Inet6) => "autoconf".to_owned(),
        })
        .collect();
    writeln!(out, "addresses = {}", list(&addresses))?;
    if !interface.groups.is_empty() {
        writeln!(out, "groups = {}", list(&interface.groups))?;
    }
    if let Some(peer) = interface.peer {
        writeln!(out, "peer = \"{peer}\"")?;
    }
    if let Some(broadcast) = interface.broadcast {
        writeln!(out, "broadcast = \"{broadcast}\"")?;
    }
    if interface.rdomain != 0 {
        writeln!(out, "rdomain = {}", interface.rdomain)?;
    }
    if let Some(device) = &interface.carpdev {
        writeln!(out, "carpdev = {}", quoted(device))?;
    }
    if let Some(bridge) = &interface.bridge {
        writeln!(out, "bridge = {}", quoted(bridge))?;
    }
    if interface.down {
        writeln!(out, "up = false")?;
    }
    Ok(())
}

fn write_route(out: &mut String, route: &Route) -> fmt::Result {
    if route.to == default_route(Family::Inet) {
        writeln!(out, "to = \"default\"")?;
    } else {
        writeln!(out, "to = \"{}\"", route.to)?;
    }
    writeln!(out, "interface = {}", quoted(&route.interface))?;
    if let Some(via) = route.via {
        writeln!(out, "via = \"{via}\"")?;
    }
    if let Some(label) = &route.label {
        writeln!(out, "label = {}", quoted(label))?;
    }
    if route.rtable != 0 {
        writeln!(out, "rtable = {}", route.rtable)?;
    }
    if route.reject {
        writeln!(out, "reject = true")?;
    }
    Ok(())
}

fn table(out: &mut String, name: &str, mut entries: impl Iterator<Item = (String, String)>) -> fmt::Result {
    let Some((first, value)) = entries.next() else {
        return Ok(());
    };
    writeln!(out, "\n[{name}]\n{} = {value}", key(&first))?;
    entries.try_for_each(|(name, value)| writeln!(out, "{} = {value}", key(&name)))
}

/// A comment to the end of the line; names of files may hold any letters, newlines too.
fn comment(text: Option<String>) -> String {
    text.map_or_else(String::new, |text| {
        format!("  # {}", text.replace(|letter: char| letter.is_control(), " "))
    })
}

/// A list of texts in quotes.
fn list(items: &[impl fmt::Display]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

/// A key: bare where TOML lets it be.
fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(is_bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_control() => quoted.push_str(&format!("\\U{:08X}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
