//! Tcp: which flags make sense (`pf_normalize_tcp`), and whether a segment fits its connection
//! (`pf_tcp_track_full`, `pf_tcp_track_sloppy`).

use super::state::{State, TcpPeer, TcpState};
use crate::net::{Direction, TcpFlags};
use crate::packet::Packet;

/// The window that packets have: their format has no field for it.
pub(super) const WINDOW: u16 = 16384;
/// How far an acknowledgement may be off (`MAXACKWINDOW`).
const MAX_ACK_WINDOW: u32 = 0xffff + 1500;

/// What `modulate state` adds to sequence numbers. pf takes a number at random, which is almost surely as far from all
/// windows as this one.
pub(super) const MODULATION: u32 = 0x5bd1_e995;

/// The flags as they go on, or nothing where they make no sense: such a packet is dropped.
pub(super) fn normalize(flags: TcpFlags) -> Option<TcpFlags> {
    let mut kept = flags;
    if flags.contains(TcpFlags::SYN) {
        if flags.contains(TcpFlags::RST) {
            return None;
        }
        kept = TcpFlags(kept.0 & !TcpFlags::FIN.0);
    } else if !flags.intersects(TcpFlags::ACK | TcpFlags::RST) {
        return None;
    }
    let needs_ack = TcpFlags::FIN | TcpFlags::PSH | TcpFlags::URG;
    (kept.contains(TcpFlags::ACK) || !kept.intersects(needs_ack)).then_some(kept)
}

/// Whether `a` comes before `b`, or is it, in the circle of sequence numbers (`SEQ_GEQ(b, a)`).
pub(super) fn at_most(a: u32, b: u32) -> bool {
    b.wrapping_sub(a) as i32 >= 0
}

/// The first packet's sender (`pf_create_state`).
pub(super) fn first_sender(packet: &Packet) -> TcpPeer {
    let low = packet.seq;
    let mut high = low.wrapping_add(packet.len.into()).wrapping_add(1);
    for flag in [TcpFlags::SYN, TcpFlags::FIN] {
        high = high.wrapping_add(packet.flags.contains(flag).into());
    }
    TcpPeer {
        state: TcpState::SynSent,
        seq_low: low,
        seq_high: high,
        seq_diff: 0,
        max_win: WINDOW,
    }
}

/// The other end, of which nothing was seen.
pub(super) fn first_receiver() -> TcpPeer {
    TcpPeer {
        seq_high: 1,
        max_win: 1,
        ..TcpPeer::default()
    }
}

impl State {
    /// The sending and the receiving end for packets in that direction.
    pub(super) fn ends(&mut self, direction: Direction, reversed: bool) -> (&mut TcpPeer, &mut TcpPeer) {
        if (direction == self.direction) != reversed {
            (&mut self.src, &mut self.dst)
        } else {
            (&mut self.dst, &mut self.src)
        }
    }

    /// Whether the segment fits the connection, which then goes on with it. The packet's numbers are those that the
    /// receiver will see.
    pub(super) fn track_full(&mut self, packet: &mut Packet, direction: Direction, reversed: bool) -> bool {
        let flags = packet.flags;
        let payload = u32::from(packet.len);
        let (src, dst) = self.ends(direction, reversed);
        let original = packet.seq;
        let mut seq = original;
        let mut end = seq.wrapping_add(payload);
        if flags.contains(TcpFlags::SYN) {
            end = end.wrapping_add(1);
        }
        let mut data_end = end;
        if flags.contains(TcpFlags::FIN) {
            end = end.wrapping_add(1);
        }
        let mut ack = packet.ack;
        if src.seq_low == 0 {
            // The first packet from this end.
            if dst.seq_diff != 0 && src.seq_diff == 0 {
                src.seq_diff = MODULATION;
                ack = ack.wrapping_sub(dst.seq_diff);
                packet.seq = seq.wrapping_add(src.seq_diff);
                packet.ack = ack;
            }
            src.seq_low = seq;
            src.state = src.state.max(TcpState::SynSent);
            let window_end = end.wrapping_add(u32::from(dst.max_win).max(1));
            if src.seq_high == 1 || at_most(src.seq_high, window_end) {
                src.seq_high = window_end;
            }
            src.max_win = src.max_win.max(WINDOW);
        } else {
            ack = ack.wrapping_sub(dst.seq_diff);
            if src.seq_diff != 0 {
                packet.seq = seq.wrapping_add(src.seq_diff);
                packet.ack = ack;
            }
        }
        let no_ack = !flags.contains(TcpFlags::ACK);
        let rst_without_ack = ack == 0 && flags.contains(TcpFlags::ACK | TcpFlags::RST);
        if no_ack || rst_without_ack || dst.state < TcpState::SynSent {
            // There is nothing that it could acknowledge.
            ack = dst.seq_low;
        }
        if seq == end {
            // Without data the number does not matter.
            seq = src.seq_low;
            end = seq;
            data_end = seq;
        }
        let skew = i64::from(dst.seq_low.wrapping_sub(ack) as i32);
        let in_window = at_most(data_end, src.seq_high)
            && at_most(src.seq_low.wrapping_sub(dst.max_win.into()), seq)
            && skew >= -i64::from(MAX_ACK_WINDOW)
            && skew <= i64::from(MAX_ACK_WINDOW);
        let rst_fits = !flags.contains(TcpFlags::RST)
            || original == src.seq_low
            || original == src.seq_low.wrapping_add(1)
            || original.wrapping_add(1) == src.seq_low;
        if in_window && rst_fits {
            src.advance(end, ack, dst);
            if flags.contains(TcpFlags::SYN) {
                src.state = src.state.max(TcpState::SynSent);
            }
            if flags.contains(TcpFlags::FIN) {
                src.state = src.state.max(TcpState::Closing);
            }
            if flags.contains(TcpFlags::ACK) {
                dst.acknowledged();
            }
        } else if (dst.state < TcpState::SynSent || dst.state >= TcpState::FinWait2 || src.state >= TcpState::FinWait2)
            && at_most(data_end, src.seq_high.wrapping_add(MAX_ACK_WINDOW))
            && at_most(src.seq_low.wrapping_sub(MAX_ACK_WINDOW), seq)
        {
            // A connection that pf did not see from its start, or that is over.
            src.advance(end, ack, dst);
            if flags.contains(TcpFlags::FIN) {
                src.state = src.state.max(TcpState::Closing);
            }
        } else {
            if src.state == TcpState::SynSent && dst.state == TcpState::SynSent {
                // The handshake went wrong: this end may begin anew.
                src.seq_low = 0;
                src.seq_high = 1;
                src.max_win = 1;
            }
            return false;
        }
        if flags.contains(TcpFlags::RST) {
            self.src.state = TcpState::TimeWait;
            self.dst.state = TcpState::TimeWait;
        }
        true
    }

    /// The connection goes on with a segment whose numbers nobody looks at.
    pub(super) fn track_sloppy(&mut self, flags: TcpFlags, direction: Direction) {
        let (src, dst) = self.ends(direction, false);
        if flags.contains(TcpFlags::SYN) {
            src.state = src.state.max(TcpState::SynSent);
        }
        if flags.contains(TcpFlags::FIN) {
            src.state = src.state.max(TcpState::Closing);
        }
        if flags.contains(TcpFlags::ACK) {
            match (src.state, dst.state) {
                (_, TcpState::SynSent | TcpState::Closing) => dst.acknowledged(),
                // Only one half of the connection is seen.
                (TcpState::SynSent, TcpState::Closed) => {
                    src.state = TcpState::Established;
                    dst.state = TcpState::Established;
                }
                (TcpState::Closing, TcpState::Established) if dst.seq_low == 0 => dst.state = TcpState::Closing,
                _ => {}
            }
        }
        if flags.contains(TcpFlags::RST) {
            self.src.state = TcpState::TimeWait;
            self.dst.state = TcpState::TimeWait;
        }
    }
}

impl TcpPeer {
    /// Takes note of what was sent up to `end`, and of what the other end may now send.
    fn advance(&mut self, end: u32, ack: u32, other: &mut Self) {
        self.max_win = self.max_win.max(WINDOW);
        if !at_most(end, self.seq_low) {
            self.seq_low = end;
        }
        let may_send = ack.wrapping_add(WINDOW.into());
        if at_most(other.seq_high, may_send) {
            other.seq_high = may_send;
        }
    }

    /// What it sent was acknowledged.
    fn acknowledged(&mut self) {
        self.state = match self.state {
            TcpState::SynSent => TcpState::Established,
            TcpState::Closing => TcpState::FinWait2,
            state => state,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_flags_are_dropped() {
        for (flags, expected) in [
            ("S", Some("S")),
            ("SF", Some("S")),
            ("SA", Some("SA")),
            ("SR", None),
            ("", None),
            ("F", None),
            ("FPU", None),
            ("FA", Some("FA")),
            ("R", Some("R")),
            ("RP", None),
        ] {
            let expected = expected.map(|letters| TcpFlags::parse(letters).unwrap());
            assert_eq!(normalize(TcpFlags::parse(flags).unwrap()), expected, "{flags}");
        }
    }

    #[test]
    fn sequence_numbers_go_round() {
        assert!(at_most(0xffff_fff0, 5));
        assert!(!at_most(5, 0xffff_fff0));
        assert!(at_most(7, 7));
    }
}
