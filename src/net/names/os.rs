//! Names of operating systems for `os "…"`: class, version, subtype.

use std::sync::LazyLock;

/// A name and those below it.
type Named<T> = (&'static str, T);
/// A class with its versions, each with its subtypes.
type Class = Named<Vec<Named<Vec<&'static str>>>>;

/// Classes, their versions, the subtypes of those, each in the order in which pfctl searches.
static CLASSES: LazyLock<Vec<Class>> = LazyLock::new(|| {
    let mut classes: Vec<Class> = Vec::new();
    for line in include_str!("os.txt").lines().filter(|line| !line.starts_with('#')) {
        match (line.strip_prefix('\t'), classes.last_mut()) {
            (Some(row), Some((_, versions))) => {
                let mut words = row.split('\t');
                let version = words.next().unwrap_or_default();
                versions.push((version, words.collect()));
            }
            _ => classes.push((line, Vec::new())),
        }
    }
    classes
});

/// The name as pfctl prints it of the fingerprint that `os "…"` asks for (`pfctl_get_fingerprint` and
/// `pfctl_lookup_fingerprint`); `None` for one that is not in pf.os(5).
#[must_use]
pub fn os_fingerprint(written: &str) -> Option<String> {
    if written.eq_ignore_ascii_case("unknown") {
        return Some("unknown".to_owned());
    }
    if let Some((class, _)) = CLASSES.iter().find(|(class, _)| class.eq_ignore_ascii_case(written)) {
        return Some((*class).to_owned());
    }
    let (class, rest) = written.split_once(' ')?;
    let (class, versions) = CLASSES.iter().find(|(known, _)| known.eq_ignore_ascii_case(class))?;
    if let Some((version, _)) = versions.iter().find(|(version, _)| version.eq_ignore_ascii_case(rest)) {
        return Some(format!("{class} {version}"));
    }
    versions.iter().find_map(|(version, subtypes)| {
        let head = rest
            .get(..version.len())
            .filter(|head| head.eq_ignore_ascii_case(version))?;
        let tail = rest[head.len()..].strip_prefix(['.', ' ', '\t', '-'])?;
        let subtype = subtypes.iter().find(|subtype| subtype.eq_ignore_ascii_case(tail))?;
        let joint =
            if !version.contains(' ') && version.contains('.') && subtype.starts_with(|c: char| c.is_ascii_digit()) {
                '.'
            } else {
                ' '
            };
        Some(format!("{class} {version}{joint}{subtype}"))
    })
}
