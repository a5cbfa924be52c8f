//! `set …`, as far as it bears on decisions. (What pfctl prints of options is kept by `lower` apart.)

use super::Name;

/// The kinds of `set block-policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockPolicy {
    /// Without an answer.
    #[default]
    Drop,
    /// With a RST or an icmp unreachable.
    Return,
}

/// The kinds of `set state-policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatePolicy {
    /// States match on any interface.
    #[default]
    Floating,
    /// States match on the interface they were made on.
    IfBound,
}

/// `set reassemble`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reassemble {
    /// Whether fragments are held until the packet is whole.
    pub enabled: bool,
    /// Whether fragments with DF are taken too.
    pub no_df: bool,
}

impl Default for Reassemble {
    fn default() -> Self {
        Self {
            enabled: true,
            no_df: false,
        }
    }
}

/// The options that bear on decisions. Block and state policy are already in the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Names of interfaces and groups on which packets pass unseen (`set skip on`).
    pub skip: Vec<Name>,
    /// `set reassemble`.
    pub reassemble: Reassemble,
    /// `set syncookies always`: pf answers every SYN that comes in. (From an empty state table `adaptive` answers none.)
    pub syncookies: bool,
    /// Users and groups of which the machine has no socket: nobody says so in pf.conf, it is assumed.
    pub absent: Absent,
}

/// Owners of sockets that there are not, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absent {
    /// Users.
    pub users: Vec<u32>,
    /// Groups.
    pub groups: Vec<u32>,
}
