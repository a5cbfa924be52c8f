//! How a command finds pf.conf, its root and what is known of the machine; and that nothing leads it out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A tree of files for one test, taken away when it ends.
struct Tree(PathBuf);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pfproof-discover-{}-{number}", std::process::id()));
        let tree = Self(path);
        for (name, text) in files {
            tree.write(name, text);
        }
        tree
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Standard output, standard error and status of a run in this tree.
    fn run(&self, arguments: &[&str]) -> (String, String, i32) {
        self.run_in("", arguments)
    }

    fn run_in(&self, folder: &str, arguments: &[&str]) -> (String, String, i32) {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_pfproof"))
            .args(arguments)
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

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const HEATER: &str = "pass in on vlan92 from vlan92:network to any\npass out on egress nat-to (egress)\n";

fn heater_tree() -> Tree {
    Tree::new(&[
        ("etc/pf.conf", HEATER),
        ("etc/hostname.em0", "inet 203.0.113.7/24\n"),
        ("etc/hostname.vlan92", "inet 10.62.1.1/24 255.255.255.0\n"),
        ("etc/mygate", "203.0.113.1\n"),
    ])
}

#[test]
fn a_machine_is_found_by_file_by_folder_and_by_where_one_stands() {
    let tree = heater_tree();
    for (folder, arguments) in [
        ("", &["context"][..]),
        ("", &["context", "."]),
        ("", &["context", "etc"]),
        ("", &["context", "etc/pf.conf"]),
        ("etc", &["context"]),
        ("etc", &["context", "pf.conf"]),
    ] {
        let (out, err, status) = tree.run_in(folder, arguments);
        assert_eq!((err.as_str(), status), ("", 0), "{folder} {arguments:?}");
        assert!(
            out.starts_with("# from hostname.{em0,vlan92}, mygate\nforwarding = true\n"),
            "{out}"
        );
        assert!(
            out.contains("[interface.vlan92]  # hostname.vlan92\naddresses = [\"10.62.1.1/24\"]\n"),
            "{out}"
        );
        assert!(
            out.contains("[[route]]  # mygate\nto = \"default\"\ninterface = \"em0\"\n"),
            "{out}"
        );
        assert!(!out.contains("assumed"), "{out}");
    }
}

#[test]
fn what_is_printed_is_a_context_that_says_the_same() {
    let tree = heater_tree();
    let (out, _, _) = tree.run(&["context"]);
    tree.write("saved.toml", &out);
    let (again, err, status) = tree.run(&["context", "--context", "saved.toml"]);
    assert_eq!((err.as_str(), status), ("", 0));
    let bare = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.split("  #").next().unwrap_or("").to_owned())
            .collect()
    };
    assert_eq!(bare(&again), bare(&out));
    assert!(
        again.starts_with("# from saved.toml\n"),
        "alone, nothing else is looked for: {again}"
    );
}

#[test]
fn what_nobody_said_is_stated_and_can_be_settled() {
    let tree = Tree::new(&[(
        "pf.conf",
        "pass in on em0 from em0:network\npass on { lan wifi } from (egress)\n",
    )]);
    let (out, err, status) = tree.run(&["context"]);
    assert_eq!((err.as_str(), status), ("", 0));
    let header: Vec<&str> = out.lines().take_while(|line| line.starts_with('#')).collect();
    assert_eq!(
        header,
        [
            "# nothing is known of the machine but what pf.conf names",
            "# assumed: em0, lan0, wifi0, egress0: addresses unknown: every one is considered",
            "# assumed: lan, wifi: the group has one interface, of its name and 0",
            "# assumed: egress: the default routes leave by egress0",
        ]
    );
    let (out, _, _) = tree.run(&[
        "context",
        "--assume",
        "em0=203.0.113.7/24",
        "--assume",
        "em0=2001:db8::7/64",
    ]);
    assert!(out.contains(
        "[interface.em0]  # assumed: named in pf.conf\naddresses = [\"203.0.113.7/24\", \"2001:db8::7/64\"]"
    ));
    assert!(
        out.contains("# assumed: lan0, wifi0, egress0: addresses unknown"),
        "{out}"
    );
    for (fact, message) in [
        ("em7=10.0.0.1/24", "there is no interface `em7`"),
        ("em0=10.0.0.1", "`10.0.0.1` is no address with a prefix length"),
    ] {
        let (_, err, status) = tree.run(&["context", "--assume", fact]);
        assert_eq!((err, status), (format!("pfproof: --assume {fact}: {message}\n"), 2));
    }
}

#[test]
fn saved_output_and_context_toml_add_up() {
    let tree = Tree::new(&[
        ("pf.conf", "pass\n"),
        ("hostname.em0", "dhcp\n"),
        (
            "if.txt",
            "em0: flags=8843<UP,BROADCAST> mtu 1500\n\tinet 192.0.2.7 netmask 0xffffff00 broadcast 192.0.2.255\n",
        ),
        (
            "rt.txt",
            "Internet:\nDestination Gateway Flags Refs Use Mtu Prio Iface\ndefault 192.0.2.1 UGS 0 0 - 8 em0\n",
        ),
        ("context.toml", "[hosts]\nmail = \"192.0.2.25\"\n"),
    ]);
    let (out, err, status) = tree.run(&["context", "--ifconfig", "if.txt", "--routes", "rt.txt"]);
    assert_eq!((err.as_str(), status), ("", 0));
    assert!(out.contains("addresses = [\"192.0.2.7/24\"]"), "{out}");
    assert!(out.contains("via = \"192.0.2.1\""), "{out}");
    assert!(out.contains("[hosts]\nmail = [\"192.0.2.25\"]"), "{out}");
    let (_, err, status) = tree.run(&["context", "--ifconfig", "none.txt"]);
    assert_eq!((err.as_str(), status), ("pfproof: none.txt: no such file\n", 2));
}

#[test]
fn where_there_is_no_machine_it_says_where_some_are() {
    let tree = Tree::new(&[
        ("a/etc/pf.conf", "pass\n"),
        ("hosts/b/pf.conf", "pass\n"),
        ("empty/x", ""),
    ]);
    let (_, err, status) = tree.run(&["context"]);
    assert_eq!(status, 2);
    assert_eq!(
        err,
        "pfproof: .: no pf.conf, etc/pf.conf or pfproof.toml\n  help: name one of the 2 below it \
         (a/etc/pf.conf … hosts/b/pf.conf), or list them as `[[router]]` in pfproof.toml\n"
    );
    let (_, err, _) = tree.run(&["context", "empty"]);
    assert!(
        err.ends_with("help: name the file, or `-` for standard input\n"),
        "{err}"
    );
    let (_, err, status) = tree.run(&["context", "missing.conf"]);
    assert_eq!((err.as_str(), status), ("pfproof: missing.conf: no such file\n", 2));
}

#[test]
fn a_project_lists_its_machines_by_patterns() {
    let tree = Tree::new(&[
        (".git/HEAD", ""),
        (
            "pfproof.toml",
            "[[router]]\nconfig = \"sites/*/etc/pf.conf\"\ncontext = \"contexts/*.toml\"\n",
        ),
        ("sites/fra/etc/pf.conf", "pass on em0\n"),
        ("sites/ber/etc/pf.conf", "pass on em0\n"),
        ("contexts/fra.toml", "[interface.em0]\naddresses = \"192.0.2.1/24\"\n"),
        ("contexts/ber.toml", "[interface.em0]\naddresses = \"192.0.2.2/24\"\n"),
    ]);
    let (_, err, status) = tree.run(&["context"]);
    assert_eq!(
        (err.as_str(), status),
        (
            "pfproof: there are 2 machines here\n  help: name one: sites/ber/etc/pf.conf, sites/fra/etc/pf.conf\n",
            2
        )
    );
    let (out, err, status) = tree.run(&["context", "sites/fra"]);
    assert_eq!((err.as_str(), status), ("", 0));
    assert!(out.starts_with("# from fra.toml\n"), "{out}");
    assert!(out.contains("192.0.2.1/24"), "{out}");
    for (text, message) in [
        (
            "[[router]]\nconfig = \"../x/pf.conf\"\n",
            "it lies outside the root folder",
        ),
        ("[[router]]\nconfig = \"none/*/pf.conf\"\n", "no file matches"),
        ("[[rooter]]\n", "unknown field `rooter`"),
    ] {
        tree.write("pfproof.toml", text);
        let (_, err, status) = tree.run(&["context"]);
        assert_eq!(status, 2, "{text}");
        assert!(err.contains(message), "{err}");
    }
}

#[test]
fn a_template_is_named_and_not_misread() {
    let tree = Tree::new(&[(
        "pf.conf",
        "ext_if = \"{{ wan_interface }}\"\n{% for port in ports %}\npass in proto tcp to port {{ port }}\n{% endfor %}\n",
    )]);
    let (_, err, status) = tree.run(&["context"]);
    assert_eq!(status, 2);
    assert!(err.contains("this is a template (Jinja), not a pf.conf yet"), "{err}");
    assert!(!err.contains("syntax error"), "{err}");
}

#[cfg(unix)]
#[test]
fn no_link_beside_pf_conf_leads_out_of_the_root() {
    let tree = Tree::new(&[
        ("secret", "inet 10.66.0.1/24\n"),
        ("machine/etc/pf.conf", "pass on em0 from em0\n"),
    ]);
    let etc = tree.0.join("machine/etc");
    std::os::unix::fs::symlink(Path::new("../../secret"), etc.join("hostname.em0")).expect("a link");
    std::os::unix::fs::symlink(Path::new("/dev/zero"), etc.join("hosts")).expect("a link");
    let (out, err, status) = tree.run(&["context", "machine"]);
    assert_eq!(status, 0);
    assert!(!out.contains("10.66.0.1"), "{out}");
    assert!(
        err.contains("machine/etc/hostname.em0: it lies outside the root folder"),
        "{err}"
    );
    assert!(
        err.contains("machine/etc/hosts: it lies outside the root folder"),
        "{err}"
    );
    let (_, err, status) = tree.run(&["context", "machine", "--root", "machine/etc/missing"]);
    assert_eq!(status, 2, "{err}");
}

#[test]
fn names_that_no_file_lists_are_taken_as_there_but_by_print() {
    let tree = Tree::new(&[(
        "pf.conf",
        "pass out proto tcp to www.example.org port 80 user { _rspamd root }\npass from { 10.0.0.1 } to any group dsync\n",
    )]);
    let (out, err, status) = tree.run(&["context"]);
    assert_eq!((err.as_str(), status), ("", 0));
    let header: Vec<&str> = out.lines().take_while(|line| line.starts_with('#')).skip(1).collect();
    assert_eq!(
        header,
        [
            "# assumed: _rspamd: a user whose number is not known",
            "# assumed: dsync: a group whose number is not known",
            "# assumed: www.example.org: the addresses of the name are not known",
        ]
    );
    let (_, err, status) = tree.run(&["print"]);
    assert_eq!(status, 2, "pfctl refuses them");
    assert!(err.contains("unknown user _rspamd"), "{err}");
    // Who lists names in a context.toml has listed all.
    tree.write("context.toml", "");
    let (out, _, _) = tree.run(&["context"]);
    assert!(!out.contains("assumed"), "{out}");
}
