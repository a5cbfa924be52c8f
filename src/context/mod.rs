//! What pf asks of the machine: interfaces, addresses, groups, routes, names, forwarding.
//!
//! [`Context`] is plain data. Each reader makes [`Facts`] of one text (`context.toml`, `hostname.if(5)` files, the
//! output of ifconfig and route, …); [`combine`] adds them up, a later one wins, and says what had to be assumed.
//! Knows no rules.

mod assumption;
mod facts;
mod kind;
mod lookup;
mod mentioned;
mod model;
mod routing;
mod toml;
mod words;

pub use self::toml::{context_from_toml, read_toml};
pub use assumption::{Assumption, assumptions};
pub use facts::{Combined, Facts, InterfaceFacts, RouteFacts, Said, combine};
pub use kind::{Kind, read};
pub use lookup::{AddressOf, Part, driver, is_cloned, is_interface_name, is_link_local};
pub use mentioned::assume_mentioned;
pub use model::{Context, Interface, InterfaceAddress, Route};
pub use routing::{RouteKind, RouteTable, TableRoute};
