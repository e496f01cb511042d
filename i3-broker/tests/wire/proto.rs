//! The same packets, read by `mqtt-proto`.

use bytes::Bytes;
use i3_broker::wire::{
    Ack, Auth, Connect, Disconnect, Filter, Packet, Qos, Reason, RetainHandling, Subscribe, Unsubscribe,
    Version, Will,
};
use mqtt_proto::{Pid, QoS, QosPid, v3, v5};

use crate::seen::{PassedOn, Seen, SeenPublish};

/// A packet of either version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Theirs {
    V3(v3::Packet),
    V5(Box<v5::Packet>),
}

/// Reads one packet; `None` if it does not take it.
pub(crate) fn read(version: Version, bytes: &[u8]) -> Option<Theirs> {
    match version {
        Version::V311 => v3::Packet::decode(bytes).ok()?.map(Theirs::V3),
        Version::V5 => v5::Packet::decode(bytes).ok()?.map(|packet| Theirs::V5(packet.into())),
    }
}

pub(crate) fn write(packet: &Theirs) -> Vec<u8> {
    match packet {
        Theirs::V3(packet) => packet.encode().unwrap().as_ref().to_vec(),
        Theirs::V5(packet) => packet.encode().unwrap().as_ref().to_vec(),
    }
}

fn qos(qos: QoS) -> Qos {
    Qos::from_bits(qos as u8).unwrap()
}

fn reason(code: u8) -> Reason {
    Reason::from_code(code).unwrap()
}

fn passed_on(
    utf8: Option<bool>,
    content_type: Option<&str>,
    response_topic: Option<&str>,
    correlation: Option<&Bytes>,
    users: &[v5::UserProperty],
) -> PassedOn {
    let mut passed_on = PassedOn {
        utf8: utf8.unwrap_or_default(),
        content_type: content_type.map(str::to_owned),
        response_topic: response_topic.map(str::to_owned),
        correlation: correlation.map(|bytes| bytes.to_vec()),
        users: Vec::new(),
    };
    for user in users {
        passed_on.user(&user.name, &user.value);
    }
    passed_on
}

fn publish(topic: &str, payload: &Bytes, qos_pid: QosPid, dup: bool, retain: bool) -> SeenPublish {
    SeenPublish {
        topic: topic.as_bytes().to_vec(),
        payload: payload.to_vec(),
        qos: qos(qos_pid.qos()),
        dup,
        retain,
        packet_id: qos_pid.pid().map(Pid::value),
        alias: None,
        expiry: None,
        passed_on: PassedOn::default(),
    }
}

fn connect_v3(connect: v3::Connect) -> Seen {
    let passed_on = connect.last_will.as_ref().map(|_| PassedOn::default());
    let connect = Connect {
        version: Version::V311,
        client_id: connect.client_id.to_string(),
        clean_start: connect.clean_session,
        keep_alive: connect.keep_alive,
        will: connect.last_will.map(|will| Will {
            topic: will.topic_name.to_string(),
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
    let passed_on = connect.last_will.as_ref().map(|will| {
        let properties = &will.properties;
        passed_on(
            properties.payload_is_utf8,
            properties.content_type.as_deref(),
            properties.response_topic.as_deref(),
            properties.correlation_data.as_ref(),
            &properties.user_properties,
        )
    });
    let properties = connect.properties;
    let connect = Connect {
        version: Version::V5,
        client_id: connect.client_id.to_string(),
        clean_start: connect.clean_start,
        keep_alive: connect.keep_alive,
        will: connect.last_will.map(|will| Will {
            topic: will.topic_name.to_string(),
            payload: will.payload,
            qos: qos(will.qos),
            retain: will.retain,
            delay: will.properties.delay_interval.unwrap_or_default(),
            expiry: will.properties.message_expiry_interval,
            properties: Bytes::new(),
        }),
        username: connect.username.map(|name| name.to_string()),
        password: connect.password,
        session_expiry: properties.session_expiry_interval.unwrap_or_default(),
        receive_maximum: properties.receive_max.unwrap_or(u16::MAX),
        maximum_packet_size: properties.max_packet_size,
        topic_alias_maximum: properties.topic_alias_max.unwrap_or_default(),
        request_problem_information: properties.request_problem_info.unwrap_or(true),
        request_response_information: properties.request_response_info.unwrap_or_default(),
        authentication_method: properties.auth_method.map(|method| method.to_string()),
    };
    Seen::Connect(connect, passed_on)
}

fn ack(pid: Pid, code: u8) -> Ack {
    Ack { packet_id: pid.value(), reason: reason(code) }
}

/// What it says; `None` for packets that only servers send.
pub(crate) fn seen(packet: Theirs) -> Option<Seen> {
    match packet {
        Theirs::V3(packet) => seen_v3(packet),
        Theirs::V5(packet) => seen_v5(*packet),
    }
}

fn seen_v3(packet: v3::Packet) -> Option<Seen> {
    Some(Seen::Other(match packet {
        v3::Packet::Connect(connect) => return Some(connect_v3(connect)),
        v3::Packet::Publish(v3::Publish { dup, retain, qos_pid, topic_name, payload }) => {
            return Some(Seen::Publish(publish(&topic_name, &payload, qos_pid, dup, retain)));
        }
        v3::Packet::Puback(pid) => Packet::PubAck(ack(pid, 0)),
        v3::Packet::Pubrec(pid) => Packet::PubRec(ack(pid, 0)),
        v3::Packet::Pubrel(pid) => Packet::PubRel(ack(pid, 0)),
        v3::Packet::Pubcomp(pid) => Packet::PubComp(ack(pid, 0)),
        v3::Packet::Subscribe(packet) => {
            let filter = |(filter, asked): &(mqtt_proto::TopicFilter, QoS)| Filter {
                filter: filter.to_string(),
                qos: qos(*asked),
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainHandling::Always,
            };
            let filters = packet.topics.iter().map(filter).collect();
            Packet::Subscribe(Subscribe { packet_id: packet.pid.value(), identifier: None, filters })
        }
        v3::Packet::Unsubscribe(packet) => {
            let filters = packet.topics.iter().map(ToString::to_string).collect();
            Packet::Unsubscribe(Unsubscribe { packet_id: packet.pid.value(), filters })
        }
        v3::Packet::Pingreq => Packet::PingReq,
        v3::Packet::Disconnect => {
            Packet::Disconnect(Disconnect { reason: Reason::Success, session_expiry: None })
        }
        _ => return None,
    }))
}

fn seen_v5(packet: v5::Packet) -> Option<Seen> {
    Some(Seen::Other(match packet {
        v5::Packet::Connect(connect) => return Some(connect_v5(connect)),
        v5::Packet::Publish(v5::Publish { dup, retain, qos_pid, topic_name, payload, properties }) => {
            let mut publish = publish(&topic_name, &payload, qos_pid, dup, retain);
            publish.alias = properties.topic_alias;
            publish.expiry = properties.message_expiry_interval;
            publish.passed_on = passed_on(
                properties.payload_is_utf8,
                properties.content_type.as_deref(),
                properties.response_topic.as_deref(),
                properties.correlation_data.as_ref(),
                &properties.user_properties,
            );
            return Some(Seen::Publish(publish));
        }
        v5::Packet::Puback(packet) => Packet::PubAck(ack(packet.pid, packet.reason_code as u8)),
        v5::Packet::Pubrec(packet) => Packet::PubRec(ack(packet.pid, packet.reason_code as u8)),
        v5::Packet::Pubrel(packet) => Packet::PubRel(ack(packet.pid, packet.reason_code as u8)),
        v5::Packet::Pubcomp(packet) => Packet::PubComp(ack(packet.pid, packet.reason_code as u8)),
        v5::Packet::Subscribe(packet) => {
            let filter = |(filter, options): &(mqtt_proto::TopicFilter, v5::SubscriptionOptions)| Filter {
                filter: filter.to_string(),
                qos: qos(options.max_qos),
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                retain_handling: match options.retain_handling {
                    v5::RetainHandling::SendAtSubscribe => RetainHandling::Always,
                    v5::RetainHandling::SendAtSubscribeIfNotExist => RetainHandling::IfNew,
                    v5::RetainHandling::DoNotSend => RetainHandling::Never,
                },
            };
            Packet::Subscribe(Subscribe {
                packet_id: packet.pid.value(),
                identifier: packet.properties.subscription_id.map(v5::VarByteInt::value),
                filters: packet.topics.iter().map(filter).collect(),
            })
        }
        v5::Packet::Unsubscribe(packet) => {
            let filters = packet.topics.iter().map(ToString::to_string).collect();
            Packet::Unsubscribe(Unsubscribe { packet_id: packet.pid.value(), filters })
        }
        v5::Packet::Pingreq => Packet::PingReq,
        v5::Packet::Disconnect(packet) => Packet::Disconnect(Disconnect {
            reason: reason(packet.reason_code as u8),
            session_expiry: packet.properties.session_expiry_interval,
        }),
        v5::Packet::Auth(packet) => Packet::Auth(Auth { reason: reason(packet.reason_code as u8) }),
        _ => return None,
    }))
}
