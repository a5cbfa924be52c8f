//! What `init` drafts: for every case of `corpus/cases`, and every published pf.conf of `../shared/real` where that is
//! there, the draft is read without a complaint, all its statements hold, and `init` overwrites nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn pfproof(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pfproof"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("pfproof runs")
}

/// The folders that have a pf.conf.
fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let parents = ["corpus/cases", "../shared/real"].map(|part| root.join(part));
    let entries = parents
        .iter()
        .flat_map(|parent| fs::read_dir(parent).into_iter().flatten());
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders: Vec<PathBuf> = folders.filter(|path| path.join("pf.conf").is_file()).collect();
    folders.sort();
    folders
}

#[test]
fn drafts_hold() {
    let (mut drafted, mut required, mut closed) = (0, 0, 0);
    for folder in folders() {
        let name = folder.display();
        let output = pfproof(&folder, &["init", "-q", "-o", "-"]);
        if output.status.code() == Some(2) {
            // A pf.conf that pfctl refuses has no draft, and says why.
            assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{name}");
            continue;
        }
        assert_eq!(output.status.code(), Some(0), "{name}");
        let draft = String::from_utf8(output.stdout).expect("utf-8");
        let path = std::env::temp_dir().join(format!("pfproof-draft-{}-{drafted}.policy", std::process::id()));
        fs::write(&path, &draft).expect("the draft is written");
        let again = pfproof(&folder, &["init", "-o", &path.to_string_lossy()]);
        assert_eq!(again.status.code(), Some(2), "{name}: overwritten");
        let checked = pfproof(
            &folder,
            &["check", "-q", "--format", "json", "--policy", &path.to_string_lossy()],
        );
        fs::remove_file(&path).expect("the draft is removed");
        let report: serde_json::Value = serde_json::from_slice(&checked.stdout).expect("json");
        let router = &report["routers"][0];
        let statements = router["statements"].as_array().expect("statements");
        assert!(!statements.is_empty(), "{name}: nothing is demanded\n{draft}");
        for statement in statements {
            assert_eq!(statement["outcome"], "holds", "{name}: {statement}\n{draft}");
            required += usize::from(statement["verb"] == "require");
            closed += usize::from(statement["verb"] == "closed");
        }
        for finding in router["findings"].as_array().expect("findings") {
            let of_policy = [
                "policy",
                "vacuous-statement",
                "contradicting-statements",
                "unused-allow",
            ];
            assert!(
                !of_policy.contains(&finding["code"].as_str().unwrap_or("")),
                "{name}: {finding}\n{draft}"
            );
        }
        assert!(
            statements.len() <= 60,
            "{name}: {} statements\n{draft}",
            statements.len()
        );
        drafted += 1;
    }
    assert!(
        drafted >= 22 && required > drafted && closed > drafted,
        "{drafted} {required} {closed}"
    );
}

/// A table that is written to hold what an interface has is not drafted as empty, though nobody knows its address.
#[test]
fn a_table_of_an_unknown_address_is_not_empty() {
    let folder = std::env::temp_dir().join(format!("pfproof-draft-own-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in [
        (
            "pf.conf",
            "table <own> { em0:network }\nblock in quick from <own>\npass\n",
        ),
        ("hostname.em0", "inet autoconf\n"),
        ("hostname.em1", "inet 10.0.1.1 255.255.255.0\n"),
    ] {
        fs::write(folder.join(name), text).expect("a file");
    }
    let output = pfproof(&folder, &["init", "-q", "-o", "-"]);
    fs::remove_dir_all(&folder).expect("the folder is removed");
    let draft = String::from_utf8(output.stdout).expect("utf-8");
    assert!(draft.contains("zone") && !draft.contains("assume table"), "{draft}");
}
