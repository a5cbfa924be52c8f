//! What match rules make of the header of a hop, before its rules decide: they part its packets into boxes, and of each
//! box there are as many ways as pf may choose.

use std::rc::Rc;

use super::classes::Classes;
use super::frame::{Frame, Match};
use super::path::Path;
use super::suppositions::Suppositions;
use super::translate::Translator;
use crate::engine::packets::header::{Header, PacketBox};
use crate::engine::packets::witness;
use crate::engine::rules::list::{END, Entry, Kind};
use crate::ruleset::Rule;

/// In how many ways the rewriting rules of one hop may match or not, for one box of packets.
const MOST_WAYS: usize = 1024;

/// Into how many boxes translation may part those of one hop: `bitmask` moves each part of a large network by itself.
pub(super) const MOST_PIECES: u32 = 4096;

/// One way: what the header becomes on it, and what that supposes.
type Rewritten = (Frame, Suppositions);

impl<'e> Classes<'e, '_> {
    /// Lets the match rules change the header; what comes of it goes on to the rules that decide.
    pub(super) fn rewrite(&mut self, path: Path, frame: Frame) {
        let rewriters = self.rewriters(&path, &frame);
        if rewriters.is_empty() {
            return self.candidates(path, frame);
        }
        let mut left = vec![path.region.clone()];
        let mut pieces = 0;
        while let Some(piece) = left.pop() {
            pieces += 1;
            if pieces > MOST_PIECES {
                self.ground.budget.exhaust();
            }
            self.ground.budget.spend_all(rewriters.len());
            if self.ground.budget.is_spent() {
                return;
            }
            let at = witness::readable(&piece);
            let mut within = piece.clone();
            let mut ways = vec![(frame.clone(), Suppositions::clone(&path.supposed))];
            for entry in &rewriters {
                if ways.len() > MOST_WAYS {
                    return self.ground.budget.exhaust();
                }
                let before = std::mem::take(&mut ways);
                before
                    .into_iter()
                    .for_each(|way| self.rewritten(way, entry, &at, &mut within, &mut ways));
            }
            for (frame, supposed) in ways {
                let path = Path {
                    region: within.clone(),
                    supposed: Rc::new(supposed),
                    ..path.clone()
                };
                self.candidates(path, frame);
            }
            left.extend(piece.minus(&within));
        }
    }

    /// The entries that may change the header of a hop. Behind one that may translate it, the header is not known yet.
    fn rewriters(&self, path: &Path, frame: &Frame) -> Vec<&'e Entry> {
        let list = &self.compiled.list;
        let entries = frame
            .met
            .rewriters
            .iter()
            .filter_map(|&number| list.entries.get(number));
        let mut is_known = true;
        let mut rewriters = Vec::new();
        for entry in entries.filter(|entry| !self.ground.without.contains(&entry.rule)) {
            if is_known && entry.parts.len() == 1 && !frame.may_match(entry, &path.region) {
                continue;
            }
            let translates = |(_, rule): (_, &Rule)| rule.translation.is_some();
            is_known &= !list.rule(entry).is_some_and(translates);
            rewriters.push(entry);
        }
        rewriters
    }

    /// Adds what becomes of one way by an entry: that it matches the packet, that it does not, or both. `within` shrinks to
    /// the packets around it for which that is so too.
    fn rewritten(
        &mut self,
        (mut frame, mut supposed): Rewritten,
        entry: &Entry,
        at: &Header,
        within: &mut PacketBox,
        ways: &mut Vec<Rewritten>,
    ) {
        let Some((_, rule)) = self.compiled.list.rule(entry) else {
            return ways.push((frame, supposed));
        };
        match frame.matches(&self.ground, entry, at, &supposed, within) {
            Match::No => return ways.push((frame, supposed)),
            Match::Yes => {}
            Match::Maybe(needs) => {
                let mut refused = supposed.clone();
                supposed.suppose(&needs);
                refused.prevent(needs);
                ways.push((frame.clone(), refused));
            }
        }
        let mut now = frame.until(END).clone();
        let mut translator = Translator {
            compiled: self.compiled,
            original: frame.original,
            at,
            within,
            choices: &mut self.choices,
        };
        // What a rule sets that is no match rule takes effect where it decides. A translation that cannot be made is an
        // entry of its own: it drops.
        if entry.kind == Kind::Match && translator.apply(entry.rule, rule, &mut now) {
            now.later.extend(self.set_fields(rule));
            frame.steps.push((entry.position, now));
        }
        ways.push((frame, supposed));
    }
}
