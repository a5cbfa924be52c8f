//! Anchors: inline, by name, and those that a file is loaded into.

use super::expand::{Places, Template};
use super::node::Redirections;
use super::rule::{Criteria, Heads, decide_family};
use super::{LoadAnchor, Lowerer, Refused};
use crate::ruleset::{Action, Anchor, AnchorCall, Name, Rule};
use crate::source::At;
use crate::syntax::ast::{self, AnchorBody, AnchorRule, FilterOptions, Statement};

impl Lowerer<'_> {
    pub(super) fn anchor_rule(&mut self, written: &AnchorRule, at: At) -> Result<(), Refused> {
        let none = FilterOptions::default();
        let options = written.options.as_deref().unwrap_or(&none);
        let names = self.anchor_names(written, at);
        let origin = self.origin;
        let call = match &written.body {
            Some(body) => self.inline(written, body, names.is_err(), at),
            None => self.call(written, at),
        };
        self.origin = origin;
        let ((heads, criteria), call) = (names?, call?);
        let end = written.body.as_ref().map(|body| self.document.span(body.end));
        self.end = Some(end.unwrap_or(origin.span));
        let mut rule = Rule::new(origin, Action::Anchor(Box::new(call)));
        rule.direction = written.direction.as_ref().map(|direction| direction.value);
        rule.quick = written.quick.is_some();
        rule.family = written.family.as_ref().map(|family| family.value);
        self.check_tcp(&heads, options, &written.hosts, "applies", at)?;
        self.apply_options(&mut rule, options);
        decide_family(heads.sources.as_deref(), &mut rule.family);
        decide_family(heads.destinations.as_deref(), &mut rule.family);
        let places = Places::new(at, &written.protocols, &written.hosts, options, at);
        let template = Template {
            rule,
            translated: None,
            routed: None,
        };
        self.expand_with(template, &heads, &criteria, Redirections::default(), &places);
        Ok(())
    }

    /// What the words of an anchor's head stand for, each by itself.
    pub(super) fn anchor_names(&mut self, written: &AnchorRule, at: At) -> Result<(Heads, Criteria), Refused> {
        let none = FilterOptions::default();
        let options = written.options.as_deref().unwrap_or(&none);
        let heads = self.heads(&written.interfaces, &written.protocols, &written.hosts, at);
        let criteria = self.criteria(options);
        // Of no effect on an anchor, but looked up all the same.
        let (redirections, divert) = (self.redirections(options), self.divert(options.divert.as_deref()));
        self.check_names(options)?;
        redirections?;
        divert?;
        Ok((heads?, criteria?))
    }

    /// The call of an anchor that is filled elsewhere.
    fn call(&mut self, written: &AnchorRule, at: At) -> Result<AnchorCall, Refused> {
        let Some(name) = &written.name else {
            return Err(self.refuse(at, "anchors without explicit rules must specify a name"));
        };
        if name.text.ends_with('/') {
            return Err(self.refuse(name.at, format!("anchorrule: bad anchor name {name}")));
        }
        // A name that leads above the main ruleset is pf's to refuse, not pfctl's: nobody fills it.
        let (path, wildcard) = resolve(&self.path, &name.text).unwrap_or_else(|| (name.text.to_string(), false));
        Ok(AnchorCall {
            name: Some(self.name(&name.text)),
            path: self.name(&path),
            wildcard,
            inline: false,
        })
    }

    /// The rules in `{ }`, which are lowered before the anchor itself; then its call.
    fn inline(
        &mut self,
        written: &AnchorRule,
        body: &AnchorBody,
        head_refused: bool,
        at: At,
    ) -> Result<AnchorCall, Refused> {
        self.braces += 1;
        let outer_brace = std::mem::replace(&mut self.brace, self.braces);
        let own = match &written.name {
            Some(name) => self.name(&name.text),
            None => self.name(&format!("_{}", self.braces)),
        };
        let path = if self.path.is_empty() {
            own.clone()
        } else {
            self.name(&format!("{}/{own}", self.path))
        };
        let taken = self
            .shared
            .ruleset
            .anchors
            .get(&path)
            .is_some_and(|anchor| !anchor.rules.is_empty());
        // Faults of the head come before those of the body.
        self.keep_faults();
        let outer = (
            std::mem::replace(&mut self.path, path.clone()),
            std::mem::take(&mut self.anchor),
        );
        let well = self.statements(&body.statements);
        let empty = self.anchor.rules.is_empty() && !taken;
        if taken {
            self.anchor = Anchor::default();
        }
        self.close_anchor();
        (self.path, self.anchor) = outer;
        self.brace = outer_brace;
        if let Some(first) = well.iter().position(|&well| !well) {
            self.orphan_brace(&body.statements, first, body.end);
        }
        self.end = Some(self.document.span(body.end));
        if taken {
            let help = "give one of the two another name".to_owned();
            return Err(self.refuse_with(at, format!("inline anchor '{own}' already exists"), Some(help)));
        }
        if head_refused {
            return Err(Refused);
        }
        // Of one without rules pfctl prints the whole path, in which the enclosing braces have their number for a name.
        let printed = match (empty, outer_brace) {
            (false, _) => own,
            (true, 0) => path.clone(),
            (true, outer) => self.name(&format!("_{outer}/{own}")),
        };
        // That is what is looked up from here when packets come: another anchor, unless here is the main ruleset.
        let path = match empty && !self.path.is_empty() {
            true => self.name(&format!("{}/{printed}", self.path)),
            false => path,
        };
        Ok(AnchorCall {
            name: written.name.is_some().then_some(printed),
            path,
            wildcard: false,
            inline: true,
        })
    }

    /// After a fault inside, pfctl leaves the anchor, so that its brace closes nothing; it says so unless it has just
    /// recovered.
    fn orphan_brace(&mut self, statements: &[Statement], failed: usize, end: At) {
        if statements.len() > failed + 1 {
            let help = "pfctl has left the anchor at the fault in it".to_owned();
            self.refuse_with(end, "syntax error", Some(help));
        }
    }

    /// `load anchor`: the file is read after this one.
    pub(super) fn load_anchor(&mut self, load: &ast::LoadAnchor) -> Result<(), Refused> {
        let last = load
            .name
            .text
            .rsplit_once('/')
            .map_or(&*load.name.text, |(_, last)| last);
        if last.is_empty() {
            let help = Some("end it in the name of the anchor".to_owned());
            return Err(self.refuse_with(load.name.at, format!("bad anchor name {}", load.name), help));
        }
        let path = if self.base.is_empty() {
            load.name.text.to_string()
        } else {
            format!("{}/{}", self.base, load.name)
        };
        let anchor = LoadAnchor {
            path: self.name(path.trim_start_matches('/')),
            file: load.file.text.clone(),
            origin: self.origin,
        };
        self.shared.load_anchors.push_back(anchor);
        Ok(())
    }
}

/// The whole path that a name means in the ruleset at `path`, and whether it calls the children (`pf_anchor_setup`);
/// `None` where it leads above the main ruleset.
fn resolve(path: &Name, name: &str) -> Option<(String, bool)> {
    let mut whole = match name.strip_prefix('/') {
        Some(absolute) => absolute.to_owned(),
        None => {
            let (mut above, mut rest) = (path.to_string(), name);
            while let Some(after) = rest.strip_prefix("../") {
                if above.is_empty() {
                    return None;
                }
                above.truncate(above.rfind('/').unwrap_or(0));
                rest = after;
            }
            if above.is_empty() {
                rest.to_owned()
            } else {
                format!("{above}/{rest}")
            }
        }
    };
    let wildcard = whole.ends_with("/*");
    if wildcard {
        whole.truncate(whole.len() - 2);
    }
    Some((whole, wildcard))
}
