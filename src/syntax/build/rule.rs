//! `pass`, `block`, `match`, `anchor`, `antispoof`, `load anchor`.

use super::{Builder, Built, Pair, refuse, shorter};
use crate::net::{Direction, Family};
use crate::source::At;
use crate::syntax::ast::{
    ActionWord, AnchorBody, AnchorRule, AntispoofInterface, AntispoofRule, BlockSpec, FilterOptions, FromTo,
    LoadAnchor, LogSpec, NamedOrNumber, PfRule, RouteKind, Spanned, StateKind, Word,
};
use crate::syntax::grammar::Rule;

/// `PF_RULE_LABEL_SIZE`
const LABEL_SIZE: usize = 64;
/// `PATH_MAX`
const PATH_SIZE: usize = 1024;
/// `PF_ANCHOR_NAME_SIZE`
const ANCHOR_NAME_SIZE: usize = 64;

impl Builder {
    pub(super) fn pf_rule(&self, pair: Pair<'_>) -> Built<PfRule> {
        let at = self.at(&pair);
        let mut rule = PfRule {
            action: Spanned {
                at,
                value: ActionWord::Pass,
            },
            direction: None,
            log: None,
            quick: None,
            interfaces: Vec::new(),
            family: None,
            protocols: Vec::new(),
            hosts: FromTo::default(),
            options: None,
        };
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::pass | Rule::block | Rule::match_action => rule.action = self.action(part)?,
                Rule::direction => rule.direction = Some(self.direction(&part)),
                Rule::log => rule.log = Some(self.log(part)?),
                Rule::quick => rule.quick = Some(self.at(&part)),
                Rule::ifspec => rule.interfaces = self.ifspec(part)?,
                Rule::af => rule.family = Some(self.family(&part)),
                Rule::protospec => rule.protocols = self.protocols(part)?,
                Rule::all | Rule::from | Rule::os | Rule::to => self.hosts(&mut rule.hosts, part)?,
                _ => self.filteropt(rule.options.get_or_insert_default(), part)?,
            }
        }
        if self.whole
            && let Some(options) = &rule.options
        {
            let once_fits = match &rule.action.value {
                ActionWord::Pass | ActionWord::Block(_) => true,
                ActionWord::Match => false,
            };
            check_options(options, once_fits, rule.direction)?;
            if let Some(route) = &options.route
                && route.kind != RouteKind::DupTo
                && rule.direction.is_none()
            {
                return refuse(route.at, "direction must be explicit with rules that specify routing");
            }
        }
        Ok(rule)
    }

    pub(super) fn anchor_rule(&self, pair: Pair<'_>) -> Built<AnchorRule> {
        let at = self.at(&pair);
        let mut rule = AnchorRule {
            name: None,
            direction: None,
            quick: None,
            interfaces: Vec::new(),
            family: None,
            protocols: Vec::new(),
            hosts: FromTo::default(),
            options: None,
            body: None,
        };
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::anchor_name => rule.name = Some(self.anchor_name(part)?),
                Rule::direction => rule.direction = Some(self.direction(&part)),
                Rule::quick => rule.quick = Some(self.at(&part)),
                Rule::ifspec => rule.interfaces = self.ifspec(part)?,
                Rule::af => rule.family = Some(self.family(&part)),
                Rule::protospec => rule.protocols = self.protocols(part)?,
                Rule::all | Rule::from | Rule::os | Rule::to => self.hosts(&mut rule.hosts, part)?,
                Rule::anchor_open => {
                    let end = self.at(&part);
                    let statements = Vec::new();
                    rule.body = Some(AnchorBody { statements, end });
                }
                _ => self.filteropt(rule.options.get_or_insert_default(), part)?,
            }
        }
        // pfctl judges the head of an inline anchor after its rules.
        if self.whole && rule.body.is_none() {
            check_anchor(&rule, at)?;
        }
        Ok(rule)
    }

    fn anchor_name(&self, pair: Pair<'_>) -> Built<Word> {
        let name = self.only_word(pair);
        if name.text.is_empty() {
            return refuse(name.at, "anchor name must not be empty");
        }
        let name = shorter(name, PATH_SIZE - 1, |_| {
            format!("anchor name is longer than {}", PATH_SIZE - 1)
        })?;
        if name.text.starts_with('_') || name.text.contains("/_") {
            return refuse(name.at, "anchor names beginning with '_' are reserved for internal use");
        }
        Ok(name)
    }

    pub(super) fn load_anchor(&self, pair: Pair<'_>) -> Built<LoadAnchor> {
        let at = self.at(&pair);
        let mut name = None;
        let mut file = Word { at, text: "".into() };
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::anchor_name => name = Some(self.anchor_name(part)?),
                _ => file = self.strings(part),
            }
        }
        match name {
            Some(name) => Ok(LoadAnchor { name, file }),
            None => refuse(at, "anchor name is missing"),
        }
    }

    pub(super) fn antispoof_rule(&self, pair: Pair<'_>) -> Built<AntispoofRule> {
        let mut rule = AntispoofRule {
            log: None,
            quick: None,
            interfaces: Vec::new(),
            family: None,
            label: None,
            rtable: None,
        };
        for part in pair.into_inner() {
            let at = self.at(&part);
            match part.as_rule() {
                Rule::log => rule.log = Some(self.log(part)?),
                Rule::quick => rule.quick = Some(at),
                Rule::antispoof_if => rule.interfaces.push(self.antispoof_if(part)?),
                Rule::af => rule.family = Some(self.family(&part)),
                Rule::label => {
                    let label = self.label(part)?;
                    super::once(&mut rule.label, label, at, "label cannot be redefined")?;
                }
                _ => rule.rtable = Some(self.rtable(part)?),
            }
        }
        Ok(rule)
    }

    fn antispoof_if(&self, pair: Pair<'_>) -> Built<AntispoofInterface> {
        let at = self.at(&pair);
        let Some(part) = pair.into_inner().next() else {
            return refuse(at, "syntax error");
        };
        let dynamic = part.as_rule() == Rule::dynamic_if;
        let named = if dynamic {
            part.clone().into_inner().next().unwrap_or(part)
        } else {
            part
        };
        let item = self.interface(&named)?;
        Ok(AntispoofInterface { item, dynamic })
    }

    fn action(&self, pair: Pair<'_>) -> Built<Spanned<ActionWord>> {
        let at = self.at(&pair);
        let value = match pair.as_rule() {
            Rule::match_action => ActionWord::Match,
            Rule::block => ActionWord::Block(self.block(pair)?),
            _ => ActionWord::Pass,
        };
        Ok(Spanned { at, value })
    }

    fn block(&self, pair: Pair<'_>) -> Built<BlockSpec> {
        let Some(spec) = pair.into_inner().next() else {
            return Ok(BlockSpec::Default);
        };
        Ok(match spec.as_rule() {
            Rule::drop => BlockSpec::Drop,
            Rule::return_rst => {
                let has_ttl = spec.clone().into_inner().next().is_some();
                let ttl = has_ttl
                    .then(|| self.ranged(spec, |ttl| format!("illegal ttl value {ttl}")))
                    .transpose()?;
                BlockSpec::ReturnRst {
                    ttl: ttl.map(|ttl: Spanned<u8>| ttl.value),
                }
            }
            Rule::return_icmp => {
                let mut codes = self.icmp_codes(spec)?.into_iter().map(Box::new);
                BlockSpec::ReturnIcmp {
                    icmp: codes.next(),
                    icmp6: codes.next(),
                }
            }
            Rule::return_icmp6 => BlockSpec::ReturnIcmp6 {
                icmp6: self.icmp_codes(spec)?.into_iter().next().map(Box::new),
            },
            _ => BlockSpec::Return,
        })
    }

    fn icmp_codes(&self, pair: Pair<'_>) -> Built<Vec<NamedOrNumber>> {
        pair.into_inner()
            .map(|code| self.named_or_byte(&code, |code| format!("invalid icmp code {code}")))
            .collect()
    }

    fn direction(&self, pair: &Pair<'_>) -> Spanned<Direction> {
        let value = match pair.as_str() {
            "out " => Direction::Out,
            _ => Direction::In,
        };
        Spanned {
            at: self.at(pair),
            value,
        }
    }

    pub(super) fn family(&self, pair: &Pair<'_>) -> Spanned<Family> {
        let value = match pair.as_str() {
            "inet6 " => Family::Inet6,
            _ => Family::Inet,
        };
        Spanned {
            at: self.at(pair),
            value,
        }
    }

    fn log(&self, pair: Pair<'_>) -> Built<Spanned<LogSpec>> {
        let at = self.at(&pair);
        let mut log = LogSpec::default();
        for option in pair.into_inner().flat_map(Pair::into_inner) {
            match option.as_rule() {
                Rule::log_all => log.all = true,
                Rule::log_matches => log.matches = true,
                Rule::log_user => log.user = true,
                _ => {
                    let to = self.pflog(&self.only_strings(option))?;
                    if to != 0 {
                        log.to = to;
                    }
                }
            }
        }
        Ok(Spanned { at, value: log })
    }

    fn pflog(&self, name: &Word) -> Built<u8> {
        let Some(number) = name.text.strip_prefix("pflog") else {
            return refuse(name.at, format!("{name}: should be a pflog interface"));
        };
        match number.parse::<i64>() {
            Ok(0..=255) => Ok(number.parse().unwrap_or(0)),
            Ok(negative) if negative < 0 => refuse(name.at, format!("{name}: too small")),
            Ok(_) => refuse(name.at, format!("{name}: too large")),
            Err(_) => refuse(name.at, format!("{name}: invalid")),
        }
    }

    fn protocols(&self, pair: Pair<'_>) -> Built<Vec<NamedOrNumber>> {
        pair.into_inner()
            .map(|item| {
                let protocol = self.named_or_byte(&item, |_| "protocol outside range".into())?;
                match &protocol {
                    NamedOrNumber::Number(number) if number.value == 0 => refuse(number.at, "proto 0 cannot be used"),
                    NamedOrNumber::Number(_) | NamedOrNumber::Name(_) => Ok(protocol),
                }
            })
            .collect()
    }

    /// `label`
    pub(super) fn label(&self, pair: Pair<'_>) -> Built<Word> {
        shorter(self.only_word(pair), LABEL_SIZE, |_| {
            format!("rule label too long (max {} chars)", LABEL_SIZE - 1)
        })
    }
}

/// What pfctl keeps of an anchor's path as its name: the last `/` and what follows.
fn own_name(path: &Word) -> &str {
    path.text.rfind('/').map_or(&path.text, |slash| &path.text[slash..])
}

/// What pfctl checks of an anchor when it has read all of it; `at` is the place of its head.
pub(in crate::syntax) fn check_anchor(rule: &AnchorRule, at: At) -> Built<()> {
    match &rule.name {
        Some(name) if rule.body.is_some() && name.text.contains('/') => {
            return refuse(
                name.at,
                "anchor paths containing '/' cannot be used for inline anchors.",
            );
        }
        Some(name) if rule.body.is_none() && name.text.ends_with('/') => {
            return refuse(name.at, format!("anchorrule: bad anchor name {name}"));
        }
        Some(name) if own_name(name).len() >= ANCHOR_NAME_SIZE => {
            return refuse(name.at, format!("anchor name is longer than {}", ANCHOR_NAME_SIZE - 1));
        }
        None if rule.body.is_none() => {
            return refuse(at, "anchors without explicit rules must specify a name");
        }
        Some(_) | None => {}
    }
    let Some(options) = &rule.options else {
        return Ok(());
    };
    check_options(options, false, rule.direction)?;
    if let Some(keep) = &options.keep
        && keep.kind != StateKind::No
    {
        return refuse(keep.at, "cannot specify state handling on anchors");
    }
    match &options.route {
        Some(route) => refuse(route.at, "cannot specify route handling on anchors"),
        None => Ok(()),
    }
}

/// What `filteropts_to_rule` of parse.y checks.
fn check_options(options: &FilterOptions, once_fits: bool, direction: Option<Spanned<Direction>>) -> Built<()> {
    if let Some(at) = options.once
        && !once_fits
    {
        return refuse(at, "'once' only applies to pass/block rules");
    }
    if let Some(af_to) = &options.af_to {
        if direction.is_none_or(|direction| direction.value != Direction::In) {
            return refuse(af_to.at, "af-to can only be used with direction in");
        }
        if options.route.is_some() {
            return refuse(
                af_to.at,
                "af-to cannot be used together with route-to, reply-to, dup-to",
            );
        }
    }
    if let Some(flags) = options.flags
        && let Some((set, mask)) = flags.test
        && !mask.contains(set)
    {
        return refuse(flags.at, "flags always false");
    }
    Ok(())
}
