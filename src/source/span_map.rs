//! [`SpanMap`]: from the expanded text, in which macros are replaced, back to where it was written.

use super::{FileId, Span};

/// A range of bytes of an expanded text. A [`SpanMap`] says where it was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl At {
    /// The smallest range that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// A use of a macro that some text came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through<'a> {
    /// The macro.
    pub name: &'a str,
    /// Where it is used: `$name`.
    pub used: Span,
    /// The part of its definition that became the text.
    pub defined: Span,
}

/// Number of a definition in a [`SpanMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefinitionId(u32);

/// Number of a macro's use in a [`SpanMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UseId(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    File(FileId),
    Use(UseId),
}

/// An [`Origin`] in four bytes: texts have as many stretches as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed(u32);

impl Packed {
    const USE: u32 = 1 << 31;

    fn new(origin: Origin) -> Self {
        match origin {
            Origin::File(file) => Self(file.number()),
            Origin::Use(UseId(number)) => Self(number | Self::USE),
        }
    }

    fn origin(self) -> Origin {
        match self.0 & Self::USE {
            0 => Origin::File(FileId::from_number(self.0)),
            _ => Origin::Use(UseId(self.0 & !Self::USE)),
        }
    }
}

/// From `expanded` on, up to the next segment, byte for byte what `origin` has from `offset` on.
#[derive(Clone, Copy, Debug)]
struct Segment {
    expanded: u32,
    origin: Packed,
    offset: u32,
}

#[derive(Debug)]
struct Definition {
    name: Box<str>,
    /// Offset in the value, and the offset in the expanded text of what stands there; ascending.
    pieces: Vec<(u32, u32)>,
}

/// The way back from an expanded text.
///
/// The text is made of stretches copied from files and of stretches copied from the value of a macro, which is itself
/// made of words that stand earlier in the expanded text, in the macro's definition.
#[derive(Debug, Default)]
pub struct SpanMap {
    segments: Vec<Segment>,
    uses: Vec<(DefinitionId, Span)>,
    definitions: Vec<Definition>,
}

impl SpanMap {
    /// Notes that the text from `expanded` on is what stands in `file` from `offset` on.
    pub fn written(&mut self, expanded: u32, file: FileId, offset: u32) {
        self.push(expanded, Origin::File(file), offset);
    }

    /// Notes that the text from `expanded` on is what the macro's value has from `offset` on.
    pub fn expanded(&mut self, expanded: u32, used: UseId, offset: u32) {
        self.push(expanded, Origin::Use(used), offset);
    }

    fn push(&mut self, expanded: u32, origin: Origin, offset: u32) {
        let origin = Packed::new(origin);
        if let Some(last) = self.segments.last() {
            let goes_on = last.origin == origin
                && u64::from(last.offset) + u64::from(expanded - last.expanded) == u64::from(offset);
            if goes_on {
                return;
            }
        }
        let segment = Segment {
            expanded,
            origin,
            offset,
        };
        match self.segments.last_mut() {
            Some(last) if last.expanded == expanded => *last = segment,
            _ => self.segments.push(segment),
        }
    }

    /// Gives back the memory that was kept for more text.
    pub fn shrink(&mut self) {
        self.segments.shrink_to_fit();
    }

    /// The number of a new definition; `pieces` are the offsets in its value and in the expanded text of its words.
    pub fn define(&mut self, name: &str, pieces: Vec<(u32, u32)>) -> DefinitionId {
        self.definitions.push(Definition {
            name: name.into(),
            pieces,
        });
        DefinitionId(self.definitions.len() as u32 - 1)
    }

    /// The number of a new use of a macro, `$name` at `span`.
    pub fn use_of(&mut self, definition: DefinitionId, span: Span) -> UseId {
        self.uses.push((definition, span));
        UseId(self.uses.len() as u32 - 1)
    }

    /// Where a macro is used.
    #[must_use]
    pub fn used(&self, number: UseId) -> Option<Span> {
        self.uses.get(number.0 as usize).map(|&(_, span)| span)
    }

    /// The place in a file that a range was written at; for text from a macro, the `$name`. `None` for an empty map.
    #[must_use]
    pub fn span(&self, at: At) -> Option<Span> {
        let start = self.byte(at.start)?;
        let end = self.byte(at.end.saturating_sub(1).max(at.start))?;
        Some(start.to(end))
    }

    /// The macros through which the first byte of a range came, the outermost use first.
    #[must_use]
    pub fn through(&self, at: At) -> Vec<Through<'_>> {
        let mut found = Vec::new();
        let mut at = at;
        while let Some(segment) = self.segment(at.start) {
            let Origin::Use(UseId(number)) = segment.origin.origin() else {
                break;
            };
            let Some((id, used)) = self.uses.get(number as usize) else {
                break;
            };
            let Some(definition) = self.definitions.get(id.0 as usize) else {
                break;
            };
            let skipped = at.start - segment.expanded;
            let start = definition.place(segment.offset + skipped);
            let end = definition.place(segment.offset + skipped + (at.end - at.start).saturating_sub(1)) + 1;
            // INVARIANT: a definition stands before its uses, so this ends.
            if start >= at.start {
                break;
            }
            at = At {
                start,
                end: end.max(start),
            };
            let Some(defined) = self.span(at) else {
                break;
            };
            found.push(Through {
                name: &definition.name,
                used: *used,
                defined,
            });
        }
        found
    }

    fn segment(&self, expanded: u32) -> Option<Segment> {
        let next = self.segments.partition_point(|segment| segment.expanded <= expanded);
        self.segments.get(next.saturating_sub(1)).copied()
    }

    fn byte(&self, expanded: u32) -> Option<Span> {
        let segment = self.segment(expanded)?;
        match segment.origin.origin() {
            Origin::File(file) => {
                let start = segment.offset + expanded.saturating_sub(segment.expanded);
                Some(Span {
                    file,
                    start,
                    end: start + 1,
                })
            }
            Origin::Use(number) => self.used(number),
        }
    }
}

impl Definition {
    /// The offset in the expanded text of a byte of the value.
    fn place(&self, offset: u32) -> u32 {
        let next = self.pieces.partition_point(|&(value, _)| value <= offset);
        match self.pieces.get(next.saturating_sub(1)) {
            Some(&(value, expanded)) => expanded + offset.saturating_sub(value),
            None => 0,
        }
    }
}
