//! What the rules of an anchor may do that others fill: block a packet, or pass it, with whatever tag, translation and next hop.

use std::rc::Rc;

use super::classes::Classes;
use super::frame::Frame;
use super::hop::stop;
use super::journey::{Decider, End, Verdict};
use super::path::{Path, Step};
use super::question::Goal;
use super::rewriting::{Now, Term};
use crate::engine::packets::header::Field;
use crate::engine::packets::space::Place;
use crate::engine::rules::list::Entry;
use crate::net::Family;

impl<'e> Classes<'e, '_> {
    /// Goes on where a rule of the anchor that the entry calls decides.
    pub(super) fn filled(&mut self, path: Path, frame: &Rc<Frame>, entry: &'e Entry, decider: Decider) {
        self.stopped(path.clone(), frame, decider.clone(), Verdict::Block);
        let place = self.place(frame);
        let now = frame.until(stop(&path)).clone();
        let tagging = self.tagging(frame, entry, stop(&path));
        let as_it_is = (Some(&frame.start), now.clone());
        self.passed(path.clone(), place, decider.clone(), as_it_is, tagging, false, None);
        // Who asks for what must pass knows already that it may be blocked.
        if self.question.goal == Goal::GetsThrough {
            for family in Family::BOTH {
                let mut now = now.clone();
                now.family = family;
                self.changed(path.clone(), place, decider.clone(), now);
            }
        }
    }

    /// Ends with all that rules may make of the packet, wherever they send it: it may come to be its own reverse, so that it leaves
    /// by their own state, whatever other rules say.
    fn changed(&mut self, mut path: Path, place: Place, decider: Decider, mut now: Now) {
        for field in Field::ENDS {
            let id = self.fresh();
            now.set(field, Term::OneOf(id, field.line(now.family)));
        }
        path.steps.push(Step {
            place,
            decider,
            verdict: Verdict::Pass,
            translated_by: Vec::new(),
            state: true,
            now: now.clone(),
        });
        if let Place::In(_) = place {
            self.ended_at(path.clone(), End::Local, &now);
        }
        for out in 0..self.compiled.space.interfaces().len() {
            self.ended_at(path.clone(), End::Leaves(out), &now);
        }
    }
}
