//! pfproof proves that an OpenBSD pf.conf lets every required flow through and nothing else, and shows a packet where
//! it does not.
//!
//! # Use
//!
//! [`check::texts`] judges texts; [`check::check`] a [`Machine`](check::Machine) that was put together from files. Nothing
//! is read but through a [`Loader`](source::Loader), nothing is written.
//!
//! ```
//! use pfproof::report::check::Report;
//! use pfproof::report::{Format, Look};
//! use pfproof::source::MemoryLoader;
//!
//! let pf_conf = "block\npass in on em1 inet from em1:network\npass out\n";
//! let machine = "[interface.em0]\naddresses = [\"203.0.113.7/24\"]\n\
//!                [interface.em1]\naddresses = [\"10.0.1.1/24\"]\n\
//!                [interface.em2]\naddresses = [\"10.0.2.1/24\"]\n\
//!                [[route]]\nto = \"default\"\ninterface = \"em0\"\n";
//! let policy = "zone guests on em1\nzone office on em2\nzone internet on em0\n\
//!               require inet proto tcp from guests to internet port https\n\
//!               forbid from guests to office\n";
//! let (sources, router) = pfproof::check::texts(pf_conf, machine, policy, &MemoryLoader::new());
//! assert_eq!(router.statements[0].outcome, "holds");
//! assert_eq!(router.statements[1].outcome, "violated");
//! assert_eq!(router.statements[1].causes[0].packet, "10.0.1.50:49152 > 10.0.2.50:443 tcp S");
//!
//! let report = Report { routers: vec![router] };
//! let text = report.render(&[&sources], Format::Short, Look::default());
//! assert!(text.starts_with("policy:5:1: error[violated]: forbid from guests to office: "));
//! ```
//!
//! The stages by themselves: a [`Ruleset`] from a text and a [`Context`], one packet in the evaluator, all packets in
//! the [`Engine`].
//!
//! ```
//! use pfproof::context::context_from_toml;
//! use pfproof::engine::{Goal, PacketSet, Question};
//! use pfproof::source::{MemoryLoader, Sources};
//! use pfproof::{Context, Engine, lower};
//!
//! let mut sources = Sources::new();
//! let file = sources.add("context.toml", "[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n");
//! let (context, complaints): (Context, _) = context_from_toml(&sources, file);
//! assert!(complaints.is_empty());
//! let text = b"block\npass in on em1 inet proto tcp from any to any port ssh\n";
//! let (lowered, complaints) = lower::load(&mut sources, &MemoryLoader::new(), "pf.conf", text, &[], &context);
//! assert!(complaints.is_empty());
//! let ruleset: pfproof::Ruleset = lowered.ruleset;
//!
//! let engine = Engine::new(&ruleset, &context);
//! let passing = engine.classes(Question::new(engine.space().anywhere(), Goal::GetsThrough).of_one_hop());
//! let passing: Vec<_> = passing.collect::<Result<_, _>>().expect("few steps");
//! let packets: PacketSet = passing.into_iter().map(|class| class.region).collect();
//! let readable = engine.space().packet(&engine.readable(&packets.boxes()[0]));
//! assert_eq!(readable.dport, 22);
//! ```
//!
//! # Architecture
//!
//! ```text
//! text -> source -> syntax (macros, grammar, AST) -> lower (AST + context -> ruleset) -> ruleset
//! ruleset -> print   (as pfctl -nvf)
//! ruleset -> eval    (one packet: the reference, written to be read)
//! ruleset -> engine  (all packets)                       eval and engine share data, never decisions
//! policy + engine -> verify, lint -> report              check: all of it together
//!                                                        cli: the only one that touches files, environment, terminal
//! ```
//!
//! Inside `engine`: `packets` (points and boxes), `rules` (the list, what its entries ask for), `search` (the ways through
//! the machine), `answers` (dead rules, differences), each using those before it.
//!
//! Imports run one way: source, diagnostic, net, packet, syntax, context, ruleset, print, lower, eval, engine, policy,
//! verify, lint, report, check, and then cli, which is no part of the library.

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

pub use context::Context;
pub use engine::Engine;
pub use policy::Policy;
pub use ruleset::Ruleset;
