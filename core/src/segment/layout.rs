//! Every byte of a segment: `ESHMData` and its parts, with their sizes and offsets asserted.
//!
//! The source of these facts is ESHM 1.x; the fields from [`Header::extension`] on lie in what is zero padding
//! there. `protocol/PROTOCOL.md` says who writes each field and when, `protocol/layout.json` repeats the
//! numbers for the other languages. Nothing here has behaviour.

#![allow(missing_docs, reason = "each field has its line below; PROTOCOL.md is its full description")]

use crate::sys::{AtomicI32, AtomicU32, AtomicU64, UnsafeCell};

/// `"ESHM"`, read as a big-endian number.
pub const MAGIC: u32 = 0x4553_484D;
/// The layout of ESHM 1.0: polling only.
pub const VERSION_POLLING: u32 = 2;
/// The layout of ESHM 1.1, 1.2 and ours: wake-ups, features and layout size.
pub const VERSION: u32 = 3;
/// [`Header::features`]: this segment's writers wake parked readers.
pub const FEATURE_WAKES: u32 = 1;
/// [`Header::extension`]: the fields from there on are valid.
pub const EXTENSION: u32 = 1;
/// [`Header::master_capabilities`]: this endpoint is no ESHM 1.x: it wakes its peer, and it says in
/// [`ChannelTail::taken`] what it has read.
pub const CAPABILITY_TAKEN: u32 = 1;

/// [`Header::master_capabilities`]: this endpoint speaks through the queues, on a segment that has them.
pub const CAPABILITY_QUEUE: u32 = 2;
/// [`Slot::len`]: the message lies in the arena, and the slot holds a [`Descriptor`].
pub const IN_ARENA: u32 = u32::MAX;
/// Bytes of a message that fits into its slot.
pub const SLOT_PAYLOAD: usize = 56;
/// The greatest data size of a channel, in bytes (64 MiB).
pub const MAX_DATA_SIZE: u32 = 64 << 20;
/// The greatest queue capacity, in bytes (64 GiB).
pub const MAX_QUEUE_CAPACITY: u64 = 64 << 30;

/// The greatest number of slots of a queue.
pub const MAX_QUEUE_SLOTS: u32 = 1 << 20;

/// The segment's first 128 bytes. Units are in the comments; all values are native endian.
#[repr(C, align(64))]
#[derive(Default)]
pub struct Header {
    /// [`MAGIC`], stored last when a segment is made.
    pub magic: AtomicU32,
    /// [`VERSION`] or [`VERSION_POLLING`].
    pub version: AtomicU32,
    /// Written by the master: +1 per heartbeat interval.
    pub master_heartbeat: AtomicU64,
    /// Written by the slave: +1 per heartbeat interval.
    pub slave_heartbeat: AtomicU64,
    /// The master's pid in its own PID namespace.
    pub master_pid: AtomicI32,
    /// The slave's pid in its own PID namespace.
    pub slave_pid: AtomicI32,
    /// 1 from attach to clean close.
    pub master_alive: AtomicU32,
    /// 1 from attach to clean close.
    pub slave_alive: AtomicU32,
    /// Written by the master: its stale threshold in milliseconds. A slave of ours beats by it.
    pub stale_threshold: AtomicU32,
    /// +1 for each master that starts on this segment, or replaces it.
    pub master_generation: AtomicU32,
    /// Bits: [`FEATURE_WAKES`].
    pub features: AtomicU32,
    /// Bytes: `size_of::<ESHMData<N>>()`.
    pub layout_size: AtomicU32,
    /// [`EXTENSION`], or 0 on a segment that an ESHM 1.x master made.
    pub extension: AtomicU32,
    /// Bytes: N, the greatest message.
    pub data_size: AtomicU32,
    /// Written by the master: [`CAPABILITY_TAKEN`]; valid while `master_signature == master_pid`.
    pub master_capabilities: AtomicU32,
    /// Written by the slave: as above.
    pub slave_capabilities: AtomicU32,
    /// The pid of the master that wrote `master_capabilities`: an ESHM 1.x master changes only `master_pid`.
    pub master_signature: AtomicI32,
    /// The pid of the slave that wrote `slave_capabilities`.
    pub slave_signature: AtomicI32,
    /// +1 for each of our slaves that attaches.
    pub slave_generation: AtomicU32,
    /// Slots of each queue: a power of two, 0 on a segment without queues.
    pub queue_slots: AtomicU32,
    /// Bytes: where the queue area starts; a multiple of 128, behind `ESHMData`.
    pub queue_offset: AtomicU64,
    /// Bytes: the greatest message of each queue.
    pub queue_capacity: AtomicU64,
    /// Written by the slave: its stale threshold in milliseconds, or 0 if it does not say. A master of ours beats by it.
    pub slave_stale_threshold: AtomicU32,
    /// Zero.
    pub reserved: [AtomicU32; 5],
}

/// A channel's first 8 bytes; its data follow.
#[repr(C)]
pub struct ChannelHead {
    /// Odd while the writer is at work; +2 per value.
    pub sequence: AtomicU32,
    /// Bytes of the current value, 0 ..= N.
    pub data_size: AtomicU32,
}

/// What follows a channel's data, at the next multiple of 8.
#[repr(C)]
pub struct ChannelTail {
    /// Values written.
    pub write_count: AtomicU64,
    /// Values read. Our reader brings it up to date every heartbeat interval, so that it need not touch this line with
    /// each value.
    pub read_count: AtomicU64,
    /// The futex word: +1 per value.
    pub wake_seq: AtomicU32,
    /// Readers that are parked on `wake_seq`, or about to be.
    pub waiters: AtomicU32,
    /// Zero.
    pub unused: [AtomicU32; 8],
    /// The `sequence` of the last value that our reader took, plus 1, or 0 before the first; not used by ESHM 1.x. If N is a multiple of 64, this
    /// starts a cache line: the reader writes it with each value, and the writer's line above stays the writer's.
    pub taken: AtomicU32,
    /// Writers that are parked on `taken`, or about to be.
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

/// A whole segment with channels of `N` bytes, as ESHM 1.x compiles it in.
///
/// The size of a real segment's channels is known at run time only: see [`Geometry`], which the assertions
/// below hold against this type.
#[repr(C)]
#[allow(clippy::upper_case_acronyms, reason = "the name that ESHM 1.x gave it")]
pub struct ESHMData<const N: usize = 4096> {
    pub header: Header,
    pub master_to_slave: Channel<N>,
    pub slave_to_master: Channel<N>,
}

/// A queue's indexes, each in cache lines of its own. (Two of 64 bytes: processors fetch lines in pairs.)
#[repr(C)]
pub struct QueueControl {
    /// Written by the receiver with each message it releases, read by the sender when it seems full: how many
    /// messages were released, modulo 2³². The futex word of a sender that waits for room.
    pub consumed: OwnLines,
    /// Written by the receiver when it parks, read by the sender with each message.
    pub receiver_parked: ParkedReceiver,
    /// What the sender writes and the receiver reads with each message.
    pub sender: SenderLines,
}

/// Whether, and where, the receiver is parked; with nothing else in its pair of cache lines.
#[repr(C, align(128))]
pub struct ParkedReceiver {
    /// Receivers that are parked on the mark of a slot, or about to be.
    pub count: AtomicU32,
    /// The message that the last of them waits for.
    pub number: AtomicU32,
}

/// What the sender says of itself; with nothing else in its pair of cache lines.
#[repr(C, align(128))]
pub struct SenderLines {
    /// Written by the sender when it parks, read by the receiver with each message: senders parked on `consumed`.
    pub parked: AtomicU32,
    /// Written by the sender's process when it grows, 0 ..= `queue_slots`: the most unreleased messages that it has seen.
    pub high_water: AtomicU32,
}

/// A number with nothing else in its pair of cache lines.
#[repr(C, align(128))]
pub struct OwnLines(pub AtomicU32);

/// One message's cache line.
#[repr(C, align(64))]
pub struct Slot {
    /// Message number i (from 0, modulo 2³²) is in slot i modulo `queue_slots`, and published once this is
    /// i + 1. Written by the sender, last. The futex word of a receiver that waits for this message.
    pub mark: AtomicU32,
    /// Bytes of the message, 0 ..= 56, or [`IN_ARENA`].
    pub len: AtomicU32,
    /// The message, or a [`Descriptor`].
    pub payload: UnsafeCell<[u8; SLOT_PAYLOAD]>,
}

/// Where a message lies that does not fit into its slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Bytes from the arena's start, a multiple of 64.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// 64 bytes of an arena.
#[repr(C, align(64))]
pub struct Block(pub UnsafeCell<[u8; 64]>);

/// Where the queues lie behind an `ESHMData`. All in bytes, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueGeometry {
    /// Where the area starts: a multiple of 128.
    pub offset: usize,
    /// The greatest message, and the arena's size but for rounding: 1 ..= 64 GiB.
    pub capacity: usize,
    /// Slots per queue: a power of two.
    pub slots: usize,
}

impl QueueGeometry {
    /// Queues of a capacity, for a segment whose `ESHMData` takes `layout` bytes: as many slots as there are
    /// messages of 256 bytes in the arena, but at least 64, and at most 65536.
    pub fn new(layout: usize, capacity: usize) -> Self {
        let slots = (capacity / 256).clamp(64, 65536).next_power_of_two();
        QueueGeometry { offset: layout.next_multiple_of(128), capacity, slots }
    }

    /// Blocks of 64 bytes in each arena.
    pub const fn blocks(self) -> usize {
        self.capacity.div_ceil(64)
    }

    /// Offset of a direction's [`QueueControl`] within the segment.
    pub const fn control(self, direction: Direction) -> usize {
        match direction {
            Direction::MasterToSlave => self.offset,
            Direction::SlaveToMaster => self.offset + self.size(),
        }
    }

    /// Offset of a direction's slots within the segment.
    pub const fn slots(self, direction: Direction) -> usize {
        self.control(direction) + size_of::<QueueControl>()
    }

    /// Offset of a direction's arena within the segment.
    pub const fn arena(self, direction: Direction) -> usize {
        self.slots(direction) + self.slots * size_of::<Slot>()
    }

    /// Bytes of one queue: a multiple of 128.
    pub const fn size(self) -> usize {
        (size_of::<QueueControl>() + self.slots * size_of::<Slot>() + self.blocks() * size_of::<Block>())
            .next_multiple_of(128)
    }

    /// Where the area ends.
    pub const fn end(self) -> usize {
        self.offset + 2 * self.size()
    }
}

/// Where the parts of a segment lie, for a data size that is known at run time. All in bytes.
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
    /// Offset of a channel's data within the channel.
    pub const DATA: usize = size_of::<ChannelHead>();

    /// Offset of the [`ChannelTail`] within its channel.
    pub const fn tail(self) -> usize {
        (Self::DATA + self.data_size).next_multiple_of(8)
    }

    /// Bytes of one channel: a multiple of 64.
    pub const fn channel_size(self) -> usize {
        (self.tail() + size_of::<ChannelTail>()).next_multiple_of(64)
    }

    /// Offset of a channel within the segment.
    pub const fn channel(self, direction: Direction) -> usize {
        match direction {
            Direction::MasterToSlave => size_of::<Header>(),
            Direction::SlaveToMaster => size_of::<Header>() + self.channel_size(),
        }
    }

    /// Bytes of the whole `ESHMData`.
    pub const fn total(self) -> usize {
        size_of::<Header>() + 2 * self.channel_size()
    }

    /// The data size of an ESHM 1.x segment of `total` bytes, if its N is a multiple of 64, as every size in
    /// use is. For another N the padding leaves several answers, and the attacher must be told.
    pub const fn from_total(total: usize) -> Option<Geometry> {
        let Some(channels) = total.checked_sub(size_of::<Header>()) else { return None };
        let channel = channels / 2;
        // A channel of N = 64 k is N bytes of data and 128 bytes of the rest.
        if !channels.is_multiple_of(128) || channel < 64 + 128 {
            return None;
        }
        Some(Geometry { data_size: channel - 128 })
    }
}

// loom's atomics have other sizes: the layout is that of the real ones.
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

    /// The run-time arithmetic gives what the compiler lays out.
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
        fn a_1x_segment_tells_its_data_size(blocks in 1usize..=1 << 20) {
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
