//! Trees of files in which pfproof is run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A tree of files for one test, taken away when it ends.
pub(crate) struct Tree(PathBuf);

impl Tree {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pfproof-tree-{}-{number}", std::process::id()));
        let tree = Self(path);
        for (name, text) in files {
            tree.write(name, text);
        }
        tree
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Standard output, standard error and status of a run in this tree.
    pub(crate) fn run(&self, arguments: &[&str]) -> (String, String, i32) {
        self.run_in("", arguments)
    }

    pub(crate) fn run_in(&self, folder: &str, arguments: &[&str]) -> (String, String, i32) {
        self.run_with(folder, arguments, None)
    }

    /// The same, with the commands of a folder of the tree before all others.
    pub(crate) fn run_with(&self, folder: &str, arguments: &[&str], commands: Option<&str>) -> (String, String, i32) {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = match commands {
            Some(commands) => format!("{}:{path}", self.0.join(commands).display()),
            None => path,
        };
        let output: Output = Command::new(env!("CARGO_BIN_EXE_pfproof"))
            .args(arguments)
            .env("PATH", path)
            .current_dir(self.0.join(folder))
            .stdin(std::process::Stdio::null())
            .output()
            .expect("pfproof runs");
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
            output.status.code().expect("no signal"),
        )
    }
}

impl Tree {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Lets a file be run.
    #[cfg(unix)]
    pub(crate) fn make_runnable(&self, name: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(0o755)).expect("a file");
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
