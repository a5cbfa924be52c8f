//! How a command finds pf.conf, its root and what is known of the machine; and that nothing leads it out.

#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::path::Path;

use tree::Tree;

const HEATER: &str = "pass in on vlan92 from vlan92:network to any\npass out on egress nat-to (egress)\n";

fn heater_tree() -> Tree {
    Tree::new(&[
        ("etc/pf.conf", HEATER),
        ("etc/hostname.em0", "inet 203.0.113.7/24\n"),
        ("etc/hostname.vlan92", "inet 10.62.1.1/24 255.255.255.0\n"),
        ("etc/mygate", "203.0.113.1\n"),
        ("etc/sysctl.conf", "net.inet.ip.forwarding=1\n"),
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
        // Nothing is left to assume but that this is all.
        assert!(
            out.starts_with(
                "# from hostname.{em0,vlan92}, mygate, sysctl.conf\n# assumed: no other interfaces: what neither a \
                 hostname file nor pf.conf names is taken as not there; `--ifconfig` or a context.toml lists all\n\
                 forwarding = true\n"
            ),
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
        assert_eq!(out.matches("assumed").count(), 1, "{out}");
    }
    // What lists all of them settles it.
    tree.write(
        "if.txt",
        "em0: flags=8843<UP,BROADCAST> mtu 1500\n\tinet 203.0.113.7 netmask 0xffffff00\n",
    );
    let (out, _, _) = tree.run(&["context", "--ifconfig", "if.txt"]);
    assert!(!out.contains("assumed"), "{out}");
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
fn what_is_printed_may_go_to_where_it_will_be_read() {
    let tree = Tree::new(&[("pf.conf", "pass in on wg\n")]);
    let (out, ..) = tree.run(&["context"]);
    assert!(
        out.contains("\n[unknown]\ninterfaces = true\ngroups = [\"wg\"]\n"),
        "{out}"
    );
    // So a shell begins.
    tree.write("context.toml", "");
    assert_eq!(tree.run(&["context"]).0, out);
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
            "# assumed: forwarding: taken to be on: nothing says",
            "# assumed: em0, lan0, wifi0, egress0: addresses unknown: every one outside other networks is considered",
            "# assumed: lan, wifi: the group has an interface of its name and 0; more are considered",
            "# assumed: default routes: leave by egress0, or by another interface: each is considered; `--assume \
             egress=INTERFACE` settles it",
        ]
    );
    let (out, _, _) = tree.run(&[
        "context",
        "--assume",
        "em0=203.0.113.7/24",
        "--assume",
        // As a policy says it.
        "em0 2001:db8::7/64",
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
        ("em7 10.0.0.1/24", "there is no interface `em7`"),
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

#[test]
fn what_pfctl_reads_is_no_template() {
    let rule = "pass in all flags S/SA label \"<% {% {{ x }}\"\n";
    let tree = Tree::new(&[("pf.conf", rule)]);
    let (out, err, status) = tree.run(&["print"]);
    assert_eq!((out.as_str(), err.as_str(), status), (rule, "", 0));
}

#[cfg(unix)]
#[test]
fn no_link_beside_pf_conf_leads_out_of_the_root() {
    let tree = Tree::new(&[
        ("secret", "inet 10.66.0.1/24\n"),
        ("machine/etc/pf.conf", "pass on em0 from em0\n"),
    ]);
    let etc = tree.path().join("machine/etc");
    std::os::unix::fs::symlink(Path::new("../../secret"), etc.join("hostname.em0")).expect("a link");
    std::os::unix::fs::symlink(Path::new("/dev/zero"), etc.join("hosts")).expect("a link");
    for link in ["hostname.em0", "hosts"] {
        let (out, err, status) = tree.run(&["check", "machine"]);
        assert_eq!((out.as_str(), status), ("", 2));
        let words = format!("machine/etc/{link}: it lies outside the root folder");
        assert!(err.contains(&words), "{err}");
        std::fs::remove_file(etc.join(link)).expect("the link goes");
    }
    // What says something of the machine and cannot be read could change every answer.
    std::os::unix::fs::symlink(Path::new("gone"), etc.join("hostname.em0")).expect("a link");
    let (out, err, status) = tree.run(&["check", "machine"]);
    assert_eq!((out.as_str(), status), ("", 2));
    assert!(err.contains("machine/etc/hostname.em0: no such file"), "{err}");
    std::fs::remove_file(etc.join("hostname.em0")).expect("the link goes");
    // A folder is no file of the machine's.
    std::fs::create_dir(etc.join("hostname.em0")).expect("a folder");
    assert_eq!(tree.run(&["check", "machine"]).2, 0);
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
            "# assumed: forwarding: taken to be on: nothing says",
            "# assumed: _rspamd: a user whose number is not known",
            "# assumed: dsync: a group whose number is not known",
            "# assumed: www.example.org: the addresses of the name are not known",
        ]
    );
    let (_, err, status) = tree.run(&["print"]);
    assert_eq!(status, 2, "pfctl refuses them");
    assert!(err.contains("unknown user _rspamd"), "{err}");
    // Who lists names in a context.toml has listed all.
    tree.write("context.toml", "# nothing\n");
    let (out, _, _) = tree.run(&["context"]);
    assert!(!out.contains("assumed"), "{out}");
}

#[cfg(unix)]
#[test]
fn the_machine_itself_is_asked_only_by_live() {
    let tree = Tree::new(&[
        ("pf.conf", "pass in on em0\n"),
        ("hostname.em0", "dhcp\n"),
        (
            "fake/ifconfig",
            "#!/bin/sh\n[ \"$*\" = -A ] || exit 9\nprintf 'em0: flags=8843<UP,BROADCAST> mtu 1500\\n'\n\
             printf '\\tinet 192.0.2.7 netmask 0xffffff00 broadcast 192.0.2.255\\n'\n",
        ),
        (
            "fake/route",
            "#!/bin/sh\n[ \"$*\" = '-n show' ] || exit 9\nprintf 'Internet:\\nDestination Gateway Flags Refs Use Mtu Prio \
             Iface\\ndefault 192.0.2.1 UGS 0 0 - 8 em0\\n'\n",
        ),
        (
            "failing/ifconfig",
            "#!/bin/sh\necho 'ifconfig: SIOCGIFDATA: no' >&2\nexit 1\n",
        ),
        ("hanging/ifconfig", "#!/bin/sh\nexec sleep 60\n"),
        ("endless/ifconfig", "#!/bin/sh\nexec cat /dev/zero\n"),
        ("odd/ifconfig", "#!/bin/sh\nprintf 'eth0 Link encap:Ethernet\\n'\n"),
        ("odd/route", "#!/bin/sh\nprintf 'Kernel IP routing table\\n'\n"),
    ]);
    for folder in ["fake", "failing", "hanging", "endless", "odd"] {
        tree.make_runnable(&format!("{folder}/ifconfig"));
    }
    tree.make_runnable("fake/route");
    tree.make_runnable("odd/route");
    let (out, err, status) = tree.run_with("", &["context", "--live"], Some("fake"));
    assert_eq!((err.as_str(), status), ("", 0));
    assert!(out.contains("addresses = [\"192.0.2.7/24\"]"), "{out}");
    assert!(out.contains("via = \"192.0.2.1\""), "{out}");
    for (folder, message) in [
        ("failing", "pfproof: --live: `ifconfig -A`: ifconfig: SIOCGIFDATA: no\n"),
        (
            "hanging",
            "pfproof: --live: `ifconfig -A`: no answer within 5 seconds\n",
        ),
        ("endless", "pfproof: --live: `ifconfig -A`: it is larger than"),
    ] {
        let (_, err, status) = tree.run_with("", &["context", "--live"], Some(folder));
        assert_eq!(status, 2);
        assert!(err.starts_with(message), "{err}");
    }
    let (_, err, _) = tree.run_with("", &["context", "--live"], Some("odd"));
    assert!(err.contains("there is no interface in it"), "{err}");
    assert!(err.contains("there is no table of routes in it"), "{err}");
}

#[test]
fn a_machine_that_does_not_forward_passes_nothing_through() {
    let rules = "block\npass in on em1 from em1:network\npass out on em0\n\
                 pass in on em1 inet6 from any to 64:ff9b::/96 af-to inet from 192.0.2.1\n";
    let policy = "zone lan on em1\nzone internet on em0\n\
                  require inet proto tcp from lan to internet port 80\n\
                  require inet6 proto tcp from lan to 2001:db8:9::9 port 80\n\
                  require inet6 proto tcp from lan to 64:ff9b::102:304 port 80\n\
                  require inet proto tcp from lan to self port 80\n\
                  forbid inet6 from lan to 2001:db8:9::9\n";
    let tree = Tree::new(&[
        ("pf.conf", rules),
        ("t.policy", policy),
        ("hostname.em0", "inet 192.0.2.1/24\ninet6 2001:db8::1 64\n"),
        ("hostname.em1", "inet 10.0.0.1/24\ninet6 2001:db8:1::1 64\n"),
        ("mygate", "192.0.2.2\n2001:db8::2\n"),
    ]);
    for (sysctl, outcomes, remark) in [
        (
            "net.inet.ip.forwarding=1\nnet.inet6.ip6.forwarding=1\n",
            ["holds", "holds", "holds", "holds", "violated"],
            None,
        ),
        // What af-to makes of a packet is forwarded as one of its new family, and its reply as one of its old.
        (
            "net.inet.ip.forwarding=1\n",
            ["holds", "violated", "violated", "holds", "vacuous"],
            Some("the machine does not forward packets of inet6: none pass through it"),
        ),
        // Without forwarding an own address is asked for on its own interface alone.
        (
            "net.inet6.ip6.forwarding=1\n",
            ["violated", "holds", "violated", "violated", "violated"],
            Some("the machine does not forward packets of inet: none pass through it"),
        ),
        (
            "# nothing\n",
            ["violated", "violated", "violated", "violated", "vacuous"],
            Some("the machine does not forward packets: none pass through it"),
        ),
    ] {
        tree.write("sysctl.conf", sysctl);
        let (out, err, _) = tree.run(&["check", "--format", "json"]);
        let report: serde_json::Value = serde_json::from_str(&out).expect("json");
        let router = &report["routers"][0];
        let statements = router["statements"].as_array().expect("statements");
        let found: Vec<&str> = statements.iter().filter_map(|one| one["outcome"].as_str()).collect();
        assert_eq!(found, outcomes, "{sysctl}: {router}{err}");
        let findings = router["findings"].as_array().expect("findings");
        let mut said = findings.iter().filter_map(|one| one["message"].as_str());
        assert_eq!(said.find(|said| said.contains("does not forward")), remark, "{sysctl}");
    }
}

#[test]
fn answers_say_for_which_state_of_the_machine_they_are() {
    let tree = Tree::new(&[
        (
            "pf.conf",
            "block\npass in on em1 inet proto tcp to port 22\npass in on em2 inet proto tcp to port 80\n\
             pass out on { em0 em2 }\n",
        ),
        ("hostname.em0", "inet 192.0.2.1/24\n"),
        ("hostname.em1", "inet 10.0.1.1/24\n"),
        ("hostname.em2", "up\n"),
        ("hostname.carp0", "inet 10.0.3.1/24\nvhid 1 carpdev em2\n"),
        ("mygate", "192.0.2.254\n"),
        ("sysctl.conf", "net.inet.ip.forwarding=1\n"),
    ]);
    let packet = "in on em1 proto tcp from 10.0.1.9 to 10.0.3.9 port 22";
    let state = "answered for the machine while carp0 is master; other states are possible";
    for arguments in [
        &["flows"][..],
        &["flows", "--from", "em1", "--to", "em2"],
        &["trace", packet],
        &["trace", packet, "--format", "json"],
    ] {
        let (out, err, status) = tree.run(arguments);
        assert!(err.contains(state) && status == 0, "{arguments:?}: {out}{err}");
        assert!(!out.contains("carp0 is master"), "{arguments:?}: {out}");
    }
    let (out, _, _) = tree.run(&["check"]);
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        out.contains("who reaches whom, of what really comes from there, while carp0 is master"),
        "{out}"
    );
    // While carp0 is backup, nobody is behind em2: what holds there alone is not demanded.
    let (_, err, status) = tree.run(&["init", "-o", "first.policy"]);
    assert_eq!((err.as_str(), status), ("", 0));
    let draft = fs::read_to_string(tree.path().join("first.policy")).expect("a draft");
    let demoted =
        "\nallow inet proto tcp from net_em2 to { internet self } port www  # not surely: while carp0 is backup\n";
    assert!(draft.contains(demoted), "{draft}");
    assert!(draft.contains("\nrequire inet proto tcp from net_em1"), "{draft}");
    let (out, _, status) = tree.run(&["check", "--policy", "first.policy"]);
    assert_eq!(status, 0, "{out}\n{draft}");
    tree.write("hostname.carp0", "");
    // Its zones are no longer all there.
    fs::remove_file(tree.path().join("first.policy")).expect("the draft is removed");
    for arguments in [&["flows"][..], &["trace", packet]] {
        let (out, err, status) = tree.run(arguments);
        assert_eq!((err.as_str(), status), ("", 0), "{arguments:?}: {out}");
    }
}

#[test]
fn included_files_are_called_so_that_they_can_be_opened() {
    let tree = Tree::new(&[
        (
            "machine/etc/pf.conf",
            "include \"pf.lan\"\ninclude \"/etc/more/pf.wan\"\nanchor a\nload anchor a from \"pf.a\"\n",
        ),
        ("machine/etc/pf.lan", "pass on em1 frm any\n"),
        ("machine/etc/more/pf.wan", "pass on em0 frm any\n"),
        ("machine/etc/pf.a", "pass on em2 frm any\n"),
        ("machine/etc/m.policy", "include \"m.zones\"\nclosed\n"),
        ("machine/etc/m.zones", "zon lan on em1\n"),
    ]);
    let (out, _, status) = tree.run(&["check", "--format", "short", "machine"]);
    assert_eq!(status, 2);
    for file in ["pf.lan:1:13", "more/pf.wan:1:13", "pf.a:1:13", "m.zones:1:1"] {
        assert!(out.contains(&format!("machine/etc/{file}: error")), "{file}: {out}");
    }
}
