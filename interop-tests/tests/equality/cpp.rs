//! C++: the members of `eshm::Options` and `eshm::Stats`, and the enumerators of `eshm::Errc`.

use std::process::Command;

use anyhow::Result;
use interop_tests::toolchain::{self, Workshop};
use serde_json::Value;

use crate::program::{Answers, Dialect, Source};
use crate::table::{Abilities, ErrorKind, NO_CHOICE, Setting, Statistic, Table, pascal};

const HEAD: &str = r#"#include <chrono>
#include <cstdio>
#include <initializer_list>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <eshm/eshm.hpp>

namespace {

template <class Set>
void probe(int number, std::string name, Set set) {
    eshm::Options options;
    options.role = eshm::Role::slave;
    options.connect_timeout = std::chrono::seconds{0};
    int code = 0;
    try {
        set(options, name);
        eshm::Endpoint endpoint{name, options};
    } catch (const eshm::Error& error) {
        code = eshm::number(error.code());
    }
    std::printf("probe %d %d\n", number, code);
}

std::string text(bool value) { return value ? "true" : "false"; }
std::string text(eshm::Duration value) { return std::to_string(value.count().count()); }
template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
std::string text(T value) {
    return std::to_string(value);
}
template <class T>
std::string text(const std::optional<T>& value) {
    return value ? text(*value) : "null";
}

template <class T>
void say_choice(const char* about, T value, std::initializer_list<std::pair<T, const char*>> choices) {
    for (const auto& [choice, name] : choices) {
        if (value == choice) {
            std::printf("default %s \"%s\"\n", about, name);
        }
    }
}

void say(const char* about, const std::string& value) { std::printf("default %s %s\n", about, value.c_str()); }

const char* kind(bool) { return "flag"; }
template <class Rep, class Period>
const char* kind(std::chrono::duration<Rep, Period>) {
    return "time";
}
template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
const char* kind(T) {
    return "number";
}

} // namespace

int main(int, char** words) {
    const std::string name = words[1];
    const eshm::Options defaults{};
    const eshm::Stats stats{};
"#;

pub fn ask(table: &Table, workshop: &Workshop, segment: &str) -> Result<Answers> {
    toolchain::cpp(workshop)?;
    let (prefix, folder) = (workshop.folder().join("prefix"), workshop.folder().join("equality"));
    let source = Source {
        path: folder.join("questions.cpp"),
        head: HEAD.to_owned(),
        lines: Cpp::lines(table),
        tail: "}\n".to_owned(),
    };
    let program = folder.join("questions-cpp");
    let mut compile = Command::new("c++");
    compile.args(["-std=c++17", "-fmax-errors=0", "-I"]).arg(prefix.join("include")).arg(&source.path);
    compile.arg(prefix.join("lib/libeshm_cpp.a")).arg("-o").arg(&program).args(["-pthread", "-ldl"]);
    source.answers(&mut compile, Command::new(&program).arg(segment))
}

pub enum Cpp {}

impl Dialect for Cpp {
    const NAME: &str = "cpp";
    const ABILITIES: Abilities = Abilities { tick: 1, wide: false, signed: false, open_choices: true };

    fn set(option: &Setting, value: &Value) -> Option<String> {
        let member = Cpp::spelt(option)?;
        let value = match value {
            Value::Object(domain) => {
                let part =
                    |key| domain[key].as_str().map(|text| format!("options.{member}.{key} = \"{text}\"; "));
                return Some(part("directory")? + &part("prefix")?);
            }
            // The name is the constructor's.
            Value::String(text) if option.kind == "text" => return Some(format!("name = \"{text}\"; ")),
            Value::Null if option.kind == "domain" => "{}".to_owned(),
            Value::Null => "std::nullopt".to_owned(),
            Value::String(text) if text == NO_CHOICE => format!("static_cast<eshm::{}>(99)", kind(option)),
            Value::String(text) => enumerator(option, text),
            Value::Number(number) if option.kind == "time" => format!("std::chrono::nanoseconds{{{number}}}"),
            other => other.to_string(),
        };
        Some(format!("options.{member} = {value}; "))
    }

    fn probe(number: usize, settings: &str) -> String {
        format!(
            "    probe({number}, name, []([[maybe_unused]] eshm::Options& options, [[maybe_unused]] std::string& name) {{ {settings}}});"
        )
    }

    fn default(option: &Setting, spelt: &str) -> String {
        let name = &option.name;
        if option.kind != "choice" {
            return format!("    say(\"{name}\", text(defaults.{spelt}));");
        }
        let choices =
            option.choices.iter().map(|choice| format!("{{{}, \"{choice}\"}}", enumerator(option, choice)));
        let choices: Vec<String> = choices.collect();
        format!(
            "    say_choice<eshm::{}>(\"{name}\", defaults.{spelt}, {{{}}});",
            kind(option),
            choices.join(", ")
        )
    }

    fn statistic(statistic: &Statistic, spelt: &str) -> String {
        format!("    std::printf(\"statistic {} %s\\n\", kind(stats.{spelt}));", statistic.name)
    }

    fn error(error: &ErrorKind, spelt: &str) -> String {
        format!("    std::printf(\"error {} %d\\n\", eshm::number(eshm::Errc::{spelt}));", error.name)
    }
}

/// The enumeration of an option's choices.
fn kind(option: &Setting) -> String {
    if option.name == "wait" { "WaitStrategy".to_owned() } else { pascal(&option.name) }
}

fn enumerator(option: &Setting, choice: &str) -> String {
    // `auto` is a keyword.
    let choice = if choice == "auto" { "automatic" } else { choice };
    format!("eshm::{}::{choice}", kind(option))
}
