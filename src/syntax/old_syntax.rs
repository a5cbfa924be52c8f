//! The spellings of older pfs and of FreeBSD's, and today's.

/// Today's spelling of a statement that is refused at `word`; `before` is what stands before it.
pub(super) fn todays_spelling(statement: &str, before: &str, word: &str) -> Option<&'static str> {
    let first = statement.split(' ').next().unwrap_or("").trim_matches('"');
    let is_rule = matches!(first, "pass" | "block" | "match" | "anchor");
    Some(match first {
        "nat" => "translation is an option of a rule today: `match out on … from … nat-to …`",
        "rdr" => "redirection is an option of a rule today: `pass in on … proto … to … port … rdr-to … port …`",
        "binat" => "translation is an option of a rule today: `match on … from … binat-to …`",
        "nat-anchor" | "rdr-anchor" | "binat-anchor" => "there is one kind of anchor today: `anchor \"…\"`",
        "no" => {
            "an exception from translation is a rule of its own today: `pass quick …` before the rule with `nat-to`"
        }
        "scrub" => {
            "scrub is an option of a rule today: `match in all scrub (no-df random-id max-mss 1440)`; fragments \
                    are reassembled by `set reassemble yes`"
        }
        "altq" => {
            "queues stand alone today: `queue … on … bandwidth 100M`, and `queue … parent … bandwidth 10M default`"
        }
        "ether" => "rules for ethernet frames are FreeBSD's; pf of OpenBSD has none",
        "set" => match word {
            "require-order" => "statements stand in any order today: leave it out",
            "fail-policy" | "keepcounters" | "fragment" => "this option is FreeBSD's; pf of OpenBSD has none like it",
            _ => return None,
        },
        "queue"
            if matches!(
                word,
                "cbq" | "priq" | "hfsc" | "fairq" | "codel" | "on" | "priority" | "realtime" | "("
            ) =>
        {
            "queues are written so today: `queue NAME on IF bandwidth 10M, min 5M, max 20M burst 30M for 100ms default`"
        }
        _ if is_rule => return in_rule(before, statement.get(before.len()..)?, word),
        _ => return None,
    })
}

fn in_rule(before: &str, rest: &str, word: &str) -> Option<&'static str> {
    let route = ["route-to ( ", "reply-to ( ", "dup-to ( "]
        .iter()
        .any(|keyword| before.rfind(keyword).is_some_and(|at| !before[at..].contains(") ")));
    Some(match word {
        _ if route => "the next hop stands alone today, after the hosts: `route-to 192.0.2.1`",
        "no-df" | "random-id" | "min-ttl" | "max-mss" | "reassemble" => {
            "it stands in parentheses: `scrub (no-df random-id min-ttl 64 max-mss 1440 reassemble tcp)`"
        }
        _ if rest.starts_with("- >") || rest.starts_with("->") => {
            "translation is written with `nat-to`, `rdr-to` or `binat-to` today"
        }
        "dnpipe" | "dnqueue" | "ridentifier" | "bridge-to" | "l3" => {
            "this option is FreeBSD's; pf of OpenBSD has none like it"
        }
        _ => return None,
    })
}
