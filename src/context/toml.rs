//! Reads `context.toml`.

use std::net::IpAddr;
use std::ops::Range;

use indexmap::IndexMap;
use ipnet::IpNet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::facts::{Facts, InterfaceFacts, RouteFacts, Said, UnknownFacts};
use super::words;
use super::{Context, InterfaceAddress};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::net::Family;
use crate::source::{FileId, Sources, Span};

/// What a `context.toml` says of the machine, and what is wrong with it.
///
/// Every value that can be understood is taken, whatever is wrong elsewhere.
#[must_use]
pub fn read_toml(sources: &Sources, file: FileId) -> (Facts, Vec<Diagnostic>) {
    let mut reader = Reader {
        file,
        diagnostics: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(sources.file(file).text());
    for error in errors {
        let message = error.message().trim().to_lowercase();
        let span = reader.span(error.span().unwrap_or(0..0));
        reader
            .diagnostics
            .push(Diagnostic::new(Code::Context, message).at(span));
    }
    let facts = reader.document(table.get_ref());
    (facts, reader.diagnostics)
}

/// The context that a `context.toml` alone describes: [`read_toml`], then [`super::combine`].
#[must_use]
pub fn context_from_toml(sources: &Sources, file: FileId) -> (Context, Vec<Diagnostic>) {
    let (facts, mut diagnostics) = read_toml(sources, file);
    let (combined, more) = super::combine(vec![facts]);
    diagnostics.extend(more);
    (combined.context, diagnostics)
}

/// A key and its value, each with its place.
type Entry<'t, 'i> = (&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>);

struct Reader {
    file: FileId,
    diagnostics: Vec<Diagnostic>,
}

impl Reader {
    fn span(&self, range: Range<usize>) -> Span {
        Span {
            file: self.file,
            start: u32::try_from(range.start).unwrap_or(u32::MAX),
            end: u32::try_from(range.end).unwrap_or(u32::MAX),
        }
    }

    fn wrong(&mut self, message: impl Into<String>, at: Range<usize>) {
        let span = self.span(at);
        self.diagnostics.push(Diagnostic::new(Code::Context, message).at(span));
    }

    fn unknown(&mut self, what: &str, key: &Spanned<std::borrow::Cow<'_, str>>, known: &[&str]) {
        let span = self.span(key.span());
        let help = match nearest(key.get_ref(), known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("{what} has {}", known.join(", ")),
        };
        self.diagnostics.push(
            Diagnostic::new(Code::Context, format!("unknown key `{}`", key.get_ref()))
                .at(span)
                .help(help),
        );
    }

    fn document(&mut self, table: &DeTable<'_>) -> Facts {
        let mut facts = Facts {
            complete: true,
            all_routes: true,
            ..Facts::default()
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "forwarding" => facts.forwarding = self.boolean(value),
                "forwarding-inet6" => facts.forwarding_inet6 = self.boolean(value),
                "interface" => {
                    for (name, value) in self.table(value) {
                        if let Some(interface) = self.interface(name, value) {
                            facts.interfaces.push(interface);
                        }
                    }
                }
                "route" => {
                    for value in self.array(value) {
                        facts.routes.extend(self.route(value));
                    }
                }
                "hosts" => {
                    for (name, value) in self.table(value) {
                        let addresses: Vec<IpAddr> = self
                            .strings(value)
                            .into_iter()
                            .filter_map(|said| self.address(&said))
                            .collect();
                        let span = self.span(value.span());
                        facts
                            .hosts
                            .insert(name.get_ref().to_string(), Said::new(addresses, span));
                    }
                }
                "users" => facts.users = self.ids(value),
                "groups" => facts.groups = self.ids(value),
                "services" => facts.services = self.services(value),
                "unknown" => facts.unknown = self.not_known(value),
                _ => self.unknown(
                    "a context",
                    key,
                    &[
                        "forwarding",
                        "interface",
                        "route",
                        "hosts",
                        "users",
                        "groups",
                        "services",
                        "unknown",
                    ],
                ),
            }
        }
        facts
    }

    /// `[unknown]`: what is not known although the file lists the rest.
    fn not_known(&mut self, value: &Spanned<DeValue<'_>>) -> UnknownFacts {
        let mut unknown = UnknownFacts::default();
        for (key, value) in self.table(value) {
            let mut is_so = || self.boolean(value).is_some_and(|said| said.value);
            match key.get_ref().as_ref() {
                "interfaces" => unknown.interfaces = is_so(),
                "link-locals" => unknown.link_locals = is_so(),
                "hosts" => unknown.hosts = is_so(),
                "groups" => unknown.groups = self.groups(value),
                "upstreams" => unknown.upstreams = self.strings(value),
                _ => self.unknown(
                    "`[unknown]`",
                    key,
                    &["interfaces", "groups", "upstreams", "link-locals", "hosts"],
                ),
            }
        }
        unknown
    }

    /// Names of groups.
    fn groups(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Said<String>> {
        let (groups, others): (Vec<_>, Vec<_>) = self
            .strings(value)
            .into_iter()
            .partition(|group| words::is_group(&group.value));
        for other in others {
            self.diagnostics.push(
                Diagnostic::new(Code::Context, format!("`{}` is no name of a group", other.value))
                    .at(other.span)
                    .help("a group's name has at most 15 characters and ends in no digit"),
            );
        }
        groups
    }

    fn interface(
        &mut self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<InterfaceFacts> {
        if !words::names_interface(name.get_ref()) {
            self.wrong(format!("`{}` is no name of an interface", name.get_ref()), name.span());
            return None;
        }
        let mut facts = InterfaceFacts::new(name.get_ref().as_ref(), self.span(name.span()));
        // An interface that context.toml lists without addresses has none.
        facts.addresses = Some(Vec::new());
        for (key, value) in self.table(value) {
            match key.get_ref().as_ref() {
                "addresses" => {
                    facts.addresses = Some(
                        self.strings(value)
                            .into_iter()
                            .filter_map(|said| self.interface_address(said))
                            .collect(),
                    );
                }
                "groups" => facts.groups.extend(self.groups(value)),
                "peer" => facts.peer = self.single_address(value),
                "broadcast" => {
                    let said = self.single_address(value);
                    let (inet, others): (Vec<_>, Vec<_>) = said.into_iter().partition(|said| said.value.is_ipv4());
                    for other in others {
                        let message = format!("`{}` is no broadcast address: IPv6 has none", other.value);
                        self.diagnostics
                            .push(Diagnostic::new(Code::Context, message).at(other.span));
                    }
                    facts.broadcast = inet.into_iter().next();
                }
                "rdomain" => facts.rdomain = self.number(value, 255),
                "up" => facts.up = self.boolean(value),
                "carpdev" => facts.carpdev = self.string(value),
                "bridge" => facts.bridge = self.string(value),
                _ => self.unknown(
                    "an interface",
                    key,
                    &[
                        "addresses",
                        "groups",
                        "peer",
                        "broadcast",
                        "rdomain",
                        "up",
                        "carpdev",
                        "bridge",
                    ],
                ),
            }
        }
        Some(facts)
    }

    fn route(&mut self, value: &Spanned<DeValue<'_>>) -> Option<RouteFacts> {
        let mut to = None;
        let mut route = RouteFacts::new(IpNet::default(), self.span(value.span()));
        for (key, value) in self.table(value) {
            match key.get_ref().as_ref() {
                "to" => to = self.string(value).and_then(|said| self.destination(&said)),
                "interface" => route.interface = self.string(value).map(|said| said.value),
                "via" => route.via = self.single_address(value).map(|said| said.value),
                "label" => route.label = self.string(value).map(|said| said.value),
                "rtable" => route.rtable = self.number(value, 255).map_or(0, |said| said.value),
                "reject" => route.reject = self.boolean(value).is_some_and(|said| said.value),
                _ => self.unknown("a route", key, &["to", "interface", "via", "label", "rtable", "reject"]),
            }
        }
        let Some(to) = to else {
            self.wrong("a route without `to`", value.span());
            return None;
        };
        route.to = to;
        Some(route)
    }

    fn destination(&mut self, said: &Said<String>) -> Option<IpNet> {
        if said.value == "default" {
            return Some(words::default_route(Family::Inet));
        }
        let net = words::prefix(&said.value);
        if net.is_none() {
            self.diagnostics.push(
                Diagnostic::new(Code::Context, format!("`{}` is no prefix", said.value))
                    .at(said.span)
                    .help("write `default` (IPv4), `::/0`, or a prefix such as `10.0.0.0/8`"),
            );
        }
        net
    }

    fn interface_address(&mut self, said: Said<String>) -> Option<Said<InterfaceAddress>> {
        let value = match said.value.as_str() {
            "dhcp" => Some(InterfaceAddress::Unknown(Family::Inet)),
            "autoconf" => Some(InterfaceAddress::Unknown(Family::Inet6)),
            text => words::prefix(text)
                .filter(|_| text.contains('/'))
                .map(InterfaceAddress::Known),
        };
        if value.is_none() {
            let help = match said.value.parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) => format!("add the length of its network: `{address}/24`"),
                Ok(IpAddr::V6(address)) => format!("add the length of its network: `{address}/64`"),
                Err(_) => {
                    "an address with the length of its network (`203.0.113.7/24`), or `dhcp` or `autoconf` for one \
                           that is not known"
                        .to_owned()
                }
            };
            self.diagnostics.push(
                Diagnostic::new(
                    Code::Context,
                    format!("`{}` is no address with a prefix length", said.value),
                )
                .at(said.span)
                .help(help),
            );
        }
        value.map(|value| Said::new(value, said.span))
    }

    fn single_address(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Said<IpAddr>> {
        let said = self.string(value)?;
        self.address(&said).map(|address| Said::new(address, said.span))
    }

    fn address(&mut self, said: &Said<String>) -> Option<IpAddr> {
        let address = said.value.parse().ok();
        if address.is_none() {
            self.diagnostics
                .push(Diagnostic::new(Code::Context, format!("`{}` is no address", said.value)).at(said.span));
        }
        address
    }

    fn ids(&mut self, value: &Spanned<DeValue<'_>>) -> IndexMap<String, Said<u32>> {
        self.table(value)
            .into_iter()
            .filter_map(|(name, value)| Some((name.get_ref().to_string(), self.number(value, u32::MAX)?)))
            .collect()
    }

    /// `"http/tcp" = 80`.
    fn services(&mut self, value: &Spanned<DeValue<'_>>) -> IndexMap<(String, String), Said<u16>> {
        let mut services = IndexMap::new();
        for (key, value) in self.table(value) {
            let Some((name, proto @ ("tcp" | "udp"))) = key.get_ref().rsplit_once('/') else {
                self.wrong(
                    format!("`{}` is no `service/tcp` or `service/udp`", key.get_ref()),
                    key.span(),
                );
                continue;
            };
            if let Some(port) = self.number(value, u16::MAX.into()) {
                let number = u16::try_from(port.value).unwrap_or(u16::MAX);
                services.insert((name.to_owned(), proto.to_owned()), Said::new(number, port.span));
            }
        }
        services
    }

    fn table<'t, 'i>(&mut self, value: &'t Spanned<DeValue<'i>>) -> Vec<Entry<'t, 'i>> {
        match value.get_ref().as_table() {
            Some(table) => table.iter().collect(),
            None => {
                self.wrong("a table is expected here", value.span());
                Vec::new()
            }
        }
    }

    fn array<'t, 'i>(&mut self, value: &'t Spanned<DeValue<'i>>) -> Vec<&'t Spanned<DeValue<'i>>> {
        match value.get_ref().as_array() {
            Some(array) => array.iter().collect(),
            None => {
                self.wrong("a list is expected here", value.span());
                Vec::new()
            }
        }
    }

    fn string(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Said<String>> {
        match value.get_ref().as_str() {
            Some(text) => Some(Said::new(text.to_owned(), self.span(value.span()))),
            None => {
                self.wrong("a text in quotes is expected here", value.span());
                None
            }
        }
    }

    /// A list of texts; one text alone is a list of it.
    fn strings(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Said<String>> {
        if value.get_ref().is_str() {
            return self.string(value).into_iter().collect();
        }
        self.array(value)
            .into_iter()
            .filter_map(|value| self.string(value))
            .collect()
    }

    fn boolean(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Said<bool>> {
        match value.get_ref().as_bool() {
            Some(said) => Some(Said::new(said, self.span(value.span()))),
            None => {
                self.wrong("`true` or `false` is expected here", value.span());
                None
            }
        }
    }

    fn number(&mut self, value: &Spanned<DeValue<'_>>, most: u32) -> Option<Said<u32>> {
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|integer| u32::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok())
            .filter(|&number| number <= most);
        match number {
            Some(number) => Some(Said::new(number, self.span(value.span()))),
            None => {
                self.wrong(format!("a number from 0 to {most} is expected here"), value.span());
                None
            }
        }
    }
}
