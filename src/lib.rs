//! pfproof proves that an OpenBSD pf.conf lets every required flow through and nothing else, and shows a packet where
//! it does not.
//!
//! # Architecture
//!
//! ```text
//! text -> source -> syntax (macros, grammar, AST) -> lower (AST + context -> ruleset) -> ruleset
//! ruleset -> print   (as pfctl -nvf)
//! ruleset -> eval    (one packet: the reference, written to be read)
//! ruleset -> engine  (all packets)                       eval and engine share data, never decisions
//! policy + engine -> verify -> report                    cli: the only one that touches files, environment, terminal
//! ```
//!
//! Imports run one way, in the order of the modules below.

#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::todo,
    clippy::dbg_macro
)]

pub mod context;
pub mod diagnostic;
pub mod lower;
pub mod net;
pub mod packet;
pub mod print;
pub mod ruleset;
pub mod engine;
pub mod eval;
pub mod policy;
pub mod verify;
pub mod lint;
pub mod report;
pub mod check;
pub mod source;
pub mod syntax;
