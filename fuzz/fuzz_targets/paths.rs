#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| espejo_fuzz::checks::paths(data));
