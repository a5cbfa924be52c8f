//! [`Unknown`]: what a packet does not show, and rules ask for or depend on.

use crate::ruleset::Name;

/// Something that a packet does not show, on which a journey depends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// The sender's operating system (`os`).
    Os,
    /// The owner of the local socket (`user`, `group`).
    User,
    /// The contents of a table.
    Table(Name),
    /// The address of an interface.
    Address(Name),
    /// The address that an interface had when the rules were loaded: a bare name in a rule.
    Loaded(Name),
    /// The network of an interface.
    Network(Name),
    /// The rules of an anchor that others fill.
    Anchor(Name),
    /// `probability`.
    Probability,
    /// `once`: whether it is not used up yet.
    Once,
    /// `max-pkt-rate`.
    Rate,
    /// Which tag the packet has, for a rule that sets it may match or not.
    Tag,
    /// Which address of a pool, or which port, pf takes.
    Pool,
}

impl Unknown {
    /// Whether pf chooses it; else it is for the machine to know.
    #[must_use]
    pub fn is_choice(&self) -> bool {
        match self {
            Self::Probability | Self::Once | Self::Rate | Self::Pool => true,
            Self::Os
            | Self::User
            | Self::Tag
            | Self::Table(_)
            | Self::Address(_)
            | Self::Loaded(_)
            | Self::Network(_)
            | Self::Anchor(_) => false,
        }
    }
}
