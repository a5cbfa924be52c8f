//! Queues: `expand_queue`, and what pfctl checks of them when all are read.

use indexmap::IndexMap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Lowerer, Refused};
use crate::context::Context;
use crate::ruleset::{Bandwidth, Name, Queue, ServiceCurve};
use crate::source::At;
use crate::syntax::ast::{InterfaceItem, InterfaceKind, QueueBandwidth, QueueStatement, Word};

/// The bytes that pf has for the name of a queue, with the end.
const NAME_ROOM: usize = 64;
/// How often pfctl lets a queue hang below something.
const MOST_MATCHES: u32 = 10_000;
/// How deep queues may hang below each other, and how many there may be in all.
const DEEPEST: usize = 200;
const MOST: usize = 1_000_000;

/// The queues of a file, with their places.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// Those without a parent (`rootqs`).
    roots: Vec<(Queue, At)>,
    /// Those with one (`qspecs`).
    children: Vec<(Queue, At)>,
    /// The interfaces that have a root.
    taken: FxHashSet<Option<Name>>,
    /// Whether one was refused: what fits together is then not asked.
    refused: bool,
}

impl Lowerer<'_> {
    pub(super) fn queue(&mut self, written: &QueueStatement, at: At) -> Result<(), Refused> {
        self.end = Some(self.origin.span);
        let before = self.faults.len();
        let outcome = self.add_queue(written, at);
        self.queues.refused |= self.faults.len() > before;
        outcome
    }

    fn add_queue(&mut self, written: &QueueStatement, at: At) -> Result<(), Refused> {
        if let Some(first) = written.interfaces.first()
            && !is_interface(self.context, first)
        {
            return Err(self.refuse(first.at, "not an interface"));
        }
        if written.bandwidth.is_none() && written.flows.is_none() {
            let help = "write `bandwidth …` or `flows …`".to_owned();
            self.refuse_with(at, "no bandwidth or flow specification", Some(help));
            return Ok(());
        }
        let names = [(Some(&written.name), "queuename"), (written.parent.as_ref(), "parent")];
        for (word, what) in names {
            if let Some(word) = word.filter(|word| word.text.len() >= NAME_ROOM) {
                self.refuse(word.at, format!("{what} too long"));
                return Ok(());
            }
        }
        let spec = written.bandwidth.map(|spec| spec.value);
        let queue = Queue {
            name: self.name(&written.name.text),
            parent: written.parent.as_ref().map(|parent| self.name(&parent.text)),
            interface: None,
            flows: written.flows.map(|flows| u32::from(flows.value)),
            quantum: written.quantum.map(|quantum| u32::from(quantum.value)),
            bandwidth: spec.map(|spec| curve(spec.linkshare)),
            min: spec.and_then(|spec| spec.realtime).map(curve),
            max: spec.and_then(|spec| spec.upperlimit).map(curve),
            default: written.default.is_some(),
            limit: written.qlimit.map_or(0, |limit| u32::from(limit.value)),
        };
        let interfaces: Vec<Option<Name>> = match &written.interfaces[..] {
            [] => vec![None],
            items => items
                .iter()
                .map(|item| interface_name(item).map(|word| self.name(&word.text)))
                .collect(),
        };
        for interface in interfaces {
            let queue = Queue {
                interface,
                ..queue.clone()
            };
            if !self.base.is_empty() {
                self.refuse(at, "cannot add queue: must not have queue definitions in an anchor");
                return Ok(());
            }
            if queue.parent.is_some() {
                self.shared.child_queues.insert((&*queue.name).into());
                self.queues.children.push((queue, at));
                continue;
            }
            if !self.queues.taken.insert(queue.interface.clone()) {
                let name = queue.interface.as_deref().unwrap_or("");
                let text = format!("cannot add queue: A root queue is already defined on {name}");
                self.refuse(at, text);
                return Ok(());
            }
            self.queues.roots.push((queue, at));
        }
        Ok(())
    }

    /// The queues in the order in which they are loaded and printed; says what does not fit together
    /// (`pfctl_check_qassignments`, `pfctl_load_queues`).
    pub(super) fn finish_queues(&mut self) -> Vec<Queue> {
        let Queues {
            roots,
            children,
            refused,
            taken: _,
        } = std::mem::take(&mut self.queues);
        self.end = None;
        if refused {
            return Vec::new();
        }
        let mut below: FxHashMap<&Name, Vec<usize>> = FxHashMap::default();
        for (number, (child, _)) in children.iter().enumerate() {
            if let Some(parent) = &child.parent {
                below.entry(parent).or_default().push(number);
            }
        }
        let mut tree = Tree {
            children: &children,
            below,
            matches: vec![0; children.len()],
            loaded: Vec::new(),
        };
        for (root, at) in &roots {
            let first = tree.loaded.len();
            tree.loaded.push(root.clone());
            let outcome = tree.below(root, root.interface.as_ref(), 0);
            let has_children = tree.loaded.len() > first + 1;
            let default = tree.loaded[first..].iter().any(|queue| queue.default);
            let fault = match outcome {
                Err((text, place)) => Some((text, place.unwrap_or(*at))),
                Ok(()) if has_children && root.bandwidth.is_none() && root.flows.is_some() => {
                    Some((format!("root queue {} doesn't support hierarchy", root.name), *at))
                }
                Ok(()) if root.bandwidth.is_some() && !default => Some(("no default queue specified".to_owned(), *at)),
                Ok(()) => None,
            };
            if let Some((text, place)) = fault {
                self.refuse(place, text);
            }
        }
        let Tree { matches, loaded, .. } = tree;
        for ((queue, at), matches) in children.iter().zip(matches) {
            let parent = queue.parent.as_deref().unwrap_or("");
            if matches == 0 {
                self.refuse(*at, format!("queue {}: parent {parent} not found", queue.name));
            } else if queue.bandwidth.is_none_or(|curve| curve == ServiceCurve::default()) {
                self.refuse(*at, format!("queue {}: no bandwidth was specified", queue.name));
            }
        }
        self.keep_faults();
        loaded
    }
}

/// The queues below the roots while they are put in order.
struct Tree<'a> {
    children: &'a [(Queue, At)],
    /// The numbers of those that name a parent.
    below: FxHashMap<&'a Name, Vec<usize>>,
    /// How often each of them hangs below something.
    matches: Vec<u32>,
    loaded: Vec<Queue>,
}

impl Tree<'_> {
    /// Loads what hangs below a queue (`pfctl_find_childqs`): of two of one name that on the interface wins.
    fn below(&mut self, parent: &Queue, interface: Option<&Name>, depth: usize) -> Result<(), (String, Option<At>)> {
        const LOOP: &str = "pfctl_find_childqs: excessive matches, loop?";
        if depth > DEEPEST || self.loaded.len() > MOST {
            return Err((LOOP.to_owned(), None));
        }
        let all = self.children;
        let named = self.below.get(&parent.name).cloned().unwrap_or_default();
        let mut own: IndexMap<&Name, (&Queue, At)> = IndexMap::new();
        for number in named {
            let (Some((child, at)), Some(matches)) = (all.get(number), self.matches.get_mut(number)) else {
                continue;
            };
            if child.interface.is_some() && child.interface.as_ref() != interface {
                continue;
            }
            *matches += 1;
            if *matches > MOST_MATCHES {
                return Err((LOOP.to_owned(), Some(*at)));
            }
            match own.get_mut(&child.name) {
                None => _ = own.insert(&child.name, (child, *at)),
                Some((other, _)) => match (&other.interface, &child.interface) {
                    (Some(name), Some(_)) => {
                        return Err((format!("queue {} on {name} respecified", child.name), Some(*at)));
                    }
                    (None, None) => return Err((format!("queue {} respecified", child.name), Some(*at))),
                    (None, Some(_)) => *other = child,
                    (Some(_), None) => {}
                },
            }
        }
        for &(child, at) in own.values() {
            let loaded = Queue {
                interface: interface.cloned(),
                ..child.clone()
            };
            self.loaded.push(loaded);
            self.below(child, interface, depth + 1)
                .map_err(|(text, place)| (text, place.or(Some(at))))?;
        }
        if own.is_empty() {
            return Ok(());
        }
        if parent.default {
            return Err((format!("default queue {} is not a leaf queue", parent.name), None));
        }
        if parent.flows.is_some() {
            return Err((format!("flow queue {} is not a leaf queue", parent.name), None));
        }
        Ok(())
    }
}

/// Whether a queue may be on it: an interface, not a group.
fn is_interface(context: &Context, item: &InterfaceItem) -> bool {
    let Some(word) = interface_name(item) else {
        return false;
    };
    let group = context
        .interfaces
        .iter()
        .any(|interface| context.in_group(interface, &word.text));
    context.open || (!group && context.interface(&word.text).is_some())
}

fn interface_name(item: &InterfaceItem) -> Option<&Word> {
    match &item.kind {
        InterfaceKind::Name(word) => Some(word),
        InterfaceKind::Any | InterfaceKind::Rdomain(_) => None,
    }
}

fn curve(written: QueueBandwidth) -> ServiceCurve {
    ServiceCurve {
        bandwidth: Bandwidth(written.rate),
        burst: written
            .burst
            .map(|(rate, milliseconds)| (Bandwidth(rate), milliseconds)),
    }
}
