//! `pfproof.toml`: what a tree of many machines says once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pfproof::source::LoadError;
use serde::Deserialize;

use super::discover::Failure;
use super::files::read_file;
use super::globs;

/// The name of the file.
const NAME: &str = "pfproof.toml";

/// A `pfproof.toml`, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Text {
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    lint: Lint,
    #[serde(default)]
    router: Vec<RouterText>,
}

/// `[defaults]`: options that the command line may override.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Defaults {
    /// The level from which on a finding makes `check` fail.
    pub(crate) fail_on: Option<String>,
    /// The format of answers.
    pub(crate) format: Option<String>,
}

/// `[lint]`: which findings are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Lint {
    /// Codes that are not reported.
    #[serde(default)]
    pub(crate) allow: Vec<String>,
    /// Codes that are errors.
    #[serde(default)]
    pub(crate) deny: Vec<String>,
    /// Levels of codes.
    #[serde(default)]
    pub(crate) levels: BTreeMap<String, String>,
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

/// A tree of machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Project {
    /// What its commands are to do where the command line does not say.
    pub(crate) defaults: Defaults,
    /// Which findings are wanted.
    pub(crate) lint: Lint,
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
        let path = folder.join(NAME);
        let bytes = read_file(&path).map_err(|error| Failure::unreadable(&path, &error))?;
        let text: Text = toml::from_str(&String::from_utf8_lossy(&bytes))
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        let mut routers = Vec::new();
        for router in &text.router {
            routers.extend(expand(folder, router)?);
        }
        Ok(Self {
            defaults: text.defaults,
            lint: text.lint,
            routers,
        })
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
        let one = |pattern: &String| folder.join(globs::fill(pattern, &stars));
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
            context: text.context.as_ref().map(one),
            policies,
            root: text.root.as_ref().map(one),
        });
    }
    Ok(routers)
}

/// The files below the folder that match, and what each star of the pattern found.
fn find(folder: &Path, pattern: &str) -> Result<Vec<(PathBuf, Vec<String>)>, Failure> {
    if Path::new(pattern).is_absolute() || pattern.split('/').any(|part| part == "..") {
        return Err(Failure::new(format!(
            "{}: `{pattern}`: {}",
            folder.join(NAME).display(),
            LoadError::OutsideRoot
        )));
    }
    Ok(globs::find(folder, pattern))
}
