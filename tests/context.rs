//! What the readers of the context make of samples, each from its format's manual page.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use pfproof::context::{Context, InterfaceAddress, Kind, Part, combine, context_from_toml, read};
use pfproof::diagnostic::Diagnostic;
use pfproof::net::Family;
use pfproof::source::Sources;

/// The folder of reference data beside the project, where there is one.
fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no ../shared");
    None
}

/// Diagnostics as `LINE:COLUMN: message; help`.
fn lines(sources: &Sources, diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics
        .iter()
        .map(|diagnostic| {
            let place = diagnostic.primary.as_ref().map_or_else(String::new, |label| {
                let at = sources.location(label.span);
                format!("{}:{}: ", at.line, at.column)
            });
            let help = diagnostic
                .help
                .as_ref()
                .map_or_else(String::new, |help| format!("; {help}"));
            format!("{place}{}{help}", diagnostic.message)
        })
        .collect()
}

fn from_toml(text: &str) -> (Context, Vec<String>) {
    let mut sources = Sources::new();
    let file = sources.add("context.toml", text);
    let (context, diagnostics) = context_from_toml(&sources, file);
    (context, lines(&sources, &diagnostics))
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("a test's address")
}

#[test]
fn every_context_of_the_reference_data_is_read_without_a_word() {
    let Some(shared) = shared() else { return };
    let mut read = 0;
    for kind in ["vectors", "real", "optimizer"] {
        let Ok(folders) = std::fs::read_dir(shared.join(kind)) else {
            continue;
        };
        for folder in folders.flatten() {
            let path = folder.path().join("context.toml");
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            let (context, said) = from_toml(&text);
            assert_eq!(said, Vec::<String>::new(), "{}", path.display());
            assert_eq!(context.interfaces[0].name, "lo0", "{}", path.display());
            read += 1;
        }
    }
    assert!(read > 400, "only {read} were read");
}

#[test]
fn slips_in_context_toml_are_named_with_their_place() {
    let (context, said) = from_toml(
        "forwardng = true\n\
         [interface.em0]\n\
         adresses = [\"203.0.113.7/24\"]\n\
         [interface.em1]\n\
         addresses = [\"10.0.0.1\", \"10.0.0.300/24\", \"10.1.0.1/24\"]\n\
         groups = [\"lan1\"]\n\
         up = \"yes\"\n\
         rdomain = 300\n\
         [[route]]\n\
         to = \"defualt\"\n\
         interface = \"em0\"\n\
         [[route]]\n\
         to = \"10.9.0.0/16\"\n",
    );
    assert_eq!(
        said,
        [
            "1:1: unknown key `forwardng`; did you mean `forwarding`?",
            "3:1: unknown key `adresses`; did you mean `addresses`?",
            "5:14: `10.0.0.1` is no address with a prefix length; add the length of its network: `10.0.0.1/24`",
            "5:26: `10.0.0.300/24` is no address with a prefix length; an address with the length of its network \
             (`203.0.113.7/24`), or `dhcp` or `autoconf` for one that is not known",
            "6:11: `lan1` is no name of a group; a group's name has at most 15 characters and ends in no digit",
            "7:6: `true` or `false` is expected here",
            "8:11: a number from 0 to 255 is expected here",
            "10:6: `defualt` is no prefix; write `default` (IPv4), `::/0`, or a prefix such as `10.0.0.0/8`",
            "9:1: a route without `to`",
            "12:1: the route to `10.9.0.0/16` names no interface; say `interface = \"…\"`, or `via` with an address \
             of a network of an interface",
        ]
    );
    let em1 = context.interface("em1").expect("em1 is kept");
    assert_eq!(em1.addresses.len(), 1, "what is right is kept");
}

const ROUTER: &str = r#"
[interface.em0]
addresses = ["203.0.113.7/24", "203.0.113.8/32", "fe80::7/64", "2001:db8::7/64"]
[interface.vlan92]
addresses = ["10.62.1.1/24"]
groups = ["iot"]
[interface.gif0]
addresses = ["10.255.0.1/24"]
peer = "10.255.0.2"
[interface.em2]
addresses = ["10.9.0.1/24"]
up = false
[interface.em3]
addresses = ["dhcp", "10.62.1.9/24"]
rdomain = 1
[[route]]
to = "default"
via = "203.0.113.1"
[[route]]
to = "10.62.1.128/25"
interface = "gif0"
label = "LAB"
[[route]]
to = "10.0.0.0/8"
interface = "lo0"
reject = true
[[route]]
to = "::/0"
interface = "em2"
rtable = 2
"#;

#[test]
fn interfaces_are_found_by_name_and_group() {
    let (context, said) = from_toml(ROUTER);
    assert_eq!(said, Vec::<String>::new());
    let names = |name: &str| -> Vec<String> {
        context
            .members(name)
            .into_iter()
            .map(|interface| interface.name.clone())
            .collect()
    };
    assert_eq!(names("all"), ["lo0", "em0", "vlan92", "gif0", "em2", "em3"]);
    assert_eq!(names("self"), names("all"));
    assert_eq!(
        names("egress"),
        ["em0"],
        "by its default route; one in another table does not count"
    );
    assert_eq!(names("vlan"), ["vlan92"], "a cloned driver's name is a group");
    assert_eq!(names("lo"), ["lo0"]);
    assert_eq!(names("iot"), ["vlan92"]);
    assert_eq!(names("em"), Vec::<String>::new(), "another driver's name is none");
    assert_eq!(names("em2"), ["em2"]);
    assert!(!context.knows("em7"));
    let matches = |interface: &str, on: &str| context.matches(context.interface(interface).expect("there"), on);
    assert!(
        matches("em0", "any") && !matches("lo0", "any"),
        "`on any` leaves loopback out"
    );
    assert!(matches("em0", "egress") && matches("lo0", "lo") && !matches("em0", "em"));
}

#[test]
fn addresses_are_listed_as_pfctl_lists_them() {
    let (context, _) = from_toml(ROUTER);
    let list = |name: &str, part, first| -> Vec<String> {
        context
            .addresses(name, part, first)
            .into_iter()
            .map(|found| match found.address {
                InterfaceAddress::Known(net) => net.to_string(),
                InterfaceAddress::Unknown(family) => format!("{family} unknown"),
            })
            .collect()
    };
    let all = ["203.0.113.7/32", "203.0.113.8/32", "fe80::7/128", "2001:db8::7/128"];
    assert_eq!(list("em0", Part::Address, false), all);
    assert_eq!(list("em0", Part::Address, true), ["203.0.113.7/32", "fe80::7/128"]);
    let networks = ["203.0.113.7/24", "203.0.113.8/32", "2001:db8::7/64"];
    assert_eq!(list("em0", Part::Network, false), networks);
    assert_eq!(list("em0", Part::Network, true), ["203.0.113.7/24", "2001:db8::7/64"]);
    let broadcast = ["203.0.113.255/32", "203.0.113.8/32"];
    assert_eq!(list("em0", Part::Broadcast, false), broadcast, "a /32 is its own");
    assert_eq!(list("gif0", Part::Peer, false), ["10.255.0.2/32"]);
    assert_eq!(list("gif0", Part::Broadcast, false), Vec::<String>::new());
    assert_eq!(list("em0", Part::Peer, false), Vec::<String>::new());
    assert_eq!(list("em3", Part::Address, false), ["inet unknown", "10.62.1.9/32"]);
    let implied = ["127.0.0.1/32", "::1/128", "fe80::1/128"];
    assert_eq!(list("lo0", Part::Address, false), implied);
    assert!(context.has_unknown(Family::Inet, 1) && !context.has_unknown(Family::Inet, 0));
}

#[test]
fn one_address_takes_the_longest_prefix() {
    let (context, _) = from_toml(ROUTER);
    let table = context.route_table(0);
    let way = |to: &str| {
        table.lookup(address(to)).map(|route| {
            let label = route.label.map_or_else(String::new, |label| format!(" {label}"));
            let reject = if route.reject { " reject" } else { "" };
            format!("{} {}{label}{reject}", route.to, route.interface)
        })
    };
    let is = |to: &str, expected: &str| assert_eq!(way(to).as_deref(), Some(expected), "{to}");
    is("8.8.8.8", "0.0.0.0/0 em0");
    is("10.62.1.50", "10.62.1.0/24 vlan92");
    is("10.62.1.200", "10.62.1.128/25 gif0 LAB");
    is("10.255.0.2", "10.255.0.2/32 gif0");
    is("10.255.0.3", "10.0.0.0/8 lo0 reject");
    is("10.9.0.1", "10.0.0.0/8 lo0 reject");
    is("10.9.0.2", "10.0.0.0/8 lo0 reject");
    assert_eq!(way("2001:db9::1"), None, "no default route of IPv6 in this table");
    assert!(context.route_table(2).lookup(address("2001:db9::1")).is_some());
    assert!(context.is_local(address("10.62.1.1"), 0) && !context.is_local(address("10.62.1.9"), 0));
    assert!(context.is_local(address("10.62.1.9"), 1));
    assert!(!context.is_local(address("10.9.0.1"), 0), "the interface is down");
}

/// The context that texts describe together, each with the kind that its name gives it, and what was said of them.
fn from_texts(texts: &[(Kind, &str)]) -> (Context, Vec<String>) {
    let mut sources = Sources::new();
    let (mut facts, mut diagnostics) = (Vec::new(), Vec::new());
    for (kind, text) in texts {
        let file = sources.add(format!("{kind:?}"), *text);
        let (found, said) = read(kind, &sources, file);
        facts.push(found);
        diagnostics.extend(said);
    }
    let (combined, said) = combine(facts);
    diagnostics.extend(said);
    (combined.context, lines(&sources, &diagnostics))
}

fn hostname(interface: &str, text: &str) -> (Context, Vec<String>) {
    from_texts(&[(Kind::HostnameIf(interface.to_owned()), text)])
}

/// An interface in one line: its addresses, then what else is known.
fn shown(context: &Context, name: &str) -> String {
    let interface = context.interface(name).expect("the interface");
    let mut words: Vec<String> = interface
        .addresses
        .iter()
        .map(|address| match address {
            InterfaceAddress::Known(net) => net.to_string(),
            InterfaceAddress::Unknown(family) => format!("{family}?"),
        })
        .collect();
    words.extend(interface.groups.iter().map(|group| format!("group {group}")));
    words.extend(interface.peer.map(|peer| format!("peer {peer}")));
    words.extend(interface.broadcast.map(|broadcast| format!("broadcast {broadcast}")));
    words.extend((interface.rdomain != 0).then(|| format!("rdomain {}", interface.rdomain)));
    words.extend(interface.down.then(|| "down".to_owned()));
    words.join(", ")
}

/// The given routes, one in a line.
fn shown_routes(context: &Context) -> Vec<String> {
    context
        .routes
        .iter()
        .map(|route| {
            let via = route.via.map_or_else(String::new, |via| format!(" via {via}"));
            let label = route
                .label
                .as_ref()
                .map_or_else(String::new, |label| format!(" label {label}"));
            let reject = if route.reject { " reject" } else { "" };
            let rtable = if route.rtable == 0 {
                String::new()
            } else {
                format!(" rtable {}", route.rtable)
            };
            format!("{} {}{via}{label}{reject}{rtable}", route.to, route.interface)
        })
        .collect()
}

#[test]
fn hostname_files_are_read_as_netstart_unpacks_them() {
    for (name, text, expected) in [
        ("em0", "inet 10.0.1.12 255.255.255.0 10.0.1.255\n", "10.0.1.12/24"),
        ("em0", "inet 10.0.1.12 0xffffff00\nup\n", "10.0.1.12/24"),
        (
            "em0",
            "inet 10.0.1.12/25 description \"Bob's uplink\"\n",
            "10.0.1.12/25",
        ),
        (
            "em0",
            "inet 10.0.1.12 255.255.255.0 NONE description \"up down\"\n",
            "10.0.1.12/24",
        ),
        (
            "em0",
            "inet 10.0.1.12 netmask 255.255.255.0 broadcast 10.0.1.255\n",
            "10.0.1.12/24",
        ),
        ("em0", "inet 10.0.1.12\n", "10.0.1.12/8"),
        ("em0", "inet 172.16.0.1\n", "172.16.0.1/16"),
        (
            "em0",
            "inet 10.0.1.12 255.255.255.0 10.0.1.127\n",
            "10.0.1.12/24, broadcast 10.0.1.127",
        ),
        (
            "em0",
            "media 100baseTX description Uplink\ninet 10.0.1.12 255.255.255.0 10.0.1.255\n\
             inet alias 10.0.1.13 255.255.255.255 10.0.1.13\ninet alias 10.0.1.14 255.255.255.255 NONE\n\
             inet alias 10.0.1.15 255.255.255.255\ninet alias 10.0.1.16 0xffffffff\n# a comment\n\
             inet6 alias fec0::1 64\ninet6 alias fec0::2 64 anycast\nup\n",
            "10.0.1.12/24, 10.0.1.13/32, 10.0.1.14/32, 10.0.1.15/32, 10.0.1.16/32, fec0::1/64, fec0::2/64",
        ),
        (
            "em0",
            "inet6 2001:db8::1 48\ninet6 2001:db8:1::1\n",
            "2001:db8::1/48, 2001:db8:1::1/64",
        ),
        ("em0", "inet6 2001:db8::1/56\n", "2001:db8::1/56"),
        ("em0", "dhcp\n", "inet?"),
        ("em0", "inet autoconf\ninet6 autoconf -soii\n", "inet?, inet6?"),
        ("em0", "inet6 eui64\ninet6 2001:db8:: 64 eui64\n", "inet6?"),
        ("em0", "inet autoconf\n-inet\ninet 10.0.0.1/24\n", "10.0.0.1/24"),
        ("em0", "inet 10.0.0.1/24\ninet 10.0.0.1 delete\n", ""),
        ("em0", "up\ngroup dmz\ngroup lan\n-group dmz\n", "group lan"),
        (
            "em0",
            "rdomain 3\ninet 10.0.0.1/24\ndown\n",
            "10.0.0.1/24, rdomain 3, down",
        ),
        (
            "tun0",
            "inet 10.9.0.1 255.255.255.252 NONE\ndest 10.9.0.2\n",
            "10.9.0.1/30, peer 10.9.0.2",
        ),
        (
            "gif0",
            "!ifconfig $if inet 10.9.0.1 10.9.0.2 netmask 255.255.255.252\n",
            "10.9.0.1/30, peer 10.9.0.2",
        ),
        (
            "gre1",
            "!ifconfig gre1 10.10.10.229 10.10.10.230 netmask 0xfffffffc up\n",
            "10.10.10.229/30, peer 10.10.10.230",
        ),
        (
            "vlan7",
            "parent em0 vnetid 7 group vlan\ninet 10.7.0.1/24\n",
            "10.7.0.1/24",
        ),
        (
            "vlan10",
            "inet 192.168.10.1 255.255.255.0 192.168.10.255 vlandev em2\n",
            "192.168.10.1/24",
        ),
        (
            "wg0",
            "wgkey k\nwgport 51820\nwgpeer p= wgendpoint vpn.example 51820 wgaip 10.8.0.2/32 wgaip ::/0\ninet 10.8.0.1/24\n",
            "10.8.0.1/24",
        ),
        (
            "carp1",
            "inet 10.0.0.3 255.255.255.0 10.0.0.255 vhid 1 pass x carpdev em0 advskew 100\n",
            "10.0.0.3/24",
        ),
        (
            "trunk0",
            "trunkproto lacp trunkport em1 trunkport em2\ninet 10.0.0.1/24\n",
            "10.0.0.1/24",
        ),
        ("veb0", "add em1\nadd vport0\nup\n", ""),
        ("vport0", "inet 10.1.0.1 0xffffff00 up\n", "10.1.0.1/24"),
        (
            "pppoe0",
            "inet 0.0.0.0 255.255.255.255 NONE pppoedev em0 authproto pap authname 'a b' authkey \"c#d\" up\n\
             dest 0.0.0.1\ninet6 eui64\n!/sbin/route add default -ifp pppoe0 0.0.0.1\n",
            "inet?",
        ),
    ] {
        let (context, _) = hostname(name, text);
        assert_eq!(shown(&context, name), expected, "{text}");
    }
}

#[test]
fn slips_in_hostname_files_are_named_with_their_place() {
    for (name, text, expected) in [
        (
            "em0",
            "inet 10.0.0.1/24\ninet 10.0.0.2/24\n",
            "2:6: `10.0.0.2/24` takes the place of the address before it; write `inet alias …` for a further address",
        ),
        (
            "em0",
            "inet 10.0.0.1/24 up\n",
            "1:18: `up` stands where netstart(8) takes the netmask; write the address with its prefix length \
             (`10.0.0.1/24`) and what follows on a line of its own",
        ),
        ("em0", "inet 10.0.0.1 255.0.255.0\n", "1:15: `255.0.255.0` is no mask"),
        (
            "em0",
            "inet gateway 255.255.255.0\n",
            "1:6: `gateway` is no inet address: it is left out",
        ),
        ("em0", "inet6 2001:db8::1 129\n", "1:19: `129` is no prefix length"),
        ("em0", "group lan0\n", "1:7: `lan0` is no name of a group"),
        (
            "em0",
            "dest 10.0.0.2\n",
            "1:6: `10.0.0.2` is the destination of no address",
        ),
        (
            "em0",
            "!route add 10.0.0.0/33 10.0.0.1\n",
            "1:12: `10.0.0.0/33` is no destination: the route is left out",
        ),
        (
            "em0.bak",
            "inet 10.0.0.1/24\n",
            "1:1: `em0.bak` is no name of an interface: netstart(8) skips this file; an interface is named by its \
             driver and a number, or by its link-layer address",
        ),
    ] {
        let (_, said) = hostname(name, text);
        assert_eq!(said, [expected], "{text}");
    }
}

#[test]
fn routes_of_hostname_files_are_read_and_nothing_is_run() {
    let (context, said) = hostname(
        "em0",
        "inet 10.0.0.1/24\n\
         !route add -inet 10.1.0.0/16 10.0.0.254\n\
         !/sbin/route -qn add -net 10.2.0.0 10.0.0.254 255.255.0.0\n\
         !route -T 2 add -inet6 default fe80::1%em0\n\
         !route add -label LAB 10.3/16 -iface \\$if\n\
         !route -n add -host 10.4.0.1 -reject 127.0.0.1\n\
         !route delete 10.1.0.0/16\n\
         !route sourceaddr -ifp \\$if\n\
         ! touch pfproof-was-here; route add 10.66.0.0/16 10.0.0.1\n",
    );
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(
        shown_routes(&context),
        [
            "10.1.0.0/16 em0 via 10.0.0.254",
            "10.2.0.0/16 em0 via 10.0.0.254",
            "::/0 em0 via fe80::1 rtable 2",
            "10.3.0.0/16 em0 label LAB",
            "10.4.0.1/32 lo0 via 127.0.0.1 reject",
        ]
    );
    assert!(!Path::new("pfproof-was-here").exists());
}

#[test]
fn mygate_gives_way_to_autoconf() {
    let mygate = (
        Kind::Mygate,
        "# gateways\n203.0.113.1\n203.0.113.2\n2001:db8::1\n!route add 10/8 203.0.113.9\n",
    );
    let em0 = |text| (Kind::HostnameIf("em0".to_owned()), text);
    let (context, said) = from_texts(&[em0("inet 203.0.113.7/24\ninet6 2001:db8::7/64\n"), mygate.clone()]);
    let second = "3:1: `203.0.113.2` is a second inet gateway: netstart(8) uses the first";
    assert_eq!(said, [second]);
    assert_eq!(
        shown_routes(&context),
        [
            "0.0.0.0/0 em0 via 203.0.113.1",
            "::/0 em0 via 2001:db8::1",
            "10.0.0.0/8 em0 via 203.0.113.9"
        ]
    );
    for texts in [
        [em0("dhcp\ninet6 2001:db8::7/64\n"), mygate.clone()],
        [mygate.clone(), em0("dhcp\ninet6 2001:db8::7/64\n")],
    ] {
        let (context, _) = from_texts(&texts);
        let mut routes = shown_routes(&context);
        routes.sort();
        assert_eq!(
            routes,
            [
                "0.0.0.0/0 em0",
                "10.0.0.0/8 em0 via 203.0.113.9",
                "::/0 em0 via 2001:db8::1"
            ]
        );
    }
    let (context, said) = from_texts(&[em0("inet 192.0.2.7/24\n"), (Kind::Mygate, "203.0.113.1\ngw\n")]);
    assert_eq!(context.routes, []);
    assert_eq!(
        said.len(),
        2,
        "a name is no address, and a gateway in no network is refused: {said:?}"
    );
}

#[test]
fn a_file_named_by_link_layer_address_goes_to_the_interface_that_has_it() {
    let by_address = (
        Kind::HostnameIf("00:00:5e:00:53:af".to_owned()),
        "inet 10.0.0.1/24\ngroup lan\n!route add 10.9/16 -iface \\$if\n",
    );
    let (context, said) = from_texts(&[
        by_address.clone(),
        (Kind::HostnameIf("em1".to_owned()), "lladdr 00:00:5e:00:53:AF\n"),
    ]);
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(shown(&context, "em1"), "10.0.0.1/24, group lan");
    assert_eq!(shown_routes(&context), ["10.9.0.0/16 em1"]);
    let (context, _) = from_texts(&[by_address]);
    assert_eq!(
        shown(&context, "00:00:5e:00:53:af"),
        "10.0.0.1/24, group lan",
        "its name is not known"
    );
}

#[test]
fn the_smaller_files_of_etc_are_read() {
    let (context, said) = from_texts(&[
        (
            Kind::Hosts,
            "127.0.0.1\tlocalhost\n::1 localhost # both\n10.0.0.9 db db.example.org\nnonsense x\n",
        ),
        (
            Kind::Services,
            "# names\nmyapp 8443/tcp app # ours\nmyapp 8443/udp\nold 7/sctp\nbad\n",
        ),
    ]);
    assert_eq!(context.hosts["localhost"], [address("127.0.0.1"), address("::1")]);
    assert_eq!(context.hosts["db.example.org"], [address("10.0.0.9")]);
    let port = |name: &str, proto: &str| context.services.get(&(name.to_owned(), proto.to_owned())).copied();
    assert_eq!(port("app", "tcp"), Some(8443));
    assert_eq!(port("app", "udp"), None);
    assert_eq!(port("myapp", "udp"), Some(8443));
    assert_eq!(
        said,
        [
            "4:1: `nonsense` is no address: the line is left out",
            "5:1: `bad` has no `port/protocol`: the line is left out",
        ]
    );
    let (context, said) = from_texts(&[(Kind::RcConf, "pf_rules=/etc/pf.other\npf=NO\nsshd_flags=\"-4\"\n")]);
    assert!(context.forwarding, "where nobody says, it forwards");
    assert_eq!(
        said,
        [
            "1:1: the machine loads `/etc/pf.other`, not `/etc/pf.conf`",
            "2:1: pf is switched off: nothing is filtered; take the line away, or say `pf=YES`",
        ]
    );
}

#[test]
fn forwarding_is_what_sysctl_conf_says_for_each_family() {
    for (text, inet, inet6) in [
        ("net.inet.ip.forwarding=1\nnet.inet6.ip6.forwarding=1\n", true, true),
        ("net.inet.ip.forwarding = 1 # route\n", true, false),
        ("#net.inet.ip.forwarding=1\n", false, false),
        (
            "net.inet.ip.forwarding=1\nnet.inet.ip.forwarding=0\nnet.inet6.ip6.forwarding=1\n",
            false,
            true,
        ),
    ] {
        let (context, said) = from_texts(&[(Kind::Sysctl, text)]);
        assert_eq!(said, Vec::<String>::new());
        assert_eq!(
            (context.forwards(Family::Inet), context.forwards(Family::Inet6)),
            (inet, inet6),
            "{text}"
        );
    }
    let (context, _) = from_texts(&[(Kind::Sysctl, ""), (Kind::ContextToml, "forwarding = true\n")]);
    assert!(
        context.forwards(Family::Inet) && context.forwards(Family::Inet6),
        "a later source wins"
    );
}

const OPENBSD_IFCONFIG: &str = "\
lo0: flags=2008049<UP,LOOPBACK,RUNNING,MULTICAST,LRO> mtu 32768
\tindex 4 priority 0 llprio 3
\tgroups: lo
\tinet6 ::1 prefixlen 128
\tinet6 fe80::1%lo0 prefixlen 64 scopeid 0x4
\tinet 127.0.0.1 netmask 0xff000000
em0: flags=808843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST,AUTOCONF4> mtu 1500
\tlladdr 00:00:5e:00:53:af
\tindex 1 priority 0 llprio 3
\tgroups: egress wan
\tmedia: Ethernet autoselect (1000baseT full-duplex)
\tstatus: active
\tinet 203.0.113.7 netmask 0xffffff00 broadcast 203.0.113.255
\tinet6 fe80::5eff:fe00:53af%em0 prefixlen 64 scopeid 0x1
em1: flags=8802<BROADCAST,SIMPLEX,MULTICAST> rdomain 2 mtu 1500
\tgroups: dmz
enc0: flags=0<>
\tgroups: enc
\tstatus: active
vlan92: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500
\tencap: vnetid 92 parent em2 txprio packet rxprio outer
\tgroups: vlan
\tinet 10.62.1.1 netmask 0xffffff00 broadcast 10.62.1.127
tun0: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> mtu 1500
\tgroups: tun
\tinet 10.9.0.1 --> 10.9.0.2 netmask 0xffffffff
";

const OPENBSD_ROUTES: &str = "\
Routing tables

Internet:
Destination        Gateway            Flags   Refs      Use   Mtu  Prio Iface
default            203.0.113.1        UGS        5    12345     -     8 em0  
224/4              127.0.0.1          URS        0       10 32768     8 lo0  
10.62.1/24         10.62.1.1          UCn        1        0     -     4 vlan92
10.62.1.1          fe:e1:ba:d0:aa:bb  UHLl       0       33     -     1 vlan92
10.62.1.127        10.62.1.1          UHb        0        0     -     1 vlan92
10.9.0.2           10.9.0.1           UHh        1        1     -     8 tun0 
10.100/16          10.9.0.2           UGS        0        0     -     8 tun0 
172.16/12          10.9.0.2           GS         0        0     -     8 tun0 
203.0.113/24       203.0.113.7        UCn        1        0     -     4 em0  
203.0.113.1        00:00:5e:00:53:01  UHLch      1       77     -     3 em0  

Internet6:
Destination                        Gateway                        Flags   Refs      Use   Mtu  Prio Iface
::1                                ::1                            UHhl      10       20 32768     1 lo0  
default                            fe80::1%em0                    UGS        0        0     -     8 em0  
fe80::%em0/64                      fe80::5eff:fe00:53af%em0       UCn        0        0     -     4 em0  
";

#[test]
fn output_of_openbsds_ifconfig_and_route_is_read() {
    let (context, said) = from_texts(&[(Kind::Ifconfig, OPENBSD_IFCONFIG), (Kind::Routes, OPENBSD_ROUTES)]);
    assert_eq!(said, Vec::<String>::new());
    assert!(!context.open, "it lists all that there is");
    let names: Vec<_> = context
        .interfaces
        .iter()
        .map(|interface| interface.name.as_str())
        .collect();
    assert_eq!(names, ["lo0", "em0", "em1", "enc0", "vlan92", "tun0"]);
    assert_eq!(shown(&context, "lo0"), "::1/128, fe80::1/64, 127.0.0.1/8");
    assert_eq!(
        shown(&context, "em0"),
        "203.0.113.7/24, fe80::5eff:fe00:53af/64, group wan"
    );
    assert_eq!(shown(&context, "em1"), "group dmz, rdomain 2, down");
    assert_eq!(shown(&context, "vlan92"), "10.62.1.1/24, broadcast 10.62.1.127");
    assert_eq!(shown(&context, "tun0"), "10.9.0.1/32, peer 10.9.0.2");
    assert_eq!(
        shown_routes(&context),
        [
            "0.0.0.0/0 em0 via 203.0.113.1",
            "224.0.0.0/4 lo0 via 127.0.0.1 reject",
            "10.100.0.0/16 tun0 via 10.9.0.2",
            "::/0 em0 via fe80::1",
        ]
    );
}

#[test]
fn output_of_freebsds_ifconfig_and_netstat_is_read() {
    let ifconfig = "\
vtnet0: flags=1008843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST,LOWER_UP> metric 0 mtu 1500
\toptions=4c07bb<RXCSUM,TXCSUM,VLAN_MTU>
\tether 52:54:00:12:34:56
\tinet 192.0.2.7 netmask 0xffffff00 broadcast 192.0.2.255
\tinet6 fe80::5054:ff:fe12:3456%vtnet0 prefixlen 64 scopeid 0x1
\tmedia: Ethernet autoselect (10Gbase-T <full-duplex>)
\tnd6 options=29<PERFORMNUD,IFDISABLED,AUTO_LINKLOCAL>
lo0: flags=1008049<UP,LOOPBACK,RUNNING,MULTICAST,LOWER_UP> metric 0 mtu 16384
\tinet6 ::1 prefixlen 128
\tinet 127.0.0.1 netmask 0xff000000
\tgroups: lo
";
    let routes = "\
Routing tables

Internet:
Destination        Gateway            Flags     Netif Expire
default            192.0.2.1          UGS      vtnet0
127.0.0.1          link#2             UH          lo0
192.0.2.0/24       link#1             U        vtnet0
192.0.2.7          link#2             UHS         lo0
10.0.0.0/8         192.0.2.9          UGSR     vtnet0

Internet6:
Destination                       Gateway                       Flags     Netif Expire
::/96                             ::1                           URS         lo0
";
    let (context, said) = from_texts(&[(Kind::Ifconfig, ifconfig), (Kind::Routes, routes)]);
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(shown(&context, "vtnet0"), "192.0.2.7/24, fe80::5054:ff:fe12:3456/64");
    assert_eq!(
        shown_routes(&context),
        [
            "0.0.0.0/0 vtnet0 via 192.0.2.1",
            "10.0.0.0/8 vtnet0 via 192.0.2.9 reject",
            "::/96 lo0 via ::1 reject",
        ]
    );
}

#[test]
fn sources_add_up_and_contradictions_are_said() {
    let em0 = |text| (Kind::HostnameIf("em0".to_owned()), text);
    let toml = |text| (Kind::ContextToml, text);
    let (context, said) = from_texts(&[
        em0("dhcp\ngroup wan\n"),
        toml("[interface.em0]\naddresses = [\"203.0.113.7/24\"]\n"),
    ]);
    assert_eq!(said, Vec::<String>::new(), "an address that was unknown is now known");
    assert_eq!(shown(&context, "em0"), "203.0.113.7/24, group wan");
    assert_eq!(shown_routes(&context), ["0.0.0.0/0 em0"]);
    let (context, said) = from_texts(&[
        em0("inet 10.0.0.1/24\n"),
        toml("[interface.em0]\naddresses = [\"10.0.0.2/24\"]\n"),
    ]);
    assert_eq!(said, ["2:14: the addresses of `em0`: two sources differ"]);
    assert_eq!(shown(&context, "em0"), "10.0.0.2/24", "the later one wins");
}

#[test]
fn the_heater_is_the_same_from_its_files_as_from_context_toml() {
    let (from_files, said) = from_texts(&[
        (Kind::HostnameIf("em0".to_owned()), "inet 203.0.113.7 255.255.255.0\n"),
        (
            Kind::HostnameIf("vlan418".to_owned()),
            "inet 10.41.8.1 255.255.255.0 NONE parent em1 vnetid 418\n",
        ),
        (
            Kind::HostnameIf("vlan92".to_owned()),
            "parent em1 vnetid 92\ninet 10.62.1.1/24\nup\n",
        ),
        (Kind::Mygate, "203.0.113.1\n"),
    ]);
    assert_eq!(said, Vec::<String>::new());
    let (mut from_toml, said) = from_toml(
        "[interface.em0]\naddresses = [\"203.0.113.7/24\"]\ngroups = [\"egress\"]\n\
         [interface.vlan418]\naddresses = [\"10.41.8.1/24\"]\n\
         [interface.vlan92]\naddresses = [\"10.62.1.1/24\"]\n\
         [[route]]\nto = \"default\"\ninterface = \"em0\"\nvia = \"203.0.113.1\"\n",
    );
    assert_eq!(said, Vec::<String>::new());
    assert!(
        from_files.open && !from_toml.open,
        "only context.toml lists every interface there is"
    );
    from_toml.open = true;
    assert_eq!(from_files, from_toml);
}
