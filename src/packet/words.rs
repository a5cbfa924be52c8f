//! pf's words.
use super::error::PacketError;
use super::model::Packet;
/// x
pub fn parse_words(_text: &str) -> Result<Packet, PacketError> {
    Err(PacketError::new("x"))
}
