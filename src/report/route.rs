//! The route of a packet from one hop to where it leaves, in the words that all reports use.

use crate::context::Context;
use crate::eval::Evaluation;
use crate::ruleset::RouteToKind;

/// By what the packet goes from that hop to the interface: the gateway of a `route-to`, else the entry of the routing
/// table, like `default > em0`.
pub(super) fn route(context: &Context, from: &Evaluation, interface: &str) -> String {
    if let Some(next) = from.route.as_ref().filter(|next| next.kind == RouteToKind::RouteTo) {
        return format!("route-to {} > {interface}", next.address);
    }
    match context.route(from.rtable, from.after.dst) {
        Some(route) if route.to.prefix_len() == 0 => format!("default > {interface}"),
        Some(route) => format!("{} > {interface}", route.to),
        None => format!("> {interface}"),
    }
}
