//! [`Excuse`]: packets that are not asked for, by how they arrive and by how they end, whatever pf takes from a pool.

use std::rc::Rc;

use super::path::Path;
use super::rewriting::{ChoiceId, Narrowed, Now, Reading, Term};
use crate::engine::packets::around::Around;
use crate::engine::packets::header::{Field, Header, PacketBox};
use crate::net::{Family, RangeSet};

/// Packets that are excused: those that arrive so and end so.
pub(super) struct Excuse {
    pub(super) arriving: Option<PacketBox>,
    /// With the header at the end.
    pub(super) ending: Option<(PacketBox, Rc<Now>)>,
}

/// Whether a packet of a way is excused, whatever pf takes from a pool; `within` is made smaller so that the answer is the same for all
/// of it: where one excuse does, by that one alone.
pub(super) fn is_excused(excuses: &[Excuse], path: &Path, at: &Header, within: &mut PacketBox) -> bool {
    let (family, narrowed) = (path.region.family, &path.supposed.narrowed);
    let whole = within.clone();
    let mut partly: Vec<(ChoiceId, RangeSet)> = Vec::new();
    for excuse in excuses {
        match excuse.holds(family, narrowed, at, within) {
            Excused::No => {}
            Excused::Surely => {
                *within = whole;
                excuse.holds(family, narrowed, at, within);
                return true;
            }
            Excused::If(id, taken) => match partly.iter_mut().find(|(known, _)| *known == id) {
                Some((_, all)) => *all = all.union(&taken),
                None => partly.push((id, taken)),
            },
        }
    }
    let is_whole = |(id, taken): &(ChoiceId, RangeSet)| {
        let values = excuses.iter().find_map(|excuse| excuse.values(*id, narrowed));
        values.is_some_and(|values| values.is_subset(taken))
    };
    partly.iter().any(is_whole)
}

/// Whether a packet is excused.
enum Excused {
    No,
    Surely,
    /// If pf takes one of these.
    If(ChoiceId, RangeSet),
}

impl Excuse {
    /// Whether it excuses the packet, where pf has chosen so far as is said; `within` is made smaller so that the answer is the same
    /// for all of it.
    fn holds(&self, family: Family, narrowed: &Narrowed, at: &Header, within: &mut PacketBox) -> Excused {
        if let Some(part) = &self.arriving {
            match is_in(part, &Now::original(family), family, &Narrowed::new(), at, within) {
                Excused::Surely => {}
                other => return other,
            }
        }
        match &self.ending {
            Some((part, end)) => is_in(part, end, family, narrowed, at, within),
            None => Excused::Surely,
        }
    }

    /// What pf may take by a choice that the header at the end shows.
    fn values<'s>(&'s self, id: ChoiceId, narrowed: &'s Narrowed) -> Option<&'s RangeSet> {
        let (_, end) = self.ending.as_ref()?;
        let mut terms = Field::ALL.into_iter().map(|field| end.term(field));
        terms.find_map(|term| match term {
            Term::OneOf(known, all) if *known == id => Some(Now::values(id, all, narrowed)),
            Term::OneOf(..) | Term::From(..) | Term::Open(_) => None,
        })
    }
}

/// Whether the header that a packet has become is in a box; `within` is made smaller so that the answer is the same for all of it.
fn is_in(
    part: &PacketBox,
    now: &Now,
    family: Family,
    narrowed: &Narrowed,
    at: &Header,
    within: &mut PacketBox,
) -> Excused {
    if now.family != part.family {
        return Excused::No;
    }
    let (mut around, mut choice) = (Around::default(), None);
    for (field, set) in part.limits() {
        match (now.read(field, set, family, narrowed), &choice) {
            (Reading::On(field, set), _) => around.ask(field, set, at, within),
            (Reading::Always(true), _) => {}
            (Reading::Choice(id, inside, _), None) => choice = Some((id, inside)),
            (Reading::Always(false) | Reading::Choice(..) | Reading::Unknown(_), _) => return Excused::No,
        }
    }
    let holds = !around.is_missed();
    around.narrow(within);
    match choice {
        _ if !holds => Excused::No,
        Some((id, taken)) => Excused::If(id, taken),
        None => Excused::Surely,
    }
}
