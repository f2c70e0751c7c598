//! What this repository depends on: licences that a user can live with, and sources that everybody has.
//!
//! The rules are those of `deny.toml`. cargo-deny, which `scripts/lint.sh` runs, also checks duplicate versions.

use std::process::Command;

use serde_json::Value;

/// The licences that `deny.toml` allows.
fn allowed() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deny.toml");
    let text = std::fs::read_to_string(path).expect("deny.toml exists");
    let list =
        text.split("allow = [").nth(1).and_then(|rest| rest.split(']').next()).expect("a list of licences");
    list.split(',').map(|licence| licence.trim().trim_matches('"').to_owned()).collect()
}

/// Every package that any crate of the workspace needs, with any feature, as `Cargo.lock` has it.
fn packages() -> Vec<Value> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether an expression such as `(MIT OR Apache-2.0) AND Unicode-3.0` can be met with these licences. `/` is an old way
/// to say OR.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace(['(', ')'], "").replace('/', " OR ");
    let is_allowed = |licence: &str| allowed.iter().any(|one| one == licence.trim());
    // AND binds the parts in brackets, in every expression that there is: none has OR outside of them.
    expression.split(" AND ").all(|part| part.split(" OR ").any(is_allowed))
}

#[test]
fn an_expression_is_met_by_one_of_each_choice() {
    let allowed = ["MIT".to_owned(), "Zlib".to_owned()];
    for met in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(MIT OR GPL-3.0) AND Zlib"] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-2.0 OR GPL-3.0) AND MIT", "MIT-0"] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let (allowed, packages) = (allowed(), packages());
    assert!(packages.len() > 50, "only {} packages", packages.len());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(is_met(licence, &allowed), "{} has the licence {licence:?}", package["name"]);
    }
}

#[test]
fn every_dependency_comes_from_the_public_registry_or_from_here() {
    for package in packages() {
        let source = package["source"].as_str();
        let is_known = source.is_none_or(|source| source.contains("rust-lang/crates.io-index"));
        assert!(is_known, "{} comes from {source:?}", package["name"]);
    }
}
