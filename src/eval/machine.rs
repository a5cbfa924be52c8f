//! [`Machine`]: a ruleset and a context, names resolved once, ready for many packets.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use rustc_hash::FxHashMap;

use super::address::AddressSet;
use super::head::Head;
use super::record::Unproven;
use crate::context::{Context, RouteTable};
use crate::net::Direction;
use crate::ruleset::{
    Action, AnchorCall, DynamicAddress, Host, InterfaceMatch, Name, Peer, Pool, PoolAddress, Rule, RuleId, Ruleset,
    Translation,
};

/// pf with a ruleset, on a machine.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    pub(super) context: &'a Context,
    pub(super) ruleset: &'a Ruleset,
    /// The rulesets.
    pub(super) rulesets: Vec<CompiledRuleset<'a>>,
    /// The place of the main one.
    pub(super) main: Option<usize>,
    /// Whether a rule asks for what only the running machine knows.
    pub(super) asks: bool,
    /// The places of the context's interfaces, by name.
    interfaces: FxHashMap<&'a str, usize>,
    /// Whether packets pass unseen, for each interface.
    pub(super) skipped: Vec<bool>,
    /// Routing tables by number, those that have routes.
    routes: FxHashMap<u32, RouteTable<'a>>,
    /// The table of those that have none.
    no_routes: RouteTable<'a>,
    /// Whether programs send back what `divert-packet` gives them.
    pub(super) programs: bool,
    /// Whether the network stack around pf is followed.
    pub(super) stack: bool,
    /// Whether a local socket may be whose owner nobody named.
    pub(super) open_sockets: bool,
}

/// A ruleset with its path.
#[derive(Clone, Debug)]
pub(super) struct CompiledRuleset<'a> {
    pub(super) path: Name,
    pub(super) rules: Vec<CompiledRule<'a>>,
    /// The head of each of them.
    pub(super) heads: Vec<Head>,
}

/// The place of a rule in a [`Machine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RuleRef {
    pub(super) ruleset: usize,
    pub(super) rule: usize,
}

/// A rule with its names resolved.
#[derive(Clone, Debug)]
pub(super) struct CompiledRule<'a> {
    pub(super) rule: &'a Rule,
    /// Whether `on` holds, for each interface; `None`: it does on all.
    pub(super) on: Option<Vec<bool>>,
    /// Whether `received-on` names it, for each interface, negation apart.
    pub(super) received_on: Option<Vec<bool>>,
    pub(super) source: Addresses<'a>,
    pub(super) destination: Addresses<'a>,
    /// The rulesets that an anchor enters, in order.
    pub(super) enters: Vec<usize>,
    /// The pool of nat-to, or of af-to's `from`.
    pub(super) nat: Option<CompiledPool<'a>>,
    /// The pool of rdr-to, or of af-to's `to`.
    pub(super) rdr: Option<CompiledPool<'a>>,
    /// The pool of route-to and its like.
    pub(super) route: Option<CompiledPool<'a>>,
}

/// The addresses that one end of a rule asks for (`struct pf_addr_wrap`).
#[derive(Clone, Debug)]
pub(super) enum Addresses<'a> {
    Any,
    Prefix(IpNet),
    Range(IpAddr, IpAddr),
    Set(Arc<AddressSet>),
    NoRoute,
    UrpfFailed,
    RouteLabel(&'a str),
}

/// A pool with its addresses resolved.
#[derive(Clone, Debug)]
pub(super) struct CompiledPool<'a> {
    pub(super) pool: &'a Pool,
    pub(super) addresses: PoolSet,
}

/// The addresses of a pool.
#[derive(Clone, Debug)]
pub(super) enum PoolSet {
    Prefix(IpNet),
    Dynamic(Arc<AddressSet>),
    Table(Arc<AddressSet>),
    /// A range and the like, of which pf makes nothing sensible.
    Other,
}

impl<'a> Machine<'a> {
    /// pf with that ruleset, freshly loaded, on that machine.
    #[must_use]
    pub fn new(ruleset: &'a Ruleset, context: &'a Context) -> Self {
        let places: FxHashMap<&str, usize> = ruleset
            .anchors
            .keys()
            .enumerate()
            .map(|(at, path)| (path.as_ref(), at))
            .collect();
        let main = places.get(Ruleset::MAIN).copied();
        let mut compiler = Compiler {
            ruleset,
            context,
            places,
            dynamic: FxHashMap::default(),
            tables: FxHashMap::default(),
        };
        let rulesets = ruleset
            .anchors
            .iter()
            .map(|(path, anchor)| {
                let rules: Vec<_> = anchor.rules.iter().map(|rule| compiler.rule(path, rule)).collect();
                CompiledRuleset {
                    path: path.clone(),
                    heads: rules.iter().map(Head::of).collect(),
                    rules,
                }
            })
            .collect();
        let mut routes = FxHashMap::default();
        let domains = context.interfaces.iter().map(|interface| interface.rdomain);
        for number in context.routes.iter().map(|route| route.rtable).chain(domains) {
            routes.entry(number).or_insert_with(|| context.route_table(number));
        }
        Self {
            context,
            ruleset,
            rulesets,
            main,
            asks: ruleset
                .anchors
                .values()
                .flat_map(|anchor| &anchor.rules)
                .any(|rule| rule.os.is_some() || rule.probability.is_some() || rule.max_pkt_rate.is_some()),
            interfaces: context
                .interfaces
                .iter()
                .enumerate()
                .map(|(at, interface)| (interface.name.as_str(), at))
                .collect(),
            skipped: context
                .interfaces
                .iter()
                .map(|interface| {
                    let named = |name: &Name| interface.name == **name || context.in_group(interface, name);
                    ruleset.options.skip.iter().any(named)
                })
                .collect(),
            routes,
            no_routes: RouteTable::default(),
            programs: false,
            stack: false,
            open_sockets: false,
        }
    }

    /// The same machine with programs on it that send back, as they are, the packets which `divert-packet` gives them: what
    /// becomes of these is then followed. Without, their way ends there.
    #[must_use]
    pub fn with_programs(self) -> Self {
        Self { programs: true, ..self }
    }

    /// The same machine where a packet that names no owner of a local socket may have any, or no socket. Without, it has none.
    #[must_use]
    pub fn with_open_sockets(self) -> Self {
        Self {
            open_sockets: true,
            ..self
        }
    }

    /// Whether packets on that interface pass unseen (`set skip on`).
    #[must_use]
    pub fn skips(&self, interface: &str) -> bool {
        let place = self.interface(interface);
        place.is_some_and(|place| self.skipped.get(place).copied().unwrap_or(false))
    }

    /// Whether that is a loopback interface.
    pub(super) fn is_loopback(&self, interface: &str) -> bool {
        self.context
            .interface(interface)
            .is_some_and(crate::context::Interface::is_loopback)
    }

    /// The place of an interface in the context.
    pub(super) fn interface(&self, name: &str) -> Option<usize> {
        self.interfaces.get(name).copied()
    }

    /// The name of an interface.
    pub(super) fn name(&self, interface: usize) -> &'a str {
        self.context
            .interfaces
            .get(interface)
            .map_or("", |interface| interface.name.as_str())
    }

    /// Why it is not known what becomes of a packet on an interface: it is a port of a bridge.
    pub(super) fn bridged(&self, interface: usize) -> Option<Unproven> {
        let bridge = self.context.interfaces.get(interface)?.bridge.as_deref()?;
        Some(Unproven(format!(
            "{bridge} hands on what its ports see, and that is not followed"
        )))
    }

    /// The rule at a place.
    pub(super) fn rule(&self, place: RuleRef) -> Option<&CompiledRule<'a>> {
        self.rulesets.get(place.ruleset)?.rules.get(place.rule)
    }

    /// How others call the rule at a place.
    pub(super) fn id(&self, place: RuleRef) -> RuleId {
        RuleId {
            anchor: self
                .rulesets
                .get(place.ruleset)
                .map_or_else(|| Ruleset::MAIN.into(), |ruleset| ruleset.path.clone()),
            number: place.rule,
        }
    }

    /// The routing table of that number.
    pub(super) fn routes(&self, rtable: u32) -> &RouteTable<'a> {
        self.routes.get(&rtable).unwrap_or(&self.no_routes)
    }

    /// The routing domain that a routing table belongs to (`rtable_l2`).
    pub(super) fn rdomain_of(&self, rtable: u32) -> u32 {
        let is_domain = self
            .context
            .interfaces
            .iter()
            .any(|interface| interface.rdomain == rtable);
        if is_domain { rtable } else { 0 }
    }

    /// The routing domain of an interface.
    pub(super) fn rdomain(&self, interface: usize) -> u32 {
        self.context
            .interfaces
            .get(interface)
            .map_or(0, |interface| interface.rdomain)
    }
}

/// What is needed while a [`Machine`] is made.
struct Compiler<'a> {
    ruleset: &'a Ruleset,
    context: &'a Context,
    places: FxHashMap<&'a str, usize>,
    dynamic: FxHashMap<&'a DynamicAddress, Arc<AddressSet>>,
    tables: FxHashMap<(&'a str, &'a str), Arc<AddressSet>>,
}

impl<'a> Compiler<'a> {
    fn rule(&mut self, path: &'a Name, rule: &'a Rule) -> CompiledRule<'a> {
        let (nat, rdr) = match rule.translation.as_deref() {
            None => (None, None),
            Some(Translation::Nat { pool, ports: _ }) => (Some(self.pool(path, pool)), None),
            Some(Translation::Rdr { pool, ports: _ }) => (None, Some(self.pool(path, pool))),
            Some(Translation::NatAndRdr { nat, rdr, .. }) => (Some(self.pool(path, nat)), Some(self.pool(path, rdr))),
            Some(Translation::Af(af_to)) => (
                Some(self.pool(path, &af_to.source)),
                af_to.destination.as_ref().map(|pool| self.pool(path, pool)),
            ),
        };
        CompiledRule {
            rule,
            on: self.interfaces(&rule.interface),
            received_on: rule
                .received_on
                .as_ref()
                .map(|received| self.named(&received.interface)),
            source: self.addresses(path, &rule.source),
            destination: self.addresses(path, &rule.destination),
            enters: match &rule.action {
                Action::Anchor(call) => self.enters(call),
                Action::Pass | Action::Block(_) | Action::Match => Vec::new(),
            },
            nat,
            rdr,
            route: rule.route_to.as_ref().map(|route| self.pool(path, &route.pool)),
        }
    }

    /// For each interface whether it has that name or is in that group (`pfi_kif_match`).
    fn named(&self, name: &str) -> Vec<bool> {
        self.context
            .interfaces
            .iter()
            .map(|interface| self.context.matches(interface, name))
            .collect()
    }

    fn interfaces(&self, on: &InterfaceMatch) -> Option<Vec<bool>> {
        match on {
            InterfaceMatch::All
            | InterfaceMatch::Rdomain {
                negated: false,
                interface: None,
                ..
            } => None,
            // The `!` counts for the interface too, and no interface is every one: this never matches.
            InterfaceMatch::Rdomain {
                negated: true,
                interface: None,
                ..
            } => Some(self.context.interfaces.iter().map(|_| false).collect()),
            InterfaceMatch::Any => Some(self.named("any")),
            InterfaceMatch::Name { negated, name }
            | InterfaceMatch::Rdomain {
                negated,
                interface: Some(name),
                ..
            } => Some(self.named(name).into_iter().map(|named| named != *negated).collect()),
        }
    }

    fn addresses(&mut self, path: &'a Name, peer: &'a Peer) -> Addresses<'a> {
        match &peer.host {
            Host::Any => Addresses::Any,
            Host::Prefix(prefix) => Addresses::Prefix(*prefix),
            Host::Range(first, last) => Addresses::Range(*first, *last),
            Host::Dynamic(dynamic) => Addresses::Set(self.dynamic(dynamic)),
            Host::Table(name) => Addresses::Set(self.table(path, name)),
            Host::NoRoute => Addresses::NoRoute,
            Host::UrpfFailed => Addresses::UrpfFailed,
            Host::RouteLabel(label) => Addresses::RouteLabel(label),
        }
    }

    fn dynamic(&mut self, dynamic: &'a DynamicAddress) -> Arc<AddressSet> {
        let context = self.context;
        self.dynamic
            .entry(dynamic)
            .or_insert_with(|| Arc::new(AddressSet::of_dynamic(dynamic, context)))
            .clone()
    }

    /// The table that a name means in a ruleset: its own if it defines one, else the main one's
    /// (`pfr_ktable_select_active`).
    fn table(&mut self, path: &'a Name, name: &'a Name) -> Arc<AddressSet> {
        let (ruleset, context) = (self.ruleset, self.context);
        self.tables
            .entry((path, name))
            .or_insert_with(|| {
                let table = [path.as_ref(), Ruleset::MAIN]
                    .into_iter()
                    .find_map(|path| ruleset.anchors.get(path)?.tables.get(name));
                Arc::new(table.map_or_else(AddressSet::default, |table| AddressSet::of_table(name, table, context)))
            })
            .clone()
    }

    fn pool(&mut self, path: &'a Name, pool: &'a Pool) -> CompiledPool<'a> {
        let addresses = match &pool.address {
            PoolAddress::Prefix(prefix) => PoolSet::Prefix(*prefix),
            PoolAddress::Dynamic(dynamic) => PoolSet::Dynamic(self.dynamic(dynamic)),
            PoolAddress::Table(name) => PoolSet::Table(self.table(path, name)),
            PoolAddress::Other(_) => PoolSet::Other,
        };
        CompiledPool { pool, addresses }
    }

    /// The rulesets that an anchor's call runs, in order: itself, or with `/*` its children by their names.
    fn enters(&self, call: &AnchorCall) -> Vec<usize> {
        if !call.wildcard {
            return self.places.get(call.path.as_ref()).copied().into_iter().collect();
        }
        let prefix = if call.path.is_empty() {
            String::new()
        } else {
            format!("{}/", call.path)
        };
        let is_child = |path: &str| {
            path.strip_prefix(&prefix)
                .is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
        };
        self.ruleset
            .anchors
            .keys()
            .enumerate()
            .filter(|(_, path)| is_child(path))
            .map(|(at, _)| at)
            .collect()
    }
}

/// The direction as a place in keys: `sidx` of `pf_setup_pdesc` for packets in that direction.
pub(super) fn source_index(direction: Direction) -> usize {
    match direction {
        Direction::In => 0,
        Direction::Out => 1,
    }
}
