//! One packet, with the fields that pf looks at; reading and writing it in pf's words and in JSON.
//! Knows no rules.

mod model;

pub use model::{Embedded, ExtensionHeader, Fragment, Icmp, IpOptions, Packet, Way};
