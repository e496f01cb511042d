//! One client's connection: its task, from the first byte to the last.
//!
//! A single task reads, judges, delivers and writes. It never waits for its client without also listening to the
//! gate, so that a revocation takes effect however slowly the client reads.

mod deliver;
mod leave;
mod login;
mod outbox;
mod receive;
mod subscribe;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use i3_core::gate::{Admission, Principal};
use tokio::io::Interest;
use tokio::time::Sleep;
use tracing::Instrument as _;
use tracing::field::Empty;

use self::deliver::Subscription;
use self::outbox::Outbox;
use self::receive::Intake;
use crate::metrics::{Present, Spoken, TurnedAway};
use crate::session::{Ending, Session};
use crate::shared::{Entered, Shared, TaskCount};
use crate::signal::{ConnHandle, Signals};
use crate::transport::Stream;
use crate::wire::{Reason, Will};

/// The smallest piece that is read at a time, and the largest.
const SMALL_READ: usize = 2 * 1_024;
const LARGE_READ: usize = 64 * 1_024;

/// How many control bytes may wait for a client that does not read before nothing more is read from it.
const MOST_CONTROL: usize = 64 * 1_024;

/// A logged-in client. The order of the fields is the order in which they go: quota back first, then out of the
/// grant, and only then is the end announced.
struct Connection {
    outbox: Outbox,
    subscription: Option<Subscription>,
    stream: Stream,
    /// Where the client is.
    peer: IpAddr,
    shared: Arc<Shared>,
    handle: Arc<ConnHandle>,
    admission: Admission,
    /// The client identifier, or what stands in for it.
    name: String,
    session: Session,
    intake: Intake,
    control: Vec<u8>,
    will: Option<Will>,
    /// 1.5 times the client's keep alive (3.1.2.10).
    keep_alive: Option<Duration>,
    /// When the credential ends.
    until: Option<Instant>,
    /// When bytes last came, and when they last went while some waited.
    heard: Instant,
    wrote: Instant,
    /// Part of a frame was written when deliveries were paused: nothing is written until it is known how they go on.
    held: bool,
    /// Rights must be read again before anything is accepted.
    stale_rights: bool,
    /// The number of the last change of access before the rights were read.
    rights_read: u64,
    timer: Pin<Box<Sleep>>,
    present: Present<Spoken>,
    entered: Entered,
}

/// The whole life of a connection.
pub(crate) async fn run(
    shared: Arc<Shared>,
    stream: Stream,
    peer: IpAddr,
    handle: Arc<ConnHandle>,
    count: TaskCount,
) {
    let span = tracing::debug_span!("gate.connection", id = handle.id, version = Empty, principal = Empty);
    live(shared, stream, peer, handle, count).instrument(span).await;
}

async fn live(shared: Arc<Shared>, stream: Stream, peer: IpAddr, handle: Arc<ConnHandle>, count: TaskCount) {
    let mut closing = shared.closing.subscribe();
    let turned_away = |why| {
        shared.meters.turned_away.one(why);
        None
    };
    let login = tokio::select! {
        biased;
        _ = closing.wait_for(|closing| *closing) => turned_away(TurnedAway::Closing),
        login = tokio::time::timeout(
            shared.config.connect_limit,
            // Boxed, as all that is rare: a connection is not to hold room for it all its life.
            Box::pin(login::login(&shared, stream, peer, &handle)),
        ) => login.unwrap_or_else(|_| turned_away(TurnedAway::Timeout)),
    };
    match login {
        Some(connection) => connection.live().await,
        None => {
            shared.counters.logins_refused.fetch_add(1, Ordering::Relaxed);
        }
    }
    drop(count);
}

impl Connection {
    fn principal(&self) -> Principal {
        self.admission.principal
    }

    async fn live(mut self: Box<Self>) {
        let ending = match self.serve().await {
            Ok(never) => match never {},
            Err(ending) => ending,
        };
        Box::pin(self.leave(ending)).await;
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, Ending> {
        let mut busy = 0_u32;
        loop {
            self.obey()?;
            if self.stale_rights {
                Box::pin(self.read_rights()).await?;
            }
            let now = Instant::now();
            self.fill(now)?;
            let mut progress = self.write(now)?;
            progress |= self.receive(now).await?;
            if progress {
                busy += 1;
                // Whoever waits for a message that came alone writes it before this task acknowledges it.
                if self.intake.took_one_alone() || busy.is_multiple_of(16) {
                    tokio::task::yield_now().await;
                }
                continue;
            }
            busy = 0;
            let next = self.next_deadline(now)?;
            if next < self.timer.deadline().into_std() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(next.into());
            }
            let interest = self.interest(now);
            tokio::select! {
                biased;
                () = self.handle.wake.notified() => {}
                ready = self.stream.ready(interest) => { ready.map_err(|_| Ending::Lost)?; }
                () = self.timer.as_mut() => {}
            }
        }
    }

    /// What to wait for at the socket. Errors are always reported.
    fn interest(&self, now: Instant) -> Interest {
        match (self.may_read(now), self.held || self.outbox.is_empty()) {
            (true, true) => Interest::READABLE,
            (true, false) => Interest::READABLE | Interest::WRITABLE,
            (false, false) => Interest::WRITABLE,
            (false, true) => Interest::ERROR,
        }
    }

    /// Acts on what the gate says, and tells it.
    fn obey(&mut self) -> Result<(), Ending> {
        let (signals, waiting) = self.handle.take();
        if signals.is_empty() {
            return Ok(());
        }
        if signals.has(Signals::CLOSE) || signals.has(Signals::TAKEOVER) {
            self.pause();
            self.intake.discard(&mut self.session);
            let closed = signals.has(Signals::CLOSE);
            let reason = if closed { Reason::NotAuthorized } else { Reason::SessionTakenOver };
            return Err(Ending::Cut(reason));
        }
        if signals.has(Signals::PAUSE) {
            self.pause();
        }
        if signals.has(Signals::REFRESH) {
            if self.intake.holds_messages() {
                // They were judged by the old rights and not taken by the log yet.
                self.intake.discard(&mut self.session);
                return Err(Ending::Cut(Reason::ServerBusy));
            }
            self.stale_rights = true;
        }
        for ack in waiting {
            // Whoever waited may have given up.
            let _ = ack.send(());
        }
        if signals.has(Signals::SHUTDOWN) { Err(Ending::Shutdown) } else { Ok(()) }
    }

    /// Waits for an answer of the marketplace or the log, obeying the gate meanwhile.
    async fn ask<T>(&mut self, answer: impl Future<Output = T>) -> Result<T, Ending> {
        let mut answer = std::pin::pin!(tokio::time::timeout(self.shared.config.quota_wait, answer));
        loop {
            self.obey()?;
            tokio::select! {
                biased;
                () = self.handle.wake.notified() => {}
                answer = &mut answer => return answer.map_err(|_| Ending::Finished(Reason::ServerBusy)),
            }
        }
    }

    /// Hands waiting bytes to the socket, as many as it takes.
    fn write(&mut self, now: Instant) -> Result<bool, Ending> {
        let mut progress = false;
        while !self.held && !self.outbox.is_empty() {
            match self.stream.try_write(self.outbox.rest()) {
                Ok(0) => return Err(Ending::Lost),
                Ok(count) => {
                    self.outbox.wrote(count);
                    self.wrote = now;
                    progress = true;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(Ending::Lost),
            }
        }
        if self.outbox.is_empty()
            && let Some(subscription) = &self.subscription
        {
            subscription.standing.reader.release();
        }
        Ok(progress)
    }

    /// The next moment at which something must be done without any event; an error if one has passed.
    fn next_deadline(&self, now: Instant) -> Result<Instant, Ending> {
        let config = &self.shared.config;
        let stalled = (!self.outbox.is_empty()).then(|| (self.wrote + config.write_limit, Ending::Lost));
        let silent =
            self.keep_alive.map(|limit| (self.heard + limit, Ending::Violation(Reason::KeepAliveTimeout)));
        let partial = self
            .intake
            .partial_since()
            .map(|since| (since + config.packet_limit, Ending::Violation(Reason::ImplementationSpecific)));
        let expired = self.until.map(|until| (until, Ending::Cut(Reason::MaximumConnectTime)));
        let mut end = now + Duration::from_hours(1);
        for (at, ending) in [stalled, silent, partial, expired].into_iter().flatten() {
            if at <= now {
                return Err(ending);
            }
            end = end.min(at);
        }
        let mut delivery = None;
        if let Some(subscription) = &self.subscription {
            subscription.check_time(config, now)?;
            delivery = subscription.deadline(config);
        }
        // One that has passed waits for something else.
        let resume = self.intake.resume_at().filter(|resume| *resume > now);
        Ok([delivery, resume].into_iter().flatten().fold(end, Instant::min))
    }
}
