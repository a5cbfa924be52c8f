//! What holds of a machine whose address is not known holds whatever that address is: what is proved once is asked again
//! with addresses of every kind, and what is violated then must not have been proved. What is shown with an address that
//! is supposed happens with it.

#[path = "support/cases.rs"]
mod cases;

use pfproof::Engine;
use pfproof::check;
use pfproof::context::{Context, Interface, InterfaceAddress, Route};
use pfproof::eval::{self, Journey, Memory, Usual};
use pfproof::lower;
use pfproof::net::Family;
use pfproof::policy::{self, Macros, Network, Zones};
use pfproof::report::check::Router;
use pfproof::source::{MemoryLoader, Sources};
use pfproof::syntax;
use pfproof::verify::{Case, verify};
use proptest::prelude::*;

/// Rules that look at the address, at where it may lie, or at neither.
const RULES: &[&str] = &[
    "block",
    "block out on em0",
    "block in from 10.0.0.0/8",
    "block out on em0 inet from 192.168.0.0/16",
    "block out from 10.0.1.1",
    "block in to (em0)",
    "block in on em1 to (em0:network)",
    "block in to { 10.0.1.1 172.16.0.0/12 }",
    "block out proto tcp from (em0) to any port 80",
    "block out on em0 from ! (em0)",
    "pass in on em1",
    "pass in on em0 inet proto tcp to (em0) port { 22 80 }",
    "pass in on em0 inet proto tcp to port 22",
    "pass in on em1 inet proto tcp to self port 22",
    "pass out on em0",
    "pass out on em0 inet from (em0)",
    "pass out on em0 inet from 10.0.1.0/24 nat-to (em0)",
    "pass out inet proto tcp from any to 10.0.1.0/24",
    "pass in on em0 inet proto tcp to (em0) port 8080 rdr-to 10.0.1.9 port 80",
    "antispoof for em0",
    "block quick proto tcp to (em0) port 80",
    "block quick to ! (em0)",
    "block in quick on em1 from ! (em0:network) to any port 22:80",
    "pass in quick inet proto tcp from (em0:network) to any port 80",
    "block out quick from ! (em0) probability 50%",
    "anchor quick {\nblock\npass quick to (em0)\n}",
    "anchor quick to ! (em0) {\nblock\nanchor {\npass from 10.0.1.0/24\n}\n}",
    "anchor in on em1 {\nblock proto tcp\npass proto tcp to (em0) tag A\n}",
    "match in on em1 to ! (em0:network) tag A",
    "block out ! tagged A",
    "pass out on em0 tagged A",
    "match out on em0 inet from ! (em0) nat-to (em0)",
    "pass in on em1 inet proto tcp to (em0) port 80 rdr-to 10.0.1.9",
    "pass in on em1 inet to (em0) rdr-to 198.51.100.9",
    "pass in on em0 inet from any to ! (em0) no state",
    "block in on em1 from (em0)",
    "block in quick from urpf-failed",
    "block in on em0 from urpf-failed",
    "pass in on em0 inet from ! urpf-failed to 10.0.1.0/24",
    "pass in on em0 inet from urpf-failed",
    "block quick from no-route",
    "pass in on em0 inet from ! no-route to any port 80",
    "table <own> const { em0 10.0.1.1 }\nblock in quick from <own>",
    "table <inside> const { em0:network 10.0.0.0/8 ! 10.0.1.0/24 }\npass in on em1 to ! <inside>",
    "table <less> const { 0.0.0.0/0 ! em0:network }\nblock in quick on em1 to <less> port 80",
    "table <holes> const { 203.0.113.0/24 198.51.100.0/24 ! em0 ! em2 }\npass in quick on em0 inet proto tcp from <holes>",
    "pass in on em2",
    "pass out on { em1 em2 }",
    "pass in on em0 inet proto tcp route-to 203.0.113.2",
    "pass in on em1 inet proto tcp from 10.0.1.5 route-to 192.168.7.9",
    "pass out on em0 inet proto icmp to { (em0) 9.9.9.9 }",
    "pass in on em1 inet rdr-to 9.9.9.5",
    "pass in on em2 inet proto tcp from (self) to (em1:network) port 80",
    "pass out on em2 inet proto tcp to 203.0.113.9",
    "pass out on em0 inet proto udp to 203.0.114.9",
    "pass in on em2 inet from 203.0.113.9 to em1",
    "block out on em0 ! received-on em0",
    "pass in on em0 inet from (em0) to em2",
    "pass in on em1 inet proto tcp to (em2)",
];

/// Statements about the machine and what is behind it.
const STATEMENTS: &[&str] = &[
    "require inet proto tcp from self to internet port 80",
    "require inet proto udp from em0 to internet port 53",
    "require inet proto tcp from lan to self port 22",
    "require inet proto tcp from internet to em0 port 22",
    "require inet proto tcp from lan to internet port 443",
    "require inet proto tcp from lan to any port { 22 80 81 }",
    "require inet proto tcp from internet to 10.0.1.9 port 80",
    "forbid inet proto tcp from lan to any port { 79 80 81 }",
    "forbid inet proto tcp from lan to self port { 22 23 }",
    "forbid inet from internet to 10.0.1.9",
    "forbid inet from 203.0.113.7 to lan",
    "forbid inet from self to internet",
    "forbid inet proto tcp from self to any port 80",
    "forbid inet proto tcp from internet to self port 80",
    "forbid inet proto tcp from lan to em0",
    "forbid inet from internet to lan",
    "forbid inet from lan to internet",
    "forbid inet proto tcp from self to 203.0.113.7",
    "forbid inet proto tcp from any to 203.0.113.7 port 80",
    "forbid inet proto tcp from 10.0.1.1 to 192.168.7.2",
    "forbid inet from lan to { 172.16.5.5 192.168.7.2 }",
    "forbid inet from { self ! em0 } to internet",
    "require inet proto tcp from self to 203.0.113.7 port 80",
    "require inet proto tcp from { self ! 203.0.113.7 } to internet port 80",
    "forbid inet proto tcp from internet to 9.9.9.9",
    "forbid inet proto tcp from 8.8.8.8 to { 203.0.113.7 ! internet }",
    "require inet proto udp from 203.0.113.7 to 10.0.1.5",
    "require inet proto tcp from em1 to em0",
    "require inet proto tcp from 10.0.1.1 to any",
    "forbid inet from dmz to lan",
    "require inet proto tcp from lan to dmz",
    "forbid inet proto tcp from 203.0.113.9 to em1",
    "forbid inet from { em0 10.0.1.9 ! self } to dmz",
    "forbid inet from { any ! self } to internet",
    "forbid inet from lan to { any ! dmz }",
    "require inet proto tcp from lan to { 203.0.114.7 203.0.113.7 ! internet } port 80",
    "require inet proto tcp from lan to { internet 10.0.1.1 ! dmz } port 80",
    "require inet proto udp from 203.0.112.0/24 to 203.0.113.7 port 80",
    "require inet proto tcp from { internet ! 203.0.113.0/24 } to em1",
    "forbid inet proto udp from self to em2",
    "forbid inet proto tcp from lan to em2",
    "require inet proto tcp from em2 to lan port 80",
    "forbid inet from em0 to 10.0.1.1",
    "forbid inet proto tcp from 10.0.1.1 to { 10.0.1.1 203.0.113.9 ! internet }",
    "require inet proto tcp from 203.0.113.9 to { self lan } port 80",
    "forbid inet proto tcp from { 10.0.1.1 203.0.113.7 } to { internet self }",
    "closed from internet",
    "closed from dmz",
    "closed",
    "closed to internet",
    "closed from lan",
    "closed to lan",
];

/// What is excused.
const ALLOWED: &[&str] = &[
    "allow inet from self to internet\n",
    "allow from any to self\n",
    "allow inet from lan to internet\n",
    "allow inet from any to dmz\n",
    "allow inet from em0 to any\n",
    "allow inet from { self ! em0 } to any\n",
    "allow inet from { self ! 203.0.113.7 } to any\n",
    "allow inet from { any ! 10.9.0.2 } to any\n",
    "allow inet from { em0 10.0.1.1 } to internet\n",
    "allow inet from any to em0\n",
    "allow inet from any to 203.0.113.7\n",
];

/// What the address may be: public, private, in the networks of rules, of the other family's make alone.
const ADDRESSES: &[&str] = &[
    "203.0.113.7/24",
    "192.168.7.2/24",
    "10.9.0.2/16",
    "172.16.5.5/30",
    "100.64.3.2/10",
    "198.51.100.255/23",
    "9.9.9.9/30",
];

/// The addresses of em0 and em2 where they are known.
const KNOWN: [&str; 2] = ["198.51.100.7/24", "192.0.2.1/24"];

/// Of which of the two the address is not known.
const UNKNOWN: &[[bool; 2]] = &[[true, false], [true, false], [false, true], [true, true]];

/// By which interface the default route leaves, if there is one.
const WAYS: &[Option<&str>] = &[Some("em0"), Some("em0"), Some("em2"), None];

/// What the address of em2 may be.
const OTHERS: &[&str] = &["192.0.2.1/24", "172.16.9.1/16", "203.0.114.9/30"];

/// How the routes lie besides the default one, and in which routing domain em2 is.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Plain,
    /// Addresses that em0 may have lie behind em2, by a route.
    Routed,
    /// em2 is in another routing domain.
    Apart,
}

const LAYOUTS: &[Layout] = &[Layout::Plain, Layout::Plain, Layout::Routed, Layout::Apart];

/// The machine with the addresses of em0 and em2.
fn machine(addresses: [Option<&str>; 2], way: Option<&str>, layout: Layout) -> Context {
    let known = |text: &str| InterfaceAddress::Known(text.parse().expect("an address"));
    let interface = |name: &str, address| Interface {
        name: name.to_owned(),
        addresses: vec![address],
        ..Interface::default()
    };
    let [first, other] = addresses.map(|address| address.map_or(InterfaceAddress::Unknown(Family::Inet), known));
    let lo0 = interface("lo0", known("127.0.0.1/8"));
    let rdomain = match layout {
        Layout::Apart => 1,
        Layout::Plain | Layout::Routed => 0,
    };
    let route = |to: &str, interface: &str| Route {
        to: to.parse().expect("a network"),
        interface: interface.to_owned(),
        via: None,
        label: None,
        rtable: if interface == "em2" { rdomain } else { 0 },
        reject: false,
    };
    let routed = matches!(layout, Layout::Routed).then(|| route("203.0.113.0/25", "em2"));
    Context {
        interfaces: vec![
            lo0,
            interface("em0", first),
            interface("em1", known("10.0.1.1/24")),
            Interface {
                rdomain,
                ..interface("em2", other)
            },
        ],
        routes: way
            .map(|way| route("0.0.0.0/0", way))
            .into_iter()
            .chain(routed)
            .collect(),
        open: false,
        routes_open: false,
        ..Context::default()
    }
}

/// The outcome of each statement by proof alone; none where pfctl refuses the rules on that machine.
fn outcomes(rules: &str, policy: &str, context: &Context) -> Option<Vec<&'static str>> {
    let mut sources = Sources::new();
    let loader = MemoryLoader::new();
    let (lowered, said) = lower::load(&mut sources, &loader, "pf.conf", rules.as_bytes(), &[], context);
    if !said.is_empty() {
        return None;
    }
    let file = sources.add("policy", policy);
    let (policy, said) = policy::read(&mut sources, file, &Macros::default(), &loader);
    assert!(said.is_empty(), "{said:?}");
    let engine = Engine::new(&lowered.ruleset, context);
    let network = Network::new(&engine);
    let (zones, said) = Zones::new(&policy, &network);
    assert!(said.is_empty(), "{said:?}");
    let (verified, _) = verify(Case {
        zones: &zones,
        engine: &engine,
        assumed_anchors: &[],
    });
    assert!(verified.faults.is_empty(), "{:?} in\n{rules}", verified.faults);
    Some(verified.judgements.iter().map(|one| one.outcome.word()).collect())
}

proptest! {
    #![proptest_config(cases::cases(100))]

    #[test]
    fn what_holds_of_an_unknown_address_holds_of_each(
        rules in proptest::collection::vec(proptest::sample::select(RULES), 1..7),
        statements in proptest::sample::subsequence(STATEMENTS.to_vec(), 1..5),
        allowed in proptest::sample::subsequence(ALLOWED.to_vec(), 0..5),
        way in proptest::sample::select(WAYS),
        unknown in proptest::sample::select(UNKNOWN),
        layout in proptest::sample::select(LAYOUTS),
    ) {
        let rules = rules.join("\n") + "\n";
        let policy = format!(
            "zone lan on em1\nzone internet on em0\nzone dmz on em2\n{}\n{}",
            statements.join("\n"),
            allowed.concat()
        );
        let both: [_; 2] = [(unknown[0], KNOWN[0]), (unknown[1], KNOWN[1])].map(|(unknown, known)| (!unknown).then_some(known));
        let Some(proved) = outcomes(&rules, &policy, &machine(both, way, layout)) else { return Ok(()) };
        let first = if unknown[0] { ADDRESSES } else { &KNOWN[..1] };
        let other = if unknown[1] { OTHERS } else { &KNOWN[1..] };
        for (&first, &other) in first.iter().flat_map(|first| other.iter().map(move |other| (first, other))) {
            let Some(found) = outcomes(&rules, &policy, &machine([Some(first), Some(other)], way, layout)) else { continue };
            for ((before, then), statement) in proved.iter().zip(&found).zip(&statements) {
                let differs = match *before {
                    "holds" => !["holds", "vacuous"].contains(then),
                    "vacuous" => *then == "violated",
                    "violated" => *then == "holds",
                    _ => false,
                };
                prop_assert!(!differs, "{statement}: {before}, but {then} with {first} and {other}, {way:?} {layout:?}\n{rules}");
            }
        }
    }
}

/// The report about the machine, as a user sees it; none where pfctl refuses the rules.
fn reported(rules: &str, policy: &str, context: &Context) -> Option<Router> {
    let mut sources = Sources::new();
    let loader = MemoryLoader::new();
    let limits = syntax::Limits::default();
    let (document, said) = syntax::read(&mut sources, &loader, "pf.conf", rules.as_bytes(), &[], &limits);
    assert!(said.is_empty(), "{said:?}");
    let machine = check::Machine {
        name: "pf.conf".to_owned(),
        document,
        defines: Vec::new(),
        context: context.clone(),
        policies: vec![sources.add("policy", policy)],
        assumptions: Vec::new(),
    };
    let router = check::check(&mut sources, &loader, machine);
    router.refused.is_none().then_some(router)
}

/// The machine that words like «supposing em0 has 1.0.0.1/24 and em2 has 1.0.1.1/24» speak of.
fn supposed(context: &Context, words: &str) -> Context {
    let given: Vec<_> = words
        .split(" and ")
        .map(|one| one.split_once(" has ").expect("an interface and its address"))
        .map(|(interface, address)| (interface, address.parse().expect("an address")))
        .collect();
    context.with_addresses(&given).context
}

proptest! {
    #![proptest_config(cases::cases(100))]

    #[test]
    fn what_is_shown_supposing_an_address_happens_with_it(
        rules in proptest::collection::vec(proptest::sample::select(RULES), 1..7),
        statements in proptest::sample::subsequence(STATEMENTS.to_vec(), 1..5),
        way in proptest::sample::select(WAYS),
        unknown in proptest::sample::select(UNKNOWN),
        layout in proptest::sample::select(LAYOUTS),
    ) {
        let rules = rules.join("\n") + "\n";
        let policy = format!("zone lan on em1\nzone internet on em0\nzone dmz on em2\n{}\n", statements.join("\n"));
        let both: [_; 2] = [(unknown[0], KNOWN[0]), (unknown[1], KNOWN[1])].map(|(unknown, known)| (!unknown).then_some(known));
        let context = machine(both, way, layout);
        let Some(router) = reported(&rules, &policy, &context) else { return Ok(()) };
        prop_assert!(router.faults.is_empty(), "{:?} in\n{rules}", router.faults);
        for cause in router.statements.iter().flat_map(|statement| &statement.causes) {
            // What hangs on nothing else.
            let [choice] = cause.choices.as_slice() else { continue };
            let Some((words, (packet, shown))) = choice.strip_prefix("supposing ").zip(cause.example.as_ref()) else {
                continue;
            };
            let then = supposed(&context, words);
            let mut sources = Sources::new();
            let (lowered, _) = lower::load(&mut sources, &MemoryLoader::new(), "pf.conf", rules.as_bytes(), &[], &then);
            let machine = eval::Machine::new(&lowered.ruleset, &then);
            let found = machine.follow(packet, &mut Memory::default(), &mut Usual);
            let found = found.map_err(|doubt| TestCaseError::fail(format!("{words}: {packet} is {doubt:?} by\n{rules}")))?;
            let way = |journey: &Journey| {
                let hops = journey.hops.iter().map(|hop| (hop.rule.clone(), hop.after.clone()));
                (hops.collect::<Vec<_>>(), journey.end)
            };
            prop_assert_eq!(way(&found), way(shown), "{}: {} by\n{}", words, packet, rules);
        }
    }
}
