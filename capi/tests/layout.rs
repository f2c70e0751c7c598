//! Holds the headers, as a C compiler reads them, against this crate, `protocol/layout.json` and the core's tables.

use std::collections::BTreeMap;
use std::env;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use eshm::{PeerState, raw};
use eshm_capi::abi::{self, Buffer, Config, DirectionView, Info, Options, SeatView, Segment, Stats, View};
use eshm_capi::error;
use eshm_capi::mailbox::eshm_error_string;
use serde_json::Value;

type Numbers = BTreeMap<String, i64>;

/// What `layout.c` prints.
fn compiled() -> Numbers {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("layout");
    let compiler = env::var("CC").unwrap_or("cc".to_owned());
    let status = Command::new(&compiler)
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
        .arg(here.join("include"))
        .arg(here.join("tests/layout.c"))
        .arg("-o")
        .arg(&program)
        .status()
        .unwrap_or_else(|error| panic!("{compiler}: {error}; install a C compiler, or set CC"));
    assert!(status.success(), "{compiler}: {status}");
    let output = Command::new(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

macro_rules! structure {
    ($numbers:ident, $name:literal, $type:ty: $($field:ident)+) => {
        $numbers.insert($name.to_owned(), size_of::<$type>() as i64);
        $($numbers.insert(format!("{}.{}", $name, stringify!($field)), offset_of!($type, $field) as i64);)+
    };
}

/// What this crate takes for granted.
fn assumed() -> Numbers {
    let mut numbers = Numbers::new();
    structure!(numbers, "ESHMConfig", Config: shm_name role disconnect_behavior stale_threshold_ms
        reconnect_wait_ms reconnect_retry_interval_ms max_reconnect_attempts auto_cleanup use_threads);
    structure!(numbers, "ESHMOptions", Options: struct_size name directory prefix role wait data_size
        queue_capacity connect_timeout_ms
        heartbeat_interval_ms stale_threshold_ms disconnect reconnect_timeout_ms reconnect_interval_ms
        reconnect_attempts mode group mode_by_umask any_owner steady_heartbeat give_up auto_cleanup
        background);
    structure!(numbers, "ESHMSeatView", SeatView: state pid heartbeat generation is_legacy);
    structure!(numbers, "ESHMDirectionView", DirectionView: written read waiting high_water slots);
    structure!(numbers, "ESHMView", View: struct_size is_current data_size max_message master slave
        master_to_slave slave_to_master);
    structure!(numbers, "ESHMStats", Stats: master_heartbeat slave_heartbeat master_pid slave_pid master_alive
        slave_alive stale_threshold master_heartbeat_delta slave_heartbeat_delta m2s_write_count m2s_read_count
        s2m_write_count s2m_read_count);
    structure!(numbers, "ESHMInfo", Info: struct_size peer_state peer_is_legacy generation data_size max_message
        skipped reconnects wakeups timeouts stalls messages_sent messages_received bytes_sent bytes_received
        m2s_queue_depth s2m_queue_depth m2s_queue_high_water s2m_queue_high_water room_waits
        room_wait_time_ns unreceived);
    structure!(numbers, "ESHMSegment", Segment: name path kind reason size owner owner_name mode since_ns has_seats
        master_state slave_state master_pid slave_pid m2s_waiting m2s_slots s2m_waiting s2m_slots removed
        left_because);
    structure!(numbers, "ESHMBuffer", Buffer: data size);
    for name in [
        "Role",
        "DisconnectBehavior",
        "WakeupMode",
        "WaitStrategy",
        "PeerState",
        "MonitorPolicy",
        "SegmentKind",
        "Interest",
        "Error",
    ] {
        numbers.insert(format!("enum ESHM{name}"), size_of::<u32>() as i64);
    }
    numbers.extend(constants().map(|(name, value)| (format!("ESHM_{name}"), value)));
    numbers
}

/// The values of the macros and enumerators, without `ESHM_`.
fn constants() -> impl Iterator<Item = (&'static str, i64)> {
    let version = |part: &str| part.parse::<i64>().unwrap();
    let constants = [
        ("VERSION_MAJOR", version(env!("CARGO_PKG_VERSION_MAJOR"))),
        ("VERSION_MINOR", version(env!("CARGO_PKG_VERSION_MINOR"))),
        ("VERSION_PATCH", version(env!("CARGO_PKG_VERSION_PATCH"))),
        ("ROLE_MASTER", abi::ROLE_MASTER.into()),
        ("ROLE_SLAVE", abi::ROLE_SLAVE.into()),
        ("ROLE_AUTO", abi::ROLE_AUTO.into()),
        ("WAKEUP_PUSH", abi::WAKEUP_PUSH.into()),
        ("WAKEUP_POLL", abi::WAKEUP_POLL.into()),
        ("TIMEOUT_INFINITE", abi::TIMEOUT_INFINITE.into()),
        ("NO_QUEUE", abi::NO_QUEUE as i64),
        ("PEER_ABSENT", PeerState::Absent as i64),
        ("PEER_ALIVE", PeerState::Alive as i64),
        ("PEER_FROZEN", PeerState::Frozen as i64),
        ("PEER_DEAD", PeerState::Dead as i64),
        ("PEER_CLOSED", PeerState::Closed as i64),
        ("INTEREST_READABLE", abi::INTEREST_READABLE.into()),
        ("INTEREST_VALUE", abi::INTEREST_VALUE.into()),
        ("INTEREST_WRITABLE", abi::INTEREST_WRITABLE.into()),
        ("INTEREST_PEER", abi::INTEREST_PEER.into()),
        ("SEGMENT_CURRENT", abi::SEGMENT_CURRENT.into()),
        ("SEGMENT_LEGACY", abi::SEGMENT_LEGACY.into()),
        ("SEGMENT_UNFINISHED", abi::SEGMENT_UNFINISHED.into()),
        ("SEGMENT_FOREIGN", abi::SEGMENT_FOREIGN.into()),
        ("SEGMENT_UNREADABLE", abi::SEGMENT_UNREADABLE.into()),
        ("SUCCESS", error::SUCCESS.into()),
        ("ERROR_INVALID_PARAM", error::INVALID_PARAM.into()),
        ("ERROR_SHM_CREATE", error::SHM_CREATE.into()),
        ("ERROR_NO_DATA", error::NO_DATA.into()),
        ("ERROR_TIMEOUT", error::TIMEOUT.into()),
        ("ERROR_MASTER_STALE", error::MASTER_STALE.into()),
        ("ERROR_BUFFER_TOO_SMALL", error::BUFFER_TOO_SMALL.into()),
        ("ERROR_NOT_INITIALIZED", error::NOT_INITIALIZED.into()),
        ("ERROR_PEER_CLOSED", error::PEER_CLOSED.into()),
        ("ERROR_DISPLACED", error::DISPLACED.into()),
        ("ERROR_INTERNAL", error::INTERNAL.into()),
    ];
    constants.into_iter()
}

/// What the protocol's layout says of the parts that `eshm_data.h` describes.
fn shared() -> Numbers {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/layout.json");
    let layout: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut numbers = Numbers::new();
    for name in ["magic", "version", "version_polling", "feature_wakes"] {
        numbers.insert(format!("shared {name}"), layout[name].as_i64().unwrap());
    }
    for name in ["ESHMData", "header", "channel_head", "channel_tail"] {
        for (field, offset) in layout[name]["fields"].as_object().unwrap() {
            numbers.insert(format!("shared {name}.{field}"), offset.as_i64().unwrap());
        }
        // The parts of a channel are one structure in C.
        if !name.starts_with("channel") {
            numbers.insert(format!("shared {name}"), layout[name]["size"].as_i64().unwrap());
        }
    }
    numbers
}

/// The numbers whose names begin with this, without it.
fn group(numbers: &Numbers, prefix: &str) -> Numbers {
    let named = |(name, value): (&String, &i64)| Some((name.strip_prefix(prefix)?.to_owned(), *value));
    numbers.iter().filter_map(named).collect()
}

#[test]
fn the_headers_are_laid_out_as_assumed() {
    let all = compiled();
    let in_c = all.iter().filter(|(name, _)| name.starts_with("ESHM") || name.starts_with("enum "));
    assert_eq!(in_c.map(|(name, value)| (name.clone(), *value)).collect::<Numbers>(), assumed());
    let shared_in_c = all.iter().filter(|(name, _)| name.starts_with("shared "));
    assert_eq!(shared_in_c.map(|(name, value)| (name.clone(), *value)).collect::<Numbers>(), shared());
}

/// The name and the value of a setting in C, where a time is a number of milliseconds.
fn in_c(setting: &raw::Setting) -> (String, i64) {
    let (name, value) = (setting.name.to_owned(), setting.default.unwrap());
    let number = match (value, setting.kind) {
        (raw::Value::None, raw::Kind::Id) => -1,
        (raw::Value::None, _) => 0,
        (raw::Value::Flag(flag), _) => flag.into(),
        (raw::Value::Number(number), _) => number.try_into().unwrap(),
        (raw::Value::Time(time), _) => return (name + "_ms", time.as_millis().try_into().unwrap()),
        (raw::Value::Choice(choice), _) => match (setting.name, choice) {
            ("role", "auto") => abi::ROLE_AUTO.into(),
            ("wait", "adaptive") => 0,
            ("disconnect", "on_timeout") => 1,
            other => panic!("the test does not know {other:?}"),
        },
        other => panic!("the test does not know {other:?}"),
    };
    (name, number)
}

#[test]
fn the_options_are_those_of_the_core() {
    let mut expected: Numbers =
        raw::SETTINGS.iter().filter(|setting| setting.default.is_some()).map(in_c).collect();
    // A domain is two strings in C.
    assert_eq!(expected.remove("domain"), Some(0));
    expected.extend([("directory".to_owned(), 0), ("prefix".to_owned(), 0)]);
    assert_eq!(group(&compiled(), "default "), expected);
}

#[test]
fn the_statistics_are_those_of_the_core() {
    let all = compiled();
    for statistic in raw::STATISTICS {
        let name = match statistic.name {
            // As in ESHM 1.x, in milliseconds.
            "stale_threshold" => "stale_threshold".to_owned(),
            name if statistic.kind == raw::Kind::Time => format!("{name}_ns"),
            name => name.to_owned(),
        };
        let places =
            ["ESHMStats", "ESHMInfo"].map(|structure| all.contains_key(&format!("{structure}.{name}")));
        assert_eq!(places.iter().filter(|there| **there).count(), 1, "{name}");
    }
}

#[test]
fn the_errors_are_those_of_the_core() {
    let in_c: Vec<i64> = group(&compiled(), "error ").into_values().collect();
    for kind in raw::ERRORS {
        assert!(in_c.contains(&kind.code.into()), "eshm.h has no number for {kind}");
    }
    for code in in_c {
        // SAFETY: a C string that lives for ever.
        let text = unsafe { std::ffi::CStr::from_ptr(eshm_error_string(code.try_into().unwrap())) };
        assert_ne!(text, c"Unknown error", "{code}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let header = include_str!("../include/eshm_config.h");
    let version = env!("CARGO_PKG_VERSION");
    assert!(header.contains(&format!("#define ESHM_VERSION \"{version}\"")), "expected {version}");
}

#[test]
fn the_interests_are_those_of_the_core() {
    use eshm::Interest;
    for (bits, interest) in [
        (abi::INTEREST_READABLE, Interest::READABLE),
        (abi::INTEREST_VALUE, Interest::VALUE),
        (abi::INTEREST_WRITABLE, Interest::WRITABLE),
        (abi::INTEREST_PEER, Interest::PEER),
    ] {
        assert_eq!(Interest::from_bits(bits), Some(interest));
    }
}
