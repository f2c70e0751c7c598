//! Rust: the methods of `eshm::Builder`, the fields of `eshm::Stats`, and the kinds of `eshm::Error`.

use std::time::Duration;

use anyhow::Result;
use eshm::raw::{ERRORS, STATISTICS, Value as Kind};
use eshm::{Builder, Disconnect, Domain, Endpoint, Error, Role, Stats, WaitStrategy};
use interop_tests::toolchain::Workshop;
use serde_json::Value;

use crate::program::{Answers, Question};
use crate::table::{Abilities, Setting, Table};

/// Asks without a program: this is one.
pub fn ask(table: &Table, _workshop: &Workshop, segment: &str) -> Result<Answers> {
    let mut answers = Answers::new();
    for (number, probe) in table.probes(NAME, &ABILITIES).iter().enumerate() {
        let name =
            if probe.option.kind == "text" { probe.value.as_str().unwrap_or_default() } else { segment };
        let mut builder = Endpoint::builder(name).role(Role::Slave).connect_timeout(Duration::ZERO);
        let mut answer = Ok(());
        for (option, value) in probe.with.iter().chain([&(probe.option, probe.value.clone())]) {
            answer = answer.and_then(|()| {
                builder = set(builder.clone(), option, value)?;
                Ok(())
            });
        }
        let code = answer.map(|()| builder.open().map_or_else(|error| error.code(), |_| 0));
        let code = code.or_else(|refused| match refused {
            Refused::Error(error) => Ok(error.code()),
            Refused::Missing => Err("there is no such method".to_owned()),
        });
        answers.insert(Question::Probe(number), code.map(|code| code.to_string()));
    }
    for option in table.options.iter().filter(|option| option.has_default()) {
        // The core's own tests hold the builder to its table, and the file to the table.
        answers.insert(Question::Default(option.name.clone()), Ok(option.default.to_string()));
    }
    for statistic in &table.statistics {
        let kind = STATISTICS.iter().find(|one| one.name == statistic.name).map(|one| {
            match (one.value)(&Stats::default()) {
                Kind::Flag(_) => "flag",
                Kind::Time(_) => "time",
                _ => "number",
            }
        });
        let kind = kind.map(str::to_owned).ok_or_else(|| "there is no such statistic".to_owned());
        answers.insert(Question::Statistic(statistic.name.clone()), kind);
    }
    for error in &table.errors {
        let code = ERRORS.iter().find(|one| one.name == error.name).map(|one| one.code.to_string());
        answers.insert(
            Question::Error(error.name.clone()),
            code.ok_or_else(|| "there is no such kind".to_owned()),
        );
    }
    Ok(answers)
}

/// Why an option cannot be set.
enum Refused {
    /// Its value is refused before the endpoint is opened.
    Error(Error),
    /// The test knows no such method.
    Missing,
}

fn set(builder: Builder, option: &Setting, value: &Value) -> Result<Builder, Refused> {
    let number = value.as_u64().unwrap_or_default();
    let (flag, time) = (value == true, Duration::from_nanos(number));
    let text = value.as_str().unwrap_or_default();
    // A choice, and a 32-bit number, are all that their types have.
    let short = u32::try_from(number).unwrap_or(u32::MAX);
    Ok(match &*option.name {
        "name" => builder,
        "domain" if value.is_null() => builder,
        "domain" => {
            let part = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
            builder.domain(Domain::new(part("directory"), part("prefix")).map_err(Refused::Error)?)
        }
        "role" => builder.role(match text {
            "master" => Some(Role::Master),
            "slave" => Some(Role::Slave),
            // "auto": what is free.
            _ => None,
        }),
        "data_size" | "queue_capacity" | "group" if value.is_null() => builder,
        "data_size" => builder.data_size(number as usize),
        "queue_capacity" => builder.queue_capacity(number as usize),
        "wait" => builder.wait(match text {
            "spin" => WaitStrategy::Spin,
            "spin_then_park" => WaitStrategy::SpinThenPark,
            "park" => WaitStrategy::Park,
            _ => WaitStrategy::Adaptive,
        }),
        "connect_timeout" => builder.connect_timeout(time),
        "heartbeat_interval" => builder.heartbeat_interval(time),
        "steady_heartbeat" => builder.steady_heartbeat(flag),
        "stale_threshold" => builder.stale_threshold(time),
        "disconnect" => builder.disconnect(match text {
            "immediately" => Disconnect::Immediately,
            "never" => Disconnect::Never,
            _ => Disconnect::OnTimeout,
        }),
        "reconnect_timeout" => builder.reconnect_timeout((!value.is_null()).then_some(time)),
        "reconnect_interval" => builder.reconnect_interval(time),
        "reconnect_attempts" => builder.reconnect_attempts((!value.is_null()).then_some(short)),
        "give_up" => builder.give_up(flag),
        "auto_cleanup" => builder.auto_cleanup(flag),
        "background" => builder.background(flag),
        "mode" => builder.mode(short),
        "mode_by_umask" if flag => builder.mode_by_umask(),
        "mode_by_umask" => builder,
        "group" => builder.group(short),
        "any_owner" => builder.any_owner(flag),
        _ => return Err(Refused::Missing),
    })
}

pub const NAME: &str = "rust";
pub const ABILITIES: Abilities = Abilities { tick: 1, wide: false, signed: false, open_choices: false };
