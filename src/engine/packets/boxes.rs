//! Few large boxes for a set of packets, for people to read.

use indexmap::{IndexMap, IndexSet};
use rustc_hash::FxBuildHasher;

use super::header::{Field, PacketBox};
use super::set::PacketSet;
use crate::net::RangeSet;

/// How many pieces a box may fall into while it is asked how far it can grow; past that it stays as it is.
const PIECES: usize = 4096;

/// The order in which fields are joined: those that people name last come first.
const ORDER: [Field; Field::COUNT] = [
    Field::DestinationPort,
    Field::SourcePort,
    Field::Transport,
    Field::Destination,
    Field::Source,
    Field::Place,
    Field::Options,
    Field::Fragment,
    Field::Tos,
    Field::Ttl,
    Field::Prio,
    Field::Tag,
];

impl PacketSet {
    /// The same packets in few boxes, which may overlap and of which none can be made larger in any one field (unless
    /// that is too much to find out).
    #[must_use]
    pub fn simplified(&self) -> Self {
        let whole = self.joined();
        let mut grown: Vec<PacketBox> = whole.boxes().iter().map(|part| grown(part.clone(), &whole)).collect();
        // What others hold together need not be told, the smallest first.
        let mut at = grown.len();
        while at > 0 {
            at -= 1;
            let part = grown.remove(at);
            let others: Self = grown.iter().cloned().collect();
            if !is_covered(&part, &others) {
                grown.insert(at, part);
            }
        }
        grown.into_iter().collect()
    }

    /// The same packets: boxes that differ in one field only become one.
    #[must_use]
    pub fn joined(&self) -> Self {
        let unique: IndexSet<&PacketBox, FxBuildHasher> = self.boxes().iter().collect();
        let mut boxes: Vec<PacketBox> = unique.into_iter().cloned().collect();
        loop {
            let before = boxes.len();
            for field in ORDER {
                // Boxes that do not differ in the field differ in another.
                if boxes
                    .windows(2)
                    .all(|pair| pair[0].limit(field) == pair[1].limit(field))
                {
                    continue;
                }
                let mut groups: IndexMap<PacketBox, Vec<(u128, u128)>, FxBuildHasher> = IndexMap::default();
                for part in boxes {
                    let numbers = part.numbers(field);
                    let group = groups.entry(part.without(field)).or_default();
                    group.extend_from_slice(numbers.ranges());
                }
                let groups = groups.into_iter();
                boxes = groups
                    .filter_map(|(rest, ranges)| rest.with(field, &RangeSet::from_ranges(ranges)))
                    .collect();
            }
            if boxes.len() == before {
                return boxes.into_iter().collect();
            }
        }
    }
}

/// The box made as large as it can be within the set, one field after the other.
fn grown(mut part: PacketBox, whole: &PacketSet) -> PacketBox {
    for field in ORDER {
        let Some(missing) = missing(part.clone().without(field), whole) else {
            continue;
        };
        let blocked = missing.iter().flat_map(|piece| piece.numbers(field).ranges().to_vec());
        let reach = field.line(part.family).minus(&RangeSet::from_ranges(blocked));
        if let Some(larger) = part.clone().replaced(field, &reach) {
            part = larger;
        }
    }
    part
}

/// What of the box is not in the set; `None` where it falls into too many pieces.
fn missing(part: PacketBox, whole: &PacketSet) -> Option<Vec<PacketBox>> {
    whole.boxes().iter().try_fold(vec![part], |left, known| {
        let pieces: Vec<PacketBox> = left.iter().flat_map(|piece| piece.minus(known)).collect();
        (pieces.len() <= PIECES).then_some(pieces)
    })
}

fn is_covered(part: &PacketBox, others: &PacketSet) -> bool {
    missing(part.clone(), others).is_some_and(|pieces| pieces.is_empty())
}
