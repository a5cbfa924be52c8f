//! The interfaces and groups that a pf.conf names, and what is taken of those that nobody described.

use indexmap::IndexSet;
use rustc_hash::FxHashSet;

use super::lookup::{driver, is_host_name, is_interface_name};
use super::words::{default_route, is_group, is_link_address};
use super::{Assumption, Context, Facts, Interface, InterfaceAddress, Route};
use crate::net::Family;
use crate::net::names::{group_id, user_id};
use crate::syntax::Document;
use crate::syntax::ast::{
    AnchorRule, AntispoofRule, Comparison, FilterOptions, FromTo, Host, HostKind, Id, InterfaceItem, InterfaceKind,
    IpSpec, PfRule, Pool, SetOption, Spanned, Statement, StatementKind, TableItem, TableOption,
};

/// The interfaces and groups that are taken from a pf.conf at most: far more than a machine can have.
const MOST: usize = 4096;

/// Adds to the context the interfaces that pf.conf names and nobody described, with addresses that are not known, and
/// the default routes where nobody showed any; says what was assumed.
///
/// Where some source has listed every interface, a name that it lacks is none. A group without a member is given one
/// interface of its own. Where interfaces are described at all, and nobody says that there may be more, there are then no
/// others, and that is said: what has neither a file of its own nor a rule is not configured, but a program may make it
/// all the same.
#[must_use]
pub fn assume_mentioned(context: &mut Context, facts: &Facts, document: &Document) -> Vec<Assumption> {
    let mut names = Names::default();
    names.statements(&document.statements);
    // `(ext_if)` where there is a macro `ext_if` is a slip, no group.
    let macros: FxHashSet<&str> = document.macros.iter().map(|known| &*known.name).collect();
    names.found.retain(|name| !macros.contains(name.as_str()));
    names
        .found
        .extend(context.routes.iter().map(|route| route.interface.clone()));
    let names_egress = names.found.shift_remove("egress");
    let mut assumed = Vec::new();
    if context.open {
        let described = !facts.unknown.interfaces && context.interfaces.iter().any(|interface| interface.name != "lo0");
        context.open = !described;
        assumed.extend(described.then(Assumption::no_others));
        let may_grow = |group: &&String| {
            is_group(group)
                && !matches!(group.as_str(), "all" | "lo")
                && !carries_others(group)
                && (!described || is_made_by_programs(group))
        };
        context.growing.retain(|group| !names.found.contains(group));
        context.growing.extend(names.found.iter().filter(may_grow).cloned());
        assumed.extend(assume_interfaces(context, names.found, described));
    }
    if context.routes_open {
        let may_be_unnamed = context.open && names_egress;
        assumed.extend(assume_upstream(context, may_be_unnamed));
    }
    assumed
}

/// Adds those interfaces, and one for each of those groups that has none.
fn assume_interfaces(context: &mut Context, names: IndexSet<String>, described: bool) -> Vec<Assumption> {
    let mut assumed = Vec::new();
    // Interfaces first: a group may be that of a driver one of them has.
    let (interfaces, groups): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| is_interface_name(name));
    assumed.extend(name_the_nameless(context, &interfaces));
    for name in interfaces {
        if context.interface(&name).is_none() {
            context.interfaces.push(unknown_interface(&name, None));
            if described {
                assumed.push(Assumption::new(name, Assumption::UNDESCRIBED));
            }
        }
    }
    for group in groups {
        if !context.members(&group).is_empty() || !is_group(&group) || context.hosts.contains_key(group.as_str()) {
            continue;
        }
        let name = format!("{group}0");
        if context.interface(&name).is_none() {
            let given = Some(group.clone()).filter(|group| !super::is_cloned(group));
            context.interfaces.push(unknown_interface(&name, given));
            assumed.push(if context.growing.contains(&group) {
                Assumption::new(
                    group,
                    "the group has an interface of its name and 0; more are considered",
                )
            } else {
                Assumption::new(group, "the group has one interface, of its name and 0")
            });
        }
    }
    assumed
}

/// Adds default routes where none is known: by an interface in `egress`, where some source says which that is, else by
/// any. Those of which no address is known are the likeliest, and come first.
fn assume_upstream(context: &mut Context, may_be_unnamed: bool) -> Option<Assumption> {
    let is_default = |route: &Route| route.to.prefix_len() == 0 && route.rtable == 0;
    if context.routes.iter().any(is_default) {
        return None;
    }
    if may_be_unnamed {
        context.interfaces.push(unknown_interface("egress0", None));
    }
    let could_be = |interface: &&Interface| {
        !interface.is_loopback() && !interface.down && interface.rdomain == 0 && !carries_others(&interface.name)
    };
    let mut likely: Vec<&Interface> = context.interfaces.iter().filter(could_be).collect();
    if likely.iter().any(|interface| context.in_group(interface, "egress")) {
        likely.retain(|interface| context.in_group(interface, "egress"));
    }
    likely.sort_by_key(|interface| {
        let is_unnamed = may_be_unnamed && interface.name == "egress0";
        (!is_unnamed, !interface.has_unknown(Family::Inet))
    });
    let names: Vec<String> = likely.into_iter().map(|interface| interface.name.clone()).collect();
    let first = names.first()?.clone();
    for family in Family::BOTH {
        context.routes.push(Route {
            to: default_route(family),
            interface: first.clone(),
            via: None,
            label: None,
            rtable: 0,
            reject: false,
        });
    }
    Some(match names.as_slice() {
        [_] => Assumption::new(first, "the default routes leave by it"),
        [..] => {
            context.upstreams = names;
            return Assumption::of_upstreams(&context.upstreams);
        }
    })
}

/// Takes the users, groups and host names that pf.conf names, and that neither OpenBSD ships nor any text lists, as
/// there: with numbers of their own, and with addresses that are not known. Says so.
///
/// pfctl refuses them where they are missing; what packages and a resolver add, the texts of a machine do not say.
#[must_use]
pub fn assume_names(context: &mut Context, document: &Document) -> Vec<Assumption> {
    if !context.users.is_empty() || !context.groups.is_empty() {
        return Vec::new();
    }
    let mut names = Names::default();
    names.statements(&document.statements);
    let mut assumed = Vec::new();
    // Beyond the numbers of OpenBSD's own, of packages and of people.
    let mut number = 60_000..;
    for name in names.users.into_iter().filter(|name| user_id(name).is_none()) {
        context.users.insert(name.clone(), number.next().unwrap_or(u32::MAX));
        assumed.push(Assumption::new(name, "a user whose number is not known"));
    }
    for name in names.groups.into_iter().filter(|name| group_id(name).is_none()) {
        context.groups.insert(name.clone(), number.next().unwrap_or(u32::MAX));
        assumed.push(Assumption::new(name, "a group whose number is not known"));
    }
    context.hosts_open = true;
    for name in names.hosts {
        if name != "localhost" && !context.hosts.contains_key(&name) {
            assumed.push(Assumption::new(name, "the addresses of the name are not known"));
        }
    }
    assumed
}

/// Gives the one interface that is known by its link-layer address alone the one name that pf.conf uses and nobody
/// described; with more of either, nobody can say which is which.
fn name_the_nameless(context: &mut Context, mentioned: &[String]) -> Option<Assumption> {
    let mut missing = mentioned.iter().filter(|name| context.interface(name).is_none());
    let (Some(name), None) = (missing.next(), missing.next()) else {
        return None;
    };
    let mut nameless = context
        .interfaces
        .iter_mut()
        .filter(|interface| is_link_address(&interface.name));
    let (Some(interface), None) = (nameless.next(), nameless.next()) else {
        return None;
    };
    let old = std::mem::replace(&mut interface.name, name.clone());
    for route in context.routes.iter_mut().filter(|route| route.interface == old) {
        route.interface = name.clone();
    }
    Some(Assumption::new(name, format!("is the interface of hostname.{old}")))
}

/// Whether programs make interfaces of that driver while the machine runs: ppp(8), npppd(8), vmd(8), and whatever opens
/// tun(4) or tap(4).
fn is_made_by_programs(driver: &str) -> bool {
    matches!(driver, "ppp" | "pppac" | "pppx" | "tap" | "tun")
}

/// Whether an interface carries packets of other interfaces and has no addresses of its own.
fn carries_others(name: &str) -> bool {
    matches!(driver(name), "enc" | "pflog" | "pflow" | "pfsync")
}

pub(super) fn unknown_interface(name: &str, group: Option<String>) -> Interface {
    let addresses = if carries_others(name) {
        Vec::new()
    } else {
        Family::BOTH.map(InterfaceAddress::Unknown).to_vec()
    };
    Interface {
        name: name.to_owned(),
        addresses,
        groups: group.into_iter().collect(),
        ..Interface::default()
    }
}

/// The names in a pf.conf, each once, in the order in which they are met.
#[derive(Default)]
struct Names {
    /// Interfaces and groups of them.
    found: IndexSet<String>,
    users: IndexSet<String>,
    groups: IndexSet<String>,
    hosts: IndexSet<String>,
}

impl Names {
    fn add(&mut self, name: &str) {
        let is_new = !self.found.contains(name) && self.found.len() < MOST;
        if is_new && !matches!(name, "self" | "all" | "any") {
            self.found.insert(name.to_owned());
        }
    }

    /// A word that stands for a host: the interface or group it may be.
    fn host_word(&mut self, word: &str) {
        // Most are IPv4 addresses.
        if !word.contains(|letter: char| !letter.is_ascii_digit() && !['.', '/'].contains(&letter)) {
            return;
        }
        let bare = word.split_once('/').map_or(word, |(bare, _)| bare);
        if is_host_name(bare) {
            if !self.hosts.contains(bare) {
                self.hosts.insert(bare.to_owned());
            }
            return;
        }
        let (name, modified) = match bare.split_once(':') {
            Some((name, "network" | "broadcast" | "peer" | "0" | "network:0" | "peer:0" | "broadcast:0")) => {
                (name, true)
            }
            Some(_) => return,
            None => (bare, false),
        };
        // Without a modifier a word without a number may be the name of a host.
        if is_interface_name(name) || modified || name == "egress" {
            self.add(name);
        }
    }

    fn statements(&mut self, statements: &[Statement]) {
        // Anchors nest no deeper than the reader of pf.conf allows.
        for statement in statements {
            match &statement.kind {
                StatementKind::Rule(rule) => self.rule(rule),
                StatementKind::Anchor(anchor) => self.anchor(anchor),
                StatementKind::Antispoof(antispoof) => self.antispoof(antispoof),
                StatementKind::Option(option) => {
                    if let SetOption::Skip(items) = option.as_ref() {
                        items.iter().for_each(|item| self.item(item));
                    }
                }
                StatementKind::Table(table) => {
                    for option in &table.options {
                        if let TableOption::Hosts(hosts) = option {
                            self.table(&hosts.value);
                        }
                    }
                }
                StatementKind::Macro(_)
                | StatementKind::Include(_)
                | StatementKind::Queue(_)
                | StatementKind::LoadAnchor(_) => {}
            }
        }
    }

    fn rule(&mut self, rule: &PfRule) {
        rule.interfaces.iter().for_each(|item| self.item(item));
        self.ends(&rule.hosts);
        self.options(rule.options.as_deref());
    }

    fn anchor(&mut self, anchor: &AnchorRule) {
        anchor.interfaces.iter().for_each(|item| self.item(item));
        self.ends(&anchor.hosts);
        self.options(anchor.options.as_deref());
        if let Some(body) = &anchor.body {
            self.statements(&body.statements);
        }
    }

    fn antispoof(&mut self, antispoof: &AntispoofRule) {
        antispoof
            .interfaces
            .iter()
            .for_each(|interface| self.item(&interface.item));
    }

    fn item(&mut self, item: &InterfaceItem) {
        match &item.kind {
            InterfaceKind::Name(name) => self.add(&name.text),
            InterfaceKind::Any | InterfaceKind::Rdomain(_) => {}
        }
    }

    fn ends(&mut self, hosts: &FromTo) {
        for peer in [&hosts.from, &hosts.to].into_iter().flatten() {
            peer.hosts.iter().for_each(|hosts| self.hosts(hosts));
        }
    }

    fn hosts(&mut self, hosts: &IpSpec) {
        match hosts {
            IpSpec::Any(_) => {}
            IpSpec::Host(host) => self.host(host),
            IpSpec::List(list) => list.value.iter().for_each(|hosts| self.hosts(hosts)),
        }
    }

    fn table(&mut self, items: &[TableItem]) {
        for item in items {
            match item {
                TableItem::Host { host, .. } => self.host(host),
                TableItem::List(list) => self.table(&list.value),
            }
        }
    }

    fn host(&mut self, host: &Host) {
        match &host.kind {
            HostKind::Named(word) => self.host_word(&word.text),
            HostKind::Dynamic(dynamic) => self.add(&dynamic.interface.text),
            HostKind::Range(..)
            | HostKind::Table(_)
            | HostKind::Route(_)
            | HostKind::NoRoute
            | HostKind::UrpfFailed => {}
        }
    }

    fn options(&mut self, options: Option<&FilterOptions>) {
        let Some(options) = options else { return };
        add_ids(&mut self.users, &options.user);
        add_ids(&mut self.groups, &options.group);
        if let Some(received) = &options.received_on {
            self.item(&received.interface);
        }
        let translations = [&options.nat, &options.rdr]
            .into_iter()
            .flatten()
            .map(|option| &*option.pool);
        let families = options
            .af_to
            .iter()
            .flat_map(|option| std::iter::once(&option.from).chain(&option.to));
        let routes = options.route.iter().map(|option| &option.pool);
        for pool in translations.chain(families).chain(routes) {
            self.pool(pool);
        }
    }

    fn pool(&mut self, pool: &Pool) {
        pool.hosts.iter().for_each(|host| self.host(&host.host));
    }
}

/// The names among the operands of `user` or `group`.
fn add_ids(names: &mut IndexSet<String>, comparisons: &[Spanned<Comparison<Id>>]) {
    let mut add = |id: &Id| match id {
        Id::Name(name) => {
            names.insert(name.text.to_string());
        }
        Id::Number(_) | Id::Unknown(_) => {}
    };
    for comparison in comparisons {
        match &comparison.value {
            Comparison::Plain(id) | Comparison::Unary(_, id) => add(id),
            Comparison::Binary(from, _, to) => {
                add(from);
                add(to);
            }
        }
    }
}
