//! Writes an expanded ruleset byte for byte as `pfctl -o none -nvf` does. What the text means is known to `lower`.
//!
//! One file for each function family of pfctl_parser.c: addresses, rules, state options, pools, declarations.

mod address;
mod declaration;
mod pool;
mod rule;
mod state;

use std::fmt::{self, Write as _};

use ipnet::IpNet;
use rustc_hash::FxHashSet;

use crate::ruleset::{Action, Anchor, AnchorCall, Loaded, Rule, Ruleset};

/// One rule as pfctl prints it, without its number, indentation and, for an anchor, the rules in it.
#[must_use]
pub fn rule(rule: &Rule) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = rule::write(&mut out, rule);
    out
}

/// An address or network as pfctl prints it; `any` where it has no bits.
#[must_use]
pub fn prefix(prefix: IpNet) -> String {
    let mut out = String::new();
    let _ = address::write_prefix(&mut out, prefix);
    out
}

/// All that `pfctl -o none -nvf` prints to standard output: for the main file and each `load anchor` its macros, options
/// and tables in the order read, its queues, its rules. With `numbers`, `@N ` before each rule.
#[must_use]
pub fn ruleset(ruleset: &Ruleset, loaded: &[Loaded], numbers: bool) -> String {
    let mut out = String::new();
    for part in loaded {
        let mut printer = Printer {
            ruleset,
            part,
            numbers,
            printed: FxHashSet::default(),
        };
        let _ = printer.part(&mut out);
    }
    out
}

struct Printer<'a> {
    ruleset: &'a Ruleset,
    part: &'a Loaded,
    numbers: bool,
    /// The inline anchors whose rules were printed: a second call of one is printed without them.
    printed: FxHashSet<&'a str>,
}

impl<'a> Printer<'a> {
    fn part(&mut self, out: &mut String) -> fmt::Result {
        for declaration in &self.part.declarations {
            declaration::write(out, declaration)?;
        }
        for queue in &self.part.queues {
            declaration::write_queue(out, queue)?;
        }
        self.rules(out, &self.part.path, 0)
    }

    /// The ruleset at that path as this file left it.
    fn anchor(&self, path: &str) -> Option<&'a Anchor> {
        let replaced = self.part.replaced.get(path);
        replaced.or_else(|| self.ruleset.anchors.get(path))
    }

    /// The rules at that path (`pfctl_load_ruleset`). The depth is bounded by that of braces, which reading bounds.
    fn rules(&mut self, out: &mut String, path: &str, depth: usize) -> fmt::Result {
        let rules = self.anchor(path).map_or(&[][..], |anchor| &anchor.rules);
        for (number, rule) in rules.iter().enumerate() {
            indent(out, depth);
            if self.numbers {
                write!(out, "@{number} ")?;
            }
            rule::write(out, rule)?;
            match &rule.action {
                Action::Anchor(call) if self.opens(call) => {
                    out.push_str(" {\n");
                    self.rules(out, &call.path, depth + 1)?;
                    indent(out, depth);
                    out.push_str("}\n");
                }
                Action::Anchor(_) | Action::Pass | Action::Block(_) | Action::Match => out.push('\n'),
            }
        }
        Ok(())
    }
}

impl<'a> Printer<'a> {
    /// Whether the rules of an anchor stand behind its call: they are inline, there are some, and it is the first call.
    fn opens(&mut self, call: &'a AnchorCall) -> bool {
        let filled = self.anchor(&call.path).is_some_and(|anchor| !anchor.rules.is_empty());
        call.inline && filled && self.printed.insert(&call.path)
    }
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}
