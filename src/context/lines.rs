//! Texts as lines and words, each with its place.

use super::facts::Said;
use crate::source::{FileId, Sources, Span};

/// One line of a text, without its newline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'t> {
    file: FileId,
    start: u32,
    /// Its text.
    pub(super) text: &'t str,
}

/// The lines of a text.
pub(super) fn lines(sources: &Sources, file: FileId) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    sources.file(file).text().split_inclusive('\n').map(move |line| {
        let this = Line {
            file,
            start,
            text: line.trim_end_matches(['\n', '\r']),
        };
        start = start.saturating_add(u32::try_from(line.len()).unwrap_or(u32::MAX));
        this
    })
}

/// The lines of a text as read(1) of the shell takes them: one that ends in `\` goes on in the next.
pub(super) fn continued_lines(sources: &Sources, file: FileId) -> impl Iterator<Item = Line<'_>> {
    let text = sources.file(file).text();
    let mut physical = lines(sources, file);
    std::iter::from_fn(move || {
        let first = physical.next()?;
        let mut last = first;
        while last.text.ends_with('\\')
            && let Some(next) = physical.next()
        {
            last = next;
        }
        let end = last.start as usize + last.text.len();
        let text = text.get(first.start as usize..end).unwrap_or(first.text);
        Some(Line { text, ..first })
    })
}

impl Line<'_> {
    /// The place of the whole line without the blanks around it.
    pub(super) fn span(&self) -> Span {
        let lead = self.text.len() - self.text.trim_start().len();
        self.place(lead, self.text.trim_end().len().max(lead))
    }

    fn place(&self, from: usize, to: usize) -> Span {
        let at = |offset: usize| self.start.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX));
        Span {
            file: self.file,
            start: at(from),
            end: at(to),
        }
    }

    /// The words between blanks, whatever they are.
    pub(super) fn fields(&self) -> Vec<Said<String>> {
        let mut fields = Vec::new();
        let mut start = None;
        for (at, letter) in self.text.char_indices().chain([(self.text.len(), ' ')]) {
            match (letter.is_whitespace(), start) {
                (true, Some(from)) => {
                    fields.push(Said::new(self.text[from..at].to_owned(), self.place(from, at)));
                    start = None;
                }
                (false, None) => start = Some(at),
                (true, None) | (false, Some(_)) => {}
            }
        }
        fields
    }

    /// The words before a `#`.
    pub(super) fn uncommented(&self) -> Vec<Said<String>> {
        let code = self.text.split('#').next().unwrap_or("");
        Line { text: code, ..*self }.fields()
    }

    /// The words as the shell takes them: quotes taken off, `\` before a letter dropped and with a newline after it, a
    /// word that begins with `#` and all after it left out.
    pub(super) fn shell_words(&self) -> Vec<Said<String>> {
        let mut words = Vec::new();
        let mut letters = self.text.char_indices().peekable();
        while let Some(&(start, first)) = letters.peek() {
            if self.text[start..].starts_with("\\\n") {
                letters.nth(1);
                continue;
            }
            if first.is_whitespace() {
                letters.next();
                continue;
            }
            if first == '#' {
                break;
            }
            let mut word = String::new();
            let mut quote = None;
            let mut end = self.text.len();
            while let Some(&(at, letter)) = letters.peek() {
                if quote.is_none() && letter.is_whitespace() {
                    end = at;
                    break;
                }
                letters.next();
                match (letter, quote) {
                    ('"' | '\'', None) => quote = Some(letter),
                    (_, Some(open)) if letter == open => quote = None,
                    ('\\', None | Some('"')) => {
                        word.extend(
                            letters
                                .next()
                                .map(|(_, letter)| letter)
                                .filter(|&letter| letter != '\n'),
                        );
                    }
                    _ => word.push(letter),
                }
            }
            words.push(Said::new(word, self.place(start, end)));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_shells() {
        let mut sources = Sources::new();
        let file = sources.add("x", "  descr \"Bob's up link\" a\\ b 'c d'e # f\n!route -ifp \\$if\n");
        let read: Vec<Vec<String>> = lines(&sources, file)
            .map(|line| line.shell_words().into_iter().map(|word| word.value).collect())
            .collect();
        assert_eq!(
            read,
            [
                vec!["descr", "Bob's up link", "a b", "c de"],
                vec!["!route", "-ifp", "$if"]
            ]
        );
        let spans: Vec<&str> = lines(&sources, file)
            .next()
            .into_iter()
            .flat_map(|line| line.shell_words())
            .map(|word| sources.text(word.span))
            .collect();
        assert_eq!(spans, ["descr", "\"Bob's up link\"", "a\\ b", "'c d'e"]);
    }

    #[test]
    fn a_line_that_ends_in_a_backslash_goes_on() {
        let mut sources = Sources::new();
        let file = sources.add("x", "inet 10.0.0.1 \\\n\t255.255.\\\n255.0\n# a \\\ninet\nup\\");
        let read: Vec<Vec<String>> = continued_lines(&sources, file)
            .map(|line| line.shell_words().into_iter().map(|word| word.value).collect())
            .collect();
        assert_eq!(read, [vec!["inet", "10.0.0.1", "255.255.255.0"], vec![], vec!["up"]]);
    }
}
