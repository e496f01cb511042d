//! A client of the REST interface, and a shop with something to sell.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, Request, StatusCode};
use i3_auth::password::{Cost, PasswordSettings};
use i3_core::access::Actor;
use i3_core::gate::Metering;
use i3_core::id::{GrantId, OrderId};
use i3_core::market::RegisterUser;
use i3_core::role::RoleName;
use i3_marketplace::{AppState, Assembly, AssemblyConfig, StoreUrl, router};
use i3_semantic::sparql::PoolOptions;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;

pub(crate) const PASSWORD: &str = "correct horse";

/// The REST interface: in this process, or of a server.
#[derive(Clone)]
pub(crate) enum Rest {
    Router(Router),
    Server(SocketAddr),
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// The body, if the request was carried out.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }

    /// Asserts a problem with this status and code.
    #[track_caller]
    pub(crate) fn is(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(self.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
}

/// A request before it is sent.
pub(crate) struct Asked<'a> {
    rest: &'a Rest,
    method: &'a str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl Rest {
    pub(crate) fn ask<'a>(&'a self, method: &'a str, path: impl AsRef<str>) -> Asked<'a> {
        self.ask_at(method, format!("/api/v1{}", path.as_ref()))
    }

    /// A request to a path outside of the interface's usual place.
    pub(crate) fn ask_at<'a>(&'a self, method: &'a str, path: impl Into<String>) -> Asked<'a> {
        let path = path.into();
        Asked { rest: self, method, path, headers: Vec::new(), body: None }
    }

    pub(crate) async fn get(&self, token: &str, path: impl AsRef<str>) -> Reply {
        self.ask("GET", path).token(token).send().await
    }

    pub(crate) async fn post(&self, token: &str, path: impl AsRef<str>, body: Value) -> Reply {
        self.ask("POST", path).token(token).json(&body).send().await
    }

    pub(crate) async fn put(&self, token: &str, path: impl AsRef<str>, body: Value) -> Reply {
        self.ask("PUT", path).token(token).json(&body).send().await
    }

    /// Signs in; gives the token and the user's id.
    pub(crate) async fn sign_in(&self, name: &str) -> (String, String) {
        let body = json!({"name": name, "password": PASSWORD});
        let signed = self.ask("POST", "/tokens").json(&body).send().await.ok();
        (text(&signed["token"]), text(&signed["account"]["id"]))
    }

    /// Registers a user and signs in.
    pub(crate) async fn register(&self, name: &str, role: &str) -> (String, String) {
        let body = json!({"name": name, "roles": [role], "password": PASSWORD});
        self.ask("POST", "/users").json(&body).send().await.ok();
        self.sign_in(name).await
    }
}

impl Asked<'_> {
    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").text(body.to_string())
    }

    pub(crate) fn text(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(crate) async fn send(self) -> Reply {
        let Raw { status, headers, text } = self.send_raw().await;
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        Reply { status, headers, body }
    }

    pub(crate) async fn send_raw(self) -> Raw {
        match self.rest {
            Rest::Router(router) => {
                let mut request = Request::builder().method(self.method).uri(&self.path);
                for (name, value) in &self.headers {
                    request = request.header(*name, value);
                }
                let body = self.body.map_or_else(Body::empty, Body::from);
                let response = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
                let (parts, body) = response.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                Raw::of(parts.status, parts.headers, &body)
            }
            Rest::Server(address) => self.send_to(*address).await,
        }
    }

    /// The same to a server that may be killed meanwhile: nothing if no whole answer came.
    pub(crate) async fn send_if_it_lives(self) -> Option<Reply> {
        let Rest::Server(address) = self.rest else { return Some(self.send().await) };
        let Raw { status, headers, text } = self.exchange(*address).await.ok()??;
        let length = headers.get("content-length").and_then(|length| length.to_str().ok());
        let length: usize = length.map_or(Some(0), |length| length.parse().ok())?;
        if text.len() != length {
            return None;
        }
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        Some(Reply { status, headers, body })
    }

    async fn send_to(self, address: SocketAddr) -> Raw {
        self.exchange(address).await.unwrap().unwrap()
    }

    /// Just enough HTTP/1.1: one request, one connection. Nothing if the answer ends within its head.
    async fn exchange(self, address: SocketAddr) -> std::io::Result<Option<Raw>> {
        let body = self.body.unwrap_or_default();
        let mut request = format!(
            "{} {} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n",
            self.method,
            self.path,
            body.len()
        );
        for (name, value) in &self.headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { return Ok(None) };
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let headers = head.lines().skip(1).map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())
        });
        Ok(Some(Raw::of(StatusCode::from_u16(status).unwrap(), headers.collect(), body.as_bytes())))
    }
}

/// What was answered, as text.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Raw {
    fn of(status: StatusCode, headers: HeaderMap, body: &[u8]) -> Self {
        Self { status: status.as_u16(), headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }
}

#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Asserts that a file of the repository says what it would say today; writes it, if golden files are written.
#[track_caller]
pub(crate) fn kept(file: &str, today: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    if std::env::var_os("I3_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, today).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == today, "{file} is not what the code says: run `make openapi`");
}

/// Configured for this store, with passwords that cost little.
pub(crate) fn config(store: StoreUrl) -> AssemblyConfig {
    let mut config = AssemblyConfig::new(store);
    config.passwords = PasswordSettings { cost: Cost::new(8, 1, 1).unwrap(), ..PasswordSettings::default() };
    config
}

/// Workers for SPARQL, with all the time that a slow machine may need.
pub(crate) fn patient() -> PoolOptions {
    let mut options = PoolOptions::default();
    options.patience = Duration::from_mins(2);
    options.deadline = Duration::from_mins(2);
    options
}

/// One of each kind of store, in this folder.
pub(crate) fn stores(folder: &Path) -> [StoreUrl; 3] {
    [
        StoreUrl::Memory,
        StoreUrl::Sqlite(folder.join("market.sqlite")),
        StoreUrl::Sled(folder.join("market.sled")),
    ]
}

/// A marketplace in this process with the administrator `admin`.
pub(crate) async fn assemble(config: AssemblyConfig) -> (Assembly, Rest) {
    let assembly = Assembly::open(config).await.unwrap();
    let command = RegisterUser {
        name: "admin".parse().unwrap(),
        display: "Admin".parse().unwrap(),
        email: None,
        roles: [RoleName::ADMINISTRATOR].into(),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: Some(assembly.access().passwords.hash(PASSWORD.as_bytes()).await.unwrap()),
    };
    assembly.market().execute(Actor::System, None, &command).await.unwrap();
    let rest = Rest::Router(router(AppState::from(&assembly)));
    (assembly, rest)
}

/// Delivers as a gate does.
pub(crate) async fn deliver(assembly: &Assembly, order: &str, messages: u64) {
    let grant = GrantId::of(order.parse::<OrderId>().unwrap());
    let lease = assembly.market().open(grant, "test", messages).await.unwrap();
    assembly.market().close(lease.lease, messages.into()).await.unwrap();
}

/// A seller with a listed product, and a buyer with money.
pub(crate) struct Shop {
    pub(crate) rest: Rest,
    pub(crate) admin: String,
    pub(crate) seller: String,
    pub(crate) buyer: String,
    pub(crate) buyer_id: String,
    pub(crate) hub: String,
    pub(crate) device: String,
    pub(crate) product: String,
    pub(crate) topic: String,
    pub(crate) offer: String,
}

pub(crate) const DEVICE_LOGIN: &str = "acme.sensor";

impl Shop {
    /// Opens it all through the interface; the offer has this plan, and the buyer this many cents.
    pub(crate) async fn open(rest: Rest, plan: Value, cents: i64) -> Self {
        let (admin, _) = rest.sign_in("admin").await;
        let (seller, _) = rest.register("seller", "provider").await;
        let (buyer, buyer_id) = rest.register("buyer", "consumer").await;
        let hub = rest.post(&seller, "/hubs", json!({"slug": "acme", "title": "Acme"})).await.ok();
        let hub = text(&hub["id"]);
        let device = json!({
            "name": "sensor", "title": "A sensor",
            "credential": {"kind": "password", "password": PASSWORD},
        });
        let device = rest.post(&seller, format!("/hubs/{hub}/devices"), device).await.ok();
        assert_eq!(device["auth_id"], DEVICE_LOGIN);
        let device = text(&device["id"]);
        let product = json!({
            "slug": "air", "title": "Air", "description": "Air quality", "tags": ["air"], "devices": [device],
        });
        let product = rest.post(&seller, format!("/hubs/{hub}/products"), product).await.ok();
        let topic = text(&product["topic"]);
        let product = text(&product["id"]);
        let offer = json!({"currency": "EUR", "plan": plan});
        let offer = rest.post(&seller, format!("/products/{product}/offers"), offer).await.ok();
        let offer = text(&offer["id"]);
        rest.put(&seller, format!("/products/{product}/state"), json!({"state": "listed"})).await.ok();
        if cents > 0 {
            let payment = json!({"amount": cents, "currency": "EUR", "reference": "cash"});
            rest.post(&admin, format!("/users/{buyer_id}/top-ups"), payment).await.ok();
        }
        Self { rest, admin, seller, buyer, buyer_id, hub, device, product, topic, offer }
    }

    /// Buys the offer; gives the order and its MQTT password.
    pub(crate) async fn buy(&self) -> (String, String) {
        let bought = self.rest.post(&self.buyer, "/orders", json!({"offer": self.offer})).await.ok();
        assert_eq!(bought["mqtt"]["username"], bought["order"]["id"]);
        assert_eq!(bought["mqtt"]["topic"], self.topic);
        (text(&bought["order"]["id"]), text(&bought["mqtt"]["password"]))
    }

    /// What the buyer can spend, in cents.
    pub(crate) async fn balance(&self) -> i64 {
        let found = self.rest.get(&self.buyer, format!("/accounts/{}/balances", self.buyer_id)).await.ok();
        found["items"][0]["amount"].as_i64().unwrap_or(0)
    }
}
