//! `pass`, `block`, `match`: the action of the nonterminal `pfrule`, and what anchors share with it.

use super::expand::{Places, Template};
use super::node::{IcmpNode, InterfaceNode, Lists, Node, Redirection, Redirections};
use super::{Lowerer, Refused};
use crate::net::{Family, FlagsMatch, Operator, Protocol};
use crate::ruleset::{
    Action, Block, BlockPolicy, Divert, KeepState, Log, Name, Rate, ReceivedOn, RouteToKind, Rule, RuleQueue, Scrub,
    SetFields, Tagged,
};
use crate::source::At;
use crate::syntax::ast::{
    ActionWord, BlockSpec, DivertOption, FilterOptions, FromTo, InterfaceItem, InterfaceKind, LogSpec, NamedOrNumber,
    PeerSpec, PfRule, ReceivedOnOption, RouteKind, Spanned, StateKind,
};

/// The code of `port-unr`, which `block return` answers.
const PORT_UNREACHABLE: u8 = 3;
/// The same of icmp6.
const PORT_UNREACHABLE6: u8 = 4;

/// What stands before the options of a rule, its names looked up. A list that was not given is empty.
#[derive(Default)]
pub(super) struct Heads {
    pub(super) interfaces: Vec<InterfaceNode>,
    pub(super) protocols: Vec<Option<Protocol>>,
    pub(super) sources: Option<Vec<Node>>,
    pub(super) destinations: Option<Vec<Node>>,
    pub(super) source_ports: Vec<Option<Operator<u16>>>,
    pub(super) destination_ports: Vec<Option<Operator<u16>>>,
    pub(super) systems: Vec<Option<Name>>,
}

/// All names of a rule, looked up.
pub(super) struct RuleNames {
    action: Action,
    heads: Heads,
    criteria: Criteria,
    redirections: [Option<Redirection>; 3],
    divert: Option<(Vec<Node>, u16)>,
}

/// The lists among the options of a rule, their names looked up. A list that was not given is empty.
#[derive(Default)]
pub(super) struct Criteria {
    pub(super) icmp: Vec<Option<IcmpNode>>,
    pub(super) users: Vec<Option<Operator<u32>>>,
    pub(super) groups: Vec<Option<Operator<u32>>>,
}

/// All that could be looked up, after all was tried, so that every fault is found.
pub(super) fn all<T>(items: impl IntoIterator<Item = Result<T, Refused>>) -> Result<Vec<T>, Refused> {
    let mut found = Vec::new();
    let mut refused = false;
    for item in items {
        match item {
            Ok(item) => found.push(item),
            Err(Refused) => refused = true,
        }
    }
    if refused { Err(Refused) } else { Ok(found) }
}

/// The items of a list, or what stands for none.
fn or<'a, T>(items: &'a [T], none: &'a [T]) -> &'a [T] {
    if items.is_empty() { none } else { items }
}

/// The family that all hosts have, unless one is known already (`decide_address_family`).
pub(super) fn decide_family(hosts: Option<&[Node]>, family: &mut Option<Family>) {
    if let (None, Some([first, rest @ ..])) = (*family, hosts)
        && rest.iter().all(|node| node.family == first.family)
    {
        *family = first.family;
    }
}

impl Lowerer<'_> {
    pub(super) fn pf_rule(&mut self, written: &PfRule, at: At) -> Result<(), Refused> {
        let none = FilterOptions::default();
        let options = written.options.as_deref().unwrap_or(&none);
        let RuleNames {
            action,
            heads,
            criteria,
            redirections: [nat, rdr, route],
            divert,
        } = self.rule_names(written, at)?;

        self.end = Some(self.origin.span);
        let mut rule = Rule::new(self.origin, action);
        rule.direction = written.direction.as_ref().map(|direction| direction.value);
        rule.log = written.log.as_ref().map(|log| log_of(&log.value));
        rule.quick = written.quick.is_some();
        rule.family = written.family.as_ref().map(|family| family.value);
        self.apply_options(&mut rule, options);
        self.check_tcp(&heads, options, &written.hosts, "apply", at)?;
        self.keep_state(&mut rule, options, at)?;
        decide_family(heads.sources.as_deref(), &mut rule.family);
        decide_family(heads.destinations.as_deref(), &mut rule.family);
        if let Some(option) = &options.route
            && option.kind != RouteKind::DupTo
            && rule.direction.is_none()
        {
            let help = "write `in` or `out` behind the action".to_owned();
            let text = "direction must be explicit with rules that specify routing";
            return Err(self.refuse_with(option.at, text, Some(help)));
        }
        self.apply_divert(&mut rule, divert, options, at)?;
        let places = Places::new(written.action.at, &written.protocols, &written.hosts, options, at);
        let template = Template {
            rule,
            translated: options.af_to.as_deref().map(|af_to| af_to.family),
            routed: options.route.as_deref().map(|route| match route.kind {
                RouteKind::RouteTo => RouteToKind::RouteTo,
                RouteKind::ReplyTo => RouteToKind::ReplyTo,
                RouteKind::DupTo => RouteToKind::DupTo,
            }),
        };
        let redirections = Redirections {
            nat: nat.as_ref(),
            rdr: rdr.as_ref(),
            route: route.as_ref(),
        };
        self.expand_with(template, &heads, &criteria, redirections, &places);
        Ok(())
    }

    /// What the words of a rule stand for, each by itself.
    pub(super) fn rule_names(&mut self, written: &PfRule, at: At) -> Result<RuleNames, Refused> {
        let none = FilterOptions::default();
        let options = written.options.as_deref().unwrap_or(&none);
        let action = self.action(&written.action.value);
        let heads = self.heads(&written.interfaces, &written.protocols, &written.hosts, at);
        let criteria = self.criteria(options);
        let redirections = self.redirections(options);
        let divert = self.divert(options.divert.as_deref());
        let timeouts = match &options.keep {
            Some(keep) => self.check_timeouts(&keep.options),
            None => Ok(()),
        };
        self.check_names(options)?;
        timeouts?;
        Ok(RuleNames {
            action: action?,
            heads: heads?,
            criteria: criteria?,
            redirections: redirections?,
            divert: divert?,
        })
    }

    /// Combines the lists; an absent list of hosts is any host.
    pub(super) fn expand_with(
        &mut self,
        template: Template,
        heads: &Heads,
        criteria: &Criteria,
        redirections: Redirections<'_>,
        places: &Places,
    ) {
        let any = [Node::any(places.whole)];
        let (no_interface, no_protocol, no_icmp) = ([InterfaceNode::All], [None], [None]);
        let (no_port, no_system, no_owner) = ([None], [None], [None]);
        let lists = Lists {
            interfaces: or(&heads.interfaces, &no_interface),
            protocols: or(&heads.protocols, &no_protocol),
            icmp: or(&criteria.icmp, &no_icmp),
            sources: heads.sources.as_deref().unwrap_or(&any),
            destinations: heads.destinations.as_deref().unwrap_or(&any),
            source_ports: or(&heads.source_ports, &no_port),
            destination_ports: or(&heads.destination_ports, &no_port),
            systems: or(&heads.systems, &no_system),
            users: or(&criteria.users, &no_owner),
            groups: or(&criteria.groups, &no_owner),
        };
        self.expand(template, lists, redirections, places);
    }

    fn action(&mut self, written: &ActionWord) -> Result<Action, Refused> {
        let spec = match written {
            ActionWord::Pass => return Ok(Action::Pass),
            ActionWord::Match => return Ok(Action::Match),
            ActionWord::Block(spec) => spec,
        };
        let returns = Block::Return {
            icmp: PORT_UNREACHABLE,
            icmp6: PORT_UNREACHABLE6,
        };
        Ok(Action::Block(match spec {
            BlockSpec::Default => match self.block_policy {
                BlockPolicy::Drop => Block::Drop,
                BlockPolicy::Return => returns,
            },
            BlockSpec::Drop => Block::Drop,
            BlockSpec::Return => returns,
            BlockSpec::ReturnRst { ttl } => Block::ReturnRst {
                ttl: ttl.filter(|&ttl| ttl != 0),
            },
            BlockSpec::ReturnIcmp { icmp, icmp6 } => {
                let code = icmp.as_ref().map(|code| self.return_code(Family::Inet, code));
                let code6 = icmp6.as_ref().map(|code| self.return_code(Family::Inet6, code));
                Block::ReturnIcmp {
                    icmp: (3, code.transpose()?.unwrap_or(PORT_UNREACHABLE)),
                    // With one code alone pfctl takes for icmp6 the type and code that are meant for icmp.
                    icmp6: match (icmp, code6.transpose()?) {
                        (_, Some(code)) => (1, code),
                        (Some(_), None) => (3, PORT_UNREACHABLE),
                        (None, None) => (1, PORT_UNREACHABLE6),
                    },
                }
            }
            BlockSpec::ReturnIcmp6 { icmp6 } => {
                let code6 = icmp6.as_ref().map(|code| self.return_code(Family::Inet6, code));
                Block::ReturnIcmp {
                    icmp: (3, PORT_UNREACHABLE),
                    icmp6: (1, code6.transpose()?.unwrap_or(PORT_UNREACHABLE6)),
                }
            }
        }))
    }

    pub(super) fn heads(
        &mut self,
        interfaces: &[InterfaceItem],
        protocols: &[NamedOrNumber],
        hosts: &FromTo,
        at: At,
    ) -> Result<Heads, Refused> {
        let interfaces = self.interfaces(interfaces);
        let protocols = all(protocols.iter().map(|item| self.protocol(item).map(Some)));
        let source = self.peer(hosts.from.as_ref(), at);
        let systems = hosts.os.iter().map(|word| {
            let name = crate::net::names::os_fingerprint(&word.text);
            Some(self.name(name.as_deref().unwrap_or("nomatch")))
        });
        let systems = systems.collect();
        let destination = self.peer(hosts.to.as_ref(), at);
        let ((sources, source_ports), (destinations, destination_ports)) = (source?, destination?);
        Ok(Heads {
            interfaces,
            protocols: protocols?,
            sources,
            destinations,
            source_ports,
            destination_ports,
            systems,
        })
    }

    #[expect(clippy::type_complexity, reason = "the two lists of one end, unpacked by the caller")]
    fn peer(
        &mut self,
        peer: Option<&PeerSpec>,
        at: At,
    ) -> Result<(Option<Vec<Node>>, Vec<Option<Operator<u16>>>), Refused> {
        let Some(peer) = peer else {
            return Ok((None, Vec::new()));
        };
        let hosts = peer.hosts.as_ref().map(|hosts| self.hosts(hosts));
        let ports = all(peer.ports.iter().map(|port| self.port(port).map(Some)));
        let hosts = hosts.transpose()?.flatten();
        if hosts.as_ref().is_some_and(Vec::is_empty) {
            return Err(self.refuse(at, "could not parse host specification"));
        }
        Ok((hosts, ports?))
    }

    pub(super) fn criteria(&mut self, options: &FilterOptions) -> Result<Criteria, Refused> {
        let users = all(options
            .user
            .iter()
            .map(|item| self.owner(item, Self::user_id).map(Some)));
        let groups = all(options
            .group
            .iter()
            .map(|item| self.owner(item, Self::group_id).map(Some)));
        let icmp = options.icmp.as_ref().map(|spec| self.icmp(spec)).transpose();
        Ok(Criteria {
            users: users?,
            groups: groups?,
            icmp: icmp?.unwrap_or_default().into_iter().map(Some).collect(),
        })
    }

    /// The pools of nat-to (or binat-to, or the source of af-to), rdr-to (or the destination of af-to), and route-to.
    pub(super) fn redirections(&mut self, options: &FilterOptions) -> Result<[Option<Redirection>; 3], Refused> {
        let nat = options.nat.as_ref().map(|nat| self.redirection(&nat.pool, nat.binat));
        let rdr = options.rdr.as_ref().map(|rdr| self.redirection(&rdr.pool, false));
        let route = options.route.as_ref().map(|route| self.redirection(&route.pool, false));
        let af_to = options.af_to.as_ref().map(|af_to| self.af_to(af_to));
        let (nat, rdr, route) = (nat.transpose()?, rdr.transpose()?, route.transpose()?);
        Ok(match af_to.transpose()? {
            Some((from, to)) => [Some(from), to, route],
            None => [nat, rdr, route],
        })
    }

    /// What of the options names queues and routing tables.
    pub(super) fn check_names(&mut self, options: &FilterOptions) -> Result<(), Refused> {
        let mut outcome = Ok(());
        if let Some(queue) = &options.queue {
            let names = std::iter::once(&queue.value.name).chain(&queue.value.priority);
            for word in names {
                if !self.shared.child_queues.contains(&word.text) {
                    let known = self.shared.child_queues.iter().map(|name| &**name);
                    let help = self.did_you_mean(&word.text, known);
                    outcome = Err(self.refuse_with(word.at, format!("queue {word} is not defined"), help));
                }
            }
        }
        if let Some(rtable) = options.rtable {
            self.check_rtable(rtable).map_err(|error| outcome = Err(error)).ok();
        }
        if let Some(received_on) = &options.received_on
            && let InterfaceKind::Name(word) = &received_on.interface.kind
        {
            let negated = received_on.interface.negated;
            let consequence = if negated {
                "it leaves out no packet"
            } else {
                "the rule never matches"
            };
            self.expect_interface(&word.text, word.at, consequence);
        }
        outcome
    }

    /// Whether the machine has the routing table (`lookup_rtable`).
    pub(super) fn check_rtable(&mut self, rtable: Spanned<u32>) -> Result<(), Refused> {
        let id = rtable.value;
        let known = id == 0
            || self.context.open
            || self.context.interfaces.iter().any(|interface| interface.rdomain == id)
            || self.context.routes.iter().any(|route| route.rtable == id);
        if known {
            return Ok(());
        }
        let help = "no interface or route of the context is in that routing table".to_owned();
        Err(self.refuse_with(rtable.at, format!("rtable {id} does not exist"), Some(help)))
    }

    /// `flags` and `os` are for tcp.
    pub(super) fn check_tcp(
        &mut self,
        heads: &Heads,
        options: &FilterOptions,
        hosts: &FromTo,
        apply: &str,
        at: At,
    ) -> Result<(), Refused> {
        if heads.protocols.is_empty() || heads.protocols.contains(&Some(Protocol::TCP)) {
            return Ok(());
        }
        let mut outcome = Ok(());
        if let Some(flags) = options.flags.filter(|flags| flags.test.is_some()) {
            let help = "leave `flags` out, or write `proto tcp`".to_owned();
            outcome = Err(self.refuse_with(flags.at, "flags only apply to tcp", Some(help)));
        }
        if let Some(os) = hosts.os.first() {
            let at = if os.at == At::default() { at } else { os.at };
            outcome = Err(self.refuse(at, format!("OS fingerprinting only {apply} to tcp")));
        }
        outcome
    }

    /// The options that apply to the rule as they stand (`filteropts_to_rule`).
    pub(super) fn apply_options(&mut self, rule: &mut Rule, options: &FilterOptions) {
        let FilterOptions {
            user: _,
            group: _,
            flags,
            icmp: _,
            prio,
            tos,
            keep: _,
            fragment,
            allow_opts,
            label,
            queue,
            tag,
            tagged,
            probability,
            rtable,
            divert,
            scrub,
            nat: _,
            rdr: _,
            af_to: _,
            route: _,
            received_on,
            once,
            max_pkt_rate,
            set,
        } = options;
        rule.flags = flags
            .and_then(|flags| flags.test)
            .map(|(set, mask)| FlagsMatch { set, mask });
        rule.prio = prio.map(|prio| prio.value);
        rule.tos = tos.map(|tos| tos.value).filter(|&tos| tos != 0);
        rule.fragment = fragment.is_some();
        rule.allow_opts = allow_opts.is_some();
        rule.label = self.text(label.as_ref().map(|word| &*word.text));
        rule.tag = self.text(tag.as_ref().map(|word| &*word.text));
        rule.tagged = tagged.as_ref().and_then(|tagged| {
            let tag = self.text(Some(&tagged.value.tag.text))?;
            Some(Tagged {
                negated: tagged.value.negated,
                tag,
            })
        });
        rule.probability = probability.map(|probability| probability.value);
        rule.rtable = rtable.map(|rtable| rtable.value);
        rule.received_on = received_on.as_ref().and_then(|option| self.received_on(option));
        rule.once = once.is_some();
        rule.max_pkt_rate = max_pkt_rate
            .map(|rate| Rate {
                limit: rate.value.limit,
                seconds: rate.value.seconds,
            })
            .filter(|rate| rate.limit != 0);
        let mut scrubbed = scrub.as_ref().map_or(Scrub::default(), |scrub| Scrub {
            no_df: scrub.no_df,
            random_id: scrub.random_id,
            min_ttl: scrub.min_ttl.unwrap_or(0),
            reassemble_tcp: scrub.reassemble_tcp,
            max_mss: scrub.max_mss.unwrap_or(0),
        });
        // What is diverted is put together again, unless reassembly is off.
        let diverted = divert.as_ref().map(|divert| &divert.value);
        if let Some(DivertOption::Packet { .. }) = diverted {
            scrubbed.reassemble_tcp |= self.reassemble.enabled;
        }
        rule.scrub = Some(scrubbed).filter(|&scrub| scrub != Scrub::default());
        let fields = SetFields {
            prio: set.prio.map(|prio| (prio.value.normal, prio.value.priority)),
            queue: queue.as_ref().map(|queue| RuleQueue {
                name: self.name(&queue.value.name.text),
                priority: queue.value.priority.as_ref().map(|word| self.name(&word.text)),
            }),
            tos: set.tos.map(|tos| tos.value),
            delay: set.delay.map(|delay| delay.value),
        };
        rule.set = (fields != SetFields::default()).then(|| Box::new(fields));
    }

    /// A text, of which an empty one is the same as none.
    pub(super) fn text(&mut self, text: Option<&str>) -> Option<Name> {
        text.filter(|text| !text.is_empty()).map(|text| self.name(text))
    }

    fn received_on(&mut self, option: &ReceivedOnOption) -> Option<ReceivedOn> {
        let interface = match &option.interface.kind {
            InterfaceKind::Name(word) => self.name(&word.text),
            InterfaceKind::Any => self.name("any"),
            // pfctl takes a routing domain and forgets it.
            InterfaceKind::Rdomain(_) => return None,
        };
        Some(ReceivedOn {
            negated: option.interface.negated,
            interface,
        })
    }

    /// How the rule keeps state, said or implied, and the flags that this implies.
    fn keep_state(&mut self, rule: &mut Rule, options: &FilterOptions, at: At) -> Result<(), Refused> {
        let passes = rule.action == Action::Pass;
        let state = match &options.keep {
            Some(keep) => {
                rule.keep_state = match keep.kind {
                    StateKind::No => KeepState::No,
                    StateKind::Keep => KeepState::Keep,
                    StateKind::Modulate => KeepState::Modulate,
                    StateKind::Synproxy => KeepState::Synproxy,
                };
                if rule.keep_state == KeepState::No {
                    return Ok(());
                }
                self.state_options(&keep.options, false, keep.at)?
            }
            None if !passes => return Ok(()),
            None => {
                rule.keep_state = KeepState::Keep;
                let defaults = self.shared.state_defaults.take().unwrap_or_default();
                let state = self.state_options(&defaults, true, at);
                if !defaults.is_empty() {
                    self.shared.state_defaults = Some(defaults);
                }
                state?
            }
        };
        if passes && options.flags.is_none() && !rule.fragment {
            rule.flags = Some(FlagsMatch::SYN);
        }
        rule.state = (state != Default::default()).then(|| Box::new(state));
        Ok(())
    }

    /// The addresses and port that packets are diverted to.
    pub(super) fn divert(
        &mut self,
        divert: Option<&Spanned<DivertOption>>,
    ) -> Result<Option<(Vec<Node>, u16)>, Refused> {
        match divert.map(|divert| &divert.value) {
            None | Some(DivertOption::Reply) => Ok(None),
            Some(DivertOption::To { host, port }) => {
                let found = self.look_up(&host.text, host.at);
                let port = self.divert_port(port);
                match found {
                    Ok(nodes) => Ok(Some((nodes, port?))),
                    Err(_) => Err(self.refuse(host.at, format!("could not parse divert address: {host}"))),
                }
            }
            Some(DivertOption::Packet { port }) => Ok(Some((Vec::new(), self.divert_port(port)?))),
        }
    }

    /// `expand_divertspec`.
    fn apply_divert(
        &mut self,
        rule: &mut Rule,
        found: Option<(Vec<Node>, u16)>,
        options: &FilterOptions,
        at: At,
    ) -> Result<(), Refused> {
        use crate::net::Direction::{In, Out};
        let Some(divert) = &options.divert else {
            return Ok(());
        };
        match (&divert.value, found) {
            (DivertOption::Reply, _) if rule.direction == Some(In) => {
                return Err(self.refuse(divert.at, "divert-reply used with incoming rule"));
            }
            (DivertOption::Reply, _) => rule.divert = Some(Divert::Reply),
            (DivertOption::Packet { .. }, Some((_, port))) => rule.divert = Some(Divert::Packet { port }),
            (DivertOption::To { .. }, _) if rule.direction == Some(Out) => {
                return Err(self.refuse(divert.at, "divert-to used with outgoing rule"));
            }
            (DivertOption::To { .. }, Some((nodes, port))) => {
                let fits = |node: &&Node| rule.family.is_none() || node.family == rule.family;
                let Some(node) = nodes.iter().find(fits) else {
                    return Err(self.refuse(divert.at, "divert-to address family mismatch"));
                };
                let crate::ruleset::Host::Prefix(prefix) = node.host else {
                    return Err(self.refuse(divert.at, "divert-to needs an address that the context knows"));
                };
                rule.family = rule.family.or(node.family);
                rule.divert = Some(Divert::To {
                    address: prefix.addr(),
                    port,
                });
            }
            (DivertOption::Packet { .. } | DivertOption::To { .. }, None) => {
                return Err(self.refuse(at, "divert without a port"));
            }
        }
        Ok(())
    }
}

/// `log ( … )` in the ruleset's words.
pub(super) fn log_of(written: &LogSpec) -> Log {
    let LogSpec { all, matches, user, to } = *written;
    Log {
        all,
        matches,
        user,
        to: u32::from(to),
    }
}
