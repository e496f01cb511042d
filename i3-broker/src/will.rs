//! Wills: published for a client that is gone, if it still could publish them itself.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use i3_core::gate::{Admission, Principal};

use crate::denials::Denied;
use crate::message::MessageParts;
use crate::metrics::NotTaken;
use crate::session::will_right;
use crate::shared::{Connections, Owner, Shared};
use crate::signal::ConnHandle;
use crate::wire::Will;

/// How often rights are read again because access changed while they were read.
const TRIES: usize = 3;

/// For how long a will is offered to a log that is full, and how often. Not for longer: the client may be back by then,
/// and be called gone.
const OFFERED: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Fired {
    /// It was published, or may not be.
    Done,
    /// The log does not take it now.
    NotYet,
}

/// Publishes a will, if the device may still publish there. Whoever calls this must be entered among the connections,
/// so that a change of access waits for it.
pub(crate) async fn fire(shared: &Shared, principal: Principal, peer: Option<IpAddr>, will: &Will) -> Fired {
    let Principal::Device { device, .. } = principal else { return Fired::Done };
    for _ in 0..TRIES {
        let changes = shared.changes.load(Ordering::Acquire);
        let reading = shared.ports.directory.publish_rights(device);
        let Ok(Ok(rights)) = tokio::time::timeout(shared.config.quota_wait, reading).await else {
            return Fired::NotYet;
        };
        let rights = rights.unwrap_or_default();
        let Some(right) = will_right(&rights, &will.topic) else {
            shared.counters.refused.fetch_add(1, Ordering::Relaxed);
            shared.meters.not_taken.one(NotTaken::Will);
            shared.denied(Some(principal), peer, Denied::Will(&will.topic));
            return Fired::Done;
        };
        if shared.streams.ready(right, 1, shared.config.quota_wait).await.is_err() {
            return Fired::NotYet;
        }
        if shared.changes.load(Ordering::Acquire) != changes {
            continue;
        }
        let parts = MessageParts {
            qos: will.qos,
            retain: will.retain,
            sequence: 0,
            published: 0,
            expiry: will.expiry,
            properties: &will.properties,
            payload: &will.payload,
        };
        if shared.take_in(principal, right, std::iter::once(parts), &mut Vec::new()).is_err() {
            return Fired::NotYet;
        }
        shared.counters.accepted.fetch_add(1, Ordering::Relaxed);
        return Fired::Done;
    }
    Fired::NotYet
}

/// The same for a client that has no connection any more; again and again for a while, if it cannot be done at once.
pub(crate) fn fire_alone(shared: &Arc<Shared>, admission: Admission, will: Will) {
    offer(shared, admission, will, Instant::now() + OFFERED);
}

fn offer(shared: &Arc<Shared>, admission: Admission, will: Will, until: Instant) {
    let handle = ConnHandle::new(shared.connections.fresh_id());
    // Set once, here.
    let _ = handle.admission.set(admission);
    // No client has a name with a NUL.
    let name = format!("\0{}", handle.id);
    let entered = Connections::enter(shared, Owner::from(admission.principal), name, &handle);
    let for_task = Arc::clone(shared);
    let task = shared.runtime.spawn(async move {
        let fired = fire(&for_task, admission.principal, None, &will).await;
        // No change of access waits for a pause: the next offer reads the rights again.
        drop(entered);
        if fired == Fired::Done {
            return;
        }
        if Instant::now() >= until || *for_task.closing.borrow() {
            tracing::warn!(topic = %will.topic, "a will was not published: the log or the store does not answer");
            return;
        }
        tokio::time::sleep(PAUSE).await;
        offer(&for_task, admission, will, until);
    });
    let _ = handle.task.set(task.abort_handle());
}
