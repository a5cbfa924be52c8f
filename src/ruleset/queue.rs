//! Queues (`struct pf_queuespec`).

use super::Name;

/// Bits a second, and for how long at first another rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceCurve {
    /// The lasting bandwidth.
    pub bandwidth: Bandwidth,
    /// `burst … for …ms`: the bandwidth at first, and milliseconds.
    pub burst: Option<(Bandwidth, u32)>,
}

/// A bandwidth in bits a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth(pub u64);

/// `queue`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: Name,
    /// `parent`.
    pub parent: Option<Name>,
    /// `on`.
    pub interface: Option<Name>,
    /// `flows`.
    pub flows: Option<u32>,
    /// `quantum`.
    pub quantum: Option<u32>,
    /// `bandwidth`.
    pub bandwidth: Option<ServiceCurve>,
    /// `min`.
    pub min: Option<ServiceCurve>,
    /// `max`.
    pub max: Option<ServiceCurve>,
    /// `default`.
    pub default: bool,
    /// `qlimit`; 0 if not said.
    pub limit: u32,
}
