//! Sketches, estimators, keys, and the questions that carry them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::sketch::check(bytes));
