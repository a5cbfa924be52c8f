//! [`Around`]: how far around a packet the answer to several conditions stays the same.

use std::borrow::Cow;

use super::header::{Field, Header, PacketBox};
use crate::net::RangeSet;

/// Conditions on fields, asked one by one about a packet in a box.
#[derive(Default)]
pub(in crate::engine) struct Around<'s> {
    /// Those that it meets and some other packet of the box does not.
    met: Vec<(Field, Cow<'s, RangeSet>)>,
    /// Of those that it does not meet the one that leaves the largest part of the box, and how much that is.
    missed: Option<(f64, Field, Cow<'s, RangeSet>)>,
}

impl<'s> Around<'s> {
    /// Asks whether the packet's number in the field is in the set.
    pub(in crate::engine) fn ask(&mut self, field: Field, set: Cow<'s, RangeSet>, at: &Header, within: &PacketBox) {
        let own = within.limit(field);
        if set.contains(at.get(field)) {
            if self.missed.is_none() && !own.is_some_and(|own| own.is_subset(&set)) {
                self.met.push((field, set));
            }
            return;
        }
        let own = own.map_or_else(|| Cow::Owned(field.line(within.family)), Cow::Borrowed);
        let kept = 1.0 - own.len_in_both(&set) as f64 / own.len() as f64;
        if self.missed.as_ref().is_none_or(|(best, ..)| kept > *best) {
            self.missed = Some((kept, field, set));
        }
    }

    /// Whether there is a condition that the packet does not meet.
    pub(in crate::engine) fn is_missed(&self) -> bool {
        self.missed.is_some()
    }

    /// Makes the box, which is around the packet, smaller: all of it meets every condition, or misses one.
    pub(in crate::engine) fn narrow(self, within: &mut PacketBox) {
        if let Some((_, field, set)) = self.missed {
            let others = within.numbers(field).minus(&set);
            narrow(within, field, &others);
            return;
        }
        for (field, set) in self.met {
            narrow(within, field, &set);
        }
    }
}

/// Makes the box smaller; the point it is around is in the set.
pub(in crate::engine) fn narrow(within: &mut PacketBox, field: Field, set: &RangeSet) {
    if let Some(narrower) = within.clone().with(field, set) {
        *within = narrower;
    }
}
