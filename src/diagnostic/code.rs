//! The list of codes. A code never changes once released.

use super::Severity;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $severity:ident;)*) => {
        /// The kind of a finding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word that names it in every format.
            #[must_use]
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// Its usual severity.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    /// pfctl refuses this line.
    Syntax = "syntax", Error;
    /// FreeBSD's or an older pf's spelling.
    OldSyntax = "old-syntax", Error;
    /// A file that a text names cannot be read.
    Unreadable = "unreadable", Error;
    /// More than pfproof takes: the rest is not judged.
    Limit = "limit", Error;
    /// The context is not as it should be.
    Context = "context", Error;
    /// The policy is not as it should be.
    Policy = "policy", Error;
    /// No such interface or group in the context: the rule never matches.
    UnknownInterface = "unknown-interface", Warning;
    /// Other rules decide all the packets that this rule matches.
    NeverDecides = "never-decides", Warning;
    /// Other rules decide all the packets of some of the rules that a line makes.
    DeadListItem = "dead-list-item", Info;
    /// A statement of a policy does not hold.
    Violated = "violated", Error;
    /// A statement of a policy could not be proved.
    Unproven = "unproven", Error;
    /// A statement of a policy speaks of no packet.
    VacuousStatement = "vacuous-statement", Error;
    /// A `require` asks for what a `forbid` forbids.
    ContradictingStatements = "contradicting-statements", Error;
    /// An `allow` allows nothing that gets through.
    UnusedAllow = "unused-allow", Info;
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.slug())
    }
}
