//! Reads hostname.if(5) files, as netstart(8) unpacks them.
//!
//! Nothing is run: of the `!` lines, `route add` and `ifconfig` are read for what they say, others are left out and
//! that is said.

use super::facts::{Facts, RouteFacts, RouteOrigin, Said};
use super::ifconfig_command::{self, odd, warning};
use super::ifconfig_words::is_keyword;
use super::lines::{Line, continued_lines};
use super::lookup::is_filtering_bridge;
use super::words::{default_route, is_link_address};
use super::{Assumption, InterfaceAddress, driver, is_interface_name, route_command};
use crate::diagnostic::Diagnostic;
use crate::net::Family;
use crate::source::{FileId, Sources, Span};

/// What a `hostname.NAME` says of the machine, and what is wrong with it.
#[must_use]
pub fn read_hostname(name: &str, sources: &Sources, file: FileId) -> (Facts, Vec<Diagnostic>) {
    let start = Span { file, start: 0, end: 0 };
    let mut diagnostics = Vec::new();
    let mut facts = Facts::default();
    if !is_interface_name(name) && !is_link_address(name) {
        diagnostics.push(
            warning(
                format!("`{name}` is no name of an interface: netstart(8) skips this file"),
                start,
            )
            .help("an interface is named by its driver and a number, or by its link-layer address"),
        );
        return (facts, diagnostics);
    }
    let text = sources.file(file).text();
    if text.contains('\0') {
        let message = format!("hostname.{name} is no text: the addresses of `{name}` are taken as not known");
        diagnostics.push(warning(message, start));
        let unknown = |family| Said::new(InterfaceAddress::Unknown(family), start);
        facts.interface(name, start).addresses = Some(Family::BOTH.map(unknown).to_vec());
        return (facts, diagnostics);
    }
    if let Some(at) = text.find("\r\n") {
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        let place = Span {
            file,
            start: at,
            end: at,
        };
        diagnostics.push(
            warning(
                "lines end in CR and LF: they are read as if the CR was not there".to_owned(),
                place,
            )
            .help("netstart(8) takes it for a letter of the last word: write LF alone"),
        );
    }
    let mut reader = Reader {
        name,
        facts: &mut facts,
        diagnostics: &mut diagnostics,
        commands: Vec::new(),
    };
    reader.facts.interface(name, start).addresses = Some(Vec::new());
    for line in continued_lines(sources, file) {
        reader.line(line);
    }
    reader.ports();
    reader.carry_out();
    if is_link_address(name) {
        facts.interface(name, start).lladdr = Some(Said::new(name.to_owned(), start));
    }
    (facts, diagnostics)
}

/// One ifconfig(8) command that netstart(8) would run.
struct Command {
    interface: String,
    words: Vec<Said<String>>,
    span: Span,
}

struct Reader<'a> {
    name: &'a str,
    facts: &'a mut Facts,
    diagnostics: &'a mut Vec<Diagnostic>,
    commands: Vec<Command>,
}

impl Reader<'_> {
    fn line(&mut self, line: Line<'_>) {
        let mut words = line.shell_words();
        let Some(first) = words.first() else { return };
        let is_alias = words.get(1).is_some_and(|word| word.value == "alias");
        match first.value.as_str() {
            "dhcp" => {
                words = vec![
                    Said::new("inet".to_owned(), first.span),
                    Said::new("autoconf".to_owned(), first.span),
                ];
            }
            "inet" if words.len() > 1 => self.name_positions(&mut words, is_alias, &["netmask", "broadcast"]),
            "inet6" if words.len() > 1 => self.name_positions(&mut words, is_alias, &["prefixlen"]),
            "dest" => {
                self.destination(&words);
                return;
            }
            command if command.starts_with('!') => {
                self.shell(&line, words);
                return;
            }
            _ => {}
        }
        self.commands.push(Command {
            interface: self.name.to_owned(),
            words,
            span: line.span(),
        });
    }

    /// Puts the words of ifconfig(8) before the mask and broadcast address, or prefix length, that follow an address.
    fn name_positions(&mut self, words: &mut Vec<Said<String>>, is_alias: bool, keywords: &[&str]) {
        let address = if is_alias { 2 } else { 1 };
        // `inet autoconf`, `inet6 eui64`, `inet -alias …` have no address to which a mask could belong.
        if words.get(address).is_none_or(|word| is_keyword(&word.value)) {
            return;
        }
        let mut at = address + 1;
        for &keyword in keywords {
            let Some(word) = words.get(at).cloned() else { return };
            if word.value == keyword {
                at += 2;
                continue;
            }
            if is_keyword(&word.value) {
                self.diagnostics.push(
                    odd(&word, &format!("stands where netstart(8) takes the {keyword}"))
                        .help("write the address with its prefix length (`10.0.0.1/24`) and what follows on a line of its own"),
                );
                return;
            }
            if keyword == "broadcast" && word.value == "NONE" {
                words.remove(at);
                continue;
            }
            words.insert(at, Said::new(keyword.to_owned(), word.span));
            at += 2;
        }
    }

    /// `dest ADDRESS`: the other end of the address before it.
    fn destination(&mut self, words: &[Said<String>]) {
        let [_, destination] = words else { return };
        let Some(command) = self.commands.last_mut() else {
            self.diagnostics
                .push(odd(destination, "is the destination of no address"));
            return;
        };
        let is_alias = command.words.get(1).is_some_and(|word| word.value == "alias");
        let at = if is_alias { 3 } else { 2 };
        if at <= command.words.len() {
            command.words.insert(at, destination.clone());
        }
    }

    /// A `!` line: never run.
    fn shell(&mut self, line: &Line<'_>, mut words: Vec<Said<String>>) {
        if let Some(first) = words.first_mut() {
            first.value.remove(0);
        }
        words.retain(|word| !word.value.is_empty());
        for word in &mut words {
            word.value = word.value.replace("$if", self.name);
        }
        let Some((program, arguments)) = words.split_first() else {
            return;
        };
        match program.value.rsplit('/').next() {
            Some("route") => {
                self.facts
                    .routes
                    .extend(route_command::read(arguments, line.span(), self.diagnostics));
            }
            Some("ifconfig") => {
                if let Some((interface, arguments)) = arguments.split_first()
                    && is_interface_name(&interface.value)
                {
                    self.commands.push(Command {
                        interface: interface.value.clone(),
                        words: arguments.to_vec(),
                        span: line.span(),
                    });
                }
            }
            Some(_) | None => {
                let text = "`!` lines other than route and ifconfig are left out";
                self.facts
                    .assumed
                    .push(Assumption::new(format!("hostname.{}", self.name), text));
            }
        }
    }

    /// Carries out the commands, in their order.
    fn carry_out(&mut self) {
        for command in std::mem::take(&mut self.commands) {
            let facts = self.facts.interface(&command.interface, command.span);
            ifconfig_command::apply(facts, &command.words, self.diagnostics);
            if command.words.iter().any(|word| word.value == "autoconf") {
                self.autoconf(&command);
            }
        }
    }

    /// The ports of bridges that ask pf about what they hand on.
    fn ports(&mut self) {
        for command in &self.commands {
            let bridge = &command.interface;
            let all = self.commands.iter().filter(|other| other.interface == *bridge);
            let link1 = all.flat_map(|other| &other.words).any(|said| said.value == "link1");
            if !is_filtering_bridge(driver(bridge), link1) {
                continue;
            }
            let adds = command.words.iter().zip(command.words.iter().skip(1));
            for (_, port) in adds.filter(|(add, _)| add.value == "add") {
                let bridge = Said::new(bridge.clone(), port.span);
                self.facts.interface(&port.value, port.span).bridge = Some(bridge);
            }
        }
    }

    /// An interface that is configured by dhcp or router advertisements is taken to learn a default route so.
    fn autoconf(&mut self, command: &Command) {
        let family = match command.words.first() {
            Some(word) if word.value == "inet6" => Family::Inet6,
            Some(_) | None => Family::Inet,
        };
        self.facts.routes.push(RouteFacts {
            interface: Some(command.interface.clone()),
            origin: RouteOrigin::Autoconf,
            ..RouteFacts::new(default_route(family), command.span)
        });
        self.facts.assumed.push(Assumption::new(
            &command.interface,
            "learns a default route by autoconf",
        ));
    }
}
