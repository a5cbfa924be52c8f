//! `queue name …`

use super::{InterfaceItem, Spanned, Word};

/// A bandwidth and its burst, in bits a second. (Percents are refused.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueBandwidth {
    /// The bandwidth.
    pub rate: u64,
    /// `burst … for …ms`: the bandwidth at first, and for how many milliseconds.
    pub burst: Option<(u64, u32)>,
}

/// `bandwidth …, min …, max …`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSpec {
    /// `bandwidth`
    pub linkshare: QueueBandwidth,
    /// `min`
    pub realtime: Option<QueueBandwidth>,
    /// `max`
    pub upperlimit: Option<QueueBandwidth>,
}

/// `queue name …`
#[derive(Clone, Debug, PartialEq)]
pub struct QueueStatement {
    /// The name.
    pub name: Word,
    /// `on …`; empty where it is not given, and then there is a parent.
    pub interfaces: Vec<InterfaceItem>,
    /// `bandwidth`
    pub bandwidth: Option<Spanned<QueueSpec>>,
    /// `parent`
    pub parent: Option<Word>,
    /// `default`
    pub default: Option<crate::source::At>,
    /// `qlimit`
    pub qlimit: Option<Spanned<u16>>,
    /// `flows`, 1 to 32767
    pub flows: Option<Spanned<u16>>,
    /// `quantum`, 1 to 65535
    pub quantum: Option<Spanned<u16>>,
}
