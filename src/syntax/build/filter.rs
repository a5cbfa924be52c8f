//! The options of a rule.

use super::host::{ROUTING_TABLES, compare};
use super::{Builder, Built, Pair, leading_number, once, refuse, shorter, whole_number};
use crate::net::{Family, TcpFlags};
use crate::source::At;
use crate::syntax::ast::{
    Comparison, DivertOption, FilterOptions, FlagsOption, IcmpItem, IcmpSpec, Id, PrioOption, QueueOption, RateOption,
    ReceivedOnOption, ScrubOptions, Spanned, TaggedOption, UnaryOperator, Word,
};
use crate::syntax::grammar::Rule;

/// `PF_TAG_NAME_SIZE`
const TAG_SIZE: usize = 64;
/// `IFQ_MAXPRIO`
const MAX_PRIO: u8 = 7;

/// The words for tos and their values (`map_tos` in parse.y).
const TOS_WORDS: [(&str, u8); 27] = [
    ("af11", 0x28),
    ("af12", 0x30),
    ("af13", 0x38),
    ("af21", 0x48),
    ("af22", 0x50),
    ("af23", 0x58),
    ("af31", 0x68),
    ("af32", 0x70),
    ("af33", 0x78),
    ("af41", 0x88),
    ("af42", 0x90),
    ("af43", 0x98),
    ("critical", 0xa0),
    ("cs0", 0x00),
    ("cs1", 0x20),
    ("cs2", 0x40),
    ("cs3", 0x60),
    ("cs4", 0x80),
    ("cs5", 0xa0),
    ("cs6", 0xc0),
    ("cs7", 0xe0),
    ("ef", 0xb8),
    ("inetcontrol", 0xc0),
    ("lowdelay", 0x10),
    ("netcontrol", 0xe0),
    ("reliability", 0x04),
    ("throughput", 0x08),
];

impl Builder {
    /// Takes one option.
    pub(super) fn filteropt(&self, options: &mut FilterOptions, pair: Pair<'_>) -> Built<()> {
        let at = self.at(&pair);
        match pair.as_rule() {
            Rule::user => {
                let mut list = self.ids(pair, "user")?;
                list.append(&mut options.user);
                options.user = list;
            }
            Rule::group => {
                let mut list = self.ids(pair, "group")?;
                list.append(&mut options.group);
                options.group = list;
            }
            Rule::flags => {
                let flags = self.flags(pair)?;
                once(&mut options.flags, flags, at, "flags cannot be redefined")?;
            }
            Rule::icmp_type => {
                let icmp = Box::new(self.icmp_type(pair)?);
                once(&mut options.icmp, icmp, at, "icmp-type cannot be redefined")?;
            }
            Rule::prio => {
                let prio = self.prio(&self.only_number(pair))?;
                once(&mut options.prio, prio, at, "prio cannot be redefined")?;
            }
            Rule::tos => {
                let tos = self.tos(pair)?;
                once(&mut options.tos, tos, at, "tos cannot be redefined")?;
            }
            Rule::state => {
                let keep = self.keep(pair)?;
                once(&mut options.keep, keep, at, "modulate or keep cannot be redefined")?;
            }
            Rule::fragment => options.fragment = Some(at),
            Rule::allow_opts => options.allow_opts = Some(at),
            Rule::label => {
                let label = self.label(pair)?;
                once(&mut options.label, label, at, "label cannot be redefined")?;
            }
            Rule::queue => self.queue_option(options, pair)?,
            Rule::tag => options.tag = Some(self.tag(pair)?),
            Rule::tagged => {
                let negated = pair.clone().into_inner().any(|inner| inner.as_rule() == Rule::not);
                let tag = self.tag(pair)?;
                let value = TaggedOption { negated, tag };
                options.tagged = Some(Box::new(Spanned { at, value }));
            }
            Rule::probability => options.probability = Some(self.probability(pair)?),
            Rule::rtable => options.rtable = Some(self.rtable(pair)?),
            Rule::divert_to | Rule::divert_reply | Rule::divert_packet => {
                let divert = Box::new(self.divert(pair));
                once(&mut options.divert, divert, at, "more than one divert option")?;
            }
            Rule::scrub => {
                let before = options.scrub.take();
                options.scrub = Some(self.scrub(pair, before)?);
            }
            Rule::nat_to | Rule::binat_to | Rule::rdr_to | Rule::af_to => self.translation(options, pair)?,
            Rule::route => {
                let route = Box::new(self.route(pair)?);
                once(
                    &mut options.route,
                    route,
                    at,
                    "cannot respecify route-to/reply-to/dup-to",
                )?;
            }
            Rule::received_on => {
                let received = Box::new(self.received_on(pair)?);
                once(&mut options.received_on, received, at, "cannot respecify received-on")?;
            }
            Rule::once => options.once = Some(at),
            Rule::max_pkt_rate => {
                let value = self.rate(pair)?;
                // parse.y takes a limit of 0 for none.
                options.max_pkt_rate = options.max_pkt_rate.filter(|rate| rate.value.limit != 0);
                once(
                    &mut options.max_pkt_rate,
                    Spanned { at, value },
                    at,
                    "cannot respecify max-pkt-rate",
                )?;
            }
            _ => self.set(options, pair)?,
        }
        Ok(())
    }

    fn ids(&self, pair: Pair<'_>, what: &str) -> Built<Vec<Spanned<Comparison<Id>>>> {
        pair.into_inner().map(|item| self.id_item(item, what)).collect()
    }

    fn id_item(&self, pair: Pair<'_>, what: &str) -> Built<Spanned<Comparison<Id>>> {
        let at = self.at(&pair);
        let mut ids = (None, None);
        let mut unary = None;
        let mut binary = None;
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::unary_op => unary = Some(self.unary(&inner)),
                Rule::binary_op => binary = Some(self.binary(&inner)),
                _ if ids.0.is_none() => ids.0 = Some(self.id(&inner, what)?),
                _ => ids.1 = Some(self.id(&inner, what)?),
            }
        }
        let unknown = ids.0.iter().chain(&ids.1).any(|id| matches!(id, Id::Unknown(_)));
        let equality =
            unary.is_none_or(|operator| matches!(operator.value, UnaryOperator::Equal | UnaryOperator::NotEqual));
        if unknown && (binary.is_some() || !equality) {
            return refuse(at, format!("{what} unknown requires operator = or !="));
        }
        let value = compare(ids, unary, binary, || Id::Unknown(at));
        Ok(Spanned { at, value })
    }

    fn id(&self, pair: &Pair<'_>, what: &str) -> Built<Id> {
        if pair.as_rule() == Rule::string {
            let word = self.word(pair);
            return Ok(match &*word.text {
                "unknown" => Id::Unknown(word.at),
                _ => Id::Name(word),
            });
        }
        let number = self.number(pair);
        match u32::try_from(number.value) {
            Ok(value) if value < u32::MAX => Ok(Id::Number(Spanned { at: number.at, value })),
            _ => {
                let kind = if what == "user" { "uid" } else { "gid" };
                refuse(number.at, format!("illegal {kind} value {}", number.value))
            }
        }
    }

    fn flags(&self, pair: Pair<'_>) -> Built<FlagsOption> {
        let at = self.at(&pair);
        let mut set = TcpFlags(0);
        let mut test = None;
        let mut any = false;
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::string => set = self.flag_set(&self.word(&inner))?,
                Rule::flag_mask => test = Some((set, self.flag_set(&self.only_word(inner))?)),
                _ => any = true,
            }
        }
        if test.is_none() && !any {
            let help = "after a `/` say which flags are looked at: `flags S/SA`";
            return refuse(at, "syntax error").map_err(|refusal| Box::new(refusal.help(help)));
        }
        Ok(FlagsOption { at, test })
    }

    /// `parse_flags` of pfctl: no letter at all is every flag.
    fn flag_set(&self, word: &Word) -> Built<TcpFlags> {
        match TcpFlags::parse(&word.text) {
            Some(TcpFlags(0)) => Ok(TcpFlags(u8::MAX)),
            Some(flags) => Ok(flags),
            None => {
                let help = "the flags are (F)IN, (S)YN, (R)ST, (P)USH, (A)CK, (U)RG, (E)CE, C(W)R";
                refuse(word.at, format!("bad flags {word}")).map_err(|refusal| Box::new(refusal.help(help)))
            }
        }
    }

    fn icmp_type(&self, pair: Pair<'_>) -> Built<IcmpSpec> {
        let at = self.at(&pair);
        let mut spec = IcmpSpec {
            at,
            family: Family::Inet,
            items: Vec::new(),
        };
        let mut keyword = "icmp-type";
        for inner in pair.into_inner() {
            if inner.as_rule() == Rule::icmp_keyword {
                if inner.as_str() == "icmp6-type " {
                    spec.family = Family::Inet6;
                    keyword = "icmp6-type";
                }
                continue;
            }
            let mut words = inner.into_inner();
            let Some(kind) = words.next() else {
                continue;
            };
            let kind = self.named_or_byte(&kind, |kind| format!("illegal {keyword} {kind}"))?;
            let code = words
                .next()
                .map(|code| self.named_or_byte(&code, |code| format!("illegal icmp-code {code}")))
                .transpose()?;
            spec.items.push(IcmpItem { kind, code });
        }
        Ok(spec)
    }

    fn prio(&self, number: &Spanned<i64>) -> Built<Spanned<u8>> {
        match u8::try_from(number.value) {
            Ok(value) if value <= MAX_PRIO => Ok(Spanned { at: number.at, value }),
            _ => refuse(number.at, format!("prio must be 0 - {MAX_PRIO}")),
        }
    }

    fn tos(&self, pair: Pair<'_>) -> Built<Spanned<u8>> {
        // Of words only those of the form 0x10 are numbers.
        let is_number = !pair.as_str().contains('"');
        let word = self.only_word(pair);
        let known = TOS_WORDS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(&word.text))
            .map(|&(_, value)| value);
        let number = || match word.text.strip_prefix("0x") {
            Some(_) => whole_number(&word.text),
            None => word.text.parse().ok().filter(|_| is_number),
        };
        match known.or_else(|| u8::try_from(number()?).ok()) {
            Some(value) => Ok(Spanned { at: word.at, value }),
            None => refuse(word.at, format!("illegal tos value {word}")),
        }
    }

    fn queue_option(&self, options: &mut FilterOptions, pair: Pair<'_>) -> Built<()> {
        let at = self.at(&pair);
        let mut words = self.words(pair);
        let Some(name) = words.next() else {
            return Ok(());
        };
        let value = QueueOption {
            name,
            priority: words.next(),
        };
        let queue = Box::new(Spanned { at, value });
        once(&mut options.queue, queue, at, "queue cannot be redefined")
    }

    fn tag(&self, pair: Pair<'_>) -> Built<Word> {
        shorter(self.only_strings(pair), TAG_SIZE, |_| {
            format!("tag too long, max {} chars", TAG_SIZE - 1)
        })
    }

    /// The share of 2^32 - 1, as parse.y rounds it.
    fn probability(&self, pair: Pair<'_>) -> Built<Spanned<u32>> {
        let word = self.only_word(pair);
        let (number, rest) = leading_number(&word.text);
        let share = match rest {
            "" => number,
            "%" => number * 0.01,
            _ => return refuse(word.at, format!("invalid probability: {word}")),
        };
        let scaled = (share * f64::from(u32::MAX) + 0.5).floor();
        if !(0.0..=f64::from(u32::MAX)).contains(&scaled) {
            return refuse(word.at, format!("invalid probability: {}%", share * 100.0));
        }
        Ok(Spanned {
            at: word.at,
            value: (scaled as u32).max(1),
        })
    }

    /// `rtable`
    pub(super) fn rtable(&self, pair: Pair<'_>) -> Built<Spanned<u32>> {
        let number = self.only_number(pair);
        match u32::try_from(number.value) {
            Ok(value) if number.value <= ROUTING_TABLES => Ok(Spanned { at: number.at, value }),
            _ => refuse(number.at, "invalid rtable id"),
        }
    }

    fn divert(&self, pair: Pair<'_>) -> Spanned<DivertOption> {
        let at = self.at(&pair);
        let keyword = pair.as_rule();
        let mut words = self.words(pair);
        let mut next = || words.next().unwrap_or(Word { at, text: "".into() });
        let value = match keyword {
            Rule::divert_to => {
                let host = next();
                DivertOption::To { host, port: next() }
            }
            Rule::divert_packet => DivertOption::Packet { port: next() },
            _ => DivertOption::Reply,
        };
        Spanned { at, value }
    }

    fn scrub(&self, pair: Pair<'_>, before: Option<ScrubOptions>) -> Built<ScrubOptions> {
        let mut scrub = ScrubOptions {
            at: self.at(&pair),
            no_df: false,
            random_id: false,
            min_ttl: None,
            max_mss: None,
            reassemble_tcp: false,
        };
        for option in pair.into_inner() {
            let at = self.at(&option);
            match option.as_rule() {
                Rule::no_df => set_once(&mut scrub.no_df, at, "no-df cannot be respecified")?,
                Rule::random_id => set_once(&mut scrub.random_id, at, "random-id cannot be respecified")?,
                Rule::min_ttl => {
                    let ttl = self.ranged(option, |ttl| format!("illegal min-ttl value {ttl}"));
                    respecified(scrub.min_ttl.is_some(), at, "min-ttl cannot be respecified")?;
                    scrub.min_ttl = Some(ttl?.value);
                }
                Rule::max_mss => {
                    let mss = self.ranged(option, |mss| format!("illegal max-mss value {mss}"));
                    respecified(scrub.max_mss.is_some(), at, "max-mss cannot be respecified")?;
                    scrub.max_mss = Some(mss?.value);
                }
                _ => {
                    let word = self.only_word(option);
                    if !word.text.eq_ignore_ascii_case("tcp") {
                        let message = format!("scrub reassemble supports only tcp, not '{word}'");
                        return refuse(word.at, message);
                    }
                    set_once(&mut scrub.reassemble_tcp, at, "reassemble tcp cannot be respecified")?;
                }
            }
        }
        scrub.reassemble_tcp |= before.is_some_and(|before| before.reassemble_tcp);
        Ok(scrub)
    }

    fn received_on(&self, pair: Pair<'_>) -> Built<ReceivedOnOption> {
        let at = self.at(&pair);
        let mut negated = false;
        for inner in pair.into_inner() {
            if inner.as_rule() == Rule::not {
                negated = true;
            } else {
                let mut interface = self.interface(&inner)?;
                interface.negated = negated;
                return Ok(ReceivedOnOption { at, interface });
            }
        }
        refuse(at, "syntax error")
    }

    /// The `rate` directly within a pair.
    pub(super) fn rate(&self, pair: Pair<'_>) -> Built<RateOption> {
        let at = self.at(&pair);
        let mut numbers = pair
            .into_inner()
            .flat_map(Pair::into_inner)
            .map(|number| self.number(&number));
        let mut next = || match numbers.next() {
            Some(number) => match u32::try_from(number.value) {
                Ok(value) => Ok(value),
                Err(_) => refuse(number.at, "only positive values permitted"),
            },
            None => refuse(at, "syntax error"),
        };
        let limit = next()?;
        Ok(RateOption {
            limit,
            seconds: next()?,
        })
    }

    fn set(&self, options: &mut FilterOptions, pair: Pair<'_>) -> Built<()> {
        for item in pair.into_inner() {
            let at = self.at(&item);
            match item.as_rule() {
                Rule::set_prio => {
                    let mut given = item.into_inner().map(|number| self.prio(&self.number(&number)));
                    let Some(normal) = given.next().transpose()? else {
                        continue;
                    };
                    let value = PrioOption {
                        normal: normal.value,
                        priority: given.next().transpose()?.unwrap_or(normal).value,
                    };
                    let prio = Spanned { at, value };
                    once(&mut options.set.prio, prio, at, "prio cannot be redefined")?;
                }
                Rule::queue => self.queue_option(options, item)?,
                Rule::tos => {
                    let tos = self.tos(item)?;
                    once(&mut options.set.tos, tos, at, "tos cannot be respecified")?;
                }
                _ => {
                    let delay = self.ranged(item, |delay| format!("illegal delay value {delay} (0-65535)"))?;
                    // parse.y takes a delay of 0 for none.
                    options.set.delay = options.set.delay.filter(|delay| delay.value != 0);
                    once(&mut options.set.delay, delay, at, "delay cannot be respecified")?;
                }
            }
        }
        Ok(())
    }
}

fn respecified(given: bool, at: At, message: &str) -> Built<()> {
    if given { refuse(at, message) } else { Ok(()) }
}

fn set_once(slot: &mut bool, at: At, message: &str) -> Built<()> {
    respecified(*slot, at, message)?;
    *slot = true;
    Ok(())
}
