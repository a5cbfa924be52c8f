//! Packets for people: in the words that [`parse_words`](super::parse_words) reads, and in few words.

use std::net::IpAddr;

use super::model::{Embedded, Fragment, IpOptions, Packet, Way};
use super::words::SOURCE_PORT;
use super::write;
use crate::net::{Family, Protocol, TcpFlags, names};

impl Packet {
    /// The family of its icmp, if that is its protocol.
    pub(super) fn icmp_family(&self) -> Option<Family> {
        match self.protocol {
            Protocol::ICMP => Some(Family::Inet),
            Protocol::ICMP6 => Some(Family::Inet6),
            _ => None,
        }
    }

    /// The packet in few words, as people write of it: `10.62.1.50:49152 > 10.41.8.2:443 tcp S`.
    #[must_use]
    pub fn brief(&self) -> String {
        let end = |address: IpAddr, port: u16| match address {
            _ if !self.protocol.has_ports() => address.to_string(),
            _ if matches!(self.fragment, Some(Fragment::Later { .. })) => address.to_string(),
            IpAddr::V4(address) => format!("{address}:{port}"),
            IpAddr::V6(address) => format!("[{address}]:{port}"),
        };
        let mut text = format!("{} > {} ", end(self.src, self.sport), end(self.dst, self.dport));
        text += &match names::protocol_name(self.protocol) {
            _ if self.protocol == Protocol::ICMP6 => "icmp6".to_owned(),
            Some(name) => name.to_owned(),
            None => format!("proto {}", self.protocol.0),
        };
        if self.protocol == Protocol::TCP && self.fragment.is_none() {
            text += &format!(" {}", write::flags(self));
        }
        if let (Some(icmp), Some(family)) = (self.icmp, self.icmp_family()) {
            text += &match names::icmp_type_name(family, icmp.kind) {
                Some(name) => format!(" {name}"),
                None => format!(" type {}", icmp.kind),
            };
            if icmp.code != 0 {
                text += &match names::icmp_code_name(family, icmp.kind, icmp.code) {
                    Some(name) => format!(" {name}"),
                    None => format!(" code {}", icmp.code),
                };
            }
        }
        text += match self.fragment {
            None => "",
            Some(Fragment::First { .. }) => " first fragment",
            Some(Fragment::Later { .. }) => " later fragment",
        };
        if self.options != IpOptions::None || !self.extensions.is_empty() {
            text += " with options";
        }
        text
    }
}

impl std::fmt::Display for Packet {
    /// The words that [`parse_words`](super::parse_words) reads as this packet; what is usual is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let way = match self.way {
            Way::In | Way::Forward => "in",
            Way::Out => "out",
        };
        let protocol = match names::protocol_name(self.protocol) {
            _ if self.protocol == Protocol::ICMP6 => "icmp6".to_owned(),
            Some(name) => name.to_owned(),
            None => self.protocol.0.to_string(),
        };
        write!(f, "{way} on {} proto {protocol} from {}", self.interface, self.src)?;
        let ported = self.protocol.has_ports() && !matches!(self.fragment, Some(Fragment::Later { .. }));
        if ported && self.sport != SOURCE_PORT {
            write!(f, " port {}", self.sport)?;
        }
        write!(f, " to {}", self.dst)?;
        if ported {
            write!(f, " port {}", self.dport)?;
        }
        if self.protocol == Protocol::TCP && self.flags != TcpFlags::SYN {
            write!(f, " flags {}", write::flags(self))?;
        }
        let mut ttl = 64;
        if let (Some(icmp), Some(family)) = (self.icmp, self.icmp_family()) {
            let (word, echo_request) = match family {
                Family::Inet => ("icmp-type", 8),
                Family::Inet6 => ("icmp6-type", 128),
            };
            if family == Family::Inet6 && (133..=137).contains(&icmp.kind) {
                ttl = 255;
            }
            if icmp.kind != echo_request || icmp.code != 0 {
                match names::icmp_type_name(family, icmp.kind) {
                    Some(name) => write!(f, " {word} {name}")?,
                    None => write!(f, " {word} {}", icmp.kind)?,
                }
            }
            if icmp.code != 0 {
                write!(f, " code {}", icmp.code)?;
            }
            if icmp.id != Self::DEFAULT_ICMP_ID {
                write!(f, " icmp-id {}", icmp.id)?;
            }
        }
        if self.tos != 0 {
            write!(f, " tos {:#x}", self.tos)?;
        }
        if self.ttl != ttl {
            write!(f, " ttl {}", self.ttl)?;
        }
        if let Some(received_on) = &self.received_on {
            write!(f, " received-on {received_on}")?;
        }
        if let Some(tag) = &self.tag {
            write!(f, " tagged {tag}")?;
        }
        if self.prio != Self::DEFAULT_PRIO {
            write!(f, " prio {}", self.prio)?;
        }
        for (word, id) in [("user", self.user), ("group", self.group)] {
            match id {
                None => {}
                Some(Self::NO_SOCKET) => write!(f, " {word} unknown")?,
                Some(id) => write!(f, " {word} {id}")?,
            }
        }
        match self.fragment {
            None => {}
            Some(Fragment::First { .. }) => f.write_str(" fragment first")?,
            Some(Fragment::Later { .. }) => f.write_str(" fragment later")?,
        }
        match self.options {
            IpOptions::None => {}
            IpOptions::Some => f.write_str(" options")?,
            IpOptions::RouterAlert => f.write_str(" router-alert")?,
        }
        if !self.extensions.is_empty() {
            let names: Vec<_> = self.extensions.iter().map(|&header| write::extension(header)).collect();
            write!(f, " ext6 {}", names.join(","))?;
        }
        if let Some(target) = self.target {
            write!(f, " target {target}")?;
        }
        for (word, number) in [("len", self.len.into()), ("seq", self.seq), ("ack", self.ack)] {
            if number != 0 {
                write!(f, " {word} {number}")?;
            }
        }
        if let Some(embedded) = &self.embedded {
            write!(f, " carrying {embedded}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Embedded {
    /// As it follows `carrying`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "proto {} from {}", self.protocol.0, self.src)?;
        if let Some(port) = self.sport {
            write!(f, " port {port}")?;
        }
        write!(f, " to {}", self.dst)?;
        if let Some(port) = self.dport {
            write!(f, " port {port}")?;
        }
        if let Some(seq) = self.seq {
            write!(f, " seq {seq}")?;
        }
        if let Some(kind) = self.icmp_type {
            write!(f, " icmp-type {kind}")?;
        }
        if let Some(id) = self.icmp_id {
            write!(f, " icmp-id {id}")?;
        }
        Ok(())
    }
}
