//! Recognizes files that are no pf.conf yet: templates that a tool has still to fill in.

use pfproof::diagnostic::{Code, Diagnostic};
use pfproof::source::{FileId, Span};

/// A template language, and where it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    language: &'static str,
    start: usize,
    end: usize,
}

impl Template {
    /// The diagnostic that names it.
    pub(crate) fn diagnostic(self, file: FileId) -> Diagnostic {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let span = Span {
            file,
            start: place(self.start),
            end: place(self.end),
        };
        Diagnostic::new(
            Code::Syntax,
            format!("this is a template ({}), not a pf.conf yet", self.language),
        )
        .labelled(span, "to be filled in")
        .help("judge the file that the template makes: fill it in as your tool does, then name that file")
    }
}

/// The template that a text is which pfctl cannot read; `None` where nothing tells of one.
///
/// Outside of quotes pf.conf knows no `{%` or `<%`; `{{ … }}` may be a list in a list, but hardly with one word alone.
pub(crate) fn kind(name: &str, bytes: &[u8]) -> Option<Template> {
    let text = String::from_utf8_lossy(bytes);
    let by_name = [
        (".j2", "Jinja"),
        (".jinja", "Jinja"),
        (".jinja2", "Jinja"),
        (".erb", "ERB"),
        (".epp", "Puppet EPP"),
        (".tmpl", "Go template"),
        (".gotmpl", "Go template"),
    ]
    .into_iter()
    .find(|(ending, _)| name.ends_with(ending));
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let code = line.split('#').next().unwrap_or("");
        if let Some((language, start, end)) = in_line(code) {
            let language = by_name.map_or(language, |(_, named)| named);
            return Some(Template {
                language,
                start: at + start,
                end: at + end,
            });
        }
        at += line.len();
    }
    by_name.map(|(_, language)| Template {
        language,
        start: 0,
        end: 0,
    })
}

/// The first mark of a template in a line, from where to where.
fn in_line(line: &str) -> Option<(&'static str, usize, usize)> {
    for (open, close, language) in [("{%", "%}", "Jinja"), ("<%", "%>", "ERB")] {
        if let Some(start) = line.find(open) {
            let end = line[start..]
                .find(close)
                .map_or(line.trim_end().len(), |at| start + at + close.len());
            return Some((language, start, end));
        }
    }
    let mut from = 0;
    while let Some(start) = line[from..].find("{{").map(|at| from + at) {
        let end = line[start..].find("}}").map(|at| start + at)?;
        if let Some(language) = expression(&line[start + 2..end]) {
            return Some((language, start, end + 2));
        }
        from = start + 2;
    }
    None
}

/// The language of one expression between double braces; `None` for a list of hosts.
fn expression(inside: &str) -> Option<&'static str> {
    let inside = inside.trim_matches('-').trim();
    let keyword = |word: &str| inside.split_whitespace().next() == Some(word);
    if inside.starts_with('.')
        || inside.starts_with("$.")
        || ["if", "range", "end", "with", "template", "else"]
            .into_iter()
            .any(keyword)
    {
        return Some("Go template");
    }
    let name: String = inside
        .chars()
        .take_while(|&letter| letter.is_alphanumeric() || letter == '_')
        .collect();
    let rest = inside[name.len()..].trim_start();
    let begins_as_name = name.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
    let is_one = rest.is_empty() || rest.starts_with(['|', '[', '(']) || rest.starts_with('.');
    (begins_as_name && is_one).then_some("Jinja")
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn templates_are_named_and_lists_of_lists_are_not() {
        let language = |name: &str, text: &str| kind(name, text.as_bytes()).map(|template| template.language);
        for (text, expected) in [
            ("ext_if = \"{{ wan_if }}\"\n", Some("Jinja")),
            ("pass in on {{ item.name | default('em0') }}\n", Some("Jinja")),
            ("{% for port in ports %}\npass in\n{% endfor %}\n", Some("Jinja")),
            ("pass in on <%= @interface %>\n", Some("ERB")),
            ("pass in on {{ .Interface }}\n", Some("Go template")),
            ("{{- range .Rules }}\n", Some("Go template")),
            ("pass from { { 10.0.0.1 10.0.0.2 } 10.0.0.3 }\n", None),
            ("pass from {{10.0.0.1 10.0.0.2} 10.0.0.3}\n", None),
            ("pass from {{ 10.0.0.1, 10.0.0.2 }}\n", None),
            ("pass from {{ $a $b }}\n", None),
            ("pass from {{ $lan }}\n", None),
            ("pass in on {{ $.Values.wan }}\n", Some("Go template")),
            ("pass from {{ em0 em1 }}\n", None),
            ("# {{ not here }}\npass\n", None),
            ("table <t> { 10.0.0.1 }\npass from <t>\n", None),
        ] {
            assert_eq!(language("pf.conf", text), expected, "{text}");
        }
        assert_eq!(language("pf.conf.j2", "pass\n"), Some("Jinja"));
        assert_eq!(language("pf.conf.erb", "pass in on {{ x }}\n"), Some("ERB"));
    }
}
