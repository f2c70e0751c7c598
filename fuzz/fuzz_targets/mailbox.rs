//! Reading and writing values while a peer writes anything.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| eshm::fuzzing::mailbox(script));
