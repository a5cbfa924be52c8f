//! Patterns of paths: `*` and `?` within a name.

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
            if !part.contains(['*', '?']) {
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

/// What each star of the pattern stands for in the name; `None` where it does not match.
fn matches(pattern: &str, name: &str) -> Option<Vec<String>> {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut in_name) = (0, 0);
    // Where the latest star is, where what it takes begins and ends: only it is ever widened, so this is quadratic.
    let mut spans: Vec<(usize, usize, usize)> = Vec::new();
    while in_name < name.len() || at < pattern.len() {
        match pattern.get(at) {
            Some('*') => {
                spans.push((at, in_name, in_name));
                at += 1;
                continue;
            }
            Some(&letter) if in_name < name.len() && (letter == '?' || letter == name[in_name]) => {
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
