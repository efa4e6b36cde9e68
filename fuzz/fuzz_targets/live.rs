//! The stream of news, in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::till::live(bytes));
