//! The journal of a peer of the scenario `ledger`: a file that outlives its process.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A word of the journal. The README explains each.
#[derive(Clone, Copy)]
pub enum Word {
    Intended,
    Sent,
    Received,
    Released,
    Lives,
    Value,
}

/// The kind of a record of the numbers `from` to `to`.
#[derive(Clone, Copy)]
pub enum Kind {
    Doubtful = 1,
    Missing,
    Again,
    Duplicate,
}

/// Bytes of the words, and of one record.
const WORDS: u64 = 64;
const RECORD: u64 = 32;

/// Eight words, then records. A word, or a record, is one `pwrite` within a page: a SIGKILL leaves all of it or
/// nothing.
pub struct Journal {
    file: File,
    words: [u64; 8],
    end: u64,
}

impl Journal {
    /// Opens the journal, or creates it.
    pub fn open(path: &Path) -> io::Result<Journal> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = [0; WORDS as usize];
        // Reads the words that were written. The rest is zero.
        file.read_at(&mut bytes, 0)?;
        let end = file.metadata()?.len().max(WORDS);
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
        }
        Ok(Journal { file, words, end })
    }

    pub fn get(&self, word: Word) -> u64 {
        self.words[word as usize]
    }

    pub fn set(&mut self, word: Word, value: u64) -> io::Result<()> {
        self.words[word as usize] = value;
        self.file.write_all_at(&value.to_ne_bytes(), word as u64 * 8)
    }

    pub fn record(&mut self, kind: Kind, from: u64, to: u64) -> io::Result<()> {
        let mut bytes = [0; RECORD as usize];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip([kind as u64, from, to]) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        self.file.write_all_at(&bytes, self.end)?;
        self.end += RECORD;
        Ok(())
    }
}
