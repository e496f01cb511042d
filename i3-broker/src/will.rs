//! Wills: published for a client that is gone, if it still could publish them itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

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

/// Publishes a will, if the device may still publish there. Whoever calls this must be entered among the connections,
/// so that a change of access waits for it.
pub(crate) async fn fire(shared: &Shared, principal: Principal, will: &Will) {
    let Principal::Device { device, .. } = principal else { return };
    for _ in 0..TRIES {
        let changes = shared.changes.load(Ordering::Acquire);
        let reading = shared.ports.directory.publish_rights(device);
        let Ok(Ok(rights)) = tokio::time::timeout(shared.config.quota_wait, reading).await else {
            return;
        };
        let rights = rights.unwrap_or_default();
        let Some(right) = will_right(&rights, &will.topic) else {
            shared.counters.refused.fetch_add(1, Ordering::Relaxed);
            shared.meters.not_taken.one(NotTaken::Will);
            shared.denied(Some(principal), Denied::Will(&will.topic));
            return;
        };
        if shared.streams.ready(right, 1, shared.config.quota_wait).await.is_err() {
            tracing::warn!(topic = %will.topic, "a will is not published: there are no sequence numbers");
            return;
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
        if shared.take_in(principal, right, std::iter::once(parts), &mut Vec::new()).is_ok() {
            shared.counters.accepted.fetch_add(1, Ordering::Relaxed);
        }
        return;
    }
}

/// The same for a client that has no connection any more.
pub(crate) fn fire_alone(shared: &Arc<Shared>, admission: Admission, will: Will) {
    let handle = ConnHandle::new(shared.connections.fresh_id());
    // Set once, here.
    let _ = handle.admission.set(admission);
    // No client has a name with a NUL.
    let name = format!("\0{}", handle.id);
    let entered = Connections::enter(shared, Owner::from(admission.principal), name, &handle);
    let for_task = Arc::clone(shared);
    let task = shared.runtime.spawn(async move {
        fire(&for_task, admission.principal, &will).await;
        drop(entered);
    });
    let _ = handle.task.set(task.abort_handle());
}
