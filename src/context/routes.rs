//! Reads what `route -n show` and `netstat -rn` of OpenBSD and FreeBSD print.

use std::net::IpAddr;

use super::facts::{Facts, RouteFacts, Said};
use super::ifconfig_command::{odd, warning};
use super::lines::lines;
use super::words::{self, address, default_route, shown_prefix};
use crate::diagnostic::Diagnostic;
use crate::net::Family;
use crate::source::{FileId, Sources, Span};

/// Where the columns of one table are.
#[derive(Clone, Copy)]
struct Columns {
    flags: usize,
    interface: usize,
    label: Option<usize>,
}

/// What the output of route(8) or netstat(1) says: the routes of the first table that do not follow from addresses.
#[must_use]
pub fn read_routes(sources: &Sources, file: FileId) -> (Facts, Vec<Diagnostic>) {
    let (mut facts, mut diagnostics) = (Facts::default(), Vec::new());
    let mut family = Family::Inet;
    let mut columns = None;
    for line in lines(sources, file) {
        let fields = line.fields();
        let Some(first) = fields.first() else { continue };
        match first.value.as_str() {
            "Routing" => {}
            "Internet:" | "Internet6:" => {
                family = if first.value == "Internet:" {
                    Family::Inet
                } else {
                    Family::Inet6
                };
                columns = None;
            }
            "Destination" => {
                columns = header(&fields);
                facts.all_routes |= columns.is_some();
            }
            // Tables of other families: Encap, MPLS.
            other if other.ends_with(':') && fields.len() == 1 => columns = None,
            _ => {
                if let Some(columns) = columns {
                    match route(&fields, columns, family, line.span()) {
                        Ok(route) => facts.routes.extend(route),
                        Err(diagnostic) => diagnostics.push(diagnostic),
                    }
                }
            }
        }
    }
    if !facts.all_routes {
        let start = Span { file, start: 0, end: 0 };
        diagnostics.push(
            warning("there is no table of routes in it".to_owned(), start).help("save the output of `route -n show`"),
        );
    }
    (facts, diagnostics)
}

fn header(fields: &[Said<String>]) -> Option<Columns> {
    let column = |name: &str| fields.iter().position(|field| field.value == name);
    Some(Columns {
        flags: column("Flags")?,
        interface: column("Iface").or_else(|| column("Netif"))?,
        label: column("Label"),
    })
}

/// One line of a table; `None` where the route follows from an address, or is down.
fn route(
    fields: &[Said<String>],
    columns: Columns,
    family: Family,
    span: Span,
) -> Result<Option<RouteFacts>, Diagnostic> {
    let [to, gateway, ..] = fields else {
        return Ok(None);
    };
    let (Some(flags), Some(interface)) = (fields.get(columns.flags), fields.get(columns.interface)) else {
        return Err(odd(to, "is on a line that is cut off: the route is left out"));
    };
    if !words::is_name(&interface.value) {
        return Err(odd(interface, "is no name of an interface: the route is left out"));
    }
    let has = |flag| flags.value.contains(flag);
    // Up, made by hand or by a daemon; not to a neighbour (L) that was found, an own address (l), a broadcast address (b).
    let is_given = has('U') && (has('S') || has('G') || has('D') || has('1')) && !has('l') && !has('b');
    let is_found = has('L') && !has('S') || has('c');
    // By an interface itself, that is not the machine's own (of FreeBSD, an own address).
    let by_interface = gateway.value.starts_with("link#") || has('L');
    if !is_given || is_found || by_interface && (!has('S') || interface.value.starts_with("lo")) {
        return Ok(None);
    }
    let net = match to.value.as_str() {
        "default" => default_route(family),
        shown => shown_prefix(shown).ok_or_else(|| odd(to, "is no destination: the route is left out"))?,
    };
    // The address of another family is that of a link, for a route by an interface alone.
    let via = address(&gateway.value).filter(|via| matches!(via, IpAddr::V4(_)) == (family == Family::Inet));
    Ok(Some(RouteFacts {
        interface: Some(interface.value.clone()),
        via,
        label: columns.label.and_then(|at| label(fields.get(at..)?)),
        reject: has('R') || has('B'),
        ..RouteFacts::new(net, span)
    }))
}

/// The label that the last fields of a line are: in quotes it may have blanks.
fn label(fields: &[Said<String>]) -> Option<String> {
    let words: Vec<&str> = fields.iter().map(|field| field.value.as_str()).collect();
    Some(words.join(" ").trim_matches('"').to_owned()).filter(|label| !label.is_empty())
}
