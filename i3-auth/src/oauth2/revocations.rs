//! What is not to be accepted any more though its signature is good.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use i3_core::gate::{AccessChange, AccessListener};
use i3_core::id::{ClientId, FamilyId, UserId};
use i3_core::store::{Entity, Scan, Store, StoreError, StoreErrorKind, StoreExt, limits};
use i3_core::time::{Clock, Timestamp};

use super::access_token::AccessToken;
use super::family::{Family, FamilyState};
use super::settings::{MAX_ACCESS_LIFETIME, MAX_SKEW};

/// What was revoked within the last minutes: longer than an access token lives need nothing be remembered. So a
/// request costs three look-ups in memory and no read of the store.
///
/// - What this process revokes counts at once.
/// - Users who were suspended and clients that were switched off count once the marketplace tells of it: [listen
///   with it](i3_core::market::Marketplace::listen), and other processes' changes come through a
///   [`Follower`](i3_core::market::Follower).
/// - Families that other processes revoked count after the next [`read`](Self::read).
///
/// Whatever is not known here yet ends with the token's lifetime.
pub struct Revocations {
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// When they were revoked.
    families: HashMap<FamilyId, Timestamp>,
    /// Tokens for these users that were issued until then are void.
    users: HashMap<UserId, Timestamp>,
    /// The same for clients.
    clients: HashMap<ClientId, Timestamp>,
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Revocations")
            .field("families", &known.families.len())
            .field("users", &known.users.len())
            .field("clients", &known.clients.len())
            .finish_non_exhaustive()
    }
}

const KEPT: std::time::Duration = MAX_ACCESS_LIFETIME.saturating_add(MAX_SKEW);

fn keep<K: Eq + Hash>(known: &mut HashMap<K, Timestamp>, key: K, at: Timestamp, now: Timestamp) {
    // As often as the map would grow, so that sweeping costs nothing on the average.
    if known.len() == known.capacity() {
        known.retain(|_, at| now < at.plus(KEPT));
    }
    let latest = known.entry(key).or_insert(at);
    *latest = at.max(*latest);
}

impl Revocations {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, known: RwLock::default() }
    }

    /// Whether a token whose signature is good was revoked, as far as is known here.
    pub fn include(&self, token: &AccessToken) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        // A token knows the second of its birth only: what was issued in the second of the change is void too.
        let void = |since: Option<&Timestamp>| since.is_some_and(|since| token.issued <= *since);
        known.families.contains_key(&token.family)
            || void(known.users.get(&token.user))
            || void(known.clients.get(&token.client))
    }

    pub(super) fn add(&self, family: FamilyId, at: Timestamp) {
        let now = self.clock.now();
        keep(&mut self.known.write().unwrap_or_else(PoisonError::into_inner).families, family, at, now);
    }

    /// Learns which families were revoked lately, whoever did it. Call it when a process starts, and every few seconds
    /// where several work over one store: that long a family that another process revoked may stay good here.
    pub async fn read(&self, store: &dyn Store) -> Result<usize, StoreError> {
        let since = self.clock.now().minus(KEPT);
        let mut scan = Scan::index(Family::collection(), "by_revocation", Vec::new())
            .and_then(|scan| scan.range(Some(since.micros().into()), None))
            .map_err(undeclared)?
            .limit(limits::PAGE_ROWS);
        let mut read = 0;
        loop {
            let (families, next) = store.list::<Family>(&scan).await?;
            for family in families {
                if let FamilyState::Revoked { at, .. } = family.state {
                    self.add(family.id, at);
                    read += 1;
                }
            }
            let Some(next) = next else { return Ok(read) };
            scan = scan.after(next).map_err(undeclared)?;
        }
    }
}

/// Of a scan that this crate's own declarations make possible.
pub(super) fn undeclared(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, "a query does not fit its collection").with_source(error)
}

#[async_trait]
impl AccessListener for Revocations {
    async fn access_changed(&self, changes: &[AccessChange]) {
        let now = self.clock.now();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match *change {
                AccessChange::User(user) => keep(&mut known.users, user, now, now),
                AccessChange::Client(client) => keep(&mut known.clients, client, now, now),
                _ => {}
            }
        }
    }
}
