//! Every denial leaves a record, within bounds, and administrators read them.

use std::time::Duration;

use i3_auth::failures::BudgetLimits;
use i3_core::access::Actor;
use i3_core::denial::DenialRecord;
use i3_core::market::{DenialFilter, PageRequest};
use i3_marketplace::{Assembly, FloodLimits, Operation, StoreUrl};
use serde_json::{Value, json};

use crate::everything::Everything;
use crate::process::Server;
use crate::support::{PASSWORD, Raw, Rest, assemble, config, stores, text};

/// All that is kept, newest first.
async fn kept(assembly: &Assembly) -> Vec<DenialRecord> {
    let (market, filter) = (assembly.market(), DenialFilter::default());
    let mut page = PageRequest { after: None, limit: 100 };
    let mut all = Vec::new();
    loop {
        let found = market.denials(Actor::System, &filter, &page).await.unwrap();
        all.extend(found.items);
        match found.next {
            Some(next) => page.after = Some(next),
            None => return all,
        }
    }
}

/// Answered as missing for another reason than that it is somebody else's: no challenge is switched on.
const MISSING: [&str; 1] = ["ask_challenge"];

impl Everything {
    /// Whether this answer left the records that it has to leave: one if it denies, with the answer's code, the operation's
    /// name and what was asked about; else none.
    pub(crate) async fn is_taken_down(&self, operation: &Operation, reply: &Raw, written: usize) -> bool {
        let body: Value = serde_json::from_str(&reply.text).unwrap_or_default();
        let denies = match reply.status {
            401 | 403 => true,
            404 => !MISSING.contains(&operation.id),
            _ => false,
        };
        if !denies {
            return written == 0;
        }
        let last = kept(self.assembly()).await.into_iter().next();
        let Some(DenialRecord { unwritten_before: 0, denied, .. }) = last else { return false };
        let asked = self.sample(operation).path;
        let path = asked.split('?').next().unwrap();
        written == 1
            && body["code"] == denied.code.as_str()
            && denied.operation == operation.id
            && denied.target.is_some_and(|target| target.ends_with(path) || target.len() == 200)
            && (body["code"] != "forbidden" || denied.missing.is_some() && denied.user.is_some())
    }
}

async fn listed(rest: &Rest, admin: &str, query: &str) -> Vec<Value> {
    let page = rest.get(admin, format!("/denials?limit=200{query}")).await.ok();
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn administrators_see_who_was_denied_what_and_why_and_nobody_else_does() {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let (admin, admin_id) = rest.sign_in("admin").await;
    let (buyer, id) = rest.register("buyer", "consumer").await;
    rest.get(&buyer, "/users").await.is(403, "forbidden");
    rest.get(&buyer, format!("/users/{admin_id}/hubs")).await.is(403, "forbidden");
    rest.get("nonsense", "/users").await.is(401, "invalid_token");
    rest.ask("GET", "/orders").send().await.is(401, "authentication_required");
    let wrong = json!({"name": "buyer", "password": "an attempted password"});
    rest.ask("POST", "/tokens").json(&wrong).send().await.is(401, "invalid_credentials");
    // What makes no sense, or is not there for anybody, is no denial.
    rest.get(&buyer, "/nothing").await.is(404, "no_such_route");
    rest.get(&buyer, "/hubs/hub_00000000000000000000000000").await;
    rest.post(&buyer, "/hubs", json!({})).await.is(400, "invalid_request");
    rest.ask("GET", "/roles").token(&buyer).send().await.ok();

    let body = json!({"label": "Looks", "kind": "machine", "scopes": ["order:view:own"]});
    let client = rest.post(&buyer, "/clients", body).await.ok();
    let (program, secret) = (text(&client["id"]), text(&client["secret"]));
    let form = |secret: &str, scope: &str| {
        format!("grant_type=client_credentials&client_id={program}&client_secret={secret}&scope={scope}")
    };
    let token = async |form: String| {
        let asked = rest.ask_at("POST", "/oauth/token").text(form);
        asked.header("content-type", "application/x-www-form-urlencoded").send().await
    };
    assert_eq!(token(form("wrong", "order:view:own")).await.status, 401);
    assert_eq!(token(form(&secret, "api:write")).await.body["error"], "invalid_scope");
    let access = text(&token(form(&secret, "order:view:own")).await.ok()["access_token"]);
    rest.get(&access, "/users/me").await.is(403, "insufficient_scope");
    assert_eq!(assembly.write_denials().await.unwrap(), 8);

    let all = listed(&rest, &admin, "").await;
    let told: Vec<_> = all
        .iter()
        .map(|record| (text(&record["operation"]), text(&record["code"]), record["missing"].as_str()))
        .collect();
    let is = |operation: &str, code: &str, missing| (operation.to_owned(), code.to_owned(), missing);
    assert_eq!(
        told,
        [
            is("show_me", "insufficient_scope", Some("user:view:own")),
            is("POST /oauth/token", "invalid_scope", None),
            is("POST /oauth/token", "invalid_client", None),
            is("sign_in", "invalid_credentials", None),
            is("list_orders", "authentication_required", None),
            is("list_users", "invalid_token", None),
            is("list_memberships", "forbidden", Some("user:view")),
            is("list_users", "forbidden", Some("user:manage")),
        ]
    );
    assert_eq!((&all[0]["user"], &all[0]["client"]), (&json!(id), &json!(program)));
    assert_eq!(all[6]["target"], format!("/api/v1/users/{admin_id}/hubs"));
    for never in ["an attempted password", "wrong", "nonsense", &secret, &access, &buyer, PASSWORD] {
        assert!(!json!(all).to_string().contains(never), "{never}");
    }

    let of_buyer = listed(&rest, &admin, &format!("&user={id}")).await;
    assert_eq!(of_buyer.len(), 3);
    let forbidden = listed(&rest, &admin, "&code=forbidden").await;
    assert_eq!(forbidden, all[6..]);
    assert_eq!(listed(&rest, &admin, &format!("&user={id}&code=forbidden")).await, forbidden);
    let since = text(&all[3]["at"]);
    let (later, earlier) = (format!("&since={since}"), format!("&until={since}"));
    let (later, earlier) = (listed(&rest, &admin, &later).await, listed(&rest, &admin, &earlier).await);
    assert_eq!([later, earlier].concat(), all);
    let page = rest.get(&admin, "/denials?limit=3").await.ok();
    let next = text(&page["next"]);
    let rest_of_it = rest.get(&admin, format!("/denials?limit=100&after={next}")).await.ok();
    assert_eq!(rest_of_it["items"].as_array().unwrap()[..], all[3..]);

    rest.get(&buyer, "/denials").await.is(403, "forbidden");
    rest.get(&access, "/denials").await.is(403, "forbidden");
    rest.ask("GET", "/denials").send().await.is(401, "authentication_required");
    rest.get(&admin, "/denials?kind=x").await.is(400, "invalid_request");
}

#[tokio::test]
async fn a_flood_of_denials_stays_within_its_bounds_and_tells_how_many_were_not_written() {
    let mut config = config(StoreUrl::Memory);
    config.denials_kept = 300;
    let (assembly, rest) = assemble(config).await;
    let flood = 3_000;
    for _ in 0..flood {
        rest.ask("GET", "/orders").send().await.is(401, "authentication_required");
    }
    let waiting = assembly.access().denials.len();
    assert!(waiting < flood, "the queue is bounded");
    // One more tells what was lost, whether or not anybody is denied anything ever after.
    assert_eq!(assembly.write_denials().await.unwrap(), waiting + 1);
    let records = kept(&assembly).await;
    assert_eq!(records.len(), 300);
    let lost = u64::try_from(flood - waiting).unwrap();
    assert_eq!((records[0].unwritten_before, &*records[0].denied.code), (lost, "unwritten"));
    assert_eq!(records[0].number.0, u64::try_from(waiting).unwrap() + 1);
    assert!(records.windows(2).all(|pair| pair[0].number.0 == pair[1].number.0 + 1));
    assert_eq!(assembly.write_denials().await.unwrap(), 0);
}

#[tokio::test]
async fn who_asks_too_much_leaves_one_record_a_minute_and_who_asks_for_another_s_token_leaves_one() {
    let mut config = config(StoreUrl::Memory);
    let few = BudgetLimits { burst: 3, refill: Duration::from_hours(1), keys: 10 };
    config.floods = FloodLimits { clients: few, ..FloodLimits::default() };
    let (assembly, rest) = assemble(config).await;
    let (buyer, id) = rest.register("buyer", "consumer").await;
    let (other, other_id) = rest.register("other", "consumer").await;
    let listed = rest.get(&buyer, "/tokens").await.ok();
    let token = format!("/tokens/{}", text(&listed["items"][0]["id"]));
    rest.ask("DELETE", &token).token(&other).send().await.is(404, "not_found");
    rest.ask("DELETE", "/tokens/tok_00000000000000000000000000")
        .token(&other)
        .send()
        .await
        .is(404, "not_found");
    rest.get(&other, "/users/me").await.ok();
    for _ in 0..50 {
        rest.get(&other, "/users/me").await.is(429, "too_many_requests");
    }
    for _ in 0..2 {
        rest.get(&buyer, "/users/me").await.ok();
    }
    for _ in 0..50 {
        rest.get(&buyer, "/orders").await.is(429, "too_many_requests");
    }
    assert_eq!(assembly.write_denials().await.unwrap(), 3);
    let told: Vec<_> = kept(&assembly).await.into_iter().map(|record| record.denied).collect();
    let told: Vec<_> = told
        .iter()
        .map(|denied| (denied.user.unwrap().to_string(), &*denied.operation, &*denied.code))
        .collect();
    let wanted = [
        (id, "list_orders", "too_many_requests"),
        (other_id.clone(), "show_me", "too_many_requests"),
        (other_id, "revoke_token", "not_found"),
    ];
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn on_every_store_what_was_denied_is_there_after_a_restart_and_makes_room_for_more() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()) {
        if matches!(store, StoreUrl::Memory) {
            continue;
        }
        let open = async || {
            let mut config = config(store.clone());
            config.master_key = Some(folder.path().join(format!("{}.key", store.to_string().len())));
            config.denials_kept = 4;
            Assembly::open(config).await.unwrap()
        };
        let deny = async |assembly: &Assembly, count: usize| {
            let rest = Rest::Router(i3_marketplace::router(i3_marketplace::AppState::from(assembly)));
            for _ in 0..count {
                rest.ask("GET", "/orders").send().await.is(401, "authentication_required");
            }
            assert_eq!(assembly.write_denials().await.unwrap(), count);
        };
        let first = open().await;
        deny(&first, 3).await;
        let before = kept(&first).await;
        drop(first);
        let again = open().await;
        assert_eq!(kept(&again).await, before);
        deny(&again, 2).await;
        let numbers: Vec<u64> = kept(&again).await.iter().map(|record| record.number.0).collect();
        assert_eq!(numbers, [5, 4, 3, 2], "{store}");
    }
}

#[tokio::test]
async fn a_server_writes_what_it_denied_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("market.sqlite").display());
    let server = Server::start(folder.path(), &store, &["--denials-kept", "5"]);
    for _ in 0..7 {
        server.rest().ask("GET", "/audit").send().await.is(401, "authentication_required");
    }
    server.end();
    let server = Server::start(folder.path(), &store, &["--denials-kept", "5"]);
    let (admin, _) = server.rest().sign_in("admin").await;
    let all = listed(&server.rest(), &admin, "").await;
    let told = json!(["list_audit", "authentication_required", "127.0.0.1", "/api/v1/audit", "audit:view"]);
    assert_eq!(all.len(), 5);
    for record in all {
        let parts = ["operation", "code", "peer", "target", "missing"].map(|part| record[part].clone());
        assert_eq!(json!(parts), told);
    }
}
