//! The examples of docs/policy.md: each statement comes out as the page says, each complaint is made.
//!
//! `# => OUTCOME` follows a statement, `# error: MESSAGE` or `# info: MESSAGE` what is complained of. A pf.conf and a
//! machine count to the end of their section; then those of the page's first section are back. A block whose kind is
//! the name of a file is that file, for `include` and for the commands of a `console` block, which print what follows.

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "support/tree.rs"]
mod tree;

use pfproof::check::texts;
use pfproof::diagnostic::{Diagnostic, Severity};
use pfproof::source::MemoryLoader;
use tree::Tree;

/// The fenced blocks of a page, with their kind; where a section begins, its title without a kind.
fn blocks(page: &str) -> Vec<(Option<&str>, &str)> {
    let mut blocks = Vec::new();
    let mut rest = page;
    loop {
        let heading = rest.find("\n## ").unwrap_or(rest.len());
        let fence = rest.find("\n```").unwrap_or(rest.len());
        if heading < fence {
            let (title, after) = rest[heading + 4..].split_once('\n').expect("a title's line ends");
            blocks.push((None, title));
            rest = after;
        } else if fence < rest.len() {
            let (kind, body) = rest[fence + 4..].split_once('\n').expect("a fence's line ends");
            let (body, after) = body.split_once("\n```\n").expect("a block is closed");
            blocks.push((Some(kind), body));
            rest = after;
        } else {
            return blocks;
        }
    }
}

/// What is expected at the lines of a policy: an outcome after `=>`, else a complaint.
fn expectations(body: &str) -> Vec<(u32, &str, &str)> {
    let lines = body.lines().zip(1..);
    let found = lines.flat_map(|(line, number)| {
        ["# => ", "# error: ", "# info: "]
            .into_iter()
            .filter_map(move |mark| Some((number, mark, line.split_once(mark)?.1.trim())))
    });
    found.collect()
}

/// Checks a policy of the page; how many expectations it has.
fn check(config: &str, context: &str, body: &str, files: &[(&str, String)]) -> usize {
    let loader = files.iter().fold(MemoryLoader::new(), |loader, (name, text)| {
        loader.with(*name, text.clone().into_bytes())
    });
    let (sources, router) = texts(config, context, &format!("{body}\n"), &loader);
    assert!(router.faults.is_empty(), "{:?}", router.faults);
    let expected = expectations(body);
    assert!(!expected.is_empty(), "nothing is expected of\n{body}");
    let is_at = |finding: &Diagnostic, line: u32| {
        let place = finding.primary.as_ref().map(|label| sources.location(label.span));
        place.is_some_and(|place| place.line == line && place.name == "policy")
    };
    for &(line, mark, words) in &expected {
        if mark == "# => " {
            let statement = router.statements.iter().find(|statement| statement.place.1 == line);
            let statement = statement.unwrap_or_else(|| panic!("line {line} of\n{body}\n{:?}", router.findings));
            assert_eq!(statement.outcome, words, "{}: {:?}", statement.text, statement.reasons);
        } else {
            let found = router.findings.iter().any(|finding| {
                let is_error = finding.severity == Severity::Error;
                is_at(finding, line) && finding.message == words && is_error == (mark == "# error: ")
            });
            assert!(found, "line {line} of\n{body}\n{:?}", router.findings);
        }
    }
    // An error that the page does not speak of.
    for finding in router.findings.iter().filter(|one| one.severity == Severity::Error) {
        let told = |&(line, mark, _): &(u32, &str, &str)| mark == "# error: " && is_at(finding, line);
        assert!(expected.iter().any(told), "{body}\n{finding:?}");
    }
    expected.len()
}

/// The commands of a console print what the page says, in a tree of those files, and of one machine's where they are not
/// those of several.
fn run(body: &str, (config, context): (&str, &str), files: &[(&str, String)]) {
    let mut tree: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    if files.iter().all(|(name, _)| *name != "pfproof.toml") {
        tree.extend([("pf.conf", config), ("context.toml", context)]);
    }
    let tree = Tree::new(&tree);
    let mut commands = body.split("$ ");
    assert_eq!(commands.next(), Some(""), "a console begins with a command");
    for command in commands {
        let (line, printed) = command.split_once('\n').unwrap_or((command, ""));
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words.first(), Some(&"pfproof"), "{line}");
        let (out, err, _) = tree.run(&words[1..]);
        assert_eq!(format!("{out}{err}").trim_end(), printed.trim_end(), "{line}");
    }
}

#[test]
fn every_example_comes_out_as_the_page_says() {
    let page = include_str!("../docs/policy.md");
    let (mut firsts, mut section) = ([String::new(), String::new()], 0);
    let [mut config, mut context] = firsts.clone();
    let (mut files, mut checked, mut consoles) = (Vec::new(), 0, 0);
    for (kind, body) in blocks(page) {
        let text = format!("{body}\n");
        match kind {
            None => {
                if section == 0 {
                    firsts = [config.clone(), context.clone()];
                }
                [config, context] = firsts.clone();
                files.clear();
                section += 1;
            }
            Some("pf.conf") => config = text,
            Some("toml") => context = text,
            Some("policy") => checked += check(&config, &context, body, &files),
            Some("console") => {
                run(body, (&config, &context), &files);
                consoles += 1;
            }
            Some(name) if name.contains('.') => files.push((name, text)),
            Some(other) => panic!("a block of kind `{other}`"),
        }
    }
    assert!(
        checked > 45 && consoles > 0,
        "only {checked} and {consoles} examples were found"
    );
}
