//! `protocol/layout.json`, which other languages test their layouts against, is the compiled layout.
//!
//! After a change of the layout: `ESHM_UPDATE_LAYOUT=1 cargo test -p eshm --test layout_json`.

#![recursion_limit = "256"]

use std::mem::offset_of;

use eshm::layout::{
    self, ChannelTail, Descriptor, Direction, ESHMData, Geometry, Header, QueueControl, QueueGeometry, Slot,
};
use serde_json::{Value, json};

macro_rules! fields {
    ($type:ty: $($field:ident)+) => {
        json!({
            "size": size_of::<$type>(),
            "fields": { $(stringify!($field): offset_of!($type, $field)),+ },
        })
    };
}

fn geometry(data_size: usize, queue_capacity: usize) -> Value {
    let geometry = Geometry { data_size };
    let queue = QueueGeometry::new(geometry.total(), queue_capacity);
    json!({
        "data_size": data_size,
        "channel_tail": geometry.tail(),
        "channel_size": geometry.channel_size(),
        "master_to_slave": geometry.channel(Direction::MasterToSlave),
        "slave_to_master": geometry.channel(Direction::SlaveToMaster),
        "layout_size": geometry.total(),
        "queue_capacity": queue_capacity,
        "queue_slots": queue.slots,
        "queue_offset": queue.offset,
        "queue_size": queue.size(),
        "segment_size": queue.end(),
    })
}

/// The names of the event FIFOs of a segment.
fn event_fifos(prefix: &str, segment: &str) -> Value {
    json!({
        "prefix": prefix,
        "segment": segment,
        "master": layout::event_fifo(prefix, 'm', segment),
        "slave": layout::event_fifo(prefix, 's', segment),
    })
}

fn layout_json() -> Value {
    json!({
        "magic": layout::MAGIC,
        "version": layout::VERSION,
        "version_polling": layout::VERSION_POLLING,
        "extension": layout::EXTENSION,
        "feature_wakes": layout::FEATURE_WAKES,
        "capability_taken": layout::CAPABILITY_TAKEN,
        "capability_queue": layout::CAPABILITY_QUEUE,
        "in_arena": layout::IN_ARENA,
        "slot_payload": layout::SLOT_PAYLOAD,
        "max_data_size": eshm::MAX_DATA_SIZE,
        "max_queue_capacity": layout::MAX_QUEUE_CAPACITY,
        "max_queue_slots": layout::MAX_QUEUE_SLOTS,
        "ESHMData": fields!(ESHMData: header master_to_slave slave_to_master),
        "header": fields!(Header: magic version master_heartbeat slave_heartbeat master_pid slave_pid master_alive
            slave_alive stale_threshold master_generation features layout_size extension data_size
            master_capabilities slave_capabilities master_signature slave_signature slave_generation queue_slots
            queue_offset queue_capacity slave_stale_threshold reserved),
        "channel_head": fields!(layout::ChannelHead: sequence data_size),
        "channel_tail": fields!(ChannelTail: write_count read_count wake_seq waiters unused taken taken_waiters
            reserved),
        "queue_control": fields!(QueueControl: consumed receiver_parked sender),
        "sender_lines": fields!(layout::SenderLines: parked high_water),
        "parked_receiver": fields!(layout::ParkedReceiver: count number),
        "slot": fields!(Slot: mark len payload),
        "descriptor": fields!(Descriptor: offset len),
        "waiters": {
            "count": layout::WAITERS_COUNT,
            "ordered": layout::WAITERS_ORDERED,
            "bell": layout::WAITERS_BELL,
            "in_vain": layout::WAITERS_IN_VAIN,
        },
        "event_byte": layout::EVENT_BYTE,
        "event_fifos": [
            event_fifos("eshm_", "robot"), event_fifos("eshm_", "größe"), event_fifos("", &"n".repeat(255)),
        ],
        "geometries": [
            geometry(4096, 256 << 10), geometry(1, 1), geometry(1000, 65), geometry(65536, 1 << 20),
            geometry(67108864, 1 << 30),
        ],
    })
}

#[test]
fn layout_json_is_the_compiled_layout() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/layout.json");
    let compiled = serde_json::to_string_pretty(&layout_json()).unwrap() + "\n";
    if std::env::var_os("ESHM_UPDATE_LAYOUT").is_some() {
        std::fs::write(path, &compiled).unwrap();
    }
    let written = std::fs::read_to_string(path).expect("protocol/layout.json exists");
    assert_eq!(written, compiled, "protocol/layout.json is out of date: see this file's first lines");
}
