//! Promise: `docs/options.md` lists the options, statistics and errors of the core's tables, with their defaults and ranges.

use std::collections::BTreeSet;
use std::fs;

use eshm::raw::{ERRORS, SETTINGS, STATISTICS, Value};

/// Returns the rows of the first table below a heading of the page, each as its cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/options.md")).unwrap();
    let (_, section) = page.split_once(heading).expect("the page has the heading");
    let lines =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.skip(2).map(cells).collect()
}

/// Returns the names in code quotes of a cell.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Returns a default as the page spells it.
fn spelled(value: Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Number(0o600) => "0600".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Time(time) if time.subsec_millis() == 0 => format!("{} s", time.as_secs()),
        Value::Time(time) => format!("{} ms", time.as_millis()),
        Value::Choice(choice) => format!("`{choice}`"),
        other => panic!("the page has no spelling for {other:?}"),
    }
}

#[test]
fn the_page_has_every_option_with_its_default_and_its_range() {
    let rows = table("# Options");
    let listed: Vec<&str> = rows.iter().flat_map(|row| names(&row[0])).collect();
    let declared: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(listed, declared);
    for (row, setting) in rows.iter().zip(SETTINGS) {
        let default = match (setting.default, setting.none) {
            (None, _) => "required".to_owned(),
            (Some(Value::None), meaning) => meaning.expect("none has a meaning").to_owned(),
            (Some(value), _) => spelled(value),
        };
        assert!(row[2].contains(&default), "{}: the default is {default}, not {}", setting.name, row[2]);
        if let Some(range) = setting.range {
            assert!(
                row[3].contains(range.text),
                "{}: the range is {}, not {}",
                setting.name,
                range.text,
                row[3]
            );
        }
    }
}

#[test]
fn the_page_has_every_statistic() {
    let rows = table("## Statistics");
    let listed: BTreeSet<&str> = rows.iter().flat_map(|row| names(&row[0])).collect();
    let declared: BTreeSet<&str> = STATISTICS.iter().map(|statistic| statistic.name).collect();
    assert_eq!(listed, declared);
}

#[test]
fn the_page_has_every_kind_of_error_with_its_number() {
    let rows = table("## Errors");
    let number = |cell: &str| -cell.trim_start_matches('−').parse::<i32>().unwrap();
    let listed: Vec<(&str, i32)> =
        rows.iter().flat_map(|row| names(&row[1]).map(|name| (name, number(&row[0])))).collect();
    let declared: Vec<(&str, i32)> = ERRORS.iter().map(|kind| (kind.name, kind.code)).collect();
    assert_eq!(listed, declared);
}
