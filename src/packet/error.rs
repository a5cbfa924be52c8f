//! [`PacketError`]: why a text is no packet.

/// Why a text is no packet, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketError(String);

impl PacketError {
    /// An error with that message: lower case, no full stop, the user's text in backticks.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl std::fmt::Display for PacketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PacketError {}
