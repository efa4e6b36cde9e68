//! Texts that stand in headers and addresses.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::texts::check(bytes));
