//! Pages of the inbox, acknowledgements, and inventory events in canonical form.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::inbox::check(bytes));
