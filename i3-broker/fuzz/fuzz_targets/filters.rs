//! What a client asks to receive.
#![no_main]

use i3_broker::wire::{self, FilterKind, Packet, Version};
use i3_core::name::Topic;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for version in [Version::V311, Version::V5] {
        let mut body = vec![0, 1];
        if version == Version::V5 {
            body.push(0);
        }
        // Lines are filters.
        for line in data.split(|byte| *byte == b'\n') {
            let Ok(len) = u16::try_from(line.len()) else { return };
            body.extend_from_slice(&len.to_be_bytes());
            body.extend_from_slice(line);
            body.push(0);
        }
        let mut bytes = i3_broker_fuzz::framed(0x82, &body);
        let Ok(Some(Packet::Subscribe(subscribe))) = wire::decode(version, &mut bytes, usize::MAX) else {
            continue;
        };
        assert_eq!(subscribe.filters.len(), data.split(|byte| *byte == b'\n').count());
        for filter in subscribe.filters {
            assert!(!filter.filter.is_empty() && !filter.filter.contains('\0'));
            // A product's topic is never a filter that matches more than itself.
            if filter.filter.parse::<Topic>().is_ok() {
                assert_eq!(filter.kind(), FilterKind::Exact);
            }
        }
    }
});
