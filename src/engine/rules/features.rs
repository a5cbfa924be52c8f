//! [`Features`]: what rules of a ruleset ask for and do that makes the search look further.

use crate::context::Context;
use crate::net::{Direction, Protocol, TcpFlags};
use crate::ruleset::{Action, Host, InterfaceMatch, KeepState, Peer, RouteToKind, Rule, Ruleset, Translation};

/// What some rule of any anchor does.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct Features {
    /// Whether some rule asks for tags.
    pub(in crate::engine) asks_for_tags: bool,
    /// Whether a rule may ask for the tag of packets that its entries do not match: by what is asked after that.
    pub(in crate::engine) asks_before: bool,
    /// Whether some rule asks for priority or type of service.
    pub(super) asks_for_fields: bool,
    /// Whether some rule may make states of answers of tcp, which the first packet has made none for.
    pub(in crate::engine) keeps_answers: bool,
    /// Whether some rule translates the destination of packets on their way out, or sends them elsewhere then.
    pub(in crate::engine) redirects_outward: bool,
    /// Whether a match rule sets the routing table, and whether some rule asks for a route.
    sets_tables: bool,
    asks_for_routes: bool,
    /// Whether some rule asks for a route, or the routing domain, of what goes out.
    asks_for_table_outward: bool,
}

impl Features {
    /// Those of a ruleset.
    pub(super) fn of(ruleset: &Ruleset) -> Self {
        let mut features = Self::default();
        for rule in ruleset.anchors.values().flat_map(|anchor| &anchor.rules) {
            features.asks_for_tags |= rule.tagged.is_some();
            features.asks_before |= asks_before(rule);
            features.asks_for_fields |= rule.prio.is_some() || rule.tos.is_some();
            features.redirects_outward |= redirects_outward(rule);
            features.keeps_answers |= keeps_answers(rule);
            features.sets_tables |= matches!(rule.action, Action::Match) && rule.rtable.is_some();
            let asks = asks_for_route(&rule.source) || asks_for_route(&rule.destination);
            features.asks_for_routes |= asks;
            let asks = asks || matches!(rule.interface, InterfaceMatch::Rdomain { .. });
            features.asks_for_table_outward |= asks && rule.direction != Some(Direction::In);
        }
        features
    }

    /// Whether routes may be asked for in another table than that of the packet's routing domain (`pf_match_rule`: in the
    /// one that match rules have set).
    pub(super) fn asks_other_tables(self) -> bool {
        self.sets_tables && self.asks_for_routes
    }

    /// Whether what leaves by an interface of another routing domain than that of its table may be asked for its route, or its
    /// domain: which table that is, the place does not tell.
    pub(super) fn asks_beyond(self, context: &Context) -> bool {
        let domain = |name: &str| context.interface(name).map_or(0, |interface| interface.rdomain);
        let mut routes = context.routes.iter();
        self.asks_for_table_outward
            && routes.any(|route| {
                let mut domains = context.interfaces.iter().map(|interface| interface.rdomain);
                let of_table = domains.find(|&one| one == route.rtable).unwrap_or(0);
                domain(&route.interface) != of_table
            })
    }
}

fn asks_for_route(peer: &Peer) -> bool {
    match peer.host {
        Host::NoRoute | Host::UrpfFailed | Host::RouteLabel(_) => true,
        Host::Any | Host::Prefix(_) | Host::Range(..) | Host::Dynamic(_) | Host::Table(_) => false,
    }
}

fn keeps_answers(rule: &Rule) -> bool {
    let is_tcp = rule.protocol.is_none_or(|protocol| protocol == Protocol::TCP);
    let answers = rule
        .flags
        .is_none_or(|flags| flags.matches(TcpFlags::SYN | TcpFlags::ACK));
    matches!(rule.action, Action::Pass) && rule.keep_state != KeepState::No && is_tcp && answers
}

/// Whether more is asked of a packet after its tag, or an anchor asks for that, in which there may be no rule.
fn asks_before(rule: &Rule) -> bool {
    let more = rule.received_on.is_some() || rule.prio.is_some() || rule.max_pkt_rate.is_some();
    rule.tagged.is_some() && (more || matches!(rule.action, Action::Anchor { .. }))
}

/// Whether packets may leave elsewhere, or to another destination, than they seemed to before the hop out; as replies of
/// their own, too, by a state that has changed their source, or their domain, on the way in.
fn redirects_outward(rule: &Rule) -> bool {
    let nats = matches!(rule.translation.as_deref(), Some(Translation::Nat { .. }));
    let redirects = rule
        .translation
        .as_deref()
        .is_some_and(|translation| match translation {
            Translation::Nat { .. } => false,
            Translation::Rdr { .. } | Translation::NatAndRdr { .. } | Translation::Af(_) => true,
        });
    let routes = rule.route_to.as_deref();
    let routes = routes.is_some_and(|route| route.kind != RouteToKind::ReplyTo);
    match rule.direction {
        Some(Direction::In) => nats || rule.rtable.is_some(),
        Some(Direction::Out) | None => redirects || routes || rule.rtable.is_some(),
    }
}
