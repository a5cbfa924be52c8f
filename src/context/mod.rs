//! What pf asks of the machine: interfaces, addresses, groups, routes, names, forwarding.
//!
//! [`Context`] is plain data; the readers fill it from `context.toml`, `hostname.if(5)` files and the
//! output of ifconfig and route. Knows no rules.

mod model;

pub use model::{Context, Interface, InterfaceAddress, Route};
