//! Who reaches whom, without a policy, over random rulesets on small machines: what the overview says of two networks is what
//! the evaluator sees of every packet of a grid.
//!
//! - forall packets: it is from one to the other and may get through, if and only if it is in the edge between them
//! - forall edges: all flows pass => none that begins there is ever stopped

#[path = "support/cases.rs"]
mod cases;
#[path = "support/chance.rs"]
mod chance;
#[path = "support/fate.rs"]
mod fate;
#[path = "support/grid.rs"]
mod grid;
#[path = "support/judge.rs"]
#[expect(dead_code, reason = "of what it knows of statements little is asked")]
mod judge;
#[path = "support/packets.rs"]
#[expect(dead_code, reason = "packets come from a grid here")]
mod packets;
#[path = "support/random_policy.rs"]
#[expect(dead_code, reason = "there are no statements")]
mod random_policy;
#[path = "support/site.rs"]
#[expect(dead_code, reason = "policies have other zones")]
mod site;

use std::sync::atomic::{AtomicUsize, Ordering};

use fate::{Fate, fates};
use grid::grid;
use judge::{Item, Proto, Statement, What, Who, comes_from, is_required, offends};
use pfproof::diagnostic::Severity;
use pfproof::engine::Engine;
use pfproof::eval::Machine;
use pfproof::lower;
use pfproof::packet::write_json;
use pfproof::policy::{Macros, Network, Policy, Zones};
use pfproof::source::{MemoryLoader, Sources};
use pfproof::verify::{Extent, Rounds, matrix, surroundings};
use proptest::prelude::*;
use random_policy::rule;
use site::{INTERFACES, SITES, Site};

/// How many packets were asked about, each between two ends.
static COMPARED: AtomicUsize = AtomicUsize::new(0);

/// What only the machine knows is another matter.
fn is_known(rule: &str) -> bool {
    !["<u>", "x/*", " os "].iter().any(|unknown| rule.contains(unknown))
}

fn agree(site: &Site, rules: &[String]) -> Result<(), TestCaseError> {
    let context = &site.context;
    let lowered = |text: &str| {
        let (mut sources, loader) = (Sources::new(), MemoryLoader::new());
        lower::load(&mut sources, &loader, "pf.conf", text.as_bytes(), &[], context)
    };
    let mut text = "table <t> const { 10.0.1.0/24 ! 10.0.1.66 9.9.9.9 }\n".to_owned();
    for rule in rules.iter().filter(|rule| is_known(rule)) {
        let more = format!("{text}{rule}");
        if lowered(&more).1.iter().all(|found| found.severity != Severity::Error) {
            text = more;
        }
    }
    site.has_rules(&text);
    let ruleset = lowered(&text).0.ruleset;
    let engine = Engine::new(&ruleset, context);
    let machine = Machine::new(&ruleset, context).with_programs();
    let (around, _) = surroundings(&engine, &Macros::new(), &Policy::default(), usize::MAX);
    let network = Network::new(&engine);
    let (zones, _) = Zones::new(&around, &network);
    let found = matrix(&zones, Rounds::OVERVIEW);
    // The zones by the interfaces that they are on.
    let end = |name: &str| {
        let zone = around.zones.iter().find(|zone| *zone.name.value == *name);
        let on = zone.and_then(|zone| context.members(&zone.interfaces.first()?.value).first().copied());
        let item = on.and_then(|on| INTERFACES.iter().position(|known| *known == on.name));
        item.map_or(Item::Itself, Item::Zone)
    };
    let all = What {
        family: "",
        proto: Proto::All,
    };
    let edges: Vec<_> = found.edges().collect();
    let nodes: Vec<&str> = found.graph.node_weights().map(String::as_str).collect();
    let grid = grid(site);
    let fates: Vec<_> = grid.iter().map(|packet| fates(site, &machine, packet, None)).collect();
    for (&from, &to) in nodes.iter().flat_map(|from| nodes.iter().map(move |to| (from, to))) {
        if from == to {
            continue;
        }
        let edge = edges.iter().find(|(one, other, _)| (*one, *other) == (from, to));
        let reach = edge.map(|(.., reach)| reach);
        if reach.is_none_or(|reach| !reach.whole) {
            continue;
        }
        let ends = [end(from), end(to)].map(|item| Who(vec![item], None));
        let forbid = Statement::Forbid(all, ends[0].clone(), ends[1].clone());
        let require = Statement::Require(all, ends[0].clone(), ends[1].clone(), None);
        for (packet, fates) in grid.iter().zip(&fates) {
            // What goes back to where it is from is told apart.
            let itself = |fate: &Fate| fate.journey.hops.iter().any(|hop| hop.after.src == hop.after.dst);
            let reflected = packet.src == packet.dst || fates.iter().any(itself);
            let Some(header) = engine
                .space()
                .header(packet)
                .filter(|_| !fates.is_empty() && !reflected)
            else {
                continue;
            };
            let words = || {
                format!(
                    "{text}{} from {from} to {to}: {:?}",
                    write_json(packet),
                    reach.map(|one| one.extent)
                )
            };
            let mut ways = fates.iter();
            let may = ways.any(|fate| offends(site, packet, fate, &forbid, &[], &ruleset));
            let honest = may && comes_from(site, packet, &ends[0]);
            COMPARED.fetch_add(1, Ordering::Relaxed);
            let nothing = reach.is_some_and(|reach| reach.extent == Extent::Nothing);
            prop_assert!(!may || !nothing, "{}", words());
            let told = reach.is_some_and(|reach| reach.packets.contains(&header));
            // Where every flow passes, that is said: which packets do besides need not all be looked at.
            let listed = reach.is_none_or(|reach| reach.extent != Extent::All);
            prop_assert!(!told || honest, "{}", words());
            prop_assert!(told || !honest || !listed, "{}", words());
            if reach.is_some_and(|reach| reach.extent == Extent::All) && is_required(site, packet, &require) {
                prop_assert!(fates.iter().all(|fate| fate.through || !fate.routed), "{}", words());
            }
        }
    }
    Ok(())
}

#[test]
fn the_overview_agrees_with_enumeration() {
    let config = ProptestConfig {
        max_shrink_time: 20_000,
        max_shrink_iters: 300,
        ..cases::cases(30)
    };
    proptest!(config, |(rules in prop::collection::vec(rule(), 0..8), site in 0..SITES)| {
        agree(&Site::new(site), &rules)?;
    });
    let compared = COMPARED.load(Ordering::Relaxed);
    assert!(compared > 1000, "only {compared} packets were compared");
}
