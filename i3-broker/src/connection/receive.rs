//! What comes from the client.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use i3_core::denial::DeniedRequest;
use i3_core::gate::Principal;

use super::{Connection, LARGE_READ, MOST_CONTROL, SMALL_READ};
use crate::denials::Denied;
use crate::limits::{Claim, FREE};
use crate::log::Backlog;
use crate::message::{Message, MessageParts};
use crate::metrics::NotTaken;
use crate::session::{Ending, Event, Rights, Session};
use crate::shared::Deferred;
use crate::stats::add;
use crate::wire::{self, Packet, Publish, Qos, Reason};

/// The most messages that are given to the log at once.
const BATCH: usize = 1_024;

/// How long to stop reading when the log is behind, and when it does not answer.
const BEHIND: Duration = Duration::from_millis(1);
const DOWN: Duration = Duration::from_millis(10);

/// How long to stop reading when the gate has no memory left for large packets.
const SHORT: Duration = Duration::from_millis(10);

/// Bytes that have come, and messages that the log has not taken yet.
#[derive(Debug)]
pub(super) struct Intake {
    bytes: BytesMut,
    claim: Claim,
    chunk: usize,
    /// Since when a packet is incomplete.
    partial: Option<Instant>,
    messages: Vec<Publish>,
    /// The one after them and its right, which has to wait until they are taken; what comes behind it is not read.
    next: Option<(Publish, usize)>,
    /// Which of the session's rights the messages use.
    right: usize,
    /// The acknowledgements to send when the log has them.
    acks: Vec<u8>,
    /// Those of `QoS` 2 among them.
    exact: Vec<u16>,
    resume: Option<Instant>,
    down_since: Option<Instant>,
    /// What the log took last was one message.
    alone: bool,
    scratch: Vec<Message>,
}

impl Intake {
    /// Begins with what came after CONNECT, and with what was claimed for it.
    pub(super) fn new(bytes: BytesMut, claim: Claim) -> Self {
        Self {
            bytes,
            claim,
            chunk: SMALL_READ,
            partial: None,
            messages: Vec::new(),
            next: None,
            right: 0,
            acks: Vec::new(),
            exact: Vec::new(),
            resume: None,
            down_since: None,
            alone: false,
            scratch: Vec::new(),
        }
    }

    /// Makes room to read into; false if the gate has no memory for that now.
    fn make_room(&mut self, now: Instant) -> bool {
        let (length, capacity) = (self.bytes.len(), self.bytes.capacity());
        // A buffer that has to grow may double.
        let wanted = if capacity - length >= self.chunk { capacity } else { 2 * length + self.chunk };
        if self.claim.cover(wanted, now) {
            self.bytes.reserve(self.chunk);
            return true;
        }
        self.chunk = SMALL_READ;
        if length == 0 {
            self.bytes = BytesMut::new();
        } else if length < capacity {
            return true;
        }
        let little = FREE.saturating_sub(length).min(SMALL_READ);
        self.bytes.reserve(little);
        little > 0
    }

    /// Counts what is held between two reads. Messages that the log has not taken are in the same memory.
    fn count(&mut self) {
        if self.messages.is_empty() {
            let held = if self.bytes.is_empty() { 0 } else { self.bytes.capacity() };
            self.claim.unfinished(held, self.partial);
        }
    }

    pub(super) fn partial_since(&self) -> Option<Instant> {
        self.partial
    }

    pub(super) fn resume_at(&self) -> Option<Instant> {
        self.resume
    }

    /// Whether a message came alone since this was last asked.
    pub(super) fn took_one_alone(&mut self) -> bool {
        std::mem::take(&mut self.alone)
    }

    pub(super) fn holds_messages(&self) -> bool {
        !self.messages.is_empty() || self.next.is_some()
    }

    /// Forgets what was not taken by the log; it was not acknowledged.
    pub(super) fn discard(&mut self, session: &mut Session) {
        self.messages.clear();
        self.acks.clear();
        let next = self.next.take().filter(|(publish, _)| publish.qos == Qos::ExactlyOnce);
        let next = next.and_then(|(publish, _)| publish.packet_id);
        for id in self.exact.drain(..).chain(next) {
            session.forget(id);
        }
    }
}

/// The message in an accepted PUBLISH. The log numbers it.
fn parts(publish: &Publish) -> MessageParts<'_> {
    MessageParts {
        qos: publish.qos,
        retain: publish.retain,
        sequence: 0,
        published: 0,
        expiry: publish.expiry,
        properties: publish.properties(),
        payload: publish.payload(),
    }
}

impl Connection {
    /// Whether more should be read from the socket.
    pub(super) fn may_read(&self, now: Instant) -> bool {
        self.intake.resume.is_none_or(|at| at <= now)
            && !self.intake.holds_messages()
            && self.control.len() < MOST_CONTROL
    }

    /// Reads and handles what has come; whether that was anything.
    pub(super) async fn receive(&mut self, now: Instant) -> Result<bool, Ending> {
        if self.intake.holds_messages() && self.intake.resume.is_none_or(|at| at <= now) {
            self.hand_over(now).await?;
            // Its acknowledgements are to be written now.
            return Ok(!self.intake.holds_messages());
        }
        if self.intake.claim.evicted() {
            tracing::debug!("a client is cut off: memory is short and its packet unfinished");
            return Err(Ending::Cut(Reason::QuotaExceeded));
        }
        if !self.may_read(now) {
            return Ok(false);
        }
        self.intake.resume = None;
        let intake = &mut self.intake;
        // CONNECT may have come with company.
        let mut count = 0;
        if intake.partial.is_some() || intake.bytes.is_empty() {
            if !intake.make_room(now) {
                intake.resume = Some(now + SHORT);
                return Ok(false);
            }
            count = match self.stream.try_read_buf(&mut intake.bytes) {
                Ok(0) => return Err(Ending::Lost),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if intake.bytes.is_empty() {
                        // Whoever is idle holds nothing.
                        intake.bytes = BytesMut::new();
                    }
                    intake.count();
                    return Ok(false);
                }
                Err(_) => return Err(Ending::Lost),
            };
            self.heard = now;
            add(&self.shared.meters.read, u64::try_from(count).unwrap_or_default());
        }
        if count >= intake.chunk {
            intake.chunk = (intake.chunk * 2).min(LARGE_READ);
        } else if count < intake.chunk / 8 {
            intake.chunk = (intake.chunk / 2).max(SMALL_READ);
        }
        let mut complete = false;
        let (version, limit) = (self.session.version(), self.shared.config.max_packet);
        loop {
            match wire::decode(version, &mut self.intake.bytes, limit) {
                Ok(Some(packet)) => {
                    complete = true;
                    self.handle_packet(packet, now).await?;
                    if self.intake.next.is_some() {
                        // There may be whole packets in the rest: they are looked at before more is read.
                        self.intake.partial = None;
                        return Ok(true);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "a client is cut off");
                    // What came before it was in order.
                    self.hand_over(now).await?;
                    return Err(Ending::Violation(error.reason()));
                }
            }
        }
        if self.intake.bytes.is_empty() {
            self.intake.partial = None;
        } else if complete || self.intake.partial.is_none() {
            self.intake.partial = Some(now);
        }
        self.hand_over(now).await?;
        self.intake.count();
        Ok(true)
    }

    async fn handle_packet(&mut self, packet: Packet, now: Instant) -> Result<(), Ending> {
        let mut event = self.session.packet(packet, &mut self.control);
        if let Ok(Event::Refused(publish)) = event {
            // Rights may have been added since they were read.
            self.hand_over(now).await?;
            self.stale_rights |= self.rights_read != self.shared.changes.load(Ordering::Acquire);
            if !self.intake.holds_messages() {
                Box::pin(self.read_rights()).await?;
            }
            event = self.session.packet(Packet::Publish(publish), &mut self.control);
        }
        match event {
            Ok(Event::Publish(publish, right)) => self.publish(publish, right, now).await,
            Ok(Event::Done) => Ok(()),
            Ok(Event::Again(id)) => {
                self.session.accept(&mut self.intake.acks, Qos::ExactlyOnce, id);
                Ok(())
            }
            Ok(Event::Subscribe(subscribe)) => Box::pin(self.subscribe(subscribe)).await,
            Ok(Event::Unsubscribe(unsubscribe)) => Box::pin(self.unsubscribe(&unsubscribe)).await,
            Ok(Event::Disconnect(disconnect)) => {
                self.hand_over(now).await?;
                Err(Ending::Goodbye { will: disconnect.reason != Reason::Success })
            }
            Ok(Event::Refused(publish)) => {
                self.shared.counters.refused.fetch_add(1, Ordering::Relaxed);
                self.shared.meters.not_taken.one(NotTaken::Publish);
                let topic = publish.topic().get(..DeniedRequest::MAX_TEXT).unwrap_or(publish.topic());
                let topic = String::from_utf8_lossy(topic);
                self.shared.denied(Some(self.principal()), Some(self.peer), Denied::Publish(&topic));
                tracing::debug!("a publish is refused");
                self.session.refuse(&publish, &mut self.intake.acks)
            }
            Err(ending) => {
                tracing::debug!(?ending, "a client is cut off");
                self.hand_over(now).await?;
                Err(ending)
            }
        }
    }

    /// Adds an authorized message to the batch.
    async fn publish(&mut self, publish: Publish, right: usize, now: Instant) -> Result<(), Ending> {
        if right != self.intake.right || self.intake.messages.len() >= BATCH {
            // Its turn comes when the log has those before it; until then it goes where they go.
            self.intake.next = Some((publish, right));
            return self.hand_over(now).await;
        }
        self.add(publish);
        Ok(())
    }

    fn add(&mut self, publish: Publish) {
        if let Some(id) = publish.packet_id {
            self.session.accept(&mut self.intake.acks, publish.qos, id);
            if publish.qos == Qos::ExactlyOnce {
                self.intake.exact.push(id);
            }
        }
        self.intake.messages.push(publish);
    }

    /// Gives the batch to the log, then acknowledges it. Waits for the product's sequence numbers if there are too few:
    /// nearly always they are there before they are needed.
    async fn hand_over(&mut self, now: Instant) -> Result<(), Ending> {
        if self.offer(now)? {
            return Ok(());
        }
        let Some(right) = self.session.rights().get(self.intake.right) else { return Err(Ending::Lost) };
        let (shared, right) = (Arc::clone(&self.shared), right.clone());
        let count = u64::try_from(self.intake.messages.len()).unwrap_or(u64::MAX);
        let waited = Box::pin(self.ask(shared.streams.ready(&right, count, shared.config.log_wait))).await?;
        if waited.is_ok() && self.offer(now)? {
            return Ok(());
        }
        tracing::warn!("a client is cut off: there are no sequence numbers");
        Err(Ending::Cut(Reason::ServerBusy))
    }

    /// Offers the batch to the log; false if there are no numbers for it.
    fn offer(&mut self, now: Instant) -> Result<bool, Ending> {
        let intake = &mut self.intake;
        if !intake.messages.is_empty() {
            let Some(right) = self.session.rights().get(intake.right) else { return Err(Ending::Lost) };
            let messages = intake.messages.iter().map(parts);
            match self.shared.take_in(self.admission.principal, right, messages, &mut intake.scratch) {
                Ok(backlog) => {
                    let count = u64::try_from(intake.messages.len()).unwrap_or_default();
                    add(&self.shared.counters.accepted, count);
                    intake.alone = count == 1;
                    intake.messages.clear();
                    intake.exact.clear();
                    intake.down_since = None;
                    if backlog == Backlog::High {
                        intake.resume = Some(now + BEHIND);
                    }
                }
                Err(Deferred::Numbers(_)) => return Ok(false),
                Err(Deferred::Log(down)) => {
                    let since = *intake.down_since.get_or_insert(now);
                    if now.duration_since(since) > self.shared.config.log_wait {
                        tracing::warn!(%down, "a client is cut off");
                        return Err(Ending::Cut(Reason::ServerBusy));
                    }
                    intake.resume = Some(now + DOWN);
                    return Ok(true);
                }
            }
        }
        if !intake.acks.is_empty() {
            self.control.append(&mut intake.acks);
            self.session.acknowledged();
        }
        if let Some((publish, right)) = intake.next.take() {
            intake.right = right;
            self.add(publish);
        }
        Ok(true)
    }

    /// Reads a device's rights again after a change.
    pub(super) async fn read_rights(&mut self) -> Result<(), Ending> {
        while std::mem::take(&mut self.stale_rights) {
            let Principal::Device { device, .. } = self.principal() else { return Ok(()) };
            *self.handle.products.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
            let shared = Arc::clone(&self.shared);
            self.rights_read = shared.changes.load(Ordering::Acquire);
            let rights = match self.ask(shared.ports.directory.publish_rights(device)).await? {
                Ok(Some(rights)) => rights,
                Ok(None) => return Err(Ending::Cut(Reason::AdministrativeAction)),
                Err(error) => {
                    tracing::warn!(%error, "rights could not be read");
                    return Err(Ending::Cut(Reason::ServerBusy));
                }
            };
            let products = rights.iter().map(|right| right.product).collect();
            *self.handle.products.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(products);
            self.session.set_rights(Rights::new(rights));
        }
        Ok(())
    }
}
