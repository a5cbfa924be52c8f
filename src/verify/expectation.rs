//! What a required flow must look like besides getting through: `nat-to`, `rdr-to`, `by label`, `log`.

use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::engine::{Class, Decider, Engine, Field, Hop, PacketBox, Value, address, address_number};
use crate::eval;
use crate::net::{Family, RangeSet};
use crate::policy::Zones;
use crate::policy::ast::{Expectation, Host, Hosts, Spanned};
use crate::ruleset::{Name, Ruleset};
use crate::source::Span;

/// An expectation with its names resolved.
pub(super) struct Expected {
    pub(super) span: Span,
    what: What,
}

enum What {
    /// The new source must be among these; `None`: the source and its port must stay.
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
    /// The packets of the class that may get through otherwise than expected; why it cannot be said.
    pub(super) fn unmet(&self, class: &Class, engine: &Engine<'_>) -> Result<Vec<PacketBox>, String> {
        let hops = &class.journey.hops;
        let Some(last) = hops.last() else {
            return Ok(vec![class.region.clone()]);
        };
        let family = last.ends.family;
        let all_or_none = |met: bool| if met { Vec::new() } else { vec![class.region.clone()] };
        let untranslated = |fields: &[Field]| match class.keeping(fields, false) {
            Some(kept) => class.region.minus(&kept),
            None => vec![class.region.clone()],
        };
        // What is kept, be it by chance, is not translated to what it is.
        let translated = |kept: Option<PacketBox>, there: &dyn Fn(&PacketBox) -> Result<bool, String>| {
            let moved = match &kept {
                Some(kept) => class.region.minus(kept),
                None => vec![class.region.clone()],
            };
            let mut unmet: Vec<PacketBox> = kept.into_iter().collect();
            for part in moved {
                if !there(&part)? {
                    unmet.push(part);
                }
            }
            Ok(unmet)
        };
        match &self.what {
            What::Source(None) => Ok(untranslated(&[Field::Source, Field::SourcePort])),
            What::Source(Some(target)) => {
                // A port that pf chooses is another: that it may be the same is no matter.
                let at_port = class.keeping(&[Field::SourcePort], false);
                let kept = class.keeping(&[Field::Source], true);
                let kept = kept
                    .zip(at_port)
                    .and_then(|(kept, at_port)| kept.intersection(&at_port));
                translated(kept, &|part| {
                    let address = class.at_end(Field::Source, part);
                    let is_current = class.unknown_at_end(Field::Source).is_some_and(|(_, current)| current);
                    target.holds(address, (&last.ends.source, is_current), family, engine)
                })
            }
            What::Destination(None) => Ok(untranslated(&[Field::Destination, Field::DestinationPort])),
            What::Destination(Some((target, ports))) => {
                let kept = class.keeping(&[Field::Destination, Field::DestinationPort], true);
                translated(kept, &|part| {
                    let number = class.at_end(Field::DestinationPort, part);
                    let at_port = ports
                        .as_ref()
                        .is_none_or(|ports| number.is_some_and(|number| number.is_subset(ports)));
                    let address = class.at_end(Field::Destination, part);
                    let is_current = class
                        .unknown_at_end(Field::Destination)
                        .is_some_and(|(_, current)| current);
                    Ok(at_port && target.holds(address, (&last.ends.destination, is_current), family, engine)?)
                })
            }
            What::Label(label) => {
                Ok(all_or_none(hops.iter().any(|hop| {
                    rule_of(hop, engine).is_some_and(|rule| rule.label.as_ref() == Some(label))
                })))
            }
            What::Log => Ok(all_or_none(hops.iter().any(|hop| hop.logged))),
        }
    }

    /// Whether a packet that gets through does so as expected, as the evaluator saw it.
    pub(super) fn is_met_by(&self, journey: &eval::Journey, ruleset: &Ruleset) -> bool {
        let (Some(first), Some(last)) = (journey.hops.first(), journey.hops.last()) else {
            return false;
        };
        let (before, after) = (&first.before, &last.after);
        // What a state lets pass is decided by no rule.
        let mut tested = journey
            .hops
            .iter()
            .filter(|hop| !hop.state.as_ref().is_some_and(|state| state.existing));
        match &self.what {
            What::Source(None) => (before.src, before.sport) == (after.src, after.sport),
            What::Source(Some(target)) => {
                (before.src, before.sport) != (after.src, after.sport) && target.has(after.src)
            }
            What::Destination(None) => (before.dst, before.dport) == (after.dst, after.dport),
            What::Destination(Some((target, ports))) => {
                let at_port = |ports: &RangeSet| ports.contains(u128::from(after.dport));
                (before.dst, before.dport) != (after.dst, after.dport)
                    && target.has(after.dst)
                    && ports.as_ref().is_none_or(at_port)
            }
            What::Label(label) => tested.any(|hop| {
                let rule = hop.rule.as_ref().and_then(|id| ruleset.rule(id));
                rule.is_some_and(|rule| rule.label.as_ref() == Some(label))
            }),
            What::Log => tested.any(|hop| hop.log),
        }
    }

    /// Whether the evaluator sees it fail wherever the engine does: of the addresses of a pool it may take others, with
    /// which it is met.
    pub(super) fn shows(&self) -> bool {
        !matches!(self.what, What::Source(_) | What::Destination(_))
    }

    /// An address that pf may choose for packets of the class, so that it is not met.
    pub(super) fn offending(&self, class: &Class) -> Option<IpAddr> {
        let ends = &class.journey.hops.last()?.ends;
        let (value, target) = match &self.what {
            What::Source(target) => (&ends.source, target.as_ref()),
            What::Destination(target) => (&ends.destination, target.as_ref().map(|(target, _)| target)),
            What::Label(_) | What::Log => return None,
        };
        let Value::OneOf(set) = value else { return None };
        let at = usize::from(ends.family == Family::Inet6);
        let others = target.map_or_else(|| set.clone(), |target| set.minus(&target.addresses[at]));
        Some(address(others.first()?, ends.family))
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
    fn has(&self, address: IpAddr) -> bool {
        self.addresses[usize::from(address.is_ipv6())].contains(address_number(address))
    }

    /// Whether all those addresses, or the one that is not known, are such as are wanted; `is_current`: that is one which the
    /// interface has when the packet comes.
    fn holds(
        &self,
        addresses: Option<RangeSet>,
        (value, is_current): (&Value, bool),
        family: Family,
        engine: &Engine<'_>,
    ) -> Result<bool, String> {
        match (addresses, value) {
            (Some(addresses), _) => Ok(addresses.is_subset(&self.addresses[usize::from(family == Family::Inet6)])),
            (None, Value::AddressOf(name)) if !is_current => Err(format!(
                "rules translate to what {name} had when pf.conf was loaded, which it may have lost since, or to another address of \
                 its network; `({name})` in rules, or `assume {name} ADDRESS/BITS`, would settle it"
            )),
            (None, Value::AddressOf(name)) => {
                let context = engine.context();
                let named = |wanted: &Name| {
                    wanted == name
                        || context
                            .interface(name)
                            .is_some_and(|interface| context.matches(interface, wanted))
                };
                Ok(self.interfaces.iter().any(named))
            }
            (None, Value::Same | Value::OneOf(_) | Value::Moved) => Err("an address is not known".to_owned()),
        }
    }
}
