//! No argument, however odd, panics, aborts, hangs or leaves a file: each call works, or returns what is documented.

mod common;

use std::time::Duration;

use common::Name;
use eshm::{Builder, Disconnect, Endpoint, Observer, Result, Role, WaitStrategy};

const DURATIONS: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_nanos(999_999),
    Duration::from_millis(1),
    Duration::from_secs(3600),
    Duration::from_secs(3601),
    Duration::from_secs(u64::MAX / 2),
    Duration::MAX,
];
/// Without those that the library would rightly reserve, at the cost of this machine's memory.
const SIZES: [usize; 9] =
    [0, 1, 7, 4096, (64 << 20) + 1, (64 << 30) + 1, 1 << 40, usize::MAX / 2, usize::MAX];
const NUMBERS: [u32; 8] = [0, 1, 0o600, 0o200, 0o777, 0o1000, i32::MAX as u32, u32::MAX];
const NAMES: [&str; 11] = ["", ".", "..", "a..b", "/", "../x", "a/b", "nul\0", "\u{10FFFF}", "\n", " "];

/// Opens a master with one setting, and closes it. Whether it opened.
fn opens(name: &str, with: impl FnOnce(Builder) -> Builder) -> bool {
    let opened = with(Endpoint::builder(name).role(Role::Master)).open();
    let open = opened.is_ok();
    if let Err(error) = &opened {
        assert!(error.code() < 0 && !error.to_string().is_empty());
    }
    drop(opened);
    open
}

#[test]
fn a_setting_out_of_range_is_refused_and_leaves_nothing() {
    let name = Name::new("settings");
    let with_duration: [fn(Builder, Duration) -> Builder; 5] = [
        Builder::connect_timeout,
        Builder::heartbeat_interval,
        Builder::stale_threshold,
        Builder::reconnect_timeout,
        Builder::reconnect_interval,
    ];
    let with_size: [fn(Builder, usize) -> Builder; 2] = [Builder::data_size, Builder::queue_capacity];
    let with_number: [fn(Builder, u32) -> Builder; 2] = [Builder::mode, Builder::reconnect_attempts];
    let mut opened = 0;
    let mut tried = 0;
    let mut count = |open: bool| {
        tried += 1;
        opened += usize::from(open);
        assert!(!name.exists(), "a file is left after the setting {tried}");
    };
    for setting in with_duration {
        DURATIONS.into_iter().for_each(|value| count(opens(&name, |builder| setting(builder, value))));
    }
    for setting in with_size {
        SIZES.into_iter().for_each(|value| count(opens(&name, |builder| setting(builder, value))));
    }
    for setting in with_number {
        NUMBERS.into_iter().for_each(|value| count(opens(&name, |builder| setting(builder, value))));
    }
    assert!(opened > 20, "only {opened} of {tried} opened");
    assert!(opened < tried, "nothing was refused");
}

#[test]
fn a_group_of_any_number_is_taken_or_refused() {
    let name = Name::new("group");
    for value in NUMBERS {
        opens(&name, |builder| builder.group(value));
        assert!(!name.exists(), "a file is left after the group {value}");
    }
}

#[test]
fn a_name_of_any_kind_is_taken_or_refused() {
    let long = ["n".repeat(250), "n".repeat(251), "ö".repeat(125), "ö".repeat(126), "n".repeat(1 << 20)];
    for name in NAMES.into_iter().chain(long.iter().map(String::as_str)) {
        let refused = Endpoint::master(name).is_err();
        assert!(Observer::open(name).is_err());
        let rule = name.is_empty() || name.len() > 250 || name.contains(['/', '\0']) || name.contains("..");
        assert_eq!(refused, rule, "{:.20}", name.escape_debug());
    }
}

/// Every combination of strategy and policy bears every time-out, also those whose end no clock can show.
#[test]
fn a_time_out_of_any_length_is_one() {
    for wait in [WaitStrategy::Adaptive, WaitStrategy::Spin, WaitStrategy::SpinThenPark, WaitStrategy::Park] {
        for disconnect in [Disconnect::Immediately, Disconnect::OnTimeout, Disconnect::Never] {
            let name = Name::new("time-out");
            let builder = Endpoint::builder(&name).wait(wait).disconnect(disconnect);
            let mut master = builder.clone().role(Role::Master).open().unwrap();
            let mut slave = builder.role(Role::Slave).open().unwrap();
            for timeout in DURATIONS {
                talk(&mut master, &mut slave, timeout).unwrap();
            }
        }
    }
}

/// Calls whose condition holds already, so that no time-out passes.
fn talk(master: &mut Endpoint, slave: &mut Endpoint, timeout: Duration) -> Result<()> {
    master.wait_for_peer(timeout)?;
    master.send_timeout(b"message", timeout)?;
    assert_eq!(&*slave.recv_timeout(timeout)?.expect("it is there"), b"message");
    master.write(b"value")?;
    assert_eq!(&*slave.read_timeout(timeout)?.expect("it is there"), b"value");
    master.send_many_timeout(&[b"one", b"two"], timeout).map_err(|error| error.source)?;
    let mut received = Vec::new();
    let (sender, receiver) = slave.split();
    receiver.recv_many_timeout(usize::MAX, timeout, |bytes| received.push(bytes.to_vec()))?;
    assert_eq!(received, [b"one", b"two"]);
    let mut loan = sender.loan_timeout(4, timeout)?;
    loan.copy_from_slice(b"room");
    loan.send()?;
    assert_eq!(&*master.recv()?, b"room");
    Ok(())
}

#[test]
fn a_length_of_any_size_fits_or_is_refused() {
    let name = Name::new("lengths");
    let mut master = Endpoint::master(&name).unwrap();
    let mut slave = Endpoint::slave(&name).unwrap();
    for len in SIZES {
        let fits = len <= master.max_message();
        assert_eq!(master.loan(len).is_ok(), fits, "{len}");
        master.send(b"for recv_many").unwrap();
        assert_eq!(slave.recv_many(len, |_| {}).unwrap(), len.min(1));
        slave.try_recv().unwrap();
        if len <= 1 << 27 {
            let bytes = vec![0; len];
            assert_eq!(master.try_send(&bytes).is_ok(), fits, "{len}");
            assert_eq!(slave.try_recv().unwrap().is_some(), fits, "{len}");
            assert_eq!(master.write(&bytes).is_ok(), len <= master.data_size(), "{len}");
        }
    }
}

#[test]
fn a_limit_of_zero_is_refused_and_none_is_no_limit() {
    let name = Name::new("limits");
    let refused = |builder: Builder| builder.open().unwrap_err().to_string();
    let error = refused(Endpoint::builder(&name).reconnect_timeout(Duration::ZERO));
    assert!(error.contains("reconnect_timeout is 0ns; expected more than 0, or none: no limit"), "{error}");
    let error = refused(Endpoint::builder(&name).reconnect_attempts(0));
    assert!(
        error.contains("reconnect_attempts is 0; expected 1 to 4294967295, or none: no limit"),
        "{error}"
    );
    drop(Endpoint::builder(&name).reconnect_timeout(None).reconnect_attempts(None).open().unwrap());
    drop(
        Endpoint::builder(&name)
            .reconnect_timeout(Duration::MAX)
            .reconnect_attempts(u32::MAX)
            .open()
            .unwrap(),
    );
}
