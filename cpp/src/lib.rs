//! The bridge between the core and the C++ facade in `include/eshm/`.
//!
//! It converts, and decides nothing. A call with each message crosses it once, with plain words: errors cross as their
//! number, [`eshm::Error::code`], with 0 for success; the text stays here until the facade asks for it. cxx ends
//! the process when a panic reaches the bridge: none unwinds into C++.

mod convert;
mod handles;
mod observer;
mod schedule;
mod segments;

use handles::{Inspector, Opening, Receiver, Sender, decode, encode, open};
use observer::{Observer, Observing, observe};
use schedule::configure_monitor;
use segments::{remove_dead, segments};

#[cxx::bridge(namespace = "eshm::detail")]
mod ffi {
    #[namespace = "eshm"]
    #[repr(u8)]
    enum Role {
        #[cxx_name = "master"]
        Master,
        #[cxx_name = "slave"]
        Slave,
        #[cxx_name = "automatic"]
        Automatic,
    }

    #[namespace = "eshm"]
    #[repr(u8)]
    enum Disconnect {
        #[cxx_name = "immediately"]
        Immediately,
        #[cxx_name = "on_timeout"]
        OnTimeout,
        #[cxx_name = "never"]
        Never,
    }

    #[namespace = "eshm"]
    #[repr(u8)]
    enum WaitStrategy {
        #[cxx_name = "spin"]
        Spin,
        #[cxx_name = "spin_then_park"]
        SpinThenPark,
        #[cxx_name = "park"]
        Park,
    }

    #[namespace = "eshm"]
    #[repr(u8)]
    enum PeerState {
        #[cxx_name = "absent"]
        Absent,
        #[cxx_name = "alive"]
        Alive,
        #[cxx_name = "frozen"]
        Frozen,
        #[cxx_name = "dead"]
        Dead,
        #[cxx_name = "closed"]
        Closed,
    }

    /// The kinds of `eshm::Errc` that share their number with another kind.
    #[namespace = "eshm"]
    #[repr(i32)]
    enum Errc {
        #[cxx_name = "not_found"]
        NotFound = -103,
        #[cxx_name = "foreign"]
        Foreign = -203,
        #[cxx_name = "reconnecting"]
        Reconnecting = -110,
    }

    /// `eshm::Domain` of the facade.
    struct Place<'a> {
        has_directory: bool,
        directory: &'a [u8],
        has_prefix: bool,
        prefix: &'a [u8],
    }

    /// `eshm::Options` of the facade; times in nanoseconds.
    struct Settings<'a> {
        role: Role,
        has_data_size: bool,
        data_size: usize,
        has_queue_capacity: bool,
        queue_capacity: usize,
        wait: WaitStrategy,
        connect_timeout: i64,
        heartbeat_interval: i64,
        steady_heartbeat: bool,
        stale_threshold: i64,
        disconnect: Disconnect,
        has_reconnect_timeout: bool,
        reconnect_timeout: i64,
        reconnect_interval: i64,
        has_reconnect_attempts: bool,
        reconnect_attempts: u32,
        give_up: bool,
        auto_cleanup: bool,
        background: bool,
        mode: u32,
        mode_by_umask: bool,
        has_group: bool,
        group: u32,
        any_owner: bool,
        place: Place<'a>,
    }

    /// `eshm::Stats` of the facade; times in nanoseconds.
    struct Counters {
        master_heartbeat: u64,
        slave_heartbeat: u64,
        master_pid: i32,
        slave_pid: i32,
        master_alive: bool,
        slave_alive: bool,
        stale_threshold: u32,
        master_heartbeat_delta: u64,
        slave_heartbeat_delta: u64,
        m2s_write_count: u64,
        m2s_read_count: u64,
        s2m_write_count: u64,
        s2m_read_count: u64,
        skipped: u64,
        timeouts: u64,
        reconnects: u64,
        wakeups: u64,
        stalls: u64,
        messages_sent: u64,
        messages_received: u64,
        bytes_sent: u64,
        bytes_received: u64,
        m2s_queue_depth: u32,
        s2m_queue_depth: u32,
        m2s_queue_high_water: u32,
        s2m_queue_high_water: u32,
        room_waits: u64,
        room_wait_time: i64,
        unreceived: u64,
    }

    /// `eshm::SeatView` of the facade.
    struct SeenSeat {
        state: PeerState,
        pid: i32,
        heartbeat: u64,
        generation: u32,
        is_legacy: bool,
    }

    /// `eshm::DirectionView` of the facade.
    struct SeenDirection {
        written: u64,
        read: u64,
        waiting: u32,
        high_water: u32,
        slots: u32,
    }

    /// `eshm::View` of the facade.
    struct Seen {
        master: SeenSeat,
        slave: SeenSeat,
        master_to_slave: SeenDirection,
        slave_to_master: SeenDirection,
    }

    #[namespace = "eshm"]
    #[repr(u8)]
    enum SegmentKind {
        #[cxx_name = "current"]
        Current,
        #[cxx_name = "legacy"]
        Legacy,
        #[cxx_name = "unfinished"]
        Unfinished,
        #[cxx_name = "foreign"]
        Foreign,
        #[cxx_name = "unreadable"]
        Unreadable,
    }

    /// `eshm::Segment` of the facade, and why it was left.
    struct Found {
        name: String,
        path: Vec<u8>,
        kind: SegmentKind,
        reason: String,
        size: u64,
        owner: u32,
        owner_name: String,
        mode: u32,
        /// Nanoseconds since 1970; 0: not known.
        since: i64,
        has_view: bool,
        view: Seen,
        left_because: String,
    }

    extern "Rust" {
        type Opening;
        fn code(&self) -> i32;
        fn failure(&self) -> &str;
        fn sender(&mut self) -> Box<Sender>;
        fn receiver(&mut self) -> Box<Receiver>;
        fn inspector(&mut self) -> Box<Inspector>;
    }

    // Not `&[u8]`, which takes C++ two calls to make. What the pointers must be is said at the functions.
    extern "Rust" {
        type Sender;
        unsafe fn write(&mut self, data: *const u8, size: usize) -> i32;
        unsafe fn send(&mut self, data: *const u8, size: usize, wait: i64) -> i32;
        unsafe fn send_many(
            &mut self,
            messages: *const BytesView,
            count: usize,
            wait: i64,
            sent: &mut usize,
        ) -> i32;
        fn loan(&mut self, size: usize, wait: i64) -> *mut u8;
        fn send_loan(&mut self) -> i32;
        fn forget_loan(&mut self);
        fn code(&self) -> i32;
        fn failure(&self) -> &str;
    }

    extern "Rust" {
        type Receiver;
        fn read(&mut self, wait: i64, received: &mut Received) -> i32;
        fn recv(&mut self, wait: i64, received: &mut Received) -> i32;
        fn release(&mut self);
        fn recv_many(&mut self, most: usize, wait: i64, each: Pin<&mut Each>, received: &mut usize) -> i32;
        fn failure(&self) -> &str;
    }

    extern "Rust" {
        type Inspector;
        fn name(&self) -> &str;
        fn role(&self) -> Role;
        fn data_size(&self) -> usize;
        fn max_message(&self) -> usize;
        fn peer_state(&self) -> PeerState;
        fn generation(&self) -> u64;
        fn peer_is_legacy(&self) -> bool;
        fn unreceived(&self) -> u64;
        fn stop(&self);
        fn stats(&self, counters: &mut Counters, failure: &mut String) -> i32;
        fn wait_for_peer(&self, wait: i64, failure: &mut String) -> i32;
        fn check_removed(&self, failure: &mut String) -> i32;
        fn update_heartbeat(&self, failure: &mut String) -> i32;
    }

    extern "Rust" {
        type Observing;
        fn code(&self) -> i32;
        fn failure(&self) -> &str;
        fn observer(&mut self) -> Box<Observer>;
    }

    extern "Rust" {
        type Observer;
        fn name(&self) -> &str;
        fn is_current(&self) -> bool;
        fn data_size(&self) -> usize;
        fn max_message(&self) -> usize;
        fn look(&mut self, seen: &mut Seen);
    }

    extern "Rust" {
        fn observe(name: &[u8], any_owner: bool, place: &Place) -> Box<Observing>;
        fn open(name: &[u8], settings: &Settings) -> Box<Opening>;
        fn segments(place: &Place, found: &mut Vec<Found>, failure: &mut String) -> i32;
        fn remove_dead(
            place: &Place,
            dry_run: bool,
            removed: &mut Vec<Found>,
            left: &mut Vec<Found>,
            failure: &mut String,
        ) -> i32;
        fn configure_monitor(policy: u8, priority: i32, cpus: &[u32], failure: &mut String) -> i32;
        fn encode(text: &[u8], encoded: &mut Vec<u8>, failure: &mut String) -> i32;
        fn decode(bytes: &[u8], length: &mut usize, failure: &mut String) -> i32;
    }

    // SAFETY: that the signatures agree, cxx has the C++ compiler check; what the pointers must be is the caller's to
    // keep.
    unsafe extern "C++" {
        include!("eshm-cpp/src/bridge.h");

        #[namespace = "eshm"]
        type Errc;
        #[namespace = "eshm"]
        type Role;
        #[namespace = "eshm"]
        type Disconnect;
        #[namespace = "eshm"]
        type SegmentKind;
        #[namespace = "eshm"]
        type WaitStrategy;
        #[namespace = "eshm"]
        type PeerState;
        #[namespace = "eshm"]
        #[cxx_name = "bytes_view"]
        type BytesView = crate::handles::BytesView;
        type Received = crate::handles::Received;

        /// A function of the user's, for each message of a batch.
        type Each;
        /// Shows it the `size` bytes at `data`. Returns whether it wants to go on.
        unsafe fn hand(self: Pin<&mut Each>, data: *const u8, size: usize) -> bool;
    }
}
