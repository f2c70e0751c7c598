//! Promise: every test that the documents name exists.

use std::fs;
use std::path::Path;

/// `path/to/file.rs`, or `path/to/file.rs::a_test`.
fn is_reference(word: &str) -> bool {
    let file = word.split("::").next().unwrap_or(word);
    let in_tests = file.contains("/tests/") && (file.ends_with(".rs") || file.ends_with(".py"));
    in_tests || file.ends_with("/tests.rs") || file.ends_with("_test.go")
}

/// The test that `cargo test -p eshm --test file a_test` runs, as `core/tests/file.rs::a_test`.
fn test_of_command(word: &str) -> Option<String> {
    let (file, test) = word.strip_prefix("cargo test -p eshm --test ")?.split_once(' ')?;
    Some(format!("core/tests/{file}.rs::{test}"))
}

#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pages = [
        "CONTRIBUTING.md",
        "TESTING.md",
        "SECURITY.md",
        "docs/by-hand.md",
        "docs/promises.md",
        "docs/test-suites.md",
    ];
    let guide = pages.map(|page| fs::read_to_string(root.join(page)).unwrap()).concat();
    // What stands between backquotes is every second part.
    let words = guide.split('`').skip(1).step_by(2);
    let commands: Vec<String> = words.clone().filter_map(test_of_command).collect();
    assert!(!commands.is_empty(), "no command runs one test");
    let references: Vec<&str> =
        words.filter(|word| is_reference(word)).chain(commands.iter().map(String::as_str)).collect();
    assert!(references.len() > 40, "only {references:?}");
    for reference in references {
        let (file, test) = reference.split_once("::").unwrap_or((reference, ""));
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let found = ["fn", "def", "func"].iter().any(|word| source.contains(&format!("{word} {test}(")));
        assert!(test.is_empty() || found, "{file} has no test {test}");
    }
}
