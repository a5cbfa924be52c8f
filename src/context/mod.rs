//! What pf asks of the machine: interfaces, addresses, groups, routes, names, forwarding.
//!
//! [`Context`] is plain data. Each reader makes [`Facts`] of one text (`context.toml`, `hostname.if(5)` files, the
//! output of ifconfig and route, …); [`combine`] adds them up, a later one wins, and says what had to be assumed.
//! Knows no rules.
//!
//! networks(5) and resolv.conf(5) are not read: pfctl looks names up by getaddrinfo(3) alone (`host_dns` in
//! pfctl_parser.c), and the DNS is never asked. A name that no hosts(5) lists has addresses that are not known.

mod assumption;
mod circumstances;
mod complete;
mod etc;
mod facts;
mod hostname_if;
mod ifconfig;
mod ifconfig_command;
mod ifconfig_words;
mod kind;
mod lines;
mod lookup;
mod mentioned;
mod model;
mod route_command;
mod routes;
mod routing;
mod toml;
mod words;
mod write;

pub use self::toml::{context_from_toml, read_toml};
pub use assumption::{Assumption, assumptions, assumptions_in_full};
pub use circumstances::Circumstance;
pub use etc::{read_hosts, read_mygate, read_rc_conf, read_services, read_sysctl};
pub use facts::{
    Combined, Facts, InterfaceFacts, RouteFacts, RouteOrigin, Said, UnknownFacts, combine, not_forwarding,
};
pub use hostname_if::read_hostname;
pub use ifconfig::read_ifconfig;
pub use kind::{Kind, read};
pub use lookup::{AddressOf, Part, driver, has_scope, is_cloned, is_host_name, is_interface_name, is_link_local};
pub use mentioned::{assume_mentioned, assume_names};
pub use model::{Context, Interface, InterfaceAddress, Route};
pub use routes::read_routes;
pub use routing::{RouteKind, RouteTable, TableRoute};
pub use write::{write_toml, write_toml_from};
