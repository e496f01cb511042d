//! What programs may do: never more than their scopes say, and never more than whom they act for may now.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use i3_core::store::limits;
use i3_marketplace::{AppState, Assembly, Operation, StoreUrl, Who, operations, router};
use serde_json::{Value, json};

use crate::access_table::Fresh;
use crate::everything::{Everything, asks_the_index};
use crate::support::{PASSWORD, Reply, Rest, assemble, config, text};

const CALLBACK: &str = "http://127.0.0.1/callback";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A marketplace behind a socket.
struct House {
    _assembly: Assembly,
    rest: Rest,
    admin: String,
}

impl House {
    async fn open() -> Self {
        let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
        let (admin, _) = rest.sign_in("admin").await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rest = Rest::Server(listener.local_addr().unwrap());
        let service = router(AppState::from(&assembly)).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { _assembly: assembly, rest, admin }
    }

    /// Registers a client, and gives its id and its secret.
    async fn client(&self, owner: &str, kind: &str, scopes: &[&str]) -> (String, String) {
        let uris = if kind == "machine" { json!([]) } else { json!([CALLBACK]) };
        let body = json!({"label": "A program", "kind": kind, "scopes": scopes, "redirect_uris": uris});
        let client = self.rest.post(owner, "/clients", body).await.ok();
        (text(&client["id"]), text(&client["secret"]))
    }

    async fn form(&self, path: &str, parameters: &[(&str, &str)]) -> Reply {
        let asked = self.rest.ask_at("POST", path).text(query(parameters));
        let raw = asked.header("content-type", "application/x-www-form-urlencoded").send_raw().await;
        let body = serde_json::from_str(&raw.text).unwrap_or_default();
        Reply { status: raw.status, headers: raw.headers, body }
    }

    /// A token for a machine with these scopes, if it may have them.
    async fn machine(&self, client: &(String, String), scope: Option<&str>) -> Reply {
        let mut asked = vec![
            ("grant_type", "client_credentials"),
            ("client_id", &*client.0),
            ("client_secret", &*client.1),
        ];
        asked.extend(scope.map(|scope| ("scope", scope)));
        self.form("/oauth/token", &asked).await
    }

    /// A new machine of this person's with these scopes: its access token.
    async fn bounded(&self, owner: &str, scopes: &[&str]) -> String {
        let client = self.client(owner, "machine", scopes).await;
        text(&self.machine(&client, None).await.ok()["access_token"])
    }
}

fn query(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// What the client is told where the browser is sent.
#[track_caller]
fn sent_with(reply: &Reply) -> BTreeMap<String, String> {
    assert_eq!(reply.status, 303, "{reply:?}");
    let (_, told) = reply.headers["location"].to_str().unwrap().split_once('?').unwrap();
    form_urlencoded::parse(told.as_bytes()).into_owned().collect()
}

/// Asserts that this scope is what is missing, as RFC 6750 (section 3.1) tells it.
#[track_caller]
fn lacks(reply: &Reply, scope: &str) {
    reply.is(403, "insufficient_scope");
    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
    assert_eq!(reply.headers["www-authenticate"], challenge.as_str());
    assert!(text(&reply.body["detail"]).contains(&format!("`{scope}`")));
}

fn hub(slug: &str) -> Value {
    json!({"slug": slug, "title": "A hub"})
}

#[tokio::test]
async fn a_program_does_what_its_scope_names_and_nothing_else() {
    let house = House::open().await;
    let (seller, id) = house.rest.register("seller", "provider").await;
    let program = house.bounded(&seller, &["hub:create", "hub:view:own"]).await;
    let made = house.rest.post(&program, "/hubs", hub("acme")).await.ok();
    let place = format!("/hubs/{}", text(&made["id"]));
    house.rest.get(&program, format!("{place}/devices")).await.ok();
    let member = format!("{place}/members/{id}");
    lacks(&house.rest.put(&program, member, json!({"role": "owner"})).await, "hub:members:own");
    lacks(&house.rest.get(&program, "/users/me").await, "user:view:own");
    // What the person may not do is told as to the person, and what anybody sees needs no scope.
    house.rest.get(&program, "/users").await.is(403, "forbidden");
    house.rest.get(&program, "/products").await.ok();
    house.rest.get(&program, "/clients").await.is(403, "in_person_only");

    // Links are what the program may do, not what the person may.
    let links = async |token: &str| {
        let asked = house.rest.ask("GET", &place).token(token).header("accept", "application/hal+json");
        let shown = asked.send().await.ok();
        shown["_links"].as_object().unwrap().keys().filter(|name| name.starts_with("i3:")).count()
    };
    assert!(links(&program).await < links(&seller).await);

    // All of it is the seller's doing.
    let log = house.rest.get(&house.admin, "/audit").await.ok();
    let last = log["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["command"], &last["actor"]["user"]), (&json!("register_hub"), &json!(id)), "{last}");
}

#[tokio::test]
async fn the_wide_scopes_mean_what_they_did() {
    let house = House::open().await;
    let (seller, _) = house.rest.register("seller", "provider").await;
    let reads = house.bounded(&seller, &["api:read"]).await;
    house.rest.get(&reads, "/users/me").await.ok();
    lacks(&house.rest.post(&reads, "/hubs", hub("acme")).await, "hub:create");
    let writes = house.bounded(&seller, &["api:write"]).await;
    house.rest.post(&writes, "/hubs", hub("acme")).await.ok();
    lacks(&house.rest.get(&writes, "/users/me").await, "user:view:own");
}

#[tokio::test]
async fn a_role_that_is_taken_from_the_person_is_taken_from_the_token_at_once() {
    let house = House::open().await;
    let (both, id) = house.rest.register("both", "provider").await;
    let give = async |roles: Value| {
        house.rest.put(&house.admin, format!("/users/{id}/roles"), json!({"roles": roles})).await.ok()
    };
    give(json!(["consumer", "provider"])).await;
    let sells = house.bounded(&both, &["as:provider"]).await;
    let buys = house.bounded(&both, &["as:consumer"]).await;
    let wide = house.bounded(&both, &["api:read", "api:write"]).await;
    house.rest.post(&sells, "/hubs", hub("one")).await.ok();
    lacks(&house.rest.post(&buys, "/hubs", hub("two")).await, "hub:create");
    house.rest.get(&buys, "/orders").await.ok();

    give(json!(["consumer"])).await;
    for token in [&sells, &wide] {
        house.rest.post(token, "/hubs", hub("three")).await.is(403, "forbidden");
    }
    // What the person still may do as a user is not given by a role that is gone.
    house.rest.get(&both, "/orders").await.ok();
    lacks(&house.rest.get(&sells, "/orders").await, "order:view:own");
    house.rest.get(&buys, "/orders").await.ok();

    give(json!(["provider"])).await;
    house.rest.post(&sells, "/hubs", hub("four")).await.ok();
}

#[tokio::test]
async fn a_scope_of_a_role_that_the_person_does_not_have_gives_nothing() {
    let house = House::open().await;
    let (buyer, _) = house.rest.register("buyer", "consumer").await;
    let program = house.bounded(&buyer, &["as:administrator", "user:manage", "virtual_object:delete"]).await;
    house.rest.get(&program, "/users").await.is(403, "forbidden");
    lacks(&house.rest.get(&program, "/users/me").await, "user:view:own");
    let admins = house.bounded(&house.admin, &["as:administrator"]).await;
    house.rest.get(&admins, "/users").await.ok();
}

#[tokio::test]
async fn a_role_that_was_created_is_a_scope_and_is_none_once_it_is_removed() {
    let house = House::open().await;
    let (token, id) = house.rest.register("auditor", "consumer").await;
    let refused = json!({"label": "x", "kind": "machine", "scopes": ["as:auditor"]});
    house.rest.post(&token, "/clients", refused.clone()).await.is(400, "unknown_scope");
    let role =
        json!({"name": "auditor", "label": "Auditor", "about": "Audits.", "permissions": ["audit:view"]});
    house.rest.post(&house.admin, "/roles", role).await.ok();
    let client = house.client(&token, "machine", &["as:auditor", "as:consumer"]).await;
    let program = text(&house.machine(&client, Some("as:auditor")).await.ok()["access_token"]);
    house.rest.get(&program, "/audit").await.is(403, "forbidden");
    let roles = json!({"roles": ["consumer", "auditor"]});
    house.rest.put(&house.admin, format!("/users/{id}/roles"), roles).await.ok();
    house.rest.get(&program, "/audit").await.ok();
    lacks(&house.rest.get(&program, "/orders").await, "order:view:own");

    let removed = house.rest.ask("DELETE", "/roles/auditor").token(&house.admin).send().await;
    assert_eq!(removed.status, 204);
    house.rest.get(&program, "/audit").await.is(403, "forbidden");
    house.rest.post(&token, "/clients", refused).await.is(400, "unknown_scope");
    // A client that has it may be described on, and gets no other that there is not.
    let path = format!("/clients/{}", client.0);
    let patch = async |scopes: Value| {
        let asked = house.rest.ask("PATCH", &path).token(&token);
        let body = json!({"scopes": scopes}).to_string();
        asked.header("content-type", "application/merge-patch+json").text(body).send().await
    };
    patch(json!(["as:auditor", "order:view"])).await.ok();
    patch(json!(["as:auditor", "as:ghost"])).await.is(400, "unknown_scope");
    for unknown in ["order:*", "virtual_object:creat", "audit:view:own", "as:", "AS:consumer", "*"] {
        patch(json!([unknown])).await.is(400, "unknown_scope");
    }
}

#[tokio::test]
async fn nobody_gets_a_wider_scope_than_was_registered_consented_to_and_granted() {
    let house = House::open().await;
    let (alice, _) = house.rest.register("alice", "provider").await;
    let registered = ["hub:create", "hub:view", "order:view:own", "as:provider"];
    let (id, secret) = house.client(&alice, "confidential", &registered).await;
    let asked = |scope: &str| {
        query(&[
            ("response_type", "code"),
            ("client_id", &id),
            ("redirect_uri", CALLBACK),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("scope", scope),
        ])
    };
    let get = async |query: &str| {
        let raw = house.rest.ask_at("GET", format!("/oauth/authorize?{query}")).send_raw().await;
        Reply { status: raw.status, headers: raw.headers, body: Value::String(raw.text) }
    };
    // At the authorization endpoint: neither wider, nor another, nor one that there is not.
    for wider in
        ["hub:create order:view", "api:write", "as:administrator", "as:ghost", "HUB:CREATE", "hub:members"]
    {
        let told = sent_with(&get(&asked(wider)).await);
        assert_eq!(told["error"], "invalid_scope", "{wider}");
    }
    let request = asked("hub:create hub:view order:view:own");
    let page = get(&request).await;
    assert_eq!(page.status, 200);
    let page = text(&page.body);
    assert!(page.contains("value=\"hub:create\"") && page.contains("create a hub"), "{page}");
    assert!(page.contains("see an order and its usage (only what belongs to oneself"), "{page}");

    // The answer that comes from the browser: no more than was asked for.
    let who = [("request", &*request), ("name", "alice"), ("password", PASSWORD), ("answer", "allow")];
    let forged = [&who[..], &[("scope", "hub:create"), ("scope", "as:provider")]].concat();
    assert_eq!(house.form("/oauth/authorize", &forged).await.status, 401);
    let allowed = [&who[..], &[("scope", "hub:create"), ("scope", "order:view:own")]].concat();
    let code = sent_with(&house.form("/oauth/authorize", &allowed).await).remove("code").unwrap();

    let client = [("client_id", &*id), ("client_secret", &*secret)];
    let redeem = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK)];
    let redeem = [&client[..], &redeem, &[("code_verifier", VERIFIER), ("scope", "hub:view")]].concat();
    let given = house.form("/oauth/token", &redeem).await.ok();
    assert_eq!(given["scope"], "hub:create order:view:own", "what was consented to");
    let token = text(&given["access_token"]);
    house.rest.post(&token, "/hubs", hub("acme")).await.ok();
    house.rest.get(&token, "/orders").await.ok();
    lacks(&house.rest.get(&token, "/users/me").await, "user:view:own");

    // It says so itself (RFC 9068, section 2.2.3), and so does introspection.
    let claims = token.split('.').nth(1).unwrap();
    let claims = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["scope"], "hub:create order:view:own");
    let told = house.form("/oauth/introspect", &[&client[..], &[("token", &*token)]].concat()).await.ok();
    assert_eq!((&told["active"], &told["scope"]), (&json!(true), &claims["scope"]));

    // Refreshing gives less, never more.
    let refresh = async |token: &str, scope: &str| {
        let asked = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)];
        house.form("/oauth/token", &[&client[..], &asked].concat()).await
    };
    let first = text(&given["refresh_token"]);
    for wider in ["hub:view", "hub:create hub:view", "as:provider", "api:read", "order:view"] {
        let refused = refresh(&first, wider).await;
        assert_eq!((refused.status, &refused.body["error"]), (400, &json!("invalid_scope")), "{wider}");
    }
    let less = refresh(&first, "order:view:own").await.ok();
    let token = text(&less["access_token"]);
    house.rest.get(&token, "/orders").await.ok();
    lacks(&house.rest.post(&token, "/hubs", hub("another")).await, "hub:create");

    // What the client loses, its tokens lose.
    let patch = json!({"scopes": ["hub:create"]}).to_string();
    let asked = house.rest.ask("PATCH", format!("/clients/{id}")).token(&alice);
    asked.header("content-type", "application/merge-patch+json").text(patch).send().await.ok();
    house.rest.get(&token, "/orders").await.is(401, "invalid_token");
}

#[tokio::test]
async fn a_machine_gets_no_scope_that_it_was_not_registered_with() {
    let house = House::open().await;
    let (alice, _) = house.rest.register("alice", "provider").await;
    let client = house.client(&alice, "machine", &["hub:create", "as:provider"]).await;
    for wider in ["hub:view", "api:write", "as:administrator", "hub:create api:read", "as:ghost"] {
        let refused = house.machine(&client, Some(wider)).await;
        assert_eq!((refused.status, &refused.body["error"]), (400, &json!("invalid_scope")), "{wider}");
    }
    assert_eq!(house.machine(&client, Some("as:provider")).await.ok()["scope"], "as:provider");
}

#[tokio::test]
async fn the_server_tells_which_scopes_there_are() {
    let house = House::open().await;
    let told = house.rest.ask_at("GET", "/.well-known/oauth-authorization-server").send().await.ok();
    let scopes: Vec<&str> =
        told["scopes_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for scope in
        ["api:read", "api:write", "virtual_object:create", "order:view:own", "order:view", "as:consumer"]
    {
        assert!(scopes.contains(&scope), "{scope}");
    }
    let described = i3_marketplace::openapi();
    let oauth = &described["components"]["securitySchemes"]["oauth2"]["flows"];
    for flow in ["authorizationCode", "clientCredentials"] {
        let named: Vec<&str> =
            oauth[flow]["scopes"].as_object().unwrap().keys().map(String::as_str).collect();
        let same: Vec<&str> = scopes.iter().copied().filter(|scope| *scope != "token:introspect").collect();
        assert_eq!(named, same, "{flow}");
    }
}

/// How many commands were carried out.
async fn carried_out(world: &Everything) -> usize {
    let market = world.assembly().market();
    let (mut after, mut count) = (0, 0);
    loop {
        let page = market.audit_log(i3_core::access::Actor::System, after, limits::PAGE_ROWS).await.unwrap();
        count += page.len();
        match page.last() {
            Some(last) => after = last.position,
            None => return count,
        }
    }
}

fn code(reply: &crate::support::Raw) -> String {
    let body: Value = serde_json::from_str(&reply.text).unwrap_or_default();
    body["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_program_without_any_scope_of_the_interface_does_what_anybody_may() {
    let mut fresh = Fresh::default();
    let mut world = fresh.next().await;
    let mut wrong = Vec::new();
    for party in [
        crate::everything::Caller::Seller,
        crate::everything::Caller::Buyer,
        crate::everything::Caller::Administrator,
    ] {
        world.bind(party, &["token:introspect"]).await;
    }
    for operation in operations().iter().filter(|operation| operation.who != Who::Anybody) {
        let program = world.sample(operation).party.program();
        let before = carried_out(&world).await;
        let reply = world.request(operation, program).send_raw().await;
        let told = code(&reply);
        let refused = matches!(
            (reply.status, &*told),
            (403, "insufficient_scope" | "in_person_only") | (404, "not_found")
        );
        if !refused || carried_out(&world).await != before {
            wrong.push(format!("{}: {} {}", operation.id, reply.status, reply.text));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Operations that a table cannot carry out; see `access_table.rs`.
const REFUSED: [&str; 1] = ["rate"];

fn scopes_of(operation: &Operation) -> Vec<&'static str> {
    operation.permissions.iter().map(|action| action.permission()).collect()
}

/// What the description says of scopes: all that an operation names suffice, and one that lacks some either does it or
/// leaves everything as it was.
#[tokio::test]
async fn the_scopes_that_an_operation_names_suffice_and_fewer_do_it_or_do_nothing() {
    let mut fresh = Fresh::default();
    let mut world = fresh.next().await;
    let mut wrong = Vec::new();
    for operation in operations() {
        if operation.who != Who::User || asks_the_index(&operation) || REFUSED.contains(&operation.id) {
            continue;
        }
        let all = scopes_of(&operation);
        let each = all.iter().map(|scope| vec![*scope]).filter(|_| all.len() > 1);
        for scopes in std::iter::once(all.clone()).chain(each) {
            if scopes.is_empty() {
                wrong.push(format!("{} names no permission", operation.id));
                continue;
            }
            let party = world.sample(&operation).party;
            world.bind(party, &scopes).await;
            let before = carried_out(&world).await;
            let reply = world.request(&operation, party.program()).send_raw().await;
            let done = (200..300).contains(&reply.status);
            let right = match &*code(&reply) {
                "insufficient_scope" => scopes != all && carried_out(&world).await == before,
                _ => done,
            };
            if !right {
                wrong.push(format!("{} with {scopes:?}: {} {}", operation.id, reply.status, reply.text));
            }
            if done && !operation.method.is_safe() {
                world = fresh.next().await;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
