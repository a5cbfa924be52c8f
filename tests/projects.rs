//! Projects of many machines: what `pfproof.toml` lists, and what is said of them in one run.

#[path = "support/tree.rs"]
#[expect(dead_code, reason = "nothing in the tree is run")]
mod tree;

use tree::Tree;

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
fn many_machines_are_checked_in_one_run() {
    let machine = "block\npass in on em0 inet proto tcp to port 22\npass in on em0 inet proto tcp to port 22\n";
    let tree = Tree::new(&[
        (
            "pfproof.toml",
            "[[router]]\nconfig = \"hosts/*/pf.conf\"\n[[router]]\nconfig = \"router1/etc/pf.conf\"\npolicy = \"p/*.policy\"\n",
        ),
        ("hosts/a/pf.conf", machine),
        ("hosts/a/hostname.em0", "inet 192.0.2.1/24\n"),
        ("hosts/b/pf.conf", "ext = \"{{ wan }}\"\npass on $ext\n"),
        ("router1/etc/pf.conf", "block\ninclude \"/etc/pf.more\"\n"),
        ("router1/etc/pf.more", "pass in on em0 inet from 192.0.2.9\n"),
        ("router1/etc/hostname.em0", "inet 192.0.2.2/24\n"),
        ("p/all.policy", "zone lan on em0\nclosed from lan\n"),
    ]);
    let (out, err, status) = tree.run(&["check"]);
    // The template cannot be judged, the policy of router1 is violated, hosts/a has nothing against it.
    assert_eq!((err.as_str(), status), ("", 2), "{out}");
    for found in [
        "hosts/a/pf.conf: 3 lines, 3 rules",
        "hosts/b/pf.conf",
        "this is a template (Jinja), not a pf.conf yet",
        "router1/etc/pf.conf: 2 lines, 2 rules",
        "violated: closed from lan",
        "pf.more:1",
    ] {
        assert!(out.contains(found), "{found} in\n{out}");
    }
    tree.write("hosts/b/pf.conf", "pass\n");
    assert_eq!(tree.run(&["check"]).2, 1);
    tree.write(
        "p/all.policy",
        "zone lan on em0\nforbid inet proto udp from 192.0.2.10 to any\n",
    );
    assert_eq!(tree.run(&["check"]).2, 0);
    let (out, _, _) = tree.run(&["check", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&out).expect("json");
    let names: Vec<&str> = report["routers"]
        .as_array()
        .expect("routers")
        .iter()
        .filter_map(|router| router["config"].as_str())
        .collect();
    assert_eq!(names, ["hosts/a/pf.conf", "hosts/b/pf.conf", "router1/etc/pf.conf"]);
}

#[test]
fn a_project_says_what_fails_and_in_which_format() {
    let rules = "block\npass in on em0 inet proto tcp to port 22\npass in on em0 inet proto tcp to port 22\n";
    let tree = Tree::new(&[
        ("pf.conf", rules),
        ("context.toml", "[interface.em0]\naddresses = \"192.0.2.1/24\"\n"),
    ]);
    // The first rule never decides: a warning.
    for (text, arguments, status) in [
        ("", &["check"][..], 0),
        ("[defaults]\nfail-on = \"warning\"\n", &["check"], 1),
        (
            "[defaults]\nfail-on = \"warning\"\n",
            &["check", "--fail-on", "error"],
            0,
        ),
        ("[lint]\ndeny = [\"never-decides\"]\n", &["check"], 1),
        ("[lint]\nlevels = { never-decides = \"error\" }\n", &["check"], 1),
        (
            "[defaults]\nfail-on = \"info\"\n[lint]\nallow = [\"never-decides\", \"dead-list-item\"]\n",
            &["check"],
            0,
        ),
        (
            "[lint]\nlevels = { never-decides = \"info\" }\n",
            &["check", "--fail-on", "warning"],
            0,
        ),
    ] {
        tree.write("pfproof.toml", text);
        let (out, err, found) = tree.run(arguments);
        assert_eq!((err.as_str(), found), ("", status), "{text} {arguments:?}: {out}");
        assert_eq!(
            out.contains("never-decides") || out.contains("never decides"),
            !text.contains("allow"),
            "{out}"
        );
    }
    tree.write("pfproof.toml", "[defaults]\nformat = \"json\"\n");
    assert!(tree.run(&["check"]).0.starts_with('{'));
    assert!(!tree.run(&["check", "--format", "human"]).0.starts_with('{'));
    for (text, message) in [
        (
            "[lint]\nallow = [\"never-decide\"]\n",
            "unknown code `never-decide`: did you mean `never-decides`?",
        ),
        ("[lint]\nallow = [\"syntax\"]\n", "the level of `syntax` cannot be set"),
        (
            "[lint]\nallow = [\"violated\"]\n",
            "the level of `violated` cannot be set",
        ),
        ("[defaults]\nfail-on = \"never\"\n", "unknown variant `never`"),
        ("[defaults]\ncolour = true\n", "unknown field `colour`"),
    ] {
        tree.write("pfproof.toml", text);
        let (_, err, status) = tree.run(&["check"]);
        assert_eq!(status, 2, "{text}");
        assert!(err.contains(message), "{text}: {err}");
    }
}

#[test]
fn of_several_machines_each_line_says_which() {
    let machine =
        "[interface.em0]\naddresses = [\"198.51.100.1/24\"]\n[interface.em1]\naddresses = [\"10.0.1.1/24\"]\n";
    let tree = Tree::new(&[
        (
            "pfproof.toml",
            "[[router]]\nconfig = \"*/pf.conf\"\npolicy = \"all.policy\"\n",
        ),
        (
            "all.policy",
            "zone lan on em1\nzone wan on em0\nforbid inet from lan to wan\n",
        ),
        ("a/pf.conf", "pass\n"),
        ("a/context.toml", machine),
        ("b/pf.conf", "pass in\npass out\n"),
        ("b/context.toml", machine),
        ("c/pf.conf", "block\n"),
        ("c/context.toml", machine),
    ]);
    let (out, _, status) = tree.run(&["check", "--format", "short"]);
    assert_eq!(status, 1, "{out}");
    let violated: Vec<&str> = out.lines().filter(|line| line.contains("error[violated]")).collect();
    let whose: Vec<&str> = violated
        .iter()
        .filter_map(|line| line.rsplit_once(" (").map(|(_, whose)| whose))
        .collect();
    assert_eq!(whose, ["a/pf.conf)", "b/pf.conf)"], "{out}");
}
