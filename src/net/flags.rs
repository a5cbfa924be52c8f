//! The flags of tcp, and the test `flags a/b`.

/// A set of tcp flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN.
    pub const FIN: Self = Self(0x01);
    /// SYN.
    pub const SYN: Self = Self(0x02);
    /// RST.
    pub const RST: Self = Self(0x04);
    /// PSH.
    pub const PSH: Self = Self(0x08);
    /// ACK.
    pub const ACK: Self = Self(0x10);
    /// URG.
    pub const URG: Self = Self(0x20);
    /// ECE.
    pub const ECE: Self = Self(0x40);
    /// CWR.
    pub const CWR: Self = Self(0x80);

    /// The letters of pf.conf(5), in the order of the bits.
    const LETTERS: &'static [u8; 8] = b"FSRPAUEW";

    /// Whether all of `other` are set here.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set here.
    #[must_use]
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The flags that the letters `FSRPAUEW` name; `None` for another letter.
    #[must_use]
    pub fn parse(letters: &str) -> Option<Self> {
        letters.bytes().try_fold(Self(0), |flags, letter| {
            let bit = Self::LETTERS.iter().position(|&known| known == letter)?;
            Some(Self(flags.0 | 1 << bit))
        })
    }
}

impl std::ops::BitOr for TcpFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::fmt::Display for TcpFlags {
    /// The letters, lowest bit first, as pfctl prints them; nothing for no flags.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Self::LETTERS
            .iter()
            .enumerate()
            .filter(|(bit, _)| self.0 >> bit & 1 == 1)
            .try_for_each(|(_, &letter)| write!(f, "{}", letter as char))
    }
}

/// The test `flags set/mask`: of the flags in `mask`, exactly those in `set` are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlagsMatch {
    /// The flags that must be set.
    pub set: TcpFlags,
    /// The flags that are looked at.
    pub mask: TcpFlags,
}

impl FlagsMatch {
    /// `S/SA`, pf's default.
    pub const SYN: Self = Self {
        set: TcpFlags::SYN,
        mask: TcpFlags(0x12),
    };

    /// Whether a packet with those flags matches.
    #[must_use]
    pub fn matches(self, flags: TcpFlags) -> bool {
        flags.0 & self.mask.0 == self.set.0
    }
}

impl std::fmt::Display for FlagsMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.set, self.mask)
    }
}
