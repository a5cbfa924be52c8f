//! What holds while it is not known what fills an anchor holds whatever fills it: what is proved once is asked again with
//! rules of every kind in the anchor, and what is violated then must not have been proved.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/outcome.rs"]
#[expect(dead_code, reason = "the expectation is another run's")]
mod outcome;

use outcome::{MACHINE, ZONES, judged};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const ANCHORS: &[&str] = &[
    "anchor \"x\"",
    "anchor \"x\" in on em0",
    "anchor \"x\" in inet proto tcp",
    "anchor \"x\" out",
    "anchor quick \"x\" in on em1",
];

/// Rules around it.
const RULES: &[&str] = &[
    "block",
    "block in on em0",
    "block out",
    "block out ! tagged T",
    "block in quick on em0 proto udp",
    "match in tag T",
    "match in on em0 tag T",
    "match out on em0 inet nat-to (em0)",
    "pass in on em1",
    "pass out",
    "pass out on em1 tagged T",
    "pass out on em1 tagged U",
    "pass out on em3",
    "pass out on em3 inet from 198.51.100.9",
    "pass out on em0 received-on em1",
    "pass in on em0 inet proto tcp to port 80",
];

/// What may be in it.
const FILLS: &[&str] = &[
    "pass",
    "pass in",
    "pass quick",
    "block",
    "block quick proto tcp",
    "match in tag T",
    "pass in tag T",
    "pass in quick tag U",
    "pass out tag T",
    "pass in inet route-to 192.0.2.9",
    "pass in inet proto tcp rdr-to 10.0.1.9",
    "pass in inet nat-to 198.51.100.9 rdr-to 192.0.2.9",
    "pass in inet proto tcp to port 80 rdr-to 198.51.100.1 port 22",
    "pass out inet nat-to 10.0.1.5",
    "pass in no state",
    "pass in inet6 to 64:ff9b::/96 af-to inet from 192.0.2.1",
    "pass in quick on em0 inet af-to inet6 from 2001:db8:1::1 to 2001:db8:1::5",
];

const STATEMENTS: &[&str] = &[
    "require inet proto tcp from lan to wan port 80",
    "require inet proto udp from lan to dmz",
    "require inet proto tcp from wan to 198.51.100.1 port 22",
    "require inet proto tcp from lan to wan port 443 nat-to (em0)",
    "forbid inet proto tcp from 9.9.9.9 to lan",
    "forbid inet proto tcp from wan to 10.0.1.9 port 80",
    "forbid inet from 9.9.9.9 to 192.0.2.9",
    "forbid inet from dmz to lan",
    "forbid from wan to self",
    "forbid inet from lan to dmz",
    "forbid from lan to dmz",
    "forbid proto tcp from wan to 2001:db8:1::5",
    "closed",
    "closed from wan",
    "closed from dmz",
    "closed to lan",
    "allow inet from lan to wan",
    "allow from wan to self",
    "allow inet proto tcp from wan to lan port 80",
];

/// What is assumed, and which fills keep to it.
const ASSUMED: &[(&str, &[&str])] = &[
    ("", FILLS),
    ("", FILLS),
    (
        "assume anchor \"x\" only inet proto tcp from wan to lan port 80",
        &[
            "pass in on em0 inet proto tcp from 9.0.0.0/8 to 10.0.1.9 port 80",
            "pass in quick on em0 inet proto tcp from 9.0.0.0/8 to 10.0.1.9 port 80",
            "pass out received-on em0 inet proto tcp from 9.9.9.9 to 10.0.1.64/26 port 80",
            "pass out quick received-on em0 inet proto tcp from 9.0.0.0/8 to 10.0.1.9 port 80",
            "pass in on em0 inet proto tcp from 9.0.0.0/8 to 10.0.1.9 port 80\n\
             pass out quick received-on em0 inet proto tcp from 9.0.0.0/8 to 10.0.1.9 port 80",
        ],
    ),
];

fn outcomes(rules: &str, statements: &str) -> Vec<&'static str> {
    let (_, router) = judged(rules, MACHINE, ZONES, statements);
    router.statements.iter().map(|statement| statement.outcome).collect()
}

proptest! {
    #![proptest_config(cases::cases(60))]

    #[test]
    fn what_holds_of_an_unknown_anchor_holds_of_each(
        before in prop::collection::vec(select(RULES), 0..4),
        anchor in select(ANCHORS),
        after in prop::collection::vec(select(RULES), 0..4),
        statements in subsequence(STATEMENTS.to_vec(), 1..6),
        (assumed, fills) in select(ASSUMED),
    ) {
        let text = |anchor: &str| [before.as_slice(), &[anchor], &after].concat().join("\n") + "\n";
        let asked = statements.join("\n") + "\n";
        let rules = text(anchor);
        let proved = outcomes(&rules, &format!("{asked}{assumed}\n"));
        for fill in fills {
            let filled = text(&format!("{anchor} {{\n{fill}\n}}"));
            let found = outcomes(&filled, &asked);
            for ((known, then), statement) in proved.iter().zip(&found).zip(&statements) {
                let holds_then = ["holds", "vacuous"].contains(then);
                prop_assert!(
                    *known != "holds" || holds_then,
                    "{statement}: {known}, but {then} where it is filled: {assumed}\n{filled}"
                );
                prop_assert!(
                    *known != "violated" || !holds_then,
                    "{statement}: {known}, but {then} where it is filled: {assumed}\n{filled}"
                );
            }
        }
    }
}
