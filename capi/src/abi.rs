//! The structures of `include/eshm.h`, field by field. `tests/layout.rs` holds them against a C compiler.
//!
//! An enum is a plain integer here, and a `bool` of C is a byte: a C program can put values there that Rust's types
//! do not allow.

use std::ffi::{c_char, c_void};

/// `enum ESHMRole`.
pub const ROLE_MASTER: u32 = 0;
/// See [`ROLE_MASTER`].
pub const ROLE_SLAVE: u32 = 1;
/// See [`ROLE_MASTER`].
pub const ROLE_AUTO: u32 = 2;

/// `enum ESHMWakeupMode`.
pub const WAKEUP_PUSH: u32 = 0;
/// See [`WAKEUP_PUSH`].
pub const WAKEUP_POLL: u32 = 1;

/// `enum ESHMSegmentKind`.
pub const SEGMENT_CURRENT: u32 = 0;
/// See [`SEGMENT_CURRENT`].
pub const SEGMENT_LEGACY: u32 = 1;
/// See [`SEGMENT_CURRENT`].
pub const SEGMENT_UNFINISHED: u32 = 2;
/// See [`SEGMENT_CURRENT`].
pub const SEGMENT_FOREIGN: u32 = 3;
/// See [`SEGMENT_CURRENT`].
pub const SEGMENT_UNREADABLE: u32 = 4;

/// `enum ESHMInterest`: the bits of [`eshm::Interest`].
pub const INTEREST_READABLE: u32 = 1;
/// See [`INTEREST_READABLE`].
pub const INTEREST_VALUE: u32 = 2;
/// See [`INTEREST_READABLE`].
pub const INTEREST_WRITABLE: u32 = 4;
/// See [`INTEREST_READABLE`].
pub const INTEREST_PEER: u32 = 8;

/// `ESHM_TIMEOUT_INFINITE`.
pub const TIMEOUT_INFINITE: u32 = u32::MAX;
/// `ESHM_NO_QUEUE`.
pub const NO_QUEUE: usize = usize::MAX;

/// `ESHMConfig`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "the header describes every field")]
pub struct Config {
    pub shm_name: *const c_char,
    pub role: u32,
    pub disconnect_behavior: u32,
    pub stale_threshold_ms: u32,
    pub reconnect_wait_ms: u32,
    pub reconnect_retry_interval_ms: u32,
    pub max_reconnect_attempts: u32,
    pub auto_cleanup: u8,
    pub use_threads: u8,
}

/// `ESHMOptions`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "the header describes every field")]
pub struct Options {
    pub struct_size: usize,
    pub name: *const c_char,
    pub directory: *const c_char,
    pub prefix: *const c_char,
    pub role: u32,
    pub wait: u32,
    pub data_size: usize,
    pub queue_capacity: usize,
    pub connect_timeout_ms: u32,
    pub heartbeat_interval_ms: u32,
    pub stale_threshold_ms: u32,
    pub disconnect: u32,
    pub reconnect_timeout_ms: u32,
    pub reconnect_interval_ms: u32,
    pub reconnect_attempts: u32,
    pub mode: u32,
    pub group: i64,
    pub mode_by_umask: u8,
    pub any_owner: u8,
    pub steady_heartbeat: u8,
    pub give_up: u8,
    pub auto_cleanup: u8,
    pub background: u8,
}

/// `ESHMSeatView`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "the header describes every field")]
pub struct SeatView {
    pub state: u32,
    pub pid: i32,
    pub heartbeat: u64,
    pub generation: u32,
    pub is_legacy: bool,
}

/// `ESHMDirectionView`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "the header describes every field")]
pub struct DirectionView {
    pub written: u64,
    pub read: u64,
    pub waiting: u32,
    pub high_water: u32,
    pub slots: u32,
}

/// `ESHMView`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "the header describes every field")]
pub struct View {
    pub struct_size: usize,
    pub is_current: bool,
    pub data_size: usize,
    pub max_message: usize,
    pub master: SeatView,
    pub slave: SeatView,
    pub master_to_slave: DirectionView,
    pub slave_to_master: DirectionView,
}

/// `ESHMStats`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "the header describes every field")]
pub struct Stats {
    pub master_heartbeat: u64,
    pub slave_heartbeat: u64,
    pub master_pid: i32,
    pub slave_pid: i32,
    pub master_alive: bool,
    pub slave_alive: bool,
    pub stale_threshold: u32,
    pub master_heartbeat_delta: u64,
    pub slave_heartbeat_delta: u64,
    pub m2s_write_count: u64,
    pub m2s_read_count: u64,
    pub s2m_write_count: u64,
    pub s2m_read_count: u64,
}

/// `ESHMInfo`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "the header describes every field")]
pub struct Info {
    pub struct_size: usize,
    pub peer_state: u32,
    pub peer_is_legacy: bool,
    pub generation: u64,
    pub data_size: usize,
    pub max_message: usize,
    pub skipped: u64,
    pub reconnects: u64,
    pub wakeups: u64,
    pub timeouts: u64,
    pub stalls: u64,
    pub messages_sent: u64,
    pub messages_received: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub m2s_queue_depth: u32,
    pub s2m_queue_depth: u32,
    pub m2s_queue_high_water: u32,
    pub s2m_queue_high_water: u32,
    pub room_waits: u64,
    pub room_wait_time_ns: u64,
    pub unreceived: u64,
}

/// `ESHMSegment`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "the header describes every field")]
pub struct Segment {
    pub name: *const c_char,
    pub path: *const c_char,
    pub kind: u32,
    pub reason: *const c_char,
    pub size: u64,
    pub owner: u32,
    pub owner_name: *const c_char,
    pub mode: u32,
    pub since_ns: i64,
    pub has_seats: bool,
    pub master_state: u32,
    pub slave_state: u32,
    pub master_pid: i32,
    pub slave_pid: i32,
    pub m2s_waiting: u32,
    pub m2s_slots: u32,
    pub s2m_waiting: u32,
    pub s2m_slots: u32,
    pub removed: bool,
    pub left_because: *const c_char,
}

/// `ESHMBuffer`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "the header describes every field")]
pub struct Buffer {
    pub data: *const c_void,
    pub size: usize,
}
