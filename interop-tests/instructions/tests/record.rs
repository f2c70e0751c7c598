//! Promise: `scripts/test_instructions.sh` fails for a count that is off its record, and says what to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const RECORD: &str = include_str!("../record.tsv");
/// The verb whose count the tests change.
const VERB: &str = "rust\tsender\tsend\t56\t";

struct Outcome {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Outcome {
    #[track_caller]
    fn expect(&self, status: i32, stdout: &[&str], stderr: &[&str]) {
        let Outcome { stdout: out, stderr: err, .. } = self;
        assert_eq!(self.status, Some(status), "{out}{err}");
        for text in stdout {
            assert!(out.contains(text), "{text:?} is missing on stdout:\n{out}");
        }
        for text in stderr {
            assert!(err.contains(text), "{text:?} is missing on stderr:\n{err}");
        }
    }
}

fn run(arguments: &[&str]) -> Outcome {
    let script = Path::new(ROOT).join("scripts/test_instructions.sh");
    let output = Command::new(script).args(arguments).output().expect("the script runs");
    Outcome {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn write(name: &str, content: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

/// Compares these counts with the record of the repository.
fn compare(name: &str, counts: &str) -> Outcome {
    run(&["--counts", write(name, counts).to_str().unwrap()])
}

fn recorded() -> f64 {
    let line = RECORD.lines().find_map(|line| line.strip_prefix(VERB));
    line.expect("the record has the verb").parse().unwrap()
}

/// The record with another count of one verb.
fn with_count(count: f64) -> String {
    RECORD.replace(&format!("{VERB}{:.2}\n", recorded()), &format!("{VERB}{count:.2}\n"))
}

#[test]
fn counts_near_the_record_pass() {
    for (name, factor) in [("equal", 1.0), ("a-little-more", 1.018), ("a-little-less", 0.982)] {
        let outcome = compare(&format!("{name}.tsv"), &with_count(recorded() * factor));
        outcome.expect(0, &[], &["every count is within 2 % of the record"]);
    }
}

#[test]
fn a_count_that_is_off_fails_with_both_numbers_and_the_remedy() {
    for (name, factor) in [("more", 1.025), ("less", 0.975)] {
        let count = recorded() * factor;
        let outcome = compare(&format!("{name}.tsv"), &with_count(count));
        let both = format!("recorded {:8.2}  counted {count:8.2}", recorded());
        outcome.expect(
            1,
            &[&both, "OFF"],
            &["more than 2 % off the record", "test_instructions.sh --update"],
        );
        assert_eq!(outcome.stdout.matches("OFF").count(), 1, "{}", outcome.stdout);
    }
}

#[test]
fn a_verb_that_one_side_lacks_fails() {
    let fewer = RECORD.replace(&format!("{VERB}{:.2}\n", recorded()), "");
    compare("fewer.tsv", &fewer).expect(1, &["is in the record, and was not counted"], &["--update"]);
    let more = format!("{RECORD}rust\tsender\tpost\t56\t80.00\n");
    compare("another.tsv", &more).expect(1, &["is not in the record; counted: 80.00"], &["--update"]);
}

#[test]
fn a_record_of_other_tools_is_no_regression() {
    let line = RECORD.lines().find(|line| line.starts_with("# rustc: ")).unwrap();
    let other = with_count(recorded() * 2.0).replace(line, "# rustc: rustc 9.9.9");
    let made_with = format!("the record was made with  {}", &line[2..]);
    let here = "this machine has          rustc: rustc 9.9.9";
    let outcome = compare("other-compiler.tsv", &other);
    outcome.expect(3, &["OFF"], &["NOT COMPARED", &made_with, here, "test_instructions.sh --update"]);
    assert!(!outcome.stderr.contains("more than 2 %"), "{}", outcome.stderr);
}

#[test]
fn an_update_writes_the_record() {
    let (record, counts) = (write("record.tsv", RECORD), write("changed.tsv", &with_count(recorded() + 7.0)));
    let (record, counts) = (record.to_str().unwrap(), counts.to_str().unwrap());
    run(&["--record", record, "--counts", counts, "--update"]).expect(0, &["OFF"], &["is written"]);
    assert_eq!(fs::read(record).unwrap(), fs::read(counts).unwrap());
    run(&["--record", record, "--counts", counts]).expect(0, &[], &["within 2 %"]);
}

#[test]
fn wrong_arguments_are_named() {
    run(&["--all"]).expect(2, &[], &["unknown argument '--all'", "--help"]);
    run(&["--record"]).expect(2, &[], &["--record needs a file"]);
    run(&["--counts", "no/such/file"]).expect(2, &[], &["there is no file", "no/such/file"]);
}
