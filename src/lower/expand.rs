//! One rule for each combination of lists (`expand_rule`).

use super::consistent::{self, Draft};
use super::label::{self, Words};
use super::node::{INET_LABEL_BYTES, IcmpNode, InterfaceNode, LISTS, Lists, Node, Redirection, Redirections};
use super::pool::{Purpose, dynamic_name};
use super::{Lowerer, Refused};
use crate::diagnostic::Code;
use crate::net::{Direction, Family, Operator, Protocol};
use crate::ruleset::{
    AfTo, Host, InterfaceMatch, KeepState, Name, Peer, RouteTo, RouteToKind, Rule, Tagged, Translation,
};
use crate::source::At;
use crate::syntax::ast::{FilterOptions, FromTo, NamedOrNumber, PeerSpec};

/// Where the parts of a rule stand, for the faults that show when it is combined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) whole: At,
    pub(super) action: At,
    pub(super) protocol: At,
    pub(super) source: At,
    pub(super) source_port: At,
    pub(super) destination_port: At,
    pub(super) system: At,
    pub(super) user: At,
    pub(super) group: At,
    pub(super) icmp: At,
    pub(super) state: At,
    pub(super) fragment: At,
    pub(super) allow_opts: At,
    pub(super) scrub: At,
    pub(super) divert: At,
    pub(super) nat: At,
    pub(super) route: At,
    pub(super) label: At,
}

impl Places {
    /// All at the same place.
    pub(super) fn all(at: At) -> Self {
        Self {
            whole: at,
            action: at,
            protocol: at,
            source: at,
            source_port: at,
            destination_port: at,
            system: at,
            user: at,
            group: at,
            icmp: at,
            state: at,
            fragment: at,
            allow_opts: at,
            scrub: at,
            divert: at,
            nat: at,
            route: at,
            label: at,
        }
    }

    /// The places of what was written; what is implied stands for the whole rule.
    pub(super) fn new(
        action: At,
        protocols: &[NamedOrNumber],
        hosts: &FromTo,
        options: &FilterOptions,
        whole: At,
    ) -> Self {
        let port = |peer: &Option<PeerSpec>| {
            let ports = &peer.as_ref()?.ports;
            Some(ports.first()?.at.to(ports.last()?.at))
        };
        let nat = options.nat.as_ref().map(|nat| nat.at);
        let rdr = options.rdr.as_ref().map(|rdr| rdr.at);
        let af_to = options.af_to.as_ref().map(|af_to| af_to.at);
        Self {
            whole,
            action,
            protocol: protocols.first().map_or(whole, NamedOrNumber::at),
            source: hosts.from.as_ref().map_or(whole, |peer| peer.at),
            source_port: port(&hosts.from).unwrap_or(whole),
            destination_port: port(&hosts.to).unwrap_or(whole),
            system: hosts.os.first().map_or(whole, |os| os.at),
            user: options.user.first().map_or(whole, |item| item.at),
            group: options.group.first().map_or(whole, |item| item.at),
            icmp: options.icmp.as_ref().map_or(whole, |icmp| icmp.at),
            state: options.keep.as_ref().map_or(whole, |keep| keep.at),
            fragment: options.fragment.unwrap_or(whole),
            allow_opts: options.allow_opts.unwrap_or(whole),
            scrub: options.scrub.as_ref().map_or(whole, |scrub| scrub.at),
            divert: options.divert.as_ref().map_or(whole, |divert| divert.at),
            nat: nat.or(rdr).or(af_to).unwrap_or(whole),
            route: options.route.as_ref().map_or(whole, |route| route.at),
            label: options.label.as_ref().map_or(whole, |label| label.at),
        }
    }
}

/// What all rules of an expansion have in common.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// The rule, without what the lists say.
    pub(super) rule: Rule,
    /// The family after af-to.
    pub(super) translated: Option<Family>,
    /// `route-to` and its like.
    pub(super) routed: Option<RouteToKind>,
}

/// One item of each list.
#[derive(Clone, Copy)]
struct Combination<'a> {
    interface: &'a InterfaceNode,
    protocol: Option<Protocol>,
    icmp: Option<IcmpNode>,
    source: &'a Node,
    destination: &'a Node,
    source_port: Option<Operator<u16>>,
    destination_port: Option<Operator<u16>>,
    system: &'a Option<Name>,
    user: Option<Operator<u32>>,
    group: Option<Operator<u32>>,
    /// This item and those behind it, of each list.
    rest: Lists<'a>,
}

impl<'a> Combination<'a> {
    /// The items at those indices, from the outermost list to the innermost.
    fn of(lists: &Lists<'a>, at: [usize; LISTS]) -> Option<Self> {
        let rest = lists.starting_at(at)?;
        Some(Self {
            interface: rest.interfaces.first()?,
            protocol: *rest.protocols.first()?,
            icmp: *rest.icmp.first()?,
            source: rest.sources.first()?,
            destination: rest.destinations.first()?,
            source_port: *rest.source_ports.first()?,
            destination_port: *rest.destination_ports.first()?,
            system: rest.systems.first()?,
            user: *rest.users.first()?,
            group: *rest.groups.first()?,
            rest,
        })
    }
}

/// How an expansion goes.
#[derive(Default)]
struct Progress {
    added: bool,
    /// Something was refused: no further combination becomes a rule.
    failed: bool,
    /// Whether anything was said that pfctl gives a place.
    said: bool,
    /// How many of the faults are ones to which pfctl gives none.
    without_place: usize,
}

impl Lowerer<'_> {
    /// Adds a rule for each combination of the lists, nested from the outside in, and says what is wrong with them.
    pub(super) fn expand(
        &mut self,
        template: Template,
        lists: Lists<'_>,
        redirections: Redirections<'_>,
        places: &Places,
    ) {
        let product = lists.product();
        let room = self.limits.rules.saturating_sub(self.shared.rules) as u128;
        if product > room {
            let text = format!(
                "the lists of this rule make {product} rules: pfproof takes {} in all",
                self.limits.rules
            );
            let finding = self.document.finding(Code::Limit, places.whole, text);
            self.faults.push((
                places.whole,
                finding.help("put addresses into a table, ports into ranges"),
            ));
            return;
        }
        let before = self.faults.len();
        let mut progress = Progress::default();
        let lengths = lists.lengths();
        let mut at = [0; LISTS];
        loop {
            if let Some(combination) = Combination::of(&lists, at) {
                self.combine(&template, &combination, redirections, places, &mut progress);
            }
            // The next combination: the innermost list that has another item goes on, those inside it start again.
            let Some(list) = (0..LISTS).rev().find(|&list| at[list] + 1 < lengths[list]) else {
                break;
            };
            at[list] += 1;
            at[list + 1..].fill(0);
        }
        progress.said |= self.faults.len() > before + progress.without_place;
        if !progress.added && !progress.said {
            let help = "the hosts, and the addresses of translation, are of different address families";
            let help = (progress.without_place == 0).then(|| help.to_owned());
            self.refuse_with(places.whole, "rule expands to no valid combination", help);
        }
    }

    /// Adds the rule of one combination, unless its families or interfaces exclude each other.
    fn combine(
        &mut self,
        template: &Template,
        combination: &Combination<'_>,
        redirections: Redirections<'_>,
        places: &Places,
        progress: &mut Progress,
    ) {
        let mut family = template.rule.family;
        let collapsed = self.collapse_all(template, redirections, &mut family, progress);
        let Combination {
            interface,
            source,
            destination,
            ..
        } = *combination;
        if excluded(family, interface, source, destination) {
            return;
        }
        let family = family.or(source.family).or(destination.family);
        let Some(mut rule) = self.draft(template, combination, family, places, progress) else {
            return;
        };
        if let Some(nat) = redirections.nat.filter(|nat| nat.binat) {
            let outside = collapsed[0].as_ref();
            progress.failed |= self.check_binat(template, source, outside, nat, places).is_err();
            rule.direction = Some(Direction::Out);
        }
        progress.failed |= self
            .apply_pools(
                &mut rule,
                template,
                redirections,
                &collapsed,
                combination.destination_port,
            )
            .is_err();
        let draft = Draft {
            rule: &rule,
            translated: template.translated,
            routed: template.routed.is_some(),
        };
        let faults = consistent::faults(&draft, places);
        let consistent = faults.is_empty();
        for (at, text, help) in faults {
            self.refuse_with(at, text, help.map(str::to_owned));
        }
        if let (false, Some(nat), Some(outside)) = (progress.failed, redirections.nat, collapsed[0].as_ref())
            && nat.binat
        {
            let back = rule.clone();
            if consistent {
                self.add_rule(rule);
                progress.added = true;
            }
            self.expand_back(back, template, combination, nat, outside, places);
            return;
        }
        if consistent && !progress.failed {
            self.add_rule(rule);
            progress.added = true;
        }
    }

    /// The three pools, each one host; what fails fails the expansion.
    fn collapse_all(
        &mut self,
        template: &Template,
        redirections: Redirections<'_>,
        family: &mut Option<Family>,
        progress: &mut Progress,
    ) -> [Option<Node>; 3] {
        let Redirections { nat, rdr, route } = redirections;
        // pfctl looks at the destinations first.
        let in_order = [
            (rdr, template.translated, Purpose::Translation),
            (nat, template.translated, Purpose::Translation),
            (route, None, Purpose::Routing),
        ];
        let [rdr, nat, route] = in_order.map(|(redirection, translated, purpose)| {
            if progress.failed && redirection.is_some() {
                return None;
            }
            match self.collapse(redirection, family, translated, purpose) {
                Ok(node) => node,
                Err(Refused) => {
                    progress.failed = true;
                    None
                }
            }
        });
        [nat, rdr, route]
    }

    /// The rule of a combination, but for its translation and routing.
    fn draft(
        &mut self,
        template: &Template,
        combination: &Combination<'_>,
        family: Option<Family>,
        places: &Places,
        progress: &mut Progress,
    ) -> Option<Rule> {
        let Combination {
            interface,
            protocol,
            icmp,
            source,
            destination,
            source_port,
            destination_port,
            system,
            user,
            group,
            rest: _,
        } = *combination;
        let mut rule = template.rule.clone();
        rule.family = family;
        let scope = source.scope.as_ref().or(destination.scope.as_ref());
        rule.interface = match interface {
            InterfaceNode::Rdomain { negated, rdomain } => InterfaceMatch::Rdomain {
                negated: *negated,
                rdomain: *rdomain,
                interface: scope.cloned(),
            },
            InterfaceNode::Name { negated: false, name } if &**name == "any" => InterfaceMatch::Any,
            InterfaceNode::Name { negated, name } => InterfaceMatch::Name {
                negated: *negated,
                name: name.clone(),
            },
            InterfaceNode::All => match scope {
                Some(name) => InterfaceMatch::Name {
                    negated: false,
                    name: name.clone(),
                },
                None => InterfaceMatch::All,
            },
        };
        let words = Words {
            interface: interface.name().or(scope).map(|name| &**name),
            family,
            source: (source, source_port),
            destination: (destination, destination_port),
            protocol,
        };
        if expand_labels(&mut rule, &words).is_none() {
            let help = "a label or tag has room for 63 bytes when its macros are expanded".to_owned();
            self.refuse_with(places.label, "expand_label: label too long", Some(help));
            progress.failed = true;
            return None;
        }
        for node in [source, destination] {
            if let Some(bits) = node.mask_beyond_inet().filter(|_| family == Some(Family::Inet)) {
                let text = format!("netmask {bits} invalid for IPv4 address");
                let help = matches!(node.host, Host::RouteLabel(_))
                    .then(|| format!("with inet pfctl takes route labels of at most {INET_LABEL_BYTES} bytes"));
                let before = self.faults.len();
                self.refuse_with(node.at, text, help);
                progress.without_place += self.faults.len() - before;
                progress.failed = true;
            }
        }
        rule.protocol = protocol;
        rule.source = peer(source, source_port, family);
        rule.destination = peer(destination, destination_port, family);
        rule.user = user;
        rule.group = group;
        rule.icmp = icmp.map(|icmp| icmp.test);
        rule.os.clone_from(system);
        if protocol.is_some_and(|protocol| protocol != Protocol::TCP) {
            rule.flags = None;
            if matches!(rule.keep_state, KeepState::Modulate | KeepState::Synproxy) {
                rule.keep_state = KeepState::Keep;
            }
        }
        if icmp.is_some_and(|icmp| protocol != Some(icmp.protocol)) {
            let help = "`icmp-type` needs `proto icmp`, `icmp6-type` needs `proto icmp6`".to_owned();
            self.refuse_with(places.icmp, "icmp-type mismatch", Some(help));
            progress.failed = true;
        }
        Some(rule)
    }

    /// What binat-to needs of its source and its address.
    fn check_binat(
        &mut self,
        template: &Template,
        source: &Node,
        outside: Option<&Node>,
        nat: &Redirection,
        places: &Places,
    ) -> Result<(), Refused> {
        let mut outcome = Ok(());
        let usable = |node: &Node| node.is_address() || matches!(node.host, Host::Dynamic(_));
        if let Host::Table(table) = &source.host {
            let text = format!("invalid use of table <{table}> as the source address of a binat-to rule");
            outcome = Err(self.refuse(places.source, text));
        } else if source.is_multiple() {
            let name = dynamic_name(source);
            let text = format!("invalid use of interface ({name}) as the source address of a binat-to rule");
            outcome = Err(self.refuse(places.source, text));
        } else if !usable(source) || !outside.is_some_and(usable) {
            let text = "binat-to requires a specified source and redirect address";
            outcome = Err(self.refuse(nat.at, text));
        }
        if source.is_multiple() || outside.is_some_and(Node::is_multiple) {
            let text = "dynamic interfaces must be used with :0 in a binat-to rule";
            outcome = Err(self.refuse(nat.at, text));
        }
        let family = template.rule.family;
        if source.has_no_mask(family) || outside.is_some_and(|node| node.has_no_mask(family)) {
            // The words, with their slip, are pfctl's.
            let text = "source and redir addresess must have a matching network mask in binat-rule";
            let help = "write `from` with the address or network that is translated".to_owned();
            outcome = Err(self.refuse_with(nat.at, text, Some(help)));
        }
        if outside.is_some_and(|node| matches!(node.host, Host::Table(_))) {
            let text = "tables cannot be used as the redirect address of a binat-to rule";
            outcome = Err(self.refuse(nat.at, text));
        }
        if template.rule.direction.is_some() {
            let text = "binat-to cannot be specified with a direction";
            outcome = Err(self.refuse(nat.at, text));
        }
        outcome
    }

    /// Gives the rule its translation and routing.
    fn apply_pools(
        &mut self,
        rule: &mut Rule,
        template: &Template,
        redirections: Redirections<'_>,
        collapsed: &[Option<Node>; 3],
        asked: Option<Operator<u16>>,
    ) -> Result<(), Refused> {
        let [nat, rdr, route] = collapsed;
        let nat = match redirections.nat.zip(nat.as_ref()) {
            Some((redirection, node)) => Some((self.pool(redirection, node)?, self.nat_ports(redirection)?)),
            None => None,
        };
        let rdr = match redirections.rdr.zip(rdr.as_ref()) {
            Some((redirection, node)) => {
                let ports = self.rdr_ports(redirection, asked)?;
                Some((self.pool(redirection, node)?, ports))
            }
            None => None,
        };
        rule.translation = match (template.translated, nat, rdr) {
            (Some(family), Some((source, ports)), rdr) => {
                let (destination, destination_ports) = rdr.unzip();
                Some(Translation::Af(Box::new(AfTo {
                    family,
                    source,
                    ports,
                    destination,
                    destination_ports: destination_ports.flatten(),
                })))
            }
            (_, Some((nat, nat_ports)), Some((rdr, rdr_ports))) => Some(Translation::NatAndRdr {
                nat,
                nat_ports,
                rdr,
                rdr_ports,
            }),
            (_, Some((pool, ports)), None) => Some(Translation::Nat { pool, ports }),
            (_, None, Some((pool, ports))) => Some(Translation::Rdr { pool, ports }),
            (_, None, None) => None,
        }
        .map(Box::new);
        if let (Some(kind), Some(redirection), Some(node)) = (template.routed, redirections.route, route) {
            let pool = self.pool(redirection, node)?;
            // Ports mean nothing here, but pfctl looks at the options of all pools alike.
            self.rdr_ports(redirection, asked)?;
            rule.route_to = Some(Box::new(RouteTo { kind, pool }));
        }
        Ok(())
    }

    /// The inbound rules of binat-to, from an outbound one: the ends change places, and what was translated to is
    /// translated back.
    ///
    /// pfctl hands on the rest of each list and not the one item, so lists make some of these rules more than once.
    fn expand_back(
        &mut self,
        outbound: Rule,
        template: &Template,
        combination: &Combination<'_>,
        nat: &Redirection,
        outside: &Node,
        places: &Places,
    ) {
        let back = Redirection {
            hosts: vec![combination.source.clone()],
            static_port: false,
            family: None,
            binat: false,
            ..nat.clone()
        };
        let outside = [Node {
            family: None,
            negated: false,
            scope: None,
            ..outside.clone()
        }];
        let is_dynamic = matches!(combination.destination.host, Host::Dynamic(_));
        let peers = std::slice::from_ref(combination.destination);
        let lists = Lists {
            sources: if is_dynamic {
                peers
            } else {
                combination.rest.destinations
            },
            destinations: &outside,
            source_ports: combination.rest.destination_ports,
            destination_ports: combination.rest.source_ports,
            ..combination.rest
        };
        let template = Template {
            rule: Rule {
                direction: Some(Direction::In),
                translation: None,
                ..outbound
            },
            ..template.clone()
        };
        let redirections = Redirections {
            rdr: Some(&back),
            ..Redirections::default()
        };
        self.expand(template, lists, redirections, places);
    }
}

/// Whether families, or the interfaces of link-local addresses, exclude each other.
fn excluded(family: Option<Family>, interface: &InterfaceNode, source: &Node, destination: &Node) -> bool {
    fn differ<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
        a.zip(b).is_some_and(|(a, b)| a != b)
    }
    let (family, name) = (family.as_ref(), interface.name());
    differ(family, source.family.as_ref())
        || differ(family, destination.family.as_ref())
        || differ(source.family.as_ref(), destination.family.as_ref())
        || differ(source.scope.as_ref(), destination.scope.as_ref())
        || differ(source.scope.as_ref(), name)
        || differ(destination.scope.as_ref(), name)
}

/// Replaces the macros in label and tags, of which an empty one is none; `None` where one becomes too long.
fn expand_labels(rule: &mut Rule, words: &Words<'_>) -> Option<()> {
    let expand = |text: Name| label::expand(&text, words).map(|text| Some(text).filter(|text| !text.is_empty()));
    for name in [&mut rule.label, &mut rule.tag] {
        if let Some(text) = name.take() {
            *name = expand(text)?;
        }
    }
    if let Some(Tagged { negated, tag }) = rule.tagged.take() {
        rule.tagged = expand(tag)?.map(|tag| Tagged { negated, tag });
    }
    Some(())
}

fn peer(node: &Node, port: Option<Operator<u16>>, family: Option<Family>) -> Peer {
    let mut host = node.host.clone();
    if let (Host::Dynamic(dynamic), Some(family)) = (&mut host, family) {
        // `gen_dynnode`: a mask that leaves nothing out is none.
        dynamic.prefix = dynamic.prefix.filter(|&length| length < family.bits());
    }
    Peer {
        negated: node.negated,
        host,
        port,
    }
}
