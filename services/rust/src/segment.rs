//! ESHM: one segment per client, one message per frame.

pub mod client;
pub mod frame;
pub mod server;

use std::time::Duration;

use eshm::{Error, Sender};

use crate::status::{Outcome, Status};
use frame::{Body, Head};

/// How long either side waits at most before it looks whether the other is still there.
const SLICE: Duration = Duration::from_millis(100);
/// Frames up to this size, in bytes, are put together first and then copied: that is quicker than a loan.
const COPIED: usize = 4096;

/// What a frame has beside its body, in bytes, at most: its call, its kind, and the length of the body.
const HEAD: usize = 32;

/// How long the pieces of a long reply are at most, in bytes; `None`: the queue is too small for any.
fn piece_len(max_message: usize) -> Option<usize> {
    (max_message / 4).checked_sub(HEAD).filter(|len| *len > 0)
}

/// The segment of the `number`-th client.
fn segment_name(name: &str, number: usize) -> String {
    format!("{name}.{number}")
}

/// Sends a frame: a long one is written in place. While there is no room, `meanwhile` is called every `patience`; its error
/// ends the attempt.
fn send(
    sender: &mut Sender,
    scratch: &mut Vec<u8>,
    (head, body): (&Head<'_>, &impl Body),
    patience: Duration,
    mut meanwhile: impl FnMut() -> Outcome<()>,
) -> Outcome<()> {
    let size = head.frame_len(body);
    if size > sender.max_message() {
        return Err(Status::too_large(size, sender.max_message()));
    }
    if size <= COPIED {
        scratch.clear();
        head.write(body, scratch);
    }
    loop {
        let outcome = if size <= COPIED {
            sender.send_timeout(scratch, patience)
        } else {
            sender.loan_timeout(size, patience).and_then(|mut loan| {
                head.write(body, &mut &mut *loan);
                loan.send()
            })
        };
        match outcome {
            Ok(()) => return Ok(()),
            Err(Error::Timeout { .. }) => meanwhile()?,
            Err(error) => return Err(Status::unavailable(error.to_string())),
        }
    }
}
