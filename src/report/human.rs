//! Findings for people at a terminal: the message, the lines with what is wrong marked, the help. Drawn by miette.

use std::borrow::Cow;
use std::fmt::Write;

use indexmap::IndexMap;
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents, ThemeCharacters, ThemeStyles,
};

use super::look::{Look, Paint, for_terminal, printable};
use super::severity_word;
use crate::diagnostic::{Code, Diagnostic, Label, Severity};
use crate::source::{FileId, SourceFile, Sources, Span};

/// How many findings are drawn; the rest is counted.
const MOST: usize = 50;
/// How many of one kind are, where they are no errors.
const MOST_ALIKE: usize = 3;
/// How many lines are named of what is not drawn.
const MOST_LINES: usize = 12;
/// Lines longer than this many bytes are not drawn, only named by their place.
const LONGEST_LINE: u32 = 500;
/// So many letters are shown of what is wrong in such a line.
const MOST_LETTERS: usize = 40;

/// The findings, drawn one after the other with an empty line between; of those of one kind that are no errors only some,
/// past the fiftieth none: they are counted.
#[must_use]
pub fn diagnostics(findings: &[Diagnostic], sources: &Sources, look: Look) -> String {
    let mut shown: Vec<&Diagnostic> = Vec::new();
    let mut folded: IndexMap<(Severity, Code), Vec<&Diagnostic>> = IndexMap::new();
    for finding in findings {
        let kind = (finding.severity, finding.code);
        let alike = shown
            .iter()
            .filter(|known| (known.severity, known.code) == kind)
            .count();
        let many = alike >= MOST_ALIKE && finding.severity != Severity::Error || shown.len() >= MOST;
        match folded.get_mut(&kind) {
            _ if look.verbose || !many => shown.push(finding),
            Some(rest) => rest.push(finding),
            None => drop(folded.insert(kind, vec![finding])),
        }
    }
    let mut drawn: Vec<String> = shown.iter().map(|finding| diagnostic(finding, sources, look)).collect();
    drawn.extend(folded.iter().map(|(kind, rest)| match rest.as_slice() {
        // As short as what would be said of it.
        [only] if shown.len() < MOST => diagnostic(only, sources, look),
        several => more(*kind, several, sources, look),
    }));
    let out = drawn.join("\n");
    for_terminal(out, look)
}

/// A line for findings that are not drawn: how many there are, and where.
fn more((severity, code): (Severity, Code), findings: &[&Diagnostic], sources: &Sources, look: Look) -> String {
    let word = severity_word(severity);
    let places = findings.iter().filter_map(|finding| finding.primary.as_ref());
    let mut lines: IndexMap<&str, Vec<String>> = IndexMap::new();
    for at in places.map(|label| sources.location(label.span)) {
        lines.entry(at.name).or_default().push(at.line.to_string());
    }
    let files = lines.into_iter().map(|(name, mut lines)| {
        lines.dedup();
        let rest = lines.len().saturating_sub(MOST_LINES);
        lines.truncate(MOST_LINES);
        let rest = if rest > 0 {
            format!(" and {rest} more")
        } else {
            String::new()
        };
        format!("{}:{}{rest}", printable(name), lines.join(" "))
    });
    let files: Vec<String> = files.collect();
    let count = findings.len();
    let words = format!(
        "{word}: {count} more like it ({code}; `--verbose` shows all): {}",
        files.join(", ")
    );
    let words = look.wrap(words.trim_end_matches([':', ' ']), 2);
    let rest = words.get(word.len()..).unwrap_or("");
    format!("{}{rest}\n", look.paint(Paint::of(severity), word))
}

/// One finding, drawn.
#[must_use]
pub fn diagnostic(finding: &Diagnostic, sources: &Sources, look: Look) -> String {
    let word = severity_word(finding.severity);
    let message = look.wrap(&format!("{word}: {}", printable(&finding.message)), 2);
    let paint = Paint::of(finding.severity);
    let mut out = format!(
        "{}{}\n",
        look.paint(paint, word),
        look.paint(Paint::Strong, message.get(word.len()..).unwrap_or(""))
    );
    // The primary place comes first, with what lies on the same line; each other line has a drawing of its own.
    let mut groups: Vec<((FileId, u32), Vec<&Label>)> = Vec::new();
    for label in finding.primary.iter().chain(&finding.related) {
        let line = (label.span.file, sources.file(label.span.file).line_of(label.span.start));
        match groups.iter_mut().find(|(at, _)| *at == line) {
            Some((_, group)) => group.push(label),
            None => groups.push((line, vec![label])),
        }
    }
    let statements = finding.primary.iter().chain(&finding.related);
    if statements
        .clone()
        .all(|label| is_whole(sources.file(label.span.file), label))
    {
        // A line under a whole statement would point at nothing.
        let mut told: IndexMap<Span, Vec<&Label>> = IndexMap::new();
        statements.for_each(|label| told.entry(label.span).or_default().push(label));
        for labels in told.values() {
            out.push_str(&statement(sources, labels, look));
        }
    } else {
        for ((file, _), group) in groups {
            out.push_str(&snippet(sources.file(file), &group, finding.primary.as_ref(), look));
        }
    }
    if let Some(help) = &finding.help {
        for line in printable(help).lines() {
            let line = look.wrap(&format!("  help: {line}"), 8);
            out.push_str("  ");
            out.push_str(&look.paint(Paint::Note, "help:"));
            out.push_str(line.get("  help:".len()..).unwrap_or(""));
            out.push('\n');
        }
    }
    out
}

/// Whether a label is about all that stands on its lines.
fn is_whole(file: &SourceFile, label: &Label) -> bool {
    let (first, last) = lines_of(file, label.span.start, label.span.end);
    let text = file.text();
    let before = text.get(file.line_start(first) as usize..label.span.start as usize);
    let behind = text.get(label.span.end as usize..file.line_start(last + 1) as usize);
    let blank = |part: Option<&str>| part.is_some_and(|part| part.split('#').next().unwrap_or("").trim().is_empty());
    label.span.start < label.span.end && blank(before) && blank(behind)
}

/// A whole statement: its place, its text in as many lines as it takes, what the labels say of it.
fn statement(sources: &Sources, labels: &[&Label], look: Look) -> String {
    let Some(first) = labels.first() else {
        return String::new();
    };
    let at = sources.location(first.span);
    let place = look.paint(Paint::Note, &format!("{}:{}", at.name, at.line));
    let text = sources.text(first.span).lines().map(|line| line.trim_end_matches('\\'));
    let words: Vec<&str> = text.flat_map(str::split_whitespace).collect();
    let text = words.join(" ");
    let shown = text
        .char_indices()
        .nth(LONGEST_LINE as usize)
        .map_or(&*text, |(end, _)| &text[..end]);
    let mut out = format!("  {place}\n{}\n", look.wrap(&format!("    {}", printable(shown)), 6));
    for label in labels.iter().filter(|label| !label.text.is_empty()) {
        let said = look.wrap(&format!("    {}", printable(&label.text)), 6);
        out.push_str(&look.paint(Paint::Faint, &said));
        out.push('\n');
    }
    out
}

/// The lines of one file with their labels.
fn snippet(file: &SourceFile, labels: &[&Label], primary: Option<&Label>, look: Look) -> String {
    let drawable = |label: &&&Label| {
        let (first, last) = lines_of(file, label.span.start, label.span.end);
        file.line_start(last + 1) - file.line_start(first) <= LONGEST_LINE
    };
    let (drawn, named): (Vec<&Label>, Vec<&Label>) = labels.iter().partition(drawable);
    let mut out = String::new();
    if !drawn.is_empty() {
        let view = View {
            file: File {
                file,
                text: printable(file.text()),
            },
            labels: drawn.iter().map(|label| labelled(label, primary)).collect(),
        };
        let mut text = String::new();
        // Writing to a String cannot fail, and a label that miette refuses is shown by its message alone.
        if handler(look).render_report(&mut text, &view).is_ok() {
            // The first line is miette's own heading, which is empty here.
            let body = text.split_once('\n').map_or("", |(_, body)| body);
            for line in body.lines() {
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
    }
    for label in named {
        let line = file.line_of(label.span.start);
        let part = |start: u32, end: u32| file.text().get(start as usize..end as usize).unwrap_or("");
        let column = part(file.line_start(line), label.span.start).chars().count() + 1;
        let words: String = part(label.span.start, label.span.end)
            .chars()
            .take(MOST_LETTERS)
            .collect();
        let colon = if label.text.is_empty() { "" } else { ": " };
        let place = format!("{}:{line}:{column}", printable(file.name()));
        let _ = writeln!(
            out,
            "  [{place}] `{}`{colon}{}",
            printable(&words),
            printable(&label.text)
        );
    }
    out
}

fn lines_of(file: &SourceFile, start: u32, end: u32) -> (u32, u32) {
    (file.line_of(start), file.line_of(end.max(start + 1) - 1))
}

fn labelled(label: &Label, primary: Option<&Label>) -> LabeledSpan {
    let text = (!label.text.is_empty()).then(|| printable(&label.text).into_owned());
    let (start, end) = (label.span.start as usize, label.span.end as usize);
    let span = SourceSpan::from((start, end.saturating_sub(start)));
    if Some(label) == primary {
        LabeledSpan::new_primary_with_span(text, span)
    } else {
        LabeledSpan::new_with_span(text, span)
    }
}

fn handler(look: Look) -> GraphicalReportHandler {
    let mut characters = if look.unicode {
        ThemeCharacters::unicode()
    } else {
        ThemeCharacters::ascii()
    };
    for mark in [&mut characters.error, &mut characters.warning, &mut characters.advice] {
        mark.clear();
    }
    let styles = if look.color {
        ThemeStyles::ansi()
    } else {
        ThemeStyles::none()
    };
    GraphicalReportHandler::new_themed(GraphicalTheme { characters, styles })
        .with_width(look.width)
        .with_context_lines(0)
        .with_links(false)
        .without_syntax_highlighting()
}

/// What miette draws: labels on one file. Message and help are written here, not by miette.
#[derive(Debug)]
struct View<'a> {
    file: File<'a>,
    labels: Vec<LabeledSpan>,
}

impl std::fmt::Display for View<'_> {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

impl std::error::Error for View<'_> {}

impl miette::Diagnostic for View<'_> {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.file)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// Whole lines of a text, found by its line starts (miette's own search reads the text from its beginning each time).
#[derive(Debug)]
struct File<'a> {
    file: &'a SourceFile,
    /// Its text, of the same bytes but for those that a terminal would take for orders.
    text: Cow<'a, str>,
}

impl SourceCode for File<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let file = self.file;
        let start = u32::try_from(span.offset()).map_err(|_| MietteError::OutOfBounds)?;
        let end = u32::try_from(span.offset() + span.len()).map_err(|_| MietteError::OutOfBounds)?;
        let (first, last) = lines_of(file, start, end);
        let first_shown = first.saturating_sub(before as u32).max(1);
        let from = file.line_start(first_shown) as usize;
        let to = file.line_start(last.saturating_add(after as u32).saturating_add(1)) as usize;
        let data = self.text.get(from..to).ok_or(MietteError::OutOfBounds)?;
        let ahead = file
            .text()
            .get(file.line_start(first) as usize..span.offset())
            .unwrap_or("");
        Ok(Box::new(MietteSpanContents::new_named(
            printable(file.name()).into_owned(),
            data.as_bytes(),
            SourceSpan::from((from, to - from)),
            first_shown as usize - 1,
            ahead.chars().count(),
            (last - first) as usize,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::{Diagnostic, Look, Sources, diagnostics};
    use crate::diagnostic::Code;
    use crate::source::Span;

    fn example() -> (Sources, Diagnostic) {
        let mut sources = Sources::new();
        let text = "# lab\nlab = \"em1\"\npass in on $lab from any to any port https\n";
        let file = sources.add("pf.conf", text);
        let span = |needle: &str| {
            let start = text.find(needle).unwrap() as u32;
            Span {
                file,
                start,
                end: start + needle.len() as u32,
            }
        };
        let finding = Diagnostic::new(Code::Syntax, "port only applies to tcp/udp")
            .labelled(span("port https"), "no `proto` before it")
            .related(span("lab = \"em1\""), "macro `lab` is defined here")
            .help("pass in on $lab proto tcp from …");
        (sources, finding)
    }

    #[test]
    fn draws_line_and_label() {
        let (sources, finding) = example();
        let text = diagnostics(&[finding], &sources, Look::default());
        let expected = "\
error: port only applies to tcp/udp
   ╭─[pf.conf:3:33]
 3 │ pass in on $lab from any to any port https
   ·                                 ─────┬────
   ·                                      ╰── no `proto` before it
   ╰────
   ╭─[pf.conf:2:1]
 2 │ lab = \"em1\"
   · ─────┬─────
   ·      ╰── macro `lab` is defined here
   ╰────
  help: pass in on $lab proto tcp from …
";
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn ends_of_text_are_no_trouble() {
        for (text, start, end) in [("", 0, 0), ("a", 1, 1), ("a\n", 2, 2), ("a\n", 1, 2), ("é", 0, 2)] {
            let mut sources = Sources::new();
            let file = sources.add("x", text);
            let finding = Diagnostic::new(Code::Syntax, "syntax error").labelled(Span { file, start, end }, "here");
            let drawn = diagnostics(&[finding], &sources, Look::default());
            assert!(drawn.starts_with("error: syntax error\n"), "{text:?}: {drawn}");
            assert!(drawn.contains("x:"), "{text:?}: {drawn}");
        }
    }
}
