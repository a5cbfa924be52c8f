//! The transcripts of `corpus/flows`: what `pfproof flows` answers about the machines of `corpus/cases`.
//!
//! Each command is a line `$ CASE [ARGUMENTS]`, its answer follows. With `PFPROOF_UPDATE=1` the answers are written
//! instead.

use std::path::Path;
use std::process::Command;

/// What is answered about a case, standard error after standard output.
fn flows(case: &str, arguments: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/cases").join(case);
    let output = Command::new(env!("CARGO_BIN_EXE_pfproof"))
        .current_dir(folder)
        .env("COLUMNS", "80")
        .arg("flows")
        .args(arguments)
        .output()
        .expect("pfproof runs");
    String::from_utf8([output.stdout, output.stderr].concat()).expect("utf-8")
}

/// The commands of a transcript, each with its answer behind it.
fn answered(transcript: &str) -> String {
    let commands = transcript.lines().filter_map(|line| line.strip_prefix("$ "));
    let answers = commands.map(|command| {
        let mut words = command.split_whitespace();
        let case = words.next().expect("a case");
        format!("$ {command}\n{}", flows(case, &words.collect::<Vec<_>>()))
    });
    answers.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_transcript_is_answered_as_expected() {
    let bless = std::env::var_os("PFPROOF_UPDATE").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/flows");
    let mut wrong = Vec::new();
    let mut commands = 0;
    for entry in std::fs::read_dir(folder).expect("corpus/flows") {
        let path = entry.expect("entry").path();
        let expected = std::fs::read_to_string(&path).expect("a transcript");
        let answer = answered(&expected);
        commands += answer.lines().filter(|line| line.starts_with("$ ")).count();
        if bless {
            std::fs::write(&path, answer).expect("the transcript is written");
        } else if answer != expected {
            wrong.push(format!("{} (PFPROOF_UPDATE=1 rewrites it):\n{answer}", path.display()));
        }
    }
    assert!(commands > 0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
