//! Names and numbers that OpenBSD ships: services, protocols, users, groups, icmp types and codes, operating systems.
//!
//! Each is one text table beside this file that names its source, read once when first asked for. What a context adds
//! to them is the business of whoever asks.

mod icmp;
mod os;

use std::hash::Hash;
use std::str::{FromStr, SplitAsciiWhitespace};
use std::sync::OnceLock;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::Protocol;

pub use icmp::{icmp_code, icmp_code_name, icmp_type, icmp_type_name, icmp_type_names};
pub use os::os_fingerprint;

/// The lines of a table that say something, in words.
fn rows(table: &'static str) -> impl Iterator<Item = SplitAsciiWhitespace<'static>> {
    table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::split_ascii_whitespace)
}

/// Names to numbers and back, each way made when it is first asked for. Of several names or numbers the first line
/// holds, as in the C library.
struct Table<K: 'static, N> {
    /// Every name with its number, the first name of a number before its others.
    named: fn(&mut dyn FnMut(K, N)),
    name: fn(K) -> &'static str,
    numbers: OnceLock<FxHashMap<K, N>>,
    names: OnceLock<FxHashMap<N, &'static str>>,
}

impl<K: Copy + Eq + Hash, N: Copy + Eq + Hash> Table<K, N> {
    const fn new(named: fn(&mut dyn FnMut(K, N)), name: fn(K) -> &'static str) -> Self {
        Self {
            named,
            name,
            numbers: OnceLock::new(),
            names: OnceLock::new(),
        }
    }

    fn numbers(&self) -> &FxHashMap<K, N> {
        self.numbers.get_or_init(|| {
            let mut numbers = FxHashMap::with_capacity_and_hasher(ROOM, FxBuildHasher);
            (self.named)(&mut |name, number| {
                numbers.entry(name).or_insert(number);
            });
            numbers
        })
    }

    /// The first name of a number.
    fn name(&self, number: N) -> Option<&'static str> {
        let names = self.names.get_or_init(|| {
            let mut names = FxHashMap::with_capacity_and_hasher(ROOM, FxBuildHasher);
            (self.named)(&mut |name, number| {
                names.entry(number).or_insert((self.name)(name));
            });
            names
        });
        names.get(&number).copied()
    }
}

/// Names that a table has room for from the beginning.
const ROOM: usize = 400;

/// The names of lines `number name other names…`.
fn numbered<N: FromStr + Copy>(text: &'static str, add: &mut dyn FnMut(&'static str, N)) {
    for mut row in rows(text) {
        let Some(number) = row.next().and_then(|word| word.parse().ok()) else {
            continue;
        };
        row.for_each(|name| add(name, number));
    }
}

/// The names of lines `port protocol+protocol name other names…`, by protocol.
fn services(add: &mut dyn FnMut(ServiceName, (u16, u8))) {
    for mut row in rows(include_str!("services.txt")) {
        let port = row.next().and_then(|word| word.parse().ok());
        let (Some(port), Some(protocols)) = (port, row.next()) else {
            continue;
        };
        for protocol in protocols.split('+') {
            let protocol = match protocol {
                "tcp" => Protocol::TCP.0,
                "udp" => Protocol::UDP.0,
                _ => continue,
            };
            row.clone().for_each(|name| add((name, protocol), (port, protocol)));
        }
    }
}

/// The name of a service and the protocol under which it has it.
type ServiceName = (&'static str, u8);

static SERVICES: Table<ServiceName, (u16, u8)> = Table::new(services, |(name, _)| name);
static PROTOCOLS: Table<&str, u8> = Table::new(|add| numbered(include_str!("protocols.txt"), add), |name| name);
static USERS: Table<&str, u32> = Table::new(|add| numbered(include_str!("users.txt"), add), |name| name);
static GROUPS: Table<&str, u32> = Table::new(|add| numbered(include_str!("groups.txt"), add), |name| name);

/// The port of a service of that name, or other name, under tcp or udp.
#[must_use]
pub fn service_port(name: &str, protocol: Protocol) -> Option<u16> {
    SERVICES.numbers().get(&(name, protocol.0)).map(|&(port, _)| port)
}

/// The name of the service at that port of tcp or udp.
#[must_use]
pub fn service_name(port: u16, protocol: Protocol) -> Option<&'static str> {
    SERVICES.name((port, protocol.0))
}

/// All names of services, in no order.
pub fn service_names() -> impl Iterator<Item = &'static str> {
    SERVICES.numbers().keys().map(|&(name, _)| name)
}

/// The protocol of that name, or other name; case counts.
#[must_use]
pub fn protocol(name: &str) -> Option<Protocol> {
    PROTOCOLS.numbers().get(name).copied().map(Protocol)
}

/// The name of a protocol.
#[must_use]
pub fn protocol_name(protocol: Protocol) -> Option<&'static str> {
    PROTOCOLS.name(protocol.0)
}

/// All names of protocols, in no order.
pub fn protocol_names() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.numbers().keys().copied()
}

/// The id of a user that OpenBSD ships.
#[must_use]
pub fn user_id(name: &str) -> Option<u32> {
    USERS.numbers().get(name).copied()
}

/// The name of a user that OpenBSD ships.
#[must_use]
pub fn user_name(id: u32) -> Option<&'static str> {
    USERS.name(id)
}

/// All users that OpenBSD ships, in no order.
pub fn user_names() -> impl Iterator<Item = &'static str> {
    USERS.numbers().keys().copied()
}

/// The id of a group that OpenBSD ships.
#[must_use]
pub fn group_id(name: &str) -> Option<u32> {
    GROUPS.numbers().get(name).copied()
}

/// The name of a group that OpenBSD ships.
#[must_use]
pub fn group_name(id: u32) -> Option<&'static str> {
    GROUPS.name(id)
}

/// All groups that OpenBSD ships, in no order.
pub fn group_names() -> impl Iterator<Item = &'static str> {
    GROUPS.numbers().keys().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Family;

    #[test]
    fn names_and_numbers() {
        assert_eq!(service_port("https", Protocol::TCP), Some(443));
        assert_eq!(service_port("www", Protocol::TCP), Some(80), "another name");
        assert_eq!(service_port("syslog", Protocol::TCP), None, "only udp has it");
        assert_eq!(service_port("syslog", Protocol::UDP), Some(514));
        assert_eq!(service_name(22, Protocol::TCP), Some("ssh"));
        assert_eq!(protocol("icmp6"), Some(Protocol::ICMP6));
        assert_eq!(protocol_name(Protocol::ICMP6), Some("ipv6-icmp"));
        assert_eq!(user_id("_unbound"), Some(53));
        assert_eq!(group_name(0), Some("wheel"));
        assert_eq!(icmp_type(Family::Inet, "echoreq"), Some(8));
        assert_eq!(icmp_type_name(Family::Inet6, 135), Some("neighbrsol"));
        assert_eq!(
            icmp_type_name(Family::Inet6, 130),
            Some("groupqry"),
            "the first of two names"
        );
        assert_eq!(icmp_code(Family::Inet, 3, "needfrag"), Some(4));
        assert_eq!(icmp_code(Family::Inet, 5, "needfrag"), None, "a code of another type");
        assert_eq!(icmp_code_name(Family::Inet6, 1, 4), Some("port-unr"));
    }

    #[test]
    fn operating_systems_as_pfctl_prints_them() {
        for (written, printed) in [
            ("windows", "Windows"),
            ("openbsd 6.1 NO-DF", "OpenBSD 6.1 no-df"),
            ("linux 2.4 lo0", "Linux 2.4 lo0"),
            ("FreeBSD 4.10", "FreeBSD 4.10"),
            ("UNKNOWN", "unknown"),
            ("Windows 2000 SP4", "Windows 2000 SP4"),
        ] {
            assert_eq!(os_fingerprint(written).as_deref(), Some(printed));
        }
        assert_eq!(os_fingerprint("Plan10"), None);
        assert_eq!(os_fingerprint("OpenBSD 3.3"), None, "3.0-4.8 is a name, not a range");
    }
}
