//! The report of `check` for people at a terminal.

use indexmap::{IndexMap, IndexSet};

use super::{Cause, Hop, Report, Router, Row, Statement, Unspoken};
use crate::report::human;
use crate::report::look::{Look, Paint, for_terminal, printable};
use crate::source::Sources;

/// How many packets are shown for one statement where nothing else is asked.
const SHOWN: usize = 3;
/// How many lines of «in all» are shown.
const ALL: usize = 6;
/// What is shorter is said again for each statement.
const LONG: usize = 60;
/// How many reasons are told of one statement.
const REASONS: usize = 8;
/// Of more rules that match on one hop than twice so many, the first and the last are shown.
const ROWS: usize = 6;
/// How many lines of flows that no statement speaks of are shown.
const UNSPOKEN: usize = 3;

/// The whole report.
pub(super) fn render(report: &Report, sources: &[&Sources], look: Look) -> String {
    let mut out = String::new();
    for (at, (router, sources)) in report.routers.iter().zip(sources).enumerate() {
        if at > 0 {
            out.push('\n');
        }
        let folder = router.config.rfind('/').map_or("", |end| &router.config[..=end]);
        let writer = Writer {
            look,
            folder,
            out: &mut out,
            told: Vec::new(),
            shared: Vec::new(),
        };
        writer.router(router, sources);
    }
    for_terminal(out, look)
}

/// A cause that was shown.
struct Seen {
    /// Its way.
    key: String,
    /// What happens on it, and on which conditions.
    says: (String, Vec<String>),
    /// The statement that it was shown for.
    place: String,
}

struct Writer<'a> {
    look: Look,
    /// The folder of pf.conf: places in it are shown without it.
    folder: &'a str,
    out: &'a mut String,
    /// The macros that were told of already.
    told: Vec<String>,
    /// What was said of several statements at once, in the order of its numbers from 1.
    shared: Vec<String>,
}

impl Writer<'_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A place as people say it: without the folder that the head of the report names.
    fn place(&self, file: &str, line: u32) -> String {
        printable(&format!("{}:{line}", file.strip_prefix(self.folder).unwrap_or(file))).into_owned()
    }

    fn router(mut self, router: &Router, sources: &Sources) {
        self.head(router);
        self.shared(router);
        let mut seen: Vec<Seen> = Vec::new();
        for statement in router
            .statements
            .iter()
            .filter(|statement| statement.outcome != "holds")
        {
            self.out.push('\n');
            self.statement(statement, &mut seen);
        }
        if !router.findings.is_empty() {
            self.out.push('\n');
            let drawn = human::diagnostics(&router.findings, sources, self.look);
            self.out.push_str(&drawn);
        }
        if !router.matrix.is_empty() {
            self.out.push('\n');
            for line in &router.matrix {
                let indent = if line.starts_with(' ') { 6 } else { 0 };
                let line = self.look.wrap(&printable(line), indent);
                self.line(&line);
            }
        }
        if let Some(words) = &router.refused {
            let words = self.look.wrap(words, 0);
            self.out.push('\n');
            self.line(&words);
        }
        self.foot(router);
        for fault in &router.faults {
            let fault = self.look.wrap(&format!("pfproof is wrong: {}", printable(fault)), 2);
            self.line(&fault);
        }
    }

    fn head(&mut self, router: &Router) {
        let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        let (lines, rules) = router.size;
        let mut head = format!("{}: {}", router.config, count(lines, "line"));
        if router.refused.is_none() {
            head.push_str(&format!(", {}", count(rules, "rule")));
        }
        let context = router
            .known_from
            .as_deref()
            .map_or_else(String::new, |from| format!("context: {from}"));
        let together = head.chars().count() + 4 + context.chars().count();
        if context.is_empty() || together > self.look.width {
            for line in [head, context].iter().filter(|line| !line.is_empty()) {
                let line = self.look.wrap(&printable(line), 2);
                self.line(&line);
            }
        } else {
            self.line(&printable(&format!("{head}    {context}")));
        }
        for assumed in &router.assumed {
            let assumed = self.look.wrap(&format!("assumed: {}", printable(assumed)), 2);
            self.line(&assumed);
        }
    }

    /// What is to be said of several statements is said before them, once, with a number to refer to.
    fn shared(&mut self, router: &Router) {
        let mut counts: IndexMap<&str, usize> = IndexMap::new();
        for statement in &router.statements {
            let more = statement.more.as_deref().unwrap_or_default();
            let told = self.told_of(&statement.reasons).iter().chain(self.told_of(more));
            let words: IndexSet<&str> = told.map(String::as_str).collect();
            for word in words.into_iter().filter(|word| word.len() > LONG) {
                *counts.entry(word).or_default() += 1;
            }
        }
        counts.retain(|_, count| *count > 1);
        if counts.is_empty() {
            return;
        }
        self.out.push('\n');
        self.line("said of several statements:");
        for (at, (words, count)) in counts.into_iter().enumerate() {
            let number = at + 1;
            let line = format!("  [{number}] {count} statements: {}", printable(words));
            let line = self.look.wrap(&line, 6);
            self.line(&line);
            self.shared.push(words.to_owned());
        }
    }

    /// As many reasons as are told.
    fn told_of<'r>(&self, reasons: &'r [String]) -> &'r [String] {
        match reasons.get(..REASONS) {
            Some(first) if !self.look.verbose => first,
            _ => reasons,
        }
    }

    /// Reasons in lines; those that were said of several statements by their numbers.
    fn reasons(&mut self, reasons: &[String], head: &str) {
        let told = self.told_of(reasons);
        let left = reasons.len() - told.len();
        let number = |reason: &String| Some(self.shared.iter().position(|known| known == reason)? + 1);
        let (known, own): (Vec<&String>, Vec<&String>) = told.iter().partition(|reason| number(reason).is_some());
        let numbers = known.into_iter().filter_map(number).map(|number| format!("[{number}]"));
        let numbers: Vec<String> = numbers.collect();
        let mut lines: Vec<String> = own.into_iter().map(|reason| printable(reason).into_owned()).collect();
        if !numbers.is_empty() {
            lines.push(format!("see {}", numbers.join(", ")));
        }
        for line in lines {
            let line = self.look.wrap(&format!("  {head}{line}"), 4);
            self.line(&line);
        }
        if left > 0 {
            self.line(&format!("  … {left} reasons more (`--verbose` shows all)"));
        }
    }

    fn foot(&mut self, router: &Router) {
        if router.statements.is_empty() {
            return;
        }
        let count = |outcome: &str| router.statements.iter().filter(|one| one.outcome == outcome).count();
        let mut parts = vec![format!("holds {} of {}", count("holds"), router.statements.len())];
        for (outcome, paint) in [
            ("violated", Paint::Bad),
            ("unproven", Paint::Doubtful),
            ("vacuous", Paint::Doubtful),
        ] {
            if count(outcome) > 0 {
                parts.push(self.look.paint(paint, &format!("{outcome} {}", count(outcome))));
            }
        }
        if parts.len() == 1
            && let Some(all) = parts.first_mut()
        {
            *all = self.look.paint(Paint::Good, all);
        }
        let verbs = ["require", "allow", "forbid", "closed"].map(|verb| {
            let count = router.statements.iter().filter(|one| one.verb == verb).count();
            (count > 0).then(|| format!("{verb} {count}"))
        });
        let verbs: Vec<String> = verbs.into_iter().flatten().collect();
        self.out.push('\n');
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).count();
        let (parts, verbs) = (parts.join(", "), verbs.join(" · "));
        let between = if plain(&parts) + 3 + plain(&verbs) > self.look.width {
            "\n  "
        } else {
            "   "
        };
        self.line(&format!("{parts}{between}{verbs}"));
        for line in &router.coverage {
            let line = self.look.wrap(&printable(line), 2);
            self.line(&line);
        }
        if let Some(unspoken) = &router.unspoken {
            self.unspoken(unspoken);
        }
        if router.findings.is_empty() {
            self.line("no findings");
        }
    }

    /// What passes and no statement speaks of, the first of it if not all is wanted.
    fn unspoken(&mut self, Unspoken { packets, more }: &Unspoken) {
        match (packets.as_slice(), more) {
            ([], false) => return self.line("the policy speaks of every flow between hosts that passes"),
            ([], true) => return,
            _ => self.line("the policy says nothing of these flows, which pass:"),
        }
        let shown = if self.look.verbose { packets.len() } else { UNSPOKEN };
        for line in packets.iter().take(shown) {
            let line = self.look.wrap(&format!("  {}", printable(line)), 6);
            self.line(&line);
        }
        match packets.len().saturating_sub(shown) {
            0 if *more => self.line("  and perhaps more"),
            0 => {}
            left => self.line(&format!("  … ({left} more with --verbose)")),
        }
    }

    fn statement(&mut self, statement: &Statement, seen: &mut Vec<Seen>) {
        let paint = match statement.outcome {
            "violated" => Paint::Bad,
            _ => Paint::Doubtful,
        };
        let (file, line, _) = &statement.place;
        let place = self.place(file, *line);
        let text = printable(&statement.text);
        self.ended(
            &format!("{}: {text}", statement.outcome),
            &place,
            2,
            |look, words| match words.strip_prefix(statement.outcome) {
                Some(rest) => format!(
                    "{}{}",
                    look.paint(paint, statement.outcome),
                    look.paint(Paint::Strong, rest)
                ),
                None => look.paint(Paint::Strong, words),
            },
        );
        self.reasons(&statement.reasons, "");
        self.causes(statement, &place, seen);
        if let Some(repair) = &statement.repair {
            self.line("  repair (checked: this statement holds, no other breaks):");
            let (file, line) = &repair.after;
            let after = if *line == 0 {
                format!("before {}", self.place(file, 1))
            } else {
                format!("after {}", self.place(file, *line))
            };
            for (at, rule) in repair.rules.iter().enumerate() {
                let place = if at == 0 { after.as_str() } else { "" };
                self.ended(&format!("    + {}", printable(rule)), place, 6, |look, words| {
                    look.paint(Paint::Good, words)
                });
            }
        }
    }

    /// One packet for each kind of cause, then all packets in few words. A way that was shown before is named by its
    /// place; where what happens on it, or its conditions, are others, the packet is shown too.
    fn causes(&mut self, statement: &Statement, place: &str, seen: &mut Vec<Seen>) {
        let mut kinds: Vec<&str> = Vec::new();
        let mut before: Option<String> = None;
        for cause in &statement.causes {
            let way = seen.iter().find(|seen| seen.key == cause.key);
            // Of what simply gets through nothing is lost.
            let same = seen.iter().find(|seen| {
                let (says, choices) = &seen.says;
                seen.key == cause.key && *choices == cause.choices && (*says == cause.says || cause.says.is_empty())
            });
            if let Some(same) = same {
                before.get_or_insert_with(|| same.place.clone());
                if !self.look.verbose {
                    continue;
                }
            }
            if !self.look.verbose && (kinds.contains(&cause.kind.as_str()) || kinds.len() >= SHOWN) {
                continue;
            }
            match way.filter(|_| !self.look.verbose).map(|way| way.place.clone()) {
                Some(elsewhere) => {
                    self.cause_head(cause);
                    let which = if elsewhere == place {
                        "above".to_owned()
                    } else {
                        format!("at {elsewhere}")
                    };
                    self.line(&format!("    by the rules that are shown {which}"));
                }
                None => self.cause(cause),
            }
            kinds.push(&cause.kind);
            seen.push(Seen {
                key: cause.key.clone(),
                says: (cause.says.clone(), cause.choices.clone()),
                place: place.to_owned(),
            });
        }
        if let (true, Some(before)) = (kinds.is_empty(), before) {
            self.line(&format!("  by the rules that are shown at {before}"));
        }
        let most = if self.look.verbose {
            statement.packets.len()
        } else {
            ALL
        };
        for (at, line) in statement.packets.iter().take(most).enumerate() {
            let head = if at == 0 { "  in all: " } else { "          " };
            let line = self.look.wrap(&format!("{head}{}", printable(line)), head.len() + 2);
            self.line(&line);
        }
        let rest = statement.packets.len().saturating_sub(most);
        if rest > 0 {
            self.line(&format!("          … {rest} more (`--verbose` shows all)"));
        }
        self.reasons(statement.more.as_deref().unwrap_or_default(), "and more: ");
    }

    /// The packet, what happens, on which conditions.
    fn cause_head(&mut self, cause: &Cause) {
        let packet = printable(&cause.packet).into_owned();
        let words = if cause.says.is_empty() {
            format!("  {packet}")
        } else {
            format!("  {packet}  {}", cause.says)
        };
        let words = self.look.wrap(&words, 4);
        let painted = match words.strip_prefix(&format!("  {packet}")) {
            Some(rest) => format!("  {}{rest}", self.look.paint(Paint::Strong, &packet)),
            None => words,
        };
        self.line(&painted);
        for choice in &cause.choices {
            let choice = self.look.wrap(&format!("    {}", printable(choice)), 6);
            self.line(&choice);
        }
    }

    fn cause(&mut self, cause: &Cause) {
        self.cause_head(cause);
        let width = cause.hops.iter().map(|hop| match hop {
            Hop::Rules { interface, .. } => interface.len(),
            Hop::Route(_) | Hop::Reply(_) | Hop::Next(_) => 0,
        });
        let width = width.max().unwrap_or(0).max(5);
        for hop in &cause.hops {
            self.hop(hop, width);
        }
        if let Some(end) = &cause.end {
            self.line(&format!("    {:width$}{}", "", printable(end), width = width + 7));
        }
    }

    fn hop(&mut self, hop: &Hop, width: usize) {
        match hop {
            Hop::Route(route) => self.line(&format!("    {:<w$}{}", "route", printable(route), w = width + 7)),
            Hop::Next(packet) => self.line(&format!("    {:<w$}{}", "then", printable(packet), w = width + 7)),
            Hop::Reply(packet) => self.line(&format!("    {:<w$}{}", "reply", printable(packet), w = width + 7)),
            Hop::Rules {
                direction,
                interface,
                rows,
                outcome,
                translated,
            } => {
                let interface = printable(interface);
                let mut head = format!("    {direction:<4} {interface:<width$}  ");
                let blank = " ".repeat(head.chars().count());
                let left_out = match self.look.verbose || rows.len() <= 2 * ROWS {
                    true => 0..0,
                    false => ROWS..rows.len() - ROWS,
                };
                let is_shown = |at: usize, row: &Row| !left_out.contains(&at) || row.decides;
                let hidden = (0..).zip(rows).filter(|&(at, row)| !is_shown(at, row)).count();
                for (at, row) in rows.iter().enumerate() {
                    if at == left_out.start && hidden > 0 {
                        self.line(&format!("{blank}… {hidden} more that match (`--verbose` shows all)"));
                    }
                    if is_shown(at, row) {
                        self.row(&head, row);
                        head.clone_from(&blank);
                    }
                }
                if let Some(words) = outcome {
                    let words = self.look.wrap(&format!("{head}{}", printable(words)), blank.len() + 2);
                    self.line(&words);
                    head.clone_from(&blank);
                }
                if let Some(words) = translated {
                    let words = self
                        .look
                        .wrap(&format!("{head}becomes {}", printable(words)), blank.len() + 2);
                    self.line(&words);
                }
            }
        }
    }

    /// A rule that matched: all of it, on as many lines as it takes, its place at the end of the first.
    fn row(&mut self, head: &str, row: &Row) {
        let (file, line) = &row.place;
        let place = self.place(file, *line);
        let decides = if row.decides { "  decides" } else { "" };
        let words = format!("{}  {}{decides}", row.number, printable(&row.text));
        let paint = if row.decides { Paint::Strong } else { Paint::Faint };
        let column = head.chars().count();
        let room = self
            .look
            .width
            .saturating_sub(column + place.chars().count() + 2)
            .max(20);
        let narrow = Look {
            width: room,
            ..self.look
        };
        let wrapped = narrow.wrap(&words, row.number.len() + 2);
        for (at, words) in wrapped.lines().enumerate() {
            if at == 0 {
                let gap = " ".repeat(room.saturating_sub(words.chars().count()) + 2);
                let place = self.look.paint(Paint::Note, &place);
                let words = words.trim_end();
                self.line(&format!("{head}{}{gap}{place}", self.look.paint(paint, words)));
            } else {
                self.line(&format!("{:column$}{}", "", self.look.paint(paint, words.trim_end())));
            }
        }
        if row.decides {
            let told = &self.told;
            let new = row
                .macros
                .iter()
                .filter(|&known| self.look.verbose || !told.contains(known));
            let new: Vec<String> = new.cloned().collect();
            if !new.is_empty() {
                let indent = column + row.number.len() + 2;
                let words = format!("{:indent$}through {}", "", printable(&new.join(", ")));
                let words = self.look.wrap(&words, indent + 2);
                self.line(&self.look.paint(Paint::Faint, &words));
                self.told.extend(new);
            }
        }
    }

    /// A line with a place at its right end; on a line of its own where both do not fit.
    fn ended(&mut self, words: &str, place: &str, indent: usize, paint: impl Fn(&Look, &str) -> String) {
        let wrapped = self.look.wrap(words, indent);
        let last = wrapped.lines().last().map_or(0, |line| line.chars().count());
        let lines: Vec<String> = wrapped
            .lines()
            .enumerate()
            .map(|(at, line)| {
                if at == 0 {
                    paint(&self.look, line)
                } else {
                    line.to_owned()
                }
            })
            .collect();
        let text = lines.join("\n");
        let length = place.chars().count();
        let place = self.look.paint(Paint::Note, place);
        if length == 0 {
            self.line(&text);
        } else if last + 2 + length <= self.look.width {
            let gap = " ".repeat(self.look.width - last - length);
            self.line(&format!("{text}{gap}{place}"));
        } else {
            let gap = " ".repeat(self.look.width.saturating_sub(length));
            self.line(&format!("{text}\n{gap}{place}"));
        }
    }
}
