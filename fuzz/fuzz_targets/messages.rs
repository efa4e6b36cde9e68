//! Frames of the greeting and of the push, and their answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::messages::frames(bytes));
