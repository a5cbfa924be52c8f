//! The pest grammar of the policy language, and its complaints in words.

use pest::error::ErrorVariant;
use pest_derive::Parser;

/// The parser of one statement.
#[derive(Parser)]
#[grammar = "../grammar/policy.pest"]
pub(super) struct PolicyParser;

/// What a grammar rule stands for, in words for the user; `None` for what needs no mention.
fn words(rule: &Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::line | Rule::verb | Rule::flow => "`require`, `allow`, `forbid`, `closed`, `zone`, `assume`, …",
        Rule::EOI => "the end of the statement",
        Rule::string => "a text in quotes",
        Rule::name | Rule::names | Rule::closed_from | Rule::closed_to => "a name",
        Rule::interfaces => "an interface",
        Rule::hosts | Rule::host | Rule::target => "a zone, address, `<table>`, interface, `self` or `any`",
        Rule::ports | Rule::k_port => "`port`",
        Rule::port | Rule::port_unary | Rule::port_binary => "a port",
        Rule::comparison | Rule::outside_or_between => "`=`, `<`, `><`, …",
        Rule::family => "`inet` or `inet6`",
        Rule::protocol => "a protocol",
        Rule::protocols | Rule::k_proto => "`proto`",
        Rule::source | Rule::k_from => "`from`",
        Rule::destination | Rule::k_to => "`to`",
        Rule::icmp_types | Rule::k_icmp_type | Rule::k_icmp6_type => "`icmp-type`",
        Rule::icmp_type => "an icmp type",
        Rule::icmp_code => "an icmp code",
        Rule::k_code => "`code`",
        Rule::expectation
        | Rule::nat_to
        | Rule::rdr_to
        | Rule::by_label
        | Rule::log
        | Rule::k_nat_to
        | Rule::k_rdr_to => "`nat-to`, `rdr-to`, `by label` or `log`",
        Rule::none => "`none`",
        Rule::k_by => "`by`",
        Rule::k_label => "`label`",
        Rule::k_on => "`on`",
        Rule::k_include | Rule::include => "`include`",
        Rule::k_config | Rule::config => "`config`",
        Rule::k_zone | Rule::zone => "`zone`",
        Rule::k_closed | Rule::closed => "`closed`",
        Rule::k_assume | Rule::assume | Rule::assumption_line => "`assume`",
        Rule::assumption
        | Rule::anchor_empty
        | Rule::anchor_only
        | Rule::table_empty
        | Rule::table_as_written
        | Rule::user_none
        | Rule::group_none
        | Rule::interface_address => "`anchor`, `table`, `user`, `group`, or an interface and its address",
        Rule::k_anchor => "`anchor`",
        Rule::k_table => "`table`",
        Rule::k_user => "`user`",
        Rule::k_group => "`group`",
        Rule::k_empty => "`empty`",
        Rule::k_only => "`only`",
        Rule::k_as_written => "`as written`",
        Rule::prefix | Rule::bits => "an address",
        Rule::table | Rule::table_name => "a `<table>`",
        Rule::word => "a word",
        Rule::packets
        | Rule::negation
        | Rule::any
        | Rule::itself
        | Rule::dynamic
        | Rule::host_list
        | Rule::keyword
        | Rule::word_first
        | Rule::word_rest
        | Rule::WHITESPACE
        | Rule::COMMENT => return None,
    })
}

/// Whether a name was expected where a word of the language stands.
pub(super) fn is_reserved(error: &pest::error::Error<Rule>) -> bool {
    match &error.variant {
        ErrorVariant::ParsingError { negatives, .. } => negatives.contains(&Rule::keyword),
        ErrorVariant::CustomError { .. } => false,
    }
}

/// What was expected where the text went wrong, as «expected a, b or c»; `None` where pest knows nothing to say.
pub(super) fn expected(error: &pest::error::Error<Rule>) -> Option<String> {
    let ErrorVariant::ParsingError { positives, .. } = &error.variant else {
        return None;
    };
    let mut options: Vec<&str> = Vec::new();
    for option in positives.iter().filter_map(words) {
        if !options.contains(&option) {
            options.push(option);
        }
    }
    let (last, others) = options.split_last()?;
    Some(if others.is_empty() {
        format!("expected {last}")
    } else {
        format!("expected {} or {last}", others.join(", "))
    })
}
