//! Brokers that are not the gate: they ask over HTTP, and their clients are kicked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::{delete, get};
use axum::{Json, Router};
use i3_marketplace::{Assembly, BrokerOptions, StoreUrl};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::process::Server;
use crate::support::{DEVICE_LOGIN, PASSWORD, Rest, Shop, assemble, config};

const SECRET: &str = "brokers-ask-with-this";

fn options(folder: &TempDir) -> BrokerOptions {
    let file = folder.path().join("broker.secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    BrokerOptions { broker_hook_secret_file: Some(file), ..BrokerOptions::default() }
}

async fn shop() -> (Assembly, Shop) {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let shop = Shop::open(rest, json!({"kind": "free"}), 0).await;
    (assembly, shop)
}

/// A broker's call: the status, what may be kept, and the body.
async fn ask(router: &Router, path: &str, hook: Option<&str>, body: Value) -> (u16, String, Value) {
    let mut request = Request::post(format!("/broker/{path}")).header("content-type", "application/json");
    if let Some(hook) = hook {
        request = request.header("vernemq-hook", hook);
    }
    let response = router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let kept = response.headers()["cache-control"].to_str().unwrap().to_owned();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Value::String(String::from_utf8(body.to_vec()).unwrap()));
    (status, kept, body)
}

#[tokio::test]
async fn a_sale_is_seen_by_all_brokers_and_so_is_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (assembly, shop) = shop().await;
    let router = options(&folder).start(&assembly).unwrap().unwrap();
    let (order, password) = shop.buy().await;

    let login = |name: &str, password: &str| json!({"clientid": name, "client_id": name, "username": name, "password": password});
    let go_auth = format!("go-auth/{SECRET}/user");
    for (name, password, status) in [
        (DEVICE_LOGIN, PASSWORD, 200),
        (&*order, &*password, 200),
        (&*order, PASSWORD, 403),
        (DEVICE_LOGIN, &*password, 403),
    ] {
        assert_eq!(ask(&router, &go_auth, None, login(name, password)).await.0, status, "{name}");
    }
    let topic = json!({"username": order, "clientid": "c", "topic": shop.topic, "acc": 4,
        "action": "subscribe", "access": "1", "topics": [{"topic": shop.topic, "qos": 1}]});
    let answers = async || {
        let go_auth = ask(&router, &format!("go-auth/{SECRET}/acl"), None, topic.clone()).await;
        let emqx = ask(&router, &format!("emqx/{SECRET}/authz"), None, topic.clone()).await;
        let rmqtt = ask(&router, &format!("rmqtt/{SECRET}/acl"), None, topic.clone()).await;
        let hook = Some("auth_on_subscribe_m5");
        let verne = ask(&router, &format!("vernemq/{SECRET}"), hook, topic.clone()).await;
        assert!(go_auth.1 == "no-store" && emqx.1 == "no-store" && rmqtt.1 == "no-store");
        assert_eq!(verne.0, 200);
        (go_auth.0, emqx.2["result"].clone(), rmqtt.2, verne.2, verne.1)
    };
    let yes = answers().await;
    assert_eq!(yes, (200, "allow".into(), "allow".into(), json!({"result": "ok"}), "max-age=10".to_owned()));

    shop.rest.ask("POST", format!("/orders/{order}/revoke")).token(&shop.seller).send().await.ok();
    let no = answers().await;
    let refused = json!({"result": "ok", "modifiers": {"topics": [{"topic": shop.topic, "qos": 135}]}});
    assert_eq!(no, (403, "deny".into(), "deny".into(), refused, "no-store".to_owned()));
    assert_eq!(ask(&router, &go_auth, None, login(&order, &password)).await.0, 403);
}

#[tokio::test]
async fn brokers_get_no_answer_without_a_secret_and_a_refusal_with_a_wrong_one() {
    let folder = tempfile::tempdir().unwrap();
    let (assembly, _shop) = shop().await;
    assert!(BrokerOptions::default().start(&assembly).unwrap().is_none());
    let router = options(&folder).start(&assembly).unwrap().unwrap();
    let login = json!({"clientid": DEVICE_LOGIN, "username": DEVICE_LOGIN, "password": PASSWORD});
    assert_eq!(ask(&router, "go-auth/user", None, login.clone()).await.0, 403);
    assert_eq!(ask(&router, "emqx/not-the-right-secret/authn", None, login).await.2["result"], "deny");
    let long = json!({"clientid": "c".repeat(300_000)});
    assert_eq!(ask(&router, &format!("emqx/{SECRET}/authn"), None, long).await.2["result"], "deny");

    let short = folder.path().join("short");
    std::fs::write(&short, "short").unwrap();
    let options = BrokerOptions { broker_hook_secret_file: Some(short), ..BrokerOptions::default() };
    assert_eq!(options.start(&assembly).unwrap_err().code(), "broker_secret");
}

#[tokio::test]
async fn the_program_answers_brokers_if_it_is_given_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = options(&folder).broker_hook_secret_file.unwrap();
    let asked = json!({"clientid": "x", "username": "x", "password": "x"});
    for (more, status) in [(vec![], 404), (vec!["--broker-hook-secret-file", file.to_str().unwrap()], 403)] {
        let server = Server::start(folder.path(), "memory:", &more);
        let Rest::Server(address) = server.rest() else { panic!() };
        assert_eq!(post(address, &format!("/broker/go-auth/{SECRET}/user"), &asked).await, status);
        server.end();
    }
}

/// The status of a call over a real connection.
async fn post(address: SocketAddr, path: &str, body: &Value) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// EMQX's interface for clients, as far as kicking needs it: client ids with their user names.
#[derive(Default)]
struct Emqx {
    clients: Mutex<BTreeMap<String, String>>,
    /// So many calls fail first.
    failures: Mutex<u32>,
}

type Shared = State<Arc<Emqx>>;

/// `key:secret`, as Basic credentials.
const BASIC: &str = "Basic a2V5OnNlY3JldA==";

impl Emqx {
    fn refuses(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        if headers.get("authorization").is_none_or(|value| value != BASIC) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        Ok(())
    }

    async fn serve(self: &Arc<Self>) -> SocketAddr {
        let list = async |State(emqx): Shared, headers: HeaderMap, query: Query<BTreeMap<String, String>>| {
            emqx.refuses(&headers)?;
            let clients = emqx.clients.lock().unwrap();
            let of = clients.iter().filter(|(_, name)| query.get("username") == Some(*name));
            let data: Vec<_> =
                of.map(|(id, name)| json!({"clientid": id, "username": name, "connected": true})).collect();
            let count = data.len();
            Ok::<_, StatusCode>(Json(
                json!({"data": data, "meta": {"count": count, "limit": 100, "page": 1}}),
            ))
        };
        let kick = async |State(emqx): Shared, headers: HeaderMap, Path(id): Path<String>| {
            if let Err(status) = emqx.refuses(&headers) {
                return status;
            }
            let gone = emqx.clients.lock().unwrap().remove(&id);
            if gone.is_some() { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
        };
        let router = Router::new()
            .route("/api/v5/clients", get(list))
            .route("/api/v5/clients/{id}", delete(kick))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn connect(&self, id: &str, name: &str) {
        self.clients.lock().unwrap().insert(id.to_owned(), name.to_owned());
    }

    fn connected(&self) -> Vec<String> {
        self.clients.lock().unwrap().keys().cloned().collect()
    }
}

#[tokio::test]
async fn clients_of_emqx_are_gone_when_the_command_that_ends_their_access_returns() {
    let folder = tempfile::tempdir().unwrap();
    let emqx = Arc::new(Emqx::default());
    let address = emqx.serve().await;
    let key = folder.path().join("emqx.key");
    std::fs::write(&key, "key:secret\n").unwrap();
    let (assembly, shop) = shop().await;
    let options = BrokerOptions {
        emqx_api: Some(format!("http://{address}")),
        emqx_api_key_file: Some(key),
        ..options(&folder)
    };
    let router = options.start(&assembly).unwrap().unwrap();
    let (order, password) = shop.buy().await;
    let (other, _) = shop.buy().await;

    let login = json!({"clientid": order, "username": order, "password": password, "peerhost": "192.0.2.1"});
    let (_, _, admitted) = ask(&router, &format!("emqx/{SECRET}/authn"), None, login).await;
    assert_eq!(admitted["acl"][0]["topic"], format!("eq {}", shop.topic), "presets come with kicks");

    emqx.connect("tablet/1 ü", &order);
    emqx.connect("phone", &order);
    emqx.connect("others", &other);
    emqx.connect("sensor", DEVICE_LOGIN);
    // The first try fails; the command waits for the second.
    *emqx.failures.lock().unwrap() = 1;
    shop.rest.ask("POST", format!("/orders/{order}/cancel")).token(&shop.buyer).send().await.ok();
    assert_eq!(emqx.connected(), ["others", "sensor"]);

    let paused = json!({"state": "paused"});
    shop.rest.put(&shop.seller, format!("/products/{}/state", shop.product), paused).await.ok();
    assert_eq!(emqx.connected(), [""; 0], "nobody publishes or receives a paused product");
    emqx.connect("sensor", DEVICE_LOGIN);
    let listed = json!({"state": "listed"});
    shop.rest.put(&shop.seller, format!("/products/{}/state", shop.product), listed).await.ok();
    assert_eq!(emqx.connected(), ["sensor"]);
    let disabled = json!({"state": "disabled"});
    shop.rest.put(&shop.seller, format!("/devices/{}/state", shop.device), disabled).await.ok();
    assert_eq!(emqx.connected(), [""; 0]);

    // Whole accounts and hubs.
    let active = json!({"state": "active"});
    shop.rest.put(&shop.seller, format!("/devices/{}/state", shop.device), active).await.ok();
    let all = || {
        emqx.connect("others", &other);
        emqx.connect("sensor", DEVICE_LOGIN);
    };
    all();
    let user = format!("/users/{}", shop.buyer_id);
    shop.rest.ask("POST", format!("{user}/suspend")).token(&shop.admin).send().await.ok();
    assert_eq!(emqx.connected(), ["sensor"]);
    shop.rest.ask("POST", format!("{user}/reinstate")).token(&shop.admin).send().await.ok();
    all();
    let hub = format!("/hubs/{}/state", shop.hub);
    shop.rest.put(&shop.admin, &hub, json!({"state": "suspended"})).await.ok();
    assert_eq!(emqx.connected(), [""; 0]);
    shop.rest.put(&shop.admin, &hub, json!({"state": "active"})).await.ok();
    all();
    // The suspension ended the buyer's logins for good.
    let (buyer, _) = shop.rest.sign_in("buyer").await;
    shop.rest.ask("POST", format!("/orders/{other}/password")).token(&buyer).send().await.ok();
    assert_eq!(emqx.connected(), ["sensor"], "who has the old password is out");
}
