//! Messages of `QoS` 1 and 2 on their way from a client (4.3.2, 4.3.3).

use std::collections::BTreeSet;

/// What is known of messages that the client has not been done with.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Of `QoS` 2: received, and PUBREL has not come. Part of the session.
    open: BTreeSet<u16>,
    /// Of `QoS` 1: how many wait for their PUBACK. Part of the connection.
    waiting: u16,
}

impl Received {
    /// How many messages the client has under way (MQTT 5, 3.3.4-7).
    pub(crate) fn count(&self) -> usize {
        self.open.len().saturating_add(usize::from(self.waiting))
    }

    /// Whether a message of `QoS` 2 with this identifier came before.
    pub(crate) fn knows(&self, id: u16) -> bool {
        self.open.contains(&id)
    }

    /// A message of `QoS` 2 was accepted.
    pub(crate) fn open(&mut self, id: u16) {
        self.open.insert(id);
    }

    /// PUBREL; whether there was such a message. The identifier is free.
    pub(crate) fn release(&mut self, id: u16) -> bool {
        self.open.remove(&id)
    }

    /// A message of `QoS` 1 was accepted.
    pub(crate) fn wait(&mut self) {
        self.waiting = self.waiting.saturating_add(1);
    }

    /// All that waited were acknowledged.
    pub(crate) fn acknowledged(&mut self) {
        self.waiting = 0;
    }

    /// What it takes in memory beyond its own size, about.
    pub(crate) fn weight(&self) -> usize {
        self.open.len().saturating_mul(8)
    }
}
