//! The JSON form of a push, as the cloud reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::cloud::push_json(bytes));
