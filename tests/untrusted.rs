//! What comes from a pull request leads nowhere: no file outside the root is read, nothing is run, nothing hangs.

#[path = "support/tree.rs"]
mod tree;

use std::fs;

use tree::Tree;

#[cfg(unix)]
fn link(to: &str, at: &std::path::Path) {
    std::os::unix::fs::symlink(to, at).expect("a link");
}

/// A pipe into which nobody writes: opening it would wait for ever.
#[cfg(unix)]
fn pipe(at: &std::path::Path) {
    let made = std::process::Command::new("mkfifo").arg(at).status().expect("mkfifo");
    assert!(made.success());
}

const SECRET: &str = "10.66.66.66";

#[cfg(unix)]
#[test]
fn no_path_leads_out_of_the_root() {
    for (config, link_to) in [
        ("include \"../../secret.conf\"\n", None),
        ("include \"/etc/../../secret.conf\"\n", None),
        ("include \"link\"\n", Some("../../secret.conf")),
        ("include \"link/secret.conf\"\n", Some("../..")),
        ("load anchor a from \"../../secret.conf\"\nanchor a\n", None),
        ("table <t> file \"../../secret.table\"\nblock from <t>\n", None),
        ("table <t> file \"link\"\nblock from <t>\n", Some("../../secret.table")),
    ] {
        let tree = Tree::new(&[
            ("secret.conf", &format!("block from {SECRET}\n")),
            ("secret.table", SECRET),
            ("machine/etc/pf.conf", config),
        ]);
        if let Some(to) = link_to {
            link(to, &tree.path().join("machine/etc/link"));
        }
        let absolute = config.replace("../../secret", &format!("{}/secret", tree.path().display()));
        for text in [config, &absolute] {
            tree.write("machine/etc/pf.conf", text);
            for command in ["check", "print", "flows", "context"] {
                let (out, err, status) = tree.run(&[command, "machine"]);
                assert!(
                    !out.contains(SECRET) && !err.contains(SECRET),
                    "{command} {text}: {out}{err}"
                );
                let judges = matches!(command, "check" | "print");
                assert!(!judges || status == 2, "{command} {text}: {status} {out}{err}");
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn policies_and_projects_lead_nowhere_either() {
    let tree = Tree::new(&[
        ("secret.policy", &format!("forbid from {SECRET} to any\n")),
        ("machine/pf.conf", "pass\n"),
        ("machine/a.policy", "include \"../secret.policy\"\n"),
    ]);
    let (out, err, _) = tree.run(&["check", "machine"]);
    assert!(!out.contains(SECRET) && !err.contains(SECRET), "{out}{err}");
    fs::remove_file(tree.path().join("machine/a.policy")).expect("a file");
    link("../secret.policy", &tree.path().join("machine/b.policy"));
    let (out, err, status) = tree.run(&["check", "machine"]);
    assert!(!out.contains(SECRET) && !err.contains(SECRET), "{out}{err}");
    assert_eq!(status, 2, "{out}{err}");
    fs::remove_file(tree.path().join("machine/b.policy")).expect("a link");
    for said in [
        "config = \"pf.conf\"\npolicy = \"../*.policy\"",
        "config = \"pf.conf\"\ncontext = \"../secret.policy\"",
        "config = \"pf.conf\"\nroot = \"..\"",
        "config = \"../machine/*.conf\"",
    ] {
        tree.write("machine/pfproof.toml", &format!("[[router]]\n{said}\n"));
        let (out, err, status) = tree.run(&["check", "machine"]);
        assert!(!out.contains(SECRET) && !err.contains(SECRET), "{said}: {out}{err}");
        assert_eq!(status, 2, "{said}: {out}{err}");
    }
}

#[cfg(unix)]
#[test]
fn links_by_the_names_that_are_looked_for_lead_nowhere() {
    for name in ["pf.conf", "pfproof.toml", "context.toml", "hosts", "hostname.em0"] {
        let tree = Tree::new(&[("secret", SECRET), ("machine/pf.conf", "pass in on em0\n")]);
        let place = tree.path().join("machine").join(name);
        let _ = fs::remove_file(&place);
        link("../secret", &place);
        for arguments in [
            &["check", "machine"][..],
            &["print", "machine/pf.conf"],
            &["context", "machine"],
        ] {
            let (out, err, status) = tree.run(arguments);
            assert!(
                !out.contains(SECRET) && !err.contains(SECRET),
                "{name} {arguments:?}: {out}{err}"
            );
            let judges = matches!(name, "pf.conf" | "pfproof.toml");
            assert!(!judges || status == 2, "{name} {arguments:?}: {out}{err}");
        }
    }
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_not_opened() {
    let tree = Tree::new(&[(
        "etc/pf.conf",
        "table <t> file \"/etc/pipe\"\ninclude \"/etc/zero\"\npass in on em0 from <t>\n",
    )]);
    let etc = tree.path().join("etc");
    pipe(&etc.join("pipe"));
    for name in [
        "hosts",
        "services",
        "hostname.em0",
        "mygate",
        "sysctl.conf",
        "rc.conf.local",
        "a.policy",
    ] {
        pipe(&etc.join(name));
    }
    for command in ["check", "print", "context"] {
        let (out, err, status) = tree.run(&[command, "--root", "."]);
        assert!(command == "context" || status == 2, "{command}: {status} {out}{err}");
    }
    let (_, err, status) = tree.run(&["context", "--ifconfig", "etc/pipe"]);
    assert_eq!(status, 2);
    assert!(err.contains("it is no ordinary file"), "{err}");
    pipe(&tree.path().join("pfproof.toml"));
    tree.run(&["check"]);
    fs::remove_file(etc.join("pf.conf")).expect("a file");
    pipe(&etc.join("pf.conf"));
    let (_, err, status) = tree.run(&["check", "etc/pf.conf"]);
    assert_eq!(status, 2, "{err}");
}

#[test]
fn large_files_and_endless_includes_come_to_an_end() {
    let tree = Tree::new(&[
        ("pf.conf", "include \"a\"\npass\n"),
        ("a", "include \"b\"\n"),
        ("b", "include \"a\"\n"),
        ("hostname.em0", "inet 192.0.2.1/24\n"),
    ]);
    let (out, err, status) = tree.run(&["check"]);
    assert_eq!(status, 2, "{out}{err}");
    // Two that include each other twice: doubled at each step.
    tree.write("a", "include \"b\"\ninclude \"b\"\n");
    tree.write("b", "include \"a\"\ninclude \"a\"\n");
    let (_, _, status) = tree.run(&["check"]);
    assert_eq!(status, 2);
    tree.write("pf.conf", "pass in on em0\n");
    // Sparse: no disk is filled.
    for name in ["hosts", "hostname.em1", "services", "context.toml"] {
        let file = fs::File::create(tree.path().join(name)).expect("a file");
        file.set_len(200 << 30).expect("a sparse file");
        let (_, err, status) = tree.run(&["context"]);
        assert!(err.contains(&format!("{name}: it is larger than")), "{err}");
        assert_eq!(status, 2);
        fs::remove_file(tree.path().join(name)).expect("the file goes");
    }
    let file = fs::File::create(tree.path().join("pf.conf")).expect("a file");
    file.set_len(200 << 30).expect("a sparse file");
    let (_, err, status) = tree.run(&["check"]);
    assert_eq!(status, 2, "{err}");
}

#[test]
fn no_line_of_a_file_is_run() {
    let tree = Tree::new(&[
        ("pf.conf", "pass in on em0\n"),
        (
            "hostname.em0",
            "inet 192.0.2.1/24\n!touch run-by-hostname\n!/sbin/route add default `touch run`\n!ifconfig $(touch run)\n",
        ),
        ("mygate", "192.0.2.2\n!touch run-by-mygate\n"),
        ("rc.conf.local", "pf_rules=$(touch run-by-rc)\n"),
        ("fake/ifconfig", "#!/bin/sh\ntouch run-ifconfig\n"),
        ("fake/route", "#!/bin/sh\ntouch run-route\n"),
    ]);
    tree.make_runnable("fake/ifconfig");
    tree.make_runnable("fake/route");
    let (_, _, status) = tree.run_with("", &["context"], Some("fake"));
    assert_eq!(status, 0);
    let names: Vec<String> = fs::read_dir(tree.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("run"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}
