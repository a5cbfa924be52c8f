//! `pfproof check`: the gate. Whether every statement of the policies holds, and what is wrong with pf.conf.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use clap::Args;

use pfproof::check::{Machine, Verdict, check, verdict};
use pfproof::diagnostic::{Code, Diagnostic, Severity};
use pfproof::policy;
use pfproof::report::check::{Report, Router};
use pfproof::report::{Format as Form, Look};
use pfproof::source::{FileId, Sources, Span};

use super::Status;
use super::console::Console;
use super::discover::{Failure, Loaded, load};
use super::files::{read_file, shown};
use super::options::{Format, Input, Level, Output};
use super::threads;

/// Check pf.conf against its policy: what holds, and a packet for what does not
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    output: Output,

    /// The policy, instead of every *.policy beside pf.conf; may be repeated
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,

    /// The least finding that fails the check [default: what pfproof.toml says, else error]
    #[arg(long, value_enum)]
    fail_on: Option<Level>,
}

/// Checks every machine that is meant; the highest status of them.
pub(crate) fn run(arguments: &Arguments) -> Status {
    let console = Console::new(&arguments.output);
    let machines = match load(&arguments.input) {
        Ok(machines) => machines,
        Err(failure) => {
            console.message(&failure.to_string());
            return Status::CouldNotJudge;
        }
    };
    let _progress = Progress::start(console, arguments.output.quiet);
    threads::start();
    let mut report = Report::default();
    let mut sources = Vec::new();
    let mut status = Status::Success;
    let mut form = arguments.output.format();
    for loaded in machines {
        form = arguments.output.format_or(loaded.project.defaults.format);
        let fail_on: Level = arguments
            .fail_on
            .or(loaded.project.defaults.fail_on)
            .unwrap_or_default();
        match one(loaded, arguments) {
            Ok((router, texts)) => {
                status = status.max(match verdict(&router, fail_on.into()) {
                    Verdict::Holds => Status::Success,
                    Verdict::Found => Status::Found,
                    Verdict::CouldNotJudge => Status::CouldNotJudge,
                });
                report.routers.push(router);
                sources.push(texts);
            }
            Err(failure) => {
                console.message(&failure.to_string());
                status = Status::CouldNotJudge;
            }
        }
    }
    let look = Look {
        color: console.color,
        width: console.width,
        verbose: arguments.output.verbose,
        ..Look::default()
    };
    let form = match form {
        Format::Human => Form::Human,
        Format::Short => Form::Short,
        Format::Json => Form::Json,
    };
    let texts: Vec<&Sources> = sources.iter().collect();
    let status = console.answer(&report.render(&texts, form, look), status);
    // The program ends: nobody needs the memory back, piece by piece.
    std::mem::forget((report, sources));
    status
}

/// Says on standard error that it is still at work, if it takes longer than two seconds.
struct Progress {
    /// Dropped when the work is done, which the waiting thread notices.
    _done: Option<Sender<()>>,
}

impl Progress {
    fn start(console: Console, quiet: bool) -> Self {
        if quiet {
            return Self { _done: None };
        }
        let (done, waiting) = channel::<()>();
        std::thread::spawn(move || {
            if waiting.recv_timeout(Duration::from_secs(2)) == Err(RecvTimeoutError::Timeout) {
                console.message("pfproof: still checking …\n");
            }
        });
        Self { _done: Some(done) }
    }
}

/// The report of one machine, and the texts that it speaks of.
fn one(mut loaded: Loaded, arguments: &Arguments) -> Result<(Router, Sources), Failure> {
    let known_from = loaded.known_from();
    let from_stdin = arguments.input.config.as_deref() == Some(Path::new("-"));
    let (files, elsewhere) = policies(&mut loaded, &arguments.policy, from_stdin)?;
    let Loaded {
        mut sources,
        name,
        document,
        loader,
        context,
        assumed,
        diagnostics,
        project,
        ..
    } = loaded;
    let machine = Machine {
        name,
        document,
        defines: arguments.input.define.clone(),
        context,
        policies: files,
        assumptions: arguments.input.assumed_facts(),
    };
    let mut router = check(&mut sources, &loader, machine);
    router.known_from = known_from;
    router.assumed.splice(0..0, assumed);
    router.findings.splice(0..0, elsewhere);
    router.findings.splice(0..0, diagnostics);
    project.lint.apply(&mut router.findings);
    Ok((router, sources))
}

/// The policies that are named, else those beside pf.conf that speak of it; and the complaints that some speak of another.
pub(crate) fn policies(
    loaded: &mut Loaded,
    named: &[PathBuf],
    from_stdin: bool,
) -> Result<(Vec<FileId>, Vec<Diagnostic>), Failure> {
    let (mut files, mut elsewhere) = (Vec::new(), Vec::new());
    let explicit = !named.is_empty();
    let paths = if explicit {
        named.to_vec()
    } else {
        loaded.policies.clone()
    };
    for path in paths {
        let bytes = if loaded.policies_are_found && !explicit {
            loaded.loader.load_beside(&path)
        } else {
            read_file(&path)
        };
        let bytes = bytes.map_err(|error| Failure::unreadable(&path, &error))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let configs = policy::configs(&text);
        let speaks = speaks_of(&configs, &loaded.name);
        // One that is about another pf.conf is none of this one's business; but one about none is a slip.
        let here = |config: &String| path.with_file_name(config).exists();
        let slip = match explicit {
            true => !speaks && !from_stdin,
            false => !speaks && !configs.iter().any(here),
        };
        if !(explicit || speaks || slip) {
            continue;
        }
        let file = loaded.sources.add(shown(&path), text);
        if explicit || speaks {
            files.push(file);
        }
        if let Some(config) = configs.first().filter(|_| slip) {
            elsewhere.push(of_another(&loaded.sources, file, config, &loaded.name, explicit));
        }
    }
    Ok((files, elsewhere))
}

/// Whether a policy that names those by `config` is about the pf.conf of that name: it names it, or none.
fn speaks_of(configs: &[String], config: &str) -> bool {
    let name = |path: &str| Path::new(path).file_name().map(ToOwned::to_owned);
    configs.is_empty() || configs.iter().any(|named| name(named) == name(config))
}

/// The complaint that a policy names another pf.conf than the one it is beside, or was given for.
fn of_another(sources: &Sources, file: FileId, config: &str, name: &str, explicit: bool) -> Diagnostic {
    let text = sources.file(file).text();
    let quoted = format!("\"{config}\"");
    let start = text.find(&quoted).unwrap_or(0);
    let span = Span {
        file,
        start: start as u32,
        end: (start + quoted.len()).min(text.len()) as u32,
    };
    let message = if explicit {
        format!("this policy is for `{config}`, and is checked against `{name}`")
    } else {
        format!("this policy is left out: there is no `{config}` here")
    };
    let base = Path::new(name)
        .file_name()
        .map_or(name.into(), |name| name.to_string_lossy());
    let mut finding = Diagnostic::new(Code::Policy, message)
        .labelled(span, "named here")
        .help(format!("if it is about this one, say config \"{base}\""));
    if explicit {
        // It was asked for, and is judged.
        finding.severity = Severity::Warning;
    }
    finding
}
