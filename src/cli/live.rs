//! Asks the machine itself: `--live` runs two commands that only show, and nothing else ever runs any.

use std::io::{ErrorKind, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::files::read_limited;

/// How long a command may take.
const LONGEST: Duration = Duration::from_secs(5);

/// Where the commands are on OpenBSD, after what PATH says.
const SYSTEM: &str = "/sbin:/usr/sbin";

/// What the command prints.
///
/// # Errors
/// In words: it is missing, fails, prints without end, or does not end.
pub(super) fn run(command: &str) -> Result<Vec<u8>, String> {
    let complaint = |why: &str| format!("--live: `{command}`: {why}");
    let mut words = command.split(' ');
    let path = match std::env::var("PATH") {
        Ok(path) if !path.is_empty() => format!("{path}:{SYSTEM}"),
        Ok(_) | Err(_) => SYSTEM.to_owned(),
    };
    let child = Command::new(words.next().unwrap_or_default())
        .args(words)
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| match error.kind() {
        ErrorKind::NotFound => complaint("there is no such command: --live is for the OpenBSD machine itself"),
        _ => complaint(&error.to_string().to_lowercase()),
    })?;
    let answer = answer(&mut child);
    if answer.is_err() {
        // It may have ended by itself.
        let _ = child.kill();
    }
    let _ = child.wait();
    answer.map_err(|why| complaint(&why))
}

/// What the running command prints.
fn answer(child: &mut Child) -> Result<Vec<u8>, String> {
    let end = Instant::now() + LONGEST;
    let late = || format!("no answer within {} seconds", LONGEST.as_secs());
    let (sender, printed) = channel();
    if let Some(output) = child.stdout.take() {
        // It ends with the pipe; nobody may be left to hear of it.
        std::thread::spawn(move || sender.send(read_limited(output)));
    }
    let printed = printed
        .recv_timeout(LONGEST)
        .map_err(|_| late())?
        .map_err(|error| error.to_string())?;
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if Instant::now() >= end => return Err(late()),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    if status.success() {
        return Ok(printed);
    }
    let mut said = Vec::new();
    if let Some(error) = child.stderr.take() {
        let _ = error.take(1000).read_to_end(&mut said);
    }
    let said = String::from_utf8_lossy(&said);
    Err(match said.trim() {
        "" => format!("it failed ({status})"),
        said => said.to_owned(),
    })
}
