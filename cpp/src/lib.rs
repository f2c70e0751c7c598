//! The bridge between the core and the C++ facade in `include/eshm/`.
//!
//! It converts, and decides nothing. Errors cross as their number, [`eshm::Error::code`], with 0 for success;
//! the text stays here until the facade asks for it, so that a call that succeeds pays nothing for it. cxx ends
//! the process when a panic reaches the bridge: none unwinds into C++.

mod convert;
mod handles;

use handles::{Opening, Receiver, Sender, decode, encode, open};

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

    /// `eshm::Options` of the facade; times in nanoseconds.
    struct Settings {
        role: Role,
        has_data_size: bool,
        data_size: usize,
        connect_timeout: i64,
        heartbeat_interval: i64,
        stale_threshold: i64,
        disconnect: Disconnect,
        reconnect_timeout: i64,
        reconnect_interval: i64,
        reconnect_attempts: u32,
        auto_cleanup: bool,
        background: bool,
        mode: u32,
        any_owner: bool,
    }

    /// `eshm::Stats` of the facade.
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
    }

    extern "Rust" {
        type Opening;
        fn code(&self) -> i32;
        fn failure(&self) -> &str;
        fn sender(&mut self) -> Box<Sender>;
        fn receiver(&mut self) -> Box<Receiver>;
    }

    extern "Rust" {
        type Sender;
        fn write(&mut self, bytes: &[u8]) -> i32;
        fn send(&mut self, bytes: &[u8], wait: i64) -> i32;
        fn wait_for_peer(&mut self, wait: i64) -> i32;
        fn failure(&self) -> &str;
        fn role(&self) -> Role;
        fn data_size(&self) -> usize;
        fn peer_state(&self) -> PeerState;
        fn generation(&self) -> u64;
        fn peer_is_legacy(&self) -> bool;
        fn stats(&mut self, counters: &mut Counters) -> i32;
    }

    extern "Rust" {
        type Receiver;
        fn read(&mut self, wait: i64, message: Pin<&mut Message>) -> i32;
        fn recv(&mut self, wait: i64, message: Pin<&mut Message>) -> i32;
        fn failure(&self) -> &str;
    }

    extern "Rust" {
        fn open(name: &[u8], settings: &Settings) -> Box<Opening>;
        fn encode(text: &[u8], encoded: &mut Vec<u8>, failure: &mut String) -> i32;
        fn decode(bytes: &[u8], length: &mut usize, failure: &mut String) -> i32;
    }

    // SAFETY: `fill` reads the bytes only until it returns, and touches nothing but the message; that the
    // signatures agree, cxx has the C++ compiler check.
    unsafe extern "C++" {
        include!("eshm-cpp/src/access.h");

        #[namespace = "eshm"]
        type Role;
        #[namespace = "eshm"]
        type Disconnect;
        #[namespace = "eshm"]
        type PeerState;
        #[namespace = "eshm"]
        type Message;

        /// Copies what was received into the facade's message.
        fn fill(message: Pin<&mut Message>, bytes: &[u8], skipped: u64, generation: u64);
    }
}
