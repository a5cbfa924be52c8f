//! Packets as points, and sets of them as unions of boxes: what the numbers of a header mean, and which packets exist.
//!
//! Knows nothing of rules.

pub(in crate::engine) mod around;
pub(in crate::engine) mod boxes;
pub(in crate::engine) mod header;
pub(in crate::engine) mod set;
pub(in crate::engine) mod space;
pub mod transport;
pub(in crate::engine) mod witness;
