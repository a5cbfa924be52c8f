//! Numbers of protocols. Their names are in `names`.

/// The number of a protocol in the IP header (IPv6: of the last header).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Protocol(pub u8);

impl Protocol {
    /// icmp.
    pub const ICMP: Self = Self(1);
    /// igmp.
    pub const IGMP: Self = Self(2);
    /// tcp.
    pub const TCP: Self = Self(6);
    /// udp.
    pub const UDP: Self = Self(17);
    /// The fragment header of IPv6.
    pub const FRAGMENT: Self = Self(44);
    /// esp.
    pub const ESP: Self = Self(50);
    /// ah.
    pub const AH: Self = Self(51);
    /// icmp6.
    pub const ICMP6: Self = Self(58);
    /// sctp.
    pub const SCTP: Self = Self(132);

    /// Whether rules may ask for its ports: tcp and udp (parse.y, `expand_rule`).
    #[must_use]
    pub fn has_ports(self) -> bool {
        self == Self::TCP || self == Self::UDP
    }
}
