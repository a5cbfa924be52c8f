//! The policy language: who must reach whom, who may, who must not, and that nothing else gets through.
//!
//! [`read()`] makes a [`Policy`] of text: statements are split and their macros expanded ([`statements`]), each is
//! parsed by itself with `grammar/policy.pest` and built into the [AST](ast), so that one run reports every error.
//! Asking the engine is the business of `verify`.

mod addresses;
mod assume;
pub mod ast;
mod build;
mod build_numbers;
mod destinations;
mod elsewhere;
mod excuses;
mod grammar;
mod guesses;
mod hosts;
mod network;
mod protocols;
mod read;
mod samples;
mod sets;
mod sources;
mod special;
mod statements;
mod unknowns;
mod zones;

pub(crate) use addresses::addressless;
pub use assume::{needed_assumptions, nobody, settle_addresses, settle_ruleset};
pub use ast::Policy;
pub use excuses::{Excuse, ExcusedSent, Excuses};
pub use guesses::Guess;
pub use network::Network;
pub(crate) use protocols::{all_beginnings, beginnings, port_numbers};
pub use read::{assumption, configs, read};
pub use sets::Selection;
pub use statements::Macros;
pub use zones::{ZoneId, ZoneOnMachine, Zones};
