//! Receiving long messages while a peer writes anything into what says where they lie.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| eshm::fuzzing::arena(script));
