//! The bytes of a segment as ESHM 1.x knows it, and a heartbeat as its processes have.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use eshm::Role;

use super::Name;

pub const DATA: usize = 4096;
pub const TOTAL: u64 = 8576;
pub const VERSIONS: [u32; 2] = [2, 3];

// Offsets in the header.
pub const MASTER_HEARTBEAT: u64 = 8;
pub const SLAVE_HEARTBEAT: u64 = 16;
pub const MASTER_PID: u64 = 24;
pub const SLAVE_PID: u64 = 28;
pub const MASTER_ALIVE: u64 = 32;
pub const SLAVE_ALIVE: u64 = 36;
pub const GENERATION: u64 = 44;

// Offsets of the channels, and within a channel.
pub const MASTER_TO_SLAVE: u64 = 128;
pub const SLAVE_TO_MASTER: u64 = 4352;
pub const SEQUENCE: u64 = 0;
pub const SIZE: u64 = 4;
pub const BYTES: u64 = 8;
pub const WRITE_COUNT: u64 = 4104;
pub const READ_COUNT: u64 = 4112;
pub const WAKE_SEQ: u64 = 4120;

/// A segment as ESHM 1.x sees it.
pub struct Legacy {
    pub file: File,
}

impl Legacy {
    /// What an ESHM 1.x master makes.
    pub fn make(name: &Name, version: u32) -> Legacy {
        let file = File::create_new(name.path()).unwrap();
        file.set_len(TOTAL).unwrap();
        drop(file);
        let segment = Legacy::open(name);
        segment.set_u32(4, version);
        segment.set_u32(40, 100);
        segment.set_u32(GENERATION, 1);
        if version == 3 {
            segment.set_u32(48, 1);
            segment.set_u32(52, TOTAL as u32);
        }
        segment.sit_down(Role::Master, std::process::id());
        segment.set_u32(0, 0x4553_484D);
        segment
    }

    pub fn open(name: &Name) -> Legacy {
        Legacy { file: File::options().read(true).write(true).open(name.path()).unwrap() }
    }

    pub fn sit_down(&self, role: Role, pid: u32) {
        let (at, alive) =
            if role == Role::Master { (MASTER_PID, MASTER_ALIVE) } else { (SLAVE_PID, SLAVE_ALIVE) };
        self.set_u32(at, pid);
        self.set_u32(alive, 1);
    }

    pub fn u32(&self, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        self.file.read_exact_at(&mut bytes, offset).unwrap();
        u32::from_ne_bytes(bytes)
    }

    pub fn u64(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, offset).unwrap();
        u64::from_ne_bytes(bytes)
    }

    pub fn set_u32(&self, offset: u64, value: u32) {
        self.file.write_all_at(&value.to_ne_bytes(), offset).unwrap();
    }

    pub fn set_u64(&self, offset: u64, value: u64) {
        self.file.write_all_at(&value.to_ne_bytes(), offset).unwrap();
    }

    /// Writes a value as ESHM 1.0 does: without waking anybody.
    pub fn write(&self, channel: u64, bytes: &[u8]) {
        self.write_announcing(channel, bytes, bytes.len() as u32);
    }

    pub fn write_announcing(&self, channel: u64, bytes: &[u8], size: u32) {
        let sequence = self.u32(channel + SEQUENCE);
        self.set_u32(channel + SEQUENCE, sequence + 1);
        self.file.write_all_at(bytes, channel + BYTES).unwrap();
        self.set_u32(channel + SIZE, size);
        self.set_u32(channel + SEQUENCE, sequence + 2);
        self.set_u64(channel + WRITE_COUNT, self.u64(channel + WRITE_COUNT) + 1);
    }

    /// Reads a value as ESHM 1.x does.
    pub fn read(&self, channel: u64) -> Vec<u8> {
        assert_eq!(self.u32(channel + SEQUENCE) % 2, 0);
        let mut bytes = vec![0; self.u32(channel + SIZE) as usize];
        self.file.read_exact_at(&mut bytes, channel + BYTES).unwrap();
        self.set_u64(channel + READ_COUNT, self.u64(channel + READ_COUNT) + 1);
        bytes
    }
}

/// A heartbeat of 1 ms, until dropped.
pub struct Heart {
    /// Dropping it ends the thread.
    life: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heart {
    pub fn of(name: &Name, role: Role) -> Heart {
        let offset = if role == Role::Master { MASTER_HEARTBEAT } else { SLAVE_HEARTBEAT };
        let segment = Legacy::open(name);
        let (life, end) = mpsc::channel();
        let thread = thread::spawn(move || {
            while end.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                segment.set_u64(offset, segment.u64(offset) + 1);
            }
        });
        Heart { life: Some(life), thread: Some(thread) }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        drop(self.life.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
