//! The laws of sets of packets, with binary decision diagrams as the oracle: three fields of three bits each.

use biodivine_lib_bdd::{Bdd, BddVariable, BddVariableSet};
use pfproof::engine::{Field, PacketBox, PacketSet};
use pfproof::net::{Family, RangeSet};
use proptest::prelude::*;

const FIELDS: [Field; 3] = [Field::DestinationPort, Field::SourcePort, Field::Prio];

/// The variables of the oracle.
struct Oracle {
    set: BddVariableSet,
    variables: Vec<BddVariable>,
}

impl Oracle {
    fn new() -> Self {
        let set = BddVariableSet::new_anonymous(9);
        let variables = set.variables();
        Self { set, variables }
    }

    /// The packets whose number in that field is that one.
    fn number(&self, field: usize, number: u128) -> Bdd {
        (0..3).fold(self.set.mk_true(), |all, bit| {
            all.and(
                &self
                    .set
                    .mk_literal(self.variables[field * 3 + bit], number >> bit & 1 == 1),
            )
        })
    }

    fn of(&self, packets: &PacketSet) -> Bdd {
        packets.boxes().iter().fold(self.set.mk_false(), |any, part| {
            let all = FIELDS.iter().enumerate().fold(self.set.mk_true(), |all, (at, field)| {
                let numbers = part.numbers(*field);
                let inside = (0..8).filter(|&number| numbers.contains(number));
                all.and(&inside.fold(self.set.mk_false(), |any, number| any.or(&self.number(at, number))))
            });
            any.or(&all)
        })
    }
}

fn small() -> impl Strategy<Value = PacketBox> {
    prop::collection::vec((0..8u128, 0..8u128), 3).prop_filter_map("empty", |ranges| {
        let all = PacketBox::all(Family::Inet);
        FIELDS.iter().zip(ranges).try_fold(all, |all, (field, (a, b))| {
            all.with(*field, &RangeSet::range(a.min(b), a.max(b)))
        })
    })
}

fn sets() -> impl Strategy<Value = PacketSet> {
    prop::collection::vec(small(), 0..6).prop_map(|boxes| boxes.into_iter().collect())
}

proptest! {
    #[test]
    fn operations(a in sets(), b in sets()) {
        let oracle = Oracle::new();
        let (x, y) = (oracle.of(&a), oracle.of(&b));
        prop_assert_eq!(oracle.of(&a.clone().union(b.clone())), x.or(&y));
        prop_assert_eq!(oracle.of(&a.intersection(&b)), x.and(&y));
        prop_assert_eq!(oracle.of(&a.minus(&b)), x.and_not(&y));
        prop_assert_eq!(a.is_subset(&b), x.and_not(&y).is_false());
        prop_assert_eq!(a.is_empty(), x.is_false());
        prop_assert_eq!(a.least().is_some_and(|header| a.contains(&header)), !a.is_empty());
    }

    /// The same packets, and no box can grow in any one field.
    #[test]
    fn simplified(a in sets()) {
        let oracle = Oracle::new();
        let few = a.simplified();
        prop_assert_eq!(oracle.of(&few), oracle.of(&a));
        for part in few.boxes() {
            for field in FIELDS {
                for number in (0..8).filter(|&number| !part.numbers(field).contains(number)) {
                    let more = part.clone().replaced(field, &RangeSet::single(number)).unwrap();
                    prop_assert!(!PacketSet::from(more).is_subset(&a));
                }
            }
        }
    }
}
