//! References between the packets of a sequence: `"@N.KEY"` stands for what header field KEY of the N-th packet, from
//! 0, had become after its last evaluation.

use serde_json::Value;

use super::error::PacketError;
use super::model::Packet;

/// The fields of a header that a later packet of a sequence may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// `src`.
    Src,
    /// `dst`.
    Dst,
    /// `sport`.
    Sport,
    /// `dport`.
    Dport,
    /// `icmp_id`.
    IcmpId,
    /// `seq`.
    Seq,
    /// `ack`.
    Ack,
}

impl Header {
    fn parse(key: &str) -> Option<Self> {
        match key {
            "src" => Some(Self::Src),
            "dst" => Some(Self::Dst),
            "sport" => Some(Self::Sport),
            "dport" => Some(Self::Dport),
            "icmp_id" => Some(Self::IcmpId),
            "seq" => Some(Self::Seq),
            "ack" => Some(Self::Ack),
            _ => None,
        }
    }

    /// Its value in a packet; `None` for the identifier of a packet that is no icmp.
    #[must_use]
    pub fn of(self, packet: &Packet) -> Option<Value> {
        match self {
            Self::Src => Some(packet.src.to_string().into()),
            Self::Dst => Some(packet.dst.to_string().into()),
            Self::Sport => Some(packet.sport.into()),
            Self::Dport => Some(packet.dport.into()),
            Self::IcmpId => packet.icmp.map(|icmp| icmp.id.into()),
            Self::Seq => Some(packet.seq.into()),
            Self::Ack => Some(packet.ack.into()),
        }
    }
}

/// The packet's value with each `"@N.KEY"` replaced by what `packets[N]` has there; the keys of `embedded` too.
///
/// # Errors
/// [`PacketError`], where there is no such packet or key.
pub fn resolve(value: &Value, packets: &[Packet]) -> Result<Value, PacketError> {
    let Value::Object(object) = value else {
        return Ok(value.clone());
    };
    object
        .iter()
        .map(|(key, value)| {
            let resolved = match value {
                Value::String(text) if text.starts_with('@') => refer(text, packets)?,
                // One level is all that a packet has: its `embedded`.
                Value::Object(inner) if key == "embedded" => Value::Object(
                    inner
                        .iter()
                        .map(|(key, value)| match value {
                            Value::String(text) if text.starts_with('@') => Ok((key.clone(), refer(text, packets)?)),
                            _ => Ok((key.clone(), value.clone())),
                        })
                        .collect::<Result<_, PacketError>>()?,
                ),
                _ => value.clone(),
            };
            Ok((key.clone(), resolved))
        })
        .collect::<Result<_, _>>()
        .map(Value::Object)
}

fn refer(text: &str, packets: &[Packet]) -> Result<Value, PacketError> {
    let value = text
        .strip_prefix('@')
        .and_then(|rest| rest.split_once('.'))
        .and_then(|(number, key)| Some((number.parse::<usize>().ok()?, Header::parse(key)?)))
        .and_then(|(number, key)| key.of(packets.get(number)?));
    value.ok_or_else(|| PacketError::new(format!("`{text}` names no field of an earlier packet")))
}
