//! The scenarios with continuous traffic.

use std::io;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use eshm::Role;

use crate::looped::Endpoint;
use crate::observe::{Observation, observe};
use crate::payload::{check, payload};
use crate::{Arguments, Failure};

/// The number of values that are written between two reads of `latest-value`.
const PACE: u64 = 100;
/// How long one side of `both-directions` or `stream` waits for one message before it does its other work.
const TURN: Duration = Duration::from_millis(1);

/// The master sends numbered messages and expects each back; the slave sends each back.
pub fn echo(endpoint: &mut Endpoint, arguments: &Arguments) -> Result<(), Failure> {
    let longest = endpoint.data_size();
    for number in 0..arguments.count {
        if endpoint.role() == Role::Master {
            endpoint.send_timeout(&payload(arguments.seed, number, longest), arguments.timeout())?;
        }
        let Some(message) = endpoint.recv_timeout(arguments.timeout())?.map(|message| message.to_vec())
        else {
            return Err(format!("message {number} did not come").into());
        };
        expect(check(&message, longest)?.1, number)?;
        if endpoint.role() == Role::Slave {
            endpoint.send_timeout(&message, arguments.timeout())?;
        }
    }
    observe(&Observation::Done { sent: arguments.count, received: arguments.count });
    Ok(())
}

/// The master writes values as fast as it can while the slave reads. Then they swap.
pub fn latest_value(endpoint: &mut Endpoint, arguments: &Arguments) -> Result<(), Failure> {
    endpoint.wait_for_peer(arguments.timeout())?;
    match endpoint.role() {
        Role::Slave => {
            read_values(endpoint, arguments)?;
            write_values(endpoint, arguments)
        }
        _ => {
            write_values(endpoint, arguments)?;
            read_values(endpoint, arguments)
        }
    }
}

fn write_values(endpoint: &mut Endpoint, arguments: &Arguments) -> Result<(), Failure> {
    let longest = endpoint.data_size();
    for number in 0..arguments.count {
        endpoint.write(&payload(arguments.seed, number, longest))?;
    }
    observe(&Observation::Written { count: arguments.count });
    Ok(())
}

/// Reads until the last value, letting at least `PACE` values be written from one read to the next.
fn read_values(endpoint: &mut Endpoint, arguments: &Arguments) -> Result<(), Failure> {
    let longest = endpoint.data_size();
    loop {
        let value =
            endpoint.read_timeout(arguments.timeout())?.map(|value| (value.to_vec(), value.skipped()));
        let Some((value, skipped)) = value else { return Err("no value came".to_owned().into()) };
        let number = check(&value, longest)?.1;
        observe(&Observation::Value { number, skipped });
        if number + 1 >= arguments.count {
            return Ok(());
        }
        let deadline = Instant::now() + arguments.timeout();
        while written(endpoint)? < (number + 1 + PACE).min(arguments.count) {
            if Instant::now() >= deadline {
                return Err(format!("nothing was written after value {number}").into());
            }
            thread::yield_now();
        }
    }
}

/// Returns how many values the peer has written.
fn written(endpoint: &Endpoint) -> Result<u64, Failure> {
    let stats = endpoint.stats()?;
    Ok(if endpoint.role() == Role::Master { stats.s2m_write_count } else { stats.m2s_write_count })
}

/// Both sides send and receive at once.
pub fn both_directions(endpoint: &mut Endpoint, arguments: &Arguments) -> Result<(), Failure> {
    let longest = endpoint.data_size();
    let (mut sent, mut received) = (0, 0);
    while sent < arguments.count || received < arguments.count {
        if sent < arguments.count && try_send(endpoint, &payload(arguments.seed, sent, longest))? {
            sent += 1;
        }
        if received < arguments.count
            && let Some(message) = endpoint.recv_timeout(TURN)?
        {
            expect(check(&message, longest)?.1, received)?;
            received += 1;
        }
    }
    observe(&Observation::Done { sent, received });
    Ok(())
}

/// Both sides send and receive at once, and say so message by message, until a line or the end of stdin
/// asks them to stop: then each sends an empty message, and leaves when it has had the other's.
pub fn stream(endpoint: &mut Endpoint, arguments: &Arguments) -> Result<(), Failure> {
    let longest = endpoint.data_size();
    let stop = stop_request();
    let (mut sent, mut received) = (0, 0);
    let (mut end_sent, mut end_received) = (false, false);
    let mut last_state = None;
    while !(end_sent && end_received) {
        let state = endpoint.peer_state();
        if last_state.replace(state) != Some(state) {
            observe(&Observation::Peer { state: state.to_string() });
        }
        if !end_sent && stop() {
            end_sent = try_send(endpoint, b"")?;
            if end_sent {
                observe(&Observation::EndSent);
            }
        } else if !end_sent && try_send(endpoint, &payload(arguments.seed, sent, longest))? {
            observe(&Observation::Sent { number: sent });
            sent += 1;
        }
        if end_sent && end_received {
            break; // The other side may have left, and a receive would say so.
        }
        // Released before it is reported, so that a killed process never leaves a reported message in the queue.
        let message = endpoint.recv_timeout(TURN)?.map(|message| (message.to_vec(), message.generation()));
        let Some((message, generation)) = message else { continue };
        if message.is_empty() {
            end_received = true;
            observe(&Observation::EndReceived);
            continue;
        }
        let (seed, number) = check(&message, longest)?;
        observe(&Observation::Received { seed, number, generation });
        received += 1;
    }
    observe(&Observation::Done { sent, received });
    Ok(())
}

/// Returns whether the message was sent. It is not if the previous one is unread, or the master is gone.
fn try_send(endpoint: &mut Endpoint, message: &[u8]) -> Result<bool, Failure> {
    match endpoint.try_send(message) {
        Ok(()) => Ok(true),
        Err(error) if error.is_transient() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn expect(found: u64, expected: u64) -> Result<(), Failure> {
    if found == expected { Ok(()) } else { Err(format!("message {found} came, expected {expected}").into()) }
}

/// Returns, without waiting, whether stdin has a line or has ended.
fn stop_request() -> impl Fn() -> bool {
    let (sender, receiver) = mpsc::channel::<()>();
    thread::spawn(move || {
        let _ = io::stdin().read_line(&mut String::new());
        drop(sender);
    });
    move || receiver.try_recv() == Err(TryRecvError::Disconnected)
}
