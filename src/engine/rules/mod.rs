//! A ruleset as the search asks for it: one list of entries in the order of evaluation, what each asks for as boxes, and
//! the hosts, routes and pools that it names as sets of addresses.
//!
//! Knows the ruleset and the machine; what packets do on their way is the search's.

pub(in crate::engine) mod alike;
pub(in crate::engine) mod calls;
pub(in crate::engine) mod criteria;
pub(in crate::engine) mod features;
pub(in crate::engine) mod hosts;
pub(in crate::engine) mod index;
pub(in crate::engine) mod list;
pub(in crate::engine) mod memo;
pub(in crate::engine) mod met;
pub(in crate::engine) mod nearby;
pub(in crate::engine) mod pool;
pub(in crate::engine) mod routable;
pub(in crate::engine) mod routing;
pub(in crate::engine) mod unknown;
