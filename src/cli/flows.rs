//! `pfproof flows`: who reaches whom, and what passes between two zones, exactly.

use clap::Args;
use pfproof::diagnostic::{Code, Severity};
use pfproof::engine::Engine;
use pfproof::report::flows::Flows;

use super::Status;
use super::console::Console;
use super::discover;
use super::expanded::Expanded;
use super::options::{Input, Output};

/// Show what passes between zones (interfaces, or `self`): the matrix, or one pair in few boxes
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    output: Output,

    /// The interface behind which the flows begin, or `self`
    #[arg(long, value_name = "ZONE", requires = "to")]
    from: Option<String>,

    /// The interface behind which they end, or `self`
    #[arg(long, value_name = "ZONE", requires = "from")]
    to: Option<String>,
}

/// Prints the matrix, or the flows of one pair of zones.
pub(crate) fn run(arguments: &Arguments) -> Status {
    let console = Console::new(&arguments.output);
    if arguments.output.format() == super::options::Format::Json {
        console.message("pfproof: flows has no `--format json` yet\n");
        return Status::CouldNotJudge;
    }
    let loaded = match discover::load_one(&arguments.input) {
        Ok(loaded) => loaded,
        Err(failure) => {
            console.message(&failure.to_string());
            return Status::CouldNotJudge;
        }
    };
    let Expanded {
        sources,
        context,
        lowered,
        mut findings,
    } = Expanded::new(loaded);
    // A file that is missing leaves its contents unknown; the rest can be judged.
    let refused = |code: Code, severity: Severity| severity == Severity::Error && code != Code::Unreadable;
    findings.retain(|finding| finding.severity == Severity::Error);
    console.findings(&findings, &sources);
    if findings.iter().any(|finding| refused(finding.code, finding.severity)) {
        return Status::CouldNotJudge;
    }
    let engine = Engine::new(&lowered.ruleset, &context);
    let flows = Flows::new(&engine);
    let (Some(from), Some(to)) = (&arguments.from, &arguments.to) else {
        return answer(&console, &flows.matrix());
    };
    let named = |name: &str| {
        let zone = flows.zone(name);
        if zone.is_none() {
            console.message(&format!("pfproof: no interface `{name}`\n"));
        }
        zone
    };
    match (named(from), named(to)) {
        (Some(from), Some(to)) => match flows.between(from, to) {
            Ok(lines) => answer(&console, &lines),
            Err(_) => {
                console.message("pfproof: the steps ran out: too much passes to list it\n");
                Status::CouldNotJudge
            }
        },
        (None, _) | (_, None) => Status::CouldNotJudge,
    }
}

fn answer(console: &Console, lines: &[String]) -> Status {
    let mut text = lines.join("\n");
    text.push('\n');
    console.answer(&text, Status::Success)
}
