//! Every byte of a segment: `ESHMData` and its parts, with asserted sizes and offsets.
//!
//! The source of these facts is ESHM 1.x. The fields from [`Header::extension`] on lie in its zero padding.
//! `protocol/PROTOCOL.md` states which side writes each field and when. `protocol/layout.json` repeats the numbers
//! for the other languages. This module has no behaviour.

#![allow(missing_docs, reason = "each field has its line below; PROTOCOL.md is its full description")]

use crate::sys::{AtomicI32, AtomicU32, AtomicU64, UnsafeCell};
pub use crate::wait::{WAITERS_BELL, WAITERS_COUNT, WAITERS_IN_VAIN, WAITERS_ORDERED};

/// `"ESHM"`, read as a big-endian number.
pub const MAGIC: u32 = 0x4553_484D;
/// The layout of ESHM 1.0: polling only.
pub const VERSION_POLLING: u32 = 2;
/// The layout of ESHM 1.1, 1.2 and 2.0: wake-ups, features and layout size.
pub const VERSION: u32 = 3;
/// [`Header::features`]: the writers of this segment wake parked readers.
pub const FEATURE_WAKES: u32 = 1;
/// [`Header::extension`]: the fields after it are valid.
pub const EXTENSION: u32 = 1;
/// [`Header::master_capabilities`]: this endpoint is not ESHM 1.x. It wakes its peer, and it publishes in
/// [`ChannelTail::taken`] what it has read.
pub const CAPABILITY_TAKEN: u32 = 1;

/// [`Header::master_capabilities`]: this endpoint uses the queues of a segment that has them.
pub const CAPABILITY_QUEUE: u32 = 2;
/// [`Slot::len`]: the message lies in the arena, and the slot holds a [`Descriptor`].
pub const IN_ARENA: u32 = u32::MAX;
/// The size of the longest message that fits into its slot, in bytes.
pub const SLOT_PAYLOAD: usize = 56;
/// The greatest data size of a channel, in bytes (64 MiB).
pub const MAX_DATA_SIZE: u32 = 64 << 20;
/// The greatest queue capacity, in bytes (64 GiB).
pub const MAX_QUEUE_CAPACITY: u64 = 64 << 30;

/// The greatest number of slots of a queue.
pub const MAX_QUEUE_SLOTS: u32 = 1 << 20;

/// The byte that rings an event descriptor.
pub const EVENT_BYTE: u8 = 1;
/// What follows the prefix of the domain in the name of an event FIFO.
pub const EVENT_FIFO: &str = ".eshm-tmp-bell-";

/// Returns the file name of the event FIFO of the endpoint with this role, `m` or `s`.
pub fn event_fifo(prefix: &str, role: char, segment: &str) -> String {
    format!("{prefix}{EVENT_FIFO}{role}-{}", event_hash(segment))
}

/// Returns the part of the name of an event FIFO that stands for the segment: the FNV-1a hash of its name.
pub fn event_hash(segment: &str) -> String {
    let hash = segment
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// The first 128 bytes of a segment. The comments give the units. All values are native-endian.
#[repr(C, align(64))]
#[derive(Default)]
pub struct Header {
    /// [`MAGIC`]. The creator stores it last.
    pub magic: AtomicU32,
    /// [`VERSION`] or [`VERSION_POLLING`].
    pub version: AtomicU32,
    /// Written by the master: +1 per heartbeat interval.
    pub master_heartbeat: AtomicU64,
    /// Written by the slave: +1 per heartbeat interval.
    pub slave_heartbeat: AtomicU64,
    /// The pid of the master in its own PID namespace.
    pub master_pid: AtomicI32,
    /// The pid of the slave in its own PID namespace.
    pub slave_pid: AtomicI32,
    /// 1 from attach to clean close.
    pub master_alive: AtomicU32,
    /// 1 from attach to clean close.
    pub slave_alive: AtomicU32,
    /// Written by the master: its stale threshold in milliseconds. A slave of 2.0 derives its heartbeat interval from
    /// it.
    pub stale_threshold: AtomicU32,
    /// 1 for each master that starts on this segment or replaces it.
    pub master_generation: AtomicU32,
    /// Bits: [`FEATURE_WAKES`].
    pub features: AtomicU32,
    /// Bytes: `size_of::<ESHMData<N>>()`.
    pub layout_size: AtomicU32,
    /// [`EXTENSION`], or 0 on a segment that an ESHM 1.x master created.
    pub extension: AtomicU32,
    /// Bytes: N, the greatest message.
    pub data_size: AtomicU32,
    /// Written by the master: [`CAPABILITY_TAKEN`]. Valid while `master_signature == master_pid`.
    pub master_capabilities: AtomicU32,
    /// Written by the slave: the same for the slave.
    pub slave_capabilities: AtomicU32,
    /// The pid of the master that wrote `master_capabilities`. An ESHM 1.x master changes only `master_pid`.
    pub master_signature: AtomicI32,
    /// The pid of the slave that wrote `slave_capabilities`.
    pub slave_signature: AtomicI32,
    /// 1 for each slave of 2.0 that attaches.
    pub slave_generation: AtomicU32,
    /// Slots of each queue: a power of two, or 0 on a segment without queues.
    pub queue_slots: AtomicU32,
    /// Bytes: the start of the queue area, a multiple of 128 behind `ESHMData`.
    pub queue_offset: AtomicU64,
    /// Bytes: the greatest message of each queue.
    pub queue_capacity: AtomicU64,
    /// Written by the slave: its stale threshold in milliseconds, or 0 if it is not published. A master of 2.0
    /// derives its heartbeat interval from it.
    pub slave_stale_threshold: AtomicU32,
    /// Zero.
    pub reserved: [AtomicU32; 5],
}

/// The first 8 bytes of a channel. Its data follow.
#[repr(C)]
pub struct ChannelHead {
    /// Odd while the writer writes a value. +2 per value.
    pub sequence: AtomicU32,
    /// Bytes of the current value, 0 ..= N.
    pub data_size: AtomicU32,
}

/// The end of a channel, at the next multiple of 8 after its data.
#[repr(C)]
pub struct ChannelTail {
    /// Values written.
    pub write_count: AtomicU64,
    /// Values read. A reader of 2.0 updates it once per heartbeat interval, so that it does not write this cache line
    /// with each value.
    pub read_count: AtomicU64,
    /// The futex word: +1 per value.
    pub wake_seq: AtomicU32,
    /// Readers that are parked on `wake_seq`, or about to park.
    pub waiters: AtomicU32,
    /// Zero.
    pub unused: [AtomicU32; 8],
    /// The `sequence` of the last value that a reader of 2.0 has taken, plus 1; 0 before the first. ESHM 1.x does not
    /// use it. If N is a multiple of 64, this field starts a cache line: the reader writes it with each value, and
    /// the line above stays with the writer.
    pub taken: AtomicU32,
    /// Writers that are parked on `taken`, or about to park.
    pub taken_waiters: AtomicU32,
    /// Zero.
    pub reserved: [AtomicU32; 4],
}

/// One direction. `N` is its data size in bytes.
#[repr(C, align(64))]
pub struct Channel<const N: usize> {
    pub head: ChannelHead,
    pub data: [u8; N],
    pub tail: ChannelTail,
}

/// A whole segment with channels of `N` bytes, as compiled into ESHM 1.x.
///
/// The channel size of a real segment is known only at run time: see [`Geometry`]. The assertions below compare it
/// with this type.
#[repr(C)]
#[allow(clippy::upper_case_acronyms, reason = "the name that ESHM 1.x gave it")]
pub struct ESHMData<const N: usize = 4096> {
    pub header: Header,
    pub master_to_slave: Channel<N>,
    pub slave_to_master: Channel<N>,
}

/// The indexes of a queue, each in its own pair of cache lines. (Processors fetch cache lines of 64 bytes in pairs.)
#[repr(C)]
pub struct QueueControl {
    /// The number of released messages, modulo 2³². Written by the receiver with each release, read by the sender
    /// when the queue seems full. The futex word of a sender that waits for space.
    pub consumed: OwnLines,
    /// Written by the receiver when it parks, read by the sender with each message.
    pub receiver_parked: ParkedReceiver,
    /// Fields that the sender writes and the receiver reads with each message.
    pub sender: SenderLines,
}

/// The parked receiver. It has a pair of cache lines to itself.
#[repr(C, align(128))]
pub struct ParkedReceiver {
    /// Receivers that are parked on the mark of a slot, or about to park.
    pub count: AtomicU32,
    /// The number of the message for which the last of them waits.
    pub number: AtomicU32,
}

/// The fields of the sender. They have a pair of cache lines to themselves.
#[repr(C, align(128))]
pub struct SenderLines {
    /// Senders that are parked on `consumed`. Written by the sender when it parks, read by the receiver with each
    /// message.
    pub parked: AtomicU32,
    /// The highest number of unreleased messages that the process of the sender has seen, 0 ..= `queue_slots`.
    /// Written when it grows.
    pub high_water: AtomicU32,
}

/// A number that has a pair of cache lines to itself.
#[repr(C, align(128))]
pub struct OwnLines(pub AtomicU32);

/// The cache line of one message.
#[repr(C, align(64))]
pub struct Slot {
    /// Message number i (from 0, modulo 2³²) is in slot i modulo `queue_slots`. It is published once this is i + 1.
    /// The sender writes this field last. The futex word of a receiver that waits for this message.
    pub mark: AtomicU32,
    /// The length of the message in bytes, 0 ..= 56, or [`IN_ARENA`].
    pub len: AtomicU32,
    /// The message, or a [`Descriptor`].
    pub payload: UnsafeCell<[u8; SLOT_PAYLOAD]>,
}

/// The place of a message that does not fit into its slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Bytes from the start of the arena, a multiple of 64.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// 64 bytes of an arena.
#[repr(C, align(64))]
pub struct Block(pub UnsafeCell<[u8; 64]>);

/// The places of the queues behind an `ESHMData`. In bytes, unless noted otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueGeometry {
    /// The start of the queue area, a multiple of 128.
    pub offset: usize,
    /// The greatest message, and the size of the arena before rounding: 1 ..= 64 GiB.
    pub capacity: usize,
    /// Slots per queue: a power of two.
    pub slots: usize,
}

impl QueueGeometry {
    /// Returns the geometry of queues of this capacity, behind an `ESHMData` of `layout` bytes. The number of slots
    /// is that of messages of 256 bytes in the arena, at least 64 and at most 65536.
    pub fn new(layout: usize, capacity: usize) -> Self {
        let slots = (capacity / 256).clamp(64, 65536).next_power_of_two();
        QueueGeometry { offset: layout.next_multiple_of(128), capacity, slots }
    }

    /// Returns the number of 64-byte blocks in each arena.
    pub const fn blocks(self) -> usize {
        self.capacity.div_ceil(64)
    }

    /// Returns the offset of the [`QueueControl`] of a direction within the segment.
    pub const fn control(self, direction: Direction) -> usize {
        match direction {
            Direction::MasterToSlave => self.offset,
            Direction::SlaveToMaster => self.offset + self.size(),
        }
    }

    /// Returns the offset of the slots of a direction within the segment.
    pub const fn slots(self, direction: Direction) -> usize {
        self.control(direction) + size_of::<QueueControl>()
    }

    /// Returns the offset of the arena of a direction within the segment.
    pub const fn arena(self, direction: Direction) -> usize {
        self.slots(direction) + self.slots * size_of::<Slot>()
    }

    /// Returns the size of one queue in bytes, a multiple of 128.
    pub const fn size(self) -> usize {
        (size_of::<QueueControl>() + self.slots * size_of::<Slot>() + self.blocks() * size_of::<Block>())
            .next_multiple_of(128)
    }

    /// Returns the end of the queue area.
    pub const fn end(self) -> usize {
        self.offset + 2 * self.size()
    }
}

/// The places of the parts of a segment, for a data size that is known at run time. In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// N: the greatest message, 1 ..= 64 MiB.
    pub data_size: usize,
}

/// One of the two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    MasterToSlave,
    SlaveToMaster,
}

impl Geometry {
    /// The offset of the data within a channel.
    pub const DATA: usize = size_of::<ChannelHead>();

    /// Returns the offset of the [`ChannelTail`] within its channel.
    pub const fn tail(self) -> usize {
        (Self::DATA + self.data_size).next_multiple_of(8)
    }

    /// Returns the size of one channel in bytes, a multiple of 64.
    pub const fn channel_size(self) -> usize {
        (self.tail() + size_of::<ChannelTail>()).next_multiple_of(64)
    }

    /// Returns the offset of a channel within the segment.
    pub const fn channel(self, direction: Direction) -> usize {
        match direction {
            Direction::MasterToSlave => size_of::<Header>(),
            Direction::SlaveToMaster => size_of::<Header>() + self.channel_size(),
        }
    }

    /// Returns the size of the whole `ESHMData` in bytes.
    pub const fn total(self) -> usize {
        size_of::<Header>() + 2 * self.channel_size()
    }

    /// Returns the data size of an ESHM 1.x segment of `total` bytes, if its N is a multiple of 64, as every size in
    /// use is. For another N the padding allows several answers, and the caller must configure the size.
    pub const fn from_total(total: usize) -> Option<Geometry> {
        let Some(channels) = total.checked_sub(size_of::<Header>()) else { return None };
        let channel = channels / 2;
        // A channel of N = 64 k has N bytes of data and 128 other bytes.
        if !channels.is_multiple_of(128) || channel < 64 + 128 {
            return None;
        }
        Some(Geometry { data_size: channel - 128 })
    }
}

// The atomics of loom have other sizes. The layout is that of the real ones.
#[cfg(not(loom))]
mod asserts {
    use super::*;
    use std::mem::offset_of;

    macro_rules! offsets {
        ($type:ty: $($field:ident $offset:literal),+ ; size $size:literal, align $align:literal) => {
            const _: () = {
                $(assert!(offset_of!($type, $field) == $offset);)+
                assert!(size_of::<$type>() == $size);
                assert!(align_of::<$type>() == $align);
            };
        };
    }

    offsets!(Header: magic 0, version 4, master_heartbeat 8, slave_heartbeat 16, master_pid 24, slave_pid 28,
        master_alive 32, slave_alive 36, stale_threshold 40, master_generation 44, features 48,
        layout_size 52, extension 56, data_size 60, master_capabilities 64, slave_capabilities 68,
        master_signature 72, slave_signature 76, slave_generation 80,
        queue_slots 84, queue_offset 88, queue_capacity 96,
        slave_stale_threshold 104, reserved 108; size 128, align 64);
    offsets!(ChannelHead: sequence 0, data_size 4; size 8, align 4);
    offsets!(ChannelTail: write_count 0, read_count 8, wake_seq 16, waiters 20, unused 24, taken 56,
        taken_waiters 60, reserved 64; size 80, align 8);
    offsets!(Channel<4096>: head 0, data 8, tail 4104; size 4224, align 64);
    offsets!(QueueControl: consumed 0, receiver_parked 128, sender 256; size 384, align 128);
    offsets!(SenderLines: parked 0, high_water 4; size 128, align 128);
    offsets!(ParkedReceiver: count 0, number 4; size 128, align 128);
    offsets!(Slot: mark 0, len 4, payload 8; size 64, align 64);
    offsets!(Descriptor: offset 0, len 8; size 16, align 8);
    const _: () = assert!(size_of::<Block>() == 64 && align_of::<Block>() == 64);
    offsets!(ESHMData<4096>: header 0, master_to_slave 128, slave_to_master 4352; size 8576, align 64);

    /// Asserts that the run-time arithmetic agrees with the layout of the compiler.
    macro_rules! geometry {
        ($($n:literal)+) => {$(
            const _: () = {
                let geometry = Geometry { data_size: $n };
                assert!(geometry.tail() == offset_of!(Channel<$n>, tail));
                assert!(geometry.channel_size() == size_of::<Channel<$n>>());
                assert!(geometry.channel(Direction::MasterToSlave) == offset_of!(ESHMData<$n>, master_to_slave));
                assert!(geometry.channel(Direction::SlaveToMaster) == offset_of!(ESHMData<$n>, slave_to_master));
                assert!(geometry.total() == size_of::<ESHMData<$n>>());
            };
        )+};
    }
    geometry!(1 7 8 9 40 41 48 63 64 65 1000 4095 4096 4097 65536 67108864);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_size_of_a_1x_segment_determines_its_data_size(blocks in 1usize..=1 << 20) {
            let geometry = Geometry { data_size: blocks * 64 };
            prop_assert_eq!(Geometry::from_total(geometry.total()), Some(geometry));
        }

        #[test]
        fn no_total_is_misread(total in 0usize..1 << 28) {
            if let Some(geometry) = Geometry::from_total(total) {
                prop_assert_eq!(geometry.total(), total);
            }
        }
    }
}
