//! The client: where to, as whom, and how patiently.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::header::HeaderValue;
use hyper_util::client::legacy::Client as Http;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{Change, Pages, Query};
use crate::connector::{Connector, connector};
use crate::request::Request;
use crate::{Error, Secret, Server};

/// How a [`Client`] behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    server: Server,
    timeout: Duration,
    tries: u32,
    authorities: Option<Vec<u8>>,
    unprotected: bool,
}

impl Settings {
    /// For a marketplace at this address: 40 seconds for each try, three tries.
    pub fn new(server: Server) -> Self {
        Self { server, timeout: Duration::from_secs(40), tries: 3, authorities: None, unprotected: false }
    }

    /// How long each try of a request may take, with its whole answer. A server gives up after 30 seconds itself.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How often a request is sent at most, if that can help and cannot do harm; at least once.
    pub fn tries(self, tries: u32) -> Self {
        Self { tries: tries.max(1), ..self }
    }

    /// Who may vouch for the server: certificates as PEM, instead of Mozilla's list of authorities.
    pub fn authorities(self, pem: impl Into<Vec<u8>>) -> Self {
        Self { authorities: Some(pem.into()), ..self }
    }

    /// Sends passwords and tokens to other machines without TLS, too. For networks that are a tunnel themselves.
    pub fn unprotected(self) -> Self {
        Self { unprotected: true, ..self }
    }
}

/// As whom requests are made.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    Anybody,
    /// `Authorization: Bearer …`
    Token(HeaderValue),
    /// The cookie of a session, and what proves that the request is the session's own.
    Session {
        cookie: HeaderValue,
        guard: HeaderValue,
    },
}

pub(crate) struct Shared {
    pub(crate) server: Server,
    pub(crate) timeout: Duration,
    pub(crate) tries: u32,
    pub(crate) http: Http<Connector, Full<Bytes>>,
}

/// A client of one marketplace, as one caller. Cheap to clone; clones use the same connections.
///
/// For each operation of the interface there is a method with the operation's name, which gives a
/// [`Query`], a [`Change`] or [`Pages`]: nothing is sent until that is awaited.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) caller: Caller,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed_in = !matches!(self.caller, Caller::Anybody);
        f.debug_struct("Client")
            .field("server", &self.shared.server)
            .field("signed_in", &signed_in)
            .finish_non_exhaustive()
    }
}

fn hidden(value: String) -> Result<HeaderValue, Error> {
    let wrong = || Error::Request("the token has characters that no token has".to_owned());
    let mut value = HeaderValue::try_from(value).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok(value)
}

impl Client {
    /// A client that is nobody yet. Fails if other machines would be sent passwords without TLS, or if the authorities
    /// make no sense.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let Settings { server, timeout, tries, authorities, unprotected } = settings;
        if !unprotected && !server.is_private() {
            let text =
                format!("{server} is another machine: passwords and tokens are sent there by https only");
            return Err(Error::Request(text));
        }
        let http = Http::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector(authorities.as_deref())?);
        let shared = Arc::new(Shared { server, timeout, tries, http });
        Ok(Self { shared, caller: Caller::Anybody })
    }

    /// The same client, as the owner of this API token or `OAuth2` access token.
    pub fn with_token(&self, token: &Secret) -> Result<Self, Error> {
        let value = hidden(format!("Bearer {}", token.expose()))?;
        Ok(Self { shared: self.shared.clone(), caller: Caller::Token(value) })
    }

    /// The same client, in a session: what [`begin_session`](Self::begin_session) answers.
    pub fn with_session(&self, cookie: &Secret, guard: &Secret) -> Result<Self, Error> {
        let caller = Caller::Session {
            cookie: hidden(cookie.expose().to_owned())?,
            guard: hidden(guard.expose().to_owned())?,
        };
        Ok(Self { shared: self.shared.clone(), caller })
    }

    /// The same client, as nobody.
    pub fn anonymous(&self) -> Self {
        Self { shared: self.shared.clone(), caller: Caller::Anybody }
    }

    /// Where the marketplace is.
    pub fn server(&self) -> &Server {
        &self.shared.server
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: impl Into<String>) -> Query<T> {
        Query::new(self.clone(), Request::new(Method::GET, path))
    }

    pub(crate) fn list<T: DeserializeOwned>(&self, path: impl Into<String>) -> Pages<T> {
        Pages::new(self.clone(), path.into())
    }

    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: impl Into<String>,
        body: &impl Serialize,
    ) -> Change<T> {
        Change::new(self.clone(), Request::new(Method::POST, path).json(body))
    }

    pub(crate) fn act<T: DeserializeOwned>(&self, path: impl Into<String>) -> Change<T> {
        Change::new(self.clone(), Request::new(Method::POST, path))
    }

    pub(crate) fn put<T: DeserializeOwned>(
        &self,
        path: impl Into<String>,
        body: &impl Serialize,
    ) -> Change<T> {
        Change::new(self.clone(), Request::new(Method::PUT, path).json(body))
    }

    pub(crate) fn put_bytes<T: DeserializeOwned>(
        &self,
        path: impl Into<String>,
        kind: &'static str,
        bytes: Bytes,
    ) -> Change<T> {
        Change::new(self.clone(), Request::new(Method::PUT, path).bytes(bytes, kind))
    }

    pub(crate) fn patch<T: DeserializeOwned>(
        &self,
        path: impl Into<String>,
        body: &impl Serialize,
    ) -> Change<T> {
        Change::new(self.clone(), Request::new(Method::PATCH, path).merge_patch(body))
    }

    pub(crate) fn delete<T: DeserializeOwned>(&self, path: impl Into<String>) -> Change<T> {
        Change::new(self.clone(), Request::new(Method::DELETE, path))
    }
}
