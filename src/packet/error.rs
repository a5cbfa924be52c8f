//! [`PacketError`]: why a text is no packet.

use std::ops::Range;

/// Why a text is no packet, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketError {
    message: String,
    place: Option<Range<usize>>,
}

impl PacketError {
    /// An error with that message: lower case, no full stop, the user's text in backticks.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: None,
        }
    }

    /// The same error, at those bytes of the text.
    pub(super) fn at(self, place: Range<usize>) -> Self {
        Self {
            place: Some(place),
            ..self
        }
    }

    /// The bytes of a packet's words that do not fit, empty where something is missing; `None` for one in JSON.
    #[must_use]
    pub fn place(&self) -> Option<Range<usize>> {
        self.place.clone()
    }
}

impl From<serde_json::Error> for PacketError {
    fn from(error: serde_json::Error) -> Self {
        // Each packet is on a line of its own: its number is for others to tell.
        Self::new(error.to_string().replace(" at line 1 column ", " at column "))
    }
}

impl std::fmt::Display for PacketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PacketError {}
