//! Sets of addresses as the kernel has them: tables (pf_table.c) and the addresses of interfaces, looked up when a
//! packet comes (pf_if.c).

use std::net::IpAddr;
use std::sync::OnceLock;

use ipnet::IpNet;
use rustc_hash::FxHashMap;

use super::blocks::{Block, blocks};
use crate::context::{Context, Interface, InterfaceAddress};
use crate::net::Family;
use crate::ruleset::{DynamicAddress, Table};

/// The bits of an address as a number, 32 or 128 of them.
pub(super) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address of that family with those bits; for IPv4 the lower 32 count.
pub(super) fn from_bits(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::Inet => IpAddr::V4((bits as u32).into()),
        Family::Inet6 => IpAddr::V6(bits.into()),
    }
}

/// The bits of a mask of that length.
pub(super) fn mask(family: Family, length: u8) -> u128 {
    let all = match family {
        Family::Inet => u128::from(u32::MAX),
        Family::Inet6 => u128::MAX,
    };
    let host_bits = u32::from(family.bits().saturating_sub(length));
    all & u128::MAX.checked_shl(host_bits).unwrap_or(0)
}

/// `:network` and the like leave IPv6 link-local out, pools too.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// The prefixes of one family by their length.
#[derive(Clone, Debug, Default)]
struct Levels {
    // INVARIANT: the longest prefixes first.
    levels: Vec<(u8, FxHashMap<u128, bool>)>,
}

impl Levels {
    /// Adds a prefix; of equal ones the first holds.
    fn add(&mut self, prefix: IpNet, positive: bool) {
        let length = prefix.prefix_len();
        let at = match self.levels.binary_search_by(|(known, _)| length.cmp(known)) {
            Ok(at) => at,
            Err(at) => {
                self.levels.insert(at, (length, FxHashMap::default()));
                at
            }
        };
        if let Some((_, level)) = self.levels.get_mut(at) {
            level.entry(bits(prefix.network())).or_insert(positive);
        }
    }

    /// All prefixes, each with whether it is a positive one.
    fn entries(&self, family: Family) -> Vec<(IpNet, bool)> {
        self.levels
            .iter()
            .flat_map(|(length, level)| {
                level.iter().filter_map(|(&network, &positive)| {
                    let net = IpNet::new(from_bits(family, network), *length).ok()?;
                    Some((net, positive))
                })
            })
            .collect()
    }

    /// Whether the longest prefix that holds the address is a positive one.
    fn contains(&self, family: Family, address: u128) -> bool {
        self.levels
            .iter()
            .find_map(|(length, level)| level.get(&(address & mask(family, *length))))
            .is_some_and(|&positive| positive)
    }
}

/// A table, or what an interface's addresses amount to.
#[derive(Clone, Debug, Default)]
pub(super) struct AddressSet {
    inet: Levels,
    inet6: Levels,
    /// What is not known of it, if anything.
    pub(super) unknown: Option<Unknown>,
    /// Whether entries have a `weight`: then a pool does not simply go round.
    pub(super) weighted: bool,
    /// What a pool takes from it, of IPv4 and of IPv6.
    blocks: OnceLock<[Vec<Block>; 2]>,
}

/// What is not known of a set of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unknown {
    /// What may be in it besides.
    more: Somewhere,
    /// What may be missing of what is known to be in it.
    less: Somewhere,
    /// Why, in words.
    pub(super) why: String,
}

/// Where addresses may lie that are not known: of each of several things, anywhere in its family but in those networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Somewhere(Vec<(Family, Vec<IpNet>)>);

impl Somewhere {
    fn anywhere() -> Self {
        Self(Family::BOTH.map(|family| (family, Vec::new())).into())
    }

    fn has(&self, address: IpAddr) -> bool {
        let mut of_family = self.0.iter().filter(|(family, _)| *family == Family::of(address));
        of_family.any(|(_, outside)| !outside.iter().any(|net| net.contains(&address)))
    }
}

impl AddressSet {
    fn add(&mut self, prefix: IpNet, positive: bool) {
        match prefix {
            IpNet::V4(_) => self.inet.add(prefix, positive),
            IpNet::V6(_) => self.inet6.add(prefix, positive),
        }
    }

    /// The contents of a table (`pfr_match_addr`).
    pub(super) fn of_table(name: &str, table: &Table, context: &Context) -> Self {
        let mut set = Self {
            weighted: table.entries.iter().any(|entry| entry.weight.is_some()),
            ..Self::default()
        };
        for entry in &table.entries {
            set.add(entry.prefix.trunc(), !entry.negated);
        }
        let mut unknown = Unknown::default();
        for one in &table.interfaces {
            let side = if one.negated {
                &mut unknown.less
            } else {
                &mut unknown.more
            };
            side.0.extend(of_loaded(context, &one.address, one.family));
            unknown.why = format!(
                "what `{}` had when the table <{name}> was loaded is not known",
                one.address.interface
            );
        }
        if table.unknown {
            unknown.more = Somewhere::anywhere();
            unknown.why = format!("the contents of the table <{name}> are not known");
        }
        set.unknown = (!table.is_known()).then_some(unknown);
        set
    }

    /// The addresses that `(if)` stands for on that machine (`pfi_table_update`).
    pub(super) fn of_dynamic(dynamic: &DynamicAddress, context: &Context) -> Self {
        let mut set = Self::default();
        let name: &str = &dynamic.interface;
        if dynamic.load_time {
            // It stands for one rule for each of the addresses, whose number is not known either.
            set.unknown = Some(Unknown {
                more: Somewhere(of_loaded(context, dynamic, None)),
                why: format!("the addresses that `{name}` had when the rules were loaded are not known"),
                ..Unknown::default()
            });
            return set;
        }
        let group = if name == "self" { "all" } else { name };
        // A name is an interface's before it is a group's.
        match context.interface(name) {
            Some(interface) => set.add_interface(context, dynamic, interface),
            None => {
                for interface in context
                    .interfaces
                    .iter()
                    .filter(|interface| context.in_group(interface, group))
                {
                    set.add_interface(context, dynamic, interface);
                }
            }
        }
        set
    }

    /// Adds what one interface gives (`pfi_instance_add`).
    fn add_interface(&mut self, context: &Context, dynamic: &DynamicAddress, interface: &Interface) {
        let modifiers = dynamic.modifiers;
        let (mut got_inet, mut got_inet6) = (false, false);
        let mut first_inet = true;
        for &address in &interface.addresses {
            let family = match address {
                InterfaceAddress::Known(net) => Family::of(net.addr()),
                InterfaceAddress::Unknown(family) => family,
            };
            let with_peer = family == Family::Inet && std::mem::take(&mut first_inet);
            if modifiers.broadcast
                && (family == Family::Inet6 || interface.is_loopback() || interface.is_point_to_point())
                || modifiers.peer && !interface.is_point_to_point()
            {
                continue;
            }
            let InterfaceAddress::Known(net) = address else {
                self.add_unknown(family, interface, outside(context, dynamic, interface, family));
                continue;
            };
            if modifiers.network && is_link_local(net.addr()) {
                continue;
            }
            let got = match family {
                Family::Inet => &mut got_inet,
                Family::Inet6 => &mut got_inet6,
            };
            if modifiers.no_alias && std::mem::replace(got, true) {
                continue;
            }
            let length = match dynamic.prefix {
                Some(length) => length.min(family.bits()),
                None if modifiers.network => net.prefix_len(),
                None => family.bits(),
            };
            let address = if modifiers.broadcast {
                let Some(broadcast) = interface.broadcast_of(net) else {
                    continue;
                };
                IpAddr::V4(broadcast)
            } else if modifiers.peer {
                match interface.peer.filter(|_| with_peer) {
                    Some(peer) => peer,
                    None => continue,
                }
            } else {
                net.addr()
            };
            if let Ok(prefix) = IpNet::new(address, length) {
                self.add(prefix.trunc(), true);
            }
        }
    }

    fn add_unknown(&mut self, family: Family, interface: &Interface, outside: Vec<IpNet>) {
        let unknown = self.unknown.get_or_insert_with(|| Unknown {
            why: format!("the {family} address of `{}` is not known", interface.name),
            ..Unknown::default()
        });
        unknown.more.0.push((family, outside));
    }

    /// The blocks of one family that a pool takes addresses from, in order.
    pub(super) fn blocks(&self, family: Family) -> &[Block] {
        let [inet, inet6] = self.blocks.get_or_init(|| {
            [
                blocks(Family::Inet, self.inet.entries(Family::Inet)),
                blocks(Family::Inet6, self.inet6.entries(Family::Inet6)),
            ]
        });
        match family {
            Family::Inet => inet,
            Family::Inet6 => inet6,
        }
    }

    /// Whether the address is in the set; why not, where it is not known.
    pub(super) fn contains(&self, address: IpAddr) -> Result<bool, &Unknown> {
        let family = Family::of(address);
        let known = match family {
            Family::Inet => self.inet.contains(family, bits(address)),
            Family::Inet6 => self.inet6.contains(family, bits(address)),
        };
        match &self.unknown {
            Some(unknown) if known && unknown.less.has(address) || !known && unknown.more.has(address) => Err(unknown),
            _ => Ok(known),
        }
    }
}

/// The networks that hold nothing of what an interface gives whose address is not known.
fn outside(context: &Context, dynamic: &DynamicAddress, interface: &Interface, family: Family) -> Vec<IpNet> {
    match (dynamic.prefix, dynamic.modifiers.peer) {
        (None, false) => context.networks_beside(interface, family).collect(),
        (Some(_), _) | (None, true) => Vec::new(),
    }
}

/// Where what a bare name stood for may lie.
fn of_loaded(context: &Context, address: &DynamicAddress, family: Option<Family>) -> Vec<(Family, Vec<IpNet>)> {
    let interface = context.interface(&address.interface);
    let families = Family::BOTH
        .into_iter()
        .filter(|of| family.is_none_or(|family| family == *of));
    let of_family = |family| match interface {
        Some(interface) => (family, outside(context, address, interface, family)),
        None => (family, Vec::new()),
    };
    families.map(of_family).collect()
}

impl Unknown {
    /// Whether addresses of that family are concerned.
    pub(super) fn of(&self, family: Family) -> bool {
        let mut all = self.more.0.iter().chain(&self.less.0);
        all.any(|(of, _)| *of == family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::TableEntry;

    fn table(entries: &[(&str, bool)]) -> AddressSet {
        let entries = entries
            .iter()
            .map(|&(prefix, negated)| TableEntry {
                negated,
                prefix: prefix.parse().unwrap(),
                interface: None,
                weight: None,
            })
            .collect();
        AddressSet::of_table(
            "t",
            &Table {
                entries,
                ..Table::default()
            },
            &Context::default(),
        )
    }

    #[test]
    fn the_longest_prefix_decides() {
        let set = table(&[
            ("10.0.0.0/8", false),
            ("10.1.0.0/16", true),
            ("10.1.2.0/24", false),
            ("::/0", true),
        ]);
        for (address, expected) in [
            ("10.0.0.1", true),
            ("10.1.0.1", false),
            ("10.1.2.3", true),
            ("11.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), Ok(expected), "{address}");
        }
    }

    #[test]
    fn an_empty_table_holds_nothing() {
        assert_eq!(table(&[]).contains("10.0.0.1".parse().unwrap()), Ok(false));
    }

    #[test]
    fn masks_have_their_length() {
        assert_eq!(mask(Family::Inet, 0), 0);
        assert_eq!(mask(Family::Inet, 24), 0xffff_ff00);
        assert_eq!(mask(Family::Inet, 32), 0xffff_ffff);
        assert_eq!(mask(Family::Inet6, 0), 0);
        assert_eq!(mask(Family::Inet6, 128), u128::MAX);
    }
}
