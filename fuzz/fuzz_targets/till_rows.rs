//! Rows of a till's database and of its archive, with their keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::rows::till(bytes));
