//! Whether the statements of a policy hold, and if not, by which packets.
//!
//! Every question is of one kind: *which packets offend the statement?* None: it holds. The engine enumerates them
//! ([`search`]); for each cause the most readable packet is chosen ([`witness`]) and replayed in the evaluator
//! ([`replay`]), which shares no decision with the engine: a packet that does not replay is our bug and is never shown
//! as a finding. What the engine leaves undecided is *unproven*, never held.

mod agreement;
mod astray;
mod choices;
mod coverage;
mod draft;
mod expectation;
mod found;
mod guessing;
mod judge;
mod matrix;
mod obstacle;
mod outcome;
mod reach;
mod replay;
mod search;
mod through;
mod unspoken;
mod witness;

pub use coverage::{Coverage, RulesSpokenOf};
pub use draft::draft;
pub(crate) use draft::parsed;
pub use judge::{Case, Verified, coverage, verify};
pub(crate) use judge::{hold, is_required_of_others, may_pass, must_pass};
pub use matrix::{Matrix, Rounds, matrix, surroundings};
pub use outcome::{Cause, Counterexample, Doubt, Judgement, Outcome, Violation, Why};
pub use reach::{Effort, Extent, Flows, Reach, flows, reach};
pub(crate) use replay::{choices_of, gets_through};
pub use unspoken::Unspoken;
pub(crate) use witness::{Rank, choose, rank};
