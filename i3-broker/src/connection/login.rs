//! From the first byte to CONNACK.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use i3_core::gate::{Admission, Login, LoginError, Principal, PublishRight};

use super::outbox::Outbox;
use super::receive::Intake;
use super::{Connection, SMALL_READ, linger};
use crate::limits::Claim;
use crate::session::{Session, Window, will_right};
use crate::shared::{Connections, Entered, Owner, Shared};
use crate::signal::{ConnHandle, Signals, interrupt_all};
use crate::stats::add;
use crate::transport::Stream;
use crate::wire::{self, Connack, Connect, Packet, Qos, UNSUPPORTED_VERSION_V5, WireError};

/// How often a login is checked again because access changed while it was checked.
const TRIES: usize = 3;

/// Logs a client in; `None` if it was turned away, which it has then been told where MQTT allows it.
pub(super) async fn login(
    shared: &Arc<Shared>,
    mut stream: Stream,
    peer: IpAddr,
    handle: &Arc<ConnHandle>,
) -> Option<Connection> {
    let mut input = BytesMut::with_capacity(SMALL_READ);
    let mut claim = shared.input.claim(&handle.wake);
    let reading = first_packet(&mut stream, &mut input, &mut claim, handle, shared.config.max_packet);
    let connect = match reading.await {
        Ok(connect) => connect,
        Err(Turned::Away(answer)) => {
            refuse(&mut stream, &answer).await;
            return None;
        }
        Err(Turned::Silently) => return None,
    };
    match admit(shared, &connect, peer, handle).await {
        Ok((admission, entered, rights)) => {
            let now = Instant::now();
            shared.counters.logins.fetch_add(1, Ordering::Relaxed);
            let mut control = Vec::with_capacity(64);
            wire::connack(&mut control, Connack::Accepted);
            // The timer is set where it is first waited for.
            let timer = Box::pin(tokio::time::sleep(Duration::from_hours(1)));
            Some(Connection {
                outbox: Outbox::new(Arc::clone(shared), &handle.wake),
                subscription: None,
                stream,
                shared: Arc::clone(shared),
                handle: Arc::clone(handle),
                principal: admission.principal,
                session: Session::new(rights),
                window: Window::new(shared.config.max_inflight),
                intake: Intake::new(input, claim),
                control,
                keep_alive: (connect.keep_alive > 0)
                    .then(|| Duration::from_millis(u64::from(connect.keep_alive) * 1_500)),
                will: connect.will,
                until: admission.until.map(|until| now + until.since(shared.ports.clock.now())),
                heard: now,
                wrote: now,
                held: false,
                stale_rights: false,
                // Older than it may be: then the first refusal asks once more.
                rights_read: 0,
                timer,
                entered,
            })
        }
        Err(code) => {
            let mut answer = Vec::new();
            wire::connack(&mut answer, code);
            refuse(&mut stream, &answer).await;
            None
        }
    }
}

enum Turned {
    Away(Vec<u8>),
    Silently,
}

async fn first_packet(
    stream: &mut Stream,
    input: &mut BytesMut,
    claim: &mut Claim,
    handle: &ConnHandle,
    limit: usize,
) -> Result<Connect, Turned> {
    let begun = Instant::now();
    loop {
        match wire::decode(input, limit) {
            Ok(Some(Packet::Connect(connect))) => return Ok(*connect),
            Ok(None) => {}
            Err(WireError::Version5) => return Err(Turned::Away(UNSUPPORTED_VERSION_V5.to_vec())),
            Err(WireError::OtherVersion) => {
                let mut answer = Vec::new();
                wire::connack(&mut answer, Connack::Version);
                return Err(Turned::Away(answer));
            }
            // 3.1.0-1: the first packet is CONNECT.
            Ok(Some(_)) | Err(_) => return Err(Turned::Silently),
        }
        // Nothing but CONNECT is waited for.
        if input.first().is_some_and(|first| first >> 4 != 1) {
            return Err(Turned::Silently);
        }
        // Strangers with large packets do not wait for memory. A buffer that has to grow may double.
        claim.unfinished(input.capacity(), Some(begun));
        if !claim.cover((2 * input.len() + SMALL_READ).max(input.capacity()), Instant::now()) {
            return Err(Turned::Silently);
        }
        input.reserve(SMALL_READ);
        loop {
            tokio::select! {
                biased;
                () = handle.wake.notified() => if claim.evicted() { return Err(Turned::Silently) },
                read = stream.read_buf(input) => match read {
                    Ok(1..) => break,
                    _ => return Err(Turned::Silently),
                },
            }
        }
    }
}

async fn refuse(stream: &mut Stream, answer: &[u8]) {
    if stream.write_all(answer).await.is_ok() {
        linger(stream).await;
    }
}

/// Checks the login, enters the session in place of an older one of the same principal and client id, and
/// reads its rights.
async fn admit(
    shared: &Arc<Shared>,
    connect: &Connect,
    peer: IpAddr,
    handle: &Arc<ConnHandle>,
) -> Result<(Admission, Entered, Vec<PublishRight>), Connack> {
    // 3.1.3-8
    if connect.client_id.is_empty() && !connect.clean_session {
        return Err(Connack::Identifier);
    }
    // A client cannot choose a name with a NUL, so this one is nobody else's.
    let name =
        if connect.client_id.is_empty() { format!("\0{}", handle.id) } else { connect.client_id.clone() };
    let login = Login {
        client_id: &connect.client_id,
        username: connect.username.as_deref(),
        password: connect.password.as_deref(),
        peer: Some(peer),
    };
    for _ in 0..TRIES {
        let changes = shared.changes.load(Ordering::Acquire);
        let admission = match shared.ports.authenticator.authenticate(login).await {
            Ok(admission) => admission,
            Err(LoginError::Refused) => return Err(Connack::NotAuthorized),
            Err(error) => {
                tracing::warn!(%error, "a login could not be checked");
                return Err(Connack::Unavailable);
            }
        };
        if *handle.admission.get_or_init(|| admission) != admission {
            // The credential changed between two checks: whose connection it is may not change.
            return Err(Connack::NotAuthorized);
        }
        let owner = Owner::from(admission.principal);
        let (entered, old) = Connections::enter(shared, owner, name.clone(), handle);
        if let Some(old) = old {
            // 3.1.4-2: the older connection is closed first.
            let targets = vec![(old, Signals::CLOSE)];
            add(&shared.counters.forced, interrupt_all(targets, shared.config.revoke_limit).await);
        }
        let rights = match admission.principal {
            Principal::Device { device, .. } => match shared.ports.directory.publish_rights(device).await {
                Ok(Some(rights)) => rights,
                Ok(None) => return Err(Connack::NotAuthorized),
                Err(error) => {
                    tracing::warn!(%error, "rights could not be read");
                    return Err(Connack::Unavailable);
                }
            },
            Principal::Order { .. } => Vec::new(),
        };
        // From here on changes reach this session; those that came earlier did not.
        if shared.changes.load(Ordering::Acquire) != changes {
            continue;
        }
        let products = rights.iter().map(|right| right.product).collect();
        *handle.products.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(products);
        if let Some(will) = &connect.will
            && (will.qos == Qos::ExactlyOnce || will_right(&rights, &will.topic).is_none())
        {
            shared.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Connack::NotAuthorized);
        }
        return Ok((admission, entered, rights));
    }
    Err(Connack::Unavailable)
}
