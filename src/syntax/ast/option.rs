//! `set …`

use super::{InterfaceItem, Spanned, StateLock, StateOption, Word};

/// `set ruleset-optimization`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptimizerWord {
    /// `none`
    None,
    /// `basic`
    Basic,
    /// `profile`
    Profile,
}

/// `set block-policy`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockPolicyWord {
    /// `drop`
    Drop,
    /// `return`
    Return,
}

/// `set syncookies`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncookieWord {
    /// `never`
    Never,
    /// `adaptive`
    Adaptive,
    /// `always`
    Always,
}

/// `(start N%, end M%)`, percents above 0 up to 100, without their fractions; 0 where one is not given. The last of
/// several holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncookieOptions {
    /// `start`
    pub start: u8,
    /// `end`
    pub end: u8,
}

/// A timeout or limit: its name, which is not checked here, and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedNumber {
    /// The name.
    pub name: Word,
    /// The value.
    pub value: Spanned<u32>,
}

/// `set …`
#[derive(Clone, Debug, PartialEq)]
pub enum SetOption {
    /// `set reassemble yes|no [no-df]`
    Reassemble {
        /// `yes`
        enabled: bool,
        /// `no-df`
        no_df: bool,
    },
    /// `set optimization word`; the word is not checked here.
    Optimization(Word),
    /// `set ruleset-optimization`
    RulesetOptimization(OptimizerWord),
    /// `set timeout …`, `set timeout { … }`
    Timeout(Vec<NamedNumber>),
    /// `set limit …`, `set limit { … }`
    Limit(Vec<NamedNumber>),
    /// `set loginterface name`
    LogInterface(Word),
    /// `set hostid N`
    HostId(Spanned<u32>),
    /// `set block-policy`
    BlockPolicy(BlockPolicyWord),
    /// `set fingerprints "file"`
    Fingerprints(Word),
    /// `set state-policy`
    StatePolicy(StateLock),
    /// `set debug word`; the word is not checked here.
    Debug(Word),
    /// `set skip on …`
    Skip(Vec<InterfaceItem>),
    /// `set state-defaults …`
    StateDefaults(Vec<StateOption>),
    /// `set syncookies …`
    Syncookies {
        /// Which.
        mode: SyncookieWord,
        /// `( … )`
        options: Option<SyncookieOptions>,
    },
}
