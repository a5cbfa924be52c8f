//! What gets through and no statement speaks of: flows that nobody has decided about.

use super::coverage::Speech;
use super::judge::Case;
use super::through::not_turning_back;
use crate::engine::{Condition, Goal, PacketSet, Question, Unknown};
use crate::policy::Zones;
use crate::policy::ast::{End, Host, Packets};
use crate::source::Span;

/// How many classes of packets are looked at, and how many steps that may take: the answer must come at once.
const MOST_CLASSES: usize = 200;
const STEPS: u64 = 20_000;
/// How many pairs of boxes the statements may speak of.
const MOST_PAIRS: usize = 5_000;

/// Packets that get through and of which no statement speaks.
#[derive(Clone, Debug, Default)]
pub struct Unspoken {
    /// First packets of flows, from hosts to where they are, that surely get through.
    pub packets: PacketSet,
    /// Whether there may be more.
    pub more: bool,
}

/// What of the flows of all hosts, and of the machine itself, gets through although no statement speaks of it; `None`
/// where the policy is too large to ask.
pub(super) fn unspoken(case: Case<'_>, speeches: &[Speech]) -> Option<Unspoken> {
    let zones = case.zones;
    let span = zones.policy().statements.first()?.span;
    let mut question = Question::new(all_flows(zones, span)?, Goal::GetsThrough)
        .without_copies()
        .except(zones.never_taken())
        .except_ending_in(zones.network().never_ending())
        .within(STEPS);
    let mut pairs = 0;
    for Speech { arriving, ends } in speeches {
        question = match ends {
            None => question.except(arriving),
            Some(ends) => {
                pairs += arriving.boxes().len() * ends.boxes().len();
                if pairs > MOST_PAIRS {
                    return None;
                }
                question.except_flows(arriving, ends)
            }
        };
    }
    let mut classes = case.engine.classes(question);
    let mut unspoken = Unspoken::default();
    let mut packets = Vec::new();
    for class in classes.by_ref().take(MOST_CLASSES) {
        match class {
            Ok(class) if class.own_reverse => {}
            Ok(class) if class.conditions.iter().all(is_any_time) => {
                packets.extend(not_turning_back(zones, class).into_iter().map(|class| class.region));
            }
            Ok(_) | Err(_) => unspoken.more = true,
        }
    }
    unspoken.more |= classes.next().is_some();
    unspoken.packets = packets.into_iter().collect();
    Some(unspoken)
}

/// Whether pf may choose so whenever a packet comes; a rule that is used up on one hop lets nothing through on the next.
fn is_any_time(condition: &Condition) -> bool {
    condition.unknown.is_choice() && condition.unknown != Unknown::Once
}

/// First packets of flows between hosts, from the machine, and to it.
fn all_flows(zones: &Zones<'_>, span: Span) -> Option<PacketSet> {
    let itself = || End::of(Host::Itself, span);
    let pairs = [
        (End::default(), End::default()),
        (itself(), End::default()),
        (End::default(), itself()),
    ];
    let flows = pairs.into_iter().map(|(source, destination)| {
        let packets = Packets {
            source,
            destination,
            ..Packets::default()
        };
        zones.flows(&packets).ok().map(|selection| selection.packets)
    });
    let flows: Option<Vec<PacketSet>> = flows.collect();
    flows.map(|flows| flows.into_iter().fold(PacketSet::empty(), PacketSet::union))
}
