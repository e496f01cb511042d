//! The task that takes leases for one grant, keeps them filled, reports usage and gives the rest back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use i3_core::gate::{GrantView, LeaseRefusal, LeaseReport, MeteringError};

use tracing::Instrument as _;

use super::grant::{GrantHandle, Phase, Stop};
use super::lease::Lease;
use crate::metrics::{LeaseEvent, NoQuota};
use crate::shared::Shared;
use crate::stats::add;

/// Faster renewals than this ask for more at a time; slower ones than [`SLOW`] for less.
const FAST: Duration = Duration::from_millis(250);
const SLOW: Duration = Duration::from_secs(2);

/// How often the end of deliveries in hand is looked for.
const SETTLING: Duration = Duration::from_millis(2);

/// Pauses between tries when the store does not answer.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);

pub(super) fn start(shared: Arc<Shared>, handle: Arc<GrantHandle>) {
    let runtime = shared.runtime.clone();
    let chunk = shared.config.first_lease;
    runtime.spawn(async move { Keeper { chunk, shared, handle, dry: false, ended: false }.run().await });
}

struct Keeper {
    shared: Arc<Shared>,
    handle: Arc<GrantHandle>,
    /// How much to ask for at a time.
    chunk: u64,
    /// Whether the marketplace had no more to give when it was last asked under this lease.
    dry: bool,
    /// Whether the grant was ended in order.
    ended: bool,
}

impl Drop for Keeper {
    /// A marketplace that panics must not leave sessions waiting for a keeper that is gone.
    fn drop(&mut self) {
        if !self.ended {
            self.shared.grants.end(&self.handle, Stop::StoreDown);
        }
    }
}

/// What ended a lease.
enum Over {
    /// The grant must be read again.
    Changed,
    /// Nobody needs it.
    Deserted,
    /// All of it was delivered and no more is given: ask for a new one to learn why.
    UsedUp,
    /// Nothing was delivered for a while: a small lease will do, so that little is in doubt after a crash and
    /// little is kept from other gates.
    Idle,
}

impl Keeper {
    async fn run(mut self) {
        let mut spent = false;
        loop {
            let changes = self.handle.changes();
            let (lease, view) = match self.take_lease().await {
                Ok(taken) => taken,
                Err(stop) => {
                    // A change that came meanwhile may have made the answer stale.
                    if changes != self.handle.changes() && !self.handle.is_deserted() {
                        continue;
                    }
                    // Where all that there was was delivered, the last frame may be finished. A lease that
                    // happened to be used up when the grant was taken away is another matter.
                    let stop = if spent { Stop::Refused(LeaseRefusal::Exhausted) } else { stop };
                    self.shared.grants.end(&self.handle, stop);
                    self.ended = true;
                    return;
                }
            };
            let span = tracing::info_span!("gate.lease", grant = %self.handle.grant, lease = %lease.id);
            let over = if self.handle.open(changes, &lease, view, &self.shared) {
                self.serve(&lease, changes).instrument(span.clone()).await
            } else {
                Over::Changed
            };
            // No session reserves any more after this, and all have settled or given back.
            let forced = self.handle.pause(self.shared.config.revoke_limit).await;
            add(&self.shared.counters.forced, forced);
            spent = self.dry && lease.delivered() >= lease.granted();
            self.close(&lease).instrument(span).await;
            if matches!(over, Over::Idle) {
                self.chunk = self.shared.config.first_lease;
            }
            if matches!(over, Over::Deserted) && self.shared.grants.end_if_deserted(&self.handle) {
                self.ended = true;
                return;
            }
        }
    }

    /// Reads the grant and opens a lease under it.
    async fn take_lease(&mut self) -> Result<(Arc<Lease>, GrantView), Stop> {
        let give_up = Instant::now() + self.shared.config.quota_wait;
        let mut pause = FIRST_RETRY;
        loop {
            match self.try_lease().await {
                Ok(Some(taken)) => return Ok(taken),
                // The grant changed between the two questions.
                Ok(None) if Instant::now() + pause < give_up => {}
                Ok(None) => return Err(Stop::Closed),
                Err(Stop::StoreDown) if Instant::now() + pause < give_up && !self.handle.is_deserted() => {}
                Err(stop) => return Err(stop),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    async fn try_lease(&mut self) -> Result<Option<(Arc<Lease>, GrantView)>, Stop> {
        let ports = &self.shared.ports;
        let view = match ports.directory.grant(self.handle.grant).await {
            Ok(Some(view)) if view.open => view,
            Ok(_) => return Err(Stop::Closed),
            Err(error) => {
                tracing::warn!(grant = %self.handle.grant, %error, "a grant could not be read");
                return Err(Stop::StoreDown);
            }
        };
        if view.until.is_some_and(|until| until <= ports.clock.now()) {
            return Err(Stop::Closed);
        }
        match ports.metering.open(self.handle.grant, &self.shared.config.holder, self.chunk).await {
            Ok(terms) => {
                self.shared.meters.leases.one(LeaseEvent::Opened);
                let lease = Arc::new(Lease::new(terms.lease, terms.epoch, terms.granted));
                if terms.epoch != view.epoch {
                    lease.close();
                    self.close(&lease).await;
                    return Ok(None);
                }
                Ok(Some((lease, view)))
            }
            Err(MeteringError::Refused(refusal)) => {
                self.shared.meters.no_quota.one(refusal.into());
                Err(Stop::Refused(refusal))
            }
            Err(error) => {
                self.shared.meters.no_quota.one(NoQuota::Unavailable);
                tracing::warn!(grant = %self.handle.grant, %error, "no quota could be taken");
                Err(Stop::StoreDown)
            }
        }
    }

    /// Keeps a lease filled for as long as it lasts.
    async fn serve(&mut self, lease: &Arc<Lease>, changes: u64) -> Over {
        let mut reported = LeaseReport::default();
        // Delivered when a report was last due.
        let mut last_looked = u64::MAX;
        let mut asked = Instant::now();
        let mut next_report = Instant::now() + self.shared.config.report_every;
        // Set while the store does not answer: when to ask again.
        let mut retry: Option<(Instant, Duration)> = None;
        self.dry = false;
        let mut wanted = false;
        loop {
            if self.handle.changes() != changes {
                return Over::Changed;
            }
            if self.handle.is_deserted() {
                return Over::Deserted;
            }
            if self.dry && lease.delivered() >= lease.granted() {
                return Over::UsedUp;
            }
            let now = Instant::now();
            wanted |= !self.dry && lease.wants_more();
            let report_due = now >= next_report;
            let allowed = retry.is_none_or(|(at, _)| now >= at);
            if allowed && ((wanted && !self.dry) || (report_due && self.report(lease) != reported)) {
                let starved = lease.reserved() >= lease.granted();
                if wanted {
                    self.adapt(asked.elapsed(), starved);
                    asked = now;
                }
                let report = self.report(lease);
                let target = if wanted { lease.reserved().saturating_add(self.chunk) } else { 0 };
                let target = target.max(lease.granted());
                match self.shared.ports.metering.extend(lease.id, report, target).await {
                    Ok(terms) if terms.epoch != lease.epoch => return Over::Changed,
                    Ok(terms) => {
                        self.shared.meters.leases.one(LeaseEvent::Extended);
                        reported = report;
                        retry = None;
                        self.dry = wanted && terms.granted <= lease.granted();
                        lease.extend(terms.granted);
                        if wanted {
                            // It was a report too.
                            next_report = Instant::now() + self.shared.config.report_every;
                            self.handle.wake_sessions();
                        }
                        wanted = false;
                    }
                    Err(MeteringError::Refused(
                        refusal @ (LeaseRefusal::NotActive | LeaseRefusal::NoSuchLease),
                    )) => {
                        self.shared.meters.no_quota.one(refusal.into());
                        return Over::Changed;
                    }
                    // What is held may still be delivered.
                    Err(MeteringError::Refused(refusal)) => {
                        self.shared.meters.no_quota.one(refusal.into());
                        self.dry = true;
                    }
                    Err(error) => {
                        self.shared.meters.no_quota.one(NoQuota::Unavailable);
                        tracing::warn!(grant = %self.handle.grant, %error, "usage could not be reported");
                        let pause = retry.map_or(FIRST_RETRY, |(_, pause)| (pause * 2).min(LAST_RETRY));
                        retry = Some((Instant::now() + pause, pause));
                    }
                }
                continue;
            }
            if report_due {
                next_report = now + self.shared.config.report_every;
                let quiet = lease.delivered() == last_looked;
                last_looked = lease.delivered();
                let rest = lease.granted().saturating_sub(lease.reserved());
                if quiet && reported.delivered == last_looked && rest > self.shared.config.first_lease {
                    return Over::Idle;
                }
            }
            let mut until = next_report;
            if let Some((at, _)) = retry {
                until = if wanted { at } else { until.max(at) };
            }
            if self.dry {
                until = until.min(now + SETTLING);
            }
            tokio::select! {
                () = self.handle.keeper.notified() => {}
                () = tokio::time::sleep_until(until.into()) => {}
            }
        }
    }

    /// What there is to tell of a lease.
    fn report(&self, lease: &Lease) -> LeaseReport {
        LeaseReport { delivered: lease.delivered(), missed: self.handle.totals.missed.of_lease() }
    }

    /// How much to ask for follows the rate: what is left should last for some 250 to 500 ms.
    fn adapt(&mut self, since: Duration, starved: bool) {
        let config = &self.shared.config;
        let chunk = match (since < FAST, starved) {
            (true, true) => self.chunk.saturating_mul(4),
            (true, false) => self.chunk.saturating_mul(2),
            _ if since > SLOW => self.chunk / 2,
            _ => self.chunk,
        };
        self.chunk = chunk.clamp(config.first_lease, config.largest_lease.max(config.first_lease));
    }

    /// Reports the final counts and gives the rest back.
    async fn close(&self, lease: &Lease) {
        let patience = Instant::now() + self.shared.config.revoke_limit;
        while lease.reserved() > lease.delivered() && Instant::now() < patience {
            tokio::time::sleep(SETTLING).await;
        }
        let give_up = Instant::now() + self.shared.config.quota_wait;
        let mut pause = FIRST_RETRY;
        let report = loop {
            let report = self.report(lease);
            let delivered = report.delivered;
            match self.shared.ports.metering.close(lease.id, report).await {
                Ok(()) => {
                    self.shared.meters.leases.one(LeaseEvent::Closed);
                    break report;
                }
                Err(MeteringError::Refused(refusal)) => {
                    self.shared.meters.leases.one(LeaseEvent::Gone);
                    tracing::warn!(grant = %self.handle.grant, lease = %lease.id, delivered, %refusal, "a lease was gone before it was closed");
                    break report;
                }
                Err(error) if Instant::now() + pause > give_up => {
                    self.shared.meters.leases.one(LeaseEvent::LeftOpen);
                    tracing::error!(grant = %self.handle.grant, lease = %lease.id, delivered, %error, "a lease stays open: its last messages are in doubt");
                    break report;
                }
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_RETRY);
                }
            }
        };
        self.handle.totals.missed.closed_with(report.missed);
    }
}

impl GrantHandle {
    /// Opens deliveries, unless the grant has changed since; false if it has.
    fn open(&self, changes: u64, lease: &Arc<Lease>, view: GrantView, shared: &Shared) -> bool {
        let until = view.until.map(|until| Instant::now() + until.since(shared.ports.clock.now()));
        let phase = Phase::Open { lease: Arc::clone(lease), view: Arc::new(view), until };
        self.publish_if(phase, || self.changes() == changes)
    }
}
