//! [`Kind`]: which texts describe a machine, and who reads them.

use super::{
    Facts, read_hostname, read_hosts, read_ifconfig, read_mygate, read_rc_conf, read_routes, read_services,
    read_sysctl, read_toml,
};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{FileId, Sources, Span};

/// A kind of text that describes a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `context.toml`.
    ContextToml,
    /// hostname.if(5) of the interface of that name or link-layer address.
    HostnameIf(String),
    /// mygate(5).
    Mygate,
    /// hosts(5).
    Hosts,
    /// services(5).
    Services,
    /// sysctl.conf(5).
    Sysctl,
    /// rc.conf.local(8).
    RcConf,
    /// Output of `ifconfig -A`.
    Ifconfig,
    /// Output of `route -n show` or `netstat -rn`.
    Routes,
}

impl Kind {
    /// The kind of a file beside pf.conf, by its name; `None` for one that says nothing of the machine.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        Some(match name {
            "context.toml" => Self::ContextToml,
            "mygate" => Self::Mygate,
            "hosts" => Self::Hosts,
            "services" => Self::Services,
            "sysctl.conf" => Self::Sysctl,
            "rc.conf.local" => Self::RcConf,
            _ => Self::HostnameIf(name.strip_prefix("hostname.")?.to_owned()),
        })
    }
}

impl Kind {
    /// Bytes that a text of this kind may have: what a machine could have, and what is combined in bearable time.
    fn largest(&self) -> usize {
        match self {
            // Lists of names to be blocked are long.
            Self::Hosts | Self::Services => 16 << 20,
            Self::Routes => 2 << 20,
            Self::ContextToml | Self::HostnameIf(_) | Self::Mygate | Self::Sysctl | Self::RcConf | Self::Ifconfig => {
                256 << 10
            }
        }
    }
}

/// What a text says of the machine, and what is wrong with it.
#[must_use]
pub fn read(kind: &Kind, sources: &Sources, file: FileId) -> (Facts, Vec<Diagnostic>) {
    if sources.file(file).text().len() > kind.largest() {
        let start = Span { file, start: 0, end: 0 };
        let message = format!("more than {} bytes: it describes no machine", kind.largest());
        return (
            Facts::default(),
            vec![Diagnostic::new(Code::Context, message).at(start)],
        );
    }
    match kind {
        Kind::ContextToml => read_toml(sources, file),
        Kind::HostnameIf(interface) => read_hostname(interface, sources, file),
        Kind::Mygate => read_mygate(sources, file),
        Kind::Hosts => read_hosts(sources, file),
        Kind::Services => read_services(sources, file),
        Kind::Sysctl => read_sysctl(sources, file),
        Kind::RcConf => read_rc_conf(sources, file),
        Kind::Ifconfig => read_ifconfig(sources, file),
        Kind::Routes => read_routes(sources, file),
    }
}
