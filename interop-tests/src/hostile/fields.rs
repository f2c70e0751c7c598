//! The fields of a segment, read from the written protocol: a field that is added there is attacked, too.

use anyhow::{Context, Result};
use eshm::layout::WAITERS_BELL;
use serde_json::{Map as Object, Value};

use crate::segment::{Map, Side};

/// The written protocol.
const LAYOUT: &str = include_str!("../../../protocol/layout.json");

/// A numeric field of a segment.
#[derive(Clone, Debug)]
pub struct Field {
    /// Part and name.
    pub name: String,
    /// The offset in the segment.
    pub offset: u64,
    /// 4 or 8 bytes.
    pub width: usize,
}

impl Field {
    /// Returns the border values: 0, 1, those around the middle and the end of the range, and the bit that asks for a ring of
    /// an event descriptor.
    pub fn borders(&self) -> Vec<u64> {
        let most = u64::MAX >> (64 - 8 * self.width);
        vec![0, 1, WAITERS_BELL.into(), most / 2, most / 2 + 1, most - 1, most]
    }

    /// Returns the bytes of the field for a value.
    pub fn bytes(&self, value: u64) -> Vec<u8> {
        if self.width == 4 { (value as u32).to_ne_bytes().to_vec() } else { value.to_ne_bytes().to_vec() }
    }
}

/// Returns the fields of the header.
///
/// # Errors
/// If the written protocol has none.
pub fn header() -> Result<Vec<Field>> {
    part("header", "header", 0)
}

/// Returns the fields of both mailboxes, and the first words of their data.
///
/// # Errors
/// If the written protocol has none.
pub fn channels(map: &Map) -> Result<Vec<Field>> {
    let mut fields = Vec::new();
    for side in [Side::Master, Side::Slave] {
        let (name, start) = (format!("{}'s mailbox", side.word()), map.channel(side));
        fields.extend(part(&name, "channel_head", start)?);
        fields.extend(part(&name, "channel_tail", start + (8 + map.data_size).next_multiple_of(8))?);
    }
    Ok(fields)
}

/// Returns the fields of both queues: their counts, and their first and last slots.
///
/// # Errors
/// If the written protocol has none.
pub fn queues(map: &Map) -> Result<Vec<Field>> {
    let mut fields = Vec::new();
    for side in [Side::Master, Side::Slave] {
        let queue = format!("{}'s queue", side.word());
        fields.extend(part(&queue, "queue_control", map.queue(side))?);
        let receiver = map.queue(side) + number(&layout()?, &["queue_control", "fields", "receiver_parked"])?;
        fields.extend(part(&queue, "parked_receiver", receiver)?);
        for slot in [0, 1, 2, map.queue_slots - 1] {
            let (name, start) = (format!("{queue}, slot {slot}"), map.slot(side, slot));
            fields.extend(part(&name, "slot", start)?);
            let payload = number(&layout()?, &["slot", "fields", "payload"])?;
            fields.extend(part(&name, "descriptor", start + payload)?);
        }
    }
    Ok(fields)
}

/// Returns the fields of the part of the written protocol at `start`. A field has 8 bytes
/// if the next one starts 8 bytes behind it, and 4 bytes otherwise.
fn part(name: &str, key: &str, start: u64) -> Result<Vec<Field>> {
    let layout = layout()?;
    let end = number(&layout, &[key, "size"])?;
    let fields = layout[key]["fields"].as_object().context("a part has fields")?;
    let mut places: Vec<(&str, u64)> = fields
        .iter()
        .map(|(field, at)| Ok((field.as_str(), at.as_u64().context("an offset is a number")?)))
        .collect::<Result<_>>()?;
    places.sort_by_key(|(_, at)| *at);
    let ends = places.iter().skip(1).map(|(_, at)| *at).chain([end]);
    let field = |((field, at), end): (&(&str, u64), u64)| Field {
        name: format!("{name}: {field}"),
        offset: start + at,
        width: if end - at == 8 { 8 } else { 4 },
    };
    Ok(places.iter().zip(ends).map(field).collect())
}

fn layout() -> Result<Object<String, Value>> {
    serde_json::from_str(LAYOUT).context("layout.json is an object")
}

fn number(layout: &Object<String, Value>, path: &[&str]) -> Result<u64> {
    let (first, rest) = path.split_first().context("a path has a first part")?;
    let value = rest.iter().fold(layout.get(*first), |value, key| value?.get(key));
    value.and_then(Value::as_u64).with_context(|| format!("layout.json has no {path:?}"))
}
