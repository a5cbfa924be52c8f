//! The packets that get through the machine and could not have gone without it.

use super::guessing;
use crate::engine::{Class, End, Engine, Field, Goal, PacketBox, PacketSet, Place, Question, Undecided};
use crate::net::RangeSet;
use crate::policy::Zones;

/// The classes of those packets of the region that get through, of questions that `narrow` has made narrower: first those between
/// networks, then those within one. Packets that the stack never takes, and those that leave as they came to where they came from,
/// are not among them.
pub(super) fn getting_through<'z>(
    engine: &'z Engine<'_>,
    zones: &'z Zones<'_>,
    region: &PacketSet,
    narrow: impl Fn(Question) -> Question,
) -> impl Iterator<Item = Classes<'z>> {
    let question = |region: PacketSet| {
        let question = Question::new(region, Goal::GetsThrough).except(zones.never_taken());
        narrow(question.except_ending_in(zones.network().never_ending()))
    };
    let between = question(region.clone()).except(zones.on_one_network());
    let within = region.intersection(zones.on_one_network());
    let within = (!within.is_empty()).then(|| question(within));
    let questions = [Some(between), within].into_iter().flatten();
    questions.map(|question| -> Classes<'z> {
        let classes = engine.classes(question);
        Box::new(classes.flat_map(|class| match class {
            Ok(class) => not_turning_back(zones, class).into_iter().map(Ok).collect(),
            Err(undecided) => vec![Err(undecided)],
        }))
    })
}

/// Classes one by one, or why there may be more.
type Classes<'z> = Box<dyn Iterator<Item = Result<Class, Undecided>> + 'z>;

/// The class without the packets that leave, as they came, by the interface that they came in on, to the network
/// that they came from.
pub(super) fn not_turning_back(zones: &Zones<'_>, class: Class) -> Vec<Class> {
    let End::Leaves(out) = class.journey.end else {
        return vec![class];
    };
    let arrival = RangeSet::single(zones.network().engine().space().number(Place::In(out)));
    let same = class.keeping(&Field::ENDS, false);
    let Some(same) = same.and_then(|same| same.with(Field::Place, &arrival)) else {
        return vec![class];
    };
    let back = PacketSet::from(same).intersection(zones.within_one_network());
    let rest = match back.is_empty() {
        true => vec![class],
        false => {
            let rest = PacketSet::from(class.region.clone()).minus(&back);
            let with = |region: &PacketBox| {
                let mut class = class.clone();
                class.region = region.clone();
                class
            };
            rest.boxes().iter().map(with).collect()
        }
    };
    rest.into_iter()
        .map(|class| guessing::unless_neighbours(class, out, zones.network()))
        .collect()
}
