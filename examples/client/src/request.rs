//! One request on its way: written, sent, sent again, read.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, StatusCode};
use serde::Serialize;

use crate::Error;
use crate::client::{Caller, Client};
use crate::error::Problem;

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// How long is waited before the first repetition, if the server does not say.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// How long is waited at most between two tries. A server that wants more is not asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// A request before it is sent.
#[derive(Clone)]
pub(crate) struct Request {
    method: Method,
    /// Path and query, below the interface's.
    path: String,
    headers: HeaderMap,
    body: Bytes,
    /// Whether it has one effect however often it arrives.
    pub(crate) repeatable: bool,
    /// Why it cannot be sent.
    wrong: Option<String>,
}

/// What was answered, if the request was carried out; or that nothing is new.
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Without headers and body: there are passwords in bodies.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.method, self.path, self.body.len())
    }
}

impl Request {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            repeatable: true,
            wrong: None,
        }
    }

    pub(crate) fn json(self, body: &impl Serialize) -> Self {
        self.body(body, "application/json")
    }

    pub(crate) fn merge_patch(self, body: &impl Serialize) -> Self {
        self.body(body, "application/merge-patch+json")
    }

    fn body(mut self, body: &impl Serialize, kind: &'static str) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.body = bytes.into(),
            Err(error) => self.wrong = Some(format!("the body cannot be written: {error}")),
        }
        self.header(CONTENT_TYPE, Some(HeaderValue::from_static(kind)))
    }

    /// With bytes of this media type.
    pub(crate) fn bytes(mut self, bytes: Bytes, kind: &'static str) -> Self {
        self.body = bytes;
        self.header(CONTENT_TYPE, Some(HeaderValue::from_static(kind)))
    }

    /// With a header, if its value can be one.
    pub(crate) fn header(mut self, name: HeaderName, value: Option<HeaderValue>) -> Self {
        match value {
            Some(value) => {
                self.headers.insert(name, value);
            }
            None => self.wrong = Some(format!("`{name}` has characters that no header has")),
        }
        self
    }

    /// Not to be sent, for this reason.
    pub(crate) fn wrong(mut self, reason: impl Into<String>) -> Self {
        self.wrong = Some(reason.into());
        self
    }

    /// Sends it to the client's server, again if that can help and cannot do harm.
    pub(crate) async fn send(&self, client: &Client) -> Result<Received, Error> {
        if let Some(reason) = &self.wrong {
            return Err(Error::Request(reason.clone()));
        }
        let mut tried = 1;
        loop {
            let error = match self.send_once(client).await {
                Ok(received) => return Ok(received),
                Err(error) => error,
            };
            let wait = again(&error, self.repeatable, tried).filter(|_| tried < client.shared.tries);
            let Some(wait) = wait else { return Err(error) };
            tokio::time::sleep(jittered(wait)).await;
            tried += 1;
        }
    }

    async fn send_once(&self, client: &Client) -> Result<Received, Error> {
        let timeout = client.shared.timeout;
        match tokio::time::timeout(timeout, self.exchange(client)).await {
            Ok(received) => received,
            Err(_) => Err(Error::Timeout(timeout)),
        }
    }

    async fn exchange(&self, client: &Client) -> Result<Received, Error> {
        let address = format!("{}/api/v1{}", client.shared.server, self.path);
        let mut request = hyper::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() =
            address.parse().map_err(|error| Error::Request(format!("no address is made of it: {error}")))?;
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers
            .insert(USER_AGENT, HeaderValue::from_static(concat!("i3-client/", env!("CARGO_PKG_VERSION"))));
        match &client.caller {
            Caller::Anybody => {}
            Caller::Token(value) => {
                headers.insert(AUTHORIZATION, value.clone());
            }
            Caller::Session { cookie, guard } => {
                headers.insert(COOKIE, cookie.clone());
                headers.insert(HeaderName::from_static("x-csrf-token"), guard.clone());
            }
        }
        let response = client.shared.http.request(request).await.map_err(|error| {
            if error.is_connect() { Error::Unreachable(error.into()) } else { Error::Lost(error.into()) }
        })?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                unexpected(parts.status, format!("it is longer than {MAX_ANSWER} bytes"))
            } else {
                Error::Lost(error)
            }
        })?;
        let received = Received { status: parts.status, headers: parts.headers, body: body.to_bytes() };
        if received.status.is_success() || received.status == StatusCode::NOT_MODIFIED {
            return Ok(received);
        }
        Err(refused(&received))
    }
}

pub(crate) fn unexpected(status: StatusCode, detail: impl Into<String>) -> Error {
    Error::Unexpected { status: status.as_u16(), detail: detail.into() }
}

/// What an answer that is no success says.
fn refused(received: &Received) -> Error {
    match serde_json::from_slice::<Problem>(&received.body) {
        Ok(mut problem) => {
            let after = received.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            problem.status = received.status.as_u16();
            problem.retry_after = after.and_then(|seconds| seconds.parse().ok());
            Error::Problem(Box::new(problem))
        }
        Err(_) => unexpected(received.status, "no problem details"),
    }
}

/// How long to wait before the request is sent again; `None`: it is not.
fn again(error: &Error, repeatable: bool, tried: u32) -> Option<Duration> {
    if error.may_be_done() && !repeatable {
        return None;
    }
    let wanted = error.again_after()?;
    let own = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(tried.saturating_sub(1)));
    (wanted <= LONGEST_WAIT).then(|| own.max(wanted).min(LONGEST_WAIT))
}

/// This long or up to a half longer, so that clients that failed together do not come back together.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [0_u8; 1];
    // Without randomness they come back together: no harm but the load.
    let _ = getrandom::fill(&mut byte);
    wait.saturating_add(wait.saturating_mul(u32::from(byte[0])) / 512)
}

/// A path with parameters.
pub(crate) fn with_query<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_one_effect_is_sent_again_when_nobody_knows_whether_it_arrived() {
        let lost = Error::Lost("reset".into());
        assert_eq!(again(&lost, true, 1), Some(FIRST_WAIT));
        assert_eq!(again(&lost, true, 3), Some(FIRST_WAIT * 4));
        assert_eq!(again(&lost, false, 1), None);
        let unreachable = Error::Unreachable("refused".into());
        assert_eq!(again(&unreachable, false, 1), Some(FIRST_WAIT));
    }

    #[test]
    fn a_server_is_left_alone_as_long_as_it_wants_but_not_waited_for_for_ever() {
        let busy = |seconds: u64| {
            let text = serde_json::json!({"status": 429, "code": "busy", "retry_after": seconds});
            Error::Problem(Box::new(serde_json::from_value(text).unwrap()))
        };
        assert_eq!(again(&busy(3), true, 1), Some(Duration::from_secs(3)));
        assert_eq!(again(&busy(600), true, 1), None);
        assert_eq!(again(&busy(0), true, 60), Some(LONGEST_WAIT));
    }

    #[test]
    fn parameters_are_escaped() {
        assert_eq!(with_query("/a", []), "/a");
        assert_eq!(with_query("/a", [("topic", "i3/a b&c".to_owned())]), "/a?topic=i3%2Fa+b%26c");
    }
}
