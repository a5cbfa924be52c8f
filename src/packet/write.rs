//! Packets as JSON, with the keys that [`read_json`](super::read_json) reads; what is usual is left out.

use serde_json::{Map, Value};

use super::model::{Embedded, ExtensionHeader, Fragment, IpOptions, Packet, Way};
use crate::net::{Protocol, names};

/// The JSON object that [`read_json`](super::read_json) reads as this packet.
#[must_use]
pub fn write_json(packet: &Packet) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    put("direction", way(packet.way).into());
    put("interface", packet.interface.as_str().into());
    put("af", packet.family.to_string().into());
    put("proto", protocol(packet.protocol));
    put("src", packet.src.to_string().into());
    put("dst", packet.dst.to_string().into());
    if packet.protocol.has_ports() && !matches!(packet.fragment, Some(Fragment::Later { .. })) {
        put("sport", packet.sport.into());
        put("dport", packet.dport.into());
    }
    if packet.protocol == Protocol::TCP {
        put("flags", flags(packet).into());
    }
    if let Some(icmp) = packet.icmp {
        put("icmp_type", icmp.kind.into());
        put("icmp_code", icmp.code.into());
        if icmp.id != Packet::DEFAULT_ICMP_ID {
            put("icmp_id", icmp.id.into());
        }
    }
    if packet.tos != 0 {
        put("tos", packet.tos.into());
    }
    if packet.ttl != 64 {
        put("ttl", packet.ttl.into());
    }
    match packet.fragment {
        None => {}
        Some(Fragment::First { id }) => {
            put("fragment", "first".into());
            put("ip_id", id.into());
        }
        Some(Fragment::Later { id, offset }) => {
            put("fragment", "later".into());
            put("frag_offset", offset.into());
            put("ip_id", id.into());
        }
    }
    match packet.options {
        IpOptions::None => {}
        IpOptions::Some => put("ip_options", true.into()),
        IpOptions::RouterAlert => put("ip_options", "router-alert".into()),
    }
    if !packet.extensions.is_empty() {
        let names: Vec<_> = packet.extensions.iter().map(|&header| extension(header)).collect();
        put("ext6", names.join(",").into());
    }
    if let Some(target) = packet.target {
        put("target", target.to_string().into());
    }
    if let Some(received_on) = &packet.received_on {
        put("received_on", received_on.as_str().into());
    }
    if let Some(tag) = &packet.tag {
        put("tag", tag.as_str().into());
    }
    if packet.prio != Packet::DEFAULT_PRIO {
        put("prio", packet.prio.into());
    }
    for (key, value) in [("user", packet.user), ("group", packet.group)] {
        if let Some(value) = value {
            put(key, value.into());
        }
    }
    for (key, value) in [("seq", packet.seq), ("ack", packet.ack), ("len", packet.len.into())] {
        if value != 0 {
            put(key, value.into());
        }
    }
    if let Some(embedded) = &packet.embedded {
        put("embedded", write_embedded(embedded));
    }
    Value::Object(object)
}

/// The word of `direction`.
fn way(way: Way) -> &'static str {
    match way {
        Way::In => "in",
        Way::Out => "out",
        Way::Forward => "forward",
    }
}

/// The flags as letters, `0` for none.
pub(super) fn flags(packet: &Packet) -> String {
    if packet.flags.0 == 0 {
        "0".to_owned()
    } else {
        packet.flags.to_string()
    }
}

/// The name of a protocol, or its number.
fn protocol(protocol: Protocol) -> Value {
    match (protocol, names::protocol_name(protocol)) {
        (Protocol::ICMP6, _) => "icmp6".into(),
        (_, Some(name)) => name.into(),
        (_, None) => protocol.0.into(),
    }
}

/// The word of an extension header in `ext6`.
pub(super) fn extension(header: ExtensionHeader) -> &'static str {
    match header {
        ExtensionHeader::HopByHop => "hop",
        ExtensionHeader::RouterAlert => "hopra",
        ExtensionHeader::Destination => "dst",
        ExtensionHeader::Routing0 => "route0",
        ExtensionHeader::Routing2 => "route2",
        ExtensionHeader::Authentication => "ah",
        ExtensionHeader::AtomicFragment => "atomic",
    }
}

fn write_embedded(embedded: &Embedded) -> Value {
    let mut object = Map::new();
    object.insert("src".to_owned(), embedded.src.to_string().into());
    object.insert("dst".to_owned(), embedded.dst.to_string().into());
    object.insert("proto".to_owned(), protocol(embedded.protocol));
    let numbers: [(&str, Option<u32>); 5] = [
        ("sport", embedded.sport.map(u32::from)),
        ("dport", embedded.dport.map(u32::from)),
        ("seq", embedded.seq),
        ("icmp_type", embedded.icmp_type.map(u32::from)),
        ("icmp_id", embedded.icmp_id.map(u32::from)),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            object.insert(key.to_owned(), number.into());
        }
    }
    Value::Object(object)
}
