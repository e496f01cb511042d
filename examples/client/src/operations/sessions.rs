//! Sessions as browsers have them: for programs that stand between a browser and a marketplace.

use hyper::header::{HeaderMap, SET_COOKIE};
use i3_core::time::Timestamp;
use i3_core::user::User;
use serde::{Deserialize, Serialize};

use crate::{Change, Client, Query, Secret};

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Session {
    /// What proves that a request is the session's own.
    pub csrf: Secret,
    /// When it ends.
    pub expires: Timestamp,
    /// Whose it is.
    pub account: User,
}

/// A session that began; see [`Client::with_session`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Begun {
    /// The session.
    #[serde(flatten)]
    pub session: Session,
    /// Its cookie, name and value.
    pub cookie: Secret,
}

#[derive(Serialize)]
struct SessionBegin<'a> {
    name: &'a str,
    password: &'a Secret,
}

/// The session, and the one cookie that was set.
fn begun(headers: &HeaderMap, body: &[u8]) -> Result<Begun, String> {
    let session = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let cookie = headers.get(SET_COOKIE).and_then(|value| value.to_str().ok());
    let pair = cookie.and_then(|cookie| cookie.split(';').next()).filter(|pair| pair.contains('='));
    Ok(Begun { session, cookie: Secret::new(pair.ok_or("there is no cookie")?) })
}

impl Client {
    /// Signs in with a cookie. An idempotency key means nothing to it.
    pub fn begin_session(&self, name: &str, password: &Secret) -> Change<Begun> {
        self.post::<()>("/session", &SessionBegin { name, password }).not_twice().read_by(begun)
    }

    /// The session of the request's cookie.
    pub fn show_session(&self) -> Query<Session> {
        self.get("/session")
    }

    /// Signs out; the same however often it is done.
    pub fn end_session(&self) -> Change<()> {
        self.delete("/session")
    }
}
