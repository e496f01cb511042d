//! From the first byte to CONNACK.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use i3_core::gate::{Admission, GrantView, Login, LoginError, Principal, PublishRight};
use i3_core::usage::Miss;

use super::deliver::{Membership, Subscription};
use super::leave::linger;
use super::outbox::Outbox;
use super::receive::Intake;
use super::{Connection, SMALL_READ};
use crate::config::GateConfig;
use crate::denials::Denied;
use crate::limits::Claim;
use crate::metrics::{NotTaken, Present, TurnedAway};
use crate::parked::{Found, Kept, Key, Parked, ParkedSession, Standing};
use crate::session::{Received, Rights, Session, Terms, Window, will_right};
use crate::shared::{Connections, Entered, Owner, Shared};
use crate::signal::{ConnHandle, Signals, interrupt_all};
use crate::stats::add;
use crate::transport::Stream;
use crate::wire::{self, Connack, Connect, Reason, Version};

/// How often a login is checked again because access changed while it was checked.
const TRIES: usize = 3;

/// Logs a client in; `None` if it was turned away, which it has then been told where MQTT allows it.
pub(super) async fn login(
    shared: &Arc<Shared>,
    mut stream: Stream,
    peer: IpAddr,
    handle: &Arc<ConnHandle>,
) -> Option<Box<Connection>> {
    let mut input = BytesMut::with_capacity(SMALL_READ);
    let mut claim = shared.input.claim(&handle.wake);
    let reading = first_packet(&mut stream, &mut input, &mut claim, handle, shared.config.max_packet);
    let mut connect = match reading.await {
        Ok(connect) => connect,
        Err(answer) => {
            shared.meters.turned_away.one(TurnedAway::Protocol);
            if let Some(answer) = answer {
                refuse(&mut stream, &answer).await;
            }
            return None;
        }
    };
    let name = name(shared, &connect, handle);
    let (keep_alive, terms) = (keep_alive(&shared.config, &connect), terms(&shared.config, &connect));
    let connack = Connack {
        session_present: false,
        reason: Reason::Success,
        assigned_client_id: connect.client_id.is_empty().then_some(name.as_str()),
        server_keep_alive: (keep_alive != connect.keep_alive).then_some(keep_alive),
        session_expiry: (terms.expiry != connect.session_expiry).then_some(terms.expiry),
        receive_maximum: terms.receive_maximum,
        maximum_packet_size: u32::try_from(shared.config.max_packet).ok(),
        topic_alias_maximum: terms.alias_maximum,
        reason_string: None,
    };
    let answer = |connack: &Connack<'_>| {
        let mut answer = Vec::with_capacity(64);
        wire::connack(&mut answer, connect.version, connack);
        (answer.len() <= terms.longest).then_some(answer)
    };
    // MQTT 5, 3.1.2-24: a client that cannot be told that it is let in is not let in.
    let admitted = if answer(&connack).is_some() {
        admit(shared, &connect, peer, handle, &name).await
    } else {
        Err(Reason::PacketTooLarge)
    };
    match admitted {
        Ok(admitted) => {
            shared.counters.logins.fetch_add(1, Ordering::Relaxed);
            let now = Instant::now();
            let config = &shared.config;
            let resumed = admitted.parked.is_some();
            let (received, mut window, standing) = match admitted.parked {
                None => (Received::default(), Window::new(0, 0), None),
                Some(ParkedSession { kept: Kept { received, window, subscription }, .. }) => {
                    shared.counters.resumed.fetch_add(1, Ordering::Relaxed);
                    (received, window, subscription)
                }
            };
            let limit = connect.receive_maximum.min(config.max_inflight);
            let released = window.resume(limit, config.max_inflight_bytes);
            let session = Session::new(terms, Rights::new(admitted.rights), received, window);
            let mut control = answer(&Connack { session_present: resumed, ..connack }).unwrap_or_default();
            for id in released {
                session.answer(&mut control, |out, version| {
                    wire::pubrel(out, version, id, Reason::Success, None);
                });
            }
            let subscription = standing.map(|standing| take_up(shared, handle, standing));
            // The timer is set where it is first waited for.
            let timer = Box::pin(tokio::time::sleep(Duration::from_hours(1)));
            tracing::Span::current()
                .record("version", tracing::field::debug(connect.version))
                .record("principal", tracing::field::debug(admitted.admission.principal));
            Some(Box::new(Connection {
                present: Present::session(shared, connect.version),
                outbox: Outbox::new(Arc::clone(shared), &handle.wake),
                subscription,
                stream,
                peer,
                shared: Arc::clone(shared),
                handle: Arc::clone(handle),
                admission: admitted.admission,
                name,
                session,
                intake: Intake::new(input, claim),
                control,
                // 3.1.2-24: one and a half times.
                keep_alive: (keep_alive > 0).then(|| Duration::from_millis(u64::from(keep_alive) * 1_500)),
                will: connect.will.take(),
                until: admitted.admission.until.map(|until| now + until.since(shared.ports.clock.now())),
                heard: now,
                wrote: now,
                held: false,
                stale_rights: false,
                // Older than it may be: then the first refusal asks once more.
                rights_read: 0,
                timer,
                entered: admitted.entered,
            }))
        }
        Err(reason) => {
            shared.meters.turned_away.one(reason.into());
            if reason == Reason::NotAuthorized {
                let principal = handle.admission.get().map(|admission| admission.principal);
                shared.denied(principal, Some(peer), Denied::Connect);
            }
            if let Some(answer) = answer(&Connack::refused(reason)) {
                refuse(&mut stream, &answer).await;
            }
            None
        }
    }
}

/// The client's CONNECT; an error is what to answer, if anything.
async fn first_packet(
    stream: &mut Stream,
    input: &mut BytesMut,
    claim: &mut Claim,
    handle: &ConnHandle,
    limit: usize,
) -> Result<Connect, Option<Vec<u8>>> {
    let begun = Instant::now();
    loop {
        match wire::decode_connect(input, limit) {
            Ok(Some(connect)) => return Ok(connect),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "a client is turned away");
                return Err(error.answer.map(|version| {
                    let mut answer = Vec::new();
                    wire::connack(&mut answer, version, &Connack::refused(error.error.reason()));
                    answer
                }));
            }
        }
        // Strangers with large packets do not wait for memory. A buffer that has to grow may double.
        claim.unfinished(input.capacity(), Some(begun));
        if !claim.cover((2 * input.len() + SMALL_READ).max(input.capacity()), Instant::now()) {
            return Err(None);
        }
        input.reserve(SMALL_READ);
        loop {
            tokio::select! {
                biased;
                () = handle.wake.notified() => if claim.evicted() { return Err(None) },
                read = stream.read_buf(input) => match read {
                    Ok(1..) => break,
                    _ => return Err(None),
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

/// The client's name for its session; one is made for a client without (3.1.3-6).
fn name(shared: &Shared, connect: &Connect, handle: &ConnHandle) -> String {
    if connect.client_id.is_empty() {
        format!("i3-{:016x}-{}", shared.nonce, handle.id)
    } else {
        connect.client_id.clone()
    }
}

/// What is agreed with the client.
fn terms(config: &GateConfig, connect: &Connect) -> Terms {
    let most_expiry = u32::try_from(config.session_expiry_max.as_secs()).unwrap_or(u32::MAX);
    Terms {
        version: connect.version,
        expiry: connect.session_expiry.min(most_expiry),
        most_expiry,
        receive_maximum: config.receive_maximum,
        alias_maximum: config.max_topic_alias,
        takes_alias: connect.topic_alias_maximum > 0,
        refusals: config.max_refused,
        explains: connect.request_problem_information,
        longest: connect
            .maximum_packet_size
            .map_or(usize::MAX, |size| usize::try_from(size).unwrap_or(usize::MAX)),
    }
}

/// In seconds; 0 is none. Only a client of MQTT 5 can be told another than its own (3.2.2.3.14).
fn keep_alive(config: &GateConfig, connect: &Connect) -> u16 {
    match (config.max_keep_alive, connect.keep_alive) {
        (Some(most), own) if connect.version == Version::V5 && (own == 0 || own > most) => most,
        (_, own) => own,
    }
}

/// A subscription of a session that goes on. Nothing is delivered before the grant has been read again.
fn take_up(shared: &Arc<Shared>, handle: &Arc<ConnHandle>, standing: Standing) -> Subscription {
    let (reader, missed) = standing.reader.unparked(shared.config.max_offline, Arc::clone(&handle.wake));
    let member = Membership::join(shared, standing.view.grant, handle);
    member.grant.missed(Miss::Offline, missed);
    let mut standing = Standing { reader, ..standing };
    standing.turn.was_away(missed);
    Subscription::new(standing, member)
}

/// A client that is let in.
struct Admitted {
    admission: Admission,
    entered: Entered,
    rights: Vec<PublishRight>,
    /// What there is of its session.
    parked: Option<ParkedSession>,
}

/// Checks the login, enters the session in place of an older one of the same principal and client id, and
/// reads its rights.
async fn admit(
    shared: &Arc<Shared>,
    connect: &Connect,
    peer: IpAddr,
    handle: &Arc<ConnHandle>,
    name: &str,
) -> Result<Admitted, Reason> {
    // MQTT 5, 4.12: there is no other way to log in.
    if connect.authentication_method.is_some() {
        return Err(Reason::BadAuthenticationMethod);
    }
    // 3.1.1, 3.1.3-8
    if connect.version == Version::V311 && connect.client_id.is_empty() && !connect.clean_start {
        return Err(Reason::ClientIdentifierNotValid);
    }
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
            Err(LoginError::Refused) => return Err(Reason::NotAuthorized),
            Err(LoginError::Busy) => return Err(Reason::ServerBusy),
            Err(error) => {
                tracing::warn!(%error, "a login could not be checked");
                return Err(Reason::ServerUnavailable);
            }
        };
        let owner = Owner::from(admission.principal);
        // After the login, so that no stranger can use up what others may; and once for each connection.
        if handle.admission.get().is_none() && !shared.logins.allows(owner, Instant::now()) {
            return Err(Reason::ConnectionRateExceeded);
        }
        if *handle.admission.get_or_init(|| admission) != admission {
            // The credential changed between two checks: whose connection it is may not change.
            return Err(Reason::NotAuthorized);
        }
        let entry = Connections::admit(shared, owner, name.to_owned(), handle);
        let (entered, old) = entry.ok_or(Reason::QuotaExceeded)?;
        if let Some(old) = old {
            // 3.1.4-2 (5, 3.1.4-3): the older connection is closed first. It leaves its session behind.
            let targets = vec![(old, Signals::TAKEOVER)];
            add(&shared.counters.forced, interrupt_all(targets, shared.config.revoke_limit).await);
        }
        let key = (owner, name.to_owned());
        let rights = match admission.principal {
            Principal::Device { device, .. } => match shared.ports.directory.publish_rights(device).await {
                Ok(Some(rights)) => rights,
                Ok(None) => return Err(Reason::NotAuthorized),
                Err(error) => {
                    tracing::warn!(%error, "rights could not be read");
                    return Err(Reason::ServerUnavailable);
                }
            },
            Principal::Order { .. } => Vec::new(),
        };
        let goes_on = !connect.clean_start && may_go_on(shared, &key).await?;
        // From here on changes reach this session; those that came earlier did not.
        if shared.changes.load(Ordering::Acquire) != changes {
            continue;
        }
        let products = rights.iter().map(|right| right.product).collect();
        *handle.products.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(products);
        if let Some(will) = &connect.will
            && will_right(&rights, &will.topic).is_none()
        {
            shared.counters.refused.fetch_add(1, Ordering::Relaxed);
            shared.meters.not_taken.one(NotTaken::WillAtConnect);
            return Err(Reason::NotAuthorized);
        }
        let mut parked = shared.parked.take(&key);
        if let Some(over) = parked.take_if(|parked| !goes_on || is_unsendable(parked)) {
            Parked::end(shared, over);
        }
        return Ok(Admitted { admission, entered, rights, parked });
    }
    Err(Reason::ServerUnavailable)
}

/// Whether what is parked may be taken up: its grant is open, and is what it was.
async fn may_go_on(shared: &Shared, key: &Key) -> Result<bool, Reason> {
    let before = match shared.parked.look(key) {
        Found::Nothing => return Ok(false),
        Found::Session => return Ok(true),
        Found::Subscription(view) => view,
    };
    match shared.ports.directory.grant(before.grant).await {
        Ok(Some(GrantView { open: true, epoch, topic, until, .. })) => Ok(epoch == before.epoch
            && topic == before.topic
            && until.is_none_or(|until| until > shared.ports.clock.now())),
        Ok(_) => Ok(false),
        Err(error) => {
            tracing::warn!(%error, "a grant could not be read");
            Err(Reason::ServerUnavailable)
        }
    }
}

/// Whether it holds messages that would have to be sent again without a subscription to send them under.
fn is_unsendable(parked: &ParkedSession) -> bool {
    parked.kept.subscription.is_none() && !parked.kept.window.is_empty()
}
