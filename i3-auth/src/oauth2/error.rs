//! What a client is told when it gets nothing.

use i3_core::store::{Refused as Stopped, StoreError};
use serde::{Serialize, Serializer};

/// Why a request was refused, as the standards spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// A parameter is missing, malformed or there twice (RFC 6749, sections 4.1.2.1 and 5.2).
    InvalidRequest,
    /// The client did not prove who it is (RFC 6749, section 5.2).
    InvalidClient,
    /// The code or refresh token is not good, or no longer, or another client's (RFC 6749, section 5.2).
    InvalidGrant,
    /// The client may not do this (RFC 6749, sections 4.1.2.1 and 5.2).
    UnauthorizedClient,
    /// There is no such grant type here (RFC 6749, section 5.2).
    UnsupportedGrantType,
    /// Only `code` is offered (RFC 6749, section 4.1.2.1).
    UnsupportedResponseType,
    /// A scope does not exist, or is more than the client or the user gives (RFC 6749, section 5.2).
    InvalidScope,
    /// The token would be for a resource that is not served here (RFC 8707, section 2).
    InvalidTarget,
    /// The user said no (RFC 6749, section 4.1.2.1).
    AccessDenied,
    /// Request objects are not offered (RFC 9101, section 10.1).
    RequestNotSupported,
    /// Nor are those behind an address.
    RequestUriNotSupported,
    /// Try again (RFC 6749, section 4.1.2.1).
    TemporarilyUnavailable,
}

impl ErrorCode {
    /// As it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AccessDenied => "access_denied",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The authorization server says no. Serialized, it is the body of RFC 6749, section 5.2. The description is for
/// the client's developer and holds nothing that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{description}")]
pub struct Refusal {
    /// What kind of refusal.
    #[serde(rename = "error")]
    pub code: ErrorCode,
    /// Why, in plain ASCII (RFC 6749, section 5.2).
    #[serde(rename = "error_description")]
    pub description: &'static str,
}

impl Refusal {
    pub(super) const fn new(code: ErrorCode, description: &'static str) -> Self {
        Self { code, description }
    }

    pub(super) const fn request(description: &'static str) -> Self {
        Self::new(ErrorCode::InvalidRequest, description)
    }

    pub(super) const fn grant(description: &'static str) -> Self {
        Self::new(ErrorCode::InvalidGrant, description)
    }

    /// The status of the HTTP answer: 401 for [`ErrorCode::InvalidClient`] (then with `WWW-Authenticate: Basic`),
    /// else 400 (RFC 6749, section 5.2). Every answer of these endpoints has `Cache-Control: no-store`.
    pub const fn status(&self) -> u16 {
        match self.code {
            ErrorCode::InvalidClient => 401,
            ErrorCode::TemporarilyUnavailable => 503,
            _ => 400,
        }
    }
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OAuthError {
    /// The authorization server says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Others keep changing the same data: try again.
    #[error("too many others change the same data at the moment")]
    Conflict,
    /// The store failed, or the operating system gave no random bytes. If a code or refresh token was presented it
    /// may have been used up: presenting it again may revoke what came of it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No token could be signed.
    #[error("no token could be signed")]
    Signing,
}

impl OAuthError {
    /// What the client is told: nothing of a failure's cause.
    pub fn told(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => *refusal,
            _ => Refusal::new(ErrorCode::TemporarilyUnavailable, "the server cannot answer now: try again"),
        }
    }

    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(*refusal),
            _ => None,
        }
    }
}

impl From<Stopped<Refusal>> for OAuthError {
    fn from(stopped: Stopped<Refusal>) -> Self {
        match stopped {
            Stopped::Refusal(refusal) => Self::Refused(refusal),
            Stopped::Conflict => Self::Conflict,
            Stopped::Store(error) => Self::Store(error),
        }
    }
}
