//! C: the members of `ESHMOptions`, `ESHMInfo` and `ESHMStats`, and the enumerators of `ESHMError`.

use std::process::Command;

use anyhow::Result;
use interop_tests::toolchain::{self, Workshop};
use serde_json::Value;

use crate::program::{Answers, Dialect, Source};
use crate::table::{Abilities, ErrorKind, NO_CHOICE, Setting, Statistic, Table};

const HEAD: &str = r#"#include <eshm.h>
#include <stdio.h>

static ESHMOptions options;
static const char* name;

static void begin(void) {
    options = eshm_default_options(name);
    options.role = ESHM_ROLE_SLAVE;
    options.connect_timeout_ms = 0;
}

static void probe(int number) {
    ESHMHandle* handle = NULL;
    const int code = eshm_open(&options, &handle);
    if (handle) {
        eshm_destroy(handle);
    }
    printf("probe %d %d\n", number, code);
}

static void say(const char* about, long long number, long long none, long long unit) {
    if (number == none) {
        printf("default %s null\n", about);
    } else {
        printf("default %s %lld\n", about, number * unit);
    }
}

static void say_choice(const char* about, int value, const int* values, const char* const* names, int count) {
    for (int index = 0; index < count; ++index) {
        if (values[index] == value) {
            printf("default %s \"%s\"\n", about, names[index]);
        }
    }
}

#define KIND(member) _Generic((member), _Bool: "flag", default: "number")

int main(int count, char** words) {
    name = count > 1 ? words[1] : "";
    ESHMStats stats;
    ESHMInfo info;
    (void)stats;
    (void)info;
"#;

pub fn ask(table: &Table, workshop: &Workshop, segment: &str) -> Result<Answers> {
    toolchain::c(workshop)?;
    let (prefix, folder) = (workshop.folder().join("prefix"), workshop.folder().join("equality"));
    let source = Source {
        path: folder.join("questions.c"),
        head: HEAD.to_owned(),
        lines: C::lines(table),
        tail: "    return 0;\n}\n".to_owned(),
    };
    let program = folder.join("questions-c");
    let mut compile = Command::new("cc");
    compile.args(["-std=c11", "-fmax-errors=0", "-I"]).arg(prefix.join("include")).arg(&source.path);
    compile.arg(prefix.join("lib/libeshm.a")).arg("-o").arg(&program).args(["-pthread", "-ldl", "-lm"]);
    source.answers(&mut compile, Command::new(&program).arg(segment))
}

pub enum C {}

impl Dialect for C {
    const NAME: &str = "c";
    const ABILITIES: Abilities =
        Abilities { tick: 1_000_000, wide: false, signed: false, open_choices: true };

    fn set(option: &Setting, value: &Value) -> Option<String> {
        if option.name == "domain" {
            let part = |key| value[key].as_str().map(|text| format!("options.{key} = \"{text}\"; "));
            return Some(part("directory").unwrap_or_default() + &part("prefix").unwrap_or_default());
        }
        let member = member(option, &C::spelt(option)?);
        let value = match value {
            Value::Null => none(option)?.to_owned(),
            Value::String(text) if text == NO_CHOICE => "99".to_owned(),
            Value::String(text) if option.kind == "choice" => enumerator(&option.name, text),
            Value::String(text) => format!("\"{text}\""),
            Value::Number(number) => {
                let number = number.as_i64()?;
                match &*option.name {
                    "queue_capacity" if number == 0 => "ESHM_NO_QUEUE".to_owned(),
                    _ if option.kind == "time" => (number / 1_000_000).to_string(),
                    _ => number.to_string(),
                }
            }
            other => other.to_string(),
        };
        Some(format!("options.{member} = {value}; "))
    }

    fn probe(number: usize, settings: &str) -> String {
        format!("    begin(); {settings}probe({number});")
    }

    fn default(option: &Setting, spelt: &str) -> String {
        let name = &option.name;
        let member = format!("options.{}", member(option, spelt));
        let say = match &*option.kind {
            "choice" => {
                let values: Vec<String> =
                    option.choices.iter().map(|choice| enumerator(name, choice)).collect();
                let (count, values) = (values.len(), values.join(", "));
                let names = format!("\"{}\"", option.choices.join("\", \""));
                format!(
                    "say_choice(\"{name}\", (int){member}, (const int[]){{{values}}}, (const char* const[]){{{names}}}, {count});"
                )
            }
            "flag" => format!("printf(\"default {name} %s\\n\", {member} ? \"true\" : \"false\");"),
            kind => {
                let unit = if kind == "time" { 1_000_000 } else { 1 };
                format!("say(\"{name}\", (long long){member}, {}, {unit});", none(option).unwrap_or("-2"))
            }
        };
        format!("    options = eshm_default_options(name); {say}")
    }

    fn statistic(Statistic { name, kind, .. }: &Statistic, spelt: &str) -> String {
        let member = match spelt.strip_prefix("ESHMStats.") {
            Some(member) => format!("stats.{member}"),
            None => format!("info.{spelt}"),
        };
        // C has no type for a time: the name or the header says the unit.
        let kind = if kind == "time" { "\"time\"" } else { &format!("KIND({member})") };
        format!("    (void){member}; printf(\"statistic {name} %s\\n\", {kind});")
    }

    fn error(error: &ErrorKind, spelt: &str) -> String {
        format!("    printf(\"error {} %d\\n\", ESHM_ERROR_{spelt});", error.name)
    }

    fn spell_error(name: &str) -> String {
        name.to_uppercase()
    }
}

/// A number of milliseconds says so.
fn member(option: &Setting, spelt: &str) -> String {
    if option.kind == "time" { format!("{spelt}_ms") } else { spelt.to_owned() }
}

/// What stands for "none".
fn none(option: &Setting) -> Option<&'static str> {
    option.none.as_ref().map(|_| if option.name == "group" { "-1" } else { "0" })
}

fn enumerator(option: &str, choice: &str) -> String {
    let kind = if option == "wait" { "WAIT" } else { &option.to_uppercase() };
    format!("ESHM_{kind}_{}", choice.to_uppercase())
}
