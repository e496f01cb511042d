//! Argon2id on a bounded number of threads.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error as HashError, PasswordHasher, PasswordVerifier};
use argon2::{ARGON2ID_IDENT, Argon2, Params};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// The longest password, in bytes. Longer input is refused before any work is done.
pub const MAX_PASSWORD_BYTES: usize = 256;

/// Costs above these are not verified, so that an imported record cannot take the machine's memory.
const MAX_STORED_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_STORED_WORK: u64 = 16 * 1024 * 1024;

/// What a password could not be hashed or checked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Too many failures with this name or from this peer, or too much work in hand: try again later.
    #[error("too many logins at the moment")]
    Busy,
    /// The password to be hashed is empty or too long.
    #[error("a password has 1 to {MAX_PASSWORD_BYTES} bytes")]
    Length,
    /// The cost is out of the range of RFC 9106, or of what would be verified again.
    #[error("the cost of the password hash is out of range")]
    Cost,
    /// What is stored as a password's hash is none: argon2id in PHC form is expected.
    #[error("a stored password hash cannot be read")]
    Stored,
    /// The operating system gave no random bytes, or the runtime is shutting down.
    #[error("the password could not be hashed")]
    Failed,
}

/// What one hash costs (RFC 9106, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost(Params);

impl Cost {
    /// Memory in KiB, passes over it, and lanes. Lanes are computed one after another.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, PasswordError> {
        let params = Params::new(memory_kib, passes, lanes, None).map_err(|_| PasswordError::Cost)?;
        if is_affordable(&params) { Ok(Self(params)) } else { Err(PasswordError::Cost) }
    }
}

impl Default for Cost {
    /// 19 MiB, 2 passes, 1 lane: the default of the `argon2` crate, after OWASP's recommendation. Two cores
    /// check about twenty such passwords a second.
    fn default() -> Self {
        Self(Params::DEFAULT)
    }
}

fn is_affordable(params: &Params) -> bool {
    let work = u64::from(params.m_cost()).saturating_mul(u64::from(params.t_cost()));
    params.m_cost() <= MAX_STORED_MEMORY_KIB && work <= MAX_STORED_WORK
}

/// How much is hashed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Hashes at the same time, each with the memory of its [`Cost`]; as many as there are cores by default.
    pub parallel: usize,
    /// Callers that may wait; one more is told [`PasswordError::Busy`] at once.
    pub waiting: usize,
    /// How long a caller waits before it is told [`PasswordError::Busy`].
    pub patience: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            parallel: available_parallelism().map_or(1, std::num::NonZero::get),
            waiting: 128,
            patience: Duration::from_secs(5),
        }
    }
}

/// Hashes on the runtime's blocking threads, never more at once than allowed.
#[derive(Debug)]
pub(crate) struct Pool {
    cost: Cost,
    /// Verified against when there is nothing to verify against, so that it takes as long.
    dummy: Arc<str>,
    patience: Duration,
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Pool {
    pub(crate) fn new(cost: Cost, limits: PoolLimits) -> Result<Self, PasswordError> {
        let parallel = limits.parallel.clamp(1, 1_024);
        let dummy = hash(&cost, b"nobody has this password, and a match is ignored")?.into();
        Ok(Self {
            cost,
            dummy,
            patience: limits.patience,
            places: Arc::new(Semaphore::new(parallel + limits.waiting.min(1_000_000))),
            running: Arc::new(Semaphore::new(parallel)),
        })
    }

    pub(crate) async fn hash(&self, password: Zeroizing<Vec<u8>>) -> Result<String, PasswordError> {
        let cost = self.cost.clone();
        self.run(move || hash(&cost, &password)).await
    }

    /// Which of the hashes the password fits; works once against a dummy if there are none.
    pub(crate) async fn find(
        &self,
        password: Zeroizing<Vec<u8>>,
        hashes: Vec<String>,
    ) -> Result<Option<usize>, PasswordError> {
        let dummy = Arc::clone(&self.dummy);
        self.run(move || {
            if hashes.is_empty() {
                fits(&password, &dummy)?;
                return Ok(None);
            }
            let mut unreadable = None;
            for (place, stored) in hashes.iter().enumerate() {
                match fits(&password, stored) {
                    Ok(true) => return Ok(Some(place)),
                    Ok(false) => {}
                    Err(error) => unreadable = Some(error),
                }
            }
            unreadable.map_or(Ok(None), Err)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let permit = tokio::time::timeout(self.patience, Arc::clone(&self.running).acquire_owned())
            .await
            .map_err(|_| PasswordError::Busy)?
            .map_err(|_| PasswordError::Failed)?;
        // The permits go along: a caller that gives up does not stop the work, so it must stay counted.
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop((permit, place));
            done
        })
        .await
        .map_err(|_| PasswordError::Failed)?
    }
}

fn hash(cost: &Cost, password: &[u8]) -> Result<String, PasswordError> {
    let hash = Argon2::from(&cost.0).hash_password(password).map_err(|_| PasswordError::Failed)?;
    Ok(hash.to_string())
}

fn fits(password: &[u8], stored: &str) -> Result<bool, PasswordError> {
    let hash = PasswordHash::new(stored).map_err(|_| PasswordError::Stored)?;
    let params = Params::try_from(&hash).map_err(|_| PasswordError::Stored)?;
    if hash.algorithm != ARGON2ID_IDENT || !is_affordable(&params) {
        return Err(PasswordError::Stored);
    }
    // The comparison within is in constant time.
    match Argon2::default().verify_password(password, &hash) {
        Ok(()) => Ok(true),
        Err(HashError::PasswordInvalid) => Ok(false),
        Err(_) => Err(PasswordError::Stored),
    }
}
