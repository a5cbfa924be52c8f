//! `queue name …`

use super::{Builder, Built, Pair, leading_number, once, refuse};
use crate::source::At;
use crate::syntax::ast::{QueueBandwidth, QueueSpec, QueueStatement, Spanned, Word};
use crate::syntax::grammar::Rule;

impl Builder {
    pub(super) fn queue_rule(&self, pair: Pair<'_>) -> Built<QueueStatement> {
        let at = self.at(&pair);
        let mut queue = QueueStatement {
            name: Word { at, text: "".into() },
            interfaces: Vec::new(),
            bandwidth: None,
            parent: None,
            default: None,
            qlimit: None,
            flows: None,
            quantum: None,
        };
        for part in pair.into_inner() {
            let at = self.at(&part);
            match part.as_rule() {
                Rule::string => queue.name = self.word(&part),
                Rule::ifspec => queue.interfaces = self.ifspec(part)?,
                Rule::bandwidth => {
                    let value = self.bandwidth(part)?;
                    let bandwidth = Spanned { at, value };
                    once(&mut queue.bandwidth, bandwidth, at, "bandwidth cannot be respecified")?;
                }
                Rule::parent => {
                    let parent = self.only_word(part);
                    once(&mut queue.parent, parent, at, "parent cannot be respecified")?;
                }
                Rule::default => once(&mut queue.default, at, at, "default cannot be respecified")?,
                Rule::qlimit => {
                    let number = self.only_number(part);
                    if queue.qlimit.is_some() {
                        return refuse(at, "qlimit cannot be respecified");
                    }
                    queue.qlimit = Some(within(number, 0..=65535, "qlimit out of range: max 65535")?);
                }
                Rule::flows => {
                    let number = self.only_number(part);
                    if queue.flows.is_some() {
                        return refuse(at, "number of flows cannot be respecified");
                    }
                    queue.flows = Some(within(number, 1..=32767, "number of flows out of range: max 32767")?);
                }
                _ => {
                    let number = self.only_number(part);
                    if queue.quantum.is_some() {
                        return refuse(at, "quantum cannot be respecified");
                    }
                    queue.quantum = Some(within(number, 1..=65535, "quantum out of range: max 65535")?);
                }
            }
        }
        if queue.interfaces.is_empty() && queue.parent.is_none() {
            return refuse(queue.name.at, "root queue without interface");
        }
        Ok(queue)
    }

    fn bandwidth(&self, pair: Pair<'_>) -> Built<QueueSpec> {
        let mut spec = QueueSpec {
            linkshare: QueueBandwidth { rate: 0, burst: None },
            realtime: None,
            upperlimit: None,
        };
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::min_spec => spec.realtime = self.only_scspec(inner)?,
                Rule::max_spec => spec.upperlimit = self.only_scspec(inner)?,
                _ => spec.linkshare = self.scspec(inner)?,
            }
        }
        Ok(spec)
    }

    fn only_scspec(&self, pair: Pair<'_>) -> Built<Option<QueueBandwidth>> {
        pair.into_inner().next().map(|inner| self.scspec(inner)).transpose()
    }

    fn scspec(&self, pair: Pair<'_>) -> Built<QueueBandwidth> {
        let mut bandwidth = QueueBandwidth { rate: 0, burst: None };
        for inner in pair.into_inner() {
            if inner.as_rule() != Rule::burst {
                bandwidth.rate = rate(&self.word(&inner))?;
                continue;
            }
            let mut words = self.words(inner);
            let (Some(first), Some(time)) = (words.next(), words.next()) else {
                continue;
            };
            let first = rate(&first)?;
            match time.text.strip_suffix("ms").map(|digits| digits.parse::<u32>()) {
                Some(Ok(milliseconds)) => bandwidth.burst = Some((first, milliseconds)),
                Some(Err(_)) | None => return refuse(time.at, "time in scspec must be in ms"),
            }
        }
        Ok(bandwidth)
    }
}

fn within(number: Spanned<i64>, range: std::ops::RangeInclusive<i64>, message: &str) -> Built<Spanned<u16>> {
    match u16::try_from(number.value) {
        Ok(value) if range.contains(&number.value) => Ok(Spanned { at: number.at, value }),
        _ => refuse(number.at, message),
    }
}

/// Bits a second (`bandwidth` in parse.y).
fn rate(word: &Word) -> Built<u64> {
    let at: At = word.at;
    if let Ok(number) = word.text.parse::<i64>() {
        return match u64::try_from(number) {
            Ok(rate) => Ok(rate),
            Err(_) => refuse(at, "bandwidth number too big"),
        };
    }
    let (number, unit) = leading_number(&word.text);
    let mut letters = unit.chars();
    let scale = match (letters.next(), letters.as_str()) {
        (Some(scale), "" | "Bit" | "B" | "bit" | "b") => Some(scale),
        _ => None,
    };
    let rate = match scale {
        Some('b') => number,
        Some('K') => number * 1e3,
        Some('M') => number * 1e6,
        Some('G') => number * 1e9,
        Some('%') if (0.0..=100.0).contains(&number) => {
            if number >= 1.0 {
                return refuse(at, "no bandwidth in % yet");
            }
            0.0
        }
        Some('%') => return refuse(at, "bandwidth spec out of range"),
        _ => {
            return refuse(at, format!("unknown unit \"{unit}\""))
                .map_err(|refusal| Box::new(refusal.help("bandwidths end in K, M or G, or in nothing")));
        }
    };
    if !(0.0..=i64::MAX as f64).contains(&rate) {
        return refuse(at, "bandwidth number too big");
    }
    Ok(rate as u64)
}
