//! Events, in canonical form and in JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::events::check(bytes));
