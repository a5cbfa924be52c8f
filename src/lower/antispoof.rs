//! `antispoof`: who has an address of an interface's network may come in there only, and nobody else has its address.

use super::expand::{Places, Template};
use super::node::{InterfaceNode, Node, Redirections};
use super::rule::{Criteria, Heads, log_of};
use super::{Lowerer, Refused};
use crate::net::Direction;
use crate::ruleset::{Action, Block, DynamicAddress, Host, Modifiers, Name, Rule};
use crate::source::At;
use crate::syntax::ast::{AntispoofRule, InterfaceKind, Word};

impl Lowerer<'_> {
    pub(super) fn antispoof(&mut self, written: &AntispoofRule, at: At) -> Result<(), Refused> {
        if let Some(rtable) = written.rtable {
            self.check_rtable(rtable)?;
        }
        self.end = Some(self.origin.span);
        let mut rule = Rule::new(self.origin, Action::Block(Block::Drop));
        rule.direction = Some(Direction::In);
        rule.log = written.log.as_ref().map(|log| log_of(&log.value));
        rule.quick = written.quick.is_some();
        rule.family = written.family.as_ref().map(|family| family.value);
        rule.label = self.text(written.label.as_ref().map(|word: &Word| &*word.text));
        rule.rtable = written.rtable.map(|rtable| rtable.value);
        for interface in &written.interfaces {
            let place = interface.item.at;
            let name = match &interface.item.kind {
                InterfaceKind::Name(word) => self.name(&word.text),
                InterfaceKind::Any => self.name("any"),
                // pfctl forgets the number and has no name then.
                InterfaceKind::Rdomain(_) => Name::default(),
            };
            let networks = Modifiers {
                network: true,
                ..Modifiers::default()
            };
            let (networks, own) = if interface.dynamic {
                let node = |modifiers| vec![dynamic(&name, modifiers, place)];
                (node(networks), node(Modifiers::default()))
            } else {
                (
                    self.spoofable(&name, networks, place),
                    self.spoofable(&name, Modifiers::default(), place),
                )
            };
            if networks.is_empty() && own.is_empty() {
                self.expect_interface(&name, place, "antispoof makes no rules for it");
            }
            let on = match name.is_empty() {
                true => InterfaceNode::All,
                false => InterfaceNode::Name {
                    negated: true,
                    name: name.clone(),
                },
            };
            self.block_from(&rule, on, networks, at);
            // A group has no loopback flag, not even `lo`.
            let is_loopback = !self.is_group(&name)
                && self
                    .context
                    .interface(&name)
                    .is_some_and(crate::context::Interface::is_loopback);
            if !is_loopback {
                self.block_from(&rule, InterfaceNode::All, own, at);
            }
        }
        Ok(())
    }

    /// The addresses of an interface or group; of all that begin so, for a driver's name (`ifa_skip_if`).
    fn spoofable(&mut self, name: &Name, modifiers: Modifiers, at: At) -> Vec<Node> {
        if name.is_empty() {
            return self.addresses_of("self", modifiers, None, at);
        }
        if self.context.knows(name) {
            return self.addresses_of(name, modifiers, None, at);
        }
        if self.context.open {
            let mut node = dynamic(name, modifiers, at);
            if let Host::Dynamic(address) = &mut node.host {
                address.load_time = true;
            }
            return vec![node];
        }
        if name.ends_with(|last: char| last.is_ascii_digit()) {
            return Vec::new();
        }
        let context = self.context;
        let units = context.interfaces.iter().filter(|interface| {
            let unit = interface.name.strip_prefix(&**name);
            unit.is_some_and(|unit| unit.starts_with(|first: char| first.is_ascii_digit()))
        });
        let units: Vec<_> = units.map(|interface| interface.name.as_str()).collect();
        units
            .into_iter()
            .flat_map(|unit| self.addresses_of(unit, modifiers, None, at))
            .collect()
    }

    fn is_group(&self, name: &str) -> bool {
        let interfaces = &self.context.interfaces;
        interfaces
            .iter()
            .any(|interface| self.context.in_group(interface, name))
    }

    fn block_from(&mut self, rule: &Rule, on: InterfaceNode, sources: Vec<Node>, at: At) {
        if sources.is_empty() {
            return;
        }
        let heads = Heads {
            interfaces: vec![on],
            sources: Some(sources),
            ..Heads::default()
        };
        let template = Template {
            rule: rule.clone(),
            translated: None,
            routed: None,
        };
        self.expand_with(
            template,
            &heads,
            &Criteria::default(),
            Redirections::default(),
            &Places::all(at),
        );
    }
}

fn dynamic(name: &Name, modifiers: Modifiers, at: At) -> Node {
    let address = DynamicAddress {
        interface: name.clone(),
        modifiers,
        prefix: None,
        load_time: false,
    };
    Node::new(Host::Dynamic(address), at)
}
