//! What is judged: finds pf.conf, its root and what is known of the machine, and reads them.
//!
//! Every command begins here. Which files beside pf.conf describe the machine is said by [`pfproof::context`].

use std::fmt;
use std::io::stdin;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use pfproof::context::{self, Combined, Context, Facts, Kind};
use pfproof::diagnostic::Diagnostic;
use pfproof::report::printable;
use pfproof::source::{FileId, LoadError, Loader, Sources};
use pfproof::syntax::{self, Document, Limits};

use super::files::{DiskLoader, read_file, read_limited, shown};
use super::live;
use super::options::{Input, of_machine};
use super::project::{Project, Router, Settings};
use super::template;
use super::threads;

/// Why nothing could be judged, in words for the user: what is wrong, and what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    help: Option<String>,
}

impl Failure {
    /// A failure in those words.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    /// A file that could not be read.
    pub(crate) fn unreadable(path: &Path, error: &LoadError) -> Self {
        Self::new(format!("{}: {error}", path.display()))
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pfproof: {}", printable(&self.message))?;
        match &self.help {
            Some(help) => writeln!(f, "  help: {}", printable(help)),
            None => Ok(()),
        }
    }
}

/// One machine's pf.conf, read, with all that is known of the machine.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Every text that was read so far.
    pub(crate) sources: Sources,
    /// What pf.conf is called in messages.
    pub(crate) name: String,
    /// Its statements.
    pub(crate) document: Document,
    /// Reads what pf.conf and the policies name.
    pub(crate) loader: DiskLoader,
    /// Whether pf.conf is a template still to be filled in: then it has no statements, and a diagnostic says so.
    pub(crate) is_template: bool,
    /// The machine.
    pub(crate) context: Context,
    /// The texts that the machine is known from, by name.
    known_from: Vec<String>,
    /// What was said of the machine, and where.
    pub(crate) facts: Facts,
    /// What nobody said and the answers rest on: at most five lines.
    pub(crate) assumed: Vec<String>,
    /// What is wrong with the context and with the syntax of pf.conf.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// What `pfproof.toml` says of all machines.
    pub(crate) project: Rc<Settings>,
    /// The policies that `pfproof.toml` names, else the files beside pf.conf that end in `.policy`.
    pub(crate) policies: Vec<PathBuf>,
    /// Whether these were found beside pf.conf: then they may be links, which do not lead out of its root.
    pub(crate) policies_are_found: bool,
}

impl Loaded {
    /// The texts that the machine is known from, in few words: `hostname.{em0,vlan92}, mygate`; `None` where there are
    /// none.
    pub(crate) fn known_from(&self) -> Option<String> {
        let mut words: Vec<String> = Vec::new();
        let mut hostnames: Vec<&str> = Vec::new();
        for name in &self.known_from {
            let base = name.rsplit('/').next().unwrap_or(name);
            match base.strip_prefix("hostname.") {
                Some(interface) => hostnames.push(interface),
                None => words.push(base.to_owned()),
            }
        }
        match hostnames.as_slice() {
            [] => {}
            [only] => words.insert(0, format!("hostname.{only}")),
            several => words.insert(0, format!("hostname.{{{}}}", several.join(","))),
        }
        Some(words.join(", ")).filter(|words| !words.is_empty())
    }
}

/// The one machine that the command line means, with names taken as pfctl takes them: what no file lists is not there.
///
/// # Errors
/// As [`load_one`].
pub(crate) fn load_strictly(input: &Input) -> Result<Loaded, Failure> {
    one_target(input)?.load(input, Names::AsListed)
}

/// The one machine that the command line means.
///
/// # Errors
/// [`Failure`], where there is none, there are several, or a file that was asked for cannot be read.
pub(crate) fn load_one(input: &Input) -> Result<Loaded, Failure> {
    one_target(input)?.load(input, Names::Assumed)
}

fn one_target(input: &Input) -> Result<Target, Failure> {
    let mut targets = targets(input)?;
    match (targets.pop(), targets.is_empty()) {
        (Some(target), true) => Ok(target),
        (Some(target), false) => {
            targets.push(target);
            let names: Vec<_> = targets.iter().map(|target| target.name.clone()).collect();
            Err(Failure::new(format!("there are {} machines here", names.len()))
                .help(format!("name one: {}", names.join(", "))))
        }
        (None, _) => Err(Failure::new("there is no machine here")),
    }
}

/// Every machine that the command line means: one, or all of a project.
///
/// # Errors
/// [`Failure`], where there is none, or a file that was asked for cannot be read.
pub(crate) fn load(input: &Input) -> Result<Vec<Loaded>, Failure> {
    targets(input)?
        .iter()
        .map(|target| target.load(input, Names::Assumed))
        .collect()
}

/// What is made of users, groups and host names that no file lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// They are not there.
    AsListed,
    /// They are there, as far as nobody says otherwise.
    Assumed,
}

/// One pf.conf that is to be read.
#[derive(Debug)]
struct Target {
    /// What it is called in messages.
    name: String,
    /// Where it is; `None` for standard input.
    path: Option<PathBuf>,
    /// What `pfproof.toml` says of it.
    router: Router,
    /// What `pfproof.toml` says of all machines.
    project: Rc<Settings>,
}

impl Target {
    /// A pf.conf with what the project around it says of it.
    fn of(path: PathBuf) -> Result<Self, Failure> {
        let project = Project::around(folder_of(&path))?;
        Ok(Self {
            name: shown(&path),
            router: project.router(&path).cloned().unwrap_or_default(),
            project: project.settings,
            path: Some(path),
        })
    }
}

/// The pf.conf files that the command line means.
fn targets(input: &Input) -> Result<Vec<Target>, Failure> {
    let folder = match input.config.as_deref() {
        Some(path) if path == Path::new("-") => {
            return Ok(vec![Target {
                name: "stdin".to_owned(),
                path: None,
                router: Router::default(),
                project: Rc::default(),
            }]);
        }
        Some(path) if path.is_dir() => path,
        Some(path) => return Ok(vec![Target::of(path.to_owned())?]),
        None => Path::new("."),
    };
    for place in ["pf.conf", "etc/pf.conf"] {
        let path = folder.join(place);
        if path.is_file() {
            return Ok(vec![Target::of(path)?]);
        }
    }
    let Project { settings, routers } = Project::around(folder)?;
    if routers.is_empty() {
        return Err(no_config(folder));
    }
    Ok(routers
        .into_iter()
        .map(|router| Target {
            name: shown(&router.config),
            path: Some(router.config.clone()),
            project: Rc::clone(&settings),
            router,
        })
        .collect())
}

/// The failure of a folder without a pf.conf, which says where some are.
fn no_config(folder: &Path) -> Failure {
    let near: Vec<String> = ["*/pf.conf", "*/*/pf.conf", "*/*/etc/pf.conf"]
        .into_iter()
        .flat_map(|pattern| super::globs::find(folder, pattern))
        .map(|(path, _)| shown(&path))
        .collect();
    let failure = Failure::new(format!("{}: no pf.conf, etc/pf.conf or pfproof.toml", folder.display()));
    match near.as_slice() {
        [] => failure.help("name the file, or `-` for standard input"),
        [only] => failure.help(format!("name it: {only}")),
        [first, .., last] => failure.help(format!(
            "name one of the {} below it ({first} … {last}), or list them as `[[router]]` in pfproof.toml",
            near.len()
        )),
    }
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The folder that stands for `/` of the machine: the parent of `etc`, else the folder itself.
fn default_root(folder: &Path) -> PathBuf {
    let canonical = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    match canonical.parent() {
        Some(parent) if canonical.file_name().is_some_and(|name| name == "etc") => parent.to_owned(),
        Some(_) | None => canonical,
    }
}

impl Target {
    /// The failure of a pf.conf, or a link by its name, that leads out of the root.
    fn outside(&self, root: &Path) -> Failure {
        Failure::new(format!("{}: {}", self.name, LoadError::OutsideRoot))
            .help(format!("the root is {}: name another by --root", root.display()))
    }

    fn load(&self, input: &Input, names: Names) -> Result<Loaded, Failure> {
        let folder = self.path.as_deref().map_or(Path::new("."), folder_of);
        let root = input
            .root
            .clone()
            .or_else(|| self.router.root.clone())
            .unwrap_or_else(|| match self.path {
                Some(_) => default_root(folder),
                None => folder.to_owned(),
            });
        let loader = DiskLoader::new(&root, folder).map_err(|error| match error {
            LoadError::OutsideRoot => self.outside(&root),
            LoadError::NotFound | LoadError::TooLarge(_) | LoadError::Other(_) => Failure::unreadable(&root, &error),
        })?;
        let bytes = match &self.path {
            Some(path) => loader.load_beside(path).map_err(|error| match error {
                LoadError::OutsideRoot => self.outside(&root),
                LoadError::NotFound | LoadError::TooLarge(_) | LoadError::Other(_) => Failure::unreadable(path, &error),
            })?,
            None => read_limited(stdin().lock()).map_err(|error| Failure::new(format!("standard input: {error}")))?,
        };
        threads::start_for_reading(&bytes);
        // A pf.conf from standard input has no neighbours: what lies in the working directory is not its.
        let siblings = self.path.as_ref().map_or_else(Vec::new, |_| loader.siblings());

        let mut texts = Texts::default();
        let context = input.context.as_ref().or(self.router.context.as_ref());
        if context.is_none() {
            texts.read_siblings(&siblings, folder, &loader)?;
        }
        if input.live {
            for (command, kind) in [("ifconfig -A", Kind::Ifconfig), ("route -n show", Kind::Routes)] {
                let bytes = live::run(command).map_err(Failure::new)?;
                texts.add(command.to_owned(), &bytes, &kind);
            }
        }
        for (path, kind) in [(&input.ifconfig, Kind::Ifconfig), (&input.routes, Kind::Routes)] {
            if let Some(path) = path {
                texts.read_named(path, &kind)?;
            }
        }
        match context {
            Some(path) => texts.read_named(path, &Kind::ContextToml)?,
            None if siblings.iter().any(|name| name == "context.toml") => {
                texts.read_sibling("context.toml", folder, &loader, &Kind::ContextToml)?;
            }
            None => {}
        }

        let Texts {
            mut sources,
            facts,
            mut diagnostics,
            names: known_from,
        } = texts;
        let (combined, more) = context::combine(facts);
        diagnostics.extend(more);
        let Combined { mut context, mut facts } = combined;

        diagnostics.extend(context::not_forwarding(&context, &facts));

        let read = |sources: &mut Sources, text: &[u8]| {
            syntax::read(sources, &loader, &self.name, text, &input.define, &Limits::default())
        };
        let (mut document, mut faults) = read(&mut sources, &bytes);
        // What pfctl can read is no template, whatever stands between its quotes.
        let template = (!faults.is_empty())
            .then(|| template::kind(&self.name, &bytes))
            .flatten();
        if let Some(template) = template {
            let file = sources.add(self.name.as_str(), String::from_utf8_lossy(&bytes));
            (document, _) = read(&mut sources, &[]);
            faults = vec![template.diagnostic(file)];
        }
        diagnostics.extend(faults);
        facts
            .assumed
            .extend(context::assume_mentioned(&mut context, &facts, &document));
        context.hosts_open &= names == Names::Assumed;
        if names == Names::Assumed && !facts.complete {
            facts.assumed.extend(context::assume_names(&mut context, &document));
        }
        for fact in &input.assume {
            settle(&mut context, fact)?;
        }
        let assumed = context::assumptions(&context, &facts.assumed);

        let policies = match self.router.policies.as_slice() {
            [] => siblings
                .iter()
                .filter(|name| name.ends_with(".policy"))
                .map(|name| folder.join(name))
                .collect(),
            named => named.to_vec(),
        };
        Ok(Loaded {
            sources,
            name: self.name.clone(),
            document,
            loader,
            is_template: template.is_some(),
            context,
            known_from,
            facts,
            assumed,
            diagnostics,
            project: Rc::clone(&self.project),
            policies,
            policies_are_found: self.router.policies.is_empty(),
        })
    }
}

/// Settles `em0=203.0.113.7/24` and `egress=em0`; other facts (anchors, tables) are the policy's business.
fn settle(context: &mut Context, fact: &str) -> Result<(), Failure> {
    let Some((interface, address)) = of_machine(fact) else {
        return Ok(());
    };
    let address = address.trim();
    if interface.trim() == "egress" {
        return if context.settle_upstream(address) {
            Ok(())
        } else {
            Err(Failure::new(format!(
                "--assume {fact}: there is no interface `{address}`"
            )))
        };
    }
    let net = address.parse().map_err(|_| {
        Failure::new(format!(
            "--assume {fact}: `{address}` is no address with a prefix length"
        ))
    })?;
    if context.settle(interface.trim(), net) {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "--assume {fact}: there is no interface `{}`",
            interface.trim()
        )))
    }
}

/// The texts that describe the machine, as they are found.
#[derive(Default)]
struct Texts {
    sources: Sources,
    facts: Vec<Facts>,
    diagnostics: Vec<Diagnostic>,
    names: Vec<String>,
}

impl Texts {
    /// Reads those of the files beside pf.conf that describe an OpenBSD machine.
    fn read_siblings(&mut self, siblings: &[String], folder: &Path, loader: &DiskLoader) -> Result<(), Failure> {
        let mut found: Vec<(&String, Kind)> = siblings
            .iter()
            .filter_map(|name| Kind::of_file(name).map(|kind| (name, kind)))
            .filter(|(_, kind)| *kind != Kind::ContextToml)
            .collect();
        // As in the kernel, hardware comes before what netstart(8) creates.
        found.sort_by_key(|(_, kind)| match kind {
            Kind::HostnameIf(interface) => context::is_cloned(context::driver(interface)),
            _ => true,
        });
        for (name, kind) in found {
            self.read_sibling(name, folder, loader, &kind)?;
        }
        Ok(())
    }

    /// Reads a file beside pf.conf. What one says that cannot be read could change every answer.
    fn read_sibling(&mut self, name: &str, folder: &Path, loader: &DiskLoader, kind: &Kind) -> Result<(), Failure> {
        match loader.load(name) {
            // A shell has just made it, for `pfproof context > context.toml`.
            Ok(bytes) if *kind == Kind::ContextToml && bytes.is_empty() => {}
            Ok(bytes) => self.add(shown(&folder.join(name)), &bytes, kind),
            Err(error) => {
                let help = "what it says of the machine could change every answer: let it be read, or describe the \
                            machine by --context FILE";
                return Err(Failure::unreadable(&folder.join(name), &error).help(help));
            }
        }
        Ok(())
    }

    /// Reads a file that the user named.
    fn read_named(&mut self, path: &Path, kind: &Kind) -> Result<(), Failure> {
        let bytes = read_file(path).map_err(|error| Failure::unreadable(path, &error))?;
        self.add(shown(path), &bytes, kind);
        Ok(())
    }

    fn add(&mut self, name: String, bytes: &[u8], kind: &Kind) {
        let file: FileId = self.sources.add(name.as_str(), String::from_utf8_lossy(bytes));
        let (facts, diagnostics) = context::read(kind, &self.sources, file);
        self.names.push(name);
        self.facts.push(facts);
        self.diagnostics.extend(diagnostics);
    }
}
