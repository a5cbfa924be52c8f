//! What was expected where the grammar fails, in words of pf.conf(5).

use std::sync::Mutex;

use pest::Parser;

use super::grammar::{Grammar, Rule};
use super::preprocess::KEYWORDS;
use super::suggest::nearest;

/// A syntax error in the text of one statement.
pub(super) struct SyntaxError {
    /// The word that cannot stand there, as a range of the text.
    pub(super) start: u32,
    pub(super) end: u32,
    /// What was expected.
    pub(super) label: String,
    /// What to do.
    pub(super) help: Option<String>,
}

/// pest notes what it expects only where a switch of the whole process is on: one at a time.
static DETAIL: Mutex<()> = Mutex::new(());

/// The syntax error of a statement that the grammar refuses.
pub(super) fn syntax_error(text: &str) -> SyntaxError {
    let (position, expected) = furthest(text);
    let rest = text.get(position..).unwrap_or("");
    let (start, end) = word_at(text, position);
    let word = text.get(start..end).unwrap_or("");
    let quoted = rest.starts_with('"');
    let mut help = None;
    if quoted
        && let Some(near) = nearest(
            word,
            expected
                .iter()
                .map(String::as_str)
                .filter(|word| KEYWORDS.contains(word)),
        )
    {
        help = Some(format!("did you mean `{near}`?"));
    }
    SyntaxError {
        start: start as u32,
        end: end as u32,
        label: format!("expected {}", list(&expected)),
        help,
    }
}

/// The furthest place that any alternative of the grammar reaches, and the words that it takes there.
fn furthest(text: &str) -> (usize, Vec<String>) {
    let guard = DETAIL.lock();
    pest::set_error_detail(true);
    let parsed = Grammar::parse(Rule::line, text);
    pest::set_error_detail(false);
    drop(guard);
    let Err(error) = parsed else {
        return (0, Vec::new());
    };
    let Some(attempts) = error.parse_attempts() else {
        return (0, Vec::new());
    };
    let mut expected: Vec<String> = attempts
        .expected_tokens()
        .iter()
        .map(|token| token.to_string().trim().to_owned())
        .collect();
    expected.dedup();
    (attempts.max_position, expected)
}

/// The word at a position, without quotes.
fn word_at(text: &str, position: usize) -> (usize, usize) {
    let rest = text.get(position..).unwrap_or("");
    if let Some(content) = rest.strip_prefix('"') {
        let mut escaped = false;
        let end = content.find(|letter| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        });
        let start = position + 1;
        return (start, start + end.unwrap_or(content.len()));
    }
    let end = rest.find(' ').unwrap_or(rest.len());
    (position, position + end.max(1))
}

fn list(expected: &[String]) -> String {
    expected.join(", ")
}
