//! The end of a connection: what becomes of the bytes in hand, the will, the session, and the socket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use i3_core::id::GrantId;
use tokio::io::Interest;

use super::deliver::{Membership, Subscription};
use super::{Connection, SMALL_READ};
use crate::denials::Denied;
use crate::parked::{Kept, Parked, ParkedSession, Standing};
use crate::session::Ending;
use crate::shared::{Owner, Shared};
use crate::transport::Stream;
use crate::will::{self, Fired};
use crate::wire::{self, Reason, Version};

/// How long a client is given to read what was sent to it before the socket is closed.
const LINGER: Duration = Duration::from_secs(2);

/// How long a will may be delayed, and a session last, that has no other end.
const FOR_EVER: Duration = Duration::from_hours(100 * 365 * 24);

impl Connection {
    /// Ends the connection. Once its entry is dropped, nothing is accepted from it and no message is written to it.
    pub(super) async fn leave(mut self: Box<Self>, ending: Ending) {
        if ending.flushes() {
            self.flush().await;
        }
        if let Ending::Cut(Reason::NotAuthorized) | Ending::Finished(Reason::NotAuthorized) = ending {
            self.shared.denied(Some(self.admission.principal), Some(self.peer), Denied::Stay);
        }
        self.pause();
        self.intake.discard(&mut self.session);
        let last = self.last_words(ending);
        let Self {
            outbox,
            subscription,
            intake,
            mut stream,
            peer,
            shared,
            admission,
            name,
            session,
            will,
            present,
            entered,
            ..
        } = *self;
        // Others may be waiting for its memory.
        drop(intake);
        let version = session.version();
        let expiry = span(session.expiry());
        let mut will = will.filter(|_| ending.fires_will());
        let (standing, member) = match subscription {
            None => (None, None),
            Some(subscription) => stand(&shared, subscription).await,
        };
        // A subscription that is not open any more takes its session along: the client is to subscribe again.
        let stands = standing.is_some() == member.is_some();
        if ending.keeps_session() && !expiry.is_zero() && stands {
            let now = Instant::now();
            let (received, window) = session.into_kept();
            let subscription = standing.map(|standing| Standing {
                reader: standing.reader.parked(shared.config.max_offline, shared.config.max_offline_bytes),
                ..standing
            });
            // MQTT 5, 3.1.3.2.2: the session's end is the latest.
            let later = will.take_if(|will| will.delay > 0);
            let offline = subscription.as_ref().map_or(0, |_| shared.config.max_offline_bytes);
            let parked = ParkedSession {
                offline,
                kept: Kept { received, window, subscription },
                admission,
                will: later.map(|will| {
                    let delay = span(will.delay).min(expiry);
                    (will, now + delay)
                }),
                ends: now + expiry,
            };
            Parked::park(&shared, (Owner::from(admission.principal), name), parked);
        }
        if let Some(will) = will {
            let fired = will::fire(&shared, admission.principal, Some(peer), &will).await;
            if fired == Fired::NotYet {
                will::fire_alone(&shared, admission, will);
            }
        }
        // What was handed to the system may still be on its way: closing at once, with input unread, would
        // cut it off.
        drop((outbox, member, present, entered));
        farewell(&mut stream, version, ending, &last).await;
    }

    /// What is still to be written when no message is written any more: answers, and to a client of MQTT 5 the
    /// reason. Nothing in the middle of a message.
    fn last_words(&mut self, ending: Ending) -> Vec<u8> {
        let mut last = Vec::new();
        let told = self.session.version() == Version::V5 || matches!(ending, Ending::Goodbye { .. });
        if self.outbox.is_within_frame() || !told || ending == Ending::Lost {
            return last;
        }
        last.extend_from_slice(self.outbox.rest());
        last.append(&mut self.control);
        if let Some(reason) = ending.reason() {
            let at = last.len();
            wire::disconnect(&mut last, reason, words(reason));
            if last.len() - at > self.session.longest() {
                last.truncate(at);
                self.session.answer(&mut last, |out, _| wire::disconnect(out, reason, None));
            }
        }
        last
    }

    /// Writes what is in hand, for a limited time, unless the gate takes it back.
    async fn flush(&mut self) {
        let until = Instant::now() + self.shared.config.shutdown_limit;
        if self.outbox.is_empty() {
            self.outbox.put_control(&mut self.control);
        }
        while !self.held && self.write(Instant::now()).is_ok() && !self.outbox.is_empty() {
            tokio::select! {
                biased;
                () = self.handle.wake.notified() => {
                    if self.obey().is_err_and(|ending| matches!(ending, Ending::Cut(_))) {
                        return;
                    }
                }
                ready = self.stream.ready(Interest::WRITABLE) => if ready.is_err() { return },
                () = tokio::time::sleep_until(until.into()) => return,
            }
        }
    }
}

/// What of a subscription outlives its connection: nothing, if its grant is not known to be open. The membership is
/// to be held until the rest is parked: until then a change of access waits for this connection.
async fn stand(shared: &Arc<Shared>, subscription: Subscription) -> (Option<Standing>, Option<Membership>) {
    let (mut standing, member, known) = subscription.into_standing();
    standing.reader.release();
    if let Some(view) = known {
        standing.view = view;
        return (Some(standing), Some(member));
    }
    let grant: GrantId = standing.view.grant;
    let reading = shared.ports.directory.grant(grant);
    match tokio::time::timeout(shared.config.revoke_limit / 2, reading).await {
        Ok(Ok(Some(view)))
            if view.open
                && view.topic == standing.topic
                && view.until.is_none_or(|until| until > shared.ports.clock.now()) =>
        {
            standing.view = Arc::new(view);
            (Some(standing), Some(member))
        }
        _ => (None, Some(member)),
    }
}

/// 3.1.2.11.2: the highest number is for ever.
fn span(seconds: u32) -> Duration {
    if seconds == u32::MAX { FOR_EVER } else { Duration::from_secs(u64::from(seconds)) }
}

/// What a reason means here, for people.
fn words(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::NotAuthorized => Some("this client has no access, or none any more"),
        Reason::AdministrativeAction => Some("access was suspended by an administrator"),
        Reason::QuotaExceeded => Some("what the order paid for has been delivered"),
        Reason::SessionTakenOver => Some("another connection has this client identifier now"),
        Reason::MaximumConnectTime => Some("the credential has ended"),
        Reason::ServerBusy => Some("the marketplace does not answer"),
        Reason::ImplementationSpecific => Some("a packet was begun and not finished in time"),
        _ => None,
    }
}

/// Says the last words where there are some, and closes.
async fn farewell(stream: &mut Stream, version: Version, ending: Ending, last: &[u8]) {
    let gone = match version {
        Version::V311 => matches!(ending, Ending::Lost | Ending::Violation(_)),
        Version::V5 => ending == Ending::Lost,
    };
    if gone {
        return;
    }
    let written = tokio::time::timeout(LINGER, stream.write_all(last)).await;
    if matches!(written, Ok(Ok(()))) {
        linger(stream).await;
    }
}

/// Says that nothing more comes, and reads until the client has closed its side too.
pub(super) async fn linger(stream: &mut Stream) {
    let farewell = async {
        if stream.shutdown().await.is_ok() {
            let mut rest = BytesMut::with_capacity(SMALL_READ);
            while matches!(stream.read_buf(&mut rest).await, Ok(1..)) {
                rest.clear();
            }
        }
    };
    // A client that keeps its side open is left.
    let _ = tokio::time::timeout(LINGER, farewell).await;
}
