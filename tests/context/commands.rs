//! Output of ifconfig, route and netstat, and sources that add up.

use super::*;

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
fn routes_by_an_interface_itself_are_read() {
    let routes = "\
Routing tables

Internet:
Destination        Gateway            Flags   Refs      Use   Mtu  Prio Iface
default            172.31.1.1         UGS        5       53     -     8 vio0
10.66/16           link#9             UCS        0        0     -     8 vlan10
172.31.1.1         link#1             UHLS       1        0     -     8 vio0
192.0.2/24         192.0.2.45         UCn        0        0     -     4 vio0
192.0.2.45         fe:e1:ba:d0:1:2    UHLl       0        0     -     1 vio0
192.0.2.1          fe:e1:ba:d0:1:3    UHLch      0        0     -     3 vio0
192.0.2.2          fe:e1:ba:d0:1:4    UHLc       0        0     -     3 vio0
";
    let (context, said) = from_texts(&[
        (Kind::HostnameIf("vio0".to_owned()), "inet 192.0.2.45/24\n"),
        (Kind::HostnameIf("vlan10".to_owned()), "inet 10.1.1.1/24\n"),
        (Kind::Routes, routes),
    ]);
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(
        shown_routes(&context),
        [
            "0.0.0.0/0 vio0 via 172.31.1.1",
            "10.66.0.0/16 vlan10",
            "172.31.1.1/32 vio0",
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
    from_toml.routes_open = true;
    from_toml.link_locals_open = true;
    assert_eq!(from_files, from_toml);
}

#[test]
fn ports_of_bridges_are_read_from_ifconfig() {
    let text = "em1: flags=8843<UP,RUNNING> mtu 1500\nem2: flags=8843<UP,RUNNING> mtu 1500\nem3: flags=8843<UP,RUNNING> mtu 1500\n\
                bridge0: flags=41<UP,RUNNING> mtu 1500\n\tgroups: bridge\n\tpriority 32768 hellotime 2\n\
                \tem1 flags=3<LEARNING,DISCOVER>\n\t\tport 1 ifpriority 0 ifcost 0\n\
                veb0: flags=8843<UP,RUNNING,LINK0,LINK1> mtu 1500\n\tem2 flags=3<LEARNING,DISCOVER>\n\
                tpmr0: flags=8843<UP,RUNNING,LINK1> mtu 1500\n\tem3 flags=3<LEARNING,DISCOVER>\n";
    let mut sources = Sources::new();
    let file = sources.add("ifconfig", text);
    let (facts, complaints) = pfproof::context::read_ifconfig(&sources, file);
    assert!(complaints.is_empty(), "{complaints:?}");
    let ports = facts
        .interfaces
        .iter()
        .filter_map(|one| Some((one.name.value.as_str(), one.bridge.as_ref()?.value.as_str())));
    assert_eq!(ports.collect::<Vec<_>>(), [("em1", "bridge0"), ("em2", "veb0")]);
}
