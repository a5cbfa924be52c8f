//! [`Session`]: a sequence of packets, written as JSON, each meeting the states of those before it.

use serde_json::Value;

use super::choices::Usual;
use super::machine::Machine;
use super::memory::Memory;
use super::record::{Journey, Unproven};
use crate::packet::{Packet, PacketError, Way, read_value, resolve};

/// A sequence of packets under way.
#[derive(Clone, Debug)]
pub struct Session<'m, 'a> {
    machine: &'m Machine<'a>,
    memory: Memory,
    /// Every packet as it was after its last evaluation.
    packets: Vec<Packet>,
    /// Whether the rules that did not match are written down.
    explains: bool,
    /// Whether a packet before could not be judged: then what pf remembers is not known.
    lost: bool,
}

impl<'m, 'a> Session<'m, 'a> {
    /// A sequence that begins with a freshly loaded pf.
    #[must_use]
    pub fn new(machine: &'m Machine<'a>) -> Self {
        Self {
            machine,
            memory: Memory::default(),
            packets: Vec::new(),
            explains: false,
            lost: false,
        }
    }

    /// The same, that writes down the rules that did not match.
    #[must_use]
    pub fn explaining(self) -> Self {
        Self { explains: true, ..self }
    }

    /// Forgets all packets and what they left behind, as `pfctl -F states` does: only the addresses that sources were
    /// given of pools with `sticky-address` stay.
    pub fn flush(&mut self) {
        self.memory = std::mem::take(&mut self.memory).flushed();
        self.packets.clear();
        self.lost = false;
    }

    /// The way of the next packet; `"@N.KEY" in it stands for a field of an earlier one.
    ///
    /// # Errors
    /// [`PacketError`], where the value is no packet.
    pub fn next(&mut self, packet: &Value) -> Result<Result<Journey, Unproven>, PacketError> {
        Ok(self.follow(self.read(packet)?))
    }

    /// The packet that a value is after those before it.
    ///
    /// # Errors
    /// [`PacketError`], where the value is no packet.
    pub fn read(&self, packet: &Value) -> Result<Packet, PacketError> {
        read_value(&resolve(packet, &self.packets)?)
    }

    /// The way of the next packet.
    ///
    /// One that arrives on a loopback interface that is skipped is followed no further: so it was measured.
    ///
    /// # Errors
    /// [`Unproven`], where the answer depends on what is not known; then so do those to later packets.
    pub fn follow(&mut self, mut packet: Packet) -> Result<Journey, Unproven> {
        let is_loopback = self.machine.is_loopback(&packet.interface);
        if packet.way == Way::Forward && is_loopback && self.machine.skips(&packet.interface) {
            packet.way = Way::In;
        }
        let answer = self.answer(&packet);
        self.lost |= answer.is_err();
        let left = answer.as_ref().ok().and_then(Journey::last).cloned();
        self.packets.push(left.unwrap_or(packet));
        answer
    }

    fn answer(&mut self, packet: &Packet) -> Result<Journey, Unproven> {
        if self.lost {
            return Err(Unproven("what an earlier packet left behind is not known".to_owned()));
        }
        let machine = self.machine;
        let (journey, memory) = match (machine.asks, self.explains) {
            (false, false) => return machine.follow(packet, &mut self.memory, &mut Usual),
            (false, true) => return machine.explain(packet, &mut self.memory, &mut Usual),
            (true, false) => machine.prove(packet, &self.memory)?,
            (true, true) => machine.prove_and_explain(packet, &self.memory)?,
        };
        self.memory = memory;
        Ok(journey)
    }
}
