//! WebSocket frames from a client (RFC 6455, section 5), as MQTT uses them (MQTT 5, section 6).
//!
//! Frames are not collected: payload is passed on as it comes, whatever the length of its frame and however many
//! frames its message has. So a large frame needs no memory, and an unfinished one is an unfinished MQTT packet
//! to those above.

use std::io::Cursor;

use bytes::{Buf, BytesMut};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The longest payload of a control frame (5.5).
const LARGEST_CONTROL: u64 = 125;

/// Why a client is told to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    /// A rule of RFC 6455 was broken.
    #[error("a WebSocket frame breaks the protocol: {0}")]
    Protocol(&'static str),
    /// MQTT packets come in binary frames (MQTT 5, 6.0.0-1).
    #[error("a WebSocket frame is not binary")]
    NotBinary,
}

impl Violation {
    /// The status code of the Close frame (7.4.1).
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Protocol(_) => 1_002,
            Self::NotBinary => 1_003,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// So many bytes of payload, which were appended.
    Payload(usize),
    /// To be answered with the same bytes (5.5.3).
    Ping(Vec<u8>),
    /// The client's last frame.
    Close,
    /// Something that has no effect.
    Nothing,
}

/// What is known between two pieces of input.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The rest of a data frame.
    left: u64,
    mask: [u8; 4],
    /// A message was begun and its last frame has not come.
    fragmented: bool,
}

impl Decoder {
    /// Takes the next thing from `input`, with up to `room` bytes of payload; `None` if more input is needed.
    pub(super) fn next(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        room: usize,
    ) -> Result<Option<Found>, Violation> {
        if self.left > 0 {
            let left = usize::try_from(self.left).unwrap_or(usize::MAX);
            let count = left.min(input.len()).min(room);
            let Some(piece) = input.get_mut(..count).filter(|piece| !piece.is_empty()) else {
                return Ok(None);
            };
            unmask(piece, &mut self.mask);
            out.extend_from_slice(piece);
            input.advance(count);
            self.left -= u64::try_from(count).unwrap_or(self.left);
            return Ok(Some(Found::Payload(count)));
        }
        let mut cursor = Cursor::new(&*input);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Violation::Protocol("reserved opcode"))?;
        let header_length = usize::try_from(cursor.position()).unwrap_or_default();
        let Some((header, length)) = parsed else { return Ok(None) };
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation::Protocol("no extension was agreed on"));
        }
        let Some(mut mask) = header.mask else { return Err(Violation::Protocol("not masked")) };
        if header_length != header.len(length) || length > i64::MAX.unsigned_abs() {
            return Err(Violation::Protocol("length"));
        }
        let control = match header.opcode {
            OpCode::Data(data) => {
                match (data, self.fragmented) {
                    (Data::Binary, false) | (Data::Continue, true) => {}
                    (Data::Text, false) => return Err(Violation::NotBinary),
                    (Data::Continue, false) => return Err(Violation::Protocol("nothing to continue")),
                    _ => return Err(Violation::Protocol("a message within a message")),
                }
                input.advance(header_length);
                self.fragmented = !header.is_final;
                (self.left, self.mask) = (length, mask);
                return Ok(Some(Found::Nothing));
            }
            OpCode::Control(control) => control,
        };
        if !header.is_final || length > LARGEST_CONTROL {
            return Err(Violation::Protocol("control frame"));
        }
        let end = header_length + usize::try_from(length).unwrap_or_default();
        let Some(payload) = input.get(header_length..end) else { return Ok(None) };
        let mut payload = payload.to_vec();
        unmask(&mut payload, &mut mask);
        input.advance(end);
        Ok(Some(match control {
            Control::Ping => Found::Ping(payload),
            Control::Close => Found::Close,
            _ => Found::Nothing,
        }))
    }
}

/// Removes the mask (5.3) and turns it to where the next byte needs it.
fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let [a, b, c, d] = *mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let length = bytes.len();
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter()) {
        *byte ^= key;
    }
    if let Some(late) = rest.get_mut(4..) {
        for (byte, key) in late.iter_mut().zip(mask.iter()) {
            *byte ^= key;
        }
    }
    mask.rotate_left(length % 4);
}

/// Appends a frame with its header.
pub(super) fn put_frame(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    let length = u64::try_from(payload.len()).unwrap_or_default();
    // Memory takes whatever is written to it.
    let _ = header.format(length, out);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            length @ 0..126 => out.push(0x80 | u8::try_from(length).unwrap()),
            length @ 126..65_536 => {
                out.push(0xfe);
                out.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                out.push(0xff);
                out.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        out.extend(mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        out
    }

    /// All that is found when `bytes` come in pieces of this size, payload joined.
    fn decode(bytes: &[u8], piece: usize, room: usize) -> Result<(Vec<u8>, Vec<Found>), Violation> {
        let mut decoder = Decoder::default();
        let (mut input, mut out, mut others) = (BytesMut::new(), BytesMut::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            input.extend_from_slice(piece);
            while let Some(found) = decoder.next(&mut input, &mut out, room)? {
                match found {
                    Found::Payload(count) => assert!(count > 0 && count <= room),
                    Found::Nothing => {}
                    other => others.push(other),
                }
            }
        }
        Ok((out.to_vec(), others))
    }

    proptest! {
        #[test]
        fn payload_comes_out_as_it_went_in_however_it_is_cut(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..6),
            mask: [u8; 4],
            piece in 1_usize..200,
            room in 1_usize..200,
        ) {
            let mut bytes = Vec::new();
            for (number, part) in parts.iter().enumerate() {
                let last = if number + 1 == parts.len() { 0x80 } else { 0 };
                let opcode = if number == 0 { 2 } else { 0 };
                bytes.extend(frame(last | opcode, part, mask));
                bytes.extend(frame(0x89, b"between", mask));
            }
            let (payload, others) = decode(&bytes, piece, room).unwrap();
            prop_assert_eq!(payload, parts.concat());
            prop_assert_eq!(others, vec![Found::Ping(b"between".to_vec()); parts.len()]);
        }

        #[test]
        fn no_input_whatever_makes_it_fail(bytes: Vec<u8>, piece in 1_usize..20) {
            let _ = decode(&bytes, piece, 7);
        }
    }

    #[test]
    fn a_frame_of_any_length_is_passed_on_without_being_kept() {
        let payload = vec![7; 5_000_000];
        let (out, _) = decode(&frame(0x82, &payload, [1, 2, 3, 4]), 4_096, 1_000).unwrap();
        assert!(out == payload);
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        let mask = [9; 4];
        let mut unmasked = Vec::new();
        put_frame(&mut unmasked, OpCode::Data(Data::Binary), b"x");
        let long_ping = frame(0x89, &[0; 126], mask);
        let message_in_message = [frame(0x02, b"x", mask), frame(0x82, b"y", mask)].concat();
        let overlong = [&[0x82, 0xfe, 0, 1][..], &mask, b"x"].concat();
        let endless = [&[0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0][..], &mask].concat();
        for bytes in [
            unmasked,
            long_ping,
            message_in_message,
            overlong,
            endless,
            frame(0x09, b"", mask),
            frame(0x80, b"x", mask),
            frame(0xc2, b"x", mask),
            frame(0x83, b"x", mask),
            frame(0x8b, b"x", mask),
        ] {
            let refused = decode(&bytes, 1_000, 1_000).unwrap_err();
            assert_eq!(refused.status(), 1_002, "{bytes:02x?}: {refused}");
        }
        let text = decode(&frame(0x81, b"x", mask), 1_000, 1_000).unwrap_err();
        assert_eq!(text.status(), 1_003);
        let text_within = [frame(0x02, b"x", mask), frame(0x81, b"y", mask)].concat();
        assert_eq!(decode(&text_within, 1_000, 1_000).unwrap_err().status(), 1_002);
    }
}
