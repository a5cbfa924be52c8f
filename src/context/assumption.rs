//! What nobody said and the answers rest on, in few words; and how it is settled.

use ipnet::IpNet;

use super::{Context, InterfaceAddress};
use crate::net::Family;

/// Something that nobody said: a subject (an interface, a group) and what is assumed of it.
///
/// Those of which the same is assumed are said in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumption {
    /// Of what.
    pub subject: String,
    /// What, in lower case, no full stop.
    pub text: String,
}

impl Assumption {
    /// What is assumed of an interface that pf.conf names, on a machine whose others are described.
    pub(super) const UNDESCRIBED: &'static str = "nobody describes it: it may be missing, or have any addresses";

    /// The subjects of [`no_others`](Self::no_others) and [`of_forwarding`](Self::of_forwarding): of them no other value
    /// is considered, so they are said first.
    const TAKEN_FOR_SO: [&'static str; 2] = ["no other interfaces", "forwarding"];

    /// That assumption.
    pub fn new(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            text: text.into(),
        }
    }

    /// What is assumed where interfaces are described, but nobody says that these are all.
    pub(super) fn no_others() -> Self {
        let text = "what neither a hostname file nor pf.conf names is taken as not there; `--ifconfig` or a \
                    context.toml lists all";
        Self::new(Self::TAKEN_FOR_SO[0], text)
    }

    /// What is assumed where nobody says whether the machine forwards.
    pub(super) fn of_forwarding() -> Self {
        Self::new(Self::TAKEN_FOR_SO[1], "taken to be on: nothing says")
    }

    /// What is assumed where the default routes may leave by any of those interfaces: by the first, and by each other.
    pub(super) fn of_upstreams(upstreams: &[String]) -> Option<Self> {
        let first = upstreams.first()?;
        let text = format!(
            "leave by {first}, or by another interface: each is considered; `--assume egress=INTERFACE` settles it"
        );
        Some(Self::new("default routes", text))
    }
}

/// The lines that are shown at most.
const LINES: usize = 5;

/// The names that one line lists.
const NAMES: usize = 6;

/// Those assumptions and the addresses that are still unknown, in at most five lines.
#[must_use]
pub fn assumptions(context: &Context, assumed: &[Assumption]) -> Vec<String> {
    let mut lines = assumptions_in_full(context, assumed);
    if lines.len() > LINES {
        let more = lines.len() - (LINES - 1);
        lines.truncate(LINES - 1);
        lines.push(format!("{more} more: `pfproof context` has them all"));
    }
    lines
}

/// Those assumptions and the addresses that are still unknown, in as many lines as it takes.
#[must_use]
pub fn assumptions_in_full(context: &Context, assumed: &[Assumption]) -> Vec<String> {
    let (undescribed, assumed): (Vec<_>, Vec<_>) = assumed
        .iter()
        .partition(|assumption| assumption.text == Assumption::UNDESCRIBED);
    let (first, assumed): (Vec<_>, Vec<_>) = assumed
        .into_iter()
        .partition(|assumption| Assumption::TAKEN_FOR_SO.contains(&assumption.subject.as_str()));
    let mut all: Vec<Assumption> = first.into_iter().cloned().collect();
    all.sort_by_key(|assumption| assumption.subject == Assumption::TAKEN_FOR_SO[1]);
    for interface in &context.interfaces {
        if context.leads_elsewhere(interface) {
            all.push(Assumption::new(
                &interface.name,
                "master or backup: both are considered",
            ));
        }
        let unknown: Vec<_> = Family::BOTH
            .into_iter()
            .filter(|family| interface.addresses.contains(&InterfaceAddress::Unknown(*family)))
            .collect();
        let text = match unknown.as_slice() {
            [] => continue,
            [..] if undescribed
                .iter()
                .any(|assumption| assumption.subject == interface.name) =>
            {
                Assumption::UNDESCRIBED.to_owned()
            }
            [only] => format!("{only} address unknown: every one outside other networks is considered"),
            [..] => "addresses unknown: every one outside other networks is considered".to_owned(),
        };
        all.push(Assumption::new(&interface.name, text));
    }
    for (to, _, interfaces) in context.equal_routes() {
        let routes = match to.prefix_len() {
            0 => format!("default routes by {}", interfaces.join(", ")),
            _ => format!("routes to {to} by {}", interfaces.join(", ")),
        };
        all.push(Assumption::new(
            routes,
            "each is considered, and that all count (multipath)",
        ));
    }
    all.extend(assumed.into_iter().cloned());
    let mut grouped: Vec<(String, Vec<String>)> = Vec::new();
    for Assumption { subject, text } in all {
        match grouped.iter_mut().find(|(known, _)| *known == text) {
            Some((_, subjects)) if subjects.contains(&subject) => {}
            Some((_, subjects)) => subjects.push(subject),
            None => grouped.push((text, vec![subject])),
        }
    }
    grouped
        .iter()
        .map(|(text, subjects)| match subjects.get(NAMES..) {
            Some(rest @ [_, ..]) => format!("{} and {} more: {text}", subjects[..NAMES].join(", "), rest.len()),
            Some([]) | None => format!("{}: {text}", subjects.join(", ")),
        })
        .collect()
}

impl Context {
    /// Gives the interface that address in place of one of its family that is not known, else after its others.
    /// False where there is no such interface.
    pub fn settle(&mut self, interface: &str, address: IpNet) -> bool {
        let Some(interface) = self.interfaces.iter_mut().find(|known| known.name == interface) else {
            return false;
        };
        let known = InterfaceAddress::Known(address);
        let unknown = InterfaceAddress::Unknown(known.family());
        match interface.addresses.iter().position(|&address| address == unknown) {
            Some(at) => interface.addresses[at] = known,
            None if interface.addresses.contains(&known) => {}
            None => interface.addresses.push(known),
        }
        true
    }
}
