//! What gets through from one end to another, without any statement: how much of it, which packets, translated to what.
//!
//! As `forbid` and `require` mean them: packets count by where they end; all flows pass if none of those that hosts begin is
//! ever stopped. Anchors that others fill are taken as empty: what passes only by them is told apart.

use super::through::getting_through;
use crate::context::Context;
use crate::engine::{Class, Condition, Engine, Field, Goal, PacketSet, Question, Undecided, Unknown, Value};
use crate::net::{Family, RangeSet};
use crate::policy::ast::{End, Packets};
use crate::policy::{Guess, Zones, all_beginnings};
use crate::ruleset::Name;

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How many steps one question may take.
    pub steps: u64,
    /// How many classes of packets are looked at for one question.
    pub classes: usize,
}

/// What gets through from one end to another.
#[derive(Clone, Debug)]
pub struct Reach {
    /// How much.
    pub extent: Extent,
    /// Whether all of it was looked at: else there may be more.
    pub whole: bool,
    /// The packets that surely get through, as far as they were looked at.
    pub packets: PacketSet,
    /// Those that do if what is not known of the machine is so.
    pub perhaps: PacketSet,
    /// The addresses that sources are translated to, of both families.
    pub translated: [RangeSet; 2],
    /// The interfaces to whose address, which is not known, sources are translated.
    pub translated_to: Vec<Name>,
    /// Whether of each family some of the packets leave with the source that they came with.
    pub untranslated: [bool; 2],
    /// What is not known, and would make it another.
    pub hangs_on: Vec<Unknown>,
}

/// How much of what hosts send gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Nothing.
    Nothing,
    /// Only packets whose source is of another network.
    Spoofed,
    /// Some, if what is not known of the machine is so.
    Perhaps,
    /// Some.
    Part,
    /// Every flow.
    All,
    /// Nothing was found as far as it was looked at: it is too much, or not modelled.
    Unknown,
}

/// The flows from one end to another that get through, by what becomes of them.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    /// Classes of their first packets; where no flow gets through, of those that begin none and do.
    pub classes: Vec<Class>,
    /// Whether those begin flows.
    pub begin: bool,
    /// Why there may be more, if so.
    pub more: Vec<Undecided>,
}

/// What gets through from one end to the other; nothing is known where a name of theirs is not.
#[must_use]
pub fn reach(zones: &Zones<'_>, from: &End, to: &End, effort: Effort) -> Reach {
    let mut reach = Reach {
        extent: Extent::Unknown,
        whole: false,
        packets: PacketSet::empty(),
        perhaps: PacketSet::empty(),
        translated: Default::default(),
        translated_to: Vec::new(),
        untranslated: [false; 2],
        hangs_on: Vec::new(),
    };
    let Some(between) = Between::new(zones, from, to, effort) else {
        return reach;
    };
    let Passing { surely, perhaps, whole } = between.passing(Some(&between.honest), &mut reach.hangs_on);
    reach.whole = whole;
    reach.extent = match (surely.is_empty(), perhaps.is_empty()) {
        (false, _) if between.all_pass(&mut reach.hangs_on) => Extent::All,
        (false, _) => Extent::Part,
        (true, false) => Extent::Perhaps,
        (true, true) if !whole => Extent::Unknown,
        (true, true) => {
            let spoofed = between.passing(None, &mut reach.hangs_on);
            reach.whole = spoofed.whole;
            match spoofed.surely.is_empty() && spoofed.perhaps.is_empty() {
                false => Extent::Spoofed,
                true if spoofed.whole => Extent::Nothing,
                true => Extent::Unknown,
            }
        }
    };
    reach.whole |= reach.extent == Extent::All;
    between.note_translation(if surely.is_empty() { &perhaps } else { &surely }, &mut reach);
    reach.packets = surely.into_iter().map(|class| class.region).collect();
    reach.perhaps = perhaps.into_iter().map(|class| class.region).collect();
    reach
}

/// The flows from one end to the other that get through, and why there may be more.
#[must_use]
pub fn flows(zones: &Zones<'_>, from: &End, to: &End, effort: Effort) -> Flows {
    let Some(between) = Between::new(zones, from, to, effort) else {
        let why = "not all names are known".to_owned();
        return Flows {
            more: vec![Undecided::Unmodelled(why)],
            ..Flows::default()
        };
    };
    let first = between.through(Some(&between.honest.intersection(&all_beginnings())));
    let begin = !first.classes.is_empty();
    let Through { classes, more } = if begin || !first.more.is_empty() {
        first
    } else {
        between.through(Some(&between.honest))
    };
    Flows {
        classes: classes.into_iter().map(|(class, _)| class).collect(),
        begin,
        more,
    }
}

/// Packets from one end to another.
struct Between<'z, 'a> {
    zones: &'z Zones<'a>,
    effort: Effort,
    /// All that may be so, as it arrives, and as it ends.
    everything: PacketSet,
    ends: PacketSet,
    /// What really comes from there.
    honest: PacketSet,
    /// What hosts begin.
    flows: PacketSet,
    /// The same from or to an address of the machine that is not known.
    guesses: Vec<Guess>,
    guessed_flows: Vec<Guess>,
}

/// Packets that get through, each class with what it supposes by what was asked.
struct Through {
    classes: Vec<(Class, Option<Condition>)>,
    more: Vec<Undecided>,
}

/// The same, told apart.
struct Passing {
    surely: Vec<Class>,
    /// If what is not known is so.
    perhaps: Vec<Class>,
    /// Whether all was looked at.
    whole: bool,
}

impl<'z, 'a> Between<'z, 'a> {
    fn new(zones: &'z Zones<'a>, from: &End, to: &End, effort: Effort) -> Option<Self> {
        let packets = Packets {
            source: from.clone(),
            destination: to.clone(),
            ..Packets::default()
        };
        let (everything, ends) = zones.forbidden(&packets).ok()?;
        Some(Self {
            zones,
            effort,
            everything: everything.packets,
            ends,
            honest: zones.from(&packets).ok()?,
            flows: zones.flows(&packets).ok()?.packets,
            guesses: zones.guessed_forbidden(&packets).ok()?,
            guessed_flows: zones.guessed_flows(&packets).ok()?,
        })
    }

    fn engine(&self) -> &Engine<'_> {
        self.zones.network().engine()
    }

    /// The packets that get through, of all or among those.
    fn through(&self, among: Option<&PacketSet>) -> Through {
        let (zones, context) = (self.zones, self.engine().context());
        // Who really is there may be so only if a network that is not known holds the sender.
        let held = among.map_or_else(Vec::new, |_| zones.perhaps_arriving());
        let among = |packets: &PacketSet| among.map_or_else(|| packets.clone(), |those| packets.intersection(those));
        let mut through = Through {
            classes: Vec::new(),
            more: Vec::new(),
        };
        let known = (None, among(&self.everything), Some(&self.ends));
        let guessed = self.guesses.iter();
        let guessed = guessed.map(|guess| (Some(guess), among(&guess.packets), guess.ends.as_ref()));
        let asked = [known].into_iter().chain(guessed).flat_map(|(guess, region, ends)| {
            let surely = held.iter().fold(region.clone(), |rest, (_, there)| rest.minus(there));
            let perhaps = held
                .iter()
                .map(|(network, there)| (Some(network), region.intersection(there)));
            let parts: Vec<_> = [(None, surely)].into_iter().chain(perhaps).collect();
            parts
                .into_iter()
                .map(move |(network, region)| (guess, network, region, ends))
        });
        for (guess, network, region, ends) in asked {
            let narrow = |question: Question| {
                let question = question.within(self.effort.steps);
                match ends {
                    Some(ends) => question.ending_in(ends.clone()),
                    None => question,
                }
            };
            let owner = guess.and_then(|guess| Some((guess.field, context.interfaces.get(guess.interface)?)));
            let implied = owner.map(|(_, owner)| {
                let address = Unknown::Address(Name::from(owner.name.as_str()));
                Condition::by_itself(address, true)
            });
            let mut classes = getting_through(self.engine(), zones, &region, narrow).flatten();
            for class in classes.by_ref().take(self.effort.classes) {
                let class = match class {
                    Ok(class) => class,
                    Err(undecided) => {
                        through.more.push(undecided);
                        continue;
                    }
                };
                let is_so = owner.is_none_or(|(field, owner)| {
                    !class.supposes(field, owner, context, false)
                        && (field != Field::Destination || class.supposes(field, owner, context, true))
                });
                if is_so {
                    let mut class = class;
                    let held = network.map(|network| Condition::by_itself(network.clone(), true));
                    class.conditions.extend(held);
                    through.classes.push((class, implied.clone()));
                }
            }
            if classes.next().is_some() {
                through.more.push(Undecided::Steps);
            }
        }
        through
    }

    /// The same, those that surely get through apart; not those that only what fills an anchor lets through.
    fn passing(&self, among: Option<&PacketSet>, hangs_on: &mut Vec<Unknown>) -> Passing {
        let Through { classes, more } = self.through(among);
        let mut passing = Passing {
            surely: Vec::new(),
            perhaps: Vec::new(),
            whole: more.is_empty(),
        };
        for (class, implied) in classes {
            match is_sure(&class, self.engine().context(), implied.as_ref(), hangs_on) {
                Some(true) => passing.surely.push(class),
                Some(false) => passing.perhaps.push(class),
                None => {}
            }
        }
        passing
    }

    /// Whether surely no flow is stopped, of those that there are.
    fn all_pass(&self, hangs_on: &mut Vec<Unknown>) -> bool {
        let context = self.engine().context();
        let guessed = self.guessed_flows.iter();
        let guessed = guessed.map(|guess| (Some(guess), guess.packets.clone()));
        let regions = [(None, self.flows.clone())].into_iter().chain(guessed);
        let mut any = false;
        for (guess, region) in regions.filter(|(_, region)| !region.is_empty()) {
            any = true;
            let stopped = Question::new(region, Goal::Stopped).within(self.effort.steps);
            let mut classes = self.engine().classes(stopped);
            // With another address, or with something in an anchor, it is no class of these.
            let mut dismissed = classes.by_ref().take(self.effort.classes).map(|class| {
                class.is_ok_and(|class| {
                    let owner = guess.and_then(|guess| Some((guess.field, context.interfaces.get(guess.interface)?)));
                    owner.is_some_and(|(field, owner)| class.supposes(field, owner, context, false))
                        || is_sure(&class, context, None, hangs_on).is_none()
                })
            });
            // INVARIANT: what was not looked at may be stopped.
            if !dismissed.all(|dismissed| dismissed) || classes.next().is_some() {
                return false;
            }
        }
        any
    }

    /// Notes to what the sources of those packets are translated.
    fn note_translation(&self, classes: &[Class], reach: &mut Reach) {
        let sent = self.guessed_flows.iter().map(|guess| guess.packets.clone());
        let sent = sent.fold(self.flows.clone(), PacketSet::union);
        for class in classes {
            let Some(ends) = class.journey.hops.last().map(|hop| &hop.ends) else {
                continue;
            };
            let at = usize::from(ends.family == Family::Inet6);
            match &ends.source {
                Value::OneOf(set) => reach.translated[at] = reach.translated[at].union(set),
                Value::AddressOf(name) if !reach.translated_to.contains(name) => reach.translated_to.push(name.clone()),
                // A host without an address is nobody that people would have translated.
                Value::Same => {
                    let region = PacketSet::from(class.region.clone());
                    reach.untranslated[at] |= !sent.intersection(&region).is_empty();
                }
                Value::Moved | Value::AddressOf(_) => {}
            }
        }
    }
}

/// Notes what else than pf's choices the class hangs on, besides what is implied; whether it comes about while anchors
/// that others fill are empty, and if so, surely.
fn is_sure(class: &Class, context: &Context, implied: Option<&Condition>, hangs_on: &mut Vec<Unknown>) -> Option<bool> {
    let open = |one: &&Condition| !one.unknown.is_choice() && Some(*one) != implied;
    let mut sure = Some(true);
    for Condition { unknown, holds, .. } in class.hangs_on(context).filter(open) {
        if !hangs_on.contains(unknown) {
            hangs_on.push(unknown.clone());
        }
        sure = match (unknown, holds) {
            (Unknown::Anchor(_), true) => None,
            (Unknown::Anchor(_), false) => sure,
            _ => sure.map(|_| false),
        };
    }
    sure
}
