//! What pf sends in place of a packet whose handshake it has answered (`pf_synproxy`).

use super::machine::Machine;
use super::record::{Journey, Verdict};
use crate::context::RouteKind;
use crate::net::{Protocol, TcpFlags};
use crate::packet::{Packet, Way};

impl Machine<'_> {
    /// The SYN that pf sends on, as if it were the machine's own, when the sender of a packet has answered it; `None` where pf has
    /// not answered its handshake, where it was for the machine itself, and where no route leads.
    #[must_use]
    pub fn sent_instead(&self, journey: &Journey) -> Option<Packet> {
        let last = journey.hops.last().filter(|last| last.verdict == Verdict::Synproxy)?;
        let answered = &last.after;
        let routes = self.routes(last.rtable);
        let route = routes
            .lookup(answered.dst)
            .filter(|route| !route.reject && route.kind != RouteKind::Local)?;
        let out = route.interface.to_owned();
        let mut sent = Packet::new(Way::Out, out, Protocol::TCP, answered.src, answered.dst);
        (sent.sport, sent.dport, sent.flags) = (answered.sport, answered.dport, TcpFlags::SYN);
        sent.tag.clone_from(&answered.tag);
        Some(sent)
    }
}
