//! Why a drafted `closed` does not hold, in words for who is to decide what becomes of it.

use super::outcome::{Counterexample, Outcome, Violation};
use crate::engine::{Engine, Field, PacketBox, Place, address_number};
use crate::net::{Family, RangeSet};
use crate::packet::{Packet, Way};
use crate::policy::Network;

/// What stands against it: a packet, and where it is from if it should not come from there.
pub(super) fn obstacle(outcome: &Outcome, engine: &Engine<'_>) -> String {
    let network = Network::new(engine);
    match outcome {
        Outcome::Holds => String::new(),
        Outcome::Vacuous => "there is no such packet".to_owned(),
        Outcome::Unproven { doubts, .. } => {
            let settles = doubts.iter().find_map(|doubt| doubt.assumption(engine.ruleset()));
            settles.map_or_else(
                || "it cannot be proved: `pfproof check` says why".to_owned(),
                |assumption| format!("it cannot be proved; `{assumption}` may settle it"),
            )
        }
        Outcome::Violated(violation) => violated(violation, &network),
    }
}

fn violated(violation: &Violation, network: &Network<'_>) -> String {
    let examples = || violation.causes.iter().filter_map(|cause| cause.example.as_ref());
    // What the hosts of the network send says more than what pretends to be theirs.
    let honest = examples().find(|example| !is_foreign(&example.packet, network));
    let Some(Counterexample { packet, .. }) = honest.or_else(|| examples().next()) else {
        return "more gets through: `pfproof check` shows what".to_owned();
    };
    let way = match packet.way {
        Way::In | Way::Forward => "in",
        Way::Out => "out",
    };
    let words = format!("{} {way} on {}", packet.brief(), packet.interface);
    if !is_foreign(packet, network) {
        return words;
    }
    let mut all = violation.causes.iter().flat_map(|cause| cause.packets.boxes());
    let only = !violation.more && all.all(|part| is_all_foreign(part, network));
    format!("{}: {words}", if only { "only spoofed" } else { "spoofed" })
}

/// Whether the packet arrives from an address that is not routed there.
fn is_foreign(packet: &Packet, network: &Network<'_>) -> bool {
    let family = Family::of(packet.src);
    let on = network.engine().space().interface(&packet.interface);
    let here = on.map_or_else(RangeSet::empty, |on| network.sources(on, family));
    packet.way != Way::Out && !here.contains(address_number(packet.src))
}

/// Whether all packets of the box do.
fn is_all_foreign(part: &PacketBox, network: &Network<'_>) -> bool {
    let space = network.engine().space();
    let sources = part.numbers(Field::Source);
    let places = part.numbers(Field::Place);
    let mut numbers = (0..space.places()).filter(|&number| places.contains(number));
    numbers.all(|number| match space.place(number) {
        Some(Place::In(on)) => network.sources(on, part.family).is_disjoint(&sources),
        Some(Place::Out { .. }) | None => false,
    })
}
