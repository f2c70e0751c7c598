//! Promise of the kit itself: every language makes the same numbered messages, and sees every spoilt byte.

use interop_tests::Observation;
use interop_tests::language::{LANGUAGES, Language, Pairing};
use interop_tests::payload::{SHORTEST, check, payload};
use interop_tests::scenario::Stage;
use interop_tests::toolchain::Peers;
use proptest::prelude::*;

/// Test vectors for authors of a peer: seed, number, longest, message.
const VECTORS: [(u64, u64, usize, &str); 4] = [
    (0, 0, 16, "00000000000000000000000000000000"),
    (1, 0, 40, "00000000000000000100000000000000eef16c3de96c8df1"),
    (1, 1, 40, "010000000000000001000000000000008b860238a09a"),
    (u64::MAX, 1 << 63, 64, "0000000000000080ffffffffffffffffb9f0f293795d"),
];

#[test]
fn the_vectors_hold() {
    for (seed, number, longest, expected) in VECTORS {
        assert_eq!(hex::encode(payload(seed, number, longest)), expected, "{seed} {number} {longest}");
    }
}

#[test]
fn every_language_makes_the_same_messages() {
    let languages: Vec<&Language> = LANGUAGES.iter().collect();
    let peers = Peers::prepare(&languages).unwrap();
    for language in languages.into_iter().filter(|language| peers.command(language).is_some()) {
        let stage = Stage { pairing: Pairing { master: language, slave: language }, peers: &peers };
        let mut pair = stage.command_pair().unwrap();
        for (seed, number) in [(0, 0), (1, 0), (1, 1), (7, 9999), (u64::MAX, u64::MAX), (1 << 63, 1 << 32)] {
            for longest in [SHORTEST, SHORTEST + 1, 100, 256, 4096] {
                let hex = hex::encode(payload(seed, number, longest));
                let command = format!("payload {seed} {number} {longest}");
                pair.master.expect(&command, &Observation::Payload { hex }).unwrap();
            }
        }
        pair.finish().unwrap();
    }
}

proptest! {
    #[test]
    fn a_message_says_what_it_is(seed: u64, number: u64, longest in SHORTEST..600) {
        let message = payload(seed, number, longest);
        prop_assert!((SHORTEST..=longest).contains(&message.len()));
        prop_assert_eq!(check(&message, longest), Ok((seed, number)));
    }

    #[test]
    fn a_spoilt_byte_shows(seed: u64, number: u64, at: prop::sample::Index, bit in 0..8_u32) {
        let mut message = payload(seed, number, 200);
        // Without a body the numbers are all there is, and any two numbers are right.
        prop_assume!(message.len() >= 2 * SHORTEST);
        let at = at.index(message.len());
        message[at] ^= 1_u8 << bit;
        // A spoilt number makes another message of which the rest is torn.
        prop_assert!(check(&message, 200).is_err());
    }

    #[test]
    fn a_mixture_of_two_shows(seed: u64, number in 0..u64::MAX, cut: prop::sample::Index) {
        let (old, new) = (payload(seed, number, 200), payload(seed, number + 1, 200));
        let cut = cut.index(old.len().min(new.len()));
        let torn = [&new[..cut], &old[cut..]].concat();
        prop_assume!(torn.len() >= 2 * SHORTEST && torn != old && torn != new);
        prop_assert!(check(&torn, 200).is_err());
    }
}
