//! [`Rival`]: an entry of the list that may keep the chosen one from deciding, and what it does to a packet.

use super::cover::Duty;
use super::frame::{Frame, Ground, Match};
use super::suppositions::{Needs, Prevention, Suppositions};
use crate::engine::packets::header::{Header, PacketBox};
use crate::engine::rules::list::{Entry, Position};

/// An entry that may keep the chosen one from deciding, if none of `unless` matches too.
pub(super) struct Rival {
    pub(super) entry: usize,
    pub(super) unless: Vec<usize>,
}

/// What a rival does to a packet.
pub(super) enum Hinders {
    /// It does not match, or others keep it from that.
    No,
    /// The packet does not take the way.
    Yes,
    /// The same, if nothing prevents it.
    Unless(Prevention),
}

impl Rival {
    /// What it does to a packet; `there`, a box around it, is made smaller so that the answer is the same for all of it.
    pub(super) fn hinders(
        &self,
        ground: &Ground<'_, '_>,
        frame: &Frame,
        at: &Header,
        supposed: &Suppositions,
        there: &mut PacketBox,
    ) -> Hinders {
        let Some(entry) = ground.list.entries.get(self.entry) else {
            return Hinders::No;
        };
        let needs = match frame.matches(ground, entry, at, supposed, there) {
            Match::No => return Hinders::No,
            Match::Maybe(needs) => needs,
            Match::Yes => Needs::default(),
        };
        let mut others = Vec::new();
        let mut is_held = false;
        for other in ground.entries(&self.unless) {
            match frame.matches(ground, other, at, supposed, there) {
                Match::No => {}
                Match::Maybe(needs) => others.push(needs),
                Match::Yes => is_held = true,
            }
        }
        if is_held {
            Hinders::No
        } else if needs.is_nothing() && others.is_empty() {
            Hinders::Yes
        } else {
            Hinders::Unless(Prevention { needs, others })
        }
    }
}

/// The entries that can keep the chosen one from deciding somewhere in the region.
pub(super) fn rivals(ground: &Ground<'_, '_>, duty: &Duty, region: &PacketBox) -> Vec<Rival> {
    let entries = &ground.list.entries;
    let overlapping = duty.frame.overlapping_part(ground, region);
    let decider = duty.decider.and_then(|number| entries.get(number));
    let (position, stop) = (decider.map_or(0, |entry| entry.position), duty.stop);
    let in_between = |numbers: &[usize], after: Position, until: Position| -> Vec<usize> {
        let between = numbers.iter().copied().filter(|&number| {
            entries
                .get(number)
                .is_some_and(|entry| entry.position > after && entry.position <= until)
        });
        between.collect()
    };
    let rival = |&number: &usize| -> Option<Rival> {
        let entry = entries.get(number)?;
        if entry.position == position && duty.decider.is_some() {
            return None;
        }
        let stops_before = entry.quick && entry.position < position;
        let comes_later = entry.kind.decides() && entry.position > position && entry.position <= stop;
        let ends_earlier = entry.quick && entry.position > position && entry.position < stop;
        let ends_before = entry.kind.decides() && entry.stop < position;
        let unless = if stops_before || comes_later || ends_earlier {
            Vec::new()
        } else if ends_before {
            ground.budget.spend_all(overlapping.len() / 4);
            let mut others = in_between(&overlapping, entry.position, entry.stop);
            let ends_elsewhere = |other: &Entry| other.kind.decides() && other.stop != entry.stop;
            others.retain(|&other| entries.get(other).is_some_and(ends_elsewhere));
            others
        } else {
            return None;
        };
        Some(Rival { entry: number, unless })
    };
    overlapping.iter().filter_map(rival).collect()
}
