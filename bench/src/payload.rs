//! What the messages hold, the same in every language (`python/contestant.py`, `cpp/contestant.cpp`).
//!
//! Before the timing, message `seq` is a ramp: byte `i` is `(seq + i) % 251`. 251 is prime, so a block of memory
//! that went to the wrong place does not look right. In the timing, the first word is the message's number; of a
//! touched payload all words are.

/// The number of the message that ends a run.
pub const STOP: u64 = u64::MAX;
/// What the echo adds to the number of the ramp that it answers.
pub const REPLY: u64 = 100;

const PERIOD: usize = 251;
const WORD: usize = size_of::<u64>();

/// Two periods, so that one starts at every phase.
static RAMP: [u8; 2 * PERIOD] = {
    let mut ramp = [0; 2 * PERIOD];
    let mut index = 0;
    while index < ramp.len() {
        ramp[index] = (index % PERIOD) as u8;
        index += 1;
    }
    ramp
};

fn period(seq: u64) -> &'static [u8] {
    &RAMP[(seq % PERIOD as u64) as usize..][..PERIOD]
}

/// Writes the ramp of message `seq`.
pub fn write_ramp(bytes: &mut [u8], seq: u64) {
    for chunk in bytes.chunks_mut(PERIOD) {
        chunk.copy_from_slice(&period(seq)[..chunk.len()]);
    }
}

/// Whether `bytes` are the ramp of message `seq`.
pub fn is_ramp(bytes: &[u8], seq: u64) -> bool {
    bytes.chunks(PERIOD).all(|chunk| *chunk == period(seq)[..chunk.len()])
}

/// Numbers a message; `touched`: writes all of it.
#[inline(always)]
pub fn write(bytes: &mut [u8], seq: u64, touched: bool) {
    let words = if touched { bytes.len() / WORD } else { 1 };
    for word in bytes.chunks_exact_mut(WORD).take(words) {
        word.copy_from_slice(&seq.to_le_bytes());
    }
}

/// A message's number, or `None` when a touched payload, all of which is read, does not hold together.
#[inline(always)]
pub fn read(bytes: &[u8], touched: bool) -> Option<u64> {
    let word = |chunk: &[u8]| chunk.try_into().map(u64::from_le_bytes).ok();
    let seq = bytes.get(..WORD).and_then(word)?;
    if touched {
        let words = bytes.chunks_exact(WORD);
        let count = words.len() as u64;
        let sum = words.filter_map(word).fold(0, u64::wrapping_add);
        return (sum == seq.wrapping_mul(count)).then_some(seq);
    }
    Some(seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_recognised_and_its_neighbour_is_not() {
        let mut bytes = [0; 4096];
        write_ramp(&mut bytes, 7);
        assert!(is_ramp(&bytes, 7));
        assert!(!is_ramp(&bytes, 8));
        bytes.copy_within(256..512, 1024);
        assert!(!is_ramp(&bytes, 7));
    }

    #[test]
    fn a_touched_payload_with_one_foreign_word_is_not_whole() {
        let mut bytes = [0; 64];
        write(&mut bytes, 9, true);
        assert_eq!(read(&bytes, true), Some(9));
        bytes[40] = 1;
        assert_eq!(read(&bytes, true), None);
        assert_eq!(read(&bytes, false), Some(9));
    }
}
