//! Names that are nearly the same: for «did you mean».

/// The candidate that is nearest to `name`, if it is near enough to be a slip: at most a third of the letters, and half of
/// the shorter word's, differ (added, left out, replaced, or swapped with the next), or one goes on after the other. Of several
/// the one that begins as `name` does: slips are rare there.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Names longer than this are no slips, and comparing them would take long.
    const LONGEST: usize = 64;
    if name.len() < 2 || name.len() > LONGEST {
        return None;
    }
    let begins_otherwise = |candidate: &str| candidate.chars().next() != name.chars().next();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|&(distance, candidate)| {
            let (shorter, longer) = (name.len().min(candidate.len()), name.len().max(candidate.len()));
            let goes_on = shorter > 3 && (name.starts_with(candidate) || candidate.starts_with(name));
            distance > 0 && distance <= longer.div_ceil(3) && (goes_on || distance * 2 <= shorter)
        })
        .min_by_key(|&(distance, candidate)| (distance, begins_otherwise(candidate)))
        .map(|(_, candidate)| candidate)
}

/// The number of edits that make one word of the other (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(from != to)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_and_nothing_else() {
        let keys = ["addresses", "groups", "peer", "rdomain"];
        assert_eq!(nearest("adresses", keys), Some("addresses"));
        assert_eq!(nearest("gruops", keys), Some("groups"));
        assert_eq!(nearest("via", keys), None);
        assert_eq!(nearest("peer", keys), None, "the same name is no slip");
        assert_eq!(nearest("foo", ["root", "bin"]), None);
        assert_eq!(nearest("echo", ["echoreq", "echorep"]), Some("echoreq"));
        assert_eq!(nearest("x", ["y", "x1"]), None, "too short to be a slip of anything");
        assert_eq!(nearest("htp", ["mtp", "ntp", "http", "ftp"]), Some("http"));
    }
}
