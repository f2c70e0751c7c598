//! Attaching to any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|image: &[u8]| eshm::fuzzing::attach(image));
