//! The five languages have the same options, defaults, ranges, error codes and statistics: those of
//! `protocol/interface.json`, name by name.
//!
//! Each language is asked by a program. Of an option, the least and the greatest value must be accepted, and one just
//! outside refused with the error −1: a slave opens a segment that does not exist, without waiting, so that an accepted
//! value ends with the error −3.

mod c;
mod cpp;
mod go;
mod program;
mod python;
mod rust;
mod table;

use std::collections::BTreeMap;

use anyhow::Result;
use interop_tests::language::Language;
use interop_tests::toolchain::{self, Workshop};

use program::{Answers, Dialect, Question};
use table::{Abilities, Probe, Table};

/// Asks a language, and compares its answers with the table. `ask` is given the name of a segment that does not exist.
fn check(language: &str, abilities: &Abilities, ask: fn(&Table, &Workshop, &str) -> Result<Answers>) {
    let known = Language::named(language).unwrap();
    if !toolchain::present(known) {
        let required = std::env::var_os("ESHM_REQUIRE").is_some_and(|value| value == "all");
        assert!(!required, "{language} is missing: install it with `{}`", known.install);
        eprintln!("{language} is missing; it is not compared");
        return;
    }
    let table = Table::read();
    let segment = format!("equality-{language}-{}", std::process::id());
    let answers = ask(&table, &Workshop::find().unwrap(), &segment).unwrap();
    let mut complaints = Vec::new();
    compare_probes(&table.probes(language, abilities), &answers, &mut complaints);
    compare_names(&table, language, &answers, &mut complaints);
    complaints.dedup();
    assert!(
        complaints.is_empty(),
        "{language} differs from protocol/interface.json:\n  {}",
        complaints.join("\n  ")
    );
}

fn check_dialect<D: Dialect>(ask: fn(&Table, &Workshop, &str) -> Result<Answers>) {
    check(D::NAME, &D::ABILITIES, ask);
}

fn compare_probes(probes: &[Probe], answers: &Answers, complaints: &mut Vec<String>) {
    let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, Probe { option, value, accepted, .. }) in probes.iter().enumerate() {
        // A value that the language cannot express.
        let Some(answer) = answers.get(&Question::Probe(number)) else { continue };
        *asked.entry(&option.name).or_default() += 1;
        let name = &option.name;
        match answer {
            Err(why) => complaints.push(format!("option {name} is missing: {why}")),
            Ok(code) if *accepted == ["0", "-3"].contains(&&**code) && (*accepted || code == "-1") => {}
            Ok(code) => {
                let expected = if *accepted { "accepted (0 or −3)" } else { "refused with −1" };
                complaints.push(format!("option {name} = {value} gives {code}; it must be {expected}"));
            }
        }
    }
    for Probe { option, .. } in probes.iter().filter(|probe| !asked.contains_key(&*probe.option.name)) {
        complaints.push(format!("option {} is missing: it cannot be set", option.name));
    }
}

fn compare_names(table: &Table, language: &str, answers: &Answers, complaints: &mut Vec<String>) {
    let mut compare =
        |what: &str, name: &str, question: Question, expected: String| match answers.get(&question) {
            Some(Ok(answer)) if *answer == expected => {}
            Some(Ok(answer)) => complaints.push(format!("{what} {name} is {answer}; expected {expected}")),
            Some(Err(why)) => complaints.push(format!("{what} {name} is missing: {why}")),
            None => complaints.push(format!("{what} {name} is missing: it was not answered")),
        };
    for option in table.options.iter().filter(|option| option.has_default()) {
        let default = Question::Default(option.name.clone());
        compare("the default of", &option.name, default, option.default.to_string());
    }
    for statistic in &table.statistics {
        let kind = match &*statistic.kind {
            kind @ ("flag" | "time") => kind,
            _ => "number",
        };
        compare("statistic", &statistic.name, Question::Statistic(statistic.name.clone()), kind.to_owned());
    }
    for error in table.errors.iter().filter(|error| error.spelling.get(language) != Some(&None)) {
        compare("error", &error.name, Question::Error(error.name.clone()), error.code.to_string());
    }
}

#[test]
fn c_has_the_interface_of_the_table() {
    check_dialect::<c::C>(c::ask);
}

#[test]
fn cpp_has_the_interface_of_the_table() {
    check_dialect::<cpp::Cpp>(cpp::ask);
}

#[test]
fn go_has_the_interface_of_the_table() {
    check_dialect::<go::Go>(go::ask);
}

#[test]
fn python_has_the_interface_of_the_table() {
    check_dialect::<python::Python>(python::ask);
}

#[test]
fn rust_has_the_interface_of_the_table() {
    check(rust::NAME, &rust::ABILITIES, rust::ask);
}
