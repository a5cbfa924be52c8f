//! The examples of docs/policy.md: each statement comes out as the page says.

use pfproof::check::texts;
use pfproof::source::MemoryLoader;

/// The fenced blocks of a page, with their kind.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```") {
        let Some((kind, body)) = after.split_once('\n') else {
            break;
        };
        let Some((body, after)) = body.split_once("\n```\n") else {
            break;
        };
        blocks.push((kind, body));
        rest = after;
    }
    blocks
}

#[test]
fn every_example_comes_out_as_the_page_says() {
    let page = include_str!("../docs/policy.md");
    let (mut config, mut context, mut checked) = (String::new(), String::new(), 0);
    for (kind, body) in blocks(page) {
        match kind {
            "pf.conf" => config = format!("{body}\n"),
            "toml" => context = format!("{body}\n"),
            "policy" => {
                let (_, router) = texts(&config, &context, &format!("{body}\n"), &MemoryLoader::new());
                assert!(router.faults.is_empty(), "{:?}", router.faults);
                let expected: Vec<(u32, &str)> = body
                    .lines()
                    .zip(1..)
                    .filter_map(|(line, number)| Some((number, line.split_once("# =>")?.1.trim())))
                    .collect();
                assert!(!expected.is_empty(), "nothing is expected of\n{body}");
                for (line, outcome) in expected {
                    let statement = router.statements.iter().find(|statement| statement.place.1 == line);
                    let statement =
                        statement.unwrap_or_else(|| panic!("line {line} of\n{body}\n{:?}", router.findings));
                    assert_eq!(
                        statement.outcome, outcome,
                        "{}: {:?}",
                        statement.text, statement.reasons
                    );
                    checked += 1;
                }
            }
            other => panic!("a block of kind `{other}`"),
        }
    }
    assert!(checked > 20, "only {checked} examples were found");
}
