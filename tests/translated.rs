//! What becomes of statements where match rules change what later rules see, and one match rule what another does.

#[path = "support/outcome.rs"]
mod outcome;

use outcome::check;

/// One rule redirects, the next what it has made of the packets: hosts of the first target are not reached.
#[test]
fn a_match_rule_sees_what_an_earlier_one_has_made() {
    check(
        "block\n\
         match in on em1 inet proto tcp from 10.0.1.0/24 to 10.9.9.9 port 80 rdr-to 192.0.2.5\n\
         match in on em1 inet proto tcp from any to 192.0.2.5 port 80 rdr-to 192.0.2.6\n\
         pass in on em1\npass out\n",
        &[
            (
                "require inet proto tcp from lan to 10.9.9.9 port 80 rdr-to 192.0.2.6",
                "holds",
            ),
            (
                "require inet proto tcp from lan to 10.9.9.9 port 80 rdr-to 192.0.2.5",
                "violated",
            ),
            ("forbid inet proto tcp from lan to 192.0.2.6 port 80", "violated"),
            ("forbid inet proto tcp from lan to 192.0.2.5 port 80", "holds"),
        ],
    );
}

/// However few packets are asked about: those that no later match rule would match as they come.
#[test]
fn a_match_rule_sees_it_of_one_host_too() {
    let rules = |translation: &str| {
        format!(
            "block\nblock in quick on em1 inet from any to 192.0.2.6\n\
             match in on em1 inet proto tcp from 10.0.1.50 to any {translation}\n\
             match in on em1 inet proto tcp from 10.0.5.5 to 10.9.9.9 port 80 rdr-to 192.0.2.6\n\
             pass in on em1\npass out\n"
        )
    };
    let statement = "forbid inet proto tcp from 10.0.1.50 to 192.0.2.6";
    check(&rules("nat-to 10.0.5.5"), &[(statement, "violated")]);
    check(&rules("nat-to 10.0.5.6"), &[(statement, "holds")]);
    check(&rules("nat-to { 10.0.5.6 10.0.5.5 }"), &[(statement, "violated")]);
    let required = "require inet proto tcp from 10.0.1.50 to 10.9.9.9 port 80 rdr-to 192.0.2.6";
    check(&rules("nat-to 10.0.5.5"), &[(required, "holds")]);
    check(&rules("nat-to 10.0.5.6"), &[(required, "violated")]);
}
