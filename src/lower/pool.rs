//! Pools of addresses: `redirspec`, `pool_opts`, `collapse_redirspec`, `apply_redirspec`.

use md5::{Digest, Md5};

use super::node::{Node, PoolPorts, Redirection};
use super::rule::all;
use super::{Lowerer, Refused};
use crate::net::{Family, Operator};
use crate::ruleset::{
    Declaration, DynamicAddress, Host, Modifiers, Name, NatPorts, Pool, PoolAddress, PoolKind, RdrPorts, Table,
    TableContent, TableEntry, TableInterface,
};
use crate::syntax::ast::{self, AfToOption, HashKey, PoolHost, PoolType};

/// The ports that pf takes for nat-to of its own.
const NAT_PORTS: (u16, u16) = (50001, 65535);

/// Which words pfctl uses of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// nat-to, rdr-to, af-to.
    Translation,
    /// route-to and its like.
    Routing,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Self::Translation => "translation",
            Self::Routing => "routing",
        }
    }
}

impl Lowerer<'_> {
    /// The pool as written, its hosts looked up.
    pub(super) fn redirection(&mut self, pool: &ast::Pool, binat: bool) -> Result<Redirection, Refused> {
        let hosts = all(pool.hosts.iter().map(|host| self.pool_host(host)));
        let ports = pool.port.as_ref().map(|word| self.pool_ports(word));
        let (hosts, ports) = (hosts?.concat(), ports.transpose()?);
        Ok(Redirection {
            at: pool.at,
            hosts,
            ports,
            kind: pool
                .options
                .kind
                .as_ref()
                .map_or(PoolKind::First, |kind| pool_kind(&kind.value)),
            sticky: pool.options.sticky.is_some(),
            static_port: binat || pool.options.static_port.is_some(),
            family: None,
            binat,
        })
    }

    fn pool_host(&mut self, written: &PoolHost) -> Result<Vec<Node>, Refused> {
        let mut nodes = self.host(&written.host)?;
        for node in &mut nodes {
            node.weight = written.weight.map(|weight| weight.value);
        }
        Ok(nodes)
    }

    /// The two pools of af-to. Their one set of options is that of `to`, if there is one, and goes with `from`.
    pub(super) fn af_to(&mut self, af_to: &AfToOption) -> Result<(Redirection, Option<Redirection>), Refused> {
        let from = self.redirection(&af_to.from, false);
        let to = af_to.to.as_ref().map(|to| self.redirection(to, false));
        let (mut from, to) = (from?, to.transpose()?);
        from.family = Some(af_to.family);
        let to = to.map(|to| {
            (from.kind, from.sticky, from.static_port) = (to.kind, to.sticky, to.static_port);
            Redirection {
                kind: PoolKind::First,
                sticky: false,
                static_port: false,
                family: Some(af_to.family),
                ..to
            }
        });
        let other_family = |redirection: &Redirection| {
            let first = redirection.hosts.first().and_then(|node| node.family);
            first.is_some_and(|family| family != af_to.family)
        };
        if let Some(to) = &to
            && (other_family(&from) || other_family(to))
        {
            let text = "af-to addresses must be in the target address family";
            return Err(self.refuse(af_to.at, text));
        }
        Ok((from, to))
    }

    /// The one host that a pool becomes: several are put into a table. `family` is that of the rule, which the pool
    /// decides where nothing else did; `translated` the one after af-to (`collapse_redirspec`).
    pub(super) fn collapse(
        &mut self,
        redirection: Option<&Redirection>,
        family: &mut Option<Family>,
        translated: Option<Family>,
        purpose: Purpose,
    ) -> Result<Option<Node>, Refused> {
        let Some(redirection) = redirection else {
            return Ok(None);
        };
        let word = purpose.word();
        let mut chosen = None;
        let mut taken: Vec<&Node> = Vec::new();
        for node in &redirection.hosts {
            let peer = Modifiers {
                peer: true,
                ..Modifiers::default()
            };
            if let Host::Dynamic(dynamic) = &node.host
                && (purpose == Purpose::Routing && !dynamic.load_time && dynamic.modifiers != peer)
            {
                let text = "route spec requires :peer with dynamic interface addresses";
                let help = format!("write `({}:peer)`, or the address of the next hop", dynamic.interface);
                return Err(self.refuse_with(node.at, text, Some(help)));
            }
            if let (Some(target), None, None) = (redirection.family, *family, chosen) {
                chosen = Some(translated.unwrap_or(target).other());
            }
            match (node.family, translated) {
                (Some(own), None) => {
                    if family.is_some_and(|family| family != own) {
                        continue;
                    }
                    if family.is_none() && chosen.is_some_and(|chosen| chosen != own) {
                        let text = format!("{word} spec contains addresses with different address families");
                        let help = "write `inet` or `inet6` in the rule".to_owned();
                        return Err(self.refuse_with(redirection.at, text, Some(help)));
                    }
                }
                (Some(own), Some(_)) if redirection.family.is_some_and(|target| target != own) => {
                    let text = format!("{word} spec contains addresses that don't match target address family");
                    return Err(self.refuse(node.at, text));
                }
                (Some(_) | None, _) => {}
            }
            if family.is_none() && chosen.is_none() {
                chosen = node.family;
            }
            if let [.., first] = taken[..] {
                self.check_several(redirection, first, node, taken.len())?;
            }
            taken.push(node);
        }
        *family = family.or(chosen);
        match taken[..] {
            [] => Err(self.refuse(redirection.at, format!("af mismatch in {word} spec"))),
            [one] => Ok(Some(one.clone())),
            [..] => {
                let table = self.automatic_table(redirection, &taken)?;
                Ok(Some(Node::new(Host::Table(table), redirection.at)))
            }
        }
    }

    /// What pfctl does not take in a pool of several addresses.
    fn check_several(
        &mut self,
        redirection: &Redirection,
        before: &Node,
        node: &Node,
        taken: usize,
    ) -> Result<(), Refused> {
        if redirection.kind == PoolKind::Bitmask {
            let text = "pool type is not valid for multiple translation or routing addresses";
            return Err(self.refuse(redirection.at, text));
        }
        if taken == 1 && !before.is_address() && !node.is_address() {
            let text = "multiple tables or dynamic interfaces not supported for translation or routing";
            return Err(self.refuse(node.at, text));
        }
        Ok(())
    }

    /// The table `__automatic_N` of a pool, defined and declared.
    fn automatic_table(&mut self, redirection: &Redirection, nodes: &[&Node]) -> Result<Name, Refused> {
        let number = self.shared.automatic_tables;
        self.shared.automatic_tables += 1;
        let name = self.name(&format!("__automatic_{number}"));
        let mut table = Table {
            origin: Some(self.origin),
            constant: true,
            ..Table::default()
        };
        let mut contents = Vec::new();
        for node in nodes {
            match (&node.host, node.family) {
                (Host::Prefix(prefix), Some(family)) if node.bits <= family.bits() => {
                    let entry = TableEntry {
                        negated: false,
                        prefix: *prefix,
                        interface: None,
                        weight: node.weight,
                    };
                    contents.push(TableContent::Entry(entry.clone()));
                    table.entries.push(entry);
                }
                (Host::Dynamic(dynamic), family) if dynamic.load_time => {
                    table.interfaces.push(TableInterface {
                        negated: false,
                        address: dynamic.clone(),
                        family,
                    });
                    contents.push(TableContent::Interface {
                        negated: false,
                        address: dynamic.clone(),
                    });
                }
                (Host::Range(first, last), Some(_)) => {
                    table.unknown = true;
                    contents.push(TableContent::Range(*first, *last));
                }
                _ => return Err(self.refuse(node.at, "only addresses can be listed for redirection pools")),
            }
        }
        self.take_entries(table.entries.len(), redirection.at)?;
        self.declarations.push(Declaration::Table {
            name: name.clone(),
            constant: true,
            persist: false,
            counters: false,
            initialized: true,
            contents,
        });
        self.anchor.tables.insert(name.clone(), table);
        Ok(name)
    }

    /// The pool with its type, said or implied; `node` is what [`Self::collapse`] made of it (`apply_redirspec`).
    pub(super) fn pool(&mut self, redirection: &Redirection, node: &Node) -> Result<Pool, Refused> {
        let kind = match redirection.kind {
            PoolKind::First if matches!(node.host, Host::Table(_)) || node.is_multiple() => PoolKind::RoundRobin,
            kind => kind,
        };
        let one_for_one = matches!(kind, PoolKind::First | PoolKind::Bitmask);
        if one_for_one && redirection.hosts.iter().any(|node| matches!(node.host, Host::Table(_))) {
            return Err(self.refuse(redirection.at, "tables are not supported by pool type"));
        }
        if one_for_one && let Some(node) = redirection.hosts.iter().find(|node| node.is_multiple()) {
            let text = format!("interface ({}) is not supported by pool type", dynamic_name(node));
            return Err(self.refuse(node.at, text));
        }
        Ok(Pool {
            address: match &node.host {
                Host::Prefix(prefix) => PoolAddress::Prefix(*prefix),
                Host::Dynamic(dynamic) => PoolAddress::Dynamic(dynamic.clone()),
                Host::Table(name) => PoolAddress::Table(name.clone()),
                Host::Any | Host::Range(..) | Host::NoRoute | Host::UrpfFailed | Host::RouteLabel(_) => {
                    PoolAddress::Other(Box::new(node.host.clone()))
                }
            },
            interface: None,
            kind,
            sticky: redirection.sticky,
            weight: node.weight,
        })
    }

    /// The source ports of nat-to.
    pub(super) fn nat_ports(&mut self, redirection: &Redirection) -> Result<NatPorts, Refused> {
        let (first, last) = match redirection.ports {
            None => (0, 0),
            Some(PoolPorts::One(port) | PoolPorts::From(port)) => (port, port),
            Some(PoolPorts::Range(first, last)) => (first, last),
        };
        let ports = match (first, last) {
            (0, 0) => NAT_PORTS,
            (first, 0) => (first, first),
            both => both,
        };
        if !redirection.static_port {
            return Ok(match ports {
                NAT_PORTS => NatPorts::Default,
                (first, last) => NatPorts::Range(first, last),
            });
        }
        if ports.0 != NAT_PORTS.0 && ports.1 != NAT_PORTS.1 {
            let text = "the 'static-port' option can't be used when specifying a port range";
            return Err(self.refuse(redirection.at, text));
        }
        Ok(NatPorts::Static)
    }

    /// The destination ports of rdr-to; `asked` are those that the rule itself asks for.
    pub(super) fn rdr_ports(
        &mut self,
        redirection: &Redirection,
        asked: Option<Operator<u16>>,
    ) -> Result<Option<RdrPorts>, Refused> {
        let ports = match redirection.ports {
            None => None,
            Some(PoolPorts::One(first)) => Some(RdrPorts { first, last: 0 }),
            Some(PoolPorts::From(first) | PoolPorts::Range(first, 0)) => Some(RdrPorts {
                first,
                last: first.wrapping_add(asked.map_or(0, reach)),
            }),
            Some(PoolPorts::Range(first, last)) if first > last => {
                return Err(self.refuse(redirection.at, "invalid rdr-to port range"));
            }
            Some(PoolPorts::Range(first, last)) => Some(RdrPorts { first, last }),
        };
        if redirection.static_port {
            let text = "the 'static-port' option is only valid with nat rules";
            return Err(self.refuse(redirection.at, text));
        }
        Ok(ports.filter(|ports| ports.first != 0 || ports.last != 0))
    }
}

/// How far it is from the first port of a test to the second, which is 0 where there is none.
fn reach(ports: Operator<u16>) -> u16 {
    let (first, second) = match ports {
        Operator::Equal(a)
        | Operator::NotEqual(a)
        | Operator::Less(a)
        | Operator::LessOrEqual(a)
        | Operator::Greater(a)
        | Operator::GreaterOrEqual(a) => (a, 0),
        Operator::Range(a, b) | Operator::Between(a, b) | Operator::Outside(a, b) => (a, b),
    };
    second.wrapping_sub(first)
}

/// The name in a dynamic address.
pub(super) fn dynamic_name(node: &Node) -> &str {
    match &node.host {
        Host::Dynamic(DynamicAddress { interface, .. }) => interface,
        Host::Any
        | Host::Prefix(_)
        | Host::Range(..)
        | Host::Table(_)
        | Host::NoRoute
        | Host::UrpfFailed
        | Host::RouteLabel(_) => "",
    }
}

fn pool_kind(written: &PoolType) -> PoolKind {
    match written {
        PoolType::Bitmask => PoolKind::Bitmask,
        PoolType::Random => PoolKind::Random,
        PoolType::RoundRobin => PoolKind::RoundRobin,
        PoolType::LeastStates => PoolKind::LeastStates,
        PoolType::SourceHash(HashKey::Hex(key)) => PoolKind::SourceHash(*key),
        // pfctl draws one: any does, as which address a source gets is not known then.
        PoolType::SourceHash(HashKey::Random) => PoolKind::SourceHash([0; 4]),
        PoolType::SourceHash(HashKey::Text(word)) => {
            let digest = Md5::digest(word.text.as_bytes());
            let mut key = [0; 4];
            for (word, bytes) in key.iter_mut().zip(digest.chunks_exact(4)) {
                *word = bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte));
            }
            PoolKind::SourceHash(key)
        }
    }
}
