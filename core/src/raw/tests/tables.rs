//! The tables of settings, statistics and errors.

use super::*;

#[test]
fn the_builder_has_the_defaults_of_the_table() {
    let builder = Builder::new("x");
    for setting in SETTINGS {
        let found = match setting.name {
            "name" => None,
            "domain" => builder.domain.is_none().then_some(Value::None),
            "role" => builder.settings.role.is_none().then_some(Value::Choice("auto")),
            "data_size" => builder.settings.data_size.is_none().then_some(Value::None),
            "queue_capacity" => builder.settings.queue_capacity.is_none().then_some(Value::None),
            "wait" => (builder.settings.wait == WaitStrategy::Adaptive).then_some(Value::Choice("adaptive")),
            "connect_timeout" => Some(Value::Time(builder.settings.connect_timeout)),
            "heartbeat_interval" => Some(Value::Time(builder.settings.heartbeat_interval)),
            "steady_heartbeat" => Some(Value::Flag(builder.settings.steady)),
            "stale_threshold" => Some(Value::Time(builder.settings.stale_threshold)),
            "disconnect" => {
                (builder.settings.disconnect == Disconnect::OnTimeout).then_some(Value::Choice("on_timeout"))
            }
            "reconnect_timeout" => builder.settings.reconnect_timeout.map(Value::Time),
            "reconnect_interval" => Some(Value::Time(builder.settings.reconnect_interval)),
            "reconnect_attempts" => {
                builder.settings.reconnect_attempts.map(|attempts| Value::Number(attempts.into()))
            }
            "give_up" => Some(Value::Flag(builder.settings.give_up)),
            "auto_cleanup" => Some(Value::Flag(builder.settings.auto_cleanup)),
            "background" => Some(Value::Flag(builder.settings.background)),
            "mode" => builder.settings.mode.map(|mode| Value::Number(mode.into())),
            "mode_by_umask" => Some(Value::Flag(builder.settings.mode.is_none())),
            "group" => builder.settings.group.is_none().then_some(Value::None),
            "any_owner" => Some(Value::Flag(builder.settings.any_owner)),
            other => panic!("the test does not know the setting {other}"),
        };
        assert_eq!(found, setting.default, "{}", setting.name);
    }
}

#[test]
fn the_tables_have_unique_names_and_whole_sentences() {
    let settings = SETTINGS.iter().map(|setting| (setting.name, setting.doc));
    let statistics = STATISTICS.iter().map(|statistic| (statistic.name, statistic.doc.trim()));
    for list in [settings.collect::<Vec<_>>(), statistics.collect()] {
        let mut names: Vec<_> = list.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), list.len());
        for (name, doc) in list {
            assert!(doc.ends_with('.') && doc.starts_with(char::is_uppercase), "{name}: {doc}");
        }
    }
    assert_eq!(STATISTICS.len(), 29);
    assert_eq!(SETTINGS.len(), 21);
}

#[test]
fn a_statistic_reads_its_field() {
    let mut stats = Stats::default();
    (stats.skipped, stats.master_alive) = (7, true);
    (stats.stale_threshold, stats.room_wait_time) = (2 * SHORT, SHORT);
    let value = |name| {
        let statistic = STATISTICS.iter().find(|statistic| statistic.name == name).unwrap();
        (statistic.value)(&stats)
    };
    assert_eq!(value("skipped"), Value::Number(7));
    assert_eq!(value("master_alive"), Value::Flag(true));
    assert_eq!(value("stale_threshold"), Value::Time(2 * SHORT));
    assert_eq!(value("room_wait_time"), Value::Time(SHORT));
    assert_eq!(Kind::Time.unit(), "ns");
}

#[test]
fn an_error_has_the_name_and_number_of_the_table() {
    let segment = || Arc::<str>::from("s");
    for error in [
        crate::error::Error::Full { segment: segment() },
        crate::error::Error::Closed { segment: segment() },
        crate::error::Error::Reconnecting { segment: segment() },
        crate::error::Error::Forked { segment: segment() },
        crate::error::Error::InvalidText { reason: "is empty", at: 0 },
        crate::error::Error::Displaced { segment: segment() },
    ] {
        let kind = ERRORS.iter().find(|kind| kind.name == error_name(&error)).unwrap();
        assert_eq!(kind.code, error.code(), "{kind}");
    }
    assert!(ERRORS.is_sorted_by(|one, next| one.code >= next.code));
}
