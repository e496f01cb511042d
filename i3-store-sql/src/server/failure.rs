//! Failures of a database server.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::sync::Arc;

use i3_core::store::{StoreError, StoreErrorKind};

/// What an error of the database means to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// Its kind.
    pub(crate) kind: StoreErrorKind,
    /// What happened and what to do.
    pub(crate) advice: &'static str,
    /// Whether the same may succeed if it is tried again at once: nothing was done.
    pub(crate) again: bool,
    /// Whether the connection is gone, so that a commit that was under way may have been done.
    pub(crate) lost: bool,
}

impl Meaning {
    /// An error that stays until somebody does what is advised.
    pub(crate) const fn lasting(kind: StoreErrorKind, advice: &'static str) -> Self {
        Self { kind, advice, again: false, lost: false }
    }

    /// An error of this moment: a deadlock, for instance.
    pub(crate) const fn passing(kind: StoreErrorKind, advice: &'static str) -> Self {
        Self { kind, advice, again: true, lost: false }
    }

    /// The loss of the connection.
    pub(crate) const fn lost(advice: &'static str) -> Self {
        Self { kind: StoreErrorKind::Unavailable, advice, again: true, lost: true }
    }
}

/// A failure that may have to be told to several callers.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    kind: StoreErrorKind,
    message: Cow<'static, str>,
    again: bool,
    lost: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// A failure that the database knows nothing of. The message must hold no secret.
    pub(crate) fn new(kind: StoreErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), again: false, lost: false, source: None }
    }

    /// Something stored that this software does not write.
    pub(crate) fn corrupt(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StoreErrorKind::Corrupt, what)
    }

    /// A failure with this meaning.
    pub(crate) fn of(meaning: Meaning) -> Self {
        let Meaning { kind, advice, again, lost } = meaning;
        Self { kind, message: Cow::Borrowed(advice), again, lost, source: None }
    }

    /// The same failure with its cause, which must hold no secret.
    pub(crate) fn caused_by(mut self, error: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(error));
        self
    }

    /// Whether the same may succeed if it is tried again at once.
    pub(crate) fn again(&self) -> bool {
        self.again
    }

    /// Whether the connection is gone.
    pub(crate) fn lost(&self) -> bool {
        self.lost
    }

    /// A failure for one caller.
    pub(crate) fn told(&self) -> StoreError {
        let error = StoreError::new(self.kind, self.message.clone());
        match &self.source {
            Some(source) => error.with_source(Arc::clone(source)),
            None => error,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        failure.told()
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::of(meaning(&error)).caused_by(error)
    }
}

const UNENCRYPTED: &str =
    "no encrypted connection to the database: check the address's TLS options and the certificates";

/// What an error means: the database's own errors by their codes, which the dialects know.
fn meaning(error: &sqlx::Error) -> Meaning {
    use StoreErrorKind::{Busy, Corrupt, Misconfigured, Unavailable};
    match error {
        sqlx::Error::Database(error) => {
            #[cfg(feature = "postgres")]
            if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
                return crate::postgres::meaning(error.code());
            }
            #[cfg(feature = "mysql")]
            if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                return crate::mysql::meaning(error.number());
            }
            let _ = error;
            Meaning::lasting(Unavailable, "the database refuses, and gives no code that is known")
        }
        sqlx::Error::Configuration(_) => {
            Meaning::lasting(Misconfigured, "the database's address has a part that is not understood")
        }
        sqlx::Error::Tls(_) => Meaning::lasting(Misconfigured, UNENCRYPTED),
        // A certificate that is not trusted, as rustls tells it.
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Meaning { lost: true, ..Meaning::lasting(Misconfigured, UNENCRYPTED) }
        }
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            Meaning::lasting(Corrupt, "a column holds what this software does not write")
        }
        sqlx::Error::PoolTimedOut => Meaning::lasting(
            Busy,
            "no connection became free in time: allow the pool more connections, or ask for less at a time",
        ),
        sqlx::Error::PoolClosed => Meaning::lasting(Unavailable, "the store was closed"),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            Meaning::lost("the database cannot be reached: check that it runs, and its address")
        }
        _ => Meaning::lasting(Unavailable, "the database does not answer as expected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_unavailable_and_worth_another_try() {
        let failure = Failure::from(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert!(failure.lost() && failure.again());
        assert_eq!(failure.told().kind(), StoreErrorKind::Unavailable);
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_misconfigured() {
        let failure = Failure::from(sqlx::Error::Io(std::io::ErrorKind::InvalidData.into()));
        assert_eq!((failure.told().kind(), failure.again()), (StoreErrorKind::Misconfigured, false));
        assert!(failure.lost());
    }

    #[test]
    fn an_exhausted_pool_is_busy() {
        let failure = Failure::from(sqlx::Error::PoolTimedOut);
        assert_eq!((failure.told().kind(), failure.again()), (StoreErrorKind::Busy, false));
    }

    #[test]
    fn an_address_that_is_not_understood_is_misconfigured() {
        let failure = Failure::from(sqlx::Error::Configuration("what".into()));
        assert_eq!(failure.told().kind(), StoreErrorKind::Misconfigured);
    }

    #[test]
    fn a_column_of_another_type_is_corrupt() {
        let failure = Failure::from(sqlx::Error::Decode("what".into()));
        assert_eq!(failure.told().kind(), StoreErrorKind::Corrupt);
    }
}
