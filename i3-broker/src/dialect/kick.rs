//! Disconnecting the clients of other brokers when their access ends.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use i3_core::gate::{AccessChange, AccessListener, Directory, Principal};
use i3_core::id::GrantId;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::Roster;

/// Why a client could not be disconnected. Trying again may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KickError {
    /// The broker's interface gave no answer.
    #[error("the broker's interface gave no answer: {0}")]
    Unreachable(String),
    /// It answered something else than was expected.
    #[error("the broker's interface answered with status {0}")]
    Refused(u16),
    /// Its answer could not be understood.
    #[error("the broker's list of clients could not be read")]
    Unreadable,
    /// Clients of this name keep coming back.
    #[error("clients of this user name keep coming back")]
    StillThere,
}

/// Disconnects clients of a broker.
#[async_trait]
pub trait Kicker: fmt::Debug + Send + Sync + 'static {
    /// Ends all sessions of this user name, those of clients that are away too. That there are none is a success.
    async fn kick(&self, username: &str) -> Result<(), KickError>;
}

/// An HTTP request of a [`Kicker`].
#[derive(Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// `GET` or `DELETE`.
    pub method: &'static str,
    /// The path with the query, escaped.
    pub path: String,
    /// The header `Authorization`.
    pub authorization: String,
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCall")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpDone {
    /// The status.
    pub status: u16,
    /// The body, which may be cut off at a length of the client's choice.
    pub body: Vec<u8>,
}

/// Sends requests to one server.
#[async_trait]
pub trait HttpClient: fmt::Debug + Send + Sync + 'static {
    /// Sends a request and waits for the answer, for a limited time. The error is for people.
    async fn send(&self, call: HttpCall) -> Result<HttpDone, String>;
}

/// Disconnects clients of EMQX 5 and 6 through its REST interface.
pub struct EmqxKicker {
    client: Arc<dyn HttpClient>,
    authorization: String,
}

impl fmt::Debug for EmqxKicker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmqxKicker").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Clients on one page of EMQX's list.
const PAGE: usize = 100;
/// Pages that are worked off for one name before it is given up.
const ROUNDS: usize = 20;

#[derive(Deserialize)]
struct Clients {
    data: Vec<Client>,
}

#[derive(Deserialize)]
struct Client {
    clientid: String,
}

impl EmqxKicker {
    /// Asks EMQX through this client, under an API key with the role of an administrator.
    pub fn new(client: Arc<dyn HttpClient>, key: &str, secret: &str) -> Self {
        let pair = data_encoding::BASE64.encode(format!("{key}:{secret}").as_bytes());
        Self { client, authorization: format!("Basic {pair}") }
    }

    async fn send(&self, method: &'static str, path: String) -> Result<HttpDone, KickError> {
        let call = HttpCall { method, path, authorization: self.authorization.clone() };
        self.client.send(call).await.map_err(KickError::Unreachable)
    }

    async fn clients(&self, username: &str) -> Result<Vec<Client>, KickError> {
        let path = format!("/api/v5/clients?username={}&page=1&limit={PAGE}", escaped(username));
        let done = self.send("GET", path).await?;
        if done.status != 200 {
            return Err(KickError::Refused(done.status));
        }
        let clients: Clients = serde_json::from_slice(&done.body).map_err(|_| KickError::Unreadable)?;
        Ok(clients.data)
    }
}

/// Every byte that is not unreserved, escaped (RFC 3986, 2.1).
fn escaped(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[async_trait]
impl Kicker for EmqxKicker {
    async fn kick(&self, username: &str) -> Result<(), KickError> {
        for _ in 0..ROUNDS {
            // The first page each time: those of it that are gone make room for the next.
            let clients = self.clients(username).await?;
            if clients.is_empty() {
                return Ok(());
            }
            for Client { clientid } in clients {
                let done = self.send("DELETE", format!("/api/v5/clients/{}", escaped(&clientid))).await?;
                // 404: it went by itself meanwhile.
                if !matches!(done.status, 200..=299 | 404) {
                    return Err(KickError::Refused(done.status));
                }
            }
        }
        Err(KickError::StillThere)
    }
}

/// How often clients were disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KickStats {
    /// User names whose clients were disconnected; once more for the second look.
    pub kicked: u64,
    /// User names that were given up: their clients may go on until the broker asks again.
    pub failed: u64,
}

/// Kicks clients whose access a change ended. As listener of a marketplace it makes a command that takes
/// access away return after the clients are disconnected. If the broker does not answer, the command returns
/// after a limited time all the same, and what is left is tried in the background, not for ever.
///
/// A client that was let in a moment before the change may turn up at the broker a moment after the kick. So all
/// are looked at again a little later, and who still has no access is kicked again.
#[derive(Debug)]
pub struct KickingListener {
    kicker: Arc<dyn Kicker>,
    directory: Arc<dyn Directory>,
    roster: Arc<dyn Roster>,
    pace: Pace,
    limit: Duration,
    again: Duration,
    counts: Arc<Counts>,
}

/// Somebody whose connections end, and why.
#[derive(Debug, Clone)]
struct Ended {
    name: String,
    principal: Principal,
    change: AccessChange,
}

/// How often one name is tried.
#[derive(Debug, Clone, Copy)]
struct Pace {
    tries: u32,
    pause: Duration,
    patience: Duration,
}

#[derive(Debug, Default)]
struct Counts {
    kicked: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    fn note(&self, done: bool) {
        if done { &self.kicked } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
    }
}

/// Names that are kicked at the same time.
const AT_ONCE: usize = 16;

impl KickingListener {
    /// Kicks with this kicker: three tries for each name, each of at most two seconds, with 100 and 200 milliseconds
    /// between them.
    pub fn new(kicker: Arc<dyn Kicker>, directory: Arc<dyn Directory>, roster: Arc<dyn Roster>) -> Self {
        let pace = Pace { tries: 3, pause: Duration::from_millis(100), patience: Duration::from_secs(2) };
        let (limit, again) = (Duration::from_secs(10), Duration::from_secs(10));
        Self { kicker, directory, roster, pace, limit, again, counts: Arc::default() }
    }

    /// With so many tries for each name (at least one), each limited to `patience`, and `pause` after the first,
    /// twice as long after each further one.
    pub fn with_tries(mut self, tries: u32, pause: Duration, patience: Duration) -> Self {
        self.pace = Pace { tries: tries.max(1), pause, patience };
        self
    }

    /// A command waits this long for its kicks, 10 seconds by default; then they go on without it.
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// All are looked at again after this time, 10 seconds by default: longer than the broker waits for an answer
    /// about a login.
    pub fn with_second_look(mut self, again: Duration) -> Self {
        self.again = again;
        self
    }

    /// What was done so far.
    pub fn stats(&self) -> KickStats {
        KickStats {
            kicked: self.counts.kicked.load(Ordering::Relaxed),
            failed: self.counts.failed.load(Ordering::Relaxed),
        }
    }

    /// Those whose connections have to end.
    async fn ended(&self, change: &AccessChange) -> Vec<Ended> {
        let mut all = Vec::new();
        let concerned = match self.roster.concerned(change).await {
            Ok(concerned) => concerned,
            Err(error) => {
                self.counts.note(false);
                tracing::error!(code = error.kind().code(), "nobody was kicked for {change:?}: {error}");
                return all;
            }
        };
        for principal in concerned {
            if !ends(&*self.directory, change, principal).await {
                continue;
            }
            match self.roster.username(principal).await {
                Ok(Some(name)) => all.push(Ended { name, principal, change: *change }),
                Ok(None) => {}
                Err(error) => {
                    self.counts.note(false);
                    tracing::error!(code = error.kind().code(), "{principal:?} was not kicked: {error}");
                }
            }
        }
        all
    }
}

/// Whether the connections of a principal have to end after this change. Whose rights cannot be read is out: it may
/// ask again.
async fn ends(directory: &dyn Directory, change: &AccessChange, principal: Principal) -> bool {
    if matches!(change, AccessChange::Login { .. }) {
        return true;
    }
    match principal {
        Principal::Device { device, .. } => match (directory.publish_rights(device).await, change) {
            (Err(_) | Ok(None), _) => true,
            // The broker may have been told at the login that it may publish this one.
            (Ok(Some(rights)), AccessChange::Product(product)) => {
                rights.iter().all(|right| right.product != *product)
            }
            (Ok(Some(_)), _) => false,
        },
        Principal::Order { order, .. } => {
            let grant = directory.grant(GrantId::of(order)).await;
            !grant.is_ok_and(|grant| grant.is_some_and(|grant| grant.open))
        }
    }
}

/// Kicks one name; gives whether that was done.
async fn insist(kicker: Arc<dyn Kicker>, name: String, pace: Pace) -> bool {
    let mut pause = pace.pause;
    for attempt in 1..=pace.tries {
        match tokio::time::timeout(pace.patience, kicker.kick(&name)).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => tracing::warn!(username = name, attempt, "a client was not kicked: {error}"),
            Err(_) => tracing::warn!(username = name, attempt, "a client was not kicked in time"),
        }
        if attempt < pace.tries {
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
    }
    tracing::error!(username = name, "a client whose access ended may still be connected to the broker");
    false
}

/// Kicks all of them, a few at a time.
async fn kick_all(kicker: Arc<dyn Kicker>, names: BTreeSet<String>, pace: Pace, counts: Arc<Counts>) {
    let mut running = JoinSet::new();
    let mut waiting = names.into_iter();
    loop {
        while running.len() < AT_ONCE
            && let Some(name) = waiting.next()
        {
            running.spawn(insist(kicker.clone(), name, pace));
        }
        match running.join_next().await {
            Some(done) => counts.note(done.unwrap_or(false)),
            None => return,
        }
    }
}

#[async_trait]
impl AccessListener for KickingListener {
    async fn access_changed(&self, changes: &[AccessChange]) {
        let mut all = Vec::new();
        for change in changes {
            all.extend(self.ended(change).await);
        }
        if all.is_empty() {
            return;
        }
        let names = all.iter().map(|ended| ended.name.clone()).collect();
        // In tasks of their own, which go on if the wait for them ends.
        let (kicker, pace, counts) = (self.kicker.clone(), self.pace, self.counts.clone());
        let kicked = tokio::spawn(kick_all(kicker.clone(), names, pace, counts.clone()));
        let (directory, again) = (self.directory.clone(), self.again);
        tokio::spawn(async move {
            tokio::time::sleep(again).await;
            let mut names = BTreeSet::new();
            for Ended { name, principal, change } in all {
                if ends(&*directory, &change, principal).await {
                    names.insert(name);
                }
            }
            kick_all(kicker, names, pace, counts).await;
        });
        if tokio::time::timeout(self.limit, kicked).await.is_err() {
            tracing::warn!("clients whose access ended are still being kicked");
        }
    }
}
