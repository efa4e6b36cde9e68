//! A file of products, as an operator sends it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::cloud::products(bytes));
