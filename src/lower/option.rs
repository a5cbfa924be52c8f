//! `set …`.

use super::state::TIMEOUTS;
use super::{Lowerer, Refused};
use crate::ruleset::{BlockPolicy, Declaration, Name, Reassemble, Setting, StatePolicy, SyncookieMode};
use crate::source::{At, LoadError};
use crate::syntax::ast::{
    BlockPolicyWord, InterfaceItem, InterfaceKind, NamedNumber, SetOption, StateLock, SyncookieOptions, SyncookieWord,
    Word,
};
use std::collections::HashSet;

const LIMITS: [&str; 7] = [
    "states",
    "src-nodes",
    "frags",
    "tables",
    "table-entries",
    "pktdelay-pkts",
    "anchors",
];
const OPTIMIZATIONS: [&str; 5] = ["normal", "satellite", "high-latency", "conservative", "aggressive"];
const DEBUG_LEVELS: [&str; 11] = [
    "alert", "crit", "debug", "emerg", "err", "error", "info", "notice", "panic", "warn", "warning",
];
/// The fingerprints that OpenBSD ships; a copy of the machine's files need not have them.
const SHIPPED_FINGERPRINTS: &str = "/etc/pf.os";
/// `start` where only `end` is given, in percent.
const SYNCOOKIE_START: u8 = 25;

impl Lowerer<'_> {
    pub(super) fn option(&mut self, option: &SetOption, at: At) -> Result<(), Refused> {
        match option {
            SetOption::Reassemble { enabled, no_df } => {
                let kept = Reassemble {
                    enabled: *enabled,
                    no_df: *enabled && *no_df,
                };
                self.reassemble = kept;
                self.shared.ruleset.options.reassemble = kept;
                self.declare(Setting::Reassemble(Reassemble {
                    enabled: *enabled,
                    no_df: *no_df,
                }));
                Ok(())
            }
            SetOption::Optimization(word) => {
                self.known_word(word, &OPTIMIZATIONS, format!("unknown optimization {word}"))?;
                let name = self.name(&word.text);
                self.declare(Setting::Optimization(name));
                Ok(())
            }
            // It bears on how pfctl rewrites rules, not on what they decide.
            SetOption::RulesetOptimization(_) => Ok(()),
            SetOption::Timeout(timeouts) => timeouts.iter().try_for_each(|timeout| {
                let NamedNumber { name, value } = timeout;
                self.known_word(name, &TIMEOUTS, format!("unknown timeout {name}"))?;
                let name = self.name(&name.text);
                self.declare(Setting::Timeout(name, value.value));
                Ok(())
            }),
            SetOption::Limit(limits) => limits.iter().try_for_each(|limit| {
                let NamedNumber { name, value } = limit;
                self.known_word(name, &LIMITS, format!("unable to set limit {name} {}", value.value))?;
                let name = self.name(&name.text);
                self.declare(Setting::Limit(name, value.value));
                Ok(())
            }),
            SetOption::LogInterface(word) => {
                let name = self.name(&word.text);
                self.declare(Setting::LogInterface(name));
                Ok(())
            }
            SetOption::HostId(id) => {
                self.declare(Setting::HostId(id.value));
                Ok(())
            }
            SetOption::BlockPolicy(policy) => {
                self.block_policy = match policy {
                    BlockPolicyWord::Drop => BlockPolicy::Drop,
                    BlockPolicyWord::Return => BlockPolicy::Return,
                };
                self.declare(Setting::BlockPolicy(self.block_policy));
                Ok(())
            }
            SetOption::Fingerprints(file) => self.fingerprints(file),
            SetOption::StatePolicy(lock) => {
                self.shared.state_policy = match lock {
                    StateLock::IfBound => StatePolicy::IfBound,
                    StateLock::Floating => StatePolicy::Floating,
                };
                self.declare(Setting::StatePolicy(self.shared.state_policy));
                Ok(())
            }
            SetOption::Debug(word) => {
                let number = word.text.parse::<u8>().is_ok_and(|level| level <= 7);
                let lower = word.text.to_ascii_lowercase();
                if !number && !DEBUG_LEVELS.contains(&lower.as_str()) {
                    let help = self.did_you_mean(&lower, DEBUG_LEVELS);
                    return Err(self.refuse_with(word.at, format!("error setting debuglevel {word}"), help));
                }
                let name = self.name(&word.text);
                self.declare(Setting::Debug(name));
                Ok(())
            }
            SetOption::Skip(items) => self.skip(items),
            SetOption::StateDefaults(options) => {
                if self.shared.state_defaults.is_some() {
                    return Err(self.refuse(at, "cannot redefine state-defaults"));
                }
                self.check_timeouts(options)?;
                self.shared.state_defaults = Some(options.clone());
                Ok(())
            }
            SetOption::Syncookies { mode, options } => self.syncookies(*mode, *options, at),
        }
    }

    fn declare(&mut self, setting: Setting) {
        self.declarations.push(Declaration::Set(setting));
    }

    /// Refuses a word that is none of those, whatever its case.
    fn known_word(&mut self, word: &Word, known: &[&str], text: String) -> Result<(), Refused> {
        if known.iter().any(|known| known.eq_ignore_ascii_case(&word.text)) {
            return Ok(());
        }
        let near = self.did_you_mean(&word.text, known.iter().copied());
        let help = near.unwrap_or_else(|| format!("it is one of {}", known.join(", ")));
        Err(self.refuse_with(word.at, text, Some(help)))
    }

    fn fingerprints(&mut self, file: &Word) -> Result<(), Refused> {
        let name = self.name(&file.text);
        self.declare(Setting::Fingerprints(name));
        // pfctl reads them with the main file only.
        if !self.base.is_empty() || &*file.text == SHIPPED_FINGERPRINTS {
            return Ok(());
        }
        match self.loader.load(&file.text) {
            Ok(_) => Ok(()),
            Err(why) => Err(self.unreadable(file.at, format!("error loading fingerprints {file}: {why}"))),
        }
    }

    /// `set skip on` (`expand_skip_interface`).
    fn skip(&mut self, items: &[InterfaceItem]) -> Result<(), Refused> {
        let is_none = |item: &InterfaceItem| {
            !item.negated && matches!(&item.kind, InterfaceKind::Name(word) if &*word.text == "none")
        };
        if items.len() <= 1 && items.iter().all(is_none) {
            self.shared.ruleset.options.skip.clear();
            self.declare(Setting::Skip(Vec::new()));
            return Ok(());
        }
        let mut names: Vec<Name> = Vec::new();
        let mut outcome = Ok(());
        for item in items {
            match &item.kind {
                _ if item.negated => {
                    let text = "skip on ! <interface> is not supported: error setting skip interface(s)";
                    outcome = Err(self.refuse(item.at, text));
                }
                InterfaceKind::Rdomain(_) => {
                    let text = "skip on rdomain <num> is not supported: error setting skip interface(s)";
                    outcome = Err(self.refuse(item.at, text));
                }
                InterfaceKind::Any => names.push(self.name("any")),
                InterfaceKind::Name(word) => names.push(self.name(&word.text)),
            }
        }
        outcome?;
        let skip = &mut self.shared.ruleset.options.skip;
        let mut known: HashSet<Name> = skip.iter().cloned().collect();
        skip.extend(names.iter().filter(|name| known.insert(Name::clone(name))).cloned());
        self.declare(Setting::Skip(names));
        Ok(())
    }

    /// `set syncookies` (`pfctl_set_syncookies`).
    fn syncookies(&mut self, mode: SyncookieWord, options: Option<SyncookieOptions>, at: At) -> Result<(), Refused> {
        let mode = match (mode, options) {
            (SyncookieWord::Never | SyncookieWord::Always, Some(_)) => {
                let text = "error setting syncookies: syncookies start/end only apply to adaptive";
                return Err(self.refuse(at, text));
            }
            (SyncookieWord::Never, None) => SyncookieMode::Never,
            (SyncookieWord::Always, None) => SyncookieMode::Always,
            (SyncookieWord::Adaptive, options) => {
                if let Some(SyncookieOptions { start, end }) = options {
                    let start = if start == 0 { SYNCOOKIE_START } else { start };
                    let end = if end == 0 { start / 2 } else { end };
                    if end >= start {
                        return Err(self.refuse(at, "error setting syncookies: start must be higher than end"));
                    }
                    self.syncookies = Some((start, end));
                }
                SyncookieMode::Adaptive(self.syncookies)
            }
        };
        self.shared.ruleset.options.syncookies = mode == SyncookieMode::Always;
        self.declare(Setting::Syncookies(mode));
        Ok(())
    }
}

/// A fault of reading in the words of strerror(3), which pfctl uses.
pub(super) fn why(error: &LoadError) -> String {
    match error {
        LoadError::NotFound => "No such file or directory".to_owned(),
        LoadError::OutsideRoot | LoadError::TooLarge(_) | LoadError::Other(_) => error.to_string(),
    }
}
