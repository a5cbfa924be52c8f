//! What was expected where the grammar fails, in words of pf.conf(5), and what was probably meant.

use std::sync::Mutex;

use pest::Parser;

use super::grammar::{Grammar, Rule};
use super::old_syntax::todays_spelling;
use crate::diagnostic::nearest;

/// A syntax error in the text of one statement.
pub(super) struct SyntaxError {
    /// The word that cannot stand there, as a range of the text.
    pub(super) start: u32,
    pub(super) end: u32,
    /// What was expected.
    pub(super) label: String,
    /// What to do.
    pub(super) help: Option<String>,
    /// Whether it is the spelling of another pf.
    pub(super) old: bool,
}

/// The words that begin a statement.
const STATEMENTS: [&str; 10] = [
    "pass",
    "block",
    "match",
    "anchor",
    "antispoof",
    "set",
    "table",
    "queue",
    "load",
    "include",
];

/// The parts of a rule before its options, in their order.
const PARTS: [&str; 12] = [
    "in", "out", "log", "quick", "on", "inet", "inet6", "proto", "all", "from", "os", "to",
];

/// Words that are named together, in words of pf.conf(5): the word that tells that they are meant, the name, and all.
const GROUPS: [(&str, &str, &[&str]); 13] = [
    ("antispoof", "a statement", &STATEMENTS),
    ("in", "a direction", &["in", "out"]),
    ("inet6", "an address family", &["inet", "inet6"]),
    ("from", "hosts (`from`, `to`, `all`)", &["all", "from", "os", "to"]),
    (
        "received-on",
        "an option",
        &[
            "!",
            "af-to",
            "allow-opts",
            "binat-to",
            "divert-packet",
            "divert-reply",
            "divert-to",
            "dup-to",
            "flags",
            "fragment",
            "group",
            "icmp-type",
            "icmp6-type",
            "keep",
            "label",
            "max-pkt-rate",
            "modulate",
            "nat-to",
            "no",
            "once",
            "prio",
            "probability",
            "queue",
            "rdr-to",
            "received-on",
            "reply-to",
            "route-to",
            "rtable",
            "scrub",
            "set",
            "synproxy",
            "tag",
            "tagged",
            "tos",
            "user",
        ],
    ),
    (
        "sloppy",
        "a state option",
        &[
            "floating",
            "if-bound",
            "max",
            "max-src-conn",
            "max-src-conn-rate",
            "max-src-nodes",
            "max-src-states",
            "no-sync",
            "overload",
            "pflow",
            "sloppy",
            "source-track",
            "\"",
        ],
    ),
    (
        "sticky-address",
        "a pool type",
        &[
            "bitmask",
            "least-states",
            "random",
            "round-robin",
            "source-hash",
            "static-port",
            "sticky-address",
        ],
    ),
    (
        "qlimit",
        "a queue option",
        &["bandwidth", "default", "flows", "parent", "qlimit", "quantum"],
    ),
    (
        "min-ttl",
        "a scrub option",
        &["max-mss", "min-ttl", "no-df", "random-id", "reassemble"],
    ),
    (
        "urpf-failed",
        "a host",
        &[
            "!",
            "\"",
            "(",
            "-",
            "0..9",
            "<",
            "any",
            "no-route",
            "route",
            "urpf-failed",
            "{",
        ],
    ),
    ("route", "an address", &["\"", "(", "-", "0..9", "<", "route"]),
    (">=", "an operator", &["!=", "<", "<=", "=", ">", ">="]),
    ("><", "an operator", &["<>", "><"]),
];

/// So many things are named, no more.
const NAMED: usize = 6;

/// pest notes what it expects only where a switch of the whole process is on: one at a time.
static DETAIL: Mutex<()> = Mutex::new(());

/// The syntax error of a statement that the grammar refuses.
pub(super) fn syntax_error(text: &str) -> SyntaxError {
    let (mut position, mut expected) = furthest(text);
    let first_end = word_at(text, 0).1;
    // A word that is no statement could begin a macro's definition: the fault is that word, not what follows.
    let no_statement = text.starts_with('"') && position > 0 && expected == ["="];
    if no_statement {
        position = 0;
        expected = STATEMENTS.iter().map(|&word| word.to_owned()).collect();
    }
    let (start, end) = word_at(text, position);
    let mut error = SyntaxError {
        start: start as u32,
        end: end as u32,
        label: String::new(),
        help: None,
        old: false,
    };
    let found = Found {
        before: text.get(..position).unwrap_or(""),
        word: text.get(start..end).unwrap_or(""),
        quoted: text.get(position..).is_some_and(|rest| rest.starts_with('"')),
        after: text.get(end..).unwrap_or(""),
        at_end: position + 1 >= text.len(),
    };
    if let Some(help) = todays_spelling(text, found.before, found.word) {
        error.help = Some(help.into());
        error.old = true;
    }
    if expected == ["/"] {
        error.label = "a number alone is no host".into();
        error.help = Some("a port stands after `port`: `to any port 80`; a network has a prefix: `10/8`".into());
        return error;
    }
    if let Some((label, help)) = found.slip() {
        error.label = label.into();
        error.help = error.help.or_else(|| help.map(Into::into));
        return error;
    }
    if error.old {
        error.label = "not spelt so today".into();
        return error;
    }
    if found.quoted && expected.iter().any(|keyword| keyword == found.word) {
        error.label = "in quotes this is a name, not the keyword".into();
        error.help = Some("leave the quotes out".into());
        return error;
    }
    if let Some(near) = found.meant(&expected) {
        error.label = "no such word is known here".into();
        error.help = Some(format!("did you mean `{near}`?"));
        return error;
    }
    error.help = found.help().map(Into::into);
    error.label = if no_statement {
        "expected a statement, or `=` after the name of a macro".into()
    } else if position == 0
        && text
            .get(first_end..)
            .is_some_and(|rest| rest.trim_start().starts_with("= "))
    {
        "a keyword or number cannot be the name of a macro".into()
    } else if position == 0 {
        "expected a statement".into()
    } else {
        let list = found.expected(&expected);
        match (list.is_empty(), found.at_end) {
            (true, _) => "not expected here".into(),
            (false, true) => format!("expected {list} before the end of the line"),
            (false, false) => format!("expected {list}"),
        }
    };
    error
}

/// The word at which the grammar fails, and what stands around it.
struct Found<'a> {
    before: &'a str,
    word: &'a str,
    quoted: bool,
    after: &'a str,
    at_end: bool,
}

impl Found<'_> {
    /// Slips that have words of their own: what is wrong, and what to do.
    fn slip(&self) -> Option<(&'static str, Option<&'static str>)> {
        let last = self.before.trim_end_matches(' ').chars().next_back();
        if self.quoted || self.at_end {
            return None;
        }
        Some(match (self.word, last) {
            ("}", Some('{')) => ("a list may not be empty", None),
            ("}", Some(',')) => ("a list may not end in a comma", Some("leave the comma out")),
            (",", Some('{' | ',')) => (
                "no item stands before this comma",
                Some("commas are optional: leave it out"),
            ),
            ("\n", Some(',')) => (
                "the line may not end after a comma",
                Some("leave the comma out, or join the lines with `\\`"),
            ),
            ("\r", _) => (
                "a carriage return",
                Some("pfctl takes no lines that end in CR LF: convert the file, as by `tr -d '\\r'`"),
            ),
            ("\"" | "'", _) => ("a quote within a word", None),
            ("$", _) => (
                "a `$` that comes from a macro's value is not expanded",
                Some("nothing is expanded between quotes: build a macro from others without them, `a = $b $c`"),
            ),
            ("}", _) if !self.before.contains("{ ") => ("no `{` is open here", None),
            (word, _) if !word.is_ascii() => (
                "only ASCII may stand outside of quotes and comments",
                Some("typographic quotes, dashes and blanks come from copying: write them anew"),
            ),
            _ => return None,
        })
    }

    /// What could stand here, in words.
    fn expected(&self, expected: &[String]) -> String {
        let mut tokens: Vec<&str> = expected.iter().map(String::as_str).collect();
        let mut names: Vec<String> = Vec::new();
        let mut groups: Vec<String> = Vec::new();
        for (sign, name, members) in GROUPS {
            let meant = tokens.iter().filter(|token| members.contains(token)).count();
            if tokens.contains(&sign) && meant > 1 {
                tokens.retain(|token| !members.contains(token));
                groups.push(name.into());
            }
        }
        if tokens.contains(&"\"") {
            names.push(self.noun().into());
        }
        if tokens.contains(&"0..9") && !(tokens.contains(&"\"") && self.noun() != "a word") {
            names.push("a number".into());
        }
        let signs = tokens
            .iter()
            .filter(|token| !matches!(**token, "\"" | "0..9" | "-" | "/" | "," | "" | "\\"));
        names.extend(signs.map(|token| format!("`{token}`")));
        names.append(&mut groups);
        if names.is_empty() && tokens.contains(&"/") {
            names.push("`/`".into());
        }
        if names.len() > NAMED {
            names.truncate(NAMED);
            return format!("{}, …", names.join(", "));
        }
        match names.split_last() {
            None => String::new(),
            Some((last, [])) => last.clone(),
            Some((last, first)) => format!("{} or {last}", first.join(", ")),
        }
    }

    /// What a name after the word before would be.
    fn noun(&self) -> &'static str {
        let mut lists = Vec::new();
        let mut last = "";
        for word in self.before.split(' ') {
            match word {
                "{" => lists.push(last),
                "}" => {
                    lists.pop();
                }
                "" | "!" | "=" | "<" | ">" | "(" | "\n" | "," => {}
                word => last = word,
            }
        }
        let keyword = lists.first().copied().unwrap_or(last);
        match keyword {
            "on" | "received-on" | "for" => "an interface or group",
            "proto" => "a protocol",
            "nat-to" | "rdr-to" | "binat-to" | "route-to" | "reply-to" | "dup-to" | "divert-to" => "an address",
            "port" => "a port",
            "user" => "a user",
            "group" => "a group",
            "os" => "an operating system",
            "icmp-type" | "icmp6-type" => "an icmp type",
            "code" => "an icmp code",
            "table" | "overload" => "a table",
            "anchor" => "the name of an anchor",
            "queue" => "the name of a queue",
            "label" | "tag" | "tagged" => "a name",
            "from" if self.before.starts_with("load ") => "the name of a file",
            "include" | "file" => "the name of a file",
            "from" | "to" => "a host",
            _ => "a word",
        }
    }

    /// The keyword that a misspelt word was probably meant to be.
    fn meant<'e>(&self, expected: &'e [String]) -> Option<&'e str> {
        let keywords = expected.iter().map(String::as_str);
        nearest(self.word, keywords).filter(|_| self.quoted)
    }

    /// What to do.
    fn help(&self) -> Option<&'static str> {
        let statement = self.before.split(' ').next().unwrap_or("");
        let is_rule = matches!(statement, "pass" | "block" | "match" | "anchor");
        if self.quoted && statement == "table" && self.before.trim() == "table" {
            return Some("the name of a table stands in angle brackets: `table <name>`");
        }
        if statement.starts_with('"') && self.before.split(' ').nth(1) == Some("=") {
            return Some("put the value in quotes");
        }
        let is_path = self.noun() == "the name of a file" || statement == "anchor" && self.word.starts_with('/');
        if !self.quoted && is_path {
            return Some("put it in quotes: a word may have no `/` and no `*`");
        }
        if !self.quoted && self.word == "," && statement == "set" {
            return Some("several items stand in a list: `{ a, b }`");
        }
        if self.quoted || !is_rule {
            return None;
        }
        Some(match self.word {
            "," => "several items stand in a list: `{ a, b }`",
            "port" => "a port belongs to a host: `from any port …`, `to any port …`",
            "state" => "write `keep state`, `no state`, `modulate state` or `synproxy state`",
            "{" if self.after.trim() == "" => "only an `anchor` has rules between braces",
            word if PARTS.contains(&word) => {
                "the order of a rule's parts is fixed: in or out, log and quick, on, inet or inet6, proto, from, os, to, \
                 then options"
            }
            _ => return None,
        })
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
