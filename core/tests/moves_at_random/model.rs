//! The model: what was accepted in one direction, and what may be received there.

use std::collections::VecDeque;

use crate::Random;

/// The messages that were accepted in one direction and not received, and the values written and read there.
#[derive(Default)]
pub struct Way {
    pub next: u64,
    /// Messages: the number, the incarnation of the master at the time, whether it may be lost.
    pub open: VecDeque<(u64, u64, bool)>,
    pub written: u64,
    pub seen: u64,
}

/// Returns the message of a number: its bytes and its length follow from the number.
pub fn bytes_of(number: u64) -> Vec<u8> {
    let len = 8 + Random(number).below(if number.is_multiple_of(3) { 190 } else { 20 }) as usize;
    let mut bytes = vec![number as u8; len];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

impl Way {
    pub fn accepted(&mut self, life: u64, count: usize) {
        for _ in 0..count {
            self.open.push_back((self.next, life, false));
            self.next += 1;
        }
    }
    pub fn received(&mut self, bytes: &[u8]) {
        let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert_eq!(bytes, bytes_of(number), "the bytes");
        while let Some((first, _, maybe)) = self.open.pop_front() {
            if first == number {
                return;
            }
            assert!(maybe, "{first} is missing, {number} came");
        }
        panic!("{number} came twice, or was never accepted");
    }
    pub fn doubt(&mut self, which: impl Fn(u64) -> bool) {
        self.open.iter_mut().filter(|one| which(one.1)).for_each(|one| one.2 = true);
    }
    pub fn certain(&self) -> usize {
        self.open.iter().filter(|one| !one.2).count()
    }
}
