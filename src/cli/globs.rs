//! Patterns of paths: `*`, `?` and `[a-z]` within a name.

use std::fs;
use std::path::{Path, PathBuf};

/// Entries of folders that one search looks at, so that no tree can make it endless.
const MOST: usize = 100_000;

/// The files below `folder` that match, sorted, and what each star of the pattern found.
///
/// Links to folders are not followed by `*`; names that begin with a dot have to be written.
pub(crate) fn find(folder: &Path, pattern: &str) -> Vec<(PathBuf, Vec<String>)> {
    let mut found = vec![(folder.to_owned(), Vec::new())];
    let mut budget = MOST;
    for part in pattern.split('/').filter(|part| !part.is_empty() && *part != ".") {
        let mut next = Vec::new();
        for (path, stars) in found {
            if !part.contains(['*', '?', '[']) {
                next.push((path.join(part), stars));
                continue;
            }
            let mut names: Vec<String> = fs::read_dir(&path)
                .into_iter()
                .flatten()
                .flatten()
                .take(budget)
                .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect();
            names.sort();
            budget = budget.saturating_sub(names.len());
            for name in names {
                if name.starts_with('.') && !part.starts_with('.') {
                    continue;
                }
                if let Some(more) = matches(part, &name) {
                    next.push((path.join(&name), stars.iter().cloned().chain(more).collect()));
                }
            }
        }
        found = next;
    }
    found.retain(|(path, _)| path.is_file());
    found
}

/// The pattern with its stars replaced in order by what they found; stars beyond that stay.
pub(crate) fn fill(pattern: &str, stars: &[String]) -> String {
    let mut stars = stars.iter();
    let mut filled = String::new();
    for letter in pattern.chars() {
        match stars.as_slice().first() {
            Some(star) if letter == '*' => {
                filled.push_str(star);
                stars.next();
            }
            Some(_) | None => filled.push(letter),
        }
    }
    filled
}

/// One letter of a pattern, or a star.
enum Letter {
    /// `*`: any letters, or none.
    Star,
    /// `?`: any one.
    Any,
    /// `[a-z_]`, `[!a-z]`: one of those, or of the others.
    Of(bool, Vec<(char, char)>),
    /// That one.
    One(char),
}

impl Letter {
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Star => false,
            Self::Any => true,
            Self::Of(others, ranges) => *others != ranges.iter().any(|&(a, b)| (a..=b).contains(&letter)),
            Self::One(one) => *one == letter,
        }
    }
}

/// The letters of a pattern; a `[` that nothing closes stands for itself.
fn letters(pattern: &str) -> Vec<Letter> {
    let mut letters = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        letters.push(match first {
            '*' => Letter::Star,
            '?' => Letter::Any,
            '[' => match class(rest) {
                Some((class, after)) => {
                    rest = after;
                    class
                }
                None => Letter::One(first),
            },
            _ => Letter::One(first),
        });
    }
    letters
}

/// What stands between brackets, the first of which is read, and what follows; a `]` that stands first is one of the letters.
fn class(text: &str) -> Option<(Letter, &str)> {
    let others = text.starts_with('!');
    let inside = &text[usize::from(others)..];
    let first = inside.chars().next()?.len_utf8();
    let end = first + inside[first..].find(']')?;
    let mut ranges = Vec::new();
    let mut all = inside[..end].chars().peekable();
    while let Some(from) = all.next() {
        let mut ahead = all.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) => {
                ranges.push((from, to));
                all = ahead;
            }
            _ => ranges.push((from, from)),
        }
    }
    Some((Letter::Of(others, ranges), &inside[end + 1..]))
}

/// What each star of the pattern stands for in the name; `None` where it does not match.
fn matches(pattern: &str, name: &str) -> Option<Vec<String>> {
    let (pattern, name): (Vec<Letter>, Vec<char>) = (letters(pattern), name.chars().collect());
    let (mut at, mut in_name) = (0, 0);
    // Where the latest star is, where what it takes begins and ends: only it is ever widened, so this is quadratic.
    let mut spans: Vec<(usize, usize, usize)> = Vec::new();
    while in_name < name.len() || at < pattern.len() {
        match pattern.get(at) {
            Some(Letter::Star) => {
                spans.push((at, in_name, in_name));
                at += 1;
                continue;
            }
            Some(letter) if name.get(in_name).is_some_and(|&one| letter.takes(one)) => {
                at += 1;
                in_name += 1;
                continue;
            }
            Some(_) | None => {}
        }
        let (star, _, end) = spans.last_mut()?;
        if *end >= name.len() {
            return None;
        }
        *end += 1;
        at = *star + 1;
        in_name = *end;
    }
    Some(
        spans
            .iter()
            .map(|&(_, start, end)| name[start..end].iter().collect())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::{fill, matches};

    #[test]
    fn stars_stand_for_any_letters() {
        let stars = |pattern, name| matches(pattern, name);
        assert_eq!(stars("*.conf", "pf.conf"), Some(vec!["pf".to_owned()]));
        assert_eq!(stars("r?-*", "r1-fra"), Some(vec!["fra".to_owned()]));
        assert_eq!(stars("a*b*c", "axbxbc"), Some(vec!["x".to_owned(), "xb".to_owned()]));
        assert_eq!(stars("*", ""), Some(vec![String::new()]));
        assert_eq!(stars("*.conf", "pf.conf.old"), None);
        assert_eq!(stars("pf", "pf"), Some(vec![]));
        assert_eq!(stars("pf", "p"), None);
        for (pattern, name, fits) in [
            ("r[23].conf", "r2.conf", true),
            ("r[23].conf", "r4.conf", false),
            ("r[a-c1-9]", "rb", true),
            ("r[!a-c]", "rb", false),
            ("r[!a-c]", "rd", true),
            ("r[]-]", "r]", true),
            ("r[-]", "r-", true),
            ("r[ab", "r[ab", true),
            ("[é-ü]*", "öl", true),
        ] {
            assert_eq!(stars(pattern, name).is_some(), fits, "{pattern} {name}");
        }
        let many = "*a".repeat(30);
        assert_eq!(stars(&many, &"a".repeat(29)), None, "and soon");
    }

    #[test]
    fn stars_are_carried_over() {
        let stars = ["fra".to_owned(), "core".to_owned()];
        assert_eq!(fill("sites/*/*.policy", &stars), "sites/fra/core.policy");
        assert_eq!(fill("*.policy", &[]), "*.policy");
    }
}
