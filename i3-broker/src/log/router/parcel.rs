//! Messages that travel through the router together: it does its work once for all that came in one go.
//!
//! A parcel is the number of its first message in its lane (8 bytes), then for each message its length (4 bytes) and its
//! record. Numbers have the most significant byte first.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::message::Message;

/// What a parcel takes beside its messages, and each message beside its record.
const HEAD: usize = 8;
const EACH: usize = 4;

/// How long a parcel of these messages is.
pub(super) fn length(messages: &[Message]) -> usize {
    messages
        .iter()
        .map(|message| message.frame().len().saturating_add(EACH))
        .fold(HEAD, usize::saturating_add)
}

/// Packs messages of which the first has this number in its lane.
pub(super) fn pack(first: u64, messages: &[Message]) -> Bytes {
    let mut parcel = BytesMut::with_capacity(length(messages));
    parcel.put_u64(first);
    for message in messages {
        // A packet is never longer than 256 MiB.
        parcel.put_u32(u32::try_from(message.frame().len()).unwrap_or(u32::MAX));
        parcel.put_slice(message.frame());
    }
    parcel.freeze()
}

/// Unpacks a parcel into `messages`: the number of the first, and how many there are. `None` if it is no parcel.
pub(super) fn unpack(mut parcel: Bytes, messages: &mut Vec<Message>) -> Option<(u64, u64)> {
    let first = parcel.try_get_u64().ok()?;
    let mut count = 0;
    while let Ok(length) = parcel.try_get_u32() {
        let length = usize::try_from(length).ok().filter(|length| *length <= parcel.len())?;
        messages.push(Message::from_frame(parcel.split_to(length)).ok()?);
        count += 1;
    }
    Some((first, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Qos;

    #[test]
    fn what_is_packed_comes_out_the_same() {
        let packed: Vec<_> =
            (0..40_usize).map(|n| Message::plain(&vec![7; n * 10], Qos::AtLeastOnce)).collect();
        let parcel = pack(5, &packed);
        assert_eq!(parcel.len(), length(&packed));
        let mut unpacked = Vec::new();
        assert_eq!(unpack(parcel.clone(), &mut unpacked), Some((5, 40)));
        let frames = |messages: &[Message]| messages.iter().map(|m| m.frame().clone()).collect::<Vec<_>>();
        assert_eq!(frames(&unpacked), frames(&packed));
        assert_eq!(unpack(parcel.slice(..parcel.len() - 1), &mut Vec::new()), None);
        assert_eq!(unpack(Bytes::from_static(b"short"), &mut Vec::new()), None);
    }
}
