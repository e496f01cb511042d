//! The properties that are passed on with a message: as gates carry them, and as the upstream client has them.

use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5::PublishProperties;

/// MQTT 5, 2.2.2.2
const PAYLOAD_FORMAT: u8 = 0x01;
const CONTENT_TYPE: u8 = 0x03;
const RESPONSE_TOPIC: u8 = 0x08;
const CORRELATION_DATA: u8 = 0x09;
const USER_PROPERTY: u8 = 0x26;

/// What user properties of gates begin with; nobody else's are passed on under such a name.
const OURS: &str = "i3-";

/// Reads what a [`Message`](crate::Message) carries; `None` if it is no such thing.
pub(super) fn read(mut bytes: &[u8]) -> Option<PublishProperties> {
    let mut all = PublishProperties::default();
    while let Some((id, rest)) = bytes.split_first() {
        bytes = rest;
        match *id {
            PAYLOAD_FORMAT => {
                let (format, rest) = bytes.split_first()?;
                bytes = rest;
                all.payload_format_indicator = Some(*format);
            }
            CONTENT_TYPE => all.content_type = Some(text(&mut bytes)?),
            RESPONSE_TOPIC => all.response_topic = Some(text(&mut bytes)?),
            CORRELATION_DATA => all.correlation_data = Some(Bytes::copy_from_slice(binary(&mut bytes)?)),
            USER_PROPERTY => {
                let name = text(&mut bytes)?;
                all.user_properties.push((name, text(&mut bytes)?));
            }
            _ => return None,
        }
    }
    Some(all)
}

fn binary<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bytes = rest;
    Some(data)
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    std::str::from_utf8(binary(bytes)?).ok().map(str::to_owned)
}

/// Writes what is passed on, always in the same order; that of user properties is their own (3.3.2-18). `None` if
/// something is longer than MQTT allows.
pub(super) fn write(all: &PublishProperties) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    if let Some(format) = all.payload_format_indicator {
        out.extend([PAYLOAD_FORMAT, format]);
    }
    if let Some(kind) = &all.content_type {
        put(&mut out, Some(CONTENT_TYPE), kind.as_bytes())?;
    }
    if let Some(topic) = &all.response_topic {
        put(&mut out, Some(RESPONSE_TOPIC), topic.as_bytes())?;
    }
    if let Some(data) = &all.correlation_data {
        put(&mut out, Some(CORRELATION_DATA), data)?;
    }
    for (name, value) in all.user_properties.iter().filter(|(name, _)| !name.starts_with(OURS)) {
        put(&mut out, Some(USER_PROPERTY), name.as_bytes())?;
        put(&mut out, None, value.as_bytes())?;
    }
    Some(out)
}

fn put(out: &mut Vec<u8>, id: Option<u8>, data: &[u8]) -> Option<()> {
    let length = u16::try_from(data.len()).ok()?;
    out.extend(id);
    out.extend(length.to_be_bytes());
    out.extend(data);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again_without_names_of_ours(
            format: Option<bool>, kind in proptest::option::of(".{0,20}"), topic in proptest::option::of(".{0,20}"),
            data in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
            mut user in proptest::collection::vec((".{0,9}", ".{0,9}"), 0..5),
        ) {
            user.retain(|(name, _)| !name.starts_with(OURS));
            let all = PublishProperties {
                payload_format_indicator: format.map(u8::from),
                content_type: kind,
                response_topic: topic,
                correlation_data: data.map(Bytes::from),
                user_properties: user,
                ..PublishProperties::default()
            };
            let mut forged = all.clone();
            forged.user_properties.push(("i3-seq".to_owned(), "7".to_owned()));
            let bytes = write(&forged).unwrap();
            prop_assert_eq!(read(&bytes), Some(all));
            prop_assert_eq!(write(&read(&bytes).unwrap()), Some(bytes));
        }

        #[test]
        fn any_bytes_are_taken_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(all) = read(&bytes) {
                prop_assert!(write(&all).is_some());
            }
        }
    }
}
