//! A segment's file as an outsider sees it: unique names, planted files, and the few fields that the kit reads
//! or spoils. Offsets are those of `protocol/PROTOCOL.md`.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Bytes of the header.
const HEADER: u64 = 128;
/// Offset of the slots in a queue.
const QUEUE_SLOTS: u64 = 384;
/// Bytes of a slot.
const SLOT: u64 = 64;

/// The bit of a word of parked threads that asks its notifier to ring an event descriptor.
pub const BELL: u32 = 1 << 17;

/// How many names this process has made.
static NAMES: Mutex<u64> = Mutex::new(0);

/// A unique segment name. Dropping it removes the file of this name, and the event descriptors of its endpoints.
#[derive(Debug)]
pub struct Segment {
    name: String,
}

impl Segment {
    /// A fresh name for a scenario.
    pub fn fresh(scenario: &str) -> Segment {
        let mut names = NAMES.lock().expect("no panic while counting");
        *names += 1;
        Segment { name: format!("interop-{scenario}-{}-{names}", process::id()) }
    }

    /// The name, as endpoints take it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file behind the name.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/dev/shm/eshm_{}", self.name))
    }

    /// The FIFO that is the event descriptor of this side's endpoint, if it has one (protocol/events.md).
    pub fn bell(&self, side: Side) -> PathBuf {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let hash = self.name.bytes().fold(0xcbf2_9ce4_8422_2325, step);
        PathBuf::from(format!("/dev/shm/eshm_.eshm-tmp-bell-{:.1}-{hash:016x}", side.word()))
    }

    /// Whether anything lies under the name.
    pub fn exists(&self) -> bool {
        self.path().symlink_metadata().is_ok()
    }

    /// Removes the file, as an administrator may.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn remove(&self) -> Result<()> {
        fs::remove_file(self.path()).with_context(|| format!("{} cannot be removed", self.path().display()))
    }

    /// Waits until something lies under the name again.
    ///
    /// # Errors
    /// When nothing does within 10 s.
    pub fn comes_back(&self) -> Result<()> {
        let since = Instant::now();
        while !self.exists() {
            ensure!(
                since.elapsed() < Duration::from_secs(10),
                "{} does not come back",
                self.path().display()
            );
            // Nothing signals it.
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Claims that a clean close has removed the segment, and the event descriptors of both ends.
    ///
    /// # Errors
    /// When something is left.
    pub fn is_gone(&self) -> Result<()> {
        for path in [self.path(), self.bell(Side::Master), self.bell(Side::Slave)] {
            let exists = path.symlink_metadata().is_ok();
            ensure!(!exists, "{} is left behind after a clean close", path.display());
        }
        Ok(())
    }

    /// Puts a file of these bytes under the name.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn plant(&self, bytes: &[u8]) -> Result<()> {
        fs::write(self.path(), bytes).with_context(|| format!("{} cannot be written", self.path().display()))
    }

    /// All of its bytes.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        fs::read(self.path()).with_context(|| format!("{} cannot be read", self.path().display()))
    }

    /// A word of it.
    ///
    /// # Errors
    /// When the system refuses, or it is not that long.
    pub fn word(&self, offset: u64) -> Result<u32> {
        let mut word = [0; 4];
        File::open(self.path())?.read_exact_at(&mut word, offset)?;
        Ok(u32::from_ne_bytes(word))
    }

    /// How many threads a word of parked threads counts. Its other bits are for those who wake them.
    ///
    /// # Errors
    /// As [`Segment::word`].
    pub fn parked(&self, offset: u64) -> Result<u32> {
        Ok(self.word(offset)? & 0xFFFF)
    }

    /// Overwrites a word, as a broken peer might.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn spoil(&self, offset: u64, word: u32) -> Result<()> {
        let path = self.path();
        let file = OpenOptions::new().write(true).open(&path);
        let file = file.with_context(|| format!("{} cannot be opened", path.display()))?;
        Ok(file.write_all_at(&word.to_ne_bytes(), offset)?)
    }

    /// Where its parts lie, by what its header says.
    ///
    /// # Errors
    /// When the file cannot be read, or is shorter than a header.
    pub fn map(&self) -> Result<Map> {
        let mut header = [0; HEADER as usize];
        File::open(self.path())?.read_exact_at(&mut header, 0)?;
        let word =
            |offset: usize| u32::from_ne_bytes(header[offset..offset + 4].try_into().expect("four bytes"));
        let long =
            |offset: usize| u64::from_ne_bytes(header[offset..offset + 8].try_into().expect("eight bytes"));
        Ok(Map {
            data_size: word(60).into(),
            queue_slots: word(84).into(),
            queue_offset: long(88),
            queue_capacity: long(96),
        })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let path = self.path();
        // Nothing to remove after a clean close.
        let _ = if path.is_dir() { fs::remove_dir(&path) } else { fs::remove_file(&path) };
        for side in [Side::Master, Side::Slave] {
            let _ = fs::remove_file(self.bell(side));
        }
    }
}

/// One end of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The master.
    Master,
    /// The slave.
    Slave,
}

impl Side {
    /// The other end.
    pub fn other(self) -> Side {
        match self {
            Side::Master => Side::Slave,
            Side::Slave => Side::Master,
        }
    }

    /// The word on a peer's command line.
    pub fn word(self) -> &'static str {
        match self {
            Side::Master => "master",
            Side::Slave => "slave",
        }
    }
}

/// Where the parts of a segment lie. In bytes.
#[derive(Clone, Copy, Debug)]
pub struct Map {
    /// N: the greatest value of a mailbox.
    pub data_size: u64,
    /// How many slots each queue has.
    pub queue_slots: u64,
    /// Where the first queue starts.
    pub queue_offset: u64,
    /// The greatest message of a queue.
    pub queue_capacity: u64,
}

impl Map {
    /// Offset of the channel that this side writes.
    pub fn channel(&self, from: Side) -> u64 {
        let size = ((8 + self.data_size).next_multiple_of(8) + 80).next_multiple_of(64);
        HEADER + second(from) * size
    }

    /// Offset of the count of readers that are parked where this side writes its values.
    pub fn parked_readers(&self, from: Side) -> u64 {
        self.channel(from) + (8 + self.data_size).next_multiple_of(8) + 20
    }

    /// Offset of the count of writers that are parked there.
    pub fn parked_writers(&self, from: Side) -> u64 {
        self.parked_readers(from) + 40
    }

    /// Offset of the count of receivers that are parked at the queue that this side fills.
    pub fn parked_receivers(&self, from: Side) -> u64 {
        self.queue(from) + 128
    }

    /// Offset of the count of senders that are parked there.
    pub fn parked_senders(&self, from: Side) -> u64 {
        self.queue(from) + 256
    }

    /// Offset of the queue that this side fills.
    pub fn queue(&self, from: Side) -> u64 {
        let size = QUEUE_SLOTS + SLOT * self.queue_slots + self.queue_capacity.next_multiple_of(64);
        self.queue_offset + second(from) * size.next_multiple_of(128)
    }

    /// Offset of the slot that holds this side's message of this number.
    pub fn slot(&self, from: Side, number: u64) -> u64 {
        self.queue(from) + QUEUE_SLOTS + SLOT * (number % self.queue_slots)
    }
}

/// What the master fills comes first, what the slave fills second.
fn second(from: Side) -> u64 {
    match from {
        Side::Master => 0,
        Side::Slave => 1,
    }
}
