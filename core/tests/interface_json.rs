//! `protocol/interface.json`, which holds every language to the same options, errors and statistics, is the core's table.
//!
//! After a change of the table: `ESHM_UPDATE_INTERFACE=1 cargo test -p eshm --test interface_json`. That keeps the keys
//! `spelling` and `zero`, which say how a language differs: they are written by hand.

use eshm::raw::{ERRORS, Kind, SETTINGS, STATISTICS, Value as Setting};
use serde_json::{Map, Value, json};

/// What is written by hand.
const BY_HAND: [&str; 2] = ["spelling", "zero"];

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Domain => "domain",
        Kind::Flag => "flag",
        Kind::Bytes => "bytes",
        Kind::Count => "count",
        Kind::Time => "time",
        Kind::Mode => "mode",
        Kind::Id => "id",
        Kind::Choice(_) => "choice",
        _ => panic!("a kind that the test does not know"),
    }
}

fn value(value: Setting) -> Value {
    match value {
        Setting::None => Value::Null,
        Setting::Flag(flag) => json!(flag),
        Setting::Number(number) => json!(i64::try_from(number).unwrap()),
        Setting::Time(time) => json!(u64::try_from(time.as_nanos()).unwrap()),
        Setting::Choice(name) => json!(name),
        _ => panic!("a value that the test does not know"),
    }
}

/// One entry of the table, with what `before` has by hand.
fn entry(fields: Value, before: &Value, list: &str) -> Value {
    let mut entry: Map<String, Value> = fields.as_object().unwrap().clone();
    entry.retain(|key, value| !value.is_null() || key == "default");
    let entries = before[list].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(old) = entries.iter().find(|old| old["name"] == entry["name"]) {
        for key in BY_HAND.iter().filter(|key| !old[**key].is_null()) {
            entry.insert((*key).to_owned(), old[*key].clone());
        }
    }
    entry.into()
}

fn unit(kind: Kind) -> Option<&'static str> {
    Some(kind.unit()).filter(|unit| !unit.is_empty())
}

fn interface(before: &Value) -> Value {
    let options = SETTINGS.iter().map(|setting| {
        let choices = if let Kind::Choice(names) = setting.kind { Some(names) } else { None };
        let fields = json!({
            "name": setting.name,
            "kind": kind(setting.kind),
            "unit": unit(setting.kind),
            "choices": choices,
            "default": setting.default.map(value),
            "none": setting.none,
            "least": setting.range.map(|range| range.least),
            "most": setting.range.map(|range| range.most),
        });
        entry(fields, before, "options")
    });
    let errors =
        ERRORS.iter().map(|error| entry(json!({"name": error.name, "code": error.code}), before, "errors"));
    let statistics = STATISTICS.iter().map(|one| {
        let fields = json!({"name": one.name, "kind": kind(one.kind), "unit": unit(one.kind)});
        entry(fields, before, "statistics")
    });
    json!({
        "options": options.collect::<Vec<_>>(),
        "errors": errors.collect::<Vec<_>>(),
        "statistics": statistics.collect::<Vec<_>>(),
    })
}

#[test]
fn interface_json_is_the_table_of_the_core() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/interface.json");
    let text = std::fs::read_to_string(path).unwrap_or_else(|_| "{}".to_owned());
    let mut written: Value = serde_json::from_str(&text).expect("protocol/interface.json is JSON");
    let compiled = interface(&written);
    if std::env::var_os("ESHM_UPDATE_INTERFACE").is_some() {
        std::fs::write(path, serde_json::to_string_pretty(&compiled).unwrap() + "\n").unwrap();
        written = compiled.clone();
    }
    assert_eq!(written, compiled, "protocol/interface.json is out of date: see this file's first lines");
}
