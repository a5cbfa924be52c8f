//! Odd but valid texts of each kind: read as the machine reads them, without a word.

use super::*;

/// What is read, in lines: the interface, then the routes.
fn seen(context: &Context, name: &str) -> String {
    let mut seen = vec![shown(context, name)];
    seen.extend(shown_routes(context));
    seen.join("; ")
}

#[test]
fn odd_hostname_files_are_read() {
    for (name, text, expected) in [
        ("em0", "inet 10.0.0.1 255.255.255.0\r\n\r\nup\r\n", "10.0.0.1/24"),
        ("em0", "\t inet\t10.0.0.1\t0XFFFFFF00 \t# the lan\n   \n", "10.0.0.1/24"),
        ("em0", "inet \"10.0.0.1\" '255.255.255.0'", "10.0.0.1/24"),
        ("em0", "inet6 2001:DB8::A 64 -autoconfprivacy\n", "2001:db8::a/64"),
        (
            "em0",
            "inet alias 10.0.0.2 255.255.255.255\ninet6 alias 2001:db8::2\ninet6 2001:db8::1 64\n",
            "10.0.0.2/32, 2001:db8::2/64, 2001:db8::1/64",
        ),
        (
            "em0",
            "descr \"inet 10.9.9.9 netmask 255.0.0.0\"\ninet 10.0.0.1/24\n",
            "10.0.0.1/24",
        ),
        (
            "em0",
            "#inet 10.9.9.9/8\ninet 10.0.0.1/24#not a comment here\n",
            "inet?",
        ),
        (
            "em0",
            "inet 10.0.0.1 \\\n\t255.255.255.0 \\\n\tNONE\nup\n",
            "10.0.0.1/24",
        ),
        (
            "em0",
            "# of old: \\\ninet 10.9.9.9/8\ninet 10.0.0.1/24\n",
            "10.0.0.1/24",
        ),
        ("em0", "inet 10.0.0.1/33\ninet6 alias router 64\n", "inet?, inet6?"),
        ("em0", "inet 10.1 255.255.255.0\n-inet\n", ""),
        ("em0", "inet -alias gateway\n", ""),
        (
            "vlan5",
            "vnetid 5 parent em0 inet 10.0.3.1 netmask 0xffffff00\n",
            "inet?",
        ),
        ("em0", "inet 10.0.0.1/24\n\0\n", "inet?, inet6?"),
        (
            "em0",
            "-inet6\nmtu 9000 llprio 3 up\nautoconf\n",
            "inet?; 0.0.0.0/0 em0",
        ),
        (
            "em0",
            "inet 10.0.0.1/24\n!route -qn -T 0 add -inet 10.8.0.0 -netmask 255.255.0.0 10.0.0.9 -label \"two words\"\n",
            "10.0.0.1/24; 10.8.0.0/16 em0 via 10.0.0.9 label two words",
        ),
        (
            "em0",
            "inet6 2001:db8::1 64\n! /sbin/route add -inet6 default fe80::1%$if\n!sleep 5 && true\n",
            "2001:db8::1/64; ::/0 em0 via fe80::1",
        ),
        (
            "gif3",
            "tunnel 192.0.2.1 192.0.2.2\ninet6 2001:db8:f::2 128\ndest 2001:db8:f::1\nup\n",
            "2001:db8:f::2/128, peer 2001:db8:f::1",
        ),
        (
            "wg1",
            "wgkey 'abc=' wgport 1 rdomain 4 wgrtable 0\nwgpeer 'x=' wgpka 25 wgaip 0.0.0.0/0\ninet 10.5.0.1/32\nup\n",
            "10.5.0.1/32, rdomain 4",
        ),
    ] {
        let (context, _) = hostname(name, text);
        assert_eq!(seen(&context, name), expected, "{text}");
    }
}

#[test]
fn another_rdomain_takes_the_addresses_away() {
    let (context, said) = hostname("em0", "inet 10.0.0.1/24\nrdomain 2\ninet 10.0.0.2/24\n");
    assert_eq!(shown(&context, "em0"), "10.0.0.2/24, rdomain 2");
    assert_eq!(
        said,
        ["2:9: the addresses before it are taken away: write `rdomain` first"]
    );
    let (context, said) = hostname("em0", "rdomain 2\ninet 10.0.0.1/24\nrdomain 2\n");
    assert_eq!(
        (shown(&context, "em0").as_str(), said.len()),
        ("10.0.0.1/24, rdomain 2", 0)
    );
}

#[test]
fn odd_small_files_are_read() {
    let em0 = (
        Kind::HostnameIf("em0".to_owned()),
        "inet 203.0.113.7/24\ninet6 2001:db8::7/64\n",
    );
    for (text, expected) in [
        ("  203.0.113.1\t# the provider\r\n", "0.0.0.0/0 em0 via 203.0.113.1"),
        ("#203.0.113.9\n\nfe80::1%em0\n", "::/0 em0 via fe80::1"),
        (
            "2001:DB8::1\n203.0.113.1",
            "::/0 em0 via 2001:db8::1; 0.0.0.0/0 em0 via 203.0.113.1",
        ),
        ("!route add 10/8 203.0.113.9\n", "10.0.0.0/8 em0 via 203.0.113.9"),
        (
            "! route -q add -net 172.16/12 -gateway 203.0.113.9 -blackhole\n",
            "172.16.0.0/12 em0 via 203.0.113.9 reject",
        ),
    ] {
        let (context, said) = from_texts(&[em0.clone(), (Kind::Mygate, text)]);
        assert_eq!(said, Vec::<String>::new(), "{text}");
        assert_eq!(shown_routes(&context).join("; "), expected, "{text}");
    }
    let hosts = "127.0.0.1 localhost\r\n\t10.0.0.9\tDB.Example.ORG db #x\n10.0.0.10 db\nfe80::9%em0 link\n\
                 ::ffff:10.0.0.1 mapped\n10.0.0.11\n#10.0.0.12 db\n";
    let (context, said) = from_texts(&[(Kind::Hosts, hosts)]);
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(context.hosts["db"], [address("10.0.0.9"), address("10.0.0.10")]);
    assert_eq!(context.hosts["link"], [address("fe80::9")]);
    let services = "http\t80/tcp www www-http # web\r\nhttp 80/udp\n#x 1/tcp\nodd+name-1 65535/tcp\nrtmp 1/ddp\n";
    let (context, said) = from_texts(&[(Kind::Services, services)]);
    assert_eq!(said, Vec::<String>::new());
    let port = |name: &str| context.services.get(&(name.to_owned(), "tcp".to_owned())).copied();
    assert_eq!(
        [port("www-http"), port("odd+name-1"), port("rtmp")],
        [Some(80), Some(65535), None]
    );
    for (text, forwards) in [
        ("net.inet.ip.forwarding=1\t# routing\r\n", true),
        ("\tnet.inet.ip.forwarding = 1\n", true),
        ("net.inet.ip.forwarding=1\nnet.inet.ip.forwarding=0\n", false),
        ("net.inet.ip.forwarding=2\nkern.x=\"a=b\"\n=\n", true),
        ("net.inet.ip.forwardings=1\n", false),
    ] {
        let (context, said) = from_texts(&[(Kind::Sysctl, text)]);
        assert_eq!((context.forwards(Family::Inet), said), (forwards, Vec::new()), "{text}");
    }
    for text in [
        "pf_rules=\"/etc/pf.conf\"\n",
        "pf_rules=/etc/pf.conf # ours\r\n",
        "#pf=NO\n",
        "pf=YES\npf=\n",
        "xpf=NO\nsyslogd_flags=\"${syslogd_flags} -u pf=NO\"\n",
    ] {
        let (_, said) = from_texts(&[(Kind::RcConf, text)]);
        assert_eq!(said, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn odd_output_of_commands_is_read() {
    for (text, expected) in [
        (
            "em0: flags=8843<UP,BROADCAST> mtu 1500\r\n\tdescription: inet 10.9.9.9 netmask 0xff000000\r\n\
             \tinet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255\r\n",
            "10.0.0.1/24",
        ),
        (
            "em0: flags=8051<UP,POINTOPOINT,RUNNING> rdomain 3 mtu 1500\n\
             \tinet 10.0.0.1 --> 10.0.0.2 netmask 0xffffffff\n\tinet6 2001:db8::1 --> 2001:db8::2 prefixlen 128\n\
             \tinet6 fe80::1%em0 -->  prefixlen 64 scopeid 0x5\n",
            "10.0.0.1/32, 2001:db8::1/128, fe80::1/64, peer 10.0.0.2, rdomain 3",
        ),
        (
            "em0: flags=80c3<UP,BROADCAST,NOARP> mtu 1420\n\twgport 51820\n\twgpubkey ab=\n\twgpeer cd=\n\
             \t\twgendpoint 192.0.2.9 51820\n\t\twgaip 10.8.0.0/16\n\tgroups: em wan\n\tinet 10.8.0.1 netmask 0xffff0000\n",
            "10.8.0.1/16, group em, group wan",
        ),
        (
            "em0: flags=1008843<UP,BROADCAST> metric 0 mtu 1500\n\tinet 192.0.2.7/24 broadcast 192.0.2.255 vhid 1\n\
             \tinet6 2001:db8::7/64 vhid 1\n",
            "192.0.2.7/24, 2001:db8::7/64",
        ),
        (
            "em0: flags=0<> mtu 0\n\tmedia: Ethernet none (inet)\n\tstatus: no carrier\n\n",
            "down",
        ),
    ] {
        let (context, said) = from_texts(&[(Kind::Ifconfig, text)]);
        assert_eq!(said, Vec::<String>::new(), "{text}");
        assert_eq!(shown(&context, "em0"), expected, "{text}");
    }
    for (text, expected) in [
        (
            "Internet:\nDestination Gateway Flags Refs Use Mtu Prio Iface Label\n\
             default 192.0.2.1 UGS 5 99 - 8 em0 \"to the world\"\n",
            "0.0.0.0/0 em0 via 192.0.2.1 label to the world",
        ),
        (
            "Internet:\nDestination Gateway Flags Refs Use Mtu Prio Iface\n\
             default 192.0.2.1 UGSP 0 0 - 8 em0\ndefault 192.0.2.2 UGSP 0 0 - 8 em1\n",
            "0.0.0.0/0 em0 via 192.0.2.1; 0.0.0.0/0 em1 via 192.0.2.2",
        ),
        (
            "Internet:\r\nDestination Gateway Flags Netif Expire\r\n10 192.0.2.1 UGS em0\r\n172.16/12 192.0.2.1 UGS em0\r\n\
             192.0.2/24 link#1 U em0\r\n",
            "10.0.0.0/8 em0 via 192.0.2.1; 172.16.0.0/12 em0 via 192.0.2.1",
        ),
        (
            "Internet6:\nDestination Gateway Flags Refs Use Mtu Prio Iface\ndefault fe80::1%em0 UGS 0 0 - 56 em0\n\
             fe80::%em0/64 fe80::2%em0 UCn 0 0 - 4 em0\n2001:db8:5::/48 2001:db8::5 UGHD 0 0 - 8 em0\n",
            "::/0 em0 via fe80::1; 2001:db8:5::/48 em0 via 2001:db8::5",
        ),
        (
            "Routing tables\n\nInternet:\nDestination Gateway Flags Refs Use Mtu Prio Iface\n\nEncap:\nSource Port \
             Destination Port Proto SA(Address/Proto/Type/Direction)\ndefault 0 10/8 0 0 x\n",
            "",
        ),
    ] {
        let (context, said) = from_texts(&[(Kind::Routes, text)]);
        assert_eq!(said, Vec::<String>::new(), "{text}");
        assert_eq!(shown_routes(&context).join("; "), expected, "{text}");
    }
}
