//! What can go wrong, as one type.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no answer as it was wanted. No variant holds what was sent: no passwords, no tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server says what is wrong (RFC 9457).
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The request cannot be written, or must not be sent.
    #[error("{0}")]
    Request(String),
    /// The server cannot be reached. Nothing was sent.
    #[error("the server cannot be reached")]
    Unreachable(#[source] Cause),
    /// The connection broke before there was an answer.
    #[error("the connection broke before the whole answer was there")]
    Lost(#[source] Cause),
    /// There was no answer in time.
    #[error("there was no answer within {0:?}")]
    Timeout(Duration),
    /// There was an answer, but not one of this interface.
    #[error("the answer (status {status}) is not one of this interface: {detail}")]
    Unexpected {
        /// Its status.
        status: u16,
        /// What is odd about it.
        detail: String,
    },
}

/// What can be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The marketplace said no, or the request makes no sense: the same request will not do.
    Refusal,
    /// Others were quicker, or there is too much to do: look again, or send it again later.
    Conflict,
    /// Something does not work, here, there or between.
    Failure,
}

impl Error {
    /// What can be done about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Problem(problem) => problem.class(),
            Self::Request(_) => Class::Refusal,
            _ => Class::Failure,
        }
    }

    /// The stable code: the problem's own, or one for what happened on the way.
    pub fn code(&self) -> &str {
        match self {
            Self::Problem(problem) => &problem.code,
            Self::Request(_) => "invalid_request",
            Self::Unreachable(_) => "unreachable",
            Self::Lost(_) => "connection_lost",
            Self::Timeout(_) => "timeout",
            Self::Unexpected { .. } => "unexpected_answer",
        }
    }

    /// What the server said, if it said what is wrong.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether the request may have been carried out all the same: to be sent again under the same
    /// `Idempotency-Key`, or looked after.
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.status >= 500 && problem.class() != Class::Conflict,
            Self::Request(_) | Self::Unreachable(_) => false,
            Self::Lost(_) | Self::Timeout(_) | Self::Unexpected { .. } => true,
        }
    }

    /// How long the server wants to be left alone before the same request is worth to be sent again; `None`: it is
    /// not worth it.
    pub(crate) fn again_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable(_) | Self::Lost(_) | Self::Timeout(_) => Some(Duration::ZERO),
            Self::Problem(problem) => problem.again_after(),
            Self::Request(_) | Self::Unexpected { .. } => None,
        }
    }
}

/// What the server says is wrong: problem details (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// The status.
    pub status: u16,
    /// What is wrong, for programs: stable, see `docs/problems.md`.
    pub code: String,
    /// The status in words.
    #[serde(default)]
    pub title: String,
    /// What is wrong this time, for people.
    #[serde(default)]
    pub detail: String,
    /// This very request, as the server's log has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What is wrong with parts of the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<PartFault>,
    /// When it is worth to try again, in seconds (`Retry-After`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// What is wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartFault {
    /// The part of the body (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What is wrong with it.
    #[serde(default)]
    pub detail: String,
}

impl Problem {
    /// What can be done about it.
    pub fn class(&self) -> Class {
        match (self.status, self.code.as_str()) {
            (412 | 429, _) | (_, "outdated" | "conflict" | "store_busy") => Class::Conflict,
            (500.., _) => Class::Failure,
            _ => Class::Refusal,
        }
    }

    /// See [`Error::again_after`]. What is refused for longer than a moment is not asked for again.
    fn again_after(&self) -> Option<Duration> {
        let soon = match (self.status, self.code.as_str()) {
            (_, "too_soon" | "samples_used_up") => false,
            (408 | 429 | 503, _) => true,
            _ => false,
        };
        soon.then(|| Duration::from_secs(self.retry_after.unwrap_or(0)))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = if self.detail.is_empty() { &self.title } else { &self.detail };
        write!(f, "{said}")?;
        for fault in &self.errors {
            // The detail of a single fault is the problem's own.
            let place = fault.pointer.as_ref().or(fault.parameter.as_ref());
            match place {
                Some(place) if fault.detail == self.detail => write!(f, " (at {place})")?,
                Some(place) => write!(f, "; at {place}: {}", fault.detail)?,
                None => write!(f, "; {}", fault.detail)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, code: &str) -> Problem {
        serde_json::from_value(serde_json::json!({"status": status, "code": code, "detail": "no"})).unwrap()
    }

    #[test]
    fn a_no_a_lost_race_and_a_failure_are_told_apart() {
        for (status, code, class) in [
            (400, "invalid_request", Class::Refusal),
            (401, "invalid_token", Class::Refusal),
            (409, "name_taken", Class::Refusal),
            (409, "outdated", Class::Conflict),
            (412, "precondition_failed", Class::Conflict),
            (429, "busy", Class::Conflict),
            (503, "conflict", Class::Conflict),
            (503, "store_unavailable", Class::Failure),
            (500, "internal", Class::Failure),
        ] {
            assert_eq!(problem(status, code).class(), class, "{code}");
        }
    }

    #[test]
    fn what_may_be_done_already_is_told() {
        let of = |status, code| Error::Problem(Box::new(problem(status, code)));
        assert!(of(503, "store_unavailable").may_be_done() && Error::Timeout(Duration::ZERO).may_be_done());
        assert!(!of(503, "conflict").may_be_done() && !of(409, "name_taken").may_be_done());
        assert!(!Error::Unreachable("no".into()).may_be_done());
    }

    #[test]
    fn what_will_not_change_soon_is_not_asked_for_again() {
        assert_eq!(problem(429, "samples_used_up").again_after(), None);
        assert_eq!(problem(409, "name_taken").again_after(), None);
        assert_eq!(problem(503, "conflict").again_after(), Some(Duration::ZERO));
        let busy = Problem { retry_after: Some(2), ..problem(429, "too_many_requests") };
        assert_eq!(busy.again_after(), Some(Duration::from_secs(2)));
    }
}
