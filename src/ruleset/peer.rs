//! The two ends that a rule asks for: hosts and ports.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Name;
use crate::net::Operator;

/// The modifiers of an interface used as an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Modifiers {
    /// `:network`.
    pub network: bool,
    /// `:broadcast`.
    pub broadcast: bool,
    /// `:peer`.
    pub peer: bool,
    /// `:0`, without aliases.
    pub no_alias: bool,
}

/// An interface or group whose addresses are not known from the text.
///
/// Usually `(if)`, looked up when a packet comes (`pfi_dynaddr`). With `load_time` a bare name, looked up once when
/// the rules are loaded, of which the context does not know the addresses: it stands for any list of addresses, one
/// rule for each, that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DynamicAddress {
    /// The interface, group, or `self`.
    pub interface: Name,
    /// Its modifiers.
    pub modifiers: Modifiers,
    /// The prefix length after a `/`, if one was given.
    pub prefix: Option<u8>,
    /// Whether it was written without parentheses.
    pub load_time: bool,
}

impl DynamicAddress {
    /// Whether it stands for addresses of the interface, for no networks, broadcast addresses or peers.
    #[must_use]
    pub fn is_address(&self) -> bool {
        let Modifiers {
            network,
            broadcast,
            peer,
            no_alias: _,
        } = self.modifiers;
        !(network || broadcast || peer) && self.prefix.is_none()
    }
}

/// What a host in a rule stands for (`struct pf_addr_wrap`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Host {
    /// `any`.
    #[default]
    Any,
    /// An address or a network, host bits cleared.
    Prefix(IpNet),
    /// `a - b`, both included.
    Range(IpAddr, IpAddr),
    /// `(if)`, or a bare name that the context does not know.
    Dynamic(DynamicAddress),
    /// `<table>`.
    Table(Name),
    /// `no-route`.
    NoRoute,
    /// `urpf-failed`.
    UrpfFailed,
    /// `route "label"`.
    RouteLabel(Name),
}

/// One end of a rule (`struct pf_rule_addr`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Whether the host is negated (ports never are).
    pub negated: bool,
    /// The host.
    pub host: Host,
    /// The ports, in host order.
    pub port: Option<Operator<u16>>,
}
