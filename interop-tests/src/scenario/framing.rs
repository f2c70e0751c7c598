//! Messages keep their length and their bytes.

use anyhow::{Result, ensure};

use super::{CommandPair, Side, Stage, word};
use crate::observe::Observation;
use crate::payload::payload;
use crate::segment::Segment;

/// Data sizes: the default, the least, one that is not a multiple of 8, and one of many pages.
const SIZES: [Option<usize>; 4] = [None, Some(1), Some(100), Some(1 << 16)];
/// The longest message that fits into the cache line of its mark.
const IN_SLOT: usize = 56;
/// The time-out of a receive: longer than any message takes, shorter than the watchdog.
const SOON: u64 = 10_000;

/// The strings of the guide have the lengths that it names: with a terminator from the C++ master, without one from the
/// Python master.
const GUIDE: [(&str, usize); 2] = [("Hello from master #0\0", 21), ("Hello from Python master #0", 27)];
const TEXTS: [&str; 4] = ["", "Hello from master #0", "ACK from slave #0", "größer als Ωmega, 日本語, 🤖"];

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let mut pair = stage.command_pair()?;
    for size in SIZES {
        let segment = Segment::fresh("framing");
        pair.open(&segment, size)?;
        let map = segment.map()?;
        for side in [Side::Master, Side::Slave] {
            lengths(&mut pair, side, map.data_size as usize, "write", "read")?;
            if size.is_none() {
                // The capacity of the queue does not depend on the data size.
                lengths(&mut pair, side, map.queue_capacity as usize, "send", "recv")?;
            }
        }
        pair.close(&segment)?;
    }
    let segment = Segment::fresh("framing");
    pair.open(&segment, None)?;
    for side in [Side::Master, Side::Slave] {
        texts(&mut pair, side)?;
    }
    pair.close(&segment)?;
    pair.finish()
}

/// Sends messages of no byte, of one, of the lengths around the one where a queue begins to use its arena, of one less
/// than the limit and of the limit. Then sends one byte too many, which must change nothing.
fn lengths(pair: &mut CommandPair, from: Side, size: usize, send: &str, receive: &str) -> Result<()> {
    let (sender, receiver) = pair.way(from);
    let noise = payload(7, 0, 4099);
    let content = |length: usize| noise.repeat(length.div_ceil(noise.len()))[..length].to_vec();
    for length in
        [0, 1, IN_SLOT, IN_SLOT + 1, size.saturating_sub(1), size].into_iter().filter(|&it| it <= size)
    {
        let message = content(length);
        sender.expect(&format!("{send} {}", word(&message)), &Observation::Ok)?;
        receiver.receives(&format!("{receive} {SOON}"), &message)?;
    }
    let refusal = sender.refuses(&format!("{send} {}", word(&content(size + 1))), -13)?;
    for number in [size + 1, size] {
        ensure!(refusal.contains(&format!("{number} bytes")), "{refusal:?} does not say {number} bytes");
    }
    receiver.expect(&format!("try-{receive}"), &Observation::Nothing)?;
    sender.expect(&format!("{send} 2b"), &Observation::Ok)?;
    receiver.receives(&format!("{receive} {SOON}"), b"+")
}

/// Text is sent with its terminator and received as text. Either end refuses bytes that are not text.
fn texts(pair: &mut CommandPair, from: Side) -> Result<()> {
    let (sender, receiver) = pair.way(from);
    for (wire, length) in GUIDE {
        ensure!(wire.len() == length, "{wire:?} takes {} bytes, expected {length}", wire.len());
        for receive in ["recv 10000", "recv-text"] {
            sender.expect(&format!("send {}", word(wire.as_bytes())), &Observation::Ok)?;
            match receive {
                "recv-text" => receiver.expect(receive, &text(wire.trim_end_matches('\0')))?,
                _ => receiver.receives(receive, wire.as_bytes())?,
            }
        }
    }
    for sent in TEXTS {
        for receive in ["recv 10000", "recv-text"] {
            sender.expect(&format!("send-text {}", word(sent.as_bytes())), &Observation::Ok)?;
            match receive {
                "recv-text" => receiver.expect(receive, &text(sent))?,
                _ => receiver.receives(receive, &[sent.as_bytes(), b"\0"].concat())?,
            }
        }
    }
    sender.refuses(&format!("send-text {}", word(b"a\0b")), -1)?;
    receiver.expect("try-recv", &Observation::Nothing)?;
    for wire in [&b"a\0b\0"[..], b"\xff\xfe\0"] {
        sender.expect(&format!("send {}", word(wire)), &Observation::Ok)?;
        receiver.refuses("recv-text", -1)?;
    }
    Ok(())
}

fn text(text: &str) -> Observation {
    Observation::Text { text: text.to_owned() }
}
