//! One packet: [`Packet`], and how it is read and written, as JSON ([`read_json`], [`write_json`]) and in pf's words
//! ([`parse_words`], `Display`). Knows no rules.

mod display;
mod error;
mod json;
mod model;
mod sequence;
mod words;
mod write;

pub use error::PacketError;
pub use json::{read_item, read_json, read_value};
pub use model::{Embedded, ExtensionHeader, Fragment, Icmp, IpOptions, Packet, Way};
pub use sequence::{Header, resolve};
pub use words::parse_words;
pub use write::write_json;
