//! The first bytes of a connection.
#![no_main]

use bytes::BytesMut;
use i3_broker::wire::{self, Connack, Version};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = wire::decode_connect(&mut BytesMut::from(data), 2_048);
    // Byte by byte it is the same; what comes after it is left.
    let (mut buffer, mut pieces) = (BytesMut::new(), Ok(None));
    for byte in data {
        buffer.extend_from_slice(&[*byte]);
        pieces = wire::decode_connect(&mut buffer, 2_048);
        if !matches!(pieces, Ok(None)) {
            break;
        }
    }
    match (&whole, &pieces) {
        // More bytes may have told the version.
        (Err(whole), Err(pieces)) => assert_eq!(whole.error, pieces.error),
        (whole, pieces) => assert_eq!(whole, pieces),
    }
    match whole {
        Ok(Some(connect)) => {
            assert!(!connect.client_id.contains('\0') && connect.receive_maximum > 0);
            assert!(connect.maximum_packet_size != Some(0));
            if let Some(will) = &connect.will {
                assert!(!will.topic.is_empty() && !will.topic.contains(['\0', '+', '#']));
                i3_broker_fuzz::passed_on(&will.properties, &will.payload);
            }
        }
        Ok(None) => {}
        Err(refused) => {
            let mut answer = Vec::new();
            for version in [Version::V311, Version::V5] {
                wire::connack(&mut answer, version, &Connack::refused(refused.error.reason()));
            }
            assert!(answer.ends_with(&[0x20, 3, 0, refused.error.reason().code(), 0]));
        }
    }
});
