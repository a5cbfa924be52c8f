//! `pfproof flows`: who reaches whom, and what passes between two zones, exactly.

use std::path::PathBuf;

use clap::Args;
use pfproof::check::{Machine, flows};
use pfproof::diagnostic::{Code, Severity};
use pfproof::policy;
use pfproof::report::printable;
use pfproof::source::FileId;

use super::Status;
use super::check::speaks_of;
use super::console::Console;
use super::discover::{self, Failure, Loaded};
use super::expanded::state;
use super::files::read_file;
use super::options::{Input, Output};

/// Show what passes between zones: the matrix, or one pair in few boxes
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    output: Output,

    /// The policy whose zones are meant, instead of every *.policy beside pf.conf; may be repeated
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,

    /// Where the flows begin: a zone of the policies, the hosts behind an interface or group, an address, or `self`
    #[arg(long, value_name = "ZONE", requires = "to")]
    from: Option<String>,

    /// Where they end
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
    match answer(arguments, console) {
        Ok(status) => status,
        Err(failure) => {
            console.message(&failure.to_string());
            Status::CouldNotJudge
        }
    }
}

fn answer(arguments: &Arguments, console: Console) -> Result<Status, Failure> {
    let mut loaded = discover::load_one(&arguments.input)?;
    let policies = policies(&mut loaded, &arguments.policy)?;
    let Loaded {
        mut sources,
        name,
        document,
        loader,
        context,
        mut diagnostics,
        ..
    } = loaded;
    let state = state(&context);
    let machine = Machine {
        name,
        document,
        defines: arguments.input.define.clone(),
        context,
        policies,
        assumptions: Vec::new(),
    };
    let pair = arguments.from.as_deref().zip(arguments.to.as_deref());
    let (lines, found) = flows(&mut sources, &loader, machine, pair);
    diagnostics.extend(found);
    // A file that is missing leaves its contents unknown; the rest can be judged.
    let refused = |code: Code| code != Code::Unreadable;
    diagnostics.retain(|finding| finding.severity == Severity::Error);
    diagnostics.extend(state);
    console.findings(&diagnostics, &sources);
    if diagnostics
        .iter()
        .any(|finding| finding.severity == Severity::Error && refused(finding.code))
    {
        return Ok(Status::CouldNotJudge);
    }
    Ok(match lines {
        Ok(lines) => {
            let mut text = lines.join("\n");
            text.push('\n');
            console.answer(&text, Status::Success)
        }
        Err(words) => {
            console.message(&format!("pfproof: {}\n", printable(&words)));
            Status::CouldNotJudge
        }
    })
}

/// The policies that are named, else those beside pf.conf that speak of it.
fn policies(loaded: &mut Loaded, named: &[PathBuf]) -> Result<Vec<FileId>, Failure> {
    let explicit = !named.is_empty();
    let mut files = Vec::new();
    for path in if explicit {
        named.to_vec()
    } else {
        loaded.policies.clone()
    } {
        let bytes = if loaded.policies_are_found && !explicit {
            loaded.loader.load_beside(&path)
        } else {
            read_file(&path)
        };
        let bytes = bytes.map_err(|error| Failure::unreadable(&path, &error))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if explicit || speaks_of(&policy::configs(&text), &loaded.name) {
            let shown = path.strip_prefix(".").unwrap_or(&path).display().to_string();
            files.push(loaded.sources.add(shown, text));
        }
    }
    Ok(files)
}
