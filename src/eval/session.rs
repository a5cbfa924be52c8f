//! [`Session`]: a sequence of packets, written as JSON, each meeting the states of those before it.

use serde_json::Value;

use super::machine::Machine;
use super::memory::Memory;
use super::record::{Journey, Unproven};
use crate::packet::{Packet, PacketError, read_value, resolve};

/// A sequence of packets under way.
#[derive(Clone, Debug)]
pub struct Session<'m, 'a> {
    machine: &'m Machine<'a>,
    memory: Memory,
    /// Every packet as it was after its last evaluation.
    packets: Vec<Packet>,
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
            lost: false,
        }
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
    pub fn follow(&mut self, packet: Packet) -> Result<Journey, Unproven> {
        let answer = if self.lost {
            Err(Unproven("what an earlier packet left behind is not known".to_owned()))
        } else {
            self.machine.prove(&packet, &self.memory)
        };
        match answer {
            Ok((journey, memory)) => {
                self.memory = memory;
                self.packets.push(journey.last().cloned().unwrap_or(packet));
                Ok(journey)
            }
            Err(unproven) => {
                self.lost = true;
                self.packets.push(packet);
                Err(unproven)
            }
        }
    }
}
