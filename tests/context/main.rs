//! What the readers of the context make of samples, each from its format's manual page.

mod commands;
mod files;
mod nasty;
mod toml;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use pfproof::context::{Context, InterfaceAddress, Kind, Part, combine, context_from_toml, read};
use pfproof::diagnostic::Diagnostic;
use pfproof::net::Family;
use pfproof::source::Sources;

/// The folder of reference data beside the project, where there is one.
fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no ../shared");
    None
}

/// Diagnostics as `LINE:COLUMN: message; help`.
fn lines(sources: &Sources, diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics
        .iter()
        .map(|diagnostic| {
            let place = diagnostic.primary.as_ref().map_or_else(String::new, |label| {
                let at = sources.location(label.span);
                format!("{}:{}: ", at.line, at.column)
            });
            let help = diagnostic
                .help
                .as_ref()
                .map_or_else(String::new, |help| format!("; {help}"));
            format!("{place}{}{help}", diagnostic.message)
        })
        .collect()
}

fn from_toml(text: &str) -> (Context, Vec<String>) {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", text);
    let (context, diagnostics) = context_from_toml(&sources, file);
    (context, lines(&sources, &diagnostics))
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("a test's address")
}

/// The context that texts describe together, each with the kind that its name gives it, and what was said of them.
fn from_texts(texts: &[(Kind, &str)]) -> (Context, Vec<String>) {
    let mut sources = Sources::new();
    let (mut facts, mut diagnostics) = (Vec::new(), Vec::new());
    for (kind, text) in texts {
        let file = sources.add(format!("{kind:?}"), *text);
        let (found, said) = read(kind, &sources, file);
        facts.push(found);
        diagnostics.extend(said);
    }
    let (combined, said) = combine(facts);
    diagnostics.extend(said);
    (combined.context, lines(&sources, &diagnostics))
}

fn hostname(interface: &str, text: &str) -> (Context, Vec<String>) {
    from_texts(&[(Kind::HostnameIf(interface.to_owned()), text)])
}

/// An interface in one line: its addresses, then what else is known.
fn shown(context: &Context, name: &str) -> String {
    let interface = context.interface(name).expect("the interface");
    let mut words: Vec<String> = interface
        .addresses
        .iter()
        .map(|address| match address {
            InterfaceAddress::Known(net) => net.to_string(),
            InterfaceAddress::Unknown(family) => format!("{family}?"),
        })
        .collect();
    words.extend(interface.groups.iter().map(|group| format!("group {group}")));
    words.extend(interface.peer.map(|peer| format!("peer {peer}")));
    words.extend(interface.broadcast.map(|broadcast| format!("broadcast {broadcast}")));
    words.extend((interface.rdomain != 0).then(|| format!("rdomain {}", interface.rdomain)));
    words.extend(interface.down.then(|| "down".to_owned()));
    words.join(", ")
}

/// The given routes, one in a line.
fn shown_routes(context: &Context) -> Vec<String> {
    context
        .routes
        .iter()
        .map(|route| {
            let via = route.via.map_or_else(String::new, |via| format!(" via {via}"));
            let label = route
                .label
                .as_ref()
                .map_or_else(String::new, |label| format!(" label {label}"));
            let reject = if route.reject { " reject" } else { "" };
            let rtable = if route.rtable == 0 {
                String::new()
            } else {
                format!(" rtable {}", route.rtable)
            };
            format!("{} {}{via}{label}{reject}{rtable}", route.to, route.interface)
        })
        .collect()
}
