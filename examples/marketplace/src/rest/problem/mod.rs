//! Errors as the interface tells them: problem details (RFC 9457) with a stable `code`.

mod codes;

use std::error::Error as _;

use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use i3_auth::api_token::ApiTokenError;
use i3_auth::password::PasswordError;
use i3_core::access::{Actor, Permission, Reach};
use i3_core::gate::LoginError;
use i3_core::market::{MarketError, Refusal, RefusalKind};
use i3_core::store::{Applied, StoreError, StoreErrorKind};
use i3_semantic::wot::td::ValidationError;
use serde::Serialize;

pub(crate) use codes::table;

/// An answer that says what is wrong: see `docs/problems.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// The parts of the request that are at fault.
    faults: Vec<Fault>,
    /// What is wrong with a Thing Description.
    validation: Vec<ValidationError>,
    /// After how many seconds the same may work.
    retry_after: Option<u64>,
    /// What who asks lacks, if it was denied for want of that.
    lacks: Option<Permission>,
    /// Whether it is there, and somebody else's.
    hides: bool,
}

/// What is wrong with one part of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Fault {
    /// A part of the body: a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// A parameter of the query string.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    detail: String,
}

#[derive(Serialize)]
struct Details<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Fault],
    #[serde(rename = "validationErrors", skip_serializing_if = "<[_]>::is_empty")]
    validation: &'a [ValidationError],
}

impl Problem {
    /// A problem of this status with this stable code; the detail is for people.
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let (faults, validation) = (Vec::new(), Vec::new());
        let detail = detail.into();
        Self { status, code, detail, faults, validation, retry_after: None, lacks: None, hides: false }
    }

    /// What a status means that something else than the interface answered with.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let (code, _, about) = codes::of_status(status.as_u16());
        Self::new(status, code, about)
    }

    /// What a code means, with its status.
    pub(super) fn explained(code: &str) -> Option<(u16, &'static str)> {
        codes::explained(code).map(|(_, status, about)| (status, about))
    }

    /// It took longer than requests may take.
    pub(super) fn overdue() -> Self {
        Self::of_status(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Whether the operator should look at it.
    pub(super) fn is_failure(&self) -> bool {
        self.status.is_server_error()
    }

    /// As JSON, of the request with this number.
    pub(super) fn json(&self, request: Option<&str>) -> serde_json::Result<String> {
        serde_json::to_string(&Details {
            r#type: format!("urn:i3:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            instance: request.map(|request| format!("urn:i3:request:{request}")),
            errors: &self.faults,
            validation: &self.validation,
        })
    }

    /// As it is, about this part of the body: a JSON pointer.
    pub(super) fn at(mut self, pointer: &str) -> Self {
        let (pointer, detail) = (Some(format!("#{pointer}")), self.detail.clone());
        self.faults.push(Fault { pointer, parameter: None, detail });
        self
    }

    /// As it is, with what is wrong with this parameter of the query string.
    pub(super) fn parameter(mut self, parameter: &str, detail: impl std::fmt::Display) -> Self {
        let (parameter, detail) = (Some(parameter.to_owned()), detail.to_string());
        self.faults.push(Fault { pointer: None, parameter, detail });
        self
    }

    /// As it is, with something that is wrong with a Thing Description (WoT Discovery, section 7.3.2.1.6).
    pub(super) fn validation(mut self, error: ValidationError) -> Self {
        self.validation.push(error);
        self
    }

    /// Whether something else is there than the request is based on.
    pub(super) fn is_outdated(&self) -> bool {
        self.code == "outdated"
    }

    /// The stable code.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// What who asks lacks, if it was denied for want of that.
    pub(super) fn lacks(&self) -> Option<Permission> {
        self.lacks
    }

    /// As if it were not there, since it is somebody else's.
    pub(super) fn hiding(detail: &'static str) -> Self {
        Self { hides: true, ..Self::new(StatusCode::NOT_FOUND, "not_found", detail) }
    }

    /// Whether it is answered as missing though it is there.
    pub(super) fn hides(&self) -> bool {
        self.hides
    }

    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong, for people.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The part of the body that is at fault.
    #[cfg(test)]
    pub(super) fn pointer(&self) -> Option<&str> {
        self.faults.iter().find_map(|fault| fault.pointer.as_deref())
    }

    /// The body is of a kind that is not taken here.
    pub(super) fn media_type(taken: &[&str]) -> Self {
        let detail = format!("`Content-Type` is expected to be one of: {}", taken.join(", "));
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// It is not any more what the client saw.
    pub(super) fn changed() -> Self {
        let detail = "it was changed since it was looked at: get it again";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
    }

    /// The request depends on the state of something that has none.
    pub(super) fn no_version() -> Self {
        let detail = "`If-Match` can hold only where one existing thing is changed: leave it out";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
    }

    /// Something about the request makes no sense.
    pub(super) fn invalid(field: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", format!("{field}: {reason}"))
    }

    /// A patch names a member that never changes.
    pub(super) fn unchangeable(member: &str) -> Self {
        let detail = format!("`{member}` never changes");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unchangeable", detail).at(&format!("/{member}"))
    }

    /// Nobody is signed in where somebody has to be.
    pub(super) fn sign_in() -> Self {
        let detail = "sign in: `Authorization: Bearer` with an API token is expected";
        Self::new(StatusCode::UNAUTHORIZED, "authentication_required", detail)
    }

    /// The token is not accepted, for whatever reason.
    pub(super) fn bad_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_token", "the API token is not accepted")
    }

    /// A request by cookie does not prove that the page of the session made it.
    pub(super) fn forged() -> Self {
        let detail = "send the session's `csrf` in `X-CSRF-Token`, from a page of this site";
        Self::new(StatusCode::FORBIDDEN, "csrf", detail)
    }

    /// One address, client or account has asked too much: later it may again.
    pub(super) fn flood(wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        let detail = format!("too many requests: come back in {seconds} seconds");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail);
        Self { retry_after: Some(seconds), ..problem }
    }

    /// A program may not do this for a user.
    pub(super) fn in_person() -> Self {
        let detail = "not for programs: sign in and use an API token";
        Self::new(StatusCode::FORBIDDEN, "in_person_only", detail)
    }

    /// Something failed that the client can do nothing about.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request could not be carried out")
    }

    /// What the marketplace answered to this actor.
    pub(super) fn of_market(actor: Actor, error: MarketError) -> Self {
        match error {
            MarketError::Refused(Refusal::Forbidden { action, .. }) if actor == Actor::Anonymous => {
                Self { lacks: Permission::new(action, Reach::Any).ok(), ..Self::sign_in() }
            }
            MarketError::Refused(refusal) => {
                let problem = Self::new(status_of(refusal.kind()), refusal.code(), refusal.to_string());
                match refusal {
                    Refusal::OutOfScope { needed } => Self { lacks: Some(needed), ..problem },
                    Refusal::Forbidden { action, .. } => {
                        Self { lacks: Permission::new(action, Reach::Any).ok(), ..problem }
                    }
                    _ => problem,
                }
            }
            MarketError::Store(error) => error.into(),
            other => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                other.code(),
                format!("{other}: send the request again"),
            ),
        }
    }
}

/// The status of a refusal, the same for all commands and queries.
const fn status_of(kind: RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::Forbidden => StatusCode::FORBIDDEN,
        RefusalKind::NotFound => StatusCode::NOT_FOUND,
        RefusalKind::Conflict => StatusCode::CONFLICT,
        RefusalKind::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
        RefusalKind::TooOften => StatusCode::TOO_MANY_REQUESTS,
        RefusalKind::Precondition => StatusCode::PRECONDITION_FAILED,
        RefusalKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RefusalKind::WrongType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        // `Invalid`, and kinds that are not known yet: the request is at fault.
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The operator reads the cause in the log; a client is told only what it can act on.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(code = error.kind().code(), cause = error.source(), "the store failed: {error}");
        let status = match error.kind() {
            StoreErrorKind::Unavailable | StoreErrorKind::Busy => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let detail = match error.applied() {
            Applied::No => "the store failed; nothing was changed",
            Applied::Unknown => {
                "the store failed, and the request may have been carried out: \
                 send it again with the same idempotency key"
            }
        };
        Self::new(status, error.kind().code(), detail)
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => busy(),
            PasswordError::Length => Self::invalid("password", error),
            other => {
                tracing::error!("a password could not be hashed: {other}");
                Self::internal()
            }
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Busy => busy(),
            LoginError::Store(error) => error.into(),
            _ => Self::new(
                StatusCode::UNAUTHORIZED,
                "invalid_credentials",
                "the name or the password is not accepted",
            ),
        }
    }
}

impl From<ApiTokenError> for Problem {
    fn from(error: ApiTokenError) -> Self {
        match error {
            ApiTokenError::Store(error) => error.into(),
            ApiTokenError::TooMany => Self::new(StatusCode::CONFLICT, "too_many_tokens", error.to_string()),
            _ => Self::bad_token(),
        }
    }
}

fn busy() -> Problem {
    let detail = "too many passwords are being checked or were wrong: try again later";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail)
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("a body has at most {} bytes", super::MAX_BODY_BYTES);
            return Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail);
        }
        Self::new(StatusCode::BAD_REQUEST, "incomplete_body", "the body did not arrive as a whole")
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.json(None).unwrap_or_default()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // RFC 6750, section 3.1.
        let scope = self.lacks.filter(|_| self.code == "insufficient_scope");
        let challenge = scope.map(|scope| format!("Bearer error=\"{}\", scope=\"{scope}\"", self.code));
        if let Some(Ok(challenge)) = challenge.map(HeaderValue::try_from) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // A sample may be looked at again tomorrow.
            StatusCode::TOO_MANY_REQUESTS if self.code == Refusal::SamplesUsedUp.code() => {}
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(RETRY_AFTER, HeaderValue::from(self.retry_after.unwrap_or(1)));
            }
            _ => {}
        }
        // The layer around the interface says which request it was, in the format that the client wants.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use i3_core::access::Action;
    use i3_core::gate::LeaseRefusal;
    use i3_core::id::{TypedId, UserId};

    use super::*;

    fn user() -> Actor {
        Actor::User(UserId::from_bits(1))
    }

    fn forbidden() -> Refusal {
        Refusal::Forbidden { action: Action::Audit, rule: "a rule".to_owned() }
    }

    fn out_of_scope() -> Refusal {
        Refusal::OutOfScope { needed: "virtual_object:delete:own".parse().unwrap() }
    }

    #[test]
    fn who_lacks_a_scope_is_told_which_as_rfc_6750_has_it() {
        let response = Problem::of_market(user(), out_of_scope().into()).into_response();
        let told = &response.headers()[WWW_AUTHENTICATE];
        assert_eq!(told, "Bearer error=\"insufficient_scope\", scope=\"virtual_object:delete:own\"");
        let response = Problem::of_market(user(), forbidden().into()).into_response();
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
    }

    #[test]
    fn every_refusal_has_its_status_and_code() {
        let table = [
            (forbidden(), 403, "forbidden"),
            (out_of_scope(), 403, "insufficient_scope"),
            (Refusal::UnknownScope { scope: "as:ghost".to_owned() }, 400, "unknown_scope"),
            (Refusal::OwnProduct, 403, "own_product"),
            (Refusal::NothingReceived, 403, "nothing_received"),
            (Refusal::SamplesUsedUp, 429, "samples_used_up"),
            (Refusal::TooSoon, 429, "too_soon"),
            (Refusal::InvitationNeeded, 403, "invitation_needed"),
            (Refusal::InvitationNotGood, 403, "invitation_not_good"),
            (Refusal::WrongPassword, 403, "wrong_password"),
            (Refusal::ResetNotGood, 403, "reset_not_good"),
            (Refusal::NotFound { what: "hub" }, 404, "not_found"),
            (Refusal::Lease(LeaseRefusal::NoSuchLease), 404, "no_such_lease"),
            (Refusal::Taken { what: "user name" }, 409, "name_taken"),
            (Refusal::WrongState { what: "user", state: "active" }, 409, "wrong_state"),
            (Refusal::KeyReused, 409, "idempotency_key_reused"),
            (Refusal::Changed, 412, "precondition_failed"),
            (Refusal::LastOwner, 409, "last_owner"),
            (Refusal::LastAdministrator, 409, "last_administrator"),
            (Refusal::Lease(LeaseRefusal::Exhausted), 409, "quota_exhausted"),
            (Refusal::Lease(LeaseRefusal::LeasedElsewhere), 409, "quota_leased_elsewhere"),
            (Refusal::Lease(LeaseRefusal::NotActive), 409, "grant_not_active"),
            (Refusal::InsufficientFunds, 402, "insufficient_funds"),
            (Refusal::Lease(LeaseRefusal::InsufficientFunds), 402, "insufficient_funds"),
            (Refusal::invalid("amount", "more than nothing is expected"), 400, "invalid_request"),
        ];
        for (refusal, status, code) in table {
            let problem = Problem::of_market(user(), refusal.clone().into());
            assert_eq!((problem.status.as_u16(), problem.code), (status, code), "{refusal:?}");
            assert_eq!(problem.detail, refusal.to_string());
        }
    }

    #[test]
    fn a_stranger_is_asked_to_sign_in_where_a_user_is_forbidden() {
        let problem = Problem::of_market(Actor::Anonymous, forbidden().into());
        assert_eq!((problem.status.as_u16(), problem.code), (401, "authentication_required"));
        let response = problem.into_response();
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
    }

    #[test]
    fn failures_have_their_status_and_say_nothing_of_the_inside() {
        let table = [
            (StoreErrorKind::Unavailable, 503, "store_unavailable"),
            (StoreErrorKind::Busy, 503, "store_busy"),
            (StoreErrorKind::Incompatible, 500, "store_incompatible"),
            (StoreErrorKind::Corrupt, 500, "store_corrupt"),
            (StoreErrorKind::Misconfigured, 500, "store_misconfigured"),
            (StoreErrorKind::Unsupported, 500, "store_unsupported"),
        ];
        for (kind, status, code) in table {
            let error = StoreError::new(kind, "the file of the data is gone");
            let problem = Problem::of_market(user(), error.into());
            assert_eq!((problem.status.as_u16(), problem.code), (status, code));
            assert!(!problem.detail.contains("file"), "{}", problem.detail);
        }
        let unknown = StoreError::new(StoreErrorKind::Unavailable, "x").outcome_unknown();
        assert!(Problem::from(unknown).detail.contains("idempotency key"));
        let conflict = Problem::of_market(user(), MarketError::Conflict);
        assert_eq!((conflict.status.as_u16(), conflict.code), (503, "conflict"));
        assert_eq!(conflict.into_response().headers()[RETRY_AFTER], "1");
    }
}
