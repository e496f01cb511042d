//! Kicks, with a kicker that can fail, and EMQX's interface by recorded shapes.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use i3_core::gate::{AccessChange, AccessListener, Principal};
use i3_core::id::*;
use serde_json::json;

use super::world::*;
use crate::dialect::*;

/// Fails so often, then works.
#[derive(Debug, Default)]
struct Boots {
    failures: Mutex<u32>,
    kicked: Mutex<Vec<String>>,
    hangs: bool,
}

#[async_trait]
impl Kicker for Boots {
    async fn kick(&self, username: &str) -> Result<(), KickError> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(KickError::Refused(500));
        }
        self.kicked.lock().unwrap().push(username.to_owned());
        Ok(())
    }
}

fn listener(market: &Arc<Market>, boots: &Arc<Boots>) -> KickingListener {
    let moment = Duration::from_millis(1);
    KickingListener::new(boots.clone(), market.clone(), market.clone()).with_tries(
        3,
        moment,
        Duration::from_millis(50),
    )
}

fn product_changed(bits: u128) -> AccessChange {
    AccessChange::Product(ProductId::from_bits(bits))
}

#[tokio::test]
async fn who_keeps_the_access_is_not_kicked() {
    let (market, boots) = (Market::new(World::open()), Arc::new(Boots::default()));
    listener(&market, &boots).access_changed(&[product_changed(3)]).await;
    assert_eq!(*boots.kicked.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn who_loses_the_access_is_kicked_before_the_command_returns() {
    let (market, boots) = (Market::new(World::open()), Arc::new(Boots::default()));
    let listener = listener(&market, &boots);
    market.world.lock().unwrap().order = Some((AIR, false));
    listener.access_changed(&[AccessChange::Grant(GrantId::of(order()))]).await;
    assert_eq!(*boots.kicked.lock().unwrap(), [order().to_string()]);
    market.world.lock().unwrap().publishes.clear();
    listener.access_changed(&[product_changed(3)]).await;
    assert_eq!(boots.kicked.lock().unwrap()[1..], [DEVICE.to_owned(), order().to_string()]);
    assert_eq!(listener.stats(), KickStats { kicked: 3, failed: 0 });
}

#[tokio::test(start_paused = true)]
async fn who_turns_up_after_the_kick_is_kicked_by_the_second_look_unless_let_in_again() {
    let (market, boots) = (Market::new(World::open()), Arc::new(Boots::default()));
    let listener = listener(&market, &boots).with_second_look(Duration::from_secs(10));
    let name = order().to_string();
    market.world.lock().unwrap().order = Some((AIR, false));
    listener.access_changed(&[AccessChange::Grant(GrantId::of(order()))]).await;
    assert_eq!(*boots.kicked.lock().unwrap(), std::slice::from_ref(&name));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(*boots.kicked.lock().unwrap(), [name.as_str(); 2]);

    listener.access_changed(&[AccessChange::Grant(GrantId::of(order()))]).await;
    market.world.lock().unwrap().order = Some((AIR, true));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(boots.kicked.lock().unwrap().len(), 3, "it was let in again: it stays");
}

#[tokio::test]
async fn a_changed_password_kicks_though_the_access_goes_on() {
    let (market, boots) = (Market::new(World::open()), Arc::new(Boots::default()));
    let principal = Principal::Order { order: order(), buyer: UserId::from_bits(5) };
    listener(&market, &boots).access_changed(&[AccessChange::Login { principal, credential: None }]).await;
    assert!(boots.kicked.lock().unwrap().contains(&order().to_string()));
}

#[tokio::test]
async fn a_kick_is_tried_again_and_given_up_after_the_last_try() {
    let market = Market::new(World { order: Some((AIR, false)), ..World::open() });
    for (failures, stats) in
        [(2, KickStats { kicked: 1, failed: 0 }), (9, KickStats { kicked: 0, failed: 1 })]
    {
        let boots = Arc::new(Boots { failures: Mutex::new(failures), ..Boots::default() });
        let listener = listener(&market, &boots);
        listener.access_changed(&[AccessChange::Grant(GrantId::of(order()))]).await;
        assert_eq!(listener.stats(), stats);
    }
    let boots = Arc::new(Boots { hangs: true, ..Boots::default() });
    let hanging = listener(&market, &boots);
    hanging.access_changed(&[AccessChange::Grant(GrantId::of(order()))]).await;
    assert_eq!(hanging.stats(), KickStats { kicked: 0, failed: 1 }, "a broker that hangs is given up too");
    market.down.store(true, Ordering::SeqCst);
    hanging.access_changed(&[AccessChange::Grant(GrantId::of(order()))]).await;
    assert_eq!(hanging.stats().failed, 2, "without the store nobody knows whom to kick, which counts");
}

#[tokio::test]
async fn a_command_does_not_wait_for_a_broker_for_ever() {
    let market = Market::new(World { order: Some((AIR, false)), ..World::open() });
    let boots = Arc::new(Boots { hangs: true, ..Boots::default() });
    let listener = listener(&market, &boots)
        .with_tries(1_000, Duration::from_secs(1), Duration::from_mins(10))
        .with_limit(Duration::from_millis(20));
    let change = [AccessChange::Grant(GrantId::of(order()))];
    let waited = tokio::time::timeout(Duration::from_secs(30), listener.access_changed(&change)).await;
    assert!(waited.is_ok() && listener.stats() == KickStats::default());
}

/// EMQX's REST interface with these clients, by user name.
#[derive(Debug, Default)]
struct Emqx {
    clients: Mutex<BTreeMap<String, String>>,
    calls: Mutex<Vec<HttpCall>>,
    broken: Option<HttpDone>,
    stubborn: bool,
}

#[async_trait]
impl HttpClient for Emqx {
    async fn send(&self, call: HttpCall) -> Result<HttpDone, String> {
        self.calls.lock().unwrap().push(call.clone());
        if let Some(broken) = &self.broken {
            return Ok(broken.clone());
        }
        let mut clients = self.clients.lock().unwrap();
        if call.method == "GET" {
            let name = call.path.split("username=").nth(1).unwrap().split('&').next().unwrap();
            let of: Vec<_> = clients.iter().filter(|(_, of)| *of == name).take(100).collect();
            let data: Vec<_> = of
                .iter()
                .map(|(id, of)| json!({ "clientid": id, "username": of, "connected": true }))
                .collect();
            let body = json!({ "data": data, "meta": { "page": 1, "limit": 100, "hasnext": false } });
            return Ok(HttpDone { status: 200, body: body.to_string().into_bytes() });
        }
        let id = call.path.strip_prefix("/api/v5/clients/").unwrap().replace("%20", " ").replace("%2F", "/");
        if !self.stubborn {
            clients.remove(&id);
        }
        Ok(HttpDone { status: 204, body: Vec::new() })
    }
}

#[tokio::test]
async fn all_clients_of_a_name_are_deleted_and_nobody_elses() {
    let mut clients: BTreeMap<_, _> =
        (0..250).map(|n| (format!("a b/{n}"), "acme.sensor".to_owned())).collect();
    clients.insert("other".to_owned(), "acme.other".to_owned());
    let emqx = Arc::new(Emqx { clients: Mutex::new(clients), ..Emqx::default() });
    let kicker = EmqxKicker::new(emqx.clone(), "key", "password");
    kicker.kick("acme.sensor").await.unwrap();
    assert_eq!(emqx.clients.lock().unwrap().keys().collect::<Vec<_>>(), ["other"]);
    let calls = emqx.calls.lock().unwrap();
    assert_eq!(calls[0].path, "/api/v5/clients?username=acme.sensor&page=1&limit=100");
    assert_eq!((calls[1].method, calls[1].path.as_str()), ("DELETE", "/api/v5/clients/a%20b%2F0"));
    assert!(calls.iter().all(|call| call.authorization == "Basic a2V5OnBhc3N3b3Jk"));
    assert!(!format!("{kicker:?} {calls:?}").contains("a2V5"));
}

#[tokio::test]
async fn an_answer_that_is_not_emqxs_is_a_failure_and_no_kick() {
    let kick =
        async |emqx: Emqx| EmqxKicker::new(Arc::new(emqx), "key", "password").kick("acme.sensor").await;
    let broken = |status, body: &str| Emqx {
        broken: Some(HttpDone { status, body: body.as_bytes().to_vec() }),
        ..Emqx::default()
    };
    assert_eq!(kick(broken(401, "{}")).await, Err(KickError::Refused(401)));
    assert_eq!(kick(broken(200, "<html>")).await, Err(KickError::Unreadable));
    assert_eq!(kick(broken(200, "{\"data\":{}}")).await, Err(KickError::Unreadable));
    let one = [("c".to_owned(), "acme.sensor".to_owned())].into();
    let stubborn = Emqx { clients: Mutex::new(one), stubborn: true, ..Emqx::default() };
    assert_eq!(kick(stubborn).await, Err(KickError::StillThere));
    assert_eq!(kick(Emqx::default()).await, Ok(()));
}
