//! A file of sales, as the till imports it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::till::sales(bytes));
