//! The same packets, read by `rmqtt-codec`.

use bytes::{Bytes, BytesMut};
use i3_broker::wire::{
    Ack, Auth, Connect, Disconnect, Filter, Packet, Qos, Reason, RetainHandling, Subscribe, Unsubscribe,
    Version, Will,
};
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::{MqttCodec, MqttPacket, v3, v5};
use tokio_util::codec::{Decoder, Encoder};

use crate::seen::{PassedOn, Seen, SeenPublish};

fn codec(version: Version) -> MqttCodec {
    match version {
        Version::V311 => MqttCodec::V3(v3::Codec::new(0)),
        Version::V5 => MqttCodec::V5(v5::Codec::new(0, 0)),
    }
}

/// Reads exactly one packet; `None` if it does not take it.
pub(crate) fn read(version: Version, bytes: &[u8]) -> Option<MqttPacket> {
    let mut buffer = BytesMut::from(bytes);
    let read = codec(version).decode(&mut buffer).ok()?.map(|(packet, _)| packet);
    read.filter(|_| buffer.is_empty())
}

pub(crate) fn write(version: Version, packet: MqttPacket) -> Vec<u8> {
    let mut out = BytesMut::new();
    codec(version).encode(packet, &mut out).unwrap();
    out.to_vec()
}

fn qos(qos: QoS) -> Qos {
    Qos::from_bits(qos.value()).unwrap()
}

fn reason(code: impl Into<u8>) -> Reason {
    Reason::from_code(code.into()).unwrap()
}

fn passed_on(
    utf8: bool,
    content_type: Option<impl ToString>,
    response_topic: Option<impl ToString>,
    correlation: Option<Bytes>,
    users: &v5::UserProperties,
) -> PassedOn {
    let mut passed_on = PassedOn {
        utf8,
        content_type: content_type.map(|text| text.to_string()),
        response_topic: response_topic.map(|text| text.to_string()),
        correlation: correlation.map(Into::into),
        users: Vec::new(),
    };
    for (name, value) in users {
        passed_on.user(name, value);
    }
    passed_on
}

fn publish(publish: Publish) -> Seen {
    let properties = publish.properties.unwrap_or_default();
    Seen::Publish(SeenPublish {
        topic: publish.topic.as_bytes().to_vec(),
        payload: publish.payload.to_vec(),
        qos: qos(publish.qos),
        dup: publish.dup,
        retain: publish.retain,
        packet_id: publish.packet_id.map(Into::into),
        alias: properties.topic_alias.map(Into::into),
        expiry: properties.message_expiry_interval.map(Into::into),
        passed_on: passed_on(
            properties.is_utf8_payload,
            properties.content_type,
            properties.response_topic,
            properties.correlation_data,
            &properties.user_properties,
        ),
    })
}

fn connect_v3(connect: v3::Connect) -> Seen {
    let passed_on = connect.last_will.as_ref().map(|_| PassedOn::default());
    let connect = Connect {
        version: Version::V311,
        client_id: connect.client_id.to_string(),
        clean_start: connect.clean_session,
        keep_alive: connect.keep_alive,
        will: connect.last_will.map(|will| Will {
            topic: will.topic.to_string(),
            payload: will.message,
            qos: qos(will.qos),
            retain: will.retain,
            delay: 0,
            expiry: None,
            properties: Bytes::new(),
        }),
        username: connect.username.map(|name| name.to_string()),
        password: connect.password,
        session_expiry: if connect.clean_session { 0 } else { u32::MAX },
        receive_maximum: u16::MAX,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        request_problem_information: true,
        request_response_information: false,
        authentication_method: None,
    };
    Seen::Connect(connect, passed_on)
}

fn connect_v5(connect: v5::Connect) -> Seen {
    let passed_on = connect.last_will.clone().map(|will| {
        passed_on(
            will.is_utf8_payload.unwrap_or_default(),
            will.content_type,
            will.response_topic,
            will.correlation_data,
            &will.user_properties,
        )
    });
    let connect = Connect {
        version: Version::V5,
        client_id: connect.client_id.to_string(),
        clean_start: connect.clean_start,
        keep_alive: connect.keep_alive,
        will: connect.last_will.map(|will| Will {
            topic: will.topic.to_string(),
            payload: will.message,
            qos: qos(will.qos),
            retain: will.retain,
            delay: will.will_delay_interval_sec.unwrap_or_default(),
            expiry: will.message_expiry_interval.map(Into::into),
            properties: Bytes::new(),
        }),
        username: connect.username.map(|name| name.to_string()),
        password: connect.password,
        session_expiry: connect.session_expiry_interval_secs,
        receive_maximum: connect.receive_max.map_or(u16::MAX, Into::into),
        maximum_packet_size: connect.max_packet_size.map(Into::into),
        topic_alias_maximum: connect.topic_alias_max,
        request_problem_information: connect.request_problem_info,
        request_response_information: connect.request_response_info,
        authentication_method: connect.auth_method.map(|method| method.to_string()),
    };
    Seen::Connect(connect, passed_on)
}

fn ack_v3(packet_id: std::num::NonZeroU16) -> Ack {
    Ack { packet_id: packet_id.into(), reason: Reason::Success }
}

fn ack(ack: &v5::PublishAck) -> Ack {
    Ack { packet_id: ack.packet_id.into(), reason: reason(ack.reason_code) }
}

fn ack2(ack: &v5::PublishAck2) -> Ack {
    Ack { packet_id: ack.packet_id.into(), reason: reason(ack.reason_code) }
}

/// What it says; `None` for packets that only servers send.
pub(crate) fn seen(packet: MqttPacket) -> Option<Seen> {
    Some(Seen::Other(match packet {
        MqttPacket::V3(v3::Packet::Connect(connect)) => return Some(connect_v3(*connect)),
        MqttPacket::V5(v5::Packet::Connect(connect)) => return Some(connect_v5(*connect)),
        MqttPacket::V3(v3::Packet::Publish(packet)) | MqttPacket::V5(v5::Packet::Publish(packet)) => {
            return Some(publish(*packet));
        }
        MqttPacket::V3(v3::Packet::PublishAck { packet_id }) => Packet::PubAck(ack_v3(packet_id)),
        MqttPacket::V3(v3::Packet::PublishReceived { packet_id }) => Packet::PubRec(ack_v3(packet_id)),
        MqttPacket::V3(v3::Packet::PublishRelease { packet_id }) => Packet::PubRel(ack_v3(packet_id)),
        MqttPacket::V3(v3::Packet::PublishComplete { packet_id }) => Packet::PubComp(ack_v3(packet_id)),
        MqttPacket::V5(v5::Packet::PublishAck(packet)) => Packet::PubAck(ack(&packet)),
        MqttPacket::V5(v5::Packet::PublishReceived(packet)) => Packet::PubRec(ack(&packet)),
        MqttPacket::V5(v5::Packet::PublishRelease(packet)) => Packet::PubRel(ack2(&packet)),
        MqttPacket::V5(v5::Packet::PublishComplete(packet)) => Packet::PubComp(ack2(&packet)),
        MqttPacket::V3(v3::Packet::Subscribe { packet_id, topic_filters }) => {
            let filter = |filter: &str, asked| Filter {
                filter: filter.to_owned(),
                qos: qos(asked),
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainHandling::Always,
            };
            let filters = topic_filters.iter().map(|(name, asked)| filter(name, *asked)).collect();
            Packet::Subscribe(Subscribe { packet_id: packet_id.into(), identifier: None, filters })
        }
        MqttPacket::V5(v5::Packet::Subscribe(packet)) => {
            let filter = |filter: &str, options: &v5::SubscriptionOptions| Filter {
                filter: filter.to_owned(),
                qos: qos(options.qos),
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                retain_handling: match options.retain_handling {
                    v5::RetainHandling::AtSubscribe => RetainHandling::Always,
                    v5::RetainHandling::AtSubscribeNew => RetainHandling::IfNew,
                    v5::RetainHandling::NoAtSubscribe => RetainHandling::Never,
                },
            };
            Packet::Subscribe(Subscribe {
                packet_id: packet.packet_id.into(),
                identifier: packet.id.map(Into::into),
                filters: packet.topic_filters.iter().map(|(name, options)| filter(name, options)).collect(),
            })
        }
        MqttPacket::V3(v3::Packet::Unsubscribe { packet_id, topic_filters })
        | MqttPacket::V5(v5::Packet::Unsubscribe(v5::Unsubscribe { packet_id, topic_filters, .. })) => {
            let filters = topic_filters.iter().map(ToString::to_string).collect();
            Packet::Unsubscribe(Unsubscribe { packet_id: packet_id.into(), filters })
        }
        MqttPacket::V3(v3::Packet::PingRequest) | MqttPacket::V5(v5::Packet::PingRequest) => Packet::PingReq,
        MqttPacket::V3(v3::Packet::Disconnect) => {
            Packet::Disconnect(Disconnect { reason: Reason::Success, session_expiry: None })
        }
        MqttPacket::V5(v5::Packet::Disconnect(packet)) => Packet::Disconnect(Disconnect {
            reason: reason(packet.reason_code),
            session_expiry: packet.session_expiry_interval_secs,
        }),
        MqttPacket::V5(v5::Packet::Auth(packet)) => Packet::Auth(Auth { reason: reason(packet.reason_code) }),
        _ => return None,
    }))
}
