//! `pfproof.toml`: what a tree of many machines says once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use pfproof::diagnostic::{Code, Diagnostic, Severity, nearest};
use pfproof::lint::LINTS;
use pfproof::source::LoadError;
use serde::Deserialize;

use super::discover::Failure;
use super::files::read_file;
use super::globs;
use super::options::{Format, Level};

/// The name of the file.
const NAME: &str = "pfproof.toml";

/// A `pfproof.toml`, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Text {
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    lint: LintText,
    #[serde(default)]
    router: Vec<RouterText>,
}

/// `[defaults]`: options that the command line may override.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Defaults {
    /// The level from which on a finding makes `check` fail.
    pub(crate) fail_on: Option<Level>,
    /// The format of what `check` answers.
    pub(crate) format: Option<Format>,
}

/// `[lint]`, as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct LintText {
    /// Codes that are not reported.
    #[serde(default)]
    allow: Vec<String>,
    /// Codes that are errors.
    #[serde(default)]
    deny: Vec<String>,
    /// Levels of codes.
    #[serde(default)]
    levels: BTreeMap<String, Level>,
}

/// `[lint]`: which findings are wanted, and how grave they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lint {
    /// The levels of codes; `None` for those that are not reported.
    levels: BTreeMap<Code, Option<Severity>>,
}

impl Lint {
    /// What the text says: `allow` goes before `deny`, both before `levels`.
    fn of(text: &LintText) -> Result<Self, String> {
        let levels = text.levels.iter().map(|(code, level)| (code, Some((*level).into())));
        let deny = text.deny.iter().map(|code| (code, Some(Severity::Error)));
        let allow = text.allow.iter().map(|code| (code, None));
        let mut known = BTreeMap::new();
        for (slug, level) in levels.chain(deny).chain(allow) {
            known.insert(lint_code(slug)?, level);
        }
        Ok(Self { levels: known })
    }

    /// Leaves findings out and changes their levels as it is said.
    pub(crate) fn apply(&self, findings: &mut Vec<Diagnostic>) {
        findings.retain_mut(|finding| match self.levels.get(&finding.code) {
            Some(None) => false,
            Some(Some(level)) => {
                finding.severity = *level;
                true
            }
            None => true,
        });
    }
}

/// The code of that name, if it is one of a finding that a project may want or not: no refusal, and no outcome of a
/// policy.
fn lint_code(slug: &str) -> Result<Code, String> {
    let codes = LINTS.iter().flat_map(|lint| lint.codes);
    let may_be_set: Vec<Code> = codes
        .copied()
        .chain([Code::UnknownInterface, Code::UnusedAllow])
        .collect();
    if let Some(code) = may_be_set.iter().find(|code| code.slug() == slug) {
        return Ok(*code);
    }
    if Code::ALL.iter().any(|code| code.slug() == slug) {
        return Err(format!("`[lint]`: the level of `{slug}` cannot be set"));
    }
    let help = match nearest(slug, may_be_set.iter().map(|code| code.slug())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let known: Vec<&str> = may_be_set.iter().map(|code| code.slug()).collect();
            format!("there are {}", known.join(", "))
        }
    };
    Err(format!("`[lint]`: unknown code `{slug}`: {help}"))
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RouterText {
    config: String,
    context: Option<String>,
    #[serde(default)]
    policy: OneOrMany,
    root: Option<String>,
}

/// A text, or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    fn patterns(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// One machine of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Router {
    /// Its pf.conf.
    pub(crate) config: PathBuf,
    /// Its context.
    pub(crate) context: Option<PathBuf>,
    /// Its policies.
    pub(crate) policies: Vec<PathBuf>,
    /// Its root.
    pub(crate) root: Option<PathBuf>,
}

/// What holds for all machines of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// What commands are to do where the command line does not say.
    pub(crate) defaults: Defaults,
    /// Which findings are wanted.
    pub(crate) lint: Lint,
}

/// A tree of machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Project {
    /// What holds for all of its machines.
    pub(crate) settings: Rc<Settings>,
    /// Its machines, in the order of the file, those of one pattern sorted.
    pub(crate) routers: Vec<Router>,
}

impl Project {
    /// The project that the folder is in: the nearest `pfproof.toml` upward, up to the root of the git tree; without a
    /// git tree only one in the folder itself. One without anything where there is none.
    ///
    /// # Errors
    /// [`Failure`], where the file cannot be read, or says what cannot be understood.
    pub(crate) fn around(folder: &Path) -> Result<Self, Failure> {
        let start = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let upward: Vec<&Path> = start.ancestors().collect();
        let git = upward.iter().position(|folder| folder.join(".git").exists());
        let Some(found) = upward
            .into_iter()
            .take(git.unwrap_or(0) + 1)
            .find(|folder| folder.join(NAME).is_file())
        else {
            return Ok(Self::default());
        };
        // Shown as the user reached it, where it is the folder itself.
        let folder = if found == start { folder } else { found };
        Self::read(folder)
    }

    fn read(folder: &Path) -> Result<Self, Failure> {
        let path = inside(folder, NAME)?;
        let bytes = read_file(&path).map_err(|error| Failure::unreadable(&path, &error))?;
        let text: Text = toml::from_str(&String::from_utf8_lossy(&bytes))
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        let mut routers = Vec::new();
        for router in &text.router {
            routers.extend(expand(folder, router)?);
        }
        let lint = Lint::of(&text.lint).map_err(|why| Failure::new(format!("{}: {why}", path.display())))?;
        let settings = Rc::new(Settings {
            defaults: text.defaults,
            lint,
        });
        Ok(Self { settings, routers })
    }

    /// What the project says of the machine with that pf.conf.
    pub(crate) fn router(&self, config: &Path) -> Option<&Router> {
        let config = fs::canonicalize(config).ok()?;
        self.routers
            .iter()
            .find(|router| fs::canonicalize(&router.config).is_ok_and(|other| other == config))
    }
}

/// The machines that one `[[router]]` names: one for each pf.conf that its pattern finds.
///
/// In its other paths `*` stands, in order, for what the stars of `config` found there; a policy's further patterns are
/// searched.
fn expand(folder: &Path, text: &RouterText) -> Result<Vec<Router>, Failure> {
    let configs = find(folder, &text.config)?;
    if configs.is_empty() {
        return Err(Failure::new(format!(
            "{}: no file matches `config = \"{}\"`",
            folder.join(NAME).display(),
            text.config
        )));
    }
    let mut routers = Vec::new();
    for (config, stars) in configs {
        let one = |pattern: &Option<String>| {
            let path = pattern
                .as_ref()
                .map(|pattern| inside(folder, &globs::fill(pattern, &stars)));
            path.transpose()
        };
        let mut policies = Vec::new();
        for pattern in text.policy.patterns() {
            let found = find(folder, &globs::fill(pattern, &stars))?;
            if found.is_empty() {
                return Err(Failure::new(format!(
                    "{}: no file matches `policy = \"{pattern}\"`",
                    folder.join(NAME).display()
                )));
            }
            policies.extend(found.into_iter().map(|(path, _)| path));
        }
        routers.push(Router {
            config,
            context: one(&text.context)?,
            policies,
            root: one(&text.root)?,
        });
    }
    Ok(routers)
}

/// The files below the folder that match, and what each star of the pattern found.
fn find(folder: &Path, pattern: &str) -> Result<Vec<(PathBuf, Vec<String>)>, Failure> {
    inside(folder, pattern)?;
    let found = globs::find(folder, pattern);
    for (path, _) in &found {
        if leads_out(folder, path) {
            return Err(outside(folder, pattern));
        }
    }
    Ok(found)
}

/// The place of a path in the project's folder. It comes with the tree, and may not lead out of it.
fn inside(folder: &Path, path: &str) -> Result<PathBuf, Failure> {
    let place = folder.join(path);
    let climbs = Path::new(path).is_absolute() || path.split('/').any(|part| part == "..");
    if climbs || leads_out(folder, &place) {
        return Err(outside(folder, path));
    }
    Ok(place)
}

/// Whether a link leads out of the folder.
fn leads_out(folder: &Path, path: &Path) -> bool {
    match (fs::canonicalize(folder), fs::canonicalize(path)) {
        (Ok(folder), Ok(path)) => !path.starts_with(folder),
        // What is not there is found missing when it is opened.
        (Err(_), _) | (_, Err(_)) => false,
    }
}

fn outside(folder: &Path, path: &str) -> Failure {
    let place = folder.join(NAME);
    Failure::new(format!("{}: `{path}`: {}", place.display(), LoadError::OutsideRoot))
}
