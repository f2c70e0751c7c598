//! Promise: the demo of every language talks to that of every other, with the lines that `docs/by-hand.md` shows.

use std::env;
use std::path::Path;
use std::thread;
use std::time::Duration;

use assert_cmd::Command;
use interop_tests::language::{LANGUAGES, Language, Pairing};
use interop_tests::segment::{Segment, Side};
use interop_tests::toolchain::Peers;

/// The number of messages that each demo exchanges.
const COUNT: &str = "5";

/// A language's demo: what it calls itself in its messages, and its command line. A program's path is relative to
/// the repository, or, after a `@`, to cargo's target folder.
const DEMOS: [(&str, &str, &[&str]); 5] = [
    ("rust", "Rust ", &["@debug/examples/hello", "ROLE", "NAME", COUNT]),
    (
        "python",
        "Python ",
        &["@interop/venv/bin/python", "examples/simple_ROLE.py", "NAME", "--interval", "0", "--count", COUNT],
    ),
    ("cpp", "", &["@interop/prefix/bin/eshm_demo", "ROLE", "NAME", "--count", COUNT]),
    ("c", "C ", &["@interop/hello-c", "ROLE", "NAME", COUNT]),
    ("go", "Go ", &["@interop/hello-go", "-count", COUNT, "ROLE", "NAME"]),
];

fn demo(language: &Language) -> (&'static str, &'static [&'static str]) {
    let (_, called, command) =
        DEMOS.iter().find(|(name, ..)| *name == language.name).expect("every language has a demo");
    (called, command)
}

/// A demo's output, after it has ended well.
fn run(language: &Language, side: Side, name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let test = env::current_exe().unwrap();
    // target/debug/deps/demos-…
    let target = test.ancestors().nth(3).unwrap();
    let (_, words) = demo(language);
    let mut words = words.iter().map(|word| word.replace("ROLE", side.word()).replace("NAME", name));
    let program = words.next().expect("a command has a program");
    let mut command = Command::new(target.join(program.trim_start_matches('@')));
    command.current_dir(root).args(words).timeout(Duration::from_secs(30));
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

fn assert_says(output: &str, line: &str) {
    assert!(output.lines().any(|found| found == line), "no line {line:?} in:\n{output}");
}

#[test]
fn every_pairing_of_demos_talks() {
    let languages: Vec<&Language> = LANGUAGES.iter().collect();
    let peers = Peers::prepare(&languages).unwrap();
    let build = ["build", "--package", "eshm", "--example", "hello"];
    Command::new(env!("CARGO")).args(build).assert().success();
    for Pairing { master, slave } in Pairing::all() {
        if peers.command(master).is_none() || peers.command(slave).is_none() {
            continue;
        }
        let segment = Segment::fresh("demos");
        let (greeter, name) = (segment.name().to_owned(), segment.name());
        let greeter = thread::spawn(move || run(master, Side::Master, &greeter));
        let answers = run(slave, Side::Slave, name);
        let greetings = greeter.join().unwrap();
        let (hello, ack) = (demo(master).0, demo(slave).0);
        for number in 0..5 {
            let text = format!("Hello from {hello}master #{number}");
            // The terminator is a byte too.
            let length = text.len() + 1;
            assert_says(&greetings, &format!("[MASTER] Sent: {text}"));
            assert_says(&answers, &format!("[SLAVE] Received ({length} bytes): {text}"));
            assert_says(&answers, &format!("[SLAVE] Sent: ACK from {ack}slave #{number}"));
            assert_says(&greetings, &format!("[MASTER] Received: ACK from {ack}slave #{number}"));
        }
        segment.is_gone().unwrap();
    }
}
