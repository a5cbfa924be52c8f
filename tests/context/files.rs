//! The files of /etc: hostname.if, mygate, hosts, services, sysctl.conf, rc.conf.local.

use super::*;

#[test]
fn gateways_behind_a_route_by_an_interface_are_found() {
    let vio0 = "inet 192.0.2.45 255.255.255.255\n\
                !route add -inet 172.31.1.1 -llinfo -link -static -iface vio0\n\
                !route add -inet default 172.31.1.1\n\
                !route add -inet 172.31.2.0/24 -iface 192.0.2.45\n";
    let vio1 = "rdomain 1\ninet 10.0.0.1/24\n!route -T1 add default 10.0.0.254\n!route -nT1 add 10.9/16 10.0.0.253\n";
    let (context, said) = from_texts(&[
        (Kind::HostnameIf("vio0".to_owned()), vio0),
        (Kind::HostnameIf("vio1".to_owned()), vio1),
    ]);
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(
        shown_routes(&context),
        [
            "172.31.1.1/32 vio0",
            "0.0.0.0/0 vio0 via 172.31.1.1",
            "172.31.2.0/24 vio0 via 192.0.2.45",
            "0.0.0.0/0 vio1 via 10.0.0.254 rtable 1",
            "10.9.0.0/16 vio1 via 10.0.0.253 rtable 1",
        ]
    );
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
        (
            "em0",
            "inet 10.0.0.1 255.0.255.0\n",
            "1:15: `255.0.255.0` is no mask: the address is taken as not known",
        ),
        (
            "em0",
            "inet gateway 255.255.255.0\n",
            "1:6: `gateway` is no inet address: one that is not known is taken",
        ),
        (
            "em0",
            "inet6 2001:db8::1 129\n",
            "1:19: `129` is no prefix length: the address is taken as not known",
        ),
        (
            "em0",
            "inet 10.0.0.1/24\r\nup\r\n",
            "1:17: lines end in CR and LF: they are read as if the CR was not there; netstart(8) takes it for a letter of \
             the last word: write LF alone",
        ),
        (
            "em0",
            "inet 10.0.0.1/24\nup\0\n",
            "1:1: hostname.em0 is no text: the addresses of `em0` are taken as not known",
        ),
        (
            "vlan5",
            "vnetid 5 inet 10.0.3.1\n",
            "1:10: `inet` stands after other words, where ifconfig(8) takes no family: its address is taken as not known; \
             write it first, and what is before it on a line of its own",
        ),
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

#[test]
fn ports_of_bridges_that_ask_pf_are_known() {
    let ports = |bridge: &str, text: &str| {
        let (context, _) = hostname(bridge, text);
        let ports = context
            .interfaces
            .iter()
            .filter(|one| one.bridge.as_deref() == Some(bridge));
        ports.map(|one| one.name.clone()).collect::<Vec<_>>().join(" ")
    };
    for (bridge, text, expected) in [
        ("bridge0", "add em2\nadd em3\nup\n", "em2 em3"),
        ("bridge0", "add em2 add em3 blocknonip em2 up\n", "em2 em3"),
        ("veb0", "add em2\nadd vport0\nup\n", ""),
        ("veb0", "link1\nadd em2\nadd vport0\nup\n", "em2 vport0"),
        ("tpmr0", "add em2\nadd em3\n", "em2 em3"),
        ("tpmr0", "add em2\nadd em3\nlink1\n", ""),
        ("aggr0", "trunkport em2\n", ""),
    ] {
        assert_eq!(ports(bridge, text), expected, "{bridge}: {text}");
    }
    // From the file of the port.
    let (context, _) = hostname("em2", "up\n!ifconfig bridge0 add $if\n");
    assert_eq!(
        context.interface("em2").and_then(|em2| em2.bridge.as_deref()),
        Some("bridge0")
    );
}

#[test]
fn routes_beside_others_are_kept_and_each_is_considered() {
    let default = |interface: &str, address: &str, via: &str| {
        (
            Kind::HostnameIf(interface.to_owned()),
            format!("inet {address}/24\n!route add -mpath default {via}\n"),
        )
    };
    let texts = [
        default("em0", "203.0.113.7", "203.0.113.1"),
        default("em2", "192.0.2.7", "192.0.2.1"),
    ];
    let texts: Vec<(Kind, &str)> = texts.iter().map(|(kind, text)| (kind.clone(), text.as_str())).collect();
    let (context, complaints) = from_texts(&texts);
    assert!(complaints.is_empty(), "{complaints:?}");
    assert_eq!(context.routes.len(), 2);
    let others = context.circumstances().expect("few");
    let words: Vec<&str> = others
        .iter()
        .map(|other| other.words.as_str())
        .filter(|words| words.contains("route"))
        .collect();
    assert_eq!(
        words,
        [
            "the default routes leave by em2",
            "all routes to one destination count (multipath)",
            "the default routes leave by em2 and all routes to one destination count (multipath)",
        ]
    );
    let em2 = others[0].context.route(0, "9.9.9.9".parse().expect("an address"));
    assert_eq!(em2.map(|route| route.interface), Some("em2"));
}

#[test]
fn equal_routes_are_found_among_others() {
    let route = |to: &str, by: &str| format!("[[route]]\nto = \"{to}\"\ninterface = \"{by}\"\n");
    let routes = [("9.1.0.0/16", "em0"), ("9.2.0.0/16", "em0"), ("9.1.0.0/16", "em2")].map(|(to, by)| route(to, by));
    let machine =
        "[interface.em0]\naddresses = [\"203.0.113.7/24\"]\n[interface.em2]\naddresses = [\"192.0.2.7/24\"]\n";
    let (context, _) = from_toml(&format!("{machine}{}", routes.concat()));
    let table = context.route_table(0);
    let first = table.lookup(address("9.1.0.5")).expect("a route");
    let equal: Vec<&str> = table.equal(first).map(|route| route.interface).collect();
    assert_eq!(equal, ["em0", "em2"]);
}
