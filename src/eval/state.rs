//! States: their keys, and the table that finds them (`pf_state_insert`, `pf_find_state`).

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::machine::RuleRef;
use super::record::{ChosenParts, NextHop};
use crate::net::{Direction, Family, Protocol};
use crate::ruleset::{KeepState, Name};

/// The two ends of a connection as one side of the machine sees them (`struct pf_state_key`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct StateKey {
    pub(super) family: Family,
    pub(super) protocol: Protocol,
    pub(super) rdomain: u32,
    pub(super) address: [IpAddr; 2],
    pub(super) port: [u16; 2],
}

impl StateKey {
    /// The key of two ends, each with its port; `source` is the place of the first.
    pub(super) fn new(
        (family, protocol, rdomain): (Family, Protocol, u32),
        source: usize,
        (src, sport): (IpAddr, u16),
        (dst, dport): (IpAddr, u16),
    ) -> Self {
        let (mut address, mut port) = ([src, dst], [sport, dport]);
        if source == 1 {
            address.reverse();
            port.reverse();
        }
        Self {
            family,
            protocol,
            rdomain,
            address,
            port,
        }
    }
}

/// The progress of one end of a tcp connection (`TCPS_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TcpState {
    Closed,
    SynSent,
    Established,
    Closing,
    FinWait2,
    TimeWait,
}

/// One end of a tcp connection (`struct pf_state_peer`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TcpPeer {
    pub(super) state: TcpState,
    /// The next sequence number it sends.
    pub(super) seq_low: u32,
    /// The highest that it may send.
    pub(super) seq_high: u32,
    /// What is added to its sequence numbers (`modulate state`).
    pub(super) seq_diff: u32,
    pub(super) max_win: u16,
}

impl Default for TcpPeer {
    fn default() -> Self {
        Self {
            state: TcpState::Closed,
            seq_low: 0,
            seq_high: 0,
            seq_diff: 0,
            max_win: 0,
        }
    }
}

/// What rules have asked for, added up (`struct pf_rule_actions`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Actions {
    pub(super) rtable: u32,
    pub(super) log_all: bool,
    pub(super) log_matches: bool,
    pub(super) prio: Option<(u8, u8)>,
    pub(super) tos: Option<u8>,
    pub(super) min_ttl: u8,
}

/// A state (`struct pf_state`).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    /// The key on the wire and the one on the machine's side.
    pub(super) wire: StateKey,
    pub(super) stack: StateKey,
    /// The direction of the packet that made it.
    pub(super) direction: Direction,
    /// The interface it is bound to.
    pub(super) bound_to: Option<usize>,
    /// The rule that made it.
    pub(super) rule: RuleRef,
    pub(super) matches: Vec<RuleRef>,
    pub(super) actions: Actions,
    pub(super) tag: Option<Name>,
    pub(super) allow_options: bool,
    pub(super) sloppy: bool,
    pub(super) keep: KeepState,
    /// The end that sent the first packet, and the other.
    pub(super) src: TcpPeer,
    pub(super) dst: TcpPeer,
    /// Whether pf still answers the handshake itself.
    pub(super) proxying: bool,
    pub(super) route: Option<NextHop>,
    /// What pf chose of the translation, as the first packet left.
    pub(super) chosen: ChosenParts,
    /// Whether it is on its way out (`PFTM_PURGE`).
    pub(super) purged: bool,
    /// The source as limits count it.
    pub(super) counted_source: Option<IpAddr>,
}

impl State {
    /// Whether it translates.
    pub(super) fn translates(&self) -> bool {
        self.wire != self.stack
    }

    /// Whether it changes the family.
    pub(super) fn af_to(&self) -> bool {
        self.wire.family != self.stack.family
    }

    /// The keys by the place that `PF_SK_WIRE` and `PF_SK_STACK` are.
    pub(super) fn key(&self, place: usize) -> &StateKey {
        if place == 0 { &self.wire } else { &self.stack }
    }

    /// Whether packets of that family go through it backwards: those of the stack's family under af-to
    /// (`PF_REVERSED_KEY`).
    pub(super) fn reversed(&self, family: Family) -> bool {
        self.af_to() && family != self.wire.family
    }
}

/// All states.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StateTable {
    /// Every state that was ever made; those removed are `None`.
    states: Vec<Option<State>>,
    /// The states of each key: those bound to an interface, the latest first, then floating ones in order.
    by_key: FxHashMap<StateKey, Vec<usize>>,
}

/// Why a state cannot be kept: another one has its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Collision;

impl StateTable {
    pub(super) fn get(&self, at: usize) -> Option<&State> {
        self.states.get(at)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut State> {
        self.states.get_mut(at)?.as_mut()
    }

    /// All states.
    pub(super) fn iter(&self) -> impl Iterator<Item = &State> {
        self.states.iter().flatten()
    }

    /// The place of the state that a packet with that key belongs to (`pf_find_state`).
    pub(super) fn find(&self, key: &StateKey, direction: Direction, interface: usize) -> Option<usize> {
        self.by_key.get(key)?.iter().copied().find(|&at| {
            self.get(at).is_some_and(|state| {
                let fits = if state.af_to() {
                    direction == Direction::In
                } else {
                    *key == *match direction {
                        Direction::In => &state.wire,
                        Direction::Out => &state.stack,
                    }
                };
                fits && !state.purged && state.bound_to.is_none_or(|bound| bound == interface)
            })
        })
    }

    /// Whether a state has that key on the wire (`In`) or on the machine's side (`Out`): `pf_find_state_all`.
    pub(super) fn is_taken(&self, key: &StateKey, direction: Direction) -> bool {
        self.by_key.get(key).is_some_and(|places| {
            places.iter().any(|&at| {
                self.get(at).is_some_and(|state| {
                    *key == *match direction {
                        Direction::In => &state.wire,
                        Direction::Out => &state.stack,
                    }
                })
            })
        })
    }

    /// The place of a new state (`pf_state_insert`); `distinct` says that its two keys were made apart, even if they
    /// came out the same.
    pub(super) fn insert(&mut self, state: State, distinct: bool) -> Result<usize, Collision> {
        let mut replaced = self.rivals(&state.wire, &state)?;
        if distinct {
            if state.wire == state.stack {
                // The second key finds the state itself on the first.
                return Err(Collision);
            }
            replaced.extend(self.rivals(&state.stack, &state)?);
        }
        for at in replaced {
            self.remove(at);
        }
        let at = self.states.len();
        let (wire, stack, bound) = (state.wire.clone(), state.stack.clone(), state.bound_to.is_some());
        self.states.push(Some(state));
        let mut attach = |key: StateKey| {
            let places = self.by_key.entry(key).or_default();
            if bound {
                places.insert(0, at);
            } else {
                places.push(at);
            }
        };
        if distinct {
            attach(stack);
        }
        attach(wire);
        Ok(at)
    }

    /// The states of a key that a new one replaces, tcp ones that are over; a collision where one is not
    /// (`pf_state_key_attach`).
    fn rivals(&self, key: &StateKey, new: &State) -> Result<Vec<usize>, Collision> {
        let mut replaced = Vec::new();
        for &at in self.by_key.get(key).into_iter().flatten() {
            let Some(old) = self.get(at) else { continue };
            let same_way = old.wire.family == key.family && old.direction == new.direction;
            let same_way_translated = old.af_to() && key.family == old.stack.family && old.direction != new.direction;
            if old.bound_to == new.bound_to && (same_way || same_way_translated) {
                let over = key.protocol == Protocol::TCP
                    && old.src.state >= TcpState::FinWait2
                    && old.dst.state >= TcpState::FinWait2;
                if !over {
                    return Err(Collision);
                }
                replaced.push(at);
            }
        }
        Ok(replaced)
    }

    /// Takes a state away.
    fn remove(&mut self, at: usize) {
        let Some(state) = self.states.get_mut(at).and_then(Option::take) else {
            return;
        };
        for key in [&state.wire, &state.stack] {
            if let Some(places) = self.by_key.get_mut(key) {
                places.retain(|&place| place != at);
            }
        }
    }
}
