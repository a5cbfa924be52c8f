//! What a required flow must look like besides getting through: `nat-to`, `rdr-to`, `by label`, `log`.

use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::engine::{Class, Decider, Engine, Field, Hop, Value, address_number};
use crate::net::{Family, RangeSet};
use crate::packet::Packet;
use crate::policy::Zones;
use crate::policy::ast::{Expectation, Host, Hosts, Spanned};
use crate::ruleset::Name;
use crate::source::Span;

/// An expectation with its names resolved.
pub(super) struct Expected {
    pub(super) span: Span,
    what: What,
}

enum What {
    /// The new source must be among these; `None`: the source must stay.
    Source(Option<Target>),
    /// The new destination and its port must be among these; `None`: they must stay.
    Destination(Option<(Target, Option<RangeSet>)>),
    /// A rule with this label must decide.
    Label(Name),
    /// Something must log.
    Log,
}

/// Addresses of both families, and interfaces whose addresses, known or not, are meant.
struct Target {
    addresses: [RangeSet; 2],
    interfaces: Vec<Name>,
}

/// The expectation on this machine.
pub(super) fn resolve(expectation: &Spanned<Expectation>, zones: &Zones<'_>) -> Result<Expected, Box<Diagnostic>> {
    let target = |hosts: &Hosts| -> Result<Target, Box<Diagnostic>> {
        let names = hosts.items.iter().filter_map(|item| match &item.host {
            Host::Named(name, _) => Some(name.clone()),
            Host::Any | Host::Itself | Host::Prefix(_) | Host::Table(_) => None,
        });
        Ok(Target {
            addresses: zones.address_sets(hosts)?,
            interfaces: names.collect(),
        })
    };
    let what = match &expectation.value {
        Expectation::Nat(hosts) => What::Source(hosts.as_ref().map(target).transpose()?),
        Expectation::Rdr(None) => What::Destination(None),
        Expectation::Rdr(Some((hosts, ports))) => {
            What::Destination(Some((target(hosts)?, crate::policy::port_numbers(ports))))
        }
        Expectation::By(label) => What::Label(label.clone()),
        Expectation::Log => What::Log,
    };
    Ok(Expected {
        span: expectation.span,
        what,
    })
}

impl Expected {
    /// Whether every packet of the class gets through as expected; why it cannot be said.
    pub(super) fn is_met(&self, class: &Class, engine: &Engine<'_>) -> Result<bool, String> {
        let hops = &class.journey.hops;
        let Some(last) = hops.last() else {
            return Ok(false);
        };
        let region = |field| class.region.numbers(field);
        match &self.what {
            What::Source(None) => Ok(last.ends.source == Value::Same),
            What::Source(Some(target)) => {
                // An address that is kept by chance is not translated to it.
                if last.ends.source == Value::Same {
                    return Ok(false);
                }
                target.holds(&last.ends.source, &region(Field::Source), last.ends.family, engine)
            }
            What::Destination(None) => {
                Ok(last.ends.destination == Value::Same && last.ends.destination_port == Value::Same)
            }
            What::Destination(Some((target, ports))) => {
                let moved = last.ends.destination != Value::Same || last.ends.destination_port != Value::Same;
                let there = target.holds(
                    &last.ends.destination,
                    &region(Field::Destination),
                    last.ends.family,
                    engine,
                )?;
                let at_port = match ports {
                    Some(ports) => within(&last.ends.destination_port, &region(Field::DestinationPort), ports)?,
                    None => true,
                };
                Ok(moved && there && at_port)
            }
            What::Label(label) => Ok(hops
                .iter()
                .any(|hop| rule_of(hop, engine).is_some_and(|rule| rule.label.as_ref() == Some(label)))),
            What::Log => Ok(hops.iter().any(|hop| hop.logged)),
        }
    }
}

impl Expected {
    /// Whether one packet gets through as expected; `None` where its header does not tell.
    pub(super) fn is_met_by(&self, packet: &Packet, after: &Packet) -> Option<bool> {
        let among = |target: &Target, address: IpAddr| {
            let at = usize::from(address.is_ipv6());
            let there = target.addresses[at].contains(address_number(address));
            (there || target.interfaces.is_empty()).then_some(there)
        };
        let moved = (after.dst, after.dport) != (packet.dst, packet.dport);
        match &self.what {
            What::Source(None) => Some(after.src == packet.src),
            What::Source(Some(target)) => Some(after.src != packet.src && among(target, after.src)?),
            What::Destination(None) => Some(!moved),
            What::Destination(Some((target, ports))) => {
                let at_port = ports.as_ref().is_none_or(|ports| ports.contains(after.dport.into()));
                Some(moved && at_port && among(target, after.dst)?)
            }
            What::Label(_) | What::Log => None,
        }
    }
}

fn rule_of<'a>(hop: &Hop, engine: &'a Engine<'_>) -> Option<&'a crate::ruleset::Rule> {
    match &hop.decider {
        Decider::Rule(id) => engine.ruleset().rule(id),
        Decider::Default
        | Decider::Skipped
        | Decider::OwnState
        | Decider::State
        | Decider::Nobody
        | Decider::Anchor(_) => None,
    }
}

impl Target {
    fn holds(&self, value: &Value, original: &RangeSet, family: Family, engine: &Engine<'_>) -> Result<bool, String> {
        if let Value::AddressOf(name) = value {
            let context = engine.context();
            let named = |wanted: &Name| {
                wanted == name
                    || context
                        .interface(name)
                        .is_some_and(|interface| context.matches(interface, wanted))
            };
            return Ok(self.interfaces.iter().any(named));
        }
        let at = usize::from(family == Family::Inet6);
        within(value, original, &self.addresses[at])
    }
}

/// Whether all that the value may be is wanted.
fn within(value: &Value, original: &RangeSet, wanted: &RangeSet) -> Result<bool, String> {
    match value {
        Value::Same => Ok(original.is_subset(wanted)),
        Value::OneOf(set) => Ok(set.is_subset(wanted)),
        Value::Moved => Err("what an address or port is moved to is not followed".to_owned()),
        Value::AddressOf(name) => Err(format!("the address of `{name}` is not known")),
    }
}
