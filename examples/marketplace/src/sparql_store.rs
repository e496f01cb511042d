//! `serve --sparql-update-url`: what is public, as RDF in a SPARQL 1.1 store elsewhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderValue, Uri};
use clap::Args;
use http_body_util::Full;
use i3_core::id::{IdSource as _, RandomIds};
use i3_core::time::{Clock as _, SystemClock};
use i3_semantic::projection::Projection;
use i3_semantic::remote::{Endpoint, EndpointError, Remote};
use tokio::time::MissedTickBehavior;

use crate::Failure;
use crate::brokers::exchange;

/// Whether a store elsewhere is kept like the index.
#[derive(Debug, Clone, Default, Args)]
pub struct SparqlStoreOptions {
    /// The address for updates (SPARQL 1.1 Protocol) of a store elsewhere that is kept like the index: what everybody may
    /// see, as RDF. `http://HOST:PORT/PATH`; TLS is not spoken
    #[arg(long, env = "I3_SPARQL_UPDATE_URL", value_name = "URL", requires = "sparql_query_url")]
    pub sparql_update_url: Option<String>,
    /// The same store's address for queries
    #[arg(long, env = "I3_SPARQL_QUERY_URL", value_name = "URL", requires = "sparql_update_url")]
    pub sparql_query_url: Option<String>,
    /// The file of the login there, `NAME:PASSWORD` in its first line (HTTP Basic)
    #[arg(long, env = "I3_SPARQL_LOGIN_FILE", value_name = "FILE", requires = "sparql_update_url")]
    pub sparql_login_file: Option<PathBuf>,
}

impl SparqlStoreOptions {
    /// The store that is meant, if one is.
    pub fn endpoint(&self) -> Result<Option<HttpEndpoint>, Failure> {
        let (Some(update), Some(query)) = (&self.sparql_update_url, &self.sparql_query_url) else {
            return Ok(None);
        };
        let login = match &self.sparql_login_file {
            None => None,
            Some(file) => {
                let bad = |why: &dyn std::fmt::Display| {
                    Failure::usage("sparql_login", format!("{}: {why}", file.display()))
                };
                let text = std::fs::read_to_string(file).map_err(|error| bad(&error))?;
                let line = text.lines().next().filter(|line| line.contains(':'));
                Some(line.ok_or_else(|| bad(&"`NAME:PASSWORD` is expected in its first line"))?.to_owned())
            }
        };
        HttpEndpoint::new(update, query, login.as_deref()).map(Some)
    }
}

/// An address of a store.
#[derive(Debug, Clone)]
struct Target {
    authority: String,
    path: String,
}

impl Target {
    fn of(url: &str) -> Result<Self, Failure> {
        let wrong = || {
            let what = format!("`{url}` is no `http://HOST:PORT/PATH` (TLS is not spoken)");
            Failure::usage("invalid_url", what)
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        match uri.authority() {
            Some(authority) if uri.scheme_str() == Some("http") && !authority.as_str().contains('@') => {
                let port = authority.port_u16().unwrap_or(80);
                let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
                Ok(Self { authority: format!("{}:{port}", authority.host()), path })
            }
            _ => Err(wrong()),
        }
    }
}

/// A store that is reached over plain HTTP/1.1, one connection for each request: on this machine or in the same closed
/// network.
#[derive(Clone)]
pub struct HttpEndpoint {
    update: Target,
    query: Target,
    login: Option<HeaderValue>,
}

impl std::fmt::Debug for HttpEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { update, query, .. } = self;
        f.debug_struct("HttpEndpoint").field("update", update).field("query", query).finish_non_exhaustive()
    }
}

/// How long one request may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// The longest answer, in bytes.
const MAX_ANSWER_BYTES: usize = 512 * 1024 * 1024;
/// How much of a refusal is told.
const MAX_REASON: usize = 300;

impl HttpEndpoint {
    /// The store with these addresses, and with a login `NAME:PASSWORD` if it asks for one.
    pub fn new(update: &str, query: &str, login: Option<&str>) -> Result<Self, Failure> {
        let basic = |login: &str| {
            let text = format!("Basic {}", data_encoding::BASE64.encode(login.as_bytes()));
            let mut value = HeaderValue::try_from(text).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        Ok(Self { update: Target::of(update)?, query: Target::of(query)?, login: login.and_then(basic) })
    }

    async fn post(&self, target: &Target, kind: &'static str, text: &str) -> Result<Bytes, EndpointError> {
        let unreachable = |error: Box<dyn std::error::Error + Send + Sync>| EndpointError::Unreachable(error);
        let mut request = hyper::Request::post(&target.path)
            .header(HOST, &target.authority)
            .header(CONTENT_TYPE, kind)
            .header(ACCEPT, "application/sparql-results+json");
        if let Some(login) = &self.login {
            request = request.header(AUTHORIZATION, login);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(text.as_bytes())));
        let request = request.map_err(|error| unreachable(error.into()))?;
        let answer = exchange(&target.authority, request, MAX_ANSWER_BYTES);
        let (status, body) = tokio::time::timeout(PATIENCE, answer)
            .await
            .map_err(|late| unreachable(late.into()))?
            .map_err(unreachable)?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let reason = String::from_utf8_lossy(&body).chars().take(MAX_REASON).collect();
        Err(EndpointError::Refused { status, reason })
    }
}

#[async_trait]
impl Endpoint for HttpEndpoint {
    async fn update(&self, update: &str) -> Result<(), EndpointError> {
        self.post(&self.update, "application/sparql-update", update).await.map(drop)
    }

    async fn query(&self, query: &str) -> Result<Vec<u8>, EndpointError> {
        self.post(&self.query, "application/sparql-query", query).await.map(|body| body.to_vec())
    }
}

/// How often it is looked whether there is something to send.
const LOOKING: Duration = Duration::from_millis(500);
/// How long it is waited after a failure: at first, and at most. Each wait is twice the one before.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Keeps a store like the index, for as long as it is polled.
pub(crate) async fn keep(index: Arc<Projection>, endpoint: HttpEndpoint) {
    let follower = match RandomIds.fresh(SystemClock.now()) {
        Ok(bits) => bits,
        Err(error) => {
            tracing::error!("the SPARQL store is not kept: {error}");
            return;
        }
    };
    let mut remote = Remote::new(index, Arc::new(endpoint), follower);
    let mut ticks = tokio::time::interval(LOOKING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut wait: Option<Duration> = None;
    loop {
        ticks.tick().await;
        if remote.is_current() {
            continue;
        }
        match remote.catch_up().await {
            Ok(position) => {
                if wait.take().is_some() {
                    tracing::info!(position, "the SPARQL store is kept again");
                }
            }
            Err(error) => {
                // Said once: an outage has many tries.
                if wait.is_none() {
                    tracing::error!("the SPARQL store cannot be kept: {error}");
                }
                let next = wait.map_or(WAITS.0, |wait| wait.saturating_mul(2).min(WAITS.1));
                wait = Some(next);
                tokio::time::sleep(next).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_and_hold_no_login_and_the_login_is_in_no_debug_text() {
        for bad in ["https://store/update", "store:7878/update", "http://a:b@store/", "", "/update"] {
            assert_eq!(HttpEndpoint::new(bad, "http://store/query", None).unwrap_err().code(), "invalid_url");
        }
        let store =
            HttpEndpoint::new("http://store/ds/update", "http://store:3030/ds/query", Some("me:secret"));
        let store = store.unwrap();
        assert_eq!((store.update.authority.as_str(), store.update.path.as_str()), ("store:80", "/ds/update"));
        assert!(store.login.is_some() && !format!("{store:?}").contains("secret"));
    }
}
