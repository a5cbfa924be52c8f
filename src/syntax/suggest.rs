//! [`nearest`]: what a misspelt word was probably meant to be.

/// The candidate that differs least from `word`, if the difference is small for a word of that length.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    if letters > 64 {
        return None;
    }
    let most = match letters {
        0..=2 => return None,
        3..=4 => 1,
        5..=7 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= most)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, _)| distance > 0 && distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be inserted, left out, replaced, or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, &x) in a.iter().enumerate() {
        let mut current = vec![row + 1; b.len() + 1];
        for (column, &y) in b.iter().enumerate() {
            let replaced = last[column] + usize::from(x != y);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && x == b[column - 1] && a[row - 1] == y {
                best = best.min(before_last[column - 1] + 1);
            }
            current[column + 1] = best;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_one_or_two_letters_is_seen() {
        let words = ["pass", "block", "port", "proto", "received-on"];
        for (slip, meant) in [
            ("pas", Some("pass")),
            ("blcok", Some("block")),
            ("prot", Some("port")),
            ("recieved-on", Some("received-on")),
            ("frobnicate", None),
            ("x", None),
        ] {
            assert_eq!(nearest(slip, words), meant, "{slip}");
        }
    }
}
