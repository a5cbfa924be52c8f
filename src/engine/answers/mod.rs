//! What is asked of whole rulesets by way of the search: rules that never decide, what one rule decides, and which packets
//! notice a change.

pub(in crate::engine) mod dead;
pub(in crate::engine) mod decided;
pub(in crate::engine) mod difference;
pub(in crate::engine) mod edit;
pub(in crate::engine) mod overriding;
