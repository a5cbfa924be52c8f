//! [`DiskLoader`]: files from a disk, and nothing outside the root.
//!
//! pf.conf and what it names may come from a pull request: a path may not lead out of the root, by `..` or by a link,
//! nor name anything but an ordinary file, nor a file that is larger than what a router could load.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use pfproof::source::{LoadError, Loader};

/// Bytes that one file may have: a table of some four million addresses.
const LARGEST: u64 = 64 << 20;

/// The file that people name for one without contents; it is answered without a look at the disk.
const NOTHING: &str = "/dev/null";

/// Reads the files below a root folder.
#[derive(Clone, Debug)]
pub(crate) struct DiskLoader {
    // INVARIANT: both are canonical, and `folder` is `root` or below it.
    root: PathBuf,
    folder: PathBuf,
    /// The folder as it was named.
    shown_folder: PathBuf,
}

impl DiskLoader {
    /// A loader whose relative paths are from `folder`, and whose absolute ones are below `root`.
    ///
    /// # Errors
    /// [`LoadError`], where one of them cannot be found, or the folder is not below the root.
    pub(crate) fn new(root: &Path, folder: &Path) -> Result<Self, LoadError> {
        let root = fs::canonicalize(root).map_err(|error| load_error(&error))?;
        let shown_folder = folder.to_owned();
        let folder = fs::canonicalize(folder).map_err(|error| load_error(&error))?;
        if folder.starts_with(&root) {
            Ok(Self {
                root,
                folder,
                shown_folder,
            })
        } else {
            Err(LoadError::OutsideRoot)
        }
    }

    /// Where a path of the machine, or one from the folder, lies on this disk.
    ///
    /// Whether it is there, and is not led out by a link, is found when it is opened.
    fn place(&self, path: &str) -> Result<PathBuf, LoadError> {
        let (start, path) = if path.starts_with('/') {
            (&self.root, path.trim_start_matches('/'))
        } else {
            (&self.folder, path)
        };
        let mut place = start.clone();
        for component in Path::new(path).components() {
            match component {
                Component::Normal(name) => place.push(name),
                Component::CurDir => {}
                Component::ParentDir => {
                    // Never above the root, not even to come back into it by name.
                    if place == self.root || !place.pop() {
                        return Err(LoadError::OutsideRoot);
                    }
                }
                Component::RootDir | Component::Prefix(_) => return Err(LoadError::OutsideRoot),
            }
        }
        Ok(place)
    }

    /// The bytes of a file in the folder, by its last name; a link does not lead out.
    ///
    /// # Errors
    /// [`LoadError`], as for any other file.
    pub(crate) fn load_beside(&self, path: &Path) -> Result<Vec<u8>, LoadError> {
        match path.file_name() {
            Some(name) => self.open(self.folder.join(name)),
            None => Err(LoadError::NotFound),
        }
    }

    fn open(&self, place: PathBuf) -> Result<Vec<u8>, LoadError> {
        let place = fs::canonicalize(place).map_err(|error| load_error(&error))?;
        if !place.starts_with(&self.root) {
            return Err(LoadError::OutsideRoot);
        }
        read_file(&place)
    }

    /// The names of the files in the folder, sorted; none where it cannot be listed.
    pub(crate) fn siblings(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| match entry.file_type() {
                Ok(kind) if !kind.is_symlink() => !kind.is_dir(),
                Ok(_) | Err(_) => !entry.path().is_dir(),
            })
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}

impl Loader for DiskLoader {
    fn load(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        if path == NOTHING {
            return Ok(Vec::new());
        }
        self.open(self.place(path)?)
    }

    fn name(&self, path: &str) -> String {
        let Ok(place) = self.place(path) else {
            return path.to_owned();
        };
        match place.strip_prefix(&self.folder) {
            Ok(beside) => shown(&self.shown_folder.join(beside)),
            Err(_) => {
                let here = std::env::current_dir().unwrap_or_default();
                shown(place.strip_prefix(here).unwrap_or(&place))
            }
        }
    }
}

/// A path as messages show it.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// The bytes of an ordinary file of bearable size.
///
/// # Errors
/// [`LoadError`], where it is missing, too large, not readable or no file: opening a pipe or a device could hang.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, LoadError> {
    if path == Path::new(NOTHING) {
        return Ok(Vec::new());
    }
    let kind = fs::metadata(path).map_err(|error| load_error(&error))?;
    if kind.is_dir() {
        return Err(LoadError::Other("it is a folder".to_owned()));
    }
    if !kind.is_file() {
        return Err(LoadError::Other("it is no ordinary file".to_owned()));
    }
    if kind.len() > LARGEST {
        return Err(LoadError::TooLarge(LARGEST));
    }
    read_limited(File::open(path).map_err(|error| load_error(&error))?)
}

/// Everything that can be read from there, up to the limit.
///
/// # Errors
/// [`LoadError`], where reading fails or there is more.
pub(crate) fn read_limited(from: impl Read) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    let read = from.take(LARGEST + 1).read_to_end(&mut bytes);
    if read.map_err(|error| load_error(&error))? as u64 > LARGEST {
        return Err(LoadError::TooLarge(LARGEST));
    }
    Ok(bytes)
}

fn load_error(error: &std::io::Error) -> LoadError {
    match error.kind() {
        ErrorKind::NotFound => LoadError::NotFound,
        ErrorKind::PermissionDenied => LoadError::Other("permission denied".to_owned()),
        _ => LoadError::Other(error.to_string().to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for one test, taken away when it ends.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("pfproof-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("machine/etc")).expect("a folder");
            fs::write(path.join("secret"), "secret").expect("a file");
            fs::write(path.join("machine/etc/table"), "10.0.0.1").expect("a file");
            Self(path)
        }

        fn loader(&self) -> DiskLoader {
            DiskLoader::new(&self.0.join("machine"), &self.0.join("machine/etc")).expect("folders that are there")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn absolute_paths_are_below_the_root_and_nothing_leads_out() {
        let scratch = Scratch::new("paths");
        let loader = scratch.loader();
        for path in ["table", "/etc/table", "./table", "../etc/table", "//etc//table"] {
            assert_eq!(loader.load(path), Ok(b"10.0.0.1".to_vec()), "{path}");
        }
        let secret = scratch.0.join("secret");
        for path in [
            "../../secret",
            "/../secret",
            "/etc/../../secret",
            "../../machine/etc/table",
        ] {
            assert_eq!(loader.load(path), Err(LoadError::OutsideRoot), "{path}");
        }
        assert_eq!(loader.load(&secret.display().to_string()), Err(LoadError::NotFound));
        assert_eq!(loader.load("missing"), Err(LoadError::NotFound));
        assert_eq!(loader.load("/etc"), Err(LoadError::Other("it is a folder".to_owned())));
        assert!(loader.load("nul\0byte").is_err());
        assert_eq!(loader.load("/dev/null"), Ok(Vec::new()));
    }

    #[cfg(unix)]
    #[test]
    fn links_do_not_lead_out() {
        let scratch = Scratch::new("links");
        let etc = scratch.0.join("machine/etc");
        for (link, to) in [
            ("out", "../../secret"),
            ("up", "../.."),
            ("in", "table"),
            ("loop", "loop"),
        ] {
            let link = etc.join(link);
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(to, link).expect("a link");
        }
        let loader = scratch.loader();
        assert_eq!(loader.load("out"), Err(LoadError::OutsideRoot));
        assert_eq!(loader.load("up/secret"), Err(LoadError::OutsideRoot));
        assert_eq!(loader.load("in"), Ok(b"10.0.0.1".to_vec()));
        assert!(loader.load("loop").is_err());
    }

    #[test]
    fn only_ordinary_files_are_opened() {
        assert!(read_file(Path::new("/dev/zero")).is_err(), "reading it would never end");
    }
}
