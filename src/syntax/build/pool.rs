//! Pools of addresses: translation and routing.

use super::{Builder, Built, Pair, once, refuse};
use crate::syntax::ast::{
    AfToOption, FilterOptions, HashKey, Host, HostKind, Pool, PoolHost, PoolOptions, PoolType, RouteKind, RouteOption,
    Spanned, TranslationOption, Word,
};
use crate::syntax::grammar::Rule;

impl Builder {
    /// Takes `nat-to`, `binat-to`, `rdr-to` or `af-to`.
    pub(super) fn translation(&self, options: &mut FilterOptions, pair: Pair<'_>) -> Built<()> {
        let at = self.at(&pair);
        let keyword = pair.as_rule();
        if keyword == Rule::af_to {
            let af_to = self.af_to(pair)?;
            if options.nat.is_some() || options.af_to.is_some() {
                return refuse(at, "cannot respecify af-to");
            }
            // parse.y puts af-to's own destination in the place of an earlier rdr-to.
            options.rdr = None;
            options.af_to = Some(Box::new(af_to));
            return Ok(());
        }
        let mut pool = self.only_pool(pair)?;
        let binat = keyword == Rule::binat_to;
        if binat {
            pool.options.static_port = pool.options.static_port.or(Some(at));
        }
        let pool = Box::new(pool);
        let option = TranslationOption { at, binat, pool };
        let (slot, message) = if keyword == Rule::rdr_to {
            (&mut options.rdr, "cannot respecify rdr-to")
        } else {
            (&mut options.nat, "cannot respecify nat-to/binat-to")
        };
        if options.af_to.is_some() {
            return refuse(at, message);
        }
        once(slot, option, at, message)
    }

    fn af_to(&self, pair: Pair<'_>) -> Built<AfToOption> {
        let at = self.at(&pair);
        let mut family = None;
        let mut pools = Vec::with_capacity(2);
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::af => family = Some(self.family(&inner).value),
                _ => pools.push(self.pool(inner)?),
            }
        }
        let mut pools = pools.into_iter();
        let (from, to) = (pools.next(), pools.next());
        match (family, from) {
            (Some(family), Some(from)) => Ok(AfToOption { at, family, from, to }),
            _ if to.is_some() => refuse(at, "no address family specified"),
            _ => refuse(at, "no target address family specified"),
        }
    }

    /// `route-to`, `reply-to`, `dup-to`
    pub(super) fn route(&self, pair: Pair<'_>) -> Built<RouteOption> {
        let at = self.at(&pair);
        let mut kind = RouteKind::RouteTo;
        for inner in pair.clone().into_inner() {
            match inner.as_str() {
                "reply-to " => kind = RouteKind::ReplyTo,
                "dup-to " => kind = RouteKind::DupTo,
                _ => {}
            }
        }
        let pool = self.only_pool(pair)?;
        Ok(RouteOption { at, kind, pool })
    }

    fn only_pool(&self, pair: Pair<'_>) -> Built<Pool> {
        let at = self.at(&pair);
        match pair
            .into_inner()
            .find(|inner| matches!(inner.as_rule(), Rule::pool | Rule::route_pool))
        {
            Some(pool) => self.pool(pool),
            None => refuse(at, "syntax error"),
        }
    }

    fn pool(&self, pair: Pair<'_>) -> Built<Pool> {
        let mut pool = Pool {
            at: self.at(&pair),
            hosts: Vec::new(),
            listed: false,
            port: None,
            options: PoolOptions::default(),
        };
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::redirhost => pool.hosts.push(self.redirhost(inner)?),
                Rule::redirhost_list => {
                    pool.listed = true;
                    pool.hosts = inner
                        .into_inner()
                        .map(|host| self.redirhost(host))
                        .collect::<Built<_>>()?;
                    if let Some(first) = pool.hosts.first() {
                        only_address(&first.host)?;
                    }
                }
                Rule::portspec => pool.port = Some(self.only_word(inner)),
                _ => self.pooltype(&mut pool.options, inner)?,
            }
        }
        Ok(pool)
    }

    fn redirhost(&self, pair: Pair<'_>) -> Built<PoolHost> {
        let weight = pair
            .clone()
            .into_inner()
            .find(|inner| inner.as_rule() == Rule::weight)
            .map(|weight| self.weight(weight))
            .transpose()?;
        let host = self.host(pair)?;
        Ok(PoolHost { host, weight })
    }

    /// `weight N`
    pub(super) fn weight(&self, pair: Pair<'_>) -> Built<Spanned<u16>> {
        let number = self.only_number(pair);
        match u16::try_from(number.value) {
            Ok(value) if value > 0 => Ok(Spanned { at: number.at, value }),
            _ => refuse(number.at, "weight out of range"),
        }
    }

    fn pooltype(&self, options: &mut PoolOptions, pair: Pair<'_>) -> Built<()> {
        let at = self.at(&pair);
        let Some(inner) = pair.into_inner().next() else {
            return Ok(());
        };
        let kind = match inner.as_rule() {
            Rule::static_port => {
                return once(&mut options.static_port, at, at, "static-port cannot be redefined");
            }
            Rule::sticky_address => {
                return once(&mut options.sticky, at, at, "sticky-address cannot be redefined");
            }
            Rule::bitmask => PoolType::Bitmask,
            Rule::random => PoolType::Random,
            Rule::round_robin => PoolType::RoundRobin,
            Rule::least_states => PoolType::LeastStates,
            _ => match inner.into_inner().next() {
                Some(key) => PoolType::SourceHash(hash_key(self.strings(key))?),
                None => PoolType::SourceHash(HashKey::Random),
            },
        };
        once(
            &mut options.kind,
            Spanned { at, value: kind },
            at,
            "pool type cannot be redefined",
        )
    }
}

/// The key that a word is: `0x` and 32 hex digits, or any text.
fn hash_key(word: Word) -> Built<HashKey> {
    let Some(digits) = word.text.strip_prefix("0x") else {
        return Ok(HashKey::Text(word));
    };
    if digits.len() != 32 {
        return refuse(word.at, "hex key must be 128 bits (32 hex digits) long");
    }
    let mut key = [0; 4];
    for (part, slot) in key.iter_mut().enumerate() {
        let number = digits
            .get(part * 8..part * 8 + 8)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(number) = number else {
            return refuse(word.at, "invalid hex key");
        };
        *slot = number;
    }
    Ok(HashKey::Hex(key))
}

/// parse.y asks this of the first host of a list only.
fn only_address(host: &Host) -> Built<()> {
    match host.kind {
        HostKind::Named(_) => Ok(()),
        HostKind::Range(_)
        | HostKind::Dynamic(_)
        | HostKind::Table(_)
        | HostKind::Route(_)
        | HostKind::NoRoute
        | HostKind::UrpfFailed => refuse(host.at, "only addresses can be listed for redirection pools "),
    }
}
