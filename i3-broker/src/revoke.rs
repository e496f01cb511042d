//! Changes of access, put into effect before the command that made them returns.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_trait::async_trait;
use i3_core::gate::{AccessChange, AccessListener};
use tracing::Instrument as _;

use crate::parked::Parked;
use crate::shared::{Owner, Shared};
use crate::signal::{Signals, interrupt_all};
use crate::stats::add;

/// The gate's ear for changes.
#[derive(Debug)]
pub(crate) struct Listener(pub(crate) Arc<Shared>);

#[async_trait]
impl AccessListener for Listener {
    /// Marks what changed as closed, then waits until every connection concerned has let go of the frames that
    /// it had not handed to its socket, and sessions without a connection of what waited for them. That does not
    /// depend on any client reading.
    async fn access_changed(&self, changes: &[AccessChange]) {
        let shared = &self.0;
        let begun = Instant::now();
        // Logins and wills in hand look at this.
        shared.changes.fetch_add(1, Ordering::AcqRel);
        // First, so that none of their wills sets out unseen.
        Parked::purge_logins(shared, changes);
        let mut targets = HashMap::new();
        let mut grants = Vec::new();
        for change in changes {
            for grant in shared.grants.all() {
                if grant.concerns(*change) {
                    for (session, signal) in grant.begin_change(*change) {
                        targets.insert(session.id, (session, signal));
                    }
                    grants.push(grant);
                }
            }
            let connections = &shared.connections;
            let (sessions, signal) = match *change {
                AccessChange::Grant(_) | AccessChange::User(_) | AccessChange::Client(_) => continue,
                AccessChange::Device(device) => (connections.of(Owner::Device(device)), Signals::REFRESH),
                AccessChange::Login { principal, credential } => {
                    let mut sessions = connections.of(Owner::from(principal));
                    sessions.retain(|session| credential.is_none_or(|credential| session.used(credential)));
                    (sessions, Signals::CLOSE)
                }
                AccessChange::Product(product) => {
                    let mut devices = connections.of_devices();
                    devices.retain(|device| device.may_publish(product));
                    (devices, Signals::REFRESH)
                }
                AccessChange::Hub(hub) => {
                    let mut devices = connections.of_devices();
                    devices.retain(|device| device.is_of_hub(hub));
                    (devices, Signals::REFRESH)
                }
                // A kind of change that this gate does not know: ask again for everybody.
                _ => (connections.of_devices(), Signals::REFRESH),
            };
            for session in sessions {
                let target = targets.entry(session.id).or_insert((session, signal));
                target.1 = target.1.and(signal);
            }
        }
        let span =
            tracing::info_span!("gate.revocation", changes = changes.len(), connections = targets.len());
        let interrupting = interrupt_all(targets.into_values().collect(), shared.config.revoke_limit);
        let forced = interrupting.instrument(span.clone()).await;
        for grant in grants {
            grant.reread();
        }
        // Now that all those that were connected are paused, gone, or parked.
        Parked::purge(shared, changes).await;
        add(&shared.counters.forced, forced);
        shared.counters.revocations.fetch_add(1, Ordering::Relaxed);
        let took = begun.elapsed();
        span.in_scope(|| tracing::debug!(?took, forced, "a change of access is in effect"));
        shared.meters.revocations.observe(took);
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        shared.counters.last_revocation.store(took.max(1), Ordering::Relaxed);
    }
}
