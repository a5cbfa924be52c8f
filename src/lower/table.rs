//! Tables: `process_tabledef`, and the files of addresses (`pfr_buf_load`).

use std::net::IpAddr;

use ipnet::IpNet;

use super::host::NoHost;
use super::node::Node;
use super::option::why;
use super::{Lowerer, Refused};
use crate::diagnostic::Code;
use crate::net::Family;
use crate::ruleset::{Declaration, Host, Table, TableContent, TableEntry, TableInterface};
use crate::source::At;
use crate::syntax::ast::{TableItem, TableOption, TableRule, Word};

/// The longest word of a table file, in bytes.
const LONGEST_WORD: usize = 255;

/// A table while its definition is read.
#[derive(Default)]
struct Draft {
    table: Table,
    contents: Vec<TableContent>,
    initialized: bool,
}

impl Lowerer<'_> {
    pub(super) fn table(&mut self, written: &TableRule, at: At) -> Result<(), Refused> {
        let mut draft = Draft::default();
        // Hosts are looked up as they are read, files when the definition is complete.
        let mut hosts = self.table_hosts(written)?.into_iter();
        for option in &written.options {
            match option {
                TableOption::Const(_) => draft.table.constant = true,
                TableOption::Persist(_) => draft.table.persist = true,
                TableOption::Counters(_) => draft.table.counters = true,
                TableOption::Hosts(_) | TableOption::File(_) => draft.initialized = true,
            }
        }
        self.end = Some(self.origin.span);
        let mut outcome = Ok(());
        for option in &written.options {
            let added = match option {
                TableOption::Const(_) | TableOption::Persist(_) | TableOption::Counters(_) => Ok(()),
                TableOption::Hosts(_) => self.add_hosts(&mut draft, hosts.next().unwrap_or_default()),
                TableOption::File(file) => self.add_file(&mut draft, file, at),
            };
            // What cannot be read leaves the table's contents unknown, but there is a table.
            if let Err(Refused) = added {
                draft.table.unknown = true;
                outcome = Err(Refused);
            }
        }
        let Draft {
            mut table,
            contents,
            initialized,
        } = draft;
        table.origin = Some(self.origin);
        let name = self.name(&written.name.text);
        self.declarations.push(Declaration::Table {
            name: name.clone(),
            constant: table.constant,
            persist: table.persist,
            counters: table.counters,
            initialized,
            contents,
        });
        self.anchor.tables.insert(name, table);
        outcome
    }

    /// The hosts of each list.
    pub(super) fn table_hosts(&mut self, written: &TableRule) -> Result<Vec<Vec<Node>>, Refused> {
        let lists = written.options.iter().filter_map(|option| match option {
            TableOption::Hosts(items) => Some(self.table_items(&items.value)),
            TableOption::Const(_) | TableOption::Persist(_) | TableOption::Counters(_) | TableOption::File(_) => None,
        });
        super::rule::all(lists)
    }

    /// The hosts of a list, nested ones too.
    fn table_items(&mut self, items: &[TableItem]) -> Result<Vec<Node>, Refused> {
        let found: Vec<_> = items
            .iter()
            .map(|item| match item {
                TableItem::Host { host, weight } => self.host(host).map(|mut nodes| {
                    for node in &mut nodes {
                        node.weight = weight.map(|weight| weight.value);
                    }
                    nodes
                }),
                TableItem::List(list) => self.table_items(&list.value),
            })
            .collect();
        super::rule::all(found).map(|nodes| nodes.concat())
    }

    fn add_hosts(&mut self, draft: &mut Draft, hosts: Vec<Node>) -> Result<(), Refused> {
        self.take_entries(hosts.len(), hosts.first().map_or(At::default(), |node| node.at))?;
        for node in hosts {
            match (node.host, node.family) {
                (Host::Prefix(prefix), Some(family)) if node.bits <= family.bits() => {
                    let entry = TableEntry {
                        negated: node.negated,
                        prefix,
                        interface: None,
                        weight: node.weight,
                    };
                    draft.contents.push(TableContent::Entry(entry.clone()));
                    draft.table.entries.push(entry);
                }
                (Host::Dynamic(address), family) if address.load_time => {
                    draft.table.interfaces.push(TableInterface {
                        negated: node.negated,
                        address: address.clone(),
                        family,
                    });
                    draft.contents.push(TableContent::Interface {
                        negated: node.negated,
                        address,
                    });
                }
                (_, family) => {
                    let bits = family.map(Family::bits).filter(|&bits| node.bits > bits);
                    let help = bits.map(|bits| format!("a prefix of this family has at most {bits} bits"));
                    let text = "cannot create address buffer: Invalid argument";
                    return Err(self.refuse_with(node.at, text, help));
                }
            }
        }
        Ok(())
    }

    /// Counts entries of tables, and refuses more than there may be.
    pub(super) fn take_entries(&mut self, count: usize, at: At) -> Result<(), Refused> {
        self.shared.entries += count;
        if self.shared.entries <= self.limits.table_entries {
            return Ok(());
        }
        let text = format!("more than {} entries of tables", self.limits.table_entries);
        self.faults.push((at, self.document.finding(Code::Limit, at, text)));
        Err(Refused)
    }

    /// Counts the bytes of files, and refuses more than there may be.
    fn take_bytes(&mut self, count: usize, at: At) -> Result<(), Refused> {
        self.shared.file_bytes += count;
        if self.shared.file_bytes <= self.limits.file_bytes {
            return Ok(());
        }
        let text = format!("more than {} bytes of files", self.limits.file_bytes);
        self.faults.push((at, self.document.finding(Code::Limit, at, text)));
        Err(Refused)
    }

    /// Adds what a file lists: words, comments from `#` to the end of the line, `weight N` after an address.
    fn add_file(&mut self, draft: &mut Draft, file: &Word, at: At) -> Result<(), Refused> {
        draft.contents.push(TableContent::File(self.name(&file.text)));
        let bytes = match self.loader.load(&file.text) {
            Ok(bytes) => bytes,
            Err(error) => {
                return Err(self.unreadable(file.at, format!("cannot load \"{file}\": {}", why(&error))));
            }
        };
        self.take_bytes(bytes.len(), file.at)?;
        let mut weight_of = None;
        for (line, word) in words(&bytes) {
            let first = draft.table.entries.len();
            if let Some(previous) = weight_of.take() {
                let weight = word.parse().ok().filter(|&weight: &u16| weight > 0);
                let Some(weight) = weight else {
                    return Err(self.bad_data(file, line, &format!("failed to convert weight {word}")));
                };
                for entry in draft.table.entries.iter_mut().skip(previous) {
                    entry.weight = Some(weight);
                }
                weight_of = None;
                continue;
            }
            if word == "weight" {
                weight_of = Some(first.saturating_sub(1));
                continue;
            }
            if word.len() > LONGEST_WORD {
                return Err(self.unreadable(file.at, format!("cannot load \"{file}\": Invalid argument")));
            }
            let host = word.trim_start_matches('!');
            let negated = (word.len() - host.len()) % 2 == 1;
            self.take_entries(1, at)?;
            // Most words of large files are plain addresses or prefixes.
            if let Some(prefix) = plain(host) {
                draft.table.entries.push(entry(negated, prefix));
                continue;
            }
            let nodes = match self.look_up(host, file.at) {
                Ok(nodes) => nodes,
                Err(NoHost::Because(why)) => return Err(self.bad_data(file, line, &why)),
                Err(NoHost::Unknown) => {
                    return Err(self.bad_data(file, line, &format!("no IP address found for {host}")));
                }
            };
            for node in nodes {
                match (&node.host, node.family) {
                    (Host::Prefix(prefix), Some(family)) if node.bits <= family.bits() => {
                        draft.table.entries.push(entry(negated, *prefix));
                    }
                    (Host::Dynamic(address), family) => draft.table.interfaces.push(TableInterface {
                        negated,
                        address: address.clone(),
                        family,
                    }),
                    _ => return Err(self.unreadable(file.at, format!("cannot load \"{file}\": Invalid argument"))),
                }
            }
        }
        match weight_of {
            Some(_) => Err(self.refuse(file.at, format!("file \"{file}\" contains bad data"))),
            None => Ok(()),
        }
    }

    fn bad_data(&mut self, file: &Word, line: usize, why: &str) -> Refused {
        let help = format!("{file}:{line}: {why}");
        self.refuse_with(file.at, format!("file \"{file}\" contains bad data"), Some(help))
    }
}

fn entry(negated: bool, prefix: IpNet) -> TableEntry {
    TableEntry {
        negated,
        prefix,
        interface: None,
        weight: None,
    }
}

/// An address, or one with a prefix length, in their usual form.
fn plain(word: &str) -> Option<IpNet> {
    if let Some((address, length)) = word.split_once('/') {
        let address: IpAddr = address.parse().ok()?;
        return IpNet::new(address, length.parse().ok()?).ok().map(|net| net.trunc());
    }
    word.parse::<IpAddr>().ok().map(IpNet::from)
}

/// The words of a table file with the numbers of their lines (`pfr_next_token`).
fn words(bytes: &[u8]) -> impl Iterator<Item = (usize, std::borrow::Cow<'_, str>)> {
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let mut at = 0;
    let mut line = 1;
    std::iter::from_fn(move || {
        loop {
            match bytes.get(at)? {
                b'#' => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                }
                byte if is_space(byte) => {
                    line += usize::from(*byte == b'\n');
                    at += 1;
                }
                _ => break,
            }
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let length = rest.iter().position(is_space).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        at += length;
        Some((line, String::from_utf8_lossy(word)))
    })
}
