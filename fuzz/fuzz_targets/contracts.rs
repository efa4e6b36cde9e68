//! Bodies of the contracts S1, S2 and S3.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::cloud::contracts(bytes));
