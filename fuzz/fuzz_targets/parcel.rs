//! A parcel, either way.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::parcel::parcel(bytes));
