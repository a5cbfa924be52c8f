//! A packet and the state it belongs to: finding it, whether the packet fits, and translating it back and forth
//! (`pf_find_state`, `pf_test_state`, `pf_synproxy`).

use super::descriptor::{Descriptor, Mbuf};
use super::hop::{Act, Hop};
use super::record::{Chosen, ChosenParts, Reason, Unproven};
use super::state::{State, StateKey, TcpState};
use crate::net::{Protocol, TcpFlags};

/// What the state table says of a packet.
pub(super) enum Lookup {
    /// Nothing: the rules decide.
    None,
    /// The place of its state, and what is done with it.
    Found(usize, Act),
}

/// The place of the packet's state.
pub(super) enum Find {
    None,
    Found(usize),
}

impl Hop<'_, '_> {
    /// What the state table says of a packet that is no icmp.
    pub(super) fn state(&mut self, pd: &mut Descriptor, mbuf: &mut Mbuf) -> Result<Lookup, Unproven> {
        let key = StateKey::new(
            (pd.family, pd.protocol, pd.rdomain),
            pd.source_index(),
            (pd.src, pd.old_sport),
            (pd.dst, pd.old_dport),
        );
        match self.find(&key, pd)? {
            Find::None => Ok(Lookup::None),
            Find::Found(at) => self.test_state(at, pd, mbuf),
        }
    }

    /// The place of the state with that key.
    pub(super) fn find(&mut self, key: &StateKey, pd: &Descriptor) -> Result<Find, Unproven> {
        let Some(at) = self.memory.states.find(key, pd.direction, pd.interface) else {
            return Ok(Find::None);
        };
        // `max-pkt-rate` counts the packets of its states too.
        if let Some(state) = self.memory.states.get(at)
            && state.direction == pd.direction
            && let Some(compiled) = self.machine.rule(state.rule)
            && compiled.rule.max_pkt_rate.is_some_and(|rate| rate.limit > 0)
        {
            let rule = state.rule;
            let criterion = super::record::Criterion::Rate;
            if !self
                .memory
                .holds(self.machine, rule, compiled.rule, criterion, self.choices)?
            {
                return Ok(Find::None);
            }
        }
        Ok(Find::Found(at))
    }

    /// Whether the packet fits its state (`pf_test_state`).
    fn test_state(&mut self, at: usize, pd: &mut Descriptor, mbuf: &mut Mbuf) -> Result<Lookup, Unproven> {
        if pd.protocol == Protocol::TCP {
            if let Some(act) = self.synproxy(at, pd, mbuf) {
                return Ok(Lookup::Found(at, act));
            }
            let Some(state) = self.memory.states.get_mut(at) else {
                return Ok(Lookup::None);
            };
            let flags = mbuf.packet.flags;
            if flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK) {
                let least = state.src.state.min(state.dst.state);
                if least >= TcpState::FinWait2 {
                    // The connection is over: this one is new.
                    state.purged = true;
                    return Ok(Lookup::None);
                }
                if least >= TcpState::Established {
                    // pf asks the peer by an ACK whether it means it.
                    return Ok(Lookup::Found(at, Act::Drop(Reason::StateMismatch)));
                }
            }
            let was_established = state.is_established();
            if state.sloppy {
                state.track_sloppy(flags, pd.direction);
            } else {
                let reversed = state.reversed(pd.family);
                if !state.track_full(&mut mbuf.packet, pd.direction, reversed) {
                    return Ok(Lookup::Found(at, Act::Drop(Reason::StateMismatch)));
                }
            }
            if !was_established && state.is_established() {
                self.established(at)?;
            }
        }
        let Some(state) = self.memory.states.get(at) else {
            return Ok(Lookup::None);
        };
        pd.chosen = state.chosen_for(pd);
        let Some(target) = state.target(pd) else {
            return Ok(Lookup::Found(at, Act::Pass));
        };
        if pd.protocol.has_ports() {
            mbuf.packet.sport = target.key.port[target.source];
            mbuf.packet.dport = target.key.port[target.destination];
        }
        Ok(Lookup::Found(at, target.translate(pd, mbuf)))
    }

    /// What becomes of a packet of a handshake that pf answers itself; `None` where it does not (`pf_synproxy`).
    ///
    /// The handshake never gets on: an ACK must have the number that pf chose at random, which almost surely no packet
    /// has that does not know it.
    fn synproxy(&self, at: usize, pd: &Descriptor, mbuf: &Mbuf) -> Option<Act> {
        let state = self.memory.states.get(at).filter(|state| state.proxying)?;
        let repeats = mbuf.packet.flags.contains(TcpFlags::SYN) && mbuf.packet.seq == state.src.seq_low;
        Some(if pd.direction != state.direction || repeats {
            Act::Synproxy
        } else {
            Act::Drop(Reason::Synproxy)
        })
    }
}

/// The key that a packet of a state is translated to, and where in it its source and destination are.
pub(super) struct Target<'s> {
    pub(super) key: &'s StateKey,
    pub(super) source: usize,
    pub(super) destination: usize,
}

impl Target<'_> {
    /// Gives the packet the addresses of the key, or with af-to notes them for the packet that it will be; what is done
    /// with it.
    pub(super) fn translate(&self, pd: &mut Descriptor, mbuf: &mut Mbuf) -> Act {
        let (src, dst) = (self.key.address[self.source], self.key.address[self.destination]);
        mbuf.rtable = self.key.rdomain;
        if self.key.family == pd.family {
            (mbuf.packet.src, mbuf.packet.dst) = (src, dst);
            return Act::Pass;
        }
        (pd.new_src, pd.new_dst) = (src, dst);
        pd.new_family = self.key.family;
        Act::AfTo
    }
}

impl State {
    /// Whether both ends are established.
    fn is_established(&self) -> bool {
        self.src.state >= TcpState::Established && self.dst.state >= TcpState::Established
    }

    /// The key that the packet is translated to; `None` where the state does not translate.
    pub(super) fn target(&self, pd: &Descriptor) -> Option<Target<'_>> {
        if !self.translates() {
            return None;
        }
        let (source, destination) = (pd.source_index(), 1 - pd.source_index());
        let key = self.key(if self.reversed(pd.family) { source } else { destination });
        let (source, destination) = match key.family == pd.family {
            true => (source, destination),
            false => (destination, source),
        };
        Some(Target {
            key,
            source,
            destination,
        })
    }

    /// Which parts of a packet of this state pf chose when the state was made: none of one that comes back.
    pub(super) fn chosen_for(&self, pd: &Descriptor) -> ChosenParts {
        let forward = if self.af_to() {
            !self.reversed(pd.family)
        } else {
            pd.direction == self.direction
        };
        if !forward || !self.translates() {
            return pd.chosen.clone();
        }
        fn past<T>(chosen: &Chosen<T>) -> Chosen<T> {
            if chosen.is_fixed() {
                Chosen::Fixed
            } else {
                Chosen::Random
            }
        }
        ChosenParts {
            src: past(&self.chosen.src),
            dst: past(&self.chosen.dst),
            sport: past(&self.chosen.sport),
            dport: past(&self.chosen.dport),
            icmp_id: past(&self.chosen.icmp_id),
        }
    }
}
