//! Numbered, seeded messages whose every byte can be checked. Every language creates the same ones.

/// The shortest numbered message: its number and its seed.
pub const SHORTEST: usize = 16;

/// SplitMix64: the next word of the stream, and the state after it.
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// Message `number` of the series `seed`, `SHORTEST` to `longest` bytes: both numbers, then pseudo-random bytes.
pub fn payload(seed: u64, number: u64, longest: usize) -> Vec<u8> {
    let mut state = seed;
    state = next(&mut state) ^ number;
    let spare = (longest - SHORTEST) as u64 + 1;
    let length = SHORTEST + (next(&mut state) % spare) as usize;
    let mut bytes = Vec::with_capacity(length + 8);
    bytes.extend(number.to_le_bytes());
    bytes.extend(seed.to_le_bytes());
    while bytes.len() < length {
        bytes.extend(next(&mut state).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Returns the seed and the number of a message, after comparing every byte with what they imply.
pub fn check(bytes: &[u8], longest: usize) -> Result<(u64, u64), String> {
    let (Some(number), Some(seed)) = (bytes.first_chunk::<8>(), bytes.get(8..SHORTEST)) else {
        return Err(format!("a numbered message has {} bytes, expected {SHORTEST} or more", bytes.len()));
    };
    let number = u64::from_le_bytes(*number);
    let seed = u64::from_le_bytes(seed.try_into().expect("eight bytes"));
    let expected = payload(seed, number, longest);
    if bytes != expected {
        let at = bytes.iter().zip(&expected).take_while(|(found, expected)| found == expected).count();
        return Err(format!(
            "message {number} of series {seed} is torn at byte {at}: {} bytes, expected {}",
            bytes.len(),
            expected.len()
        ));
    }
    Ok((seed, number))
}
