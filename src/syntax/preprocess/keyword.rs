//! The keywords of pf.conf (`lookup` in parse.y).

/// Every keyword, sorted.
const KEYWORDS: [&str; 121] = [
    "af-to",
    "all",
    "allow-opts",
    "anchor",
    "antispoof",
    "any",
    "bandwidth",
    "binat-to",
    "bitmask",
    "block",
    "block-policy",
    "burst",
    "code",
    "debug",
    "default",
    "delay",
    "divert-packet",
    "divert-reply",
    "divert-to",
    "drop",
    "dup-to",
    "file",
    "fingerprints",
    "flags",
    "floating",
    "flows",
    "flush",
    "for",
    "fragment",
    "from",
    "global",
    "group",
    "hostid",
    "icmp-type",
    "icmp6-type",
    "if-bound",
    "in",
    "include",
    "inet",
    "inet6",
    "keep",
    "label",
    "least-states",
    "limit",
    "load",
    "log",
    "loginterface",
    "match",
    "matches",
    "max",
    "max-mss",
    "max-pkt-rate",
    "max-src-conn",
    "max-src-conn-rate",
    "max-src-nodes",
    "max-src-states",
    "min",
    "min-ttl",
    "modulate",
    "nat-to",
    "no",
    "no-df",
    "no-route",
    "no-sync",
    "on",
    "once",
    "optimization",
    "os",
    "out",
    "overload",
    "parent",
    "pass",
    "pflow",
    "port",
    "prio",
    "probability",
    "proto",
    "qlimit",
    "quantum",
    "queue",
    "quick",
    "random",
    "random-id",
    "rdomain",
    "rdr-to",
    "reassemble",
    "received-on",
    "reply-to",
    "return",
    "return-icmp",
    "return-icmp6",
    "return-rst",
    "round-robin",
    "route",
    "route-to",
    "rtable",
    "rule",
    "ruleset-optimization",
    "scrub",
    "set",
    "skip",
    "sloppy",
    "source-hash",
    "source-track",
    "state",
    "state-defaults",
    "state-policy",
    "static-port",
    "sticky-address",
    "syncookies",
    "synproxy",
    "table",
    "tag",
    "tagged",
    "timeout",
    "to",
    "tos",
    "ttl",
    "urpf-failed",
    "user",
    "weight",
];

/// For each letter, where its keywords end in the list.
const ENDS: [usize; 26] = {
    let mut ends = [0; 26];
    let mut letter = 0;
    let mut at = 0;
    while letter < 26 {
        while at < KEYWORDS.len() && KEYWORDS[at].as_bytes()[0] as usize == b'a' as usize + letter {
            at += 1;
        }
        ends[letter] = at;
        letter += 1;
    }
    ends
};

/// The keyword that a word is.
pub(super) fn keyword(word: &str) -> Option<&'static str> {
    let first = word.bytes().next().filter(u8::is_ascii_lowercase)?;
    let letter = usize::from(first - b'a');
    let start = if letter == 0 { 0 } else { ENDS[letter - 1] };
    KEYWORDS
        .get(start..ENDS[letter])?
        .iter()
        .find(|&&keyword| keyword == word)
        .copied()
}

/// Whether a keyword begins a statement that may have a list, and so go on over several lines. None of these stands in
/// a list: at the beginning of a line it ends one that was never closed.
pub(super) fn begins_statement(keyword: &str) -> bool {
    matches!(
        keyword,
        "pass" | "block" | "match" | "anchor" | "set" | "table" | "antispoof" | "queue"
    )
}

/// Whether a list may follow a keyword; a `{` elsewhere in an anchor rule opens the anchor's body.
pub(super) fn takes_list(keyword: &str) -> bool {
    matches!(
        keyword,
        "on" | "proto"
            | "from"
            | "to"
            | "port"
            | "os"
            | "user"
            | "group"
            | "icmp-type"
            | "icmp6-type"
            | "nat-to"
            | "rdr-to"
            | "binat-to"
            | "route-to"
            | "reply-to"
            | "dup-to"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(KEYWORDS.is_sorted());
        assert!(KEYWORDS.iter().all(|word| keyword(word) == Some(word)));
    }
}
