//! Bodies that are compressed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::cloud::packed_body(bytes));
