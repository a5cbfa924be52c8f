//! Packets from JSON lines through a ruleset of 50 rules, as `pfproof trace --packets` does it: 200,000 a second at least.

#[path = "../tests/support/router.rs"]
mod router;

use divan::Bencher;
use divan::counter::ItemsCount;
use pfproof::eval::{Machine, Session};
use pfproof::packet::read_item;
use pfproof::report::trace_json::answer;

use router::{ROUTER, context, ruleset};

const PACKETS: usize = 10_000;

fn main() {
    divan::main();
}

/// Fifty rules as a router has them: blocked by default, nat, a table, passes by network and port.
fn rules() -> String {
    let head = "\
set skip on lo0
table <bad> { 192.0.2.0/24, 198.51.100.0/24 }
block log all
match out on em0 nat-to (em0)
pass out
block in quick from <bad>
";
    let passes = (0..46).map(|n| match n % 3 {
        0 => format!(
            "pass in on em1 inet proto tcp from 10.0.{n}.0/24 to any port {}\n",
            [22, 80, 443][n % 2]
        ),
        1 => format!("pass in on em0 inet proto udp to 10.0.1.{n} port {}\n", 1000 + n),
        _ => format!("block in on em1 from 10.0.{n}.{n}\n"),
    });
    format!("{head}{}", passes.collect::<String>())
}

fn packets() -> Vec<String> {
    (0..PACKETS)
        .map(|n| {
            let (direction, interface) = [("in", "em1"), ("in", "em0"), ("forward", "em1"), ("out", "em0")][n % 4];
            let (a, b, port) = (n % 60, n % 251, [22, 80, 443, 25, 99][n % 5]);
            format!(
                r#"{{"id":"{n}","packet":{{"direction":"{direction}","interface":"{interface}","af":"inet","proto":"tcp","src":"10.0.{a}.{b}","dst":"9.9.{b}.{a}","sport":{},"dport":{port},"flags":"S"}}}}"#,
                1024 + n,
            )
        })
        .collect()
}

#[divan::bench]
fn packets_from_json_lines(bencher: Bencher<'_, '_>) {
    let context = context(ROUTER);
    let ruleset = ruleset(&rules(), &context);
    let machine = Machine::new(&ruleset, &context);
    let lines = packets();
    bencher.counter(ItemsCount::new(lines.len())).bench_local(|| {
        let mut session = Session::new(&machine);
        let mut bytes = 0;
        for line in &lines {
            session.flush();
            let (_, packet) = read_item(line).unwrap();
            bytes += answer(&session.follow(packet), &ruleset).to_string().len();
        }
        bytes
    });
}
