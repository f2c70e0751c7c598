//! Python: the arguments of `eshm.Endpoint`, the fields of `eshm.Stats`, and the classes of exceptions.

use std::fs;
use std::process::Command;

use anyhow::Result;
use interop_tests::toolchain::{self, Workshop};
use serde_json::Value;

use crate::program::{Answers, Dialect, Question, run_and_listen};
use crate::table::{Abilities, ErrorKind, Setting, Statistic, Table, pascal};

const HEAD: &str = r#"import inspect
import json
import sys
import typing

import eshm

NAME = sys.argv[1]


def probe(number, name=NAME, **options):
    options = {"role": "slave", "connect_timeout": 0, **options}
    code = 0
    try:
        if isinstance(options.get("domain"), tuple):
            options["domain"] = eshm.Domain(*options["domain"])
        eshm.Endpoint(name, **options).close()
    except eshm.Error as error:
        code = error.code
    except TypeError as error:
        code = f"missing {error}"
    print("probe", number, code)


def default(about, name, unit):
    parameter = inspect.signature(eshm.Endpoint).parameters.get(name)
    value = f"missing there is no argument {name}" if parameter is None else parameter.default
    if isinstance(value, float):
        value = round(value * unit)
    print("default", about, value if parameter is None else json.dumps(value))


def default_is(about, name, value):
    print("default", about, json.dumps(inspect.signature(eshm.Endpoint).parameters[name].default == value))


def statistic(about, name):
    kinds = {bool: "flag", float: "time", int: "number"}
    kind = typing.get_type_hints(eshm.Stats).get(name)
    print("statistic", about, kinds.get(kind, f"missing it is {kind}"))


def error(about, name):
    print("error", about, getattr(getattr(eshm, name, None), "code", f"missing there is no {name}"))


"#;

pub fn ask(table: &Table, workshop: &Workshop, segment: &str) -> Result<Answers> {
    let command = toolchain::python(workshop)?;
    let folder = workshop.folder().join("equality");
    fs::create_dir_all(&folder)?;
    let program = folder.join("questions.py");
    let lines: Vec<(Question, String)> = Python::lines(table);
    let text: Vec<&str> = lines.iter().map(|(_, line)| &**line).collect();
    fs::write(&program, format!("{HEAD}{}\n", text.join("\n")))?;
    run_and_listen(Command::new(&command[0]).arg(&program).arg(segment))
}

pub enum Python {}

impl Dialect for Python {
    const NAME: &str = "python";
    // A float of seconds is exact enough for a microsecond of an hour.
    const ABILITIES: Abilities = Abilities { tick: 1000, wide: true, signed: true, open_choices: true };

    fn set(option: &Setting, value: &Value) -> Option<String> {
        let argument = Python::spelt(option)?;
        if argument.contains('=') {
            // A flag that is a value of another option.
            return Some(if value == true { format!(", {argument}") } else { String::new() });
        }
        let value = match value {
            Value::Null => "None".to_owned(),
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            Value::Number(number) if option.kind == "time" => format!("{number} / 1e9"),
            // `probe` makes a domain of it.
            Value::Object(domain) => format!("({}, {})", domain["directory"], domain["prefix"]),
            other => other.to_string(),
        };
        Some(format!(", {argument}={value}"))
    }

    fn probe(number: usize, settings: &str) -> String {
        format!("probe({number}{settings})")
    }

    fn default(option: &Setting, spelt: &str) -> String {
        if let Some((argument, value)) = spelt.split_once('=') {
            return format!("default_is({:?}, {argument:?}, {value})", option.name);
        }
        let unit = if option.kind == "time" { "1e9" } else { "1" };
        format!("default({:?}, {spelt:?}, {unit})", option.name)
    }

    fn statistic(statistic: &Statistic, spelt: &str) -> String {
        format!("statistic({:?}, {spelt:?})", statistic.name)
    }

    fn error(error: &ErrorKind, spelt: &str) -> String {
        format!("error({:?}, {spelt:?})", error.name)
    }

    fn spell_error(name: &str) -> String {
        format!("{}Error", pascal(name))
    }
}
