//! [`Head`]: what keeps most packets from a rule, in few bytes side by side, so that rulesets of any length are gone through quickly.

use std::net::IpAddr;

use ipnet::IpNet;

use super::descriptor::Descriptor;
use super::machine::{Addresses, CompiledRule};
use crate::net::{Direction, Family, Protocol};

/// The first criteria of a rule, as far as they are simple: where one of them fails, [`Machine::test`](super::Machine) misses, too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    source: Net,
    destination: Net,
    /// Whether `on` holds, a bit for each of the first interfaces.
    on: u64,
    protocol: Option<Protocol>,
    family: Option<Family>,
    direction: Option<Direction>,
}

/// A network of IPv4 and its mask; all where anything else is asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Net {
    network: u32,
    mask: u32,
}

impl Net {
    fn of(addresses: &Addresses<'_>, negated: bool) -> Self {
        match addresses {
            Addresses::Prefix(IpNet::V4(net)) if !negated => Self {
                network: net.network().into(),
                mask: net.netmask().into(),
            },
            _ => Self::default(),
        }
    }

    fn may_hold(self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => u32::from(address) & self.mask == self.network,
            IpAddr::V6(_) => true,
        }
    }
}

impl Head {
    pub(super) fn of(compiled: &CompiledRule<'_>) -> Self {
        let rule = compiled.rule;
        let holds = |on: &Vec<bool>| {
            let bits = on.iter().take(64).enumerate();
            bits.fold(0, |all, (at, &holds)| all | u64::from(holds) << at)
        };
        Self {
            source: Net::of(&compiled.source, rule.source.negated),
            destination: Net::of(&compiled.destination, rule.destination.negated),
            on: compiled.on.as_ref().map_or(u64::MAX, holds),
            protocol: rule.protocol,
            family: rule.family,
            direction: rule.direction,
        }
    }

    /// Whether the rule may match: `false` only where it surely does not.
    pub(super) fn may_match(&self, pd: &Descriptor) -> bool {
        (pd.interface >= 64 || self.on >> pd.interface & 1 == 1)
            && self.direction.is_none_or(|direction| direction == pd.direction)
            && self.family.is_none_or(|family| family == pd.family)
            && self.protocol.is_none_or(|protocol| protocol == pd.protocol)
            && self.source.may_hold(pd.new_src)
            && self.destination.may_hold(pd.new_dst)
    }
}
