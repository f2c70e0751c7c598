//! Go: the functions `With…`, the fields of `Stats`, and the variables `Err…`.
//!
//! The defaults and the numbers of errors are inside of the package. So the questions are a file of the package, which
//! the compiler is shown in its folder without being written there.

use std::fs;
use std::process::Command;

use anyhow::Result;
use interop_tests::toolchain::Workshop;
use serde_json::{Value, json};

use crate::program::{Answers, Dialect, Source};
use crate::table::{Abilities, ErrorKind, NO_CHOICE, Setting, Statistic, Table, pascal};

const HEAD: &str = r#"package eshm

import (
    "context"
    "encoding/json"
    "fmt"
    "io/fs"
    "time"
)

var (
    _ time.Duration
    _ fs.FileMode
)

func questionProbe(number int, name string, options ...Option) {
    options = append([]Option{Slave, WithConnectTimeout(0)}, options...)
    endpoint, err := Open(context.Background(), name, options...)
    if err == nil {
        err = endpoint.Close()
    }
    fmt.Println("probe", number, Code(err))
}

func questionDefault(about string, value any) {
    text, err := json.Marshal(value)
    if err != nil {
        panic(err)
    }
    fmt.Println("default", about, string(text))
}

func questionKind(about string, value any) {
    kind := "number"
    switch value.(type) {
    case bool:
        kind = "flag"
    case time.Duration:
        kind = "time"
    }
    fmt.Println("statistic", about, kind)
}

func ifSet(set bool, value any) any {
    if set {
        return value
    }
    return nil
}

// AnswerQuestions prints an answer per line.
func AnswerQuestions(name string) {
    s, _, err := newSettings(name, nil)
    if err != nil {
        panic(err)
    }
    stats := Stats{}
"#;

const MAIN: &str = "package main\n\nimport (\n\t\"os\"\n\n\t\"eshm\"\n)\n\nfunc main() { eshm.AnswerQuestions(os.Args[1]) }\n";

pub fn ask(table: &Table, workshop: &Workshop, segment: &str) -> Result<Answers> {
    let folder = workshop.folder().join("equality/go");
    fs::create_dir_all(&folder)?;
    let package = workshop.root().join("go");
    let source = Source {
        path: folder.join("questions.go"),
        head: HEAD.to_owned(),
        lines: Go::lines(table),
        tail: "}\n".to_owned(),
    };
    let (program, command) = (folder.join("questions"), folder.join("command.go"));
    fs::write(&command, MAIN)?;
    let overlay = folder.join("overlay.json");
    let replaced = json!({"Replace": {
        package.join("questions.go").to_string_lossy(): source.path,
        package.join("internal/questions/command.go").to_string_lossy(): command,
    }});
    fs::write(&overlay, replaced.to_string())?;
    let mut compile = Command::new("go");
    compile.arg("-C").arg(&package).args(["build", "-gcflags=-e", "-overlay"]).arg(&overlay);
    compile.arg("-o").arg(&program).arg("./internal/questions");
    source.answers(&mut compile, Command::new(&program).arg(segment))
}

pub enum Go {}

impl Dialect for Go {
    const NAME: &str = "go";
    const ABILITIES: Abilities = Abilities { tick: 1, wide: true, signed: true, open_choices: true };

    fn set(option: &Setting, value: &Value) -> Option<String> {
        let with = Go::spelt(option)?;
        let value = match value {
            // A role is an option itself.
            Value::String(text) if text == NO_CHOICE && option.name == "role" => {
                return Some(", Role(99)".to_owned());
            }
            Value::String(text) if option.name == "role" => return Some(format!(", {}", pascal(text))),
            // The name is an argument.
            Value::String(text) if option.kind == "text" => return Some(format!("name={text}")),
            Value::String(text) if text == NO_CHOICE => "99".to_owned(),
            Value::String(text) => pascal(text),
            Value::Object(domain) => {
                format!("Domain{{Directory: {}, Prefix: {}}}", domain["directory"], domain["prefix"])
            }
            // An option that is left out. Those of a time or a count have a value for it.
            Value::Null => match &*option.kind {
                "time" => "Forever".to_owned(),
                "count" => "Unlimited".to_owned(),
                _ => return Some(String::new()),
            },
            // It has no argument: an option that is left out is false.
            Value::Bool(flag) if option.name == "mode_by_umask" => {
                return Some(if *flag { format!(", {with}()") } else { String::new() });
            }
            other => other.to_string(),
        };
        Some(format!(", {with}({value})"))
    }

    fn probe(number: usize, settings: &str) -> String {
        match settings.strip_prefix("name=") {
            Some(name) => format!("\tquestionProbe({number}, {name:?})"),
            None => format!("\tquestionProbe({number}, name{settings})"),
        }
    }

    fn default(option: &Setting, spelt: &str) -> String {
        let name = &option.name;
        let field = pascal(name);
        let field = format!("s.{}{}", field[..1].to_lowercase(), &field[1..]);
        let value = match &*option.kind {
            "bytes" | "id" => format!("ifSet({field}Set, {field})"),
            _ => field,
        };
        // If Go lacks the option, its field has no default to compare.
        let option = if name == "role" { "Master" } else { spelt };
        format!("\t_ = {option}; questionDefault({name:?}, {value})")
    }

    fn statistic(statistic: &Statistic, spelt: &str) -> String {
        format!("\tquestionKind({:?}, stats.{spelt})", statistic.name)
    }

    fn error(error: &ErrorKind, spelt: &str) -> String {
        format!("\tfmt.Println(\"error\", {:?}, {spelt}.(*kind).code)", error.name)
    }

    fn spell_option(name: &str) -> String {
        format!("With{}", pascal(name))
    }

    fn spell_statistic(name: &str) -> String {
        // Go writes initials in capitals.
        pascal(name).replace("M2s", "M2S").replace("S2m", "S2M").replace("Pid", "PID")
    }

    fn spell_error(name: &str) -> String {
        format!("Err{}", pascal(name))
    }
}
