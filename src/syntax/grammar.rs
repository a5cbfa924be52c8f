//! The grammar of one statement, as pest reads it from `grammar/`.

use pest_derive::Parser;

#[derive(Parser)]
#[grammar = "../grammar/lexical.pest"]
#[grammar = "../grammar/statement.pest"]
#[grammar = "../grammar/rule.pest"]
#[grammar = "../grammar/address.pest"]
pub(super) struct Grammar;
