//! Sets of addresses in few words: `lan`, `world but admins`, `any but { lan dmz }`, `10.0.0.0/8`.

use std::net::IpAddr;

use super::boxes::shortened;
use crate::engine::{Field, address};
use crate::net::{Family, RangeSet};
use crate::policy::ZoneOnMachine;

/// A zone and the addresses that it stands for in one place.
#[derive(Clone)]
pub(super) struct Known<'a> {
    zone: &'a ZoneOnMachine,
    all: RangeSet,
    /// The same without what is not globally reachable: what `require` asks about.
    global: RangeSet,
}

impl<'a> Known<'a> {
    /// The zone with those of the addresses that it means.
    pub(super) fn new(zone: &'a ZoneOnMachine, all: RangeSet, global: &RangeSet, family: Family) -> Self {
        let (all, global) = match zone.only(family) {
            Some(only) => {
                let all = all.intersection(only);
                (all.clone(), all)
            }
            None => {
                let global = all.intersection(global);
                (all, global)
            }
        };
        Self { zone, all, global }
    }

    fn name(&self) -> &'a str {
        &self.zone.name
    }

    /// Its place among the zones of the policy, where it is written.
    fn order(&self) -> u32 {
        self.zone.span.start
    }

    fn is(&self, set: &RangeSet) -> bool {
        *set == self.all || *set == self.global
    }

    /// What of it is not in a part of it; of its global addresses alone where these are meant.
    fn missing(&self, part: &RangeSet) -> RangeSet {
        let all = self.all.minus(part);
        let global = self.global.minus(part);
        let is_global = part.is_subset(&self.global) && global.ranges().len() < all.ranges().len();
        if is_global { global } else { all }
    }
}

/// Words for sets of hosts of a family. Addresses that no host has count for nothing: a zone or network is named whether
/// they are in the set or not.
pub(super) struct Speaker<'a> {
    /// Those of the most addresses first.
    zones: Vec<Known<'a>>,
    odd: RangeSet,
    family: Family,
}

impl<'a> Speaker<'a> {
    pub(super) fn new(zones: impl Iterator<Item = Known<'a>>, odd: RangeSet, family: Family) -> Self {
        let mut zones: Vec<Known<'a>> = zones.filter(|zone| !zone.all.is_empty()).collect();
        zones.sort_by_key(|zone| std::cmp::Reverse(size(&zone.all)));
        Self { zones, odd, family }
    }

    /// The same with those of the zones alone that are wanted.
    pub(super) fn among(&self, wanted: impl Fn(&ZoneOnMachine) -> bool) -> Self {
        let zones = self.zones.iter().filter(|known| wanted(known.zone));
        Self {
            zones: zones.cloned().collect(),
            odd: self.odd.clone(),
            family: self.family,
        }
    }

    /// The zone that is those hosts.
    pub(super) fn named(&self, hosts: &RangeSet) -> Option<&'a str> {
        let zone = self.zones.iter().find(|zone| zone.all == *hosts)?;
        Some(zone.name())
    }

    /// Words for the hosts that lie in zones, and the rest: `lan`, `world but admins`, `lan (10.0.0.7)`. A zone is named
    /// for none that it does not have.
    pub(super) fn in_zones(&self, hosts: &RangeSet) -> (Vec<String>, RangeSet) {
        let mut words: Vec<(u32, String)> = Vec::new();
        let mut left = hosts.clone();
        for zone in &self.zones {
            let there = left.intersection(&zone.all);
            if there.is_empty() {
                continue;
            }
            let missing = zone.missing(&there);
            let word = if zone.is(&there) {
                zone.name().to_owned()
            } else if size(&missing) < size(&there) && self.ranges(&missing) <= self.ranges(&there) {
                format!("{} but {}", zone.name(), self.listed(&missing))
            } else {
                continue;
            };
            words.push((zone.order(), word));
            left = left.minus(&zone.all);
        }
        for zone in self.zones.iter().rev() {
            let part = left.intersection(&zone.all);
            if !part.is_empty() {
                let listed = addresses(&self.filled(&part), self.family);
                words.push((zone.order(), format!("{} ({listed})", zone.name())));
                left = left.minus(&part);
            }
        }
        words.sort_by_key(|(order, _)| *order);
        (words.into_iter().map(|(_, word)| word).collect(), left)
    }

    /// The hosts as a list of pf.conf: the zones that are among them, the addresses of the rest.
    pub(super) fn listed(&self, hosts: &RangeSet) -> String {
        let (mut words, mut left) = (Vec::new(), hosts.clone());
        for zone in &self.zones {
            let there = left.intersection(&zone.all);
            if !there.is_empty() && zone.is(&there) {
                words.push((zone.order(), zone.name().to_owned()));
                left = left.minus(&there);
            }
        }
        words.sort();
        let mut words: Vec<String> = words.into_iter().map(|(_, name)| name).collect();
        if !left.is_empty() {
            words.push(addresses(&self.filled(&left), self.family));
        }
        let one = words.len() == 1 && !words.iter().any(|word| word.contains(' '));
        let words = words.join(" ");
        if one { words } else { format!("{{ {words} }}") }
    }

    /// How many ranges are listed of hosts.
    fn ranges(&self, hosts: &RangeSet) -> usize {
        self.filled(hosts).ranges().len()
    }

    /// The hosts, with addresses that no host has where that makes fewer ranges, or a network, of them.
    pub(super) fn filled(&self, hosts: &RangeSet) -> RangeSet {
        let mut all: Vec<(u128, u128)> = Vec::new();
        for &(first, last) in hosts.ranges() {
            match all.last_mut() {
                Some((_, end)) if RangeSet::range(*end + 1, first - 1).is_subset(&self.odd) => *end = last,
                _ => all.push((first, last)),
            }
        }
        let networks = all.into_iter().map(|(first, last)| {
            let mask = u128::MAX.checked_shr((first ^ last).leading_zeros()).unwrap_or(0);
            let network = (first & !mask, last | mask);
            let others = RangeSet::range(network.0, network.1).minus(&self.odd).minus(hosts);
            if others.is_empty() { network } else { (first, last) }
        });
        RangeSet::from_ranges(networks)
    }
}

/// How many numbers there are, less one where it is all of them.
fn size(set: &RangeSet) -> u128 {
    let ranges = set.ranges().iter();
    ranges.fold(0, |sum: u128, (first, last)| {
        sum.saturating_add((last - first).saturating_add(1))
    })
}

/// Addresses in words: prefixes and ranges.
pub(crate) fn addresses(set: &RangeSet, family: Family) -> String {
    if *set == Field::Source.line(family) {
        return "any".to_owned();
    }
    shortened(set, |first, last| range(first, last, family))
}

pub(super) fn range(first: u128, last: u128, family: Family) -> String {
    let [from, to]: [IpAddr; 2] = [first, last].map(|number| address(number, family));
    if first == last {
        return from.to_string();
    }
    let size = last - first;
    let bits = (size + 1).trailing_zeros();
    let aligned = size.wrapping_add(1).is_power_of_two() && first & size == 0;
    if aligned {
        return format!("{from}/{}", u32::from(family.bits()) - bits);
    }
    format!("{from} - {to}")
}
