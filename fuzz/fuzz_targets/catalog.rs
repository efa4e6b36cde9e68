//! Pages of the catalog, and entities in canonical form.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| counterfoil_fuzz::catalog::check(bytes));
