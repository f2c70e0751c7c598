//! Promise: whatever bytes are sent, and in whatever order both ends call, each pairing does what a model of one
//! channel does.

use std::cell::RefCell;
use std::collections::VecDeque;

use interop_tests::Observation;
use interop_tests::language::{LANGUAGES, Language, Pairing};
use interop_tests::peer::Peer;
use interop_tests::scenario::{CommandPair, Side, Stage, open, word};
use interop_tests::segment::Segment;
use interop_tests::toolchain::Peers;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// The data size of the segments, in bytes.
const SIZE: usize = 300;

/// Runs a property with every pairing whose languages are there: two processes serve all of its cases.
fn with_every_pairing<S: Strategy>(
    cases: u32,
    strategy: &S,
    holds: impl Fn(&mut CommandPair, S::Value) -> anyhow::Result<()>,
) {
    let languages: Vec<&Language> = LANGUAGES.iter().collect();
    let peers = Peers::prepare(&languages).unwrap();
    for pairing in Pairing::all() {
        if [pairing.master, pairing.slave].iter().any(|language| peers.command(language).is_none()) {
            continue;
        }
        let pair = RefCell::new(Stage { pairing, peers: &peers }.command_pair().unwrap());
        let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
        let result = runner.run(strategy, |value| {
            holds(&mut pair.borrow_mut(), value).map_err(|error| TestCaseError::fail(format!("{error:#}")))
        });
        if let Err(failure) = result {
            panic!("{pairing}: {failure}");
        }
        pair.into_inner().finish().unwrap();
    }
}

#[test]
fn every_message_arrives_as_it_was_sent() {
    let message = prop::collection::vec(any::<u8>(), 0..=SIZE);
    let messages = prop::collection::vec((prop::bool::ANY, message), 1..20);
    with_every_pairing(24, &messages, |pair, messages| {
        let segment = Segment::fresh("properties");
        pair.open(&segment, Some(SIZE))?;
        for (from_master, message) in messages {
            let (sender, receiver) = pair.way(if from_master { Side::Master } else { Side::Slave });
            sender.expect(&format!("send {}", word(&message)), &Observation::Ok)?;
            receiver.receives("recv 10000", &message)?;
        }
        pair.close(&segment)
    });
}

/// One call at one end of one direction.
#[derive(Clone, Debug)]
enum Call {
    /// `write`, or `try_send`.
    Put(Vec<u8>),
    /// `try_read`, or `try_recv`.
    Take,
    /// The receiving end closes and opens again.
    Reopen,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..=SIZE).prop_map(Call::Put),
        4 => Just(Call::Take),
        1 => Just(Call::Reopen),
    ];
    prop::collection::vec(call, 1..40)
}

/// Runs one sequence; the slave is the receiver, since a master that leaves takes the segment along.
fn follow(
    pair: &mut CommandPair,
    calls: &[Call],
    mut step: impl FnMut(&mut Peer, &mut Peer, &Call) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let segment = Segment::fresh("properties");
    pair.open(&segment, Some(SIZE))?;
    let (sender, receiver) = pair.way(Side::Master);
    for call in calls {
        if let Call::Reopen = call {
            receiver.expect("close", &Observation::Ok)?;
            receiver.ask(&open("slave", segment.name(), None))?;
            sender.expect("wait-peer 10000", &Observation::Ok)?;
        }
        step(sender, receiver, call)?;
    }
    pair.close(&segment)
}

#[test]
fn a_mailbox_does_what_its_model_does() {
    with_every_pairing(24, &calls(), |pair, calls| {
        // The value, how many were overwritten since the last read, whether it is new to this reader, and
        // whether any reader has had it.
        let (mut value, mut skipped, mut new, mut unread) = (None, 0, false, false);
        follow(pair, &calls, |sender, receiver, call| match call {
            Call::Put(bytes) => {
                skipped += u64::from(unread);
                (value, new, unread) = (Some(bytes.clone()), true, true);
                sender.expect(&format!("write {}", word(bytes)), &Observation::Ok)
            }
            Call::Take => {
                let expected = value.clone().filter(|_| new).map(|value| (value, skipped));
                (skipped, new, unread) = (0, false, false);
                takes(receiver, "try-read", expected)
            }
            // A mailbox shows a newcomer its value, even if a predecessor has had it.
            Call::Reopen => {
                new = value.is_some();
                Ok(())
            }
        })
    });
}

#[test]
fn a_lossless_direction_does_what_its_model_does() {
    with_every_pairing(24, &calls(), |pair, calls| {
        let mut queue = VecDeque::new();
        follow(pair, &calls, |sender, receiver, call| match call {
            Call::Put(bytes) => match sender.ask(&format!("try-send {}", word(bytes)))? {
                Observation::Ok => {
                    queue.push_back(bytes.clone());
                    Ok(())
                }
                // The number of messages that fit depends on the segment, but one always fits.
                Observation::Error { code: -12, .. } if !queue.is_empty() => Ok(()),
                other => anyhow::bail!("try-send, with {} unread: {other:?}", queue.len()),
            },
            Call::Take => takes(receiver, "try-recv", queue.pop_front().map(|message| (message, 0))),
            Call::Reopen => Ok(()),
        })
    });
}

fn takes(receiver: &mut Peer, command: &str, expected: Option<(Vec<u8>, u64)>) -> anyhow::Result<()> {
    let found = match receiver.ask(command)? {
        Observation::Message { hex, skipped, .. } => Some((hex::decode(hex)?, skipped)),
        Observation::Nothing => None,
        other => anyhow::bail!("{command}: {other:?}"),
    };
    anyhow::ensure!(found == expected, "{command}: {found:?}, expected {expected:?}");
    Ok(())
}
