//! Passwords of people and devices.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use i3_core::secret::SecretHash;
use i3_core::time::{Clock, Timestamp};
use zeroize::Zeroizing;

pub use crate::hashing::{Cost, MAX_PASSWORD_BYTES, PasswordError, PoolLimits};

use crate::failures::{BudgetLimits, FailureBudget, peer_network};
use crate::hashing::Pool;
use crate::remembered::Remembered;

/// Hashes that one attempt is checked against at most; more are not looked at. Two are enough for a
/// credential that is being replaced by another.
pub const MAX_HASHES: usize = 4;

/// How [`Passwords`] works.
#[derive(Debug, Clone)]
pub struct PasswordSettings {
    /// What a new hash costs. Stored hashes are verified at the cost that they were made with.
    pub cost: Cost,
    /// How much is hashed at once.
    pub pool: PoolLimits,
    /// Failures with one name.
    pub by_name: BudgetLimits,
    /// Failures from one peer; see [`peer_network`].
    pub by_peer: BudgetLimits,
    /// How long a success is remembered; zero for not at all.
    pub remember: Duration,
    /// How many successes are remembered.
    pub remembered: usize,
}

impl Default for PasswordSettings {
    /// Ten failures with a name and one more each half minute; a hundred from a peer and one more each
    /// second; 10,000 successes remembered for a minute.
    fn default() -> Self {
        Self {
            cost: Cost::default(),
            pool: PoolLimits::default(),
            by_name: BudgetLimits { burst: 10, refill: Duration::from_secs(30), keys: 65_536 },
            by_peer: BudgetLimits { burst: 100, refill: Duration::from_secs(1), keys: 65_536 },
            remember: Duration::from_mins(1),
            remembered: 10_000,
        }
    }
}

/// One attempt to log in with a password.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The name that is claimed, known or not. Names of different kinds are told apart by a prefix of the
    /// caller's (`device:`, `user:`).
    pub name: &'a str,
    /// Where it comes from.
    pub peer: Option<IpAddr>,
    /// What was presented.
    pub password: &'a [u8],
    /// The hashes that count for the name; none for an unknown name.
    pub hashes: &'a [&'a SecretHash],
}

impl std::fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("name", &self.name).field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Hashes and checks passwords (argon2id, RFC 9106), and keeps guessers slow.
///
/// For each attempt, in this order: the length is checked; a recent success is recognized without hashing;
/// the failure budgets of name and peer are charged (and refunded on success); the password is hashed on a
/// bounded number of threads. An unknown name costs a hash of the same [`Cost`] as a known one. No lock is
/// held while hashing.
///
/// Whoever guesses at a name uses up the name's budget, so its owner may be told
/// [`PasswordError::Busy`] meanwhile, unless remembered. Device tokens have no such limit.
#[derive(Debug)]
pub struct Passwords {
    pool: Pool,
    clock: Arc<dyn Clock>,
    guard: Mutex<Guard>,
}

#[derive(Debug)]
struct Guard {
    by_name: FailureBudget,
    by_peer: FailureBudget,
    remembered: Remembered,
}

impl Guard {
    fn spend(&mut self, name: &str, peer: Option<IpAddr>, now: Timestamp) -> bool {
        if !self.by_name.spend(name, now) {
            return false;
        }
        let allowed = peer.is_none_or(|peer| self.by_peer.spend(&peer, now));
        if !allowed {
            self.by_name.refund(name, now);
        }
        allowed
    }

    fn refund(&mut self, name: &str, peer: Option<IpAddr>, now: Timestamp) {
        self.by_name.refund(name, now);
        if let Some(peer) = peer {
            self.by_peer.refund(&peer, now);
        }
    }
}

impl Passwords {
    /// Computes one hash (tens of milliseconds at the default cost), so make one and share it.
    pub fn new(settings: PasswordSettings, clock: Arc<dyn Clock>) -> Result<Self, PasswordError> {
        let remembered = Remembered::new(settings.remember, settings.remembered);
        Ok(Self {
            pool: Pool::new(settings.cost, settings.pool)?,
            clock,
            guard: Mutex::new(Guard {
                by_name: FailureBudget::new(settings.by_name),
                by_peer: FailureBudget::new(settings.by_peer),
                remembered: remembered.map_err(|_| PasswordError::Failed)?,
            }),
        })
    }

    /// The hash of a new password, with a fresh salt. Needs a tokio runtime with time.
    pub async fn hash(&self, password: &[u8]) -> Result<SecretHash, PasswordError> {
        if !(1..=MAX_PASSWORD_BYTES).contains(&password.len()) {
            return Err(PasswordError::Length);
        }
        self.pool.hash(Zeroizing::new(password.to_vec())).await.map(SecretHash::new)
    }

    /// Which of the attempt's hashes the password fits. `None` is a refusal, for whatever reason. Needs a
    /// tokio runtime with time.
    ///
    /// A caller that is dropped while it waits has paid for its attempt.
    ///
    /// With several hashes (a password being replaced) a refusal takes longer than with one, by which a
    /// stranger could learn that the name is known.
    pub async fn check(&self, attempt: Attempt<'_>) -> Result<Option<usize>, PasswordError> {
        let Attempt { name, peer, password, hashes } = attempt;
        // Says nothing about the name: the length is the stranger's own.
        if !(1..=MAX_PASSWORD_BYTES).contains(&password.len()) {
            return Ok(None);
        }
        let peer = peer.map(peer_network);
        let hashes = hashes.get(..MAX_HASHES).unwrap_or(hashes);
        {
            let now = self.clock.now();
            let mut guard = self.guard();
            let known = hashes.iter().position(|hash| guard.remembered.knows(hash.expose(), password, now));
            if known.is_some() {
                return Ok(known);
            }
            if !guard.spend(name, peer, now) {
                return Err(PasswordError::Busy);
            }
        }
        let owned = hashes.iter().map(|hash| hash.expose().to_owned()).collect();
        let found = self.pool.find(Zeroizing::new(password.to_vec()), owned).await;
        let now = self.clock.now();
        match found {
            Ok(None) => {}
            Ok(Some(place)) => {
                let mut guard = self.guard();
                guard.refund(name, peer, now);
                if let Some(hash) = hashes.get(place) {
                    guard.remembered.remember(hash.expose(), password, now);
                }
            }
            // No guess was made.
            Err(_) => self.guard().refund(name, peer, now),
        }
        found
    }

    fn guard(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
