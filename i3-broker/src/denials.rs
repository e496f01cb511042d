//! What the gate denies, told to who keeps a record of it.

use std::net::IpAddr;

use i3_core::denial::DeniedRequest;
use i3_core::gate::Principal;

use crate::shared::Shared;

/// What was denied at the gate.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Denied<'a> {
    /// A login, or what it asks for at once.
    Connect,
    /// A publish to this topic.
    Publish(&'a str),
    /// A will that was due at this topic.
    Will(&'a str),
    /// A subscription with this filter.
    Subscribe(&'a str),
    /// To go on: the access of a connection has ended.
    Stay,
}

impl Shared {
    /// Tells of a denial. Whoever has not logged in is nobody, whatever name was given; a client that is gone has no
    /// address.
    pub(crate) fn denied(&self, principal: Option<Principal>, peer: Option<IpAddr>, what: Denied<'_>) {
        let Some(recorder) = &self.config.denials else { return };
        let (operation, target) = match what {
            Denied::Connect => ("gate_connect", None),
            Denied::Publish(topic) => ("gate_publish", Some(topic)),
            Denied::Will(topic) => ("gate_will", Some(topic)),
            Denied::Subscribe(filter) => ("gate_subscribe", Some(filter)),
            Denied::Stay => ("gate_stay", None),
        };
        let (device, order, user) = match principal {
            Some(Principal::Device { device, .. }) => (Some(device), None, None),
            Some(Principal::Order { order, buyer }) => (None, Some(order), Some(buyer)),
            None => (None, None, None),
        };
        recorder.record(DeniedRequest {
            at: self.ports.clock.now(),
            user,
            client: None,
            device,
            order,
            peer,
            operation: operation.to_owned(),
            // A topic is up to 64 KiB long, and what is kept of it is not.
            target: target.map(|target| target.chars().take(DeniedRequest::MAX_TEXT).collect()),
            code: "not_authorized".to_owned(),
            missing: None,
        });
    }
}
