//! Packets to bytes.

use bytes::Bytes;

use super::{Connack, Qos};
use crate::message::Message;

/// CONNACK of MQTT 5 with reason 0x84, "unsupported protocol version" (MQTT 5, 3.2.2.2): the one packet of
/// that version which this server sends, so that such a client learns why it is turned away.
pub(crate) const UNSUPPORTED_VERSION_V5: &[u8] = &[0x20, 0x03, 0x00, 0x84, 0x00];

/// Appends a CONNACK (3.2).
pub fn connack(out: &mut Vec<u8>, code: Connack) {
    out.extend_from_slice(&[0x20, 2, 0, code.code()]);
}

/// Appends a PUBACK (3.4).
pub fn puback(out: &mut Vec<u8>, packet_id: u16) {
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[0x40, 2, high, low]);
}

/// Appends a SUBACK (3.9) with the `QoS` granted to each filter; `None` is a refusal.
pub fn suback(out: &mut Vec<u8>, packet_id: u16, granted: &[Option<Qos>]) {
    out.push(0x90);
    remaining_length(out, 2_usize.saturating_add(granted.len()));
    out.extend_from_slice(&packet_id.to_be_bytes());
    out.extend(granted.iter().map(|qos| qos.map_or(0x80, Qos::bits)));
}

/// Appends an UNSUBACK (3.11).
pub fn unsuback(out: &mut Vec<u8>, packet_id: u16) {
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[0xb0, 2, high, low]);
}

/// Appends a PINGRESP (3.13).
pub fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xd0, 0]);
}

/// A PUBLISH frame (3.3) without DUP and RETAIN; at `QoS` 1 and 2 with packet identifier 1, a place to be
/// filled in. `None` if topic or payload are longer than a packet can hold.
pub fn publish(topic: &str, payload: &[u8], qos: Qos) -> Option<Bytes> {
    let topic_len = u16::try_from(topic.len()).ok()?;
    let id: &[u8] = if qos == Qos::AtMostOnce { &[] } else { &[0, 1] };
    let remaining = 2 + topic.len() + id.len() + payload.len();
    if remaining > 268_435_455 {
        return None;
    }
    let mut out = Vec::with_capacity(remaining + 5);
    out.push(0x30 | (qos.bits() << 1));
    remaining_length(&mut out, remaining);
    out.extend_from_slice(&topic_len.to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(id);
    out.extend_from_slice(payload);
    Some(out.into())
}

/// Appends the frame that delivers a message: at `QoS` 1 with a packet identifier, at `QoS` 0 without. The
/// message must have been published at `QoS` 1 to be delivered at `QoS` 1.
pub(crate) fn deliver(out: &mut Vec<u8>, message: &Message, packet_id: Option<u16>, retain: bool) {
    let frame = message.frame();
    let at = out.len();
    match (message.qos(), packet_id) {
        (Qos::AtMostOnce, _) => out.extend_from_slice(frame),
        (_, Some(id)) => {
            out.extend_from_slice(frame);
            let id_at = at + message.payload_at() - 2;
            if let Some(place) = out.get_mut(id_at..id_at + 2) {
                place.copy_from_slice(&id.to_be_bytes());
            }
        }
        // Without the identifier the packet is two bytes shorter.
        (_, None) => {
            let (topic, payload) = message.parts();
            out.push(0);
            remaining_length(out, topic.len() + payload.len());
            out.extend_from_slice(topic);
            out.extend_from_slice(payload);
        }
    }
    let qos = if packet_id.is_some() && message.qos() != Qos::AtMostOnce { 0x02 } else { 0 };
    if let Some(first) = out.get_mut(at) {
        *first = 0x30 | qos | u8::from(retain);
    }
}

/// 2.2.3. Lengths above the largest are cut off by the callers.
fn remaining_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = u8::try_from(length & 0x7f).unwrap_or_default();
        length >>= 7;
        if length == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}
