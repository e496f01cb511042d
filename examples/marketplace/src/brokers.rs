//! Other brokers: their calls answered over HTTP, and their clients kicked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clap::Args;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use i3_broker::dialect::{
    Decider, DeciderConfig, EmqxKicker, HookReply, HookRequest, HookSecret, Hooks, HttpCall, HttpClient,
    HttpDone, KickingListener,
};
use tokio::net::TcpStream;

use crate::{Assembly, Failure};

/// How brokers that are not the gate are served.
#[derive(Debug, Clone, Default, Args)]
pub struct BrokerOptions {
    /// The file of the secret that other brokers show when they ask who may do what, under `/broker`; without it
    /// they are not answered
    #[arg(long, env = "I3_BROKER_HOOK_SECRET_FILE", value_name = "FILE")]
    pub broker_hook_secret_file: Option<PathBuf>,
    /// Lets clients of other brokers choose any client id; by default it begins with the user name
    #[arg(long, env = "I3_BROKER_ANY_CLIENT_ID")]
    pub broker_any_client_id: bool,
    /// Lets orders receive through other brokers whose messages have a quota or a price, though nothing is counted or
    /// billed there
    #[arg(long, env = "I3_BROKER_COUNTED_ORDERS")]
    pub broker_counted_orders: bool,
    /// After how many seconds a client of another broker has to log in again, where the broker can be told
    #[arg(long, env = "I3_BROKER_LONGEST_SESSION", value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub broker_longest_session: Option<u64>,
    /// Where EMQX's REST interface is (`http://HOST:PORT`), to disconnect clients whose access ended
    #[arg(long, env = "I3_EMQX_API", value_name = "URL", requires = "emqx_api_key_file")]
    pub emqx_api: Option<String>,
    /// The file of EMQX's API key, as `KEY:SECRET`
    #[arg(long, env = "I3_EMQX_API_KEY_FILE", value_name = "FILE")]
    pub emqx_api_key_file: Option<PathBuf>,
}

impl BrokerOptions {
    /// The router that answers other brokers, if there is a secret. Clients are kicked from now on, if there is
    /// an interface to do that.
    pub fn start(&self, assembly: &Assembly) -> Result<Option<Router>, Failure> {
        let kicker = self.kicker()?;
        let market = Arc::new(assembly.market().clone());
        let kicks = kicker.is_some();
        if let Some(kicker) = kicker {
            let listener = KickingListener::new(Arc::new(kicker), market.clone(), market.clone());
            market.listen(Arc::new(listener));
        }
        let Some(file) = &self.broker_hook_secret_file else { return Ok(None) };
        let secret = HookSecret::new(secret_in(file)?.trim())
            .map_err(|error| Failure::usage("broker_secret", format!("{}: {error}", file.display())))?;
        let mut config = DeciderConfig::default();
        config.bind_client_ids = !self.broker_any_client_id;
        config.counted_orders = self.broker_counted_orders;
        config.longest_session = self.broker_longest_session.map(Duration::from_secs);
        let authenticator = assembly.access().authenticator.clone();
        let clock = market.clock().clone();
        let decider = Decider::new(authenticator, market.clone(), market, clock, config);
        let hooks = Hooks::new(decider, secret);
        Ok(Some(broker_router(if kicks { hooks.with_presets() } else { hooks })))
    }

    fn kicker(&self) -> Result<Option<EmqxKicker>, Failure> {
        let (Some(url), Some(file)) = (&self.emqx_api, &self.emqx_api_key_file) else { return Ok(None) };
        let client = PlainHttp::to(url)?;
        let pair = secret_in(file)?;
        let (key, secret) = pair.trim().split_once(':').ok_or_else(|| {
            Failure::usage("emqx_api_key", format!("{}: `KEY:SECRET` is expected", file.display()))
        })?;
        Ok(Some(EmqxKicker::new(Arc::new(client), key, secret)))
    }
}

fn secret_in(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::usage("secret_file", format!("{} cannot be read: {error}", file.display())))
}

/// The longest call of a broker, in bytes: a longer one is refused. `VerneMQ` can be told to leave payloads out.
const MAX_CALL_BYTES: usize = 256 * 1024;
/// How long a broker may take to send a call.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers other brokers under `/broker`, to be merged into another router.
pub fn broker_router(hooks: Hooks) -> Router {
    Router::new().route("/broker/{*call}", post(answer).put(answer)).with_state(Arc::new(hooks))
}

async fn answer(State(hooks): State<Arc<Hooks>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body_of(body).await;
    let path = parts.uri.path().strip_prefix("/broker/").unwrap_or_default();
    let call = HookRequest {
        path,
        authorization: text(&parts.headers, &AUTHORIZATION),
        content_type: text(&parts.headers, &CONTENT_TYPE),
        hook: text(&parts.headers, &HeaderName::from_static("vernemq-hook")),
        body: body.as_deref(),
    };
    match hooks.answer(call).await {
        Some(reply) => response(reply),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn body_of(body: Body) -> Option<Bytes> {
    tokio::time::timeout(PATIENCE, to_bytes(body, MAX_CALL_BYTES)).await.ok()?.ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn response(reply: HookReply) -> Response {
    let kept = reply.max_age.and_then(|seconds| HeaderValue::try_from(format!("max-age={seconds}")).ok());
    let cache = kept.unwrap_or(HeaderValue::from_static("no-store"));
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(reply.content_type)), (CACHE_CONTROL, cache)];
    (status, headers, reply.body).into_response()
}

/// A client of one server over plain HTTP/1.1, one connection for each request. For a server on the same machine
/// or in the same closed network: what is sent holds the API key.
#[derive(Debug, Clone)]
pub struct PlainHttp {
    authority: String,
}

/// The longest answer, in bytes.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

impl PlainHttp {
    /// A client of the server at `http://HOST:PORT`.
    pub fn to(url: &str) -> Result<Self, Failure> {
        let wrong =
            || Failure::usage("invalid_url", format!("`{url}` is no `http://HOST:PORT` (TLS is not spoken)"));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let plain =
            uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none();
        match uri.authority() {
            Some(authority) if plain && !authority.as_str().contains('@') => {
                let port = authority.port_u16().unwrap_or(80);
                Ok(Self { authority: format!("{}:{port}", authority.host()) })
            }
            _ => Err(wrong()),
        }
    }

    async fn ask(&self, call: HttpCall) -> Result<HttpDone, Box<dyn std::error::Error + Send + Sync>> {
        let request = hyper::Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, call.authorization)
            .body(Empty::<Bytes>::new())?;
        let (status, body) = exchange(&self.authority, request, MAX_ANSWER_BYTES).await?;
        Ok(HttpDone { status, body: body.to_vec() })
    }
}

/// Sends a request over a connection of its own, and gives status and body of the answer, which has at most so many bytes.
pub(crate) async fn exchange<B>(
    authority: &str,
    request: hyper::Request<B>,
    most: usize,
) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>>
where
    B: hyper::body::Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), most).collect().await?.to_bytes();
        Ok((status, body))
    };
    // Driven here, so that it ends with this call whatever becomes of it.
    tokio::pin!(exchange);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        done = &mut exchange => done,
        ended = &mut connection => {
            ended?;
            exchange.await
        }
    }
}

#[async_trait]
impl HttpClient for PlainHttp {
    async fn send(&self, call: HttpCall) -> Result<HttpDone, String> {
        self.ask(call).await.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_server_is_a_place_to_kick() {
        assert_eq!(PlainHttp::to("http://127.0.0.1:18083").unwrap().authority, "127.0.0.1:18083");
        assert_eq!(PlainHttp::to("http://emqx/").unwrap().authority, "emqx:80");
        for bad in
            ["https://emqx", "emqx:18083", "http://a:b@emqx", "http://emqx/api", "http://emqx?x", "", "/"]
        {
            assert_eq!(PlainHttp::to(bad).unwrap_err().code(), "invalid_url", "{bad}");
        }
    }
}
