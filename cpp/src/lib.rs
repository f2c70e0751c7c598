//! The bridge between the core and the C++ facade in `include/eshm/`.
//!
//! It converts, and decides nothing: the verbs, their limits and the tables are those of [`eshm::raw`]. A call that sends or
//! receives crosses the bridge once, with plain words: it returns an `eshm::Errc`, 0 for success, and the error's text stays
//! here until the facade asks for it. A panic that reaches the bridge ends the process: cxx lets none unwind into C++.

mod attempt;
mod convert;
mod events;
mod handles;
mod inspect;
mod observe;

use convert::{decode, encode};
use events::{Events, WaitSet, events, wait_set};
use handles::{Opened, Receiver, Sender, open};
use inspect::{Inspector, Snapshot, configure_monitor};
use observe::{Observer, find_dead, observe, remove_dead, segments};

// Enumerators have the names and numbers of the C++ enums; cxx has the C++ compiler compare them.
#[allow(non_camel_case_types, non_upper_case_globals)]
#[cxx::bridge(namespace = "eshm::detail")]
mod ffi {
    #[namespace = "eshm"]
    #[repr(u8)]
    enum Role {
        master,
        slave,
        automatic,
    }

    #[namespace = "eshm"]
    #[repr(u8)]
    enum Disconnect {
        immediately,
        on_timeout,
        never,
    }

    #[namespace = "eshm"]
    #[repr(u8)]
    enum WaitStrategy {
        adaptive,
        spin,
        spin_then_park,
        park,
    }

    #[namespace = "eshm"]
    #[repr(u8)]
    enum PeerState {
        absent,
        alive,
        frozen,
        dead,
        closed,
    }

    #[namespace = "eshm"]
    #[repr(u8)]
    enum SegmentKind {
        current,
        legacy,
        unfinished,
        foreign,
        unreadable,
    }

    /// The kinds of `eshm::Errc` that share their number with another kind, and those that the bridge finds.
    #[namespace = "eshm"]
    #[repr(i32)]
    enum Errc {
        not_found = -103,
        foreign = -203,
        reconnecting = -110,
        forked = -18,
    }

    /// What calls return in the place of an `eshm::Errc`.
    #[repr(i32)]
    enum Code {
        /// Success.
        ok,
        /// Nothing came within the limit.
        nothing,
    }

    /// How a call ended: `code` is 0 or an `eshm::Errc`, whose text is `text`.
    #[derive(Default)]
    struct Outcome {
        code: i32,
        text: String,
    }

    /// `eshm::Domain` of the facade.
    struct Place<'a> {
        has_directory: bool,
        directory: &'a [u8],
        has_prefix: bool,
        prefix: &'a [u8],
    }

    /// `eshm::Options` of the facade, in the order of `eshm::raw::SETTINGS`; times in nanoseconds.
    struct Settings<'a> {
        place: Place<'a>,
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
    }

    /// `eshm::SeatView` of the facade.
    #[derive(Default)]
    struct SeenSeat {
        state: u8,
        pid: i32,
        heartbeat: u64,
        generation: u32,
        is_legacy: bool,
    }

    /// `eshm::DirectionView` of the facade.
    #[derive(Default)]
    struct SeenDirection {
        written: u64,
        read: u64,
        waiting: u32,
        high_water: u32,
        slots: u32,
    }

    /// `eshm::View` of the facade.
    #[derive(Default)]
    struct Seen {
        master: SeenSeat,
        slave: SeenSeat,
        master_to_slave: SeenDirection,
        slave_to_master: SeenDirection,
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
        /// Nanoseconds since 1970; 0: unknown.
        since: i64,
        has_view: bool,
        view: Seen,
        left_because: String,
    }

    extern "Rust" {
        type Opened;
        fn sender(&mut self) -> Box<Sender>;
        fn receiver(&mut self) -> Box<Receiver>;
        fn inspector(&mut self) -> Box<Inspector>;

        fn open(name: &[u8], settings: &Settings, outcome: &mut Outcome) -> Box<Opened>;
    }

    // Pointers and sizes in place of `&[u8]`, which costs C++ two calls to make and two to read.
    extern "Rust" {
        type Sender;
        unsafe fn write(&mut self, data: *const u8, size: usize) -> i32;
        unsafe fn send(&mut self, data: *const u8, size: usize, wait: i64) -> i32;
        fn send_many(&mut self, messages: &[BytesView], wait: i64, sent: &mut usize) -> i32;
        fn loan(&mut self, size: usize, wait: i64) -> *mut u8;
        fn send_loan(&mut self) -> i32;
        fn forget_loan(&mut self);
        unsafe fn attempt_send(&mut self, data: *const u8, size: usize) -> i32;
        fn attempt_send_many(&mut self, messages: &[BytesView], sent: &mut usize) -> i32;
        fn attempt_loan(&mut self, size: usize) -> *mut u8;
        fn outcome(&self) -> &Outcome;
    }

    extern "Rust" {
        type Receiver;
        fn read(&mut self, wait: i64, received: &mut Received) -> i32;
        fn recv(&mut self, wait: i64, received: &mut Received) -> i32;
        fn release(&mut self);
        fn attempt_recv(&mut self, received: &mut Received) -> i32;
        fn attempt_read(&mut self, received: &mut Received) -> i32;
        fn attempt_recv_many(&mut self, most: usize, each: Pin<&mut Each>, received: &mut usize) -> i32;
        fn recv_many(&mut self, most: usize, wait: i64, each: Pin<&mut Each>, received: &mut usize) -> i32;
        fn outcome(&self) -> &Outcome;
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
        fn stats(&self, outcome: &mut Outcome) -> Box<Snapshot>;
        fn wait_for_peer(&self, wait: i64, outcome: &mut Outcome);
        fn check_removed(&self, outcome: &mut Outcome);
        fn update_heartbeat(&self, outcome: &mut Outcome);
    }

    extern "Rust" {
        type Snapshot;
        fn value(&self, name: &str) -> i64;

        fn configure_monitor(policy: u8, priority: i32, cpus: &[u32], outcome: &mut Outcome);
    }

    extern "Rust" {
        type Events;
        fn descriptor(&self) -> i32;
        fn peer_state(&self) -> PeerState;

        fn events(inspector: &Inspector, interest: u32, outcome: &mut Outcome) -> Box<Events>;
    }

    extern "Rust" {
        type WaitSet;
        fn add(&self, events: &Events, token: u64, outcome: &mut Outcome);
        fn add_descriptor(&self, fd: i32, token: u64, outcome: &mut Outcome);
        fn remove(&self, token: u64, outcome: &mut Outcome);
        fn wait(&self, wait: i64, tokens: &mut [u64], outcome: &mut Outcome) -> usize;
        fn descriptor(&self) -> i32;

        fn wait_set(outcome: &mut Outcome) -> Box<WaitSet>;
    }

    extern "Rust" {
        type Observer;
        fn name(&self) -> &str;
        fn is_current(&self) -> bool;
        fn data_size(&self) -> usize;
        fn max_message(&self) -> usize;
        fn look(&mut self) -> Seen;

        fn observe(name: &[u8], any_owner: bool, place: &Place, outcome: &mut Outcome) -> Box<Observer>;
        fn segments(place: &Place, outcome: &mut Outcome) -> Vec<Found>;
        fn remove_dead(place: &Place, left: &mut Vec<Found>, outcome: &mut Outcome) -> Vec<Found>;
        fn find_dead(place: &Place, left: &mut Vec<Found>, outcome: &mut Outcome) -> Vec<Found>;
    }

    extern "Rust" {
        fn encode(text: &[u8], encoded: &mut Vec<u8>, outcome: &mut Outcome);
        fn decode(bytes: &[u8], outcome: &mut Outcome) -> usize;
    }

    // SAFETY: cxx has the C++ compiler check the signatures; the callers keep what the pointers must be.
    unsafe extern "C++" {
        include!("eshm-cpp/src/bridge.h");

        #[namespace = "eshm"]
        type Role;
        #[namespace = "eshm"]
        type Disconnect;
        #[namespace = "eshm"]
        type WaitStrategy;
        #[namespace = "eshm"]
        type PeerState;
        #[namespace = "eshm"]
        type SegmentKind;
        #[namespace = "eshm"]
        type Errc;
        type Code;
        #[namespace = "eshm"]
        #[cxx_name = "bytes_view"]
        type BytesView = crate::handles::BytesView;
        type Received = crate::handles::Received;

        /// A function of the user that is called with each message of a batch.
        type Each;
        /// Calls it with the `size` bytes at `data`. Returns false if it threw.
        unsafe fn hand(self: Pin<&mut Each>, data: *const u8, size: usize) -> bool;
    }
}
