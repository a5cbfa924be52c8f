//! Packets from JSON, one object each, with these keys: `direction` (`in`, `out`, `forward`), `interface`, `af`,
//! `proto`, `src`, `dst`, `sport`, `dport`, `flags`, `icmp_type`, `icmp_code`, `icmp_id`, `tos`, `ttl`, `fragment`
//! (`first`, `later`), `frag_offset`, `ip_id`, `ip_options` (`true`, `"router-alert"`), `ext6`, `target`,
//! `received_on`, `tag`, `prio`, `user`, `group`, `seq`, `ack`, `len`, `embedded`.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use serde::Deserialize;
use serde_json::Value;

use super::error::PacketError;
use super::model::{Embedded, ExtensionHeader, Fragment, Icmp, IpOptions, Packet, Way};
use crate::net::{Family, Protocol, TcpFlags, names};

/// The offset of a later fragment where none is given.
const DEFAULT_FRAGMENT_OFFSET: u16 = 1480;

/// A word or a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum WordOrNumber<'a> {
    Number(u8),
    #[serde(borrow)]
    Word(Cow<'a, str>),
}

/// `true`, `false` or a word.
#[derive(Deserialize)]
#[serde(untagged)]
enum WordOrTruth<'a> {
    Truth(bool),
    #[serde(borrow)]
    Word(Cow<'a, str>),
}

/// A packet as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(borrow)]
    direction: Cow<'a, str>,
    #[serde(borrow)]
    interface: Cow<'a, str>,
    #[serde(borrow)]
    af: Option<Cow<'a, str>>,
    #[serde(borrow)]
    proto: WordOrNumber<'a>,
    src: IpAddr,
    dst: IpAddr,
    sport: Option<u16>,
    dport: Option<u16>,
    #[serde(borrow)]
    flags: Option<Cow<'a, str>>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    icmp_id: Option<u16>,
    tos: Option<u8>,
    ttl: Option<u8>,
    #[serde(borrow)]
    fragment: Option<Cow<'a, str>>,
    frag_offset: Option<u16>,
    ip_id: Option<u32>,
    #[serde(borrow)]
    ip_options: Option<WordOrTruth<'a>>,
    #[serde(borrow)]
    ext6: Option<Cow<'a, str>>,
    target: Option<Ipv6Addr>,
    #[serde(borrow)]
    received_on: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tag: Option<Cow<'a, str>>,
    prio: Option<u8>,
    user: Option<u32>,
    group: Option<u32>,
    seq: Option<u32>,
    ack: Option<u32>,
    len: Option<u16>,
    #[serde(borrow)]
    embedded: Option<WrittenEmbedded<'a>>,
}

/// The packet inside an icmp error as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEmbedded<'a> {
    src: IpAddr,
    dst: IpAddr,
    #[serde(borrow)]
    proto: WordOrNumber<'a>,
    sport: Option<u16>,
    dport: Option<u16>,
    seq: Option<u32>,
    icmp_type: Option<u8>,
    icmp_id: Option<u16>,
}

/// A line of a file of packets.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(default)]
    id: Value,
    #[serde(borrow)]
    packet: Written<'a>,
}

/// The `id` and the `packet` of a line of a file of packets; other keys are left alone.
///
/// # Errors
/// As [`read_json`].
pub fn read_item(line: &str) -> Result<(Value, Packet), PacketError> {
    let item: Item<'_> = serde_json::from_str(line)?;
    Ok((item.id, packet(item.packet)?))
}

/// The packet that a JSON text describes.
///
/// # Errors
/// [`PacketError`], where it is no JSON, lacks a key, has an unknown one, or its values do not fit together.
pub fn read_json(text: &str) -> Result<Packet, PacketError> {
    let written: Written<'_> = serde_json::from_str(text)?;
    packet(written)
}

/// The packet that a JSON value describes.
///
/// # Errors
/// As [`read_json`].
pub fn read_value(value: &Value) -> Result<Packet, PacketError> {
    let written = Written::deserialize(value)?;
    packet(written)
}

fn packet(written: Written<'_>) -> Result<Packet, PacketError> {
    let way = match written.direction.as_ref() {
        "in" => Way::In,
        "out" => Way::Out,
        "forward" => Way::Forward,
        other => {
            return Err(PacketError::new(format!(
                "`direction` is `in`, `out` or `forward`, not `{other}`"
            )));
        }
    };
    let protocol = protocol(&written.proto)?;
    let mut packet = Packet::new(way, written.interface, protocol, written.src, written.dst);
    same_family(written.src, written.dst)?;
    if let Some(family) = written.af.as_deref()
        && family != packet.family.to_string()
    {
        return Err(PacketError::new(format!(
            "`af` is `{family}`, but `dst` is `{}`",
            packet.dst
        )));
    }
    packet.fragment = match written.fragment.as_deref() {
        None => None,
        Some("first") => Some(Fragment::First {
            id: written.ip_id.unwrap_or_default(),
        }),
        Some("later") => Some(Fragment::Later {
            id: written.ip_id.unwrap_or_default(),
            offset: written.frag_offset.unwrap_or(DEFAULT_FRAGMENT_OFFSET),
        }),
        Some(other) => {
            return Err(PacketError::new(format!(
                "`fragment` is `first` or `later`, not `{other}`"
            )));
        }
    };
    packet.sport = written.sport.unwrap_or_default();
    packet.dport = written.dport.unwrap_or_default();
    packet.flags = match written.flags.as_deref() {
        Some(letters) => flags(letters)?,
        None if protocol == Protocol::TCP => TcpFlags::SYN,
        None => TcpFlags(0),
    };
    packet.icmp = icmp(&packet, written.icmp_type, written.icmp_code, written.icmp_id);
    packet.tos = written.tos.unwrap_or_default();
    packet.ttl = written.ttl.unwrap_or(packet.ttl);
    packet.options = match written.ip_options {
        None | Some(WordOrTruth::Truth(false)) => IpOptions::None,
        Some(WordOrTruth::Truth(true)) => IpOptions::Some,
        Some(WordOrTruth::Word(word)) if word == "router-alert" => IpOptions::RouterAlert,
        Some(WordOrTruth::Word(word)) => {
            return Err(PacketError::new(format!(
                "`ip_options` is `true` or `router-alert`, not `{word}`"
            )));
        }
    };
    if let Some(names) = written.ext6.as_deref() {
        packet.extensions = names.split(',').map(extension).collect::<Result<_, _>>()?;
    }
    packet.target = written.target;
    packet.received_on = written.received_on.map(Cow::into_owned);
    packet.tag = written.tag.map(Cow::into_owned);
    packet.prio = written.prio.unwrap_or(Packet::DEFAULT_PRIO);
    packet.user = written.user;
    packet.group = written.group;
    packet.seq = written.seq.unwrap_or_default();
    packet.ack = written.ack.unwrap_or_default();
    packet.len = written.len.unwrap_or_default();
    packet.embedded = written.embedded.map(embedded).transpose()?.map(Box::new);
    Ok(packet)
}

fn same_family(src: IpAddr, dst: IpAddr) -> Result<(), PacketError> {
    if Family::of(src) == Family::of(dst) {
        Ok(())
    } else {
        Err(PacketError::new(format!(
            "`{src}` and `{dst}` are of different families"
        )))
    }
}

fn embedded(written: WrittenEmbedded<'_>) -> Result<Embedded, PacketError> {
    same_family(written.src, written.dst)?;
    Ok(Embedded {
        src: written.src,
        dst: written.dst,
        protocol: protocol(&written.proto)?,
        sport: written.sport,
        dport: written.dport,
        seq: written.seq,
        icmp_type: written.icmp_type,
        icmp_id: written.icmp_id,
    })
}

/// The icmp header of a packet of icmp or icmp6, an echo request where nothing is said; none for other protocols.
pub(super) fn icmp(packet: &Packet, kind: Option<u8>, code: Option<u8>, id: Option<u16>) -> Option<Icmp> {
    let echo_request = match packet.protocol {
        Protocol::ICMP => 8,
        Protocol::ICMP6 => 128,
        _ => return None,
    };
    Some(Icmp {
        kind: kind.unwrap_or(echo_request),
        code: code.unwrap_or_default(),
        id: id.unwrap_or(Packet::DEFAULT_ICMP_ID),
    })
}

fn protocol(written: &WordOrNumber<'_>) -> Result<Protocol, PacketError> {
    match written {
        WordOrNumber::Number(number) => Ok(Protocol(*number)),
        WordOrNumber::Word(word) => protocol_word(word),
    }
}

/// The protocol that a name or a number means.
pub(super) fn protocol_word(word: &str) -> Result<Protocol, PacketError> {
    // The usual ones first: a file may have a million packets.
    match word {
        "tcp" => Ok(Protocol::TCP),
        "udp" => Ok(Protocol::UDP),
        "icmp" => Ok(Protocol::ICMP),
        "icmp6" => Ok(Protocol::ICMP6),
        _ => word
            .parse()
            .map(Protocol)
            .ok()
            .or_else(|| names::protocol(word))
            .ok_or_else(|| PacketError::new(format!("unknown protocol `{word}`"))),
    }
}

/// The flags that letters of `FSRPAUEW` name; `0` is none.
pub(super) fn flags(letters: &str) -> Result<TcpFlags, PacketError> {
    match letters {
        "0" => Ok(TcpFlags(0)),
        _ => TcpFlags::parse(letters)
            .ok_or_else(|| PacketError::new(format!("flags are letters of FSRPAUEW, or 0, not `{letters}`"))),
    }
}

/// The extension header of that name.
pub(super) fn extension(name: &str) -> Result<ExtensionHeader, PacketError> {
    match name.trim() {
        "hop" => Ok(ExtensionHeader::HopByHop),
        "hopra" => Ok(ExtensionHeader::RouterAlert),
        "dst" => Ok(ExtensionHeader::Destination),
        "route0" => Ok(ExtensionHeader::Routing0),
        "route2" => Ok(ExtensionHeader::Routing2),
        "ah" => Ok(ExtensionHeader::Authentication),
        "atomic" => Ok(ExtensionHeader::AtomicFragment),
        other => Err(PacketError::new(format!("unknown extension header `{other}`"))),
    }
}
