//! Every message, in JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::messages::json(bytes));
