//! `set …`

use super::state::state_lock;
use super::{Builder, Built, Pair, Refusal, leading_number, refuse, whole_number};
use crate::syntax::ast::{
    BlockPolicyWord, NamedNumber, OptimizerWord, SetOption, Spanned, SyncookieOptions, SyncookieWord, Word,
};
use crate::syntax::grammar::Rule;

impl Builder {
    pub(super) fn option(&self, pair: Pair<'_>) -> Built<SetOption> {
        let at = self.at(&pair);
        let Some(option) = pair.into_inner().next() else {
            return refuse(at, "syntax error");
        };
        Ok(match option.as_rule() {
            Rule::reassemble => self.reassemble(option)?,
            Rule::optimization => SetOption::Optimization(self.only_word(option)),
            Rule::ruleset_optimization => self.optimizer(&self.only_strings(option))?,
            Rule::timeouts => SetOption::Timeout(self.named_numbers(option)?),
            Rule::limits => SetOption::Limit(self.named_numbers(option)?),
            Rule::loginterface => {
                let mut name = self.only_word(option.clone());
                if let Some(all) = option.into_inner().find(|inner| inner.as_rule() == Rule::all) {
                    name = Word {
                        at: self.at(&all),
                        text: "all".into(),
                    };
                }
                SetOption::LogInterface(name)
            }
            Rule::hostid => SetOption::HostId(self.hostid(option)?),
            Rule::block_policy => {
                let drops = option.into_inner().any(|inner| inner.as_rule() == Rule::drop);
                SetOption::BlockPolicy(if drops {
                    BlockPolicyWord::Drop
                } else {
                    BlockPolicyWord::Return
                })
            }
            Rule::fingerprints => SetOption::Fingerprints(self.only_word(option)),
            Rule::state_policy => match option.into_inner().next() {
                Some(lock) => SetOption::StatePolicy(state_lock(&lock)),
                None => return refuse(at, "syntax error"),
            },
            Rule::debug => {
                let mut level = self.only_word(option.clone());
                if let Some(debug) = option.into_inner().find(|inner| inner.as_rule() == Rule::debug_level) {
                    level = Word {
                        at: self.at(&debug),
                        text: "debug".into(),
                    };
                }
                SetOption::Debug(level)
            }
            Rule::skip => SetOption::Skip(match option.into_inner().next() {
                Some(interfaces) => self.ifspec(interfaces)?,
                None => Vec::new(),
            }),
            Rule::state_defaults => SetOption::StateDefaults(match option.into_inner().next() {
                Some(options) => self.state_opts(options)?,
                None => Vec::new(),
            }),
            _ => self.syncookies(option)?,
        })
    }

    fn reassemble(&self, pair: Pair<'_>) -> Built<SetOption> {
        let mut enabled = false;
        let mut no_df = false;
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::string => {
                    let word = self.word(&inner);
                    if &*word.text != "yes" {
                        return refuse(word.at, format!("invalid value '{word}', expected 'yes' or 'no'"));
                    }
                    enabled = true;
                }
                Rule::no_df => no_df = true,
                _ => {}
            }
        }
        Ok(SetOption::Reassemble { enabled, no_df })
    }

    fn optimizer(&self, word: &Word) -> Built<SetOption> {
        Ok(SetOption::RulesetOptimization(match &*word.text {
            "none" => OptimizerWord::None,
            "basic" => OptimizerWord::Basic,
            "profile" => OptimizerWord::Profile,
            _ => {
                return Err(Box::new(Refusal {
                    at: word.at,
                    message: format!("unknown ruleset-optimization {word}"),
                    help: Some("it may be `none`, `basic` or `profile`".into()),
                }));
            }
        }))
    }

    fn named_numbers(&self, pair: Pair<'_>) -> Built<Vec<NamedNumber>> {
        pair.into_inner()
            .map(|item| {
                let (name, value) = self.named_number(item)?;
                Ok(NamedNumber { name, value })
            })
            .collect()
    }

    fn hostid(&self, pair: Pair<'_>) -> Built<Spanned<u32>> {
        let word = self.only_word(pair);
        let Some(number) = whole_number(&word.text) else {
            return refuse(word.at, format!("{word} is not a number"));
        };
        match u32::try_from(number) {
            Ok(value) if value > 0 => Ok(Spanned { at: word.at, value }),
            _ => refuse(word.at, "hostid must be non-zero"),
        }
    }

    fn syncookies(&self, pair: Pair<'_>) -> Built<SetOption> {
        let word = self.only_word(pair.clone());
        let mode = match &*word.text {
            "never" => SyncookieWord::Never,
            "adaptive" => SyncookieWord::Adaptive,
            "always" => SyncookieWord::Always,
            _ => return refuse(word.at, "illegal value for syncookies"),
        };
        let mut options = None;
        for inner in pair.into_inner().filter(|inner| inner.as_rule() == Rule::syncookie_opt) {
            let options: &mut SyncookieOptions = options.get_or_insert_default();
            let mut words = self.words(inner);
            let (Some(name), Some(value)) = (words.next(), words.next()) else {
                continue;
            };
            let (percent, rest) = leading_number(&value.text);
            if rest != "%" || !(percent > 0.0 && percent <= 100.0) {
                return refuse(value.at, "illegal percentage value");
            }
            match &*name.text {
                "start" => options.start = percent as u8,
                "end" => options.end = percent as u8,
                _ => return refuse(name.at, "illegal syncookie option"),
            }
        }
        Ok(SetOption::Syncookies { mode, options })
    }
}
