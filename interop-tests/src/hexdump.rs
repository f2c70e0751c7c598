//! The bytes of a segment as people read them: one line per field, offset, hexadecimal, name, value.
//!
//! The fields are those of `protocol/layout.json`: a snapshot shows what a process wrote where the protocol says so.

use std::fmt::Write;

use serde_json::Value;

const LAYOUT: &str = include_str!("../../protocol/layout.json");

/// Fields whose value differs from run to run; that there is one, or none, does not.
const VARIABLE: [&str; 6] =
    ["master_heartbeat", "slave_heartbeat", "master_pid", "slave_pid", "master_signature", "slave_signature"];
/// Fields that are updated from time to time.
const DELAYED: [&str; 1] = ["read_count"];
/// Fields that are bytes and no number.
const BYTES: [&str; 3] = ["payload", "reserved", "unused"];

/// Bytes of data in one line.
const ROW: usize = 16;

/// The header of a segment.
pub fn header(segment: &[u8]) -> String {
    let mut text = String::new();
    part(&mut text, segment, 0, "header");
    text
}

/// The channel that starts at `start`, with room for `data_size` bytes.
pub fn channel(segment: &[u8], start: usize, data_size: usize) -> String {
    let mut text = String::new();
    let data = part(&mut text, segment, start, "channel_head");
    let tail = start + (8 + data_size).next_multiple_of(8);
    rows(&mut text, data, &segment[data..tail], "data");
    part(&mut text, segment, tail, "channel_tail");
    text
}

/// The queue that starts at `start`, with its first `slots` slots.
pub fn queue(segment: &[u8], start: usize, slots: usize) -> String {
    let mut text = String::new();
    let mut offset = part(&mut text, segment, start, "queue_control");
    for _ in 0..slots {
        offset = part(&mut text, segment, offset, "slot");
    }
    text
}

/// Writes the fields of one part of the layout, and returns the offset behind it.
fn part(text: &mut String, segment: &[u8], start: usize, name: &str) -> usize {
    let layout: Value = serde_json::from_str(LAYOUT).expect("layout.json is JSON");
    let part = &layout[name];
    let number = |value: &Value| value.as_u64().expect("offsets and sizes are numbers") as usize;
    let fields = part["fields"].as_object().expect("a part has fields");
    let mut fields: Vec<(usize, &str)> =
        fields.iter().map(|(name, offset)| (number(offset), name.as_str())).collect();
    fields.sort_unstable();
    let size = number(&part["size"]);
    let ends = fields.iter().skip(1).map(|(offset, _)| *offset).chain([size]);
    for ((offset, name), end) in fields.iter().zip(ends) {
        field(text, start + offset, &segment[start + offset..start + end], name);
    }
    start + size
}

/// Writes one field, and what lies between it and the next one.
fn field(text: &mut String, offset: usize, bytes: &[u8], name: &str) {
    if BYTES.contains(&name) {
        return rows(text, offset, bytes, name);
    }
    let (number, padding) = bytes.split_at(if bytes.len() == 8 { 8 } else { 4 });
    let zero = number.iter().all(|&byte| byte == 0);
    let hidden = "..".repeat(number.len());
    if VARIABLE.contains(&name) {
        line(text, offset, &hidden, &format!("{name} = <{}>", if zero { "zero" } else { "not zero" }));
    } else if DELAYED.contains(&name) {
        line(text, offset, &hidden, name);
    } else {
        line(text, offset, &hex::encode(number), &format!("{name} = {}", value(number)));
    }
    if !padding.is_empty() {
        rows(text, offset + number.len(), padding, "padding");
    }
}

/// The number in a field of four or eight bytes.
fn value(bytes: &[u8]) -> u64 {
    match bytes.try_into() {
        Ok(word) => u32::from_ne_bytes(word).into(),
        Err(_) => u64::from_ne_bytes(bytes.try_into().expect("four or eight bytes")),
    }
}

/// Bytes that are no number, row by row, or in short if they are zero.
fn rows(text: &mut String, offset: usize, bytes: &[u8], name: &str) {
    if bytes.iter().all(|&byte| byte == 0) {
        return line(text, offset, &format!("{} x 00", bytes.len()), name);
    }
    for (index, row) in bytes.chunks(ROW).enumerate() {
        let shown: String =
            row.iter().map(|&byte| if byte.is_ascii_graphic() { byte as char } else { '.' }).collect();
        line(text, offset + index * ROW, &hex::encode(row), &format!("{name} {shown}"));
    }
}

fn line(text: &mut String, offset: usize, bytes: &str, meaning: &str) {
    let _ = writeln!(text, "{offset:6}  {bytes:32}  {meaning}");
}
