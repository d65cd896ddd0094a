#![no_main]

use std::sync::LazyLock;

use espejo_fuzz::mirror::Mirror;

static MIRROR: LazyLock<Mirror> = LazyLock::new(Mirror::start);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(request) = espejo_fuzz::checks::requests::written(data, MIRROR.tokens()) {
        espejo_fuzz::checks::requests::judge(&MIRROR.answer(&request));
    }
});
