#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    i3_broker_fuzz::stream(i3_broker::wire::Version::V5, data);
});
