//! What a topic log gives back: possibly not what it was given.
#![no_main]

use bytes::Bytes;
use i3_broker::Message;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(message) = Message::from_frame(Bytes::copy_from_slice(data)) else { return };
    assert!(message.payload().len() <= data.len());
    let again = Message::from_frame(message.frame().clone()).expect("a message's frame is a message");
    assert_eq!(
        (again.qos(), again.payload(), again.frame()),
        (message.qos(), message.payload(), message.frame())
    );
});
