//! The search through the ways that packets of a region can take on a machine: hop by hop, with what rules make of their
//! headers, where they go, and what that depends on.

pub(in crate::engine) mod aim;
pub(in crate::engine) mod classes;
pub(in crate::engine) mod compiled;
pub(in crate::engine) mod cover;
pub(in crate::engine) mod excuse;
pub(in crate::engine) mod filled;
pub(in crate::engine) mod first_match;
pub(in crate::engine) mod following;
pub(in crate::engine) mod frame;
pub(in crate::engine) mod hop;
pub(in crate::engine) mod journey;
pub(in crate::engine) mod leaving;
pub(in crate::engine) mod onward;
pub(in crate::engine) mod path;
pub(in crate::engine) mod question;
pub(in crate::engine) mod rewrite;
pub(in crate::engine) mod rewriting;
pub(in crate::engine) mod rival;
pub(in crate::engine) mod suppositions;
pub(in crate::engine) mod translate;
