//! `table <name> …`

use super::host::TABLE_SIZE;
use super::{Builder, Built, Pair, refuse, shorter};
use crate::syntax::ast::{Host, HostKind, Spanned, TableItem, TableOption, TableRule};
use crate::syntax::grammar::Rule;

impl Builder {
    pub(super) fn table_rule(&self, pair: Pair<'_>) -> Built<TableRule> {
        let at = self.at(&pair);
        let mut name = None;
        let mut options = Vec::new();
        for inner in pair.into_inner() {
            if inner.as_rule() == Rule::string {
                name = Some(self.word(&inner));
            } else {
                options.push(self.tableopt(inner)?);
            }
        }
        let Some(name) = name else {
            return refuse(at, "syntax error");
        };
        let name = shorter(name, TABLE_SIZE, |_| {
            format!("table name too long, max {} chars", TABLE_SIZE - 1)
        })?;
        Ok(TableRule { name, options })
    }

    fn tableopt(&self, pair: Pair<'_>) -> Built<TableOption> {
        let at = self.at(&pair);
        let Some(inner) = pair.into_inner().next() else {
            return refuse(at, "syntax error");
        };
        Ok(match inner.as_rule() {
            Rule::table_file => TableOption::File(self.only_word(inner)),
            Rule::tableaddrs => {
                let value = self.table_items(inner)?;
                TableOption::Hosts(Spanned { at, value })
            }
            _ => {
                let word = self.word(&inner);
                match &*word.text {
                    "const" => TableOption::Const(at),
                    "persist" => TableOption::Persist(at),
                    "counters" => TableOption::Counters(at),
                    _ => {
                        let message = format!("invalid table option '{word}'");
                        return refuse(at, message)
                            .map_err(|refusal| Box::new(refusal.help("it may be `persist`, `const` or `counters`")));
                    }
                }
            }
        })
    }

    fn table_items(&self, pair: Pair<'_>) -> Built<Vec<TableItem>> {
        pair.into_inner().map(|item| self.table_item(item)).collect()
    }

    fn table_item(&self, pair: Pair<'_>) -> Built<TableItem> {
        let at = self.at(&pair);
        let mut host = None;
        let mut weight = None;
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::table_list => {
                    let at = self.at(&inner);
                    let value = self.table_items(inner)?;
                    return Ok(TableItem::List(Spanned { at, value }));
                }
                Rule::weight => weight = Some(self.weight(inner)?),
                _ => host = Some(self.host(inner)?),
            }
        }
        match host {
            Some(host) => {
                permitted(&host)?;
                Ok(TableItem::Host { host, weight })
            }
            None => refuse(at, "syntax error"),
        }
    }
}

/// Refuses what is no address.
fn permitted(host: &Host) -> Built<()> {
    let message = match host.kind {
        HostKind::Named(_) => return Ok(()),
        HostKind::Range(_) => "address ranges are not permitted inside tables",
        HostKind::Dynamic(_) => "dynamic addresses are not permitted inside tables",
        HostKind::Table(_) => "tables cannot contain tables",
        HostKind::NoRoute => "\"no-route\" is not permitted inside tables",
        HostKind::UrpfFailed => "\"urpf-failed\" is not permitted inside tables",
        // PF_ADDR_RTLABEL, for which parse.y has no words.
        HostKind::Route(_) => "unknown address type 4",
    };
    refuse(host.at, message)
}
