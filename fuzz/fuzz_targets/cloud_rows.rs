//! Rows of the cloud's database, with their keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::rows::cloud(bytes));
