//! Promise: every peer has the same command line, and the matrix tells the truth by its exit status.

use assert_cmd::Command;
use interop_tests::language::{LANGUAGES, Language};
use interop_tests::segment::Segment;
use interop_tests::toolchain::Peers;
use std::time::Duration;

/// Runs a check with every language's peer.
fn with_every_peer(run: impl Fn(&dyn Fn() -> Command)) {
    let languages: Vec<&Language> = LANGUAGES.iter().collect();
    let peers = Peers::prepare(&languages).unwrap();
    for language in languages {
        if peers.command(language).is_some() {
            run(&|| {
                let mut command = Command::from_std(peers.command(language).expect("looked up above"));
                command.timeout(Duration::from_secs(30));
                command
            });
        }
    }
}

#[test]
fn a_wrong_command_line_is_told_and_ends_with_2() {
    with_every_peer(|peer| {
        let wrong: [&[&str]; 5] = [
            &[],
            &["master"],
            &["mistress", "name", "echo"],
            &["master", "name", "no-such-scenario"],
            &["master", "name", "echo", "--no-such-option", "1"],
        ];
        for arguments in wrong {
            let output = peer().args(arguments).assert().code(2).get_output().clone();
            assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}: {output:?}");
        }
    });
}

#[test]
fn a_side_that_does_not_hold_ends_with_1_and_says_why() {
    with_every_peer(|peer| {
        let segment = Segment::fresh("command-line");
        let lonely = ["slave", segment.name(), "echo", "--timeout-ms", "50"];
        let output = peer().args(lonely).assert().code(1).get_output().stdout.clone();
        let output = String::from_utf8(output).unwrap();
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines.len(), 2, "{output}");
        assert!(lines[0].contains("opening") && lines[1].contains("\"code\""), "{output}");
        assert!(!output.contains("READY"), "{output}");
    });
}

#[test]
fn commands_are_answered_line_by_line() {
    with_every_peer(|peer| {
        let segment = Segment::fresh("command-line");
        let command = ["master", segment.name(), "commands"];
        let output = peer().args(command).write_stdin("open\ntry-recv\nwrite 00\nclose\n").assert().success();
        let output = String::from_utf8(output.get_output().stdout.clone()).unwrap();
        let observed: Vec<&str> = output.lines().map(|line| line.split('"').nth(3).unwrap_or(line)).collect();
        assert_eq!(observed, ["opening", "READY", "opened", "nothing", "ok", "ok"], "{output}");
        assert!(!segment.exists());
    });
}

fn matrix() -> Command {
    let mut command = Command::cargo_bin("matrix").unwrap();
    command.timeout(Duration::from_secs(120));
    command
}

#[test]
fn the_matrix_ends_with_its_sum_and_writes_json() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("matrix.json");
    let arguments =
        ["--pairing", "rust:rust", "--scenario", "clean-close", "--scenario", "framing", "--json"];
    let output = matrix().args(arguments).arg(&file).assert().success().get_output().stdout.clone();
    let output = String::from_utf8(output).unwrap();
    assert_eq!(output.lines().last(), Some("2 passed, 0 failed"), "{output}");
    let outcomes: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        assert_eq!(outcome["master"], "rust");
        assert_eq!(outcome["slave"], "rust");
        assert_eq!(outcome["passed"], true);
        assert!(outcome["seconds"].is_f64() && outcome["scenario"].is_string(), "{outcome}");
    }
}

#[test]
fn the_matrix_refuses_what_it_does_not_know() {
    for wrong in [["--pairing", "rust"], ["--pairing", "rust:cobol"], ["--scenario", "no-such"]] {
        matrix().args(wrong).assert().failure();
    }
}

#[test]
fn a_missing_language_is_named_and_an_error_when_all_are_required() {
    // Nothing is on this path, so only the Rust peer, which is built, could be run; its tools are missing too.
    let nowhere = tempfile::tempdir().unwrap();
    let matrix = || {
        let mut command = matrix();
        command.env("PATH", nowhere.path()).env_remove("ESHM_REQUIRE").args(["--pairing", "rust:python"]);
        command
    };
    let skipped = matrix().assert().failure().get_output().clone();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&skipped.stdout), String::from_utf8_lossy(&skipped.stderr));
    assert!(stderr.contains("apt-get install python3"), "{stderr}");
    assert!(stdout.contains("skipped") && stdout.ends_with("0 passed, 0 failed\n"), "{stdout}");
    let refused = matrix().env("ESHM_REQUIRE", "all").assert().failure().get_output().clone();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("install it with") && stderr.contains("ESHM_REQUIRE"), "{stderr}");
}

#[test]
fn the_life_test_refuses_what_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("dance.life");
    std::fs::write(&program, "master open\nslave dance\n").unwrap();
    let wrong: [(&[&str], &str); 6] = [
        (&["--seed", "seven"], "'seven'"),
        (&["--stop-after", "0"], "'0'"),
        (&["--pairing", "rust:cobol"], "cobol"),
        (&["--pairing", "rust:legacy-1.2"], "the life test is not for ESHM 1.x"),
        (&["--replay", program.to_str().unwrap()], "line 2: there is no step \"dance\""),
        (&["--replay", "no-such-file"], "no-such-file"),
    ];
    for (arguments, named) in wrong {
        let arguments = [&["--scenario", "life"], arguments].concat();
        let output = matrix().args(&arguments).assert().code(2).get_output().clone();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(named) && stderr.lines().count() == 1, "{arguments:?}: {stderr}");
    }
    // Nothing is on this path, so python is missing.
    let mut without = matrix();
    without.env("PATH", folder.path()).args(["--scenario", "life", "--pairing", "python:python"]);
    let stderr = String::from_utf8(without.assert().code(2).get_output().stderr.clone()).unwrap();
    assert!(stderr.contains("python is missing"), "{stderr}");
}
