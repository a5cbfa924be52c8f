//! The vocabulary of packets: families, protocols, ports, flags, sets of numbers. Knows no rules.

mod family;
mod flags;
pub mod names;
mod operator;
mod protocol;
mod ranges;

pub use family::{Direction, Family};
pub use flags::{FlagsMatch, TcpFlags};
pub use operator::Operator;
pub use protocol::Protocol;
pub use ranges::RangeSet;
