//! The reference evaluator: what OpenBSD's pf does with one packet, hop by hop, as pf.c does it.
//!
//! Written to be read beside pf.c: each step is in its order there, and named as it is named there or in pf.conf(5).
//!
//! ```text
//! follow      in, by the routing table, out (ip_forward, pf_route)
//!  hop        one hop (pf_test)
//!   descriptor   what is read off the packet (pf_setup_pdesc), fragment: reassembly (pf_norm.c)
//!   track, tcp, icmp_state   the state it belongs to (pf_find_state, pf_test_state)
//!   rules        the rules (pf_match_rule), criteria: whether one matches
//!   translate, pool, blocks   nat-to, rdr-to, af-to (pf_lb.c)
//!   create       the state it makes (pf_create_state)
//! ```
//!
//! What pf chooses at random, or what only the running machine knows, is asked of [`Choices`]; `prove` answers both
//! ways and wants the same of both. What pf remembers from packet to packet is [`Memory`].
//!
//! Not modelled: time (states do not end, rates do not fall), tables that `overload` or pfctl fill at run time, limits
//! of memory, syncookies, packets of more than two fragments.

mod address;
mod blocks;
mod choices;
mod create;
mod criteria;
mod descriptor;
mod follow;
mod fragment;
mod head;
mod hop;
mod icmp;
mod icmp_state;
mod machine;
mod memory;
mod pool;
mod otherwise;
mod prove;
mod record;
mod reply;
mod rules;
mod session;
mod stack;
mod state;
mod synproxy;
mod tcp;
mod track;
mod translate;

pub use crate::ruleset::RuleId;
pub use choices::{Choices, Named, Usual};
pub use machine::Machine;
pub use memory::Memory;
pub use otherwise::Otherwise;
pub use record::{
    Answer, Chosen, ChosenParts, Criterion, Effect, End, Evaluation, Journey, Met, NextHop, Reason, StateUse, Unproven,
    Verdict,
};
pub use reply::reply;
pub use session::Session;
