//! `pfproof trace`: what becomes of one packet, or of many from a file.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use pfproof::context::Context;
use pfproof::eval::{Evaluation, Journey, Machine, Memory, Session, Unproven, reply};
use pfproof::packet::{Packet, PacketError, Way, parse_words, read_item};
use pfproof::policy::{self, Macros, Policy};
use pfproof::report::{Filled, hangs_on_pool, trace, trace_json};
use pfproof::ruleset::Ruleset;
use pfproof::source::Sources;
use serde_json::{Map, Value};

use super::Status;
use super::console::Console;
use super::discover;
use super::expanded::{Expanded, state};
use super::options::{Format, Input, Output};

/// The longest line of a file of packets.
const LONGEST_LINE: u64 = 16 << 20;

/// The most packets of a sequence.
const LONGEST_SEQUENCE: usize = 10_000;

/// A packet in words.
const EXAMPLE: &str = "in on em0 proto tcp from 192.0.2.1 to 192.0.2.2 port 22";

/// Follow a packet: the rules it meets, who decides, translation, route, the next hop, the answer
///
/// The packet is said in pf's words:
/// 'in on vlan92 proto tcp from 10.62.1.50 to 10.41.8.20 port 443', 'out on em0 from 203.0.113.7 to 9.9.9.9'
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The packet in pf's words; `in` follows it to its end, `out` is one that this machine sends
    #[arg(value_name = "PACKET")]
    packet: Option<String>,

    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    output: Output,

    /// Packets from a file, one JSON object a line: `{"id":…,"packet":{…}}`; each meets an empty state table
    #[arg(long, value_name = "FILE", conflicts_with = "sequences")]
    packets: Option<PathBuf>,

    /// Sequences of packets from a file, one JSON object a line: `{"id":…,"packets":[{…},…]}`; states last for a line
    #[arg(long, value_name = "FILE")]
    sequences: Option<PathBuf>,

    /// Stop after one evaluation
    #[arg(long)]
    hop: bool,

    /// Show every rule, not only those that match or nearly do
    #[arg(long)]
    all: bool,
}

/// Prints the ways of packets to standard output, findings to standard error.
pub(crate) fn run(arguments: &Arguments) -> Status {
    let console = Console::new(&arguments.output);
    let could_not = |message: &str| {
        console.message(&format!("pfproof: {message}\n"));
        Status::CouldNotJudge
    };
    let (words, input) = match sort_out(arguments) {
        Ok(sorted) => sorted,
        Err(message) => return could_not(&message),
    };
    // The packet first: a slip in it is told before files are read.
    let packet = match words.map(parse_words).transpose() {
        Ok(packet) => packet,
        Err(error) => return could_not(&slip(words.unwrap_or_default(), &error)),
    };
    let loaded = match discover::load_one(&input) {
        Ok(loaded) => loaded,
        Err(failure) => {
            console.message(&failure.to_string());
            return Status::CouldNotJudge;
        }
    };
    let mut expanded = Expanded::new(loaded);
    expanded.findings.extend(state(&expanded.context));
    console.findings(&expanded.findings, &expanded.sources);
    if expanded.refused() {
        return Status::CouldNotJudge;
    }
    let Expanded {
        mut sources,
        context,
        lowered,
        ..
    } = expanded;
    let filled = match filled(&input, &mut sources, &lowered.ruleset, &context) {
        Ok(filled) => filled,
        Err(message) => return could_not(&message),
    };
    let tracer = Tracer {
        arguments,
        console,
        ruleset: &lowered.ruleset,
        context: &context,
        sources: &sources,
        machine: match &packet {
            // The lines of a file say what is measured: pf alone, and sockets as they are named.
            None => Machine::new(&lowered.ruleset, &context),
            Some(_) => Machine::new(&lowered.ruleset, &context)
                .with_stack()
                .with_open_sockets(),
        },
        filled,
    };
    match (packet, &arguments.packets, &arguments.sequences) {
        (Some(packet), _, _) => match tracer.known(packet) {
            Ok(packet) => match tracer.machine.refuses(&packet) {
                None => tracer.one(&packet),
                Some(why) => could_not(&format!("{why}: the network stack drops the packet before pf sees it")),
            },
            Err(message) => could_not(&message),
        },
        (None, Some(path), _) | (None, None, Some(path)) => match tracer.file(path) {
            Ok(status) => status,
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Status::Success,
            Err(error) => could_not(&format!("{}: {error}", path.display())),
        },
        (None, None, None) => could_not("nothing to trace"),
    }
}

/// What others fill, but for what `--assume` says of it; of an address the loader knows.
fn filled<'f>(
    input: &Input,
    sources: &mut Sources,
    ruleset: &Ruleset,
    context: &'f Context,
) -> Result<Option<Filled<'f>>, String> {
    let mut assumed = Policy::default();
    for fact in input.assume.iter().filter(|fact| !fact.contains('=')) {
        let read = policy::assumption(sources, fact, &Macros::default());
        let assumption = read.map_err(|complaint| format!("--assume {fact}: {}", complaint.message))?;
        assumed.assumptions.push(assumption);
    }
    let (settled, at_most, _) = policy::settle_ruleset(&assumed, ruleset.clone(), context);
    Ok(Filled::of((settled, at_most), context))
}

/// What does not fit in a packet's words, marked where it stands, and how such words may look.
fn slip(words: &str, error: &PacketError) -> String {
    let place = error.place().unwrap_or_default();
    let columns = |bytes: std::ops::Range<usize>| words.get(bytes).map_or(0, |text| text.chars().count());
    let (before, marked) = (columns(0..place.start), columns(place).max(1));
    let gap = if before == words.chars().count() {
        before + 1
    } else {
        before
    };
    format!(
        "{error}\n  {words}\n  {:gap$}{}\n  such as '{EXAMPLE}'",
        "",
        "^".repeat(marked)
    )
}

/// The packet's words, and what is judged: where both are said, in either order; with a file of packets the only
/// argument is the configuration.
fn sort_out(arguments: &Arguments) -> Result<(Option<&str>, Input), String> {
    let is_packet = |text: &str| text.starts_with("in ") || text.starts_with("out ");
    let mut input = arguments.input.clone();
    let first = arguments.packet.as_deref();
    if arguments.packets.is_some() || arguments.sequences.is_some() {
        return match (first, &input.config) {
            (Some(_), Some(_)) => Err("a packet is said, or a file of packets is read, not both".to_owned()),
            (Some(config), None) => {
                input.config = Some(config.into());
                Ok((None, input))
            }
            (None, _) => Ok((None, input)),
        };
    }
    let Some(first) = first else {
        return Err(format!("say a packet, such as '{EXAMPLE}', or --packets FILE"));
    };
    let second = arguments.input.config.as_deref().and_then(Path::to_str);
    match second.filter(|second| is_packet(second) && !is_packet(first)) {
        Some(second) => {
            input.config = Some(first.into());
            Ok((Some(second), input))
        }
        None => Ok((Some(first), input)),
    }
}

struct Tracer<'t> {
    arguments: &'t Arguments,
    console: Console,
    ruleset: &'t Ruleset,
    context: &'t Context,
    sources: &'t Sources,
    machine: Machine<'t>,
    filled: Option<Filled<'t>>,
}

impl Tracer<'_> {
    /// The packet as it is followed: with `--hop` only over one.
    fn followed(&self, mut packet: Packet) -> Packet {
        if self.arguments.hop && packet.way == Way::Forward {
            packet.way = Way::In;
        }
        packet
    }

    /// Traces the packet that was said.
    fn one(&self, packet: &Packet) -> Status {
        let proved = self.machine.prove_and_explain(packet, &Memory::default());
        let (journey, memory) = match proved {
            Ok((journey, memory)) => (Ok(journey), memory),
            Err(unproven) => (Err(unproven), Memory::default()),
        };
        let text = match self.arguments.output.format() {
            Format::Json => format!("{}\n", self.answer(Some(packet), &journey)),
            Format::Short => format!(
                "{}\n",
                trace::short(packet, &journey, &self.hangs_on(Some(packet), &journey))
            ),
            Format::Human => {
                let to_one = |journey: &&Journey| {
                    let last = journey.hops.last();
                    last.is_some_and(|last| !self.context.is_shared(last.after.dst, last.rtable))
                };
                let back = journey.as_ref().ok().filter(to_one).and_then(reply);
                let back = back.map(|back| {
                    let way = self.machine.prove_and_explain(&back, &memory);
                    (back, way.map(|(journey, _)| journey))
                });
                let instead = journey
                    .as_ref()
                    .ok()
                    .and_then(|journey| self.machine.sent_instead(journey));
                let instead = instead.map(|sent| {
                    let way = self.machine.prove_and_explain(&sent, &memory);
                    (sent, way.map(|(journey, _)| journey))
                });
                let mut hangs_on = self.hangs_on(Some(packet), &journey);
                for word in back.iter().flat_map(|(_, way)| self.hangs_on(None, way)) {
                    if !hangs_on.contains(&word) {
                        hangs_on.push(word);
                    }
                }
                let trace = trace::Trace {
                    packet,
                    journey: &journey,
                    instead: instead.as_ref().map(|(packet, way)| (packet, way)),
                    reply: back.as_ref().map(|(packet, way)| (packet, way)),
                    ruleset: self.ruleset,
                    context: self.context,
                    sources: self.sources,
                    hangs_on: &hangs_on,
                    all: self.arguments.all,
                };
                trace::human(&trace, self.console.look())
            }
        };
        self.console.answer(&text, Status::Success)
    }

    /// What a way hangs on that others fill, and for a packet that comes first, what pf may choose otherwise, in words.
    fn hangs_on(&self, first: Option<&Packet>, journey: &Result<Journey, Unproven>) -> Vec<String> {
        let Ok(journey) = journey else { return Vec::new() };
        let filled = self.filled.as_ref();
        let mut words = filled.map_or_else(Vec::new, |filled| filled.hangs_on(journey));
        let chosen = |hop: &Evaluation| !hop.chosen.src.is_fixed() || !hop.chosen.dst.is_fixed();
        let first = first.filter(|_| journey.hops.iter().any(chosen));
        let other = first.and_then(|packet| self.machine.otherwise(packet, &Memory::default()));
        words.extend(other.as_ref().map(hangs_on_pool));
        words
    }

    /// The answer to a packet as JSON, with what it hangs on.
    fn answer(&self, first: Option<&Packet>, journey: &Result<Journey, Unproven>) -> Value {
        let mut answer = trace_json::answer(journey, self.ruleset);
        let hangs_on = self.hangs_on(first, journey);
        if let (Some(answer), false) = (answer.as_object_mut(), hangs_on.is_empty()) {
            answer.insert("hangs_on".to_owned(), hangs_on.into());
        }
        answer
    }

    /// Traces the packets or sequences of a file, a line an item.
    fn file(&self, path: &Path) -> std::io::Result<Status> {
        let mut reader: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(std::io::stdin().lock())
        } else {
            Box::new(BufReader::with_capacity(1 << 16, std::fs::File::open(path)?))
        };
        let mut out = std::io::BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
        let mut session = Session::new(&self.machine);
        if self.filled.as_ref().is_some_and(Filled::needs_every_rule) {
            session = session.explaining();
        }
        let mut status = Status::Success;
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            let read = std::io::Read::take(&mut reader, LONGEST_LINE).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            session.flush();
            let answered = match std::str::from_utf8(&line) {
                _ if read as u64 == LONGEST_LINE && line.last() != Some(&b'\n') => {
                    reader.skip_until(b'\n')?;
                    Err((Value::Null, "the line is too long".to_owned()))
                }
                Ok(text) if self.arguments.sequences.is_some() => self.sequence(text, &mut session),
                Ok(text) => self.item(text, &mut session),
                Err(_) => Err((Value::Null, "the line is no UTF-8".to_owned())),
            };
            match answered {
                Ok(answer) => writeln!(out, "{answer}")?,
                Err((id, error)) => {
                    status = Status::CouldNotJudge;
                    writeln!(out, "{}", self.bad(number, id, error))?;
                }
            }
        }
        out.flush()?;
        Ok(status)
    }

    /// What is said of a line that is no item.
    fn bad(&self, number: u64, id: Value, error: String) -> String {
        match self.arguments.output.format() {
            Format::Json => {
                let mut object = Map::new();
                object.insert("id".to_owned(), id);
                object.insert("line".to_owned(), number.into());
                object.insert("error".to_owned(), error.into());
                Value::Object(object).to_string()
            }
            Format::Human | Format::Short => format!("line {number}: error: {error}"),
        }
    }

    /// The answer to a line of a file of packets.
    fn item(&self, line: &str, session: &mut Session<'_, '_>) -> Result<String, (Value, String)> {
        let (id, packet) = read_item(line).map_err(|error| (id_of(line), error.to_string()))?;
        let packet = self.known(packet).map_err(|error| (id.clone(), error))?;
        let journey = session.follow(packet.clone());
        Ok(match self.arguments.output.format() {
            Format::Json => {
                let mut object = Map::new();
                object.insert("id".to_owned(), id);
                if let Value::Object(answer) = self.answer(Some(&packet), &journey) {
                    object.extend(answer);
                }
                Value::Object(object).to_string()
            }
            Format::Human | Format::Short => labelled(
                &id,
                &trace::short(&packet, &journey, &self.hangs_on(Some(&packet), &journey)),
            ),
        })
    }

    /// The answer to a line of a file of sequences.
    fn sequence(&self, line: &str, session: &mut Session<'_, '_>) -> Result<String, (Value, String)> {
        let value: Value = serde_json::from_str(line).map_err(|error| (Value::Null, error.to_string()))?;
        let id = value.get("id").cloned().unwrap_or_default();
        let Some(packets) = value.get("packets").and_then(Value::as_array) else {
            return Err((id, "`packets` is missing, or is no list".to_owned()));
        };
        if packets.len() > LONGEST_SEQUENCE {
            return Err((id, format!("more than {LONGEST_SEQUENCE} packets in a sequence")));
        }
        let mut results = Vec::new();
        let mut lines = Vec::new();
        for (at, packet) in packets.iter().enumerate() {
            let wrong = |error: String| (id.clone(), format!("packet {at}: {error}"));
            let packet = session.read(packet).map_err(|error| wrong(error.to_string()))?;
            let packet = self.known(packet).map_err(wrong)?;
            let journey = session.follow(packet.clone());
            match self.arguments.output.format() {
                Format::Json => results.push(self.answer(None, &journey)),
                Format::Human | Format::Short => {
                    lines.push(labelled(
                        &id,
                        &trace::short(&packet, &journey, &self.hangs_on(None, &journey)),
                    ));
                }
            }
        }
        Ok(match self.arguments.output.format() {
            Format::Json => {
                let mut object = Map::new();
                object.insert("id".to_owned(), id);
                object.insert("results".to_owned(), results.into());
                Value::Object(object).to_string()
            }
            Format::Human | Format::Short => lines.join("\n"),
        })
    }

    /// The packet, if the context knows its interfaces.
    fn known(&self, packet: Packet) -> Result<Packet, String> {
        let unknown = std::iter::once(&packet.interface)
            .chain(&packet.received_on)
            .find(|name| self.context.interface(name).is_none());
        match unknown {
            Some(name) => Err(format!("there is no interface `{name}` in the context")),
            None => Ok(self.followed(packet)),
        }
    }
}

/// The `id` of a line whose packet is wrong.
fn id_of(line: &str) -> Value {
    serde_json::from_str::<Value>(line)
        .ok()
        .and_then(|value| value.get("id").cloned())
        .unwrap_or_default()
}

/// An answer with the `id` of its item.
fn labelled(id: &Value, answer: &str) -> String {
    match id {
        Value::Null => answer.to_owned(),
        Value::String(id) => format!("{id}: {answer}"),
        other => format!("{other}: {answer}"),
    }
}
