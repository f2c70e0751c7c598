//! Sending and receiving while a peer writes anything into the queue's counts and slots.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| eshm::fuzzing::queue(script));
