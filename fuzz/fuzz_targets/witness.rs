//! The witness, by which a till knows its database.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::till::witness(bytes));
