//! Packets in pf's words: `in on vlan92 proto tcp from 10.62.1.50 to 10.41.8.20 port 443`.
//!
//! After the hosts, in any order: `flags`, `icmp-type`, `icmp6-type`, `code`, `icmp-id`, `tos`, `ttl`, `received-on`,
//! `tagged`, `prio`, `user`, `group`, `fragment first|later`, `options`, `router-alert`, `ext6`, `target`, `len`, `seq`,
//! `ack`, and last `carrying …`, the packet inside an icmp error. Unsaid are: tcp where there is a port, else icmp; flags
//! S; source port 49152; an echo request; ttl 64.

use std::net::IpAddr;
use std::ops::Range;

use super::error::PacketError;
use super::json::{extension, flags, icmp, protocol_word};
use super::model::{Embedded, Fragment, IpOptions, Packet, Way};
use crate::net::{Family, Protocol, TcpFlags, names};

/// The source port of a packet that names none: the first that hosts choose from (`IPPORT_HIFIRSTAUTO`).
pub(super) const SOURCE_PORT: u16 = 49152;

/// The packet that the words describe; `in` is one that is followed to its end.
///
/// # Errors
/// [`PacketError`], naming the word that does not fit, or what is missing, and its place.
pub fn parse_words(text: &str) -> Result<Packet, PacketError> {
    let mut words = Words {
        left: text,
        length: text.len(),
        place: 0..0,
    };
    words.packet().map_err(|error| error.at(words.place))
}

/// The words that are left.
struct Words<'w> {
    left: &'w str,
    /// The length of all words together.
    length: usize,
    /// Where the word lies that was taken last; at the end, where one was missing.
    place: Range<usize>,
}

/// `proto … from … to …`.
struct Ends {
    said: Option<Protocol>,
    src: IpAddr,
    dst: IpAddr,
    sport: Option<u16>,
    dport: Option<u16>,
}

impl Ends {
    /// The protocol, said or implied; ports only with one that has them.
    fn protocol(&self) -> Result<Protocol, PacketError> {
        let has_port = self.sport.or(self.dport).is_some();
        let protocol = self.said.unwrap_or(match (has_port, Family::of(self.dst)) {
            (true, _) => Protocol::TCP,
            (false, Family::Inet) => Protocol::ICMP,
            (false, Family::Inet6) => Protocol::ICMP6,
        });
        if has_port && !protocol.has_ports() {
            return Err(PacketError::new("port only applies to tcp/udp"));
        }
        Ok(protocol)
    }
}

impl<'w> Words<'w> {
    fn packet(&mut self) -> Result<Packet, PacketError> {
        let way = match self.next("`in` or `out`")? {
            "in" => Way::Forward,
            "out" => Way::Out,
            other => {
                return Err(PacketError::new(format!(
                    "a packet begins with `in` or `out`, not `{other}`"
                )));
            }
        };
        self.expect("on")?;
        let interface = self.next("an interface")?;
        let family = self.family();
        let ends = self.ends()?;
        if let Some(family) = family
            && family != Family::of(ends.dst)
        {
            return Err(PacketError::new(format!("`{}` is no {family} address", ends.dst)));
        }
        let protocol = ends.protocol()?;
        let mut packet = Packet::new(way, interface, protocol, ends.src, ends.dst);
        if protocol.has_ports() {
            packet.sport = ends.sport.unwrap_or(SOURCE_PORT);
            packet.dport = ends.dport.unwrap_or_default();
        }
        if protocol == Protocol::TCP {
            packet.flags = TcpFlags::SYN;
        }
        self.options(&mut packet)?;
        if protocol.has_ports() && ends.dport.is_none() && !matches!(packet.fragment, Some(Fragment::Later { .. })) {
            self.place = self.length..self.length;
            return Err(PacketError::new(format!("say the port: `to {} port …`", ends.dst)));
        }
        Ok(packet)
    }

    /// The next word, if there is one and it is wanted.
    fn next_if(&mut self, is_wanted: impl Fn(&str) -> bool) -> Option<&'w str> {
        let left = self.left.trim_start();
        let end = left.find(char::is_whitespace).unwrap_or(left.len());
        let (word, rest) = left.split_at(end);
        if word.is_empty() || !is_wanted(word) {
            return None;
        }
        let start = self.length - left.len();
        self.place = start..start + end;
        self.left = rest;
        Some(word)
    }

    fn next(&mut self, wanted: &str) -> Result<&'w str, PacketError> {
        self.next_if(|_| true).ok_or_else(|| {
            self.place = self.length..self.length;
            PacketError::new(format!("{wanted} is missing at the end"))
        })
    }

    fn expect(&mut self, wanted: &str) -> Result<(), PacketError> {
        match self.next(&format!("`{wanted}`"))? {
            word if word == wanted => Ok(()),
            other => Err(PacketError::new(format!("`{wanted}` is wanted, not `{other}`"))),
        }
    }

    fn take(&mut self, word: &str) -> bool {
        self.next_if(|next| next == word).is_some()
    }

    fn family(&mut self) -> Option<Family> {
        Family::BOTH.into_iter().find(|family| self.take(&family.to_string()))
    }

    /// The hosts, their ports and the protocol.
    fn ends(&mut self) -> Result<Ends, PacketError> {
        let said = match self.take("proto") {
            true => Some(protocol_word(self.next("a protocol")?)?),
            false => None,
        };
        self.expect("from")?;
        let src = self.address()?;
        let sport = self.port(said)?;
        self.expect("to")?;
        let dst = self.address()?;
        let dport = self.port(said)?;
        if Family::of(src) != Family::of(dst) {
            return Err(PacketError::new(format!(
                "`{src}` and `{dst}` are of different families"
            )));
        }
        Ok(Ends {
            said,
            src,
            dst,
            sport,
            dport,
        })
    }

    fn address(&mut self) -> Result<IpAddr, PacketError> {
        let word = self.next("an address")?;
        word.parse().map_err(|_| {
            PacketError::new(format!(
                "`{word}` is no address: a packet has one, not a network or a name"
            ))
        })
    }

    fn port(&mut self, protocol: Option<Protocol>) -> Result<Option<u16>, PacketError> {
        if !self.take("port") {
            return Ok(None);
        }
        // pf's own way to write it.
        self.take("=");
        let word = self.next("a port")?;
        let named = || {
            let of = |protocol| names::service_port(word, protocol);
            protocol.map_or_else(|| of(Protocol::TCP).or_else(|| of(Protocol::UDP)), of)
        };
        let port = word.parse().ok().or_else(named);
        port.map(Some)
            .ok_or_else(|| PacketError::new(format!("unknown port `{word}`")))
    }

    fn number<T: std::str::FromStr>(&mut self, of: &str) -> Result<T, PacketError> {
        let word = self.next(&format!("the number after `{of}`"))?;
        let hexadecimal = word
            .strip_prefix("0x")
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .map(|number| number.to_string());
        hexadecimal
            .as_deref()
            .unwrap_or(word)
            .parse()
            .map_err(|_| PacketError::new(format!("`{word}` is no number that `{of}` takes")))
    }

    fn id(&mut self, of: &str, named: impl Fn(&str) -> Option<u32>) -> Result<u32, PacketError> {
        let word = self.next(&format!("the name after `{of}`"))?;
        let no_socket = (word == "unknown").then_some(Packet::NO_SOCKET);
        no_socket
            .or_else(|| word.parse().ok())
            .or_else(|| named(word))
            .ok_or_else(|| PacketError::new(format!("unknown {of} `{word}`")))
    }

    /// What follows the hosts.
    fn options(&mut self, packet: &mut Packet) -> Result<(), PacketError> {
        let (mut kind, mut code, mut id) = (None, None, None);
        let mut ttl = None;
        while let Some(word) = self.next_if(|_| true) {
            match word {
                "flags" if packet.protocol == Protocol::TCP => packet.flags = flags(self.next("flags")?)?,
                "icmp-type" | "icmp6-type" if packet.icmp_family().is_some() => {
                    kind = Some(self.icmp_type(packet.family)?);
                }
                "code" if kind.is_some() => code = Some(self.icmp_code(packet.family, kind.unwrap_or_default())?),
                "icmp-id" => id = Some(self.number("icmp-id")?),
                "tos" => packet.tos = self.number("tos")?,
                "ttl" => ttl = Some(self.number("ttl")?),
                "received-on" if packet.way == Way::Out => {
                    packet.received_on = Some(self.next("an interface")?.to_owned());
                }
                "tagged" => packet.tag = Some(self.next("a tag")?.to_owned()),
                "prio" => packet.prio = self.number("prio")?,
                "user" => packet.user = Some(self.id("user", names::user_id)?),
                "group" => packet.group = Some(self.id("group", names::group_id)?),
                "fragment" => packet.fragment = Some(self.fragment()?),
                "options" => packet.options = IpOptions::Some,
                "router-alert" => packet.options = IpOptions::RouterAlert,
                "ext6" if packet.family == Family::Inet6 => {
                    let names = self.next("extension headers")?;
                    packet.extensions = names.split(',').map(extension).collect::<Result<_, _>>()?;
                }
                "target" => match self.address()? {
                    IpAddr::V6(target) => packet.target = Some(target),
                    IpAddr::V4(other) => return Err(PacketError::new(format!("`{other}` is no IPv6 address"))),
                },
                "len" => packet.len = self.number("len")?,
                "seq" => packet.seq = self.number("seq")?,
                "ack" => packet.ack = self.number("ack")?,
                "carrying" => packet.embedded = Some(Box::new(self.carried()?)),
                other => return Err(PacketError::new(format!("`{other}` says nothing of this packet"))),
            }
        }
        packet.icmp = icmp(packet, kind, code, id);
        // Neighbours know each other by it.
        let discovers = packet.family == Family::Inet6 && matches!(kind, Some(133..=137));
        packet.ttl = ttl.unwrap_or(if discovers { 255 } else { packet.ttl });
        Ok(())
    }

    fn icmp_type(&mut self, family: Family) -> Result<u8, PacketError> {
        let word = self.next("an icmp type")?;
        word.parse()
            .ok()
            .or_else(|| names::icmp_type(family, word))
            .ok_or_else(|| PacketError::new(format!("unknown icmp-type `{word}`")))
    }

    fn icmp_code(&mut self, family: Family, kind: u8) -> Result<u8, PacketError> {
        let word = self.next("an icmp code")?;
        word.parse()
            .ok()
            .or_else(|| names::icmp_code(family, kind, word))
            .ok_or_else(|| PacketError::new(format!("unknown icmp-code `{word}`")))
    }

    fn fragment(&mut self) -> Result<Fragment, PacketError> {
        match self.next("`first` or `later`")? {
            "first" => Ok(Fragment::First { id: 0 }),
            "later" => Ok(Fragment::Later { id: 0, offset: 1480 }),
            other => Err(PacketError::new(format!(
                "a fragment is `first` or `later`, not `{other}`"
            ))),
        }
    }

    /// The packet inside an icmp error.
    fn carried(&mut self) -> Result<Embedded, PacketError> {
        let ends = self.ends()?;
        let protocol = ends.protocol()?;
        let mut embedded = Embedded {
            src: ends.src,
            dst: ends.dst,
            protocol,
            sport: ends.sport,
            dport: ends.dport,
            seq: None,
            icmp_type: None,
            icmp_id: None,
        };
        if self.take("seq") {
            embedded.seq = Some(self.number("seq")?);
        }
        if self.take("icmp-type") || self.take("icmp6-type") {
            embedded.icmp_type = Some(self.icmp_type(Family::of(ends.dst))?);
        }
        if self.take("icmp-id") {
            embedded.icmp_id = Some(self.number("icmp-id")?);
        }
        Ok(embedded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Icmp;

    #[test]
    fn unsaid_things_are_usual() {
        let packet = parse_words("in on vlan92 proto tcp from 10.62.1.50 to 10.41.8.20 port https").unwrap();
        assert_eq!(packet.way, Way::Forward);
        assert_eq!(packet.flags, TcpFlags::SYN);
        assert_eq!((packet.sport, packet.dport, packet.ttl), (SOURCE_PORT, 443, 64));
        let ping = parse_words("out on em0 from 2001:db8::1 to 2001:db8::2").unwrap();
        assert_eq!(ping.protocol, Protocol::ICMP6);
        assert_eq!(ping.icmp.map(|Icmp { kind, .. }| kind), Some(128));
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for words in [
            "in on em0 proto tcp from 10.0.0.1 to 10.0.0.2 port 80",
            "in on em0 proto tcp from 10.0.0.1 port 1024 to 10.0.0.2 port 80 flags A seq 7 ack 9",
            "in on em0 proto tcp from 10.0.0.1 to 10.0.0.2 port 80 flags 0",
            "out on em0 proto icmp from 10.0.0.1 to 10.0.0.2 icmp-type unreach code 3 received-on em1 carrying proto 17 from \
             10.0.0.2 port 53 to 10.0.0.9 port 1024",
            "in on em0 proto icmp6 from fe80::1 to ff02::1:ff00:2 icmp6-type neighbrsol target 2001:db8::2",
            "in on em0 proto esp from 10.0.0.1 to 10.0.0.2 tos 0x10 ttl 9 tagged LAN prio 5 user 0 group 7 options",
            "in on em0 proto udp from 10.0.0.1 to 10.0.0.2 fragment later",
            "in on em0 proto carp from ::1 to ::2 ext6 hop,dst",
        ] {
            assert_eq!(parse_words(words).unwrap().to_string(), words);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (words, message) in [
            ("", "`in` or `out` is missing at the end"),
            ("through em0", "a packet begins with `in` or `out`, not `through`"),
            (
                "in on em0 from 10.0.0.0/8 to 10.0.0.1",
                "`10.0.0.0/8` is no address: a packet has one, not a network or a name",
            ),
            (
                "in on em0 from 10.0.0.1 to ::1",
                "`10.0.0.1` and `::1` are of different families",
            ),
            (
                "in on em0 proto udp from 10.0.0.1 to 10.0.0.2",
                "say the port: `to 10.0.0.2 port …`",
            ),
            (
                "in on em0 proto esp from 10.0.0.1 to 10.0.0.2 port 1",
                "port only applies to tcp/udp",
            ),
            (
                "in on em0 from 10.0.0.1 to 10.0.0.2 quick",
                "`quick` says nothing of this packet",
            ),
            (
                "in on em0 proto tcp from 10.0.0.1 to 10.0.0.2 port htp",
                "unknown port `htp`",
            ),
        ] {
            assert_eq!(parse_words(words).unwrap_err().to_string(), message);
        }
    }
}
